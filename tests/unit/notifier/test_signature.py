"""Signatures against the published verifier, secrets as text and at rest."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.notifier.domain.signature import (
    Scheme,
    SecretRefused,
    SigningKey,
    parse_secret,
    secret_text,
    signature_header,
)
from services.notifier.secret_box import SecretBox, SecretUnreadable, parse_key

KEY = SigningKey(Scheme.HMAC_SHA256, bytes(range(32)))
OTHER = SigningKey(Scheme.HMAC_SHA256, bytes(32))


def headers(keys: list[SigningKey], body: bytes) -> dict[str, str]:
    """What a receiver gets now."""
    now = int(datetime.now(UTC).timestamp())
    signature = signature_header(keys, message_id="msg_1", timestamp_seconds=now, body=body)
    return {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signature}


@given(st.text())
def test_published_verifier_accepts(text: str) -> None:
    """Any UTF-8 body verifies; with two keys each of their holders can."""
    body = text.encode("utf-8", "replace")
    for key in (KEY, OTHER):
        Webhook(secret_text(key)).verify(body, headers([KEY, OTHER], body), json_parse=False)


def test_wrong_key_and_altered_body_are_noticed() -> None:
    """The judge can say no."""
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_text(OTHER)).verify(b"{}", headers([KEY], b"{}"))
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_text(KEY)).verify(b"{} ", headers([KEY], b"{}"))


def test_header_has_single_spaces_and_six_signatures_at_most() -> None:
    """Exactly one space between and one comma within signatures."""
    parts = headers([KEY] * 8, b"x")["webhook-signature"].split(" ")
    assert len(parts) == 6
    assert all(part.count(",") == 1 and part.startswith("v1,") for part in parts)


@given(st.binary(min_size=24, max_size=64))
def test_secrets_survive_their_text(material: bytes) -> None:
    """whsec_ text and back."""
    key = SigningKey(Scheme.HMAC_SHA256, material)
    assert parse_secret(secret_text(key)) == key


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_abc", "whsec_" + base64.b64encode(bytes(23)).decode(), "whsec_!!!!", "MDEy" * 10]
)
def test_unusable_secrets_are_refused(text: str) -> None:
    """Too short, not base64, or without the prefix."""
    with pytest.raises(SecretRefused, match="24-64 bytes"):
        parse_secret(text)


def test_sealed_secret_opens_only_for_its_endpoint_and_key() -> None:
    """The endpoint's id is bound to the ciphertext, and the key is named."""
    box = SecretBox(bytes(32))
    sealed = box.seal(b"secret", bound_to="ep_1")
    assert b"secret" not in sealed.ciphertext
    assert box.open(sealed, bound_to="ep_1") == b"secret"
    with pytest.raises(SecretUnreadable, match="another endpoint"):
        box.open(sealed, bound_to="ep_2")
    with pytest.raises(SecretUnreadable, match="needs key"):
        SecretBox(bytes(range(32))).open(sealed, bound_to="ep_1")


@pytest.mark.parametrize("text", ["", "short", base64.b64encode(bytes(16)).decode()])
def test_bad_encryption_key_is_refused(text: str) -> None:
    """The message says how to make one."""
    with pytest.raises(ValueError, match="openssl rand"):
        parse_key(text)
