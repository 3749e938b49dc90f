"""The lines of an invoice as the rows of its page: by plan, by item, and tiers beneath."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from pymeter.invoice_page import moments
from pymeter.invoice_page.words import AFTER, TOTAL, Line, added, quantity, shortened, title
from pymeter.numbers import number
from pymeter.visible import visible

_TIMES = re.compile(r"(?<=[\d…]) x (?=-?\d)")
# Words of scripts that are written from right to left, of one text.
_LEFTWARD = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
_WORDS_LEFTWARD = re.compile(rf"[{_LEFTWARD}]+(?:[\s\-]+[{_LEFTWARD}]+)*")
_MINUS = "\N{MINUS SIGN}"
_NEGATIVE = re.compile(r"(?<!\S)-(?=\d)")
_ISOLATE, _END = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
_EARLIER = "Usage of earlier periods"
_UNPRICED = "Usage without a price"


@dataclass(frozen=True)
class Amount:
    """An amount as it is written, and as a program reads it; the latter is empty for an unknown one."""

    text: str
    value: str


@dataclass(frozen=True)
class Row:
    """A line: when, how the amount comes about, and the columns."""

    when: str
    about: str
    quantity: str
    unit: str
    rate: str
    amount: Amount | None


@dataclass(frozen=True)
class Group:
    """An item: a row, or several and their sum."""

    title: str
    when: str
    """Of all rows; else each has its own."""
    rows: list[Row]
    amount: Amount | None
    """The sum of several rows."""


@dataclass(frozen=True)
class Section:
    """A plan, or what is of none."""

    title: str
    groups: list[Group]


def money(value: Decimal | None, currency: str | None = None) -> Amount:
    """With the decimals of its currency, a minus sign, and the currency if it is given."""
    text = "unknown" if value is None else signed(f"{value:,f}")
    return Amount(f"{text} {currency}" if currency else text, "" if value is None else f"{value:f}")


def capitalised(text: str) -> str:
    """With a capital letter at the beginning."""
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """A text with minus signs, and in which a name that is written from right to left reorders no number."""
    return _WORDS_LEFTWARD.sub(rf"{_ISOLATE}\g<0>{_END}", visible(_NEGATIVE.sub(_MINUS, text)))


def signed(text: str) -> str:
    """A number as it is written, with a minus sign instead of a hyphen."""
    return text.replace("-", _MINUS)


class Lines:
    """What stands above the totals of an invoice of a period."""

    def __init__(
        self,
        lines: Sequence[Line],
        period: tuple[datetime, datetime],
        timezone: str,
        *,
        with_currency: bool,
        names: Mapping[str, str],
    ) -> None:
        self._period = period
        self._timezone = timezone
        self._with_currency = with_currency
        self._names = names
        self._lines = [line for line in lines if line.kind not in (*AFTER, TOTAL)]
        self._is_priced = any(line.currency is not None for line in self._lines)

    def sections(self) -> list[Section]:
        """A section for each plan, in the order of the lines; then usage without a price, and late lines."""
        found: dict[tuple[int, str], dict[object, list[Line]]] = {}
        for line in self._lines:
            items = found.setdefault(self._section(line), {})
            items.setdefault(self._item(line), []).append(line)
        # Sorting is stable: plans stay in their order.
        return [
            Section(visible(name), [self._group(own) for own in found[(place, name)].values()])
            for place, name in sorted(found, key=lambda key: key[0])
        ]

    def _section(self, line: Line) -> tuple[int, str]:
        if line.kind == "late":
            return 2, _EARLIER
        if line.currency is None:
            return 1, _UNPRICED if self._is_priced else ""
        return 0, "" if line.plan is None else f"Plan {line.plan}"

    def _item(self, line: Line) -> object:
        late = (line.since, line.until) if line.kind == "late" else None
        return line.item, line.metric, line.currency, line.late_of, late

    def _group(self, lines: list[Line]) -> Group:
        when = {self._when(line) for line in lines}
        shared = when.pop() if len(when) == 1 else ""
        amounts = [line.amount for line in lines]
        first = lines[0]
        # Its discount, or its minimum, is a row of the item, and no title.
        of = next((line for line in lines if line.kind in ("usage", "fee", "late")), first)
        return Group(
            visible(_name(of, self._names)),
            visible(shared),
            [self._row(line, shared) for line in lines],
            None if len(lines) == 1 or first.currency is None else self._money(added(amounts), first),
        )

    def _row(self, line: Line, shared: str) -> Row:
        when = "" if shared else self._when(line)
        return Row(
            visible(when),
            sentence(_about(line)),
            signed(quantity(line.quantity)),
            visible(line.unit or "") if line.quantity is not None else "",
            "" if line.unit_amount is None else signed(number(line.unit_amount)),
            None if line.currency is None else self._money(line.amount, line),
        )

    def _money(self, value: Decimal | None, line: Line) -> Amount:
        return money(value, line.currency if self._with_currency else None)

    def _when(self, line: Line) -> str:
        """The period of a line, if it is another than the invoice's, and the statement that it belongs to."""
        same = (line.since, line.until) == self._period
        when = "" if same else moments.period(line.since, line.until, self._timezone)
        of = "" if line.late_of is None else f"statement {line.late_of}"
        return ", ".join(filter(None, (when, of)))


def _name(line: Line, names: Mapping[str, str]) -> str:
    """The title; capitalised where it is a word of ours, and not a name."""
    is_named = line.name is not None or line.item is not None or line.metric is not None
    return title(line, names) if is_named else capitalised(title(line))


def _about(line: Line) -> str:
    """The explanation, without the product that the columns show."""
    if line.currency is None:
        return ""
    text = line.explanation or ""
    if line.quantity is not None and line.unit_amount is not None:
        product = re.escape(f": {_plain(line.quantity)} x {_plain(line.unit_amount)}")
        text = re.sub(rf"{product}(?=;|$)", "", text)
    return _TIMES.sub(" \N{MULTIPLICATION SIGN} ", shortened(text))


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
