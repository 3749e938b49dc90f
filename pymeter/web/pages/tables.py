"""Tables of a page: the rows of one statement, as HTML and as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.responses import Response, StreamingResponse

from pymeter.calls.result import Row
from pymeter.importing.spreadsheet import defused
from pymeter.plain import cell
from pymeter.web.pages.asking import Answer

_NO_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_ROWS_OF_PART = 500
Kind = Literal["text", "word", "number", "amount", "figure", "time", "ago", "state", "bar", "lines"]


@dataclass(frozen=True)
class Column:
    """A column of a table. `of` makes its value from the row; by default it is the field of that name.

    A figure is a number or an amount as text; a bar is a share of 100.
    """

    name: str
    title: str
    kind: Kind = "text"
    link: Callable[[Row], str] | None = None
    of: Callable[[Row], Any] | None = None
    below: Callable[[Row], str] | None = None
    """A second, smaller line in the same cell."""
    wide: bool = False
    """Left out where the screen is narrow."""
    tone: Callable[[Row], str] = lambda row: ""
    """The colour of a bar: good, warn, bad, or none."""

    def value(self, row: Row) -> Any:
        """Its value in a row."""
        return row[self.name] if self.of is None else self.of(row)


@dataclass(frozen=True)
class Table:
    """The rows of an answer. The CSV has all columns of the answer, exact and not formatted."""

    name: str
    title: str
    answer: Answer
    columns: tuple[Column, ...]
    empty: str = "Nothing yet."
    """Instead of rows; what is in backticks is code."""
    note: str = ""
    next: str | None = None
    """The address of the next page."""
    rows: tuple[Row, ...] | None = None
    """If they are fewer than those of the answer, or in another order."""
    is_total: Callable[[Row], bool] | None = None
    """Whether a row is a sum of those above it."""
    more: tuple[Answer, ...] = ()
    """Other answers that the rows are made of; their statements are shown, too."""
    actions: Mapping[str, Any] = field(default_factory=dict)
    """For the template."""

    @property
    def shown(self) -> tuple[Row, ...]:
        """The rows on the page."""
        return self.answer.rows if self.rows is None else self.rows


def plain(name: str) -> Callable[[Row], str]:
    """For a column of numbers that count nothing, such as ids: without separators, empty for none."""
    return lambda row: "" if row[name] is None else str(row[name])


def csv_response(table: Table) -> Response:
    """The answer as a file. Its parts are written in threads: meanwhile the process answers others."""
    name = _NO_FILE_NAME.sub("_", table.name)  # it may have a metric's name, which is any text
    disposition = f'attachment; filename="{name}.csv"'
    return StreamingResponse(
        _parts(table.answer), media_type="text/csv", headers={"Content-Disposition": disposition}
    )


def _parts(answer: Answer) -> Iterator[str]:
    yield _text([answer.columns])
    for place in range(0, len(answer.rows), _ROWS_OF_PART):
        # A spreadsheet would run a text that is a formula.
        yield _text(
            [defused(value) if type(value) is str else cell(value) for value in row.values()]
            for row in answer.rows[place : place + _ROWS_OF_PART]
        )


def _text(lines: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(lines)
    return text.getvalue()
