"""Commands about prices: price."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from pymeter.cli import price_display
from pymeter.cli.help import add_command
from pymeter.cli.options import (
    AsCsv,
    AsJson,
    Zone,
    form,
    read_json_object,
    read_moment,
)
from pymeter.cli.output import Form, show
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import Context
from pymeter.client import Meter
from pymeter.errors import InvalidInput, MeterError
from pymeter.models import BillTiming, PlanMinimum, PlanPrice, TiersAfterChange
from pymeter.models.pricing import price_schema

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
    document: Annotated[
        str | None, typer.Argument(metavar="PRICE", help="The price, a JSON object.", show_default=False)
    ] = None,
    file: Annotated[
        str | None, typer.Option("--price", help="A file with the price; - is the standard input.")
    ] = None,
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
    pymeter price define pro base --price base.json --bill advance

    A change gives the whole line anew: an option that is left out has its default, not what held before.
    The answer says what changed.
    """
    begins = read_moment(since, timezone, "--since")
    value = _read_price(document, file)
    with ctx.obj.meter() as meter, _naming_the_field():
        held = _held(meter, plan, begins, subject)
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
    show(found, PlanPrice, lambda one: price_display.defined(one, timezone, held), form(as_json))


def _held(meter: Meter, plan: str, at: datetime | None, subject: str | None) -> list[PlanPrice]:
    """The lines that hold before one is defined; none if defining is going to be refused."""
    try:
        return meter.prices(plan, at=at, subject=subject)
    except MeterError:
        return []


@contextmanager
def _naming_the_field() -> Iterator[None]:
    """Add to the error for a field that no model has the field that was probably meant."""
    try:
        yield
    except InvalidInput as error:
        named = _UNKNOWN_FIELD.search(error.detail or "") if error.parameter == "price" else None
        if named is not None:
            given = named[1] or named[2]
            meant = get_close_matches(given, _price_fields(), 1)
            if meant and meant[0] != given:
                error.hint = f"Did you mean {meant[0]}? {error.hint or ''}".strip()
        raise


def _price_fields() -> set[str]:
    return {name for part in price_schema()["$defs"].values() for name in part.get("properties", {})}


_UNKNOWN_FIELD = re.compile(r'(?:\.(\w+)|\["(.*)"\]) is not a field of this model\.$')
_PRICE_EXAMPLE = '{"model": "unit", "unit_amount": "0.002"}'


def _read_price(document: str | None, file: str | None) -> Any:
    """The price as text on the command line, or from a file."""
    if (document is None) == (file is None):
        raise typer.BadParameter(
            f"PRICE: write the price, such as '{_PRICE_EXAMPLE}', or name a file with it: --price FILE"
        )
    if file is not None:
        try:
            document = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise typer.BadParameter(f"--price: {file} is not UTF-8 text") from None
    return read_json_object(document, "PRICE" if file is None else f"--price {file}", _PRICE_EXAMPLE)


def retire(
    ctx: Context, plan: PlanKey, item: Item, at: At = None, subject: OwnLine = None, timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """End a line of a plan, until it is defined again."""
    then = read_moment(at, timezone, "--at")
    with ctx.obj.meter() as meter:
        found = meter.retire_price(plan, item, at=then, subject=subject)
    show(found, PlanPrice, lambda one: price_display.defined(one, timezone), form(as_json))


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
    show(found, PlanMinimum, lambda one: price_display.minimum(one, timezone), form(as_json))


def list_(
    ctx: Context,
    plan: Annotated[str | None, typer.Argument(help="Only this plan.")] = None,
    at: At = None,
    subject: OwnLine = None,
    upcoming: Annotated[bool, typer.Option("--upcoming", help="Also what begins later.")] = False,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List the prices that hold, and what plans cost at least."""
    wanted = form(as_json, as_csv)
    then = read_moment(at, timezone, "--at")
    with ctx.obj.meter() as meter:
        found = meter.prices(plan, at=then, subject=subject, upcoming=upcoming)
        least = meter.plan_minimums(plan, at=then, upcoming=upcoming) if wanted is Form.table else []
    show(found, PlanPrice, lambda rows: price_display.prices(rows, timezone, least), wanted)


add_command(price, define)
add_command(price, list_, name="list")
add_command(price, retire)
add_command(price, minimum)
