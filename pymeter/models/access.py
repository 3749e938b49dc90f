"""Who may do what: sql/access/."""

from __future__ import annotations

from typing import Literal

from pymeter.models.values import Model

Level = Literal["read", "write", "report", "admin", "approve", "login", "own"]


class AccessRight(Model):
    """What one role may do in the meter's schema."""

    role: str
    level: Level | None = None
    """The granted level; None for rights that the role has without a grant of a level."""
    subject: str | None = None
    """The only subject that it may read; None for all."""
    complete: bool | None = None
    """Whether ``rights`` has all functions of the level."""
    rights: list[str]
    """The functions; without a level, each as privilege on object."""
    members: list[str]
    """The roles that inherit it by membership, without superusers."""
