"""What a subject owes for a cycle, day by day, in fractions: from the text of sql/pricing/README.md.

Everything begins and ends at midnight UTC. Every day's usage is a slice of its cycle; every day of a fee or a
minimum is its part of the whole cycle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from tests.pricing.model import rated

DAY = timedelta(days=1)
# Metrics whose greatest value counts, by its share of the cycle.
VALUES = ("seats",)
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)


class Adjustment(Fraction):
    """A quantity that is no event."""


@dataclass(frozen=True)
class Version:
    """A line of a plan from a time on; price None: it ends. Ordered by since, then by number."""

    since: datetime
    number: int
    price: Mapping[str, Any] | None
    metric: str | None
    bill: str = "arrears"
    prorate: bool = True
    tiers: str = "continue"

    @property
    def terms(self) -> tuple[Any, ...]:
        return (self.price, self.metric, self.bill, self.prorate, self.tiers)


@dataclass(frozen=True)
class Rule:
    """Cycles from since on: weeks or months from the anchor, whose day is one of every month."""

    since: datetime
    anchor: datetime
    every: str

    def start(self, number: int) -> datetime:
        if self.every == "week":
            return self.anchor + number * 7 * DAY
        months = self.anchor.year * 12 + self.anchor.month - 1 + number
        return self.anchor.replace(year=months // 12, month=months % 12 + 1)

    def number(self, day: datetime) -> int:
        number = 0
        while self.start(number) > day:
            number -= 1
        while self.start(number + 1) <= day:
            number += 1
        return number


CALENDAR = Rule(datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), "month")


@dataclass
class Account:
    """One subject: everything that decides what it owes."""

    lines: dict[tuple[str, str, bool], list[Version]] = field(default_factory=dict)
    minimums: dict[str, list[tuple[datetime, int, Fraction]]] = field(default_factory=dict)
    subscriptions: list[tuple[str, datetime, datetime]] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    usage: list[tuple[datetime, str, Fraction]] = field(default_factory=list)

    # ------------------------------------------------------------------------------------------- cycles

    def rule(self, day: datetime) -> Rule:
        return max((r for r in self.rules if r.since <= day), key=lambda r: r.since, default=CALENDAR)

    def cycle(self, day: datetime) -> tuple[datetime, datetime]:
        rule = self.rule(day)
        number = rule.number(day)
        later = min((r.since for r in self.rules if r.since > day), default=FOREVER)
        return max(rule.start(number), rule.since), min(rule.start(number + 1), later)

    def whole_days(self, day: datetime) -> int:
        rule = self.rule(day)
        number = rule.number(day)
        return (rule.start(number + 1) - rule.start(number)).days

    # ---------------------------------------------------------------------------------- what holds when

    def plans(self, day: datetime) -> list[str]:
        return [plan for plan, since, until in self.subscriptions if since <= day < until]

    def subscribed_since(self, plan: str, day: datetime) -> datetime:
        while plan in self.plans(day - DAY) and day > datetime(2015, 1, 1, tzinfo=UTC):
            day -= DAY
        return day

    def held(self, plan: str, item: str, day: datetime) -> Version | None:
        for own in (True, False):
            begun = [v for v in self.lines.get((plan, item, own), []) if v.since <= day]
            version = max(begun, key=lambda v: (v.since, v.number), default=None)
            if version is not None and version.price is not None:
                return version
        return None

    def minimum(self, plan: str, day: datetime) -> Fraction:
        begun = [m for m in self.minimums.get(plan, []) if m[0] <= day]
        return max(begun, default=(day, 0, Fraction(0)))[2]

    # -------------------------------------------------------------------------------------- what is owed

    def owes(self, since: datetime, until: datetime) -> Fraction:
        """The exact total of the cycle [since, until)."""
        due = Fraction(0)
        for plan in sorted({plan for plan, _, _ in self.subscriptions}):
            items = sorted({item for name, item, _ in self.lines if name == plan})
            own = sum((self._item(plan, item, since, until) for item in items), Fraction(0))
            floor = sum(
                (
                    self.minimum(plan, d) / self.whole_days(d)
                    for d in _days(since, until)
                    if plan in self.plans(d)
                ),
                Fraction(0),
            )
            ahead = sum((self._fee(plan, i, *self.cycle(until), "advance") for i in items), Fraction(0))
            due += max(own, floor) + ahead
        return due

    def owes_for_usage(self, since: datetime, until: datetime) -> Fraction:
        """The same without fees: what is billed late is a part of it."""
        fees = Fraction(0)
        for plan in sorted({plan for plan, _, _ in self.subscriptions}):
            items = sorted({item for name, item, _ in self.lines if name == plan})
            fees += sum((self._fee(plan, i, since, until) for i in items), Fraction(0))
            fees += sum((self._fee(plan, i, *self.cycle(until), "advance") for i in items), Fraction(0))
        return self.owes(since, until) - fees

    def _item(self, plan: str, item: str, since: datetime, until: datetime) -> Fraction:
        return self._fee(plan, item, since, until) + self._metered(plan, item, since, until)

    def _priced_days(
        self, plan: str, item: str, since: datetime, until: datetime
    ) -> list[tuple[datetime, Version]]:
        found = [(d, self.held(plan, item, d)) for d in _days(since, until) if plan in self.plans(d)]
        return [(day, version) for day, version in found if version is not None]

    def _fee(
        self, plan: str, item: str, since: datetime, until: datetime, bill: str | None = None
    ) -> Fraction:
        days = [(d, v) for d, v in self._priced_days(plan, item, since, until) if v.metric is None]
        last = next((v for _, v in reversed(days) if not v.prorate), None)
        total = Fraction(0)
        for day, version in days:
            if bill in (None, version.bill) and version.prorate and version.price is not None:
                total += rated(version.price, Fraction(1)) / self.whole_days(day)
        if last is not None and last.price is not None and bill in (None, last.bill):
            total += rated(last.price, Fraction(1))
        return total

    def _events(self, metric: str | None, since: datetime, until: datetime) -> list[Fraction]:
        return [q for when, name, q in self.usage if name == metric and since <= when < until]

    def _share(self, days: list[tuple[datetime, Version]], position: int) -> Fraction:
        """On the last day of a segment, its greatest value times its share of the days, else 0."""
        day, version = days[position]
        if [(d, v.terms) for d, v in days[position + 1 : position + 2]] == [(day + DAY, version.terms)]:
            return Fraction(0)
        first = position
        while first and (days[first - 1][0] + DAY, days[first - 1][1].terms) == (
            days[first][0],
            version.terms,
        ):
            first -= 1
        seen = self._events(version.metric, days[first][0], day + DAY)
        return max(seen, default=Fraction(0)) * (position - first + 1) / self.whole_days(day)

    def _metered(self, plan: str, item: str, since: datetime, until: datetime) -> Fraction:
        days = [(d, v) for d, v in self._priced_days(plan, item, since, until) if v.metric is not None]
        total, billed, events, used = Fraction(0), Fraction(0), 0, False
        before: tuple[datetime, Version] | None = None
        for position, (day, version) in enumerate(days):
            assert version.price is not None
            if before is not None:
                again = self.subscribed_since(plan, day) != self.subscribed_since(plan, before[0])
                gap = before[0] + DAY != day or before[1].terms != version.terms
                if again or (gap and version.tiers == "restart"):
                    used = used or billed > 0
                    billed, events = Fraction(0), 0
            found = self._events(version.metric, day, day + DAY)
            in_parts = version.metric in VALUES
            quantity = self._share(days, position) if in_parts else sum(found, Fraction(0))
            due = position == len(days) - 1 and not used
            count = sum(not isinstance(q, Adjustment) for q in found)
            total += rated(version.price, quantity, billed, due, count, events)
            billed, events = billed + quantity, events + count
            before = (day, version)
        return total


def _days(since: datetime, until: datetime) -> Iterator[datetime]:
    day = since
    while day < until:
        yield day
        day += DAY
