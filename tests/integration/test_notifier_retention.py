"""What the notifier forgets of endpoints that were deleted, and of who was shown a secret."""

from __future__ import annotations

from services.notifier.secret_box import SecretBox
from services.notifier.store.endpoints import EndpointStore
from services.notifier.store.upkeep import UpkeepStore
from tests.notifier_tables import Owed
from tests.running_notifier import Servers, query, running
from tests.waiting import until

DELETED = "UPDATE notifier.endpoint SET enabled = false, deleted_at = now() - $2 * interval '1 day' WHERE id = $1"


async def endpoints(servers: Servers) -> set[str]:
    """All that have a row, deleted ones too."""
    return {row["id"] for row in await query(servers, "SELECT id FROM notifier.endpoint")}


async def test_a_deleted_endpoint_goes_after_everything_that_can_be_asked_for(owed: Owed) -> None:
    """Its deliveries and replays first, however long ago it was deleted; one that is in use stays."""
    upkeep = UpkeepStore(owed.engine)
    await owed.add(1, "exhausted")
    await owed.begin()
    await owed.add_endpoint("ep_used")
    for endpoint_id, days in (("ep_old", 31), ("ep_new", 29)):
        await owed.add_endpoint(endpoint_id)
        await query(owed.servers, DELETED, endpoint_id, days)
    await query(owed.servers, "INSERT INTO notifier.digest_window VALUES ('ep_old', 'account.stalled', now(), 1)")
    assert await EndpointStore(owed.engine, SecretBox(bytes(32))).delete(owed.endpoint_id)
    await query(owed.servers, DELETED, owed.endpoint_id, 99)
    assert [await upkeep.drop_endpoints(days_kept=30) for _ in range(2)] == [1, 0]
    assert await endpoints(owed.servers) == {owed.endpoint_id, "ep_new", "ep_used"}
    for table in ("delivery", "replay"):
        assert await upkeep.drop_endpoints(days_kept=30) == 0
        await query(owed.servers, f"TRUNCATE notifier.{table}")
    assert await upkeep.drop_endpoints(days_kept=30) == 1
    assert await endpoints(owed.servers) == {"ep_new", "ep_used"}
    (gates,) = await query(owed.servers, "SELECT count(*) AS n FROM notifier.endpoint_gate")
    assert gates["n"] == 2


async def test_a_notifier_forgets_what_is_past_its_days(surroundings: Servers) -> None:
    """From its start on: a deleted endpoint with its log of who saw its secret, later; what is younger stays."""
    async with running(surroundings) as notifier:
        old, young, used = [await notifier.add_endpoint("https://hooks.example.com/") for _ in range(3)]
        for endpoint in (old, young):
            await notifier.ask("DELETE", f"/v1/endpoints/{endpoint['id']}", status=204)
    await query(surroundings, DELETED, old["id"], 31)
    age = "UPDATE notifier.secret_access SET at = now() - $2 * interval '1 day' WHERE endpoint_id = $1"
    for endpoint, days in ((old, 364), (young, 366), (used, 366)):
        await query(surroundings, age, endpoint["id"], days)
    async with running(surroundings) as notifier:

        async def forgotten() -> bool:
            rows = await query(surroundings, "SELECT endpoint_id FROM notifier.secret_access")
            return {row["endpoint_id"] for row in rows} == {old["id"]}

        await until(forgotten, what="who saw a secret more than a year ago", timeout_seconds=20)
        shown = (await notifier.ask("GET", f"/v1/endpoints/{used['id']}/secret"))["shown"]
        assert [access["action"] for access in shown] == ["shown"]
    assert await endpoints(surroundings) & {old["id"], young["id"], used["id"]} == {young["id"], used["id"]}
