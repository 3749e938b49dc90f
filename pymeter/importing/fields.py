"""The fields of one event: what both CSV and JSON lines become."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pymeter import exact_json
from pymeter.importing.options import FIELDS, ImportOptions
from pymeter.importing.reading import Problem
from pymeter.times import instant, read_time

EXPORTED = ("event_id", "recorded_at")
"""What an export has beside the fields: how its ledger had stored the event. Both, or it is no export."""
_INVISIBLE = "\ufeff\u200b\u2060"
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?)?", re.ASCII)

CORRECTION = ("kind", "corrects", "correction_id", "corrects_key", "reason")
"""What an export has of a row that a correction wrote."""


class Exported(NamedTuple):
    """What an export says of a row beside its event."""

    event_id: Any
    recorded_at: Any
    correction: Mapping[str, Any]
    """Those of CORRECTION that it has."""


Reader = Callable[[Any], tuple[dict[str, Any], Exported | None]]
"""From a record's value to its event and, of an export, how its ledger had stored it."""


class BadRecord(Exception):
    """A line that cannot become an event, and why."""

    def __init__(self, sqlstate: str, reason: str, hint: str | None = None) -> None:
        self.problem = Problem(sqlstate, reason, hint)


def trimmed(text: str) -> str:
    """The text without white space, byte order marks and other invisible characters around it."""
    if text and text[0].isalnum() and text[-1].isalnum():
        return text  # nearly every text, at once
    text = text.strip()
    while text and (text[0] in _INVISIBLE or text[-1] in _INVISIBLE):
        text = text.strip(_INVISIBLE).strip()
    return text


def parse_metadata(text: str) -> Any:
    """The value of a JSON text; BadRecord if it is none."""
    try:
        return exact_json.loads_unique(text)
    except (ValueError, RecursionError) as exc:
        raise BadRecord(
            "22P02", f"metadata is not JSON: {exc}", 'Write an object, such as {"model": "large"}.'
        ) from exc


def merge(metadata: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add to metadata. BadRecord if a name has two values then."""
    for name, value in more.items():
        if name in metadata and metadata[name] != value:
            raise BadRecord("22023", f"the metadata has two values of {name!r:.80}", "Rename one of them.")
        metadata[name] = value


def add_metadata(event: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add to the event's metadata."""
    if not more:
        return
    metadata = event.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        return  # record_batch says what is wrong with it
    event["metadata"] = dict(metadata or {})
    merge(event["metadata"], more)


def set_constants(event: dict[str, Any], options: ImportOptions) -> None:
    """Set the fields that all events share."""
    for name, constant in options.constants.items():
        if name == "metadata":
            event[name] = parse_metadata(constant)
        elif name in FIELDS:
            event[name] = constant
        else:
            add_metadata(event, {name[9:]: constant})


def set_time(event: dict[str, Any], zone: ZoneInfo) -> None:
    """A time without an offset is in `zone`."""
    at = event.get("at")
    if isinstance(at, str):
        event["at"] = at = trimmed(at)
        if _NAIVE.fullmatch(at):
            with suppress(ValueError):  # the 31st of February: record_batch refuses it
                event["at"] = instant(read_time(at).replace(tzinfo=zone)).isoformat()
