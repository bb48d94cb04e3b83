"""An example of every command, shown at the end of its help; help lists commands in their order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

# What a newcomer needs first comes first.
EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "demo": ("firstvalue demo",),
    "up": ("firstvalue up", "firstvalue up --detach --no-plan", "firstvalue up --observability"),
    "status": ("firstvalue status", 'eval "$(firstvalue status --env)"'),
    "doctor": ("firstvalue doctor", "firstvalue doctor --write-key fv_example"),
    "down": ("firstvalue down", "firstvalue down --wipe"),
    "event send": (
        "firstvalue event send 'Report Generated' --account acme --user kim --property rows=120",
        "firstvalue event send --file events.ndjson",
    ),
    "event tail": (
        "firstvalue event tail --account acme",
        "firstvalue event tail --status unresolved --status dead --json",
    ),
    "event names": ("firstvalue event names", "firstvalue event names --query report"),
    "account list": ("firstvalue account list --status stalled --segment smb",),
    "account show": ("firstvalue account show acme",),
    "account explain": ("firstvalue account explain acme",),
    "account timeline": ("firstvalue account timeline acme",),
    "account import": (
        "firstvalue account import customers.csv --check",
        "firstvalue account import customers.csv --map 'Customer No=account_id' --type zip=text",
    ),
    "account set": ("firstvalue account set acme segment=smb contract_start=2026-11-01 reached.first_data=2026-11-09",),
    "account note": ("firstvalue account note acme conversation.held --text 'Quarterly review'",),
    "account pause": ("firstvalue account pause acme --reason 'Budget freeze' --side customer --until 14d",),
    "account resume": ("firstvalue account resume acme",),
    "account snooze": ("firstvalue account snooze acme stalled --until 14d",),
    "account mark": ("firstvalue account mark acme system_live --at 2026-11-09",),
    "account waive": ("firstvalue account waive acme team_trained",),
    "account diagnose": ("firstvalue account diagnose acme execution --action help",),
    "account move": ("firstvalue account move acme smb", "firstvalue account move acme --back"),
    "account close": ("firstvalue account close acme --reason 'Contract ended'",),
    "account reopen": ("firstvalue account reopen acme",),
    "account erase": ("firstvalue account erase acme",),
    "account erase-person": ("firstvalue account erase-person acme kim",),
    "plan new": ("firstvalue plan new --list", "firstvalue plan new --template smb plan.yaml"),
    "plan check": ("firstvalue plan check plan.yaml", "firstvalue plan check plan.yaml --offline"),
    "plan test": ("firstvalue plan test plan.yaml plan.example.yaml --write",),
    "plan publish": ("firstvalue plan publish plan.yaml",),
    "plan list": ("firstvalue plan list", "firstvalue plan list b2b-saas"),
    "plan show": ("firstvalue plan show plan.yaml", "firstvalue plan show b2b-saas --version 1"),
    "plan diff": ("firstvalue plan diff plan.yaml", "firstvalue plan diff b2b-saas 1 2"),
    "plan retire": ("firstvalue plan retire b2b-saas",),
    "signal tail": ("firstvalue signal tail --from-start --no-follow --json",),
    "signal types": ("firstvalue signal types",),
    "insight status": ("firstvalue insight status --by owner",),
    "insight funnel": ("firstvalue insight funnel --plan b2b-saas --segment smb",),
    "insight ttfv": ("firstvalue insight ttfv --by segment",),
    "insight obstacles": ("firstvalue insight obstacles --plan b2b-saas",),
    "insight adoption": ("firstvalue insight adoption",),
    "insight owners": ("firstvalue insight owners",),
    "insight surprises": ("firstvalue insight surprises",),
    "endpoint add": ("firstvalue endpoint add https://hooks.example.com/firstvalue --type account.stalled",),
    "endpoint ping": ("firstvalue endpoint ping ep_k7f3a2qwmz4tchj5pv8n",),
    "endpoint send-example": ("firstvalue endpoint send-example ep_k7f3a2qwmz4tchj5pv8n account.stalled",),
    "endpoint list": ("firstvalue endpoint list",),
    "endpoint show": ("firstvalue endpoint show ep_k7f3a2qwmz4tchj5pv8n",),
    "endpoint patch": ("firstvalue endpoint patch ep_k7f3a2qwmz4tchj5pv8n --type account.stalled",),
    "endpoint disable": ("firstvalue endpoint disable ep_k7f3a2qwmz4tchj5pv8n",),
    "endpoint enable": ("firstvalue endpoint enable ep_k7f3a2qwmz4tchj5pv8n",),
    "endpoint replay": ("firstvalue endpoint replay ep_k7f3a2qwmz4tchj5pv8n --since 2026-11-20 --dry-run",),
    "endpoint cancel-replay": ("firstvalue endpoint cancel-replay rpl_17",),
    "endpoint secret": ("firstvalue endpoint secret ep_k7f3a2qwmz4tchj5pv8n",),
    "endpoint rotate": ("firstvalue endpoint rotate ep_k7f3a2qwmz4tchj5pv8n",),
    "endpoint delete": ("firstvalue endpoint delete ep_k7f3a2qwmz4tchj5pv8n",),
    "delivery list": ("firstvalue delivery list --status exhausted",),
    "delivery show": ("firstvalue delivery show dlv_1042",),
    "delivery retry": ("firstvalue delivery retry dlv_1042",),
    "key create": ("firstvalue key create product --scope events:write",),
    "key list": ("firstvalue key list",),
    "key patch": ("firstvalue key patch k7f3a2qwmz4tc --events-per-second 500",),
    "key revoke": ("firstvalue key revoke k7f3a2qwmz4tc",),
    "ops partitions": ("firstvalue ops partitions",),
    "ops dead-letters": ("firstvalue ops dead-letters --json",),
    "ops requeue": ("firstvalue ops requeue 7",),
    "ops resume": ("firstvalue ops resume 2 --from earliest",),
    "ops republish": ("firstvalue ops republish 2 --from 100 --to 250",),
    "ops audit": ("firstvalue ops audit",),
    "serve": ("firstvalue serve ingest",),
    "migrate": ("firstvalue migrate",),
    "topics": ("firstvalue topics --bootstrap-servers kafka:9092 --partitions 12 --replication 3",),
    "reencrypt": ("firstvalue reencrypt",),
}


def in_order(names: Iterable[str], noun: str = "") -> list[str]:
    """The verbs of a noun, or nouns and verbs without one, in the order of EXAMPLES."""
    begun = f"{noun} ".lstrip()
    firsts = dict.fromkeys(path.removeprefix(begun).split()[0] for path in EXAMPLES if path.startswith(begun))
    return sorted(names, key=[*firsts].index)


def example_text(verb: str) -> str:
    """The examples of a verb, as they stand below its help."""
    lines = EXAMPLES[verb]
    # A blank line keeps lines apart in the help.
    return "\n\n".join([f"Example{'s' if len(lines) > 1 else ''}:", *(f"  {line}" for line in lines)])
