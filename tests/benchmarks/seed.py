"""Filling the log in bulk, as its owner, past record(): what was recorded long ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

DAY = timedelta(days=1)

# In the order of the index, so that millions of rows fit in minutes; each subject's events are spread evenly
# over the window, with a jitter of its own that keeps their order.
_SERIES = """
SELECT meter._create_series(array_agg(%(metric)s::text), array_agg(%(prefix)s::text || i),
                            array_agg(0::smallint), array_agg(%(since)s::timestamptz))
FROM generate_series(0, %(subjects)s - 1) AS i
"""
_EVENTS = """
INSERT INTO meter.events (event_id, at, recorded_at, series_id, quantity, member, idempotency_key, metadata)
SELECT nextval('meter.event_ids'), e.at, e.at, s.series_id, CASE WHEN %(members)s = 0 THEN 1 + n %% 1000 END,
       CASE WHEN %(members)s > 0 THEN 'user_' || floor(random() * %(members)s)::int END,
       CASE WHEN %(keys)s THEN 'req_' || s.subject || '_' || %(first)s + n END,
       CASE WHEN %(metadata)s THEN jsonb_build_object('model', 'model-' || n %% 5) END
FROM (
    SELECT s.subject, s.series_id
    FROM generate_series(0, %(subjects)s - 1) AS i
    JOIN meter.series s ON s.metric = %(metric)s AND s.subject = %(prefix)s || i AND s.stripe = 0
    ORDER BY s.series_id
) AS s
CROSS JOIN generate_series(0, %(each)s - 1) AS n
CROSS JOIN LATERAL (
    SELECT %(since)s::timestamptz
           + (%(until)s::timestamptz - %(since)s::timestamptz) * ((n + random() + 0 * s.series_id) / %(each)s)
) AS e (at)
"""
# Where maintain() has them by now.
_KEYS = """
INSERT INTO meter.{} (event_id, at, digest, quantity, member)
SELECT e.event_id, e.at, meter._key_digest(e.metric, e.subject, e.idempotency_key), e.quantity, e.member
FROM meter.logged_events e
WHERE e.idempotency_key IS NOT NULL AND e.event_id > %(after)s AND {}
ORDER BY 3
"""
_KEY_TABLES = {"old_keys": "e.at < %(recent)s", "keys": "e.at >= %(recent)s"}
_KEYS_STAY = 2 * DAY


def recent(days: int = 0) -> datetime:
    """A moment that is no hour's start: 17 minutes and 43 seconds past the last full hour but one, UTC."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return hour - timedelta(hours=1, days=days) + timedelta(minutes=17, seconds=43)


def define(
    connection: psycopg.Connection[Any],
    key: str,
    aggregate: str = "sum",
    *,
    striped: bool = False,
    period: str = "month",
    rollup: str = "hour",
) -> None:
    """A metric by month, with rollups by hour, or by what is given."""
    connection.execute(
        "SELECT meter.define_metric(%s, %s, 'token', striped => %s, period => %s, rollup => %s)",
        [key, aggregate, striped, period, rollup],
    )


def series_id(connection: psycopg.Connection[Any], metric: str, subject: str) -> int:
    """What events() looks up first."""
    (found,) = connection.execute("SELECT meter._find_series(%s, %s)", [metric, subject]).fetchone() or (0,)
    return int(found)


def partitions(connection: psycopg.Connection[Any], since: datetime, until: datetime) -> None:
    """A partition for every month of [since, until): maintain() makes them once there is an event in each."""
    define(connection, "partition_maker", "count")
    moment = since
    while moment < until + 31 * DAY:
        connection.execute("SELECT meter.record('nobody', 'partition_maker', at => %s)", [min(moment, until)])
        moment += 27 * DAY
    while any(row[0] == "again" for row in connection.execute("SELECT * FROM meter.maintain()")):
        pass


def log(
    connection: psycopg.Connection[Any],
    metric: str,
    *,
    events: int,
    since: datetime,
    until: datetime,
    subjects: int = 1,
    prefix: str = "acct_",
    members: int = 0,
    keys: bool = False,
    metadata: bool = False,
    first: int = 0,
) -> None:
    """Log `events` events of `metric` in [since, until), in equal parts of ``acct_0``, ``acct_1`` ...

    members: how many different ones there are among them (the metric is unique then). keys: each event has an
    idempotency key, numbered from `first`; those of the last two days are in keys, the others in old_keys.
    settle() makes a meter of it.
    """
    (after,) = connection.execute("SELECT nextval('meter.event_ids')").fetchone() or (0,)
    given = {
        "metric": metric,
        "members": members,
        "keys": keys,
        "first": first,
        "metadata": metadata,
        "prefix": prefix,
        "subjects": subjects,
        "each": events // subjects,
        "since": since,
        "until": until,
    }
    connection.execute(_SERIES, given)
    connection.execute(_EVENTS, given)
    if keys:
        for table, when in _KEY_TABLES.items():
            statement = sql.SQL(_KEYS).format(sql.Identifier(table), sql.SQL(when))
            connection.execute(statement, {"after": after, "recent": until - _KEYS_STAY})


def settle(connection: psycopg.Connection[Any], metric: str | None = None) -> None:
    """Totals of what was filled in, so that verify() finds nothing, statistics, and everything on disk."""
    connection.execute("SELECT meter.rebuild(metric => %s)", [metric])
    for table in ("events", "series", "rollups", "unique_members", "keys", "old_keys"):
        connection.execute(sql.SQL("VACUUM (ANALYZE) meter.{}").format(sql.Identifier(table)))
    connection.execute("CHECKPOINT")
