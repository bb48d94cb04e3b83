"""Requests made up from the OpenAPI documents: whatever is sent, no 5xx and no answer that is not documented."""

from __future__ import annotations

import os
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.guards.documents import SERVICES
from tests.running_system import ADMIN_KEY, RunningSystem

# For each operation, half of them as documented and half not. With the variable set, other ones in each run.
_EXAMPLES_GIVEN = os.environ.get("FIRSTVALUE_TEST_EXAMPLES")
EXAMPLES = int(_EXAMPLES_GIVEN or 12)

SETTINGS = hypothesis.settings(
    max_examples=max(1, EXAMPLES // 2),
    deadline=None,
    database=None,
    derandomize=_EXAMPLES_GIVEN is None,
    phases=[Phase.generate] if _EXAMPLES_GIVEN is None else [Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(0 if _EXAMPLES_GIVEN else 600)
@pytest.mark.parametrize("service", SERVICES)
def test_answers_are_those_of_the_document(system: RunningSystem, service: str) -> None:
    """With the admin's key, so that every request comes as far as it can."""
    url = system.services[service].url
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=schemathesis.Config(seed=1))
    found: dict[str, str] = {}
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result.err()
        operation = result.ok()
        for mode in GenerationMode:
            try:
                _try(operation, mode, url)
            except (AssertionError, ExceptionGroup) as error:
                found[f"{operation.label}, {mode.value}"] = _told(error)
    assert not found, "\n\n".join(f"{name}\n{text}" for name, text in found.items())


def _try(operation: schemathesis.APIOperation[Any, Any, Any, Any], mode: GenerationMode, url: str) -> None:
    @SETTINGS
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def answered_as_documented(case: schemathesis.Case[Any]) -> None:
        answer = case.call(base_url=url, headers={"authorization": f"Bearer {ADMIN_KEY}"}, timeout=30)
        assert answer.status_code < 500, f"{answer.status_code} {answer.text[:300]}"
        checks = [status_code_conformance, content_type_conformance, response_schema_conformance]
        case.validate_response(answer, checks=checks)
        if answer.status_code >= 400:
            assert {"code", "message", "request_id"} <= answer.json().keys(), answer.text

    try:
        answered_as_documented()
    except hypothesis.errors.Unsatisfiable:
        # An operation without parameters and body cannot be asked wrongly.
        assert mode is GenerationMode.NEGATIVE


def _told(error: BaseException) -> str:
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else [error]
    return "\n".join(str(one)[:1500] for one in inner)
