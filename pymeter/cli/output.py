"""How answers look: tables for people; JSON and CSV for programs, with every number exact."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar

from pydantic import BaseModel
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.style import Style
from rich.table import Table as RichTable
from rich.text import Text

from pymeter import exact_json
from pymeter.importing.spreadsheet import ESCAPED_COLUMN, defused
from pymeter.numbers import number as number
from pymeter.plain import cell, plain
from pymeter.times import read_zone
from pymeter.visible import visible, visible_lines

_PIPE_COLUMNS = 200
_WIDE = 120

Answer = TypeVar("Answer")


class Form(Enum):
    """How an answer is printed."""

    table = "table"
    json = "json"
    csv = "csv"
    html = "html"
    """Only of invoices and statements."""


def show(
    answer: Answer,
    model: type[BaseModel] | None,
    draw: Callable[[Answer], RenderableType],
    form: Form = Form.table,
) -> None:
    """Print an answer: as JSON, as CSV with the columns of `model`, or as `draw` shows it to people."""
    if form is Form.json:
        print_json(answer)
    elif form is Form.csv:
        assert model is not None, "this command has no --csv"
        print_csv(model, answer if isinstance(answer, list) else [answer])  # type: ignore[list-item]
    else:
        stdout().print(draw(answer))


def stdout() -> Console:
    """The console for answers. In a pipe, lines are not folded to 80 columns."""
    return _console(stderr=False)


def stderr() -> Console:
    """The console for errors and progress."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = SafeConsole(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _PIPE_COLUMNS
    return console


def is_narrow() -> bool:
    """Whether a table of many columns has to put two of them into one, below each other."""
    return stdout().width < _WIDE


