"""Being told in time: endpoints, deliveries, and alerts about spikes: sql/notify/."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import (
    ClaimedDelivery,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointFormat,
    EndpointStatus,
    Quantity,
    SettledDelivery,
    SpikeAlert,
)


def define_endpoint(
    name: str,
    url: str | None,
    types: Sequence[str] | None = None,
    *,
    secret_name: str | None = None,
    format: EndpointFormat = "standard",
) -> Call[Endpoint]:
    """Define where notifications are sent, or change it.

    It is sent the notifications that are written from now on. Defining a disabled endpoint enables it.

    Args:
        name: Identifies the endpoint.
        url: An http, https or mailto URL; None for a Slack webhook whose URL is the secret.
        types: The types to send, such as ``threshold.exceeded``; ``*``: all but ``usage.recorded`` and
            ``usage.aggregated``, which are only written if an endpoint names them. None: those of the
            endpoint as it is; of a new one, ``*``.
        secret_name: The name of the environment variable, or file, that the sender reads the secret from.
            Never the secret itself. None: that of the endpoint as it is. An empty text: none.
        format: ``standard`` (Standard Webhooks), ``slack`` or ``email``.

    Returns:
        The endpoint.

    Raises:
        InvalidInput: a value is not allowed.
        LockUnavailable: another transaction that changes endpoints stays open.

    Example:
        meter.define_endpoint("ops", "https://example.com/hook", ["*"], secret_name="WEBHOOK_SECRET")
    """
    return Call(
        "define_endpoint",
        (
            argument.text("name", name, required=True),
            argument.text("url", url, required=True),
            argument.texts("types", types),
            argument.text("secret_name", secret_name),
            argument.text("format", format, required=True),
        ),
        result.one(Endpoint),
    )


def endpoints() -> Call[list[EndpointStatus]]:
    """Return the endpoints by name, with how many deliveries are open and dead.

    Returns:
        A row for each endpoint.

    Example:
        [endpoint.name for endpoint in meter.endpoints() if endpoint.dead_deliveries]
    """
    return Call("endpoints", (), result.every(EndpointStatus))


def test_endpoint(name: str) -> Call[Delivery]:
    """Plan a notification of the type ``endpoint.test`` for one endpoint.

    Args:
        name: The endpoint's name.

    Returns:
        The delivery. `deliveries` shows later whether it has arrived.

    Raises:
        NotFound: there is no such endpoint.
        InvalidInput: the endpoint is disabled.
        LockUnavailable: another transaction that changes the endpoint stays open.

    Example:
        meter.test_endpoint("ops")
    """
    return Call("test_endpoint", (argument.text("name", name, required=True),), result.one(Delivery))


def remove_endpoint(name: str) -> Call[Endpoint]:
    """Remove an endpoint with its deliveries.

    Args:
        name: The endpoint's name.

    Returns:
        What it was.

    Raises:
        NotFound: there is no such endpoint.
        LockUnavailable: another transaction that changes endpoints stays open.

    Example:
        meter.remove_endpoint("ops")
    """
    return Call("remove_endpoint", (argument.text("name", name, required=True),), result.one(Endpoint))


def deliveries(
    endpoint: str | None = None,
    state: DeliveryState | None = None,
    *,
    subject: str | None = None,
    max_rows: int = 100,
    after_id: int | None = None,
) -> Call[list[Delivery]]:
    """Return the deliveries, newest first.

    Args:
        endpoint: One endpoint's; all unless given.
        state: Those in this state, such as ``dead``.
        subject: One subject's.
        max_rows: The length of a page, at most 10,000.
        after_id: The last row's ``delivery_id``, for the next page.

    Returns:
        A page of deliveries.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        meter.deliveries("ops", "dead")
    """
    return Call(
        "deliveries",
        (
            argument.text("endpoint", endpoint),
            argument.text("state", state),
            argument.text("subject", subject),
            argument.integer("max_rows", "integer", max_rows),
            argument.integer("after_id", "bigint", after_id),
        ),
        result.every(Delivery),
    )


def retry_deliveries(
    endpoint: str | None = None, *, delivery_id: int | None = None, now: datetime | None = None
) -> Call[int]:
    """Send dead deliveries again, and at once those that wait for their next attempt.

    They keep their ``message_id``, and are sent before later ones of the same subject.

    Args:
        endpoint: One endpoint's; of all endpoints that are in use unless given.
        delivery_id: This one alone.
        now: From when; the database's clock unless given.

    Returns:
        How many.

    Raises:
        NotFound: there is no such endpoint.
        InvalidInput: the endpoint is disabled, or the delivery is unknown or has arrived.
        LockUnavailable: another transaction that changes endpoints stays open.

    Example:
        meter.retry_deliveries("ops")
    """
    return Call(
        "retry_deliveries",
        (
            argument.text("endpoint", endpoint),
            argument.integer("delivery_id", "bigint", delivery_id),
            argument.time("now", now),
        ),
        result.number,
    )


def plan_deliveries(max_notifications: int = 1000, *, now: datetime | None = None) -> Call[int]:
    """Plan deliveries of new notifications; a sender calls it until it returns 0.

    Args:
        max_notifications: How many notifications to look at, at most 10,000.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        How many notifications it looked at or wrote.

    Raises:
        InvalidInput: a value is not allowed.
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.
        LockUnavailable: another transaction that changes endpoints stays open.

    Example:
        meter.plan_deliveries()
    """
    return Call(
        "plan_deliveries",
        (argument.integer("max_notifications", "integer", max_notifications), argument.time("now", now)),
        result.number,
    )


def claim_deliveries(
    worker: str,
    max_deliveries: int = 100,
    *,
    lease: timedelta | None = None,
    now: datetime | None = None,
) -> Call[list[ClaimedDelivery]]:
    """Claim deliveries to send now. Commit before sending.

    Of an endpoint and subject one is in flight at a time, of an endpoint at most 16.

    Args:
        worker: The caller's unique name.
        max_deliveries: How many at most, 10,000 at most.
        lease: For how long; two minutes unless given. Send nothing after ``leased_until``.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        The claimed deliveries.

    Raises:
        InvalidInput: a value is not allowed.
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.
        LockUnavailable: another transaction that changes endpoints stays open.

    Example:
        meter.claim_deliveries("worker_1")
    """
    return Call(
        "claim_deliveries",
        (
            argument.text("worker", worker, required=True),
            argument.integer("max_deliveries", "integer", max_deliveries),
            argument.interval("lease", lease),
            argument.time("now", now),
        ),
        result.every(ClaimedDelivery),
    )


def settle_deliveries(
    worker: str, results: Iterable[Mapping[str, Any]], *, now: datetime | None = None
) -> Call[list[SettledDelivery]]:
    """Record the results of claimed deliveries. The next ones of the same subjects are then planned.

    Args:
        worker: The name under which they were claimed.
        results: A dict for each: ``delivery_id``, ``attempt``, ``outcome`` (``delivered``; ``failed``:
            sent again later; ``gone``: the endpoint is disabled; ``unsent``: due at once) and, if known,
            ``message_id``, ``status``, ``error`` and ``retry_after`` (seconds).
        now: The moment of the results; the database's clock unless given.

    Returns:
        The new states.

    Raises:
        InvalidInput: a value is not allowed.
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.
        LockUnavailable: another transaction that changes endpoints stays open.

    Example:
        meter.settle_deliveries("worker_1", [{"delivery_id": 1, "attempt": 1, "outcome": "delivered"}])
    """
    return Call(
        "settle_deliveries",
        (
            argument.text("worker", worker, required=True),
            argument.results(results),
            argument.time("now", now),
        ),
        result.every(SettledDelivery),
    )


def release_deliveries(worker: str, *, now: datetime | None = None) -> Call[int]:
    """Return a worker's claimed, unsettled deliveries to the queue. They may have been sent already.

    Args:
        worker: The name under which they were claimed.
        now: From when they are due; the database's clock unless given.

    Returns:
        How many.

    Raises:
        InvalidInput: a value is not allowed.
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.
        LockUnavailable: another transaction that changes endpoints stays open.

    Example:
        meter.release_deliveries("worker_1")
    """
    return Call(
        "release_deliveries",
        (argument.text("worker", worker, required=True), argument.time("now", now)),
        result.number,
    )


def set_spike_alert(
    metric: str,
    factor: Quantity,
    *,
    subject: str | None = None,
    within: timedelta | None = None,
    baseline: timedelta | None = None,
) -> Call[SpikeAlert]:
    """Set from which multiple of the usual usage on `judge_spikes` writes ``spike.detected``.

    Args:
        metric: The metric's key; a sum or count.
        factor: The multiple, above 1.
        subject: Whose usage; each subject's by itself unless given.
        within: The length of the windows that are compared; an hour unless given.
        baseline: How far back the usage is the usual one; 14 days unless given.

    Returns:
        The alert.

    Raises:
        UnknownMetric: the catalog has no such metric.
        MetricForbids: it does not add up, or its rollups are longer than `within`.
        InvalidInput: a value is not allowed.

    Example:
        meter.set_spike_alert("tokens", 3)
    """
    return Call(
        "set_spike_alert",
        (
            argument.text("metric", metric, required=True),
            argument.quantity("factor", factor, required=True),
            argument.text("subject", subject),
            argument.interval("within", within),
            argument.interval("baseline", baseline),
        ),
        result.one(SpikeAlert),
    )


def spike_alerts() -> Call[list[SpikeAlert]]:
    """Return the alerts about spikes, by metric and subject.

    Returns:
        A row for each alert.

    Example:
        [alert.metric for alert in meter.spike_alerts()]
    """
    return Call("spike_alerts", (), result.every(SpikeAlert))


def remove_spike_alert(
    metric: str, *, subject: str | None = None, within: timedelta | None = None
) -> Call[SpikeAlert]:
    """Remove an alert about spikes.

    Args:
        metric: The metric's key.
        subject: The alert's subject.
        within: The alert's windows; an hour unless given.

    Returns:
        What it was.

    Raises:
        UnknownMetric: the catalog has no such metric.
        NotFound: there is no such alert.

    Example:
        meter.remove_spike_alert("tokens")
    """
    return Call(
        "remove_spike_alert",
        (
            argument.text("metric", metric, required=True),
            argument.text("subject", subject),
            argument.interval("within", within),
        ),
        result.one(SpikeAlert),
    )


def judge_spikes(*, now: datetime | None = None) -> Call[int]:
    """Compare usage with what is usual, and write ``spike.detected`` for what is far beyond it.

    Args:
        now: The moment to judge; the database's clock unless given.

    Returns:
        How many spikes were found.

    Raises:
        InvalidInput: `now` is not allowed.

    Example:
        meter.judge_spikes()
    """
    return Call("judge_spikes", (argument.time("now", now),), result.number)
