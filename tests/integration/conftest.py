"""What tests of this folder share."""

from tests.integration.ingest_process import service
from tests.notifier_tables import owed
from tests.running_notifier import surroundings
from tests.running_room import room

__all__ = ["owed", "room", "service", "surroundings"]
