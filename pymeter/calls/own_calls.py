"""What a role may ask that is bound to its own subjects: sql/own/."""

from __future__ import annotations

from datetime import datetime

from pymeter.calls import argument, result
from pymeter.calls.budgets_calls import budget_status
from pymeter.calls.call import Call
from pymeter.calls.close_calls import statement, statements
from pymeter.calls.credits_calls import credits
from pymeter.calls.limits_calls import balance, effective_limits
from pymeter.calls.pricing_calls import invoice
from pymeter.calls.project_calls import project_invoice, project_usage
from pymeter.calls.usage_calls import events, series, summary, usage, usage_by
from pymeter.models import (
    Balance,
    BudgetStatus,
    CalendarStep,
    Credit,
    EffectiveLimit,
    Event,
    InvoiceLine,
    InvoiceProjection,
    Quantity,
    QuotaStatus,
    StatementHeader,
    StatementLine,
    SubjectPeriod,
    UsageBucket,
    UsageGroup,
    UsageProjection,
    UsageTotal,
)


def own_usage(
    subject: str,
    metric: str,
    *,
    period: SubjectPeriod | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[UsageTotal]:
    """Return what `usage` does, for a role that was granted read on this subject alone.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key.
        period: A calendar word (``minute hour day week month year never``), the bucket that
            contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
            time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
            Without a window: the metric's current period.
        since: The window's start, included. Instead of `period`.
        until: The window's end, not included. Instead of `period`.
        timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        The quantity; zero of zero events when there was none.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
            word or zone.
        psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

    Example:
        meter.own_usage("acct_1", "tokens", period="30 days").quantity
    """
    call = usage(subject, metric, period=period, since=since, until=until, timezone=timezone, now=now)
    return Call("own_usage", call.arguments, call.result)


def own_summary(
    subject: str,
    *,
    period: SubjectPeriod | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[list[UsageTotal]]:
    """Return what `summary` does, for a role that was granted read on this subject alone.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        period: A calendar word (``minute hour day week month year never``), the bucket that
            contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
            time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
            Without a window: the metric's current period.
        since: The window's start, included. Instead of `period`.
        until: The window's end, not included. Instead of `period`.
        timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        A line for each metric that is in use, zeros included, and for each retired one that has
        usage in the window.

    Raises:
        InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
            word or zone.
        psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

    Example:
        for line in meter.own_summary("acct_1", period="month"):
            print(line.metric, line.quantity, line.unit)
    """
    call = summary(subject, period=period, since=since, until=until, timezone=timezone, now=now)
    return Call("own_summary", call.arguments, call.result)


def own_series(
    subject: str,
    metric: str,
    since: datetime,
    until: datetime,
    *,
    step: CalendarStep | str = "day",
    timezone: str = "UTC",
) -> Call[list[UsageBucket]]:
    """Return what `series` does, for a role that was granted read on this subject alone.

    Without events a bucket is 0 for ``sum``, ``count`` and ``unique``, and None for the others,
    unless a ``last`` metric carries its value over.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key.
        since: The first step's start.
        until: The end, not included.
        step: A calendar word (``minute hour day week month year``); ``cycle``, the subject's billing
            cycles; or a duration such as ``15m``, counted from `since`.
        timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.

    Returns:
        A row for each step, in order.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: the range or the step is not allowed.
        psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

    Example:
        meter.own_series("acct_1", "tokens", midnight, midnight + timedelta(days=1), step="hour")
    """
    call = series(subject, metric, since, until, step=step, timezone=timezone)
    return Call("own_series", call.arguments, call.result)


def own_usage_by(
    subject: str,
    metric: str,
    dimension: str,
    *,
    period: SubjectPeriod | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[list[UsageGroup]]:
    """Return what `usage_by` does, for a role that was granted read on this subject alone.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key.
        dimension: The field's name.
        period: A calendar word (``minute hour day week month year never``), the bucket that
            contains `now`; ``cycle``, the subject's billing cycle that contains `now`, in its own
            time zone; or a duration (``30 days``, ``90 minutes``, ``1 month``) that ends with `now`.
            Without a window: the metric's current period.
        since: The window's start, included. Instead of `period`.
        until: The window's end, not included. Instead of `period`.
        timezone: The name of the zone whose calendar counts, such as ``Europe/Berlin``.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        A row for each value; ``None`` holds the events without the field.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: the window is given in both forms, is empty or reversed, or has an unknown
            word or zone.
        EventsDropped: events of the window were dropped.
        psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

    Example:
        meter.own_usage_by("acct_1", "tokens", "model", period="month")
    """
    call = usage_by(
        subject, metric, dimension, period=period, since=since, until=until, timezone=timezone, now=now
    )
    return Call("own_usage_by", call.arguments, call.result)


def own_events(
    subject: str,
    metric: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    after_id: int | None = None,
    max_rows: int = 100,
    after_at: datetime | None = None,
) -> Call[list[Event]]:
    """Return what `events` does, for a role that was granted read on this subject alone.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: One metric's events; all unless given.
        since: The earliest time, included.
        until: The latest time, not included.
        after_id: The last row's ``event_id``, for the next page; `iter_events` does that.
        max_rows: The length of a page, at most 10,000.
        after_at: The last row's ``at``: optional, saves a look-up.

    Returns:
        A page of events.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: a value is not allowed.
        psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

    Example:
        meter.own_events("acct_1", "tokens", max_rows=10)
    """
    call = events(
        subject, metric, since=since, until=until, after_id=after_id, max_rows=max_rows, after_at=after_at
    )
    return Call("own_events", call.arguments, call.result)


def own_limits(subject: str, metric: str, *, at: datetime | None = None) -> Call[list[EffectiveLimit]]:
    """Return the limits that count, for a role that was granted read on this subject alone.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key.
        at: When; now unless given.

    Returns:
        A row for each limit, without those that are shadowed.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: a value is not allowed.
        psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

    Example:
        meter.own_limits("acct_1", "tokens")
    """
    call = effective_limits(subject, metric, at=at)
    return Call("own_limits", call.arguments, call.result)


def own_check_quota(
    subject: str, metric: str, requested: Quantity | None = None, *, now: datetime | None = None
) -> Call[QuotaStatus]:
    """Check whether the limits have room, for a role that was granted read on this subject alone.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key.
        requested: How much more is wanted.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        Whether it is allowed, and the limit that binds.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: a value is not allowed.
        psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

    Example:
        meter.own_check_quota("acct_1", "tokens", 5_000).allowed
    """
    arguments = (
        argument.text("subject", subject, required=True),
        argument.text("metric", metric, required=True),
        argument.quantity("requested", requested),
        argument.time("now", now),
    )
    return Call("own_check_quota", arguments, result.one(QuotaStatus))


def own_balance(subject: str, metric: str, *, at: datetime | None = None) -> Call[Balance]:
    """Return the balance of a subject, for a role that was granted read on this subject alone.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key.
        at: When; now unless given.

    Returns:
        What `balance` returns.

    Raises:
        UnknownMetric: the catalog has no such metric.
        MetricForbids: the metric is no ``sum`` or ``count``.
        InvalidInput: a value is not allowed.
        psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

    Example:
        meter.own_balance("acct_1", "tokens").remaining
    """
    call = balance(subject, metric, at=at)
    return Call("own_balance", call.arguments, call.result)


def own_budget_status(subject: str, *, now: datetime | None = None) -> Call[list[BudgetStatus]]:
    """Return the budgets of a subject, for a role that was granted read on this subject alone.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        now: The moment whose periods are meant; now unless given.

    Returns:
        What `budget_status` returns.

    Raises:
        InvalidInput: a value is not allowed.
        psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

    Example:
        [(budget.spent, budget.amount) for budget in meter.own_budget_status("acct_1")]
    """
    call = budget_status(subject, now=now)
    return Call("own_budget_status", call.arguments, call.result)


def own_credits(subject: str, *, at: datetime | None = None) -> Call[list[Credit]]:
    """Return the credits of a subject, for a role that was granted read on this subject alone.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        at: When; now unless given.

    Returns:
        What `credits` returns.

    Raises:
        InvalidInput: a value is not allowed.
        psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

    Example:
        [(credit.remaining, credit.currency) for credit in meter.own_credits("acct_1")]
    """
    call = credits(subject, at=at)
    return Call("own_credits", call.arguments, call.result)


def own_invoice(
    subject: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    period: SubjectPeriod | str | None = None,
    now: datetime | None = None,
) -> Call[list[InvoiceLine]]:
    """Return what `invoice` does, for a role that was granted read on this subject alone.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        since: The window's start, included.
        until: The window's end, not included.
        period: ``cycle`` or a calendar word, the one that contains `now`; instead of a range. The
            running cycle if neither is given.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        The lines, a total for each currency at the end.

    Raises:
        InvalidInput: a value is not allowed.
        EventsDropped: events that an amount depends on were dropped.
        psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

    Example:
        meter.own_invoice("acct_1", period="cycle")
    """
    call = invoice(subject, since=since, until=until, period=period, now=now)
    return Call("own_invoice", call.arguments, call.result)


def own_project_usage(
    subject: str, metric: str | None = None, *, now: datetime | None = None
) -> Call[list[UsageProjection]]:
    """Return what `project_usage` does, for a role that was granted read on this subject alone.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key; every metric in use unless given.
        now: The moment to ask about; only usage before it counts. The database's clock unless given.

    Returns:
        A row for each metric: low, expected and high, and by which method. They are None, with a
        reason, where nothing can be said, such as with less than 7 days of history.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: a value is not allowed.
        EventsDropped: events at an edge of the window were dropped.
        psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

    Example:
        meter.own_project_usage("acct_1", "tokens")[0].expected
    """
    call = project_usage(subject, metric, now=now)
    return Call("own_project_usage", call.arguments, call.result)


def own_project_invoice(subject: str, *, now: datetime | None = None) -> Call[list[InvoiceProjection]]:
    """Return what `project_invoice` does, for a role that was granted read on this subject alone.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        now: The moment to ask about; only usage before it counts. The database's clock unless given.

    Returns:
        The lines, a total for each currency at the end: the amounts so far, and at low, expected and
        high usage. They are None where the usage of a metric cannot be projected.

    Raises:
        InvalidInput: a value is not allowed.
        EventsDropped: events that an amount depends on were dropped.
        psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

    Example:
        [line.expected for line in meter.own_project_invoice("acct_1") if line.kind == "total"]
    """
    call = project_invoice(subject, now=now)
    return Call("own_project_invoice", call.arguments, call.result)


def own_statements(
    subject: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    max_rows: int = 100,
    after_id: int | None = None,
) -> Call[list[StatementHeader]]:
    """Return what `statements` does, for a role that was granted read on this subject alone.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        since: Only periods that end after this.
        until: Only periods that begin before this.
        max_rows: The length of a page, at most 10,000.
        after_id: The last row's ``statement_id``, for the next page.

    Returns:
        A page of headers, the one that was closed last first.

    Raises:
        InvalidInput: a value is not allowed.
        psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

    Example:
        [header.totals for header in meter.own_statements("acct_1")]
    """
    call = statements(subject, since=since, until=until, max_rows=max_rows, after_id=after_id)
    return Call("own_statements", call.arguments, call.result)


def own_statement(subject: str, statement_id: int) -> Call[list[StatementLine]]:
    """Return what `statement` does, for a role that was granted read on this subject alone.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        statement_id: The statement, of `own_statements`.

    Returns:
        The lines, in their order.

    Raises:
        NotFound: there is no such statement, or it is another subject's.
        psycopg.errors.InsufficientPrivilege: the role is not bound to the subject.

    Example:
        [line.amount for line in meter.own_statement("acct_1", 7)]
    """
    call = statement(statement_id)
    return Call(
        "own_statement", (argument.text("subject", subject, required=True), *call.arguments), call.result
    )
