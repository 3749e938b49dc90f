"""``pymeter report``: send usage to a biller, and see to what did not arrive.

The commands are in the modules that ``pymeter.calls.report_calls`` has too: mapping, planning (--dry-run),
sending, deciding, reconciling, journal.
"""

from __future__ import annotations

import typer

from pymeter.cli.reporting import deciding, journal, mapping, reconciling, sending
from pymeter.cli.suggestions import SuggestingGroup

app = typer.Typer(
    cls=SuggestingGroup,
    help="Report usage to a biller (Stripe): --once for cron, --watch to keep at it, --dry-run to look "
    "first. Exit status: 0 all is sent; 1 something is rejected, uncertain or waits for another attempt; "
    "2 it could not run, or the biller could not be reached.",
    invoke_without_command=True,
)

app.callback()(sending.report)
app.command()(journal.status)
app.command()(journal.pushes)
app.command()(reconciling.reconcile)
app.command()(deciding.retry)
app.command()(deciding.leave)
app.command()(deciding.resolve)
app.command()(journal.adopt)
app.command()(mapping.metric)
app.command()(mapping.subject)
app.command()(mapping.mappings)
app.command()(mapping.rules)
