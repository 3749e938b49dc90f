"""Budgets by a naive model: versions in lists, every judgement from scratch, by what invoice() says."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.helpers import Ledger

APPROACHING, EXCEEDED, CLEARED = "budget.approaching", "budget.exceeded", "budget.cleared"
STRICT = {"block": 0, "alert": 1, "none": 2}


@dataclass(frozen=True)
class Version:
    """A version of a budget, as set_budget() was called."""

    number: int
    subject: str | None
    plan: str | None
    currency: str
    period: str
    since: datetime
    amount: Decimal | None
    action: str
    marks: tuple[Decimal, ...]

    @property
    def key(self) -> tuple[Any, ...]:
        return (self.subject, self.plan, self.currency, self.period)


@dataclass
class Blocks:
    """What is refused of a subject in one period: how much may be used of each metric."""

    until: datetime
    quotas: dict[str, Decimal] = field(default_factory=dict)


def period_of(period: str, anchor: int, at: datetime) -> tuple[datetime, datetime]:
    """The calendar's, or the cycle that begins on a day of the month."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        return day, day + timedelta(days=1)
    if period == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = anchor if period == "cycle" else 1
    since = day.replace(day=first)
    if at < since:
        since = (since.replace(day=1) - timedelta(days=1)).replace(day=first)
    until = (since.replace(day=1) + timedelta(days=32)).replace(day=first)
    return since, until


class Model:
    """What must be told, and what must be refused."""

    def __init__(self, ledger: Ledger, anchors: dict[str, int]) -> None:
        self.ledger = ledger
        self.anchors = anchors
        self.versions: list[Version] = []
        self.plans: dict[str, list[tuple[str, datetime, datetime | None]]] = {name: [] for name in anchors}
        self.priced: dict[str, tuple[str, dict[str, datetime]]] = {}
        self.fired: dict[tuple[Any, ...], set[Decimal]] = {}
        self.blocks: dict[tuple[Any, ...], Blocks] = {}
        self.told: list[tuple[Any, ...]] = []

    def effective(self, subject: str, now: datetime) -> list[Version]:
        """Of each currency and period, the one that counts."""
        held: dict[tuple[Any, ...], Version] = {}
        for version in sorted(self.versions, key=lambda v: (v.since, v.number)):
            if version.since <= now:
                held[version.key] = version
        plans = {
            p for p, since, until in self.plans[subject] if since <= now and (until is None or until > now)
        }
        slots: dict[tuple[str, str], list[Version]] = {}
        for version in held.values():
            everyone = version.subject is None and version.plan is None
            if version.subject == subject or version.plan in plans or everyone:
                slots.setdefault((version.currency, version.period), []).append(version)
        return [min(slot, key=_precedence) for slot in slots.values()]

    def spent(self, subject: str, version: Version, now: datetime) -> Decimal | None:
        since, until = period_of(version.period, self.anchors[subject], now)
        lines = self.ledger.call("invoice", subject=subject, since=since, until=until)
        found = [line.amount for line in lines if (line.kind, line.currency) == ("total", version.currency)]
        return found[0] if found else Decimal(0)

    def judge(self, now: datetime) -> None:
        for subject in self.anchors:
            effective = {(v.currency, v.period): v for v in self.effective(subject, now)}
            for version in effective.values():
                self._judge(subject, version, now)
            for (name, currency, period, _), blocks in self.blocks.items():
                if name == subject and blocks.until > now and (currency, period) not in effective:
                    blocks.quotas.clear()

    def _judge(self, subject: str, version: Version, now: datetime) -> None:
        spent = self.spent(subject, version, now)
        since, until = period_of(version.period, self.anchors[subject], now)
        key = (subject, version.currency, version.period, since)
        if spent is not None and version.amount is not None and version.action != "none":
            self._fire(key, version, spent, version.amount)
        blocks = self.blocks.setdefault(key, Blocks(until))
        if version.action != "block" or version.amount is None:
            blocks.quotas.clear()
        elif spent is not None:
            blocks.quotas.clear()
            if spent >= version.amount:
                for metric in self._metrics(subject, version.currency, since, until):
                    blocks.quotas[metric] = self.used(subject, metric, since, until)

    def _fire(self, key: tuple[Any, ...], version: Version, spent: Decimal, amount: Decimal) -> None:
        fired = self.fired.setdefault(key, set())
        for mark in sorted(fired, reverse=True):
            if spent * 100 < mark * amount:
                fired.remove(mark)
                self.told.append((*key[:3], CLEARED, mark, spent, amount))
        for mark in sorted(version.marks):
            if spent * 100 >= mark * amount and mark not in fired:
                fired.add(mark)
                self.told.append((*key[:3], APPROACHING if mark < 100 else EXCEEDED, mark, spent, amount))

    def _metrics(self, subject: str, currency: str, since: datetime, until: datetime) -> set[str]:
        """Those with a price while the subject has its plan, in a part of the period."""
        found = set()
        for plan, begins, ends in self.plans[subject]:
            money, items = self.priced[plan]
            for metric, priced_from in items.items():
                start = max(begins, priced_from, since)
                if money == currency and start < min(ends or until, until):
                    found.add(metric)
        return found

    def used(self, subject: str, metric: str, since: datetime, until: datetime) -> Decimal:
        return max(Decimal(self.ledger.usage(subject, metric, since=since, until=until).quantity), Decimal(0))

    def refuses(self, subject: str, metric: str, quantity: Decimal, at: datetime) -> bool:
        """Whether an event of a sum or count is more than a block leaves."""
        for (name, _, _, since), blocks in self.blocks.items():
            if name == subject and metric in blocks.quotas and since <= at < blocks.until:
                row = self.ledger.usage(subject, metric, since=since, until=blocks.until)
                used = Decimal(row.quantity)
                if metric == "peak":
                    refuses = quantity > max(blocks.quotas[metric], used)
                else:
                    refuses = quantity > 0 and quantity > blocks.quotas[metric] - used
                if refuses:
                    return True
        return False


def _precedence(version: Version) -> tuple[Any, ...]:
    return (
        version.subject is None,
        version.plan is None,
        version.amount is None,
        STRICT[version.action],
        version.amount or 0,
        version.number,
    )
