"""Credits and taxes once more: a list of credits, a list of draws, and fractions, from sql/credits/README.md.

``Naive.statement`` says which lines of kind credit and tax a statement has; usage is priced by
tests/pricing/model.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from tests.pricing.billing import DECIMALS, rounded
from tests.pricing.model import rated
from tests.pricing.model import rounded as quotient

FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass
class Credit:
    number: int
    amount: Fraction
    currency: str
    priority: int
    since: datetime
    expires_at: datetime | None
    source: str
    drawn: Fraction = Fraction(0)
    void: bool = False

    @property
    def remaining(self) -> Fraction:
        return Fraction(0) if self.void else self.amount - self.drawn

    @property
    def order(self) -> tuple[Any, ...]:
        return (
            self.priority,
            self.expires_at or FOREVER,
            self.source != "promotional",
            self.since,
            self.number,
        )

    def pays(self, until: datetime) -> bool:
        return self.since < until and (self.expires_at is None or until <= self.expires_at)


@dataclass
class Draw:
    credit: Credit
    statement: int
    amount: Fraction


@dataclass
class Part:
    """The time of a period in which one plan holds."""

    plan: str
    currency: str
    price: Mapping[str, Any]
    since: datetime
    until: datetime
    minimum: Fraction = Fraction(0)
    logged: Fraction = Fraction(0)
    billed: Fraction = Fraction(0)
    owed: Fraction = Fraction(0)
    """What statements have billed of it."""

    def owes(self) -> Fraction:
        return max(rated(self.price, self.billed), self.minimum)


@dataclass
class Period:
    since: datetime
    until: datetime
    parts: list[Part]
    statement: int | None = None
    decided: bool = False
    """Whether something was decided that is not billed yet."""

    def open(self) -> Fraction:
        return sum((part.logged - part.billed for part in self.parts), Fraction(0))

    def is_open(self) -> bool:
        """Usage that moved from a plan to another is, too: it sums to nothing."""
        return any(part.logged != part.billed for part in self.parts)

    def decide(self) -> None:
        for part in self.parts:
            part.billed = part.logged
        self.decided = True


@dataclass
class Tax:
    name: str
    since: datetime | None
    percent: Fraction | None
    inclusive: bool


@dataclass
class Statement:
    """What a statement has: exact sums by (late_of or None, currency), credit lines, tax lines and totals."""

    owed: dict[tuple[int | None, str], Fraction]
    credits: list[tuple[str | None, Fraction, int | None, str]] = field(default_factory=list)
    taxes: list[tuple[str, Fraction, str]] = field(default_factory=list)
    totals: dict[str, Fraction] = field(default_factory=dict)


@dataclass
class Naive:
    periods: list[Period]
    credits: list[Credit] = field(default_factory=list)
    draws: list[Draw] = field(default_factory=list)
    taxes: list[Tax] = field(default_factory=list)

    def in_force(self, until: datetime) -> list[Credit]:
        return sorted((c for c in self.credits if c.pays(until) and not c.void), key=lambda c: c.order)

    def held(self, until: datetime) -> list[Tax]:
        found = []
        for name in sorted({tax.name for tax in self.taxes}):
            begun = [(t.since, n, t) for n, t in enumerate(self.taxes) if t.name == name]
            begun = [(since or datetime.min.replace(tzinfo=UTC), n, t) for since, n, t in begun]
            last = max((b for b in begun if b[0] < until), default=None, key=lambda b: b[:2])
            if last is not None and last[2].percent is not None:
                found.append(last[2])
        return found

    def bill(self, period: Period) -> dict[tuple[int | None, str], Fraction]:
        """What a statement bills, and that it has been billed."""
        owed: dict[tuple[int | None, str], Fraction] = {}
        waiting = [p for p in self.periods if p.statement is not None and p.decided]
        for one in sorted(waiting, key=lambda p: p.statement or 0):
            one.decided = False
            _add(owed, one.statement, one.parts)
        for part in period.parts:
            part.billed = part.logged
        _add(owed, None, period.parts)
        return owed

    def pay(
        self,
        number: int,
        until: datetime,
        owed: dict[tuple[int | None, str], Fraction],
        shown: Mapping[tuple[int | None, str], Fraction],
        by_line: bool,
    ) -> Statement:
        """shown: the rounded sums of the lines by (late_of, currency), as the statement has them."""
        made = Statement(owed)
        # Lines that sum to nothing may be rounded, each for itself, to something.
        of = shown if by_line else owed
        for currency in sorted({currency for _, currency in of}):
            unit = DECIMALS[currency]
            left = rounded(sum((v for (_, c), v in of.items() if c == currency), Fraction(0)), unit)
            left = self._draw(made, number, until, currency, left)
            left = self._give_back(made, currency, left, shown)
            if left < 0:
                made.credits.append((None, -left, None, currency))
                new = Credit(0, -left, currency, 50, until, None, "paid")
                self.credits.append(new)
                left = Fraction(0)
            taxes = self.held(until)
            included = sum((t.percent or 0 for t in taxes if t.inclusive), Fraction(0))
            net = quotient(left * 100 / (100 + included))
            made.totals[currency] = left
            for tax in taxes:
                amount = Fraction(0) if tax.inclusive else rounded(net * (tax.percent or 0) / 100, unit)
                made.taxes.append((tax.name, amount, currency))
                made.totals[currency] += amount
        return made

    def _draw(self, made: Statement, number: int, until: datetime, currency: str, left: Fraction) -> Fraction:
        for credit in self.in_force(until):
            part = min(left, credit.remaining)
            if part > 0 and credit.currency == currency:
                credit.drawn += part
                left -= part
                self.draws.append(Draw(credit, number, part))
                made.credits.append((str(credit.number), -part, None, currency))
        return left

    def _give_back(
        self, made: Statement, currency: str, left: Fraction, shown: Mapping[tuple[int | None, str], Fraction]
    ) -> Fraction:
        most = {late_of: -amount for (late_of, c), amount in shown.items() if c == currency}
        for draw in self.draws:
            part = min(-left, draw.amount, most.get(draw.statement, Fraction(0)))
            if part > 0 and draw.credit.currency == currency:
                draw.amount -= part
                draw.credit.drawn -= part
                most[draw.statement] -= part
                left += part
                made.credits.append((str(draw.credit.number), part, draw.statement, currency))
        return left


def _add(owed: dict[tuple[int | None, str], Fraction], late_of: int | None, parts: list[Part]) -> None:
    for part in parts:
        now = part.owes()
        key = (late_of, part.currency)
        owed[key] = owed.get(key, Fraction(0)) + now - part.owed
        part.owed = now
        if late_of is not None and not owed[key]:
            del owed[key]
