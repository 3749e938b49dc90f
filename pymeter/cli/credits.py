"""Commands about money that a subject has, and its taxes: credit, tax."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from pymeter.cli.help import add_command
from pymeter.cli.options import AsCsv, AsJson, Subject, Zone, form, read_moment
from pymeter.cli.output import below, good, is_narrow, minute, moment, note, number, show, table, window
from pymeter.cli.price_display import money
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import Context
from pymeter.models import Credit, CreditSource, Tax

At = Annotated[str | None, typer.Option(help="For a period that ends then; default: now.")]

credit = typer.Typer(
    cls=SuggestingGroup, help="Give, list and take back money that pays statements.", no_args_is_help=True
)
tax = typer.Typer(cls=SuggestingGroup, help="Set and list the taxes of a subject.", no_args_is_help=True)


def grant(
    ctx: Context,
    subject: Subject,
    amount: Annotated[str, typer.Argument(help="How much, with the decimals of the currency.")],
    currency: Annotated[str, typer.Argument(help="ISO 4217, such as EUR.")],
    key: Annotated[str, typer.Option("--key", "-k", help="A retry with the same key is the same credit.")],
    priority: Annotated[int, typer.Option(help="Lower ones are drawn first.")] = 50,
    since: Annotated[
        str | None, typer.Option(help="It pays for periods that end after this; default: now.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="It pays for periods that end up to this; default: for ever.")
    ] = None,
    promotional: Annotated[bool, typer.Option("--promotional", help="Given, not paid.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why, for people.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Give a subject money that pays its next statements, before tax.

    pymeter credit grant acct_1 50 EUR --key welcome --promotional
    """
    begins, ends = read_moment(since, timezone, "--since"), read_moment(expires, timezone, "--expires")
    source: CreditSource = "promotional" if promotional else "paid"
    with ctx.obj.meter() as meter:
        found = meter.grant_credit(
            subject,
            amount,
            currency,
            key,
            priority=priority,
            since=begins,
            expires_at=ends,
            source=source,
            reason=reason,
        )
    show(found, Credit, lambda one: good(_described(one, timezone)), form(as_json))


def _described(one: Credit, timezone: str) -> str:
    when = window(one.since, one.expires_at, timezone)
    return f"credit {one.credit_id}: {money(one.amount)} {one.currency} for {one.subject} in {when}"


def void(
    ctx: Context,
    credit_id: Annotated[int, typer.Argument(help="The id that grant and list show.")],
    reason: Annotated[str, typer.Argument(help="Why, for people.")],
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Take back what is left of a credit; statements stay as they are."""
    with ctx.obj.meter() as meter:
        found = meter.void_credit(credit_id, reason)
    show(found, Credit, lambda one: good(_void(one, timezone)), form(as_json))


def _void(one: Credit, timezone: str) -> str:
    drawn = f", {money(one.drawn)} {one.currency} had been drawn" if one.drawn else ""
    return f"{_described(one, timezone)}: void{drawn}"


def list_(
    ctx: Context,
    subject: Subject,
    at: At = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List the credits that would pay now, in the order of drawing."""
    wanted = form(as_json, as_csv)
    then = read_moment(at, timezone, "--at")
    with ctx.obj.meter() as meter:
        found = meter.credits(subject, at=then)
    show(found, Credit, lambda rows: _credits_table(rows, timezone), wanted)


def _credits_table(found: list[Credit], timezone: str) -> RenderableType:
    if not found:
        return note("no credit is in force")
    expires, narrow = f"expires ({timezone})", is_narrow()
    more = ("about", expires) if narrow else ("priority", "source", expires, "reason")
    result = table(
        *("credit", "amount", "drawn", "left", "", *more),
        numbers=("credit", "amount", "drawn", "left", "priority"),
        unfolded=(expires,),
    )
    for one in found:
        why = one.reason or ("" if one.statement_id is None else f"statement {one.statement_id}")
        amounts = (money(one.amount), money(one.drawn), money(one.remaining), one.currency)
        if narrow:
            about = below(one.source, f"priority {one.priority}", why)
            result.add_row(str(one.credit_id), *amounts, about, minute(one.expires_at, timezone))
        else:
            when = moment(one.expires_at, timezone)
            result.add_row(str(one.credit_id), *amounts, str(one.priority), one.source, when, why)
    return result


def set_(
    ctx: Context,
    subject: Subject,
    percent: Annotated[str, typer.Argument(help="Such as 19 for 19 %; none: it is not due any more.")],
    name: Annotated[str, typer.Option(help="What it is called; several names are several taxes.")] = "tax",
    inclusive: Annotated[
        bool, typer.Option("--inclusive", help="Prices contain it: it is shown, not added.")
    ] = False,
    since: Annotated[
        str | None, typer.Option(help="From when. Default: a first version always, a change from now.")
    ] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Set a tax of a subject, of what is left to pay after credits.

    pymeter tax set acct_1 19 --name VAT
    """
    begins = read_moment(since, timezone, "--since")
    wanted = None if percent == "none" else percent
    with ctx.obj.meter() as meter:
        found = meter.set_tax(subject, wanted, inclusive=inclusive, name=name, since=begins)
    show(found, Tax, lambda one: _tax(one, timezone), form(as_json))


def _tax(one: Tax, timezone: str) -> Text:
    begins = "from the beginning" if one.since is None else f"since {_day(one, timezone)} {timezone}"
    return good(f"{one.subject}: {one.name} {_share(one.percent, one.inclusive)}, {begins}")


def _share(percent: Decimal | None, inclusive: bool) -> str:
    if percent is None:
        return "ends"
    return f"{number(percent)} %" + (", which prices contain" if inclusive else "")


def _day(one: Tax, timezone: str) -> str:
    return minute(one.since, timezone).removesuffix(" 00:00")


def list_taxes(
    ctx: Context,
    subject: Subject,
    at: At = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List the taxes of a subject."""
    wanted = form(as_json, as_csv)
    then = read_moment(at, timezone, "--at")
    with ctx.obj.meter() as meter:
        found = meter.taxes(subject, at=then)
    show(found, Tax, lambda rows: _taxes_table(rows, timezone), wanted)


def _taxes_table(found: list[Tax], timezone: str) -> RenderableType:
    if not found:
        return note("no taxes; begin with: pymeter tax set SUBJECT PERCENT")
    result = table("tax", "percent", "prices contain it", f"since ({timezone})", numbers=("percent",))
    for one in found:
        result.add_row(
            one.name,
            "" if one.percent is None else number(one.percent),
            "yes" if one.inclusive else "no",
            "always" if one.since is None else _day(one, timezone),
        )
    return result


add_command(credit, grant)
add_command(credit, list_, name="list")
add_command(credit, void)
add_command(tax, set_, name="set")
add_command(tax, list_taxes, name="list")
