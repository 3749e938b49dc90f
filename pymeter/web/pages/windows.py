"""Windows that a page is asked for: times and choices in its query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pymeter.times import read_time, read_zone
from pymeter.web.pages.site import Page
from pymeter.web.problems import bad_value

PERIODS = (("day", "Day"), ("week", "Week"), ("month", "Month"), ("year", "Year"))


def exact_of(page: Page, name: str) -> str | None:
    """A name in the query, as it is written there: spaces around it may be a part of it."""
    return page.request.query_params.get(name) or None


def time_of(page: Page, name: str) -> datetime | None:
    """A time of the query; without an offset it is in the page's time zone."""
    text = page.given(name)
    if text is None:
        return None
    try:
        value = read_time(text)
        return value if value.tzinfo else value.replace(tzinfo=read_zone(page.timezone))
    except ValueError:
        raise bad_value(
            f"{name} is not a time", "Write it like 2026-11-01 or 2026-11-01 14:30.", name
        ) from None


def one_of(page: Page, name: str, allowed: tuple[tuple[str, str], ...], default: str) -> str:
    """A value of the query that is one of the choices."""
    value = page.given(name) or default
    if value not in [choice for choice, _ in allowed]:
        words = ", ".join(choice for choice, _ in allowed)
        raise bad_value(f"{name} is unknown", f"Use one of: {words}.", name)
    return value


def field_of(value: datetime | None, timezone: str) -> str:
    """A time as the value of a field, exact, in a zone; with its offset where clocks go back."""
    if value is None:
        return ""
    local = value.astimezone(read_zone(timezone))
    if local.fold:
        return local.isoformat(" ")  # without it, the text would be the time an hour before
    text = local.replace(tzinfo=None).isoformat(" ")
    return text.removesuffix(":00").removesuffix(" 00:00")


@dataclass(frozen=True)
class Span:
    """What a chart shows: the last so many steps, and the running one."""

    title: str
    step: str
    length: timedelta


SPANS = {
    "2d": Span("48 hours", "hour", timedelta(hours=47)),
    "30d": Span("30 days", "day", timedelta(days=29)),
    "26w": Span("26 weeks", "week", timedelta(weeks=25)),
    "12m": Span("12 months", "month", timedelta(days=335)),
}


def window_of(span: Span, now: datetime, timezone: str) -> tuple[datetime, datetime]:
    """A window that begins and ends where steps do, in the time zone; series() cuts it into them."""
    local = now.astimezone(read_zone(timezone))
    if span.step == "hour":
        # Hours of the zone, some of which begin at half past in UTC; counted in UTC, where none is skipped.
        into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        start = now - into - span.length
        return start, start + span.length + timedelta(hours=1)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    until = midnight + timedelta(days=1)
    start = midnight - span.length
    if span.step == "week":
        start -= timedelta(days=start.weekday())
    elif span.step == "month":
        start = start.replace(day=1)
    return start, until
