"""Slack messages against the limits and the escaping that Slack documents."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from schemas.signals import TYPES
from services.notifier.api.endpoint_terms import NewEndpoint
from services.notifier.domain.slack import escaped, link_text, slack_body

EXAMPLES = Path(schemas.__file__).parent / "examples"
# A control character of Slack that is no escape: `<` and `>` only around links of ours, `&` only in the three escapes.
_BARE = re.compile(r"&(?!amp;|lt;|gt;)|<(?!https?://)")


def check(body: bytes) -> dict[str, Any]:
    """The message, held against Slack's documented limits (reference of blocks and of composition objects)."""
    message: dict[str, Any] = json.loads(body)
    assert message.keys() == {"text", "blocks"}
    assert 1 <= len(message["text"]) <= 40_000
    assert 1 <= len(message["blocks"]) <= 50
    for block in message["blocks"]:
        if block["type"] == "header":
            assert block["text"]["type"] == "plain_text"
            assert 1 <= units(block["text"]["text"]) <= 150
            assert "\n" not in block["text"]["text"]
            texts = [block["text"]]
        elif block["type"] == "section":
            assert block["text"]["type"] == "mrkdwn"
            assert 1 <= units(block["text"]["text"]) <= 3_000
            texts = [block["text"]]
        else:
            assert block["type"] == "context"
            assert 1 <= len(block["elements"]) <= 10
            texts = block["elements"]
        for text in texts:
            assert 1 <= units(text["text"]) <= 3_000
            assert not _BARE.search(text["text"]), text
    return message


def units(text: str) -> int:
    """Characters as JavaScript counts them."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def example(signal_type: str) -> dict[str, Any]:
    """The signal as it is sent."""
    return dict(json.loads((EXAMPLES / signal_type / "example.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("signal_type", TYPES)
def test_each_type_is_a_message_that_says_what_happened(signal_type: str) -> None:
    """The summary is there for the eye and for notifications, whatever the type carries beside it."""
    signal = example(signal_type)
    message = check(slack_body(signal))
    assert message["text"] == escaped(signal["summary"], 3_000)
    assert escaped(signal["summary"], 3_000) in json.dumps(message["blocks"], ensure_ascii=False)


def test_a_stalled_account_reads_well() -> None:
    """Who, what, what next, and where to look."""
    message = check(slack_body(example("account.stalled")))
    texts = [block["text"]["text"] for block in message["blocks"] if "text" in block]
    assert texts == [
        "Stalled: Acme",
        "Acme stalled: First output is 7 days overdue (due 13 Nov 2026) and nobody was active for 2 days.",
        "*Next:* First output is reached by report.generated, list.built or model.trained.",
        "<https://crm.vendor.example/accounts/acme|Open the account>",
    ]
    (details,) = message["blocks"][-1]["elements"]
    assert details["text"] == (
        "Plan: b2b-saas v3 · Milestone: First output · Segment: smb · Owner: dana@vendor.example · Likely: fit"
    )


def test_strangers_cannot_page_a_channel() -> None:
    """A name that looks like a mention or a link stays text."""
    signal = example("account.stalled")
    signal["account"]["name"] = "<!channel> & Sons"
    signal["summary"] = "<!channel> & Sons stalled; see <https://evil.example|here>"
    message = check(slack_body(signal))
    assert message["blocks"][0]["text"]["text"] == "Stalled: &lt;!channel&gt; &amp; Sons"
    assert "<!channel>" not in json.dumps(message)
    assert "<https://evil" not in json.dumps(message)


_WORDS = st.text(alphabet=st.characters(codec="utf-8"), max_size=4_000) | st.sampled_from(
    ["&" * 4_000, "<" * 4_000, "😀" * 4_000, "x" * 4_000, "a\nb"]
)


@given(summary=_WORDS, name=_WORDS, following=_WORDS, title=_WORDS, url=_WORDS)
def test_limits_hold_for_any_text(summary: str, name: str, following: str, title: str, url: str) -> None:
    """However long, and of whatever signs."""
    signal = example("account.stalled") | {"summary": summary or "-", "next": following}
    signal["account"] = {"id": "a", "name": name, "owner": name, "segment": title}
    signal["milestone"] = {"id": "m", "title": title}
    signal["links"] = {"account": f"https://crm.example/{url}"}
    check(slack_body(signal))


@given(st.text(), st.integers(1, 40))
def test_escaping_is_undone_by_slack(text: str, most: int) -> None:
    """What fits comes back whole; what does not is cut between signs, never within an escape."""
    sent = escaped(text, most)
    assert units(sent) <= most
    shown = sent.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert shown == text or (shown.endswith("…") and text.startswith(shown[:-1]))


@pytest.mark.parametrize("url", [None, "", "javascript:alert(1)", "https://x.example/\n", "https://" + "x" * 3_000])
def test_links_that_cannot_be_one_are_left_out(url: str | None) -> None:
    """Of another scheme, over two lines, too long."""
    assert link_text(url, "Open") is None


def test_a_link_ends_where_it_should() -> None:
    """A bar or an angle in a URL does not end it."""
    assert link_text("https://x.example/?a=1&b=2|3>4", "Open") == "<https://x.example/?a=1&amp;b=2%7C3&gt;4|Open>"


def test_a_slack_endpoint_gets_what_a_team_acts_on() -> None:
    """Five types unless others are chosen."""
    assert NewEndpoint(url="https://hooks.example.com/", format="slack").types == [
        "account.first_value_reached",
        "account.activated",
        "account.stalled",
        "account.escalated",
        "account.recovered",
    ]
    chosen = NewEndpoint(url="https://hooks.example.com/", format="slack", types=["account.*"])
    assert chosen.types == ["account.*"]
