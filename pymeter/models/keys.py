"""Keys of programs that speak HTTP: sql/keys/."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pymeter.models.values import Model, Moment

KeyLevel = Literal["read", "write", "report", "admin", "approve"]
HeldLevel = Literal["read", "write", "report", "admin", "approve", "own"]


class ApiKey(Model):
    """A key, without the key itself, which is not stored."""

    key_id: int
    name: str
    level: KeyLevel
    subject: str | None = None
    """The only subject that it may read; None for all."""
    created_at: Moment
    created_by: str
    """The role that created it."""
    expires_at: Moment | None = None
    """From when it is refused; None: never."""
    revoked_at: Moment | None = None
    """Since when it is refused; None: it was not revoked."""
    last_used_at: Moment | None = None
    """To the minute; None: never."""


class NewApiKey(Model):
    """A key that was just created."""

    key_id: int
    key: str = Field(repr=False)
    """The key itself, which is returned only once."""
    name: str
    level: KeyLevel
    subject: str | None = None
    expires_at: Moment | None = None


class Authentication(Model):
    """The holder of a key or token."""

    key_id: int
    name: str
    level: HeldLevel
    """own: the `own_` functions of one subject."""
    subject: str | None = None
    role: str | None = None
    """The role to take for the transaction; None: the session is a member of none with just this level."""
    expires_at: Moment | None = None
