"""Commands about being told: notify, endpoint, deliveries, spike."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import psycopg
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from pymeter.cli.errors import SAYS_NO, CliError
from pymeter.cli.help import add_command
from pymeter.cli.options import AsCsv, AsJson, MetricKey, OnlySubject, Zone, form, read_duration, read_zone
from pymeter.cli.output import (
    Form,
    bad,
    below,
    counted,
    good,
    is_narrow,
    minute,
    moment,
    note,
    number,
    print_json,
    show,
    stdout,
    table,
)
from pymeter.cli.reporting.reporters import stopped_by_signals
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import Context, Settings
from pymeter.errors import MeterError
from pymeter.models import Delivery, DeliveryState, Endpoint, EndpointFormat, EndpointStatus, SpikeAlert
from pymeter.program_connection import connection_options

if TYPE_CHECKING:
    from pymeter.cli.notify_display import Display, Left
    from pymeter.notify import Notifier

_SMTP_URL = "PYMETER_SMTP_URL"
_POOL_MAX = 3
_LOOKED_AT = 1000

Name = Annotated[str, typer.Argument(help="The endpoint's name.")]

endpoint = typer.Typer(
    cls=SuggestingGroup, help="Define, list and test where notifications are sent.", no_args_is_help=True
)
spike = typer.Typer(cls=SuggestingGroup, help="Set which usage counts as a spike.", no_args_is_help=True)


def notify(
    ctx: Context,
    once: Annotated[bool, typer.Option("--once", help="Send what is due, and end: for cron.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Send again and again, until stopped.")] = False,
    interval: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.05, max=3600, help="With --watch: between two looks.")
    ] = 1.0,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, max=60, help="How long an attempt may take.")
    ] = 20.0,
    connections: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="Attempts at the same time.")
    ] = 200,
    secrets_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A file for each secret; the environment comes first."),
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate authorities to trust instead.")
    ] = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Also send to private addresses and by http.")
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=65535, help="With --watch: serve Prometheus metrics."),
    ] = None,
    metrics_host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to serve them.")] = "127.0.0.1",
    as_json: AsJson = False,
) -> None:
    """Send notifications; judge spikes, marks and budgets.

        pymeter notify --once
        pymeter notify --watch

    Secrets are read from the environment variables that the endpoints name. PYMETER_SMTP_URL is the mail
    server. Exit status 0: no attempt failed; 1: one failed; 2: it could not run. What waits to be sent again
    is no failure.
    """
    if once == watch:
        raise typer.BadParameter("say --once or --watch")
    if metrics_port is not None and not watch:
        raise typer.BadParameter("--metrics-port goes with --watch")
    options = {
        "timeout": timeout,
        "connections": connections,
        "secrets_dir": secrets_dir,
        "ca_file": ca_file,
        "allow_private": allow_private,
        "smtp_url": os.environ.get(_SMTP_URL) or None,
    }
    with (
        _notifier(ctx.obj, watching=watch, as_json=as_json, **options) as (notifier, display),
        _metrics_served(notifier, metrics_port, metrics_host),
        stopped_by_signals(notifier),
    ):
        summary = notifier.watch(interval) if watch else notifier.run_once()
    # Told to stop and stopped: that is what was asked for.
    exit_status = 0 if notifier.stopped else summary.exit_status
    display.finish(summary, exit_status, None if watch else _left(ctx.obj))
    if exit_status:
        raise typer.Exit(exit_status)


@contextmanager
def _notifier(
    settings: Settings, *, watching: bool, as_json: bool, **options: Any
) -> Iterator[tuple[Notifier, Display]]:
    try:
        from psycopg_pool import ConnectionPool

        from pymeter.cli.notify_display import Display
        from pymeter.notify import Notifier
        from pymeter.notify.mail import BadServer, MailServer
    except ModuleNotFoundError as exc:
        raise CliError(f"notifying needs {exc.name}", "pip install 'pymeter-ledger[notify]'") from None
    if options["smtp_url"] is not None:
        try:
            MailServer.parse(options["smtp_url"])
        except BadServer as error:
            raise CliError(str(error), f"Correct {_SMTP_URL}.") from None
    # The display shows every warning; without a handler Python would print it once more.
    logging.getLogger("pymeter").addHandler(logging.NullHandler())
    database = settings.installed()
    with database.connect() as connection:  # one attempt, with an error of its own, before a pool retries
        settings.meter_on(connection).endpoints()
    pool = ConnectionPool(
        database.dsn, min_size=1, max_size=_POOL_MAX, kwargs=connection_options(database.dsn), open=False
    )
    display = Display(watching=watching, as_json=as_json)
    with pool:
        yield Notifier(pool, schema=settings.schema, observers=[display], **options), display


def _left(settings: Settings) -> Left | None:
    """What a run has left to send, without what disabled endpoints have missed."""
    from pymeter.cli.notify_display import Left

    try:
        with settings.meter() as meter:
            found = [one for one in meter.endpoints() if one.disabled_at is None and one.open_deliveries]
            times = [
                row.next_attempt_at
                for one in found
                for row in meter.deliveries(one.name, "planned", max_rows=_LOOKED_AT)
                if row.next_attempt_at is not None
            ]
    except (psycopg.Error, MeterError):  # what was sent is sent, and the exit status is about that
        return None
    return Left(sum(one.open_deliveries for one in found), min(times, default=None))


@contextmanager
def _metrics_served(notifier: Notifier, port: int | None, host: str) -> Iterator[None]:
    """Serve the sender's numbers to Prometheus; nothing without a port."""
    if port is None:
        yield
        return
    try:
        from pymeter.notify.metrics import PrometheusMetrics
        from pymeter.report.metrics import serve
    except ModuleNotFoundError:
        raise CliError("metrics need one more package", "pip install 'pymeter-ledger[prometheus]'") from None
    notifier.observers = (*notifier.observers, PrometheusMetrics())
    close = serve(port, host)
    try:
        yield
    finally:
        close()


