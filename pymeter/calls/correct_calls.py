"""Corrections: sql/correct/."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.calls.rows import row
from pymeter.models import (
    Corrected,
    Correction,
    CorrectionEffect,
    CorrectionEntry,
    CorrectionState,
    NewEntry,
    Quantity,
)


def void_event(
    subject: str,
    metric: str,
    event_id: int | None = None,
    *,
    idempotency_key: str | None = None,
    reason: str | None = None,
    at: datetime | None = None,
) -> Call[Corrected]:
    """Take an event back: it no longer counts, in the period that it counted in.

    It stays in the log, and its idempotency key stays spent. Limits get the quantity back, and what was
    reported to a biller is taken back from it.

    Args:
        subject: Who consumed: an account, an organisation, an API key.
        metric: The metric's key.
        event_id: The event, as `events` returns it; or an adjustment.
        idempotency_key: The event, by its key instead.
        reason: Why; required.
        at: The event's time, by which it is found faster.

    Returns:
        The correction, the event, the outcome (``applied``, or ``duplicate`` if it counts no more)
        and the new quantity of the period.

    Raises:
        UnknownMetric: the catalog has no such metric.
        NotFound: there is no such event.
        EventsDropped: its month was dropped.
        InvalidInput: a value is not allowed.
        NullInput: the reason, or the event, is missing.
        psycopg.errors.InsufficientPrivilege: the setting ``four_eyes`` asks for a second person.
        LockUnavailable: others hold the series for more than a second.

    Example:
        meter.void_event("acct_1", "tokens", idempotency_key="req_1", reason="test traffic").quantity
    """
    return Call(
        "void_event",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            argument.integer("event_id", "bigint", event_id),
            argument.text("idempotency_key", idempotency_key),
            argument.text("reason", reason),
            argument.time("at", at),
        ),
        result.one(Corrected),
    )


def amend_event(
    subject: str,
    metric: str,
    event_id: int | None = None,
    *,
    idempotency_key: str | None = None,
    quantity: Quantity | None = None,
    member: str | None = None,
    at: datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
    reason: str | None = None,
) -> Call[Corrected]:
    """Replace an event by a new one; what is left out stays as it is.

    The idempotency key then names the new event. A retry with the old or the new payload is a duplicate.

    Args:
        subject: Who consumed: an account, an organisation, an API key.
        metric: The metric's key.
        event_id: The event, as `events` returns it.
        idempotency_key: The event, by its key instead.
        quantity: How much it was, in the metric's unit.
        member: What a ``unique`` metric is to count.
        at: When it happened.
        metadata: Any JSON object.
        reason: Why; required.

    Returns:
        The correction, the new event, the outcome (``applied``; ``duplicate`` if it would change nothing;
        ``conflict`` if the event does not count any more) and the new quantity of the new event's period.

    Raises:
        MeterError: what `void_event` and `record` raise.

    Example:
        meter.amend_event("acct_1", "tokens", idempotency_key="req_1", quantity=20, reason="a fault")
    """
    return Call(
        "amend_event",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            argument.integer("event_id", "bigint", event_id),
            argument.text("idempotency_key", idempotency_key),
            argument.quantity("quantity", quantity),
            argument.text("member", member),
            argument.time("at", at),
            argument.json("metadata", metadata),
            argument.text("reason", reason),
        ),
        result.one(Corrected),
    )


def adjust(
    subject: str,
    metric: str,
    quantity: Quantity,
    *,
    at: datetime | None = None,
    reason: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Corrected]:
    """Add a signed quantity to the usage of a sum or count: a credit, a goodwill. It is no event.

    Args:
        subject: Who consumed: an account, an organisation, an API key.
        metric: The metric's key.
        quantity: In the metric's unit; negative to take usage away.
        at: The time at which it counts; now unless given.
        reason: Why; required.
        idempotency_key: The caller's name for it, the same on every retry.

    Returns:
        The correction, the adjustment's id, the outcome (``applied``, ``duplicate`` or ``conflict``)
        and the new quantity of the period.

    Raises:
        MetricForbids: the metric is neither a sum nor a count.
        MeterError: what else `void_event` raises.

    Example:
        meter.adjust("acct_1", "tokens", -5, reason="goodwill").quantity
    """
    return Call(
        "adjust",
        (
            argument.text("subject", subject, required=True),
            argument.text("metric", metric, required=True),
            argument.quantity("quantity", quantity, required=True),
            argument.time("at", at),
            argument.text("reason", reason),
            argument.text("idempotency_key", idempotency_key),
        ),
        result.one(Corrected),
    )


def open_correction(reason: str, *, idempotency_key: str | None = None) -> Call[int]:
    """Open a correction: changes that are staged, previewed, and count once they are approved.

    Args:
        reason: Why.
        idempotency_key: A repeat with the same key is the same correction.

    Returns:
        Its id.

    Raises:
        InvalidInput: a value is not allowed.
        DuplicateEvent: the key was used with another reason.

    Example:
        meter.open_correction("backfill of June", idempotency_key="backfill-june")
    """
    return Call(
        "open_correction",
        (argument.text("reason", reason, required=True), argument.text("idempotency_key", idempotency_key)),
        result.number,
    )


def stage_correction(id: int, entries: Iterable[NewEntry | Mapping[str, Any]]) -> Call[int]:
    """Add entries to an open correction, any number of times. They count nowhere until it is approved.

    An entry ``void`` with `since` and `until` stands for a void of every event of that window. A
    ``record`` with the key of an event that an earlier entry voids takes its place. The entries are sent
    in batches of 10,000, in one transaction.

    Args:
        id: The correction, of `open_correction`.
        entries: VoidEntry, AmendEntry, AdjustEntry and RecordEntry; or mappings with the field ``entry``,
            ``void``, ``amend``, ``adjust`` or ``record``, and the parameters of that call by name.

    Returns:
        How many entries the correction has.

    Raises:
        NotFound: there is no such correction, or an event of an entry.
        InvalidInput: the correction is not open, or an entry is not allowed; the detail says which.
        psycopg.errors.InsufficientPrivilege: with the setting ``four_eyes``, another role opened it.
        MeterError: what else the calls of the entries raise.

    Example:
        meter.stage_correction(7, [VoidEntry(subject="acct_1", metric="tokens", event_id=42)])
    """
    rows = [row("entries", "entry", ordinal, entry) for ordinal, entry in enumerate(entries, start=1)]
    return Call(
        "stage_correction",
        (
            argument.integer("id", "bigint", id, required=True),
            argument.json("entries", rows, required=True),
        ),
        result.number,
    )


def preview_correction(id: int) -> Call[list[CorrectionEffect]]:
    """Return what approving an open correction would change now. It only reads.

    Args:
        id: The correction.

    Returns:
        A row for each subject, metric and period, with the quantity before and after, and what
        that changes in money.

    Raises:
        NotFound: there is no such correction.
        InvalidInput: it is not open.
        MeterError: an entry can no longer be applied.

    Example:
        [effect.delta for effect in meter.preview_correction(7)]
    """
    return Call(
        "preview_correction",
        (argument.integer("id", "bigint", id, required=True),),
        result.every(CorrectionEffect),
    )


def approve_correction(id: int) -> Call[list[CorrectionEffect]]:
    """Make all entries of an open correction count, in one transaction.

    Who records for the series concerned waits for the end of the transaction, so commit at once.

    Args:
        id: The correction.

    Returns:
        What has changed, as `preview_correction` returns it. The rows differ from the preview's if
        something was recorded or corrected in between.

    Raises:
        NotFound: there is no such correction.
        InvalidInput: it is not open.
        psycopg.errors.InsufficientPrivilege: the setting ``four_eyes`` asks for another role than the one
            that opened it.
        LockUnavailable: others hold a series for more than a second; nothing was changed.
        MeterError: an entry can no longer be applied.

    Example:
        [effect.after for effect in meter.approve_correction(7)]
    """
    return Call(
        "approve_correction",
        (argument.integer("id", "bigint", id, required=True),),
        result.every(CorrectionEffect),
    )


def reject_correction(id: int, reason: str) -> Call[None]:
    """Close an open correction without applying it; its entries stay to be read.

    Args:
        id: The correction.
        reason: Why.

    Raises:
        NotFound: there is no such correction.
        InvalidInput: it is not open, or the reason is not allowed.
        psycopg.errors.InsufficientPrivilege: the setting ``four_eyes`` asks for another role than the one
            that opened it.

    Example:
        meter.reject_correction(7, "wrong month")
    """
    return Call(
        "reject_correction",
        (
            argument.integer("id", "bigint", id, required=True),
            argument.text("reason", reason, required=True),
        ),
        result.nothing,
    )


def revert_correction(id: int, reason: str) -> Call[int]:
    """Take an approved correction back, once, by a correction that undoes it.

    What it voided counts again, under its id; what it recorded or adjusted does not. Keys stay spent.

    Args:
        id: The correction.
        reason: Why.

    Returns:
        The id of the new correction, which cannot be reverted itself.

    Raises:
        NotFound: there is no such correction.
        InvalidInput: it is not approved, or a later correction has changed its events; the hint names it.
        EventsDropped: a month of its events was dropped.
        psycopg.errors.InsufficientPrivilege: the setting ``four_eyes`` asks for another role than the one
            that opened it.
        LockUnavailable: others hold a series for more than a second; nothing was changed.

    Example:
        meter.revert_correction(7, "wrong account")
    """
    return Call(
        "revert_correction",
        (
            argument.integer("id", "bigint", id, required=True),
            argument.text("reason", reason, required=True),
        ),
        result.number,
    )


def corrections(
    state: CorrectionState | None = None,
    subject: str | None = None,
    *,
    max_rows: int = 100,
    after_id: int | None = None,
) -> Call[list[Correction]]:
    """Return corrections, the latest first: who opened, approved or rejected them, when and why.

    Args:
        state: ``open``, ``approved``, ``rejected`` or ``reverted``; all unless given.
        subject: Those with an entry for this subject.
        max_rows: The length of a page, at most 10,000.
        after_id: The last row's ``correction_id``, for the next page.

    Returns:
        A page of corrections.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        [correction.reason for correction in meter.corrections("open")]
    """
    return Call(
        "corrections",
        (
            argument.text("state", state),
            argument.text("subject", subject),
            argument.integer("max_rows", "integer", max_rows),
            argument.integer("after_id", "bigint", after_id),
        ),
        result.every(Correction),
    )


def correction_entries(
    id: int, *, max_rows: int | None = None, after_ordinal: int = 0
) -> Call[list[CorrectionEntry]]:
    """Return the entries of a correction in their order, and what approving did to each.

    Args:
        id: The correction.
        max_rows: The length of a page, 1 to 10,000; None: all.
        after_ordinal: The last row's ``ordinal``, for the next page.

    Returns:
        The entries.

    Raises:
        NotFound: there is no such correction.
        InvalidInput: a value is not allowed.

    Example:
        [entry.outcome for entry in meter.correction_entries(7)]
    """
    return Call(
        "correction_entries",
        (
            argument.integer("id", "bigint", id, required=True),
            argument.integer("max_rows", "integer", max_rows),
            argument.integer("after_ordinal", "integer", after_ordinal),
        ),
        result.every(CorrectionEntry),
    )
