"""What billing cycles have to be, in forty lines of Python: rules, and the edges of cycles."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

# Longer than the distance from any anchor of the tests to any instant of them, in cycles.
_REACH = {"week": 700, "month": 160, "year": 15}


@dataclass(frozen=True)
class Rule:
    anchor: datetime
    timezone: str
    every: str

    def starts(self) -> list[datetime]:
        """Every start near the anchor, by the clock of the time zone."""
        zone = ZoneInfo(self.timezone)
        local = self.anchor.astimezone(zone).replace(tzinfo=None)
        found = []
        for number in range(-_REACH[self.every], _REACH[self.every] + 1):
            if number == 0:
                found.append(self.anchor)
                continue
            if self.every == "week":
                start = local + timedelta(days=7 * number)
            else:
                month = local.year * 12 + local.month - 1 + number * (12 if self.every == "year" else 1)
                year, month = month // 12, month % 12 + 1
                start = local.replace(year=year, month=month, day=min(local.day, monthrange(year, month)[1]))
            # As PostgreSQL: of two instants the later one, and a skipped time is read before the skip.
            both = [start.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
            found.append(max(both))
        return sorted(found)


@dataclass
class Rules:
    """The rules of one subject, and from when each holds."""

    held: list[tuple[datetime, Rule]] = field(default_factory=list)

    def change(self, rule: Rule, since: datetime | None, now: datetime) -> None:
        wanted = since or now
        running = [r for begins, r in self.held if begins <= wanted]
        self.held = [(begins, r) for begins, r in self.held if begins <= wanted]
        if running and running[-1] == rule:
            return
        if since is None and not running:
            wanted = rule.anchor
        begins = min(start for start in rule.starts() if start >= wanted)
        self.held = [(b, r) for b, r in self.held if b < begins] + [(begins, rule)]


def cycles_between(rules: Rules, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    """The cycles that contain [since, until)."""
    calendar = Rule(datetime(2020, 1, 1, tzinfo=UTC), "UTC", "month")
    spans = [(datetime(2007, 1, 1, tzinfo=UTC), calendar), *rules.held]
    ends = [begins for begins, _ in spans[1:]] + [datetime(2033, 1, 1, tzinfo=UTC)]
    edges: set[datetime] = set()
    for (begins, rule), ends_at in zip(spans, ends, strict=True):
        edges |= {begins} | {start for start in rule.starts() if begins <= start < ends_at}
    return [(s, u) for s, u in pairwise(sorted(edges)) if u > since and s < until]