# ---------------------------------------------------------------------------------------------- endpoints


def define(
    ctx: Context,
    name: Name,
    url: Annotated[
        str | None, typer.Argument(help="https or mailto; without it, the secret is Slack's URL.")
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type", "-t", help="A type to send. Repeatable. Default: as it is; of a new one, all."
        ),
    ] = None,
    secret_name: Annotated[
        str | None, typer.Option(help="The environment variable that has the secret, not the secret.")
    ] = None,
    format: Annotated[str, typer.Option(help="standard, slack or email.")] = "standard",
    as_json: AsJson = False,
) -> None:
    """Define where notifications are sent, or change it.

        pymeter endpoint define ops https://example.com/hook --secret-name WEBHOOK_SECRET
        pymeter endpoint define chat --format slack --secret-name SLACK_URL -t threshold.exceeded
        pymeter endpoint define mail mailto:ops@example.com --format email

    What is written from now on is sent there by: pymeter notify.
    """
    with ctx.obj.meter() as meter:
        found = meter.define_endpoint(
            name, url, types or None, secret_name=secret_name, format=cast(EndpointFormat, format)
        )
    show(found, Endpoint, _defined, form(as_json))


def _defined(one: Endpoint) -> Text:
    what = "all types" if one.types == ["*"] else ", ".join(one.types)
    signed = ", unsigned" if one.format == "standard" and one.secret_name is None else ""
    return good(f"{one.name}: {what} to {_where(one)}{signed}")


def _where(one: Endpoint) -> str:
    return one.url or f"the URL in {one.secret_name}"


def list_endpoints(
    ctx: Context, timezone: Zone = "UTC", as_json: AsJson = False, as_csv: AsCsv = False
) -> None:
    """List the endpoints, and what is still to be sent to them."""
    wanted = form(as_json, as_csv)
    read_zone(timezone)
    with ctx.obj.meter() as meter:
        found = meter.endpoints()
    show(found, EndpointStatus, lambda rows: _endpoints_table(rows, timezone), wanted)


