"""Batches of events to the ledger: each a transaction, sent again where that is right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import psycopg

from pymeter.client import Meter
from pymeter.errors import InvalidInput, SerializationFailure
from pymeter.importing.corrected import CorrectionRow, Corrections
from pymeter.importing.dry_run import DryRun
from pymeter.importing.identity import time_of
from pymeter.importing.reading import Problem, Record
from pymeter.importing.shaping import ParsedRow
from pymeter.models import BatchOutcome
from pymeter.program_connection import transaction

Connect = Callable[[], "psycopg.Connection[Any]"]
T = TypeVar("T")
_PAUSES_SECONDS = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
_SIZE_ERRORS = ("54",)  # program limits: a nesting that is too deep for PostgreSQL, for example
LineResult = tuple[ParsedRow, str, Problem | None]
_CONFLICT = Problem(
    "UM005",
    "the idempotency key was used before, with another quantity or member",
    "The first one counts. Give a correction a key of its own.",
)
_NO_RECORD = Record(0, "")


class ImportStopped(Exception):
    """The import ended before the end of the file. The report has what was counted; import again to go on."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.hint = hint


class Ledger:
    """Sends batches, each as one transaction, and sends them again where that is right."""

    def __init__(self, connect: Connect, schema: str, dry_run: DryRun | None) -> None:
        self._connect = connect
        self._schema = schema
        self._dry_run = dry_run
        self._connection = connect()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def record(self, batch: list[ParsedRow]) -> Iterator[LineResult]:
        """Every record with its outcome, in order."""
        known = self._known([parsed for parsed in batch if parsed.problem is None and parsed.exported])
        new = [parsed for parsed in batch if parsed.problem is None and id(parsed) not in known]
        outcomes = known | dict(zip(map(id, new), self._send(new, self._persist), strict=True))
        for parsed in batch:
            if parsed.problem is not None:
                yield parsed, "rejected", parsed.problem
                continue
            outcome = outcomes[id(parsed)]
            if isinstance(outcome, Problem):
                yield parsed, "rejected", outcome
            elif outcome.outcome == "rejected":
                problem = Problem(outcome.sqlstate or "", outcome.message or "", outcome.hint)
                yield parsed, "rejected", problem
            else:
                name = (
                    self._dry_run.outcome(parsed.event or {}, outcome) if self._dry_run else outcome.outcome
                )
                yield parsed, name, _CONFLICT if name == "conflict" else None

    def correct(self, rows: list[ParsedRow]) -> Iterator[LineResult]:
        """Every row that a correction wrote with its outcome, after all events of the file were recorded."""
        given = [parsed.correction for parsed in rows if parsed.correction is not None]
        known = [answer is not None for answer in self._send([_logged(row) for row in given], self._ask)]
        if self._dry_run is not None:
            for parsed, is_known in zip(rows, known, strict=True):
                yield parsed, "duplicate" if is_known else "recorded", None
            return
        corrections = Corrections(given, lambda call: self._patiently(call, repeatable=True))
        for position, (outcome, problem) in corrections.apply(known):
            yield rows[position], outcome, problem

    def are_known(self, events: Sequence[dict[str, Any]]) -> list[bool]:
        """Which of these events the ledger has, by their keys."""
        parsed = [ParsedRow(_NO_RECORD, dict(event)) for event in events]
        return [outcome is not None for outcome in self._send(parsed, self._ask)]

    def could_count(self, events: Sequence[dict[str, Any]]) -> list[bool]:
        """Which of these events the ledger would record now, or could have recorded before."""
        parsed = [ParsedRow(_NO_RECORD, dict(event)) for event in events]
        answers = zip(events, self._send(parsed, self._try), strict=True)
        return [outcome is not None and _could_count(event, outcome) for event, outcome in answers]

    def _known(self, exported: list[ParsedRow]) -> dict[int, BatchOutcome | Problem | None]:
        """The outcomes of those exported events that the ledger has, whatever meter exported them."""
        asked = []
        for parsed in exported:
            event_id, recorded_at = parsed.exported or ("", "")
            event = {**(parsed.event or {}), "event_id": event_id, "recorded_at": recorded_at}
            asked.append(ParsedRow(parsed.record, event))
        answers = zip(exported, self._send(asked, self._ask), strict=True)
        return {id(parsed): answer for parsed, answer in answers if isinstance(answer, BatchOutcome)}

    def _send(
        self, batch: list[ParsedRow], call: Callable[[list[ParsedRow]], list[BatchOutcome | None]]
    ) -> list[Any]:
        if not batch:
            return []
        try:
            return call(batch)
        except (InvalidInput, psycopg.Error) as exc:
            if not _is_about_values(exc):
                raise
            # PostgreSQL could not even read the batch as JSON. Halving it finds the event that is to blame.
            if len(batch) > 1:
                middle = len(batch) // 2
                return self._send(batch[:middle], call) + self._send(batch[middle:], call)
            return [_problem_of(exc) if call == self._persist else None]

    def _persist(self, batch: list[ParsedRow]) -> list[BatchOutcome | None]:
        events = [parsed.event or {} for parsed in batch]
        repeatable = self._dry_run is not None or all(parsed.keyed for parsed in batch)

        return self._patiently(partial(_record, events), repeatable)

    def _ask(self, batch: list[ParsedRow]) -> list[BatchOutcome | None]:
        events = [parsed.event or {} for parsed in batch]
        found = {row.ordinal: row for row in self._patiently(lambda meter: meter.known_events(events), True)}
        return [found.get(ordinal) for ordinal in range(1, len(batch) + 1)]

    def _try(self, batch: list[ParsedRow]) -> list[BatchOutcome | None]:
        events = [parsed.event or {} for parsed in batch]

        return self._patiently(partial(_record, events), repeatable=True, keep=False)

    def _in_transaction(self, call: Callable[[Meter], T], keep: bool) -> T:
        with transaction(self._connection, mode="READ WRITE"):
            answer = call(Meter(self._connection, schema=self._schema))
            if not keep or self._dry_run is not None:
                raise psycopg.Rollback
        return answer

    def _patiently(self, call: Callable[[Meter], T], repeatable: bool, keep: bool = True) -> T:
        pauses = iter(_PAUSES_SECONDS)
        while True:
            try:
                if self._connection.closed:
                    self._connection = self._connect()
                return self._in_transaction(call, keep)
            except (SerializationFailure, psycopg.OperationalError) as exc:
                lost = not isinstance(exc, SerializationFailure)
                if lost and not (self._connection.closed or _is_going_away(exc)):
                    raise
                if lost and not repeatable:
                    raise ImportStopped(
                        "the connection was lost, and lines without a key may or may not have been counted",
                        "Look at the newest events before you import the rest; keys make it safe to repeat.",
                    ) from exc
                if (pause := next(pauses, None)) is None:
                    raise ImportStopped(
                        "the server cannot be reached, or is too busy", "Import the file again."
                    ) from exc
                if lost:
                    self._connection.close()
                time.sleep(pause)


