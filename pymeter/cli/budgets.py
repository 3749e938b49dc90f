"""Commands about budgets, in money: budget."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, cast

import typer
from rich.console import RenderableType
from rich.text import Text

from pymeter.cli.help import add_command
from pymeter.cli.limits import MaxRows, OfPlan, OfSubject
from pymeter.cli.options import AsCsv, AsJson, Subject, Zone, form, read_moment
from pymeter.cli.output import good, minute, moment, note, number, show, stdout, table
from pymeter.cli.price_display import money
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import Context
from pymeter.models import Budget, BudgetPeriod, BudgetStatus, LimitAction

_UNLIMITED = "unlimited"
_BAR_CELLS = 12
_BAR_MARKS, _ASCII_MARKS = "█░", "#."

Currency = Annotated[str, typer.Argument(help="ISO 4217, such as EUR.")]
Period = Annotated[str, typer.Option("--period", "-p", help="cycle, day, week, month or year.")]

budget = typer.Typer(
    cls=SuggestingGroup, help="Set and show budgets: how much may be billed.", no_args_is_help=True
)


def set_(
    ctx: Context,
    amount: Annotated[str, typer.Argument(help="How much in a period; or: unlimited.")],
    currency: Currency,
    subject: OfSubject = None,
    plan: OfPlan = None,
    period: Period = "cycle",
    marks: Annotated[
        list[str] | None,
        typer.Option("--mark", help="Notify at this percentage. Repeatable. Default: 80, 100."),
    ] = None,
    action: Annotated[
        str, typer.Option(help="When spent: block refuses, alert notifies, none does neither.")
    ] = "alert",
    projected: Annotated[
        bool, typer.Option("--projected", help="Notify also of what the cycle is expected to cost.")
    ] = False,
    since: Annotated[str | None, typer.Option(help="From when; default: now.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Set a budget: of a subject, of a plan, or of everyone.

        pymeter budget set 100 EUR --subject acct_1 --action block
        pymeter budget set 20 EUR --plan free --period day

    pymeter notify judges budgets every minute: usage is refused from then on.
    """
    begins = read_moment(since, timezone, "--since")
    with ctx.obj.meter() as meter:
        found = meter.set_budget(
            None if amount == _UNLIMITED else amount,
            currency,
            subject=subject,
            plan=plan,
            period=cast(BudgetPeriod, period),
            marks=marks or None,
            action=cast(LimitAction, action),
            since=begins,
            projected=projected,
        )
    show(found, Budget, lambda one: good(f"{_described(one)}, since {moment(one.since)} UTC"), form(as_json))


def remove(
    ctx: Context,
    currency: Currency,
    subject: OfSubject = None,
    plan: OfPlan = None,
    period: Period = "cycle",
    as_json: AsJson = False,
) -> None:
    """End a budget now; what it shadowed counts again."""
    with ctx.obj.meter() as meter:
        found = meter.remove_budget(currency, subject=subject, plan=plan, period=cast(BudgetPeriod, period))
    show(found, Budget, lambda one: good(f"{_described(one)}: ended"), form(as_json))


def _described(one: Budget) -> str:
    then = "" if one.amount is None else f", then {one.action}"
    return f"{_of(one)}: {_amount(one.amount)} {one.currency} per {one.period}{then}"


def _of(one: Budget) -> str:
    return one.subject if one.subject is not None else f"plan {one.plan}" if one.plan else "everyone"


def _amount(amount: Decimal | None) -> str:
    return _UNLIMITED if amount is None else money(amount)


def list_(
    ctx: Context,
    subject: OfSubject = None,
    plan: OfPlan = None,
    at: Annotated[str | None, typer.Option(help="At this moment; default: now.")] = None,
    max_rows: MaxRows = 1000,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List the budgets that hold now."""
    wanted = form(as_json, as_csv)
    then = read_moment(at, timezone, "--at")
    with ctx.obj.meter() as meter:
        found = meter.budgets(subject=subject, plan=plan, at=then, max_rows=max_rows)
    show(found, Budget, lambda rows: _budgets_table(rows, timezone), wanted)


def _budgets_table(found: list[Budget], timezone: str) -> RenderableType:
    if not found:
        return note("no budgets; begin with: pymeter budget set AMOUNT CURRENCY")
    result = table("of", "amount", "", "per", "then", "marks", f"since ({timezone})", numbers=("amount",))
    for one in found:
        marks = ", ".join(f"{number(mark)} %" for mark in one.marks)
        begins = moment(one.since, timezone)
        result.add_row(_of(one), _amount(one.amount), one.currency, one.period, one.action, marks, begins)
    return result


def status(
    ctx: Context,
    subject: Subject,
    at: Annotated[str | None, typer.Option(help="In the period with this moment; default: now.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show how much of its budgets a subject has spent."""
    wanted = form(as_json, as_csv)
    then = read_moment(at, timezone, "--at")
    with ctx.obj.meter() as meter:
        found = meter.budget_status(subject, now=then)
    show(found, BudgetStatus, lambda rows: _status_table(rows, timezone), wanted)


def _status_table(found: list[BudgetStatus], timezone: str) -> RenderableType:
    if not found:
        return note("no budget counts; begin with: pymeter budget set AMOUNT CURRENCY")
    unicode = stdout().encoding.lower().startswith("utf")
    until = f"until ({timezone})"
    result = table(
        *("budget of", "per", until, "spent", "amount", "", "%", "", "expected", "state"),
        numbers=("spent", "amount", "%", "expected"),
    )
    for one in found:
        style = _style(one)
        result.add_row(
            f"plan {one.plan}" if one.plan is not None else one.source,
            one.period,
            minute(one.until, timezone).removesuffix(" 00:00"),
            "unknown" if one.spent is None else money(one.spent),
            _amount(one.amount),
            one.currency,
            Text("" if one.percent is None else number(round(one.percent, 1)), style=style),
            _bar(one.percent, _BAR_MARKS if unicode else _ASCII_MARKS, style),
            "" if one.projected is None else money(one.projected),
            _state(one),
        )
    return result


def _style(one: BudgetStatus) -> str:
    """Red from 100 % on, yellow from the first mark on."""
    if one.percent is None:
        return ""
    if one.percent >= 100:
        return "bold red"
    return "yellow" if any(one.percent >= mark for mark in one.marks) else "green"


def _bar(percent: Decimal | None, marks: str, style: str) -> Text:
    """Something is never shown as nothing, nor what is left as nothing."""
    if percent is None:
        return Text("")
    cells = int(min(percent, Decimal(100)) * _BAR_CELLS / 100)
    full = max(cells, 1 if percent > 0 else 0)
    return Text.assemble((marks[0] * full, style), (marks[1] * (_BAR_CELLS - full), "dim"))


def _state(one: BudgetStatus) -> str:
    states = ["blocked"] if one.blocked else []
    if one.reason is not None:
        states.append(one.reason)
    if one.judged_at is None:
        states.append("not judged yet")
    return "; ".join(states)


add_command(budget, set_, name="set")
add_command(budget, list_, name="list")
add_command(budget, remove)
add_command(budget, status)
