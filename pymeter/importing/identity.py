"""What tells events without an idempotency key apart: the export they are in, or the content of their file.

The key of an exported event is made from its id and the instant it was recorded at. The key of any other line
is made from the content of its whole file and the line's place in it. So a file is the same under any name,
and another file's equal line is another event. A file that begins with all lines of a file that was imported
before may be that file, grown: `known_events` finds out where the earlier one ended, and its lines keep their
keys.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pymeter import exact_json
from pymeter.times import read_time

_EXPORT_KEY = re.compile(r"export:([0-9]{1,18}):([0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z)")
_WITNESSES_MAX = 64
_PAIRS_MAX = 8
"""Witnesses of one part; beyond the first 8, each kind of line has one instead of two."""
_WITNESSES_OF_LONG_FILES = 16
_SHORT_FILE_RECORDS = 5000
"""Every witness is a look-up for every record: after these, only the first 16 are asked about."""
_LINES_A_QUESTION = 1000
_QUESTIONS_A_CALL = 3000

Event = dict[str, Any]
AreKnown = Callable[[Sequence[Event]], Sequence[bool]]
"""Which of these events the ledger has, by their keys."""
CouldCount = Callable[[Sequence[Event]], Sequence[bool]]
"""Which of these events the ledger would record now, or could have recorded before."""


def export_key(event_id: str, recorded_at: str) -> str:
    """The key of an exported event. ValueError if these two cannot come from an export."""
    moment = datetime.fromisoformat(recorded_at)
    if not re.fullmatch(r"[0-9]{1,18}", event_id) or moment.utcoffset() is None:
        raise ValueError
    return f"export:{int(event_id)}:{moment.astimezone(UTC).isoformat(timespec='microseconds')[:26]}Z"


def exported_event(key: object) -> tuple[str, str] | None:
    """The event id and recorded_at in a key of `export_key`; None for any other key."""
    if not isinstance(key, str) or not key.startswith("export:"):
        return None
    match = _EXPORT_KEY.fullmatch(key)
    return (match[1], match[2]) if match else None


def line_key(identity: str, number: int, part: int, text: str, column: str) -> str:
    """The key of one line. `column` tells several quantities of one line apart."""
    place = f"{identity}\0{number}\0{part}\0{text}" + (f"\0{column}" if column else "")
    return "line:" + hashlib.sha256(place.encode("utf-8", "replace")).hexdigest()[:32]


class Fingerprint:
    """The digest of the lines so far."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, text: str) -> None:
        """Take in one record's text."""
        data = text.encode("utf-8", "replace")
        self._hash.update(b"%d\0%s" % (len(data), data))

    def digest(self) -> str:
        """What stands for the lines so far."""
        return "content:" + self._hash.hexdigest()


@dataclass
class Content:
    """A file's content: how many records it has, and of which files, grown since, it consists.

    `parts` are the last record's position and the identity of each of these files.
    """

    records: int = 0
    parts: list[tuple[int, str]] = field(default_factory=list)

    def identity(self, position: int) -> str:
        """What the record at this position (from 1) belongs to."""
        for end, identity in self.parts:
            if position <= end:
                return identity
        return self.parts[-1][1] if self.parts else ""


@dataclass(slots=True)
class Unkeyed:
    """A line without a key, on its way to being known: its event, its place, and the digest up to it."""

    event: Event
    position: int
    key: Callable[[str], str]


def read_content(
    lines: Iterable[tuple[str, Unkeyed | None]], are_known: AreKnown, could_count: CouldCount
) -> Content:
    """Read a file to its end: `lines` are every record's text, with its event if it has no key."""
    content = Content()
    fingerprint = Fingerprint()
    search = _EndSearch(content, are_known, could_count)
    for text, unkeyed in lines:
        content.records += 1
        fingerprint.add(text)
        search.add(_Place(content.records, fingerprint.digest(), unkeyed))
    search.finish()
    return content


class _Place(NamedTuple):
    """A record's position, the digest of the file up to it, and its event if it has no key."""

    position: int
    digest: str
    line: Unkeyed | None


class _Witnesses:
    """Lines of one part of a file, one of which the ledger has if it has any line of that part.

    The ledger may have rejected a line then that it accepts now, and the other way round: the metric was
    unknown or is retired, the time was too far in the future, the options were others. So lines that differ
    in what can be a reason each have a witness: metric, fields, age and sign. And a second one, older or of
    another subject.
    """

    def __init__(self, now: datetime) -> None:
        self.lines: list[Unkeyed] = []
        self._now = now
        self._of_kind: dict[tuple[object, ...], tuple[Unkeyed, ...]] = {}

    def wants(self, line: Unkeyed) -> bool:
        """Whether this line would be a witness, if the ledger could have counted it."""
        first, *others = self._of_kind.get(self._kind(line), (None,))
        if first is None:
            return len(self.lines) < _WITNESSES_MAX
        return (len(self.lines) < _PAIRS_MAX and not others) and (
            line.event.get("subject") != first.event.get("subject") or self._age(line) > self._age(first)
        )

    def take(self, line: Unkeyed) -> None:
        """Make this line a witness."""
        self.lines.append(line)
        kind = self._kind(line)
        self._of_kind[kind] = (*self._of_kind.get(kind, ()), line)

    def _kind(self, line: Unkeyed) -> tuple[object, ...]:
        event = line.event
        age = self._age(line)
        fields = tuple(sorted(name for name, value in event.items() if value is not None))
        is_negative = str(event.get("quantity")).startswith("-")
        return str(event.get("metric")), fields, is_negative, age < 0, int(abs(age)).bit_length()

    def _age(self, line: Unkeyed) -> float:
        """In hours; without a time, 0."""
        moment = time_of(line.event)
        return (self._now - moment).total_seconds() / 3600 if moment else 0.0


