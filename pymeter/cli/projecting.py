"""The command that looks ahead: project."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import BaseModel

from pymeter.cli.options import AsJson, Subject, Zone, form, read_moment
from pymeter.cli.output import show
from pymeter.cli.project_display import ProjectionSheet
from pymeter.cli.target import Context
from pymeter.models import EffectiveLimit, InvoiceProjection, UsageProjection


class Projection(BaseModel):
    """What the command shows, and what --json prints."""

    subject: str
    usage: list[UsageProjection]
    limits: list[EffectiveLimit]
    """Those that count and whose period is the billing cycle."""
    invoice: list[InvoiceProjection]


def project(
    ctx: Context,
    subject: Subject,
    metric: Annotated[str | None, typer.Option("--metric", "-m", help="Only this metric.")] = None,
    at: Annotated[str | None, typer.Option(help="As if it were this time; default: now.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Show how a billing cycle, and its invoice, will end.

        pymeter project acct_1
        pymeter project acct_1 --metric tokens

    A bar for each metric: used so far, expected at the end of the cycle, and high, with the limit marked.
    Nothing is shown as 0 that is not known: a subject with less than 7 days of usage has no projection.
    """
    then = read_moment(at, timezone, "--at")
    with ctx.obj.snapshot() as meter:
        usage = meter.project_usage(subject, metric, now=then)
        limits = [
            limit
            for row in usage
            for limit in meter.effective_limits(subject, row.metric, at=row.at)
            if limit.counts
            and limit.quota is not None
            and (limit.since, limit.until) == (row.since, row.until)
        ]
        invoice = meter.project_invoice(subject, now=then)
    if metric is not None:
        invoice = [line for line in invoice if line.metric == metric]
    found = Projection(subject=subject, usage=usage, limits=limits, invoice=invoice)
    show(found, None, lambda one: ProjectionSheet(one, timezone), form(as_json))
