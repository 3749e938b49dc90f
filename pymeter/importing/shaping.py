"""From records to events: which column is which field, and what does not fit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from pymeter import exact_json
from pymeter.importing.identity import export_key, exported_event, pair_key
from pymeter.importing.json_reading import json_records
from pymeter.importing.reading import CsvReader, FileFormat, LineReader, Problem, Record
from pymeter.importing.spreadsheet import ESCAPED_COLUMN, restored
from pymeter.times import instant, read_time, read_zone

Unkeyed = Literal["derive", "count", "reject"]
Extra = Literal["refuse", "metadata", "ignore"]

FIELDS = ("subject", "metric", "quantity", "member", "idempotency_key", "at", "metadata")

_EXPORTED = ("event_id", "recorded_at")
"""What an export has beside the fields: how its ledger had stored the event. Both, or it is no export."""
_TRIMMED = ("subject", "metric", "member", "idempotency_key")
_INVISIBLE = "\ufeff\u200b\u2060"
_CLOUDEVENTS = {"subject": "subject", "metric": "type", "at": "time"}
_CLOUDEVENTS_DATA = ("quantity", "member")
_DELIMITERS = {";": "';'", "\t": "tab", "|": "'|'"}
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?)?", re.ASCII)


class OptionsError(ValueError):
    """The file cannot be read in the way that was asked for; nothing, or nothing more, was imported."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class ImportOptions:
    """How a file is to be understood.

    `mapping` says which column (in JSON: which key, with dots into objects) holds which field, where their
    names differ; ``metadata.NAME`` is a field too. A field that some lines do not have is written with a
    question mark: ``{"member?": "user.id"}``. `constants` are fields that all events share.

    `unkeyed` is the treatment of a line without an idempotency key: ``derive`` one, ``count`` it on every
    import, or ``reject`` it. A derived key is made from the content of the whole file and the line's
    place in it; or, with `source`, from that name, the line's number and its text: for what is no regular
    file, and for files that change. A file that begins with all lines of a file that was imported before is
    refused, unless it is said to have `grown`: then only its other lines count.

    `extra` is the treatment of columns that are no field: ``refuse`` the file (in JSON: the line), put them
    into the ``metadata``, or ``ignore`` them. `timezone` is the zone of times that do not say their own.
    `trim` removes white space and byte order marks around subjects, metrics, members and keys.
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
    grown: bool = False
    trim: bool = True

    def __post_init__(self) -> None:
        names = [name.removesuffix("?") for name in (*self.mapping, *self.constants)]
        for name in names:
            if name not in FIELDS and (not name.startswith("metadata.") or name == "metadata."):
                raise OptionsError(
                    f"{name!r} is not a field of an event",
                    f"The fields are {', '.join(FIELDS)}, metadata.NAME.",
                )
            if names.count(name) > 1:
                raise OptionsError(
                    f"{name} is given twice",
                    "A line becomes one event. For several columns import the file once for each of them.",
                )
        if self.unkeyed not in get_args(Unkeyed) or self.extra not in get_args(Extra):
            raise OptionsError("unknown word for unkeyed or extra")
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise OptionsError("the delimiter must be one character")
        if self.batch_size < 1:
            raise OptionsError("the batch size must be at least 1")
        if self.source is not None and not self.source.strip():
            raise OptionsError("the source has no name")
        try:
            read_zone(self.timezone)
        except ValueError as exc:
            raise OptionsError(str(exc), "Use UTC, or a name such as Europe/Berlin.") from None

    @property
    def columns(self) -> dict[str, str]:
        """The mapping without question marks."""
        return {name.removesuffix("?"): column for name, column in self.mapping.items()}

    def may_lack(self, name: str) -> bool:
        """Whether a line may be without the column of this field."""
        return f"{name}?" in self.mapping

    @property
    def counted_column(self) -> str:
        """The column that is counted, if it is a mapped one: a line may hold several."""
        columns = self.columns
        return columns.get("quantity") or columns.get("member") or ""


@dataclass(slots=True)
class ParsedRow:
    """A record and the event that it stands for; or its problem.

    `keyed` is False for an event without an idempotency key. `exported` are the event id and recorded_at that
    an export, or the key that it was imported under, names.
    """

    record: Record
    event: dict[str, Any] | None = None
    problem: Problem | None = None
    keyed: bool = True
    exported: tuple[str, str] | None = None


class _BadRecord(Exception):
    def __init__(self, sqlstate: str, reason: str, hint: str | None = None) -> None:
        self.problem = Problem(sqlstate, reason, hint)


Exported = tuple[Any, Any]
Reader = Callable[[Any], tuple[dict[str, Any], Exported | None]]
"""From a record's value to its event and, of an export, its event id and recorded_at."""


