"""Rows of an export that corrections wrote: grouped into these corrections, and applied in their order.

A void, an amended event and an adjustment are what a correction did, so they are made again by a correction
of the meter that imports them. Events are named by their keys there; one that was recorded without a key has
the key of its export.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg

from pymeter.client import Meter
from pymeter.errors import LockUnavailable, MeterError, SerializationFailure
from pymeter.importing.fields import BadRecord, Exported
from pymeter.importing.identity import export_key
from pymeter.importing.reading import Problem

_KINDS = ("usage", "void", "adjustment")
_PAGE = 10_000
_NOT_THERE = Problem(
    "UM007",
    "the correction that it takes back was not imported",
    "Import an export that has both corrections.",
)
_PASSING = (SerializationFailure, LockUnavailable, psycopg.OperationalError, psycopg.InterfaceError)
"""What may be over at the next attempt; the import sends it again, or stops."""
Outcome = tuple[str, Problem | None]
Run = Callable[[Callable[[Meter], "_Done"]], "_Done"]


class CorrectionRow(NamedTuple):
    """A row of the log that a correction wrote, with the numbers of the meter that exported it."""

    event: dict[str, Any]
    event_id: int
    recorded_at: str
    kind: str
    corrects: int | None
    correction_id: int
    corrects_key: str | None
    """Of a void: the key of the event that it takes back, or of its export."""
    reason: str | None

    @property
    def own_key(self) -> str:
        """Its identity in any meter that does not have it under a key."""
        return export_key(str(self.event_id), self.recorded_at)

    @property
    def key(self) -> str:
        """The key under which it is imported, unless it takes over that of another event."""
        return self.event.get("idempotency_key") or self.own_key


class _Done(NamedTuple):
    correction_id: int
    outcomes: list[str]
    """Of the entries, in their order; empty if it had been imported before."""


def correction_row(event: dict[str, Any], exported: Exported) -> CorrectionRow:
    """The row, from what the export says. BadRecord if an export cannot say so."""
    said = exported.correction
    try:
        row = CorrectionRow(
            event,
            int(exported.event_id),
            str(exported.recorded_at),
            said["kind"],
            None if said.get("corrects") is None else int(said["corrects"]),
            int(said["correction_id"]),
            said.get("corrects_key"),
            said.get("reason"),
        )
        if row.kind not in _KINDS or not row.own_key or (row.kind == "void") > (row.corrects is not None):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise BadRecord(
            "22023",
            "kind, corrects and correction_id are not those of an export",
            "Drop the column correction_id, if the line is an event.",
        ) from None
    return row


@dataclass
class _Correction:
    """The rows of one correction, by event id, and their positions in the file's list."""

    rows: list[tuple[int, CorrectionRow]] = field(default_factory=list)

    @property
    def first(self) -> int:
        """By which corrections are in the order of their approval."""
        return self.rows[0][1].event_id

    @property
    def reason(self) -> str:
        """Why it was made."""
        row = self.rows[0][1]
        return row.reason or f"imported correction {row.correction_id}"

    @property
    def key(self) -> str:
        """The same for the same rows."""
        rows = "\0".join(row.own_key for _, row in self.rows)
        return f"import:{hashlib.sha256(rows.encode()).hexdigest()[:32]}"


