"""Keys of programs that speak HTTP: sql/keys/."""

from __future__ import annotations

from datetime import datetime

from pymeter.calls import argument, result
from pymeter.calls.call import Call
from pymeter.models import ApiKey, Authentication, KeyLevel, NewApiKey


def create_api_key(
    level: KeyLevel,
    *,
    subject: str | None = None,
    expires_at: datetime | None = None,
    name: str | None = None,
) -> Call[NewApiKey]:
    """Create a key for a program that speaks HTTP.

    Only the owner of the meter may do this.

    Args:
        level: ``read``, ``write``, ``report``, ``admin`` or ``approve``.
        subject: With level ``read``: the key reads this subject alone.
        expires_at: From when it is refused; never unless given.
        name: A label for people.

    Returns:
        The key. It is returned only once: the database stores a digest.

    Raises:
        InvalidInput: a value is not allowed.

    Example:
        meter.create_api_key("write", name="worker").key
    """
    return Call(
        "create_api_key",
        (
            argument.text("level", level, required=True),
            argument.text("subject", subject),
            argument.time("expires_at", expires_at),
            argument.text("name", name),
        ),
        result.one(NewApiKey),
    )


def revoke_api_key(key_id: int) -> Call[ApiKey]:
    """Revoke a key, and the tokens that were signed with it. Again: nothing changes.

    Args:
        key_id: The key's number, from `api_keys`.

    Returns:
        The key, without the key itself.

    Raises:
        NotFound: there is no such key.

    Example:
        meter.revoke_api_key(7).revoked_at
    """
    return Call(
        "revoke_api_key", (argument.integer("key_id", "bigint", key_id, required=True),), result.one(ApiKey)
    )


def api_keys() -> Call[list[ApiKey]]:
    """Return all keys, including expired and revoked ones, without the keys themselves.

    Returns:
        A row for each key, in the order of their numbers.

    Example:
        [key.name for key in meter.api_keys() if key.last_used_at is None]
    """
    return Call("api_keys", (), result.every(ApiKey))


def authenticate(credential: str) -> Call[Authentication]:
    """Return the holder of a key or token, and the role to take for the transaction.

    For a server that logs in with the level ``login``, takes the role with SET LOCAL ROLE and then
    makes the calls of the request.

    Args:
        credential: The SHA-256 of a key, hexadecimal, or a signed token.

    Returns:
        Who it is, with which level and role.

    Raises:
        CredentialRefused: it is unknown, was revoked or has expired.

    Example:
        meter.authenticate(hashlib.sha256(key.encode()).hexdigest()).role
    """
    return Call(
        "authenticate", (argument.text("credential", credential, required=True),), result.one(Authentication)
    )
