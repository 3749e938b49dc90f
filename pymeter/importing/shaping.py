"""From records to events: which column is which field, what an event without a key is given."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from pymeter import exact_json
from pymeter.importing.reading import CsvReader, FileFormat, LineReader, Problem, Record, json_records
from pymeter.times import instant, read_time, read_zone

Unkeyed = Literal["derive", "count", "reject"]
Extra = Literal["refuse", "metadata", "ignore"]

FIELDS = ("subject", "metric", "quantity", "member", "idempotency_key", "at", "metadata")

# Columns of `pymeter export` that say how the ledger it came from had stored the event.
_OF_ANOTHER_LEDGER = ("event_id", "recorded_at")
_CLOUDEVENTS = {"subject": "subject", "metric": "type", "idempotency_key": "id", "at": "time"}
_CLOUDEVENTS_DATA = ("quantity", "member")
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?)?", re.ASCII)


class OptionsError(ValueError):
    """The file cannot be read in the way that was asked for; nothing was imported."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class ImportOptions:
    """How a file is to be understood.

    `mapping` says which column (in JSON: which key, with dots into objects) holds which field, where their
    names differ; ``metadata.NAME`` is a field too. `constants` are fields that all events share. `unkeyed`
    is what becomes of a line without an idempotency key: ``derive`` one from the file's path (or `source`),
    the line's number and its text; ``count`` it every time it is imported; ``reject`` it. `extra` is what
    becomes of columns that are no field: ``refuse`` the file (in JSON: the line), put them into the
    ``metadata``, or ``ignore`` them. `timezone` is the zone of times that do not say their own.
    """

    format: FileFormat | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    delimiter: str | None = None
    header: bool = True
    timezone: str = "UTC"
    unkeyed: Unkeyed = "derive"
    extra: Extra = "refuse"
    source: str | None = None
    batch_size: int = 1000

    def __post_init__(self) -> None:
        for name in (*self.mapping, *self.constants):
            if name not in FIELDS and (not name.startswith("metadata.") or name == "metadata."):
                raise OptionsError(
                    f"{name!r} is not a field of an event",
                    f"The fields are {', '.join(FIELDS)}, metadata.NAME.",
                )
        if self.unkeyed not in get_args(Unkeyed) or self.extra not in get_args(Extra):
            raise OptionsError("unknown word for unkeyed or extra")
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise OptionsError("the delimiter must be one character")
        if self.batch_size < 1:
            raise OptionsError("the batch size must be at least 1")
        try:
            read_zone(self.timezone)
        except ValueError as exc:
            raise OptionsError(str(exc), "Use UTC, or a name such as Europe/Berlin.") from None


@dataclass(slots=True)
class Shaped:
    """A record and the event that it stands for; or its problem."""

    record: Record
    event: dict[str, Any] | None = None
    problem: Problem | None = None
    keyed: bool = True


class _BadRecord(Exception):
    def __init__(self, sqlstate: str, reason: str, hint: str | None = None) -> None:
        self.problem = Problem(sqlstate, reason, hint)


def shaped_records(
    lines: LineReader, name: str, format: FileFormat, options: ImportOptions
) -> Iterator[Shaped]:
    """Every record of the file with its event. OptionsError at the start where columns do not fit."""
    source = options.source or ("-" if name == "-" else str(Path(name).resolve()))
    zone = read_zone(options.timezone)
    for record, read in _readers(lines, name, format, options):
        shaped = Shaped(record, problem=record.problem)
        if record.problem is None:
            try:
                event = read(record.value)
                _finish(event, options, zone)
                shaped.keyed = _give_key(event, record, source, options.unkeyed)
                shaped.event = event
            except _BadRecord as exc:
                shaped.problem = exc.problem
        yield shaped


Reader = Callable[[Any], dict[str, Any]]


def _readers(
    lines: LineReader, name: str, format: FileFormat, options: ImportOptions
) -> Iterator[tuple[Record, Reader]]:
    if format == "csv":
        delimiter = options.delimiter or ("\t" if ".tsv" in Path(name).suffixes else ",")
        rows = iter(CsvReader(lines, delimiter))
        first = next(rows, None)
        if first is None:
            return
        if first.problem is not None:
            raise OptionsError(f"the first line cannot be read: {first.problem.reason}", first.problem.hint)
        if options.header:
            read = _csv_reader([column.strip() for column in first.value], options)
        else:
            read = _csv_reader([str(number) for number, _ in enumerate(first.value, start=1)], options)
            yield first, read
        for record in rows:
            yield record, read
    else:
        read = _cloudevent_reader(options) if format == "cloudevents" else _json_reader(options)
        for record in json_records(lines):
            yield record, read


# --- CSV ----------------------------------------------------------------------------------------------------


