"""Documents taken apart by their brackets: right for every valid one, and never slow for a hostile one."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.dialects import segment
from services.ingest.dialects.splitting import elements, members
from services.ingest.events import BodyInvalid

BODY_BYTES = 5_000_000
# What the worst of these bodies takes is 0.15 s on a slow core; it was minutes with patterns that look back.
SECONDS_MAX = 2.0
VALUES = st.recursive(
    st.none() | st.integers() | st.text('a"\\[]{},:'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a"\\[]{},:', max_size=4), inner, max_size=4),
    max_leaves=25,
)


@given(st.lists(VALUES), st.sampled_from([None, 2]))
def test_the_elements_of_an_array_are_its_elements(values: list[Any], indent: int | None) -> None:
    """Whatever brackets, commas and quotes their texts contain."""
    assert [json.loads(part) for part in elements(json.dumps(values, indent=indent).encode())] == values


@given(st.dictionaries(st.text('a"\\[]{},:', max_size=4), VALUES), st.sampled_from([None, 2]))
def test_the_members_of_an_object_are_its_members(fields: dict[str, Any], indent: int | None) -> None:
    """Keys as they are escaped."""
    found = {
        json.loads(b'"%b"' % key): json.loads(value)
        for key, value in members(json.dumps(fields, indent=indent).encode())
    }
    assert found == fields


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"{}", "does not start"),
        (b"[1,[2]", "end is missing"),
        (b'[1,"]', "end is missing"),
        (b'["\\', "end is missing"),
        (b"[1]]", "follows its end"),
    ],
)
def test_brackets_that_do_not_match_are_refused(document: bytes, reason: str) -> None:
    """With what is wrong."""
    with pytest.raises(BodyInvalid, match=reason):
        list(elements(document))


@pytest.mark.parametrize(
    ("start", "repeated"),
    [
        (b'{"batch":[', b'\\"'),
        (b'{"batch":[[', b"[],"),
        (b'{"batch":[[[', b"[[]],"),
        (b'{"batch":[', b"["),
        (b'{"batch":[', b'{"a":'),
        (b'{"batch":[', b","),
        (b"{", b'"a":1,'),
        (b'{"', b"\\n"),
        (b'{"batch":["', b'\\"'),
    ],
)
def test_no_body_takes_long(start: bytes, repeated: bytes) -> None:
    """While one is taken apart nobody else is served, and whose it is may stand in it, so anybody can send it."""
    body = start + repeated * (BODY_BYTES // len(repeated))
    began = time.perf_counter()
    with pytest.raises(BodyInvalid):
        segment.split_batch(body, events_max=1000, body_bytes_max=5_242_880)
    assert time.perf_counter() - began < SECONDS_MAX
