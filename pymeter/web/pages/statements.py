"""Statements: what closed periods held, and what has come to light since."""

from __future__ import annotations

import base64
import hashlib
import re
from decimal import Decimal

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pymeter.calls.result import Row, every
from pymeter.invoice_page import Letter, statement_page
from pymeter.invoice_page.lines import sentence
from pymeter.invoice_page.words import shortened
from pymeter.models import StatementHeader, StatementLine
from pymeter.web.pages import lookup
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.decided import decided_table
from pymeter.web.pages.late import late_table
from pymeter.web.pages.lookup import short
from pymeter.web.pages.site import UNCACHED, Page, Site
from pymeter.web.pages.tables import Column, Table, plain
from pymeter.web.pages.wording import amount, share_of, span

_ROWS = 50
_LATE_ROWS = 1000
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_header = every(StatementHeader)
_lines = every(StatementLine)


class Statements:
    """The pages."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def get(self, request: Request) -> Response:
        """The newest, of all subjects or of one."""
        async with self._site.page(request) as page:
            subject = page.given("subject")
            most = page.most("statements", _ROWS)
            after = lookup.whole(page, "after_id")
            answer = await page.ask("statements", subject=subject, max_rows=most, after_id=after)
            numbers = await page.ask("operational_metrics")
            late = {row["name"]: row["value"] for row in numbers.rows}.get("pymeter_late_usage_open")
            return page.render(
                "statements.html.jinja",
                [_statements(page, answer, most)],
                title="Statements",
                subject=subject,
                late=late,
            )

    async def one(self, request: Request) -> Response:
        """One of them: its lines, its seal, and what has changed since."""
        async with self._site.page(request) as page:
            statement_id = lookup.required(page, "id")
            lines, header = await _asked(page, statement_id)
            late = await page.try_ask("late_usage", statement_id=statement_id, max_rows=_LATE_ROWS)
            decided = await decided_table(page, header.row)
            tables = [_items(page, lines), late_table(page, late, "Since it was closed"), decided]
            tables.append(await _changes(page, statement_id))
            if page.given("verify") is not None:
                found = await page.try_ask("verify_statements", subject=header.row["subject"])
                tables.append(_problems(page, found))
            return page.render(
                "statement.html.jinja",
                tables,
                title=f"Statement {statement_id}",
                header=header,
                totals=_totals(header.row),
                may_verify=page.may("verify_statements"),
            )

    async def document(self, request: Request) -> Response:
        """The text whose SHA-256 is its hash, as a file."""
        async with self._site.page(request) as page:
            statement_id = lookup.required(page, "id")
            (text,) = (await page.ask("statement_document", statement_id=statement_id)).row.values()
        disposition = f'attachment; filename="statement-{statement_id}.json"'
        headers = {**UNCACHED, "Content-Disposition": disposition}
        return Response(text.encode(), media_type="application/json", headers=headers)

    async def invoice(self, request: Request) -> Response:
        """The page that a customer gets."""
        async with self._site.page(request) as page:
            lines, header = await _asked(page, lookup.required(page, "id"))
            (found,) = _header(header.rows)
            text = statement_page(found, _lines(lines.rows), Letter(), page.timezone, names=page.names)
        style = hashlib.sha256("".join(_STYLE.findall(text)).encode()).digest()
        policy = (
            f"default-src 'none'; style-src 'sha256-{base64.b64encode(style).decode()}'; base-uri 'none';"
            " form-action 'none'; frame-ancestors 'none'"
        )
        return HTMLResponse(text, headers={**UNCACHED, "Content-Security-Policy": policy})


async def _asked(page: Page, statement_id: int) -> tuple[Answer, Answer]:
    """The lines and the header. Raises Problem 404 if there is no such statement."""
    lines = await page.ask("statement", statement_id=statement_id)
    return lines, await page.ask("statements", max_rows=1, after_id=statement_id + 1)


def _totals(header: Row) -> list[tuple[str, Decimal | None]]:
    return [
        (currency, None if total is None else Decimal(total))
        for currency, total in sorted((header["totals"] or {}).items())
    ]


def _statements(page: Page, answer: Answer, most: int) -> Table:
    def totals(row: Row) -> str:
        return ", ".join(amount(total, currency) for currency, total in _totals(row))

    return Table(
        "statements",
        "Statements",
        answer,
        (
            Column(
                "statement_id",
                "Statement",
                of=plain("statement_id"),
                link=lambda row: page.link("/statement", id=row["statement_id"]),
            ),
            Column(
                "subject",
                "Subject",
                link=lambda row: page.link("/subject", subject=row["subject"]),
                below=lambda row: span(row["since"], row["until"], page.timezone),
            ),
            Column("totals", "Total", "figure", of=totals),
            Column("lines", "Lines", "number", wide=True),
            Column("closed_at", "Closed", "ago", wide=True),
        ),
        empty="No period is closed: `pymeter close` closes all that are due.",
        next=page.next(answer, most, after_id=answer.rows[-1]["statement_id"] if answer.rows else 0),
    )


def _items(page: Page, answer: Answer) -> Table:
    def about(row: Row) -> str:
        of = f"of statement {row['late_of']}" if row["late_of"] is not None else ""
        return ": ".join(filter(None, (of, sentence(shortened(row["explanation"])))))

    def name(row: Row) -> str:
        return page.title(StatementLine.model_construct(**row))

    return Table(
        "lines",
        "Lines",
        answer,
        (
            Column("kind", "Line", of=_kind, wide=True),
            Column(
                "name",
                "What",
                of=name,
                below=about,
            ),
            Column(
                "quantity",
                "Quantity",
                "figure",
                of=lambda row: share_of(row["quantity"]),
                below=lambda row: row["unit"] or "",
            ),
            Column(
                "unit_amount",
                "Rate",
                "figure",
                of=lambda row: share_of(row["unit_amount"]),
                wide=True,
            ),
            Column("amount", "Amount", "amount"),
        ),
        empty="It has no lines.",
    )


def _kind(row: Row) -> str:
    return str(row["kind"]).replace("_", "-")


async def _changes(page: Page, statement_id: int) -> Table:
    """The rows of the log behind late usage."""
    most = page.most("changes", _ROWS)
    answer = await page.try_ask(
        "what_changed",
        statement_id=statement_id,
        metric=page.given("metric"),
        max_rows=most,
        after_id=lookup.whole(page, "after_event"),
    )
    return Table(
        "changes",
        "What was recorded for its period after it was closed",
        answer,
        (
            Column("event_id", "Event", of=plain("event_id"), wide=True),
            page.metric_column(lambda row: short(row["idempotency_key"])),
            Column("kind", "Kind", wide=True),
            Column("quantity", "Quantity", "number", of=lambda row: row["quantity"]),
            Column("at", "Time of the usage", "time", wide=True),
            Column("recorded_at", "Recorded", "ago"),
            Column(
                "correction_id",
                "Correction",
                of=plain("correction_id"),
                wide=True,
                link=lambda row: _correction(page, row),
            ),
        ),
        empty="Nothing.",
        next=page.next(answer, most, after_event=answer.rows[-1]["event_id"] if answer.rows else 0),
    )


def _correction(page: Page, row: Row) -> str:
    return "" if row["correction_id"] is None else page.link("/correction", id=row["correction_id"])


def _problems(page: Page, answer: Answer) -> Table:
    return Table(
        "problems",
        "Verification",
        answer,
        (
            Column("statement_id", "Statement", of=plain("statement_id")),
            Column(
                "what", "What", below=lambda row: "" if row["metric"] is None else page.named(row["metric"])
            ),
            Column("stated", "Stated"),
            Column("found", "Found"),
        ),
        empty="All statements of this subject fit: their hashes, their chain, and the log as of each.",
    )
