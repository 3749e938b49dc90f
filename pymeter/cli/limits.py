"""Commands about limits: limit, plan, subscribe, unsubscribe, subscriptions, cycle, notifications."""

from __future__ import annotations

from typing import Annotated, cast

import typer
from rich.console import RenderableType
from rich.text import Text

from pymeter import exact_json
from pymeter.cli.help import add_command
from pymeter.cli.options import (
    AsCsv,
    AsJson,
    MetricKey,
    OnlyMetric,
    OnlySubject,
    Subject,
    Zone,
    form,
    read_moment,
    read_zone,
)
from pymeter.cli.output import Form, good, moment, note, number, show, stdout, table, window
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import Context
from pymeter.models import (
    BillingCycle,
    CycleLength,
    EffectiveLimit,
    Limit,
    LimitAction,
    Notification,
    Plan,
    Subscription,
    Window,
)

_UNLIMITED = "unlimited"

OfPlan = Annotated[str | None, typer.Option("--plan", help="Of a plan: all its subscribers.")]
OfSubject = Annotated[str | None, typer.Option("--subject", "-s", help="Of this subject alone.")]
LimitName = Annotated[str, typer.Option(help="Tells limits of a metric apart.")]
LimitPeriod = Annotated[
    str | None,
    typer.Option("--period", "-p", help="day, month ...; cycle; the last '30 days'. Default: the metric's."),
]
PlanKey = Annotated[str, typer.Argument(help="The plan's key.")]
MaxRows = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many.")]

limit = typer.Typer(
    cls=SuggestingGroup,
    help="Set and show limits: how much may be used.",
    no_args_is_help=True,
)
plan = typer.Typer(
    cls=SuggestingGroup, help="Define and list plans, which bring limits.", no_args_is_help=True
)
cycle = typer.Typer(
    cls=SuggestingGroup, help="Show and set the billing cycle of a subject.", no_args_is_help=True
)


