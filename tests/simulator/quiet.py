"""Engines of simulated worlds without their logs: what they warn of is what is done to them."""

from __future__ import annotations

import logging

import structlog


def quiet() -> None:
    """Let the logs go nowhere."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
