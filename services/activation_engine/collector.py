"""How seldom Python looks for unreachable cycles here: what the engine holds in bulk, account states, has none.

They are structs that the collector is not told of (`gc=False`), and reference counts free them. What is left are
records under way and what the libraries make. With Python's defaults (700, 10, 10) the collector took a third of the
time of a batch that changes every account, and stopped the process for half a second at 100,000 accounts.
"""

from __future__ import annotations

import gc

# Objects made and not yet freed that start a look at the young ones: more than the records of several batches.
_YOUNG_MAX = 50_000
# How many of those before the middle generation is looked at, and of these before everything is.
_MIDDLE_EVERY, _ALL_EVERY = 5, 100


def calm_collector() -> None:
    """Call once, when everything is imported: what exists now stays for good and is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, _MIDDLE_EVERY, _ALL_EVERY)
