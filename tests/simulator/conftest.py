"""Quiet worlds."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import structlog

from tests.simulator.quiet import quiet


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    configured = structlog.get_config()
    if "FIRSTVALUE_SIMULATOR_SEED" not in os.environ:
        quiet()
    yield
    structlog.configure(**configured)
