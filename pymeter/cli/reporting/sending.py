"""``pymeter report`` itself: plan and send."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from pymeter.cli.errors import CliError
from pymeter.cli.options import AsJson
from pymeter.cli.reporting.options import BillerName, ConnectionsOption, KeyFile, RateOption
from pymeter.cli.reporting.planning import show_planned
from pymeter.cli.reporting.reporters import metrics_served, reporter_for, stopped_by_signals
from pymeter.cli.target import Context


def report(
    ctx: Context,
    once: Annotated[bool, typer.Option("--once", help="Plan and send all that is due, and end.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Report again and again, until stopped.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show exactly what would be sent; send and write nothing.")
    ] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between the rounds of --watch.")] = 60.0,
    open_hours: Annotated[
        bool | None,
        typer.Option(
            "--open-hours/--closed-hours",
            help="Whether to report the hour that is still open too. Default: --once does, --watch does not.",
        ),
    ] = None,
    biller: BillerName = "stripe",
    key_file: KeyFile = None,
    connections: ConnectionsOption = 16,
    rate: RateOption = None,
    patience: Annotated[
        float,
        typer.Option(
            min=0,
            max=86400,
            help="Seconds without any delivery or rejection after which --once gives up; as long it waits "
            "for what has to be sent again.",
        ),
    ] = 60.0,
    reads_a_day: Annotated[
        float,
        typer.Option(min=0, max=1e9, help="How many totals --watch asks for only to compare them."),
    ] = 150.0,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve Prometheus metrics of --watch on this port.")
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="The address to serve the metrics on.")] = "127.0.0.1",
    as_json: AsJson = False,
) -> None:
    """Report usage to a biller."""
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
        reporter_for(ctx.obj, biller, key_file, [display], **options) as reporter,
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
