"""A random history of one subject that pays: the meter and the naive ledger do the same, step by step."""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from psycopg.types.json import Jsonb

from tests.credits.account import month, of_kind
from tests.credits.naive import Credit, Naive, Part, Period, Statement, Tax
from tests.helpers import Ledger, at, refused
from tests.pricing.billing import DECIMALS, rounded

MONTHS = 8
CHANGE = at("2026-04-16")
PRICES: list[dict[str, Any]] = [
    {"model": "unit", "unit_amount": "0.333"},
    {"model": "unit", "unit_amount": "1"},
    {"model": "unit", "unit_amount": "2.505", "discount_percent": "12.5"},
    {"model": "package", "package_size": "10", "unit_amount": "7.25"},
    {
        "model": "graduated",
        "tiers": [{"up_to": "20", "unit_amount": "1.1"}, {"up_to": None, "unit_amount": "0.07"}],
        "flat_at_zero": False,
        "maximum_amount": "60",
    },
]
WEIGHTS = {
    "use": 6,
    "take_back": 8,
    "settle": 5,
    "refund": 3,
    "grant": 6,
    "grant_again": 1,
    "void": 1,
    "tax": 2,
    "close": 6,
    "watermark": 2,
}


class History:
    """Plan pro, in April changed for other: in the middle of a cycle, in another currency."""

    def __init__(self, ledger: Ledger, rng: random.Random, subject: str = "acct_1") -> None:
        self.ledger, self.rng, self.subject = ledger, rng, subject
        self.statements: list[Any] = []
        self._keys: list[dict[str, Any]] = []
        self._marks: list[tuple[dict[str, Any], list[Any]]] = []
        self._events: list[tuple[int, Fraction, Part]] = []
        currencies = {"pro": "EUR", "other": rng.choice(["JPY", "KWD"])}
        self.automatic = rng.random() < 0.5
        self.by_line = rng.random() < 0.3
        ledger.call("set_setting", name="late_usage", value="bill" if self.automatic else "ask")
        ledger.call("set_setting", name="rounding", value="line" if self.by_line else "total")
        ledger.define("tokens", "sum")
        prices = {plan: rng.choice(PRICES) for plan in currencies}
        minimums = {plan: rng.choice([0, 0, 25, 40]) for plan in currencies}
        for plan, currency in currencies.items():
            ledger.call("define_plan", plan=plan)
            price = Jsonb(prices[plan] | {"currency": currency})
            ledger.call("define_price", plan=plan, item="tokens", price=price, metric="tokens")
            if minimums[plan]:
                ledger.call("set_plan_minimum", plan=plan, amount=minimums[plan])
        ledger.call("subscribe", subject=subject, plan="pro", since=at("2020-01-01"), until=CHANGE)
        ledger.call("subscribe", subject=subject, plan="other", since=CHANGE)
        self.naive = Naive([])
        for number in range(1, MONTHS + 1):
            since, until = month(number), month(number + 1)
            cuts = [since, CHANGE, until] if since < CHANGE < until else [since, until]
            parts = []
            for begins, ends in itertools.pairwise(cuts):
                plan = "pro" if begins < CHANGE else "other"
                share = Fraction((ends - begins).days, (until - since).days)
                minimum = minimums[plan] * share
                parts.append(Part(plan, currencies[plan], prices[plan], begins, ends, minimum))
            self.naive.periods.append(Period(since, until, parts))

    # -------------------------------------------------------------------------------------------- steps

    def step(self) -> str:
        name = self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        act: Callable[[], None] = getattr(self, name)
        act()
        return name

    def _part(self, *, closed: bool) -> Part:
        """Mostly of the next period; closed: mostly of one that a credit has paid."""
        period = self.naive.periods[self.rng.randint(0, min(len(self.statements), MONTHS - 1))]
        drawn = {draw.statement for draw in self.naive.draws if draw.amount}
        given = [p for p in self.naive.periods if (p.statement in drawn if closed else not p.statement)]
        return self.rng.choice((given[:1] if given and self.rng.random() < 0.7 else [period])[0].parts)

    def use(self) -> None:
        part = self._part(closed=False)
        quantity = Decimal(self.rng.choice(["1", "3", "7.5", "20", "0.25", "31"]))
        when = part.since + timedelta(hours=self.rng.randrange(14 * 24))
        event = self.ledger.record(self.subject, "tokens", quantity, at=when)
        self._events.append((event.event_id, Fraction(quantity), part))
        part.logged += Fraction(quantity)

    def take_back(self) -> None:
        """Voids an event, or takes off some of what a part has."""
        voided = [event for event in self._events if event[1] <= event[2].logged]
        if voided and self.rng.random() < 0.4:
            event = self.rng.choice(voided)
            self._events.remove(event)
            given = {"subject": self.subject, "metric": "tokens", "event_id": event[0]}
            self.ledger.call("void_event", **given, reason="a fault")
            event[2].logged -= event[1]
            return
        part = self._part(closed=True)
        self._adjust(part, part.logged * self.rng.choice([Fraction(1), Fraction(1, 2), Fraction(1, 4)]))

    def _adjust(self, part: Part, less: Fraction) -> None:
        if less > 0:
            quantity = Decimal(less.numerator) / less.denominator
            given = {"subject": self.subject, "metric": "tokens", "quantity": -quantity}
            when = part.since + timedelta(hours=self.rng.randrange(14 * 24))
            self.ledger.call("adjust", **given, at=when, reason="a fault")
            part.logged -= less

    def settle(self) -> None:
        late = self.ledger.call("late_usage", subject=self.subject)
        open_ = {p.statement: p.open() for p in self.naive.periods if p.statement and p.is_open()}
        assert {row.statement_id: Fraction(row.delta) for row in late} == open_
        if late:
            row = self.rng.choice(late)
            given = {"statement_id": row.statement_id, "metric": "tokens", "delta": row.delta}
            settled = self.ledger.call("settle_late_usage", **given, decision="bill")[0]
            assert settled.outcome == "settled"
            next(p for p in self.naive.periods if p.statement == row.statement_id).decide()

    def refund(self) -> None:
        """Takes off what a period has that a credit has paid, and closes the next one."""
        drawn = {draw.statement for draw in self.naive.draws if draw.amount}
        period = next((p for p in self.naive.periods if p.statement in drawn), None)
        if period is not None:
            for part in period.parts:
                self._adjust(part, part.logged)
            if not self.automatic and period.is_open():
                self.settle()
            self.close()

    def grant(self) -> None:
        since = month(self.rng.randint(1, 1 + len(self.statements) // 2))
        expires_at = since + timedelta(days=self.rng.choice([10, 59, 150, 212]))
        period = self.naive.periods[min(len(self.statements) + self.rng.choice([0, 0, 0, 2]), MONTHS - 1)]
        currency = self.rng.choice(period.parts).currency
        given = {
            "amount": Decimal(self.rng.choice(["1", "10", "33", "5", "100", "8"])),
            "currency": currency,
            "idempotency_key": f"statement {len(self._keys) + 1} {currency}",
            "priority": self.rng.choice([10, 50, 50, 60]),
            "since": since,
            "expires_at": self.rng.choice([None, expires_at]),
            "source": self.rng.choice(["paid", "promotional"]),
        }
        made = self.ledger.call("grant_credit", subject=self.subject, **given)[0]
        self._keys.append(given)
        plain = {name: value for name, value in given.items() if name not in ("amount", "idempotency_key")}
        self.naive.credits.append(Credit(made.credit_id, Fraction(given["amount"]), **plain))

    def grant_again(self) -> None:
        if self._keys:
            given = self.rng.choice(self._keys)
            self.ledger.call("grant_credit", subject=self.subject, **given)
            with refused("UM005", "idempotency_key"):
                self.ledger.call("grant_credit", subject=self.subject, **given | {"priority": 11})

    def void(self) -> None:
        """Any credit, also one that is void, or that a statement granted."""
        if self.naive.credits:
            credit = self.rng.choice(self.naive.credits)
            self.ledger.call("void_credit", credit_id=credit.number, reason="a mistake")
            credit.void = True

    def tax(self) -> None:
        percent = self.rng.choice(["19", "7.7", "0", "8.875", None])
        name, inclusive = self.rng.choice(["VAT", "levy"]), self.rng.random() < 0.4
        since = self.rng.choice([None, *(month(number) for number in range(1, MONTHS + 1))])
        amount = None if percent is None else Decimal(percent)
        given = {"subject": self.subject, "percent": amount, "inclusive": inclusive, "name": name}
        self.ledger.call("set_tax", **given, since=since)
        if since is None and any(tax.name == name for tax in self.naive.taxes):
            since = month(99)  # from now on, which is after all periods
        self.naive.taxes.append(Tax(name, since, None if amount is None else Fraction(amount), inclusive))

    def watermark(self) -> None:
        """What the next invoice is as of now, it is for ever."""
        if len(self.statements) < MONTHS:
            period = self.naive.periods[len(self.statements)]
            mark = self.ledger.value("SELECT meter.watermark(%s)", [self.subject])
            given = {"subject": self.subject, "since": period.since, "until": period.until}
            lines = self.ledger.call("invoice", **given, as_of=mark)
            assert self.automatic or lines == self.ledger.call("invoice", **given)
            self._marks.append(({**given, "as_of": mark}, lines))

    def close(self) -> None:
        """The next period; what the preview said is what the statement has."""
        if len(self.statements) == MONTHS:
            return
        period = self.naive.periods[len(self.statements)]
        self.preview()
        window = {"since": period.since, "until": period.until}
        before = self.ledger.call("invoice", subject=self.subject, **window)
        header = self.ledger.call("close_period", subject=self.subject, **window)[0]
        assert self.ledger.call("invoice", subject=self.subject, **window) == before
        self.statements.append((header, before))
        made = self._made(self.naive, header.statement_id, period, before)
        period.statement = header.statement_id
        compare(made, before, self.by_line)
        for credit in [credit for credit in self.naive.credits if not credit.number]:
            found = self.ledger.call("credits", subject=self.subject, at=month(99))
            (credit.number,) = [
                c.credit_id
                for c in found
                if c.statement_id == header.statement_id and c.currency == credit.currency
            ]

    # -------------------------------------------------------------------------------------------- checks

    def preview(self) -> None:
        """What the next statement would be, without a change of anything."""
        if len(self.statements) < MONTHS:
            naive = copy.deepcopy(self.naive)
            period = naive.periods[len(self.statements)]
            lines = self.ledger.call("invoice", subject=self.subject, since=period.since, until=period.until)
            compare(self._made(naive, 10**9, period, lines), lines, self.by_line)

    def _made(self, naive: Naive, number: int, period: Period, lines: list[Any]) -> Statement:
        if self.automatic:
            for one in naive.periods:
                if one.statement and one.is_open():
                    one.decide()
        owed = naive.bill(period)
        return naive.pay(number, period.until, owed, sums(lines, "amount"), self.by_line)

    def check(self) -> None:
        for number in range(2, MONTHS + 2):
            found = self.ledger.call("credits", subject=self.subject, at=month(number))
            assert [(c.credit_id, c.currency, c.amount, c.drawn, c.remaining) for c in found] == [
                (c.number, c.currency, c.amount, c.drawn, c.remaining)
                for c in self.naive.in_force(month(number))
            ]
            held = self.ledger.call("taxes", subject=self.subject, at=month(number))
            assert [(t.name, t.percent, t.inclusive) for t in held] == [
                (t.name, t.percent, t.inclusive) for t in self.naive.held(month(number))
            ]
        for credit in self.naive.credits:
            assert 0 <= credit.drawn <= credit.amount
            said = (line for _, lines in self.statements for line in of_kind(lines, "credit"))
            assert -sum(line.amount for line in said if line.item == str(credit.number)) == credit.drawn
        for header, lines in self.statements:
            window = {"subject": self.subject, "since": header.since, "until": header.until}
            assert self.ledger.call("invoice", **window, as_of=header.watermark) == lines
            assert self.ledger.call("invoice", **window) == lines
            stated = self.ledger.call("statement", statement_id=header.statement_id)
            assert [(line.kind, line.item, line.amount, line.late_of) for line in stated] == [
                (line.kind, line.item, line.amount, line.late_of) for line in lines
            ]
        for given, as_it_was in self._marks:
            assert self.ledger.call("invoice", **given) == as_it_was
        self.preview()
        assert self.ledger.call("verify_statements") == []


def before_credits(lines: Iterable[Any]) -> list[Any]:
    return [line for line in lines if line.currency and line.kind not in ("credit", "tax", "total")]


def sums(lines: Iterable[Any], column: str) -> dict[tuple[int | None, str], Fraction]:
    """By (late_of, currency), of all lines but credits, taxes and totals."""
    found: dict[tuple[int | None, str], Fraction] = {}
    for line in before_credits(lines):
        key = (line.late_of, line.currency)
        found[key] = found.get(key, Fraction(0)) + Fraction(getattr(line, column))
    return found


def compare(made: Statement, lines: list[Any], by_line: bool) -> None:
    """The lines against the naive ledger's statement. What is rounded is within a unit of what is exact."""
    exact = sums(lines, "exact_amount")
    assert {k: v for k, v in exact.items() if v} == {k: v for k, v in made.owed.items() if v}
    for line in before_credits(lines):
        decimals = DECIMALS[line.currency]
        assert abs(line.amount - line.exact_amount) < Decimal(1).scaleb(-decimals)
        assert not by_line or line.amount == rounded(Fraction(line.exact_amount), decimals)
    totals = {line.currency: line.amount for line in of_kind(lines, "total")}
    assert all(amount >= 0 for amount in totals.values())
    for currency, amount in totals.items():
        assert (
            sum(line.amount for line in lines if line.kind != "total" and line.currency == currency) == amount
        )
    assert [(c.item, c.amount, c.late_of, c.currency) for c in of_kind(lines, "credit")] == made.credits
    assert [(t.item, t.amount, t.currency) for t in of_kind(lines, "tax") if t.amount] == [
        tax for tax in made.taxes if tax[1]
    ]
    assert {k: v for k, v in totals.items() if v} == {k: v for k, v in made.totals.items() if v}
