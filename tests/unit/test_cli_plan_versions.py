"""`firstvalue plan diff` where the versions say what sentences do not, and where one of them ended the plan."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from services.activation_engine.plans.loader import content_hash, load_plan
from services.activation_engine.plans.shape import read_shape
from services.activation_engine.plans.source import Source
from services.cli.commands import plan_versions
from services.cli.output import Refused

FIRST = "plan: mine\nmilestones: {v: {when: {event: Report Made}}}\nfirst_value: v\n"
FEATURES = FIRST + "core_features: {days: 2, of: [report.made]}\n"


class Published:
    """An engine that has these versions of one plan, the last of which may have ended it."""

    def __init__(self, *sources: str) -> None:
        self.sources = dict(enumerate(sources, 1))

    def ask(self, _method: str, path: str) -> dict[str, Any]:
        """As GET /v1/plans/mine, or a version of it."""
        if path.startswith("/v1/plans/mine/versions/"):
            source = self.sources.get(int(path.rpartition("/")[2]))
            if not source:
                raise Refused("There is none.", problem={"code": "plan_unknown", "request_id": "r"})
            return {"source": source, "content": _content(source)}
        heads: list[dict[str, Any]] = [
            {"version": one, **self._head(text)} for one, text in sorted(self.sources.items(), reverse=True)
        ]
        newest = next(one for one in heads if one["policy"] != "retired")
        source = self.sources[newest["version"]]
        return {"plan": "mine", **newest, "source": source, "content": _content(source), "versions": heads[:100]}

    def _head(self, text: str) -> dict[str, Any]:
        return {"policy": "silent", "hash": content_hash(_content(text))} if text else {"policy": "retired", "hash": ""}


def _content(text: str) -> dict[str, Any]:
    shape, _ = read_shape(Source(text, "plan.yaml"))
    assert shape is not None
    return shape.content()


def differing(*sources: str, words: tuple[str | None, ...] = ()) -> None:
    """Compare versions of these sources."""
    engine: Any = Published(*sources)
    plan_versions.diff("mine", *words, client=engine)


def test_what_sentences_do_not_tell_is_shown_by_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """The grace says nothing where nothing is due."""
    differing(FIRST, f"{FIRST}grace: 3d\n")
    assert capsys.readouterr().out.splitlines()[2:] == ["In the file", "+ grace: 3d"]


def test_what_sentences_do_not_tell_is_shown_beside_what_they_do(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever approves a new date sees that it is not all."""
    differing(FIRST.replace("{when", "{due: 3d, when"), FEATURES.replace("{when", "{due: 4d, when"))
    assert capsys.readouterr().out.splitlines()[2:] == [
        "Milestones",
        "- V, which is the first value: reached by Report Made; due 3 days after the start.",
        "+ V, which is the first value: reached by Report Made; due 4 days after the start.",
        "",
        "Adoption",
        "+ It is the share of these that came on 2 days: report.made.",
        "",
        "In the file",
        "- milestones: {v: {due: 3d, when: {event: Report Made}}}",
        "+ milestones: {v: {due: 4d, when: {event: Report Made}}}",
        "+ core_features: {days: 2, of: [report.made]}",
    ]


@pytest.mark.parametrize(
    "text",
    [
        FIRST.replace("{event: Report Made}", "LONG"),
        f"{FIRST}risks: {{r: {{after: b.c, unless: LONG, for: 1d}}}}\n",
        f"{FIRST}escalate: {{at: 30d, unless: LONG, to: owner}}\n",
    ],
)
def test_a_long_condition_is_said_to_its_end(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Its last value is one of those that people approve."""
    values = ", ".join(f"some-kind-{number}" for number in range(200))
    long = f"{{event: a.b, where: {{kind: {{in: [{values}, LAST]}}}}}}"
    differing(*(text.replace("LONG", long.replace("LAST", one)) for one in ("this", "that")))
    sentences, _, _ = capsys.readouterr().out.partition("In the file")
    assert "this" in sentences
    assert "that" in sentences


def test_versions_before_those_that_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """They are read by their numbers; their hashes are not known here."""
    sources = [FIRST, FEATURES] * 75
    differing(*sources, words=("50", "51"))
    asked = capsys.readouterr().out
    differing(*sources, words=(None, "51"))
    assert capsys.readouterr().out == asked
    with pytest.raises(Refused, match="zz is no version: no hash of the newest 100 begins so"):
        differing(*sources, words=("zz",))


def test_digits_that_are_too_many_for_a_number_begin_a_hash(capsys: pytest.CaptureFixture[str]) -> None:
    """A few of them are a number, or none: a slip by one is not the version whose hash happens to begin so."""
    titled = (f"{FIRST}title: {number}th\n" for number in count())
    hashed = next(one for one in titled if load_plan(one).hash[:4].isdecimal())
    digits = load_plan(hashed).hash
    differing(hashed, FIRST, words=(digits[:4],))
    assert capsys.readouterr().out.startswith("mine version 1 and mine version 2\n")
    with pytest.raises(Refused, match=f"mine has no version {digits[:3]} to be read"):
        differing(hashed, FIRST, words=(digits[:3],))


def test_the_end_of_a_plan_is_no_version_to_compare(capsys: pytest.CaptureFixture[str]) -> None:
    """What came before it is; comments are no difference."""
    differing(FIRST, "", f"# again\n{FIRST}", "")
    assert capsys.readouterr().out == "mine version 1 and mine version 3 say the same\n"
    with pytest.raises(Refused, match="mine version 1 has none before it"):
        differing(FIRST, "")


def test_a_version_that_would_be_refused_today_can_be_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """What is asked of new files is not asked of what was published."""
    differing(f"{FIRST}day: 10d\n", FIRST)
    assert "- day: 10d" in capsys.readouterr().out
