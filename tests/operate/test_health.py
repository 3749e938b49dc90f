"""health(): one row that says what needs somebody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at

NOON = datetime.now(UTC).replace(hour=12, minute=30, second=0, microsecond=0)
DAY = timedelta(days=1)


def health(ledger: Ledger, now: datetime | None = None) -> Any:
    return ledger.call("health", **({} if now is None else {"now": now}))[0]


def record_daily(ledger: Ledger, subject: str, metric: str, days: range, hour: int = 12) -> None:
    """An event at 12:30 (or another hour) of each of the days that lie so far back."""
    for day in days:
        ledger.record(subject, metric, 1, at=NOON.replace(hour=hour) - day * DAY)


def test_a_new_installation_is_healthy(ledger: Ledger) -> None:
    found = health(ledger)
    assert found.healthy
    assert (found.problems, found.notices, found.silent, found.bloated) == ([], [], [], [])
    assert (found.missing_partitions, found.stray_events, found.oldest_unreported_at) == (0, 0, None)
    assert found.last_maintained_at is not None


def test_maintain_is_remembered_only_when_it_is_committed(ledger: Ledger) -> None:
    before = health(ledger).last_maintained_at
    with ledger.connection.transaction(force_rollback=True):
        ledger.maintain()
    assert health(ledger).last_maintained_at == before
    ledger.maintain()
    assert health(ledger).last_maintained_at > before
    ledger.execute("DELETE FROM meter.maintenance")
    assert health(ledger).problems == ["maintain() has never run"]


def test_maintain_that_stopped_running_is_a_problem(ledger: Ledger) -> None:
    last = health(ledger).last_maintained_at
    assert health(ledger, last + timedelta(hours=48)).problems == []
    late = health(ledger, last + timedelta(hours=48, seconds=1))
    assert (late.healthy, late.problems) == (False, ["maintain() has not run for two days"])


def test_missing_partitions_are_a_problem_a_week_before_they_are_needed(ledger: Ledger) -> None:
    last = ledger.value("SELECT max(month) FROM meter.log_months")
    needed = (last + 32 * DAY).replace(day=1)  # the month after the last partition
    ledger.execute("UPDATE meter.maintenance SET done_at = %s", [needed])
    early = health(ledger, needed - 8 * DAY)
    assert (early.healthy, early.missing_partitions) == (True, 3)
    late = health(ledger, needed - 6 * DAY)
    assert late.problems == ["the log has no partition for the coming week"]
    assert health(ledger, needed + 1 * DAY).missing_partitions == 4


def test_a_month_that_lost_its_partition_is_a_problem_now(ledger: Ledger) -> None:
    ledger.execute(f"DROP TABLE meter.events_{datetime.now(UTC):%Y_%m}")
    found = health(ledger)
    assert (found.healthy, found.missing_partitions) == (False, 1)
    ledger.maintain()
    assert health(ledger).healthy


def test_stray_events_are_counted_and_a_problem_when_they_stay(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    for day in ("1999-01-01", "2001-01-01"):
        ledger.record("a", "m", 1, at=at(day))
    found = health(ledger)
    assert (found.healthy, found.stray_events) == (True, 2)
    now = datetime.now(UTC) + 2 * DAY + timedelta(minutes=1)
    ledger.execute("UPDATE meter.maintenance SET done_at = %s", [now])
    assert health(ledger, now).problems == ["events have been in the default partition for two days"]
    ledger.maintain()
    assert health(ledger, now).stray_events == 0


@pytest.mark.parametrize("rollup", ["hour", "day"])
def test_who_recorded_every_day_and_stopped_is_silent(ledger: Ledger, rollup: str) -> None:
    ledger.define("m", "sum", rollup=rollup)
    ledger.define("other", "sum", rollup=rollup)
    record_daily(ledger, "stopped", "m", range(2, 9))
    record_daily(ledger, "goes on", "m", range(10))
    record_daily(ledger, "goes on", "other", range(2, 9))
    record_daily(ledger, "never on the fifth", "m", range(2, 5))
    record_daily(ledger, "never on the fifth", "m", range(6, 12))
    record_daily(ledger, "new", "m", range(2, 7))
    record_daily(ledger, "long gone", "m", range(10, 30))
    found = health(ledger, NOON)
    last = f"{NOON - 2 * DAY:%Y-%m-%d} 12:30 UTC"
    assert found.silent == [f"goes on other since {last}", f"stopped m since {last}"]
    assert found.healthy
    assert found.notices == ["silent (subject and metric): 2"]


def test_silence_begins_after_24_hours_and_is_told_for_a_week(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    record_daily(ledger, "stopped", "m", range(1, 9))
    stopped = NOON - DAY
    told = {
        hours: len(health(ledger, stopped + timedelta(hours=hours)).silent)
        for hours in (1, 23, 24, 25, 26, 100, 7 * 24, 8 * 24 + 2)
    }
    assert told == {1: 0, 23: 0, 24: 0, 25: 1, 26: 1, 100: 1, 7 * 24: 1, 8 * 24 + 2: 0}


def test_who_starts_again_is_silent_no_more(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    record_daily(ledger, "a", "m", range(2, 9))
    assert health(ledger, NOON).silent
    ledger.record("a", "m", 1, at=NOON - timedelta(minutes=5))
    assert health(ledger, NOON).silent == []


def test_a_retired_metric_is_silent_on_purpose(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    record_daily(ledger, "a", "m", range(2, 9))
    ledger.call("retire_metric", key="m")
    assert health(ledger, NOON).silent == []


def test_it_looks_at_a_bounded_number_of_series(ledger: Ledger) -> None:
    """Whoever fell silent before 5,000 others did is not found any more; the poll stays cheap."""
    ledger.define("m", "sum", rollup="day")
    days = [NOON.replace(hour=0, minute=0) - n * DAY for n in range(8, 1, -1)]
    ledger.batch(
        [{"subject": f"s{s}", "metric": "m", "quantity": 1, "at": d} for s in range(5500) for d in days]
    )
    record_daily(ledger, "earlier", "m", range(3, 11))
    found = health(ledger, NOON)
    assert len(found.silent) == 100
    assert not any(line.startswith("earlier ") for line in found.silent)


def test_dead_rows_are_a_notice(ledger: Ledger) -> None:
    ledger.execute(
        "INSERT INTO meter.keys (event_id, at, digest)"
        " SELECT n, now(), gen_random_uuid() FROM generate_series(1, 12000) n"
    )
    ledger.execute("DELETE FROM meter.keys")
    ledger.execute("SELECT pg_stat_force_next_flush()")
    found = health(ledger)
    assert found.bloated == ["keys: 12000 of 12000 rows are dead, last vacuumed never"]
    assert (found.healthy, found.notices) == (True, ["bloated tables: 1"])
    ledger.execute("VACUUM meter.keys")
    ledger.execute("SELECT pg_stat_force_next_flush()")
    assert health(ledger).bloated == []


def test_it_locks_nobody_out_and_waits_for_nobody(ledger: Ledger) -> None:
    with ledger.connection.transaction():
        health(ledger)
        locks = ledger.rows(
            "SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
        )
    assert [row.mode for row in locks] == ["AccessShareLock"]


@pytest.mark.parametrize("setting", ["timezone = 'America/New_York'", "intervalstyle = 'iso_8601'"])
def test_it_depends_on_no_setting(ledger: Ledger, setting: str) -> None:
    ledger.define("m", "sum")
    record_daily(ledger, "a", "m", range(2, 9))
    before = health(ledger, NOON)
    ledger.execute(f"SET {setting}")
    assert health(ledger, NOON) == before


# ------------------------------------------------------------------------------------ what is not reported


def mapped(ledger: Ledger, biller: str) -> None:
    ledger.define("m", "sum")
    ledger.call("report_metric", metric="m", event_name="m", biller=biller)
    ledger.call("report_subject", subject="a", customer="cus_1", biller=biller)


def claimed(ledger: Ledger, biller: str) -> None:
    ledger.call("claim_pushes", biller=biller, worker="w")


def test_usage_that_waits_for_a_day_for_its_reporter_is_a_problem(ledger: Ledger) -> None:
    mapped(ledger, "stripe")
    claimed(ledger, "stripe")
    for planned in (False, True):
        ledger.record("a", "m", 1, at=NOON - 3 * DAY)
        if planned:
            ledger.call("plan_pushes")
        found = health(ledger, NOON)
        assert (found.healthy, found.problems) == (False, ["usage has not been reported for a day"])
        assert found.oldest_unreported_at is not None
    # What somebody decided not to send does not wait any more.
    for push in ledger.call("claim_pushes", biller="stripe", worker="w"):
        results = [{"push_id": push.push_id, "attempt": 1, "outcome": "rejected"}]
        ledger.call("settle_pushes", biller="stripe", worker="w", results=Jsonb(results))
    assert not health(ledger, NOON).healthy
    ledger.call("leave_pushes", reason="refused")
    assert health(ledger, NOON).healthy


@pytest.mark.parametrize("claims", [False, True])
def test_a_rehearsal_is_no_problem(ledger: Ledger, claims: bool) -> None:
    mapped(ledger, "stripe_shadow")
    ledger.record("a", "m", 1, at=NOON - 3 * DAY)
    ledger.call("plan_pushes", biller="stripe_shadow")
    ledger.record("a", "m", 1, at=NOON - 3 * DAY)
    if claims:
        claimed(ledger, "stripe_shadow")
    found = health(ledger, NOON)
    assert (found.healthy, found.problems, found.notices) == (True, [], [])
    assert found.oldest_unreported_at is None


def test_a_biller_that_nobody_has_reported_to_is_a_notice(ledger: Ledger) -> None:
    mapped(ledger, "new")
    ledger.record("a", "m", 1, at=NOON - 3 * DAY)
    found = health(ledger, NOON)
    assert (found.healthy, found.notices) == (True, ["no reporter has run yet for new"])
    claimed(ledger, "new")
    found = health(ledger, NOON)
    assert (found.healthy, found.notices) == (False, [])
