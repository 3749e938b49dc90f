"""A random life of a few subjects: usage, prices, credits, corrections, plans, budgets, statements."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from psycopg.errors import Error
from psycopg.types.json import Jsonb

from tests.budgets.naive import Model, Version
from tests.budgets.spender import FIRED
from tests.helpers import Ledger, at

SET = at("2020-01-01")
ANCHORS = {"ann": 1, "bob": 1, "cid": 10, "dan": 1}
METRICS = {"tokens": "sum", "calls": "count", "peak": "max", "notes": "sum"}


class Life:
    """Each step is one of the things that happen, a while after the one before."""

    def __init__(self, ledger: Ledger, rng: random.Random) -> None:
        self.ledger, self.rng = ledger, rng
        self.model = Model(ledger, ANCHORS)
        self.now = at("2026-05-20")
        self.counts: Counter[str] = Counter()
        self._numbers = 0
        self._credits: list[int] = []
        self._judged_at: datetime | None = None
        for metric, aggregate in METRICS.items():
            ledger.define(metric, aggregate)
        for plan, currency in (("pro", "EUR"), ("basic", "EUR"), ("us", "USD")):
            ledger.call("define_plan", plan=plan)
            self.model.priced[plan] = (currency, {})
            for metric in ("tokens", "calls") if plan != "basic" else ("tokens",):
                self._price(plan, metric, None)
        ledger.call("set_billing_cycle", subject="cid", anchor=at("2019-12-10"))
        for subject, plan in (("ann", "pro"), ("bob", "basic"), ("cid", "pro"), ("dan", "us")):
            self._subscribe(subject, plan, SET)
        self._set(
            Version(0, None, None, "EUR", "cycle", SET, Decimal(100), "block", (Decimal(80), Decimal(100)))
        )

    def step(self) -> None:
        self.now += timedelta(minutes=self.rng.choice((1, 40, 300, 900, 2400)))
        steps = {
            self.use: 12, self.judge: 9, self.correct: 2, self.grant: 2, self.void: 1, self.reprice: 2,
            self.fee: 1, self.move: 1, self.budget: 3, self.tax: 1, self.close: 1,
        }  # fmt: skip
        (chosen,) = self.rng.choices(list(steps), list(steps.values()))
        chosen()
        self.counts[chosen.__name__] += 1

    # --- what happens ---------------------------------------------------------------------------------------

    def use(self) -> None:
        """Now, a little earlier, or in the month before; refused if and only if the model says so."""
        for _ in range(3):
            self._use()

    def _use(self) -> None:
        subject, metric = self.rng.choice(list(ANCHORS)), self.rng.choice(list(METRICS))
        blocked = [
            key for key, blocks in self.model.blocks.items() if blocks.quotas and blocks.until > self.now
        ]
        if blocked and self.rng.random() < 0.4:
            key = self.rng.choice(blocked)
            subject, metric = key[0], self.rng.choice(sorted(self.model.blocks[key].quotas))
        quantity = Decimal(1 if metric == "calls" else self.rng.choice((5, 20, 60, 150)))
        when = self.now - timedelta(days=self.rng.choice((0, 0, 0, 0, 1, 5, 33)))
        self.record(subject, metric, quantity, when)

    def record(self, subject: str, metric: str, quantity: Decimal, when: datetime) -> None:
        expected = self.model.refuses(subject, metric, quantity, when)
        found = self.ledger.record(subject, metric, quantity, at=when)
        assert (found.outcome == "refused") is expected, (subject, metric, quantity, when, found)
        if expected:
            assert found.limited_by in ("budget EUR", "budget USD")
            self.counts["refused"] += 1

    def correct(self) -> None:
        subject, metric = self.rng.choice(list(ANCHORS)), self.rng.choice(("tokens", "calls"))
        events = [
            row for row in self.ledger.call("events", subject=subject, metric=metric) if row.kind == "usage"
        ]
        if events and self.rng.random() < 0.6:
            event = self.rng.choice(events)
            given = {"subject": subject, "metric": metric, "event_id": event.event_id}
            self._try("void_event", **given, reason="a fault")
        else:
            quantity = Decimal(self.rng.choice((-40, -7, 9)))
            self._try(
                "adjust", subject=subject, metric=metric, quantity=quantity, at=self.now, reason="a fault"
            )

    def grant(self) -> None:
        given = {
            "amount": Decimal(self.rng.choice(("3.5", "20", "75"))),
            "currency": self.rng.choice(("EUR", "USD")),
        }
        subject = self.rng.choice(list(ANCHORS))
        row = self.ledger.call(
            "grant_credit", subject=subject, idempotency_key=self._number(), since=self.now, **given
        )
        self._credits.append(row[0].credit_id)

    def void(self) -> None:
        if self._credits:
            self._try("void_credit", credit_id=self._credits.pop(), reason="a mistake")

    def reprice(self) -> None:
        plan = self.rng.choice(list(self.model.priced))
        self._price(plan, self.rng.choice(("tokens", "calls", "peak")), self.now, self.rng.random() < 0.2)

    def fee(self) -> None:
        plan = self.rng.choice(list(self.model.priced))
        if self.rng.random() < 0.4:
            self._try("set_plan_minimum", plan=plan, amount=Decimal(self.rng.choice((0, 30))), since=self.now)
            return
        price = {
            "model": "flat",
            "flat_amount": self.rng.choice(("5", "12.5")),
            "currency": self.model.priced[plan][0],
        }
        self._try("define_price", plan=plan, item="fee", price=Jsonb(price), since=self.now)

    def move(self) -> None:
        """To another plan: the days that are left of the cycle have its prices."""
        subject = self.rng.choice(("ann", "bob", "cid"))
        (plan, since, _) = self.model.plans[subject][-1]
        if since < self.now:
            self.ledger.call("unsubscribe", subject=subject, plan=plan, at=self.now)
            self.model.plans[subject][-1] = (plan, since, self.now)
            self._subscribe(subject, "basic" if plan == "pro" else "pro", self.now)

    def tax(self) -> None:
        given = {"percent": Decimal(self.rng.choice((0, 7, 19))), "inclusive": self.rng.random() < 0.3}
        self._try("set_tax", subject=self.rng.choice(list(ANCHORS)), since=self.now, **given)

    def close(self) -> None:
        """The month before: what changes in it later is late usage of the next statement."""
        until = self.now.replace(day=1, hour=0, minute=0)
        since = (until - timedelta(days=1)).replace(day=1)
        self._try("close_period", subject=self.rng.choice(("ann", "bob", "dan")), since=since, until=until)

    def budget(self) -> None:
        subject, plan = self.rng.choice(
            ((None, None), (None, "pro"), (None, "basic"), *((s, None) for s in ANCHORS))
        )
        version = Version(
            int(self._number()), subject, plan, self.rng.choice(("EUR", "EUR", "USD")),
            self.rng.choice(("cycle", "cycle", "month", "week", "day")),
            self.now + timedelta(hours=self.rng.choice((0, 0, 0, 30))),
            self.rng.choice((None, Decimal(0), *map(Decimal, ("10", "49.5", "100", "100", "250")))),
            self.rng.choice(("block", "block", "alert", "none")),
            tuple(map(Decimal, self.rng.choice(((80, 100), (50, 100, 120), ())))),
        )  # fmt: skip
        self._set(version)

    def judge(self) -> None:
        """The judgement tells what the model tells, and finds nothing in a second one."""
        self.model.judge(self.now)
        self._round(self.now)
        self.check()
        again = self._round(self.now + timedelta(microseconds=1))
        assert (again.priced, again.failed) == (0, 0)
        self.now += timedelta(microseconds=1)
        self.check()

    # --- what must hold -------------------------------------------------------------------------------------

    def check(self) -> None:
        told = [
            (row.subject, row.data["currency"], row.data["period"], row.type, *_numbers(row.data))
            for row in self.ledger.rows("SELECT * FROM meter.notifications(max_rows => 10000)")
            if row.type in FIRED
        ]
        found, expected = Counter(told), Counter(self.model.told)
        assert not (found - expected) + (expected - found), (found - expected, expected - found)
        for subject in ANCHORS:
            for row in self.ledger.call("budget_status", subject=subject, now=self.now):
                key = (subject, row.currency, row.period, row.since)
                blocks = self.model.blocks.get(key)
                assert row.blocked is bool(blocks and blocks.quotas), row
                assert set(row.reached) == self.model.fired.get(key, set()), row

    def ends(self) -> None:
        """Whatever came, somebody is refused at last."""
        self.now += timedelta(minutes=1)
        marks = (Decimal(100),)
        self._set(Version(10**6, "bob", None, "EUR", "cycle", self.now, Decimal(0), "block", marks))
        self.judge()
        self.record("bob", "tokens", Decimal(1), self.now)
        assert self.ledger.call("overruns", now=self.now) == [], (
            "nothing was admitted beyond what a block left"
        )

    def _round(self, now: datetime) -> Any:
        (found,) = self.ledger.call("judge_budgets", now=now, max_subjects=self.rng.choice((1, 10000)))
        rounds = [found]
        while found.remaining:
            (found,) = self.ledger.call("judge_budgets", now=now)
            rounds.append(found)
        assert sum(one.failed for one in rounds) == 0, self.ledger.rows(
            "SELECT * FROM meter.budget_judgements"
        )
        return found._replace(priced=sum(one.priced for one in rounds))

    # --- short calls ----------------------------------------------------------------------------------------

    def _price(self, plan: str, metric: str, since: datetime | None, retire: bool = False) -> None:
        currency, items = self.model.priced[plan]
        tiers = [
            {"up_to": "50", "unit_amount": self.rng.choice(("0.4", "1", "1.333"))},
            {
                "up_to": None,
                "unit_amount": self.rng.choice(("0.1", "2.5")),
                "flat_amount": self.rng.choice(("0", "9")),
            },
        ]
        model = self.rng.choice(("graduated", "volume", "unit", "package"))
        price: dict[str, Any] = {"model": model, "currency": currency}
        if model in ("unit", "package"):
            price |= {"unit_amount": self.rng.choice(("0.5", "1.25"))}
            price |= {"package_size": 10} if model == "package" else {}
        else:
            price |= {"tiers": tiers}
        self.ledger.call(
            "define_price", plan=plan, item=metric, price=Jsonb(price), metric=metric, since=since
        )
        items.setdefault(metric, since or SET)

    def _set(self, version: Version) -> None:
        names = ("subject", "plan", "currency", "period", "since", "amount", "action")
        named = {name: getattr(version, name) for name in names}
        self.ledger.call("set_budget", marks=list(version.marks), **named)
        self.model.versions.append(version)

    def _subscribe(self, subject: str, plan: str, since: datetime) -> None:
        self.ledger.call("subscribe", subject=subject, plan=plan, since=since)
        self.model.plans[subject].append((plan, since, None))

    def _try(self, function: str, **named: Any) -> None:
        """What another step has made impossible, such as a price before a statement, is left out."""
        try:
            self.ledger.call(function, **named)
        except Error as error:
            if (error.sqlstate or "")[:2] not in ("UM", "22"):
                raise
            self.counts[f"{function} {error.sqlstate}"] += 1

    def _number(self) -> str:
        self._numbers += 1
        return str(self._numbers)


def _numbers(data: dict[str, Any]) -> tuple[Decimal, Decimal, Decimal]:
    return (Decimal(str(data["mark"])), Decimal(str(data["numerator"])), Decimal(str(data["denominator"])))
