"""Secrets of this process, and their removal from messages, logs and rows.

Covered are texts made into a :class:`Secret`, passwords of DSNs passed to :func:`remember_dsn`, and the
secret variables of the environment.
"""

from __future__ import annotations

import logging
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_MASK: Final = "***"
_LENGTH_MIN: Final = 8  # a shorter text is no key, and replacing it would remove ordinary words
_SECRET_VARIABLES: Final = ("PGPASSWORD", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "OPENMETER_TOKEN")
_DSN_VARIABLES: Final = ("PYMETER_DSN", "DATABASE_URL", "PYMETER_SMTP_URL")
_known: set[str] = set()


class Secret:
    """A secret text. ``repr`` and ``str`` show a mask, and ``redact`` removes the text from messages."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        if len(text) >= _LENGTH_MIN:
            _known.add(text)

    def reveal(self) -> str:
        """The text itself, for the code that sends it."""
        return self._text

    def __repr__(self) -> str:
        return _MASK

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def find_secret(text: str | None, file: str | os.PathLike[str] | None, variable: str) -> Secret | None:
    """The text, or the content of the file; without both, what `variable` or `variable`_FILE says.

    None when there is none.
    """
    if text is None and file is None:
        text = os.environ.get(variable)
        file = os.environ.get(f"{variable}_FILE") or None
    if not text and file is not None:
        text = Path(file).read_text(encoding="utf-8")
    text = (text or "").strip()
    return Secret(text) if text else None


def remember_dsn(dsn: str) -> None:
    """Remove the password of `dsn` from everything that is redacted from now on."""
    _known.update(_secrets_of_dsn(dsn))


def redact(text: str) -> str:
    """`text` with every secret of this process masked."""
    for secret in sorted(_known | _environment_secrets(), key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return text


def without_password(dsn: str) -> tuple[str, str | None]:
    """The DSN as libpq's key=value text without its password, and the password."""
    parts = conninfo_to_dict(dsn)
    password = parts.pop("password", None)
    return make_conninfo("", **parts), None if password is None else str(password)


def redact_logs(*loggers: str) -> None:
    """Redact every record of these loggers from now on. Calling it again changes nothing."""
    for name in loggers:
        logging.getLogger(name).addFilter(_FILTER)


class _RedactingFilter(logging.Filter):
    """Redacts log records: a server's answer may repeat a key, and answers are logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        clean = redact(message)
        if clean != message:
            record.msg, record.args = clean, None
        return True


_FILTER = _RedactingFilter()


def _environment_secrets() -> set[str]:
    found = {os.environ[name] for name in _SECRET_VARIABLES if os.environ.get(name)}
    for name in _DSN_VARIABLES:
        if dsn := os.environ.get(name):
            found |= _secrets_of_dsn(dsn)
    return found


@lru_cache(maxsize=64)
def _secrets_of_dsn(dsn: str) -> frozenset[str]:
    """The passwords in a DSN, as written and decoded; and the DSN itself, if it may hold one."""
    found: set[str] = {dsn} if "password" in dsn or "@" in dsn else set()
    if match := re.match(r"^\w+(?:\+\w+)?://[^:/?@]*:([^?]*)@", dsn):
        found |= {match[1], unquote(match[1])}
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.Error:
        parts = {}
    found |= {str(parts[key]) for key in ("password", "sslpassword") if parts.get(key)}
    return frozenset(secret for secret in found if secret)
