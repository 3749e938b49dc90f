"""Whatever happens to a subject, its charges conform to the specification and say what its statements say."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from psycopg.types.json import Jsonb

from tests.credits.history import MONTHS, History
from tests.focus.charges import EVER, assert_conforms, charges
from tests.helpers import Ledger, at_length
from tests.pricing import model
from tests.pricing.billing import SUBJECT
from tests.pricing.closings import settle_all
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
@pytest.mark.parametrize("seed", range(at_length(6, 200)))
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
@pytest.mark.parametrize("seed", range(at_length(6, 200)))
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
