"""The command invoice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from pymeter.cli.closing_checks import note_unknown
from pymeter.cli.invoice_display import InvoiceSheet
from pymeter.cli.options import (
    AsCsv,
    AsJson,
    Since,
    Subject,
    Until,
    Zone,
    form,
    read_moment,
    read_window,
    read_zone,
)
from pymeter.cli.output import Form, show
from pymeter.cli.page_options import AsHtml, Buyer, Note, Output, Seller, read_letter, write_page
from pymeter.cli.target import Context
from pymeter.client import Meter
from pymeter.invoice_page import Draft, Letter, draft_page, statement_page
from pymeter.models import Invoice, InvoiceHeader, InvoiceLine, StatementHeader

_STATEMENTS_MAX = 2
"""Statements of a subject do not overlap: if one has the whole window, it is the only one."""


def invoice(
    ctx: Context,
    subject: Subject,
    period: Annotated[
        str | None,
        typer.Option("--period", "-p", help="cycle (the default), month, year ...: the one of --at."),
    ] = None,
    at: Annotated[str | None, typer.Option(help="A time in the period; default: now.")] = None,
    since: Since = None,
    until: Until = None,
    as_of: Annotated[str | None, typer.Option(help="By what was known at this watermark.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    as_html: AsHtml = False,
    output: Output = None,
    seller: Seller = None,
    buyer: Buyer = None,
    remark: Note = None,
) -> None:
    """Show what a subject owes, line by line.

        pymeter invoice acct_1
        pymeter invoice acct_1 --since 2026-06-01 --until 2026-07-01
        pymeter invoice acct_1 --html -o june.html --from 'Example Ltd' --from '1 High Street'

    Of the billing cycle unless said otherwise. Nothing is stored: it is a preview until the period is closed.
    --csv has the lines without the total.
    """
    wanted = form(as_json, as_csv, as_html)
    letter = read_letter(as_html, output, seller, buyer, remark)
    start, end = read_window(since, until, timezone)
    then = read_moment(at, timezone, "--at")
    known = read_moment(as_of, timezone, "--as-of")
    read_zone(timezone)
    asked_at = datetime.now(UTC)
    with ctx.obj.meter() as meter:
        found = meter.invoice_json(subject, since=start, until=end, period=period, now=then, as_of=known)
        if not found.totals:
            note_unknown(meter, subject)
        if wanted is Form.html:
            page = _page(meter, found, asked_at, letter, timezone)
            write_page(page, output)
            return
        state = _state(meter, found.header) if wanted is Form.table else None
    if wanted is Form.csv:
        show(found.lines, InvoiceLine, lambda _: Text(), wanted)
    else:
        show(found, None, lambda one: InvoiceSheet(one, timezone, state=state), wanted)


def _state(meter: Meter, head: InvoiceHeader) -> str | None:
    """Whether the window of an invoice is closed; None where a statement has only a part of it, or more."""
    if head.as_of is not None:
        return None
    exact, is_touched = _closed(meter, head)
    if exact is not None:
        return f"statement {exact.statement_id}"
    return None if is_touched else "preview: not closed"


def _closed(meter: Meter, head: InvoiceHeader) -> tuple[StatementHeader | None, bool]:
    """The statement of just this window, and whether any statement has a part of it."""
    found = meter.statements(head.subject, since=head.since, until=head.until, max_rows=_STATEMENTS_MAX)
    window = (head.since, head.until)
    return next((one for one in found if (one.since, one.until) == window), None), bool(found)


def _page(
    meter: Meter, found: Invoice, asked_at: datetime, letter: Letter, timezone: str
) -> Callable[[], str]:
    """The page of the statement if there is one: it may have been made after the invoice was computed."""
    head = found.header
    names = {metric.key: metric.name for metric in meter.catalog()}
    exact, is_touched = _closed(meter, head)
    if exact is not None and (head.as_of is None or exact.watermark < head.as_of):
        lines = meter.statement(exact.statement_id)
        return lambda: statement_page(exact, lines, letter, timezone, names=names)
    as_of = head.as_of or asked_at
    if head.until > as_of:
        reason = "The period has not ended."
    elif exact is not None:
        reason = "The period was not closed yet."
    elif is_touched:
        reason = "The period is not one that was closed."
    else:
        reason = "The period is not closed yet."
    return lambda: draft_page(found, Draft(reason, as_of), letter, timezone, names=names)
