"""An error as the database said it, also if PL/Proxy has passed it on from a shard.

PL/Proxy puts words in front of message, detail and hint, loses the names of column and table, and raises
XX000 itself where it does not reach a shard.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import psycopg

from pymeter.secrets import redact

_REMOTE: Final = re.compile(r"\S+\(\d+\): \[(?P<database>[^\]]*)\] REMOTE [A-Z]+: ")
_CONNECTING: Final = re.compile(
    r"PL/Proxy function \S+\(\d+\): \[(?P<database>[^\]]*)\] (?P<reason>PQ\w+: [^\n]*)"
)
# The shard is shutting down, starting, or has no connection left.
_UNAVAILABLE: Final = ("08", "57P", "53")


@dataclass(frozen=True)
class Said:
    """The fields of an error, without what PL/Proxy adds."""

    message: str | None
    detail: str | None
    hint: str | None
    is_refusal: bool = False
    """A shard has refused a call: what the names of column and table would tell is not known."""
    stops_reporting: bool = False
    is_unavailable: bool = False
    """A shard behind the proxy cannot be reached."""
    reason: str | None = None


def said_by(error: psycopg.Error) -> Said:
    """What an error says."""
    diag = error.diag
    message = diag.message_primary or ""
    if remote := _REMOTE.match(message):
        text = message[remote.end() :]
        lost = (error.sqlstate or "").startswith(_UNAVAILABLE)
        return Said(
            text,
            _without("Remote detail: ", diag.message_detail),
            _without("Remote hint: ", diag.message_hint),
            is_refusal=error.sqlstate == "55000",
            stops_reporting=error.sqlstate == "55000" and text.startswith("reporting is stopped"),
            is_unavailable=lost,
            reason=_reason(remote["database"], text) if lost else None,
        )
    if error.sqlstate == "XX000" and (lost_shard := _CONNECTING.match(message)):
        reason = _reason(lost_shard["database"], lost_shard["reason"])
        return Said(message, diag.message_detail, diag.message_hint, is_unavailable=True, reason=reason)
    return Said(diag.message_primary, diag.message_detail, diag.message_hint)


def _without(words: str, text: str | None) -> str | None:
    return text.removeprefix(words) if text else text


def _reason(database: str, text: str) -> str:
    return f"Shard in database {database}: {redact(text)}"
