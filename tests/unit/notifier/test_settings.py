"""A typing error in a security setting ends the start instead of opening or closing something."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.notifier.settings import NotifierSettings
from tests.running_notifier import SECRET_KEY


@pytest.mark.parametrize("setting", ["allowed_addresses", "private_networks", "secret_key", "secret_keys_old"])
@pytest.mark.parametrize("text", ["nonsense", "127.0.0.1/8,nonsense"])
def test_unusable_settings_are_refused(setting: str, text: str) -> None:
    """By name, and without what may have been a secret."""
    with pytest.raises(ValidationError) as refused:
        NotifierSettings(**{"secret_key": SECRET_KEY, setting: text})  # type: ignore[arg-type]
    assert setting in str(refused.value)
    assert "secret" not in setting or text not in str(refused.value)
