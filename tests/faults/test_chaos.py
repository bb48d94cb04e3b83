"""The whole pipeline under faults, with a fixed seed: what was acknowledged is applied, announced and delivered."""

from __future__ import annotations

from pathlib import Path

from deploy.local.data_folder import DataFolder
from tests.chaos.run import Terms, chaos_run

# One of each kind; `make chaos` has all of them, at random and for as long as wanted.
FAULTS = (
    "kill engine",
    "kill broker",
    "pause notifier2",
    "kill ingest",
    "pause engine2",
    "kill notifier",
    "restore database",
    "kill database",
    "restart database",
)


async def test_nothing_is_lost_doubled_or_invented(private: DataFolder, tmp_path: Path) -> None:
    """Two of each service, of which one is killed or paused, the broker killed, the database twice, and once restored
    from a backup; accounts are paused and erased meanwhile."""
    figures = await chaos_run(Terms(seed=7, faults=FAULTS, asked=0), private, tmp_path)
    assert figures["signals"] > 100
