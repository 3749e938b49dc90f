"""The price lists, what a quantity costs, and what if everybody had another plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pymeter import price_words
from pymeter.calls.result import Row
from pymeter.invoice_page.words import added, shortened
from pymeter.models import PlanPrice
from pymeter.times import read_zone
from pymeter.web.pages import wording
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.site import Page, Site
from pymeter.web.pages.tables import Column, Table
from pymeter.web.problems import Problem, bad_value


class Prices:
    """The page."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def get(self, request: Request) -> Response:
        """The page. What cannot be read in a form is said in the form, where it stays."""
        async with self._site.page(request) as page:
            plans = await page.ask("plans")
            names = [row["plan"] for row in plans.rows]
            plan = page.given("plan") or (names[0] if names else None)
            tables = [_plans(page, plans)]
            rated = _Rated()
            if plan is not None:
                lines = await page.try_ask("prices", plan=plan, upcoming=True)
                minimums = await page.try_ask("plan_minimums", plan=plan, upcoming=True)
                tables += [_lines(page, plan, lines), _minimums(plan, minimums)]
                rated = await _rated(page, lines)
            compared = await _compared(page, names)
            response = page.render(
                "prices.html.jinja",
                [*tables, *(one for one in (rated.table, compared["table"]) if one is not None)],
                title="Prices",
                plan=plan,
                names=names,
                compared=compared,
                rated=rated,
            )
            if rated.problem or compared["problem"]:
                response.status_code = 400
            return response


@dataclass(frozen=True)
class _Rated:
    """The form of a quantity, and what it costs."""

    items: tuple[str, ...] = ()
    """Those that cost something for a quantity; a fee does not."""
    item: str | None = None
    problem: Problem | None = None
    table: Table | None = None
    billed: Answer | None = None
    """The amount of an invoice: a row of simulate()."""


def _plans(page: Page, plans: Answer) -> Table:
    return Table(
        "plans",
        "Plans",
        plans,
        (
            Column(
                "plan",
                "Plan",
                link=lambda row: page.link("/prices", plan=row["plan"]),
                below=lambda row: row["name"] or "",
            ),
            Column("currency", "Currency"),
            Column("defined_at", "Defined", "ago", wide=True),
        ),
        empty="There is no plan yet: `pymeter plan define NAME`, then `pymeter price define`.",
    )


def _lines(page: Page, plan: str, lines: Answer) -> Table:
    return Table(
        "prices",
        f"Prices of {plan}",
        lines,
        (
            Column("item", "Item", below=lambda row: row["name"] or ""),
            Column(
                "metric",
                "Of",
                of=lambda row: "a fee" if row["metric"] is None else page.named(row["metric"]),
                wide=True,
            ),
            Column("price", "Price", "lines", of=_in_words),
            Column("since", "Since", of=lambda row: row["since"] or "always", wide=True),
            Column("price_version", "Version", "number", wide=True),
        ),
        empty="The plan has no price yet: `pymeter price define PLAN ITEM PRICE --metric METRIC`.",
    )


def _in_words(row: Row) -> list[str]:
    return ["ends"] if row["price"] is None else price_words.line(PlanPrice.model_validate(row))


def _minimums(plan: str, minimums: Answer) -> Table:
    return Table(
        "minimums",
        f"What {plan} costs at least",
        minimums,
        (
            Column("amount", "A cycle", "amount"),
            Column("currency", "Currency"),
            Column("since", "Since", "time"),
        ),
        empty="No minimum.",
    )


async def _rated(page: Page, lines: Answer) -> _Rated:
    """What a quantity costs under one line."""
    items = {row["item"]: row for row in reversed(lines.rows) if row["price"] and row["metric"]}
    found = _Rated(tuple(sorted(items)), page.given("item"))
    line, given = items.get(found.item or ""), page.given("quantity")
    if line is None or given is None:
        return found
    try:
        quantity = Decimal(given.replace(",", ""))
    except InvalidOperation:
        problem = bad_value("the quantity is not a number", "Write 1500 or 0.5.", "quantity")
        if page.csv is not None:
            raise problem from None
        return replace(found, problem=problem)
    answer = await page.try_ask("rate", price=line["price"], quantity=quantity, event_count=1)
    total = added([row["amount"] for row in answer.rows])
    billed = await _billed(page, line["currency"], total) if answer.rows and total is not None else None
    return replace(found, table=_tiers(answer, line["currency"], quantity, total), billed=billed)


