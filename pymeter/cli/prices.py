"""Commands about prices: price, invoice."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, cast

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from pymeter import exact_json
from pymeter.cli.help import add_command
from pymeter.cli.options import (
    AsCsv,
    AsJson,
    Since,
    Subject,
    Until,
    Zone,
    form,
    read_json_object,
    read_moment,
    read_window,
)
from pymeter.cli.output import Form, below, good, moment, note, number, show, table, window
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import Context
from pymeter.models import BillTiming, Invoice, InvoiceLine, PlanMinimum, PlanPrice, TiersAfterChange

PlanKey = Annotated[str, typer.Argument(help="The plan's key.")]
Item = Annotated[str, typer.Argument(help="The line's key within the plan.")]
At = Annotated[str | None, typer.Option(help="When; default: now.")]
FromWhen = Annotated[
    str | None, typer.Option(help="From when. Default: a first version always, a change from now.")
]
OwnLine = Annotated[str | None, typer.Option("--subject", "-s", help="This subject's own line.")]

price = typer.Typer(
    cls=SuggestingGroup, help="Define, list and end the prices of plans.", no_args_is_help=True
)


def define(
    ctx: Context,
    plan: PlanKey,
    item: Item,
    document: Annotated[str, typer.Argument(metavar="PRICE", help="The price, a JSON object.")],
    metric: Annotated[
        str | None, typer.Option("--metric", "-m", help="What is priced. Default: a fixed fee.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="A title for people.")] = None,
    since: FromWhen = None,
    subject: OwnLine = None,
    bill: Annotated[str, typer.Option(help="Of a fee: arrears, or advance.")] = "arrears",
    prorate: Annotated[
        bool, typer.Option("--prorate/--no-prorate", help="Whether a part of a cycle costs a part of a fee.")
    ] = True,
    tiers: Annotated[
        str, typer.Option(help="After a change within a cycle: continue, or restart.")
    ] = "continue",
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Define a line of a plan, or change it from a time on.

    pymeter price define pro tokens '{"model": "unit", "unit_amount": "0.002"}' -m tokens
    """
    begins = read_moment(since, timezone, "--since")
    value = read_json_object(document, "PRICE")
    with ctx.obj.meter() as meter:
        found = meter.define_price(
            plan,
            item,
            value,
            metric=metric,
            name=name,
            since=begins,
            subject=subject,
            bill=cast(BillTiming, bill),
            prorate=prorate,
            tiers_after_change=cast(TiersAfterChange, tiers),
        )
    show(found, PlanPrice, lambda one: good(_described(one, timezone)), form(as_json))


def _described(one: PlanPrice, timezone: str) -> str:
    whose = "" if one.subject is None else f" of {one.subject}"
    what = "ends" if one.price is None else _summary(one)
    return f"{one.plan}, {one.item}{whose}: {what}, {_from(one, timezone)} (version {one.price_version})"


def _from(one: PlanPrice, timezone: str) -> str:
    return "from the beginning" if one.since is None else f"since {moment(one.since, timezone)} {timezone}"


def _summary(one: PlanPrice) -> str:
    document: dict[str, Any] = one.price or {}
    model = document.get("model")
    rate = document.get("unit_amount", document.get("flat_amount"))
    kind = f"{model}" if rate is None else f"{model} {rate}"
    what = f"per {one.metric}" if one.metric is not None else f"fee in {one.bill}"
    return f"{kind} {one.currency} {what}"


