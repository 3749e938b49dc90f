"""Secrets that this process was given, and how to keep them out of whatever it says."""

from __future__ import annotations

import logging
from typing import Final

_MASK: Final = "***"
_LENGTH_MIN: Final = 8  # what is shorter is no key, and would take ordinary words out of the text
_known: set[str] = set()


class Secret:
    """A secret text. It shows itself to nobody; ``reveal`` is for who has to send it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        if len(text) >= _LENGTH_MIN:
            _known.add(text)

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return _MASK

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def redact(text: str) -> str:
    """`text` without any secret that was ever made into a :class:`Secret`."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return text


class _Redacting(logging.Filter):
    """Takes secrets out of log records. What a server answers is logged too, and could repeat a key."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _known:
            message = record.getMessage()
            clean = redact(message)
            if clean != message:
                record.msg, record.args = clean, None
        return True


_FILTER = _Redacting()


def quiet(*loggers: str) -> None:
    """Let these loggers speak without the secrets that are known when they do. Once is enough."""
    for name in loggers:
        logging.getLogger(name).addFilter(_FILTER)
