"""What a row of the table is, and how it is run: ours and its baseline in turn, medians, ratio, spread.

The two sides of a row alternate, so what disturbs the machine for a while disturbs both. The ratio is that of
the medians; its spread is that of the rounds, each of which compares two neighbours in time.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["calls/s", "events/s", "calls", "ms", "s", "bytes", "instructions"]
_AS_THEY_ARE: tuple[Unit, ...] = ("calls/s", "events/s", "instructions")


@dataclass(frozen=True)
class Sample:
    """One measurement: its value in the row's unit, and the latencies of single calls (seconds), if any."""

    value: float
    latencies: Sequence[float] = ()


@dataclass(frozen=True)
class Target:
    """What the ratio must reach. ``>=``: how many times better. ``<=``: how many times the baseline's."""

    sign: Literal[">=", "<="]
    value: float

    def met_by(self, ratio: float) -> bool:
        return ratio >= self.value if self.sign == ">=" else ratio <= self.value

    def __str__(self) -> str:
        return f"{self.sign} {self.value:g}x"


@dataclass(frozen=True)
class Side:
    """One of the two things that a row compares. ``prepare`` runs before every measurement, untimed."""

    name: str
    run: Callable[[], Sample]
    prepare: Callable[[], object] | None = None

    def sample(self) -> Sample:
        if self.prepare is not None:
            self.prepare()
        return self.run()


@dataclass(frozen=True)
class Row:
    """A row of the table. Without a baseline there is no ratio; `limit` and `least` are for the value."""

    name: str
    unit: Unit
    ours: Side
    baseline: Side | None = None
    target: Target | None = None
    limit: float | None = None
    least: float | None = None
    note: str = ""
    rounds: int | None = None
    """How often both sides are run; None: as often as the scale says. 1 where the value is no timing."""


@dataclass(frozen=True)
class Measured:
    """What one side of a row came to. Latencies are in milliseconds; None where there are no single calls."""

    name: str
    values: tuple[float, ...]
    p50_ms: float | None
    p99_ms: float | None

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True)
class Result:
    """A row that was run."""

    group: str
    name: str
    unit: Unit
    ours: Measured
    baseline: Measured | None
    ratios: tuple[float, ...]
    ratio: float | None
    target: str
    met: bool | None
    """Whether the target is met; None: there is none."""
    note: str

    @property
    def spread(self) -> tuple[float, float] | None:
        """The least and the greatest ratio of any round."""
        return (min(self.ratios), max(self.ratios)) if self.ratios else None


@dataclass
class Harness:
    """Runs rows, and keeps the results."""

    rounds: int
    results: list[Result] = field(default_factory=list)

    def run(self, group: str, rows: Iterable[Row], tell: Callable[[Result], None]) -> None:
        """Run the rows of one module as it yields them: what a row needs is set up before it is yielded."""
        for row in rows:
            result = self._run(group, row)
            self.results.append(result)
            tell(result)

    def _run(self, group: str, row: Row) -> Result:
        ours: list[Sample] = []
        baseline: list[Sample] = []
        for _ in range(row.rounds or self.rounds):
            ours.append(row.ours.sample())
            if row.baseline is not None:
                baseline.append(row.baseline.sample())
        ratio_of = _ratio(row)
        ratios = tuple(ratio_of(o.value, b.value) for o, b in zip(ours, baseline, strict=False))
        measured = _measured(row.ours.name, ours)
        against = _measured(row.baseline.name, baseline) if row.baseline else None
        ratio = ratio_of(measured.median, against.median) if against else None
        target, met = "", None
        if row.target is not None and ratio is not None:
            target, met = str(row.target), row.target.met_by(ratio)
        elif row.limit is not None:
            target, met = f"<= {row.limit:g} {row.unit}", measured.median <= row.limit
        elif row.least is not None:
            target, met = f">= {row.least:g} {row.unit}", measured.median >= row.least
        return Result(group, row.name, row.unit, measured, against, ratios, ratio, target, met, row.note)


def _ratio(row: Row) -> Callable[[float, float], float]:
    """Times better: a rate's own ratio, a time's inverse. For an upper bound: times the baseline's."""
    if row.unit in _AS_THEY_ARE or (row.target is not None and row.target.sign == "<="):
        return lambda ours, baseline: ours / baseline
    return lambda ours, baseline: baseline / ours


def _measured(name: str, samples: Sequence[Sample]) -> Measured:
    latencies = sorted(latency for sample in samples for latency in sample.latencies)
    values = tuple(sample.value for sample in samples)
    return Measured(name, values, _percentile_ms(latencies, 50), _percentile_ms(latencies, 99))


def _percentile_ms(latencies: Sequence[float], percent: int) -> float | None:
    if not latencies:
        return None
    return latencies[min(len(latencies) - 1, len(latencies) * percent // 100)] * 1000
