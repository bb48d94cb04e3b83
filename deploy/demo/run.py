"""Plays the demo on a stack that runs: plan, subscribers, product, outage, proof."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from rich.console import Console

from deploy.demo.outage import EngineOutage
from deploy.demo.plan import PLAN_ID, plan_text
from deploy.demo.product import Product
from deploy.demo.proof import Observed, Proof, owed_deliveries, prove
from deploy.demo.receivers import Arrival, Receiver
from deploy.demo.results import print_results
from deploy.demo.scenario import ACCOUNTS, DAY_SECONDS, LAST_DAY
from deploy.demo.services_client import ServicesClient
from deploy.demo.story import Story
from deploy.demo.story_calendar import Calendar
from deploy.demo.topic_fold import TopicFold
from deploy.demo.topic_reader import TopicReader
from deploy.local.data_folder import DataFolder
from schemas.topics import PRODUCT_EVENTS
from services.activation_engine.domain.plan_set import LivePlan, PlanSet
from services.activation_engine.plans.loader import load_plan
from services.runtime.http_server import HttpServer

_SETTLE_TIMEOUT_SECONDS = 20.0


async def play(connection: Mapping[str, Any], data: DataFolder, console: Console) -> Proof:
    """Plays the story to its end and prints it with its results; raises DemoRefused when a service refuses."""
    async with AsyncExitStack() as exits:
        services = await exits.enter_async_context(ServicesClient(connection))
        text = plan_text(day=f"{DAY_SECONDS * 1000:.0f}ms")
        version = await services.publish(PLAN_ID, text)
        # The first three signals are of three accounts, so that each of these failures hits another delivery.
        desk = Receiver("success-desk", ("account.*",), failures=3)
        billing = Receiver("billing", ("account.first_value_reached", "account.stalled"))
        for receiver in (desk, billing):
            url = await exits.enter_async_context(listening(receiver))
            receiver.secret = await services.subscribe(url, receiver.types)
        ingest_url, write_key = connection["ingest"]["url"], await services.new_write_key()
        product = Product(ingest_url=ingest_url, write_key=write_key, services=services)
        exits.push_async_callback(product.close)
        outage = EngineOutage(data)
        story = await _tell(product, outage, (desk, billing), console)
        fold = TopicFold(PlanSet.of([LivePlan(load_plan(text).plan, version, live_from_ms=0)]))
        proof = prove(await _observe(connection["kafka"], fold, product, outage, (desk, billing)))
        story.finish()
        print_results(console, await services.accounts(), proof)
        return proof


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[str]:
    """Serves a receiver on a free port of this machine; gives its URL."""
    server = HttpServer(receiver, host="127.0.0.1", port=0, drain_seconds=1)
    serving = asyncio.create_task(server.serve())
    try:
        yield f"http://127.0.0.1:{server.port}/{receiver.name}"
    finally:
        await server.stop()
        await serving


async def _tell(product: Product, outage: EngineOutage, receivers: Sequence[Receiver], console: Console) -> Story:
    """The story, from the first contract until all that was sent is in the topic."""
    calendar = Calendar.starting_now()
    story = Story(console, calendar, {receiver.name: receiver.types for receiver in receivers})

    def heard(arrival: Arrival) -> None:
        outage.arrived(arrival, story)
        story.arrived(arrival)

    for receiver in receivers:
        receiver.on_arrival = heard
    story.say(f"{len(ACCOUNTS)} customers are about to sign; a day of the plan lasts {DAY_SECONDS:g} s")
    await asyncio.gather(
        product.play(calendar, on_act=story.acted), outage.strike(calendar, story), calendar.until(LAST_DAY)
    )
    await product.close()
    return story


async def _observe(
    kafka: str, fold: TopicFold, product: Product, outage: EngineOutage, receivers: Sequence[Receiver]
) -> Observed:
    """Folds the topic until everything it owes was delivered, or the time is over; then once more, as ticks go on."""
    subscriptions = {receiver.name: receiver.types for receiver in receivers}
    deadline = time.monotonic() + _SETTLE_TIMEOUT_SECONDS
    async with TopicReader(kafka, PRODUCT_EVENTS) as reader:
        while True:
            fold.read(await reader.read_to_end())
            owed = dict(fold.owed)
            arrivals = [arrival for receiver in receivers for arrival in receiver.arrivals]
            delivered = {(arrival.receiver, arrival.webhook_id) for arrival in arrivals if arrival.is_delivery}
            if owed_deliveries(owed, subscriptions) <= delivered or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.1)
        fold.read(await reader.read_to_end())
    return Observed(
        sent=product.sent,
        late=product.late,
        upload_errors=product.upload_errors,
        in_topic=fold.message_ids,
        ticks=fold.ticks,
        owed=owed,
        owed_later=fold.owed,
        received_at_seconds={signal_id: at_ms / 1000 for signal_id, at_ms in fold.caused_at_ms.items()},
        subscriptions=subscriptions,
        arrivals=arrivals,
        outage=outage.result(),
    )
