"""Budgets in money: sql/budgets/."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pymeter.models.limits import LimitAction, LimitSource
from pymeter.models.values import Model, Moment

BudgetPeriod = Literal["cycle", "day", "week", "month", "year"]


class Budget(Model):
    """A version of a budget, of a subject, of a plan, or (neither) of everyone."""

    budget_id: int
    subject: str | None = None
    plan: str | None = None
    currency: str
    period: BudgetPeriod
    since: Moment
    """From when this version holds."""
    amount: Decimal | None = None
    """How much may be spent in a period; None: unlimited."""
    action: LimitAction
    """When it is spent: block refuses events, alert only notifies, none does neither."""
    marks: list[Decimal]
    """Percentages of the amount at which a notification is written."""
    projected: bool
    """Marks are compared with the total that is expected at the end of the cycle, too."""
    removed: bool
    """This version ends the budget."""
    created_at: Moment


class BudgetStatus(Model):
    """A budget that counts for a subject, and how much of it is spent."""

    currency: str
    period: BudgetPeriod
    since: Moment
    until: Moment
    amount: Decimal | None = None
    """None: unlimited."""
    spent: Decimal | None = None
    """The total of the invoice of the period; None: unknown, and `reason` says why."""
    remaining: Decimal | None = None
    """What is left of the amount; None: unlimited or unknown."""
    percent: Decimal | None = None
    """How much of the amount is spent, in percent."""
    projected: Decimal | None = None
    """The total expected at the end of the cycle, at the last judgement; None: unknown or not asked for."""
    action: LimitAction
    marks: list[Decimal]
    reached: list[Decimal]
    """The marks that have fired in this period."""
    blocked: bool
    """Further events are refused."""
    judged_at: Moment | None = None
    """When it was judged last; None: not yet in this period."""
    source: LimitSource
    plan: str | None = None
    budget_id: int
    reason: str | None = None
    """Why the total is unknown, or why the last judgement failed."""


class BudgetRound(Model):
    """What a call of `judge_budgets` did."""

    judged_at: Moment
    """Its ``now``: pass it for the next call, while `remaining` is above 0."""
    judged: int
    """How many subjects."""
    priced: int
    """Of how many of them the spending was computed anew."""
    approaching: int
    """Marks below 100 % that were reached."""
    exceeded: int
    """Marks from 100 % on that were reached."""
    cleared: int
    """Marks that are not reached any more."""
    blocked: int
    """Subjects whose events are refused from now on."""
    released: int
    """Subjects whose events are not refused any more."""
    failed: int
    """Subjects that could not be judged."""
    remaining: int
    """Subjects that are still to be judged at this time."""
