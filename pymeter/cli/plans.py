"""Commands about plans and who has them: plan, subscribe, unsubscribe, subscriptions, cycle."""

from __future__ import annotations

from typing import Annotated, cast

import typer
from rich.console import RenderableType
from rich.text import Text

from pymeter.cli.help import add_command
from pymeter.cli.options import (
    AsCsv,
    AsJson,
    Subject,
    Zone,
    form,
    read_moment,
)
from pymeter.cli.output import good, moment, note, show, table, window
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import Context
from pymeter.models import BillingCycle, CycleLength, Plan, Subscription, Window

PlanKey = Annotated[str, typer.Argument(help="The plan's key.")]

plan = typer.Typer(
    cls=SuggestingGroup, help="Define and list plans, which have limits and prices.", no_args_is_help=True
)
cycle = typer.Typer(
    cls=SuggestingGroup, help="Show and set the billing cycle of a subject.", no_args_is_help=True
)


def define(
    ctx: Context,
    plan: PlanKey,
    name: Annotated[str | None, typer.Option(help="A title.")] = None,
    as_json: AsJson = False,
) -> None:
    """Define a plan, or change its title.

    pymeter plan define pro --name Pro
    pymeter limit set tokens 1000000 --plan pro
    pymeter price define pro base '{"model": "flat", "flat_amount": "20"}'
    pymeter subscribe acct_1 pro
    """
    with ctx.obj.meter() as meter:
        found = meter.define_plan(plan, name)
    show(found, Plan, lambda one: good(one.plan + (f": {one.name}" if one.name else "")), form(as_json))


def list_plans(ctx: Context, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """List the plans."""
    wanted = form(as_json, as_csv)
    with ctx.obj.meter() as meter:
        found = meter.plans()
    show(found, Plan, _plans_table, wanted)


def _plans_table(found: list[Plan]) -> RenderableType:
    if not found:
        return note("no plan is defined yet; begin with: pymeter plan define pro")
    result = table("plan", "name", "defined")
    for one in found:
        result.add_row(one.plan, one.name or "", moment(one.defined_at.replace(microsecond=0)))
    return result


def subscribe(
    ctx: Context,
    subject: Subject,
    plan: PlanKey,
    since: Annotated[str | None, typer.Option(help="From when; default: now.")] = None,
    until: Annotated[str | None, typer.Option(help="Until when, exclusive; default: open.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Subscribe a subject to a plan, for its limits and prices."""
    begins, ends = read_moment(since, timezone, "--since"), read_moment(until, timezone, "--until")
    with ctx.obj.meter() as meter:
        found = meter.subscribe(subject, plan, since=begins, until=ends)
    show(found, Subscription, lambda one: _subscribed(one, timezone), form(as_json))


def unsubscribe(
    ctx: Context,
    subject: Subject,
    plan: PlanKey,
    at: Annotated[str | None, typer.Option(help="When; default: now.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """End a subject's subscription to a plan."""
    ends = read_moment(at, timezone, "--at")
    with ctx.obj.meter() as meter:
        found = meter.unsubscribe(subject, plan, at=ends)
    show(found, Subscription, lambda one: _subscribed(one, timezone), form(as_json))


def _subscribed(one: Subscription, timezone: str) -> Text:
    if one.since == one.until:
        return good(f"{one.subject} will not have {one.plan}")
    return good(f"{one.subject} has {one.plan} in {window(one.since, one.until, timezone)}")


def subscriptions(
    ctx: Context,
    subject: Subject,
    at: Annotated[str | None, typer.Option(help="Only those at this time.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List the subscriptions of a subject."""
    wanted = form(as_json, as_csv)
    then = read_moment(at, timezone, "--at")
    with ctx.obj.meter() as meter:
        found = meter.subscriptions(subject, at=then)
    show(found, Subscription, lambda rows: _subscriptions_table(rows, timezone), wanted)


def _subscriptions_table(found: list[Subscription], timezone: str) -> RenderableType:
    if not found:
        return note("no subscription")
    result = table("plan", f"since ({timezone})", "until")
    for one in found:
        result.add_row(one.plan, moment(one.since, timezone), moment(one.until, timezone))
    return result


def show_cycle(
    ctx: Context,
    subject: Subject,
    at: Annotated[str | None, typer.Option(help="When; default: now.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Show the billing cycle of a subject.

    Without a rule of its own, it is the month of UTC.
    """
    then = read_moment(at, timezone, "--at")
    with ctx.obj.meter() as meter:
        found = meter.billing_cycle(subject, at=then)
    show(
        found,
        Window,
        lambda one: Text(f"{subject}  {window(one.since, one.until, timezone)}"),
        form(as_json),
    )


def set_cycle(
    ctx: Context,
    subject: Subject,
    anchor: Annotated[str, typer.Argument(help="A start of a cycle: 2026-01-31, 2026-01-31T09:00.")],
    every: Annotated[str, typer.Option(help="week, month or year.")] = "month",
    since: Annotated[str | None, typer.Option(help="From when; default: the next start of a cycle.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Set the billing cycle of a subject.

        pymeter cycle set acct_1 2026-01-31 --timezone Europe/Berlin

    The 31st means the last day of a shorter month. The running cycle ends where the new rule begins.
    """
    first = read_moment(anchor, timezone, "ANCHOR")
    begins = read_moment(since, timezone, "--since")
    assert first is not None
    with ctx.obj.meter() as meter:
        rule = meter.set_billing_cycle(
            subject, first, timezone=timezone, every=cast(CycleLength, every), since=begins
        )
    show(rule, BillingCycle, _rule, form(as_json))


def _rule(rule: BillingCycle) -> Text:
    anchor = moment(rule.anchor, rule.timezone)
    return good(
        f"{rule.subject}: a cycle each {rule.every} from {anchor} {rule.timezone},"
        f" since {moment(rule.since, rule.timezone)}"
    )


add_command(plan, define)
add_command(plan, list_plans, name="list")
add_command(cycle, show_cycle, name="show")
add_command(cycle, set_cycle, name="set")
