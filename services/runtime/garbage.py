"""How seldom Python looks for unreachable cycles in services that keep much alive and make few cycles.

What the engine holds in bulk, account states, are structs that the collector is not told of (`gc=False`); records and
deliveries under way are freed by their reference counts. With Python's defaults (700, 10, 10) the collector took a
third of the engine's time for a batch that changes every account, and stopped it for half a second at 100,000 accounts;
of the notifier's time for a delivery it took a fifth. In ingest it went over the events of a batch several times.
"""

from __future__ import annotations

import gc

# Objects made and not yet freed that start a look at the young ones: more than several batches hold.
_YOUNG_MAX = 50_000
# How many of those before the middle generation is looked at, and of these before everything is.
_MIDDLE_EVERY, _ALL_EVERY = 5, 100


def calm_garbage_collector() -> None:
    """Call once, when everything is imported: what exists now stays for good and is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, _MIDDLE_EVERY, _ALL_EVERY)
