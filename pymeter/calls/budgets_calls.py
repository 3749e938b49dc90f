"""Budgets in money: sql/budgets/."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import Budget, BudgetPeriod, BudgetRound, BudgetStatus, LimitAction, Quantity


def set_budget(
    amount: Quantity | None,
    currency: str,
    *,
    subject: str | None = None,
    plan: str | None = None,
    period: BudgetPeriod = "cycle",
    marks: Sequence[Quantity] | None = None,
    action: LimitAction = "alert",
    since: datetime | None = None,
    projected: bool = False,
) -> Call[Budget]:
    """Set how much money may be billed in a period: to a subject, to those with a plan, or to everyone.

    Of one currency and period, a subject's own budget counts before those of its plans, of which the
    strictest counts, and these before everyone's. `judge_budgets` compares it with invoices.

    Args:
        amount: How much, with the decimals of the currency; None: unlimited.
        currency: ISO 4217, such as ``EUR``.
        subject: Whose budget. Without subject and plan: everyone's.
        plan: The budget of every subject that has this plan.
        period: ``cycle``, the subject's billing cycle, or ``day``, ``week``, ``month``, ``year`` (UTC).
        marks: Percentages of the amount at which a notification is written; 80 and 100 unless given.
        action: When it is spent: ``block`` refuses events, ``alert`` notifies, ``none`` does neither.
        since: From when; now unless given.
        projected: Marks are compared with the total expected at the end of the cycle, too.

    Returns:
        The version of the budget. The same call again changes nothing.

    Raises:
        NotFound: there is no such plan.
        InvalidInput: a value is not allowed.

    Example:
        meter.set_budget(100, "EUR", subject="acct_1", action="block")
    """
    return Call(
        "set_budget",
        (
            argument.quantity("amount", amount, required=True),
            argument.text("currency", currency, required=True),
            argument.text("subject", subject),
            argument.text("plan", plan),
            argument.text("period", period, required=True),
            argument.quantities("marks", marks),
            argument.text("action", action, required=True),
            argument.time("since", since),
            argument.boolean("projected", projected, required=True),
        ),
        result.one(Budget),
    )


def remove_budget(
    currency: str,
    *,
    subject: str | None = None,
    plan: str | None = None,
    period: BudgetPeriod = "cycle",
) -> Call[Budget]:
    """End a budget now, and its versions that were to begin later.

    Args:
        currency: ISO 4217, such as ``EUR``.
        subject: Whose budget. Without subject and plan: everyone's.
        plan: The budget of every subject that has this plan.
        period: The budget's period.

    Returns:
        The version that ends it.

    Raises:
        NotFound: there is no such budget.
        InvalidInput: a value is not allowed.

    Example:
        meter.remove_budget("EUR", subject="acct_1")
    """
    return Call(
        "remove_budget",
        (
            argument.text("currency", currency, required=True),
            argument.text("subject", subject),
            argument.text("plan", plan),
            argument.text("period", period, required=True),
        ),
        result.one(Budget),
    )


def budgets(
    *,
    subject: str | None = None,
    plan: str | None = None,
    at: datetime | None = None,
    max_rows: int = 1000,
    after_id: int | None = None,
) -> Call[list[Budget]]:
    """Return the budgets that hold now, or at a moment, in the order in which they were set.

    Args:
        subject: One subject's own budgets; all unless given.
        plan: One plan's budgets.
        at: When; now unless given.
        max_rows: The length of a page, at most 10,000.
        after_id: The last row's ``budget_id``, for the next page.

    Returns:
        A page of budgets.

    Raises:
        NotFound: there is no such plan.
        InvalidInput: a value is not allowed.

    Example:
        meter.budgets(plan="pro")
    """
    return Call(
        "budgets",
        (
            argument.text("subject", subject),
            argument.text("plan", plan),
            argument.time("at", at),
            argument.integer("max_rows", "integer", max_rows),
            argument.integer("after_id", "bigint", after_id),
        ),
        result.every(Budget),
    )


def budget_status(subject: str, *, now: datetime | None = None) -> Call[list[BudgetStatus]]:
    """Return the budgets that count for a subject, and how much of each is spent.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        now: The moment whose periods are meant; now unless given.

    Returns:
        One row for each currency and period.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        [(budget.spent, budget.amount, budget.currency) for budget in meter.budget_status("acct_1")]
    """
    return Call(
        "budget_status",
        (argument.text("subject", subject, required=True), argument.time("now", now)),
        result.every(BudgetStatus),
    )


def judge_budgets(*, now: datetime | None = None, max_subjects: int = 10_000) -> Call[BudgetRound]:
    """Compare what subjects owe with their budgets: notify, block and release. For programs in a loop.

    Args:
        now: The moment of the judgement; now unless given. No subject is judged twice for one moment.
        max_subjects: How many at most; a call ends after about a second in any case.

    Returns:
        What was done; while ``remaining`` is above 0, call it again with ``judged_at`` as ``now``.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        meter.judge_budgets().exceeded
    """
    return Call(
        "judge_budgets",
        (argument.time("now", now), argument.integer("max_subjects", "integer", max_subjects)),
        result.one(BudgetRound),
    )
