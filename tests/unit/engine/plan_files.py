"""Plan files at random: any valid combination of the language's parts, as plain data."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

MILESTONES = ("m1", "m2", "m3", "m4")
EVENTS = ("a.b", "c.d", "e.f", "g.*")
DURATIONS = st.sampled_from(["1h", "2d", "10d", "27d", "4w"])
TRAITS = st.sampled_from(["renewal_at", "owner_id", "tier"])
ROLES = st.lists(st.sampled_from(["champion", "executive", "it"]), min_size=1, max_size=3, unique=True)
WHERE = st.dictionaries(
    st.sampled_from(["x", "y.z"]),
    st.one_of(st.integers(-3, 3), st.sampled_from(["pro", None, True]), st.fixed_dictionaries({"gte": st.integers()})),
    min_size=1,
    max_size=2,
)
BOUNDS = st.one_of(st.integers(1, 16), st.fixed_dictionaries({"lt": st.integers(2, 16)}))
PERCENTAGES = st.integers(1, 100).map(lambda number: f"{number}%")


def _fixed(optional: dict[str, Any], **required: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


def conditions(earlier: tuple[str, ...], *, features: bool, least: int = 1) -> st.SearchStrategy[Any]:
    """Conditions over events and the milestones before, over `least` people and days or a few more."""
    several = st.integers(least, least + 3)
    events = st.sampled_from(EVENTS)
    leaves = [
        events,
        _fixed({"where": WHERE, "count": st.integers(1, 4)}, event=events),
        _fixed({"where": WHERE}, event=events, people=st.integers(1, 4)),
        _fixed({"where": WHERE}, event=events, days=st.integers(1, 4)),
        _fixed({}, people=several),
        _fixed({}, days=several),
    ]
    if earlier:
        leaves.append(st.sampled_from(earlier))
    if features:
        leaves.append(_fixed({}, adoption=PERCENTAGES))

    def combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        parts = st.lists(inner, min_size=1, max_size=3)
        threshold = parts.flatmap(lambda of: _fixed({}, n=st.integers(1, len(of)), of=st.just(of)))
        return st.one_of(_fixed({}, any=parts), _fixed({}, all=parts), _fixed({}, at_least=threshold))

    return st.recursive(st.one_of(leaves), combined, max_leaves=4)


@st.composite
def plan_files(draw: st.DrawFn) -> dict[str, Any]:
    """A valid plan file."""
    plan: dict[str, Any] = {"plan": "random", "first_value": "m1", "day": draw(st.sampled_from(["24h", "800ms"]))}
    features = draw(st.booleans())
    if features:
        listed = st.lists(st.sampled_from(EVENTS[:3]), min_size=1, max_size=3, unique=True)
        plan["core_features"] = {"days": draw(st.integers(1, 3)), "of": draw(listed)}
    plan["milestones"] = {
        name: draw(_milestone(MILESTONES[:number], features=features)) for number, name in enumerate(MILESTONES)
    }
    plan["milestones"]["m1"].pop("required", None)
    any_condition = conditions(MILESTONES, features=features)
    if draw(st.booleans()):
        plan["segments"] = {"small": {"pace": draw(st.sampled_from([0.5, 1, 2]))}, "else": "small"}
    if draw(st.booleans()):
        plan["escalate"] = draw(_fixed({"unless": any_condition, "to": ROLES}, at=DURATIONS))
    if draw(st.booleans()):
        plan["activity"] = {"exclude": ["billing.*"]}
    plan["events"] = draw(
        st.dictionaries(st.sampled_from(EVENTS[:3]), st.lists(st.text("AB ", min_size=1), min_size=1))
    )
    # More people than a watch may ask for, as `unless` must not be true by what opens it.
    unless = conditions(MILESTONES, features=features, least=17)
    plan["risks"] = draw(st.dictionaries(st.sampled_from(["r1", "r2"]), _watch(unless)))
    chances = st.tuples(_watch(unless), DURATIONS).map(lambda one: {**one[0], "open": one[1]})
    plan["opportunities"] = draw(st.dictionaries(st.sampled_from(["o1", "o2"]), chances))
    return plan


def _milestone(earlier: tuple[str, ...], *, features: bool) -> st.SearchStrategy[dict[str, Any]]:
    due = st.one_of(st.integers(1, 9).map(lambda week: f"week {week}"), DURATIONS)
    optional: dict[str, Any] = {"due": due, "required": st.booleans(), "when": conditions(earlier, features=features)}
    if earlier:
        optional["needs"] = st.lists(st.sampled_from(earlier), unique=True, max_size=2)
    return _fixed(optional)


def _watch(condition: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Each begins with one part that dates it; others are added to it that cannot contradict it."""
    others = {"title": st.just("Some title"), "for": DURATIONS, "unless": condition, "people": BOUNDS}
    loop = _fixed({"until": st.sampled_from(["x.y", "m4"])}, after=st.sampled_from(["u.v", "v.w"]))
    return st.one_of(
        _fixed({"title": others["title"], "unless": condition}, quiet=ROLES, **{"for": DURATIONS}),
        st.tuples(loop, _fixed(others)).map(lambda two: two[0] | two[1]),
        _fixed(others, roles=BOUNDS),
        _fixed(others, missing=TRAITS),
        _fixed({"people": BOUNDS}, before=TRAITS, within=DURATIONS),
        _fixed({"people": BOUNDS}, active_days=_fixed({}, down=PERCENTAGES)),
    )
