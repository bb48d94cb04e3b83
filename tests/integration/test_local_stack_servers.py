"""The servers that every other integration test stands on."""

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


async def test_each_module_gets_an_empty_postgresql_18_database(database_url: str) -> None:
    """A module's database is PostgreSQL 18, durable, UTC, and holds no table."""
    connection = await asyncpg.connect(database_url)
    try:
        assert connection.get_server_version().major == 18
        assert await connection.fetchval("SHOW fsync") == "on"
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
        assert await connection.fetchval("SHOW timezone") == "UTC"
        tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert tables == 0
    finally:
        await connection.close()


async def test_kafka_stores_records_and_coordinates_groups(kafka_bootstrap: str, topic_prefix: str) -> None:
    """A record sent with acks=all reaches a consumer group that joins at once."""
    topic = f"{topic_prefix}records"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])
    finally:
        await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        await producer.send_and_wait(topic, b"value", key=b"key")
    finally:
        await producer.stop()
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka_bootstrap, group_id=f"{topic_prefix}group", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        record = await consumer.getone()
        assert (record.key, record.value) == (b"key", b"value")
    finally:
        await consumer.stop()