class ParsedRows:
    """Every record of a file with its event. OptionsError at the start where columns do not fit."""

    def __init__(self, lines: LineReader, name: str, format: FileFormat, options: ImportOptions) -> None:
        self._options = options
        self._zone = read_zone(options.timezone)
        self._missing: dict[str, str] = {}
        self._objects = 0
        self._pairs = self._csv(lines, name) if format == "csv" else self._json(lines, format)

    def __iter__(self) -> Iterator[ParsedRow]:
        for record, read in self._pairs:
            parsed = ParsedRow(record, problem=record.problem)
            if record.problem is None:
                try:
                    self._shape(parsed, read)
                except _BadRecord as exc:
                    parsed.problem = exc.problem
                except (ValueError, ArithmeticError, RecursionError, TypeError, LookupError) as exc:
                    parsed.problem = Problem("22023", f"the line cannot be read: {exc}")
            yield parsed

    def check_paths(self) -> None:
        """Refuse a mapping to what no line so far has had."""
        if self._missing and self._objects:
            name, path = next(iter(self._missing.items()))
            raise OptionsError(
                f"none of the first {self._objects:,} lines has {path!r}, which is mapped to {name}",
                f"Look at the names in the file. If most lines lack it, write --map '{name}?={path}'.",
            )

    def _shape(self, parsed: ParsedRow, read: Reader) -> None:
        options = self._options
        event, exported = read(parsed.record.value)
        _set_constants(event, options)
        if exported is None and options.trim:
            for name in _TRIMMED:
                if isinstance(value := event.get(name), str):
                    event[name] = trimmed(value)
        _set_times(event, self._zone)
        if event.get("idempotency_key") is not None:
            parsed.exported = exported_event(event["idempotency_key"])
        elif exported is not None:
            try:
                event["idempotency_key"] = export_key(str(exported[0]), str(exported[1]))
            except ValueError:
                raise _BadRecord(
                    "22023",
                    "event_id and recorded_at are not those of an export, and there is no key",
                    "Map the key: --map idempotency_key=COLUMN.",
                ) from None
            parsed.exported = exported_event(event["idempotency_key"])
        elif options.unkeyed == "reject":
            raise _BadRecord(
                "22004", "idempotency_key is null", "Name its column with --map, or use --unkeyed derive."
            )
        else:
            parsed.keyed = False
        parsed.event = event

    # --- CSV ------------------------------------------------------------------------------------------------

    def _csv(self, lines: LineReader, name: str) -> Iterator[tuple[Record, Reader]]:
        options = self._options
        delimiter = options.delimiter or ("\t" if ".tsv" in Path(name).suffixes else ",")
        rows = iter(CsvReader(lines, delimiter))
        first = next(rows, None)
        if first is None:
            return
        if first.problem is not None:
            raise OptionsError(f"the first line cannot be read: {first.problem.reason}", first.problem.hint)
        if len(first.value) == 1 and options.delimiter is None:
            for other, word in _DELIMITERS.items():
                if other in first.value[0]:
                    raise OptionsError(
                        f"the first line has one column, {first.value[0]!r:.80}",
                        f"Say what separates its columns: --delimiter {word}",
                    )
        if options.header:
            read = _csv_reader([trimmed(column) for column in first.value], options)
        else:
            read = _csv_reader([str(number) for number, _ in enumerate(first.value, start=1)], options)
            yield first, read
        for record in rows:
            yield record, read

    # --- JSON -----------------------------------------------------------------------------------------------

    def _json(self, lines: LineReader, format: FileFormat) -> Iterator[tuple[Record, Reader]]:
        self._missing = {
            name: path for name, path in self._options.columns.items() if not self._options.may_lack(name)
        }
        read = self._read_cloudevent if format == "cloudevents" else self._read_object
        for record in json_records(lines):
            yield record, read

    def _read_object(self, value: Any) -> tuple[dict[str, Any], Exported | None]:
        if not isinstance(value, dict):
            raise _BadRecord("22023", "the line is not a JSON object", "Write one event on each line.")
        options = self._options
        if (
            "specversion" in value
            and not options.mapping
            and (options.format, options.extra) == (None, "refuse")
        ):
            return self._read_cloudevent(value)  # nothing is said of the file, and events have no such field
        event, nested, rest = self._mapped(value)
        exported = None
        if all(name in value for name in _EXPORTED):
            exported = (value["event_id"], value["recorded_at"])
            for name in _EXPORTED:
                rest.pop(name, None)
        for name in FIELDS:
            if name in rest and name not in event:
                event[name] = rest.pop(name)
        if options.extra == "metadata":
            _merge(nested, rest)
        elif options.extra == "refuse":
            event |= rest  # record_batch names the field that it does not know
        _add_metadata(event, nested)
        return event, exported

    def _read_cloudevent(self, value: Any) -> tuple[dict[str, Any], Exported | None]:
        """CloudEvents 1.0: subject, type (the metric), time; source and id together are the key.

        An event without a time is rejected, unless the mapping says that it may lack it.

        `data` holds quantity or member; the rest of it is the metadata.
        """
        if not isinstance(value, dict) or value.get("specversion") != "1.0":
            raise _BadRecord(
                "22023", "the line is not a CloudEvents 1.0 event", 'It needs "specversion": "1.0".'
            )
        if "data_base64" in value:
            raise _BadRecord("22023", "data_base64 is not read", "Write data as a JSON object.")
        data = value.get("data")
        if data is not None and not isinstance(data, dict):
            raise _BadRecord("22023", "data is not a JSON object", 'Write it as {"quantity": 120, ...}.')
        event, nested, rest = self._mapped({**value, "data": data or {}})
        for name, attribute in _CLOUDEVENTS.items():
            if name not in event:
                event[name] = rest.get(attribute)
        if event["at"] is None and "at" not in self._options.constants and not self._options.may_lack("at"):
            raise _BadRecord(
                "22004",
                "the CloudEvent has no time",
                "If it counts at the time when it is imported, write --map 'at?=time'.",
            )
        if "idempotency_key" not in event:
            event["idempotency_key"] = _cloudevent_key(value)
        more = dict(rest.get("data") or {})
        for name in _CLOUDEVENTS_DATA:
            if name not in event:
                event[name] = more.pop(name, None)
        _merge(nested, more)
        _add_metadata(event, nested)
        return event, None

    def _mapped(self, value: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """The fields that the mapping finds, the metadata that it finds, and what is left of the object."""
        event: dict[str, Any] = {}
        nested: dict[str, Any] = {}
        rest = dict(value)
        self._objects += 1
        for name, path in self._options.columns.items():
            if (found := _find(value, path)) is _NOTHING:
                if name in FIELDS and not self._options.may_lack(name):
                    raise _BadRecord(
                        "22004",
                        f"the line has no {path!r:.80}, which is mapped to {name}",
                        f"If it may be missing, write --map '{name}?={path}'.",
                    )
                continue
            self._missing.pop(name, None)
            _remove(rest, path)
            if name in FIELDS:
                event[name] = found
            elif found is not None:
                nested[name[9:]] = found
        return event, nested, rest


def trimmed(text: str) -> str:
    """The text without white space, byte order marks and other invisible characters around it."""
    if text and text[0].isalnum() and text[-1].isalnum():
        return text  # nearly every text, at once
    text = text.strip()
    while text and (text[0] in _INVISIBLE or text[-1] in _INVISIBLE):
        text = text.strip(_INVISIBLE).strip()
    return text


# --- CSV ----------------------------------------------------------------------------------------------------


def _csv_reader(columns: list[str], options: ImportOptions) -> Reader:
    mapped = {n: c for n, c in options.columns.items() if c in columns or not options.may_lack(n)}
    mapping = {name: name for name in FIELDS if name in columns and name not in options.columns} | mapped
    if missing := [column for column in mapping.values() if column not in columns]:
        raise OptionsError(
            f"the file has no column {missing[0]!r}", f"Its columns are: {', '.join(columns)}."
        )
    used = set(mapping.values())
    is_export = all(name in columns for name in _EXPORTED)
    of_export = (*_EXPORTED, ESCAPED_COLUMN) if is_export else ()
    extra = [column for column in columns if column and column not in used and column not in of_export]
    _check_columns(columns, extra, mapping, options)
    position = {column: number for number, column in enumerate(columns)}
    plain = [(name, position[column]) for name, column in mapping.items() if name in FIELDS]
    nested = [(name[9:], position[column]) for name, column in mapping.items() if name not in FIELDS]
    if options.extra == "metadata":
        nested += [(column, position[column]) for column in extra]
    escaped = position.get(ESCAPED_COLUMN) if is_export else None
    exact = is_export or not options.trim

    def read(row: list[str]) -> tuple[dict[str, Any], Exported | None]:
        if escaped is not None and row[escaped]:
            row = list(row)
            for column in row[escaped].split():
                row[position[column]] = restored(row[position[column]])
        event: dict[str, Any] = {
            name: row[number]
            for name, number in plain
            if row[number] and (exact or not row[number].isspace())
        }
        if "metadata" in event:
            event["metadata"] = _parse_metadata(event["metadata"])
        _add_metadata(event, {name: row[number] for name, number in nested if row[number] != ""})
        return event, tuple(row[position[name]] for name in _EXPORTED) if is_export else None  # type: ignore[return-value]

    return read


def _check_columns(
    columns: list[str], extra: list[str], mapping: Mapping[str, str], options: ImportOptions
) -> None:
    kept = {*mapping.values(), *_EXPORTED, *(extra if options.extra != "ignore" else ())}
    names = Counter(
        [*(n[9:] for n in mapping if n not in FIELDS), *(extra if options.extra == "metadata" else ())]
    )
    twice = [name for name, count in Counter(columns).items() if count > 1 and name in kept]
    if twice := twice or [name for name, count in names.items() if count > 1]:
        raise OptionsError(
            f"two columns have the name {twice[0]!r}",
            "Rename one of them, or read them by position: --no-header.",
        )
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


def _parse_metadata(text: str) -> Any:
    try:
        return exact_json.loads_unique(text)
    except (ValueError, RecursionError) as exc:
        raise _BadRecord(
            "22P02", f"metadata is not JSON: {exc}", 'Write an object, such as {"model": "large"}.'
        ) from exc


# --- JSON ---------------------------------------------------------------------------------------------------

_NOTHING = object()


def _find(value: dict[str, Any], path: str) -> Any:
    """What stands at `path`: a key, or keys with dots between them. _NOTHING if nothing does."""
    if path in value:
        return value[path]
    head, dot, tail = path.partition(".")
    inner = value.get(head)
    return _find(inner, tail) if dot and isinstance(inner, dict) else _NOTHING


def _remove(value: dict[str, Any], path: str) -> None:
    """Remove what stands at `path`, and objects that are empty then. Inner objects are copied."""
    if path in value:
        del value[path]
        return
    head, dot, tail = path.partition(".")
    inner = value.get(head)
    if dot and isinstance(inner, dict):
        value[head] = inner = dict(inner)
        _remove(inner, tail)
        if not inner:
            del value[head]


def _cloudevent_key(value: dict[str, Any]) -> str:
    for name in ("source", "id"):
        if not isinstance(value.get(name), str) or not value[name].strip():
            raise _BadRecord(
                "22004",
                f"the CloudEvent has no {name}",
                "Its source and its id together say which event it is.",
            )
    return pair_key(value["source"], value["id"])


# --- both ---------------------------------------------------------------------------------------------------


def _merge(metadata: dict[str, Any], more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if name in metadata and metadata[name] != value:
            raise _BadRecord("22023", f"the metadata has two values of {name!r:.80}", "Rename one of them.")
        metadata[name] = value


def _add_metadata(event: dict[str, Any], more: Mapping[str, Any]) -> None:
    if not more:
        return
    metadata = event.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        return  # record_batch says what is wrong with it
    event["metadata"] = dict(metadata or {})
    _merge(event["metadata"], more)


def _set_constants(event: dict[str, Any], options: ImportOptions) -> None:
    for name, constant in options.constants.items():
        if name == "metadata":
            event[name] = _parse_metadata(constant)
        elif name in FIELDS:
            event[name] = constant
        else:
            _add_metadata(event, {name[9:]: constant})


def _set_times(event: dict[str, Any], zone: ZoneInfo) -> None:
    at = event.get("at")
    if isinstance(at, str):
        event["at"] = at = trimmed(at)
        if _NAIVE.fullmatch(at):
            with suppress(ValueError):  # the 31st of February: record_batch refuses it
                event["at"] = instant(read_time(at).replace(tzinfo=zone)).isoformat()
    if isinstance(event.get("quantity"), str):
        event["quantity"] = trimmed(event["quantity"])
