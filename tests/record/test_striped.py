"""A striped metric gives the same answers; its writers do not wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from tests.helpers import Ledger, at

AGGREGATES = ["count", "sum", "min", "max", "avg", "last", "unique"]


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
    assert ledger.value("SELECT count(*) FROM meter.rollups WHERE stripe > 0") > 0
    window = {"since": at("2026-06-01"), "until": at("2026-06-01 12:30")}
    for question in ({"period": "month", "now": at("2026-06-15")}, window):
        plain, striped = ledger.usage("a", "plain", **question), ledger.usage("a", "striped", **question)
        assert (striped.quantity, striped.event_count) == (plain.quantity, plain.event_count)
    assert ledger.verify() == []
    assert "merged stripes" in {action for action, _ in ledger.maintain()}
    assert ledger.value("SELECT count(*) FROM meter.rollups WHERE stripe > 0") == 0
    assert ledger.verify() == []
    assert ledger.usage("a", "striped", **window).quantity == ledger.usage("a", "plain", **window).quantity


def test_the_total_that_record_returns_has_every_stripe_that_is_committed(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    ledger.define("m", "sum", striped=True)
    first = new_ledger("first", autocommit=False)
    first.record("a", "m", 1)
    assert ledger.record("a", "m", 2).quantity == Decimal(2)
    first.connection.commit()
    assert ledger.record("a", "m", 4, idempotency_key="k").quantity == Decimal(7)
    assert ledger.record("a", "m", 4, idempotency_key="k").quantity == Decimal(7)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_p4_rebuild_restores_striped_rollups(
    ledger: Ledger, new_ledger: Callable[..., Ledger], aggregate: str
) -> None:
    ledger.define("m", aggregate, striped=True)
    ledger.record("a", "m", **payload(aggregate, 2))
    ledger.batch([{"subject": "a", "metric": "m", **payload(aggregate, n)} for n in range(5)])
    assert ledger.verify() == []
    before = ledger.usage("a", "m")
    ledger.execute("UPDATE meter.rollups SET event_count = event_count + 1 WHERE stripe > 0")
    assert ledger.verify() != []
    assert ledger.rebuild() > 0
    assert ledger.verify() == []
    assert ledger.usage("a", "m") == before
