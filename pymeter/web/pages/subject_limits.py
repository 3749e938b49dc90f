"""What a subject may use: limits, top-ups, reservations, plans, and what there was to tell."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from pymeter.calls.result import Row
from pymeter.visible import visible
from pymeter.web.pages import wording
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.site import Page, Site
from pymeter.web.pages.subject import subject_of
from pymeter.web.pages.tables import Column, Table

_SUMMED = ("sum", "count")


class SubjectLimits:
    """The page."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def get(self, request: Request) -> Response:
        """The page."""
        async with self._site.page(request) as page:
            subject = subject_of(page)
            catalog = await page.ask("catalog")
            limited = [row for row in catalog.rows if row["limited"]]
            tables: list[Table] = []
            groups = [await _of_metric(page, subject, row, tables) for row in limited]
            over = await page.try_ask("overruns", subject=subject)
            held = await page.ask(
                "reservations",
                subject=subject,
                before_id=page.given("before_id"),
                max_rows=page.most("reservations"),
            )
            plans = await page.ask("subscriptions", subject=subject)
            tables += [_over(page, over), _reservations(page, held), _plans(page, plans)]
            return page.render(
                "subject_limits.html.jinja",
                tables,
                title=f"Limits of {visible(subject)}",
                subject=subject,
                catalog=catalog,
                groups=[names for names in groups if names],
            )


async def _of_metric(page: Page, subject: str, metric: Row, tables: list[Table]) -> list[str]:
    """The tables of a limited metric: their names."""
    key, title = metric["key"], visible(page.named(metric["key"]))
    limits = await page.ask("effective_limits", subject=subject, metric=key)
    if not limits.rows:
        return []
    found = [_limits(page, f"limits-{key}", f"Limits of {title}", limits)]
    if metric["aggregate"] in _SUMMED:
        top_ups = await page.ask("top_ups", subject=subject, metric=key, at=page.now)
        if top_ups.rows:
            found.append(_top_ups(page, f"top-ups-{key}", f"Top-ups of {title}", top_ups))
    tables += found
    return [table.name for table in found]


def _limits(page: Page, name: str, title: str, limits: Answer) -> Table:
    return Table(
        name,
        title,
        limits,
        (
            Column("name", "Limit", below=lambda row: f"per {row['period']}, of {_source(row)}"),
            Column(
                "quota",
                "Quota",
                "figure",
                of=lambda row: "unlimited" if row["quota"] is None else row["quota"],
            ),
            Column("action", "Beyond it", wide=True),
            Column(
                "since",
                "Window",
                of=lambda row: wording.span(row["since"], row["until"], page.timezone),
                wide=True,
            ),
            Column("counts", "Counts", of=lambda row: row["counts"], below=lambda row: row["reason"]),
        ),
    )


def _source(row: Row) -> str:
    return f"the plan {row['plan']}" if row["plan"] is not None else str(row["source"])


def _top_ups(page: Page, name: str, title: str, top_ups: Answer) -> Table:
    return Table(
        name,
        title,
        top_ups,
        (
            Column(
                "source",
                "Top-up",
                of=lambda row: (
                    f"{row['source']}{'' if row['top_up_id'] is None else ' ' + str(row['top_up_id'])}"
                ),
                below=lambda row: row["reason"] or "",
            ),
            Column("quantity", "Quantity", "number", wide=True),
            Column("used", "Used", "number"),
            Column("remaining", "Left", "number"),
            Column(
                "expires_at",
                "Expires",
                of=lambda row: (
                    "never" if row["expires_at"] is None else wording.ago(row["expires_at"], page.now)
                ),
                wide=True,
            ),
        ),
    )


def _over(page: Page, over: Answer) -> Table:
    return Table(
        "over",
        "Beyond a limit",
        over,
        (
            page.metric_column(lambda row: row["unit"], link=lambda row: _usage(page, row)),
            Column("limited_by", "Limit", below=lambda row: f"per {row['period']}", wide=True),
            Column("used", "Used", "number"),
            Column("quota", "Quota", "number", wide=True),
            Column("overrun", "Beyond it", "number"),
            Column("cause", "Because of", wide=True),
        ),
    )


def _usage(page: Page, row: Row) -> str:
    return page.link("/subject", subject=row["subject"], metric=row["metric"])


def _reservations(page: Page, held: Answer) -> Table:
    return Table(
        "reservations",
        "Reservations",
        held,
        (
            Column("reservation_id", "Reservation", of=lambda row: f"{row['reservation_id']}", below=_key),
            page.metric_column(),
            Column("held", "Held", "number"),
            Column("settled_quantity", "Used", "number", wide=True),
            Column("state", "State", "state"),
            Column("expires_at", "Expires", "ago", wide=True),
        ),
        empty="Nothing was reserved.",
        next=page.next(held, page.most("reservations"), before_id=_last(held)),
    )


def _key(row: Row) -> str:
    return str(row["idempotency_key"] or "")


def _last(held: Answer) -> int | None:
    return held.rows[-1]["reservation_id"] if held.rows else None


def _plans(page: Page, plans: Answer) -> Table:
    return Table(
        "plans",
        "Plans",
        plans,
        (
            Column("plan", "Plan", link=lambda row: page.link("/prices", plan=row["plan"])),
            Column("since", "From", "time"),
            Column("until", "To", of=lambda row: wording.moment(row["until"], page.timezone)),
        ),
        empty="The subject has no plan.",
    )
