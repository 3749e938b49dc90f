"""From events to the ledger: batches, retries, the file of rejected lines, the final counts."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, TypeVar

import psycopg

from pymeter import exact_json
from pymeter.client import Meter
from pymeter.errors import InvalidInput, SerializationFailure
from pymeter.importing.dry_run import DryRun
from pymeter.importing.identity import time_of
from pymeter.importing.keys import FileChanged, KeyMaker
from pymeter.importing.reading import FileFormat, LineReader, Problem, Record, guess_format, open_stream
from pymeter.importing.shaping import ImportOptions, ParsedRow, ParsedRows
from pymeter.models import BatchOutcome
from pymeter.program_connection import transaction

Connect = Callable[[], "psycopg.Connection[Any]"]
T = TypeVar("T")

_PAUSES_SECONDS = (0.05, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
_REASONS_MAX = 1000
_SIZE_ERRORS = ("54",)  # program limits: a nesting that is too deep for PostgreSQL, for example


class ImportStopped(Exception):
    """The import ended before the end of the file. The report has what was counted; import again to go on."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.hint = hint


@dataclass
class ImportReport:
    """The outcomes of a file's lines. `conflict`: the key had another payload before; nothing changed."""

    file: str
    lines: int = 0
    recorded: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0
    derived: int = 0
    """Lines that had no key and were given one."""
    seconds: float = 0.0
    rejects_file: str | None = None
    """Where the conflict and rejected lines are, if there are any."""
    complete: bool = False
    reasons: dict[str, int] = field(default_factory=dict)
    """Why lines were not counted, and how many of them."""
    dry_run: bool = False
    """Whether this is what would have happened; nothing was recorded."""

    def add_reason(self, reason: str) -> None:
        """Count a line that was not counted, without the values that a reason may end with."""
        reason = reason.partition(":")[0]
        if reason in self.reasons or len(self.reasons) < _REASONS_MAX:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1

    @property
    def events_per_second(self) -> int:
        """Lines handled in a second, of whatever outcome."""
        return round(self.lines / self.seconds) if self.seconds else 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **asdict(self),
            "seconds": f"{self.seconds:.3f}",
            "events_per_second": self.events_per_second,
        }


class Progress(Protocol):
    """Called after every batch."""

    def __call__(self, report: ImportReport, bytes_read: int, /) -> None: ...


@dataclass
class _Rejects:
    """The file of lines that were not counted; it appears when the import ends, if there are any."""

    path: Path
    _file: IO[str] | None = field(default=None, init=False)

    def write(self, parsed: ParsedRow, outcome: str, problem: Problem) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed in __exit__
                "w", encoding="utf-8", dir=self.path.parent, prefix=f".{self.path.name}.", delete=False
            )
        row = {
            "line": parsed.record.number,
            "outcome": outcome,
            "sqlstate": problem.sqlstate,
            "reason": problem.reason,
            "hint": problem.hint,
            "original": parsed.record.text,
        }
        self._file.write(exact_json.dumps(row) + "\n")

    @property
    def used(self) -> bool:
        return self._file is not None

    def __enter__(self) -> _Rejects:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            Path(self._file.name).replace(self.path)


def import_file(
    name: str | os.PathLike[str],
    connect: Connect,
    *,
    schema: str = "meter",
    options: ImportOptions | None = None,
    rejects: Path | None = None,
    progress: Progress | None = None,
    report: ImportReport | None = None,
    dry_run: bool = False,
) -> ImportReport:
    """Import one file (``-``: standard input) and return the outcomes of its lines.

    `connect` opens a connection in autocommit mode; it is called again when a connection is lost. `rejects`
    is where lines that were not counted go (in the current directory, named after the file, by default).
    `report`, if given, is filled as the import goes on, so it is right even when this raises. With `dry_run`
    every batch is checked by the ledger's own rules and rolled back.

    Raises OptionsError where the file does not fit the options, mostly before anything is written;
    ImportStopped for a file or a server that fails half-way; MeterError and psycopg.Error for what no
    repetition cures.
    """
    name = os.fspath(name)
    options = options or ImportOptions()
    report = report if report is not None else ImportReport(name)
    report.dry_run = dry_run
    form = options.format or guess_format(name)
    started = time.monotonic()
    try:
        with (
            open_stream(name) as (stream, raw),
            _Ledger(connect, schema, DryRun() if dry_run else None) as ledger,
            _Rejects(rejects or rejects_path(name, options.source, dry_run)) as rejected,
        ):
            keys = KeyMaker(name, raw, form, options, ledger.are_known, ledger.could_count, report)
            for batch in _batches(_readable(_keyed(stream, name, form, options, keys)), options.batch_size):
                for parsed, outcome, problem in ledger.record(batch):
                    report.lines += 1
                    setattr(report, outcome, getattr(report, outcome) + 1)
                    if problem is not None:
                        rejected.write(parsed, outcome, problem)
                        report.add_reason(problem.reason)
                        report.rejects_file = str(rejected.path)
                report.seconds = time.monotonic() - started
                if progress is not None:
                    progress(report, raw.tell() if raw.seekable() else 0)
            report.complete = True
    finally:
        report.seconds = time.monotonic() - started
    return report


