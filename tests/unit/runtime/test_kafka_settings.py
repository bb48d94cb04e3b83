"""The clients' settings that the protocol stands on; each differs from the library's default."""

from __future__ import annotations

from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from services.runtime.kafka import new_consumer, new_producer


async def test_a_consumer_commits_nothing_skips_nothing_and_has_time_to_hand_over() -> None:
    """Positions are ours; a lost one starts at the earliest record; a rebalance may outlast a session."""
    consumer = new_consumer("127.0.0.1:9", client_id="test", group_id="g", session_timeout_seconds=6)
    assert consumer._enable_auto_commit is False
    assert consumer._auto_offset_reset == "earliest"
    assert consumer._partition_assignment_strategy == (StickyPartitionAssignor,)
    assert consumer._fetch_max_wait_ms == 50
    assert consumer._session_timeout_ms == 6_000
    assert consumer._rebalance_timeout_ms == 30_000
    assert consumer._check_crcs is False


async def test_a_producer_waits_for_every_replica_and_repeats_without_doubling() -> None:
    """An acknowledged record is on all in-sync replicas, once and in order."""
    producer = new_producer("127.0.0.1:9", client_id="test")
    assert producer._sender._acks == -1
    assert producer._txn_manager is not None
