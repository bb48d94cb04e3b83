"""The engine's OpenAPI document: every operation is explained, shown by an example that fits, and lists its errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from services.activation_engine.api import examples, new_engine_api
from services.activation_engine.plans.loader import load_plan
from services.runtime.key_ring import KeyRing
from services.runtime.postgres import connect
from tests.fakes.operations import operations_over


def document() -> dict[str, Any]:
    """The document, of an app whose database is never asked."""
    nowhere = connect("postgresql://nobody@127.0.0.1:1/nothing", service="test")
    keys = KeyRing(nowhere, admin_key="k", pepper="")
    operations = operations_over(nowhere)
    return new_engine_api(reads=nowhere, keys=keys, partitions=lambda: 1, operations=operations).openapi()


DOCUMENT = document()


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each operation by method and path."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


OPERATIONS = dict(operations())


def test_every_promised_operation_exists() -> None:
    """What outsiders rely on is there, and nothing undocumented beside it."""
    assert set(OPERATIONS) == {
        "GET /v1/accounts",
        "GET /v1/accounts/{account_id}",
        "GET /v1/accounts/{account_id}/explain",
        "GET /v1/accounts/{account_id}/timeline",
        "GET /v1/signals",
        "GET /v1/plans",
        "GET /v1/plans/{plan}",
        "GET /v1/plans/{plan}/versions/{version}",
        "DELETE /v1/plans/{plan}",
        "PUT /v1/plans/{plan}",
        "POST /v1/plans/{plan}/check",
        "GET /v1/partitions",
        "POST /v1/partitions/{part}/resume",
        "POST /v1/partitions/{part}/republish",
        "GET /v1/dead-letters",
        "POST /v1/dead-letters/{letter_id}/requeue",
        "POST /v1/audits",
        "GET /v1/jobs/{job_id}",
        "DELETE /v1/jobs/{job_id}",
        "GET /v1/catalog",
        "GET /v1/insights/status",
        "GET /v1/insights/funnel",
        "GET /v1/insights/ttfv",
        "GET /v1/insights/adoption",
        "GET /v1/insights/obstacles",
        "GET /v1/insights/surprises",
        "GET /v1/insights/owners",
    }


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_explained(name: str) -> None:
    """A summary, a description that names the scope, a key as security, a description of the answer."""
    operation = OPERATIONS[name]
    assert operation["summary"]
    assert "Scope `" in operation["description"]
    assert operation["security"] == [{"key": []}]
    assert all(response["description"] for response in operation["responses"].values())


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_example_fits_its_schema(name: str) -> None:
    """The example of each answer is valid, and holds every field of the schema."""
    (success,) = (response for status, response in OPERATIONS[name]["responses"].items() if status < "300")
    content = success["content"]["application/json"]
    schema = {**content["schema"], "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(content["example"])
    model = DOCUMENT["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    assert set(content["example"]) == set(model["properties"])


@pytest.mark.parametrize("name", OPERATIONS)
def test_errors_have_the_one_shape(name: str) -> None:
    """Each documented error is a problem with stable codes; the framework's own shape appears nowhere."""
    responses = OPERATIONS[name]["responses"]
    assert {"401", "403", "422", "503"} <= set(responses)
    for status, response in responses.items():
        if status < "300":
            continue
        content = response["content"]["application/json"]
        assert content["schema"]["$ref"].endswith("/ProblemDocument")
        for code, example in content["examples"].items():
            assert re.fullmatch("[a-z][a-z_]+", code)
            assert example["value"]["code"] == code
            assert example["value"]["message"]
    assert "HTTPValidationError" not in DOCUMENT["components"]["schemas"]


def test_the_example_plan_is_valid() -> None:
    """The plan that the documentation shows can be published."""
    assert load_plan(examples.PLAN_YAML).plan.id == "b2b-saas"
