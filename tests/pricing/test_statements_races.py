"""What happens beside a period that is being closed is on the statement, or later than it, never half."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.close.closing import assert_balanced
from tests.helpers import Ledger, Task, at, refused
from tests.pricing.billing import SUBJECT, Billing, unit
from tests.pricing.closings import JULY, JUNE, MAY, close, columns, lines, preview, settle_all, total_of

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]
Change = Callable[[Ledger], Any]


def define_price(ledger: Ledger) -> None:
    """Backdated into the period."""
    ledger.call(
        "define_price",
        plan="pro",
        item="tokens",
        metric="tokens",
        price=Jsonb(unit("3")),
        since=at("2026-01-01"),
    )


def set_minimum(ledger: Ledger) -> None:
    ledger.call("set_plan_minimum", plan="pro", amount=500, since=at("2026-01-01"))


def subscribe(ledger: Ledger) -> None:
    ledger.call("subscribe", subject=SUBJECT, plan="extra", since=at("2026-06-16"))


def unsubscribe(ledger: Ledger) -> None:
    ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=at("2026-06-16"))


def record(ledger: Ledger) -> None:
    ledger.record(SUBJECT, "tokens", 7, at=at("2026-06-20"))


def settle(ledger: Ledger) -> None:
    ledger.call("settle_late_usage", statement_id=1, metric="tokens", delta=2, decision="bill")


def define_metric(ledger: Ledger) -> None:
    ledger.define("new", "sum")


CHANGES: list[Change] = [define_price, set_minimum, subscribe, unsubscribe, record, settle, define_metric]
# Of June, if the change came before it was closed; the fee of the plan is of half a month.
TOTALS = dict(zip(CHANGES, (30, 500, 20 + 30, 20, 34, 24, 20), strict=True))


@pytest.fixture
def open_june(billing: Billing) -> Billing:
    """May is closed, 2 are late in it, and June has 10 at 2."""
    billing.plan("extra")
    billing.fee("base", {"model": "flat", "flat_amount": "60"}, plan="extra")
    billing.price("tokens", unit("2"))
    billing.use(1, "2026-05-10")
    close(billing.ledger, MAY)
    billing.use(2, "2026-05-11")
    billing.use(10, "2026-06-10")
    return billing


def assert_whole(ledger: Ledger, statement_id: int, since: datetime = JUNE) -> None:
    """The statement is what was known at its watermark; everything fits."""
    (header,) = [
        row for row in ledger.call("statements", subject=SUBJECT) if row.statement_id == statement_id
    ]
    expected = columns(lines(ledger, statement_id))
    assert columns(preview(ledger, since, as_of=header.watermark)) == expected
    assert columns(preview(ledger, since)) == expected
    assert_balanced(ledger)
    assert ledger.call("verify_statements") == []


@pytest.mark.parametrize("change", CHANGES)
def test_what_comes_while_a_period_is_closed_is_later_than_it(
    open_june: Billing, new_ledger: NewLedger, wait_until_blocked: Wait, change: Change
) -> None:
    """The closing transaction is open when the change begins."""
    ledger = open_june.ledger
    closing, observer = new_ledger("closing", autocommit=False), new_ledger("observer")
    header = close(closing)
    before = columns(lines(closing, header.statement_id))
    changing = Task(lambda: change(ledger))
    if change is not define_metric:
        wait_until_blocked(observer.connection, "ledger")
    closing.connection.commit()
    changing.result()
    assert columns(lines(ledger, header.statement_id)) == before
    assert total_of(ledger, header.statement_id) == 20
    assert_whole(ledger, header.statement_id)
    settle_all(ledger)
    waiting = columns(preview(ledger, JULY))
    second = close(ledger, JULY)
    assert columns(lines(ledger, second.statement_id)) == waiting
    late = sum(line.amount for line in lines(ledger, second.statement_id) if line.kind == "late")
    assert late == (4 + 14 if change is record else 4)
    assert_whole(ledger, second.statement_id, JULY)


@pytest.mark.parametrize("change", CHANGES)
def test_a_period_is_not_closed_while_something_changes_and_has_it_then(
    open_june: Billing, new_ledger: NewLedger, change: Change
) -> None:
    """The change is open when the closing begins; it commits, and the closing is tried again."""
    ledger = open_june.ledger
    other = new_ledger("changing", autocommit=False)
    change(other)
    closing = Task(lambda: close(ledger))
    with refused("55P03"):
        closing.result()
    other.connection.commit()
    header = close(ledger)
    assert_whole(ledger, header.statement_id)
    assert total_of(ledger, header.statement_id) == TOTALS[change]
