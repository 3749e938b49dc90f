"""``pymeter report``: send usage to a biller, and see to what did not arrive."""

from __future__ import annotations

import logging
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast, get_args

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from pymeter.cli.errors import SAYS_NO, CliError
from pymeter.cli.options import AsJson, MetricKey, Subject, Zone, form, read_duration, read_moment
from pymeter.cli.output import bad, counted, good, moment, number, show, stderr, stdout, table, word
from pymeter.cli.patience import when_free
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import Context, Settings
from pymeter.cli.visible import visible
from pymeter.client import Meter
from pymeter.models import (
    Biller,
    MetricMapping,
    PlannedPush,
    Push,
    PushState,
    PushStatus,
    ReportJournal,
    ReportMode,
    ReportStep,
    SubjectMapping,
)
from pymeter.program_connection import connection_options

if TYPE_CHECKING:
    from pymeter.report import Observer, Reporter, StripeBiller
    from pymeter.report.asking import Comparison

T = TypeVar("T")

BillerName = Annotated[
    str,
    typer.Option("--biller", help="Whose journal; a name that ends in _shadow takes test keys only."),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(help="A file with the API key. Default: STRIPE_API_KEY, or the file STRIPE_API_KEY_FILE."),
]
ConnectionsOption = Annotated[int, typer.Option(min=1, max=200, help="Calls at the same time.")]
RateOption = Annotated[
    float | None,
    typer.Option(min=0.001, help="Calls a second, of this process. Default: 1000; 20 with a test key."),
]
_POOL_MAX = 4
_WIDE = 120
_STOPPED = "reporting is stopped: its journal was used on another server; see pymeter report adopt --help"

app = typer.Typer(
    cls=SuggestingGroup,
    help="Report usage to a biller (Stripe): --once for cron, --watch to keep at it, --dry-run to look "
    "first. Exit status: 0 all is sent; 1 something is rejected, uncertain or waits for another attempt; "
    "2 it could not run, or the biller could not be reached.",
    invoke_without_command=True,
)


@app.callback()
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
        _dry_run(ctx.obj, biller, open_hours is not False, as_json)
        return
    if metrics_port is not None and not watch:
        raise typer.BadParameter("--metrics-port goes with --watch")
    from pymeter.cli.report_display import Display

    display = Display(biller, watching=watch, as_json=as_json)
    options = {
        "connections": connections,
        "rate": rate,
        "patience": timedelta(seconds=patience),
        "reads_a_day": reads_a_day,
    }
    with (
        _reporter(ctx.obj, biller, key_file, [display], **options) as reporter,
        _metrics(biller, reporter, metrics_port, metrics_host),
        display,
        _stopped_by_signals(reporter),
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


# --- what it takes ------------------------------------------------------------------------------------------


def _stripe(biller: str, key_file: Path | None, connections: int) -> StripeBiller:
    try:
        from pymeter.report import StripeBiller
        from pymeter.report.options import REHEARSAL
    except ModuleNotFoundError as exc:
        raise CliError(f"reporting needs {exc.name}", "pip install 'pymeter-ledger[stripe]'") from None

    made = StripeBiller(api_key_file=key_file, connections=connections, test_only=biller.endswith(REHEARSAL))
    made.check()  # before the database is touched
    return made


@contextmanager
def _reporter(
    settings: Settings, biller: str, key_file: Path | None, observers: list[Observer], **options: Any
) -> Iterator[Reporter]:
    made = _stripe(biller, key_file, options.get("connections", 16))
    try:
        from psycopg_pool import ConnectionPool
        from stamina.instrumentation import set_on_retry_hooks

        from pymeter.report import Reporter
    except ModuleNotFoundError as exc:
        raise CliError(f"reporting needs {exc.name}", "pip install 'pymeter-ledger[stripe]'") from None
    # The display shows every warning; without a handler Python would print it once more, and stamina a retry.
    logging.getLogger("pymeter").addHandler(logging.NullHandler())
    set_on_retry_hooks([])
    database = settings.installed()
    with database.connect() as connection:  # one attempt, with an error of its own, before a pool retries
        settings.meter_on(connection).report_mappings(biller)
    pool = ConnectionPool(
        database.dsn, min_size=1, max_size=_POOL_MAX, kwargs=connection_options(database.dsn), open=False
    )
    with pool, _closing(made):
        yield Reporter(pool, made, biller_name=biller, schema=settings.schema, observers=observers, **options)


@contextmanager
def _closing(made: StripeBiller) -> Iterator[None]:
    """Close the biller's connections at the end."""
    try:
        yield
    finally:
        made.close()


@contextmanager
def _metrics(biller: str, reporter: Reporter, port: int | None, host: str) -> Iterator[None]:
    if port is None:
        yield
        return
    try:
        from pymeter.report.metrics import PrometheusMetrics, serve
    except ModuleNotFoundError:
        raise CliError("metrics need one more package", "pip install 'pymeter-ledger[prometheus]'") from None
    reporter.observers = (*reporter.observers, PrometheusMetrics(biller))
    close = serve(port, host)
    try:
        yield
    finally:
        close()


@contextmanager
def _stopped_by_signals(reporter: Reporter) -> Iterator[None]:
    """The first SIGTERM or Ctrl-C settles what is in flight and ends well; the second ends."""
    before: dict[signal.Signals, Any] = {}

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, before[signal.Signals(number)])
        reporter.stop()

    with suppress(ValueError):  # not the main thread: a caller's own handlers stay
        for caught in (signal.SIGTERM, signal.SIGINT):
            before[caught] = signal.signal(caught, stop)
    try:
        yield
    finally:
        for caught, handler in before.items():
            signal.signal(caught, handler)


