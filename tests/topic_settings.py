"""Settings of a topic on the broker, changed as an operator would."""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType


async def set_topic(bootstrap: str, name: str, settings: Mapping[str, str]) -> None:
    """Have these, and the broker's defaults for all others."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=dict(settings))])
    finally:
        await admin.close()
