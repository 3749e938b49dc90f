"""Commands of closed periods: close, statement, late, erase."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Group
from rich.progress import ProgressColumn, TextColumn

from pymeter.cli import closing_display as display
from pymeter.cli import late_display
from pymeter.cli.closing_checks import (
    check_both_ends,
    check_recorded,
    naming_the_last_period,
    note_unknown,
)
from pymeter.cli.errors import SAYS_NO, CliError
from pymeter.cli.events import events_table
from pymeter.cli.options import (
    AsCsv,
    AsJson,
    MaxRows,
    OnlyMetric,
    OnlySubject,
    Since,
    Until,
    Zone,
    form,
    read_window,
    read_zone,
)
from pymeter.cli.output import Form, counted, good, note, print_json, progress, show, stdout
from pymeter.cli.page_options import AsHtml, Buyer, Note, Output, Seller, read_letter, write_page
from pymeter.cli.patience import when_free
from pymeter.cli.target import Context
from pymeter.client import Meter
from pymeter.invoice_page import Letter, statement_page
from pymeter.models import (
    Closing,
    Event,
    LateDecision,
    LateSettlement,
    LateUsage,
    StatementHeader,
    StatementLine,
    SubjectPeriod,
)

_BATCH = 100


def close(
    ctx: Context,
    subject: Annotated[
        str | None, typer.Argument(help="Whose period; default: everything that is due.")
    ] = None,
    since: Since = None,
    until: Until = None,
    period: Annotated[
        str | None,
        typer.Option("--period", "-p", help="The last hour, day, week, month, year or cycle that ended."),
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Also a subject for which nothing was ever recorded.")
    ] = False,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Close periods: write statements, which never change.

        pymeter close
        pymeter close acct_1 --period month

    Without a subject: every billing cycle that ended longer ago than the setting grace. Run it hourly from
    cron. Stopped, it goes on where it was.

    Exit status 1: a period could not be closed; the next run tries again.
    """
    start, end = read_window(since, until, timezone)
    read_zone(timezone)
    wanted = form(as_json)
    if subject is None:
        if start is not None or end is not None or period is not None or new:
            raise typer.BadParameter("--since, --until, --period and --new need a SUBJECT")
        with ctx.obj.meter() as meter:
            done = _close_all(meter)
        show(done, Closing, lambda rows: display.closings(rows, timezone), wanted)
        if any(one.outcome == "postponed" for one in done):
            raise typer.Exit(SAYS_NO)
        return
    check_both_ends(start, end)
    with ctx.obj.meter() as meter:
        before = meter.statements(subject, max_rows=1)
        if not before and not new:
            check_recorded(meter, subject)
        with naming_the_last_period(subject, start, end):
            header = when_free(
                lambda: meter.close_period(subject, start, end, period=cast("SubjectPeriod | None", period))
            )
        lines = _lines_of(meter, header.statement_id) if wanted is Form.table else []
    was_closed = bool(before) and header.statement_id <= before[0].statement_id
    show(
        header,
        StatementHeader,
        lambda one: Group(
            display.closed_line(one, timezone, was_closed=was_closed),
            *([display.statement(one, lines, timezone)] if lines else []),
        ),
        wanted,
    )


def _close_all(meter: Meter) -> list[Closing]:
    """What was done with each period: of several attempts the last one. Each batch is a transaction."""
    done: dict[tuple[Any, ...], Closing] = {}
    sums: dict[str, Decimal | None] = {}
    count: ProgressColumn = TextColumn("{task.fields[closed]}", style="cyan")
    with progress(count) as bar:
        task = bar.add_task("closing", total=None, closed="")
        while True:
            batch = meter.close_due(max_rows=_BATCH)
            done |= {(one.subject, one.since, one.until): one for one in batch}
            if all(one.outcome != "closed" for one in batch):
                return list(done.values())
            closed = sum(one.outcome == "closed" for one in done.values())
            so_far = display.totals(display.add_totals(sums, batch))
            bar.update(task, closed=", ".join(filter(None, (f"{counted(closed, 'period')} closed", so_far))))


def _lines_of(meter: Meter, statement_id: int) -> list[StatementLine]:
    return meter.statement(statement_id)


def statement(
    ctx: Context,
    target: Annotated[
        str | None, typer.Argument(metavar="ID | SUBJECT", help="A statement, or whose statements.")
    ] = None,
    subject: OnlySubject = None,
    since: Since = None,
    until: Until = None,
    limit: MaxRows = 100,
    after_id: Annotated[int | None, typer.Option(help="Show older ones than this.")] = None,
    document: Annotated[
        bool, typer.Option("--document", help="Print the text whose SHA-256 is the hash.")
    ] = False,
    changes: Annotated[
        bool, typer.Option("--changes", help="Show what was recorded after it was closed.")
    ] = False,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    as_html: AsHtml = False,
    output: Output = None,
    seller: Seller = None,
    buyer: Buyer = None,
    remark: Note = None,
) -> None:
    """Show a statement, or list statements.

        pymeter statement acct_1
        pymeter statement 7
        pymeter statement 7 --html -o june.html --from 'Example Ltd'
        pymeter statement 7 --document | sha256sum

    A number is a statement; of a subject whose name is a number: --subject.
    """
    wanted = form(as_json, as_csv, as_html)
    letter = read_letter(as_html, output, seller, buyer, remark)
    read_zone(timezone)
    if target is not None and target.isascii() and target.isdigit():
        if subject is not None or since is not None or until is not None:
            raise typer.BadParameter("give either a statement's ID, or what to list")
        if as_html and (document or changes):
            raise typer.BadParameter("--document and --changes have no --html")
        with ctx.obj.meter() as meter:
            if document:
                # No line end: the bytes are those that were hashed.
                sys.stdout.write(meter.statement_document(int(target)))
            elif changes:
                _show_changes(meter, int(target), limit, after_id, timezone, wanted)
            elif as_html:
                _write_page(meter, int(target), letter, timezone, output)
            else:
                _show_statement(meter, int(target), timezone, wanted)
        return
    if document or changes or as_html:
        raise typer.BadParameter("--document, --changes and --html need a statement's ID")
    if target is not None and subject is not None:
        raise typer.BadParameter("SUBJECT and --subject are the same: give one of them")
    start, end = read_window(since, until, timezone)
    whose = target if subject is None else subject
    with ctx.obj.meter() as meter:
        found = meter.statements(whose, since=start, until=end, max_rows=limit, after_id=after_id)
        if whose is not None and not found:
            note_unknown(meter, whose)
    show(found, StatementHeader, lambda rows: display.headers(rows, timezone), wanted)
    if wanted is Form.table and len(found) == limit:
        stdout().print(note(f"next page: --after-id {found[-1].statement_id}"))


