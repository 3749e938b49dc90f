"""The lines of an invoice and of a projection as tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymeter.calls.result import Row
from pymeter.invoice_page.lines import sentence
from pymeter.invoice_page.words import shortened
from pymeter.models import InvoiceLine, InvoiceProjection
from pymeter.web.pages import wording
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.site import Page
from pymeter.web.pages.tables import Column, Table

Link = Callable[[Row], str]


def lines_table(
    name: str,
    heading: str,
    answer: Answer,
    *,
    events: Link | None = None,
    empty: str,
    page: Page,
    is_priced_only: bool = False,
) -> Table:
    """Lines, tier by tier: what, how the amount comes about, and a link to the events behind it."""
    firsts: dict[Any, int] = {}
    for row in answer.rows:
        firsts.setdefault(_item(row), id(row))

    def item(row: Row) -> str:
        # The other tiers are beneath.
        return page.title(InvoiceLine.model_construct(**row)) if firsts[_item(row)] == id(row) else ""

    columns = [
        Column("item", "Item", of=item, below=lambda row: _about(row, page.timezone)),
        Column(
            "quantity",
            "Quantity",
            "figure",
            of=lambda row: wording.share_of(row["quantity"]),
            below=lambda row: row["unit"] or "",
            wide=True,
        ),
        Column("unit_amount", "Rate", "figure", of=_rate, wide=True),
    ]
    if events is not None:
        columns.append(Column("event_count", "Events", "figure", of=_count, link=events, wide=True))
    columns.append(Column("amount", "Amount", "figure", of=_amount))
    shown = tuple(row for row in answer.rows if row["currency"] is not None or not is_priced_only)
    return Table(name, heading, answer, tuple(columns), empty=empty, rows=shown, is_total=_is_total)


def projection_table(page: Page, name: str, heading: str, answer: Answer) -> Table:
    """What the invoice of the running cycle will say."""

    def amount_of(field: str) -> Callable[[Row], str]:
        return lambda row: "" if row["currency"] is None else wording.amount(row[field], row["currency"])

    return Table(
        name,
        heading,
        answer,
        (
            Column(
                "item",
                "Item",
                of=lambda row: page.title(InvoiceProjection.model_construct(**row)),
                below=lambda row: (
                    "usage of an earlier period" if row["kind"] == "late" else sentence(row["reason"] or "")
                ),
            ),
            Column("so_far", "So far", "figure", of=amount_of("so_far")),
            Column("low", "Low", "figure", of=amount_of("low"), wide=True),
            Column("expected", "Expected", "figure", of=amount_of("expected")),
            Column("high", "High", "figure", of=amount_of("high"), wide=True),
        ),
        empty="Nothing is expected.",
        rows=tuple(row for row in answer.rows if row["currency"] is not None),
        is_total=_is_total,
    )


def _item(row: Row) -> Any:
    return tuple(
        row[name] for name in ("item", "metric", "kind", "since", "until", "plan", "currency", "late_of")
    )


def _about(row: Row, timezone: str) -> str:
    if _is_total(row):
        return ""
    text = sentence(shortened(row["explanation"]))
    if row["kind"] != "late":
        return text
    return f"Of an earlier period, {wording.span(row['since'], row['until'], timezone)}; {text}"


def _rate(row: Row) -> str:
    return wording.share_of(row["unit_amount"])


def _count(row: Row) -> str:
    if row["event_count"] is None or row["metric"] is None:
        return ""
    return "what changed" if row["kind"] == "late" else wording.quantity(row["event_count"])


def _amount(row: Row) -> str:
    return "" if row["currency"] is None else wording.amount(row["amount"], row["currency"])


def _is_total(row: Row) -> bool:
    return bool(row["kind"] == "total")
