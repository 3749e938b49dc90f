"""The words of an invoice's lines, for the page and for the terminal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import MAX_PREC, Decimal, localcontext

from pymeter.models import InvoiceLine, InvoiceProjection, StatementLine
from pymeter.numbers import number

Line = InvoiceLine | StatementLine

AFTER = ("credit", "tax")
"""Kinds of lines that come after the subtotal."""
TOTAL = "total"

_DECIMALS_MAX = 6
_SMALL = Decimal("0.001")
# Quantities as explanations have them: the number of a statement, a date and a name stay as they are.
_LARGE = re.compile(
    r"(?:(?<=\bunits )|(?<=\bunits above )|(?<=\d to )|(?<=\bup to )|(?<=\d x )|(?<=\d [+-] )"
    r"|(?<=\bpackages of )|(?<=% of )|(?<=\bin the period: )|(?<= / )|(?<= = )|(?<=\bminimum )"
    r"|(?<=\bwithout it: ))-?\d{4,}(?![\w-])"
    r"|(?<![\w.:-])-?\d{4,}(?=(?:\.\d+)? (?:x -?\d|free\b|left\b|events\b|of \d))"
)
_LONG = re.compile(rf"\b(?!0\.000)(\d+\.\d{{{_DECIMALS_MAX}}})\d{{{_DECIMALS_MAX},}}")


@dataclass(frozen=True)
class Sum:
    """A row below the lines of a currency."""

    title: str
    amount: Decimal | None
    currency: str
    explanation: str = ""


def sums(lines: Sequence[Line], totals: Mapping[str, Decimal | None]) -> Iterator[Sum]:
    """For each currency credits, taxes and the total; a subtotal only if something comes before the total."""
    for currency, total in sorted(totals.items()):
        own = [line for line in lines if line.currency == currency]
        after = [line for line in own if line.kind in AFTER]
        if after:
            amounts = [line.amount for line in own if line.kind not in (*AFTER, TOTAL)]
            yield Sum("subtotal", added(amounts), currency)
        for line in after:
            yield Sum(title(line), line.amount, currency, shortened(line.explanation))
        yield Sum(TOTAL, total, currency)


def added(amounts: Sequence[Decimal | None]) -> Decimal | None:
    """The sum; None if one of them is unknown."""
    known = [amount for amount in amounts if amount is not None]
    if len(known) != len(amounts):
        return None
    with localcontext(prec=MAX_PREC):  # the default would round after 28 digits
        return sum(known, Decimal(0))


def metric_names(names: Mapping[str, str | None]) -> dict[str, str]:
    """What people call metrics, from the display names of their keys; with the key, if two have one name."""
    titles = {key: name or metric_name(key, {}) for key, name in names.items()}
    common = {title for title, count in Counter(titles.values()).items() if count > 1}
    return {key: f"{title} ({key})" if title in common else title for key, title in titles.items()}


def metric_name(key: str, names: Mapping[str, str]) -> str:
    """What people call a metric: its display name, else its key, with a capital."""
    spaced = key.replace("_", " ").strip() or key
    return names.get(key) or spaced[:1].upper() + spaced[1:]


def title(line: Line | InvoiceProjection, names: Mapping[str, str] | None = None) -> str:
    """What a line is of. `names`: of metrics, for people; without them, a metric has its key."""
    if line.kind == "credit":
        return "new credit" if line.item is None else f"credit {line.item}"
    if line.kind == "tax":
        return line.item or ""
    what = line.name or line.item or line.metric
    if names is not None and line.name is None and line.metric is not None and what == line.metric:
        what = metric_name(line.metric, names)
    if what is None:
        return f"minimum of {line.plan}"
    kind = {"usage": "", "fee": "", "late": "", "true_up": ": minimum"}
    return what + kind.get(line.kind, f": {line.kind}")


def quantity(value: Decimal | None) -> str:
    """Exact, or the first decimals of a share that does not end, and a sign that there are more."""
    if value is None:
        return ""
    exact = number(value)
    whole, _, decimals = exact.partition(".")
    if len(decimals) < 2 * _DECIMALS_MAX or abs(value) < _SMALL:
        return exact
    return f"{whole}.{decimals[:_DECIMALS_MAX]}…"


def shortened(explanation: str | None) -> str:
    """An explanation with separators in its quantities, and in which decimals that do not end are cut off."""
    text = _LARGE.sub(lambda found: f"{int(found[0]):,}", explanation or "")
    return _LONG.sub(r"\1…", text)
