"""Prices in words, for the terminal and for pages."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pymeter.models import PlanPrice
from pymeter.numbers import number

_SHOWN_MAX = 8


def line(one: PlanPrice) -> list[str]:
    """A line of a plan: its price on one line and, if it has tiers, cells or bounds, more."""
    fee = one.metric is None
    lines = price(one, f"a cycle, in {one.bill}" if fee else None)
    if fee and not one.prorate:
        lines.append("in full for a part of a cycle")
    if one.tiers_after_change == "restart" and not fee:
        lines.append("tiers restart after a change")
    return lines


def price(one: PlanPrice, per: str | None = None) -> list[str]:
    """The price alone. `per`: what it is for, if that is not a unit or a cycle."""
    document: dict[str, Any] = one.price or {}
    if per is None:
        per = "a cycle" if one.metric is None else _per(document)
    return [*_model_in_words(document, one.currency, per), *_bounds_in_words(document)]


def _per(document: dict[str, Any]) -> str:
    return "a cycle" if document.get("model") == "flat" else "a unit"


def _model_in_words(document: dict[str, Any], currency: str, per: str) -> Iterator[str]:
    model, rate = document.get("model"), _amount(document.get("unit_amount", document.get("flat_amount")))
    if model == "package":
        yield f"{rate} {currency} per package of {_amount(document.get('package_size'))}"
    elif model in ("graduated", "volume"):
        yield f"{model}, {currency} {per}"
        yield from _tiers_in_words(document.get("tiers", []))
        if document.get("flat_at_zero") is False:
            yield "no flat amount at 0"
    elif model == "percentage":
        fixed = document.get("fixed_amount")
        free = document.get("free_events")
        yield f"{_amount(document.get('percent'))} %" + (
            "" if fixed is None else f" + {_amount(fixed)} {currency} an event"
        )
        if free is not None:
            yield f"{_amount(free)} events free"
    elif model == "matrix":
        yield f"by {', '.join(document.get('dimensions', []))}"
        yield from _cells_in_words(document.get("cells", []), currency)
    else:
        yield f"{rate} {currency} {per}"


def _tiers_in_words(tiers: list[dict[str, Any]]) -> Iterator[str]:
    shown = [
        (
            "beyond" if tier.get("up_to") is None else f"to {_amount(tier['up_to'])}",
            _amount(tier.get("unit_amount", 0)),
            _flat(tier),
        )
        for tier in tiers[:_SHOWN_MAX]
    ]
    widths = [max((len(row[n]) for row in shown), default=0) for n in (0, 1)]
    for up_to, rate, flat in shown:
        yield f"  {up_to:<{widths[0]}}  {rate:>{widths[1]}}{flat}"
    if len(tiers) > _SHOWN_MAX:
        yield f"  and {len(tiers) - _SHOWN_MAX} more tiers"


def _flat(tier: dict[str, Any]) -> str:
    flat = tier.get("flat_amount")
    return "" if flat is None or Decimal(str(flat)) == 0 else f" + {_amount(flat)} flat"


def _cells_in_words(cells: list[dict[str, Any]], currency: str) -> Iterator[str]:
    for cell in cells[:_SHOWN_MAX]:
        when = ", ".join(f"{key} {value}" for key, value in cell.get("when", {}).items()) or "any"
        document = cell.get("price") or {"model": "unit"} | cell
        first, *more = _model_in_words(document, currency, _per(document))
        yield f"  {when}: {first}" + (" ..." if more else "")
    if len(cells) > _SHOWN_MAX:
        yield f"  and {len(cells) - _SHOWN_MAX} more cells"


def _bounds_in_words(document: dict[str, Any]) -> list[str]:
    lines = []
    if convert := document.get("convert"):
        rounding = convert.get("round", "none")
        lines.append(
            f"units of {_amount(convert.get('divide_by'))}"
            + ("" if rounding == "none" else f", rounded {rounding}")
        )
    for name, words in (
        ("free_units", "{} units free"),
        ("discount_percent", "{} % off"),
        ("maximum_amount", "at most {}"),
        ("minimum_amount", "at least {}"),
    ):
        if document.get(name) is not None:
            lines.append(words.format(_amount(document[name])))
    return lines


def _amount(value: Any) -> str:
    return "" if value is None else number(Decimal(str(value)))
