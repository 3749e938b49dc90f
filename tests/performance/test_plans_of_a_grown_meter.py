"""Plans that a session has made while the meter was empty, and statistics of that time, serve a large one."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.helpers import Ledger
from tests.performance.plans import Scan, explainer

ROWS = 20_000
_TABLES = ("events", "keys", "old_keys", "rollups", "series", "unique_members")
_METRICS: dict[str, dict[str, object]] = {
    "tokens": {"aggregate": "sum"},
    "hot": {"aggregate": "sum", "striped": True},
    "hot_peak": {"aggregate": "max", "striped": True},
    "users": {"aggregate": "unique"},
    "seats": {"aggregate": "last", "carry": True},
}

CALLS = {
    "record": "record('a', 'tokens', 1, idempotency_key => gen_random_uuid()::text)",
    "a repeat": "record('a', 'tokens', 1, idempotency_key => 'k')",
    "a late event": "record('a', 'tokens', 1, at => now() - interval '40 days')",
    "a new series": "record(gen_random_uuid()::text, 'tokens', 1)",
    "a striped event": "record('a', 'hot', 1)",
    "a striped maximum": "record('a', 'hot_peak', 1)",
    "a known member": "record('a', 'users', member => 'x')",
    "a new member": "record('a', 'users', member => gen_random_uuid()::text)",
    "a last value": "record('a', 'seats', 1)",
    "a batch": "record_batch(jsonb_build_array(jsonb_build_object("
    "'subject', 'a', 'metric', 'tokens', 'quantity', 1, 'idempotency_key', gen_random_uuid())))",
    "a batch of late events and repeats": "record_batch(jsonb_build_array(jsonb_build_object("
    "'subject', 'a', 'metric', 'tokens', 'quantity', 1, 'idempotency_key', 'k'), jsonb_build_object("
    "'subject', 'a', 'metric', 'tokens', 'quantity', 1, 'at', '2026-01-01T00:00:00Z')))",
    "a batch of all kinds": """record_batch('[
        {"subject": "a", "metric": "users", "member": "x"},
        {"subject": "a", "metric": "users", "member": "y"},
        {"subject": "a", "metric": "hot", "quantity": 2, "idempotency_key": "h"},
        {"subject": "a", "metric": "seats", "quantity": 2},
        {"subject": "b", "metric": "tokens", "quantity": 2}]')""",
    "known_events": """known_events('[
        {"subject": "a", "metric": "tokens", "quantity": 1, "idempotency_key": "k"},
        {"subject": "a", "metric": "tokens", "quantity": 1, "at": "2026-01-01T00:00:00Z", "event_id": "5",
         "recorded_at": "2026-01-01T00:00:00Z"}]')""",
    "usage": "usage('a', 'tokens')",
    "usage of 30 days": "usage('a', 'tokens', period => '30 days')",
    "members of 30 days": "usage('a', 'users', period => '30 days')",
    "check_quota": "check_quota('a', 'tokens', 10)",
    "check_quota of a striped metric": "check_quota('a', 'hot', 10)",
    "check_quota of a day": "check_quota('a', 'tokens', 10, period => '1 day')",
    "summary": "summary('a')",
    "series": "series('a', 'tokens', now() - interval '2 days', now(), 'hour')",
    "a series that carries": "series('a', 'seats', now() - interval '2 days', now(), 'hour')",
    "totals": "totals('tokens', max_rows => 10)",
    "totals of a striped metric": "totals('hot', max_rows => 10)",
    "subjects": "subjects(10)",
    "the next page of subjects": "subjects(10, after_at => now() - interval '1 hour', after_subject => 'a')",
    "events": "events('a', 'tokens', max_rows => 10)",
    "usage_by": "usage_by('a', 'tokens', 'x', period => '1 hour')",
    "project_usage": "project_usage('a', 'tokens')",
    "project_usage of all metrics": "project_usage('a')",
    "project_invoice": "project_invoice('a')",
}


