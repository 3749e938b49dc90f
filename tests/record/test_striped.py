"""A striped metric gives the same answers; its writers do not wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from tests.helpers import AGGREGATES, EACH_KIND, Ledger, at, of_each_kind


def payload(aggregate: str, number: int) -> dict[str, object]:
    return {"member": f"u{number % 3}"} if aggregate == "unique" else {"quantity": number}


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_p3_concurrent_writers_of_one_subject_neither_wait_nor_change_the_answer(
    ledger: Ledger, new_ledger: Callable[..., Ledger], aggregate: str
) -> None:
    ledger.define("plain", aggregate)
    ledger.define("striped", aggregate, striped=True)
    numbers = [5, 3, 4, 9, 9, 7]
    for number in numbers:
        ledger.record("a", "plain", at=at("2026-06-01 12:00"), **payload(aggregate, number))
    writers = [new_ledger(f"writer{n}", autocommit=False) for n in range(3)]
    for writer in writers:
        writer.execute("SET lock_timeout = '1s'")
    # A member that is new to a bucket has to be waited for, so the members are there before the writers race.
    for number in numbers[:3]:
        ledger.record("a", "striped", at=at("2026-06-01 12:00"), **payload(aggregate, number))
    for writer, number in zip(writers, numbers[3:], strict=True):
        writer.record("a", "striped", at=at("2026-06-01 12:00"), **payload(aggregate, number))
    for writer in writers:
        writer.connection.commit()
    assert ledger.value("SELECT count(*) FROM meter.buckets WHERE stripe > 0") > 0
    window = {"since": at("2026-06-01"), "until": at("2026-06-01 12:30")}
    for question in ({"period": "month", "now": at("2026-06-15")}, window):
        plain, striped = ledger.usage("a", "plain", **question), ledger.usage("a", "striped", **question)
        assert (striped.quantity, striped.event_count) == (plain.quantity, plain.event_count)
    assert ledger.verify() == []
    assert "merged stripes" in {action for action, _ in ledger.upkeep()}
    assert ledger.value("SELECT count(*) FROM meter.buckets WHERE stripe > 0") == 0
    assert ledger.verify() == []
    assert ledger.usage("a", "striped", **window).quantity == ledger.usage("a", "plain", **window).quantity


def test_the_total_that_record_returns_has_every_stripe_that_is_committed(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    ledger.define("m", "sum", striped=True)
    ledger.record("a", "m", 0)  # two first events of a subject wait for each other
    first = new_ledger("first", autocommit=False)
    first.record("a", "m", 1)
    assert ledger.record("a", "m", 2).quantity == Decimal(2)
    first.connection.commit()
    assert ledger.record("a", "m", 4, idempotency_key="k").quantity == Decimal(7)
    assert ledger.record("a", "m", 4, idempotency_key="k").quantity == Decimal(7)


@pytest.mark.at_length
@pytest.mark.parametrize("aggregate", EACH_KIND)
def test_p4_rebuild_restores_striped_rollups(
    ledger: Ledger, new_ledger: Callable[..., Ledger], aggregate: str
) -> None:
    ledger.define("m", aggregate, striped=True)
    ledger.record("a", "m", **payload(aggregate, 2))
    ledger.batch([{"subject": "a", "metric": "m", **payload(aggregate, n)} for n in range(5)])
    assert ledger.verify() == []
    before = ledger.usage("a", "m")
    ledger.tamper("event_count = event_count + 1", "stripe > 0")
    assert ledger.verify() != []
    assert ledger.rebuild() > 0
    assert ledger.verify() == []
    assert ledger.usage("a", "m") == before


def stripe(ledger: Ledger, new_ledger: Callable[..., Ledger], aggregate: str, start: int) -> None:
    """Two sessions that are in flight at once: the second one writes to a stripe."""
    first = new_ledger(f"first{start}", autocommit=False)
    # Of more than 64 sessions, two may have one stripe; then the second would wait for the first.
    for session, number in ((ledger, 1), (first, 2)):
        session.execute(f"SET pymeter.stripe = {number}")
    if aggregate == "unique":  # a member that is new to a bucket is waited for
        for number in (start, start + 1):
            ledger.record("a", "m", at=at("2026-06-18 10:00"), **payload(aggregate, number))
    elif not ledger.rows("SELECT FROM meter.series"):  # so is a subject that is new to a metric
        ledger.record("a", "m", at=at("2026-06-18 10:00"), **payload(aggregate, start))
    first.record("a", "m", at=at("2026-06-18 10:00"), **payload(aggregate, start))
    ledger.record("a", "m", at=at("2026-06-18 10:00"), **payload(aggregate, start + 1))
    first.connection.commit()


@pytest.mark.at_length
@pytest.mark.parametrize(("aggregate", "period"), of_each_kind("hour", "month", "never"))
def test_totals_have_every_stripe_while_striped_is_turned_off_and_on(
    ledger: Ledger, new_ledger: Callable[..., Ledger], aggregate: str, period: str
) -> None:
    """record() returns what usage() and check_quota() say, before and after maintain()."""
    ledger.define("m", aggregate, period=period, striped=True)
    stripe(ledger, new_ledger, aggregate, 1)
    numbers = iter(range(3, 40, 5))
    off, on, maintain = (False, False), (True, False), (False, True)
    for striped, maintained in (off, on, off, maintain, on, maintain, maintain):
        ledger.define("m", aggregate, striped=striped)
        for _ in range(2):
            recorded = ledger.record(
                "a", "m", at=at("2026-06-18 10:00"), **payload(aggregate, next(numbers, 2))
            )
            expected, count = ledger.brute("a", "m")
            assert recorded.quantity == expected
            answer = ledger.usage("a", "m", now=at("2026-06-18 10:30"))
            assert (answer.quantity, answer.event_count) == (expected, count)
            now = at("2026-06-18 10:30")
            assert ledger.call("check_quota", subject="a", metric="m", quota=9, now=now)[0].used == expected
        if striped:
            stripe(ledger, new_ledger, aggregate, next(numbers, 2))
        if maintained:
            ledger.upkeep()
            assert ledger.value("SELECT count(*) FROM meter.buckets WHERE stripe > 0") == 0
        assert ledger.verify() == []
    assert ledger.value("SELECT bool_or(has_stripes) FROM meter.series") is False


def test_a_writer_that_still_takes_the_metric_for_striped_is_waited_for_before_stripes_are_forgotten(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    ledger.define("m", "sum", striped=True)
    ledger.maintain()
    slow = new_ledger("slow", autocommit=False)
    slow.record("a", "m", 1)
    ledger.define("m", "sum", striped=False)
    ledger.execute("SET lock_timeout = '1s'")
    ledger.maintain()
    slow.connection.commit()
    ledger.maintain()
    assert ledger.value("SELECT bool_or(has_stripes) FROM meter.series") is False
    assert ledger.record("a", "m", 2).quantity == 3


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_unmapped_usage_is_that_of_whole_buckets_not_of_their_stripes(
    ledger: Ledger, new_ledger: Callable[..., Ledger], aggregate: str
) -> None:
    ledger.define("m", aggregate, striped=True)
    stripe(ledger, new_ledger, aggregate, 9)
    stripe(ledger, new_ledger, aggregate, 6)
    assert ledger.value("SELECT count(*) FROM meter.buckets WHERE stripe > 0") > 0
    mode = "last" if aggregate in ("min", "avg", "last") else "delta"
    ledger.rows("SELECT meter.report_metric('m', 'calls', %s)", [mode])
    (row,) = ledger.rows("SELECT quantity FROM meter.report_status() WHERE state = 'unmapped'")
    assert row.quantity == ledger.usage("a", "m", now=at("2026-06-20")).quantity


@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize("setting", ["-5", "0", "70000", "abc", "1e1", "٣"])
def test_p1_a_session_that_sets_its_stripe_to_nonsense_loses_no_event(
    ledger: Ledger, setting: str, how: str
) -> None:
    ledger.define("m", "sum", striped=True)
    ledger.rows("SELECT set_config('pymeter.stripe', %s, false)", [setting])
    event = {"subject": "a", "metric": "m", "quantity": 1}
    for _ in range(2):
        ledger.batch([event]) if how == "batch" else ledger.record(**event)
    assert len(ledger.call("events", subject="a")) == 2
    assert ledger.usage("a", "m").quantity == 2
    assert ledger.verify() == []
