"""``pymeter report reconcile``: deliveries against the biller's totals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer
from rich.console import Group, RenderableType

from pymeter.cli.errors import SAYS_NO, CliError
from pymeter.cli.options import AsJson, Zone, form, read_window
from pymeter.cli.output import bad, good, moment, number, show, table
from pymeter.cli.reporting.options import AdapterOption, BillerName, KeyFile, RateOption, Url
from pymeter.cli.reporting.reporters import BillerChoice, reporter_for, stopped_by_signals
from pymeter.cli.target import Context
from pymeter.models import ReportStep

if TYPE_CHECKING:
    from pymeter.report.asking import Comparison


def reconcile(
    ctx: Context,
    step: Annotated[str, typer.Option(help="Compare by hour or day (UTC).")] = "day",
    reads: Annotated[
        int, typer.Option(min=1, metavar="N", help="At most N totals, the most pressing first.")
    ] = 100,
    since: Annotated[str | None, typer.Option(help="Only from here on: 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Only before this.")] = None,
    timezone: Zone = "UTC",
    biller: BillerName = "stripe",
    adapter: AdapterOption = None,
    url: Url = None,
    key_file: KeyFile = None,
    rate: RateOption = None,
    as_json: AsJson = False,
) -> None:
    """Compare what was delivered with the biller's totals.

    Exit status 1: they differ; 2: some totals could not be read.
    """
    if step not in get_args(ReportStep):
        raise typer.BadParameter("--step: hour or day")
    from pymeter.cli.reporting.display import Troubles

    start, end = read_window(since, until, timezone)
    troubles = Troubles()
    with (
        reporter_for(
            ctx.obj, BillerChoice(biller, adapter, url, key_file), [troubles], rate=rate
        ) as reporter,
        stopped_by_signals(reporter),
    ):
        found = reporter.reconcile(
            cast(ReportStep, step),
            reads=reads,
            since=start,
            until=end,
        )
    answer = {"compared": len(found.compared), "unanswered": found.unanswered, "different": found.different}
    show(answer, None, lambda _: _comparison(found, step), form(as_json))
    if found.different:
        raise typer.Exit(SAYS_NO)
    if found.unanswered:
        raise CliError("the biller did not answer for all totals", "; ".join(troubles.messages[:3]) or None)


def _comparison(found: Comparison, step: str) -> RenderableType:
    line = f"{number(len(found.compared))} compared, {number(len(found.different))} differ"
    line += f", {number(found.unanswered)} not answered" if found.unanswered else ""
    if not found.different:
        return (bad if found.unanswered else good)(line)
    numbers = ("delivered", "biller", "difference")
    result = table("customer", "event name", f"{step} (UTC)", *numbers, numbers=numbers)
    for row in found.different:
        result.add_row(
            row.customer,
            row.event_name,
            moment(row.range_start),
            number(row.local),
            number(row.remote),
            number(row.difference),
        )
    return Group(result, bad(line))