def _csv_reader(columns: list[str], options: ImportOptions) -> Reader:
    mapping = {name: name for name in FIELDS if name in columns} | dict(options.mapping)
    if missing := [column for column in mapping.values() if column not in columns]:
        raise OptionsError(
            f"the file has no column {missing[0]!r}", f"Its columns are: {', '.join(columns)}."
        )
    used = set(mapping.values())
    extra = [
        column for column in columns if column and column not in used and column not in _OF_ANOTHER_LEDGER
    ]
    if extra and options.extra == "refuse":
        raise OptionsError(
            f"these columns are no fields of an event: {', '.join(extra)}",
            "Say what they are with --map field=column, keep them with --extra metadata, or drop them with"
            " --extra ignore.",
        )
    for name in ("subject", "metric"):
        if name not in mapping and name not in options.constants:
            raise OptionsError(
                f"the file has no column for {name}",
                f"Its columns are: {', '.join(columns)}. Use --map {name}=COLUMN or --set {name}=VALUE.",
            )
    position = {column: number for number, column in enumerate(columns)}
    plain = [(name, position[column]) for name, column in mapping.items() if name in FIELDS]
    nested = [(name[9:], position[column]) for name, column in mapping.items() if name not in FIELDS]
    if options.extra == "metadata":
        nested += [(column, position[column]) for column in extra]

    def read(row: list[str]) -> dict[str, Any]:
        event: dict[str, Any] = {name: row[number] for name, number in plain if row[number] != ""}
        if "metadata" in event:
            event["metadata"] = _parse_metadata(event["metadata"])
        _add_metadata(event, {name: row[number] for name, number in nested if row[number] != ""})
        return event

    return read


def _parse_metadata(text: str) -> Any:
    try:
        return exact_json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise _BadRecord(
            "22P02", f"metadata is not JSON: {exc}", 'Write an object, such as {"model": "large"}.'
        ) from exc


# --- JSON ---------------------------------------------------------------------------------------------------


def _json_reader(options: ImportOptions) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _BadRecord("22023", "the line is not a JSON object", "Write one event on each line.")
        rest = dict(value)
        event: dict[str, Any] = {}
        nested: dict[str, Any] = {}
        for name, path in options.mapping.items():
            found = _take(rest, path)
            if name in FIELDS:
                event[name] = found
            elif found is not None:
                nested[name[9:]] = found
        for name in FIELDS:
            if name in rest and name not in options.mapping:
                event[name] = rest.pop(name)
        for name in _OF_ANOTHER_LEDGER:
            rest.pop(name, None)
        if options.extra == "metadata":
            nested |= rest
        elif options.extra == "refuse":
            event |= rest  # record_batch names the field that it does not know
        _add_metadata(event, nested)
        return event

    return read


def _cloudevent_reader(options: ImportOptions) -> Reader:
    """CloudEvents 1.0: subject, type (the metric), id (the key), time.

    `data` holds quantity or member; the rest of it is the metadata.
    """

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or value.get("specversion") != "1.0":
            raise _BadRecord(
                "22023", "the line is not a CloudEvents 1.0 event", 'It needs "specversion": "1.0".'
            )
        data = value.get("data")
        if data is not None and not isinstance(data, dict):
            raise _BadRecord("22023", "data is not a JSON object", 'Write it as {"quantity": 120, ...}.')
        rest = {**value, "data": dict(data or {})}
        event: dict[str, Any] = {}
        nested: dict[str, Any] = {}
        for name, path in options.mapping.items():
            found = _take(rest, path)
            if name in FIELDS:
                event[name] = found
            elif found is not None:
                nested[name[9:]] = found
        for name, attribute in _CLOUDEVENTS.items():
            if name not in event:
                event[name] = rest.get(attribute)
        for name in _CLOUDEVENTS_DATA:
            if name not in event:
                event[name] = rest["data"].pop(name, None)
        _add_metadata(event, {**rest["data"], **nested})
        return event

    return read


def _take(value: dict[str, Any], path: str) -> Any:
    """Remove and return what stands at `path`: a key, or keys with dots between them. Objects are copied."""
    if path in value:
        return value.pop(path)
    head, dot, tail = path.partition(".")
    inner = value.get(head)
    if not dot or not isinstance(inner, dict):
        return None
    value[head] = inner = dict(inner)
    found = _take(inner, tail)
    if not inner:
        del value[head]
    return found


# --- both ---------------------------------------------------------------------------------------------------


def _add_metadata(event: dict[str, Any], more: Mapping[str, Any]) -> None:
    if not more:
        return
    metadata = event.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        return  # record_batch says what is wrong with it
    event["metadata"] = {**(metadata or {}), **more}


def _finish(event: dict[str, Any], options: ImportOptions, zone: ZoneInfo) -> None:
    for name, constant in options.constants.items():
        if name == "metadata":
            event[name] = _parse_metadata(constant)
        elif name in FIELDS:
            event[name] = constant
        else:
            _add_metadata(event, {name[9:]: constant})
    at = event.get("at")
    if isinstance(at, str) and _NAIVE.fullmatch(at.strip()):
        with suppress(ValueError):  # the 31st of February: record_batch refuses it
            event["at"] = instant(read_time(at).replace(tzinfo=zone)).isoformat()
    if isinstance(event.get("quantity"), str):
        event["quantity"] = event["quantity"].strip()


def _give_key(event: dict[str, Any], record: Record, source: str, unkeyed: Unkeyed) -> bool:
    """Make sure that the event has a key, if that is wanted. Returns whether it has one."""
    if event.get("idempotency_key") is not None:
        return True
    if unkeyed == "reject":
        raise _BadRecord(
            "22004", "idempotency_key is null", "Name its column with --map, or use --unkeyed derive."
        )
    if unkeyed == "derive":
        place = f"{source}\0{record.number}\0{record.part}\0{record.text}"
        event["idempotency_key"] = "line:" + hashlib.sha256(place.encode("utf-8", "replace")).hexdigest()[:32]
        return True
    return False
