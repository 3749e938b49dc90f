"""The page of a customer: its own usage, for whoever has a token of the subject. Made to be framed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from pymeter.calls.result import Row
from pymeter.times import read_zone
from pymeter.web import body
from pymeter.web.database import Session
from pymeter.web.pages import wording
from pymeter.web.pages.allowances import meters
from pymeter.web.pages.asking import Answer, Asker
from pymeter.web.pages.invoices import lines_table
from pymeter.web.pages.sessions import Held, SignedIn
from pymeter.web.pages.site import Page, Site, logger
from pymeter.web.pages.subject_statements import totals_of
from pymeter.web.pages.tables import Column, Table
from pymeter.web.pages.themes import Theme, theme_of
from pymeter.web.problems import Problem, bad_value, of_database

_STATEMENTS = 12
_PLAIN = Theme("auto", "")


class Embedded:
    """The page. Nobody signs in: the database binds the token to its subject."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def get(self, request: Request) -> Response:
        """The page, or an error that says what to do."""
        try:
            return await self._get(request)
        except psycopg.Error as error:
            return self._problem(request, of_database(error))
        except Problem as problem:
            return self._problem(request, problem)
        except Exception as error:
            logger.error("unexpected error of the page /embed/usage", exc_info=error)
            return self._problem(request, Problem(500, "internal error"))

    async def _get(self, request: Request) -> Response:
        body.check_query(request)
        theme = theme_of(request.query_params)
        timezone = _timezone(request)
        database = self._site.database
        async with database.snapshot(request, token_in_query=True) as session:
            if session.subject is None:
                raise Problem(401, "the key is of no subject", hint="Send a token of one subject.")
            page = _Page(self._site, request, session, timezone, theme)
            await page.name_metrics()
            return await self._shown(page, session.subject)

    async def _shown(self, page: _Page, subject: str) -> Response:
        invoice = await page.try_ask("own_invoice", subject=subject)
        found = await meters(page, subject, is_own=True)
        expected = await page.try_ask("own_project_invoice", subject=subject)
        budgets = await page.try_ask("own_budget_status", subject=subject)
        credits = await page.try_ask("own_credits", subject=subject, at=page.now)
        most = page.most("statements", _STATEMENTS)
        closed = await page.ask("own_statements", subject=subject, max_rows=most)
        tables = [
            Table("usage", "Usage", found.summary, ()),
            _lines(page, "invoice", "Invoice so far", invoice),
            _budgets(page, budgets),
            _credits(page, credits),
            _statements(page, closed),
        ]
        chosen = page.given("statement")
        if chosen is not None:
            lines = await page.ask("own_statement", subject=subject, statement_id=chosen)
            tables.append(_lines(page, "lines", f"Statement {chosen}", lines))
        return page.render(
            "embedded.html.jinja",
            tables,
            title="Usage",
            subject=subject,
            meters=found,
            cycle=_cycle(found.summary),
            expected=[row for row in expected.rows if row["kind"] == "total" and row["expected"] is not None],
        )

    def _problem(self, request: Request, problem: Problem) -> Response:
        response = self._site.render(
            request,
            None,
            "embedded_problem.html.jinja",
            {
                "title": "Usage",
                "problem": problem.fields,
                "is_refused": problem.status == 401,
                "theme": _PLAIN,
            },
            frame_ancestors=self._site.frame_ancestors,
        )
        response.status_code = problem.status
        response.headers.update(problem.headers)
        return response


class _Page(Page):
    """A page without a browser that is signed in."""

    def __init__(self, site: Site, request: Request, session: Session, timezone: str, theme: Theme) -> None:
        held = Held("", session.key_id, session.name, session.level)
        asker = Asker(
            site.database,
            session.connection,
            {session.level: held},
            most_bytes=site.limits.answer_bytes,
            taken=session.level,
        )
        super().__init__(site, request, SignedIn({}, 0.0, timezone=timezone), asker)
        self._theme = theme
        self._database = site.database
        self._connection = session.connection

    async def name_metrics(self) -> None:
        """Read by the server itself: the subject's role may not call catalog()."""
        self.set_names(await self._database.names_of_metrics(self._connection))

    def shown(self, template: str, values: Mapping[str, Any]) -> Response:
        nonce = secrets.token_urlsafe(16)
        return self.site.render(
            self.request,
            None,
            template,
            {**values, "timezone": self.timezone, "theme": self._theme, "nonce": nonce},
            frame_ancestors=self.site.frame_ancestors,
            nonce=nonce,
        )


def _timezone(request: Request) -> str:
    name = request.query_params.get("timezone", "").strip() or "UTC"
    try:
        read_zone(name)
    except ValueError as error:
        raise bad_value(str(error), "Write it like Europe/Berlin.", "timezone") from None
    return name


def _cycle(summary: Answer) -> tuple[datetime | None, datetime | None] | None:
    row = summary.rows[0] if summary.rows else None
    return None if row is None else (row["since"], row["until"])


def _lines(page: Page, name: str, title: str, answer: Answer) -> Table:
    return lines_table(name, title, answer, empty="Nothing is due.", page=page, is_priced_only=True)


def _budgets(page: Page, budgets: Answer) -> Table:
    shown = tuple(row for row in budgets.rows if row["amount"] is not None)
    return Table(
        "budgets",
        "Budgets",
        budgets,
        (
            Column(
                "period",
                "Budget of each",
                below=lambda row: wording.span(row["since"], row["until"], page.timezone),
            ),
            Column("state", "State", "state", of=_budget_state),
            Column(
                "spent",
                "Spent",
                "figure",
                of=lambda row: wording.amount(row["spent"], row["currency"]),
                below=lambda row: f"of {wording.amount(row['amount'], row['currency'])}",
            ),
        ),
        rows=shown,
    )


def _budget_state(row: Row) -> str | None:
    if row["blocked"]:
        return "blocked"
    return "exceeded" if row["percent"] is not None and row["percent"] >= 100 else None


def _credits(page: Page, credits: Answer) -> Table:
    return Table(
        "credits",
        "Credit",
        credits,
        (
            Column("reason", "Credit", of=lambda row: row["reason"] or row["source"]),
            Column(
                "remaining",
                "Left",
                "figure",
                of=lambda row: wording.amount(row["remaining"], row["currency"]),
            ),
            Column(
                "expires_at",
                "Expires",
                of=lambda row: "never" if row["expires_at"] is None else _day(row["expires_at"], page),
                wide=True,
            ),
        ),
    )


def _to(page: Page, query: dict[str, Any]) -> str:
    return f"{page.link('/embed/usage', **query)}#lines"


def _day(value: datetime, page: Page) -> str:
    return wording.moment(value, page.timezone)[:16]


def _statements(page: Page, closed: Answer) -> Table:
    query = page.request.query_params
    kept = {name: value for name, value in query.items() if name not in ("csv", "statement")}
    return Table(
        "statements",
        "Statements",
        closed,
        (
            Column(
                "since",
                "Period",
                of=lambda row: wording.span(row["since"], row["until"], page.timezone),
                link=lambda row: _to(page, kept | {"statement": row["statement_id"]}),
            ),
            Column("totals", "Total", "figure", of=lambda row: totals_of(row) or wording.NONE),
        ),
        empty="No period is closed yet.",
    )
