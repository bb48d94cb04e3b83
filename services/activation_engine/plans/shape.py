"""The shape of a plan file: keys and values as the schema says, with its findings in the words of plan authors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas import plan_file
from schemas.plan_file import PlanFile
from services.activation_engine.plans.errors import Path, PlanError, PlanErrors, nearest
from services.activation_engine.plans.source import Source

_MODELS: dict[str, type[BaseModel]] = {
    "<event>": plan_file.EventCondition,
    "<any>": plan_file.AnyCondition,
    "<all>": plan_file.AllCondition,
    "<at_least>": plan_file.AtLeastCondition,
    "<segment>": plan_file.SegmentPart,
    "<test>": plan_file.ValueTest,
    "at_least": plan_file.Threshold,
    "stalled": plan_file.StalledPart,
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
    "first_value": "write the id of one of the milestones",
}


def read_shape(source: Source) -> PlanFile:
    """The plan file as its models. Raises PlanErrors with every finding."""
    if not isinstance(source.data, dict):
        error = source.error((), "wrong_type", "a plan file is a mapping", "start with `plan: <name>`")
        raise PlanErrors([error])
    try:
        return PlanFile.model_validate(source.data)
    except ValidationError as error:
        raise PlanErrors({_finding(source, one): None for one in error.errors(include_url=False)}) from None


def _finding(source: Source, error: ErrorDetails) -> PlanError:
    location = error["loc"]
    path: Path = tuple(step for step in location if not _is_branch(step))
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
    if key in plan_file.UNSUPPORTED_KEYS and len(path) == 1:
        message = f"`{key}` is not supported by this version"
        return source.error(path, "not_supported", message, "remove it", at_key=True)
    known = _known_keys(location[:-1])
    return source.error(path, "unknown_key", f"unknown key `{key}`", nearest(key, known), at_key=True)


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = PlanFile
    if location:
        inner = _MODELS.get(str(location[-1]))
        model = inner or plan_file.MilestonePart
    return [field.alias or name for name, field in model.model_fields.items()]


def _unknown_condition(source: Source, path: Path, value: Any) -> PlanError:
    keys = list(value) if isinstance(value, dict) else []
    for key in keys:
        if key in plan_file.UNSUPPORTED_CONDITIONS:
            message = f"`{key}` conditions are not supported by this version"
            return source.error((*path, key), "not_supported", message, "remove it", at_key=True)
    hint = "write an event name, a milestone, {event: …}, {any: […]}, {all: […]} or {at_least: {n: …, of: […]}}"
    for key in keys[:1]:
        hint = f"{nearest(key, ('event', 'any', 'all', 'at_least')).rstrip('?')}; {hint}"
    return source.error(path, "wrong_condition", f"{_shown(value)} is not a condition", hint)


def _how_to_write(key: str) -> str:
    return {
        "plan": "write `plan: <name>`",
        "milestones": "write at least one milestone below `milestones:`",
        "first_value": "write `first_value: <milestone>`, the one at which the customer first gets value",
        "n": "write `at_least: {n: 2, of: […]}`",
        "of": "write `at_least: {n: 2, of: […]}`",
    }.get(key, "")


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value)
    return f"`{text if len(text) <= 40 else text[:37] + '…'}`"
