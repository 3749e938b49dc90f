"""Two years of changes of prices, plans and cycles, against a model that bills day by day."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at_length
from tests.pricing import model
from tests.pricing.billing import SUBJECT, exact, priced, rounded, total
from tests.pricing.days import FOREVER, Account, Rule, Version

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 731
CLOSE_TO = Fraction(1, 10**15)
METERED = {"tokens": "sum", "calls": "count", "seats": "max"}
ITEMS = ("tokens", "calls", "seats", "base", "setup")
PLANS = ("free", "pro")


def day(rng: random.Random, last: int = DAYS) -> datetime:
    return START + timedelta(days=rng.randint(0, last - 1))


class Life:
    """The same changes to a ledger and to the model. Each change is made by a function of its own."""

    def __init__(self, ledger: Ledger, rng: random.Random) -> None:
        self.ledger, self.rng, self.account = ledger, rng, Account()
        self.number = 0
        for key, aggregate in METERED.items():
            ledger.define(key, aggregate)
        for plan in PLANS:
            ledger.call("define_plan", plan=plan)

    def price(self) -> None:
        rng, self.number = self.rng, self.number + 1
        plan, item, own = rng.choice(PLANS), rng.choice(ITEMS), rng.random() < 0.2
        metric = item if item in METERED else None
        kinds = [m for m in model.MODELS if metric or m in ("unit", "flat")]
        price = model.random_price(rng, rng.choice(kinds))
        terms: dict[str, Any] = {
            "bill": rng.choice(["arrears", "advance"]),
            "prorate": rng.random() < 0.7,
            "tiers_after_change": rng.choice(["continue", "restart"]),
        }
        if metric:  # these are terms of fees
            terms |= {"bill": "arrears", "prorate": True}
        since = day(rng)
        held = self.account.lines.setdefault((plan, item, own), [])
        begun = [v for v in held if v.since <= since]
        current = max(begun, key=lambda v: (v.since, v.number), default=None)
        subject = SUBJECT if own else None
        if current and current.price is not None and rng.random() < 0.25:
            self.ledger.call("retire_price", plan=plan, item=item, at=since, subject=subject)
            held.append(Version(since, self.number, None, metric))
            return
        self.ledger.call(
            "define_price", plan=plan, item=item, price=Jsonb(price | {"currency": "EUR"}), metric=metric,
            since=since, subject=subject, **terms,
        )  # fmt: skip
        held.append(Version(since, self.number, price, metric, *terms.values()))

    def minimum(self) -> None:
        self.number += 1
        plan, since, amount = (
            self.rng.choice(PLANS),
            day(self.rng),
            self.rng.choice([0, 10, Decimal("99.99")]),
        )
        self.ledger.call("set_plan_minimum", plan=plan, amount=amount, since=since)
        self.account.minimums.setdefault(plan, []).append((since, self.number, Fraction(amount)))

    def subscription(self) -> None:
        plan, since = self.rng.choice(PLANS), day(self.rng)
        until = since + timedelta(days=self.rng.choice([1, 5, 17, 40, 300]))
        held = self.account.subscriptions
        open_ended = self.rng.random() < 0.2
        end = FOREVER if open_ended else until
        if any(p == plan and s < end and e > since for p, s, e in held):
            return
        self.ledger.call(
            "subscribe", subject=SUBJECT, plan=plan, since=since, until=None if open_ended else until
        )
        held.append((plan, since, end))

    def leave(self) -> None:
        held = self.account.subscriptions
        if held:
            plan, since, until = held[self.rng.randrange(len(held))]
            end = min(until, since + timedelta(days=self.rng.randint(1, 200)))
            self.ledger.call("unsubscribe", subject=SUBJECT, plan=plan, at=end)
            held[held.index((plan, since, until))] = (plan, since, end)

    def cycle(self) -> None:
        anchor = datetime(2024, 1, self.rng.randint(1, 28), tzinfo=UTC)
        every, since = self.rng.choice(["month", "month", "week"]), day(self.rng)
        self.ledger.call("set_billing_cycle", subject=SUBJECT, anchor=anchor, every=every, since=since)
        self.read_rules()

    def read_rules(self) -> None:
        self.account.rules = [
            Rule(r.since, r.anchor, r.every)
            for r in self.ledger.rows("SELECT since, anchor, every FROM meter.billing_cycles")
        ]

    def use(self) -> None:
        events, metric = [], self.rng.choice([*METERED])
        for _ in range(self.rng.randint(1, 12)):
            when = day(self.rng) + timedelta(seconds=self.rng.randrange(86400))
            quantity = (
                Decimal(1) if metric == "calls" else Decimal(self.rng.choice(["1", "2.5", "40", "700"]))
            )
            events.append({"subject": SUBJECT, "metric": metric, "quantity": quantity, "at": when})
            self.account.usage.append((when, metric, Fraction(quantity)))
        self.ledger.batch(events)


def check(life: Life, rng: random.Random) -> bool:
    """A random cycle costs the same; returns whether it costs something."""
    since, until = life.account.cycle(day(rng, DAYS - 40))
    lines = life.ledger.call("invoice", subject=SUBJECT, since=since, until=until)
    expected = life.account.owes(since, until)
    assert abs(exact(lines) - expected) < CLOSE_TO, (since, until, float(expected), lines)
    sums = [line for line in lines if line.kind == "total"]
    if sums:
        assert total(lines).amount == rounded(exact(lines), 2)
        assert sum(line.amount for line in priced(lines)) == total(lines).amount
    return expected > 0


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(2, 200)))
def test_every_cycle_of_two_years_costs_what_its_days_cost(ledger: Ledger, seed: int) -> None:
    rng = random.Random(seed)
    life = Life(ledger, rng)
    changes: list[Callable[[], None]] = [
        *[life.price] * 6, life.minimum, *[life.subscription] * 3, life.leave, life.cycle, *[life.use] * 3,
    ]  # fmt: skip
    for _ in range(8):
        life.price()
        life.subscription()
        life.use()
    paid = 0
    for _ in range(20):
        for _ in range(4):
            rng.choice(changes)()
        paid += check(life, rng)
    assert paid
