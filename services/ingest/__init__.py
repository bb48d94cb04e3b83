"""Ingest: the collector. An event that was answered 200 is in Kafka."""
