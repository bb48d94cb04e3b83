"""Process plumbing without one word of the domain: settings, logs, metrics, health, PostgreSQL, Kafka, access keys."""

VERSION = "0.1.0"
