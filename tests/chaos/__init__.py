"""Chaos runs: the real services under load and faults, and an oracle that compares what is left with what was sent."""