class SafeConsole(Console):
    """A console on which text cannot control the terminal, wherever the text comes from.

    Layout is done before: what has to stand in a table or a line of its own is made visible there already.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of what is printed."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible_lines(segment.text), segment.style)


def progress(*more: ProgressColumn) -> Progress:
    """A progress bar on standard error that leaves nothing behind; none at all in a pipe."""
    console = stderr()
    return Progress(
        TextColumn("  {task.description}", style="dim", markup=False),
        BarColumn(complete_style="cyan", finished_style="cyan"),
        *more,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


# --- values -------------------------------------------------------------------------------------------------


def counted(count: int, one: str, more: str | None = None) -> str:
    """A number and what it counts: 1 call, 2 calls."""
    return f"{number(count)} {one if count == 1 else more or f'{one}s'}"


def moment(value: datetime | None, timezone: str = "UTC") -> str:
    """A time in a zone, to the second, or finer where it is."""
    if value is None:
        return "-"
    local = value.astimezone(read_zone(timezone)).replace(tzinfo=None)
    return local.isoformat(" ", "seconds" if not local.microsecond else "milliseconds")


def minute(value: datetime | None, timezone: str = "UTC") -> str:
    """A time in a zone, to the minute: where there is no room for more."""
    return moment(None if value is None else value.replace(microsecond=0), timezone)[:16]


def recorded_up_to(as_of: datetime | None, timezone: str = "UTC") -> str:
    """What a header says of an answer as of a watermark; empty for one of now."""
    if as_of is None:
        return ""
    return f"as recorded up to {moment(as_of.replace(microsecond=0), timezone)} {timezone}"


def word(value: Any) -> str:
    """A setting as SQL and JSON have it too: true, null, 35 days."""
    if value is None or isinstance(value, bool):
        return exact_json.dumps(value)
    if isinstance(value, datetime):
        return moment(value)
    return str(value).removesuffix(", 0:00:00")


def window(since: datetime | None, until: datetime | None, timezone: str = "UTC") -> str:
    """A half-open window: 2026-11-01 → 2026-12-01 UTC."""
    return f"{_edge(since, timezone)} → {_edge(until, timezone)} {timezone}"


def _edge(value: datetime | None, timezone: str) -> str:
    if value is None:
        return "…"
    return moment(value, timezone).removesuffix(":00").removesuffix(" 00:00")


# --- for people ---------------------------------------------------------------------------------------------


class Table(RichTable):
    """A table whose cells are text, not markup, and cannot control the terminal."""

    def add_row(
        self, *renderables: RenderableType | None, style: str | Style | None = None, end_section: bool = False
    ) -> None:
        """Add a row. A str is shown as it is; for a style give a Text."""
        cells = [_visible_cell(cell) for cell in renderables]
        super().add_row(*cells, style=style, end_section=end_section)


def _visible_cell(cell: RenderableType | None) -> RenderableType | None:
    if isinstance(cell, str):
        return Text(visible(cell))
    if isinstance(cell, Text) and (shown := visible(cell.plain)) != cell.plain:
        return Text(shown, style=cell.style)
    return cell


def table(*columns: str, numbers: Sequence[str] = (), unfolded: Sequence[str] = ()) -> Table:
    """An empty table. The columns `numbers` are aligned right; they, and `unfolded`, keep to one line.

    What is too long for its line ends with an ellipsis: a number without its last digits is another number.
    """
    result = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold cyan",
        border_style="dim",
        pad_edge=False,
    )
    for column in columns:
        result.add_column(
            Text(visible(column)),
            justify="right" if column in numbers else "left",
            no_wrap=column in numbers or column in unfolded,
            overflow="ellipsis" if column in numbers or column in unfolded else "fold",
        )
    return result


def below(first: str | Text, *more: str) -> RenderableType:
    """A cell with a line for each text that is not empty; those after the first are dim."""
    head = Text(visible(first)) if isinstance(first, str) else first
    return Group(
        *([head] if head.plain else []), *(Text(visible(text), style="dim") for text in more if text)
    )


def good(text: str) -> Text:
    """A line that says yes."""
    return Text.assemble(("✓ ", "bold green"), visible(text))


def bad(text: str) -> Text:
    """A line that says no."""
    return Text.assemble(("✗ ", "bold red"), visible(text))


def note(text: str) -> Text:
    """A line that explains."""
    return Text(visible(text), style="dim")


# --- for programs -------------------------------------------------------------------------------------------


def print_json(value: Any) -> None:
    """One JSON document: an object on one line, or an array with a line for each element."""
    value = plain(value)
    if isinstance(value, list):
        lines = ",\n".join(f"  {exact_json.dumps(item)}" for item in value)
        print(f"[\n{lines}\n]" if value else "[]")
    else:
        print(exact_json.dumps(value))


def print_csv(model: type[BaseModel], rows: Iterable[BaseModel]) -> None:
    """A header and a line for each row."""
    write_csv(sys.stdout, model, rows, mark_escaped=True)


def write_csv(
    stream: Any,
    model: type[BaseModel],
    rows: Iterable[BaseModel],
    *,
    raw: bool = False,
    mark_escaped: bool = False,
) -> int:
    """Write a header and a line for each row. Returns how many rows.

    Null is an empty cell; metadata and lists are JSON. A text that a spreadsheet would run as a formula
    begins with an apostrophe, unless `raw`. With `mark_escaped` a last column names the columns where that
    is so.
    """
    fields = list(model.model_fields)
    mark_escaped = mark_escaped and not raw
    # A terminal is no file: what would control it is made visible.
    show = visible_lines if stream.isatty() else str
    line = io.StringIO()
    # With this line end, csv quotes a cell that has a CR or LF in it.
    writer = csv.writer(line, lineterminator="\r\n")
    writer.writerow([*fields, ESCAPED_COLUMN] if mark_escaped else fields)
    count = 0
    written: list[str] = [_line_of(line)]
    for row in rows:
        values = {name: getattr(row, name) for name in fields}
        texts = {} if raw else {name: defused(value) for name, value in values.items() if type(value) is str}
        escaped = [name for name, text in texts.items() if text is not values[name]]
        cells = [cell(value) for value in (values | texts).values()]
        writer.writerow([*cells, " ".join(escaped)] if mark_escaped else cells)
        written.append(_line_of(line))
        count += 1
        if count % 500 == 0:
            stream.write(show("".join(written)))
            written.clear()
    stream.write(show("".join(written)))
    return count


def _line_of(line: io.StringIO) -> str:
    text = line.getvalue().removesuffix("\r\n") + "\n"
    line.seek(0)
    line.truncate()
    return text
