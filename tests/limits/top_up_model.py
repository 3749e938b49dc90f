"""What top-ups have to cover, by the textbook: one event after the other takes what it needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.limits.naive import Naive

INSTANT = timedelta(microseconds=1)


@dataclass
class Spent:
    """What there is after all events up to a moment."""

    left: dict[int, Decimal]
    uncovered: Decimal = Decimal(0)
    # By the period of the limit and its start.
    overrun: dict[tuple[str, datetime], Decimal] = field(default_factory=dict)
    rollover: dict[tuple[str, datetime], list[Decimal]] = field(default_factory=dict)


@dataclass
class TopUpModel:
    """The top-ups and holds of one subject and metric. ``limits`` has its limits and events."""

    limits: Naive
    subject: str
    metric: str
    periods: tuple[str, ...]  # of the limits named default; top-ups raise the first one that counts
    top_ups: list[Any] = field(default_factory=list)
    void: set[int] = field(default_factory=set)
    holds: list[tuple[datetime, Decimal]] = field(default_factory=list)

    def version(self, at: datetime, now: datetime) -> Any:
        found = [
            v
            for v, counts, _ in self.limits.effective(self.subject, self.metric, at, now)
            if counts and v.name == "default" and v.period in self.periods and v.quota is not None
        ]
        return min(found, key=lambda v: self.periods.index(v.period), default=None)

    def window(self, period: str, at: datetime) -> tuple[datetime, datetime | None]:
        return self.limits.window(period, self.subject, self.metric, at, at)

    def used(self, since: datetime, until: datetime) -> tuple[Decimal, Decimal]:
        """(used, held) in [since, until)."""
        held = sum((q for t, q in self.holds if since <= t < until), Decimal(0))
        return self.limits.usage(self.subject, self.metric, since, until), held

    def order(self) -> list[Any]:
        there = [t for t in self.top_ups if t.top_up_id not in self.void]
        return sorted(
            there,
            key=lambda t: (
                t.priority,
                t.expires_at is None,
                t.expires_at or datetime.min,
                t.source == "paid",
                t.since,
                t.top_up_id,
            ),
        )

    def spend(
        self, now: datetime, until: datetime | None = None, extra: tuple[datetime, Decimal] | None = None
    ) -> Spent:
        """Everything up to and at ``until``, or without it all; ``extra``: as if that much more were used."""
        given = [
            (e["at"], e["quantity"])
            for e in self.limits.events
            if (e["subject"], e["metric"]) == (self.subject, self.metric)
        ]
        given += self.holds + ([extra] if extra else [])
        given = sorted((t, q) for t, q in given if until is None or t <= until)
        spent = Spent({t.top_up_id: t.quantity for t in self.top_ups})
        totals: dict[tuple[str, datetime], Decimal] = {}
        for at, quantity in given:
            for period in self.periods:
                name = period, self.window(period, at)[0]
                totals[name] = totals.get(name, Decimal(0)) + quantity
            version = self.version(at, now)
            if version is None:
                continue
            start = version.period, self.window(version.period, at)[0]
            before = totals[start] - quantity
            if start not in spent.rollover:
                came = self.came_over(version.period, start[1], now, totals)
                spent.rollover[start] = [came, came]
            beyond = max(before + quantity - version.quota, Decimal(0)) - max(
                before - version.quota, Decimal(0)
            )
            taken = min(beyond, spent.rollover[start][1])
            spent.rollover[start][1] -= taken
            beyond -= taken
            for top_up in self.order():
                if top_up.since <= at and (top_up.expires_at is None or at < top_up.expires_at):
                    taken = min(beyond, spent.left[top_up.top_up_id])
                    spent.left[top_up.top_up_id] -= taken
                    beyond -= taken
            spent.uncovered += beyond
            spent.overrun[start] = spent.overrun.get(start, Decimal(0)) + beyond
        version = None if until is None else self.version(until, now)
        if until is not None and version is not None:
            start = version.period, self.window(version.period, until)[0]
            if start not in spent.rollover:
                came = self.came_over(version.period, start[1], now, totals)
                spent.rollover[start] = [came, came]
        return spent

    def came_over(
        self, period: str, start: datetime, now: datetime, totals: dict[tuple[str, datetime], Decimal]
    ) -> Decimal:
        """Events come in order, so the total of the period before is complete."""
        if period == "never":
            return Decimal(0)
        last = start - INSTANT
        counting = [
            v
            for v, counts, _ in self.limits.effective(self.subject, self.metric, last, now)
            if counts and (v.name, v.period) == ("default", period) and v.quota is not None
        ]
        version = counting[0] if counting else None
        if start > now or version is None or (version.rollover_min, version.rollover_max) == (None, None):
            return Decimal(0)
        before = self.window(period, last)[0]
        same = [
            v
            for v in self.limits.versions
            if (v.metric, v.name, v.period) == (version.metric, version.name, version.period)
            and (v.subject, v.plan) == (version.subject, version.plan)
        ]
        if not self._has_held(same, before, start):
            return Decimal(0)
        left = max(version.quota - totals.get((period, before), Decimal(0)), Decimal(0))
        left = max(left, version.rollover_min or Decimal(0))
        return left if version.rollover_max is None else min(left, version.rollover_max)

    def _has_held(self, versions: list[Any], since: datetime, until: datetime) -> bool:
        """Whether these versions of one limit have had a quota for the subject in all of [since, until)."""
        first = max(
            (v for v in versions if v.since <= since), key=lambda v: (v.since, v.limit_id), default=None
        )
        within = [v for v in versions if since < v.since < until]
        if first is None or any(v.removed or v.quota is None for v in [first, *within]):
            return False
        return first.plan is None or any(
            (s, p) == (self.subject, first.plan) and begin <= since and (end is None or end >= until)
            for s, p, begin, end in self.limits.subscriptions
        )

    def balance(self, at: datetime, now: datetime) -> dict[str, Any] | None:
        version = self.version(at, now)
        if version is None:
            return None
        start, end = self.window(version.period, at)
        name = version.period, start
        used, held = self.used(start, at + INSTANT)
        spent = self.spend(now, at)
        active = [t for t in self.order() if t.since <= at and (t.expires_at is None or at < t.expires_at)]
        rollover, rollover_left = spent.rollover[name]
        left = sum((spent.left[t.top_up_id] for t in active), rollover_left)
        return {
            "quota": version.quota,
            "used": used,
            "held": held,
            "overrun": spent.overrun.get(name, Decimal(0)),
            "top_ups": sum((t.quantity for t in active), rollover),
            "top_ups_left": left,
            "remaining": max(version.quota - used - held, Decimal(0)) + left,
            "limited_by": "default",
            "since": start,
            "until": end,
        }

    def room(self, at: datetime, now: datetime) -> Decimal:
        """The most whole units that can be used more at a moment without raising what nothing covers."""
        first = self.spend(now).uncovered
        low, high = 0, 4096
        while low < high:
            middle = (low + high + 1) // 2
            if self.spend(now, extra=(at, Decimal(middle))).uncovered > first:
                high = middle - 1
            else:
                low = middle
        return Decimal(low)