@pytest.mark.parametrize("analyzed", [True, False], ids=["analyzed while empty", "never analyzed"])
def test_a_session_that_has_seen_the_meter_empty_looks_at_few_rows_of_a_large_one(
    connect: Callable[..., psycopg.Connection[object]], analyzed: bool
) -> None:
    ledger = Ledger(connect("early"))
    for key, definition in _METRICS.items():
        ledger.define(key, **definition)  # type: ignore[arg-type]
    if analyzed:
        ledger.execute("VACUUM ANALYZE")
    explain = explainer(ledger.connection)
    for call in CALLS.values():
        for _ in range(7):
            ledger.rows(f"SELECT * FROM meter.{call}")
    _grow(Ledger(connect("others")))
    wide: dict[str, list[Scan]] = {}
    for name, call in CALLS.items():
        plans = explain(f"SELECT * FROM meter.{call}", calls_before=0)
        scans = [scan for scan in plans.scans(*_TABLES) if scan.rows > ROWS / 20]
        if scans:
            wide[name] = scans
    assert wide == {}


def test_a_striped_record_reads_the_stripe_of_its_session_alone(
    connect: Callable[..., psycopg.Connection[object]],
) -> None:
    ledger = Ledger(connect("striped"))
    ledger.define("hot", "sum", striped=True)
    for stripe in range(1, 33):
        ledger.rows("SELECT set_config('pymeter.stripe', %s, false)", [str(stripe)])
        ledger.record("a", "hot", 1)
    plans = explainer(ledger.connection)("SELECT meter.record('a', 'hot', 1, total => false)")
    assert plans.rows("series") == 1


def _grow(ledger: Ledger) -> None:
    """Rows of others in every table, as many as make it large."""
    for statement in (
        """
        INSERT INTO meter.series (metric, subject, stripe, series_id, revision, unit, newest_start,
            fine_start, fine_end, fine_last_at, fine_count, fine_total,
            coarse_start, coarse_end, coarse_last_at, coarse_count, coarse_total,
            has_stripes, is_ordinary, is_count)
        SELECT (ARRAY['tokens', 'seats', 'users'])[1 + i % 3], 's' || i, 0, 1000000 + i, 1, 'unit', t.hour,
            t.hour, t.hour + interval '1 hour', t.hour, 1, 1,
            t.month, t.month + interval '1 month', t.hour, 1, 1,
            false, true, false
        FROM generate_series(1, {rows}) i
        CROSS JOIN LATERAL (SELECT date_trunc('hour', now()) - i * interval '1 hour') h (hour)
        CROSS JOIN LATERAL (SELECT h.hour, date_trunc('month', h.hour) AS month) t
        """,
        "INSERT INTO meter.keys SELECT i, now(), gen_random_uuid(), 1 FROM generate_series(1, {rows}) i",
        "INSERT INTO meter.old_keys SELECT i, now(), gen_random_uuid(), 1 FROM generate_series(1, {rows}) i",
        """
        INSERT INTO meter.rollups (bucket_start, event_count, last_at, series_id, bucket, total)
        SELECT date_trunc('hour', now()) - (1 + i % 700) * interval '1 hour', 1, now(), 1000000 + i / 700,
            'hour', 1
        FROM generate_series(1, {rows}) i
        """,
        """
        INSERT INTO meter.events (event_id, at, recorded_at, series_id, quantity)
        SELECT 1000000 + i, now() - i * interval '1 second', now(), 1000000 + i % 1000, 1
        FROM generate_series(1, {rows}) i
        """,
        """
        INSERT INTO meter.unique_members (bucket_start, series_id, member_digest, bucket, seen)
        SELECT date_trunc('month', now()), 1000000 + i % 100, gen_random_uuid(), 'month', 0::bit(744)
        FROM generate_series(1, {rows}) i
        """,
    ):
        ledger.execute(statement.format(rows=ROWS))
