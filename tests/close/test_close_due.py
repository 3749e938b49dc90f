"""close_due() closes each billing cycle once, in its turn, whatever fails for others."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.helpers import Ledger, at

AUGUST = at("2026-08-01 02:00")


@pytest.fixture
def metered(ledger: Ledger) -> Ledger:
    ledger.call("define_metric", key="tokens", aggregate="sum", unit="token")
    return ledger


def record(ledger: Ledger, subject: str, day: str, metric: str = "tokens", **more: Any) -> None:
    ledger.call("record", subject=subject, metric=metric, quantity=5, at=at(day), **more)


def due(ledger: Ledger, now: Any, max_rows: int = 1000) -> list[tuple[str, Any, Any, str]]:
    rows = ledger.call("close_due", now=now, max_rows=max_rows)
    return [(row.subject, row.since, row.until, row.outcome) for row in rows]


def month(number: int) -> tuple[Any, Any]:
    return at(f"2026-{number:02}-01"), at(f"2026-{number + 1:02}-01")


def test_a_subject_begins_with_its_last_ended_cycle_and_goes_on_from_there(metered: Ledger) -> None:
    for day in ("2026-03-10", "2026-05-10", "2026-07-10"):
        record(metered, "acct_1", day)
    assert due(metered, AUGUST) == [("acct_1", *month(7), "closed")]
    assert due(metered, AUGUST) == []
    months = [("acct_1", *month(number), "closed") for number in (8, 9, 10)]
    assert sorted(due(metered, at("2026-11-01 02:00"))) == months


def test_a_subject_that_came_after_the_cycle_waits_for_the_next_one(metered: Ledger) -> None:
    record(metered, "acct_1", "2026-08-01 01:00")
    assert due(metered, AUGUST) == []
    assert due(metered, at("2026-09-01 02:00")) == [("acct_1", *month(8), "closed")]


def test_a_cycle_is_closed_when_the_setting_grace_is_over(metered: Ledger) -> None:
    record(metered, "acct_1", "2026-07-10")
    assert due(metered, at("2026-08-01 00:59:59.999999")) == []
    metered.call("set_setting", name="grace", value="3 days")
    assert due(metered, at("2026-08-03 23:59")) == []
    assert due(metered, at("2026-08-04")) == [("acct_1", *month(7), "closed")]


def test_each_subject_has_its_own_cycle_also_after_it_was_changed(metered: Ledger) -> None:
    record(metered, "calendar", "2026-07-10")
    record(metered, "own", "2026-06-20")
    metered.call("set_billing_cycle", subject="own", anchor=at("2026-05-15"))
    own = (at("2026-06-15"), at("2026-07-15"))
    assert sorted(due(metered, AUGUST)) == [
        ("calendar", *month(7), "closed"),
        ("own", *own, "closed"),
    ]
    metered.call("set_billing_cycle", subject="own", anchor=at("2026-05-20"), since=at("2026-07-15"))
    assert due(metered, at("2026-07-21 02:00")) == [("own", at("2026-07-15"), at("2026-07-20"), "closed")]


@pytest.mark.parametrize(
    ("aggregate", "period", "rollup", "striped"),
    [("sum", "never", "none", False), ("sum", "month", "hour", True), ("max", "year", "day", False)],
)
def test_subjects_of_every_kind_of_metric_are_found(
    ledger: Ledger, aggregate: str, period: str, rollup: str, striped: bool
) -> None:
    ledger.call(
        "define_metric", key="m", aggregate=aggregate, unit="u", period=period, rollup=rollup, striped=striped
    )
    record(ledger, "acct_1", "2026-07-10", metric="m")
    assert due(ledger, AUGUST) == [("acct_1", *month(7), "closed")]


def test_it_goes_on_where_it_ended(metered: Ledger) -> None:
    for n in range(7):
        record(metered, f"acct_{n}", "2026-07-10")
    found = [due(metered, AUGUST, max_rows=3) for _ in range(4)]
    assert [len(rows) for rows in found] == [3, 3, 1, 0]
    assert sorted(row[0] for rows in found for row in rows) == [f"acct_{n}" for n in range(7)]


def test_what_cannot_be_closed_is_postponed_with_its_reason_and_stops_no_other(
    metered: Ledger,
) -> None:
    for subject in ("drifts", "fine"):
        record(metered, subject, "2026-07-10")
    metered.execute(
        "UPDATE meter.series SET fine_total = fine_total + 1, coarse_total = coarse_total + 1"
        " WHERE subject = 'drifts'"
    )
    rows = {row.subject: row for row in metered.call("close_due", now=AUGUST)}
    assert (rows["fine"].outcome, rows["fine"].sqlstate) == ("closed", None)
    assert (rows["drifts"].outcome, rows["drifts"].sqlstate) == ("postponed", "55000")
    assert rows["drifts"].message == "buckets of the period do not equal the log"
    assert "subjects whose period could not be closed: 1; close_due() says why" in (
        metered.call("health")[0].notices
    )
    record(metered, "later", "2026-07-10")
    assert [row[0] for row in due(metered, AUGUST, max_rows=1)] == ["later"]
    assert [row[0] for row in due(metered, AUGUST, max_rows=1)] == ["drifts"]
    metered.call("rebuild")
    assert due(metered, AUGUST) == [("drifts", *month(7), "closed")]
    assert metered.call("health")[0].notices == []


def test_a_subject_whose_recorder_hangs_is_postponed(metered: Ledger) -> None:
    for subject in ("hangs", "fine"):
        record(metered, subject, "2026-07-10")
    with psycopg.connect(metered.connection.info.dsn) as other:
        other.execute("SELECT meter.record('hangs', 'tokens', 1)")
        outcomes = {row.subject: (row.outcome, row.sqlstate) for row in metered.call("close_due", now=AUGUST)}
        assert outcomes == {"fine": ("closed", None), "hangs": ("postponed", "55P03")}
    assert due(metered, AUGUST) == [("hangs", *month(7), "closed")]


@pytest.mark.parametrize(
    ("now", "max_rows", "sqlstate"),
    [
        ("infinity", 1, "22023"),
        ("2026-08-01", 0, "22023"),
        ("2026-08-01", 10_001, "22023"),
        ("2026-08-01", None, "22004"),
    ],
)
def test_bad_arguments_are_refused(metered: Ledger, now: str, max_rows: Any, sqlstate: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        metered.call("close_due", now=now, max_rows=max_rows)
    assert refused.value.sqlstate == sqlstate
    assert refused.value.diag.message_hint
