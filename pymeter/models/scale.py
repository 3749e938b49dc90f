"""Which shard a meter is: sql/scale/."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pymeter.models.values import Model, Moment

MoveState = Literal["closing", "moved", "arriving"]


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
    slots: str | None = None
    """The digest of the slots of the map that it belongs to; None: it was not told."""


class Move(Model):
    """A subject that is not at home in this meter, or is about to leave it."""

    subject: str
    state: MoveState
    other: str
    """The shard that it moves to, or comes from."""
    run: UUID | None = None
    """The run of the program that moves it."""
    copied_id: int | None = None
    """With `copied_at`: up to where the log is here."""
    copied_at: Moment | None = None
    started_at: Moment
    changed_at: Moment
