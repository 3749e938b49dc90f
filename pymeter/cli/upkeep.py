"""Commands that install, prove and repair: migrate, status, sql, verify, rebuild, maintain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from rich.console import Group, RenderableType
from rich.progress import MofNCompleteColumn
from rich.table import Table
from rich.text import Text

from pymeter.cli.closing_display import problems
from pymeter.cli.commands import as_commands
from pymeter.cli.errors import SAYS_NO, CliError
from pymeter.cli.options import AsCsv, AsJson, OnlyMetric, OnlySubject, form
from pymeter.cli.output import (
    Form,
    bad,
    counted,
    good,
    moment,
    note,
    number,
    print_json,
    progress,
    show,
    stderr,
    stdout,
    table,
)
from pymeter.cli.patience import when_free
from pymeter.cli.target import Context, Settings, Target
from pymeter.client import Meter
from pymeter.errors import InvalidInput, NotInstalled
from pymeter.migrate import MigrateReport, Status
from pymeter.models import Drift, Health, MaintenanceAction

_LISTED = ("silent", "bloated")  # notices of what has a list of its own
_STRAYS_COUNTED = 10_000  # health() counts up to this many
_NO_INTERVAL = "22007"  # what PostgreSQL raises for a text that is no interval


def migrate(
    ctx: Context,
    downgrade: Annotated[
        bool,
        typer.Option("--downgrade", help="Install this package's functions over those of a newer pymeter."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Install pymeter into a schema, or upgrade it.

    It changes everything or nothing, and many may run at the same time.
    """
    from pymeter.migrate import migrate as install

    database = ctx.obj.database()
    report = install(database.dsn, ctx.obj.schema, downgrade=downgrade)
    answer = asdict(report) | {"changed": report.changed}
    show(answer, None, lambda _: _migration_report(database, report), form(as_json))


def _migration_report(database: Target, report: MigrateReport) -> RenderableType:
    where = f"schema {report.schema} of {database.describe()}"
    if not report.changed:
        line = f"pymeter {report.version} is already in {where}; nothing to do"
    elif report.rights_repaired:
        line = f"pymeter {report.version} is already in {where}; lost rights were set again"
    elif report.previous_version is None:
        line = f"pymeter {report.version} installed into {where}"
    else:
        line = f"{where}: pymeter {report.previous_version} → {report.version}"
    return Group(good(line), *(note(f"  applied {migration}") for migration in report.migrations))


def status(ctx: Context, as_json: AsJson = False) -> None:
    """Show what is installed, and whether it is healthy.

    Exit status 1: it is outdated or not healthy.
    """
    from pymeter.migrate import status as compare

    database = ctx.obj.database()
    found = compare(database.dsn, ctx.obj.schema)
    state = _health(database, ctx.obj) if found.installed_version or not found.visible else None
    outdated = found.visible and not found.up_to_date
    answer = {
        "schema": found.schema,
        "package_version": found.package_version,
        "installed_version": found.installed_version,
        "installed_at": found.installed_at,
        "applied": list(found.applied),
        "pending": list(found.pending),
        "unknown": list(found.unknown),
        "functions_current": found.functions_current,
        "open_functions": list(found.open_functions),
        "up_to_date": found.up_to_date if found.visible else None,
        "health": state,
    }
    line = ctx.obj.migrate_line
    show(answer, None, lambda _: _status_report(database, found, state, line), form(as_json))
    if outdated or (state is not None and not state.healthy):
        raise typer.Exit(SAYS_NO)


