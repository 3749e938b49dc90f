"""How prices and invoices are shown: a price in words, and an invoice that a customer could read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.text import Text

from pymeter.cli.output import (
    Table,
    below,
    good,
    is_narrow,
    minute,
    note,
    number,
    recorded_up_to,
    table,
    window,
)
from pymeter.cli.visible import visible
from pymeter.models import Invoice, InvoiceLine, PlanMinimum, PlanPrice

_SHOWN_MAX = 8
_DECIMALS_MAX = 6
_GAP = 3
_CELL_MAX = 30
_FIRST_MIN = 16
_SMALL = Decimal("0.001")
_LONG = re.compile(rf"\b(?!0\.000)(\d+\.\d{{{_DECIMALS_MAX}}})\d{{{_DECIMALS_MAX},}}")


# --- prices -------------------------------------------------------------------------------------------------


def prices(found: list[PlanPrice], timezone: str) -> RenderableType:
    """The lines of plans, with each price in words."""
    if not found:
        return note("no prices; begin with: pymeter price define PLAN ITEM PRICE --metric METRIC")
    of = [] if is_narrow() else ["of"]
    result = table(
        *("plan", "item", *of, "price", f"since ({timezone})", "version"),
        numbers=("version",),
        unfolded=("plan", f"since ({timezone})"),
    )
    for one in found:
        what = one.metric or "a fee"
        more = "" if of or one.metric in (None, one.item) else f"of {what}"
        whose = "" if one.subject is None else f"for {one.subject}"
        result.add_row(
            one.plan,
            below(one.item, one.name or "", more, whose),
            *([what] if of else []),
            _lines(in_words(one)),
            "always" if one.since is None else _day(one, timezone),
            str(one.price_version),
        )
    return result


def defined(one: PlanPrice, timezone: str) -> Text:
    """What a version of a line says, in one line."""
    where = f"{one.plan}, {one.item}" + ("" if one.subject is None else f" for {one.subject}")
    begins = _begins(one, timezone)
    if one.price is None:
        return good(f"{where}: ends, {begins} (version {one.price_version})")
    price = "; ".join(" ".join(line.split()) for line in in_words(one))
    return good(f"{where}: {price}, {begins} (version {one.price_version})")


def minimum(one: PlanMinimum, timezone: str) -> Text:
    """The minimum of a plan, in one line."""
    begins = _begins(one, timezone)
    amount = "no minimum" if one.amount is None else f"at least {money(one.amount)} {one.currency} a cycle"
    return good(f"{one.plan}: {amount}, {begins}")


def in_words(one: PlanPrice) -> list[str]:
    """A price on one line and, if it has tiers, cells or bounds, more."""
    document: dict[str, Any] = one.price or {}
    fee = one.metric is None
    per = f"a cycle, in {one.bill}" if fee else _per(document)
    lines = list(_model_in_words(document, one.currency, per))
    lines += _bounds_in_words(document)
    if fee and not one.prorate:
        lines.append("in full for a part of a cycle")
    if one.tiers_after_change == "restart" and not fee:
        lines.append("tiers restart after a change")
    return lines


def _per(document: dict[str, Any]) -> str:
    return "a cycle" if document.get("model") == "flat" else "a unit"


def _model_in_words(document: dict[str, Any], currency: str, per: str) -> Iterator[str]:
    model, rate = document.get("model"), _amount(document.get("unit_amount", document.get("flat_amount")))
    if model == "package":
        yield f"{rate} {currency} per package of {_amount(document.get('package_size'))}"
    elif model in ("graduated", "volume"):
        yield f"{model}, {currency} {per}"
        yield from _tiers_in_words(document.get("tiers", []))
        if document.get("flat_at_zero") is False:
            yield "no flat amount at 0"
    elif model == "percentage":
        fixed = document.get("fixed_amount")
        free = document.get("free_events")
        yield f"{_amount(document.get('percent'))} %" + (
            "" if fixed is None else f" + {_amount(fixed)} {currency} an event"
        )
        if free is not None:
            yield f"{_amount(free)} events free"
    elif model == "matrix":
        yield f"by {', '.join(document.get('dimensions', []))}"
        yield from _cells_in_words(document.get("cells", []), currency)
    else:
        yield f"{rate} {currency} {per}"


def _tiers_in_words(tiers: list[dict[str, Any]]) -> Iterator[str]:
    shown = [
        (
            "beyond" if tier.get("up_to") is None else f"to {_amount(tier['up_to'])}",
            _amount(tier.get("unit_amount", 0)),
            _flat(tier),
        )
        for tier in tiers[:_SHOWN_MAX]
    ]
    widths = [max((len(row[n]) for row in shown), default=0) for n in (0, 1)]
    for up_to, rate, flat in shown:
        yield f"  {up_to:<{widths[0]}}  {rate:>{widths[1]}}{flat}"
    if len(tiers) > _SHOWN_MAX:
        yield f"  and {len(tiers) - _SHOWN_MAX} more tiers"


def _flat(tier: dict[str, Any]) -> str:
    flat = tier.get("flat_amount")
    return "" if flat is None or Decimal(str(flat)) == 0 else f" + {_amount(flat)} flat"


def _cells_in_words(cells: list[dict[str, Any]], currency: str) -> Iterator[str]:
    for cell in cells[:_SHOWN_MAX]:
        when = ", ".join(f"{key} {value}" for key, value in cell.get("when", {}).items()) or "any"
        document = cell.get("price") or {"model": "unit"} | cell
        first, *more = _model_in_words(document, currency, _per(document))
        yield f"  {when}: {first}" + (" ..." if more else "")
    if len(cells) > _SHOWN_MAX:
        yield f"  and {len(cells) - _SHOWN_MAX} more cells"


def _bounds_in_words(document: dict[str, Any]) -> list[str]:
    lines = []
    if convert := document.get("convert"):
        rounding = convert.get("round", "none")
        lines.append(
            f"units of {_amount(convert.get('divide_by'))}"
            + ("" if rounding == "none" else f", rounded {rounding}")
        )
    for name, words in (
        ("free_units", "{} units free"),
        ("discount_percent", "{} % off"),
        ("maximum_amount", "at most {}"),
        ("minimum_amount", "at least {}"),
    ):
        if document.get(name) is not None:
            lines.append(words.format(_amount(document[name])))
    return lines


def _amount(value: Any) -> str:
    return "" if value is None else number(Decimal(str(value)))


def _lines(texts: list[str]) -> RenderableType:
    return Group(*(Text(visible(text)) for text in texts))


def _begins(one: PlanPrice | PlanMinimum, timezone: str) -> str:
    return "from the beginning" if one.since is None else f"since {_day(one, timezone)} {timezone}"


def _day(one: PlanPrice | PlanMinimum, timezone: str) -> str:
    return minute(one.since, timezone).removesuffix(" 00:00")


# --- invoices -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    title: str
    cells: tuple[str, str, str, str]
    """Quantity, unit, rate, amount."""
    about: str = ""


class InvoiceSheet:
    """An invoice: a row for each line, below it how the amount comes about, and the total of a currency."""

    def __init__(self, found: Invoice, timezone: str) -> None:
        head = found.header
        self._head = head
        self._timezone = timezone
        self._rows = [_row(line, found, timezone) for line in found.lines]
        self._totals = [
            _Row("total", ("", "", "", f"{money(total.amount)} {currency}"))
            for currency, total in sorted(found.totals.items())
        ]
        self._priced = any(line.currency is not None for line in found.lines)

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        head, zone = self._head, self._timezone
        period = "  ".join(
            filter(None, (window(head.since, head.until, zone), recorded_up_to(head.as_of, zone)))
        )
        yield Text.assemble((visible(head.subject), "bold"), (f"  {period}", "dim"))
        if not self._rows:
            yield note("nothing to bill")
            return
        names = _Row("", ("quantity", "unit", "rate", "amount"))
        rows = [names, *self._rows, *self._totals]
        widths = [min(_CELL_MAX, max(cell_len(row.cells[n]) for row in rows)) for n in range(4)]
        taken = sum(widths) + 4 * _GAP + 1
        wanted = max(taken + max(cell_len(row.title) for row in rows), *(cell_len(r.about) + 4 for r in rows))
        first = max(_FIRST_MIN, min(options.max_width, wanted) - taken)
        rule = Text(" " + "─" * (first + taken - 1), style="dim")
        yield Text("")
        yield _cells(names, first, widths, "bold cyan")
        yield rule
        for row in self._rows:
            yield _cells(row, first, widths)
            if row.about:
                about = Padding(Text(visible(row.about), style="dim"), (0, 0, 0, 3))
                yield Constrain(about, first + taken)
        if self._totals:
            yield rule
        for row in self._totals:
            yield _cells(row, first, widths, "bold")
        yield Text("")
        if not self._priced:
            subject = shlex.quote(head.subject)
            yield note(f"nothing has a price; subscribe the subject: pymeter subscribe {subject} PLAN")


def _cells(row: _Row, first: int, widths: list[int], style: str = "") -> RenderableType:
    result = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
    result.add_column(width=first + 1, overflow="fold")
    for width, justify in zip(widths, ("right", "left", "right", "right"), strict=True):
        result.add_column(width=width, justify=justify, overflow="fold")  # type: ignore[arg-type]
    result.add_row(*(Text(visible(cell), style=style) for cell in (" " + row.title, *row.cells)))
    return result


def _row(line: InvoiceLine, found: Invoice, timezone: str) -> _Row:
    head = found.header
    same = (line.since, line.until) == (head.since, head.until)
    when = "" if same else window(line.since, line.until, timezone).removesuffix(f" {timezone}")
    price = "no price" if line.currency is None else f"{money(line.amount)} {line.currency}"
    cells = (
        "" if line.quantity is None else _quantity(line.quantity),
        line.unit or "",
        "" if line.unit_amount is None else number(line.unit_amount),
        price,
    )
    return _Row(_title(line), cells, ", ".join(filter(None, (when, _LONG.sub(r"\1…", line.explanation)))))


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


def money(amount: Decimal | None) -> str:
    """An amount with the decimals of its currency."""
    return "unknown" if amount is None else f"{amount:,f}"
