"""Corrections: those that wait for a decision, what each would change, and the decision."""

from __future__ import annotations

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from pymeter.calls.result import Row
from pymeter.web.pages import lookup
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.lookup import short
from pymeter.web.pages.site import Page, Site
from pymeter.web.pages.tables import Column, Table, plain
from pymeter.web.pages.wording import moment, quantity, span

_STATES = (
    (None, "All"),
    ("open", "Open"),
    ("approved", "Approved"),
    ("rejected", "Rejected"),
    ("reverted", "Reverted"),
)
_ROWS = 50
_TOLD = 5


class Corrections:
    """The pages."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def get(self, request: Request) -> Response:
        """Those that wait, and all, the newest first."""
        async with self._site.page(request) as page:
            state, subject = page.given("state"), page.given("subject")
            after = lookup.whole(page, "after_id")
            is_first = state is None and subject is None and after is None
            tables = []
            if is_first:
                waiting = await page.ask("corrections", state="open", max_rows=page.most("waiting", _ROWS))
                tables.append(_waiting(page, waiting))
            most = page.most("corrections", _ROWS)
            answer = await page.ask(
                "corrections", state=state, subject=subject, max_rows=most, after_id=after
            )
            tables.append(_corrections(page, answer, most))
            return page.render(
                "corrections.html.jinja",
                tables,
                title="Corrections",
                states=_STATES,
                state=state,
                subject=subject,
            )

    async def one(self, request: Request) -> Response:
        """One of them: its entries, and what approving it would change."""
        async with self._site.page(request) as page:
            correction_id = lookup.required(page, "id")
            most = page.most("entries", _ROWS)
            after = lookup.whole(page, "after_ordinal")
            entries = await page.ask(
                "correction_entries", id=correction_id, max_rows=most, after_ordinal=after
            )
            header = await page.ask("corrections", max_rows=1, after_id=correction_id + 1)
            voided = [] if page.csv else await _voided(page, entries)
            tables = [_entries(page, entries, most, voided)]
            if header.row["state"] == "open":
                tables.append(_impact(page, await page.try_ask("preview_correction", id=correction_id)))
            return page.render(
                "correction.html.jinja",
                tables,
                title=f"Correction {correction_id}",
                header=header,
                may_decide=page.may("approve_correction"),
            )

    async def approve(self, request: Request) -> Response:
        """Make it count."""
        async with self._site.action(request) as (page, fields):
            correction_id = lookup.of_form(fields, "id")
            effects = await page.ask("approve_correction", id=correction_id)
            await page.name_metrics()
        return page.done(
            f"Correction {correction_id} is approved. {_changed(page, effects)}",
            "/correction",
            id=correction_id,
        )

    async def reject(self, request: Request) -> Response:
        """Close it; it counts nowhere."""
        async with self._site.action(request) as (page, fields):
            correction_id = lookup.of_form(fields, "id")
            await page.ask("reject_correction", id=correction_id, reason=fields.get("reason", ""))
        return page.done(
            f"Correction {correction_id} is rejected. Nothing was changed.", "/correction", id=correction_id
        )

    async def revert(self, request: Request) -> Response:
        """Take it back by another one."""
        async with self._site.action(request) as (page, fields):
            correction_id = lookup.of_form(fields, "id")
            answer = await page.ask("revert_correction", id=correction_id, reason=fields.get("reason", ""))
        (made,) = answer.row.values()
        return page.done(
            f"Correction {correction_id} is reverted, by correction {made}.", "/correction", id=made
        )


def _changed(page: Page, effects: Answer) -> str:
    """What approving returned, which no later question answers."""
    if not effects.rows:
        return "No total has changed."
    texts = [
        f"{short(row['subject'])}, {page.named(row['metric'])}: {quantity(row['before'])} became"
        f" {quantity(row['after'])}"
        for row in effects.rows[:_TOLD]
    ]
    more = len(effects.rows) - _TOLD
    return "; ".join(texts) + (f"; and {more:,} more totals." if more > 0 else ".")


def _count(row: Row) -> str:
    return f"{row['entries']:,} {'entry' if row['entries'] == 1 else 'entries'}, opened by {row['opened_by']}"


def _reason() -> Column:
    return Column("reason", "Reason", of=lambda row: short(row["reason"]), below=_count)


def _id(page: Page) -> Column:
    return Column(
        "correction_id",
        "Correction",
        of=plain("correction_id"),
        link=lambda row: page.link("/correction", id=row["correction_id"]),
    )


def _waiting(page: Page, answer: Answer) -> Table:
    return Table(
        "waiting",
        "Waiting for a decision",
        answer,
        (_id(page), _reason(), Column("opened_at", "Opened", "ago")),
        empty="None: `SELECT meter.open_correction('why')` opens one, `stage_correction()` fills it.",
    )


def _corrections(page: Page, answer: Answer, most: int) -> Table:
    return Table(
        "corrections",
        "Corrections",
        answer,
        (
            _id(page),
            Column("state", "State", "state"),
            _reason(),
            Column("opened_at", "Opened", "ago", wide=True),
            Column("decided_at", "Decided", "ago", of=lambda row: row["decided_at"] or "", wide=True),
            Column("decided_by", "By", of=lambda row: row["decided_by"] or "", wide=True),
        ),
        empty="There is none.",
        next=page.next(answer, most, after_id=answer.rows[-1]["correction_id"] if answer.rows else 0),
    )


async def _voided(page: Page, entries: Answer) -> list[Answer]:
    """The events that are taken back: their entries do not say how much they are of.

    Of what was dropped or is in an archive, nothing is known.
    """
    return [
        await page.try_ask("all_events", metric=row["metric"], after_id=row["corrects"] + 1, max_rows=1)
        for row in entries.rows
        if row["entry"] == "void" and row["corrects"] is not None
    ]


def _entries(page: Page, answer: Answer, most: int, events: list[Answer]) -> Table:
    # Of an event that is gone, the one before it was found.
    named = {row["corrects"] for row in answer.rows}
    voided = {row["event_id"]: row for found in events for row in found.rows if row["event_id"] in named}

    def counted(row: Row) -> str:
        """As it counts: what a void takes back is negative."""
        event = voided.get(row["corrects"]) if row["entry"] == "void" else None
        if event is None:
            return row["member"] or ("" if row["quantity"] is None else quantity(row["quantity"]))
        return event["member"] or ("" if event["quantity"] is None else quantity(-event["quantity"]))

    def time(row: Row) -> str:
        at = row["at"] or voided.get(row["corrects"], row)["at"]
        return "" if at is None else moment(at, page.timezone)

    is_decided = any(row["outcome"] is not None for row in answer.rows)
    outcome = [Column("outcome", "Outcome", "state")] if is_decided else []
    return Table(
        "entries",
        "Entries",
        answer,
        (
            Column("ordinal", "No.", wide=True),
            Column("entry", "Entry", below=lambda row: page.named(row["metric"])),
            Column(
                "subject",
                "Subject",
                link=lambda row: page.link("/subject", subject=row["subject"]),
                below=lambda row: short(row["reason"]),
            ),
            Column("corrects", "Event", of=_event, link=lambda row: _log(page, row), below=time),
            Column("quantity", "Quantity", "figure", of=counted),
            *outcome,
        ),
        more=tuple(events),
        empty="None yet: stage_correction() adds them.",
        next=page.next(answer, most, after_ordinal=answer.rows[-1]["ordinal"] if answer.rows else 0),
    )


def _event(row: Row) -> str:
    """What it changes, and by which key it is known."""
    named = "" if row["corrects"] is None else f"event {row['corrects']}"
    return ", ".join(filter(None, (named, row["idempotency_key"])))


def _log(page: Page, row: Row) -> str:
    """The log at the time of the event."""
    if row["corrects"] is None or row["at"] is None or row["subject"] is None:
        return ""
    window = {"since": row["at"].isoformat(), "until": (row["at"] + timedelta(seconds=1)).isoformat()}
    return page.link("/events", subject=row["subject"], metric=row["metric"], **window)


def _impact(page: Page, answer: Answer) -> Table:
    def about(row: Row) -> str:
        """The total that changes, and what makes it more than a number."""
        marks = [f"{page.named(row['metric'])}, {span(row['since'], row['until'], page.timezone)}"]
        if row["closed"]:
            marks.append("a statement holds it")
        if row["reported"]:
            marks.append("it was reported to a biller")
        if row["limits"]:
            marks.append(f"it crosses {', '.join(row['limits'])}")
        return "; ".join(marks)

    return Table(
        "impact",
        "What approving would change",
        answer,
        (
            Column(
                "subject",
                "Subject",
                link=lambda row: page.link("/subject", subject=row["subject"]),
                below=about,
            ),
            Column("before", "Before", "number", wide=True),
            Column("after", "After", "number"),
            Column("delta", "Change", "number"),
            Column("amount", "Amount", "amount"),
        ),
        empty="Nothing: what its entries say is so already.",
        note="As of now; nothing was written. Amount: by how much what the subject owes changes, if known.",
    )
