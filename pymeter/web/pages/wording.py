"""Numbers, times and amounts as a page writes them, and the colour of a state."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from pymeter import exact_json
from pymeter.invoice_page import words
from pymeter.numbers import number
from pymeter.times import read_zone
from pymeter.visible import visible

NONE = "\N{EN DASH}"
_STATES = {
    "good": "recorded approved applied delivered resolved closed billed healthy settled active",
    "bad": "rejected dead failed failing refused conflict exceeded reached disabled",
    "warn": "open uncertain waiting pending late unmapped unpriced held claimed blocked sending unsure"
    " approaching",
}
TONES = {state: tone for tone, states in _STATES.items() for state in states.split()}
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def quantity(value: Decimal | int | None) -> str:
    """Exact, with thousands separators and a minus sign."""
    return NONE if value is None else number(value).replace("-", "\N{MINUS SIGN}")


def share_of(value: Decimal | None) -> str:
    """A quantity of an invoice: exact, or the first decimals of a share that does not end."""
    return words.quantity(value).replace("-", "\N{MINUS SIGN}")


def rate(value: Decimal | None) -> str:
    """How many a second, to three digits or all those before the point."""
    if value is None:
        return NONE
    return rounded(value, max(0, 2 - max(0, value.adjusted()))) if value else "0"


def rounded(value: Decimal | None, decimals: int = 2) -> str:
    """For a share or a rate, which no bill is made of."""
    return NONE if value is None else quantity(round(value, decimals))


def amount(value: Decimal | None, currency: str | None = None) -> str:
    """With the decimals that the database gave it: those of the currency."""
    if value is None:
        return "unknown" if currency else NONE
    text = f"{value:,f}".replace("-", "\N{MINUS SIGN}")
    return f"{text} {currency}" if currency else text


def moment(value: datetime | None, timezone: str = "UTC") -> str:
    """A time in a zone, to the second."""
    if value is None:
        return NONE
    return value.astimezone(read_zone(timezone)).replace(tzinfo=None).isoformat(" ", "seconds")


def span(since: datetime | None, until: datetime | None, timezone: str = "UTC") -> str:
    """A period [since, until): its days, if it begins and ends at midnight."""
    ends = [None if one is None else one.astimezone(read_zone(timezone)) for one in (since, until)]
    if any(one is not None and (one.hour, one.minute, one.second) != (0, 0, 0) for one in ends):
        texts = [NONE if one is None else f"{one:%Y-%m-%d %H:%M}" for one in ends]
    else:
        texts = [NONE if one is None else f"{one:%Y-%m-%d}" for one in ends]
    return " to ".join(texts)


def ago(value: datetime | None, now: datetime | None = None) -> str:
    """How long ago, or how far ahead: 3 minutes ago, in 2 days."""
    if value is None:
        return "never"
    seconds = ((now or datetime.now(UTC)) - value).total_seconds()
    size, unit = next((one for one in _UNITS if abs(seconds) >= one[0]), _UNITS[-1])
    count = int(abs(seconds) // size)
    if count == 0:
        return "now"
    text = f"{count:,} {unit}{'' if count == 1 else 's'}"
    return f"{text} ago" if seconds > 0 else f"in {text}"


def tone(state: Any) -> str:
    """good, warn, bad or none: a colour beside the word, never instead of it."""
    return TONES.get(str(state), "none")


def with_code(hint: str, schema: str) -> Markup:
    """A hint whose parts in backticks are code; the meter of their statements is that of the page."""
    parts = hint.split("`")
    parts[1::2] = [
        Markup("<code>{}</code>").format(code.replace("meter.", f"{schema}.")) for code in parts[1::2]
    ]
    return Markup("").join(parts)


def fact(value: Any, timezone: str) -> str:
    """A value of a document: its times are texts."""
    if isinstance(value, str) and _TIME.fullmatch(value):
        return moment(datetime.fromisoformat(value), timezone).removesuffix(" 00:00:00")
    return text(value)


def text(value: Any) -> str:
    """Any other value; what would control a terminal or reorder a line is written as an escape."""
    if value is None:
        return NONE
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | Decimal):
        return quantity(value)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, list):
        return ", ".join(map(text, value)) or NONE
    return visible(exact_json.dumps(value))
