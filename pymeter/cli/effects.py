"""What a correction changes, as a table that a person can decide by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.text import Text

from pymeter.cli.output import counted, note, number, table, window
from pymeter.models import CorrectionEffect

_ADDITIVE = ("sum", "count")
Period = tuple[str, str, datetime | None]


def describe_effects(
    effects: Sequence[CorrectionEffect], aggregates: Mapping[str, str], timezone: str, most: int
) -> RenderableType:
    """The periods that change, `most` of them, and totals by metric. `aggregates`: of the metrics."""
    if not effects:
        return note("nothing changes")
    period = f"period ({timezone})"
    has_amount = any(effect.amount is not None for effect in effects)
    numbers = ("before", "after", "delta", "amount")
    columns = ["subject", "metric", period, "before", "after", "delta"]
    result = table(*columns, *(["amount"] if has_amount else []), "note", numbers=numbers, unfolded=(period,))
    shown = effects[:most] if most else effects
    for effect in shown:
        result.add_row(
            effect.subject,
            effect.metric,
            window(effect.since, effect.until, timezone).removesuffix(f" {timezone}"),
            number(effect.before),
            number(effect.after),
            signed(effect.delta),
            *([_money(effect.amount, effect.currency)] if has_amount else []),
            _notes(effect),
        )
    left = len(effects) - len(shown)
    more = (
        [note(f"and {counted(left, 'more period')}: --limit 0 shows all, --csv writes them")] if left else []
    )
    owed = [_owed(effects)] if has_amount else []
    return Group(result, *more, _totals(effects, aggregates), *owed)


def added_up(effects: Sequence[CorrectionEffect]) -> str:
    """How much changes, in words."""
    changed = [effect for effect in effects if effect.delta]
    subjects = len({effect.subject for effect in changed})
    return f"{counted(len(changed), 'period')} of {counted(subjects, 'subject')} changed"


def moved(shown: Sequence[CorrectionEffect], applied: Sequence[CorrectionEffect]) -> list[CorrectionEffect]:
    """The periods that were applied otherwise than they had been shown."""
    before = {_period(effect): (effect.before, effect.after) for effect in shown}
    return [effect for effect in applied if before.get(_period(effect)) != (effect.before, effect.after)]


def _period(effect: CorrectionEffect) -> Period:
    return effect.subject, effect.metric, effect.since


def signed(value: Decimal | None) -> Text:
    """A number with its sign: green where usage is added, red where it is taken away."""
    if value is None:
        return Text("-")
    text = number(value)
    return Text(f"+{text}", style="green") if value > 0 else Text(text, style="red" if value < 0 else "dim")


def _money(amount: Decimal | None, currency: str | None) -> Text:
    """An amount with its sign, its decimals and its currency."""
    if amount is None:
        return Text("-")
    style = "green" if amount > 0 else "red" if amount < 0 else "dim"
    return Text(f"{amount:+,f} {currency}" if amount else f"{amount:,f} {currency}", style=style)


def _owed(effects: Sequence[CorrectionEffect]) -> Text:
    """By how much all that is owed changes: amounts add up, those of one subject too."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for effect in effects:
        if effect.amount is not None and effect.currency is not None:
            sums[effect.currency] += effect.amount
    parts = [_money(amount, currency) for currency, amount in sorted(sums.items())]
    unknown = len([effect for effect in effects if effect.amount is None])
    without = f"; {counted(unknown, 'period')} without an amount" if unknown else ""
    return Text.assemble("in money: ", Text(", ").join(parts), without)


def _notes(effect: CorrectionEffect) -> Text:
    notes = ["closed"] if effect.closed else []
    notes += ["reported"] if effect.reported else []
    notes += [f"crosses limit {name}" for name in effect.limits]
    return Text(", ".join(notes), style="yellow")


def _totals(effects: Sequence[CorrectionEffect], aggregates: Mapping[str, str]) -> RenderableType:
    """A line for each metric. Deltas of maxima, averages and the like do not add up."""
    result = table("metric", "subjects", "periods", "delta", numbers=("subjects", "periods", "delta"))
    for metric in sorted({effect.metric for effect in effects}):
        of_metric = [effect for effect in effects if effect.metric == metric]
        delta = sum((effect.delta for effect in of_metric), Decimal(0))
        result.add_row(
            metric,
            number(len({effect.subject for effect in of_metric})),
            number(len(of_metric)),
            signed(delta) if aggregates.get(metric) in _ADDITIVE else Text("-", style="dim"),
        )
    return result