class Corrections:
    """All rows of a file that corrections wrote. `run` makes a call in a transaction of its own."""

    def __init__(self, rows: Sequence[CorrectionRow], run: Run) -> None:
        self._run = run
        self._of_void = {row.event_id: row.correction_id for row in rows if row.kind == "void"}
        self._keys: dict[int, str] = {}
        self._imported: dict[int, int] = {}
        grouped: dict[int, _Correction] = {}
        for position, row in sorted(enumerate(rows), key=lambda pair: pair[1].event_id):
            grouped.setdefault(row.correction_id, _Correction()).rows.append((position, row))
        self._corrections = sorted(grouped.values(), key=lambda one: one.first)

    def __len__(self) -> int:
        return len(self._corrections)

    def apply(self, known: Sequence[bool]) -> Iterator[tuple[int, Outcome]]:
        """Each row's position and outcome. `known`: which rows the meter itself has written."""
        for one in self._corrections:
            number = one.rows[0][1].correction_id
            if any(known[position] for position, _ in one.rows):
                self._imported[number] = number
                yield from ((position, ("duplicate", None)) for position, _ in one.rows)
                continue
            try:
                yield from self._apply(one, number)
            except _PASSING:
                raise
            except (MeterError, psycopg.Error) as exc:
                problem = _problem_of(exc)
                yield from ((position, ("rejected", problem)) for position, _ in one.rows)

    def _apply(self, one: _Correction, number: int) -> Iterator[tuple[int, Outcome]]:
        taken_back = {
            self._of_void[row.corrects]
            for _, row in one.rows
            if row.kind == "void" and row.corrects in self._of_void
        }
        if taken_back:
            (target,) = taken_back
            if target not in self._imported:
                yield from ((position, ("rejected", _NOT_THERE)) for position, _ in one.rows)
                return
            done = self._run(lambda meter: _revert(meter, self._imported[target], one))
        else:
            entries = self._entries(one)
            done = self._run(lambda meter: _correct(meter, one, entries))
        self._imported[number] = done.correction_id
        outcomes = done.outcomes or ["duplicate"] * len(one.rows)
        for (position, _), outcome in zip(one.rows, outcomes, strict=True):
            name = "recorded" if outcome == "applied" else outcome
            yield position, (name, _CHANGED if name == "conflict" else None)

    def _entries(self, one: _Correction) -> list[dict[str, Any]]:
        """An entry for each row. A record with the key of an event that is voided before takes its place."""
        voided: dict[int, str] = {}
        entries = []
        for _, row in one.rows:
            event = {name: value for name, value in row.event.items() if value is not None}
            entry: dict[str, Any] = {n: event[n] for n in ("subject", "metric") if n in event}
            if row.kind == "void":
                assert row.corrects is not None
                key = self._keys.get(row.corrects) or row.corrects_key
                if key is None:
                    raise MeterError("the event that it takes back is not known", sqlstate="UM007")
                voided[row.corrects] = key
                entries.append(entry | {"entry": "void", "idempotency_key": key})
                continue
            key = voided.get(row.corrects or 0) or row.key
            self._keys[row.event_id] = key
            kind = "adjust" if row.kind == "adjustment" else "record"
            fields = ("quantity", "at") if kind == "adjust" else ("quantity", "member", "at", "metadata")
            entry |= {name: event[name] for name in fields if name in event}
            entries.append(entry | {"entry": kind, "idempotency_key": key})
        return entries


_CHANGED = Problem(
    "UM005",
    "the event or its key had been changed otherwise",
    "What was there before counts.",
)


def _correct(meter: Meter, one: _Correction, entries: list[dict[str, Any]]) -> _Done:
    opened = meter.open_correction(one.reason, idempotency_key=one.key)
    (found,) = meter.corrections(after_id=opened + 1, max_rows=1)
    if found.state != "open":
        return _Done(opened, [])
    if not found.entries:
        meter.stage_correction(opened, entries)
    meter.approve_correction(opened)
    outcomes: list[str] = []
    while len(outcomes) < len(entries):
        page = meter.correction_entries(opened, max_rows=_PAGE, after_ordinal=len(outcomes))
        outcomes += [entry.outcome or "conflict" for entry in page]
    return _Done(opened, outcomes)


def _revert(meter: Meter, target: int, one: _Correction) -> _Done:
    (found,) = meter.corrections(after_id=target + 1, max_rows=1)
    if found.reverted_by is not None:
        return _Done(found.reverted_by, [])
    return _Done(meter.revert_correction(target, one.reason), ["applied"] * len(one.rows))


def _problem_of(exc: MeterError | psycopg.Error) -> Problem:
    if isinstance(exc, MeterError):
        return Problem(exc.sqlstate, f"{exc.message}: {exc.detail}" if exc.detail else exc.message, exc.hint)
    if isinstance(exc, psycopg.errors.InsufficientPrivilege):
        return Problem(
            exc.sqlstate or "",
            exc.diag.message_primary or "it is not allowed",
            "An import opens and approves corrections: it needs the levels read, admin and approve, and the"
            " setting four_eyes to be false.",
        )
    return Problem(exc.sqlstate or "", exc.diag.message_primary or str(exc), exc.diag.message_hint)
