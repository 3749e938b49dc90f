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
        stopped = meter.report_journal(biller).stopped
        left_out = _left_out(meter, biller)
    rows = [*(_as_sent(push) for push in waiting), *(_as_sent(push) for push in new)]
    show(rows, None, lambda found: Group(_planned_table(found), *left_out), form(as_json))
    if stopped:
        stderr().print(bad(STOPPED))


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
    }


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