# --- looking ------------------------------------------------------------------------------------------------


def _dry_run(settings: Settings, biller: str, open_hours: bool, as_json: bool) -> None:
    with settings.meter() as meter:
        waiting = _pages(lambda after: meter.pushes(biller, "planned", after_id=after, max_rows=1000))
        new = meter.preview_pushes(biller, open_hours)
        stopped = meter.report_journal(biller).stopped
        left_out = _left_out(meter, biller)
    rows = [*(_as_sent(push) for push in waiting), *(_as_sent(push) for push in new)]
    show(rows, None, lambda found: Group(_planned_table(found), *left_out), form(as_json))
    if stopped:
        stderr().print(bad(_STOPPED))


def _left_out(meter: Meter, biller: str) -> list[RenderableType]:
    """Why usage is missing from what would be sent."""
    mapped = {row.metric for row in meter.report_mappings(biller) if row.event_name is not None}
    if not mapped:
        return [bad(f"no metric is reported to {biller}: see pymeter report metric --help")]
    return [
        bad(
            f"{counted(row.pushes, 'subject')} of {row.metric} {'has' if row.pushes == 1 else 'have'}"
            " no customer: see pymeter report subject --help"
        )
        for row in meter.report_status(biller)
        if row.state == "unmapped" and row.pushes and row.metric in mapped
    ]


def _planned_table(rows: list[dict[str, Any]]) -> RenderableType:
    numbers = ("value", "timestamp")
    result = table("customer", "event name", *numbers, "at (UTC)", "state", "identifier", numbers=numbers)
    for row in rows:
        result.add_row(
            Text(row["customer"]),
            Text(row["event_name"]),
            row["value"],
            str(row["timestamp"]),
            moment(row["stamped_at"]),
            row["state"] if row["reason"] is None else f"{row['state']}: {row['reason']}",
            row["identifier"] or "new",
        )
    states = Counter(row["state"] for row in rows)
    line = f"{counted(states['planned'], 'call')} would be made"
    if states["uncertain"]:
        line += f"; {number(states['uncertain'])} uncertain: first compared with the biller's totals"
    return Group(result, good(f"{line}; nothing was sent or written"))


def _as_sent(push: Push | PlannedPush) -> dict[str, Any]:
    return {
        "identifier": push.identifier if isinstance(push, Push) else None,
        "customer": push.customer,
        "event_name": push.event_name,
        "value": push.value if isinstance(push.value, str) else f"{push.value:f}",
        "timestamp": int(push.stamped_at.timestamp()),
        "stamped_at": push.stamped_at,
        "subject": push.subject,
        "metric": push.metric,
        "state": push.state,
        "reason": push.reason,
    }


def _pages(page: Callable[[int | None], list[Push]]) -> list[Push]:
    """All rows, oldest first."""
    rows: list[Push] = []
    after: int | None = None
    while found := page(after):
        rows += found
        after = found[-1].push_id
    return rows[::-1]