def rejects_path(name: str, source: str | None = None, dry_run: bool = False) -> Path:
    """Where the lines of a file that were not counted go: two files never share one."""
    stem = "stdin" if name == "-" else Path(name).name
    elsewhere = "" if name == "-" else str(Path(name).resolve().parent)
    place = (source or "") if name == "-" else "" if elsewhere == str(Path.cwd().resolve()) else elsewhere
    mark = f".{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}" if place else ""
    return Path(f"{stem}{mark}{'.dry-run' if dry_run else ''}.rejects.jsonl")


def _keyed(
    stream: IO[bytes], name: str, form: FileFormat, options: ImportOptions, keys: KeyMaker
) -> Iterator[ParsedRow]:
    """The records, those without a key with one. The first batch is looked at before any of it is sent."""
    records = ParsedRows(LineReader(stream), name, form, options)
    first: list[ParsedRow] | None = []
    for position, parsed in enumerate(records, start=1):
        if first is None:
            if not keys.give(parsed, position):
                return
            yield parsed
            continue
        first.append(parsed)
        if len(first) == options.batch_size:
            records.check_paths()
            yield from keys.give_all(first)
            first = None
    if first is not None:
        records.check_paths()
        yield from keys.give_all(first)


def _readable(events: Iterator[ParsedRow]) -> Iterator[ParsedRow]:
    try:
        yield from events
    except FileChanged as exc:
        raise ImportStopped(str(exc), "Import it again once nothing writes to it.") from exc
    except (EOFError, zlib.error, OSError) as exc:
        raise ImportStopped(
            f"the file is damaged or ends in the middle: {exc}",
            "What came before was imported. Import the whole file, with --grown if its lines have no keys.",
        ) from exc


def _batches(events: Iterator[ParsedRow], size: int) -> Iterator[list[ParsedRow]]:
    """Lists of `size`; what was read before the file turned out to be damaged comes before the error."""
    batch: list[ParsedRow] = []
    try:
        for parsed in events:
            batch.append(parsed)
            if len(batch) == size:
                yield batch
                batch = []
    except ImportStopped:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


_CONFLICT = Problem(
    "UM005",
    "the idempotency key was used before, with another quantity or member",
    "The first one counts. Give a correction a key of its own.",
)

LineResult = tuple[ParsedRow, str, Problem | None]


class _Ledger:
    """Sends batches, each as one transaction, and sends them again where that is right."""

    def __init__(self, connect: Connect, schema: str, dry_run: DryRun | None) -> None:
        self._connect = connect
        self._schema = schema
        self._dry_run = dry_run
        self._connection = connect()

    def __enter__(self) -> _Ledger:
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

        def call(meter: Meter) -> list[BatchOutcome | None]:
            return [*meter.record_batch(events, on_invalid="skip")]

        return self._patiently(call, repeatable)

    def _ask(self, batch: list[ParsedRow]) -> list[BatchOutcome | None]:
        events = [parsed.event or {} for parsed in batch]
        found = {row.ordinal: row for row in self._patiently(lambda meter: meter.known_events(events), True)}
        return [found.get(ordinal) for ordinal in range(1, len(batch) + 1)]

    def _try(self, batch: list[ParsedRow]) -> list[BatchOutcome | None]:
        events = [parsed.event or {} for parsed in batch]

        def call(meter: Meter) -> list[BatchOutcome | None]:
            return [*meter.record_batch(events, on_invalid="skip")]

        return self._patiently(call, repeatable=True, keep=False)

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


_NO_RECORD = Record(0, "")


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
