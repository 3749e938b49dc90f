"""``pymeter report status``, ``pushes`` and ``adopt``: the journal, its states, its server."""

from __future__ import annotations

from typing import Annotated, Any, cast, get_args

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from pymeter.cli.errors import SAYS_NO
from pymeter.cli.options import AsJson, form
from pymeter.cli.output import bad, good, moment, note, number, show, stderr, stdout, table
from pymeter.cli.reporting.options import BillerName
from pymeter.cli.target import Context
from pymeter.models import Push, PushState, PushStatus, ReportJournal
from pymeter.visible import visible

_WIDE = 120
STOPPED = (
    "reporting is stopped: this journal was last used on another server; to report from this one, see"
    " pymeter report adopt --help"
)


def status(ctx: Context, biller: BillerName = "stripe", as_json: AsJson = False) -> None:
    """Show how much of each metric is in which state.

    Exit status 1: something is rejected, uncertain or stopped.
    """
    from pymeter.cli.reporting.display import status_table

    with ctx.obj.meter() as meter:
        rows = meter.report_status(biller)
        journal = meter.report_journal(biller)
    of_statements = journal.sends == "statements"
    show(rows, PushStatus, lambda found: status_table(found, of_statements=of_statements), form(as_json))
    if journal.stopped:
        stderr().print(bad(STOPPED))
    if journal.stopped or any(row.pushes for row in rows if row.state in ("rejected", "uncertain")):
        raise typer.Exit(SAYS_NO)


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
    if not rows:
        return note("no pushes; what would be sent: pymeter report --dry-run")
    # An identifier is copied from here: it is never folded. On a narrow terminal all else stands beside it.
    narrow = stdout().width < _WIDE
    of_statements = any(row.statement_id is not None for row in rows)
    what = "currency" if of_statements else "event name"
    more = ["push"] if narrow else ["customer", what, "value", "at (UTC)", "state", "error"]
    more += ["line"] if of_statements and not narrow else []
    result = table("identifier", *more, numbers=("value",), unfolded=("identifier",))
    for row in rows:
        state = row.state if row.reason is None else f"{row.state}: {row.reason}"
        value, at, error = number(row.value), moment(row.stamped_at), row.error or ""
        line = "" if row.statement_id is None else f"statement {row.statement_id}, line {row.line}"
        if narrow:
            lines = (f"{row.customer} {row.event_name} {value}", f"{at} {state}", line, error)
            result.add_row(row.identifier, Group(*(Text(visible(line)) for line in lines if line)))
        else:
            cells = (row.customer, row.event_name, value, at, state, error)
            result.add_row(row.identifier, *cells, *([line] if of_statements else []))
    return result


def adopt(
    ctx: Context,
    complete: Annotated[
        bool, typer.Option("--complete", help="Nothing was lost, as after a planned switchover.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Although it is not stopped: in a snapshot of a whole machine."),
    ] = False,
    biller: BillerName = "stripe",
    as_json: AsJson = False,
) -> None:
    """Report from this server after a restore or failover.

    Stop the old server's reporters first: two journals report the same usage twice. Usage that may have been
    sent already is looked up in the biller's totals, and is sent only if it is still missing there a day
    later.
    """
    with ctx.obj.meter() as meter:
        journal = meter.adopt_journal(biller, complete, force=force)
    show(journal, ReportJournal, lambda row: _adopted(row, complete), form(as_json))


def _adopted(journal: ReportJournal, complete: bool) -> RenderableType:
    lines = [good(f"{journal.biller}: reporting goes on from this server")]
    if journal.doubtful_until is not None:
        until = moment(journal.doubtful_until)
        why = "an earlier adoption was not complete: " if complete else ""
        rest = f"usage of hours before {until} UTC is compared with the biller's totals before it is sent"
        lines.append(note(f"  {why}{rest}"))
    return Group(*lines)
