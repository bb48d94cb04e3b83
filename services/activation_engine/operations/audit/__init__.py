"""The audit: what is stored, compared with a fresh fold of the log from which it was made."""
