"""From records to events, each with its idempotency key if it has one; or with its problem."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pymeter.importing.corrected import CorrectionRow, correction_row
from pymeter.importing.csv_shaping import csv_rows
from pymeter.importing.fields import BadRecord, Reader, set_constants, set_time, trimmed
from pymeter.importing.identity import export_key, exported_event
from pymeter.importing.json_shaping import JsonObjects
from pymeter.importing.options import ImportOptions
from pymeter.importing.reading import FileFormat, LineReader, Problem, Record
from pymeter.times import read_zone

_TRIMMED = ("subject", "metric", "member", "idempotency_key")


@dataclass(slots=True)
class ParsedRow:
    """A record and the event that it stands for; or its problem.

    `keyed` is False for an event without an idempotency key. `exported` are the event id and recorded_at that
    an export, or the key that it was imported under, names. `correction` is there for a row of an export that
    a correction wrote.
    """

    record: Record
    event: dict[str, Any] | None = None
    problem: Problem | None = None
    keyed: bool = True
    exported: tuple[str, str] | None = None
    correction: CorrectionRow | None = None


class ParsedRows:
    """Every record of a file with its event. OptionsError at the start where columns do not fit."""

    def __init__(self, lines: LineReader, name: str, format: FileFormat, options: ImportOptions) -> None:
        self._options = options
        self._zone = read_zone(options.timezone)
        self._pairs: Iterable[tuple[Record, Reader]] = (
            csv_rows(lines, name, options) if format == "csv" else JsonObjects(lines, format, options)
        )

    def __iter__(self) -> Iterator[ParsedRow]:
        for record, read in self._pairs:
            parsed = ParsedRow(record, problem=record.problem)
            if record.problem is None:
                try:
                    self._shape(parsed, read)
                except BadRecord as exc:
                    parsed.problem = exc.problem
                except (ValueError, ArithmeticError, RecursionError, TypeError, LookupError) as exc:
                    parsed.problem = Problem("22023", f"the line cannot be read: {exc}")
            yield parsed

    def check_paths(self) -> None:
        """Refuse a mapping to what no line so far has had."""
        if isinstance(self._pairs, JsonObjects):
            self._pairs.check_paths()

    def _shape(self, parsed: ParsedRow, read: Reader) -> None:
        options = self._options
        event, exported = read(parsed.record.value)
        set_constants(event, options)
        if exported is None and options.trim:
            for name in _TRIMMED:
                if isinstance(value := event.get(name), str):
                    event[name] = trimmed(value)
        if isinstance(event.get("quantity"), str):
            event["quantity"] = trimmed(event["quantity"])
        set_time(event, self._zone)
        if exported is not None and "correction_id" in exported.correction:
            parsed.correction = correction_row(event, exported)
            parsed.event = event
            return
        if event.get("idempotency_key") is not None:
            parsed.exported = exported_event(event["idempotency_key"])
        elif exported is not None:
            try:
                event["idempotency_key"] = export_key(str(exported[0]), str(exported[1]))
            except ValueError:
                raise BadRecord(
                    "22023",
                    "event_id and recorded_at are not those of an export, and there is no key",
                    "Map the key: --map idempotency_key=COLUMN.",
                ) from None
            parsed.exported = exported_event(event["idempotency_key"])
        elif options.unkeyed == "reject":
            raise BadRecord(
                "22004", "idempotency_key is null", "Name its column with --map, or use --unkeyed derive."
            )
        else:
            parsed.keyed = False
        parsed.event = event