def _endpoints_table(found: list[EndpointStatus], timezone: str) -> RenderableType:
    if not found:
        return note("no endpoints; begin with: pymeter endpoint define NAME URL")
    numbers = ("open", "dead")
    result = table(
        *("endpoint", "state", "format", "to", "types", *numbers),
        numbers=numbers,
        unfolded=("endpoint", "state", "format"),
    )
    lines: list[Text] = []
    for one in found:
        state = Text("in use", style="green")
        if one.disabled_at is not None:
            state = Text("disabled", style="red")
            since = moment(one.disabled_at.replace(microsecond=0), timezone)
            lines.append(bad(f"{one.name} is disabled since {since}: {one.disabled_reason}"))
        elif one.failing_since is not None:
            state = Text("failing", style="yellow")
            since = moment(one.failing_since.replace(microsecond=0), timezone)
            lines.append(bad(f"{one.name} fails since {since}: pymeter deliveries {one.name}"))
        result.add_row(
            one.name,
            state,
            one.format,
            _where(one),
            ", ".join("all" if type == "*" else type for type in one.types),
            number(one.open_deliveries),
            Text(number(one.dead_deliveries), style="red" if one.dead_deliveries else ""),
        )
    return Group(result, *lines)


def remove(ctx: Context, name: Name, as_json: AsJson = False) -> None:
    """Remove an endpoint with its deliveries."""
    with ctx.obj.meter() as meter:
        found = meter.remove_endpoint(name)
    show(found, Endpoint, lambda one: good(f"{one.name} is removed"), form(as_json))


def send_test(ctx: Context, name: Name, as_json: AsJson = False) -> None:
    """Plan a test message for one endpoint.

    pymeter endpoint test ops
    pymeter notify --once
    pymeter deliveries ops
    """
    with ctx.obj.meter() as meter:
        found = meter.test_endpoint(name)
    show(
        found,
        Delivery,
        lambda one: good(f"{one.message_id} is sent to {one.endpoint} by: pymeter notify"),
        form(as_json),
    )


