"""How late usage, and what was decided about it, is shown."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.text import Text

from pymeter.cli.closing_display import period_cell
from pymeter.cli.effects import signed
from pymeter.cli.output import bad, below, good, is_narrow, note, number, table
from pymeter.cli.price_display import money
from pymeter.models import LateSettlement, LateUsage


def late(found: Sequence[LateUsage], timezone: str, *, hint: bool = True) -> RenderableType:
    """Usage that came after its period was closed, as somebody decides about it."""
    if not found:
        return good("no late usage is open")
    period, narrow = f"period ({timezone})", is_narrow()
    decided = [] if narrow and not any(one.billed or one.waived for one in found) else ["decided"]
    numbers = ("id", "stated", "now", "decided", "open", "amount")
    first = ["id", "subject, metric"] if narrow else ["id", "subject", "metric"]
    last = ["open"] if narrow else ["open", "unit"]
    has_amounts = any(one.currency is not None for one in found)
    last += ["amount"] if has_amounts else []
    result = table(*first, period, "stated", "now", *decided, *last, numbers=numbers)
    for one in found:
        names = [below(one.subject, one.metric)] if narrow else [one.subject, one.metric]
        delta = signed(one.delta)
        result.add_row(
            str(one.statement_id),
            *names,
            period_cell(one.since, one.until, timezone),
            number(one.stated),
            number(one.current),
            *[_decided(one) for _ in decided],
            *([below(delta, one.unit)] if narrow else [delta, one.unit]),
            *([_added(one, narrow=narrow)] if has_amounts else []),
        )
    if not hint:
        return result
    one = found[0]
    call = settle_call(one.statement_id, one.metric, one.delta)
    return Group(result, note(f"decide: {call}, or waive"))


def _added(one: LateUsage, *, narrow: bool) -> RenderableType:
    """What billing a line adds."""
    if one.currency is None:
        return Text("no price", style="dim")
    amount = _signed_money(one.amount)
    return below(amount, one.currency) if narrow else Text.assemble(amount, f" {one.currency}")


def _signed_money(amount: Decimal | None) -> Text:
    if amount is None:
        return Text("unknown")
    text = money(amount)
    return Text(f"+{text}", style="green") if amount > 0 else Text(text, style="red" if amount < 0 else "dim")


def settle_call(statement_id: int, metric: str, delta: Decimal, decision: str = "bill") -> str:
    """The command that decides about a line."""
    return f"pymeter late --settle {statement_id} {shlex.quote(metric)} {delta:f} {decision}"


def settled(done: LateSettlement, unit: str, decision: str) -> RenderableType:
    """What deciding about late usage did; of a conflict, what to look at and what to type then."""
    what = f"{done.metric} of statement {done.statement_id}"
    decided = f"billed {number(done.billed)}, waived {number(done.waived)} {unit} in all"
    if done.outcome == "settled":
        lines = [good(f"{what}: {decided}")]
        if done.currency is not None:
            amount = f"{_signed_money(done.amount)} {done.currency}"
            lines.append(note(f"the subject's next statement: {amount}"))
        return Group(*lines)
    if done.outcome == "duplicate":
        return good(f"{what}: nothing is open; {decided}")
    see = f"see: pymeter statement {done.statement_id} --changes"
    if done.delta:
        see += f"; then: {settle_call(done.statement_id, done.metric, done.delta, decision)}"
    return Group(bad(f"{what}: {number(done.delta)} {unit} is open now; nothing was decided"), note(see))


def _decided(one: LateUsage) -> RenderableType:
    decided = (("billed", one.billed), ("waived", one.waived))
    texts = [Text(f"{signed(quantity).plain} {word}") for word, quantity in decided if quantity]
    return Group(*texts or [Text("-")])
