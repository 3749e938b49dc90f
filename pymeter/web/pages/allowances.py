"""What a subject has used of each metric, of how much, and what is expected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pymeter.calls.result import Row
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.site import Page

Ask = Callable[..., Awaitable[Answer]]
_FULL = Decimal(100)


@dataclass(frozen=True)
class Meter:
    """A metric of a subject. The quota is that of the limit that binds."""

    metric: str
    name: str
    total: Row
    """Of the billing cycle: a row of summary()."""
    quota: Row | None = None
    """Of check_quota()."""
    marks: tuple[Decimal, ...] = ()
    projection: Row | None = None

    @property
    def is_limited(self) -> bool:
        """Whether a limit binds."""
        return self.quota is not None and self.quota["quota"] is not None

    @property
    def is_used(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.is_limited or self.total["event_count"] or self.total["has_data"])

    @property
    def used(self) -> Decimal:
        """In the window of the limit; without one, in the billing cycle."""
        of = self.quota if self.is_limited and self.quota is not None else self.total
        return Decimal(of["used" if of is self.quota else "quantity"])

    @property
    def allowed(self) -> Decimal:
        """The quota and the top-ups that are left to it: 0 without a limit."""
        if self.quota is None or not self.is_limited:
            return Decimal(0)
        return Decimal(self.quota["used"] + self.quota["held"] + self.quota["remaining"] - self.over)

    @property
    def over(self) -> Decimal:
        """What was used beyond the quota."""
        return Decimal(0) if self.quota is None else Decimal(self.quota["overrun"] or 0)

    def percent(self, value: Decimal) -> Decimal:
        """A part of what is allowed."""
        if self.allowed <= 0:
            return _FULL
        return min(value * 100 / self.allowed, _FULL)

    @property
    def bar(self) -> tuple[str, str]:
        """How much of the bar is used, and held, of 100."""
        assert self.quota is not None
        used = self.percent(max(self.used, Decimal(0)))
        held = min(self.percent(max(self.quota["held"] or Decimal(0), Decimal(0))), _FULL - used)
        return f"{used:.2f}", f"{held:.2f}" if held else ""

    @property
    def state(self) -> str:
        """exceeded, reached, approaching (a mark of the limit was passed), or nothing."""
        if self.quota is None or not self.is_limited:
            return ""
        if not self.quota["allowed"] or self.over > 0:
            return "exceeded" if self.over > 0 else "reached"
        # As marks fire: by usage and the quota alone.
        reached = any(self.used * 100 >= self.quota["quota"] * mark for mark in self.marks)
        return "approaching" if reached else ""

    @property
    def tone(self) -> str:
        """The colour of the bar."""
        return {"": "", "approaching": "warn"}.get(self.state, "bad")

    @property
    def is_of_cycle(self) -> bool:
        """Whether the limit's window is the billing cycle, which the total is of."""
        return not self.is_limited or (self.quota is not None and _window(self.quota) == _window(self.total))


@dataclass
class Meters:
    """All metrics of a subject, and the answers that they are from."""

    summary: Answer
    projections: Answer
    found: list[Meter] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    @property
    def used(self) -> list[Meter]:
        """Those to show: the one that is nearest to its limit first, and then those without a limit."""
        return sorted(
            (meter for meter in self.found if meter.is_used),
            key=lambda meter: -meter.percent(meter.used) if meter.is_limited else Decimal(1),
        )

    @property
    def unused(self) -> list[Meter]:
        """Those without usage and limit."""
        return [meter for meter in self.found if not meter.is_used]


async def meters(page: Page, subject: str, *, catalog: Answer | None = None, is_own: bool = False) -> Meters:
    """The metrics of a subject. `catalog`: which have limits at all. `is_own`: for the subject itself."""
    ask = page.ask
    of = (lambda name: f"own_{name}") if is_own else (lambda name: name)
    known: dict[str, Row] = {} if catalog is None else {row["key"]: row for row in catalog.rows}
    summary = await ask(of("summary"), subject=subject, period="cycle")
    projections = await page.try_ask(of("project_usage"), subject=subject)
    by_metric = {row["metric"]: row for row in projections.rows}
    made = Meters(summary, projections)
    for total in summary.rows:
        metric = total["metric"]
        row = known.get(metric)
        quota: Row | None = None
        marks: tuple[Decimal, ...] = ()
        if row is None or row["limited"]:
            quota, marks = await _limit(ask, of, made, subject, metric)
        made.found.append(Meter(metric, page.named(metric), total, quota, marks, by_metric.get(metric)))
    return made


async def _limit(
    ask: Ask, of: Callable[[str], str], made: Meters, subject: str, metric: str
) -> tuple[Row, tuple[Decimal, ...]]:
    answer = await ask(of("check_quota"), subject=subject, metric=metric)
    made.answers.append(answer)
    quota = answer.row
    if quota["quota"] is None:
        return quota, ()
    limits = await ask("own_limits" if of("") else "effective_limits", subject=subject, metric=metric)
    made.answers.append(limits)
    marks = [row["marks"] for row in limits.rows if row["counts"] and row["name"] == quota["limited_by"]]
    return quota, tuple(mark for own in marks for mark in own)


def _window(row: Row) -> tuple[Any, Any]:
    return row["since"], row["until"]