def _status_report(
    database: Target, found: Status, state: Health | None, migrate_line: str
) -> RenderableType:
    result = table("", "")
    result.show_header = False
    result.add_row("database", database.describe())
    result.add_row("schema", found.schema)
    result.add_row("this package", found.package_version)
    if found.visible:
        installed = found.installed_version or "not installed"
        since = f" since {moment(found.installed_at)} UTC" if found.installed_at else ""
        result.add_row("installed", installed + since)
        result.add_row("migrations", f"{len(found.applied)} applied, {len(found.pending)} pending")
    else:
        result.add_row("installed", "not visible to this role; the owner of the schema sees it")
    if found.unknown:
        result.add_row("", f"{len(found.unknown)} of a newer pymeter: {', '.join(found.unknown)}")
    if found.installed_version:
        same = "the same as in this package" if found.functions_current else "other than in this package"
        result.add_row("functions", same)
    if found.open_functions:
        result.add_row("rights", f"{len(found.open_functions)} functions are open to everybody")
    if state is not None:
        _add_health(result, state)
    elif not found.visible:
        result.add_row("health", "not visible to this role; level read sees it")
    lines = []
    if found.visible:
        lines.append(good("up to date") if found.up_to_date else bad(f"run: {migrate_line}"))
    if state is not None:
        lines += [bad(problem) for problem in state.problems]
        lines += [good("healthy")] if state.healthy else []
    return Group(result, *lines)


def _health(database: Target, settings: Settings) -> Health | None:
    """The health of the meter; None where this role may not ask, or its functions are older than that."""
    with database.connect() as connection:
        try:
            return settings.meter_on(connection).health()
        except (NotInstalled, psycopg.errors.InsufficientPrivilege):
            return None


def _add_health(result: Table, state: Health) -> None:
    maintained = f"{moment(state.last_maintained_at)} UTC" if state.last_maintained_at else "never"
    result.add_row("maintained", maintained)
    result.add_row("partitions", f"{state.missing_partitions} missing of this month and the next three")
    more = " or more" if state.stray_events == _STRAYS_COUNTED else ""
    result.add_row("stray events", number(state.stray_events) + more)
    if state.oldest_unreported_at is not None:
        result.add_row("unreported", f"since {moment(state.oldest_unreported_at)} UTC")
    for notice in state.notices:
        if not notice.startswith(_LISTED):
            result.add_row("notice", Text(as_commands(notice)))
    for title, notices in (("silent", state.silent), ("bloated", state.bloated)):
        for notice in notices:
            result.add_row(title, Text(notice))


def sql(
    ctx: Context,
    after: Annotated[str | None, typer.Option(help="An upgrade: what follows this migration.")] = None,
    transaction: Annotated[bool, typer.Option(help="Whether to print BEGIN and COMMIT.")] = True,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file; default: standard output.")
    ] = None,
) -> None:
    """Print the installation as one plain SQL file."""
    from pymeter.bundle import bundle

    text = bundle(ctx.obj.schema, after=after, transaction=transaction)
    if output is None:
        print(text, end="")
    else:
        output.write_text(text, encoding="utf-8")
        stderr().print(good(f"written to {output}; run it with: psql -v ON_ERROR_STOP=1 -f {output}"))


