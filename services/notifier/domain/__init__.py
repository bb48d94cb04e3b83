"""The notifier's decisions: signatures, retry schedule, outcome rules, address rules, filters. Pure functions."""
