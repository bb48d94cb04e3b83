"""The statements by which deliveries are claimed, given back and recorded: each one alone decides who gets what."""

from __future__ import annotations

import sqlalchemy as sa

# One index look-up per endpoint and priority, for endpoints that are enabled, open and have room: a long backlog takes
# no more than its share, an endpoint without due work costs microseconds. The limit ends the walk over priorities,
# lowest number first. Endpoints come in random order, so that the limit over all does not always leave out the same;
# probes come first, because their gates wait for them now.
# The last that is claimed, in this order, is the one with which the bodies reach their limit.
# One with a rate gets no more than it may be sent in a quarter of the lease: none of its leases ends in the queue. One
# whose breaker was open gets its probe: one delivery, from one process.
CLAIM = sa.text(
    """WITH probe AS (
        UPDATE notifier.endpoint_gate SET probe_until = now() + make_interval(secs => :lease_seconds)
        WHERE endpoint_id IN (
            SELECT g.endpoint_id FROM notifier.endpoint_gate g JOIN notifier.endpoint e ON e.id = g.endpoint_id
            WHERE g.trips > 0 AND g.not_before <= now() AND coalesce(g.probe_until <= now(), true)
                AND e.enabled AND (e.delivery_window IS NULL OR notifier.window_open(e.delivery_window, now()))
                AND EXISTS (SELECT 1 FROM notifier.delivery d
                    WHERE d.endpoint_id = g.endpoint_id AND d.status = 'pending' AND d.next_at <= now())
            FOR UPDATE OF g SKIP LOCKED)
        RETURNING endpoint_id
    ), candidate AS MATERIALIZED (
        SELECT e.id, e.revision, e.format, e.delivery_window, e.rate_per_second, g.not_before AS open_since,
            g.trips > 0 AS probe,
            CASE WHEN g.trips > 0 THEN 1 ELSE least(
                coalesce(busy.share, :claim_max),
                greatest(floor(coalesce(e.rate_per_second, 'infinity') * :lease_seconds / 4), 1)
            ) - coalesce(busy.queued, 0) END AS room
        FROM notifier.endpoint e
        JOIN notifier.endpoint_gate g ON g.endpoint_id = e.id
        LEFT JOIN unnest(CAST(:busy_ids AS text[]), CAST(:busy_counts AS int[]), CAST(:busy_shares AS int[]))
            AS busy(id, queued, share) ON busy.id = e.id
        WHERE e.enabled AND g.not_before <= now()
            AND (e.delivery_window IS NULL OR notifier.window_open(e.delivery_window, now()))
            AND (g.trips = 0 OR e.id IN (SELECT endpoint_id FROM probe))
        ORDER BY g.trips = 0, random()
    ), due AS MATERIALIZED (
        SELECT candidate.revision, candidate.format, candidate.delivery_window, candidate.rate_per_second,
            candidate.open_since, candidate.probe, waiting.id, waiting.message_id
        FROM candidate CROSS JOIN LATERAL (
            SELECT ready.* FROM (VALUES (0), (1), (2)) AS class(priority) CROSS JOIN LATERAL (
                SELECT d.id, d.message_id FROM notifier.delivery d
                WHERE d.endpoint_id = candidate.id AND d.priority = class.priority AND d.status = 'pending'
                    AND d.next_at <= now()
                ORDER BY d.next_at LIMIT greatest(candidate.room::bigint, 0)
                FOR UPDATE SKIP LOCKED
            ) AS ready
            LIMIT greatest(candidate.room::bigint, 0)
        ) AS waiting
        LIMIT :most
    ), weighed AS (
        SELECT due.*, m.traceparent, m.received_at, m.occurred_at, sent.body, octet_length(sent.body) AS bytes,
            sum(octet_length(sent.body)) OVER (ORDER BY due.place ROWS UNBOUNDED PRECEDING) AS bytes_with_those_before
        FROM (SELECT *, row_number() OVER () AS place FROM due) AS due
        JOIN notifier.message m ON m.id = due.message_id
        CROSS JOIN LATERAL (
            SELECT CASE due.format WHEN 'slack' THEN coalesce(m.slack_body, m.body) ELSE m.body END AS body
        ) AS sent
    )
    UPDATE notifier.delivery d
    SET status = 'leased', claim = d.claim + 1, lease_until = now() + make_interval(secs => :lease_seconds)
    FROM weighed w
    WHERE d.id = w.id AND (w.probe OR w.bytes_with_those_before - w.bytes < :bytes_max)
    RETURNING d.id, d.endpoint_id, w.revision, w.probe, d.claim, d.attempts, d.failures, d.manual, d.priority,
        d.message_id, d.type, w.traceparent, w.body,
        d.restarted_at IS NOT NULL OR d.created_at < w.open_since OR w.rate_per_second IS NOT NULL
            OR (w.delivery_window IS NOT NULL AND NOT notifier.window_open(w.delivery_window, d.created_at)) AS held_up,
        extract(epoch FROM now() - w.received_at)::float8 AS received_age_seconds,
        extract(epoch FROM now() - w.occurred_at)::float8 AS occurred_age_seconds,
        extract(epoch FROM now() - coalesce(d.restarted_at, d.created_at))::float8 AS age_seconds"""
)
# A probe's gate waits for its lease, which began with it.
RELEASE_PROBE = sa.text(
    """UPDATE notifier.endpoint_gate g SET probe_until = NULL
    FROM unnest(CAST(:ids AS bigint[]), CAST(:claims AS int[])) AS given(id, claim)
    JOIN notifier.delivery d ON d.id = given.id AND d.claim = given.claim AND d.status = 'leased'
    WHERE g.endpoint_id = d.endpoint_id AND g.probe_until = d.lease_until"""
)
RELEASE = sa.text(
    """UPDATE notifier.delivery d SET status = 'pending', lease_until = NULL
    FROM unnest(CAST(:ids AS bigint[]), CAST(:claims AS int[])) AS given(id, claim)
    WHERE d.id = given.id AND d.claim = given.claim AND d.status = 'leased'"""
)
HOLDS = sa.text("SELECT EXISTS (SELECT FROM notifier.delivery WHERE id = :id AND claim = :claim AND status = 'leased')")
HOLDS_ANY = sa.text(
    """SELECT EXISTS (SELECT FROM unnest(CAST(:ids AS bigint[]), CAST(:claims AS int[])) AS given(id, claim)
    JOIN notifier.delivery d ON d.id = given.id AND d.claim = given.claim AND d.status = 'leased')"""
)
EXPIRE = sa.text(
    """UPDATE notifier.delivery SET status = 'pending', lease_until = NULL, next_at = now()
    WHERE id IN (SELECT id FROM notifier.delivery WHERE status = 'leased' AND lease_until < now()
        ORDER BY lease_until LIMIT 1000 FOR UPDATE SKIP LOCKED)
    RETURNING id"""
)
# An outcome belongs to the claim it was made under; when the lease ended meanwhile it is logged as late and changes
# nothing, unless it is a success: that still spares the endpoint another attempt. A batch may hold two of one delivery,
# the late one and its successor's: one of them counts. A late answer is not kept, for the lease may have ended because
# the account was erased that the answer speaks of.
RECORD = sa.text(
    """WITH given AS (
        SELECT * FROM unnest(
            CAST(:ids AS bigint[]), CAST(:claims AS int[]), CAST(:statuses AS text[]), CAST(:delays AS float8[]),
            CAST(:counted AS int[]), CAST(:ages AS float8[]), CAST(:numbers AS int[]), CAST(:triggers AS text[]),
            CAST(:results AS text[]), CAST(:status_codes AS int[]), CAST(:durations AS int[]),
            CAST(:responses AS bytea[]), CAST(:errors AS text[]), CAST(:resolves AS int[]), CAST(:connects AS int[]),
            CAST(:waits AS int[])
        ) AS g(id, claim, status, delay, counted, age, number, trigger, result, status_code, duration, response, error,
            resolve, connect, wait)
    ), updated AS (
        UPDATE notifier.delivery d
        SET status = given.status, attempts = d.attempts + 1, failures = d.failures + given.counted, manual = false,
            lease_until = NULL, last_attempt_at = now(), priority = greatest(d.priority, 1),
            next_at = CASE WHEN given.status = 'pending' THEN now() + make_interval(secs => given.delay) END
        FROM (SELECT DISTINCT ON (id) * FROM given ORDER BY id, status = 'succeeded' DESC, claim DESC) AS given
        WHERE d.id = given.id AND (
            (d.claim = given.claim AND d.status = 'leased')
            OR (given.status = 'succeeded' AND d.status IN ('pending', 'leased')))
        RETURNING d.id, given.claim
    ), logged AS (
        INSERT INTO notifier.attempt
            (delivery_id, at, number, trigger, result, status_code, duration_ms, response, error, late, resolve_ms,
            connect_ms, wait_ms)
        SELECT given.id, now() - make_interval(secs => given.age), given.number, given.trigger, given.result,
            given.status_code, given.duration, CASE WHEN updated.id IS NOT NULL THEN given.response END, given.error,
            updated.id IS NULL, given.resolve, given.connect, given.wait
        FROM given LEFT JOIN updated USING (id, claim)
    )
    SELECT id, claim FROM given EXCEPT SELECT id, claim FROM updated"""
)
