"""The operator's verbs: dead letters, partitions that stopped, signals sent again, audits, and the jobs they run as."""
