"""Claiming pushes, and settling what happened to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import ClaimedPush, SettledPush


def claim_pushes(
    biller: str,
    worker: str,
    max_pushes: int = 100,
    *,
    lease: timedelta | None = None,
    now: datetime | None = None,
) -> Call[list[ClaimedPush]]:
    """Claim pushes to send now.

    No other worker gets them, nor others of their customer and event name. Send those of one
    customer and event name one after another. Commit before sending: that a push is being sent has
    to survive a crash.

    Args:
        biller: The biller's name.
        worker: The caller's unique name.
        max_pushes: How many at most.
        lease: For how long; two minutes unless given. Send nothing after ``leased_until``.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        The claimed pushes, the most urgent first.

    Raises:
        InvalidInput: a value is not allowed.
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

    Example:
        meter.claim_pushes("stripe", "worker_1")
    """
    return Call(
        "claim_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.text("worker", worker, required=True),
            argument.integer("max_pushes", "integer", max_pushes),
            argument.interval("lease", lease),
            argument.time("now", now),
        ),
        result.every(ClaimedPush),
    )


def confirm_push(
    biller: str,
    worker: str,
    identifier: str,
    attempt: int,
    *,
    margin: timedelta | None = None,
    now: datetime | None = None,
) -> Call[bool]:
    """Return whether an attempt is still the worker's, and its lease lasts longer than `margin`.

    Call it right before each send, and send only on True: the clocks of a suspended machine stand
    still.

    Args:
        biller: The biller's name.
        worker: The caller's unique name.
        identifier: The push's identifier.
        attempt: The attempt, as `claim_pushes` returned it.
        margin: How much longer the lease has to last: the longest time that one call to the biller
            takes.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        Whether to send.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        if meter.confirm_push("stripe", "worker_1", push.identifier, push.attempt):
            send(push)
    """
    return Call(
        "confirm_push",
        (
            argument.text("biller", biller, required=True),
            argument.text("worker", worker, required=True),
            argument.text("identifier", identifier, required=True),
            argument.integer("attempt", "integer", attempt),
            argument.interval("margin", margin),
            argument.time("now", now),
        ),
        result.truth,
    )


def settle_pushes(
    biller: str,
    worker: str,
    results: Iterable[Mapping[str, Any]],
    *,
    now: datetime | None = None,
) -> Call[list[SettledPush]]:
    """Settle claimed pushes: say what the biller answered.

    Args:
        biller: The biller's name.
        worker: The caller's unique name.
        results: For each push its ``push_id``, ``attempt`` and ``outcome``, optionally
            ``identifier`` (then it counts only for a push of that identifier), ``error`` and
            ``retry_after`` (seconds). Outcomes: ``delivered``; ``rejected`` (refused for good);
            ``unknown`` (perhaps counted: sent again under the same identifier while the biller
            recognises it); ``not_applied`` (certainly not counted: sent again later).
        now: The moment to ask about; the database's clock unless given.

    Returns:
        The state of each push.

    Raises:
        InvalidInput: a result is not allowed.
        MeterError: (25001) in a REPEATABLE READ or SERIALIZABLE transaction.

    Example:
        meter.settle_pushes("stripe", "worker_1", [{"push_id": 7, "attempt": 1, "outcome": "delivered"}])
    """
    return Call(
        "settle_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.text("worker", worker, required=True),
            argument.results(results),
            argument.time("now", now),
        ),
        result.every(SettledPush),
    )


def release_pushes(biller: str, worker: str, *, now: datetime | None = None) -> Call[int]:
    """Release what a worker has claimed and not settled.

    They may have been sent, so they are sent again under the same identifier. Settle as
    ``not_applied`` what was certainly not sent.

    Args:
        biller: The biller's name.
        worker: The caller's unique name.
        now: The moment to ask about; the database's clock unless given.

    Returns:
        How many pushes.

    Example:
        meter.release_pushes("stripe", "worker_1")
    """
    return Call(
        "release_pushes",
        (
            argument.text("biller", biller, required=True),
            argument.text("worker", worker, required=True),
            argument.time("now", now),
        ),
        result.number,
    )
