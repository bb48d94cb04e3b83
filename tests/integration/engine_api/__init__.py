"""The engine's HTTP API on real PostgreSQL."""
