"""Subjects: one by its name, those beyond a limit, and the most active ones."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from pymeter.calls.result import Row
from pymeter.times import read_time
from pymeter.web.pages import wording
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.site import Page, Site
from pymeter.web.pages.tables import Column, Table
from pymeter.web.pages.windows import exact_of, time_of

_MARKS = (
    ("used-up", "Used up a limit lately", "threshold.exceeded"),
    ("near", "Came near a limit lately", "threshold.approaching"),
)


class Subjects:
    """The page."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def get(self, request: Request) -> Response:
        """The page."""
        async with self._site.page(request) as page:
            most = page.most("subjects")
            after = {"after_subject": exact_of(page, "after_subject"), "after_at": time_of(page, "after_at")}
            active = await page.ask("subjects", max_rows=most, **after)
            is_first = after["after_subject"] is None
            over = await page.try_ask("overruns", max_rows=page.most("over")) if is_first else None
            tables = [_active(page, active, most)] + ([_over(page, over)] if over is not None else [])
            if is_first:
                tables += await _marks(page)
            return page.render("subjects.html.jinja", tables, title="Subjects")


def _active(page: Page, active: Answer, most: int) -> Table:
    last = active.rows[-1] if active.rows else {}
    after = {"after_subject": last.get("subject"), "after_at": last.get("last_activity_at")}
    return Table(
        "subjects",
        "Latest active",
        active,
        (
            Column("subject", "Subject", link=lambda row: page.link("/subject", subject=row["subject"])),
            Column("last_activity_at", "Last event", "ago"),
        ),
        empty="No event is recorded yet: `SELECT meter.record('acct_1', 'tokens', 120)`",
        next=page.next(active, most, **after),
    )


def _over(page: Page, over: Answer) -> Table:
    return Table(
        "over",
        "Beyond a limit",
        over,
        (
            Column(
                "subject", "Subject", link=lambda row: page.link("/subject/limits", subject=row["subject"])
            ),
            page.metric_column(),
            Column("limited_by", "Limit", below=lambda row: f"per {row['period']}", wide=True),
            Column("used", "Used", "number", below=lambda row: row["unit"]),
            Column("quota", "Quota", "number", wide=True),
            Column("overrun", "Beyond it", "number"),
            Column("cause", "Because of", wide=True),
        ),
        empty="No subject is beyond a limit that blocks.",
    )


async def _marks(page: Page) -> list[Table]:
    """Limits whose marks were reached in the running period; each once, under the highest."""
    found: list[Table] = []
    known: set[tuple[str, str]] = set()
    for name, title, kind in _MARKS:
        told = await page.ask("notifications", type=kind, max_rows=page.most(name, 20), newest_first=True)
        newest: dict[tuple[str, str], Row] = {}
        for row in told.rows:
            if _is_current(row, page.now) and (row["subject"], row["metric"]) not in known:
                newest.setdefault((row["subject"], row["metric"]), row)
        known |= set(newest)
        found.append(_reached(page, name, title, told, list(newest.values())))
    return found


def _reached(page: Page, name: str, title: str, told: Answer, rows: list[Row]) -> Table:
    return Table(
        name,
        title,
        told,
        (
            Column("subject", "Subject", link=lambda row: page.link("/subject", subject=row["subject"])),
            page.metric_column(),
            Column("mark", "Reached", of=_mark, wide=True),
            Column("created_at", "When", "ago"),
        ),
        rows=tuple(rows),
    )


def _mark(row: Row) -> str:
    data = row["data"]
    used, quota = (wording.quantity(data.get(name)) for name in ("numerator", "denominator"))
    return f"{used} of {quota} {data.get('unit', '')} per {data.get('period', '')}"


def _is_current(row: Row, now: datetime) -> bool:
    """Whether the period of the limit is still running."""
    until = row["data"].get("until")
    return row["subject"] is not None and (until is None or read_time(until) > now)
