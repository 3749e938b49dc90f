"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from json import JSONDecodeError
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from pymeter import exact_json, times
from pymeter.cli.output import Form

Subject = Annotated[str, typer.Argument(help="An account, an organisation, an API key.")]
MetricKey = Annotated[str, typer.Argument(help="The metric's key in the catalog.")]
PeriodOption = Annotated[
    str | None,
    typer.Option(
        "--period",
        "-p",
        help="hour, day, week, month, year; the subject's cycle; or the last '30 days', 15m.",
    ),
]
Since = Annotated[str | None, typer.Option(help="Start, inclusive: 2026-11-01 or 2026-11-01T09:00.")]
Until = Annotated[str | None, typer.Option(help="End, exclusive.")]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        help="Only what was recorded up to then: a time of recording, as a statement's watermark or what"
        " watermark() returned.",
    ),
]
Zone = Annotated[
    str, typer.Option("--timezone", "-z", help="Zone of periods, and of times without an offset.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON; quantities are strings.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV with a header.")]
OnlySubject = Annotated[str | None, typer.Option("--subject", "-s", help="Only this subject.")]
OnlyMetric = Annotated[str | None, typer.Option("--metric", "-m", help="Only this metric.")]


def form(as_json: bool, as_csv: bool = False, as_html: bool = False) -> Form:
    """The form that the flags ask for."""
    asked = [one for one, is_asked in zip(_FORMS, (as_json, as_csv, as_html), strict=True) if is_asked]
    if len(asked) > 1:
        raise typer.BadParameter(f"--{asked[0].value} and --{asked[1].value} exclude each other")
    return asked[0] if asked else Form.table


_FORMS = (Form.json, Form.csv, Form.html)


def read_zone(name: str) -> ZoneInfo:
    """A time zone by its name."""
    try:
        return times.read_zone(name)
    except ValueError as exc:
        raise typer.BadParameter(f"{exc}; a name looks like Europe/Berlin, or is UTC") from None


def read_moment(text: str | None, timezone: str, option: str) -> datetime | None:
    """A date or time in ISO 8601, cut off after microseconds; without an offset it is in `timezone`."""
    if text is None:
        return None
    try:
        value = times.read_time(text)
    except ValueError:
        raise typer.BadParameter(
            f"{option}: {text!r} is not a valid date or time; write 2026-11-01 or 2026-11-01T09:00:00Z"
        ) from None
    return value if value.utcoffset() is not None else value.replace(tzinfo=read_zone(timezone))


def read_window(
    since: str | None, until: str | None, timezone: str
) -> tuple[datetime | None, datetime | None]:
    """The two ends of a window, as --since and --until give them."""
    return read_moment(since, timezone, "--since"), read_moment(until, timezone, "--until")


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read_duration(text: str | None, option: str) -> timedelta | None:
    """A length of time such as 90 minutes, 2h or 7 days."""
    if text is None:
        return None
    match = re.fullmatch(
        r"([0-9]{1,6})\s*(s|m|h|d|w|sec|min|hour|day|week|second|minute)s?", text.strip().lower()
    )
    if match is None:
        raise typer.BadParameter(f"{option}: {text!r} is not a duration; write 90 minutes, 2h or 7 days")
    return timedelta(**{_UNITS[match[2][0]]: int(match[1])})


def read_json_object(text: str | None, option: str, example: str = '{"model": "large"}') -> Any:
    """A JSON object."""
    if text is None:
        return None
    wrong = ""
    try:
        value = exact_json.loads(text)
    except JSONDecodeError as error:
        value, wrong = None, f"line {error.lineno}, column {error.colno}: {error.msg}; "
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{option}: {wrong}write a JSON object, such as '{example}'")
    return value


def read_pairs(pairs: list[str] | None, option: str) -> dict[str, str]:
    """field=value, several times."""
    result: dict[str, str] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not name or not value:
            raise typer.BadParameter(f"{option}: write field=value, not {pair!r}")
        name = name.strip()
        if any(known.removesuffix("?") == name.removesuffix("?") for known in result):
            raise typer.BadParameter(
                f"{option}: {name} is given twice; a line becomes one event, so for several columns"
                " import the file once for each of them"
            )
        result[name] = value
    return result
