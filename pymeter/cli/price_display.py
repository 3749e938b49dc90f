"""How prices are shown: in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from pymeter.cli.output import below, good, is_narrow, minute, note, number, table
from pymeter.cli.visible import visible
from pymeter.models import PlanMinimum, PlanPrice

_SHOWN_MAX = 8


def prices(found: list[PlanPrice], timezone: str, minimums: Iterable[PlanMinimum] = ()) -> RenderableType:
    """The lines of plans, with each price in words, and what the plans cost at least."""
    least = [note(f"{one.plan}: {_least(one)}, {_begins(one, timezone)}") for one in minimums]
    if not found and least:
        return Group(*least)
    if not found:
        return note("no prices; begin with: pymeter price define PLAN ITEM PRICE --metric METRIC")
    of = [] if is_narrow() else ["of"]
    result = table(
        *("plan", "item", *of, "price", f"since ({timezone})", "version"),
        numbers=("version",),
        unfolded=("plan", f"since ({timezone})"),
    )
    for one in found:
        what = one.metric or "a fee"
        more = "" if of or one.metric in (None, one.item) else f"of {what}"
        whose = "" if one.subject is None else f"for {one.subject}"
        result.add_row(
            one.plan,
            below(one.item, one.name or "", more, whose),
            *([what] if of else []),
            _lines(["ends"] if one.price is None else in_words(one)),
            "always" if one.since is None else _day(one, timezone),
            str(one.price_version),
        )
    return Group(result, *least) if least else result


def defined(one: PlanPrice, timezone: str, held: Iterable[PlanPrice] = ()) -> RenderableType:
    """What a version of a line says, in one line; below it what is otherwise than in the version before.

    And which other lines bill the same metric.
    """
    lines = [_in_one_line(one, timezone)]
    before = {line.item: line for line in held}
    if (was := before.pop(one.item, None)) is not None and (changed := _changes(was, one)):
        lines.append(note(f"  changed: {'; '.join(changed)}"))
    same = [item for item, line in before.items() if one.metric is not None and line.metric == one.metric]
    if same:
        lines.append(note(f"  {one.metric} is billed by {', '.join(same)}, too: each for the whole usage"))
    return Group(*lines)


def _in_one_line(one: PlanPrice, timezone: str) -> Text:
    where = f"{one.plan}, {one.item}" + ("" if one.subject is None else f" for {one.subject}")
    begins = _begins(one, timezone)
    if one.price is None:
        return good(f"{where}: ends, {begins} (version {one.price_version})")
    price = "; ".join(" ".join(line.split()) for line in in_words(one))
    return good(f"{where}: {price}, {begins} (version {one.price_version})")


def _changes(before: PlanPrice, now: PlanPrice) -> list[str]:
    """What a version says otherwise than another; the whole line was given anew, so it may be by mistake."""
    found = []
    if before.price != now.price:
        was = ", ".join(" ".join(line.split()) for line in _price_in_words(before))
        found.append(f"the price, which was {was}")
    for was, new in (
        (before.metric or "a fee", now.metric or "a fee"),
        (f"in {before.bill}", f"in {now.bill}"),
        (_PRORATED[before.prorate], _PRORATED[now.prorate]),
        (
            f"tiers {before.tiers_after_change} after a change",
            f"tiers {now.tiers_after_change} after a change",
        ),
    ):
        if was != new:
            found.append(f"{was} → {new}")
    if before.name != now.name:
        found.append(_title_change(before.name, now.name))
    return found


_PRORATED = {True: "by days for a part of a cycle", False: "in full for a part of a cycle"}


def _title_change(before: str | None, now: str | None) -> str:
    if now is None:
        return f"title {before!r} dropped"
    return f"title {now!r}" if before is None else f"title {before!r} → {now!r}"


def minimum(one: PlanMinimum, timezone: str) -> Text:
    """The minimum of a plan, in one line."""
    return good(f"{one.plan}: {_least(one)}, {_begins(one, timezone)}")


def _least(one: PlanMinimum) -> str:
    return "no minimum" if one.amount is None else f"at least {money(one.amount)} {one.currency} a cycle"


def in_words(one: PlanPrice) -> list[str]:
    """A price on one line and, if it has tiers, cells or bounds, more."""
    fee = one.metric is None
    lines = _price_in_words(one, f"a cycle, in {one.bill}" if fee else None)
    if fee and not one.prorate:
        lines.append("in full for a part of a cycle")
    if one.tiers_after_change == "restart" and not fee:
        lines.append("tiers restart after a change")
    return lines


def _price_in_words(one: PlanPrice, per: str | None = None) -> list[str]:
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


def _lines(texts: list[str]) -> RenderableType:
    return Group(*(Text(visible(text)) for text in texts))


def _begins(one: PlanPrice | PlanMinimum, timezone: str) -> str:
    return "from the beginning" if one.since is None else f"since {_day(one, timezone)} {timezone}"


def _day(one: PlanPrice | PlanMinimum, timezone: str) -> str:
    return minute(one.since, timezone).removesuffix(" 00:00")


def money(amount: Decimal | None) -> str:
    """An amount with the decimals of its currency."""
    return "unknown" if amount is None else f"{amount:,f}"
