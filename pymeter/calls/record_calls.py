"""Recording: sql/record/."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal

from pymeter import exact_json
from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.calls.result import Row
from pymeter.calls.rows import row
from pymeter.errors import InvalidInput
from pymeter.models import BatchOutcome, NewEvent, Quantity, Recorded, RecordedWithoutTotal


def record(
    subject: str,
    metric: str,
    quantity: Quantity | None = None,
    *,
    member: str | None = None,
    idempotency_key: str | None = None,
    at: datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
    total: bool = True,
    overflow: bool = False,
    strict: bool = False,
) -> Call[Recorded | RecordedWithoutTotal]:
    """Record one event, exactly once per (subject, metric, idempotency_key).

    Part of the caller's transaction: roll back, and nothing was counted. Without a key every call
    counts.

    Args:
        subject: Who consumes: an account, an organisation, an API key.
        metric: The metric's key.
        quantity: How much, in the metric's unit. A ``count`` metric counts 1 without it.
        member: What a ``unique`` metric counts, instead of a quantity.
        idempotency_key: The caller's name for the event, the same on every retry.
        at: When it happened; now unless given. Decides the period it counts in.
        metadata: Any JSON object; `usage_by` groups by its fields.
        total: False: the result is a RecordedWithoutTotal, which saves a striped metric a look at all of
            its stripes.
        overflow: True: the usage has happened, so no limit refuses it.
        strict: True: what is not recorded raises, instead of an outcome.

    Returns:
        The outcome (``recorded``; ``duplicate``: same key, same payload; ``conflict``: same key,
        another payload; ``refused``: beyond a limit; nothing changed, but by ``recorded``), the event's
        id, the period's new aggregate, and what the limit that binds leaves.

    Raises:
        UnknownMetric: the catalog has no such metric.
        MetricForbids: the metric is retired, or takes a member and not a quantity, or the reverse.
        InvalidInput: a value is not allowed; its `parameter` says which.
        NullInput: a value is missing.
        SerializationFailure: run the whole transaction again.
        QuotaExceeded: it is refused, and `strict`.
        DuplicateEvent: the key was used before, and `strict`.

    Example:
        meter.record("acct_1", "tokens", 120, idempotency_key="req_1").quantity  # Decimal('120')
    """
    arguments = (
        argument.text("subject", subject, required=True),
        argument.text("metric", metric, required=True),
        argument.quantity("quantity", quantity),
        argument.text("member", member),
        argument.text("idempotency_key", idempotency_key),
        argument.time("at", at),
        argument.json("metadata", metadata),
        *_unless(False, argument.boolean("overflow", overflow, required=True)),
        *_unless(False, argument.boolean("strict", strict, required=True)),
    )
    if total is True:
        return Call("record", arguments, result.one(Recorded))
    without = argument.boolean("total", total, required=True)
    return Call("record", (*arguments, without), result.one(RecordedWithoutTotal))


def record_batch(
    events: Iterable[NewEvent | Mapping[str, Any]],
    on_invalid: Literal["raise", "skip"] = "raise",
    *,
    overflow: bool = False,
    on_refused: Literal["skip", "raise"] = "skip",
) -> Call[list[BatchOutcome]]:
    """Record many events in one call.

    Outcomes and state are the same as for one `record` after the other.

    Args:
        events: NewEvents, or mappings with the names of `record`'s parameters.
        on_invalid: ``raise``: one bad event refuses the whole batch, and the error's detail names
            its ordinal. ``skip``: it comes back as ``rejected`` with its sqlstate, and the others
            count.
        overflow: True: the usage has happened, so no limit refuses an event.
        on_refused: ``skip``: an event beyond a limit comes back as ``refused``, and the next is decided
            anew. ``raise``: it refuses the whole batch.

    Returns:
        The outcomes in input order, counted from 1.

    Raises:
        InvalidInput: an event is not allowed; see `on_invalid`. A float as a quantity and a
            datetime without a zone are faults of the program: they are refused in both modes.
        QuotaExceeded: an event is beyond a limit, and `on_refused` is ``raise``.
        MeterError: what else `record` raises.

    Example:
        meter.record_batch([{"subject": "acct_1", "metric": "tokens", "quantity": 120}])
    """
    rows = {ordinal: row("events", "event", ordinal, event) for ordinal, event in enumerate(events, start=1)}
    text, refused = _encode(rows, skip=on_invalid == "skip")
    return Call(
        "record_batch",
        (
            argument.Argument("events", "jsonb", argument.document(text), required=True),
            argument.text("on_invalid", on_invalid, required=True),
            *_unless(False, argument.boolean("overflow", overflow, required=True)),
            *_unless("skip", argument.text("on_refused", on_refused, required=True)),
        ),
        partial(_with_refused, refused) if refused else _outcomes,
    )


def known_events(events: Iterable[NewEvent | Mapping[str, Any]]) -> Call[list[BatchOutcome]]:
    """Return which of these events were recorded before; for importers. Nothing is recorded.

    An event is known by its `idempotency_key`; or, recorded without one, by the `event_id`,
    `recorded_at` and `at` that `events` returned.

    Args:
        events: NewEvents, or mappings with the names of `record`'s parameters, `event_id` and
            `recorded_at`.

    Returns:
        A row for each known event: ``duplicate``, ``conflict`` if its quantity or member differs,
        or ``rejected`` if its month was dropped, so that nobody can tell.

    Raises:
        InvalidInput: a quantity is a float.

    Example:
        meter.known_events([{"subject": "acct_1", "metric": "tokens", "idempotency_key": "req_1"}])
    """
    rows = [row("events", "event", ordinal, event) for ordinal, event in enumerate(events, start=1)]
    return Call("known_events", (argument.json("events", rows, required=True),), _outcomes)


def _unless(default: object, given: argument.Argument) -> tuple[argument.Argument, ...]:
    """The argument, unless it has SQL's own default: a call in its usual form stays as short as it was."""
    return () if given.value == default else (given,)


_outcomes = result.every(BatchOutcome)


def _encode(rows: Mapping[int, dict[str, Any]], *, skip: bool) -> tuple[str, dict[int, InvalidInput]]:
    """The JSON array of the events, and those that cannot be in it, by ordinal. Raises if not `skip`.

    All at once if nothing stands against it, since one by one takes longer.
    """
    if (text := exact_json.all_storable(list(rows.values()))) is not None:
        return text, {}
    texts: list[str] = []
    refused: dict[int, InvalidInput] = {}
    for ordinal, event in rows.items():
        try:
            texts.append(argument.json_text("events", event, f"event {ordinal}"))
        except InvalidInput as exc:
            if not skip:
                raise
            refused[ordinal] = exc
    return f"[{','.join(texts)}]", refused


def _with_refused(refused: Mapping[int, InvalidInput], rows: Sequence[Row]) -> list[BatchOutcome]:
    """The outcomes of the events that were sent, and of the others, in the order of the batch.

    Of a batch for several shards, some of what was sent may have no outcome.
    """
    sent = {outcome.ordinal: outcome for outcome in _outcomes(rows)}
    outcomes: list[BatchOutcome] = []
    ordinal = number = 0
    while len(outcomes) < len(sent) + len(refused):
        ordinal += 1
        if exc := refused.get(ordinal):
            outcomes.append(
                BatchOutcome(
                    ordinal=ordinal,
                    outcome="rejected",
                    sqlstate=exc.sqlstate,
                    message=f"{exc.message}: {exc.detail}",
                    hint=exc.hint,
                )
            )
            continue
        number += 1
        if number in sent:
            outcomes.append(sent[number].model_copy(update={"ordinal": ordinal}))
    return outcomes
