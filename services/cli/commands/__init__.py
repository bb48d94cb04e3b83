"""The verbs of the `firstvalue` command, one module per noun."""
