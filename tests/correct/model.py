"""What a meter with corrections has to answer, by the textbook: a list of rows, searched whole.

Rows have names of the caller's choice, because the ids of events differ between two orders of the same facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.helpers import _EXACT

Key = tuple[str, str, str]  # subject, metric, idempotency key
CHANGEABLE = ("quantity", "member", "at", "metadata")


@dataclass
class Row:
    """A row of the log that counts, or counted once: an event, or an adjustment."""

    subject: str
    metric: str
    at: datetime
    quantity: Decimal | None = None
    member: str | None = None
    metadata: dict[str, Any] | None = None
    key: str | None = None
    kind: str = "usage"
    active: bool = True
    amended_to: str | None = None  # the row that has replaced it, while it does

    def payload(self) -> Any:
        return self.member if self.quantity is None else self.quantity


@dataclass
class Entry:
    """What a correction has done: a row that counts no more, a row that is new, or both."""

    gone: str | None = None
    new: str | None = None

    def rows(self) -> set[str]:
        return {name for name in (self.gone, self.new) if name is not None}


@dataclass
class Correction:
    entries: list[Entry] = field(default_factory=list)
    reverts: str | None = None
    reverted: bool = False


class Refused(Exception):
    """The meter refuses with 22023."""


class Model:
    def __init__(self, metrics: Mapping[str, str]) -> None:
        self.metrics = dict(metrics)
        self.rows: dict[str, Row] = {}
        self.keys: dict[Key, str] = {}  # the event that a key names now
        self.payloads: dict[Key, list[Any]] = {}
        self.corrections: dict[str, Correction] = {}

    # ---------------------------------------------------------------------------------------- what is told

    def record(self, name: str, event: Mapping[str, Any]) -> str:
        row = Row(
            subject=event["subject"],
            metric=event["metric"],
            at=event["at"],
            quantity=event.get("quantity"),
            member=event.get("member"),
            metadata=event.get("metadata"),
            key=event.get("idempotency_key"),
        )
        if self.metrics[row.metric] == "count" and row.quantity is None:
            row.quantity = Decimal(1)
        if row.key is not None:
            key = (row.subject, row.metric, row.key)
            if key in self.keys:
                return "duplicate" if row.payload() in self.payloads[key] else "conflict"
            self.keys[key] = name
            self.payloads[key] = [row.payload()]
        self.rows[name] = row
        return "recorded"

    def record_entry(self, correction: str, name: str, event: Mapping[str, Any]) -> str:
        """An event that a correction records."""
        outcome = self.record(name, event)
        return self._note(correction, Entry(new=name)) if outcome == "recorded" else outcome

    def adjust(self, correction: str, name: str, **given: Any) -> str:
        self.rows[name] = Row(**given, kind="adjustment")
        return self._note(correction, Entry(new=name))

    def void(self, correction: str, target: str | Key) -> str:
        name = self._find(target)
        row = self.rows[name]
        if not row.active:
            return "duplicate"
        row.active = False
        return self._note(correction, Entry(gone=name))

    def amend(self, correction: str, target: str | Key, name: str, changes: Mapping[str, Any]) -> str:
        old_name = self._find(target)
        old = self.rows[old_name]
        if not old.active:
            return "conflict"
        given = {column: value for column, value in changes.items() if value is not None}
        new = Row(**{**vars(old), **given})
        if new == old:
            return "duplicate"
        old.active = False
        old.amended_to = name
        self.rows[name] = new
        if new.key is not None:
            key = (new.subject, new.metric, new.key)
            self.keys[key] = name
            self.payloads[key].append(new.payload())
        return self._note(correction, Entry(gone=old_name, new=name))

    def revert(self, correction: str, name: str) -> None:
        """Under the name of the correction that reverts."""
        reverted = self.corrections[name]
        if reverted.reverted or reverted.reverts is not None or self.later(name):
            raise Refused(name)
        for entry in reversed(reverted.entries):
            if entry.new is not None:
                self.rows[entry.new].active = False
            if entry.gone is not None:
                row = self.rows[entry.gone]
                row.active = True
                row.amended_to = None
                if row.key is not None and entry.new is not None:
                    self.keys[row.subject, row.metric, row.key] = entry.gone
        reverted.reverted = True
        self.corrections[correction] = Correction(list(reverted.entries), reverts=name)

    def later(self, name: str) -> list[str]:
        """The later corrections that touch what this one has touched, and count."""
        rows = self.touched(name)
        after = list(self.corrections)[list(self.corrections).index(name) + 1 :]
        return [
            other
            for other in after
            if not self.corrections[other].reverted
            and self.corrections[other].reverts is None
            and self.touched(other) & rows
        ]

    def touched(self, correction: str) -> set[str]:
        return {name for entry in self.corrections[correction].entries for name in entry.rows()}

    def open(self, correction: str) -> None:
        self.corrections.setdefault(correction, Correction())

    def _note(self, correction: str, entry: Entry) -> str:
        self.corrections.setdefault(correction, Correction()).entries.append(entry)
        return "applied"

    def _find(self, target: str | Key) -> str:
        return target if isinstance(target, str) else self.keys[target]

    # ------------------------------------------------------------------------------------- what is answered

    def found(
        self, subject: str, metric: str, since: datetime | None = None, until: datetime | None = None
    ) -> list[Row]:
        """Rows that count, in the order of the log: that of their ids."""
        return [
            row
            for row in self.rows.values()
            if row.active
            and (row.subject, row.metric) == (subject, metric)
            and (since is None or row.at >= since)
            and (until is None or row.at < until)
        ]

    def usage(
        self, subject: str, metric: str, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[Decimal, int]:
        """(quantity, event_count); an avg is given as its sum, see ``same_quantity``."""
        return of_rows(self.metrics[metric], self.found(subject, metric, since, until))


def of_rows(aggregate: str, found: Iterable[Row]) -> tuple[Decimal, int]:
    rows = list(found)
    events = sum(row.kind == "usage" for row in rows)
    if not rows:
        return Decimal(0), 0
    quantities = [row.quantity for row in rows if row.quantity is not None]
    if aggregate == "unique":
        return Decimal(len({row.member for row in rows})), events
    if aggregate in ("min", "max"):
        return (min if aggregate == "min" else max)(quantities), events
    if aggregate == "last":
        latest = max(row.at for row in rows)
        return [q for row, q in zip(rows, quantities, strict=True) if row.at == latest][-1], events
    total = Decimal(0)
    for quantity in quantities:
        total = _EXACT.add(total, quantity)
    return total, events
