"""A biller's policy, and what is reported to it under which names."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import Biller, MetricMapping, ReportMode, SubjectMapping


def define_biller(
    biller: str = "stripe",
    *,
    subject_is_customer: bool | None = None,
    dedup_window: timedelta | None = None,
    dedup_margin: timedelta | None = None,
    absence: timedelta | None = None,
    max_age: timedelta | None = None,
    max_ahead: timedelta | None = None,
    grace: timedelta | None = None,
    max_digits: int | None = None,
    too_old: Literal["hold", "restamp", "leave"] | None = None,
    negative: Literal["hold", "send", "leave"] | None = None,
    late: Literal["send", "restamp", "hold"] | None = None,
    sends: Literal["usage", "statements"] | None = None,
    statements_since: datetime | None = None,
) -> Call[Biller]:
    """Create or update a biller's reporting policy. What is None stays as it is.

    Args:
        biller: The biller's name.
        subject_is_customer: Whether a subject that is not mapped is its own customer.
        dedup_window: How long the biller recognises an identifier.
        dedup_margin: How long before its end a push is not sent again.
        absence: How long a push has to be missing from the biller's totals before it is sent under
            a new identifier.
        max_age: How old usage the biller takes.
        max_ahead: How far in the future.
        grace: How long after a period's end its invoice takes usage.
        max_digits: How many significant digits a value may have.
        too_old: What happens to usage older than `max_age`: ``hold``, ``restamp`` with the present
            time, ``leave``.
        negative: What happens to values below zero: ``hold``, ``send``, ``leave``.
        late: What happens after `grace`: ``send``, ``restamp``, ``hold``.
        sends: ``usage``, or ``statements``: each line of a statement that is closed from now on
            becomes an invoice item.
        statements_since: Statements of periods that begin earlier are not sent; those of later ones
            are, also if they have been closed already.

    Returns:
        The policy as it is now.

    Raises:
        InvalidInput: a setting is not allowed.
        MetricForbids: what it sends would change while it is in use.

    Example:
        meter.define_biller(too_old="restamp", grace=timedelta(hours=72))
    """
    return Call(
        "define_biller",
        (
            argument.text("biller", biller, required=True),
            argument.boolean("subject_is_customer", subject_is_customer),
            argument.interval("dedup_window", dedup_window),
            argument.interval("dedup_margin", dedup_margin),
            argument.interval("absence", absence),
            argument.interval("max_age", max_age),
            argument.interval("max_ahead", max_ahead),
            argument.interval("grace", grace),
            argument.integer("max_digits", "integer", max_digits),
            argument.text("too_old", too_old),
            argument.text("negative", negative),
            argument.text("late", late),
            argument.text("sends", sends),
            argument.time("statements_since", statements_since),
        ),
        result.one(Biller),
    )


def report_metric(
    metric: str,
    event_name: str | None,
    mode: ReportMode | None = None,
    biller: str = "stripe",
    *,
    since: datetime | None = None,
) -> Call[MetricMapping]:
    """Report a metric to a biller under this name; None ends it. Repeating it changes nothing.

    Usage that is there already is queued.

    Args:
        metric: The metric's key.
        event_name: The biller's name of the meter.
        mode: ``delta`` (what a bucket has gained since the last plan), ``event`` (every event by
            itself) or ``last`` (the period's present value). None keeps it as it is; ``delta`` for
            a new mapping.
        biller: The biller's name.
        since: Only buckets that begin at this time or later; all unless given.

    Returns:
        The mapping as it is now.

    Raises:
        UnknownMetric: the catalog has no such metric.
        MetricForbids: the mode would report wrong totals.
        InvalidInput: a value is not allowed.

    Example:
        meter.report_metric("tokens", "api_tokens")
    """
    return Call(
        "report_metric",
        (
            argument.text("metric", metric, required=True),
            argument.text("event_name", event_name, required=True),
            argument.text("mode", mode),
            argument.text("biller", biller, required=True),
            argument.time("since", since),
        ),
        result.one(MetricMapping),
    )


def report_subject(subject: str, customer: str | None, biller: str = "stripe") -> Call[SubjectMapping]:
    """Map a subject to a biller's customer; None ends it. Repeating it changes nothing.

    Usage that was never reported is queued. What has been planned stays with the customer that it
    was planned for.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        customer: The biller's customer.
        biller: The biller's name.

    Returns:
        The mapping as it is now.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        meter.report_subject("acct_1", "cus_42")
    """
    return Call(
        "report_subject",
        (
            argument.text("subject", subject, required=True),
            argument.text("customer", customer, required=True),
            argument.text("biller", biller, required=True),
        ),
        result.one(SubjectMapping),
    )


def billers() -> Call[list[Biller]]:
    """Return the billers, each with its reporting policy.

    Returns:
        A row for each biller, by name.

    Example:
        [biller.sends for biller in meter.billers()]
    """
    return Call("billers", (), result.every(Biller))


def report_mappings(biller: str = "stripe") -> Call[list[MetricMapping]]:
    """Return the metrics that are reported to a biller.

    Args:
        biller: The biller's name.

    Returns:
        A row for each metric.

    Example:
        [mapping.event_name for mapping in meter.report_mappings()]
    """
    return Call(
        "report_mappings", (argument.text("biller", biller, required=True),), result.every(MetricMapping)
    )


def customer_subjects(customer: str, biller: str = "stripe") -> Call[list[SubjectMapping]]:
    """Return the subjects whose usage is reported as that of one customer of a biller.

    Args:
        customer: The biller's customer.
        biller: The biller's name.

    Returns:
        A row for each subject, by subject.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        [mapping.subject for mapping in meter.customer_subjects("cus_42")]
    """
    return Call(
        "customer_subjects",
        (
            argument.text("customer", customer, required=True),
            argument.text("biller", biller, required=True),
        ),
        result.every(SubjectMapping),
    )
