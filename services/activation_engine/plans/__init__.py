"""Plans as reviewed code: from YAML text to a checked plan that the domain can run."""
