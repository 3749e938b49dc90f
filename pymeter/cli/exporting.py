"""Rows of an export: events, with what an import needs to make their corrections again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter

from pymeter.client import Meter
from pymeter.importing.identity import export_key
from pymeter.models import Event

_PAGE = 1000


class ExportedEvent(Event):
    """A row of an export."""

    corrects_key: str | None = None
    """Of a void: the idempotency key of the row that it takes back, or the one that an import gives it."""
    reason: str | None = None
    """The reason of the correction that wrote it."""


class Reasons:
    """The reasons of corrections, read a page at a time: an export asks for neighbours."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._found: dict[int, str] = {}

    def of(self, correction_id: int) -> str | None:
        """Why it was made."""
        if correction_id not in self._found:
            page = self._meter.corrections(after_id=correction_id + 1, max_rows=_PAGE)
            self._found |= {one.correction_id: one.reason for one in page}
        return self._found.get(correction_id)


def exported_rows(events: Iterable[Event], reasons: Reasons) -> Iterator[ExportedEvent]:
    """Newest first, but events of one time in the order of their recording: the last of them counts.

    A void has the time of what it takes back, so both are in one group.
    """
    for _, same in groupby(events, key=attrgetter("at")):
        keys: dict[int, str] = {}
        for event in reversed(list(same)):
            keys[event.event_id] = event.idempotency_key or export_key(
                str(event.event_id), event.recorded_at.isoformat()
            )
            fields = dict(event)
            if event.correction_id is not None:
                fields["reason"] = reasons.of(event.correction_id)
                fields["corrects_key"] = keys.get(event.corrects or 0) if event.kind == "void" else None
            yield ExportedEvent.model_construct(**fields)
