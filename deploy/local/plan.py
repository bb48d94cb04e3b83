"""Publishes the built-in plan in a deployment which has none, so that a first `up` judges accounts at once."""

import http.client
import json
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.loopback_http import request

_PLAN = "b2b-saas"
_TEMPLATE = Path(__file__).resolve().parents[2] / "services/activation_engine/plan_templates" / f"{_PLAN}.yaml"
# The engine answers a publication when every partition has adopted it, after 10 s at most.
_TIMEOUT_SECONDS = 30.0


def publish_built_in_plan(engine_url: str, *, admin_key: str, template: Path = _TEMPLATE) -> bool:
    """Publishes the plan `b2b-saas` unless the engine has plans; True when it did so.

    Raises StackError with the engine's own words when it refuses.
    """
    if json.loads(_call("GET", f"{engine_url}/v1/plans", admin_key=admin_key))["data"]:
        return False
    _call("PUT", f"{engine_url}/v1/plans/{_PLAN}", admin_key=admin_key, body=template.read_bytes())
    return True


def _call(method: str, url: str, *, admin_key: str, body: bytes | None = None) -> bytes:
    headers = {"Authorization": f"Bearer {admin_key}", "Content-Type": "application/yaml"}
    try:
        status, answer = request(method, url, body=body, headers=headers, timeout_seconds=_TIMEOUT_SECONDS)
    except (OSError, http.client.HTTPException) as error:
        raise StackError(f"cannot publish the built-in plan: {error!r}; `--no-plan` starts without it") from error
    if status not in (200, 201):
        text = answer.decode(errors="replace")
        raise StackError(f"cannot publish the built-in plan: {method} {url} answered {status}: {text}")
    return answer
