"""A file's lines as entries of a correction: a backfill that counts once it is approved.

All of it is one transaction: an interruption leaves no half of a correction behind.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pymeter.client import Meter
from pymeter.importing.identity import time_of
from pymeter.importing.keys import KeyMaker
from pymeter.importing.loading import ImportReport, Progress, Rejects, keyed_batches, rejects_path
from pymeter.importing.options import ImportOptions, OptionsError
from pymeter.importing.reading import Problem, guess_format, open_stream
from pymeter.importing.sending import Connect, Ledger
from pymeter.importing.shaping import ParsedRow
from pymeter.models import VoidEntry
from pymeter.program_connection import transaction

_OF_CORRECTION = Problem(
    "22023",
    "a correction wrote the line",
    "Import the file without --as-correction: its corrections are made again.",
)


@dataclass(frozen=True)
class Window:
    """What a backfill replaces: all usage of a subject and metric in [since, until)."""

    subject: str
    metric: str
    since: datetime
    until: datetime

    def holds(self, parsed: ParsedRow) -> bool:
        """Whether the line's event is in it."""
        event = parsed.event or {}
        at = time_of(event)
        names = (event.get("subject"), event.get("metric"))
        return names == (self.subject, self.metric) and at is not None and self.since <= at < self.until

    def entry(self) -> VoidEntry:
        """Takes all of it back."""
        return VoidEntry(subject=self.subject, metric=self.metric, since=self.since, until=self.until)


def stage_file(
    name: str | os.PathLike[str],
    connect: Connect,
    reason: str,
    *,
    replaces: tuple[Window, ...] = (),
    schema: str = "meter",
    options: ImportOptions | None = None,
    rejects: Path | None = None,
    progress: Progress | None = None,
    report: ImportReport | None = None,
) -> int:
    """Stage the lines of a file as a correction, and return its id. Arguments as for `import_file`.

    `replaces`: what is taken back first. A line with the key of such an event takes its place. Lines that the
    ledger would reject go to the file of rejects; events that it has already are not staged, unless they are
    replaced.
    """
    name = os.fspath(name)
    options = options or ImportOptions()
    report = report if report is not None else ImportReport(name)
    form = options.format or guess_format(name)
    started = time.monotonic()
    with (
        open_stream(name) as (stream, raw),
        Ledger(connect, schema, None) as ledger,
        Rejects(rejects or rejects_path(name, options.source)) as rejected,
        connect() as connection,
        transaction(connection, mode="READ WRITE"),
    ):
        meter = Meter(connection, schema=schema)
        opened = meter.open_correction(reason)
        if voids := [window.entry() for window in replaces]:
            meter.stage_correction(opened, voids)
        keys = KeyMaker(name, raw, form, options, ledger.are_known, ledger.could_count, report)
        for batch in keyed_batches(stream, name, form, options, keys):
            entries: list[dict[str, Any]] = []
            for parsed, outcome, problem in _judged(ledger, batch, replaces):
                rejected.count(report, parsed, outcome, problem)
                if outcome == "staged":
                    given = {name: value for name, value in (parsed.event or {}).items() if value is not None}
                    entries.append(given | {"entry": "record"})
            meter.stage_correction(opened, entries)
            report.seconds = time.monotonic() - started
            if progress is not None:
                progress(report, raw.tell() if raw.seekable() else 0)
        if not report.staged and not voids:
            raise OptionsError("the file has no line that could be staged", "Nothing was opened.")
    report.complete = True
    return opened


def _judged(
    ledger: Ledger, batch: list[ParsedRow], replaces: tuple[Window, ...]
) -> Iterator[tuple[ParsedRow, str, Problem | None]]:
    """Every line, with staged if it is to be an entry."""
    events = [parsed for parsed in batch if parsed.correction is None]
    replacing = {id(parsed) for parsed in events if any(window.holds(parsed) for window in replaces)}
    outcomes = ledger.judge(events, replacing)
    for parsed in batch:
        if parsed.correction is not None:
            yield parsed, "rejected", _OF_CORRECTION
        else:
            yield parsed, *outcomes[id(parsed)]
