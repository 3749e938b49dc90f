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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pymeter import exact_json

_EXPORT_KEY = re.compile(r"export:([0-9]{1,18}):([0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z)")
_WITNESSES_MAX = 3
_LINES_A_QUESTION = 1000

Event = dict[str, Any]
AreKnown = Callable[[Sequence[Event]], Sequence[bool]]
"""Which of these events the ledger has, by their keys."""


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


def read_content(lines: Iterable[tuple[str, Unkeyed | None]], are_known: AreKnown) -> Content:
    """Read a file to its end: `lines` are every record's text, with its event if it has no key."""
    content = Content()
    fingerprint = Fingerprint()
    search = _EndSearch(content, are_known)
    for text, unkeyed in lines:
        content.records += 1
        fingerprint.add(text)
        if unkeyed is not None:
            search.add(unkeyed, fingerprint.digest())
    search.finish()
    return content


class _EndSearch:
    """Looks for the ends of files that were imported before, each of which this file begins with.

    If a file ended at a line, its first line has a key with the digest up to that line, even if its import
    was interrupted. After the first such end, a later one has given keys only to the lines since: so from
    there on the last lines are asked about as well. Lines of several metrics, since one may have been
    unknown.
    """

    def __init__(self, content: Content, are_known: AreKnown) -> None:
        self._content = content
        self._are_known = are_known
        self._first: dict[str, Unkeyed] = {}
        self._chunk: list[tuple[Unkeyed, str]] = []
        self._last: tuple[Unkeyed, str] | None = None

    def add(self, line: Unkeyed, digest: str) -> None:
        """Take in one line, and the digest of the file up to it."""
        if len(self._first) < _WITNESSES_MAX:
            self._first.setdefault(str(line.event.get("metric")), line)
        self._last = (line, digest)
        self._chunk.append(self._last)
        if len(self._chunk) >= _LINES_A_QUESTION:
            self._look()

    def finish(self) -> None:
        """The file ends; so does its last part."""
        self._look()
        if self._last is not None:
            self._end(*self._last)

    def _look(self) -> None:
        had = len(self._content.parts)
        self._ask(
            [(witness, line, digest) for line, digest in self._chunk for witness in self._first.values()]
        )
        if self._content.parts:
            self._ask([(line, line, digest) for line, digest in self._chunk])
        if len(self._content.parts) > had:
            self._first.clear()
        self._chunk.clear()

    def _ask(self, questions: list[tuple[Unkeyed, Unkeyed, str]]) -> None:
        events = [
            {
                "subject": witness.event.get("subject"),
                "metric": witness.event.get("metric"),
                "idempotency_key": witness.key(digest),
            }
            for witness, _, digest in questions
        ]
        for (_, line, digest), known in zip(questions, self._are_known(events), strict=True):
            if known:
                self._end(line, digest)

    def _end(self, line: Unkeyed, digest: str) -> None:
        if (line.position, digest) not in self._content.parts:
            self._content.parts.append((line.position, digest))
            self._content.parts.sort()


def pair_key(source: object, id: object) -> str:
    """The key of a CloudEvent, which is unique by source and id together; no two pairs share one."""
    text = exact_json.dumps([source, id])
    return text if len(text) <= 512 else "cloudevent:" + hashlib.sha256(text.encode()).hexdigest()
