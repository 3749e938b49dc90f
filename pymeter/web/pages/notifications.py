"""Notifications: the feed, the endpoints it is sent to, and what could not be sent."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from pymeter.calls.result import Row
from pymeter.web.pages import lookup
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.facts import facts
from pymeter.web.pages.lookup import short
from pymeter.web.pages.site import Page, Site
from pymeter.web.pages.tables import Column, Table, plain
from pymeter.web.pages.wording import text

_ROWS = 20
_STATES = tuple(
    (one, one.capitalize() if one else "All")
    for one in (None, "dead", "waiting", "planned", "sending", "delivered")
)
_SECTION = "/notifications"


class Notifications:
    """The pages."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def get(self, request: Request) -> Response:
        """Endpoints, deliveries, and the notifications themselves."""
        async with self._site.page(request) as page:
            state, endpoint = page.given("state"), page.given("endpoint")
            subject, kind = page.given("subject"), page.given("type")
            endpoints = await page.ask("endpoints")
            most = page.most("deliveries", _ROWS)
            sent = await page.ask(
                "deliveries",
                endpoint=endpoint,
                state=state,
                subject=subject,
                max_rows=most,
                after_id=lookup.whole(page, "after_delivery"),
            )
            told = page.most("notifications", _ROWS)
            feed = await page.ask(
                "notifications",
                type=kind,
                subject=subject,
                max_rows=told,
                after_id=lookup.whole(page, "after_notification"),
                newest_first=True,
            )
            return page.render(
                "notifications.html.jinja",
                [_endpoints(page, endpoints), _deliveries(page, sent, most), _feed(page, feed, told)],
                title="Notifications",
                dead=[row for row in endpoints.rows if row["dead_deliveries"]],
                disabled=[row for row in endpoints.rows if row["disabled_at"]],
                states=_STATES,
                names=[(None, "All endpoints"), *((row["name"], row["name"]) for row in endpoints.rows)],
                state=state,
                endpoint=endpoint,
                subject=subject,
                kind=kind,
            )

    async def endpoint(self, request: Request) -> Response:
        """One endpoint, and its last deliveries."""
        async with self._site.page(request) as page:
            answer = await page.ask("endpoints")
            name = page.given("name")
            row = next((row for row in answer.rows if row["name"] == name), None)
            if row is None:
                raise lookup.missing("endpoint", "See the endpoints on the page Notifications.")
            most = page.most("deliveries", _ROWS)
            after = lookup.whole(page, "after_delivery")
            sent = await page.ask("deliveries", endpoint=name, max_rows=most, after_id=after)
            return page.render(
                "endpoint.html.jinja",
                [_deliveries(page, sent, most)],
                title=f"Endpoint {name}",
                section=_SECTION,
                answer=answer,
                row=row,
                may_decide=page.may("test_endpoint"),
            )

    async def delivery(self, request: Request) -> Response:
        """One delivery: what is sent, and its state."""
        async with self._site.page(request) as page:
            delivery_id = lookup.required(page, "id")
            answer = await page.ask("deliveries", max_rows=1, after_id=delivery_id + 1)
            if not answer.rows or answer.row["delivery_id"] != delivery_id:
                raise lookup.missing("delivery", "See the deliveries on the page Notifications.")
            return page.render(
                "delivery.html.jinja",
                title=f"Delivery {delivery_id}",
                section=_SECTION,
                answer=answer,
                may_decide=page.may("retry_deliveries"),
            )

    async def test(self, request: Request) -> Response:
        """Plan a test message."""
        async with self._site.action(request) as (page, fields):
            row = (await page.ask("test_endpoint", name=fields.get("name", ""))).row
        told = "A test message is planned. The next run of pymeter notify sends it."
        return page.done(told, "/delivery", id=row["delivery_id"])

    async def retry(self, request: Request) -> Response:
        """Send again what was given up: one delivery, or all of an endpoint."""
        async with self._site.action(request) as (page, fields):
            name = fields.get("name")
            one = lookup.of_form(fields, "id") if "id" in fields else None
            if name is None and one is None:
                raise lookup.missing("endpoint", "See the endpoints on the page Notifications.")
            answer = await page.ask("retry_deliveries", endpoint=name, delivery_id=one)
        (count,) = answer.row.values()
        deliveries = "1 delivery is" if count == 1 else f"{count:,} deliveries are"
        told = f"{deliveries} sent again by the next run of pymeter notify."
        if one is not None:
            return page.done(told, "/delivery", id=one)
        return page.done(told, "/endpoint", name=name)


def _state(row: Row) -> str:
    """What an endpoint is at."""
    if row["disabled_at"]:
        return "disabled"
    return "failing" if row["failing_since"] else "active"


def _endpoints(page: Page, answer: Answer) -> Table:
    def about(row: Row) -> str:
        return short(row["url"] or f"the URL is the secret {row['secret_name']}")

    return Table(
        "endpoints",
        "Endpoints",
        answer,
        (
            Column(
                "name", "Endpoint", link=lambda row: page.link("/endpoint", name=row["name"]), below=about
            ),
            Column("state", "State", "state", of=_state),
            Column("types", "Types", of=lambda row: short(text(row["types"])), wide=True),
            Column("open_deliveries", "To send", "number"),
            Column("oldest_open_at", "Oldest", "ago", of=lambda row: row["oldest_open_at"] or "", wide=True),
            Column("dead_deliveries", "Given up", "number"),
        ),
        empty="None: `SELECT meter.define_endpoint('ops', 'https://example.com/hook', '{*}')` adds one.",
    )


def _deliveries(page: Page, answer: Answer, most: int) -> Table:
    def why(row: Row) -> str:
        return short(" ".join(filter(None, (text(row["status"]) if row["status"] else "", row["error"]))))

    return Table(
        "deliveries",
        "Deliveries",
        answer,
        (
            Column(
                "delivery_id",
                "Delivery",
                of=plain("delivery_id"),
                link=lambda row: page.link("/delivery", id=row["delivery_id"]),
            ),
            Column("type", "Type", "word", below=lambda row: row["subject"] or ""),
            Column("endpoint", "Endpoint", wide=True),
            Column("state", "State", "state", below=why),
            Column("attempts", "Attempts", "number", wide=True),
            Column("created_at", "Planned", "ago", wide=True),
        ),
        empty="None.",
        next=page.next(answer, most, after_delivery=answer.rows[-1]["delivery_id"] if answer.rows else 0),
    )


def _feed(page: Page, answer: Answer, most: int) -> Table:
    def metric(row: Row) -> str:
        return "" if row["metric"] is None else page.named(row["metric"])

    return Table(
        "notifications",
        "Feed",
        answer,
        (
            Column("notification_id", "No.", of=plain("notification_id"), wide=True),
            Column("type", "Type", "word", below=metric),
            Column(
                "subject",
                "Subject",
                of=lambda row: row["subject"] or "",
                link=lambda row: _subject(page, row),
            ),
            Column("data", "Facts", of=facts(page.timezone), wide=True),
            Column("created_at", "Written", "ago", wide=True),
        ),
        empty="Nothing.",
        next=page.next(
            answer, most, after_notification=answer.rows[-1]["notification_id"] if answer.rows else 0
        ),
    )


def _subject(page: Page, row: Row) -> str:
    return "" if row["subject"] is None else page.link("/subject", subject=row["subject"])
