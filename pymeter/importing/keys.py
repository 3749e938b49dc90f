"""Gives keys to the lines that have none: from the source's name, or from the content of their file."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from pymeter.importing.identity import (
    AreKnown,
    Content,
    CouldCount,
    Fingerprint,
    Unkeyed,
    line_key,
    read_content,
)
from pymeter.importing.options import ImportOptions, OptionsError
from pymeter.importing.reading import FileFormat, LineReader, Record, open_stream
from pymeter.importing.shaping import ParsedRow, ParsedRows


class FileChanged(OSError):
    """The file is not what it was when the import began."""


class Report(Protocol):
    """Where the number of lines that were given a key is kept."""

    derived: int


class KeyMaker:
    """The keys of one file's lines. The file is read a second time only if a line has no key."""

    def __init__(
        self,
        name: str,
        raw: IO[bytes],
        form: FileFormat,
        options: ImportOptions,
        are_known: AreKnown,
        could_count: CouldCount,
        report: Report,
    ) -> None:
        self._name = name
        self._form: FileFormat = form
        self._options = options
        self._are_known = are_known
        self._could_count = could_count
        self._report = report
        self._file = _regular_file(name, raw)
        self._content: Content | None = None
        self._fingerprint = (
            Fingerprint() if self._file and options.source is None and options.unkeyed == "derive" else None
        )

    def give_all(self, batch: list[ParsedRow]) -> Iterator[ParsedRow]:
        """The file's first lines, with keys."""
        for position, parsed in enumerate(batch, start=1):
            if not self.give(parsed, position):
                return
            yield parsed

    def give(self, parsed: ParsedRow, position: int) -> bool:
        """Give a line that has no key one. False: the file had ended here when it was read first."""
        if not parsed.keyed and self._options.unkeyed == "derive" and parsed.event is not None:
            if self._content is None and self._options.source is None:
                self._content = self._read()
            if self._content is not None and position > self._content.records:
                return False
            identity = self._options.source or (self._content or Content()).identity(position)
            parsed.event["idempotency_key"] = _key(parsed.record, self._options)(identity)
            parsed.keyed = True
            self._report.derived += 1
        if self._fingerprint is not None:
            self._fingerprint.add(parsed.record.text)
            if self._content is not None:
                self._check(position, self._content)
        return True

    def _check(self, position: int, content: Content) -> None:
        ends = dict(content.parts)
        if (
            position in ends
            and self._fingerprint is not None
            and self._fingerprint.digest() != ends[position]
        ):
            raise FileChanged("the file was changed while it was being imported")

    def _read(self) -> Content:
        if self._file is None:
            shown = "<(...)" if self._name.startswith("/dev/fd/") else self._name
            raise OptionsError(
                "the lines have no idempotency key, and a stream has no content to know it by",
                f"Name it: pymeter import {shown} --source NAME. The same NAME again counts the same lines"
                " once; another stream needs another NAME. Or map the keys: --map idempotency_key=COLUMN.",
            )
        with open_stream(self._name) as (stream, raw):
            if _regular_file(self._name, raw) != self._file:
                raise FileChanged("the file was replaced while it was being imported")
            content = read_content(self._lines(stream), self._are_known, self._could_count)
        if len(content.parts) > 1 and not self._options.grown:
            raise OptionsError(
                f"the file begins with all {content.parts[-2][0]:,} lines of a file that was imported before",
                "If it is that file and has grown, use --grown: only what is new counts. If these are other"
                " events, use --source NAME with a new NAME: all of them count.",
            )
        return content

    def _lines(self, stream: IO[bytes]) -> Iterator[tuple[str, Unkeyed | None]]:
        records = ParsedRows(LineReader(stream), self._name, self._form, self._options)
        with suppress(
            EOFError, zlib.error, OSError
        ):  # a damaged file ends where the import will find it damaged
            for position, parsed in enumerate(records, start=1):
                event = parsed.event
                unkeyed = None
                if event is not None and not parsed.keyed:
                    unkeyed = Unkeyed(event, position, _key(parsed.record, self._options))
                yield parsed.record.text, unkeyed


def _key(record: Record, options: ImportOptions) -> Callable[[str], str]:
    def key(identity: str) -> str:
        return line_key(identity, record.number, record.part, record.text, options.counted_column)

    return key


def _regular_file(name: str, raw: IO[bytes]) -> tuple[int, int] | None:
    """What tells the open file from others, if it is a regular one with a name."""
    if name == "-" or not Path(name).is_file():
        return None
    status = os.fstat(raw.fileno())
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
