"""The worked examples of late usage in money, record, close, late, decide, close the next."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.close.closing import assert_balanced
from tests.helpers import Ledger, at
from tests.pricing.billing import SUBJECT, Billing, total, unit
from tests.pricing.closings import (
    AUGUST,
    JULY,
    JUNE,
    assert_sums,
    close,
    columns,
    late_lines,
    lines,
    of_kind,
    preview,
)


def tiers(model: str, *steps: tuple[int | None, str]) -> dict[str, Any]:
    return {"model": model, "tiers": [{"up_to": up_to, "unit_amount": amount} for up_to, amount in steps]}


TEN = unit("10")
VOLUME_15 = tiers("volume", (15, "10"), (None, "5"))
VOLUME_100 = tiers("volume", (100, "10"), (200, "9"), (None, "8"))
GRADUATED = tiers("graduated", (10, "2"), (20, "3"), (None, "5"))


def bill(ledger: Ledger) -> Any:
    """Decides to bill the only late line; returns the line as late_usage() had it."""
    (line,) = ledger.call("late_usage", subject=SUBJECT)
    settled = ledger.call(
        "settle_late_usage",
        statement_id=line.statement_id,
        metric=line.metric,
        delta=line.delta,
        decision="bill",
    )[0]
    assert settled.outcome == "settled"
    assert ledger.call("late_usage", subject=SUBJECT) == []
    return line


@pytest.mark.parametrize(
    ("price", "before", "stated", "later", "amount", "late"),
    [
        (TEN, 5, 50, 3, 30, [(3, 10, 30)]),
        (VOLUME_15, 15, 150, 1, -70, [(-15, 10, -150), (16, 5, 80)]),
        (VOLUME_100, 90, 900, 20, 90, [(-90, 10, -900), (110, 9, 990)]),
        (GRADUATED, 15, 35, 5, 15, [(5, 3, 15)]),
    ],
    ids=["unit", "volume of 15", "volume of 100", "graduated"],
)
def test_late_usage_costs_what_the_whole_costs_now_less_what_was_stated(
    billing: Billing, price: Any, before: int, stated: int, later: int, amount: int, late: list[Any]
) -> None:
    ledger = billing.ledger
    billing.price("tokens", price)
    billing.use(before, "2026-06-10")
    first = close(ledger)
    assert total(lines(ledger, first.statement_id)).amount == stated
    billing.use(later, "2026-06-20")
    shown = bill(ledger)
    assert (shown.stated, shown.current, shown.delta) == (before, before + later, later)
    assert (shown.amount, shown.currency) == (amount, "USD")
    waiting = preview(ledger, JULY)
    second = close(ledger, JULY)
    assert late_lines(ledger, second.statement_id) == late
    assert sum(line.amount for line in of_kind(ledger, second.statement_id, "late")) == amount
    assert total(lines(ledger, second.statement_id)).amount == max(amount, 0)
    found = of_kind(ledger, second.statement_id, "late")
    assert {(line.late_of, line.since, line.until) for line in found} == {(first.statement_id, JUNE, JULY)}
    assert columns(lines(ledger, second.statement_id)) == columns(waiting) == columns(preview(ledger, JULY))
    assert_sums(lines(ledger, second.statement_id))
    third = close(ledger, AUGUST)
    assert late_lines(ledger, third.statement_id) == []
    assert total(lines(ledger, first.statement_id)).amount == stated
    assert_balanced(ledger)
    assert ledger.call("verify_statements") == []


def test_the_next_statement_has_its_own_usage_and_the_late_usage(billing: Billing) -> None:
    """Period 1: stated 5, later 7; period 2: 3. The second statement: +2 = 20, and 3 = 30."""
    ledger = billing.ledger
    billing.price("tokens", TEN)
    billing.use(5, "2026-06-10")
    first = close(ledger)
    billing.use(2, "2026-06-30")
    billing.use(3, "2026-07-05")
    assert bill(ledger).amount == 20
    second = close(ledger, JULY)
    assert [
        (row.kind, row.quantity, row.amount, row.late_of) for row in lines(ledger, second.statement_id)
    ] == [
        ("usage", 3, 30, None),
        ("late", 2, 20, first.statement_id),
        ("total", None, 50, None),
    ]
    assert_balanced(ledger)


def test_of_adjustments_only_what_is_approved_and_not_reverted_is_billed(billing: Billing) -> None:
    """2 pending, 3 approved, 4 approved and reverted: 3 count."""
    ledger = billing.ledger
    billing.price("tokens", TEN)
    close(ledger)
    for quantity, approve, revert in ((2, False, False), (3, True, False), (4, True, True)):
        number = ledger.value("SELECT meter.open_correction('why')")
        entry = {
            "entry": "adjust", "subject": SUBJECT, "metric": "tokens", "quantity": quantity,
            "at": "2026-06-15T00:00:00Z",
        }  # fmt: skip
        ledger.rows("SELECT meter.stage_correction(%s, %s)", [number, Jsonb([entry])])
        if approve:
            ledger.rows("SELECT FROM meter.approve_correction(%s)", [number])
        if revert:
            assert [row.amount for row in ledger.call("late_usage", subject=SUBJECT)] == [70]
            ledger.rows("SELECT meter.revert_correction(%s, 'a mistake')", [number])
    assert bill(ledger).amount == 30
    second = close(ledger, JULY)
    assert late_lines(ledger, second.statement_id) == [(3, 10, 30)]
    assert total(lines(ledger, second.statement_id)).amount == 30


def test_the_prices_of_late_usage_are_those_of_its_statement(billing: Billing) -> None:
    """Recorded later, even if they hold from before."""
    ledger = billing.ledger
    billing.price("tokens", TEN)
    billing.use(5)
    close(ledger)
    billing.price("tokens", unit("99"), since="2026-01-01")
    billing.use(1)
    billing.use(1, "2026-07-10")
    assert bill(ledger).amount == 10
    second = close(ledger, JULY)
    assert total(lines(ledger, second.statement_id)).amount == 10 + 99


def test_usage_that_is_taken_back_is_a_credit(billing: Billing) -> None:
    ledger = billing.ledger
    billing.price("tokens", TEN)
    billing.use(5, idempotency_key="k")
    close(ledger)
    ledger.call("void_event", subject=SUBJECT, metric="tokens", idempotency_key="k", reason="why")
    assert bill(ledger).amount == -50
    second = close(ledger, JULY)
    assert late_lines(ledger, second.statement_id) == [(-5, 10, -50)]
    assert total(lines(ledger, second.statement_id)).amount == 0
    (credit,) = ledger.call("credits", subject=SUBJECT, at=at("2026-09-01"))
    assert (credit.remaining, credit.statement_id) == (50, second.statement_id)


def test_what_is_waived_costs_nothing_ever(billing: Billing) -> None:
    """Stated 15 at 10; 1 waived: no second tier; then 1 more billed: 16 in all are billed of 17."""
    ledger = billing.ledger
    billing.price("tokens", VOLUME_15)
    billing.use(15)
    first = close(ledger)
    for decision, amount in (("waive", -70), ("bill", -70)):
        billing.use(1)
        (line,) = ledger.call("late_usage", subject=SUBJECT)
        assert line.amount == amount
        ledger.call(
            "settle_late_usage", statement_id=first.statement_id, metric="tokens", delta=1, decision=decision
        )
    second = close(ledger, JULY)
    assert late_lines(ledger, second.statement_id) == [(-15, 10, -150), (16, 5, 80)]
    assert_balanced(ledger)
    assert ledger.call("verify_statements") == []
