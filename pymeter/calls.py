"""Every call that the clients can make, once: its Python signature, its documentation, its SQL and its
result.

Each function here is pure: it checks what only Python can check (a float, a time without a zone, a lone
surrogate), and returns a :class:`Call`. The clients bind these functions as methods and do the I/O. All
other rules are in SQL.

An optional argument left at None is not sent, so that the SQL function's own default applies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Generic, Literal, LiteralString, TypeVar

from psycopg import sql
from psycopg.types.json import Jsonb

from pymeter import exact_json
from pymeter.errors import InvalidInput
from pymeter.models import (
    AccessRight,
    Aggregate,
    BatchOutcome,
    Biller,
    ClaimedPush,
    Drift,
    Event,
    Health,
    Level,
    MaintenanceAction,
    Metric,
    MetricMapping,
    NewEvent,
    Period,
    PlannedPush,
    Push,
    PushState,
    PushStatus,
    Quantity,
    QuotaStatus,
    ReconcilableRange,
    Reconciliation,
    Recorded,
    ReportMode,
    ReportStep,
    Rollup,
    SettledHour,
    SettledPush,
    SubjectActivity,
    SubjectMapping,
    UncertainHour,
    UsageBucket,
    UsageGroup,
    UsageTotal,
    Window,
    to_decimal,
)

T = TypeVar("T")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Argument:
    """One named argument of a call, with the SQL type that it is cast to."""

    name: LiteralString
    type: LiteralString
    value: Any
    required: bool = False

    @property
    def sent(self) -> bool:
        """Whether the call names it. A missing required argument is named: SQL refuses it by its own rule."""
        return self.required or self.value is not None


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A call of one SQL function: what is sent, and how its rows become a ``T``."""

    function: LiteralString
    arguments: tuple[Argument, ...]
    result: Callable[[Sequence[Row]], T] = field(repr=False)

    def statement(self, schema: str) -> sql.Composed:
        """``SELECT * FROM schema.function(name => %(name)s::type, ...)``."""
        return _statement(schema, self.function, tuple((a.name, a.type) for a in self.arguments if a.sent))

    @property
    def params(self) -> dict[str, Any]:
        """The values for the statement's placeholders."""
        return {argument.name: argument.value for argument in self.arguments if argument.sent}


@lru_cache(maxsize=512)
def _statement(
    schema: str, function: LiteralString, arguments: tuple[tuple[LiteralString, LiteralString], ...]
) -> sql.Composed:
    named = ", ".join([f"{name} => %({name})s::{type}" for name, type in arguments])
    # psycopg reads % as the start of a placeholder, also inside a quoted identifier.
    return sql.SQL("SELECT * FROM {}.{}").format(
        sql.Identifier(schema.replace("%", "%%")), sql.SQL(f"{function}({named})")
    )


# --- checks that only Python can make -----------------------------------------------------------------------


def _refuse(parameter: str, message: str, hint: str, detail: str | None = None) -> InvalidInput:
    return InvalidInput(message, parameter=parameter, hint=hint, detail=detail or f"parameter {parameter}")


def _text(name: LiteralString, value: str | None, *, required: bool = False) -> Argument:
    if value is not None:
        if not isinstance(value, str):
            raise _refuse(name, "the value is not a string", f"Convert it: {name}=str(...).")
        _check_text(name, value)
    return Argument(name, "text", value, required)


def _check_text(name: str, value: str) -> None:
    if value.isascii():
        good = "\0" not in value
    else:
        good = "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)
    if not good:
        raise _refuse(name, "the text cannot be stored", "Remove NUL characters and lone surrogates.")


def _quantity(name: LiteralString, value: Quantity | None, *, required: bool = False) -> Argument:
    return Argument(name, "numeric", None if value is None else _exact(name, value), required)


def _exact(name: str, value: object) -> Decimal:
    try:
        return to_decimal(value)
    except ValueError as exc:
        raise _refuse(
            name,
            f"{'a float is not exact' if isinstance(value, float) else 'the value is not a number'}",
            "Give an int, a Decimal or a numeric string.",
            f"{name}: {value!r:.80}",
        ) from exc


def _time(name: LiteralString, value: datetime | None, *, required: bool = False) -> Argument:
    if value is not None:
        _check_time(name, value)
    return Argument(name, "timestamptz", value, required)


