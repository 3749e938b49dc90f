"""The form of numbers and times in a request: the same for an event alone, in an array and in a query.

`_parse_events()` in SQL reads the events of an array. A cast, which reads all other values, is more lenient:
it takes a time without an offset for UTC, and `yesterday` for a time, and rounds what is finer than a
microsecond, possibly into the next month.
"""

from __future__ import annotations

import re

from pymeter.web.problems import bad_value

_NUMBER = re.compile(
    r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?|nan|[+-]?inf(?:inity)?", re.IGNORECASE
)
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9])"
    r"(?:(:(?:[0-5][0-9]|60(?![.,]0*[1-9])))(?:[.,]([0-9]+))?)?"
    r" ?([Zz]|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)"
)
_ENDLESS = re.compile(r"-?infinity", re.IGNORECASE)


def checked(name: str, type: str, text: str) -> str:
    """The text as PostgreSQL reads it, if it has the form of its type. Raises Problem 400."""
    type = type.removesuffix("[]")
    if type == "numeric" and not _NUMBER.fullmatch(text):
        raise bad_value(f"{name} is not a number", "Give a decimal number such as 12 or 0.5.", name)
    if type in ("bigint", "integer", "smallint") and not _INTEGER.fullmatch(text):
        raise bad_value(f"{name} is not a whole number", "Give a number such as 12.", name)
    if type == "timestamp with time zone":
        return text if _DATE.fullmatch(text) or _ENDLESS.fullmatch(text) else _instant(name, text)
    return text


def check_event_time(at: object) -> None:
    """Raises Problem 400 for a date: an event happens at an instant."""
    if isinstance(at, str) and _DATE.fullmatch(at):
        raise _no_instant("at")


def _instant(name: str, text: str) -> str:
    """What is finer than a microsecond is cut off."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise _no_instant(name)
    minute, second, fraction, offset = found.groups()
    return f"{minute}{second or ''}{'.' + fraction[:6] if fraction else ''}{offset}"


def _no_instant(name: str) -> Exception:
    return bad_value(
        f"{name} is not a time with a UTC offset",
        "Use ISO 8601 with an offset, such as 2026-06-18T14:30:45Z; in a URL, + is %2B.",
        name,
    )