async def _billed(page: Page, currency: str, total: Decimal) -> Answer | None:
    """An exact amount as an invoice has it."""
    scenario = {
        "currency": currency,
        "prices": [{"item": "sum", "price": {"model": "flat", "flat_amount": f"{total:f}"}}],
    }
    answer = await page.try_ask("simulate", scenario=scenario)
    return None if answer.problem else answer


def _tiers(answer: Answer, currency: str, quantity: Decimal, total: Decimal | None) -> Table:
    sum_of_all = {"tier": None, "unit_amount": None, "flat_amount": None, "explanation": "", "is_total": True}
    rows: tuple[Row, ...] = tuple({**row, "is_total": False} for row in answer.rows)
    if rows:
        rows += ({**sum_of_all, "quantity": quantity, "amount": total},)

    def exact(name: str) -> Callable[[Row], str]:
        return lambda row: "" if row[name] is None else wording.quantity(row[name])

    return Table(
        "rated",
        f"What {wording.quantity(quantity) if quantity.is_finite() else quantity} cost",
        answer,
        (
            Column(
                "tier", "Tier", "figure", of=lambda row: "Total" if row["is_total"] else exact("tier")(row)
            ),
            Column("quantity", "Quantity", "figure", of=exact("quantity")),
            Column("unit_amount", "Unit amount", "figure", of=exact("unit_amount")),
            Column("flat_amount", "Flat amount", "figure", of=exact("flat_amount"), wide=True),
            Column(
                "amount",
                f"Amount ({currency})",
                "figure",
                of=lambda row: "unknown" if row["amount"] is None else exact("amount")(row),
            ),
            Column("explanation", "Explanation", of=lambda row: shortened(row["explanation"]), wide=True),
        ),
        note="Exact: an invoice rounds the sum of an item, not its tiers.",
        rows=rows,
        is_total=lambda row: row["is_total"],
    )


async def _compared(page: Page, names: list[str]) -> dict[str, Any]:
    """The form of the comparison, with last month as its window, and the result once two plans are chosen."""
    since, until = page.given("since"), page.given("until")
    default_since, default_until = _last_month(page.timezone)
    found: dict[str, Any] = {
        "a": page.given("a") or (names[0] if names else ""),
        "b": page.given("b") or (names[-1] if names else ""),
        "since": since or f"{default_since:%Y-%m-%d}",
        "until": until or f"{default_until:%Y-%m-%d}",
        "table": None,
        "total": None,
        "problem": None,
    }
    if page.given("a") and page.given("b"):
        try:
            window = {name: _start_of(found[name], page.timezone) for name in ("since", "until")}
        except Problem as problem:
            if page.csv is not None:
                raise
            return found | {"problem": problem}
        answer = await page.try_ask("compare_plans", plan_a=found["a"], plan_b=found["b"], **window)
        found["table"] = _comparison(page, answer, found["a"], found["b"])
        found["total"] = answer.rows[-1] if answer.rows else None
    return found


def _comparison(page: Page, answer: Answer, a: str, b: str) -> Table:
    total = answer.rows[-1] if answer.rows else {}
    currency_a, currency_b = total.get("currency_a") or "-", total.get("currency_b") or "-"
    return Table(
        "comparison",
        f"{a} and {b}",
        answer,
        (
            Column("subject", "Subject", link=lambda row: page.link("/subject", subject=row["subject"])),
            Column("amount_a", f"{a} ({currency_a})", "amount"),
            Column("amount_b", f"{b} ({currency_b})", "amount"),
            Column("difference", "Difference", "amount"),
        ),
        rows=answer.rows[:-1][:200],
        note="The first 200 subjects; the CSV has all." if len(answer.rows) > 201 else "",
        empty="Nobody used what one of the plans has a price for.",
    )


def _last_month(timezone: str) -> tuple[datetime, datetime]:
    today = datetime.now(UTC).astimezone(read_zone(timezone))
    until = today.replace(day=1)
    return (until - timedelta(days=1)).replace(day=1), until


def _start_of(day: str, timezone: str) -> datetime:
    try:
        date = datetime.fromisoformat(day).date()
    except ValueError:
        raise Problem(
            400, "not a date", sqlstate="22007", detail=day[:40], hint="Write 2026-06-01."
        ) from None
    return datetime.combine(date, time(), read_zone(timezone))
