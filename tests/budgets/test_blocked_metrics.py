"""What a spent budget refuses of metrics of every aggregate, and beside other limits, holds and top-ups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.budgets.spender import SUBJECT, Spender

UNIT = {"model": "unit", "unit_amount": "1", "currency": "EUR"}


def now() -> datetime:
    return datetime.now(UTC)


def metered(spender: Spender, aggregate: str, **more: Any) -> str:
    spender.ledger.define("metered", aggregate, **more)
    spender.price("metered", UNIT, metric="metered")
    return "metered"


def put(
    spender: Spender, value: Any, when: datetime | None = None, aggregate: str = "sum", **more: Any
) -> str:
    given = {"member": str(value)} if aggregate == "unique" else {"quantity": Decimal(value)}
    return spender.ledger.call(
        "record", subject=SUBJECT, metric="metered", at=when or now(), **given, **more
    )[0].outcome


def block(spender: Spender) -> None:
    spender.budget(0, action="block")
    assert spender.judge(now()).blocked == 1


@pytest.mark.parametrize("striped", [False, True])
@pytest.mark.parametrize(
    ("aggregate", "before", "admitted", "refused"),
    [
        ("sum", (3, 4), (0,), (1, "0.001")),
        ("max", (3, 9, 4), (9, 1, 0), (10, "9.1")),
        ("last", (9, 4), (4, 1), (5, 9)),
        ("unique", (1, 2), (1, 2), (3, 4)),
    ],
)
def test_a_block_takes_what_costs_no_more(
    spender: Spender,
    aggregate: str,
    before: tuple[Any, ...],
    admitted: tuple[Any, ...],
    refused: tuple[Any, ...],
    striped: bool,
) -> None:
    metered(spender, aggregate, striped=striped and aggregate != "last")
    for value in before:
        put(spender, value, aggregate=aggregate)
    block(spender)
    cost = spender.spent(now())
    for value in admitted:
        assert put(spender, value, aggregate=aggregate) == "recorded", value
    for value in refused:
        assert put(spender, value, aggregate=aggregate) == "refused", value
    batch = [
        {
            "subject": SUBJECT,
            "metric": "metered",
            "at": now(),
            **({"member": str(v)} if aggregate == "unique" else {"quantity": v}),
        }
        for v in (*admitted[:1], refused[0])
    ]
    assert [row.outcome for row in spender.ledger.batch(batch)] == ["recorded", "refused"]
    assert spender.spent(now()) <= cost
    assert spender.ledger.call("overruns") == []


def test_a_carried_value_may_be_repeated_and_not_raised(spender: Spender) -> None:
    metered(spender, "last", carry=True)
    put(spender, 7, now() - timedelta(days=40))
    block(spender)
    assert spender.spent(now()) == 7
    assert put(spender, 8) == "refused"
    assert put(spender, 7) == "recorded"
    assert put(spender, 7) == "recorded"


def test_a_metric_that_cannot_be_limited_is_recorded(spender: Spender) -> None:
    metered(spender, "avg")
    put(spender, 5)
    block(spender)
    assert put(spender, 50) == "recorded"


def test_a_top_up_does_not_open_a_block(spender: Spender) -> None:
    metered(spender, "sum")
    spender.ledger.call("set_limit", metric="metered", quota=5, rollover_max=100)
    put(spender, 5)
    spender.ledger.call("top_up", subject=SUBJECT, metric="metered", quantity=50, idempotency_key="t")
    assert put(spender, 1) == "recorded"
    block(spender)
    found = spender.ledger.record(SUBJECT, "metered", 1)
    assert (found.outcome, found.limited_by) == ("refused", "budget EUR")
    spender.ledger.call("top_up", subject=SUBJECT, metric="metered", quantity=50, idempotency_key="u")
    assert put(spender, 1) == "refused"
    (quota,) = spender.ledger.call("check_quota", subject=SUBJECT, metric="metered")
    assert (quota.allowed, quota.remaining, quota.limited_by) == (False, 0, "budget EUR")
    spender.budget(1000, action="block", since=None)
    spender.judge(now())
    assert put(spender, 99) == "recorded"
    assert put(spender, 1) == "refused", "the top-ups are used up"


def test_a_limit_of_the_subject_holds_beside_a_block_and_after_it(spender: Spender) -> None:
    metered(spender, "sum")
    spender.ledger.call("set_limit", metric="metered", quota=5, subject=SUBJECT)
    put(spender, 3)
    block(spender)
    spender.ledger.call("set_limit", metric="metered", quota=500, subject=SUBJECT)
    assert put(spender, 1) == "refused"
    spender.ledger.call("set_limit", metric="metered", quota=5, subject=SUBJECT)
    spender.budget(1000, action="block", since=None)
    spender.judge(now())
    assert put(spender, 3) == "refused"
    assert put(spender, 2) == "recorded"


@pytest.mark.parametrize("aggregate", ["sum", "last", "max"])
def test_what_is_negative_is_blocked_at_nothing(spender: Spender, aggregate: str) -> None:
    metered(spender, aggregate)
    if aggregate == "sum":
        put(spender, 5)
        spender.ledger.call("adjust", subject=SUBJECT, metric="metered", quantity=-9, at=now(), reason="x")
    else:
        spender.ledger.call("record", subject=SUBJECT, metric="metered", quantity=-4)
    block(spender)
    spender.judge(now())
    assert put(spender, 5 if aggregate == "sum" else 1) == "refused"


def test_an_erased_subject_stays_blocked_under_its_pseudonym_and_the_name_begins_anew(
    spender: Spender,
) -> None:
    metered(spender, "sum")
    spender.budget(10, action="block")
    put(spender, 20)
    spender.judge(now())
    told = len(spender.told())
    spender.ledger.call("erase_subject", subject=SUBJECT, pseudonym="erased_1")
    assert spender.ledger.record("erased_1", "metered", 1).outcome == "refused"
    assert put(spender, 1) == "recorded"
    spender.judge(now())
    assert spender.ledger.record("erased_1", "metered", 1).outcome == "refused"
    assert len(spender.told("erased_1")) == told
    assert spender.told() == []
    (row,) = spender.status(now(), "erased_1")
    assert (row.blocked, row.spent, set(row.reached)) == (True, 20, {80, 100})