def _check_time(name: str, value: datetime) -> None:
    if not isinstance(value, datetime):
        raise _refuse(name, "the value is not a datetime", "Give an aware datetime.datetime.")
    if value.utcoffset() is None:
        raise _refuse(
            name,
            "the time has no time zone",
            "Give an aware datetime, for example datetime.now(timezone.utc).",
            f"{name}: {value.isoformat()}",
        )


def _boolean(name: LiteralString, value: bool, *, required: bool = False) -> Argument:
    if not isinstance(value, bool):
        raise _refuse(name, "the value is not a bool", "Give True or False.")
    return Argument(name, "boolean", value, required)


def _integer(name: LiteralString, type: LiteralString, value: int | None) -> Argument:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise _refuse(name, "the value is not an int", "Give an int.")
    return Argument(name, type, value)


def _interval(name: LiteralString, value: str | timedelta | None) -> Argument:
    if isinstance(value, timedelta):
        return Argument(name, "interval", value)
    return Argument(name, "interval", _text(name, value).value)


def _json(name: LiteralString, value: Any) -> Argument:
    try:
        text = None if value is None else Jsonb(exact_json.dumps(value), dumps=_as_it_is)
    except (ValueError, RecursionError) as exc:
        raise _refuse(
            name, "the value has no form in JSON", "Give dicts, lists, strings, numbers, None.", str(exc)
        ) from exc
    return Argument(name, "jsonb", text)


def _as_it_is(text: Any) -> str:
    return str(text)


def _window(
    period: str | None, since: datetime | None, until: datetime | None, timezone: str, now: datetime | None
) -> tuple[Argument, ...]:
    return (
        _text("period", period),
        _time("since", since),
        _time("until", until),
        _text("timezone", timezone, required=True),
        _time("now", now),
    )


# --- results ------------------------------------------------------------------------------------------------


def _one(model: Callable[..., T]) -> Callable[[Sequence[Row]], T]:
    return lambda rows: model(**rows[0])


def _all(model: Callable[..., T]) -> Callable[[Sequence[Row]], list[T]]:
    return lambda rows: [model(**row) for row in rows]


def _number(rows: Sequence[Row]) -> int:
    (value,) = rows[0].values()
    return int(value)


def _nothing(rows: Sequence[Row]) -> None:
    return None


def _range(rows: Sequence[Row]) -> Window:
    (value,) = rows[0].values()
    return Window(since=value.lower, until=value.upper)


# --- catalog ------------------------------------------------------------------------------------------------


def define_metric(
    key: str,
    aggregate: Aggregate,
    unit: str,
    *,
    name: str | None = None,
    description: str | None = None,
    period: Period = "month",
    rollup: Rollup = "hour",
    striped: bool = False,
    max_future: timedelta | None = None,
) -> Call[Metric]:
    """Define a metric, or change how it is described. Defining the same again changes nothing.

    `aggregate` is one of ``sum count min max avg last unique``; `period` is the billing bucket
    (``minute hour day week month year never``, calendar, UTC); `rollup` the finer bucket kept beside it
    (``hour day none``). `striped` spreads one hot subject over several rows. `max_future` is how far ahead
    of the clock an event may lie (one day unless given).

    Raises InvalidInput for an unknown word, MetricForbids when the aggregate or period of a metric that has
    events would change.

        meter.define_metric("tokens", "sum", "tokens", name="Tokens")
    """
    return Call(
        "define_metric",
        (
            _text("key", key, required=True),
            _text("aggregate", aggregate, required=True),
            _text("unit", unit, required=True),
            _text("name", name),
            _text("description", description),
            _text("period", period, required=True),
            _text("rollup", rollup, required=True),
            _boolean("striped", striped, required=True),
            Argument("max_future", "interval", max_future),
        ),
        _one(Metric),
    )


def retire_metric(key: str) -> Call[Metric]:
    """Retire a metric: its history stays readable, recording is refused (MetricForbids).

    Raises UnknownMetric.

        meter.retire_metric("tokens")
    """
    return Call("retire_metric", (_text("key", key, required=True),), _one(Metric))


def catalog() -> Call[list[Metric]]:
    """Return every metric that was ever defined, the retired ones included.

    [metric.key for metric in meter.catalog()]
    """
    return Call("catalog", (), _all(Metric))


# --- record -------------------------------------------------------------------------------------------------


