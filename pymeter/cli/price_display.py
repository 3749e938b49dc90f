"""How prices are shown: in words."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.text import Text

from pymeter import price_words
from pymeter.cli.output import below, good, is_narrow, minute, note, table
from pymeter.models import PlanMinimum, PlanPrice
from pymeter.visible import visible


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
            _lines(["ends"] if one.price is None else price_words.line(one)),
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
    price = "; ".join(" ".join(line.split()) for line in price_words.line(one))
    return good(f"{where}: {price}, {begins} (version {one.price_version})")


def _changes(before: PlanPrice, now: PlanPrice) -> list[str]:
    """What a version says otherwise than another; the whole line was given anew, so it may be by mistake."""
    found = []
    if before.price != now.price:
        was = ", ".join(" ".join(line.split()) for line in price_words.price(before))
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


def _lines(texts: list[str]) -> RenderableType:
    return Group(*(Text(visible(text)) for text in texts))


def _begins(one: PlanPrice | PlanMinimum, timezone: str) -> str:
    return "from the beginning" if one.since is None else f"since {_day(one, timezone)} {timezone}"


def _day(one: PlanPrice | PlanMinimum, timezone: str) -> str:
    return minute(one.since, timezone).removesuffix(" 00:00")


def money(amount: Decimal | None) -> str:
    """An amount with the decimals of its currency."""
    return "unknown" if amount is None else f"{amount:,f}"