def retire(
    ctx: Context, plan: PlanKey, item: Item, at: At = None, subject: OwnLine = None, timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """End a line of a plan, until it is defined again."""
    then = read_moment(at, timezone, "--at")
    with ctx.obj.meter() as meter:
        found = meter.retire_price(plan, item, at=then, subject=subject)
    show(found, PlanPrice, lambda one: good(_described(one, timezone)), form(as_json))


def minimum(
    ctx: Context,
    plan: PlanKey,
    amount: Annotated[str, typer.Argument(help="Of a whole cycle; or: none.")],
    since: FromWhen = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Set what a whole billing cycle of a plan costs at least."""
    begins = read_moment(since, timezone, "--since")
    with ctx.obj.meter() as meter:
        found = meter.set_plan_minimum(plan, None if amount == "none" else amount, since=begins)
    show(found, PlanMinimum, _minimum, form(as_json))


def _minimum(one: PlanMinimum) -> Text:
    return good(
        f"{one.plan}: "
        + ("no minimum" if one.amount is None else f"at least {_money(one.amount)} {one.currency}")
    )


def list_(
    ctx: Context,
    plan: Annotated[str | None, typer.Argument(help="Only this plan.")] = None,
    at: At = None,
    subject: OwnLine = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List the prices that hold."""
    wanted = form(as_json, as_csv)
    then = read_moment(at, timezone, "--at")
    with ctx.obj.meter() as meter:
        found = meter.prices(plan, at=then, subject=subject)
    show(found, PlanPrice, lambda rows: _prices(rows, timezone), wanted)


def _prices(found: list[PlanPrice], timezone: str) -> RenderableType:
    if not found:
        return note("no prices")
    result = table(
        "plan", "item", "of", "price", "currency", f"since ({timezone})", "version", numbers=("version",)
    )
    for one in found:
        result.add_row(
            one.plan,
            below(one.item, one.name or ""),
            one.metric or f"fee, {one.bill}",
            exact_json.dumps({k: v for k, v in (one.price or {}).items() if k != "currency"}),
            one.currency,
            "the beginning" if one.since is None else moment(one.since, timezone),
            str(one.price_version),
        )
    return result


def invoice(
    ctx: Context,
    subject: Subject,
    period: Annotated[
        str | None,
        typer.Option("--period", "-p", help="cycle (the default), month, year ...: the running one."),
    ] = None,
    since: Since = None,
    until: Until = None,
    as_of: Annotated[str | None, typer.Option(help="By what was known at this watermark.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show what a subject owes, line by line.

    pymeter invoice acct_1 --since 2026-06-01 --until 2026-07-01
    """
    wanted = form(as_json, as_csv)
    start, end = read_window(since, until, timezone)
    known = read_moment(as_of, timezone, "--as-of")
    with ctx.obj.meter() as meter:
        found = meter.invoice_json(subject, since=start, until=end, period=period, as_of=known)
    if wanted is Form.csv:
        show(found.lines, InvoiceLine, lambda _: Text(), wanted)
    else:
        show(found, None, lambda one: _invoice(one, timezone), wanted)


def _invoice(found: Invoice, timezone: str) -> RenderableType:
    head = found.header
    title = Text.assemble((head.subject, "bold"), ("  " + window(head.since, head.until, timezone), "dim"))
    if not found.lines:
        return Group(title, note("nothing to bill"))
    result = table("line", "quantity", "unit", "rate", "amount", "", numbers=("quantity", "rate", "amount"))
    for line in found.lines:
        when = window(line.since, line.until, timezone)
        same = (line.since, line.until) == (head.since, head.until)
        result.add_row(
            below(_title(line), "" if same else when, line.explanation),
            ""
            if line.quantity is None
            else number(line.quantity.quantize(Decimal("1e-6")) if line.kind == "fee" else line.quantity),
            line.unit or "",
            "" if line.unit_amount is None else number(line.unit_amount),
            "no price"
            if line.currency is None
            else "unknown"
            if line.amount is None
            else _money(line.amount),
            line.currency or "",
        )
    for position, (currency, total) in enumerate(sorted(found.totals.items())):
        if position == 0:
            result.add_section()
        shown = "unknown" if total.amount is None else _money(total.amount)
        result.add_row(Text("total", style="bold"), "", "", "", Text(shown, style="bold"), currency)
    return Group(title, result)


def _title(line: InvoiceLine) -> str:
    what = line.name or line.item or line.metric
    if what is None:
        return f"minimum of {line.plan}"
    return what if line.kind in ("usage", "fee") else f"{what}: {line.kind.replace('_', ' ')}"


def _money(amount: Decimal) -> str:
    return f"{amount:,f}"


add_command(price, define)
add_command(price, list_, name="list")
add_command(price, retire)
add_command(price, minimum)
