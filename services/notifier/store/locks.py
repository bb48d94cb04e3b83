"""The lock that keeps endpoints as they are while deliveries are inserted for them."""

from __future__ import annotations

import sqlalchemy as sa

# Who inserts or revives deliveries holds it shared and reads the endpoints in a later statement; who enables, disables
# or deletes one holds it alone. Otherwise a delivery could be held for an endpoint that was enabled, or left waiting
# for one that was deleted, a moment before it was inserted. Both end with the transaction.
KEEP_ENDPOINTS = sa.text("SELECT pg_advisory_xact_lock_shared(hashtext('notifier.endpoint'))")
CHANGE_ENDPOINTS = sa.text("SELECT pg_advisory_xact_lock(hashtext('notifier.endpoint'))")