@app.command()
def status(ctx: Context, biller: BillerName = "stripe", as_json: AsJson = False) -> None:
    """Show how much of each metric is in which state.

    Exit status 1: something is rejected, uncertain or stopped.
    """
    from pymeter.cli.report_display import status_table

    with ctx.obj.meter() as meter:
        rows = meter.report_status(biller)
        stopped = meter.report_journal(biller).stopped
    show(rows, PushStatus, status_table, form(as_json))
    if stopped:
        stderr().print(bad(_STOPPED))
    if stopped or any(row.pushes for row in rows if row.state in ("rejected", "uncertain")):
        raise typer.Exit(SAYS_NO)


@app.command()
def pushes(
    ctx: Context,
    state: Annotated[
        str | None, typer.Option(help=f"Only those that are {', '.join(get_args(PushState))}.")
    ] = None,
    subject: Annotated[str | None, typer.Option("--subject", "-s", help="Only this subject.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, the newest.")] = 100,
    biller: BillerName = "stripe",
    as_json: AsJson = False,
) -> None:
    """Show the journal: what was sent or will be, and its state."""
    with ctx.obj.meter() as meter:
        rows = meter.pushes(biller, cast(Any, state), subject, max_rows=limit)
    show(rows, Push, _pushes_table, form(as_json))


def _pushes_table(rows: list[Push]) -> RenderableType:
    # An identifier is copied from here: it is never folded. On a narrow terminal all else stands beside it.
    narrow = stdout().width < _WIDE
    more = ["push"] if narrow else ["customer", "event name", "value", "at (UTC)", "state", "error"]
    result = table("identifier", *more, numbers=("value",), unfolded=("identifier",))
    for row in rows:
        state = row.state if row.reason is None else f"{row.state}: {row.reason}"
        value, at, error = number(row.value), moment(row.stamped_at), row.error or ""
        if narrow:
            lines = (f"{row.customer} {row.event_name} {value}", f"{at} {state}", error)
            result.add_row(row.identifier, Group(*(Text(visible(line)) for line in lines if line)))
        else:
            result.add_row(row.identifier, row.customer, row.event_name, value, at, state, error)
    return result


# --- comparing ----------------------------------------------------------------------------------------------


