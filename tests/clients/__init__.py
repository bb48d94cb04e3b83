"""Published SDKs, unmodified, against a running ingest."""
