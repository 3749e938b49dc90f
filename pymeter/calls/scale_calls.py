"""Shards: sql/scale/."""

from __future__ import annotations

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import ShardState


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


def set_shard(number: int, *, ids_above: int = 0) -> Call[ShardState]:
    """Make this meter one of up to 1,024 shards, for ever: its ids become unique across all of them.

    Args:
        number: The number of the shard, 0 to 1023.
        ids_above: 0 for shards that all begin empty; or the highest id of the one meter that has ids
            already, the same for all shards.

    Returns:
        The state of the shard.

    Raises:
        InvalidInput: a value is not allowed.
        NotReady: the meter is another shard already, or has ids above `ids_above`.
        LockUnavailable: (55P03) transactions that have drawn ids did not end within 5 seconds.

    Example:
        meter.set_shard(3, ids_above=1_000_000)
    """
    return Call(
        "set_shard",
        (
            argument.integer("number", "integer", number, required=True),
            argument.integer("ids_above", "bigint", ids_above, required=True),
        ),
        result.one(ShardState),
    )
