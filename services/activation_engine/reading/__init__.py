"""What the HTTP API reads: accounts as of their partition, the ledger, the progress of partitions."""
