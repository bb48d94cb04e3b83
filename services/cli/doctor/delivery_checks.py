"""Do signals arrive somewhere?"""

from __future__ import annotations

from collections.abc import Iterator

from services.cli.doctor.findings import Finding, fine, note, problem
from services.cli.doctor.look import Look


def endpoints_take_signals(look: Look) -> Iterator[Finding]:
    """Each endpoint, by what the notifier says of it."""
    endpoints = look.answers.get("endpoints")
    if endpoints is None:
        return
    if not endpoints:
        yield note("endpoints", "no endpoint: signals go nowhere", "add one with `firstvalue endpoint add URL`")
    for one in endpoints:
        name = f"endpoint {one['id']} ({one['url']})"
        if one["status"] == "disabled":
            why = f", {one['disabled_reason']}" if one.get("disabled_reason") else ""
            do = f"mend the receiver, then `firstvalue endpoint enable {one['id']}`"
            yield problem("endpoints", f"{name} is disabled{why}", do)
        elif one["status"] != "enabled":
            since = f" since {one['failing_since']}" if one.get("failing_since") else ""
            do = f"`firstvalue delivery list --endpoint {one['id']}` shows what it answers"
            yield problem("endpoints", f"{name} is {one['status']}{since}", do)
        else:
            yield fine("endpoints", f"{name} takes signals")
