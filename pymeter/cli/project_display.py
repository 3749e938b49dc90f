"""How a projection is shown: a bar of the cycle for each metric, and what the invoice will be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from pymeter.cli.output import note, number, table, window
from pymeter.cli.price_display import money
from pymeter.invoice_page.words import TOTAL, title
from pymeter.models import EffectiveLimit, InvoiceProjection, UsageProjection
from pymeter.visible import visible

_BLOCKS = "█▓░│"
_ASCII = "#=.|"
_BAR_CELLS_MAX = 60
_TITLE_CELLS = 3
_METHODS = {
    "run_rate": "by the run rate",
    "weekday_profile": "by weekdays",
    "recent_values": "as in recent weeks",
    "unchanged": "nothing more expected",
    "none": "not projected",
}


class Shown(Protocol):
    """What the command has asked for."""

    subject: str
    usage: list[UsageProjection]
    limits: list[EffectiveLimit]
    invoice: list[InvoiceProjection]


class ProjectionSheet:
    """A projection for people."""

    def __init__(self, found: Shown, timezone: str) -> None:
        self._found = found
        self._timezone = timezone
        self._metrics = [row for row in found.usage if row.history_days is not None or len(found.usage) == 1]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        rows = self._found.usage
        head = Text(visible(self._found.subject), style="bold")
        if rows:
            first = rows[0]
            head.append(
                f"  {window(first.since, first.until, self._timezone)}  {_percent(first.elapsed)} elapsed",
                "dim",
            )
        yield head
        if not self._metrics:
            yield note("the subject has used nothing yet")
        for row in self._metrics:
            yield Text("")
            yield from self._metric(row, console, options.max_width)
        yield from self._invoice()

    def _metric(self, row: UsageProjection, console: Console, width: int) -> Iterator[RenderableType]:
        quota = min(
            (limit.quota for limit in self._found.limits if limit.metric == row.metric and limit.quota),
            default=None,
        )
        yield Text.assemble((visible(row.metric), "bold"), f"  {_in_words(row)}")
        marks = _BLOCKS if console.encoding.lower().startswith("utf") else _ASCII
        bar = _bar(row, quota, min(_BAR_CELLS_MAX, width - 2 * _TITLE_CELLS), marks)
        if bar is not None:
            yield Text(" " * _TITLE_CELLS).append(bar)
        about = [_METHODS[row.method]]
        if row.reason:
            about.append(row.reason)
        if quota is not None:
            about.append(_against(row, quota))
        yield Text(" " * _TITLE_CELLS + "; ".join(about), style="dim")

    def _invoice(self) -> Iterator[RenderableType]:
        lines = [line for line in self._found.invoice if line.currency is not None]
        if not lines:
            return
        result = table("line", "so far", "low", "expected", "high", "currency", numbers=_AMOUNTS)
        cycle_ends = max((row.until for row in self._found.usage), default=None)
        for line in lines:
            amounts = (line.so_far, line.low, line.expected, line.high)
            style = "bold" if line.kind == "total" else None
            result.add_row(
                _title(line, cycle_ends),
                *(_amount(amount) for amount in amounts),
                line.currency or "",
                style=style,
            )
        yield Text("")
        yield result
        reasons = sorted(
            {f"{line.metric}: {line.reason}" for line in lines if line.expected is None and line.reason}
        )
        if reasons:
            yield note(f"unknown is not 0: {'; '.join(map(visible, reasons))}")


_AMOUNTS = ("so far", "low", "expected", "high")


def _in_words(row: UsageProjection) -> str:
    used = f"{number(row.used)} {visible(row.unit)} used"
    if row.expected is None:
        return used
    if row.low == row.high:
        return f"{used}, {number(row.expected)} at the end"
    between = f"{number(row.low)} to {number(row.high)}"
    return f"{used}, {number(row.expected)} expected at the end ({between})"


def _bar(row: UsageProjection, quota: Decimal | None, cells: int, marks: str) -> Text | None:
    """Used, expected, high; a mark where the limit is. None for values below 0, or without any."""
    used = row.used
    expected = max(used, used if row.expected is None else row.expected)
    high = max(expected, expected if row.high is None else row.high)
    whole = max(high, quota or Decimal(0))
    if used < 0 or whole <= 0 or cells < 1 or (row.expected is None and quota is None):
        return None
    ends = [_cells(value, whole, cells) for value in (used, expected, high)]
    text = marks[0] * ends[0] + marks[1] * (ends[1] - ends[0]) + marks[2] * (ends[2] - ends[1])
    result = Text(text.ljust(cells))
    for begin, end, style in ((0, ends[0], "cyan"), (ends[0], ends[1], "blue"), (ends[1], ends[2], "dim")):
        result.stylize(style, begin, end)
    if quota is None:
        return result
    at = _cells(quota, whole, cells)
    mark = Text(marks[3], style="bold red" if expected > quota else "bold green")
    return Text.assemble(result[:at], mark, result[at:])


def _cells(value: Decimal, whole: Decimal, cells: int) -> int:
    """Something is never shown as nothing."""
    return max(int(value * cells / whole), 1 if value > 0 else 0)


def _against(row: UsageProjection, quota: Decimal) -> str:
    limit = f"limit {number(quota)}"
    if row.used > quota:
        return f"{limit}: exceeded"
    if row.expected is None or row.high is None or row.low is None:
        return limit
    if row.low > quota:
        return f"{limit}: will be exceeded"
    if row.expected > quota:
        return f"{limit}: exceeded at the expected usage"
    return f"{limit}: exceeded at high usage" if row.high > quota else f"{limit}: enough"


def _title(line: InvoiceProjection, cycle_ends: datetime | None) -> str:
    """As on the invoice; there, sections and periods tell apart what here is only a word."""
    if line.kind == TOTAL:
        return TOTAL
    if line.kind == "late":
        return f"{title(line)}: late"
    is_next = line.kind == "fee" and cycle_ends is not None and line.since >= cycle_ends
    return f"{title(line)}, next cycle" if is_next else title(line)


def _amount(value: Decimal | None) -> str:
    return "?" if value is None else money(value)


def _percent(part: Decimal) -> str:
    return f"{part * 100:.0f} %"