def retry(
    ctx: Context,
    name: Annotated[str | None, typer.Argument(help="The endpoint's name. Default: all.")] = None,
    delivery_id: Annotated[int | None, typer.Option("--id", help="This delivery alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send again what was given up, and at once what waits for it."""
    with ctx.obj.meter() as meter:
        found = meter.retry_deliveries(name, delivery_id=delivery_id)
    if as_json:
        print_json({"retried": found})
    elif found:
        stdout().print(good(f"{counted(found, 'delivery', 'deliveries')} to send again, by: pymeter notify"))
    else:
        stdout().print(note("nothing to send again; what disabled endpoints have missed stays"))


def deliveries(
    ctx: Context,
    endpoint: Annotated[str | None, typer.Argument(help="Only this endpoint's.")] = None,
    state: Annotated[str | None, typer.Option(help="waiting, planned, sending, delivered or dead.")] = None,
    subject: OnlySubject = None,
    rows: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many.")] = 20,
    after_id: Annotated[int | None, typer.Option(help="Show older ones than this one.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List what is and was sent to endpoints; newest first."""
    wanted = form(as_json, as_csv)
    read_zone(timezone)
    with ctx.obj.meter() as meter:
        found = meter.deliveries(
            endpoint,
            cast(DeliveryState | None, state),
            subject=subject,
            max_rows=rows,
            after_id=after_id,
        )
        if endpoint is not None and not found and all(one.name != endpoint for one in meter.endpoints()):
            raise CliError(
                f"no such endpoint: {endpoint}", "`pymeter endpoint list` lists them.", status=SAYS_NO
            )
    show(found, Delivery, lambda page: _deliveries_table(page, timezone), wanted)
    if wanted is Form.table and len(found) == rows:
        stdout().print(note(f"next page: --after-id {found[-1].delivery_id}"))


_STYLES = {"delivered": "green", "dead": "red", "sending": "cyan", "waiting": "dim"}


def _deliveries_table(found: list[Delivery], timezone: str) -> RenderableType:
    if not found:
        return note("no deliveries")
    at, narrow = f"planned ({timezone})", is_narrow()
    if narrow:
        columns = ["id", at, "endpoint", "type, subject", "state, result"]
    else:
        columns = ["id", at, "endpoint", "type", "subject", "state", "tries", "result"]
    result = table(*columns, numbers=("id", "tries"), unfolded=(at, "type", "state"))
    for one in found:
        failed = one.state == "dead" or (one.state == "planned" and one.failures > 0)
        state = Text(one.state, style="yellow" if failed else "")
        if one.state in _STYLES:
            state = Text(one.state, style=_STYLES[one.state])
        what = _result(one, timezone)
        if narrow:
            planned = minute(one.created_at, timezone)
            about = below(one.type, one.subject or "")
            result.add_row(str(one.delivery_id), planned, one.endpoint, about, below(state, what))
            continue
        result.add_row(
            str(one.delivery_id),
            moment(one.created_at.replace(microsecond=0), timezone),
            one.endpoint,
            one.type,
            one.subject or "",
            state,
            str(one.attempts),
            what,
        )
    return result


def _result(one: Delivery, timezone: str) -> str:
    """What came of the last attempt, and when the next one is."""
    parts = [one.error or ("" if one.status is None else f"HTTP {one.status}")]
    if one.state == "planned" and one.failures and one.next_attempt_at is not None:
        parts.append(f"again {moment(one.next_attempt_at.replace(microsecond=0), timezone)}")
    elif one.state == "waiting":
        parts.append("after the one before")
    return "; ".join(part for part in parts if part)


# -------------------------------------------------------------------------------------------------- spikes

Within = Annotated[str | None, typer.Option(help="The windows that are compared. Default: 1 hour.")]
OfSubject = Annotated[str | None, typer.Option("--subject", "-s", help="Of this subject alone.")]


def set_spike(
    ctx: Context,
    metric: MetricKey,
    factor: Annotated[str, typer.Argument(help="From which multiple of the usual usage on.")],
    subject: OfSubject = None,
    within: Within = None,
    baseline: Annotated[str | None, typer.Option(help="How far back is usual. Default: 14 days.")] = None,
    as_json: AsJson = False,
) -> None:
    """Notify when usage is a multiple of what is usual.

    pymeter spike set tokens 3
    """
    with ctx.obj.meter() as meter:
        found = meter.set_spike_alert(
            metric,
            factor,
            subject=subject,
            within=read_duration(within, "--within"),
            baseline=read_duration(baseline, "--baseline"),
        )
    show(found, SpikeAlert, _alert, form(as_json))


def _alert(one: SpikeAlert) -> Text:
    whose, factor = one.subject or "each subject", number(one.factor)
    within, baseline = _span(one.within), _span(one.baseline)
    return good(f"{one.metric} of {whose}: {factor} times the usual in {within}, from {baseline}")


def _span(length: timedelta) -> str:
    """An interval in the largest unit of which it is a whole number: 14 days, 1 hour, 90 minutes."""
    for unit, seconds in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if length and not length.total_seconds() % seconds:
            return counted(int(length.total_seconds()) // seconds, unit)
    return str(length)


def list_spikes(ctx: Context, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """List which usage counts as a spike."""
    wanted = form(as_json, as_csv)
    with ctx.obj.meter() as meter:
        found = meter.spike_alerts()
    show(found, SpikeAlert, _alerts_table, wanted)


def _alerts_table(found: list[SpikeAlert]) -> RenderableType:
    if not found:
        return note("no alerts; begin with: pymeter spike set METRIC FACTOR")
    result = table("metric", "subject", "factor", "within", "baseline", numbers=("factor",))
    for one in found:
        result.add_row(
            one.metric, one.subject or "each", number(one.factor), _span(one.within), _span(one.baseline)
        )
    return result


def remove_spike(
    ctx: Context, metric: MetricKey, subject: OfSubject = None, within: Within = None, as_json: AsJson = False
) -> None:
    """Remove an alert about spikes."""
    with ctx.obj.meter() as meter:
        found = meter.remove_spike_alert(metric, subject=subject, within=read_duration(within, "--within"))
    show(found, SpikeAlert, lambda one: good(f"{one.metric}: the alert is removed"), form(as_json))


add_command(endpoint, define)
add_command(endpoint, list_endpoints, name="list")
add_command(endpoint, send_test, name="test")
add_command(endpoint, retry)
add_command(endpoint, remove)
add_command(spike, set_spike, name="set")
add_command(spike, list_spikes, name="list")
add_command(spike, remove_spike, name="remove")
