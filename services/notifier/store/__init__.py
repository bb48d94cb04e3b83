"""Everything the notifier asks of PostgreSQL, by purpose."""
