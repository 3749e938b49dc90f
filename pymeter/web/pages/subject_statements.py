"""The statements of a subject, and the usage that came after them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from pymeter.calls.result import Row
from pymeter.visible import visible
from pymeter.web.pages import wording
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.site import Page, Site
from pymeter.web.pages.subject import subject_of
from pymeter.web.pages.tables import Column, Table


class SubjectStatements:
    """The page."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def get(self, request: Request) -> Response:
        """The page."""
        async with self._site.page(request) as page:
            subject = subject_of(page)
            most = page.most("statements")
            found = await page.ask(
                "statements", subject=subject, max_rows=most, after_id=page.given("after_id")
            )
            late = await page.try_ask("late_usage", subject=subject, max_rows=page.most("late"))
            return page.render(
                "subject_statements.html.jinja",
                [_statements(page, found, most), _late(page, late)],
                title=f"Statements of {visible(subject)}",
                subject=subject,
            )


def totals_of(row: Row) -> str:
    """The totals of a statement, of each currency."""
    totals = sorted(row["totals"].items())
    return ", ".join(f"{'unknown' if amount is None else amount} {currency}" for currency, amount in totals)


def _statements(page: Page, found: Answer, most: int) -> Table:
    last = found.rows[-1]["statement_id"] if found.rows else None
    return Table(
        "statements",
        "Statements",
        found,
        (
            Column(
                "statement_id",
                "Statement",
                of=lambda row: f"{row['statement_id']}",
                link=lambda row: page.link("/statement", id=row["statement_id"]),
            ),
            Column("since", "Period", of=lambda row: wording.span(row["since"], row["until"], page.timezone)),
            Column("lines", "Lines", "number", wide=True),
            Column("closed_at", "Closed", "ago", wide=True),
            Column("totals", "Total", "figure", of=lambda row: totals_of(row) or "no prices"),
        ),
        empty="No period of this subject is closed: `SELECT * FROM meter.close_due()` closes them.",
        next=page.next(found, most, after_id=last),
    )


def _late(page: Page, late: Answer) -> Table:
    return Table(
        "late",
        "Usage that came after a statement",
        late,
        (
            Column(
                "statement_id",
                "Statement",
                of=lambda row: f"{row['statement_id']}",
                link=lambda row: page.link("/statement", id=row["statement_id"]),
                below=lambda row: wording.span(row["since"], row["until"], page.timezone),
            ),
            page.metric_column(lambda row: row["unit"]),
            Column("stated", "Stated", "number", wide=True),
            Column("current", "Now", "number", wide=True),
            Column("delta", "To decide", "number"),
            Column(
                "amount",
                "Amount",
                "figure",
                of=lambda row: (
                    "" if row["currency"] is None else wording.amount(row["amount"], row["currency"])
                ),
            ),
        ),
        empty="Nothing has changed since the statements.",
    )
