"""A file to the ledger: its batches, the file of lines that were not counted, the final counts."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

from pymeter import exact_json
from pymeter.importing.dry_run import DryRun
from pymeter.importing.keys import FileChanged, KeyMaker
from pymeter.importing.options import ImportOptions
from pymeter.importing.reading import FileFormat, LineReader, Problem, guess_format, open_stream
from pymeter.importing.sending import Connect, ImportStopped, Ledger
from pymeter.importing.shaping import ParsedRow, ParsedRows

_REASONS_MAX = 1000


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

    def count(self, report: ImportReport, parsed: ParsedRow, outcome: str, problem: Problem | None) -> None:
        """Count a line's outcome; write the line with its problem, if it has one."""
        report.lines += 1
        setattr(report, outcome, getattr(report, outcome) + 1)
        if problem is not None:
            self.write(parsed, outcome, problem)
            report.add_reason(problem.reason)
            report.rejects_file = str(self.path)

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
    corrected: list[ParsedRow] = []
    try:
        with (
            open_stream(name) as (stream, raw),
            Ledger(connect, schema, DryRun() if dry_run else None) as ledger,
            _Rejects(rejects or rejects_path(name, options.source, dry_run)) as rejected,
        ):
            keys = KeyMaker(name, raw, form, options, ledger.are_known, ledger.could_count, report)
            for batch in _batches(_readable(_keyed(stream, name, form, options, keys)), options.batch_size):
                corrected += [parsed for parsed in batch if parsed.correction is not None]
                for result in ledger.record([parsed for parsed in batch if parsed.correction is None]):
                    rejected.count(report, *result)
                report.seconds = time.monotonic() - started
                if progress is not None:
                    progress(report, raw.tell() if raw.seekable() else 0)
            for result in ledger.correct(corrected):
                rejected.count(report, *result)
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
