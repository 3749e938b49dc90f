"""Parts of a cycle: combinations of a matrix, kinds of lines, parts of days, what a restart owes."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from tests.helpers import Ledger, at
from tests.pricing.billing import SUBJECT, Billing, amounts, exact, flat, priced, total, unit


def adjust(billing: Billing, quantity: int, when: str) -> None:
    billing.ledger.call(
        "adjust", subject=SUBJECT, metric="tokens", quantity=Decimal(quantity), at=at(when), reason="test"
    )


@pytest.mark.parametrize("before", [unit("2"), {"model": "matrix", "dimensions": ["m"], "cells": [
    {"when": {"m": "*"}, "unit_amount": 2}]}])  # fmt: skip
def test_a_combination_without_a_cell_matters_only_where_it_is_used(billing: Billing, before: object) -> None:
    billing.price("tokens", before)
    cells = [{"when": {"m": "x"}, "unit_amount": 3}]
    after = {"model": "matrix", "dimensions": ["m"], "cells": cells}
    billing.price("tokens", after, since="2026-06-15")
    billing.use(8, "2026-06-10", metadata={"m": "z"})
    billing.use(8, "2026-06-20", metadata={"m": "x"})
    assert total(billing.invoice()).amount == 40


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"discount_percent": 10}, "discount"),
        ({"maximum_amount": 50}, "discount"),
        ({"minimum_amount": 150}, "true_up"),
    ],
)
def test_what_is_taken_back_has_the_kind_that_it_had(
    billing: Billing, more: dict[str, int], kind: str
) -> None:
    billing.price("tokens", unit("1", **more))
    billing.price("tokens", unit("1", **more), since="2026-06-15", name="Tokens")
    billing.use(100)
    adjust(billing, 100 if kind == "true_up" else -70, "2026-06-20")
    changed = [(line.kind, line.since) for line in priced(billing.invoice()) if line.kind != "usage"]
    assert changed == [(kind, at("2026-06-01")), (kind, at("2026-06-15"))]


@pytest.mark.parametrize("adjusted_in", ["06", "07"])
def test_an_adjustment_under_a_matrix_price_is_not_lost_in_silence(
    billing: Billing, adjusted_in: str
) -> None:
    """It has no dimensions, and no cell says what it is worth; the month without it is not concerned."""
    cells = [{"when": {"m": "x"}, "unit_amount": 3}]
    billing.price("tokens", {"model": "matrix", "dimensions": ["m"], "cells": cells})
    billing.use(10, metadata={"m": "x"})
    adjust(billing, -4, f"2026-{adjusted_in}-11")
    lines = billing.invoice()
    assert total(lines).amount == (None if adjusted_in == "06" else 30)
    assert sum(line.quantity for line in priced(lines)) == (6 if adjusted_in == "06" else 10)
    unknown = [line.explanation for line in priced(lines) if line.amount is None]
    expected = ["error: no cell for usage without dimensions; it is negative: -4"]
    assert unknown == (expected if adjusted_in == "06" else [])


def test_negative_usage_of_a_combination_with_a_cell_costs_nothing_and_says_so(billing: Billing) -> None:
    """10 of x at 3; -4 without dimensions, which lowers what follows there: 6 more are 2 at 2."""
    cells = [{"when": {"m": "x"}, "unit_amount": 3}, {"when": {}, "unit_amount": 2}]
    billing.price("tokens", {"model": "matrix", "dimensions": ["m"], "cells": cells})
    billing.use(10, metadata={"m": "x"})
    adjust(billing, -4, "2026-06-11")
    lines = billing.invoice()
    assert total(lines).amount == 30
    assert "usage without dimensions is negative: -4" in lines[0].explanation
    billing.use(6, "2026-06-12")
    lines = billing.invoice()
    assert total(lines).amount == 34
    assert not any("negative" in line.explanation for line in lines)


def test_time_in_the_hour_that_comes_twice_is_not_negative(ledger: Ledger) -> None:
    billing = Billing(ledger, metrics={"seats": "max"}, subscribe=False)
    anchor = at("2025-12-31T23:00+00:00")
    ledger.call("set_billing_cycle", subject=SUBJECT, anchor=anchor, timezone="Europe/Berlin")
    billing.price("seats", unit("1"))
    billing.fee("base", flat("31000"))
    billing.subscribe("pro", "2026-10-25T00:50+00:00", "2026-10-25T01:10+00:00")
    billing.use(31000, "2026-10-25T01:05+00:00", "seats")
    lines = billing.invoice("2026-09-30T22:00+00:00", "2026-10-31T23:00+00:00")
    assert all(amount > 0 for amount in amounts(lines))
    assert all(line.quantity > 0 for line in lines if line.kind in ("usage", "fee"))


def test_what_is_due_after_a_restart_does_not_depend_on_the_order_of_parts(billing: Billing) -> None:
    owed = set()
    for day, month in (("2026-06-03", "06"), ("2026-07-23", "07")):
        plan = f"two_{month}"
        billing.plan(plan)
        billing.price("tokens", flat("30"), plan=plan)
        billing.subscribe(plan, f"2026-{month}-01", f"2026-{month}-10")
        billing.subscribe(plan, f"2026-{month}-20", f"2026-{month}-25")
        billing.use(1, day)
        owed.add(total(billing.invoice(f"2026-{month}-01", f"2026-{int(month) + 1:02}-01")).amount)
    assert len(owed) == 1


@pytest.mark.parametrize(
    ("zone", "since", "until"),
    [
        ("Europe/Berlin", "2026-09-30T22:00+00:00", "2026-10-31T23:00+00:00"),
        ("Australia/Lord_Howe", "2026-03-31T13:00+00:00", "2026-04-30T13:30+00:00"),
        ("America/Sao_Paulo", "2018-02-01T02:00+00:00", "2018-03-01T03:00+00:00"),
        ("Asia/Beirut", "2026-02-28T22:00+00:00", "2026-03-31T21:00+00:00"),
        ("America/St_Johns", "2010-11-01T02:30+00:00", "2010-12-01T03:30+00:00"),
        ("Pacific/Apia", "2011-12-01T10:00+00:00", "2011-12-31T10:00+00:00"),
    ],
)
def test_invoices_of_windows_that_tile_a_cycle_sum_to_its_fee(
    ledger: Ledger, zone: str, since: str, until: str
) -> None:
    """Also with many windows about the time at which clocks change; each has a positive part."""
    billing = Billing(ledger, subscribe=False)
    begin, end = at(since), at(until)
    ledger.call("set_billing_cycle", subject=SUBJECT, anchor=begin, timezone=zone)
    billing.fee("base", flat("31000"))
    billing.subscribe("pro", "2010-01-01")
    assert [line.exact_amount for line in priced(billing.invoice(begin, end))] == [31000]
    draw = random.Random(zone)
    change = max(
        (begin + timedelta(hours=n) for n in range(int((end - begin) / timedelta(hours=1)))),
        key=lambda hour: abs(offset(hour + timedelta(hours=1), zone) - offset(hour, zone)),
    )
    cuts = {begin, end, *(change + timedelta(minutes=n) for n in (0, 1, 30, 40, 59, 60, 61, 80))}
    cuts |= {change + timedelta(seconds=draw.randint(-90000, 90000)) for _ in range(20)}
    bounds = sorted(cut for cut in cuts if begin <= cut <= end)
    fees = [exact(billing.invoice(*window)) for window in pairwise(bounds)]
    assert min(fees) > 0
    assert abs(sum(fees) - 31000) < Fraction(len(fees), 10**15)


def offset(moment: datetime, zone: str) -> timedelta:
    found = moment.astimezone(ZoneInfo(zone)).utcoffset()
    assert found is not None
    return found
