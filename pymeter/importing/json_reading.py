"""From lines to JSON values: one on each line, several of them, arrays, or values that span lines.

Nearly every file has one value on each line, and that is read without any search. A line that ends in the
middle of a value begins one that spans lines; a line that is wrong is given up alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from json import JSONDecodeError

from pymeter import exact_json
from pymeter.importing.reading import LINE_BYTES_MAX, NOT_UTF8, TOO_LONG, Line, LineReader, Problem, Record

_SPACE = re.compile(r"[ \t\r\n\ufeff]*")
_HINT = "Write one event on each line, or an array of events."


def json_records(lines: LineReader) -> Iterator[Record]:
    """The JSON values of a file, and the elements of arrays one by one. Blank lines are passed over."""
    for line in lines:
        text = line.text
        if not text.strip("\ufeff \t\r\n"):
            continue
        if not line.complete:
            yield Record(line.number, text, problem=TOO_LONG)
            continue
        try:
            data = line.data.decode()
        except UnicodeDecodeError:
            yield Record(line.number, text, problem=NOT_UTF8)
            continue
        try:
            value = exact_json.loads_unique(data)
        except (ValueError, RecursionError) as exc:
            yield from _read_on(line, data.lstrip("\ufeff"), exc, lines)
        else:
            yield from _parts(line.number, text, [value])


def _parts(number: int, text: str, values: list[object]) -> Iterator[Record]:
    """The records of a line with these values: an array's elements are events of their own."""
    events = [event for value in values for event in (value if isinstance(value, list) else [value])]
    for part, event in enumerate(events):
        yield Record(number, text if len(events) == 1 else _dumped(event, text), event, part=part)


def _dumped(value: object, otherwise: str) -> str:
    try:
        return exact_json.dumps(value)
    except (ValueError, RecursionError):
        return otherwise


def _read_on(line: Line, data: str, exc: Exception, lines: LineReader) -> Iterator[Record]:
    """What a line holds that is not one JSON value: several, or the beginning of one that spans lines."""
    if (values := _several(data)) is not None:
        yield from _parts(line.number, line.text, values)
    elif data.lstrip().startswith("[") and _is_unfinished(data, exc):
        yield from _Elements(line, data, lines).records()
    elif data.lstrip().startswith("{") and _is_unfinished(data, exc):
        yield from _spanning(line, data, lines)
    else:
        yield _broken(line, exc)


def _several(data: str) -> list[object] | None:
    """The values of a line that holds several, one after the other; None if it holds anything else."""
    values: list[object] = []
    position = _skip(data, 0)
    try:
        while position < len(data):
            value, position = exact_json.raw_decode(data, position)
            values.append(value)
            position = _skip(data, position)
    except (ValueError, RecursionError):
        return None
    return values


def _skip(data: str, position: int) -> int:
    match = _SPACE.match(data, position)
    return match.end() if match else position


def _is_unfinished(data: str, exc: Exception) -> bool:
    """Whether the text is only too short: nothing in it is wrong."""
    return isinstance(exc, JSONDecodeError) and exc.pos >= len(data.rstrip())


def _broken(line: Line, exc: Exception) -> Record:
    return Record(line.number, line.text, problem=Problem("22P02", f"the line is not JSON: {exc}", _HINT))


class _Taken:
    """The lines that one value spans, and their text."""

    def __init__(self, first: Line, data: str, lines: LineReader) -> None:
        self._source = lines
        self.lines = [first]
        self.data = data
        self.problem: Problem | None = None

    def grow(self) -> bool:
        """Take one more line. False at the end of the file, or where the line cannot be read."""
        line = self._source.next_line()
        if line is None:
            return False
        try:
            more = line.data.decode()
        except UnicodeDecodeError:
            more = ""
        if not line.complete or not more or len(self.data) > LINE_BYTES_MAX:
            self._source.put_back([line])
            return False
        self.lines.append(line)
        self.data += more
        return True

    def give_up(self, exc: Exception | None) -> Record:
        """The first line as one that cannot be read; the others come again."""
        first, *others = self.lines
        self._source.put_back(others)
        return _broken(first, exc or ValueError("it does not end"))

    def decode(self) -> tuple[object, int] | None:
        """The first value and where it ends; None if the file ends before it. ValueError if it is broken."""
        while True:
            try:
                return exact_json.raw_decode(self.data, _skip(self.data, 0))
            except (ValueError, RecursionError) as exc:
                if not _is_unfinished(self.data, exc):
                    raise
            while True:
                if not self.grow():
                    return None
                # Only such a line can end a value. To try at every line would take the square of the time.
                if self.data.rstrip().endswith(("}", "]", "},", "],")):
                    break


def _spanning(line: Line, data: str, lines: LineReader) -> Iterator[Record]:
    """An object that spans lines, and what follows it on its last line."""
    taken = _Taken(line, data, lines)
    try:
        found = taken.decode()
    except (ValueError, RecursionError) as exc:
        yield taken.give_up(exc)
        return
    if found is None:
        yield taken.give_up(None)
        return
    value, end = found
    text = taken.data[:end].strip()
    yield Record(line.number, text, value)
    if rest := taken.data[end:].strip():
        last = taken.lines[-1]
        lines.put_back([Line(last.number, rest.encode())])


class _Elements:
    """The elements of an array that spans lines, read one by one, so that the array may be of any size.

    A comma that is missing or too many loses no element, so it is not looked for.
    """

    def __init__(self, line: Line, data: str, lines: LineReader) -> None:
        self._lines = lines
        self._line = line
        self._data = data.lstrip()[1:]
        self._part = 0

    def records(self) -> Iterator[Record]:
        """Every element; of one that is broken, line by line, what cannot be read."""
        while self._to_element():
            if self._data.startswith("]"):
                if rest := self._data[1:].strip():
                    self._lines.put_back([Line(self._line.number, _encoded(rest))])
                return
            yield self._element()
        yield Record(self._line.number, self._line.text, problem=_NO_END)

    def _to_element(self) -> bool:
        """Go on to what is neither white space nor a comma. False at the end of the file."""
        while not (data := self._data.lstrip(" \t\r\n,\ufeff")):
            line = self._lines.next_line()
            if line is None:
                return False
            self._line, self._part = line, 0
            self._data = line.data.decode("utf-8", "surrogateescape")
        self._data = data
        return True

    def _element(self) -> Record:
        if not self._line.complete:
            self._data = ""
            return Record(self._line.number, self._line.text, problem=TOO_LONG)
        taken = _Taken(Line(self._line.number, _encoded(self._data)), self._data, self._lines)
        try:
            found = taken.decode()
        except (ValueError, RecursionError) as exc:
            self._data = ""
            return taken.give_up(exc)
        if found is None:
            self._data = ""
            return taken.give_up(None)
        value, end = found
        record = Record(self._line.number, taken.data[:end].strip(), value, part=self._part)
        last = taken.lines[-1]
        self._part = self._part + 1 if last.number == self._line.number else 0
        self._line, self._data = last, taken.data[end:]
        return record


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


_NO_END = Problem("22P02", "the array does not end", "Is the file complete?")
