"""0005-members: the members of a ledger that was filled before it are the same after it."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from pymeter.install.engine import install
from pymeter.install.sources import load_sources
from tests.helpers import PERIODS, ROLLUPS, Ledger, at

BEFORE = 4
# What recording wrote before: a row for every bucket of every kind of its metric.
FILL = """
INSERT INTO metrics (key, aggregate, unit, period, rollup, striped, max_future, defined_at)
SELECT p || ' by ' || r, 'unique', 'user', p, r, false, '1 day', now()
FROM unnest(%(periods)s::text[]) p, unnest(%(rollups)s::text[]) r;

INSERT INTO events (at, subject, metric, member)
SELECT '2025-12-30 21:45Z'::timestamptz + make_interval(mins => 37 * n * n %% 130000),
       's' || n %% 2, key, 'u' || n %% 7
FROM metrics, generate_series(1, 120) n;

CREATE VIEW buckets AS
SELECT DISTINCT e.subject, e.metric, k.bucket, e.member, e.event_id, e.at,
       CASE k.bucket WHEN 'never' THEN '1970-01-01Z' ELSE date_trunc(k.bucket, e.at, 'UTC') END
           AS bucket_start
FROM events e
JOIN metrics m ON m.key = e.metric
CROSS JOIN LATERAL (VALUES (m.period), (m.rollup)) k (bucket)
WHERE k.bucket <> 'none';

INSERT INTO rollups (subject, metric, bucket, bucket_start, event_count, last_at, total)
SELECT subject, metric, bucket, bucket_start, count(*), max(at), count(DISTINCT member)
FROM buckets GROUP BY 1, 2, 3, 4;

INSERT INTO unique_members (subject, metric, bucket, bucket_start, member_digest)
SELECT DISTINCT subject, metric, bucket, bucket_start, substr(sha256(convert_to(member, 'UTF8')), 1, 16)
FROM buckets;

DROP VIEW buckets;
"""


@pytest.fixture
def old(dsn: str) -> str:
    """A database with the tables that there were before, filled."""
    sources = load_sources()
    assert sources.migrations[BEFORE].name.endswith("0005-members.sql")
    install(
        replace(sources, migrations=sources.migrations[:BEFORE], functions=(), sha256="old"), dsn, "meter"
    )
    with psycopg.connect(dsn, options="-c search_path=meter") as connection:
        names = {"periods": list(PERIODS), "rollups": list(ROLLUPS)}
        psycopg.ClientCursor(connection).execute(FILL, names)
    return dsn


def upgraded(dsn: str, connect) -> Ledger:
    install(load_sources(), dsn, "meter")
    return Ledger(connect("ledger", dsn=dsn))


def test_an_upgrade_converts_every_member_of_every_kind_of_metric(old, connect):
    ledger = upgraded(old, connect)

    assert ledger.verify() == []
    before = ledger.state()
    assert len(before["unique_members"]) > 500
    assert ledger.rebuild() == 0
    assert ledger.state() == before
    for period in PERIODS:
        for rollup in ROLLUPS:
            metric, window = f"{period} by {rollup}", (at("2025-12-31 10:20"), at("2026-02-20 07:00"))
            total = ledger.usage("s1", metric, since=window[0], until=window[1])
            assert (total.quantity, total.event_count) == ledger.brute("s1", metric, *window)
            assert ledger.record("s1", metric, member="u1", at=at("2026-01-15 10:00")).outcome == "recorded"
    assert ledger.verify() == []


def test_an_upgrade_keeps_what_drifts_in_sight(old, connect):
    with psycopg.connect(old) as connection:
        connection.execute(
            "DELETE FROM meter.unique_members WHERE metric = 'month by hour' AND bucket = 'hour'"
            " AND subject = 's1' AND bucket_start < '2026-01-01Z'"
        )
        connection.execute(
            "INSERT INTO meter.unique_members SELECT bucket_start, subject, metric, bucket, '\\x00'"
            " FROM meter.unique_members WHERE metric = 'never by none' LIMIT 1"
        )
    ledger = upgraded(old, connect)
    assert {drift.metric for drift in ledger.verify()} == {"month by hour", "never by none"}
    ledger.rebuild()
    assert ledger.verify() == []


def test_who_still_writes_rows_by_the_hour_is_refused(old, connect):
    """A transaction in the middle of recording by the functions of before: it fails, and is tried again."""
    ledger = upgraded(old, connect)
    with pytest.raises(psycopg.errors.CheckViolation):
        ledger.execute(
            "INSERT INTO meter.unique_members (subject, metric, bucket, bucket_start, member_digest)"
            " VALUES ('s1', 'month by hour', 'hour', '2026-01-15 10:00Z', '\\x00') ON CONFLICT DO NOTHING"
        )
