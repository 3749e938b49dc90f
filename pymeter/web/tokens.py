"""Credentials: what is sent to the database instead of a key, and tokens that are signed with a key.

`authenticate()` in sql/keys/ checks both. Needs nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from datetime import timedelta

_KEY = re.compile(r"pm_live_([0-9]{1,18})_[0-9a-f]+")


def credential(key: str) -> str:
    """What a server sends to the database: the SHA-256 of the key, hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


def embed_token(key: str, subject: str, valid_for: timedelta) -> str:
    """A token that reads one subject until it expires, signed with a key of level ``read``.

    It is made without the database. It ends earlier if the key expires or is revoked.

    Args:
        key: The key, ``pm_live_...``.
        subject: Whose usage may be read.
        valid_for: How long.

    Raises:
        ValueError: the text is no key, the subject is blank, or the time is not positive.
    """
    parts = _KEY.fullmatch(key)
    if parts is None:
        raise ValueError("a key begins with pm_live_, its number and _")
    if not subject.strip():
        raise ValueError("the subject is blank")
    if valid_for <= timedelta(0):
        raise ValueError("valid_for is not positive")
    until = int(time.time() + valid_for.total_seconds())
    signed = f"{parts[1]}.{until}.{subject.encode().hex()}"
    secret = hashlib.sha256(credential(key).encode()).hexdigest()
    return f"{signed}.{hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()}"
