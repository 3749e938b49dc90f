"""Whatever happens to a subject, its charges conform to the specification and say what its statements say."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.credits.history import MONTHS, History
from tests.focus.charges import EVER, assert_conforms, charges
from tests.helpers import Ledger, at_length
from tests.pricing import model
from tests.pricing.billing import SUBJECT, Billing
from tests.pricing.closings import AUGUST, JULY, JUNE, close, settle_all
from tests.pricing.days import FOREVER
from tests.pricing.lives import ClosedLife
from tests.pricing.test_invoice_model import START


class ChargedLife(ClosedLife):
    """All models but the matrix, fees, minimums and prices of the subject's own; also credits and taxes."""

    def begin(self) -> None:
        """Plan pro has a fee and a price from the start, so every statement has charges."""
        for item, metric in (("base", None), ("tokens", "tokens")):
            price = model.random_price(self.rng, "unit") | {"currency": "EUR"}
            self.ledger.call(
                "define_price", plan="pro", item=item, metric=metric, price=Jsonb(price), since=START
            )
        self.ledger.call("subscribe", subject=SUBJECT, plan="pro", since=START)
        self.account.subscriptions.append(("pro", START, FOREVER))

    def leave(self) -> None:
        """Never pro."""

    def grant(self) -> None:
        self.ledger.call(
            "grant_credit", subject=SUBJECT, amount=Decimal(self.rng.choice(["3", "10", "250"])),
            currency="EUR", idempotency_key=f"credit {next(self.keys)}", since=START,
            source=self.rng.choice(["paid", "promotional"]),
        )  # fmt: skip

    def tax(self) -> None:
        self.ledger.call(
            "set_tax", subject=SUBJECT, percent=self.rng.choice([None, Decimal("19"), Decimal("7.7")]),
            inclusive=self.rng.random() < 0.3, name=self.rng.choice(["VAT", "levy"]),
            since=self.until - timedelta(days=self.rng.randint(0, 40)),
        )  # fmt: skip


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(2, 200)))
def test_the_charges_of_a_long_life_conform_and_sum_to_its_statements(ledger: Ledger, seed: int) -> None:
    """Late usage, corrections and decisions in any order, while prices, plans, cycles and taxes change."""
    rng = random.Random(f"focus {seed}")
    life = ChargedLife(ledger, rng)
    changes: list[Callable[[], None]] = [
        *[life.price] * 4, life.minimum, *[life.subscription] * 2, life.leave, life.cycle, *[life.use] * 8,
        *[life.void] * 3, *[life.adjust] * 2, life.setting, *[life.decide] * 3, life.grant, *[life.tax] * 2,
    ]  # fmt: skip
    life.begin()
    for _ in range(8):
        life.price()
        life.subscription()
        life.use()
    for _ in range(12):
        for _ in range(8):
            rng.choice(changes)()
        life.close()
    settle_all(ledger)
    life.close()
    rows = assert_conforms(ledger)
    assert {row["ChargeCategory"] for row in rows} >= {"Usage", "Purchase"}
    _assert_windows_tile(ledger, rng)


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(2, 200)))
def test_the_charges_of_who_pays_by_credit_in_two_currencies_conform(ledger: Ledger, seed: int) -> None:
    """Credits, what is given back to them, taxes, late usage; EUR, then JPY or KWD."""
    history = History(ledger, random.Random(f"focus {seed}"))
    for _ in range(40):
        history.step()
    while len(history.statements) < MONTHS:
        history.close()
    rows = assert_conforms(ledger)
    assert {row["BillingCurrency"] for row in rows} > {"EUR"}
    stated = ledger.rows(
        "SELECT statement_id, (usage -> 'tokens' ->> 'quantity')::numeric AS quantity FROM meter.statements"
    )
    for statement in stated:
        own = [row for row in rows if row["InvoiceId"] == str(statement.statement_id)]
        consumed = [row["ConsumedQuantity"] for row in own if not row["ChargeClass"]]
        assert sum(Decimal(quantity) for quantity in consumed if quantity) == statement.quantity


@pytest.mark.at_length
@pytest.mark.parametrize("kind", [*model.MODELS, "matrix"])
@pytest.mark.parametrize("seed", range(at_length(2, 60)))
def test_the_charges_of_every_model_conform_and_sum_to_the_statements(
    ledger: Ledger, seed: int, kind: str
) -> None:
    """With convert, free units, discount, maximum and minimum; late usage, a credit and a tax."""
    rng = random.Random(f"focus {seed} {kind}")
    billing = Billing(ledger)
    currency = rng.choice(["EUR", "JPY", "KWD"])
    price = _random_matrix(rng) if kind == "matrix" else model.random_price(rng, kind)
    billing.price("tokens", price | {"currency": currency})
    ledger.call("set_tax", subject=SUBJECT, percent=Decimal("8.1"), inclusive=rng.random() < 0.5)
    ledger.call(
        "grant_credit", subject=SUBJECT, amount=7, currency=currency, idempotency_key="k", since=START
    )
    for month in (JUNE, JULY, AUGUST):
        for _ in range(3):
            billing.use(rng.choice([1, "2.5", 7, 30]), metadata={"m": rng.choice("xyz")})
            billing.use(rng.choice([1, "12.5"]), f"{month:%Y-%m}-20", metadata={"m": rng.choice("xyz")})
        settle_all(ledger, rng.choice(["bill", "bill", "waive"]))
        close(ledger, month)
    rows = assert_conforms(ledger)
    assert {row["BillingCurrency"] for row in rows} == {currency}
    assert any(row["ChargeCategory"] == "Usage" for row in rows)


def _random_matrix(rng: random.Random) -> dict[str, Any]:
    """A price for x, for y, and for any other value; some have bounds of their own."""
    prices = [model.random_price(rng, rng.choice(model.MODELS)) for _ in "xy*"]
    for price in prices:
        price.pop("currency", None)
    cells = [{"when": {"m": value}, "price": price} for value, price in zip("xy*", prices, strict=True)]
    bounds: dict[str, Any] = rng.choice([{}, {"discount_percent": "12.5"}, {"maximum_amount": "40"}])
    return {"model": "matrix", "dimensions": ["m"], "cells": cells, **bounds}


def _assert_windows_tile(ledger: Ledger, rng: random.Random) -> None:
    """Windows that tile have each charge once, in the same order."""
    whole = charges(ledger)
    cuts = sorted(START + timedelta(hours=rng.randrange(30_000)) for _ in range(6))
    # The end of a period is the edge that matters.
    cuts = sorted({*cuts, *(header.until for header in ledger.call("statements")[:3])})
    edges = [EVER["since"], *cuts, EVER["until"]]
    pieces = [charges(ledger, since=a, until=b) for a, b in itertools.pairwise(edges)]
    assert [row for piece in pieces for row in piece] == whole
    assert charges(ledger, subject=SUBJECT) == whole
