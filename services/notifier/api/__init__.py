"""The notifier's HTTP API."""

from services.notifier.api.app import NotifierApiParts, new_notifier_api

__all__ = ["NotifierApiParts", "new_notifier_api"]
