"""The command notifications: what was written for people and programs to know."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import RenderableType

from pymeter import exact_json
from pymeter.cli.options import (
    AsCsv,
    AsJson,
    MaxRows,
    OnlySubject,
    Zone,
    form,
    read_zone,
)
from pymeter.cli.output import Form, below, is_narrow, minute, moment, note, show, stdout, table
from pymeter.cli.target import Context
from pymeter.models import Notification


def notifications(
    ctx: Context,
    type: Annotated[str | None, typer.Option("--type", "-t", help="Such as threshold.exceeded.")] = None,
    subject: OnlySubject = None,
    rows: MaxRows = 20,
    after_id: Annotated[int | None, typer.Option(help="Go on after this one.")] = None,
    newest: Annotated[bool, typer.Option("--newest", help="Show the newest first.")] = False,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List marks reached, refusals, changes; oldest first."""
    wanted = form(as_json, as_csv)
    read_zone(timezone)
    with ctx.obj.meter() as meter:
        found = meter.notifications(
            type, subject=subject, after_id=after_id, max_rows=rows, newest_first=newest
        )
    show(found, Notification, lambda page: _notifications_table(page, timezone), wanted)
    if wanted is Form.table and len(found) == rows:
        stdout().print(note(f"next page: --after-id {found[-1].notification_id}"))


def _notifications_table(found: list[Notification], timezone: str) -> RenderableType:
    if not found:
        return note("no notifications")
    at = f"at ({timezone})"
    if is_narrow():
        return _stacked_notifications(found, at, timezone)
    result = table("id", at, "type", "subject", "metric", "data", numbers=("id",), unfolded=(at, "type"))
    for one in found:
        result.add_row(
            str(one.notification_id),
            moment(one.created_at.replace(microsecond=0), timezone),
            one.type,
            one.subject or "",
            one.metric or "",
            exact_json.dumps(one.data),
        )
    return result


def _stacked_notifications(found: list[Notification], at: str, timezone: str) -> RenderableType:
    """On a narrow terminal, data stands below: it is too long for a column beside four others."""
    result = table("id", at, "type, subject, metric, data", numbers=("id",), unfolded=(at,))
    for one in found:
        about = "  ".join(filter(None, (one.type, one.subject, one.metric)))
        data = ", ".join(f"{name}: {_said(value)}" for name, value in one.data.items())
        when = minute(one.created_at, timezone)
        result.add_row(str(one.notification_id), when, below(about, data))
    return result


def _said(value: Any) -> str:
    return value if isinstance(value, str) else exact_json.dumps(value)
