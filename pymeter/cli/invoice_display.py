"""How invoices, and statements with amounts, are shown: a sheet that a customer could read."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.text import Text

from pymeter.cli.output import Table, note, number, recorded_up_to, window
from pymeter.cli.price_display import money
from pymeter.cli.visible import visible
from pymeter.invoice_page.words import AFTER, TOTAL, Line, Sum, quantity, shortened, sums, title
from pymeter.models import Invoice

_GAP = 3
_TITLE_MIN = 16
_JUSTIFY: tuple[Literal["left", "right"], ...] = ("right", "left", "right", "right")


@dataclass(frozen=True)
class _Row:
    title: str
    cells: tuple[str, str, str, str]
    """Quantity, unit, rate, amount."""
    about: str = ""


_NAMES = _Row("", ("quantity", "unit", "rate", "amount"))
_EARLIER = _Row("usage of earlier periods", ("", "", "", ""))


class LineSheet:
    """A row for each line, below it how the amount comes about; then earlier periods; then for each currency
    the subtotal, credits, taxes and the total."""

    def __init__(
        self,
        lines: Sequence[Line],
        totals: Mapping[str, Decimal | None],
        period: tuple[datetime, datetime],
        timezone: str,
    ) -> None:
        own, late = (
            [
                _row(line, period, timezone)
                for line in lines
                if line.kind not in AFTER and (line.kind == "late") is is_late
            ]
            for is_late in (False, True)
        )
        self._parts = [part for part in (own, [_EARLIER, *late] if late else []) if part]
        self._totals = [_sum(one) for one in sums(lines, totals)]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        rows = [_NAMES, *(row for part in self._parts for row in part), *self._totals]
        widths = [max(cell_len(row.cells[n]) for row in rows) for n in range(len(_NAMES.cells))]
        taken = sum(widths) + len(widths) * _GAP + 1
        if taken + _TITLE_MIN > options.max_width:
            yield from self._stacked()
        else:
            texts = [taken + cell_len(row.title) for row in rows] + [cell_len(row.about) + 4 for row in rows]
            yield from self._table(widths, min(options.max_width, max(texts)))

    def _table(self, widths: list[int], width: int) -> Iterator[RenderableType]:
        rule = Text(" " + "─" * (width - 1), style="dim")
        yield _cells(_NAMES, widths, width, "bold cyan")
        for part in self._parts:
            yield rule
            for row in part:
                yield _cells(row, widths, width, "bold" if row is _EARLIER else "")
                if row.about:
                    yield Constrain(Padding(Text(row.about, style="dim"), (0, 0, 0, 3)), width)
        if self._totals:
            yield rule
        for row in self._totals:
            yield _cells(row, widths, width, "bold" if row.title == TOTAL else "")
            if row.about:
                yield Constrain(Padding(Text(row.about, style="dim"), (0, 0, 0, 3)), width)

    def _stacked(self) -> Iterator[RenderableType]:
        """Without columns: on a narrow terminal, and for numbers that fill a wide one."""
        for row in (*(row for part in self._parts for row in part), *self._totals):
            quantity, unit, rate, amount = row.cells
            is_head = row is _EARLIER or (row in self._totals and row.title == TOTAL)
            yield Text(row.title, style="bold" if is_head else "")
            counted = " ".join(filter(None, (quantity, unit, f"at {rate}" if rate else "")))
            for text, style in ((counted, ""), (row.about, "dim"), (amount, "bold")):
                if text:
                    yield Padding(Text(text, style=style, overflow="fold"), (0, 0, 0, 2))


class InvoiceSheet:
    """An invoice: of whom and when, its lines, and the total of each currency."""

    def __init__(
        self, found: Invoice, timezone: str, *, state: str | None = None, scenario: bool = False
    ) -> None:
        """state: what it is once it has ended. scenario: it is of nobody, so it is no preview."""
        head = found.header
        self._subject = head.subject
        self._scenario = scenario
        is_running = not scenario and head.as_of is None and head.until > datetime.now(UTC)
        said = "preview: it has not ended" if is_running else state or ""
        period = (window(head.since, head.until, timezone), recorded_up_to(head.as_of, timezone), said)
        self._period = "  ".join(filter(None, period))
        self._lines = found.lines
        totals = {currency: total.amount for currency, total in found.totals.items()}
        self._sheet = LineSheet(found.lines, totals, (head.since, head.until), timezone)

    def __rich_console__(self, _: Console, __: ConsoleOptions) -> Iterator[RenderableType]:
        yield Text.assemble((visible(self._subject), "bold"), (f"  {self._period}", "dim"))
        if not self._lines:
            yield note("nothing to bill")
            return
        yield Text("")
        yield self._sheet
        yield Text("")
        if not self._scenario and not any(line.currency is not None for line in self._lines):
            subject = shlex.quote(self._subject)
            yield note(f"nothing has a price; subscribe the subject: pymeter subscribe {subject} PLAN")


def _cells(row: _Row, widths: list[int], width: int, style: str = "") -> RenderableType:
    """The gaps are in the cells: versions of Rich differ in whether a width has the padding in it."""
    title = width - sum(widths) - len(widths) * _GAP
    gaps = [_GAP] * len(widths) + [0]
    result = Table.grid(padding=0, pad_edge=False)
    cells = []
    columns = zip((title, *widths), gaps, ("left", *_JUSTIFY), (" " + row.title, *row.cells), strict=True)
    for one, gap, justify, text in columns:
        result.add_column(width=one + gap)
        cells.append(Padding(Text(text, style=style, justify=justify, overflow="fold"), (0, gap, 0, 0)))
    result.add_row(*cells)
    return result


def _row(line: Line, period: tuple[datetime, datetime], timezone: str) -> _Row:
    same = (line.since, line.until) == period
    when = "" if same else window(line.since, line.until, timezone).removesuffix(f" {timezone}")
    if line.late_of is not None and line.kind != "fee":
        when = f"{when} (statement {line.late_of})".strip()
    price = "no price" if line.currency is None else f"{money(line.amount)} {line.currency}"
    cells = (
        quantity(line.quantity),
        visible(line.unit or ""),
        "" if line.unit_amount is None else number(line.unit_amount),
        price,
    )
    about = ", ".join(filter(None, (when, shortened(line.explanation))))
    return _Row(visible(title(line)), cells, visible(about))


def _sum(one: Sum) -> _Row:
    cells = ("", "", "", f"{money(one.amount)} {one.currency}")
    return _Row(visible(one.title), cells, visible(one.explanation))