def time_of(event: Event) -> datetime | None:
    """The event's time; None if it has none, or one that cannot be read."""
    with suppress(ValueError, TypeError, OverflowError):
        moment = read_time(event.get("at") or "")
        return moment if moment.utcoffset() is not None else None
    return None


class _EndSearch:
    """Looks for the ends of files that were imported before, each of which this file begins with.

    If a file ended at a record, the lines that were counted have keys with the digest up to that record. An
    import that was interrupted has counted the first of them. After such an end, a later one has given keys
    only to the lines since. So every part has witnesses of its own: its first lines that could have been
    counted. If no line could, the ledger has none of them, and none is counted twice.
    """

    def __init__(self, content: Content, are_known: AreKnown, could_count: CouldCount) -> None:
        self._content = content
        self._are_known = are_known
        self._could_count = could_count
        self._now = datetime.now(UTC)
        self._witnesses = _Witnesses(self._now)
        self._chunk: list[_Place] = []
        self._last: _Place | None = None

    def add(self, place: _Place) -> None:
        """Take in one record."""
        if place.line is not None:
            self._last = place
        self._chunk.append(place)
        if len(self._chunk) >= _LINES_A_QUESTION:
            self._look()

    def finish(self) -> None:
        """The file ends; so does its last part."""
        self._look()
        if self._last is not None:
            self._end(self._last)

    def _look(self) -> None:
        """Find every end in the chunk: each one that is found begins a part, which has other witnesses."""
        verdicts: dict[int, bool] = {}
        asked: set[tuple[int, int]] = set()
        while True:
            segments = self._segments()
            witnesses = [self._witnesses, *(_Witnesses(self._now) for _ in segments[1:])]
            self._choose(segments, witnesses, verdicts)
            questions = [
                (witness, place)
                for segment, chosen in zip(segments, witnesses, strict=True)
                for place in segment
                for witness in chosen.lines[: self._most(place)]
                if witness.position <= place.position
            ]
            if self._content.parts:
                questions += [(place.line, place) for place in self._chunk if place.line is not None]
            new = {(w.position, place.position): (w, place) for w, place in questions}
            if not self._ask([pair for places, pair in new.items() if places not in asked]):
                break
            asked |= new.keys()
        self._witnesses = witnesses[-1]
        self._chunk.clear()

    @staticmethod
    def _most(place: _Place) -> int:
        return _WITNESSES_MAX if place.position <= _SHORT_FILE_RECORDS else _WITNESSES_OF_LONG_FILES

    def _segments(self) -> list[list[_Place]]:
        """The chunk, cut after every end in it; the last segment may be empty."""
        ends = {position for position, _ in self._content.parts}
        segments: list[list[_Place]] = [[]]
        for place in self._chunk:
            segments[-1].append(place)
            if place.position in ends:
                segments.append([])
        return segments

    def _choose(
        self, segments: list[list[_Place]], witnesses: list[_Witnesses], verdicts: dict[int, bool]
    ) -> None:
        wanted = [
            (chosen, place.line)
            for segment, chosen in zip(segments, witnesses, strict=True)
            for place in segment
            if place.line is not None and chosen.wants(place.line)
        ]
        asked = [line for _, line in wanted if line.position not in verdicts]
        answers = self._could_count([line.event for line in asked]) if asked else []
        verdicts.update(zip((line.position for line in asked), answers, strict=True))
        for chosen, line in wanted:
            if verdicts[line.position] and chosen.wants(line):
                chosen.take(line)

    def _ask(self, questions: list[tuple[Unkeyed, _Place]]) -> bool:
        """Whether an end was found that was not known."""
        had = len(self._content.parts)
        for start in range(0, len(questions), _QUESTIONS_A_CALL):
            some = questions[start : start + _QUESTIONS_A_CALL]
            events = [
                {
                    "subject": witness.event.get("subject"),
                    "metric": witness.event.get("metric"),
                    "idempotency_key": witness.key(place.digest),
                }
                for witness, place in some
            ]
            for (_, place), known in zip(some, self._are_known(events), strict=True):
                if known:
                    self._end(place)
        return len(self._content.parts) > had

    def _end(self, place: _Place) -> None:
        if (place.position, place.digest) not in self._content.parts:
            self._content.parts.append((place.position, place.digest))
            self._content.parts.sort()


def pair_key(source: object, id: object) -> str:
    """The key of a CloudEvent, which is unique by source and id together; no two pairs share one."""
    text = exact_json.dumps([source, id])
    return text if len(text) <= 512 else "cloudevent:" + hashlib.sha256(text.encode()).hexdigest()
