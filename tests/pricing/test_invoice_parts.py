"""Parts of a cycle: combinations of a matrix, kinds of lines, parts of days, what a restart owes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.helpers import Ledger, at
from tests.pricing.billing import SUBJECT, Billing, amounts, flat, priced, total, unit


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


@pytest.mark.xfail(strict=True, reason="an adjustment has no combination")
def test_an_adjustment_under_a_matrix_price_is_not_lost_in_silence(billing: Billing) -> None:
    cells = [{"when": {"m": "x"}, "unit_amount": 3}]
    billing.price("tokens", {"model": "matrix", "dimensions": ["m"], "cells": cells})
    billing.use(10, metadata={"m": "x"})
    adjust(billing, -4, "2026-06-11")
    lines = billing.invoice()
    assert total(lines).amount != 30 or any("negative" in line.explanation for line in lines)


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
