"""The engine's HTTP API: accounts, plans, signals, partitions."""

from services.activation_engine.api.app import new_engine_api

__all__ = ["new_engine_api"]
