"""Late usage: what has come for closed periods, and whether it is billed."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from starlette.requests import Request
from starlette.responses import Response

from pymeter.calls.result import Row
from pymeter.web.pages import lookup
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.site import Page, Site
from pymeter.web.pages.tables import Column, Table, plain
from pymeter.web.pages.wording import amount, quantity, span
from pymeter.web.problems import Problem, bad_value

_ROWS = 200
_SECTION = "/statements"


class LateUsage:
    """The pages."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def get(self, request: Request) -> Response:
        """All lines that wait for a decision, or those of one subject."""
        async with self._site.page(request) as page:
            subject = page.given("subject")
            most = page.most("late", _ROWS)
            after = lookup.whole(page, "after_id")
            answer = await page.try_ask("late_usage", subject=subject, max_rows=most, after_id=after)
            return page.render(
                "late_usage.html.jinja",
                [late_table(page, answer, "Late usage to decide", most)],
                title="Late usage",
                section=_SECTION,
                subject=subject,
            )

    async def one(self, request: Request) -> Response:
        """A line, and the forms to decide it."""
        async with self._site.page(request) as page:
            statement_id, metric = lookup.required(page, "statement"), page.given("metric")
            if metric is None:
                raise bad_value("metric is missing", "Follow a link of the list.", "metric")
            answer = await page.ask("late_usage", statement_id=statement_id, metric=metric)
            return page.render(
                "late_line.html.jinja",
                title=f"Late usage of statement {statement_id}",
                section=_SECTION,
                answer=answer,
                metric=metric,
                statement_id=statement_id,
                may_settle=page.may("settle_late_usage"),
            )

    async def settle(self, request: Request) -> Response:
        """Bill it or waive it: what the person has seen, or nothing."""
        async with self._site.action(request) as (page, fields):
            statement_id = lookup.of_form(fields, "statement")
            answer = await page.ask(
                "settle_late_usage",
                statement_id=statement_id,
                metric=fields.get("metric", ""),
                delta=_delta(fields.get("delta", "")),
                decision=fields.get("decision", ""),
                reason=fields.get("reason", "").strip() or None,
            )
            if answer.row["outcome"] == "conflict":
                raise Problem(
                    409,
                    "the late usage has changed since the page was made",
                    detail=f"Open are {quantity(answer.row['delta'])} now. Nothing was decided.",
                    hint="Look at it again, and decide about what is there.",
                )
            await page.name_metrics()
            told = _told(answer.row, page.named(answer.row["metric"]), fields.get("decision", ""))
        return page.done(told, "/statement", id=statement_id)


def _delta(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise bad_value("delta is not a number", "Follow a link of the list.", "delta") from None


def _told(row: Row, metric: str, decision: str) -> str:
    if row["outcome"] == "duplicate":
        return f"Nothing of {metric} was left to decide."
    if decision == "waive":
        return f"The late usage of {metric} is waived."
    costs = f": {amount(row['amount'], row['currency'])}" if row["currency"] else ""
    return f"The late usage of {metric} is billed with the next statement{costs}."


def late_table(page: Page, answer: Answer, title: str, most: int | None = None) -> Table:
    """Lines of which something is not decided. `most`: of all statements, and how many were asked for."""
    rows = answer.rows
    after = None
    if most is not None and len(rows) >= most:
        # The last statement may have more lines: they are on the next page, together.
        last = rows[-1]["statement_id"]
        whole = tuple(row for row in rows if row["statement_id"] < last)
        rows, after = (whole, whole[-1]["statement_id"]) if whole else (rows, last)

    def line(row: Row) -> str:
        return page.link("/late-line", statement=row["statement_id"], metric=row["metric"])

    def statement(row: Row) -> str:
        return f"{row['subject']}, {span(row['since'], row['until'], page.timezone)}"

    number = Column(
        "statement_id",
        "Statement",
        of=plain("statement_id"),
        link=lambda row: page.link("/statement", id=row["statement_id"]),
        wide=True,
    )

    return Table(
        "late",
        title,
        answer,
        (
            *([] if most is None else [number]),
            page.metric_column(None if most is None else statement),
            Column("stated", "Stated", "number", wide=True),
            Column("current", "Counted now", "number", wide=True),
            Column("delta", "To decide", "number"),
            Column("amount", "Costs", "amount"),
            Column("decide", "Decision", "word", of=lambda _row: "Decide", link=line),
        ),
        empty="Nothing waits for a decision.",
        rows=rows,
        next=None if after is None or most is None else page.next(answer, most, after_id=after),
    )
