"""The first page: what is wrong, how fast is recorded, and the metrics."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pymeter.calls.result import Row
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.site import Page, Site
from pymeter.web.pages.tables import Column, Table

_RATE_OF = 100
_RATE_WITHIN = timedelta(minutes=1)
_EXPLAINED = (
    (r"^limits have refused", "/notifications?type=limit.refused"),
    (r"^corrections waiting", "/corrections"),
    (r"late usage", "/late-usage"),
    (r"billing cycle|statements|period could not be closed", "/statements"),
    (r"reporter|reporting to|not been reported", "/reporting"),
    (r"notifications have not been sent|endpoint|^deliveries|deliver(?:y|ies) to", "/notifications"),
    (r"^silent", "/subjects"),
)
"""What problems and notices begin with or say, and the page that shows more of it."""


class Overview:
    """The page."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def get(self, request: Request) -> Response:
        """The page."""
        async with self._site.page(request) as page:
            health = await page.ask("health")
            numbers = await page.ask("operational_metrics")
            newest = await page.ask("all_events", max_rows=_RATE_OF)
            catalog = await page.ask("catalog")
            activity = await page.ask("subjects", max_rows=page.most("active", 10))
            return page.render(
                "overview.html.jinja",
                [_metrics(page, catalog, numbers), _active(page, activity), _numbers(numbers)],
                title="Overview",
                health=health,
                rate=_rate(page, newest),
                explained=lambda text: _explained(page, text),
                newest=newest,
                counts={row["name"]: row["value"] for row in numbers.rows if not row["labels"]},
            )


def _explained(page: Page, text: str) -> str | None:
    """The address of the page that shows more about a problem or a notice."""
    found = next((path for pattern, path in _EXPLAINED if re.search(pattern, text)), None)
    return None if found is None else page.link(found)


def _rate(page: Page, newest: Answer) -> dict[str, Any] | None:
    """How many events a second the newest ones came at; 0, if the last one was a minute ago."""
    times = [row["recorded_at"] for row in newest.rows]
    if not times:
        return None
    last, took = max(times), max(times) - min(times)
    is_idle = page.now - last > _RATE_WITHIN
    per_second = None if took <= timedelta(0) else Decimal(len(times)) / Decimal(took.total_seconds())
    return {
        "events": len(times),
        "last": last,
        "is_idle": is_idle,
        "per_second": Decimal(0) if is_idle else per_second,
    }


def _metrics(page: Page, catalog: Answer, numbers: Answer) -> Table:
    found: dict[tuple[str, str], Decimal] = {
        (row["name"], row["labels"]["metric"]): row["value"]
        for row in numbers.rows
        if "metric" in row["labels"]
    }

    def of(name: str, row: Row) -> Decimal | None:
        return found.get((name, row["key"]))

    def age(row: Row) -> Any:
        seconds = of("pymeter_last_event_age_seconds", row)
        return None if seconds is None else page.now - timedelta(seconds=float(seconds))

    return Table(
        "metrics",
        "Metrics",
        catalog,
        (
            Column(
                "key",
                "Metric",
                of=lambda row: page.named(row["key"]),
                link=lambda row: page.link("/totals", metric=row["key"]),
                below=lambda row: row["key"],
            ),
            Column("aggregate", "Aggregate", wide=True),
            Column("unit", "Unit", wide=True),
            Column("events", "Events", "number", of=lambda row: of("pymeter_events_recorded", row)),
            Column(
                "refused",
                "Refused subjects",
                "number",
                of=lambda row: of("pymeter_limit_refused_subjects", row) or 0,
                wide=True,
            ),
            Column("last", "Last event", "ago", of=age),
        ),
        empty="No metric is defined yet: `SELECT meter.define_metric('tokens', 'sum', 'token')`",
    )


def _active(page: Page, activity: Answer) -> Table:
    return Table(
        "active",
        "Latest active subjects",
        activity,
        (
            Column("subject", "Subject", link=lambda row: page.link("/subject", subject=row["subject"])),
            Column("last_activity_at", "Last event", "ago"),
        ),
    )


def _numbers(numbers: Answer) -> Table:
    return Table(
        "numbers",
        "Numbers for monitoring",
        numbers,
        (
            Column("name", "Name", below=lambda row: row["help"]),
            Column("labels", "Labels", wide=True),
            Column("value", "Value", "number"),
        ),
    )
