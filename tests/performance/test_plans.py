"""Which index the hot statements use and how many rows they look at, among thousands of rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.benchmarks import seed
from tests.helpers import Ledger, covering
from tests.performance.plans import Plans, explainer

Explain = Callable[..., Plans]

TABLES = ("events", "keys", "old_keys", "rollups", "series", "unique_members")
_HOURS_OF_A_MONTH = 31 * 24


def test_record_writes_one_event_one_key_and_one_series_and_searches_for_nothing(
    explain: Explain, filled: psycopg.Connection[Any]
) -> None:
    _record_until_plans_are_settled(filled)
    plans = explain("SELECT meter.record('acct_0', 'tokens', 1, idempotency_key => 'new')", calls_before=0)
    assert plans.rows("events", "keys", "old_keys", "rollups", "unique_members") == 0
    assert [(scan.index, scan.rows) for scan in plans.scans("series")] == [("series_pkey", 1)]
    (keys,) = plans.writes("keys")
    assert keys["Conflict Arbiter Indexes"] == ["keys_pkey"]
    assert len(plans.writes("events")) == 1
    assert len(plans.writes("series")) == 1
    assert plans.writes("rollups") == []


def test_record_of_a_repeat_reads_one_key_and_its_series(explain: Explain) -> None:
    plans = explain("SELECT meter.record('acct_0', 'tokens', 1, idempotency_key => 'again')")
    plans.assert_by_index(*TABLES)
    assert plans.rows("keys", "old_keys") == 1
    assert plans.rows("events", "rollups", "unique_members") == 0
    assert {scan.index for scan in plans.scans("series")} == {"series_pkey"}
    assert plans.rows("series") == 2  # for its id, and for what is open


@pytest.mark.parametrize(
    "call",
    [
        "SELECT meter.record('acct_0', 'users', member => 'user_1')",
        'SELECT meter.record_batch(\'[{"subject": "acct_0", "metric": "users", "member": "user_1"}]\')',
    ],
    ids=["record", "record_batch"],
)
def test_recording_a_known_member_reads_its_row_and_writes_none(explain: Explain, call: str) -> None:
    plans = explain(call)
    plans.assert_by_index(*TABLES)
    assert plans.rows("events", "keys", "old_keys", "rollups") == 0
    assert plans.rows("unique_members") == 1
    assert {scan.index for scan in plans.scans("unique_members")} == {"unique_members_pkey"}
    for write in plans.writes("unique_members"):
        assert write["Tuples Inserted"] + write["Conflicting Tuples"] == 0


def test_check_quota_of_the_current_period_reads_its_row_alone(explain: Explain, now: datetime) -> None:
    plans = explain("SELECT meter.check_quota('acct_0', 'tokens', 1000, now => %s)", [now])
    plans.assert_by_index(*TABLES)
    assert plans.rows(*TABLES) == 1
    assert {scan.index for scan in plans.scans("series")} == {"series_pkey"}


@pytest.mark.parametrize("metric", ["tokens", "users"])
def test_a_rolling_window_reads_whole_hours_from_rollups_and_two_edges_from_the_log(
    explain: Explain, filled: psycopg.Connection[Any], now: datetime, metric: str
) -> None:
    plans = explain(f"SELECT meter.usage('acct_0', '{metric}', '20 days', now => %s)", [now])
    plans.assert_by_index(*TABLES)
    assert {scan.index for scan in plans.scans("rollups")} <= {"rollups_pkey"}
    assert plans.rows("rollups") <= _HOURS_OF_A_MONTH
    # Each edge is shorter than an hour; both are read at most twice, for the sum and the members.
    edges = _events_in_edges(filled, metric, now - timedelta(days=20), now)
    assert plans.rows("events") <= 2 * edges
    for scan in plans.scans("events"):
        assert "at >=" in scan.condition


def test_a_window_of_many_events_costs_as_much_as_one_of_few(
    explain: Explain, filled: psycopg.Connection[Any], now: datetime
) -> None:
    """The middle of ``many`` has ten times the events of ``few``; their edges are the same."""
    since, until = now - timedelta(days=20), now
    hour = timedelta(hours=1)
    for subject, each_hour in (("few_", 2), ("many_", 20)):
        seed.log(
            filled,
            "tokens",
            events=each_hour * 20 * 24,
            since=since.replace(minute=0),
            until=until.replace(minute=0),
            prefix=subject,
        )
        filled.execute("SELECT meter.record(%s, 'tokens', 1, at => %s)", [subject + "0", since - 2 * hour])
    seed.settle(filled, "tokens")
    # From hour mark to hour mark, so that the log has no part in it.
    call = "SELECT meter.usage(%s, 'tokens', since => %s, until => %s)"
    window = [since.replace(minute=0) + hour, until.replace(minute=0)]
    few = explain(call, ["few_0", *window])
    many = explain(call, ["many_0", *window])
    assert few.rows("events") == many.rows("events") == 0
    assert many.rows("rollups") == few.rows("rollups") > 100
    assert many.buffers() <= few.buffers() * 1.2 + 10


@pytest.mark.parametrize("metric", ["tokens", "users"])
def test_a_series_by_hour_is_one_read_of_the_rollups(explain: Explain, now: datetime, metric: str) -> None:
    until = now.replace(minute=0)
    plans = explain(
        f"SELECT count(*) FROM meter.series('acct_0', '{metric}', %s, %s, 'hour')",
        [until - timedelta(days=20), until],
    )
    plans.assert_by_index(*TABLES)
    assert {scan.index for scan in plans.scans("rollups")} == {"rollups_pkey"}
    assert plans.rows("rollups") <= 20 * 24
    assert plans.rows("events", "unique_members") == 0
    # No statement is run for each bucket.
    assert len(plans.plans) < 20


def test_members_are_not_looked_for_where_there_are_no_events(explain: Explain, now: datetime) -> None:
    since = now.replace(minute=0)
    plans = explain(
        "SELECT count(*) FROM meter.series('nobody', 'users', %s, %s, 'minute')",
        [since - timedelta(hours=2), since],
    )
    assert plans.scans("unique_members") == []
    assert len(plans.plans) < 40  # of 120 windows


def test_a_series_reads_of_the_log_what_lies_beside_whole_hours(
    explain: Explain, filled: psycopg.Connection[Any], now: datetime
) -> None:
    since = now - timedelta(days=20)
    plans = explain("SELECT count(*) FROM meter.series('acct_0', 'tokens', %s, %s, 'hour')", [since, now])
    plans.assert_by_index(*TABLES)
    assert plans.rows("rollups") <= 20 * 24
    assert plans.rows("events") <= _events_in_edges(filled, "tokens", since, now)


def test_events_reads_a_page_not_the_log(explain: Explain) -> None:
    plans = explain("SELECT count(*) FROM meter.events('acct_0', 'tokens', max_rows => 50)")
    plans.assert_by_index("events")
    assert plans.rows("events") <= 50 + 12  # one of each partition to begin with


@pytest.mark.parametrize("metric", ["tokens", None])
def test_the_next_page_of_events_starts_where_the_last_one_ended(
    explain: Explain, filled: psycopg.Connection[Any], now: datetime, metric: str | None
) -> None:
    """Also where the client's time has milliseconds only: then events within a second are looked through."""
    last = filled.execute(
        "SELECT event_id, at FROM meter.events('acct_0', %s, until => %s, max_rows => 1)",
        [metric, now - timedelta(days=15)],
    ).fetchone()
    assert last is not None
    for after_at in (last[1], last[1].replace(microsecond=last[1].microsecond // 1000 * 1000)):
        plans = explain(
            "SELECT count(*) FROM meter.events('acct_0', %s, max_rows => 50, after_id => %s, after_at => %s)",
            [metric, last[0], after_at],
        )
        plans.assert_by_index("events")
        metrics = 1 if metric else len(filled.execute("SELECT FROM meter.metrics").fetchall())
        assert plans.rows("events") <= metrics * (50 + 24)


@pytest.mark.parametrize("statistics", ["analyzed", "none"])
@pytest.mark.parametrize(
    ("call", "looked_at"),
    [
        ("SELECT count(*) FROM meter.all_events()", 25_000),
        # Ids of any 10,000 events are in up to three ranges of 128 pages, with 14,000 rows each.
        ("SELECT count(*) FROM meter.all_events('tokens', after_id => 60000)", 45_000),
        ("SELECT count(*) FROM meter.all_events('rare')", 25_000),
        ("SELECT count(*) FROM meter.all_events(until => '2026-01-02Z')", 25_000),
        ("SELECT count(*) FROM meter.all_events('rare', until => '2026-01-02Z')", 25_000),
    ],
)
def test_the_log_of_all_subjects_is_read_by_ranges_of_ids_as_far_as_the_page_needs(
    connect: Callable[..., psycopg.Connection[Any]], call: str, looked_at: int, statistics: str
) -> None:
    """Or by series, where that takes less: of `rare` there are 5 events, below 150,000 of `tokens`."""
    connection = connect("all events")
    _log_in_order_of_time(connection)
    connection.execute(f"VACUUM {'(ANALYZE)' if statistics == 'analyzed' else ''} meter.events")
    plans = explainer(connection)(call, calls_before=0)
    assert plans.scans("events")
    for scan in plans.scans("events"):
        assert "Seq" not in scan.node
        assert "series_id" in scan.condition or "event_id >=" in scan.condition, scan
    rechecked = sum(
        node.get("Rows Removed by Index Recheck", 0) * node["Actual Loops"] for node in plans.nodes()
    )
    assert plans.rows("events") + rechecked <= looked_at


@pytest.mark.parametrize("metric", [None, "tokens"])
def test_after_a_gap_of_ids_no_more_rows_are_sorted_than_ranges_may_have(
    connect: Callable[..., psycopg.Connection[Any]], metric: str | None
) -> None:
    """The ranges have grown in the gap; the one in which it ends has the whole log."""
    connection = connect("all events")
    _log_in_order_of_time(connection)
    connection.execute("VACUUM meter.events")
    connection.execute("SELECT setval('meter.event_ids', last_value + 5000000) FROM meter.event_ids")
    # So many rows that they are of several ranges, without a gap between these.
    found = connection.execute(
        "SELECT a.event_id FROM meter.all_events(%s, max_rows => 10000) a"
        " UNION ALL SELECT b.event_id FROM meter.all_events(%s, max_rows => 10000, after_id => 70000) b",
        [metric, metric],
    ).fetchall()
    expected = connection.execute(
        "SELECT event_id FROM meter.logged_events WHERE metric = coalesce(%s, metric) ORDER BY event_id DESC",
        [metric],
    ).fetchall()
    below = next(n for n, (event_id,) in enumerate(expected) if event_id < 70_000)
    assert found == expected[:10_000] + expected[below : below + 10_000]
    plans = explainer(connection)("SELECT count(*) FROM meter.all_events(%s)", [metric], calls_before=0)
    sorted_rows = [
        child["Actual Rows"]
        for node in plans.nodes()
        if node["Node Type"] == "Sort" and "event_id" in node["Sort Key"][0]
        for child in node["Plans"]
    ]
    assert max(sorted_rows) > 100
    assert max(sorted_rows) <= 40_000


def _log_in_order_of_time(connection: psycopg.Connection[Any]) -> None:
    """5 events of `rare`, and then 150,000 of `tokens` in two months, in the order of their ids."""
    seed.define(connection, "tokens")
    seed.define(connection, "rare")
    since, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    seed.partitions(connection, since, until)
    seed.log(connection, "rare", events=5, since=since, until=until)
    for day in range(0, 60, 2):
        begin = since + timedelta(days=day)
        end = begin + timedelta(days=2)
        seed.log(connection, "tokens", events=5_000, subjects=50, since=begin, until=end, prefix=f"s{day}_")


def test_subjects_reads_the_newest_series_only(explain: Explain, filled: psycopg.Connection[Any]) -> None:
    plans = explain("SELECT count(*) FROM meter.subjects(10)")
    for scan in plans.scans("series"):
        assert "Seq" not in scan.node
        assert scan.index == "series_newest"
    row = filled.execute("SELECT count(*) FROM meter.series").fetchone()
    assert row is not None
    assert plans.rows("series") < row[0] / 4
    assert plans.rows("events", "rollups") == 0


def test_the_next_page_of_subjects_reads_the_series_around_it(
    explain: Explain, filled: psycopg.Connection[Any]
) -> None:
    last = filled.execute("SELECT * FROM meter.subjects(100) ORDER BY 2, 1 DESC LIMIT 1").fetchone()
    assert last is not None
    plans = explain("SELECT count(*) FROM meter.subjects(10, %s, %s)", last)
    for scan in plans.scans("series"):
        assert "Seq" not in scan.node
        assert scan.index in ("series_newest", "series_pkey")
        assert scan.index == "series_newest" or "subject" in scan.condition
    row = filled.execute("SELECT count(*) FROM meter.series").fetchone()
    assert row is not None
    assert plans.rows("series") < row[0] / 2
    assert plans.rows("events", "rollups") == 0


def test_totals_of_a_period_read_the_series_of_the_page_and_a_bucket_of_each(
    explain: Explain, filled: psycopg.Connection[Any], now: datetime
) -> None:
    plans = explain("SELECT count(*) FROM meter.totals('tokens', now => %s, max_rows => 50)", [now])
    plans.assert_by_index("rollups")
    for scan in plans.scans("series"):
        assert "Seq" not in scan.node
        assert scan.index in ("series_pkey", "series_by_id")
    row = filled.execute(
        "SELECT count(*) FILTER (WHERE newest_start < date_trunc('month', %s, 'UTC'))"
        " FROM meter.series WHERE metric = 'tokens'",
        [now],
    ).fetchone()
    assert row is not None
    assert (
        plans.rows("series") <= row[0] + 2 * 50
    )  # each is found by its subject, and its open bucket by its id
    assert plans.rows("rollups") <= 50
    assert plans.rows("events", "unique_members") == 0


def test_totals_read_of_the_log_the_edges_alone(
    explain: Explain, filled: psycopg.Connection[Any], now: datetime
) -> None:
    since = now - timedelta(days=20)
    plans = explain("SELECT count(*) FROM meter.totals('tokens', since => %s, until => %s)", [since, now])
    plans.assert_by_index("events")
    row = filled.execute(
        "SELECT count(*) FROM meter.logged_events WHERE metric = 'tokens' AND"
        " (date_trunc('hour', at, 'UTC') IN (date_trunc('hour', %s, 'UTC'), date_trunc('hour', %s, 'UTC')))",
        [since, now],
    ).fetchone()
    assert row is not None
    assert plans.rows("events") <= row[0]


def test_repeated_records_update_the_series_in_place(
    filled: psycopg.Connection[Any], connect: Callable[..., psycopg.Connection[Any]]
) -> None:
    """HOT: a new version of a row goes to the same page, and no index has to know."""
    before = _updates(filled)
    writer = connect("writer")
    for number in range(300):
        writer.execute("SELECT meter.record('acct_0', 'tokens', %s)", [number])
    writer.execute("SELECT pg_stat_force_next_flush()")
    writer.close()
    updated, hot = (after - start for after, start in zip(_updates(filled), before, strict=True))
    assert updated >= 300
    assert hot >= updated * 0.95


def test_a_window_of_members_reads_a_row_a_month_of_each(explain: Explain, now: datetime) -> None:
    plans = explain("SELECT meter.usage('acct_0', 'users', '20 days', now => %s)", [now])
    assert 50 <= plans.rows("unique_members") <= 2 * 50


def test_members_seen_in_more_hours_are_updated_in_place(
    filled: psycopg.Connection[Any], connect: Callable[..., psycopg.Connection[Any]]
) -> None:
    before = _updates(filled, "unique_members")
    writer = connect("writer")
    for hour in range(200):
        writer.execute(
            "SELECT meter.record('acct_1', 'users', member => 'u', at => '2026-01-01Z'::timestamptz + %s)",
            [timedelta(hours=hour)],
        )
    writer.execute("SELECT pg_stat_force_next_flush()")
    writer.close()
    after = _updates(filled, "unique_members")
    updated, hot = (later - start for later, start in zip(after, before, strict=True))
    assert updated == 199
    assert hot >= updated * 0.95


def _record_until_plans_are_settled(connection: psycopg.Connection[Any]) -> None:
    for number in range(6):
        connection.execute(
            "SELECT meter.record('acct_0', 'tokens', 1, idempotency_key => %s)", [f"key {number}"]
        )


def _events_in_edges(
    connection: psycopg.Connection[Any], metric: str, since: datetime, until: datetime
) -> int:
    row = connection.execute(
        "SELECT count(*) FROM meter.logged_events WHERE subject = 'acct_0' AND metric = %s"
        " AND ((at >= %s AND at < %s) OR (at >= %s AND at <= %s))",
        [
            metric,
            since,
            since.replace(minute=0) + timedelta(hours=1),
            until.replace(minute=0),
            until,
        ],
    ).fetchone()
    assert row is not None
    return int(row[0])


def _updates(connection: psycopg.Connection[Any], table: str = "series") -> tuple[int, int]:
    """Rows updated, and updated in place, as the statistics say now."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables"
        " WHERE schemaname = 'meter' AND relname = %s",
        [table],
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def _wrong(ledger: Ledger) -> None:
    ledger.tamper("total = total + 1", "bucket = 'month'")


def _twice(ledger: Ledger) -> None:
    ledger.execute(
        "INSERT INTO meter.rollups (series_id, stripe, bucket, bucket_start, event_count, last_at, total)"
        " SELECT series_id, stripe, bucket, bucket_start, event_count, last_at, total FROM meter.buckets"
        " ON CONFLICT DO NOTHING"
    )


DRIFTS: dict[str, Callable[[Ledger], object]] = {
    "missing": lambda ledger: ledger.forget("metric = 'plain' AND bucket = 'hour'"),
    "wrong": _wrong,
    "open ones in rollups as well": _twice,
}


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("call", "drift", "statistics"),
    covering(
        2,
        ["SELECT count(*) FROM meter.verify()", "SELECT meter.rebuild()"],
        DRIFTS,
        ["none", "of one row"],
    ),
)
def test_verify_and_rebuild_look_at_each_row_a_few_times_beside_stripes_and_whatever_the_statistics_say(
    connect: Callable[..., psycopg.Connection[Any]], call: str, drift: str, statistics: str
) -> None:
    connection = connect("stripes")
    for table in ("series", "rollups"):
        connection.execute(f"ALTER TABLE meter.{table} SET (autovacuum_enabled = off)")
    seed.define(connection, "plain")
    seed.define(connection, "striped", striped=True)  # a batch writes to the stripe of its session
    if statistics == "of one row":
        for age in ("2 hours", "1 hour"):  # the first one is closed by the second
            connection.execute("SELECT meter.record('a1', 'plain', 1, at => now() - %s::interval)", [age])
        connection.execute("ANALYZE meter.series")
        connection.execute("ANALYZE meter.rollups")
    for metric in ("plain", "striped"):
        connection.execute(
            """
            SELECT count(*) FROM meter.record_batch((
                SELECT jsonb_agg(jsonb_build_object('subject', 'a' || i, 'metric', %s::text, 'quantity', 1))
                FROM generate_series(1, 3000) AS i))
            """,
            [metric],
        )
    DRIFTS[drift](Ledger(connection))
    plans = explainer(connection)(call, calls_before=0)
    assert _most_looked_at(plans) <= 3 * 4 * 3_000


def test_a_month_is_dropped_and_verified_afterwards_looking_at_each_row_a_few_times_without_statistics(
    connect: Callable[..., psycopg.Connection[Any]],
) -> None:
    connection = connect("dropped")
    for table in ("series", "rollups", "unique_members", "dropped_rollups", "dropped_members"):
        connection.execute(f"ALTER TABLE meter.{table} SET (autovacuum_enabled = off)")
    seed.define(connection, "tokens")
    seed.define(connection, "users", "unique", period="week")
    for metric, given in (("tokens", {"quantity": 1}), ("users", {"member": "u"})):
        connection.execute(
            """
            SELECT count(*) FROM meter.record_batch((
                SELECT jsonb_agg(jsonb_build_object('subject', 'a' || i, 'metric', %s::text,
                    'at', '2024-01-15T12:00:00Z') || %s)
                FROM generate_series(1, 3000) AS i))
            """,
            [metric, Jsonb(given)],
        )
    connection.execute("SELECT meter.maintain()")  # the month gets its partition
    for call in ("SELECT meter.maintain(keep => '1 year')", "SELECT count(*) FROM meter.verify()"):
        plans = explainer(connection)(call, calls_before=0)
        assert _most_looked_at(plans) <= 3 * 4 * 3_000
    assert connection.execute("SELECT count(*) FROM meter.events").fetchone() == (0,)


def _most_looked_at(plans: Plans) -> float:
    """The rows that the busiest node of a call has looked at, those that it threw away included."""
    return max(
        (
            node["Actual Rows"]
            + node.get("Rows Removed by Filter", 0)
            + node.get("Rows Removed by Join Filter", 0)
        )
        * node["Actual Loops"]
        for node in plans.nodes()
    )
