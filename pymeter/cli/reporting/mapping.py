"""``pymeter report metric``, ``subject``, ``mappings`` and ``rules``: what is reported, as what, to whom."""

from __future__ import annotations

from typing import Annotated, Any, cast, get_args

import typer
from rich.console import RenderableType

from pymeter.cli.options import AsJson, MetricKey, Subject, Zone, form, read_duration, read_moment
from pymeter.cli.output import good, moment, show, table, word
from pymeter.cli.patience import when_free
from pymeter.cli.reporting.options import BillerName
from pymeter.cli.target import Context
from pymeter.models import Biller, MetricMapping, ReportMode, SubjectMapping

_SENT = "What is sent"


def metric(
    ctx: Context,
    metric: MetricKey,
    event_name: Annotated[str | None, typer.Argument(help="The event name of the biller's meter.")] = None,
    mode: Annotated[
        str | None, typer.Option(help=f"{', '.join(get_args(ReportMode))}. A new mapping's: delta.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Report usage from here on; default: all.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Do not report the metric any more.")] = False,
    timezone: Zone = "UTC",
    biller: BillerName = "stripe",
    as_json: AsJson = False,
) -> None:
    """Report a metric under an event name of the biller."""
    if (event_name is None) != remove:
        raise typer.BadParameter("give an event name, or --remove")
    with ctx.obj.meter() as meter:
        meter, moment_since = meter, read_moment(since, timezone, "--since")
        row = when_free(
            lambda: meter.report_metric(metric, event_name, cast(Any, mode), biller, since=moment_since)
        )
    line = f"{metric} is reported to {biller} as {event_name} ({row.mode})"
    if remove:
        line = f"{metric} is not reported to {biller} any more"
    show(row, MetricMapping, lambda _: good(line), form(as_json))


def subject(
    ctx: Context,
    subject: Subject,
    customer: Annotated[str | None, typer.Argument(help="The biller's id of the customer: cus_...")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Do not report the subject any more.")] = False,
    biller: BillerName = "stripe",
    as_json: AsJson = False,
) -> None:
    """Map a subject to a customer of the biller."""
    if (customer is None) != remove:
        raise typer.BadParameter("give a customer, or --remove")
    with ctx.obj.meter() as meter:
        row = meter.report_subject(subject, customer, biller)
    line = f"{subject}: {customer or f'not reported to {biller} any more'}"
    show(row, SubjectMapping, lambda _: good(line), form(as_json))


def mappings(ctx: Context, biller: BillerName = "stripe", as_json: AsJson = False) -> None:
    """Show which metrics are reported, under which names."""
    with ctx.obj.meter() as meter:
        rows = meter.report_mappings(biller)
    show(rows, MetricMapping, _mappings_table, form(as_json))


def _mappings_table(rows: list[MetricMapping]) -> RenderableType:
    result = table("metric", "event name", "mode", "since (UTC)")
    for row in rows:
        result.add_row(row.metric, row.event_name or "-", row.mode, moment(row.since))
    return result


def rules(
    ctx: Context,
    biller: BillerName = "stripe",
    subject_is_customer: Annotated[
        bool | None,
        typer.Option(
            "--subject-is-customer/--subject-is-mapped",
            help="Whether it is itself the customer id.",
            rich_help_panel="A subject without a mapping",
        ),
    ] = None,
    too_old: Annotated[
        str | None, typer.Option(help="Usage older than the biller takes: hold, restamp, leave.")
    ] = None,
    negative: Annotated[str | None, typer.Option(help="Corrections below zero: hold, send, leave.")] = None,
    late: Annotated[
        str | None, typer.Option(help="Usage after the invoice is final: send, restamp, hold.")
    ] = None,
    grace: Annotated[str | None, typer.Option(help="How long an invoice stays open: 1h, 72h.")] = None,
    max_age: Annotated[
        str | None, typer.Option(help="How old usage may be that the biller takes: 35d.")
    ] = None,
    dedup_window: Annotated[
        str | None, typer.Option(help="How long the biller knows an identifier: 24h.")
    ] = None,
    absence: Annotated[
        str | None, typer.Option(help="How long a push is missing before a resend: 24h.")
    ] = None,
    sends: Annotated[
        str | None, typer.Option(help="usage, or statements as invoice items.", rich_help_panel=_SENT)
    ] = None,
    statements_since: Annotated[
        str | None,
        typer.Option(help="Those of periods that begin here or later.", rich_help_panel=_SENT),
    ] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Show or change a biller's reporting policy.

    Every option changes a setting.
    """
    with ctx.obj.meter() as meter:
        row = meter.define_biller(
            biller,
            subject_is_customer=subject_is_customer,
            too_old=cast(Any, too_old),
            negative=cast(Any, negative),
            late=cast(Any, late),
            grace=read_duration(grace, "--grace"),
            max_age=read_duration(max_age, "--max-age"),
            dedup_window=read_duration(dedup_window, "--dedup-window"),
            absence=read_duration(absence, "--absence"),
            sends=cast(Any, sends),
            statements_since=read_moment(statements_since, timezone, "--statements-since"),
        )
    show(row, Biller, _rules_table, form(as_json))


def _rules_table(row: Biller) -> RenderableType:
    result = table("rule", "value")
    for name in type(row).model_fields:
        result.add_row(name, word(getattr(row, name)))
    return result
