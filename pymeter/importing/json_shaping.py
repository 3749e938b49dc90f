"""Events from the objects of a JSON Lines file, or from CloudEvents: which key is which field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pymeter.importing.fields import CORRECTION, EXPORTED, BadRecord, Exported, Reader, add_metadata, merge
from pymeter.importing.identity import pair_key
from pymeter.importing.json_reading import json_records
from pymeter.importing.options import FIELDS, ImportOptions, OptionsError
from pymeter.importing.reading import FileFormat, LineReader, Record

_CLOUDEVENTS = {"subject": "subject", "metric": "type", "at": "time"}
_CLOUDEVENTS_DATA = ("quantity", "member")
_NOTHING = object()


class JsonObjects:
    """Every object of a file, with the function that reads it."""

    def __init__(self, lines: LineReader, format: FileFormat, options: ImportOptions) -> None:
        self._records = json_records(lines)
        self._read: Reader = self._read_cloudevent if format == "cloudevents" else self._read_object
        self._options = options
        self._objects = 0
        self._missing = {name: path for name, path in options.columns.items() if not options.may_lack(name)}

    def __iter__(self) -> Iterator[tuple[Record, Reader]]:
        for record in self._records:
            yield record, self._read

    def check_paths(self) -> None:
        """Refuse a mapping to what no line so far has had."""
        if self._missing and self._objects:
            name, path = next(iter(self._missing.items()))
            raise OptionsError(
                f"none of the first {self._objects:,} lines has {path!r}, which is mapped to {name}",
                f"Look at the names in the file. If most lines lack it, write --map '{name}?={path}'.",
            )

    def _read_object(self, value: Any) -> tuple[dict[str, Any], Exported | None]:
        if not isinstance(value, dict):
            raise BadRecord("22023", "the line is not a JSON object", "Write one event on each line.")
        options = self._options
        if (
            "specversion" in value
            and not options.mapping
            and (options.format, options.extra) == (None, "refuse")
        ):
            return self._read_cloudevent(value)  # nothing is said of the file, and events have no such field
        event, nested, rest = self._mapped(value)
        exported = None
        if all(name in value for name in EXPORTED):
            correction = {name: value[name] for name in CORRECTION if rest.get(name) is not None}
            exported = Exported(value["event_id"], value["recorded_at"], correction)
            for name in (*EXPORTED, *CORRECTION):
                rest.pop(name, None)
        for name in FIELDS:
            if name in rest and name not in event:
                event[name] = rest.pop(name)
        if options.extra == "metadata":
            merge(nested, rest)
        elif options.extra == "refuse":
            event |= rest  # record_batch names the field that it does not know
        add_metadata(event, nested)
        return event, exported

    def _read_cloudevent(self, value: Any) -> tuple[dict[str, Any], Exported | None]:
        """CloudEvents 1.0: subject, type (the metric), time; source and id together are the key.

        An event without a time is rejected, unless the mapping says that it may lack it.

        `data` holds quantity or member; the rest of it is the metadata.
        """
        if not isinstance(value, dict) or value.get("specversion") != "1.0":
            raise BadRecord(
                "22023", "the line is not a CloudEvents 1.0 event", 'It needs "specversion": "1.0".'
            )
        if "data_base64" in value:
            raise BadRecord("22023", "data_base64 is not read", "Write data as a JSON object.")
        data = value.get("data")
        if data is not None and not isinstance(data, dict):
            raise BadRecord("22023", "data is not a JSON object", 'Write it as {"quantity": 120, ...}.')
        event, nested, rest = self._mapped({**value, "data": data or {}})
        for name, attribute in _CLOUDEVENTS.items():
            if name not in event:
                event[name] = rest.get(attribute)
        if event["at"] is None and "at" not in self._options.constants and not self._options.may_lack("at"):
            raise BadRecord(
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
        merge(nested, more)
        add_metadata(event, nested)
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
                    raise BadRecord(
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
            raise BadRecord(
                "22004",
                f"the CloudEvent has no {name}",
                "Its source and its id together say which event it is.",
            )
    return pair_key(value["source"], value["id"])
