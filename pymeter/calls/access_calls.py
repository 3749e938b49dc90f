"""Who may call what: sql/access/."""

from __future__ import annotations

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import AccessRight, Level


def grant_access(role: str, level: Level, subject: str | None = None) -> Call[None]:
    """Let a database role call exactly the functions of a level; it gets no right on any table.

    `level` is ``read``, ``write``, ``report`` or ``admin``; a role may be given several. With `subject` and
    level ``read``, the role reads that subject alone, through ``own_usage`` and its like. Only the owner of
    the meter may do this.

    Raises InvalidInput for an unknown role or level, or a role that would be bound to subjects and unbound.

        meter.grant_access("app", "write")
    """
    return Call(
        "grant_access",
        (
            argument.text("role", role, required=True),
            argument.text("level", level, required=True),
            argument.text("subject", subject),
        ),
        result.nothing,
    )


def revoke_access(role: str, level: Level | None = None, subject: str | None = None) -> Call[None]:
    """Take every right on the meter from a database role, or those of one level, or of one subject.

    Only the owner of the meter may do this. Raises InvalidInput for an unknown role or level.

        meter.revoke_access("app")
    """
    return Call(
        "revoke_access",
        (
            argument.text("role", role, required=True),
            argument.text("level", level),
            argument.text("subject", subject),
        ),
        result.nothing,
    )


def access() -> Call[list[AccessRight]]:
    """Return who may do what: a row for each level of each role, and one for whatever else it has.

    [right.role for right in meter.access() if right.level == "write"]
    """
    return Call("access", (), result.every(AccessRight))
