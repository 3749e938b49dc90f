"""Reporting to a biller: what has not arrived, why, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pymeter.calls.result import Row
from pymeter.web.pages import lookup
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.lookup import short
from pymeter.web.pages.site import Page, Site
from pymeter.web.pages.tables import Column, Table, plain
from pymeter.web.problems import bad_value

_ROWS = 20
_DIFFERENCES = 50
_ROWS_OF_REASONS = 10_000
"""As many as pushes() returns."""
_DECIDE = ("rejected", "uncertain", "held")
"""The states that wait for a person."""
_STATES = (
    *_DECIDE,
    "unmapped",
    "unplanned",
    "planned",
    "sending",
    "delivered",
    "resolved",
    "left",
    "replaced",
)
_WITHOUT_PUSH = ("unmapped", "unplanned")


class Reporting:
    """The pages."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def get(self, request: Request) -> Response:
        """One biller: how much is in each state, differences, and the pushes of a state."""
        async with self._site.page(request) as page:
            biller = _biller(page)
            status = await page.ask("report_status", biller=biller)
            journal = await page.ask("report_journal", biller=biller)
            counts = _counts(status)
            state = page.given("state") or next((one for one in _DECIDE if counts[one]["pushes"]), "all")
            tables = [
                _status(page, status),
                _differences(page, await page.ask("reconciliation", biller=biller)),
                await _pushes(page, biller, state),
            ]
            return page.render(
                "reporting.html.jinja",
                tables,
                title="Reporting",
                biller=biller,
                billers=await _billers(page, biller),
                counts=counts,
                status=status,
                journal=journal,
                states=[
                    ("all", "All"),
                    *((one, _choice(one, counts)) for one in _STATES if one not in _WITHOUT_PUSH),
                ],
                state=state,
                reasons=await _reasons(page, biller, counts),
                are_all_counted=max(counts[one]["pushes"] for one in ("rejected", "held"))
                <= _ROWS_OF_REASONS,
                may_decide=page.may("retry_pushes"),
            )

    async def one(self, request: Request) -> Response:
        """A push: what is sent, its state, and what can be decided."""
        async with self._site.page(request) as page:
            biller, push_id = _biller(page), lookup.required(page, "id")
            answer = await page.ask("pushes", biller=biller, max_rows=1, after_id=push_id + 1)
            if not answer.rows or answer.row["push_id"] != push_id:
                raise lookup.missing("push", "See the pushes on the page Reporting.")
            return page.render(
                "push.html.jinja",
                title=f"Push {push_id}",
                section="/reporting",
                biller=biller,
                answer=answer,
                may_decide=page.may("retry_pushes"),
            )

    async def retry(self, request: Request) -> Response:
        """Replace a push, or all that are rejected or held, by new ones."""
        async with self._site.action(request) as (page, fields):
            biller, identifier = fields.get("biller", ""), fields.get("identifier")
            answer = await page.ask("retry_pushes", biller=biller, identifier=identifier)
        if identifier is None:
            return page.done(f"{_number(answer)} planned anew.", "/reporting", biller=biller)
        made = answer.row
        return page.done(
            f"This push replaces {made['replaces']}.", "/push", biller=biller, id=made["push_id"]
        )

    async def leave(self, request: Request) -> Response:
        """Send a push, or all with one reason, never."""
        async with self._site.action(request) as (page, fields):
            biller = fields.get("biller", "")
            answer = await page.ask(
                "leave_pushes",
                biller=biller,
                identifier=fields.get("identifier"),
                reason=fields.get("left_reason"),
            )
        return page.done(f"{_number(answer)} left: never sent.", "/reporting", biller=biller, state="left")

    async def resolve(self, request: Request) -> Response:
        """Say whether the biller has counted an uncertain push."""
        async with self._site.action(request) as (page, fields):
            if fields.get("delivered") not in ("true", "false"):
                # What is not said is no "it was not counted", which sends it again.
                raise bad_value("delivered is neither true nor false", "Load the page again.", "delivered")
            is_delivered = fields["delivered"] == "true"
            answer = await page.ask(
                "resolve_push", identifier=fields.get("identifier", ""), delivered=is_delivered
            )
        row = answer.row
        told = "is resolved: the biller has counted it" if is_delivered else "is replaced by a new one"
        return page.done(f"Push {row['push_id']} {told}.", "/push", biller=row["biller"], id=row["push_id"])


