"""How far projections miss: of cycles that are over, at a quarter, the half and three quarters of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median

from tests.helpers import Ledger
from tests.pricing.traffic import CYCLE_DAYS, HISTORY_DAYS, Traffic

START = datetime(2026, 3, 4, tzinfo=UTC)
SINCE = START + timedelta(days=HISTORY_DAYS)
UNTIL = SINCE + timedelta(days=CYCLE_DAYS)  # a month: the default cycle
SHARES = (25, 50, 75)

_BATCH = 5_000


@dataclass
class Score:
    """The projections of one kind of traffic at one time of the cycle. Errors are parts of what was used."""

    kind: str
    share: int
    unknown: int = 0
    run_rate: list[float] = field(default_factory=list)
    profile: list[float] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    inside: int = 0
    chosen: int = 0
    """How often the run rate was expected."""

    @property
    def coverage(self) -> float:
        """How often what was used lay between low and high."""
        return self.inside / len(self.expected)


def record(ledger: Ledger, traffic: Sequence[Traffic]) -> list[tuple[str, Traffic]]:
    """Record it, each as a subject of its own; returns the subjects."""
    subjects = []
    events = []
    for aggregate in dict.fromkeys(one.aggregate for one in traffic):
        ledger.define(aggregate, aggregate)
    for number, one in enumerate(traffic):
        subject = f"{one.kind} {number}"
        subjects.append((subject, one))
        what = "member" if one.aggregate == "unique" else "quantity"
        events += [
            {"subject": subject, "metric": one.aggregate, "at": START + timedelta(hours=hours), what: value}
            for hours, value in one.events
        ]
    for first in range(0, len(events), _BATCH):
        ledger.batch(events[first : first + _BATCH])
    return subjects


def backtest(ledger: Ledger, subjects: Iterable[tuple[str, Traffic]]) -> list[Score]:
    """Project every subject's cycle from each share of it, and compare with what was used at its end."""
    scores: dict[tuple[str, int], Score] = {}
    for subject, one in subjects:
        actual = float(ledger.usage(subject, one.aggregate, since=SINCE, until=UNTIL).quantity)
        for share in SHARES:
            score = scores.setdefault((one.kind, share), Score(one.kind, share))
            now = SINCE + (UNTIL - SINCE) * share / 100
            (row,) = ledger.call("project_usage", subject=subject, metric=one.aggregate, now=now)
            if row.expected is None or not actual:
                score.unknown += 1
                continue
            for errors, value in (
                (score.run_rate, row.run_rate),
                (score.profile, row.weekday_profile),
                (score.expected, row.expected),
            ):
                if value is not None:
                    errors.append(abs(float(value) - actual) / actual)
            score.inside += float(row.low) <= actual <= float(row.high)
            score.chosen += row.method == "run_rate"
    return list(scores.values())


def as_markdown(scores: Iterable[Score]) -> str:
    """The table of the page."""
    lines = [
        "| Usage | Cycle over | Subjects (unknown) | Run rate | Weekday profile | Expected | 9 of 10 within"
        " | Between low and high |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for score in scores:
        errors = sorted(score.expected)
        cells = (
            score.kind,
            f"{score.share} %",
            f"{len(errors)} ({score.unknown})",
            _percent(score.run_rate),
            _percent(score.profile),
            _percent(errors),
            f"{errors[int(0.9 * len(errors))]:.1%}" if errors else "",
            f"{score.coverage:.0%}" if errors else "",
        )
        lines.append(f"| {' | '.join(cells)} |".replace("%", " %").replace("  ", " "))
    return "\n".join(lines) + "\n"


def _percent(errors: Sequence[float]) -> str:
    return f"{median(errors):.1%}" if errors else ""
