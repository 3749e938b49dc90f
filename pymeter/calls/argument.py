"""Arguments of a call, and the checks that only Python can make: no floats, no times without a zone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from pymeter import exact_json
from pymeter.errors import InvalidInput
from pymeter.models import Quantity, to_decimal
from pymeter.times import instant

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_DIGITS_BEFORE_MAX = 131_072  # what numeric holds; what has more digits after the point would become 0
_DIGITS_AFTER_MAX = 16_383


class Argument(NamedTuple):
    """One argument of a SQL function."""

    name: LiteralString
    type: LiteralString
    """The SQL type that the value is cast to."""
    value: Any
    required: bool = False
    """Whether it is sent even if the value is None."""


def refuse(parameter: str, message: str, hint: str, detail: str | None = None) -> InvalidInput:
    """The error for a value of `parameter` that cannot be sent."""
    return InvalidInput(message, parameter=parameter, hint=hint, detail=detail or f"parameter {parameter}")


def text(name: LiteralString, value: str | None, *, required: bool = False) -> Argument:
    """A text that PostgreSQL can store."""
    if value is not None:
        if not isinstance(value, str):
            raise refuse(name, "the value is not a string", f"Convert it: {name}=str(...).")
        if "\0" in value or (not value.isascii() and _LONE_SURROGATE.search(value)):
            raise refuse(name, "the text cannot be stored", "Remove NUL characters and lone surrogates.")
    return Argument(name, "text", value, required)


def texts(name: LiteralString, values: Sequence[str] | None) -> Argument:
    """A list of texts."""
    if values is not None and (isinstance(values, str) or not isinstance(values, Sequence)):
        raise refuse(name, "the value is not a list", f"Give a list of strings: {name}=[...].")
    for value in values or ():
        text(name, value)
    return Argument(name, "text[]", None if values is None else list(values), True)


def quantity(name: LiteralString, value: Quantity | None, *, required: bool = False) -> Argument:
    """An exact number."""
    return Argument(name, "numeric", None if value is None else exact(name, value), required)


def quantities(name: LiteralString, values: Sequence[Quantity] | None) -> Argument:
    """A list of exact numbers."""
    if values is not None and (isinstance(values, str) or not isinstance(values, Sequence)):
        raise refuse(name, "the value is not a list", f"Give a list of numbers: {name}=[...].")
    exactly = None if values is None else [exact(name, value) for value in values]
    return Argument(name, "numeric[]", exactly)


def exact(name: str, value: object) -> Decimal:
    """The exact value of a quantity; InvalidInput for a float and for what is no number."""
    try:
        number = to_decimal(value)
    except ValueError as exc:
        if isinstance(value, int) and not isinstance(value, bool):
            raise _too_large(name) from exc  # without the value: writing it would take long, or fail
        raise refuse(
            name,
            f"{'a float is not exact' if isinstance(value, float) else 'the value is not a number'}",
            "Write it like 120 or 0.5."
            if isinstance(value, str)
            else "Give an int, a Decimal or a numeric string.",
            f"{name}: {_shown(value)}",
        ) from exc
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and (
        exponent < -_DIGITS_AFTER_MAX or number.adjusted() >= _DIGITS_BEFORE_MAX
    ):
        raise _too_large(name)
    return number


def _shown(value: object) -> str:
    try:
        return f"{value!r:.80}"
    except RecursionError:  # it is nested too deep
        return type(value).__name__


def _too_large(name: str) -> InvalidInput:
    return refuse(
        name, "the number has too many digits before or after the point", "Use a larger or smaller unit."
    )


def time(name: LiteralString, value: datetime | None, *, required: bool = False) -> Argument:
    """A time with a zone."""
    return Argument(name, "timestamptz", None if value is None else aware(name, value), required)


def aware(name: str, value: datetime) -> datetime:
    """The time in UTC; InvalidInput for a time without a zone."""
    if not isinstance(value, datetime):
        raise refuse(name, "the value is not a datetime", "Give an aware datetime.datetime.")
    if value.utcoffset() is None:
        raise refuse(
            name,
            "the time has no time zone",
            "Give an aware datetime, for example datetime.now(timezone.utc).",
            f"{name}: {value.isoformat()}",
        )
    return instant(value)


def boolean(name: LiteralString, value: bool | None, *, required: bool = False) -> Argument:
    """True or False."""
    if not isinstance(value, bool) and (required or value is not None):
        raise refuse(name, "the value is not a bool", "Give True or False.")
    return Argument(name, "boolean", value, required)


def integer(
    name: LiteralString, type: LiteralString, value: int | None, *, required: bool = False
) -> Argument:
    """A whole number, of the SQL type `type`."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise refuse(name, "the value is not an int", "Give an int.")
    return Argument(name, type, value, required)


def interval(name: LiteralString, value: str | timedelta | None) -> Argument:
    """A duration: a timedelta, or an interval as PostgreSQL writes it."""
    if not isinstance(value, timedelta):
        text(name, value)
    return Argument(name, "interval", value)


def identifier(name: LiteralString, value: UUID | str | None) -> Argument:
    """A UUID."""
    if value is not None and not isinstance(value, UUID):
        try:
            value = UUID(value)
        except (ValueError, AttributeError, TypeError) as exc:
            raise refuse(name, "the value is not a UUID", "Give a uuid.UUID, or its text.") from exc
    return Argument(name, "uuid", value)


def json(name: LiteralString, value: Any, *, required: bool = False) -> Argument:
    """A value that JSON can represent; numbers stay exact."""
    return Argument(name, "jsonb", None if value is None else document(json_text(name, value)), required)


def results(rows: Iterable[Mapping[str, Any]]) -> Argument:
    """The argument `results` of what settles: a list of dicts."""
    if rows is not None and (isinstance(rows, str | Mapping) or not isinstance(rows, Iterable)):
        raise refuse("results", "the value is not a list", "Give a list of dicts.")
    given = None if rows is None else [dict(row) if isinstance(row, Mapping) else row for row in rows]
    return json("results", given, required=True)


def json_text(name: str, value: Any, detail: str | None = None) -> str:
    """The JSON text of a value that jsonb can store; InvalidInput for any other."""
    try:
        return exact_json.storable(value)
    except (ValueError, RecursionError) as exc:
        reason = str(exc) if isinstance(exc, ValueError) else "it is nested too deep"
        raise InvalidInput(
            "the value has no form in JSON",
            sqlstate="22P05" if isinstance(exc, exact_json.BadText) else None,  # as PostgreSQL has it
            parameter=name,
            hint="Give dicts, lists, strings, numbers, None; no NUL characters and no lone surrogates.",
            detail=f"{detail}: {reason}" if detail else reason,
        ) from exc


def document(text: str) -> Jsonb:
    """A JSON text as the value of a parameter."""
    return Jsonb(text, dumps=_as_it_is)


def _as_it_is(text: Any) -> str:
    return str(text)


def window(
    period: str | None, since: datetime | None, until: datetime | None, timezone: str, now: datetime | None
) -> tuple[Argument, ...]:
    """The five arguments that define a window."""
    return (
        text("period", period),
        time("since", since),
        time("until", until),
        text("timezone", timezone, required=True),
        time("now", now),
    )
