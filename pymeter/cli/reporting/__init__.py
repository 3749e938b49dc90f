"""``pymeter report``: send usage to a biller, and see to what did not arrive.

The commands are in the modules that ``pymeter.calls.report_calls`` has too: mapping, planning (--dry-run),
sending, deciding, reconciling, journal.
"""

from __future__ import annotations

import typer

from pymeter.cli.help import add_command, help_text
from pymeter.cli.reporting import deciding, journal, mapping, reconciling, sending
from pymeter.cli.suggestions import SuggestingGroup

app = typer.Typer(
    cls=SuggestingGroup,
    help=help_text(sending.report),
    short_help="Report usage to a biller: Stripe, or OpenMeter.",
    invoke_without_command=True,
)

_SEE = "See what is reported"
_DECIDE = "Decide about single pushes"
_MAP = "Say what is reported"

app.callback(help=help_text(sending.report))(sending.report)
add_command(app, journal.status, _SEE)
add_command(app, journal.pushes, _SEE)
add_command(app, reconciling.reconcile, _SEE)
add_command(app, mapping.metric, _MAP)
add_command(app, mapping.subject, _MAP)
add_command(app, mapping.mappings, _MAP)
add_command(app, mapping.rules, _MAP)
add_command(app, deciding.retry, _DECIDE)
add_command(app, deciding.leave, _DECIDE)
add_command(app, deciding.resolve, _DECIDE)
add_command(app, journal.adopt, _DECIDE)
