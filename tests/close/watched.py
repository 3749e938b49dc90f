"""A history in whose course watermarks are drawn; a naive model tells what was true at each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.close.remember import Remembered, assert_still_so, remember
from tests.correct.histories import METRICS, WINDOWS, Life
from tests.helpers import at, same_quantity

# Steps of a window that ends inside a bucket.
_STEPS = (at("2026-02-28"), at("2026-03-02 05:00:30"), "hour")
Truth = dict[tuple[Any, ...], tuple[Decimal, int]]


@dataclass
class Mark:
    subject: str  # as the model calls it
    remembered: Remembered
    truth: Truth = field(default_factory=dict)
    steps: dict[tuple[str, datetime], tuple[Decimal, int]] = field(default_factory=dict)


class Watched(Life):
    """Draws watermarks where a history is verified."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.marks: list[Mark] = []

    def verify(self) -> None:
        super().verify()
        for subject, name in self.names.items():
            drawn = self.session.value("SELECT meter.watermark(%s)", [name])
            mark = Mark(subject, remember(self.session, name, drawn, metrics=self.used(subject), step="week"))
            for metric in self.used(subject):
                for window in WINDOWS:
                    mark.truth[metric, *window] = self.model.usage(subject, metric, *window)
                for row in self.steps(name, metric, drawn):
                    mark.steps[metric, row.bucket_start] = self.model.usage(
                        subject, metric, row.bucket_start, row.bucket_end
                    )
            self.marks.append(mark)

    def used(self, subject: str) -> list[str]:
        return sorted({row.metric for row in self.model.rows.values() if row.subject == subject})

    def steps(self, name: str, metric: str, as_of: datetime) -> list[Any]:
        since, until, step = _STEPS
        return self.session.call(
            "series", subject=name, metric=metric, since=since, until=until, step=step, as_of=as_of
        )

    def assert_marks(self) -> None:
        """What was true then, and what was answered then."""
        for mark in self.marks:
            name, as_of = self.names[mark.subject], mark.remembered.as_of
            assert_still_so(
                self.session,
                mark.remembered,
                metrics=sorted({metric for metric, *_ in mark.truth}),
                step="week",
            )
            for since, until in WINDOWS:
                given: dict[str, Any] = (
                    {"period": "never"} if since is None else {"since": since, "until": until}
                )
                for row in self.session.call("summary", subject=name, as_of=as_of, **given):
                    known = mark.truth.get((row.metric, since, until), (Decimal(0), 0))
                    self.assert_same(mark, row.metric, (since, until), row, known)
            for metric in {metric for metric, _ in mark.steps}:
                for row in self.steps(name, metric, as_of):
                    known = mark.steps[metric, row.bucket_start]
                    self.assert_same(mark, metric, row.bucket_start, row, known)

    def assert_same(self, mark: Mark, metric: str, where: Any, row: Any, known: tuple[Decimal, int]) -> None:
        assert row.event_count == known[1], (mark.remembered.as_of, metric, where, row, known)
        quantity = Decimal(0) if row.quantity is None else row.quantity
        assert same_quantity(METRICS[metric], quantity, known), (
            mark.remembered.as_of,
            metric,
            where,
            row,
            known,
        )
