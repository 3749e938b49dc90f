"""Shards: sql/scale/."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import Move, ShardState


def shard_slot(shard_key: str) -> Call[int]:
    """Return the slot of a shard key, 0 to 1023; a map of shards says which shard has the slot.

    `pymeter.scale.slot_of` computes the same without a database.

    Args:
        shard_key: The subject.

    Returns:
        The first two bytes of the SHA-256 of the key, as a number, modulo 1024.

    Raises:
        InvalidInput: the key is blank or too long.

    Example:
        meter.shard_slot("acct_1")
    """
    return Call("shard_slot", (argument.text("shard_key", shard_key, required=True),), result.number)


def shard_state() -> Call[ShardState]:
    """Return which shard this meter is.

    Returns:
        Its number, or None for a meter of its own; the highest id that it has drawn; and sequences whose
        next ids would not be those of the shard.

    Example:
        meter.shard_state().number
    """
    return Call("shard_state", (), result.one(ShardState))


def set_shard(number: int, *, ids_above: int = 0, slots: str | None = None) -> Call[ShardState]:
    """Make this meter one of up to 1,024 shards, for ever: its ids become unique across all of them.

    Args:
        number: The number of the shard, 0 to 1023.
        ids_above: 0 for shards that all begin empty; or the highest id of the one meter that has ids
            already, the same for all shards.
        slots: The digest of the slots of its map, by which a client with another map is refused:
            `pymeter.scale.join` passes it.

    Returns:
        The state of the shard.

    Raises:
        InvalidInput: a value is not allowed.
        NotReady: the meter is another shard already, has ids above `ids_above`, or is of another map.
        LockUnavailable: (55P03) transactions that have drawn ids did not end within 5 seconds.

    Example:
        meter.set_shard(3, ids_above=1_000_000)
    """
    return Call(
        "set_shard",
        (
            argument.integer("number", "integer", number, required=True),
            argument.integer("ids_above", "bigint", ids_above, required=True),
            argument.text("slots", slots),
        ),
        result.one(ShardState),
    )


def moves() -> Call[list[Move]]:
    """List the subjects that are not at home here, or are about to leave.

    Returns:
        One row for each: `closing` while it is being moved to another shard, `moved` when it is there,
        `arriving` while it is being moved here.

    Example:
        [move.subject for move in meter.moves()]
    """
    return Call("moves", (), result.every(Move))


def close_home(
    subject: str, target: str, *, wait: timedelta | str | None = None, run: UUID | str | None = None
) -> Call[Move]:
    """Begin the closed time of a move: nothing is written for the subject until it is reopened.

    Args:
        subject: Whom the usage belongs to.
        target: The name of the shard that it moves to.
        wait: How long it waits for transactions that have written for the subject, at most a minute; 5
            seconds unless given.
        run: The run of the program that moves it; an earlier one can change nothing then.

    Returns:
        The state of the move.

    Raises:
        InvalidInput: a value is not allowed.
        LockUnavailable: transactions that have written for the subject are still open; it is not closed.
        NotReady: the subject is not at home here, or is moving to another shard.

    Example:
        meter.close_home("acct_1", "s2").state
    """
    return Call(
        "close_home",
        (
            argument.text("subject", subject, required=True),
            argument.text("target", target, required=True),
            argument.interval("wait", wait),
            argument.identifier("run", run),
        ),
        result.one(Move),
    )


def reopen_home(subject: str, *, run: UUID | str | None = None) -> Call[bool]:
    """Give up a move: what is written for the subject goes on here.

    Args:
        subject: Whom the usage belongs to.
        run: If it is given, only that run may do it.

    Returns:
        Whether it was closed.

    Raises:
        InvalidInput: a value is not allowed.
        NotReady: the subject has moved or is arriving, or another run moves it.

    Example:
        meter.reopen_home("acct_1")
    """
    return Call(
        "reopen_home",
        (argument.text("subject", subject, required=True), argument.identifier("run", run)),
        result.truth,
    )


def leave_home(subject: str, *, run: UUID | str | None = None) -> Call[Move]:
    """End a move at the shard that the subject leaves; what is here is an old copy then.

    Args:
        subject: Whom the usage belongs to.
        run: If it is given, only that run may do it.

    Returns:
        The state of the move.

    Raises:
        InvalidInput: a value is not allowed.
        NotReady: the subject is not closed, or another run moves it.

    Example:
        meter.leave_home("acct_1").state
    """
    return Call(
        "leave_home",
        (argument.text("subject", subject, required=True), argument.identifier("run", run)),
        result.one(Move),
    )


def expect_subject(subject: str, source: str, *, run: UUID | str | None = None) -> Call[Move]:
    """Begin a move at the shard that the subject comes to.

    Args:
        subject: Whom the usage belongs to.
        source: The name of the shard where it is at home.
        run: The run of the program that moves it; an earlier one can change nothing then.

    Returns:
        The state of the move.

    Raises:
        InvalidInput: a value is not allowed.
        LockUnavailable: transactions that have written for the subject are still open.
        NotReady: the subject is at home here.

    Example:
        meter.expect_subject("acct_1", "s1").state
    """
    return Call(
        "expect_subject",
        (
            argument.text("subject", subject, required=True),
            argument.text("source", source, required=True),
            argument.identifier("run", run),
        ),
        result.one(Move),
    )


def admit_subject(subject: str, *, run: UUID | str | None = None) -> Call[bool]:
    """End a move at the shard that the subject has come to: it is at home there.

    Args:
        subject: Whom the usage belongs to.
        run: If it is given, only that run may do it.

    Returns:
        Whether it was arriving.

    Raises:
        InvalidInput: a value is not allowed.
        NotReady: the subject is closing or has moved, or another run moves it.

    Example:
        meter.admit_subject("acct_1")
    """
    return Call(
        "admit_subject",
        (argument.text("subject", subject, required=True), argument.identifier("run", run)),
        result.truth,
    )
