"""The notifier's HTTP API."""

from services.notifier.api.app import new_notifier_api
from services.notifier.api.parts import NotifierApiParts

__all__ = ["NotifierApiParts", "new_notifier_api"]
