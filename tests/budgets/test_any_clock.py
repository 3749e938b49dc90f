"""Whatever clock judges: after a judgement by the true one, just those who may not are refused."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at, at_length

SUBJECTS = ("ann", "bob")
CURRENCIES = {"pro": "EUR", "team": "EUR", "us": "USD"}
EVER = at("2020-01-01")
STEPS = 60


def clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Told:
    """A version of a budget as it was set; a removed one has no action."""

    since: datetime
    number: int
    amount: Decimal | None
    action: str | None


class World:
    def __init__(self, ledger: Ledger, rng: random.Random) -> None:
        self.ledger, self.rng = ledger, rng
        self.budgets: dict[tuple[str | None, str | None, str, str], list[Told]] = {}
        self.plans: dict[str, list[list[Any]]] = {subject: [] for subject in SUBJECTS}
        self.number = 0
        self.counts: Counter[str] = Counter()
        for metric, aggregate in (("tokens", "sum"), ("calls", "count"), ("free", "sum")):
            ledger.define(metric, aggregate)
        for plan, currency in CURRENCIES.items():
            ledger.call("define_plan", plan=plan)
            for metric in ("tokens", "calls"):
                price = Jsonb({"model": "unit", "unit_amount": "1", "currency": currency})
                ledger.call("define_price", plan=plan, item=metric, price=price, metric=metric)
        for subject in SUBJECTS:
            self.subscribe(subject, rng.choice(list(CURRENCIES)), EVER)

    def subscribe(self, subject: str, plan: str, since: datetime) -> None:
        self.ledger.call("subscribe", subject=subject, plan=plan, since=since)
        self.plans[subject].append([plan, since, None])

    def step(self) -> None:
        changes = (
            self.use,
            self.use,
            self.budget,
            self.budget,
            self.remove,
            self.cycle,
            self.move,
            self.grant,
            self.void,
            self.judge_elsewhen,
            self.reserve,
        )
        chosen = self.rng.choice(changes)
        chosen(self.rng.choice(SUBJECTS))
        self.counts[chosen.__name__] += 1

    def use(self, subject: str) -> None:
        when = clock() - timedelta(hours=self.rng.choice((0, 0, 0, 30, 200)))
        self.ledger.record(
            subject, "tokens", self.rng.choice((3, 20, 90)), at=when, overflow=self.rng.random() < 0.7
        )

    def reserve(self, subject: str) -> None:
        row = self.ledger.call("reserve", subject=subject, metric="tokens", quantity=5)[0]
        if row.outcome == "held" and self.rng.random() < 0.7:
            name, more = self.rng.choice((("release", {}), ("settle", {"quantity": 11})))
            self.ledger.call(name, reservation_id=row.reservation_id, **more)

    def budget(self, subject: str) -> None:
        owner = self.rng.choice(((subject, None), (subject, None), (None, "pro"), (None, None)))
        key = (
            *owner,
            self.rng.choice(("EUR", "EUR", "USD")),
            self.rng.choice(("cycle", "cycle", "month", "day", "year")),
        )
        amount = self.rng.choice((None, Decimal(0), Decimal(50), Decimal(50), Decimal(150), Decimal(400)))
        action, since = (
            self.rng.choice(("block", "block", "block", "alert", "none")),
            self.rng.choice((None, EVER)),
        )
        row = self.ledger.call(
            "set_budget", amount=amount, currency=key[2], subject=key[0], plan=key[1], period=key[3],
            action=action, since=since,
        )[0]  # fmt: skip
        self.budgets.setdefault(key, []).append(Told(row.since, row.budget_id, row.amount, row.action))

    def remove(self, subject: str) -> None:
        for key in list(self.budgets):
            held = self.held(key)
            if held and held.action and self.rng.random() < 0.15:
                row = self.ledger.call(
                    "remove_budget", currency=key[2], subject=key[0], plan=key[1], period=key[3]
                )[0]
                self.budgets[key].append(Told(row.since, row.budget_id, None, None))

    def cycle(self, subject: str) -> None:
        anchor = clock() - timedelta(days=self.rng.choice((3, 9, 40)), seconds=self.rng.randrange(9000))
        self.ledger.call(
            "set_billing_cycle", subject=subject, anchor=anchor,
            every=self.rng.choice(("week", "month", "year")),
            timezone=self.rng.choice(("UTC", "America/New_York")),
            since=self.rng.choice((None, anchor)),
        )  # fmt: skip

    def move(self, subject: str) -> None:
        now, held = clock(), self.plans[subject][-1]
        self.ledger.call("unsubscribe", subject=subject, plan=held[0], at=now)
        held[2] = now
        self.subscribe(subject, self.rng.choice(list(CURRENCIES)), now)

    def grant(self, subject: str) -> None:
        self.number += 1
        self.ledger.call(
            "grant_credit", subject=subject, amount=Decimal(60), currency=self.rng.choice(("EUR", "USD")),
            idempotency_key=str(self.number), since=clock() - timedelta(days=60),
            expires_at=self.rng.choice((None, clock() + timedelta(days=3))),
        )  # fmt: skip

    def void(self, subject: str) -> None:
        events = [
            row for row in self.ledger.call("events", subject=subject, metric="tokens") if row.kind == "usage"
        ]
        if events:
            event = self.rng.choice(events)
            given = {"subject": subject, "metric": "tokens", "event_id": event.event_id}
            try:
                self.ledger.call("void_event", **given, reason="x")
            except psycopg.Error as error:
                if not (error.sqlstate or "").startswith("UM"):
                    raise

    def judge_elsewhen(self, subject: str) -> None:
        """By a clock that is wrong, or for a page of one subject only."""
        when = clock() + timedelta(hours=self.rng.choice((-40, -1, 1, 9, 20)))
        self.ledger.call("judge_budgets", now=when, max_subjects=self.rng.choice((1, 100)))

    # --- what must hold -------------------------------------------------------------------------------------

    def held(self, key: tuple[str | None, str | None, str, str], now: datetime | None = None) -> Told | None:
        begun = [one for one in self.budgets.get(key, []) if one.since <= (now or clock())]
        return max(begun, key=lambda one: (one.since, one.number), default=None)

    def counting(self, subject: str, currency: str, period: str) -> Told | None:
        """The strictest of the owner that comes first."""
        own = self.held((subject, None, currency, period))
        if own and own.action:
            return own
        (plan,) = {plan for plan, _, until in self.plans[subject] if until is None}
        for owner in ((None, plan), (None, None)):
            held = self.held((*owner, currency, period))
            if held and held.action:
                return held
        return None

    def window(self, subject: str, period: str, now: datetime) -> tuple[datetime, datetime]:
        if period == "cycle":
            (cycle,) = self.ledger.call("billing_cycle", subject=subject, at=now)[0]
            return cycle.lower, cycle.upper
        (row,) = self.ledger.rows(
            "SELECT date_trunc(%s, %s, 'UTC') a, date_trunc(%s, %s, 'UTC') + ('1 ' || %s)::interval b",
            [period, now, period, now, period],
        )
        return row.a, row.b

    def refuses(self, subject: str) -> bool:
        now = clock()
        for currency in ("EUR", "USD"):
            for period in ("cycle", "month", "day", "year"):
                held = self.counting(subject, currency, period)
                if held is None or held.action != "block" or held.amount is None:
                    continue
                since, until = self.window(subject, period, now)
                lines = self.ledger.call("invoice", subject=subject, since=since, until=until)
                spent = sum(
                    line.amount for line in lines if (line.kind, line.currency) == ("total", currency)
                )
                priced = any(
                    CURRENCIES[p] == currency and a < until and (b is None or b > since)
                    for p, a, b in self.plans[subject]
                )
                if spent >= held.amount and priced:
                    return True
        return False

    def check(self) -> None:
        while (found := self.ledger.call("judge_budgets", now=clock())[0]).remaining:
            assert found.judged, found
        assert found.failed == 0, self.ledger.rows("SELECT * FROM meter.budget_judgements")
        for subject in SUBJECTS:
            expected = self.refuses(subject)
            for metric in ("tokens", "calls", "free"):
                with self.ledger.connection.transaction(force_rollback=True):
                    outcome = self.ledger.record(subject, metric, 1).outcome
                assert outcome == ("refused" if expected and metric != "free" else "recorded"), (
                    subject,
                    metric,
                    self.counts,
                )
            self.counts["refused" if expected else "free"] += 1
        names = [
            row.limited_by for row in self.ledger.call("overruns") if row.limited_by.startswith("budget")
        ]
        assert names == [], "what was used when somebody was blocked is no overrun"
        self.told_once()

    def ends(self) -> None:
        """Whatever came, everybody is refused at last, or has nothing that costs EUR."""
        for subject in SUBJECTS:
            row = self.ledger.call(
                "set_budget", amount=0, currency="EUR", subject=subject, period="year", action="block"
            )[0]
            self.budgets.setdefault((subject, None, "EUR", "year"), []).append(
                Told(row.since, row.budget_id, row.amount, row.action)
            )
            self.move(subject)
            self.ledger.call(
                "set_budget", amount=0, currency="USD", subject=subject, period="year", action="block"
            )
            self.budgets.setdefault((subject, None, "USD", "year"), []).append(
                self.budgets[subject, None, "EUR", "year"][-1]
            )
        self.check()

    def told_once(self) -> None:
        """A mark that has been told of is not told of again, unless it was taken back in between."""
        reached: set[tuple[Any, ...]] = set()
        rows = self.ledger.rows(
            "SELECT * FROM meter.notifications(max_rows => 10000) WHERE type LIKE 'budget.%%' ORDER BY 1"
        )
        for row in rows:
            key = (row.subject, row.data["currency"], row.data["period"], row.data["since"], row.data["mark"])
            if row.type == "budget.cleared":
                assert key in reached, row
                reached.remove(key)
            else:
                assert key not in reached, row
                reached.add(key)


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(2, 200)))
def test_just_those_are_refused_whose_budget_is_spent(ledger: Ledger, seed: int) -> None:
    world = World(ledger, random.Random(seed))
    for number in range(STEPS):
        world.step()
        if number % 3 == 0:
            world.check()
    world.ends()
    assert world.counts["refused"]
