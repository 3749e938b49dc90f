"""The log: the events behind a number, of one subject or of all."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pymeter.calls.result import Row
from pymeter.visible import visible
from pymeter.web.pages import wording
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.site import Page, Site
from pymeter.web.pages.subject import subject_of
from pymeter.web.pages.tables import Column, Table
from pymeter.web.pages.windows import field_of, time_of

_LATE_SECONDS = 3600


class Events:
    """The pages."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def of_subject(self, request: Request) -> Response:
        """The events of one subject, and what they add up to."""
        async with self._site.page(request) as page:
            subject = subject_of(page)
            asked = _asked(page)
            most = page.most("events")
            after = {"after_id": page.given("after_id"), "after_at": time_of(page, "after_at")}
            answer = await page.ask("events", subject=subject, **asked, **after, max_rows=most)
            last = answer.rows[-1] if answer.rows else {}
            following = page.next(answer, most, after_id=last.get("event_id"), after_at=last.get("at"))
            has_window = asked["since"] is not None or asked["until"] is not None
            total = None
            if asked["metric"] is not None and has_window:
                total = await page.try_ask("usage", subject=subject, **asked)
            return page.render(
                "events.html.jinja",
                [_table(page, answer, following)],
                title=f"Events of {visible(subject)}",
                subject=subject,
                total=total,
                **await _form(page, asked),
            )

    async def of_all(self, request: Request) -> Response:
        """The events of all subjects, the last ones that were recorded first."""
        async with self._site.page(request) as page:
            asked = _asked(page)
            most = page.most("events")
            answer = await page.ask("all_events", **asked, after_id=page.given("after_id"), max_rows=most)
            last = answer.rows[-1] if answer.rows else {}
            following = page.next(answer, most, after_id=last.get("event_id"))
            return page.render(
                "all_events.html.jinja",
                [_table(page, answer, following, of_all=True)],
                title="Events of all subjects",
                **await _form(page, asked),
            )


def _asked(page: Page) -> dict[str, Any]:
    return {
        "metric": page.given("metric"),
        "since": time_of(page, "since"),
        "until": time_of(page, "until"),
    }


async def _form(page: Page, asked: dict[str, Any]) -> dict[str, Any]:
    catalog = await page.ask("catalog")
    return {
        "metrics": [row["key"] for row in catalog.rows],
        "metric": asked["metric"],
        "since": field_of(asked["since"], page.timezone),
        "until": field_of(asked["until"], page.timezone),
        "since_time": asked["since"],
        "until_time": asked["until"],
        "section": "/subjects",
    }


def _table(page: Page, answer: Answer, following: str | None, *, of_all: bool = False) -> Table:
    subject = Column("subject", "Subject", link=lambda row: page.link("/subject", subject=row["subject"]))
    return Table(
        "events",
        "Events",
        answer,
        (
            Column("at", "Time", "time", below=lambda row: _recorded(row, page.timezone)),
            *((subject,) if of_all else ()),
            *((page.metric_column(),) if page.given("metric") is None else ()),
            Column("quantity", "Quantity", "figure", of=_quantity, below=_correction),
            Column(
                "idempotency_key", "Idempotency key", wide=True, below=lambda row: f"event {row['event_id']}"
            ),
            Column("metadata", "Metadata", wide=True),
        ),
        empty="No events.",
        next=following,
    )


def _quantity(row: Row) -> str:
    if row["quantity"] is not None:
        return wording.quantity(row["quantity"])
    return visible(row["member"] or wording.NONE)


def _correction(row: Row) -> str:
    if row["kind"] == "adjustment":
        return "adjustment"
    if row["corrects"] is None:
        return ""
    return f"{'takes back' if row['kind'] == 'void' else 'replaces'} event {row['corrects']}"


def _recorded(row: Row, timezone: str) -> str:
    """When it was recorded, if that was not at once."""
    at: datetime = row["at"]
    recorded: datetime = row["recorded_at"]
    late = (recorded - at).total_seconds()
    return "" if abs(late) < _LATE_SECONDS else f"recorded {wording.moment(recorded, timezone)}"