def verify(
    ctx: Context,
    subject: OnlySubject = None,
    metric: OnlyMetric = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Recompute rollups and statements, and show which differ.

    Everything is computed again from the log. With --csv, statements that differ are told on standard error.
    In JSON, their rows are the ones with a statement_id.

    Exit status 1: at least one differs.
    """
    wanted = form(as_json, as_csv)
    with ctx.obj.meter() as meter, progress() as bar:
        # Not metric by metric: the log and the rollups may have metrics that the catalog has not.
        bar.add_task("recomputing from the log", total=None)
        drifts = meter.verify(subject, metric)
        unknown = {drift.metric for drift in drifts} - {known.key for known in meter.catalog()}
        found = [p for p in meter.verify_statements(subject) if metric is None or p.metric == metric]
        closed = bool(found or meter.statements(subject, max_rows=1))
    if wanted is Form.json:
        print_json([*drifts, *found])
    else:
        show(drifts, Drift, partial(_drift_report, unknown), wanted)
        if closed and (found or wanted is Form.table):
            (stdout() if wanted is Form.table else stderr()).print(problems(found))
    if drifts or found:
        raise typer.Exit(SAYS_NO)


def _drift_report(unknown: set[str], drifts: list[Drift]) -> RenderableType:
    if not drifts:
        return good("no drift: every rollup equals the log")
    numbers = ("stored", "recomputed")
    result = table("subject", "metric", "bucket", "starts (UTC)", *numbers, "differs", numbers=numbers)
    for drift in drifts:
        result.add_row(
            drift.subject,
            drift.metric,
            drift.bucket,
            moment(drift.bucket_start),
            number(drift.stored),
            number(drift.recomputed),
            drift.what or "",
        )
    what = f"{counted(len(drifts), 'rollup')} {'differs' if len(drifts) == 1 else 'differ'} from the log"
    lines = [bad(f"{what}; repair with: pymeter rebuild")]
    if unknown:
        lines.append(
            bad(
                f"not in the catalog: {', '.join(sorted(unknown))}; define them again and rebuild, or drop"
                " their rollups with: SELECT rebuild()"
            )
        )
    return Group(result, *lines)


def rebuild(
    ctx: Context, subject: OnlySubject = None, metric: OnlyMetric = None, as_json: AsJson = False
) -> None:
    """Recompute rollups from the log, while others record."""
    with ctx.obj.meter() as meter:
        written = [when_free(partial(meter.rebuild, subject, key)) for key in _metrics(meter, metric)]
    line = f"rebuilt {counted(len(written), 'metric')}; {counted(sum(written), 'rollup')} written"
    show({"written": sum(written)}, None, lambda _: good(line), form(as_json))


def _metrics(meter: Meter, metric: str | None) -> Iterator[str]:
    """The metric asked for, or all of them one by one, each shown in a progress bar while it is worked on."""
    keys = [metric] if metric is not None else [known.key for known in meter.catalog()]
    with progress(MofNCompleteColumn()) as bar:
        task = bar.add_task("", total=len(keys))
        for key in keys:
            bar.update(task, description=key)
            yield key
            bar.advance(task)


def maintain(
    ctx: Context,
    keep: Annotated[
        str | None,
        typer.Option(help="Drop months older than this: '13 months'. Verified first."),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Detach them as tables, to archive them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create partitions ahead and tidy up; run it daily from cron.

    Exit status 1: a month that should be dropped was kept, for example because its rollups differ from the
    log.
    """
    with ctx.obj.meter() as meter, stderr().status("[dim]maintaining ...[/dim]"):
        try:
            actions = _maintain_until_done(meter, keep, detach=detach)
        except InvalidInput as error:
            if error.sqlstate != _NO_INTERVAL:
                raise
            raise CliError(
                f"--keep: {keep!r} is not a duration", "Write it like 13 months, 90 days or 1 year."
            ) from None
    show(actions, MaintenanceAction, _actions_lines, form(as_json))
    if any(_is_kept(action) for action in actions):
        raise typer.Exit(SAYS_NO)


def _is_kept(action: MaintenanceAction) -> bool:
    return action.action.startswith("kept")


def _actions_lines(actions: list[MaintenanceAction]) -> RenderableType:
    lines = [(bad if _is_kept(action) else good)(f"{action.action} {action.object}") for action in actions]
    return Group(*lines or [good("nothing to do")])


def _maintain_until_done(meter: Meter, keep: str | None, *, detach: bool) -> list[MaintenanceAction]:
    """What all calls did: each does a bounded part and says with the action ``again`` that there is more."""
    done: list[MaintenanceAction] = []
    while True:
        actions = when_free(lambda: meter.maintain(keep, detach=detach))
        new = [action for action in actions if action.action != "again" and not _said(action, done)]
        done += new
        if not new or all(action.action != "again" for action in actions):
            return done


def _said(action: MaintenanceAction, done: list[MaintenanceAction]) -> bool:
    """Whether it is what each call says again of a month that it cannot drop."""
    return action.action.startswith(("kept", "postponed")) and action in done
