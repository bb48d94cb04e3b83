"""The directory: what is known about the people who send events. The resolver owns it, the hot path reads it."""
