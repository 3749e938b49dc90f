"""Passwords that this process knows, kept out of what it prints."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict

_SECRET_VARIABLES = ("PGPASSWORD", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET")
_DSN_VARIABLES = ("PYMETER_DSN", "DATABASE_URL")
_MASK = "***"

# Not in the context of the command: the threads of a reporter print warnings too.
_option: str | None = None


def protect(dsn: str | None) -> None:
    """From now on redact the secrets of this DSN, which the command line gave."""
    global _option
    _option = dsn


def redact(text: str) -> str:
    """`text` without any password that this process knows of."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return text


def _secrets() -> set[str]:
    found: set[str | None] = {os.environ.get(name) for name in _SECRET_VARIABLES}
    for dsn in (_option, *(os.environ.get(name) for name in _DSN_VARIABLES)):
        if not dsn:
            continue
        found.add(dsn if "password" in dsn or "@" in dsn else None)
        if match := re.match(r"^\w+(?:\+\w+)?://[^:/?@]*:([^?]*)@", dsn):
            found |= {match[1], unquote(match[1])}
        try:
            parts = conninfo_to_dict(dsn)
        except psycopg.Error:
            continue
        found |= {str(parts[key]) for key in ("password", "sslpassword") if parts.get(key)}
    return {secret for secret in found if secret}