def set_(
    ctx: Context,
    metric: MetricKey,
    quota: Annotated[str, typer.Argument(help="How much in a period; or: unlimited.")],
    subject: OfSubject = None,
    plan: OfPlan = None,
    period: LimitPeriod = None,
    action: Annotated[
        str, typer.Option(help="Beyond it: block refuses, alert notifies, none does neither.")
    ] = "block",
    marks: Annotated[
        list[str] | None,
        typer.Option("--mark", help="Notify at this percentage. Repeatable. Default: 80, 100."),
    ] = None,
    every: Annotated[str | None, typer.Option(help="Beyond it, notify at each such step.")] = None,
    rollover_min: Annotated[str | None, typer.Option(help="At least so much goes over.")] = None,
    rollover_max: Annotated[
        str | None, typer.Option(help="At most so much of what is left goes over to the next period.")
    ] = None,
    projected: Annotated[
        bool, typer.Option("--projected", help="Also notify when a mark is expected.")
    ] = False,
    since: Annotated[str | None, typer.Option(help="From when; default: now.")] = None,
    name: LimitName = "default",
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Set a limit: of a subject, of a plan, or of everyone.

        pymeter limit set tokens 1000000 --subject acct_1
        pymeter limit set tokens 50000 --plan free --period day --name daily

    It holds for the whole of the running period. Usage is not reset.
    """
    begins = read_moment(since, timezone, "--since")
    with ctx.obj.meter() as meter:
        found = meter.set_limit(
            metric,
            None if quota == _UNLIMITED else quota,
            subject=subject,
            plan=plan,
            period=period,
            action=cast(LimitAction, action),
            marks=marks or None,
            name=name,
            since=begins,
            rollover_min=rollover_min,
            rollover_max=rollover_max,
            every=every,
            projected=projected,
        )
    show(found, Limit, _set, form(as_json))


def _set(found: Limit) -> Text:
    return good(f"{_described(found)}, since {moment(found.since)} UTC")


def _described(found: Limit) -> str:
    then = "" if found.quota is None else f", then {found.action}"
    return f"{_of(found)}: {_quota(found)} {found.metric} per {found.period}{then}{_named(found)}"


def _of(found: Limit) -> str:
    return found.subject if found.subject is not None else f"plan {found.plan}" if found.plan else "everyone"


def _quota(found: Limit | EffectiveLimit) -> str:
    return _UNLIMITED if found.quota is None else number(found.quota)


def _named(found: Limit) -> str:
    return "" if found.name == "default" else f" ({found.name})"


def remove(
    ctx: Context,
    metric: MetricKey,
    subject: OfSubject = None,
    plan: OfPlan = None,
    period: LimitPeriod = None,
    name: LimitName = "default",
    as_json: AsJson = False,
) -> None:
    """End a limit; what it shadowed counts again."""
    with ctx.obj.meter() as meter:
        found = meter.remove_limit(metric, subject=subject, plan=plan, period=period, name=name)
    show(found, Limit, lambda one: good(f"{_described(one)}: removed"), form(as_json))


def list_(
    ctx: Context,
    metric: OnlyMetric = None,
    subject: OnlySubject = None,
    plan: Annotated[str | None, typer.Option("--plan", help="Only this plan.")] = None,
    rows: MaxRows = 1000,
    after_id: Annotated[int | None, typer.Option(help="Show newer limits than this one.")] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List the limits that hold now."""
    wanted = form(as_json, as_csv)
    with ctx.obj.meter() as meter:
        found = meter.limits(metric, subject=subject, plan=plan, max_rows=rows, after_id=after_id)
    show(found, Limit, _limits_table, wanted)
    if wanted is Form.table and len(found) == rows:
        stdout().print(note(f"next page: --after-id {found[-1].limit_id}"))


def _limits_table(found: list[Limit]) -> RenderableType:
    if not found:
        return note("no limit is set; begin with: pymeter limit set METRIC QUOTA")
    result = table(
        *("limit", "metric", "of", "period", "quota", "then", "marks", "name"), numbers=("limit", "quota")
    )
    for one in found:
        result.add_row(
            str(one.limit_id),
            one.metric,
            _of(one),
            one.period,
            _quota(one),
            one.action,
            _marks(one),
            one.name,
        )
    return result


def _marks(one: Limit | EffectiveLimit) -> str:
    marks = ", ".join(f"{number(mark)}%" for mark in one.marks)
    return marks + ("" if one.every is None else f" +{number(one.every)}")


def effective(
    ctx: Context,
    subject: Subject,
    metric: MetricKey,
    at: Annotated[str | None, typer.Option(help="When; default: now.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show which limits count for a subject, and why."""
    wanted = form(as_json, as_csv)
    then = read_moment(at, timezone, "--at")
    with ctx.obj.meter() as meter:
        found = meter.effective_limits(subject, metric, at=then)
    show(found, EffectiveLimit, lambda rows: _effective_table(rows, timezone), wanted)


def _effective_table(found: list[EffectiveLimit], timezone: str) -> RenderableType:
    if not found:
        return note("no limit holds")
    result = table("name", "period", "window", "quota", "then", "why", numbers=("quota",))
    for one in found:
        result.add_row(
            one.name,
            one.period,
            window(one.since, one.until, timezone),
            _quota(one),
            one.action,
            one.reason,
            style=None if one.counts else "dim",
        )
    return result


def define(
    ctx: Context,
    plan: PlanKey,
    name: Annotated[str | None, typer.Option(help="A title.")] = None,
    as_json: AsJson = False,
) -> None:
    """Define a plan, or change its title.

    pymeter plan define pro --name Pro
    pymeter limit set tokens 1000000 --plan pro
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
    """Subscribe a subject to a plan, whose limits then hold for it."""
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


def notifications(
    ctx: Context,
    type: Annotated[str | None, typer.Option("--type", "-t", help="Such as threshold.exceeded.")] = None,
    subject: OnlySubject = None,
    rows: MaxRows = 20,
    after_id: Annotated[int | None, typer.Option(help="Show newer ones than this one.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List marks reached, refusals, changes; oldest first."""
    wanted = form(as_json, as_csv)
    read_zone(timezone)
    with ctx.obj.meter() as meter:
        found = meter.notifications(type, subject=subject, after_id=after_id, max_rows=rows)
    show(found, Notification, lambda page: _notifications_table(page, timezone), wanted)
    if wanted is Form.table and len(found) == rows:
        stdout().print(note(f"next page: --after-id {found[-1].notification_id}"))


def _notifications_table(found: list[Notification], timezone: str) -> RenderableType:
    if not found:
        return note("no notifications")
    at = f"at ({timezone})"
    result = table("id", at, "type", "subject", "metric", "data", numbers=("id",), unfolded=(at, "type"))
    for one in found:
        result.add_row(
            str(one.notification_id),
            moment(one.created_at.replace(microsecond=0), timezone),
            one.type,
            one.subject or "",
            one.metric or "",
            exact_json.dumps(one.data),
        )
    return result


add_command(limit, set_, name="set")
add_command(limit, list_, name="list")
add_command(limit, remove)
add_command(limit, effective)
add_command(plan, define)
add_command(plan, list_plans, name="list")
add_command(cycle, show_cycle, name="show")
add_command(cycle, set_cycle, name="set")
