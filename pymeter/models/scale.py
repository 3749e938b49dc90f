"""Which shard a meter is: sql/scale/."""

from __future__ import annotations

from pymeter.models.values import Model, Moment


class ShardState(Model):
    """Which one of many meters this is."""

    number: int | None = None
    """0 to 1023; None: it is a meter of its own."""
    ids_above: int | None = None
    """Ids up to this one do not tell their shard."""
    joined_at: Moment | None = None
    highest_id: int | None = None
    """The highest id that any sequence has drawn; None if none has."""
    earlier_id: int | None = None
    """The highest id that it had drawn before it became a shard."""
    problems: list[str]
    """Sequences whose next ids would not be those of the shard."""
