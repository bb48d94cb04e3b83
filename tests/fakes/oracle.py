"""The oracle of the tests: the domain's plain fold, under the name that tests know."""

from services.activation_engine.domain.plain_fold import Oracle, Record, Tick, expected_ids, fold_partition

__all__ = ["Oracle", "Record", "Tick", "expected_ids", "fold_partition"]
