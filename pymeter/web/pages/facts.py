"""What a notification says, in words: its data, which programs read by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from pymeter.calls.result import Row
from pymeter.times import read_time
from pymeter.web.pages.wording import amount, fact, quantity, span

_LENGTH = 160
_FOR_PROGRAMS = (
    "hash",
    "action",
    "limit_id",
    "budget_id",
    "subscription_id",
    "mark_id",
    "source",
)
_NOTHING: tuple[Any, ...] = (None, [], {})

Data = dict[str, Any]


def facts(timezone: str) -> Callable[[Row], str]:
    """For a column: what is in the data and in no other column, as much as there is room for."""

    def written(row: Row) -> str:
        data = {name: value for name, value in row["data"].items() if value not in _NOTHING}
        for name in (*row, *_FOR_PROGRAMS):
            data.pop(name, None)
        found = [*_together(data, timezone), *_alone(data, timezone)]
        fitting = [one for n, one in enumerate(found) if len("; ".join(found[: n + 1])) <= _LENGTH]
        return "; ".join(fitting + ["\N{HORIZONTAL ELLIPSIS}"] * (len(fitting) < len(found)))

    return written


def _together(data: Data, timezone: str) -> Iterator[str]:
    """What belongs together, and is taken out of the data."""
    if taken := _taken(data, "numerator", "denominator"):
        currency = data.pop("currency", None)
        used, of = (_number(one, currency) for one in taken)
        per = f" per {data.pop('period')}" if "period" in data else ""
        yield f"{used} of {of} {currency or data.pop('unit', '')}".strip() + per
    if "mark" in data:
        yield f"mark {fact(data.pop('mark'), timezone)} %"
    if taken := _taken(data, "low", "expected", "high"):
        low, expected, high = map(_number, taken)
        yield f"expected {expected} ({low} to {high})"
    if taken := _taken(data, "before", "after", "delta"):
        before, after, delta = map(_number, taken)
        yield f"{before} became {after} ({delta})"
    if taken := _taken(data, "stated", "current", "delta"):
        stated, current, delta = map(_number, taken)
        yield f"{stated} stated, {current} now, {delta} to decide"
    if taken := _taken(data, "amount", "currency"):
        yield f"costs {_number(*taken)} {taken[1]}"
    if isinstance(data.get("totals"), dict):
        yield from (f"{_number(total, key)} {key}" for key, total in sorted(data.pop("totals").items()))
    if taken := _taken(data, "since", "until"):
        since, until = map(read_time, taken)
        yield span(since, until, timezone)


def _taken(data: Data, *names: str) -> list[Any]:
    """The values of all names, which are not alone afterwards; none, if one is not there."""
    if not all(name in data and not isinstance(data[name], dict) for name in names):
        return []
    return [data.pop(name) for name in names]


def _alone(data: Data, timezone: str) -> Iterator[str]:
    for name, value in data.items():
        if value is False:
            continue
        words = name.replace("_", " ").removesuffix(" id")
        if isinstance(value, int | Decimal) and name.endswith("_id"):
            yield f"{words} {value}"
        else:
            yield words if value is True else f"{words} {fact(value, timezone)}"


def _number(value: Any, currency: str | None = None) -> str:
    """A number, which may be a text; an amount keeps its decimals."""
    if value is None:
        return "unknown"
    exact = Decimal(str(value))
    return amount(exact) if currency else quantity(exact)
