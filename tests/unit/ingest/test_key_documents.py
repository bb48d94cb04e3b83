"""Keys over HTTP: what was stored under earlier rules can be listed and changed, and is not stored anew by them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from services.ingest.key_documents import KeyChange, KeyDocument, changed, shown
from services.ingest.key_store import KeyRow
from services.ingest.redaction import Redaction
from services.ingest.sources import Quota, SourceRules, decode_rules, encode_rules

# Taken by the first releases, and refused since: it finds nothing.
OLD = Redaction(drop=("$.context.ip",), hash=("properties.rows[0].card",))


def row(redaction: Redaction) -> KeyRow:
    """A key that is kept with this redaction, a quota and an origin."""
    source = encode_rules(SourceRules(quota=Quota(events_per_second=5.0), redaction=redaction)).decode()
    at = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    return KeyRow("k1", "pages", ["events:write"], at, None, None, ["https://a.example"], source)


def test_a_key_from_before_a_rule_is_listed_and_changed() -> None:
    """Else one such key would make the whole list unreadable, and could not even get a quota."""
    document = KeyDocument(**shown(row(OLD))).model_dump(mode="json")
    assert document["redaction"] == {"drop": list(OLD.drop), "hash": list(OLD.hash)}
    origins, source = changed(row(OLD), KeyChange.model_validate({"quota": {"events_per_second": 7}}))
    assert (origins, decode_rules(source)) == (
        ["https://a.example"],
        SourceRules(Quota(events_per_second=7.0), redaction=OLD),
    )
    with pytest.raises(ValidationError):
        KeyChange.model_validate({"redaction": {"drop": list(OLD.drop)}})


def test_null_takes_back_and_what_is_left_out_stays() -> None:
    """For each part of a key by itself."""
    given = row(Redaction(drop=("context.ip",)))
    origins, source = changed(given, KeyChange.model_validate({"quota": None, "origins": None}))
    assert (origins, decode_rules(source)) == ([], SourceRules(redaction=Redaction(drop=("context.ip",))))
    assert changed(given, KeyChange.model_validate({"quota": None, "redaction": None})) == (["https://a.example"], None)
    assert changed(given, KeyChange()) == (["https://a.example"], given.source)
