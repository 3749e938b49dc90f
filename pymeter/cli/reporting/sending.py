"""``pymeter report`` itself: plan and send."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from pymeter.cli.errors import CliError
from pymeter.cli.options import AsJson
from pymeter.cli.reporting.options import (
    AdapterOption,
    BillerName,
    ConnectionsOption,
    KeyFile,
    RateOption,
    Url,
)
from pymeter.cli.reporting.planning import show_planned
from pymeter.cli.reporting.reporters import BillerChoice, metrics_served, reporter_for, stopped_by_signals
from pymeter.cli.target import Context

_ONCE = "With --once"
_WATCH = "With --watch"


def report(
    ctx: Context,
    once: Annotated[
        bool, typer.Option("--once", help="Plan and send what is due, and end: for cron.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Report again and again, until stopped.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent; send and write nothing.")
    ] = False,
    open_hours: Annotated[
        bool | None,
        typer.Option(
            "--open-hours/--closed-hours",
            help="Include the current hour. Default: with --once.",
        ),
    ] = None,
    biller: BillerName = "stripe",
    adapter: AdapterOption = None,
    url: Url = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
    patience: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            max=86400,
            help="Longest wait for a result or for the next attempt.",
            rich_help_panel=_ONCE,
        ),
    ] = 60.0,
    interval: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.1, help="Between two rounds.", rich_help_panel=_WATCH),
    ] = 60.0,
    reads_a_day: Annotated[
        float,
        typer.Option(
            metavar="N", min=0, max=1e9, help="Totals to ask for, to compare them.", rich_help_panel=_WATCH
        ),
    ] = 150.0,
    metrics_port: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=65535, help="Serve Prometheus metrics.", rich_help_panel=_WATCH),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to serve them.", rich_help_panel=_WATCH)
    ] = "127.0.0.1",
    connections: ConnectionsOption = 16,
    rate: RateOption = None,
) -> None:
    """Report usage to a biller: Stripe, or OpenMeter.

        pymeter report metric tokens api_tokens
        pymeter report --dry-run
        pymeter report --once

    Exit status 0: all is sent; 1: something is rejected, uncertain or waits for another attempt; 2: it could
    not run, or the biller could not be reached.
    """
    if ctx.invoked_subcommand is not None:
        return
    if once + watch + dry_run != 1 and not (once and dry_run and not watch):
        raise typer.BadParameter("say one of --once, --watch and --dry-run, or a command (see --help)")
    if dry_run:
        show_planned(ctx.obj, biller, open_hours is not False, as_json)
        return
    if metrics_port is not None and not watch:
        raise typer.BadParameter("--metrics-port goes with --watch")
    from pymeter.cli.reporting.display import Display

    display = Display(biller, watching=watch, as_json=as_json)
    options = {
        "connections": connections,
        "rate": rate,
        "patience": timedelta(seconds=patience),
        "reads_a_day": reads_a_day,
    }
    with (
        reporter_for(ctx.obj, BillerChoice(biller, adapter, url, key_file), [display], **options) as reporter,
        metrics_served(biller, reporter, metrics_port, metrics_host),
        display,
        stopped_by_signals(reporter),
    ):
        if watch:
            summary = reporter.watch(interval, open_hours=open_hours is True)
        else:
            summary = reporter.run_once(open_hours=open_hours is not False)
    # Told to stop and stopped: that is what was asked for, whatever there is left to do.
    exit_status = 0 if reporter.stopped else summary.exit_status
    display.finish(summary, exit_status)
    if summary.unreachable and exit_status:
        raise CliError("the biller could not be reached; what it may have missed will be sent again")
    if exit_status:
        raise typer.Exit(exit_status)