def _biller(page: Page) -> str:
    return page.given("biller") or "stripe"


async def _billers(page: Page, biller: str) -> list[str]:
    """All, and the one that is looked at, which may not be defined."""
    found = {row["biller"] for row in (await page.ask("billers")).rows}
    return sorted(found | {biller})


def _counts(status: Answer) -> dict[str, dict[str, Any]]:
    """By state: how many pushes all metrics have together, and since when."""
    return {
        state: {
            "pushes": sum(row["pushes"] for row in status.rows if row["state"] == state),
            "oldest": _earliest(row["oldest"] for row in status.rows if row["state"] == state),
        }
        for state in _STATES
    }


async def _reasons(page: Page, biller: str, counts: dict[str, dict[str, Any]]) -> list[tuple[str, int]]:
    """Why pushes are rejected or held, and how many: the most frequent reason first."""
    if not page.may("leave_pushes"):
        return []
    found: Counter[str] = Counter()
    for state in ("rejected", "held"):
        if counts[state]["pushes"]:
            answer = await page.ask("pushes", biller=biller, state=state, max_rows=_ROWS_OF_REASONS)
            found.update(row["reason"] for row in answer.rows if row["reason"])
    return found.most_common()


def _earliest(times: Iterable[datetime | None]) -> datetime | None:
    return min((one for one in times if one is not None), default=None)


def _choice(state: str, counts: dict[str, dict[str, Any]]) -> str:
    number = counts[state]["pushes"]
    return f"{state.capitalize()} {number:,}" if number else state.capitalize()


def _number(answer: Answer) -> str:
    count = len(answer.rows)
    return "1 push is" if count == 1 else f"{count:,} pushes are"


def _status(page: Page, status: Answer) -> Table:
    rows = [row for row in status.rows if row["pushes"]]
    return Table(
        "status",
        "By metric and state",
        status,
        (
            page.metric_column(),
            Column("state", "State", "state"),
            Column("pushes", "Pushes", "number"),
            Column("quantity", "Quantity", "number"),
            Column("oldest", "Oldest", "ago", wide=True),
        ),
        empty="Nothing is reported to it: `pymeter report metric METRIC EVENT_NAME` maps a metric.",
        rows=tuple(sorted(rows, key=lambda row: _STATES.index(row["state"]))),
    )


def _differences(page: Page, answer: Answer) -> Table:
    count = len(answer.rows)
    return Table(
        "differences",
        "Differences to the biller's totals",
        answer,
        (
            Column("customer", "Customer", below=lambda row: row["event_name"]),
            Column("step", "Range", of=lambda row: f"{row['step']} from {row['range_start']:%Y-%m-%d %H:%M}"),
            Column("local", "Delivered", "number", wide=True),
            Column("remote", "At the biller", "number", wide=True),
            Column("difference", "Difference", "number"),
            Column("checked_at", "Compared", "ago", wide=True),
        ),
        empty="None was found. `pymeter report reconcile` compares.",
        note=f"The largest {_DIFFERENCES} of {count:,}." if count > _DIFFERENCES else "",
        rows=answer.rows[:_DIFFERENCES],
    )


async def _pushes(page: Page, biller: str, state: str) -> Table:
    most = page.most("pushes", _ROWS)
    answer = await page.ask(
        "pushes",
        biller=biller,
        state=None if state == "all" else state,
        subject=page.given("subject"),
        max_rows=most,
        after_id=lookup.whole(page, "after_id"),
    )

    def why(row: Row) -> str:
        return short(": ".join(filter(None, (row["reason"], row["error"]))))

    return Table(
        "pushes",
        "Pushes" if state == "all" else f"Pushes: {state}",
        answer,
        (
            Column(
                "push_id",
                "Push",
                of=plain("push_id"),
                link=lambda row: page.link("/push", biller=row["biller"], id=row["push_id"]),
            ),
            Column("customer", "Customer", below=lambda row: row["subject"]),
            Column("event_name", "Reported as", wide=True),
            Column("value", "Value", "number"),
            Column("stamped_at", "Time of the usage", "time", wide=True),
            Column("state", "State", "state", below=why),
            Column("planned_at", "Planned", "ago", wide=True),
        ),
        empty="None.",
        next=page.next(answer, most, after_id=answer.rows[-1]["push_id"] if answer.rows else 0),
    )
