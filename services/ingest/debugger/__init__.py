"""The debugger: what became of the newest events, read from the tails of the topics that ingest writes."""
