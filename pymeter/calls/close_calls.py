"""Closed periods: watermarks, statements, late usage: sql/close/."""

from __future__ import annotations

from datetime import datetime

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import (
    Closing,
    Event,
    LateDecision,
    LateSettlement,
    LateUsage,
    Quantity,
    StatementHeader,
    StatementLine,
    StatementProblem,
    SubjectPeriod,
)


def watermark(subject: str) -> Call[datetime]:
    """Draw a watermark: a time up to which nothing of the subject can be recorded any more.

    What is asked as of it (`usage`, `summary`, `series`, `events`) has the same answer for ever. The
    subject's recording waits until the transaction ends.

    Args:
        subject: Who consumes: an account, an organisation, an API key.

    Returns:
        The watermark.

    Raises:
        InvalidInput: the subject is not allowed.
        LockUnavailable: a transaction that records for the subject stays open.
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

    Example:
        meter.usage("acct_1", "tokens", period="month", as_of=meter.watermark("acct_1"))
    """
    return Call("watermark", (argument.text("subject", subject, required=True),), result.moment)


def close_period(
    subject: str,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    period: SubjectPeriod | None = None,
    now: datetime | None = None,
) -> Call[StatementHeader]:
    """Close a period of a subject with a statement, which never changes.

    What is recorded for the period later is late usage. Closing the same period again returns its
    statement. Without `since`, `until` and `period`: the last billing cycle that ended before `now`. The
    subject's recording waits until the transaction ends, so commit at once.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        since: The period's start.
        until: The period's end, not included.
        period: The last one of its kind that ended before `now`: ``minute hour day week month year``
            in UTC, or ``cycle``.
        now: The moment that counts as now; the database's clock unless given.

    Returns:
        The statement's header; `statement` has its lines.

    Raises:
        InvalidInput: a value is not allowed, the period has not ended, or a part of it is closed already.
        NotReady: a reservation of the period is open, or buckets differ from the log.
        LockUnavailable: a transaction that records for the subject stays open; nothing was changed.
        EventsDropped: the period cuts a bucket of a dropped month.
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

    Example:
        meter.close_period("acct_1", period="month").statement_id
    """
    return Call(
        "close_period",
        (
            argument.text("subject", subject, required=True),
            argument.time("since", since),
            argument.time("until", until),
            argument.text("period", period),
            argument.time("now", now),
        ),
        result.one(StatementHeader),
    )


def close_due(*, now: datetime | None = None, max_rows: int = 1000) -> Call[list[Closing]]:
    """Close the billing cycles that ended longer ago than the setting ``grace``.

    Of each subject: the cycle after its last statement; without a statement the last one that ended. It
    ends after a second, because recording waits for what it closes: commit, and call it again until no
    row has the outcome ``closed``.

    Args:
        now: The moment that counts as now; the database's clock unless given.
        max_rows: How many to close at most, 1 to 10,000.

    Returns:
        A row for each period: ``closed`` with its statement's totals, or ``postponed`` with the reason.

    Raises:
        InvalidInput: a value is not allowed.
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

    Example:
        while any(period.outcome == "closed" for period in meter.close_due()):
            pass
    """
    return Call(
        "close_due",
        (argument.time("now", now), argument.integer("max_rows", "integer", max_rows)),
        result.every(Closing),
    )


def statements(
    subject: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    max_rows: int = 100,
    after_id: int | None = None,
) -> Call[list[StatementHeader]]:
    """Return statements, the one that was closed last first.

    Args:
        subject: Those of this subject; all unless given.
        since: Only periods that end after this.
        until: Only periods that begin before this.
        max_rows: The length of a page, at most 10,000.
        after_id: The last row's ``statement_id``, for the next page.

    Returns:
        A page of headers.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        [header.hash for header in meter.statements("acct_1")]
    """
    return Call(
        "statements",
        (
            argument.text("subject", subject),
            argument.time("since", since),
            argument.time("until", until),
            argument.integer("max_rows", "integer", max_rows),
            argument.integer("after_id", "bigint", after_id),
        ),
        result.every(StatementHeader),
    )


def statement(statement_id: int) -> Call[list[StatementLine]]:
    """Return the lines of a statement: those that `invoice` had when the period was closed.

    Of a subject without prices: a line for each metric, then late lines of earlier periods.

    Args:
        statement_id: The statement, of `statements` or `close_period`.

    Returns:
        The lines, in their order.

    Raises:
        NotFound: there is no such statement.

    Example:
        for line in meter.statement(7):
            print(line.kind, line.metric, line.quantity, line.amount)
    """
    return Call(
        "statement",
        (argument.integer("statement_id", "bigint", statement_id, required=True),),
        result.every(StatementLine),
    )


def statement_document(statement_id: int) -> Call[str]:
    """Return a statement as the text whose SHA-256 is its hash: JSON, always the same.

    Keep it outside of the database, and nobody can change the statement unnoticed.

    Args:
        statement_id: The statement, of `statements` or `close_period`.

    Returns:
        The text; it names the subject only by a digest.

    Raises:
        NotFound: there is no such statement.

    Example:
        hashlib.sha256(meter.statement_document(7).encode()).hexdigest()
    """
    return Call(
        "statement_document",
        (argument.integer("statement_id", "bigint", statement_id, required=True),),
        result.word,
    )


