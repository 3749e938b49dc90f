"""Who may call what: sql/access/."""

from __future__ import annotations

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import AccessRight, Level


def grant_access(role: str, level: Level, subject: str | None = None) -> Call[None]:
    """Let a database role call exactly the functions of a level; it gets no right on any table.

    Only the owner of the meter may do this.

    Args:
        role: The role's name.
        level: ``read``, ``write``, ``report``, ``admin`` or ``approve``; a role may have several. Or
            ``login`` or ``own``, for the roles of a server of the HTTP API.
        subject: With level ``read``: the role reads this subject alone, through `for_subject`.

    Raises:
        InvalidInput: the role or level is unknown, or the role would be both bound to subjects and
            not.

    Example:
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
    """Take rights on the meter from a database role.

    Only the owner of the meter may do this.

    Args:
        role: The role's name.
        level: One level's rights; every right unless given.
        subject: One subject's.

    Raises:
        InvalidInput: the role or level is unknown.

    Example:
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
    """Return who may do what.

    Returns:
        A row for each level of each role, and one for whatever else it has.

    Example:
        [right.role for right in meter.access() if right.level == "write"]
    """
    return Call("access", (), result.every(AccessRight))
