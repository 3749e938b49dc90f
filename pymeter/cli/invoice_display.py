"""How an invoice is shown: a sheet that a customer could read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
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
from pymeter.models import Invoice, InvoiceLine

_DECIMALS_MAX = 6
_GAP = 3
_TITLE_MIN = 16
_SMALL = Decimal("0.001")
_LONG = re.compile(rf"\b(?!0\.000)(\d+\.\d{{{_DECIMALS_MAX}}})\d{{{_DECIMALS_MAX},}}")
_JUSTIFY: tuple[Literal["left", "right"], ...] = ("right", "left", "right", "right")


@dataclass(frozen=True)
class _Row:
    title: str
    cells: tuple[str, str, str, str]
    """Quantity, unit, rate, amount."""
    about: str = ""


_NAMES = _Row("", ("quantity", "unit", "rate", "amount"))


class InvoiceSheet:
    """An invoice: a row for each line, below it how the amount comes about, and the total of a currency."""

    def __init__(self, found: Invoice, timezone: str, *, scenario: bool = False) -> None:
        """scenario: it is of nobody, so it is no preview of anything."""
        head = found.header
        self._subject = head.subject
        preview = (
            "" if scenario or head.as_of or head.until <= datetime.now(UTC) else "preview: it has not ended"
        )
        period = (window(head.since, head.until, timezone), recorded_up_to(head.as_of, timezone), preview)
        self._period = "  ".join(filter(None, period))
        self._rows = [_row(line, found, timezone) for line in found.lines]
        self._totals = [
            _Row("total", ("", "", "", f"{money(total.amount)} {currency}"))
            for currency, total in sorted(found.totals.items())
        ]
        self._priced = scenario or any(line.currency is not None for line in found.lines)

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield Text.assemble((visible(self._subject), "bold"), (f"  {self._period}", "dim"))
        if not self._rows:
            yield note("nothing to bill")
            return
        yield Text("")
        rows = [_NAMES, *self._rows, *self._totals]
        widths = [max(cell_len(row.cells[n]) for row in rows) for n in range(len(_NAMES.cells))]
        taken = sum(widths) + len(widths) * _GAP + 1
        if taken + _TITLE_MIN > options.max_width:
            yield from self._stacked()
        else:
            texts = [taken + cell_len(row.title) for row in rows] + [cell_len(row.about) + 4 for row in rows]
            yield from self._table(widths, min(options.max_width, max(texts)))
        yield Text("")
        if not self._priced:
            subject = shlex.quote(self._subject)
            yield note(f"nothing has a price; subscribe the subject: pymeter subscribe {subject} PLAN")

    def _table(self, widths: list[int], width: int) -> Iterator[RenderableType]:
        rule = Text(" " + "─" * (width - 1), style="dim")
        yield _cells(_NAMES, widths, width, "bold cyan")
        yield rule
        for row in self._rows:
            yield _cells(row, widths, width)
            if row.about:
                yield Constrain(Padding(Text(row.about, style="dim"), (0, 0, 0, 3)), width)
        if self._totals:
            yield rule
        for row in self._totals:
            yield _cells(row, widths, width, "bold")

    def _stacked(self) -> Iterator[RenderableType]:
        """Without columns: on a narrow terminal, and for numbers that fill a wide one."""
        for row in (*self._rows, *self._totals):
            quantity, unit, rate, amount = row.cells
            yield Text(row.title, style="bold" if row in self._totals else "")
            counted = " ".join(filter(None, (quantity, unit, f"at {rate}" if rate else "")))
            for text, style in ((counted, ""), (row.about, "dim"), (amount, "bold")):
                if text:
                    yield Padding(Text(text, style=style, overflow="fold"), (0, 0, 0, 2))


def _cells(row: _Row, widths: list[int], width: int, style: str = "") -> RenderableType:
    result = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
    result.add_column(width=width - sum(widths) - len(widths) * _GAP, overflow="fold")
    for one, justify in zip(widths, _JUSTIFY, strict=True):
        result.add_column(width=one, justify=justify, overflow="fold")
    result.add_row(*(Text(cell, style=style) for cell in (" " + row.title, *row.cells)))
    return result


def _row(line: InvoiceLine, found: Invoice, timezone: str) -> _Row:
    head = found.header
    same = (line.since, line.until) == (head.since, head.until)
    when = "" if same else window(line.since, line.until, timezone).removesuffix(f" {timezone}")
    price = "no price" if line.currency is None else f"{money(line.amount)} {line.currency}"
    cells = (
        "" if line.quantity is None else _quantity(line.quantity),
        visible(line.unit or ""),
        "" if line.unit_amount is None else number(line.unit_amount),
        price,
    )
    about = ", ".join(filter(None, (when, _LONG.sub(r"\1…", line.explanation))))
    return _Row(visible(_title(line)), cells, visible(about))


def _title(line: InvoiceLine) -> str:
    what = line.name or line.item or line.metric
    if what is None:
        return f"minimum of {line.plan}"
    kind = {"usage": "", "fee": "", "true_up": ": minimum"}
    return what + kind.get(line.kind, f": {line.kind}")


def _quantity(value: Decimal) -> str:
    """Exact, or the first decimals of a share that does not end, and a sign that there are more."""
    exact = number(value)
    whole, _, decimals = exact.partition(".")
    if len(decimals) < 2 * _DECIMALS_MAX or abs(value) < _SMALL:
        return exact
    return f"{whole}.{decimals[:_DECIMALS_MAX]}…"
