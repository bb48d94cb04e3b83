"""What tests of this folder share."""

from tests.running_stack import firstvalue, stack

__all__ = ["firstvalue", "stack"]
