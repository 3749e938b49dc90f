"""The command compare: what everybody would pay under another plan."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from pymeter.cli.errors import CliError
from pymeter.cli.options import AsCsv, AsJson, Since, Until, Zone, form, read_window
from pymeter.cli.output import note, show, table
from pymeter.cli.price_display import money
from pymeter.cli.target import Context
from pymeter.models import PlanComparison
from pymeter.visible import visible


def compare(
    ctx: Context,
    plan_a: Annotated[str, typer.Argument(help="A plan.")],
    plan_b: Annotated[str, typer.Argument(help="The other one.")],
    since: Since = None,
    until: Until = None,
    subject: Annotated[
        list[str] | None, typer.Option("--subject", "-s", help="Only this subject; may be repeated.")
    ] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show who would pay more under another plan, and who less.

        pymeter compare free pro --since 2026-06-01 --until 2026-07-01

    As if each subject had had the one or the other all the time. Nothing is stored.
    """
    wanted = form(as_json, as_csv)
    start, end = read_window(since, until, timezone)
    if start is None or end is None:
        raise CliError("a comparison needs both ends", "Pass --since and --until.")
    with ctx.obj.meter() as meter:
        rows = meter.compare_plans(plan_a, plan_b, start, end, subjects=subject)
    show(rows, PlanComparison, lambda found: _table(found, plan_a, plan_b), wanted)


def _table(found: list[PlanComparison], plan_a: str, plan_b: str) -> RenderableType:
    *rows, total = found
    if not rows:
        return note("nobody used what one of the plans has a price for")
    numbers = (plan_a, plan_b, "difference")
    result = table("subject", *numbers, numbers=numbers)
    for row in rows:
        result.add_row(visible(row.subject or ""), *_amounts(row))
    result.add_section()
    result.add_row("all", *_amounts(total), style="bold")
    counts = (
        f"{total.pays_more} would pay more under {plan_b}, {total.pays_less} less, {total.pays_same} the same"
    )
    return Group(result, note(counts))


def _amounts(row: PlanComparison) -> tuple[str, str, str]:
    return (
        _amount(row.amount_a, row.currency_a),
        _amount(row.amount_b, row.currency_b),
        _amount(row.difference, row.currency_b),
    )


def _amount(amount: Decimal | None, currency: str | None) -> str:
    return "unknown" if amount is None else f"{money(amount)} {currency or ''}".strip()
