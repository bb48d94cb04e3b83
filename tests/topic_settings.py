"""Settings of a topic on the broker, changed as an operator would."""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.waiting import until


async def set_topic(bootstrap: str, name: str, settings: Mapping[str, str]) -> None:
    """Have these, and the broker's defaults for all others. Returns once the broker goes by them: it answers when they
    are written, and learns of them a moment later."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    topic = ConfigResource(ConfigResourceType.TOPIC, name)

    async def known() -> bool:
        ((*_, entries),) = [one for answer in await admin.describe_configs([topic]) for one in answer.resources]
        return settings.items() <= {entry[0]: entry[1] for entry in entries}.items()

    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=dict(settings))])
        await until(known, what=f"the settings of {name}")
    finally:
        await admin.close()