def _write_page(meter: Meter, statement_id: int, letter: Letter, timezone: str, output: Path | None) -> None:
    header, lines = _read_statement(meter, statement_id)
    names = {metric.key: metric.name for metric in meter.catalog()}
    write_page(lambda: statement_page(header, lines, letter, timezone, names=names), output)


def _read_statement(meter: Meter, statement_id: int) -> tuple[StatementHeader, list[StatementLine]]:
    lines = meter.statement(statement_id)
    (header,) = meter.statements(after_id=statement_id + 1, max_rows=1)
    return header, lines


def _show_statement(meter: Meter, statement_id: int, timezone: str, wanted: Form) -> None:
    header, lines = _read_statement(meter, statement_id)
    if wanted is Form.json:
        print_json({**{name: getattr(header, name) for name in StatementHeader.model_fields}, "items": lines})
        return
    show(lines, StatementLine, lambda rows: display.statement(header, rows, timezone), wanted)


def _show_changes(
    meter: Meter, statement_id: int, limit: int, after_id: int | None, timezone: str, wanted: Form
) -> None:
    rows = meter.what_changed(statement_id, max_rows=limit, after_id=after_id)
    nothing = good("nothing was recorded for it after it was closed")
    show(rows, Event, lambda page: events_table(page, timezone) if page else nothing, wanted)
    if wanted is Form.table and len(rows) == limit:
        stdout().print(note(f"next page: --after-id {rows[-1].event_id}"))


def late(
    ctx: Context,
    subject: Annotated[str | None, typer.Argument(help="Whose; default: of all.")] = None,
    metric: OnlyMetric = None,
    since: Since = None,
    until: Until = None,
    limit: MaxRows = 1000,
    settle: Annotated[
        tuple[int, str, str, str] | None,
        typer.Option("--settle", metavar="ID METRIC DELTA bill|waive", help="Decide about a line."),
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", "-r", help="Why, with --settle.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show usage that came after its period was closed; decide.

        pymeter late acct_1
        pymeter late --settle 7 tokens 120 bill

    bill: a line of the subject's next statement. waive: never. DELTA is what is open, as shown: nothing is
    decided that you have not seen.

    Exit status 1: what is open has changed; nothing was decided.
    """
    wanted = form(as_json, as_csv)
    if settle is not None:
        _settle(ctx, settle, reason, wanted)
        return
    if reason is not None:
        raise typer.BadParameter("--reason needs --settle")
    start, end = read_window(since, until, timezone)
    read_zone(timezone)
    with ctx.obj.meter() as meter:
        found = meter.late_usage(subject, metric, since=start, until=end, max_rows=limit)
        if subject is not None and not found:
            note_unknown(meter, subject)
    show(found, LateUsage, lambda rows: late_display.late(rows, timezone), wanted)
    if wanted is Form.table and len(found) == limit:
        stdout().print(note("there may be more: name a subject, or --since and --until"))


def _settle(ctx: Context, settle: tuple[int, str, str, str], reason: str | None, wanted: Form) -> None:
    statement_id, metric, delta, decision = settle
    with ctx.obj.meter() as meter:
        done = when_free(
            lambda: meter.settle_late_usage(
                statement_id, metric, delta, cast(LateDecision, decision), reason=reason
            )
        )
        unit = next((one.unit for one in meter.catalog() if one.key == done.metric), "")
    show(done, LateSettlement, lambda one: late_display.settled(one, unit, decision), wanted)
    if done.outcome == "conflict":
        raise typer.Exit(SAYS_NO)


def erase(
    ctx: Context,
    subject: Annotated[str, typer.Argument(help="Whose name, members, keys and metadata go.")],
    pseudonym: Annotated[str, typer.Argument(help="The name that takes its place.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase who a subject was; totals and statements stay.

        pymeter erase anna@example.com erased_1

    Stop first what records for it. It cannot be undone. Backups, replicas' archives and billers keep what
    they have.
    """
    wanted = form(as_json)
    if not yes:
        if wanted is not Form.table or not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise CliError("erasing cannot be undone, and nobody can be asked here", "To do it: --yes")
        if not typer.confirm(f"Erase {subject!r} for ever?", err=True):
            raise CliError("nothing was erased", status=SAYS_NO)
    with ctx.obj.meter() as meter:
        count = when_free(lambda: meter.erase_subject(subject, pseudonym))
    show(
        {"pseudonym": pseudonym, "rows": count},
        None,
        lambda _: display.erased(pseudonym, count),
        wanted,
    )
