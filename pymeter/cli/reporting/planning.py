"""``pymeter report --dry-run``: what would be sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from pymeter.cli.options import form
from pymeter.cli.output import bad, counted, good, moment, number, show, stderr, table
from pymeter.cli.reporting.journal import STOPPED
from pymeter.cli.target import Settings
from pymeter.client import Meter
from pymeter.models import PlannedPush, Push


def show_planned(settings: Settings, biller: str, open_hours: bool, as_json: bool) -> None:
    """Print what a run would send, planned or not; write nothing."""
    with settings.meter() as meter:
        waiting = _pages(lambda after: meter.pushes(biller, "planned", after_id=after, max_rows=1000))
        new = meter.preview_pushes(biller, open_hours)
        journal = meter.report_journal(biller)
        left_out = _left_out(meter, biller, journal.sends == "statements")
    rows = [*(_as_sent(push) for push in waiting), *(_as_sent(push) for push in new)]
    show(rows, None, lambda found: Group(_planned_table(found), *left_out), form(as_json))
    if journal.stopped:
        stderr().print(bad(STOPPED))


def _left_out(meter: Meter, biller: str, statements: bool) -> list[RenderableType]:
    """Why usage, or statements, are missing from what would be sent."""
    mapped = {row.metric for row in meter.report_mappings(biller) if row.event_name is not None}
    if not mapped and not statements:
        return [bad(f"no metric is reported to {biller}: see pymeter report metric --help")]
    return [
        bad(
            f"{counted(row.pushes, 'subject')} {'with statements in' if statements else 'of'} {row.metric}"
            f" {'has' if row.pushes == 1 else 'have'}"
            " no customer: see pymeter report subject --help"
        )
        for row in meter.report_status(biller)
        if row.state == "unmapped" and row.pushes and (statements or row.metric in mapped)
    ]


def _pages(page: Callable[[int | None], list[Push]]) -> list[Push]:
    """All rows, oldest first."""
    rows: list[Push] = []
    after: int | None = None
    while found := page(after):
        rows += found
        after = found[-1].push_id
    return rows[::-1]


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
        "statement_id": push.statement_id,
        "line": push.line,
        "description": push.description,
    }


def _planned_table(rows: list[dict[str, Any]]) -> RenderableType:
    if any(row["statement_id"] is not None for row in rows):
        return Group(_items_table(rows), _calls(rows))
    numbers = ("value", "timestamp")
    result = table("customer", "event name", *numbers, "at (UTC)", "state", "identifier", numbers=numbers)
    for row in rows:
        result.add_row(
            Text(row["customer"]),
            Text(row["event_name"]),
            row["value"],
            str(row["timestamp"]),
            moment(row["stamped_at"]),
            _state(row),
            row["identifier"] or "new",
        )
    return Group(result, _calls(rows))


def _items_table(rows: list[dict[str, Any]]) -> RenderableType:
    numbers = ("statement", "line", "amount")
    result = table("customer", *numbers, "currency", "description", "state", "identifier", numbers=numbers)
    for row in rows:
        result.add_row(
            Text(row["customer"]),
            str(row["statement_id"]),
            str(row["line"]),
            row["value"],
            row["event_name"],
            Text(row["description"]),
            _state(row),
            row["identifier"] or "new",
        )
    return result


def _state(row: dict[str, Any]) -> str:
    return row["state"] if row["reason"] is None else f"{row['state']}: {row['reason']}"


def _calls(rows: list[dict[str, Any]]) -> RenderableType:
    states = Counter(row["state"] for row in rows)
    line = f"{counted(states['planned'], 'call')} would be made"
    if states["uncertain"]:
        line += f"; {number(states['uncertain'])} uncertain: first compared with the biller's totals"
    return good(f"{line}; nothing was sent or written")