@app.command()
def reconcile(
    ctx: Context,
    step: Annotated[str, typer.Option(help="Compare by hour or day (UTC).")] = "day",
    reads: Annotated[
        int, typer.Option(min=1, help="At most this many reads; the most pressing first.")
    ] = 100,
    since: Annotated[str | None, typer.Option(help="Only from here on: 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Only before this.")] = None,
    timezone: Zone = "UTC",
    biller: BillerName = "stripe",
    key_file: KeyFile = None,
    rate: RateOption = None,
    as_json: AsJson = False,
) -> None:
    """Compare deliveries with the biller's totals. Exit status 1: they differ, 2: some could not be read."""
    if step not in get_args(ReportStep):
        raise typer.BadParameter("--step: hour or day")
    from pymeter.cli.report_display import Troubles

    troubles = Troubles()
    with (
        _reporter(ctx.obj, biller, key_file, [troubles], rate=rate) as reporter,
        _stopped_by_signals(reporter),
    ):
        found = reporter.reconcile(
            cast(ReportStep, step),
            reads=reads,
            since=read_moment(since, timezone, "--since"),
            until=read_moment(until, timezone, "--until"),
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


# --- manual decisions ----------------------------------------------------------------------------------


@app.command()
def retry(
    ctx: Context,
    identifier: Annotated[
        str | None, typer.Argument(help="Only this push; without it, all that are rejected or held.")
    ] = None,
    biller: BillerName = "stripe",
    as_json: AsJson = False,
) -> None:
    """Plan rejected and held pushes anew, for the present customers and names; the next run sends them."""
    with ctx.obj.meter() as meter:
        rows = meter.retry_pushes(biller, identifier)
    show(
        rows, Push, lambda found: good(f"{counted(len(found), 'push', 'pushes')} planned anew"), form(as_json)
    )


@app.command()
def leave(
    ctx: Context,
    identifier: Annotated[
        str | None, typer.Argument(help="The identifier of a rejected or held push.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="All that are rejected or held with this reason, such as too_old.")
    ] = None,
    biller: BillerName = "stripe",
    as_json: AsJson = False,
) -> None:
    """Decide that rejected or held pushes are not sent. They are counted as left."""
    if identifier is None and reason is None:
        raise typer.BadParameter("give an identifier or --reason")
    with ctx.obj.meter() as meter:
        rows = meter.leave_pushes(biller, identifier, reason)
    show(rows, Push, lambda found: good(f"{counted(len(found), 'push', 'pushes')} left"), form(as_json))


@app.command()
def resolve(
    ctx: Context,
    identifier: Annotated[str, typer.Argument(help="The identifier of an uncertain push.")],
    delivered: Annotated[
        bool | None,
        typer.Option("--delivered/--not-delivered", help="What you have found out about it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Resolve an uncertain push. One that was not delivered is planned anew."""
    if delivered is None:
        raise typer.BadParameter("say --delivered or --not-delivered")
    with ctx.obj.meter() as meter:
        push = meter.resolve_push(identifier, delivered)
    show(push, Push, lambda one: good(f"{one.identifier}: {one.state}"), form(as_json))


@app.command()
def adopt(
    ctx: Context,
    complete: Annotated[
        bool, typer.Option("--complete", help="The journal has lost nothing, as after a planned switchover.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Although it is not stopped: in a snapshot of a whole machine."),
    ] = False,
    biller: BillerName = "stripe",
    as_json: AsJson = False,
) -> None:
    """Go on reporting on this server, after a restore, a copy or a failover. Stop the old reporters first.

    Usage that may have been sent without this journal's knowledge is looked up in the biller's totals, and
    sent only if it is still missing there a day later.
    """
    with ctx.obj.meter() as meter:
        journal = meter.adopt_journal(biller, complete, force=force)
    show(journal, ReportJournal, lambda row: _adopted(row, complete), form(as_json))


def _adopted(journal: ReportJournal, complete: bool) -> RenderableType:
    lines = [good(f"{journal.biller}: this server's journal is the one that counts now")]
    if journal.doubtful_until is not None:
        until = moment(journal.doubtful_until)
        why = "an earlier adoption was not complete: " if complete else ""
        lines.append(
            Text(f"{why}usage of hours before {until} UTC is compared with the biller before it is sent")
        )
    return Group(*lines)


# --- mapping ------------------------------------------------------------------------------------------------


@app.command()
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
    """Report a metric under an event name. Doing it again changes nothing."""
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


@app.command()
def subject(
    ctx: Context,
    subject: Subject,
    customer: Annotated[str | None, typer.Argument(help="The biller's customer id: cus_...")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Do not report the subject any more.")] = False,
    biller: BillerName = "stripe",
    as_json: AsJson = False,
) -> None:
    """Say which customer of the biller a subject is. Doing it again changes nothing."""
    if (customer is None) != remove:
        raise typer.BadParameter("give a customer, or --remove")
    with ctx.obj.meter() as meter:
        row = meter.report_subject(subject, customer, biller)
    line = f"{subject}: {customer or f'not reported to {biller} any more'}"
    show(row, SubjectMapping, lambda _: good(line), form(as_json))


@app.command()
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


@app.command("rules")
def rules(
    ctx: Context,
    biller: BillerName = "stripe",
    subject_is_customer: Annotated[
        bool | None,
        typer.Option(
            "--subject-is-customer/--subject-is-mapped",
            help="Whether a subject that is not mapped is itself the customer id.",
        ),
    ] = None,
    too_old: Annotated[
        str | None, typer.Option(help="Usage older than the biller takes: hold, restamp or leave.")
    ] = None,
    negative: Annotated[str | None, typer.Option(help="Corrections below zero: hold, send or leave.")] = None,
    late: Annotated[
        str | None, typer.Option(help="Usage of a period whose invoice is final: send, restamp or hold.")
    ] = None,
    grace: Annotated[str | None, typer.Option(help="How long an invoice stays open: 1h, 72h.")] = None,
    absence: Annotated[
        str | None, typer.Option(help="How long a push must be missing before it is sent anew: 24h.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a biller's reporting policy; an option changes a setting."""
    with ctx.obj.meter() as meter:
        row = meter.define_biller(
            biller,
            subject_is_customer=subject_is_customer,
            too_old=cast(Any, too_old),
            negative=cast(Any, negative),
            late=cast(Any, late),
            grace=read_duration(grace, "--grace"),
            absence=read_duration(absence, "--absence"),
        )
    show(row, Biller, _rules_table, form(as_json))


def _rules_table(row: Biller) -> RenderableType:
    result = table("rule", "value")
    for name in type(row).model_fields:
        result.add_row(name, word(getattr(row, name)))
    return result
