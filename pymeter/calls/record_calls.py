"""Recording: sql/record/."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.errors import InvalidInput
from pymeter.models import BatchOutcome, NewEvent, Quantity, Recorded


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
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            argument.quantity("quantity", quantity),
            argument.text("member", member),
            argument.text("idempotency_key", idempotency_key),
            argument.time("at", at),
            argument.json("metadata", metadata),
        ),
        result.one(Recorded),
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
        (argument.json("events", rows), argument.text("on_invalid", on_invalid, required=True)),
        result.every(BatchOutcome),
    )


def known_events(events: Iterable[NewEvent | Mapping[str, Any]]) -> Call[list[BatchOutcome]]:
    """Return which of these events were recorded before; for importers. Nothing is recorded.

    An event is known by its `idempotency_key`; or, recorded without one, by the `event_id`, `recorded_at`
    and `at` that `events` returned. A known event has a row: ``duplicate``, or ``conflict`` if its quantity
    or member differs. An event whose month was dropped since has a row ``rejected``: nobody can tell.

    Raises what `record_batch` raises for a float.

        meter.known_events([{"subject": "acct_1", "metric": "tokens", "idempotency_key": "req_1"}])
    """
    rows = [_event_row(ordinal, event) for ordinal, event in enumerate(events, start=1)]
    return Call("known_events", (argument.json("events", rows, required=True),), result.every(BatchOutcome))


def _event_row(ordinal: int, event: NewEvent | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(event, NewEvent):
        row = event.model_dump(exclude_none=True)
    elif isinstance(event, Mapping):
        row = dict(event)
    else:
        raise argument.refuse(
            "events", "an event is not a mapping", "Give dicts or NewEvents.", f"event {ordinal}"
        )
    quantity, at = row.get("quantity"), row.get("at")
    try:
        if isinstance(quantity, float | Decimal):
            # As a JSON string: exact at any size, and NaN reaches the SQL function, which refuses it by name.
            row["quantity"] = str(argument.exact("quantity", quantity))
        if isinstance(at, datetime):
            argument.check_time("at", at)
            row["at"] = at.isoformat()
    except InvalidInput as exc:
        exc.detail = f"event {ordinal}: {exc.detail}"
        raise
    return row
