"""Real payloads of published SDKs, damaged in every way: never anything but events, rejections or a refusal."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.events import BodyInvalid, IncomingEvent
from services.ingest.routes import ROUTE_BY_PATH
from services.runtime import strict_json
from tests.unit.ingest.reading import account_of, read_all

# Captured from the runs of tests/clients, inflated, with the key blanked.
PAYLOADS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "payloads").glob("*.json"))
}
SPLINTERS = [
    *(b"\0", b"\\u0000", b"\\ud800", b"\xff", b"\xc3", b"1e999", b"-", b"NaN", b"9" * 25, b"{", b"}", b"[", b"]", b'"'),
    *(b",", b":", b"\\", b'"batch":', b'"a":1,"a":2,', b"null", b"true", b"[" * 60, b"{" * 60),
]
ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["null", "x" * 300, "\0", [], {}, [[]], {"a": {"b": []}}, [1, None]]),
)


def read(payload: dict[str, Any], body: bytes) -> list[Any]:
    """What ingest makes of a body on the path and with the headers of a captured one."""
    route = ROUTE_BY_PATH[payload["path"]]
    try:
        results = read_all(route.form, body, type_=route.type, headers=payload["headers"])
    except BodyInvalid:
        return []
    for result in results:
        if isinstance(result, IncomingEvent):
            assert isinstance(strict_json.decode(bytes(result.body)), dict)
    return results


def test_there_is_a_payload_of_every_dialect() -> None:
    """A check of nothing would pass."""
    paths = {payload["path"].rstrip("/") for payload in PAYLOADS.values()}
    assert {"/v1/batch", "/v1/t", "/batch", "/v1/events", "/v1/commands"} <= paths


@pytest.mark.parametrize("name", PAYLOADS)
def test_undamaged_payloads_are_events_of_their_account(name: str) -> None:
    """Every event of them."""
    payload = PAYLOADS[name]
    results = read(payload, payload["body"].encode())
    assert results
    for result in results:
        assert isinstance(result, IncomingEvent), result
        assert result.type == "alias" or account_of(result) == "acme" or result.event is None


@pytest.mark.parametrize("name", PAYLOADS)
@given(data=st.data())
def test_damaged_bytes_raise_nothing_else(name: str, data: st.DataObject) -> None:
    """Bytes changed, cut, put in and doubled anywhere."""
    body = bytearray(PAYLOADS[name]["body"].encode())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(body)))
        match data.draw(st.sampled_from(["set", "cut", "insert", "double"])):
            case "set":
                body[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
            case "cut":
                del body[at : at + data.draw(st.integers(1, 60))]
            case "insert":
                body[at:at] = data.draw(st.sampled_from(SPLINTERS))
            case "double":
                body[at:at] = body[at : at + 40]
    read(PAYLOADS[name], bytes(body))


@pytest.mark.parametrize("name", PAYLOADS)
@given(data=st.data())
def test_odd_values_raise_nothing_else(name: str, data: st.DataObject) -> None:
    """Well-formed JSON in which any value is another one, or missing."""
    value = [json.loads(line) for line in PAYLOADS[name]["body"].splitlines()]
    for _ in range(data.draw(st.integers(1, 3))):
        if not (everywhere := places(value)):
            break
        place, key = data.draw(st.sampled_from(everywhere))
        if data.draw(st.booleans()):
            place[key] = deepcopy(data.draw(ODD_VALUES))
        else:
            del place[key]
    read(PAYLOADS[name], "\n".join(json.dumps(line) for line in value).encode())


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a value."""
    keys = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in keys for place in ((value, key), *places(inner))]
