"""Settings that are wrong are named, and what they hold is not shown."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.runtime.settings import SharedSettings, settings_advice


def test_a_refusal_names_settings_and_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in our line nor in the error itself, which ends in the log when nobody catches it."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("FIRSTVALUE_ADMIN_KEY", "planted-secret")
    with pytest.raises(ValidationError) as refused:
        SharedSettings()
    assert "DATABASE_URL" in settings_advice(refused.value)
    assert "planted-secret" not in settings_advice(refused.value) + str(refused.value)
