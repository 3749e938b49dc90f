"""The usage of one metric by every subject, in a window."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pymeter.visible import visible
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.site import Page, Site
from pymeter.web.pages.tables import Column, Table
from pymeter.web.pages.windows import PERIODS, exact_of, field_of, one_of, time_of

_WORDS = {"day": "Today", "week": "This week", "month": "This month", "year": "This year"}


class Totals:
    """The page."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def get(self, request: Request) -> Response:
        """The page."""
        async with self._site.page(request) as page:
            catalog = await page.ask("catalog")
            metric = page.given("metric") or next((row["key"] for row in catalog.rows), None)
            if metric is None:
                return page.render("totals.html.jinja", title="Totals", catalog=catalog, metric=None)
            since, until = time_of(page, "since"), time_of(page, "until")
            is_explicit = since is not None or until is not None
            period = None if is_explicit else one_of(page, "period", PERIODS, "month")
            asked: dict[str, Any] = {"period": period, "since": since, "until": until}
            if page.timezone != "UTC" and period is not None:
                asked["timezone"] = page.timezone
            window = await page.ask("resolve_window", **asked)
            most = page.most("totals")
            # A later page is of the same window, also after midnight.
            answer = await page.ask(
                "totals",
                metric=metric,
                **asked,
                max_rows=most,
                after_subject=exact_of(page, "after_subject"),
            )
            found = next((row for row in catalog.rows if row["key"] == metric), None)
            lower, upper = window.row["resolve_window"].lower, window.row["resolve_window"].upper
            return page.render(
                "totals.html.jinja",
                [_totals(page, answer, metric, (lower, upper), most)],
                title="Totals",
                catalog=catalog,
                metric=metric,
                found=found,
                period=period,
                periods=[(value, _WORDS[value]) for value, _ in PERIODS],
                window=window,
                lower=lower,
                upper=upper,
                since=field_of(since, page.timezone),
                until=field_of(until, page.timezone),
                is_first=page.given("after_subject") is None,
            )


def _totals(
    page: Page,
    answer: Answer,
    metric: str,
    window: tuple[datetime | None, datetime | None],
    most: int,
) -> Table:
    since, until = (None if end is None else end.isoformat() for end in window)
    last = answer.rows[-1]["subject"] if answer.rows else ""
    after = {"since": since, "until": until, "after_subject": last}
    return Table(
        "totals",
        f"{visible(page.named(metric))} by subject",
        answer,
        (
            Column(
                "subject",
                "Subject",
                link=lambda row: page.link("/subject", subject=row["subject"], metric=metric),
            ),
            Column("quantity", "Quantity", "number"),
            Column(
                "event_count",
                "Events",
                "number",
                link=lambda row: page.link(
                    "/events", subject=row["subject"], metric=metric, since=since, until=until
                ),
            ),
        ),
        empty="No subject has used it in this window.",
        next=page.next(answer, most, **{name: value for name, value in after.items() if value is not None}),
    )
