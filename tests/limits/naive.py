"""What limits have to answer, by the textbook: lists of versions, plans and events, searched whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

ACTIONS = ("block", "alert", "none")
WEEKS_FROM = datetime(2020, 1, 1, 9, 30, tzinfo=UTC)
Window = tuple[datetime, datetime | None]


@dataclass
class Check:
    version: Any
    since: datetime
    until: datetime | None
    used: Decimal


@dataclass
class Answer:
    outcome: str
    quantity: Decimal
    remaining: Decimal | None
    limited_by: str | None


@dataclass
class Naive:
    """``metrics``: key -> (aggregate, period, rollup). Limits are the rows that set_limit() returned."""

    metrics: dict[str, tuple[str, str, str]]
    versions: list[Any] = field(default_factory=list)
    subscriptions: list[tuple[str, str, datetime, datetime | None]] = field(default_factory=list)
    weekly: set[str] = field(default_factory=set)
    events: list[dict[str, Any]] = field(default_factory=list)
    keys: dict[tuple[str, str, str], tuple[Any, datetime]] = field(default_factory=dict)

    def window(self, period: str, subject: str, metric: str, at: datetime, now: datetime) -> Window:
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        if period == "cycle" and subject in self.weekly:
            start = WEEKS_FROM + (at - WEEKS_FROM) // timedelta(days=7) * timedelta(days=7)
            return start, start + timedelta(days=7)
        if period in ("month", "cycle"):
            start = day.replace(day=1)
            return start, (start + timedelta(days=32)).replace(day=1)
        if period == "day":
            return day, day + timedelta(days=1)
        if period == "hour":
            start = day.replace(hour=at.hour)
            return start, start + timedelta(hours=1)
        if period == "never":
            return datetime.min.replace(tzinfo=UTC), None
        hours, _ = period.split()
        start = now - timedelta(hours=int(hours))
        # Its oldest bucket of the rollup counts whole, but no less than an hour.
        _, of_metric, rollup = self.metrics[metric]
        finest = of_metric if rollup == "none" else "day" if rollup == "day" else "hour"
        return self.window(finest, subject, metric, start, now)[0], None

    def usage(self, subject: str, metric: str, since: datetime, until: datetime | None) -> Decimal:
        found = [
            e
            for e in self.events
            if (e["subject"], e["metric"]) == (subject, metric)
            and e["at"] >= since
            and (until is None or e["at"] < until)
        ]
        aggregate = self.metrics[metric][0]
        if not found:
            return Decimal(0)
        if aggregate == "unique":
            return Decimal(len({e["member"] for e in found}))
        quantities = [e["quantity"] for e in found]
        if aggregate == "max":
            return max(quantities)
        if aggregate == "last":
            return max(enumerate(found), key=lambda n: (n[1]["at"], n[0]))[1]["quantity"]
        return sum(quantities, Decimal(0))

    def effective(
        self, subject: str, metric: str, at: datetime, now: datetime
    ) -> list[tuple[Any, bool, Window]]:
        slots: dict[tuple[str, str], dict[Any, Any]] = {}
        for version in self.versions:
            if version.metric != metric or version.subject not in (None, subject):
                continue
            decided = self._decided(version.period, subject, metric, at, now)
            if version.since > decided:
                continue
            slot = slots.setdefault((version.name, version.period), {})
            whose = (version.subject, version.plan)
            last = slot.get(whose)
            if last is None or (version.since, version.limit_id) > (last.since, last.limit_id):
                slot[whose] = version
        found = []
        for (_, period), slot in slots.items():
            decided = self._decided(period, subject, metric, at, now)
            held = [
                v
                for v in slot.values()
                if not v.removed and (v.plan is None or self._has_plan(subject, v.plan, decided))
            ]
            held.sort(key=self._rank)
            window = self.window(period, subject, metric, at, now)
            found += [(version, number == 0, window) for number, version in enumerate(held)]
        return found

    def checks(self, subject: str, metric: str, at: datetime, now: datetime) -> list[Check]:
        return [
            Check(version, since, until, self.usage(subject, metric, since, until))
            for version, counts, (since, until) in self.effective(subject, metric, at, now)
            if counts and version.quota is not None and at >= since
        ]

    def record(self, event: dict[str, Any], now: datetime, overflow: bool = False) -> Answer:
        subject, metric, at = event["subject"], event["metric"], event["at"]
        payload = event.get("member") or event.get("quantity")
        key = event.get("idempotency_key")
        name = (subject, metric, key)
        if key is not None and name in self.keys:
            first, first_at = self.keys[name]
            outcome = "duplicate" if first == payload else "conflict"
            return self._answer(outcome, subject, metric, first_at, now)
        checks = self.checks(subject, metric, at, now)
        refusing = [] if overflow else [c for c in checks if self._refuses(c, event)]
        if refusing:
            return self._answer("refused", subject, metric, at, now, refusing)
        if key is not None:
            self.keys[name] = (payload, at)
        self.events.append(event)
        return self._answer("recorded", subject, metric, at, now)

    def _answer(
        self,
        outcome: str,
        subject: str,
        metric: str,
        at: datetime,
        now: datetime,
        of: list[Check] | None = None,
    ) -> Answer:
        since, until = self.window(self.metrics[metric][1], subject, metric, at, now)
        checks = of or self.checks(subject, metric, at, now)
        quantity = self.usage(subject, metric, since, until)
        if not checks:
            return Answer(outcome, quantity, None, None)
        binds = self.binding(checks)
        return Answer(
            outcome, quantity, max(binds.version.quota - binds.used, Decimal(0)), binds.version.name
        )

    @staticmethod
    def binding(checks: list[Check]) -> Check:
        return min(
            checks,
            key=lambda c: (
                ACTIONS.index(c.version.action),
                c.version.quota - c.used,
                c.version.limit_id,
            ),
        )

    def _refuses(self, check: Check, event: dict[str, Any]) -> bool:
        if check.version.action != "block":
            return False
        aggregate = self.metrics[event["metric"]][0]
        if aggregate == "max":
            return bool(event["quantity"] > max(check.version.quota, check.used))
        if aggregate == "last":
            hidden = any(
                (e["subject"], e["metric"]) == (event["subject"], event["metric"])
                and e["at"] > event["at"]
                and (check.until is None or e["at"] < check.until)
                for e in self.events
            )
            return bool(event["quantity"] > check.version.quota) and not hidden
        if aggregate == "unique":
            known = any(
                (e["subject"], e["metric"], e.get("member"))
                == (event["subject"], event["metric"], event["member"])
                and e["at"] >= check.since
                and (check.until is None or e["at"] < check.until)
                for e in self.events
            )
            return not known and check.used + 1 > check.version.quota
        return bool(event["quantity"] > 0 and check.used + event["quantity"] > check.version.quota)

    def _decided(self, period: str, subject: str, metric: str, at: datetime, now: datetime) -> datetime:
        _, until = self.window(period, subject, metric, at, now)
        return now if until is None else min(now, until - timedelta(microseconds=1))

    def _has_plan(self, subject: str, plan: str, at: datetime) -> bool:
        return any(
            (s, p) == (subject, plan) and since <= at and (until is None or until > at)
            for s, p, since, until in self.subscriptions
        )

    @staticmethod
    def _rank(version: Any) -> Any:
        unlimited = version.quota is None
        source = 0 if version.subject is not None else 1 if version.plan is not None else 2
        # Among plans the strictest: one that blocks before one that alerts, and that before the others.
        return (
            source,
            unlimited,
            ACTIONS.index(version.action),
            Decimal(0) if unlimited else version.quota,
            version.limit_id,
        )
