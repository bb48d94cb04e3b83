"""The `firstvalue` command: a client of the services like any other."""
