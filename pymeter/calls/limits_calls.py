"""What may be used, and who changed what: sql/limits/."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.errors import InvalidInput
from pymeter.models import (
    ActiveTopUp,
    AdminEntry,
    Balance,
    BillingCycle,
    CycleLength,
    EffectiveLimit,
    Limit,
    LimitAction,
    Notification,
    Overrun,
    Plan,
    Quantity,
    Recorded,
    Reservation,
    ReservationState,
    Reserved,
    ReservedInBatch,
    Setting,
    Subscription,
    TopUp,
    TopUpSource,
    Window,
)


def settings() -> Call[list[Setting]]:
    """Return the settings of the meter.

    Returns:
        The settings, by name, with their defaults and what they do.

    Example:
        {setting.name: setting.value for setting in meter.settings()}
    """
    return Call("settings", (), result.every(Setting))


def set_setting(name: str, value: str | None) -> Call[Setting]:
    """Change a setting of the meter.

    Args:
        name: A name that `settings` lists.
        value: The new value; None restores the default.

    Returns:
        The setting as it is now.

    Raises:
        InvalidInput: the name is unknown, or the setting cannot have that value.

    Example:
        meter.set_setting("notifications_keep", "30 days")
    """
    return Call(
        "set_setting",
        (argument.text("name", name, required=True), argument.text("value", value, required=True)),
        result.one(Setting),
    )


def admin_log(
    object: str | None = None, *, max_rows: int = 100, before_id: int | None = None
) -> Call[list[AdminEntry]]:
    """Return what administrators have changed, the newest change first.

    Args:
        object: One metric's, setting's, subject's, plan's or role's changes; all unless given.
        max_rows: The length of a page, at most 10,000.
        before_id: The last row's ``entry_id``, for the next page.

    Returns:
        A page of changes: who, when, with which function, before and after.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        meter.admin_log("tokens")
    """
    return Call(
        "admin_log",
        (
            argument.text("object", object),
            argument.integer("max_rows", "integer", max_rows),
            argument.integer("before_id", "bigint", before_id),
        ),
        result.every(AdminEntry),
    )


def billing_cycle(subject: str, *, at: datetime | None = None) -> Call[Window]:
    """Return the billing cycle of a subject that contains a moment.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        at: The moment; now unless given.

    Returns:
        The cycle's start and end. A subject without a cycle of its own has the calendar month, UTC.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        meter.billing_cycle("acct_1").until
    """
    return Call(
        "billing_cycle",
        (argument.text("subject", subject, required=True), argument.time("at", at)),
        result.window,
    )


def set_billing_cycle(
    subject: str,
    anchor: datetime,
    *,
    timezone: str = "UTC",
    every: CycleLength = "month",
    since: datetime | None = None,
) -> Call[BillingCycle]:
    """Set the billing cycle of a subject.

    The first rule holds from its anchor. A change holds from its first start of a cycle at or after
    `since`, or now; the cycle that runs then ends there.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        anchor: A start of a cycle. On the 29th to 31st it means the last day of a shorter month.
        timezone: The name of the zone in which cycles start at the anchor's time of day.
        every: ``week``, ``month`` or ``year``.
        since: From when; a time in the past changes past cycles.

    Returns:
        The rule, with the moment from which it holds.

    Raises:
        InvalidInput: a value is not allowed.
        LockUnavailable: transactions that record for the subject stay open.

    Example:
        meter.set_billing_cycle("acct_1", datetime(2026, 1, 31, tzinfo=timezone.utc))
    """
    return Call(
        "set_billing_cycle",
        (
            argument.text("subject", subject, required=True),
            argument.time("anchor", anchor, required=True),
            argument.text("timezone", timezone, required=True),
            argument.text("every", every, required=True),
            argument.time("since", since),
        ),
        result.one(BillingCycle),
    )


def define_plan(plan: str, name: str | None = None) -> Call[Plan]:
    """Define a plan that subjects can subscribe to, or change its name.

    Args:
        plan: The plan's key.
        name: A title for people; None keeps what is stored, an empty one removes it.

    Returns:
        The plan as it is now.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        meter.define_plan("pro", "Pro")
    """
    return Call(
        "define_plan",
        (argument.text("plan", plan, required=True), argument.text("name", name)),
        result.one(Plan),
    )


def plans() -> Call[list[Plan]]:
    """Return every plan.

    Returns:
        The plans, by key.

    Example:
        [plan.plan for plan in meter.plans()]
    """
    return Call("plans", (), result.every(Plan))


def subscribe(
    subject: str, plan: str, *, since: datetime | None = None, until: datetime | None = None
) -> Call[Subscription]:
    """Subscribe a subject to a plan: its limits and prices then hold.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        plan: The plan's key.
        since: From when; now unless given.
        until: Until when, not included; open unless given.

    Returns:
        The subscription. The same call again changes nothing, if it gives `since`.

    Raises:
        NotFound: there is no such plan.
        InvalidInput: a value is not allowed, or the subject has the plan already in a part of that time.
        LockUnavailable: transactions that record for the subject stay open.

    Example:
        meter.subscribe("acct_1", "pro")
    """
    return Call(
        "subscribe",
        (
            argument.text("subject", subject, required=True),
            argument.text("plan", plan, required=True),
            argument.time("since", since),
            argument.time("until", until),
        ),
        result.one(Subscription),
    )


def unsubscribe(subject: str, plan: str, *, at: datetime | None = None) -> Call[Subscription]:
    """End a subject's subscription to a plan.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        plan: The plan's key.
        at: When; now unless given. A subscription that would begin later is removed.

    Returns:
        The subscription, with its end.

    Raises:
        NotFound: there is no such plan, or no such subscription.
        InvalidInput: a value is not allowed.
        LockUnavailable: transactions that record for the subject stay open.

    Example:
        meter.unsubscribe("acct_1", "pro")
    """
    return Call(
        "unsubscribe",
        (
            argument.text("subject", subject, required=True),
            argument.text("plan", plan, required=True),
            argument.time("at", at),
        ),
        result.one(Subscription),
    )


def subscriptions(subject: str, *, at: datetime | None = None) -> Call[list[Subscription]]:
    """Return the subscriptions of a subject, the earliest first.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        at: Those at this moment; all unless given.

    Returns:
        A row for each subscription.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        [subscription.plan for subscription in meter.subscriptions("acct_1")]
    """
    return Call(
        "subscriptions",
        (argument.text("subject", subject, required=True), argument.time("at", at)),
        result.every(Subscription),
    )


def set_limit(
    metric: str,
    quota: Quantity | None,
    *,
    subject: str | None = None,
    plan: str | None = None,
    period: str | None = None,
    action: LimitAction = "block",
    marks: Sequence[Quantity] | None = None,
    name: str = "default",
    since: datetime | None = None,
    rollover_min: Quantity | None = None,
    rollover_max: Quantity | None = None,
    every: Quantity | None = None,
    projected: bool = False,
) -> Call[Limit]:
    """Limit how much of a metric may be used in a period: by a subject, with a plan, or by everyone.

    Of one name and period, a subject's own limit counts before those of its plans, of which the strictest
    counts, and these before everyone's. Limits of other names or periods hold beside it.

    Args:
        metric: The metric's key.
        quota: How much, in the metric's unit; None: unlimited.
        subject: Whose limit. Without subject and plan: everyone's.
        plan: The limit of every subject that has this plan.
        period: A calendar word (``minute hour day week month year never``, UTC); ``cycle``, the subject's
            billing cycle; or a duration (``30 days``) that ends now. The metric's own unless given.
        action: Beyond the quota: ``block`` refuses events, ``alert`` notifies, ``none`` does neither.
        marks: Percentages of the quota at which a notification is written; 80 and 100 unless given.
        name: Tells several limits of a metric apart.
        since: From when; now unless given.
        rollover_min: When a period ends, at least this much goes over to the next one.
        rollover_max: At most this much of what is left goes over. Without both, nothing does.
        every: Beyond the quota, one more notification at each further step of this size.
        projected: `judge_projections` also notifies of marks that the usage expected at the end of the
            period reaches.

    Returns:
        The version of the limit. The same call again changes nothing.

    Raises:
        UnknownMetric: the catalog has no such metric.
        MetricForbids: the aggregate is ``min`` or ``avg``, or it has no buckets to project.
        NotFound: there is no such plan.
        InvalidInput: a value is not allowed.
        LockUnavailable: transactions that record for the subject stay open.

    Example:
        meter.set_limit("tokens", 1_000_000, subject="acct_1")
    """
    return Call(
        "set_limit",
        (
            argument.text("metric", metric, required=True),
            argument.quantity("quota", quota, required=True),
            argument.text("subject", subject),
            argument.text("plan", plan),
            argument.text("period", period),
            argument.text("action", action, required=True),
            argument.quantities("marks", marks),
            argument.text("name", name, required=True),
            argument.time("since", since),
            argument.quantity("rollover_min", rollover_min),
            argument.quantity("rollover_max", rollover_max),
            argument.quantity("every", every),
            argument.boolean("projected", projected, required=True),
        ),
        result.one(Limit),
    )


def remove_limit(
    metric: str,
    *,
    subject: str | None = None,
    plan: str | None = None,
    period: str | None = None,
    name: str = "default",
) -> Call[Limit]:
    """End a limit now, and its versions that were to begin later. What it shadowed counts again.

    Args:
        metric: The metric's key.
        subject: Whose limit it is.
        plan: Whose limit it is.
        period: The limit's period; the metric's own unless given.
        name: The limit's name.

    Returns:
        The version that ends the limit; if it has not begun, at its first since.

    Raises:
        UnknownMetric: the catalog has no such metric.
        NotFound: there is no such limit.
        InvalidInput: a value is not allowed.
        LockUnavailable: transactions that record for the subject stay open.

    Example:
        meter.remove_limit("tokens", subject="acct_1")
    """
    return Call(
        "remove_limit",
        (
            argument.text("metric", metric, required=True),
            argument.text("subject", subject),
            argument.text("plan", plan),
            argument.text("period", period),
            argument.text("name", name, required=True),
        ),
        result.one(Limit),
    )


def limits(
    metric: str | None = None,
    *,
    subject: str | None = None,
    plan: str | None = None,
    at: datetime | None = None,
    max_rows: int = 1000,
    after_id: int | None = None,
) -> Call[list[Limit]]:
    """Return the limits that hold, in the order in which they were set.

    Args:
        metric: One metric's limits; all unless given.
        subject: The limits of this subject itself; `effective_limits` has those that it gets otherwise.
        plan: The limits of this plan.
        at: When; now unless given.
        max_rows: The length of a page, at most 10,000.
        after_id: The last row's ``limit_id``, for the next page.

    Returns:
        A page of limits.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        [limit.quota for limit in meter.limits("tokens")]
    """
    return Call(
        "limits",
        (
            argument.text("metric", metric),
            argument.text("subject", subject),
            argument.text("plan", plan),
            argument.time("at", at),
            argument.integer("max_rows", "integer", max_rows),
            argument.integer("after_id", "bigint", after_id),
        ),
        result.every(Limit),
    )


def effective_limits(subject: str, metric: str, *, at: datetime | None = None) -> Call[list[EffectiveLimit]]:
    """Return the limits of a subject and metric: those that count, and those that are shadowed.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key.
        at: When the usage happens; now unless given.

    Returns:
        A row for each limit, with its period and the reason.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: a value is not allowed.

    Example:
        [limit.quota for limit in meter.effective_limits("acct_1", "tokens") if limit.counts]
    """
    return Call(
        "effective_limits",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            argument.time("at", at),
        ),
        result.every(EffectiveLimit),
    )


def notifications(
    type: str | None = None,
    *,
    subject: str | None = None,
    after_id: int | None = None,
    max_rows: int = 100,
    newest_first: bool = False,
) -> Call[list[Notification]]:
    """Return the notifications, the oldest first: marks that were reached, refusals, changes.

    Args:
        type: One type's, such as ``threshold.exceeded``; all unless given.
        subject: One subject's.
        after_id: The last row's ``notification_id``, for the next page. A transaction that commits later
            may still write a smaller one.
        max_rows: The length of a page, at most 10,000.
        newest_first: The newest first, and the next page has older ones.

    Returns:
        A page of notifications.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        meter.notifications("limit.refused")
    """
    return Call(
        "notifications",
        (
            argument.text("type", type),
            argument.text("subject", subject),
            argument.integer("after_id", "bigint", after_id),
            argument.integer("max_rows", "integer", max_rows),
            argument.boolean("newest_first", newest_first, required=True),
        ),
        result.every(Notification),
    )


def overruns(
    metric: str | None = None,
    *,
    subject: str | None = None,
    now: datetime | None = None,
    max_rows: int = 1000,
) -> Call[list[Overrun]]:
    """Return the limits that block and of which more is used than their quota, with the cause.

    Looks at every series of the limited metrics, or of one metric or subject.

    Args:
        metric: One metric's; of all limited metrics unless given.
        subject: One subject's.
        now: A moment of the period to look at, and the end of trailing windows; the present unless given.
        max_rows: How many at most, 10,000 at most.

    Returns:
        What is beyond a quota, by metric and subject.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        meter.overruns("tokens")
    """
    return Call(
        "overruns",
        (
            argument.text("metric", metric),
            argument.text("subject", subject),
            argument.time("now", now),
            argument.integer("max_rows", "integer", max_rows),
        ),
        result.every(Overrun),
    )


def top_up(
    subject: str,
    metric: str,
    quantity: Quantity,
    idempotency_key: str,
    *,
    priority: int = 50,
    since: datetime | None = None,
    expires_at: datetime | None = None,
    source: TopUpSource = "paid",
    reason: str | None = None,
) -> Call[TopUp]:
    """Give a subject units of a metric beyond its quota. What is left stays when a period ends.

    A period's usage takes the quota first, then the top-ups that are active when it happens: the lower
    priority first, then the one that expires earlier, promotional before paid, the earlier `since`.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key. It is a ``sum`` or ``count``.
        quantity: How much, in the metric's unit.
        idempotency_key: Makes a retry the same top-up.
        priority: Lower ones are used first.
        since: From when usage may take from it; the start of the running period unless given.
        expires_at: Until when, not included; for ever unless given.
        source: ``paid`` or ``promotional``.
        reason: Why, for people.

    Returns:
        The top-up. The same call again changes nothing.

    Raises:
        UnknownMetric: the catalog has no such metric.
        MetricForbids: the metric is no ``sum`` or ``count``.
        DuplicateEvent: the key was used for another top-up.
        InvalidInput: a value is not allowed.
        LockUnavailable: transactions that record for the subject stay open.

    Example:
        meter.top_up("acct_1", "tokens", 200, "invoice_17")
    """
    return Call(
        "top_up",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            argument.quantity("quantity", quantity, required=True),
            argument.text("idempotency_key", idempotency_key, required=True),
            argument.integer("priority", "integer", priority),
            argument.time("since", since),
            argument.time("expires_at", expires_at),
            argument.text("source", source, required=True),
            argument.text("reason", reason),
        ),
        result.one(TopUp),
    )


def void_top_up(top_up_id: int, reason: str) -> Call[TopUp]:
    """Take a top-up back. It then counts as if it had never been, also for usage that took from it.

    Args:
        top_up_id: The top-up's id.
        reason: Why, for people.

    Returns:
        The top-up. One that is void already is returned unchanged.

    Raises:
        NotFound: there is no such top-up.
        InvalidInput: a value is not allowed.
        LockUnavailable: transactions that record for the subject stay open.

    Example:
        meter.void_top_up(meter.top_up("acct_1", "tokens", 200, "invoice_17").top_up_id, "refunded")
    """
    return Call(
        "void_top_up",
        (argument.integer("top_up_id", "bigint", top_up_id), argument.text("reason", reason, required=True)),
        result.one(TopUp),
    )


def top_ups(subject: str, metric: str, *, at: datetime | None = None) -> Call[list[ActiveTopUp]]:
    """Return the active top-ups of a subject, in the order in which they are used.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key.
        at: When; now unless given.

    Returns:
        A row for each, with what is used and left of it; first what the period before has left over.

    Raises:
        UnknownMetric: the catalog has no such metric.
        MetricForbids: the metric is no ``sum`` or ``count``.
        InvalidInput: a value is not allowed.

    Example:
        [top_up.remaining for top_up in meter.top_ups("acct_1", "tokens")]
    """
    return Call(
        "top_ups",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            argument.time("at", at),
        ),
        result.every(ActiveTopUp),
    )


def balance(subject: str, metric: str, *, at: datetime | None = None) -> Call[Balance]:
    """Return what a subject has of a metric: quota, usage, top-ups, and all that may still be used.

    Usage up to and at the moment counts; limits, top-ups and reservations are those of now.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key.
        at: When; now unless given.

    Returns:
        The balance, of the limit that top-ups raise. Without one, quota and remaining are None.

    Raises:
        UnknownMetric: the catalog has no such metric.
        MetricForbids: the metric is no ``sum`` or ``count``.
        InvalidInput: a value is not allowed.

    Example:
        meter.balance("acct_1", "tokens").remaining
    """
    return Call(
        "balance",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            argument.time("at", at),
        ),
        result.one(Balance),
    )


def reserve(
    subject: str,
    metric: str,
    quantity: Quantity,
    *,
    idempotency_key: str | None = None,
    minimum: Quantity | None = None,
    ttl: str | timedelta | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Call[Reserved]:
    """Keep a quantity free for usage whose size is known afterwards.

    It counts like usage against the limits, until it is settled, released, or expires.
    The `reserved` context manager of a meter settles or releases it.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key; its aggregate is ``sum`` or ``count``.
        quantity: How much, in the metric's unit.
        idempotency_key: The caller's name for the event, the same on every retry.
        minimum: If not all is left, hold what is left, but at least this.
        ttl: How long it holds; the setting ``reservation_ttl`` (10 minutes) unless given.
        metadata: Any JSON object, for the event.

    Returns:
        The outcome (``held``; ``duplicate``: same key, same request: the same reservation; ``conflict``:
        the key is another request's or an event's; ``refused``), the reservation's id, what it holds, and
        what the limit that binds leaves.

    Raises:
        UnknownMetric: the catalog has no such metric.
        MetricForbids: the metric is retired, or has another aggregate.
        InvalidInput: a value is not allowed.
        SerializationFailure: run the whole transaction again.

    Example:
        meter.reserve("acct_1", "tokens", 4000).outcome
    """
    return Call(
        "reserve",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            argument.quantity("quantity", quantity, required=True),
            argument.text("idempotency_key", idempotency_key),
            argument.quantity("minimum", minimum),
            argument.interval("ttl", ttl),
            argument.json("metadata", metadata),
        ),
        result.one(Reserved),
    )


def reserve_batch(requests: Iterable[Mapping[str, Any]]) -> Call[list[ReservedInBatch]]:
    """Reserve several quantities, of any subjects and metrics: all of them or none.

    Args:
        requests: Mappings with the names of `reserve`'s parameters.

    Returns:
        The outcomes in input order. If one is ``refused`` or a ``conflict``, nothing is held, and the
        others are ``skipped``; those that an earlier call has reserved are ``duplicate``, and stay.

    Raises:
        UnknownMetric: the catalog has no such metric.
        MetricForbids: a metric is retired, or has another aggregate than ``sum`` and ``count``.
        InvalidInput: a request is not allowed; the detail names its position.
        SerializationFailure: run the whole transaction again.

    Example:
        meter.reserve_batch([{"subject": "acct_1", "metric": "tokens", "quantity": 4000}])
    """
    rows = [_hold_row(ordinal, request) for ordinal, request in enumerate(requests, start=1)]
    return Call(
        "reserve_batch", (argument.json("requests", rows, required=True),), result.every(ReservedInBatch)
    )


def _hold_row(ordinal: int, request: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(request, Mapping):
        raise argument.refuse("requests", "a request is not a mapping", "Give dicts.", f"request {ordinal}")
    row = dict(request)
    try:
        for name in ("quantity", "minimum"):
            if row.get(name) is not None:
                row[name] = format(argument.exact(name, row[name]), "f")
        if isinstance(row.get("ttl"), timedelta):
            row["ttl"] = f"{round(row['ttl'].total_seconds())} seconds"
    except InvalidInput as exc:
        exc.detail = f"request {ordinal}: {exc.detail}"
        raise
    return row


def settle(
    reservation_id: int,
    quantity: Quantity,
    *,
    at: datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Call[Recorded]:
    """End a reservation, and record what was used.

    It counts once, as it is, also if it is more than was held, or if the reservation was released or has
    expired.

    Args:
        reservation_id: What `reserve` returned.
        quantity: What was used, in the metric's unit.
        at: When it happened; when it was reserved unless given.
        metadata: Any JSON object; merged over that of the reservation.

    Returns:
        What `record` returns: ``recorded``; ``duplicate``: settled with this quantity before;
        ``conflict``: with another one.

    Raises:
        NotFound: there is no such reservation.
        InvalidInput: a value is not allowed.
        SerializationFailure: run the whole transaction again.

    Example:
        meter.settle(meter.reserve("acct_1", "tokens", 4000).reservation_id, 3120).quantity
    """
    return Call(
        "settle",
        (
            argument.integer("reservation_id", "bigint", reservation_id, required=True),
            argument.quantity("quantity", quantity, required=True),
            argument.time("at", at),
            argument.json("metadata", metadata),
        ),
        result.one(Recorded),
    )


def release(reservation_id: int) -> Call[Reserved]:
    """End a reservation whose usage does not happen.

    Args:
        reservation_id: What `reserve` returned.

    Returns:
        The reservation: ``released``; or ``settled`` or ``expired`` if that came first.

    Raises:
        NotFound: there is no such reservation.
        SerializationFailure: run the whole transaction again.

    Example:
        meter.release(meter.reserve("acct_1", "tokens", 4000).reservation_id).outcome
    """
    return Call(
        "release",
        (argument.integer("reservation_id", "bigint", reservation_id, required=True),),
        result.one(Reserved),
    )


def extend(reservation_id: int, ttl: str | timedelta | None = None) -> Call[Reserved]:
    """Let a reservation hold for `ttl` from now on: the heartbeat of a stream.

    Args:
        reservation_id: What `reserve` returned.
        ttl: How long; the setting ``reservation_ttl`` (10 minutes) unless given.

    Returns:
        The reservation: ``held``; or ``settled``, ``released`` or ``expired``, and nothing changed.

    Raises:
        NotFound: there is no such reservation.
        InvalidInput: the ttl is not allowed.
        SerializationFailure: run the whole transaction again.

    Example:
        meter.extend(meter.reserve("acct_1", "tokens", 4000).reservation_id, "5 minutes").expires_at
    """
    return Call(
        "extend",
        (
            argument.integer("reservation_id", "bigint", reservation_id, required=True),
            argument.interval("ttl", ttl),
        ),
        result.one(Reserved),
    )


def reservations(
    subject: str | None = None,
    *,
    metric: str | None = None,
    state: ReservationState | None = None,
    max_rows: int = 100,
    before_id: int | None = None,
) -> Call[list[Reservation]]:
    """Return reservations, the newest first.

    Args:
        subject: One subject's; all unless given.
        metric: One metric's.
        state: ``held``, ``settled``, ``released`` or ``expired``.
        max_rows: The length of a page, at most 10,000.
        before_id: The last row's ``reservation_id``, for the next page.

    Returns:
        A page of reservations.

    Raises:
        UnknownMetric: the catalog has no such metric.
        InvalidInput: a value is not allowed.

    Example:
        [reservation.held for reservation in meter.reservations("acct_1", state="held")]
    """
    return Call(
        "reservations",
        (
            argument.text("subject", subject),
            argument.text("metric", metric),
            argument.text("state", state),
            argument.integer("max_rows", "integer", max_rows),
            argument.integer("before_id", "bigint", before_id),
        ),
        result.every(Reservation),
    )
