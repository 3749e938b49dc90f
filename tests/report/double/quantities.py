"""Values of meter events: which texts are one, and sums that never round."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, Rounded

SIGNIFICANT_DIGITS_MAX = 15

# 200 digits are far more than any test adds up; a sum that needed more would raise instead of rounding.
_EXACT = Context(prec=200, traps=[Inexact, Rounded, InvalidOperation, Overflow])
_PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


def parse(text: str, *, decimals: bool, negatives: bool) -> Decimal | None:
    """The value of a plain decimal text, or None. An exponent is refused: strict on purpose."""
    if (
        not _PLAIN.fullmatch(text)
        or (not decimals and "." in text)
        or (not negatives and text.startswith("-"))
    ):
        return None
    return Decimal(text)


def significant_digits(text: str) -> int:
    """Digits of a plain decimal text without its leading zeros; trailing zeros count, the strict reading."""
    return len(text.lstrip("-").replace(".", "").lstrip("0"))


def exact_sum(values: Iterable[Decimal]) -> Decimal:
    total = Decimal(0)
    for value in values:
        total = _EXACT.add(total, value)
    return total


def plain(value: Decimal) -> str:
    """Digits without an exponent and without trailing zeros: equal values have equal texts."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text
