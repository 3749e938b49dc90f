"""What reporting looks at, among thousands of pushes: what has changed, not what there is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.performance.plans import Plans, explainer

Explain = Callable[..., Plans]

CUSTOMERS = 200
HOURS = 24
_HISTORY = ("series", "rollups", "reported", "pushes", "events")


@pytest.fixture
def clock() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=30, second=0, microsecond=0) - timedelta(days=1)


@pytest.fixture
def reported(connect: Callable[..., psycopg.Connection[Any]], clock: datetime) -> psycopg.Connection[Any]:
    """200 customers with 24 hours of usage each: 4,800 pushes, all but the last 200 of them delivered."""
    connection = connect("plans")
    connection.execute("SELECT meter.maintain()")
    connection.execute(
        "SELECT meter.define_metric('tokens', 'sum', 'token'), meter.define_metric('quiet', 'sum', 'x')"
    )
    connection.execute("SELECT meter.define_biller(subject_is_customer => true)")
    connection.execute("SELECT meter.report_metric('tokens', 'tokens')")
    for hour in range(HOURS):
        events = [
            {"subject": f"acct_{n}", "metric": "tokens", "quantity": 1, "at": _before(clock, hour)}
            for n in range(CUSTOMERS)
        ]
        connection.execute("SELECT meter.record_batch(%s)", [Jsonb(events)])
    connection.execute("ANALYZE")
    assert _plan(connection, clock) == CUSTOMERS * HOURS
    connection.execute("ANALYZE")
    for _ in range(HOURS - 1):
        _settle(connection, _claim(connection, clock), clock)
    # Customers who have had something sent at some time, and nothing now.
    connection.execute(
        "INSERT INTO meter.report_lanes (biller, customer, event_name)"
        " SELECT 'stripe', 'idle_' || n, 'tokens' FROM generate_series(1, 5000) n"
    )
    connection.execute("VACUUM ANALYZE meter.unreported, meter.pushes, meter.reported, meter.report_lanes")
    return connection


@pytest.fixture
def explain(reported: psycopg.Connection[Any]) -> Explain:
    explain = explainer(reported)
    return lambda call, parameters: explain(call, parameters, calls_before=0)


def _before(clock: datetime, hours: int) -> str:
    return (clock - timedelta(hours=hours, minutes=5)).isoformat()


def _plan(connection: psycopg.Connection[Any], clock: datetime) -> int:
    row = connection.execute("SELECT meter.plan_pushes(now => %s)", [clock]).fetchone()
    assert row is not None
    return int(row[0])


def _claim(connection: psycopg.Connection[Any], clock: datetime, max_pushes: int = CUSTOMERS) -> list[Any]:
    return connection.execute(
        "SELECT push_id, attempt FROM meter.claim_pushes('stripe', 'w', %s, now => %s)", [max_pushes, clock]
    ).fetchall()


def _results(claimed: list[Any]) -> Jsonb:
    return Jsonb([{"push_id": p, "attempt": a, "outcome": "delivered"} for p, a in claimed])


def _settle(connection: psycopg.Connection[Any], claimed: list[Any], clock: datetime) -> None:
    connection.execute(
        "SELECT * FROM meter.settle_pushes('stripe', 'w', %s, now => %s)", [_results(claimed), clock]
    )


def _assert_by_index(plans: Plans, *tables: str) -> None:
    for scan in plans.scans(*tables):
        assert "Seq" not in scan.node, f"{scan.table} is read from end to end"


def test_planning_costs_what_has_changed_and_not_what_exists(
    explain: Explain, reported: psycopg.Connection[Any], clock: datetime
) -> None:
    for subject, hours in (("acct_7", 0), ("acct_8", 5)):
        reported.execute(
            "SELECT meter.record(%s, 'tokens', 1, at => %s)", [subject, clock - timedelta(hours=hours)]
        )
    plans = explain("SELECT meter.plan_pushes(now => %s)", [clock])
    _assert_by_index(plans, *_HISTORY)
    assert {scan.index for scan in plans.scans("rollups")} == {"rollups_pkey"}
    # The other hour is the open one. Before PostgreSQL 18, a row in some of many loops is rounded to none.
    assert plans.rows("rollups") <= 1
    assert plans.rows("series") <= 2 * 2  # Whose it is, and what is open.
    assert plans.rows("events") == 0
    assert plans.rows("reported") <= 2 * 3  # What is planned, what is added, and for the identifiers.
    assert plans.rows("unreported") <= 2 + 2  # The second time by ctid.
    (push,) = plans.writes("pushes")
    assert push["Node Type"] == "ModifyTable"


def test_a_single_event_is_planned_without_looking_at_those_before(
    explain: Explain, reported: psycopg.Connection[Any], clock: datetime
) -> None:
    reported.execute("SELECT meter.define_metric('calls', 'count', 'call')")
    reported.execute("SELECT meter.report_metric('calls', 'calls', 'event')")
    many = [{"subject": "acct_7", "metric": "calls", "at": _before(clock, n % HOURS)} for n in range(1000)]
    reported.execute("SELECT meter.record_batch(%s)", [Jsonb(many)])
    assert _plan(reported, clock) == len(many)
    reported.execute("ANALYZE")
    for n in range(2):
        reported.execute("SELECT meter.record('acct_7', 'calls', at => %s)", [clock + timedelta(seconds=n)])
    plans = explain("SELECT meter.plan_pushes(now => %s)", [clock])
    _assert_by_index(plans, *_HISTORY)
    assert plans.rows("events") == 2
    assert plans.rows("pushes") <= 2 * 5


def test_an_empty_queue_is_planned_by_looking_at_nothing(explain: Explain, clock: datetime) -> None:
    plans = explain("SELECT meter.plan_pushes(now => %s)", [clock])
    assert plans.rows("unreported", *_HISTORY) == 0


def test_claiming_does_not_look_at_what_is_delivered(
    explain: Explain, reported: psycopg.Connection[Any], clock: datetime
) -> None:
    plans = explain(
        "SELECT * FROM meter.claim_pushes('stripe', 'w', %s, now => %s)", [20, clock + timedelta(hours=1)]
    )
    _assert_by_index(plans, "pushes", "report_lanes")
    assert {scan.index for scan in plans.scans("pushes")} == {"pushes_open", "pushes_by_id"}
    # To count, to choose, to look at closely, to mark, to answer.
    assert plans.rows("pushes") <= 6 * 20
    assert "report_lanes_awake" in {scan.index for scan in plans.scans("report_lanes")}
    assert plans.rows("report_lanes") <= 2 * 20 + 10


def test_settling_looks_up_what_it_is_told_about(
    explain: Explain, reported: psycopg.Connection[Any], clock: datetime
) -> None:
    later = clock + timedelta(hours=1)
    for _ in range(3):
        _settle(reported, _claim(reported, later, 20), later)
    claimed = _claim(reported, later, 20)
    plans = explain(
        "SELECT * FROM meter.settle_pushes('stripe', 'w', %s, now => %s)", [_results(claimed), later]
    )
    _assert_by_index(plans, "pushes", "report_lanes")
    assert plans.rows("pushes") <= 10 * 20


def test_uncertain_hours_are_found_without_looking_at_the_others(explain: Explain, clock: datetime) -> None:
    plans = explain("SELECT * FROM meter.uncertain_hours(now => %s)", [clock])
    _assert_by_index(plans, "pushes")
    assert plans.rows("pushes") == 0


def test_recording_pays_for_the_queue_only_where_it_is_reported(
    explain: Explain, reported: psycopg.Connection[Any]
) -> None:
    quiet = explain("SELECT meter.record('acct_7', 'quiet', 1)", [])
    assert quiet.writes("unreported") == []
    told = explain("SELECT meter.record('acct_7', 'tokens', 1)", [])
    assert len(told.writes("unreported")) == 1
    assert told.rows("unreported", "report_metrics", "report_subjects", "billers", "pushes", "reported") == 0


_LOOKUPS = {
    ("pushes", "pushes_by_event"),
    ("pushes", "pushes_by_id"),
    ("pushes", "pushes_by_identifier"),
    ("pushes", "pushes_open"),
    ("report_lanes", "report_lanes_awake"),
    ("report_lanes", "report_lanes_pkey"),
    ("report_subjects", "report_subjects_pkey"),
    ("reported", "reported_pkey"),
    ("rollups", "rollups_pkey"),
    ("series", "series_by_id"),
}


@pytest.mark.parametrize("analyzed", [False, True])
def test_a_meter_that_was_empty_has_the_plans_of_a_large_one(
    connect: Callable[..., psycopg.Connection[Any]], clock: datetime, analyzed: bool
) -> None:
    """A session keeps the plans that it made when everything was empty."""
    connection = connect("plans")
    connection.execute("SELECT meter.define_metric('tokens', 'sum', 'token')")
    connection.execute("SELECT meter.define_metric('calls', 'count', 'call')")
    connection.execute("SELECT meter.define_biller(subject_is_customer => true)")
    connection.execute("SELECT meter.report_metric('tokens', 'tokens')")
    connection.execute("SELECT meter.report_metric('calls', 'calls', 'event')")
    if analyzed:
        connection.execute("VACUUM ANALYZE")
    connection.execute("SELECT meter.record('acct', 'tokens', 1, at => %s)", [clock])
    connection.execute("SELECT meter.record('acct', 'calls', at => %s)", [clock])
    explain = explainer(connection)
    plans = explain("SELECT meter.plan_pushes(now => %s)", [clock], calls_before=0).plans
    plans += explain(
        "SELECT * FROM meter.claim_pushes('stripe', 'w', now => %s)", [clock], calls_before=0
    ).plans
    sending = "SELECT push_id, attempts, identifier FROM meter.pushes WHERE state = 'sending'"
    sent = connection.execute(sending).fetchall()
    plans += explain("SELECT meter.confirm_push('stripe', 'w', %s, 1)", [sent[0][2]], calls_before=0).plans
    results = _results([row[:2] for row in sent])
    plans += explain(
        "SELECT * FROM meter.settle_pushes('stripe', 'w', %s, now => %s)", [results, clock], calls_before=0
    ).plans
    scans = {(scan.table, scan.index) for scan in Plans(plans).scans(*{table for table, _ in _LOOKUPS})}
    assert scans - {("pushes", "pushes_pkey")} == _LOOKUPS  # By subject and push_id, as good as by push_id.
