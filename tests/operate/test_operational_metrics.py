"""operational_metrics(): the numbers that a monitor polls, and nothing that recording would pay for."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import PERIODS, ROLLUPS, Ledger, at, examples

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
_EXAMPLES = itertools.count()


def numbers(ledger: Ledger, now: datetime | None = None) -> dict[Any, Decimal]:
    """By name, or by name and label, without the prefix that all names have."""
    rows = ledger.call("operational_metrics", **({} if now is None else {"now": now}))
    found = {
        (row.name.removeprefix("pymeter_"), *row.labels.values())
        if row.labels
        else row.name.removeprefix("pymeter_"): row.value
        for row in rows
    }
    assert len(found) == len(rows), "a name and its labels are one number"
    return found


def test_of_an_empty_meter_every_number_is_there_that_needs_no_event(ledger: Ledger) -> None:
    found = numbers(ledger)
    assert found["maintenance_age_seconds"] >= 0
    assert found["partition_horizon_days"] > 85
    assert {name for name, value in found.items() if value == 0} >= {
        *("event_ids_total", "reservations_open", "reservations_oldest_seconds"),
        *("notifications_pending", "notifications_oldest_seconds", "notifications_dead"),
        *("unreported_oldest_seconds", "default_partition_rows", "periods_unclosed", "late_usage_open"),
        "health_problems",
    }
    assert {key[1] for key in found if key[0] == "pushes"} == {
        *("planned", "sending", "uncertain", "held", "rejected")
    }
    assert "drift_rows" not in found, "nobody has verified yet"


def test_names_types_and_labels_are_those_of_prometheus(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.record("secret subject", "m", 1)
    for row in ledger.call("operational_metrics"):
        assert row.name.startswith("pymeter_")
        assert (row.type == "counter") == row.name.endswith("_total")
        assert set(row.labels) <= {"metric", "state"}
        assert row.help.endswith(".")
        assert "secret subject" not in str(row)


@examples(25)
@given(
    events=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("mn"), st.integers(0, 90 * 24 * 60)), max_size=25
    ),
    period=st.sampled_from(PERIODS),
    rollup=st.sampled_from(ROLLUPS),
    striped=st.booleans(),
    voided=st.integers(0, 3),
)
def test_events_recorded_is_what_the_log_has_without_what_was_voided(
    ledger: Ledger,
    events: list[tuple[str, str, int]],
    period: str,
    rollup: str,
    striped: bool,
    voided: int,
) -> None:
    example = next(_EXAMPLES)
    for metric in "mn":
        ledger.define(f"{metric}{example}", "sum", period=period, rollup=rollup, striped=striped)
    ids = []
    for number, (subject, metric, minutes) in enumerate(events):
        ledger.execute(f"SET pymeter.stripe = {number % 3}")
        when = NOW - timedelta(minutes=minutes)
        key = f"{metric}{example}"
        ids.append((subject, key, ledger.record(subject, key, 1, at=when).event_id))
    for subject, key, event_id in ids[:voided]:
        ledger.call("void_event", subject=subject, metric=key, event_id=event_id, reason="a test")
    left = Counter(key for _, key, _ in ids[voided:])
    keys = [f"m{example}", f"n{example}"]
    found = numbers(ledger)
    assert {key: int(found["events_recorded", key]) for key in keys} == {key: left[key] for key in keys}
    assert found["event_ids_total"] >= len(events)
    ledger.maintain()
    assert {key: int(numbers(ledger)["events_recorded", key]) for key in keys} == {
        key: left[key] for key in keys
    }


def test_the_age_of_the_latest_event_is_by_its_own_time(ledger: Ledger) -> None:
    for metric in ("old", "new", "none", "retired"):
        ledger.define(metric, "sum")
    ledger.record("a", "old", 1, at=NOW - 3 * DAY)
    ledger.record("b", "old", 1, at=NOW - 2 * DAY)
    ledger.record("a", "old", 1, at=NOW - 5 * DAY)
    ledger.record("a", "new", 1, at=NOW - timedelta(minutes=5))
    ledger.record("a", "retired", 1)
    ledger.call("retire_metric", key="retired")
    found = numbers(ledger, NOW)
    ages = {key[1]: value for key, value in found.items() if key[0] == "last_event_age_seconds"}
    assert ages == {"old": 2 * 86400, "new": 300}


def test_a_metric_with_too_many_subjects_has_an_age_and_no_sum(ledger: Ledger) -> None:
    ledger.define("few", "sum")
    ledger.define("many", "sum")
    ledger.record("a", "few", 1)
    for part in range(0, 5002, 1667):
        ledger.batch(
            [
                {"subject": f"s{n}", "metric": "many", "quantity": 1, "at": NOW - timedelta(hours=2)}
                for n in range(part, min(part + 1667, 5001))
            ]
        )
    found = numbers(ledger, NOW)
    assert found["events_recorded", "few"] == 1
    assert ("events_recorded", "many") not in found
    assert found["last_event_age_seconds", "many"] == 7200


def test_many_metrics_share_what_is_read_of_them(ledger: Ledger) -> None:
    """Otherwise 100 metrics would take seconds at every poll, and 500 more than a scrape may take."""
    metrics = [f"m{n:02}" for n in range(50)]
    for metric in metrics:
        ledger.define(metric, "sum", period="day", rollup="none")
    for metric, days in (("m00", 4000), ("m01", 4001)):
        for ago in (2, 1):
            ledger.record("a", metric, 1, at=NOW - ago * DAY)
        ledger.execute(
            "INSERT INTO meter.rollups SELECT (jsonb_populate_record(r, jsonb_build_object("
            "'bucket_start', r.bucket_start - n * interval '1 day'))).* FROM meter.rollups r"
            " JOIN meter.series s USING (series_id) CROSS JOIN generate_series(1, %s) n WHERE s.metric = %s",
            [days - 1, metric],
        )
    found = numbers(ledger)
    assert found["events_recorded", "m00"] == 4001
    assert ("events_recorded", "m01") not in found
    assert found["last_event_age_seconds", "m01"] > 0


def test_an_answer_that_recorded_nothing_is_not_counted(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    for _ in range(3):
        ledger.record("a", "m", 1, idempotency_key="k")
    assert numbers(ledger)["events_recorded", "m"] == 1


def test_refusals_are_counted_by_metric_for_a_day(ledger: Ledger) -> None:
    for metric in ("limited", "free"):
        ledger.define(metric, "sum", period="month")
    ledger.call("set_limit", metric="limited", quota=5, action="block")
    for subject in ("a", "b"):
        for _ in range(3):
            ledger.record(subject, "limited", 4)
    assert numbers(ledger)["limit_refused_subjects", "limited"] == 2
    assert ("limit_refused_subjects", "free") not in numbers(ledger)
    assert numbers(ledger, NOW + 2 * DAY)["limit_refused_subjects", "limited"] == 0


def test_reservations_count_while_they_hold(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    for _ in range(2):
        held = ledger.call("reserve", subject="a", metric="m", quantity=1, ttl="10 minutes")[0]
    later = datetime.now(UTC) + timedelta(minutes=5)
    found = numbers(ledger, later)
    assert found["reservations_open"] == 2
    assert 290 < found["reservations_oldest_seconds"] < 400
    ledger.call("settle", reservation_id=held.reservation_id, quantity=1)
    assert numbers(ledger)["reservations_open"] == 1
    assert numbers(ledger, later + timedelta(hours=1))["reservations_open"] == 0


def test_what_is_to_be_sent_is_pending_until_it_is_sent_or_dead(ledger: Ledger) -> None:
    ledger.call("define_endpoint", name="ops", url="https://example.com/hook")
    ledger.define("m", "sum", period="month")
    ledger.call("set_limit", metric="m", quota=5, action="block")
    ledger.record("a", "m", 9)
    pending = numbers(ledger)["notifications_pending"]
    assert pending >= 1
    found = numbers(ledger, datetime.now(UTC) + timedelta(hours=3))
    assert found["notifications_oldest_seconds"] >= 3 * 3600 - 60
    assert found["health_problems"] >= 1
    ledger.call("plan_deliveries")
    assert numbers(ledger)["notifications_pending"] == pending
    ledger.execute("UPDATE meter.deliveries SET state = 'dead', settled_at = now()")
    found = numbers(ledger)
    assert (found["notifications_pending"], found["notifications_dead"]) == (0, pending)


def test_usage_and_pushes_that_wait_for_a_biller_show(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    for biller in ("stripe", "stripe_shadow"):
        ledger.call("report_metric", metric="m", event_name="m", biller=biller)
        ledger.call("report_subject", subject="a", customer="cus_1", biller=biller)
    ledger.call("claim_pushes", biller="stripe", worker="w")
    ledger.record("a", "m", 1, at=NOW - 3 * DAY)
    assert numbers(ledger, NOW)["unreported_oldest_seconds"] >= 2 * 86400
    for biller in ("stripe", "stripe_shadow"):
        ledger.call("plan_pushes", biller=biller)
    assert numbers(ledger)["pushes", "planned"] == 1, "a rehearsal is not counted"


def test_strays_and_missing_partitions_show(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1, at=at("1999-01-01"))
    ledger.record("a", "m", 1, at=at("2001-01-01"))
    assert numbers(ledger)["default_partition_rows"] == 2
    last = ledger.value("SELECT max(month) FROM meter.log_months")
    end = (last + 32 * DAY).replace(day=1)
    assert numbers(ledger, end - 6 * DAY)["partition_horizon_days"] == 6
    assert numbers(ledger, end + 6 * DAY)["partition_horizon_days"] == 0


def test_maintenance_has_an_age_even_if_it_never_ran(ledger: Ledger) -> None:
    last = ledger.value("SELECT done_at FROM meter.maintenance WHERE task = 'maintain'")
    assert numbers(ledger, last + 2 * DAY)["maintenance_age_seconds"] == 2 * 86400
    ledger.execute("DELETE FROM meter.maintenance")
    installed = ledger.value("SELECT min(installed_at) FROM meter.installation")
    assert numbers(ledger, installed + 3 * DAY)["maintenance_age_seconds"] == 3 * 86400


def test_what_the_last_check_has_found_stays_until_the_next(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1)
    assert ledger.call("check_drift")[0][0] == 0
    found = numbers(ledger)
    assert found["drift_rows"] == 0
    assert 0 <= found["drift_check_age_seconds"] < 60
    ledger.execute("UPDATE meter.series SET fine_total = fine_total + 1, coarse_total = coarse_total + 1")
    assert numbers(ledger)["drift_rows"] == 0, "a poll verifies nothing"
    drifts = ledger.call("check_drift")[0][0]
    assert drifts == len(ledger.verify()) > 0
    assert numbers(ledger)["drift_rows"] == drifts
    ledger.rebuild()
    assert ledger.call("check_drift")[0][0] == 0
    assert numbers(ledger)["drift_rows"] == 0


def test_periods_that_are_due_and_late_usage_show(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1, at=at("2026-01-10"))
    ledger.call(
        "close_period", subject="a", since=at("2026-01-01"), until=at("2026-02-01"), now=at("2026-02-02")
    )
    ledger.record("a", "m", 5, at=at("2026-01-11"))
    for _ in range(2):  # a call that creates partitions leaves the notifications to the next
        ledger.maintain()
    found = numbers(ledger)
    assert found["late_usage_open"] == 1
    assert found["periods_unclosed"] == sum("billing cycle" in p for p in ledger.call("health")[0].problems)
    ledger.call(
        "settle_late_usage",
        statement_id=ledger.value("SELECT min(statement_id) FROM meter.statements('a')"),
        metric="m",
        delta=5,
        decision="waive",
    )
    assert numbers(ledger)["late_usage_open"] == 0


@pytest.mark.parametrize("now", ["infinity", "-infinity"])
def test_a_time_that_is_none_is_refused(ledger: Ledger, now: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refused:
        ledger.rows("SELECT meter.operational_metrics(%s)", [now])
    assert refused.value.diag.message_hint


def test_it_takes_the_locks_of_a_reader_only(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1)
    with ledger.connection.transaction():
        numbers(ledger)
        locks = ledger.rows(
            "SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
        )
    assert [row.mode for row in locks] == ["AccessShareLock"]


@pytest.mark.slow
def test_it_reads_a_bounded_part_of_a_meter_with_many_series(ledger: Ledger) -> None:
    """Rows read, not seconds: they are the same on every machine."""
    ledger.define("m", "sum", period="month", rollup="none")
    ledger.record("s", "m", 1)
    ledger.execute(
        "INSERT INTO meter.series SELECT (s).* FROM (SELECT jsonb_populate_record(s, jsonb_build_object("
        "'series_id', n + 100, 'subject', 's' || n)) AS s FROM meter.series s, generate_series(1, 30000) n) t"
    )
    ledger.execute("ANALYZE meter.series")

    def read() -> int:
        ledger.execute("SELECT pg_stat_force_next_flush()")
        ledger.execute("SELECT pg_stat_clear_snapshot()")
        return int(
            ledger.value(
                "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables"
                " WHERE schemaname = 'meter' AND relname = 'series'"
            )
        )

    before = read()
    started = time.monotonic()
    numbers(ledger)
    assert time.monotonic() - started < 10
    assert read() - before <= 5001 + 2 * 5000