def _record(events: Sequence[dict[str, Any]], meter: Meter) -> list[BatchOutcome | None]:
    # What a file tells of has happened: no limit refuses it.
    return [*meter.record_batch(events, on_invalid="skip", overflow=True)]


def _logged(row: CorrectionRow) -> ParsedRow:
    """What known_events is asked: whether this meter has written the row. Its key may be another's, too."""
    event = {**row.event, "event_id": row.event_id, "recorded_at": row.recorded_at}
    event.pop("idempotency_key", None)
    return ParsedRow(_NO_RECORD, event)


def _could_count(event: dict[str, Any], outcome: BatchOutcome) -> bool:
    """False for what no definition of the metric that it ever had would let the ledger record."""
    if outcome.outcome != "rejected" or outcome.sqlstate == "UM002":  # retired, or of another kind
        return True
    moment = time_of(event)
    return outcome.sqlstate == "22023" and moment is not None and moment > datetime.now(UTC)


def _is_going_away(exc: Exception) -> bool:
    return (getattr(exc, "sqlstate", None) or "").startswith(("08", "57P", "53300"))


def _is_about_values(exc: Exception) -> bool:
    return isinstance(exc, InvalidInput) or (getattr(exc, "sqlstate", None) or "").startswith(_SIZE_ERRORS)


def _problem_of(exc: InvalidInput | psycopg.Error) -> Problem:
    if isinstance(exc, InvalidInput):
        return Problem(exc.sqlstate, f"{exc.message}: {exc.detail}" if exc.detail else exc.message, exc.hint)
    return Problem(
        exc.sqlstate or "", exc.diag.message_primary or "the event cannot be stored", exc.diag.message_hint
    )
