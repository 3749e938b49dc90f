"""What was answered as of a watermark is answered for ever: by the textbook, and in the special cases."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.close.remember import Remembered, assert_still_so, remember
from tests.close.watched import Watched
from tests.correct.histories import Author, define
from tests.helpers import AGGREGATES, Ledger, at, at_length, refused

NewLedger = Callable[..., Ledger]

JUNE, JULY = at("2026-06-01"), at("2026-07-01")
NOON = at("2026-06-18 12:00")


def watermark(ledger: Ledger, subject: str = "a") -> datetime:
    found: datetime = ledger.value("SELECT meter.watermark(%s)", [subject])
    return found


def june(ledger: Ledger, as_of: datetime | None = None, metric: str = "m") -> tuple[Any, int]:
    row = ledger.usage("a", metric, since=JUNE, until=JULY, **({"as_of": as_of} if as_of else {}))
    return row.quantity, row.event_count


def payload(aggregate: str, n: int) -> dict[str, Any]:
    return {"member": f"u{n}"} if aggregate == "unique" else {"quantity": n}


# -------------------------------------------------------------------------------------------- histories


@pytest.mark.at_length
@pytest.mark.parametrize("striped", [False, True], ids=["plain", "striped"])
def test_every_answer_as_of_a_watermark_is_the_models_of_that_time(
    ledger: Ledger, new_ledger: NewLedger, striped: bool
) -> None:
    """Events, voids, amends that move an event, adjustments, corrections in steps and their reverts."""
    define(ledger, striped=striped)
    sessions = [ledger, new_ledger("second"), new_ledger("third")]
    for seed in range(at_length(1, 40)):
        draw = random.Random(1000 * striped + seed)
        life = Watched(sessions, f"{seed}", draw)
        life.live(Author(draw).history(at_length(30, 40)), check_every=5)
        assert len(life.marks) >= 4, "too few watermarks: this tested nothing"
        life.assert_marks()
        ledger.rebuild()
        ledger.upkeep()
        life.assert_marks()


# ------------------------------------------------------------------------------------- corrections in time


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_a_void_and_its_revert_count_from_when_they_were_recorded(ledger: Ledger, aggregate: str) -> None:
    ledger.define("m", aggregate)
    found = []
    ledger.record("a", "m", at=NOON, idempotency_key="low", **payload(aggregate, 2))
    ledger.record("a", "m", at=NOON + timedelta(hours=1), idempotency_key="high", **payload(aggregate, 8))
    found.append(remember(ledger, "a", watermark(ledger)))
    voided = ledger.call("void_event", subject="a", metric="m", idempotency_key="high", reason="why")[0]
    found.append(remember(ledger, "a", watermark(ledger)))
    ledger.value("SELECT meter.revert_correction(%s, 'no')", [voided.correction_id])
    found.append(remember(ledger, "a", watermark(ledger)))
    ledger.call("void_event", subject="a", metric="m", idempotency_key="high", reason="again")
    found.append(remember(ledger, "a", watermark(ledger)))
    first, second, third, fourth = (one.answers["all m"] for one in found)
    assert (first, second) == (third, fourth)
    assert first != second
    assert [one.answers["events"] for one in found] == [2, 3, 4, 5]
    for one in found:
        assert_still_so(ledger, one)


@pytest.mark.parametrize("aggregate", ["sum", "max", "last", "unique"])
def test_an_amend_moves_an_event_from_its_own_time_on(ledger: Ledger, aggregate: str) -> None:
    ledger.define("m", aggregate)
    ledger.record("a", "m", at=NOON, idempotency_key="k", **payload(aggregate, 5))
    before = watermark(ledger)
    ledger.call(
        "amend_event", subject="a", metric="m", idempotency_key="k", at=at("2026-05-02 03:04"), reason="why"
    )
    after = watermark(ledger)
    assert [june(ledger, as_of)[1] for as_of in (before, after)] == [1, 0]
    may = {"since": at("2026-05-01"), "until": JUNE}
    assert [ledger.usage("a", "m", **may, as_of=as_of).event_count for as_of in (before, after)] == [0, 1]


def test_late_events_and_adjustments_count_after_the_watermark_only(ledger: Ledger) -> None:
    """Stated 5, now 8."""
    ledger.define("m", "sum")
    ledger.record("a", "m", 5, at=NOON)
    drawn = watermark(ledger)
    ledger.record("a", "m", 4, at=NOON + timedelta(days=1))
    ledger.call("adjust", subject="a", metric="m", quantity=-1, at=NOON, reason="goodwill")
    assert june(ledger) == (Decimal(8), 2)
    assert june(ledger, drawn) == (Decimal(5), 1)
    assert june(ledger, watermark(ledger)) == (Decimal(8), 2)
    days = ledger.call("series", subject="a", metric="m", since=JUNE, until=JULY, as_of=drawn)
    assert [(day.bucket_start, day.quantity) for day in days if day.has_data] == [(at("2026-06-18"), 5)]


# --------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("function", ["usage", "summary", "series", "events"])
@pytest.mark.parametrize("drawn", [False, True], ids=["no watermark", "an earlier watermark"])
def test_a_time_after_the_last_watermark_is_refused_with_what_to_do(
    ledger: Ledger, function: str, drawn: bool
) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 5, at=NOON)
    last = watermark(ledger) if drawn else NOON
    given: dict[str, Any] = {"subject": "a", "as_of": last + timedelta(microseconds=drawn)}
    if function in ("usage", "series"):
        given["metric"] = "m"
    if function == "series":
        given |= {"since": JUNE, "until": JULY}
    with refused("55P03", "as_of") as caught:
        ledger.call(function, **given)
    hint = caught.value.diag.message_hint
    assert hint is not None
    assert "meter.watermark('a')" in hint
    watermark(ledger, "another")  # of another subject: no help
    with refused("55P03", "as_of"):
        ledger.call(function, **given)
    if drawn:
        ledger.call(function, **given | {"as_of": last})
    for bad in ("infinity", "-infinity"):
        with refused("22023", "as_of"):
            ledger.rows(f"SELECT * FROM meter.summary('a', as_of => '{bad}')")


def test_a_watermark_that_is_rolled_back_is_none(ledger: Ledger, new_ledger: NewLedger) -> None:
    ledger.define("m", "sum")
    session = new_ledger(autocommit=False)
    drawn = watermark(session)
    assert june(session, drawn) == (0, 0)
    session.connection.rollback()
    with refused("55P03", "as_of"):
        june(ledger, drawn)


def test_an_earlier_time_than_the_last_watermark_is_as_final(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    times = []
    for _ in range(5):
        ledger.record("a", "m", 1, at=NOON)
        times.append(ledger.value("SELECT clock_timestamp()"))
    watermark(ledger)
    assert [june(ledger, moment) for moment in times] == [(n + 1, n + 1) for n in range(5)]


# -------------------------------------------------------------------------------------- special windows


@pytest.mark.parametrize("aggregate", ["sum", "max"])
def test_as_of_in_a_billing_cycle(ledger: Ledger, aggregate: str) -> None:
    ledger.define("m", aggregate)
    ledger.call("set_billing_cycle", subject="a", anchor=at("2026-01-15"), since=at("2026-01-15"))
    ledger.record("a", "m", 5, at=NOON)
    drawn = watermark(ledger)
    ledger.record("a", "m", 7, at=NOON)
    cycle = {"period": "cycle", "now": NOON}
    row = ledger.usage("a", "m", **cycle, as_of=drawn)
    assert (row.quantity, row.since, row.until) == (5, at("2026-06-15"), at("2026-07-15"))
    assert ledger.usage("a", "m", **cycle).quantity == (12 if aggregate == "sum" else 7)
    (line,) = ledger.call("summary", subject="a", **cycle, as_of=drawn)
    assert line.quantity == 5
    steps = ledger.call("series", subject="a", metric="m", since=JUNE, until=JULY, step="cycle", as_of=drawn)
    assert [step.quantity for step in steps if step.event_count] == [5]


def test_the_value_that_is_carried_into_a_window_is_that_of_the_time(ledger: Ledger) -> None:
    ledger.define("m", "last", carry=True)
    ledger.record("a", "m", 5, at=at("2026-04-01"), idempotency_key="first")
    times = [watermark(ledger)]
    ledger.record("a", "m", 7, at=at("2026-05-01"), idempotency_key="late")
    times.append(watermark(ledger))
    void = ledger.call("void_event", subject="a", metric="m", idempotency_key="late", reason="why")[0]
    times.append(watermark(ledger))
    ledger.value("SELECT meter.revert_correction(%s, 'no')", [void.correction_id])
    times.append(watermark(ledger))
    ledger.call("amend_event", subject="a", metric="m", idempotency_key="first", quantity=6, reason="why")
    ledger.call("void_event", subject="a", metric="m", idempotency_key="late", reason="why")
    times.append(watermark(ledger))
    expected = [5, 7, 5, 7, 6]
    assert [june(ledger, drawn) for drawn in times] == [(value, 0) for value in expected]
    for drawn, value in zip(times, expected, strict=True):
        days = ledger.call("series", subject="a", metric="m", since=JUNE, until=JULY, as_of=drawn)
        assert {day.quantity for day in days} == {value}
    assert june(ledger) == (6, 0)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_a_month_that_retention_has_dropped_cannot_be_asked_as_of(ledger: Ledger, aggregate: str) -> None:
    ledger.define("m", aggregate)
    ledger.record("a", "m", at=at("2024-01-15 10:00"), **payload(aggregate, 5))
    ledger.record("a", "m", at=NOON, **payload(aggregate, 2))
    ledger.maintain()
    drawn = watermark(ledger)
    kept = remember_june(ledger, drawn)
    ledger.upkeep(keep="13 months")
    with refused("UM006"):
        ledger.usage("a", "m", period="never", as_of=drawn)
    with refused("UM006"):
        ledger.usage("a", "m", since=at("2024-01-01"), until=at("2024-02-01"), as_of=drawn)
    assert ledger.usage("a", "m", period="never").event_count == 2
    assert remember_june(ledger, drawn) == kept
    assert ledger.usage("b", "m", period="never", as_of=watermark(ledger, "b")).event_count == 0


def remember_june(ledger: Ledger, drawn: datetime) -> Any:
    days = ledger.call("series", subject="a", metric="m", since=JUNE, until=JULY, as_of=drawn)
    return june(ledger, drawn), [(day.quantity, day.event_count) for day in days]


def test_a_snapshot_from_before_a_move_of_events_is_told_to_try_again(
    ledger: Ledger, new_ledger: NewLedger
) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 5, at=NOON)
    drawn = watermark(ledger)
    reader = new_ledger(autocommit=False)
    reader.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    reader.execute("SELECT count(*) FROM meter.series")
    assert "moved strays" in dict(ledger.maintain())
    with refused("40001"):
        june(reader, drawn)
    reader.connection.rollback()
    assert june(reader, drawn) == (5, 1)


def test_one_answer_is_one_moment_although_others_record(ledger: Ledger, new_ledger: NewLedger) -> None:
    """A sum is that of now less what came after: both are read in one snapshot."""
    ledger.define("m", "sum")
    ledger.record("a", "m", 5, at=NOON)
    found: list[Remembered] = [remember(ledger, "a", watermark(ledger))]
    reader = new_ledger("reader", autocommit=False)
    reader.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    reader.execute("SELECT count(*) FROM meter.series")
    ledger.record("a", "m", 7, at=NOON)
    assert june(reader, found[0].as_of) == (5, 1)
    later = watermark(ledger)
    with refused("55P03", "as_of"):  # the snapshot knows of no such watermark, nor of all that is below
        june(reader, later)
