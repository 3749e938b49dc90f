"""The command focus: charges as files of the FinOps Open Cost and Usage Specification."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated

import typer
from rich.console import RenderableType

from pymeter.cli.errors import CliError
from pymeter.cli.options import AsJson, OnlySubject, Since, Until, Zone, form, read_window
from pymeter.cli.output import Form, bad, note, number, print_json, stderr, stdout, table, write_csv
from pymeter.cli.price_display import money
from pymeter.cli.target import Context
from pymeter.client import Meter
from pymeter.models import FocusCharge

# A window is read in pieces, so that a file of years needs no more memory than one of a month.
_PIECE = timedelta(days=31)
_PAGE = 1000


def focus(
    ctx: Context,
    since: Since = None,
    until: Until = None,
    subject: OnlySubject = None,
    provider: Annotated[
        str, typer.Option(help="Your company: ProviderName, PublisherName, InvoiceIssuerName.")
    ] = "pymeter",
    service_category: Annotated[
        str, typer.Option(help="ServiceCategory of all charges, such as 'AI and Machine Learning'.")
    ] = "Other",
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a FOCUS file.")] = False,
) -> None:
    """Export charges of statements for cost tools, as FOCUS 1.2.

        pymeter focus --since 2026-06-01 --until 2026-07-01 --provider Acme --csv > june.csv

    Of the periods that end after --since, and not after --until. Without --csv or --json: sums.
    """
    wanted = form(as_json, as_csv)
    start, end = read_window(since, until, timezone)
    if start is None or end is None:
        raise CliError("an export needs both ends", "Pass --since and --until.")
    with ctx.obj.snapshot() as meter:
        rows = _charges(meter, start, end, subject, provider, service_category)
        if wanted is Form.csv:
            write_csv(sys.stdout, FocusCharge, rows, raw=True)
        elif wanted is Form.json:
            print_json(list(rows))
        else:
            stdout().print(_sums(rows))
        for text in _without_charges(meter, start, end, subject):
            stderr().print(bad(text))


def _charges(
    meter: Meter, since: datetime, until: datetime, subject: str | None, provider: str, service_category: str
) -> Iterator[FocusCharge]:
    """Piece by piece: windows that tile have each charge once."""
    while True:
        # A window that ends before it begins is refused by the database.
        edge = until if until - since <= _PIECE else since + _PIECE
        yield from meter.focus_charges(
            since, edge, subject=subject, provider=provider, service_category=service_category
        )
        if edge == until:
            return
        since = edge


def _without_charges(meter: Meter, since: datetime, until: datetime, subject: str | None) -> Iterator[str]:
    """Statements that are missing in the export, because an amount is unknown."""
    after = None
    while True:
        page = meter.statements(subject, since=since, until=until, max_rows=_PAGE, after_id=after)
        for header in page:
            unknown = [code for code, amount in header.totals.items() if amount is None]
            if unknown and since < header.until <= until:
                currencies = " and ".join(unknown)
                yield f"statement {header.statement_id} is left out: its total in {currencies} is unknown"
        if len(page) < _PAGE:
            return
        after = page[-1].statement_id


def _sums(rows: Iterator[FocusCharge]) -> RenderableType:
    charges: Counter[tuple[str, str]] = Counter()
    listed: dict[tuple[str, str], Decimal] = {}
    billed: dict[tuple[str, str], Decimal] = {}
    for row in rows:
        key = (row.BillingCurrency, str(row.ChargeCategory))
        charges[key] += 1
        listed[key] = listed.get(key, Decimal(0)) + row.ListCost
        billed[key] = billed.get(key, Decimal(0)) + row.BilledCost
    if not charges:
        return note("no statement of a period that ends in this window has charges")
    numbers = ("charges", "list cost", "billed cost")
    result = table("category", *numbers, numbers=numbers)
    for currency in sorted({currency for currency, _ in charges}):
        own = sorted(key for key in charges if key[0] == currency)
        for key in own:
            result.add_row(key[1], number(charges[key]), *_amounts(listed[key], billed[key], currency))
        total = sum((billed[key] for key in own), Decimal(0))
        result.add_row("all", "", *_amounts(None, total, currency), style="bold", end_section=True)
    return result


def _amounts(listed: Decimal | None, billed: Decimal, currency: str) -> tuple[str, str]:
    return ("" if listed is None else number(listed)), f"{money(billed)} {currency}"
