"""From bytes to records: lines, their numbers, and what cannot be read. Nothing here knows events."""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, cast

FileFormat = Literal["csv", "jsonl", "cloudevents"]

LINE_BYTES_MAX = 16 * 1024 * 1024
_CELL_CHARACTERS_MAX = 1024 * 1024
"""More than any field of an event may have; a stray quote costs as much."""
_SKIP_BYTES = 64 * 1024


class Problem(NamedTuple):
    """Why a line was not counted."""

    sqlstate: str
    reason: str
    hint: str | None = None


NOT_UTF8 = Problem(
    "22021",
    "the line is not valid UTF-8",
    "Convert the file to UTF-8: iconv -f UTF-16 -t UTF-8, or -f LATIN1.",
)
TOO_LONG = Problem("54000", "the line is longer than 16 MiB", "Is this a file of events, one on each line?")


class Line(NamedTuple):
    """One line of the file. `complete` is False for a line that is too long: the rest of it was skipped."""

    number: int
    data: bytes
    complete: bool = True

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "backslashreplace").rstrip("\r\n")


@dataclass(slots=True)
class Record:
    """What one line (or one element of a JSON array on it) holds: a value, or a problem instead."""

    number: int
    text: str
    value: Any = None
    problem: Problem | None = None
    part: int = 0
    """Which element of the line's array this is, from 0."""


def guess_format(name: str) -> FileFormat:
    """The format that a file's name stands for: CSV unless it says JSON."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    return "jsonl" if {".jsonl", ".json", ".ndjson"} & set(suffixes[-2:]) else "csv"


@contextmanager
def open_stream(name: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The unpacked bytes of a file (``-``: standard input), and the file, whose position tells progress."""
    with nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb") as raw:
        buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)  # type: ignore[type-var]
        if buffered.peek(2)[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=buffered) as unpacked:
                yield cast(IO[bytes], unpacked), buffered
        else:
            yield buffered, buffered


class LineReader:
    """The lines of a stream, numbered from 1, of bounded length, with a way to put some back."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._waiting: deque[Line] = deque()
        self._number = 0

    def __iter__(self) -> Iterator[Line]:
        while (line := self.next_line()) is not None:
            yield line

    def put_back(self, lines: list[Line]) -> None:
        """Let these lines come again."""
        self._waiting.extendleft(reversed(lines))

    def next_line(self) -> Line | None:
        """The next line; None at the end."""
        if self._waiting:
            return self._waiting.popleft()
        data = self._stream.readline(LINE_BYTES_MAX)
        if not data:
            return None
        self._number += 1
        if self._number == 1:
            data = data.removeprefix(b"\xef\xbb\xbf")
        if len(data) < LINE_BYTES_MAX or data.endswith(b"\n"):
            return Line(self._number, data)
        rest = data
        while rest and not rest.endswith(b"\n"):
            rest = self._stream.readline(_SKIP_BYTES)
        return Line(self._number, data[:1000], complete=False)


class _LineTooLong(Exception):
    pass


class CsvReader:
    """The rows of a CSV file, as lists of strings.

    A stray quote would swallow the lines that follow. So where a row cannot be read, or has another number of
    columns than the first one, only its first line is given up, and reading goes on with the second.
    """

    def __init__(self, lines: LineReader, delimiter: str) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._taken: list[Line] = []
        self._columns: int | None = None
        csv.field_size_limit(max(csv.field_size_limit(), _CELL_CHARACTERS_MAX))

    def __iter__(self) -> Iterator[Record]:
        rows = self._rows()
        while True:
            self._taken.clear()
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as exc:
                reason = "a quote is not closed" if "end of data" in str(exc) else str(exc)
                yield self._give_up(Problem("22P04", f"the line is not CSV: {reason}", "Check its quotes."))
                rows = self._rows()
                continue
            except _LineTooLong:
                yield self._give_up(
                    TOO_LONG
                    if len(self._taken) == 1
                    else Problem("22P04", "the line is not CSV: a quote is not closed")
                )
                rows = self._rows()
                continue
            if not row:
                continue
            if self._columns is None:
                self._columns = len(row)
            if len(row) != self._columns:
                detail = f"the line has {len(row)} columns, not {self._columns}"
                yield self._give_up(Problem("22P04", detail, "Check its quotes and separators."))
            elif any("\udc80" <= char <= "\udcff" for cell in row if not cell.isascii() for char in cell):
                yield self._record(problem=NOT_UTF8)
            else:
                yield self._record(row)

    def _rows(self) -> Iterator[list[str]]:
        return csv.reader(self._feed(), delimiter=self._delimiter, strict=True)

    def _feed(self) -> Iterator[str]:
        for line in self._lines:
            self._taken.append(line)
            if not line.complete:
                raise _LineTooLong
            yield line.data.decode("utf-8", "surrogateescape")

    def _give_up(self, problem: Problem) -> Record:
        first, *others = self._taken
        self._lines.put_back(others)
        return Record(first.number, first.text, problem=problem)

    def _record(self, row: list[str] | None = None, problem: Problem | None = None) -> Record:
        text = "\n".join(line.text for line in self._taken)
        return Record(self._taken[0].number, text, row, problem)
