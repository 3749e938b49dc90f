"""What a subject owes: the invoice of a billing cycle, what it will be, and what pays it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pymeter.calls.result import Row
from pymeter.invoice_page import Draft, Letter, draft_page
from pymeter.models import Invoice
from pymeter.visible import visible
from pymeter.web.pages import wording
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.invoices import lines_table, projection_table
from pymeter.web.pages.site import UNCACHED, Page, Site
from pymeter.web.pages.subject import subject_of
from pymeter.web.pages.tables import Column, Table
from pymeter.web.pages.windows import time_of

_DRAFT = "Draft: usage may still be recorded and corrected."


class SubjectInvoice:
    """The page, and the invoice alone."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def get(self, request: Request) -> Response:
        """The page."""
        async with self._site.page(request) as page:
            subject = subject_of(page)
            at = time_of(page, "at") or page.now
            cycle = await page.ask("billing_cycle", subject=subject, at=at)
            since, until = cycle.row["billing_cycle"].lower, cycle.row["billing_cycle"].upper
            is_running = since <= page.now < until
            lines = await page.try_ask("invoice", subject=subject, since=since, until=until)
            budgets = await page.try_ask("budget_status", subject=subject) if is_running else None
            projection = await page.try_ask("project_invoice", subject=subject) if is_running else None
            tables = [
                lines_table(
                    "invoice",
                    "Invoice",
                    lines,
                    events=_events(page, subject),
                    empty="Nothing is due: no usage, and no plan with fees.",
                    page=page,
                ),
                _credits(await page.try_ask("credits", subject=subject, at=page.now)),
            ]
            if projection is not None:
                tables.append(
                    projection_table(page, "projection", "Expected at the end of the cycle", projection)
                )
            if budgets is not None:
                tables.append(_budgets(page, budgets))
            return page.render(
                "subject_invoice.html.jinja",
                tables,
                title=f"Invoice of {visible(subject)}",
                subject=subject,
                cycle=cycle,
                since=since,
                until=until,
                is_running=is_running,
                earlier=_moved(page, subject, since - timedelta(seconds=1)),
                later=None if is_running or since > page.now else _moved(page, subject, until),
                printed=page.link("/subject/invoice/print", subject=subject, at=since.isoformat()),
            )

    async def printed(self, request: Request) -> Response:
        """The invoice alone, to print."""
        async with self._site.page(request) as page:
            subject = subject_of(page)
            at = time_of(page, "at") or page.now
            cycle = (await page.ask("billing_cycle", subject=subject, at=at)).row["billing_cycle"]
            answer = await page.ask("invoice_json", subject=subject, since=cycle.lower, until=cycle.upper)
            found = Invoice.model_validate(answer.row["invoice_json"])
            text = draft_page(found, Draft(_DRAFT, page.now), Letter(), page.timezone, names=page.names)
            # The page has its own style, and nothing else.
            policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
            return HTMLResponse(
                text,
                headers={**UNCACHED, "Content-Security-Policy": policy},
            )


def _moved(page: Page, subject: str, at: datetime) -> str:
    return page.link("/subject/invoice", subject=subject, at=at.isoformat())


def _events(page: Page, subject: str) -> Callable[[Row], str]:
    def link(row: Row) -> str:
        if row["event_count"] is None or row["metric"] is None:
            return ""
        if row["kind"] == "late":  # what changed since the statement, a void say, and not all of its period
            return page.link("/statement", id=row["late_of"], metric=row["metric"]) + "#changes"
        window = {"since": row["since"].isoformat(), "until": row["until"].isoformat()}
        return page.link("/events", subject=subject, metric=row["metric"], **window)

    return link


def _money(field: str) -> Callable[[Row], Any]:
    return lambda row: wording.amount(row[field], row["currency"])


def _budgets(page: Page, budgets: Answer) -> Table:
    def used(row: Row) -> str | None:
        return None if row["percent"] is None else f"{min(row['percent'], 100):f}"

    def tone(row: Row) -> str:
        return wording.tone(_budget_state(row))

    return Table(
        "budgets",
        "Budgets",
        budgets,
        (
            Column(
                "period",
                "Budget of each",
                below=lambda row: row["reason"] or wording.span(row["since"], row["until"], page.timezone),
            ),
            Column("share", "Of it", "bar", of=used, tone=tone, wide=True),
            Column("spent", "Spent", "figure", of=_money("spent"), below=_budget),
            Column("state", "State", "state", of=_budget_state),
        ),
        empty="No budget holds for this subject.",
    )


def _budget(row: Row) -> str:
    return "unlimited" if row["amount"] is None else f"of {_money('amount')(row)}"


def _budget_state(row: Row) -> str:
    if row["blocked"]:
        return "blocked"
    reached = max(row["reached"], default=0)
    return "exceeded" if reached >= 100 else "approaching" if reached else "within"


def _credits(found: Answer) -> Table:
    return Table(
        "credits",
        "Credits",
        found,
        (
            Column("credit_id", "Credit", of=lambda row: f"{row['credit_id']}", below=_reason),
            Column("remaining", "Left", "figure", of=_money("remaining")),
            Column("amount", "Of", "figure", of=_money("amount"), wide=True),
            Column("expires_at", "Expires", "ago", wide=True),
        ),
        empty="No credit pays for this subject.",
    )


def _reason(row: Row) -> str:
    return str(row["reason"] or row["source"])