def verify_statements(subject: str | None = None) -> Call[list[StatementProblem]]:
    """Check statements: their hashes, their chain, and their quantities against the log.

    Args:
        subject: Those of this subject; all unless given.

    Returns:
        What does not fit. Nothing means that all is as it was closed.

    Raises:
        InvalidInput: the subject is not allowed.

    Example:
        assert meter.verify_statements() == []
    """
    return Call("verify_statements", (argument.text("subject", subject),), result.every(StatementProblem))


def late_usage(
    subject: str | None = None,
    metric: str | None = None,
    *,
    statement_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    max_rows: int = 1000,
    after_id: int | None = None,
    decided: bool = False,
) -> Call[list[LateUsage]]:
    """Return the lines of statements whose usage has changed since, and is not decided yet.

    Args:
        subject: Those of this subject; all unless given.
        metric: Those of this metric.
        statement_id: Those of this statement.
        since: Only periods that end after this.
        until: Only periods that begin before this.
        max_rows: The length of a page, at most 10,000.
        after_id: The last statement that is complete, for the next page.
        decided: Also lines of which something was billed or waived, and nothing is open.

    Returns:
        The lines, by statement and metric; ``delta`` is what is open.

    Raises:
        UnknownMetric: the catalog has no such metric.
        NotFound: there is no such statement.
        InvalidInput: a value is not allowed.

    Example:
        {(late.statement_id, late.metric): late.delta for late in meter.late_usage("acct_1")}
    """
    return Call(
        "late_usage",
        (
            argument.text("subject", subject),
            argument.text("metric", metric),
            argument.integer("statement_id", "bigint", statement_id),
            argument.time("since", since),
            argument.time("until", until),
            argument.integer("max_rows", "integer", max_rows),
            argument.integer("after_id", "bigint", after_id),
            argument.boolean("decided", decided, required=True),
        ),
        result.every(LateUsage),
    )


def settle_late_usage(
    statement_id: int, metric: str, delta: Quantity, decision: LateDecision, *, reason: str | None = None
) -> Call[LateSettlement]:
    """Decide about late usage of one line of a statement.

    A negative delta first takes back what was waived on the line; billing the rest is a credit.

    Args:
        statement_id: The statement.
        metric: The metric's key.
        delta: All that is open, as `late_usage` returns it: nothing is decided that you have not seen.
        decision: ``bill``, with the subject's next statement; or ``waive``.
        reason: Why.

    Returns:
        The outcome: ``settled``, ``duplicate`` (nothing is open) or ``conflict`` (the delta has moved).
        Also what a decision to bill adds to the next statement.

    Raises:
        UnknownMetric: the catalog has no such metric.
        NotFound: there is no such statement.
        InvalidInput: a value is not allowed.
        LockUnavailable: the subject is being closed.
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

    Example:
        for late in meter.late_usage("acct_1"):
            meter.settle_late_usage(late.statement_id, late.metric, late.delta, "bill")
    """
    return Call(
        "settle_late_usage",
        (
            argument.integer("statement_id", "bigint", statement_id, required=True),
            argument.text("metric", metric, required=True),
            argument.quantity("delta", delta, required=True),
            argument.text("decision", decision, required=True),
            argument.text("reason", reason),
        ),
        result.one(LateSettlement),
    )


def what_changed(
    statement_id: int, metric: str | None = None, *, max_rows: int = 100, after_id: int | None = None
) -> Call[list[Event]]:
    """Return the rows of the log behind late usage, in the order of recording.

    Args:
        statement_id: The statement.
        metric: Only of this metric.
        max_rows: The length of a page, at most 10,000.
        after_id: The last row's ``event_id``, for the next page.

    Returns:
        What was recorded for the period after it was closed.

    Raises:
        NotFound: there is no such statement.
        UnknownMetric: the catalog has no such metric.
        InvalidInput: a value is not allowed.

    Example:
        [event.quantity for event in meter.what_changed(7, "tokens")]
    """
    return Call(
        "what_changed",
        (
            argument.integer("statement_id", "bigint", statement_id, required=True),
            argument.text("metric", metric),
            argument.integer("max_rows", "integer", max_rows),
            argument.integer("after_id", "bigint", after_id),
        ),
        result.every(Event),
    )


def erase_subject(subject: str, pseudonym: str) -> Call[int]:
    """Remove a subject's name, members, keys and metadata everywhere; totals and statements stay.

    Key digests stay, so that old retries remain duplicates. It cannot be undone.

    Args:
        subject: Who consumed: an account, an organisation, an API key.
        pseudonym: The name that takes its place.

    Returns:
        How many rows of the log were rewritten.

    Raises:
        InvalidInput: a value is not allowed, or the pseudonym is in use.
        NotFound: the subject is not known.
        NotReady: a correction of the subject is open, or its usage is still to be reported.
        LockUnavailable: a transaction that records for the subject stays open; nothing was changed.
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

    Example:
        meter.erase_subject("acct_1", "erased_4711")
    """
    return Call(
        "erase_subject",
        (
            argument.text("subject", subject, required=True),
            argument.text("pseudonym", pseudonym, required=True),
        ),
        result.number,
    )
