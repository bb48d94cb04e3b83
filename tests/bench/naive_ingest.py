"""What one writes first, to compare with: FastAPI, a pydantic model per event, `send_and_wait` per event."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import datetime
from typing import Any

import uvicorn
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI
from pydantic import BaseModel


class Event(BaseModel):
    """One event, checked."""

    type: str
    event: str
    userId: str  # noqa: N815 - the dialect's own names
    messageId: str  # noqa: N815
    timestamp: datetime
    context: dict[str, Any] = {}
    properties: dict[str, Any] = {}


class Batch(BaseModel):
    """The body."""

    batch: list[Event]


def new_app(producer: AIOKafkaProducer, topic: str) -> FastAPI:
    """One route; the events of a request are sent side by side."""
    app = FastAPI()

    async def send(event: Event) -> None:
        key = str(event.context["groupId"]).encode()
        await producer.send_and_wait(topic, event.model_dump_json().encode(), key=key)

    @app.post("/v1/batch")
    async def batch(body: Batch) -> dict[str, int]:
        await asyncio.gather(*(send(event) for event in body.batch))
        return {"accepted": len(body.batch)}

    return app


async def main(port: int, topic: str) -> None:
    """Serve until killed."""
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"], acks="all", enable_idempotence=True
    )
    await producer.start()
    config = uvicorn.Config(new_app(producer, topic), port=port, log_level="warning", access_log=False)
    await uvicorn.Server(config).serve()
    await producer.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
