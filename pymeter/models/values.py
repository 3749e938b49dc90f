"""What all models are made of: exact quantities, aware times, frozen rows."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from operator import methodcaller
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict

from pymeter.times import instant, read_time

Quantity = Decimal | int | str
"""The types accepted as a quantity. A float is refused, because a float of 0.1 is not exactly a tenth."""

# As _parse_events() in SQL reads a text. Decimal() would also take 1_000, digits of other scripts, spaces.
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,200}(?:[.][0-9]{0,200})?|[.][0-9]{1,200})(?:[eE][+-]?[0-9]{1,3})?|nan|-?infinity",
    re.IGNORECASE | re.ASCII,
)
_INTEGER_BITS_MAX = 435_412  # 131,072 digits: numeric holds no more, and converting more takes long


def trim(text: str) -> str:
    """The text without surrounding white space."""
    return text.strip(" \t\n\r\f\v")


def is_number(text: str) -> bool:
    """Whether this is how a quantity is written: ASCII digits, a point, an exponent, no white space."""
    return _NUMBER.fullmatch(text) is not None


def to_decimal(value: object) -> Decimal:
    """The exact value of an int, a Decimal or a numeric string; ValueError for anything else, floats too."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, float):
        raise ValueError("a float is not exact: give an int, a Decimal or a string")
    if isinstance(value, int) and not isinstance(value, bool):
        if value.bit_length() > _INTEGER_BITS_MAX:
            raise ValueError("the number is too large")
        return Decimal(value)
    if isinstance(value, str):
        if not is_number(value := trim(value)):
            raise ValueError("not a number: write it as 12, 0.5 or 1e3")
        return Decimal(value)
    raise ValueError("not a number: give an int, a Decimal or a numeric string")


def _to_datetime(value: object) -> datetime:
    if isinstance(value, str):
        value = read_time(value)
    if not isinstance(value, datetime):
        raise ValueError("not a time: give a datetime, or ISO 8601 text with a UTC offset")
    return instant(value) if value.utcoffset() is not None else value


# Type checkers see the types that a caller may pass; the validated value is always a Decimal or a datetime.
GivenQuantity = Annotated[Quantity, BeforeValidator(to_decimal)]
GivenTime = Annotated[AwareDatetime | str, BeforeValidator(_to_datetime)]
Moment = Annotated[AwareDatetime, AfterValidator(methodcaller("astimezone", UTC))]


class Model(BaseModel):
    """A row of a result."""

    model_config = ConfigDict(frozen=True, extra="ignore")
