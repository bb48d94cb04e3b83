"""What JSON must be before it enters the log."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.strict_json import DEPTH_MAX, InvalidJson, decode, is_suspicious

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (b'{"a":NaN}', "json_invalid"),
        (b'{"a":-Infinity}', "json_invalid"),
        (b'{"a":1e400}', "number_out_of_range"),
        (b'{"a":9223372036854775808}', "number_out_of_range"),
        (b'{"a":[-9223372036854775809]}', "number_out_of_range"),
        (b'{"a":' + b"9" * 5000 + b"}", "number_out_of_range"),
        (b'{"a":1,"a":2}', "key_duplicate"),
        (b'{"a":1,"a" :2}', "key_duplicate"),
        (b'{"a":1,"\\u0061":2}', "key_duplicate"),
        (b'{"a":1,"a":"\\u003a"}', "key_duplicate"),
        (b'{"x":{"a":":","a":"b:c"},"y":"::"}', "key_duplicate"),
        (b'{"a":"\\u0000"}', "nul_character"),
        (b'{"a\\u0000":1}', "nul_character"),
        (b'{"a":"\\\\\\u0000"}', "nul_character"),
        (b'{"a":"\\ud800","b":1234567}', "surrogate_invalid"),
        (b'{"a":"\\ud800"}', "surrogate_invalid"),
        (b'{"a":"\xff"}', "utf8_invalid"),
        (b'{"a":"\xed\xa0\x80"}', "utf8_invalid"),
        (b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), "depth_exceeded"),
        (b'{"a":["]]]",{}],"b":' + b'[{"c":' * 16 + b"{}" + b"}]" * 16 + b"}", "depth_exceeded"),
        (b"[" * 100_000 + b"]" * 100_000, "depth_exceeded"),
        (b'{"a":1}{"b":2}', "json_invalid"),
        (b"{'a':1}", "json_invalid"),
        (b"", "json_invalid"),
    ],
)
def test_hostile_documents_are_refused_by_name(document: bytes, code: str) -> None:
    """Each rule that stock parsers do not keep has a code of its own."""
    with pytest.raises(InvalidJson) as refusal:
        decode(document)
    assert refusal.value.code == code
    assert refusal.value.message.endswith(".")


@pytest.mark.parametrize("document", [b"", b" \n"])
def test_a_body_that_is_empty_is_called_empty(document: bytes) -> None:
    """Not cut off: what was forgotten is the body."""
    with pytest.raises(InvalidJson, match="nothing came") as refusal:
        decode(document)
    assert refusal.value.code == "json_invalid"


@pytest.mark.parametrize(
    "document",
    [
        b'{"a":9223372036854775807,"b":-9223372036854775808}',
        b'{"a":"\\\\u0000","b":"\\ud83d\\ude00","c":"{\\"x\\":1}"}',
        b"[" * DEPTH_MAX + b"]" * DEPTH_MAX,
        b"[" + b"[{}]," * 100 + b"0]",
        b'{"a":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}',
        b'{"id":"12345678901234567890123"}',
        b'{"a":{"k":1},"b":{"k":1}}',
    ],
)
def test_unusual_but_valid_documents_pass(document: bytes) -> None:
    """The rules look at structure, not at what a text happens to contain."""
    assert decode(document) == json.loads(document)


@given(_VALUES, st.booleans(), st.sampled_from([None, 2]))
def test_every_value_that_can_be_written_is_read(value: object, ascii_only: bool, indent: int | None) -> None:
    """What a careful client writes is never refused, and means the same here."""
    document = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert decode(document) == value


@given(_VALUES, _VALUES, _TEXT, _VALUES)
def test_a_repeated_key_is_found_anywhere(first: object, second: object, key: str, beside: object) -> None:
    """However deep and whatever surrounds it."""
    name = json.dumps(key)
    repeated = f"{{{name}:{json.dumps(first)},{name}:{json.dumps(second)}}}"
    document = f'[{{"x":{repeated}}},{json.dumps(beside)}]'.encode()
    with pytest.raises(InvalidJson):
        decode(document)


@given(st.binary(max_size=60), _VALUES, st.integers(0, 200))
def test_arbitrary_bytes_raise_nothing_else(noise: bytes, value: object, at: int) -> None:
    """Damaged documents are refused with InvalidJson or read; the verdict on a whole holds for its parts."""
    whole = json.dumps(value).encode()
    document = whole[:at] + noise + whole[at:]
    try:
        decode(document)
    except InvalidJson:
        return
    assert decode(document, suspicious=is_suspicious(b" " + document)) == decode(document)
