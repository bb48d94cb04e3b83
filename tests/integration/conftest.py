"""What tests of this folder share."""

from tests.running_room import room

__all__ = ["room"]
