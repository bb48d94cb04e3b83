"""The shape of a plan file: keys and values as the schema says, with its findings in the words of plan authors."""

from __future__ import annotations

from copy import deepcopy
from functools import reduce
from operator import getitem
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas import plan_conditions, plan_file, plan_watches
from schemas.plan_conditions import CONDITION_FORMS
from schemas.plan_file import PlanFile
from services.activation_engine.plans.errors import Path, PlanError, nearest
from services.activation_engine.plans.source import Source

_MODELS: dict[str, type[BaseModel]] = {
    **{f"<{form}>": model for form, model in CONDITION_FORMS.items()},
    "<event_test>": plan_conditions.EventTest,
    "<segment>": plan_file.SegmentPart,
    "<test>": plan_conditions.ValueTest,
    "<fewer>": plan_watches.FewerThan,
    "at_least": plan_conditions.Threshold,
    "active_days": plan_watches.FallPart,
    "stalled": plan_file.StalledPart,
    "activity": plan_file.ActivityPart,
    "core_features": plan_file.CoreFeaturesPart,
    "escalate": plan_file.EscalatePart,
}
# Of the entries under a key, whatever their names.
_ENTRIES: dict[str, type[BaseModel]] = {
    "milestones": plan_file.MilestonePart,
    "risks": plan_watches.RiskPart,
    "opportunities": plan_watches.OpportunityPart,
}
_TYPES = {
    "model_type": "a mapping of keys and values (for none, write {})",
    "dict_type": "a mapping of keys and values",
    "list_type": "a list",
    "string_type": "text (put it in quotes if it is)",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
}
_IDS = {
    "plan": "use lower-case letters, digits, `-` and `_`, at most 64",
    "milestones": "a milestone id is lower-case letters, digits and `_`, at most 64, and never has a dot",
    "needs": "a milestone id is lower-case letters, digits and `_`, and never has a dot",
    "risks": "the id of a risk is lower-case letters, digits and `_`, at most 64",
    "opportunities": "the id of an opportunity is lower-case letters, digits and `_`, at most 64",
    "first_value": "write the id of one of the milestones",
}


def read_shape(source: Source) -> tuple[PlanFile | None, list[PlanError]]:
    """The plan file as its models, and what is wrong with it. Where that is unknown keys alone, the models are those of
    the rest, whose rules can be checked; otherwise there are none."""
    if not isinstance(source.data, dict):
        return None, [source.error((), "wrong_type", "a plan file is a mapping", "start with `plan: <name>`")]
    shape, errors = _validated(source.data)
    found = list(dict.fromkeys(_finding(source, one) for one in errors))
    if errors and all(one["type"] == "extra_forbidden" for one in errors):
        rest = deepcopy(source.data)
        for path in {_path_of(one): None for one in errors}:
            *parents, key = path
            del reduce(getitem, parents, cast(Any, rest))[key]
        shape, _ = _validated(rest)
    return shape, found


def _validated(data: dict[str, Any]) -> tuple[PlanFile | None, list[ErrorDetails]]:
    try:
        return PlanFile.model_validate(data), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _path_of(error: ErrorDetails) -> Path:
    return tuple(step for step in error["loc"] if not _is_branch(step))


def _finding(source: Source, error: ErrorDetails) -> PlanError:
    location = error["loc"]
    path = _path_of(error)
    key = str(path[-1]) if path else ""
    match error["type"]:
        case "extra_forbidden":
            return _unknown_key(source, path, key, location)
        case "missing":
            return source.error(path, "missing_key", f"`{key}` is missing", _how_to_write(key))
        case "condition_form":
            return _unknown_condition(source, path, error["input"])
        case "value_error":
            message = f"{_shown(error['input'])} {error['msg'].removeprefix('Value error, ')}"
            return source.error(path, "wrong_value", message)
        case "string_pattern_mismatch":
            hint = next((_IDS[str(step)] for step in reversed(path) if step in _IDS), "")
            return source.error(path, "wrong_name", f"{_shown(error['input'])} is not a valid name", hint, at_key=True)
        case kind if kind in _TYPES:
            return source.error(
                path, "wrong_type", f"{_shown(error['input'])} is not {_TYPES[kind]}", _how_to_write(key)
            )
        case _:
            hint = error["msg"].removeprefix("Input ").removeprefix("Value ")
            return source.error(path, "wrong_value", f"{_shown(error['input'])} does not fit here", hint)


def _is_branch(step: str | int) -> bool:
    """Whether a step of pydantic's location names a branch of a union, which is no part of the file."""
    return isinstance(step, str) and (step == "[key]" or (step[:1] == "<" and step[-1:] == ">"))


def _unknown_key(source: Source, path: Path, key: str, location: tuple[int | str, ...]) -> PlanError:
    hint = nearest(key, _known_keys(location[:-1]))
    if path[0] == "risks" and len(path) == 3 and key in ("open", "healthy"):
        hint = "only opportunities have it; a risk closes by itself once its rule does not hold"
    return source.error(path, "unknown_key", f"unknown key `{key}`", hint, at_key=True)


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = PlanFile
    if location:
        parent = str(location[-2]) if len(location) == 2 else ""
        model = _ENTRIES.get(parent) or _MODELS.get(str(location[-1])) or plan_file.MilestonePart
    return [field.alias or name for name, field in model.model_fields.items()]


def _unknown_condition(source: Source, path: Path, value: Any) -> PlanError:
    keys = list(value) if isinstance(value, dict) else []
    hint = "write an event name, a milestone, {event: …}, {people: …}, {days: …}, {adoption: 40%}, {any: […]}, "
    hint += "{all: […]} or {at_least: {n: …, of: […]}}"
    for key in keys[:1]:
        close = nearest(key, CONDITION_FORMS)
        hint = f"{close.rstrip('?')}; {hint}" if close.startswith("did") else hint
    return source.error(path, "wrong_condition", f"{_shown(value)} is not a condition", hint)


def _how_to_write(key: str) -> str:
    return {
        "plan": "write `plan: <name>`",
        "milestones": "write at least one milestone below `milestones:`",
        "first_value": "write `first_value: <milestone>`, the one at which the customer first gets value",
        "days": "write `core_features: {days: 2, of: […]}`",
        "at": "write `escalate: {at: 45d}`",
        "down": "write `active_days: {down: 60%}`",
        "lt": "write a number, or `{lt: 2}` for fewer than two",
        "exclude": "write `activity: {exclude: [billing.*]}`",
        "n": "write `at_least: {n: 2, of: […]}`",
        "of": "write a list: `of: […]`",
    }.get(key, "")


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value)
    return f"`{text if len(text) <= 40 else text[:37] + '…'}`"