def record(
    subject: str,
    metric: str,
    quantity: Quantity | None = None,
    *,
    member: str | None = None,
    idempotency_key: str | None = None,
    at: datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Call[Recorded]:
    """Record one event, exactly once per (subject, metric, idempotency_key).

    `quantity` is in the metric's unit; a ``count`` metric counts 1 without it. `member` is what a ``unique``
    metric counts, and replaces the quantity there. `at` is when it happened (now unless given), `metadata`
    any JSON object.

    The result says ``recorded``, ``duplicate`` (same key, same payload) or ``conflict`` (same key, another
    payload; nothing changed), and holds the period's new aggregate. Without a key every call counts.

    Raises UnknownMetric, MetricForbids, InvalidInput, NullInput; SerializationFailure means: run the whole
    transaction again.

        meter.record("acct_1", "tokens", 120, idempotency_key="req_1").quantity   # Decimal('120')
    """
    return Call(
        "record",
        (
            _text("subject", subject, required=True),
            _text("metric", metric, required=True),
            _quantity("quantity", quantity),
            _text("member", member),
            _text("idempotency_key", idempotency_key),
            _time("at", at),
            _json("metadata", metadata),
        ),
        _one(Recorded),
    )


def record_batch(
    events: Iterable[NewEvent | Mapping[str, Any]], on_invalid: Literal["raise", "skip"] = "raise"
) -> Call[list[BatchOutcome]]:
    """Record many events in one call; the outcomes come back in input order, counted from 1.

    Each event is a :class:`NewEvent` or a mapping with the names of `record`'s parameters. With ``raise``
    one bad event refuses the whole batch, and the error's detail names its ordinal; with ``skip`` it comes
    back as ``rejected`` with its sqlstate while the others count.

    Raises what `record` raises. A float as a quantity is refused in both modes.

        meter.record_batch([{"subject": "acct_1", "metric": "tokens", "quantity": 120}])
    """
    rows = [_event_row(ordinal, event) for ordinal, event in enumerate(events, start=1)]
    return Call(
        "record_batch",
        (_json("events", rows), _text("on_invalid", on_invalid, required=True)),
        _all(BatchOutcome),
    )


def _event_row(ordinal: int, event: NewEvent | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(event, NewEvent):
        row = event.model_dump(exclude_none=True)
    elif isinstance(event, Mapping):
        row = dict(event)
    else:
        raise _refuse("events", "an event is not a mapping", "Give dicts or NewEvents.", f"event {ordinal}")
    quantity, at = row.get("quantity"), row.get("at")
    try:
        if isinstance(quantity, float | Decimal):
            # As a JSON string: exact at any size, and NaN reaches the SQL function, which refuses it by name.
            row["quantity"] = str(_exact("quantity", quantity))
        if isinstance(at, datetime):
            _check_time("at", at)
            row["at"] = at.isoformat()
    except InvalidInput as exc:
        exc.detail = f"event {ordinal}: {exc.detail}"
        raise
    return row


# --- usage --------------------------------------------------------------------------------------------------


def usage(
    subject: str,
    metric: str,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[UsageTotal]:
    """Return the usage of one metric in one window; zero of zero events when there was none.

    The window is `period`, a calendar word (``minute hour day week month year``) or a trailing duration
    (``30 days``, ``90 minutes``, ``1 month``), or [`since`, `until`); without any, the metric's current
    period.

    Raises UnknownMetric, InvalidInput for a window that cannot be (both forms, reversed, unknown word or
    zone).

        meter.usage("acct_1", "tokens", period="30 days").quantity
    """
    return Call(
        "usage",
        (
            _text("subject", subject, required=True),
            _text("metric", metric, required=True),
            *_window(period, since, until, timezone, now),
        ),
        _one(UsageTotal),
    )


def summary(
    subject: str,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[list[UsageTotal]]:
    """Return an invoice's lines: the usage of every metric that is not retired, zeros included.

    The window is given as for `usage`. Raises InvalidInput, NullInput.

        for line in meter.summary("acct_1", period="month"): print(line.metric, line.quantity, line.unit)
    """
    return Call(
        "summary",
        (_text("subject", subject, required=True), *_window(period, since, until, timezone, now)),
        _all(UsageTotal),
    )


def series(
    subject: str,
    metric: str,
    since: datetime,
    until: datetime,
    *,
    step: str = "day",
    timezone: str = "UTC",
) -> Call[list[UsageBucket]]:
    """Return the usage step by step over [`since`, `until`), gaps filled with zeros.

    A chart plots it as it is.
    `step` is a unit of the calendar in `timezone` (``minute hour day week month year``), or a duration such
    as ``15m``, counted from `since`.

    Raises UnknownMetric, InvalidInput.

        meter.series("acct_1", "tokens", midnight, midnight + timedelta(days=1), step="hour")
    """
    return Call(
        "series",
        (
            _text("subject", subject, required=True),
            _text("metric", metric, required=True),
            _time("since", since, required=True),
            _time("until", until, required=True),
            _text("step", step, required=True),
            _text("timezone", timezone, required=True),
        ),
        _all(UsageBucket),
    )


def usage_by(
    subject: str,
    metric: str,
    dimension: str,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[list[UsageGroup]]:
    """Return the usage of one metric in one window, grouped by a field of the events' metadata.

    The window is given as for `usage`. The group ``None`` holds the events that do not have the field.

    Raises UnknownMetric, InvalidInput.

        meter.usage_by("acct_1", "tokens", "model", period="month")
    """
    return Call(
        "usage_by",
        (
            _text("subject", subject, required=True),
            _text("metric", metric, required=True),
            _text("dimension", dimension, required=True),
            *_window(period, since, until, timezone, now),
        ),
        _all(UsageGroup),
    )


def check_quota(
    subject: str,
    metric: str,
    quota: Quantity,
    requested: Quantity | None = None,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[QuotaStatus]:
    """Say whether `quota` (in the metric's unit) leaves room, now or for `requested` more.

    Allowed means used < quota, or used + requested <= quota. It is a check, not a reservation: two callers
    may both be told yes. The window is given as for `usage`.

    Raises UnknownMetric, InvalidInput.

        meter.check_quota("acct_1", "tokens", 1_000_000, requested=5_000).allowed
    """
    return Call(
        "check_quota",
        (
            _text("subject", subject, required=True),
            _text("metric", metric, required=True),
            _quantity("quota", quota, required=True),
            _quantity("requested", requested),
            *_window(period, since, until, timezone, now),
        ),
        _one(QuotaStatus),
    )


def subjects(max_rows: int = 100) -> Call[list[SubjectActivity]]:
    """Return the subjects that were last active, most recent first.

    [row.subject for row in meter.subjects(10)]
    """
    return Call("subjects", (_integer("max_rows", "integer", max_rows),), _all(SubjectActivity))


def events(
    subject: str,
    metric: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    after_id: int | None = None,
    max_rows: int = 100,
    after_at: datetime | None = None,
) -> Call[list[Event]]:
    """Return a page of the log, newest first: why was this charged?

    For the next page pass the last row's ``event_id`` as `after_id` and its ``at`` as `after_at`;
    `iter_events` does that. Raises UnknownMetric, InvalidInput.

        meter.events("acct_1", "tokens", max_rows=10)
    """
    return Call(
        "events",
        (
            _text("subject", subject, required=True),
            _text("metric", metric),
            _time("since", since),
            _time("until", until),
            _integer("after_id", "bigint", after_id),
            _integer("max_rows", "integer", max_rows),
            _time("after_at", after_at),
        ),
        _all(Event),
    )


def resolve_window(
    period: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[Window]:
    """Return the window that all other calls would use for these arguments.

    Raises InvalidInput.

        meter.resolve_window("month", timezone="Europe/Berlin").since
    """
    return Call("resolve_window", _window(period, since, until, timezone, now), _range)


# --- repair -------------------------------------------------------------------------------------------------


def rebuild(subject: str | None = None, metric: str | None = None) -> Call[int]:
    """Recompute rollups from the log while others record; returns how many rollup rows were written.

    Everything, or one subject, or one metric, or one subject's metric. Raises UnknownMetric.

        meter.rebuild("acct_1")
    """
    return Call("rebuild", (_text("subject", subject), _text("metric", metric)), _number)


def verify(subject: str | None = None, metric: str | None = None) -> Call[list[Drift]]:
    """Recompute from the log and return only what differs: an empty list means no drift.

    Raises UnknownMetric.

        assert meter.verify() == []
    """
    return Call("verify", (_text("subject", subject), _text("metric", metric)), _all(Drift))


def maintain(keep: str | timedelta | None = None, *, detach: bool = False) -> Call[list[MaintenanceAction]]:
    """Create partitions ahead, move strays out of the default one, and so on. Idempotent: for cron.

    Given `keep`, drop the events of all months (UTC) that ended so long ago, once they are verified: a
    timedelta, or an interval as PostgreSQL writes it, with its unit (``"13 months"``). Rollups, members and
    idempotency keys stay. `detach` makes tables of their own instead, to be archived. An action that begins
    with ``kept`` names a month that should have gone but for the reason that it gives.

    Raises InvalidInput for a `keep` that is negative, shorter than a day or no interval. Wants a READ
    COMMITTED transaction of its own.

        meter.maintain(keep="13 months")
    """
    return Call(
        "maintain",
        (_interval("keep", keep), _boolean("detach", detach, required=True)),
        _all(MaintenanceAction),
    )


def health(now: datetime | None = None) -> Call[Health]:
    """Return the state of the meter in one row, for a monitor to poll.

    `now` looks from another time than the database's clock.

        assert meter.health().healthy
    """
    return Call("health", (_time("now", now),), _one(Health))


# --- own: for a role that is bound to subjects --------------------------------------------------------------


def own_usage(
    subject: str,
    metric: str,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[UsageTotal]:
    """Return what `usage` does, to a role that was granted read on this subject alone.

    Raises what `usage` raises, psycopg's InsufficientPrivilege for any other subject.

        meter.own_usage("acct_1", "tokens").quantity
    """
    call = usage(subject, metric, period=period, since=since, until=until, timezone=timezone, now=now)
    return replace(call, function="own_usage")


def own_summary(
    subject: str,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[list[UsageTotal]]:
    """Return what `summary` does, to a role that was granted read on this subject alone.

    Raises what `summary` raises, psycopg's InsufficientPrivilege for any other subject.

        meter.own_summary("acct_1", period="month")
    """
    call = summary(subject, period=period, since=since, until=until, timezone=timezone, now=now)
    return replace(call, function="own_summary")


def own_series(
    subject: str,
    metric: str,
    since: datetime,
    until: datetime,
    *,
    step: str = "day",
    timezone: str = "UTC",
) -> Call[list[UsageBucket]]:
    """Return what `series` does, to a role that was granted read on this subject alone.

    Raises what `series` raises, psycopg's InsufficientPrivilege for any other subject.

        meter.own_series("acct_1", "tokens", midnight, midnight + timedelta(days=1), step="hour")
    """
    return replace(series(subject, metric, since, until, step=step, timezone=timezone), function="own_series")


def own_usage_by(
    subject: str,
    metric: str,
    dimension: str,
    *,
    period: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
    now: datetime | None = None,
) -> Call[list[UsageGroup]]:
    """Return what `usage_by` does, to a role that was granted read on this subject alone.

    Raises what `usage_by` raises, psycopg's InsufficientPrivilege for any other subject.

        meter.own_usage_by("acct_1", "tokens", "model", period="month")
    """
    call = usage_by(
        subject, metric, dimension, period=period, since=since, until=until, timezone=timezone, now=now
    )
    return replace(call, function="own_usage_by")


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
    """Return what `events` does, to a role that was granted read on this subject alone.

    Raises what `events` raises, psycopg's InsufficientPrivilege for any other subject.

        meter.own_events("acct_1", "tokens", max_rows=10)
    """
    call = events(
        subject, metric, since=since, until=until, after_id=after_id, max_rows=max_rows, after_at=after_at
    )
    return replace(call, function="own_events")


# --- access -------------------------------------------------------------------------------------------------


def grant_access(role: str, level: Level, subject: str | None = None) -> Call[None]:
    """Let a database role call exactly the functions of a level; it gets no right on any table.

    `level` is ``read``, ``write``, ``report`` or ``admin``; a role may be given several. With `subject` and
    level ``read``, the role reads that subject alone, through ``own_usage`` and its like. Only the owner of
    the meter may do this.

    Raises InvalidInput for an unknown role or level, or a role that would be bound to subjects and unbound.

        meter.grant_access("app", "write")
    """
    return Call(
        "grant_access",
        (
            _text("role", role, required=True),
            _text("level", level, required=True),
            _text("subject", subject),
        ),
        _nothing,
    )


def revoke_access(role: str, level: Level | None = None, subject: str | None = None) -> Call[None]:
    """Take every right on the meter from a database role, or those of one level, or of one subject.

    Only the owner of the meter may do this. Raises InvalidInput for an unknown role or level.

        meter.revoke_access("app")
    """
    return Call(
        "revoke_access",
        (_text("role", role, required=True), _text("level", level), _text("subject", subject)),
        _nothing,
    )


def access() -> Call[list[AccessRight]]:
    """Return who may do what: a row for each level of each role, and one for whatever else it has.

    [right.role for right in meter.access() if right.level == "write"]
    """
    return Call("access", (), _all(AccessRight))


# --- report -------------------------------------------------------------------------------------------------


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
) -> Call[Biller]:
    """Set by which rules is reported to a biller, and return them; what is None stays as it is.

    Raises InvalidInput for what cannot be.

        meter.define_biller(too_old="restamp", grace=timedelta(hours=72))
    """
    return Call(
        "define_biller",
        (
            _text("biller", biller, required=True),
            Argument("subject_is_customer", "boolean", subject_is_customer),
            Argument("dedup_window", "interval", dedup_window),
            Argument("dedup_margin", "interval", dedup_margin),
            Argument("absence", "interval", absence),
            Argument("max_age", "interval", max_age),
            Argument("max_ahead", "interval", max_ahead),
            Argument("grace", "interval", grace),
            _integer("max_digits", "integer", max_digits),
            _text("too_old", too_old),
            _text("negative", negative),
            _text("late", late),
        ),
        _one(Biller),
    )


def report_metric(
    metric: str,
    event_name: str | None,
    mode: ReportMode = "delta",
    biller: str = "stripe",
    *,
    since: datetime | None = None,
) -> Call[MetricMapping]:
    """Report a metric to a biller under this name; None ends it. Doing the same again changes nothing.

    `mode` is ``delta`` (what a bucket has gained since the last plan), ``event`` (every event by itself) or
    ``last`` (the period's present value). The first time, the usage that is there already is queued, all of
    it or the buckets that begin at `since` or later.

    Raises UnknownMetric, MetricForbids for a mode that would report wrong totals, InvalidInput, NullInput.

        meter.report_metric("tokens", "api_tokens")
    """
    return Call(
        "report_metric",
        (
            _text("metric", metric, required=True),
            _text("event_name", event_name, required=True),
            _text("mode", mode, required=True),
            _text("biller", biller, required=True),
            _time("since", since),
        ),
        _one(MetricMapping),
    )


def report_subject(subject: str, customer: str | None, biller: str = "stripe") -> Call[SubjectMapping]:
    """Say which of the biller's customers a subject is; None ends it. Again: changes nothing.

    Usage that is there already and was never reported is queued. What has been planned stays with the
    customer that it was planned for. Raises InvalidInput, NullInput.

        meter.report_subject("acct_1", "cus_42")
    """
    return Call(
        "report_subject",
        (
            _text("subject", subject, required=True),
            _text("customer", customer, required=True),
            _text("biller", biller, required=True),
        ),
        _one(SubjectMapping),
    )


def report_mappings(biller: str = "stripe") -> Call[list[MetricMapping]]:
    """Return the metrics that are reported to a biller.

    [mapping.event_name for mapping in meter.report_mappings()]
    """
    return Call("report_mappings", (_text("biller", biller, required=True),), _all(MetricMapping))


def plan_pushes(
    biller: str = "stripe",
    open_hours: bool = True,
    max_rows: int = 10000,
    *,
    now: datetime | None = None,
) -> Call[int]:
    """Plan pushes for usage that has not been reported; returns how many queued rows it looked at.

    Call it until it returns 0, each time in a transaction of its own. Without `open_hours` the hour that is
    still open is left for later, unless its period is about to end.

    Raises MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        while meter.plan_pushes(): pass
    """
    return Call(
        "plan_pushes",
        (
            _text("biller", biller, required=True),
            Argument("open_hours", "boolean", open_hours, required=True),
            _integer("max_rows", "integer", max_rows),
            _time("now", now),
        ),
        _number,
    )


def preview_pushes(
    biller: str = "stripe", open_hours: bool = True, *, now: datetime | None = None
) -> Call[list[PlannedPush]]:
    """Return what `plan_pushes` would plan, and plan nothing.

    for push in meter.preview_pushes(): print(push.customer, push.event_name, push.value)
    """
    return Call(
        "preview_pushes",
        (
            _text("biller", biller, required=True),
            Argument("open_hours", "boolean", open_hours, required=True),
            _time("now", now),
        ),
        _all(PlannedPush),
    )


def claim_pushes(
    biller: str,
    worker: str,
    max_pushes: int = 100,
    *,
    lease: timedelta | None = None,
    now: datetime | None = None,
) -> Call[list[ClaimedPush]]:
    """Claim pushes to be sent now; nobody else gets them, nor others of their customer and event name.

    `worker` names the caller, uniquely. `lease` (two minutes unless given) is for how long: send nothing
    after ``leased_until``. Those of one customer and event name are to be sent one after another.
    Commit before sending: that a push is being sent has to outlast a crash.

    Raises InvalidInput, NullInput, MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        meter.claim_pushes("stripe", "worker_1")
    """
    return Call(
        "claim_pushes",
        (
            _text("biller", biller, required=True),
            _text("worker", worker, required=True),
            _integer("max_pushes", "integer", max_pushes),
            Argument("lease", "interval", lease),
            _time("now", now),
        ),
        _all(ClaimedPush),
    )


def settle_pushes(
    biller: str,
    worker: str,
    results: Iterable[Mapping[str, Any]],
    *,
    now: datetime | None = None,
) -> Call[list[SettledPush]]:
    """Say what became of claimed pushes, and return the state of each.

    A result has ``push_id``, ``attempt``, ``outcome``, and optionally ``error`` and ``retry_after``
    (seconds). The outcome is ``delivered``, ``rejected`` (refused for good), ``unknown`` (perhaps counted:
    sent again under the same identifier while the biller recognises it) or ``not_applied`` (certainly not
    counted: sent again later, with a `retry_after` of 0 at once).

    Raises InvalidInput, NullInput, MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        meter.settle_pushes("stripe", "worker_1", [{"push_id": 7, "attempt": 1, "outcome": "delivered"}])
    """
    return Call(
        "settle_pushes",
        (
            _text("biller", biller, required=True),
            _text("worker", worker, required=True),
            _json("results", [dict(result) for result in results]),
            _time("now", now),
        ),
        _all(SettledPush),
    )


def release_pushes(biller: str, worker: str, *, now: datetime | None = None) -> Call[int]:
    """Give back what a worker has claimed and not settled; returns how many pushes.

    They may have been sent, for all that is known: they are sent again under the same identifier.
    Settle as ``not_applied`` what was certainly not sent.

        meter.release_pushes("stripe", "worker_1")
    """
    return Call(
        "release_pushes",
        (
            _text("biller", biller, required=True),
            _text("worker", worker, required=True),
            _time("now", now),
        ),
        _number,
    )


def uncertain_hours(
    biller: str = "stripe", max_rows: int = 100, *, now: datetime | None = None
) -> Call[list[UncertainHour]]:
    """Return hours with uncertain pushes: ask the biller for their totals, and call `settle_hour`.

    for hour in meter.uncertain_hours(): print(hour.customer, hour.hour, hour.uncertain_total)
    """
    return Call(
        "uncertain_hours",
        (
            _text("biller", biller, required=True),
            _integer("max_rows", "integer", max_rows),
            _time("now", now),
        ),
        _all(UncertainHour),
    )


def settle_hour(
    biller: str,
    customer: str,
    event_name: str,
    hour: datetime,
    total: Quantity,
    *,
    delivered_total: Quantity | None = None,
    now: datetime | None = None,
) -> Call[SettledHour]:
    """Resolve the uncertain pushes of an hour by the biller's `total` for it, as far as it tells.

    Give `delivered_total` as `uncertain_hours` returned it: if it has changed since, nothing is decided.
    What is missing from the total is planned anew only when it is still missing a day (a setting) later.

    Raises InvalidInput, NullInput, MeterError (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

        meter.settle_hour("stripe", "cus_42", "api_tokens", hour, Decimal(120)).verdict
    """
    return Call(
        "settle_hour",
        (
            _text("biller", biller, required=True),
            _text("customer", customer, required=True),
            _text("event_name", event_name, required=True),
            _time("hour", hour, required=True),
            _quantity("total", total, required=True),
            _quantity("delivered_total", delivered_total),
            _time("now", now),
        ),
        _one(SettledHour),
    )


def resolve_push(identifier: str, delivered: bool, *, now: datetime | None = None) -> Call[Push]:
    """Say what a person knows of an uncertain push: that it was delivered, or that it was not.

    One that was not is replaced by another with an identifier of its own. Returns the push as it is now.
    Raises InvalidInput for an unknown identifier, and for a push that is not uncertain.

        meter.resolve_push("pm_0c8e...", delivered=True)
    """
    return Call(
        "resolve_push",
        (
            _text("identifier", identifier, required=True),
            Argument("delivered", "boolean", delivered, required=True),
            _time("now", now),
        ),
        _one(Push),
    )


def retry_pushes(
    biller: str = "stripe", identifier: str | None = None, *, now: datetime | None = None
) -> Call[list[Push]]:
    """Plan pushes anew that were rejected or held, all or one; returns the new ones.

    They have identifiers of their own, and go to the customers and event names of the present mappings.
    Calling it is consent: a held one is sent although it is negative, and what is too old or late is
    stamped with the present. Raises InvalidInput for an unknown identifier.

        meter.retry_pushes()
    """
    return Call(
        "retry_pushes",
        (
            _text("biller", biller, required=True),
            _text("identifier", identifier),
            _time("now", now),
        ),
        _all(Push),
    )


def fail_pushes(
    biller: str,
    event_id: str,
    identifiers: Sequence[str],
    code: str | None,
    *,
    event_name: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    now: datetime | None = None,
) -> Call[int]:
    """Take in a biller's asynchronous error report, once per `event_id`; returns how many were rejected.

    The pushes named become rejected with the `code`. What else was delivered under `event_name` between
    `since` and `until` is put up for reconciliation.

        meter.fail_pushes("stripe", "evt_1", ["pm_0c8e..."], "meter_event_invalid_value")
    """
    return Call(
        "fail_pushes",
        (
            _text("biller", biller, required=True),
            _text("event_id", event_id, required=True),
            Argument("identifiers", "text[]", _texts("identifiers", identifiers), required=True),
            _text("code", code, required=True),
            _text("event_name", event_name),
            _time("since", since),
            _time("until", until),
            _time("now", now),
        ),
        _number,
    )


def _texts(name: LiteralString, values: Sequence[str]) -> list[str]:
    if isinstance(values, str):
        raise _refuse(name, "the value is a string", f"Give a list of strings: {name}=[...].")
    for value in values:
        _text(name, value)
    return list(values)


def reconcilable_ranges(
    biller: str = "stripe",
    step: ReportStep = "day",
    max_rows: int = 100,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    now: datetime | None = None,
) -> Call[list[ReconcilableRange]]:
    """Return hours or days (UTC) to compare with the biller's totals, the most pressing first.

    for day in meter.reconcilable_ranges(): print(day.customer, day.range_start, day.local)
    """
    return Call(
        "reconcilable_ranges",
        (
            _text("biller", biller, required=True),
            _text("step", step, required=True),
            _integer("max_rows", "integer", max_rows),
            _time("since", since),
            _time("until", until),
            _time("now", now),
        ),
        _all(ReconcilableRange),
    )


def reconcile_range(
    biller: str,
    customer: str,
    event_name: str,
    range_start: datetime,
    step: ReportStep,
    total: Quantity,
    *,
    now: datetime | None = None,
) -> Call[Reconciliation]:
    """Compare the biller's `total` of an hour or day with what was delivered; keep and return the result.

    meter.reconcile_range("stripe", "cus_42", "api_tokens", midnight, "day", Decimal(120)).difference
    """
    return Call(
        "reconcile_range",
        (
            _text("biller", biller, required=True),
            _text("customer", customer, required=True),
            _text("event_name", event_name, required=True),
            _time("range_start", range_start, required=True),
            _text("step", step, required=True),
            _quantity("total", total, required=True),
            _time("now", now),
        ),
        _one(Reconciliation),
    )


def reconciliation(biller: str = "stripe") -> Call[list[Reconciliation]]:
    """Return the comparisons that found a difference, the largest first.

    assert meter.reconciliation() == []
    """
    return Call("reconciliation", (_text("biller", biller, required=True),), _all(Reconciliation))


def report_status(biller: str = "stripe") -> Call[list[PushStatus]]:
    """Return how many pushes are in each state, zeros included, and what has no push yet.

    ``unplanned`` is usage that waits to be planned, ``unmapped`` usage without a customer or event name.

        {row.state: row.pushes for row in meter.report_status()}
    """
    return Call("report_status", (_text("biller", biller, required=True),), _all(PushStatus))


def pushes(
    biller: str = "stripe",
    state: PushState | None = None,
    subject: str | None = None,
    *,
    max_rows: int = 100,
    after_id: int | None = None,
) -> Call[list[Push]]:
    """Return a page of the journal, newest first; for the next, the last row's ``push_id`` as `after_id`.

    for push in meter.pushes(state="rejected"): print(push.identifier, push.error)
    """
    return Call(
        "pushes",
        (
            _text("biller", biller, required=True),
            _text("state", state),
            _text("subject", subject),
            _integer("max_rows", "integer", max_rows),
            _integer("after_id", "bigint", after_id),
        ),
        _all(Push),
    )
