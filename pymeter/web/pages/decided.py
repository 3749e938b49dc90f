"""What became of the late usage of a statement: what was billed and where, and what was waived."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from pymeter.calls.result import Row
from pymeter.invoice_page.words import added
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.site import Page
from pymeter.web.pages.tables import Column, Table
from pymeter.web.pages.wording import quantity, span

_LATER = 100


async def decided_table(page: Page, header: Row) -> Table:
    """A row for each decision and place."""
    answer = await page.try_ask("late_usage", statement_id=header["statement_id"], decided=True)
    lines = [row for row in answer.rows if row["billed"] or row["waived"]]
    left = {row["metric"]: row["billed"] for row in lines if row["billed"]}
    rows: list[Row] = []
    sources: list[Answer] = []
    if left:
        rows = await _billed(page, header, left, sources)
    rows += [_row(metric, billed, "the next statement") for metric, billed in left.items() if billed]
    rows += [_row(row["metric"], row["waived"], "never billed", "waived") for row in lines if row["waived"]]
    return _table(page, answer, rows, sources)


async def _billed(page: Page, header: Row, left: dict[str, Decimal], sources: list[Answer]) -> list[Row]:
    """Where it is billed: on later statements, or the invoice of the running cycle. `left` is what is not."""
    subject, found = header["subject"], []
    later = await page.try_ask("statements", subject=subject, since=header["until"], max_rows=_LATER)
    for one in reversed(later.rows):
        lines = await page.try_ask("statement", statement_id=one["statement_id"])
        link = page.link("/statement", id=one["statement_id"])
        made = _late(lines.rows, header, left, f"statement {one['statement_id']}", link)
        sources += [lines] if made else []
        found += made
        if not any(left.values()):
            return found
    running = await page.try_ask("invoice", subject=subject)
    if running.rows:
        ends = span(running.rows[-1]["since"], running.rows[-1]["until"], page.timezone)
        link = page.link("/subject/invoice", subject=subject)
        found += _late(running.rows, header, left, f"the invoice of {ends}, not closed yet", link)
        sources.append(running)
    return found


def _late(lines: Iterable[Row], header: Row, left: dict[str, Decimal], where: str, link: str) -> list[Row]:
    """The late lines of the statement among these, one for each metric; all tiers together."""
    by_metric: dict[tuple[str, str | None], list[Row]] = defaultdict(list)
    for line in lines:
        if line["kind"] == "late" and line["late_of"] == header["statement_id"] and line["metric"] in left:
            by_metric[line["metric"], line["currency"]].append(line)
    made = []
    for (metric, currency), own in by_metric.items():
        counted = sum((line["quantity"] for line in own if line["quantity"] is not None), Decimal(0))
        left[metric] -= counted
        amount = added([line["amount"] for line in own]) if currency else None
        made.append(_row(metric, counted, where, "billed", amount, currency, link))
    return made


def _row(
    metric: str,
    counted: Decimal,
    where: str,
    decision: str = "billed",
    amount: Decimal | None = None,
    currency: str | None = None,
    link: str = "",
) -> Row:
    row: dict[str, Any] = {"metric": metric, "quantity": counted, "where": where, "decision": decision}
    return row | {"amount": amount, "currency": currency, "link": link}


def _table(page: Page, answer: Answer, rows: list[Row], sources: list[Answer]) -> Table:
    return Table(
        "decided",
        "What was decided since",
        answer,
        (
            page.metric_column(),
            Column("decision", "Decision", "state"),
            Column("quantity", "Quantity", "figure", of=lambda row: quantity(row["quantity"])),
            Column("amount", "Amount", "amount"),
            Column("where", "On", link=lambda row: row["link"]),
        ),
        rows=tuple(rows),
        more=tuple(sources),
    )
