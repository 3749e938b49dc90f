"""What goes wrong only where there are shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from pymeter.errors import InvalidInput, MeterError
from pymeter.secrets import redact


class ShardMapError(InvalidInput):
    """The map of shards cannot be used; the detail says why (22023)."""


class ShardUnavailable(MeterError):
    """A shard cannot be reached; its subjects wait, those of other shards do not (08006).

    What was being done may have been committed or not: repeat it with the same idempotency key.
    """

    default_sqlstate = "08006"

    shard: str = ""
    """The name of the shard."""


class ShardsFailed(MeterError):
    """Some shards have answered, and others have not; `partial` is the answer of those that have (XX000).

    A change is done on the shards that have answered. All of them are idempotent: a repetition completes it.
    """

    answered: Sequence[str] = ()
    """The names of the shards that have answered."""
    failed: Mapping[str, Exception] = {}
    """The error of each other shard, by name."""
    partial: Any = None
    """The answer without the failed shards; None if none has answered."""


class NotSharded(MeterError):
    """The function works on one shard only; the hint says how to name it (0A000)."""

    default_sqlstate = "0A000"


class MoveRefused(MeterError):
    """A subject cannot be moved exactly; nothing was changed, and the hint says what would help (55000)."""

    default_sqlstate = "55000"


class MoveUnfinished(MeterError):
    """A move was interrupted; a repetition goes on (55000)."""

    default_sqlstate = "55000"


class CopiesDiffer(MeterError):
    """The copy of a subject is not what the original is; the subject was not moved (XX001)."""

    default_sqlstate = "XX001"


def unavailable(error: Exception) -> bool:
    """Whether the shard could not be reached, or has gone; not whether it has refused something."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(("08", "57P", "53"))


def of_shard(error: Exception, shard: str) -> Exception:
    """The error of one shard: a ShardUnavailable with its name, or the error itself with a note."""
    if not unavailable(error):
        error.add_note(f"shard {shard}")
        return error
    failed = ShardUnavailable(
        "a shard cannot be reached",
        detail=f"Shard {shard}: {redact(_first_line(error))}",
        hint="Its subjects have to wait, others do not. Repeat the call with the same idempotency key.",
    )
    failed.shard = shard
    failed.__cause__ = error
    return failed


def shards_failed(answered: Sequence[str], failed: Mapping[str, Exception], partial: Any) -> MeterError:
    """The error of a question or change that some shards have not answered."""
    first = next(iter(failed.values()))
    error = ShardsFailed(
        "some shards have not answered",
        sqlstate=getattr(first, "sqlstate", None) or ShardsFailed.default_sqlstate,
        detail="; ".join(f"{name}: {redact(_first_line(failure))}" for name, failure in failed.items())
        + f". Answered: {', '.join(answered) or 'none'}.",
        hint="`partial` has the answer of the others. A change is done there: repeat it for the rest.",
    )
    error.answered, error.failed, error.partial = tuple(answered), dict(failed), partial
    error.__cause__ = first
    return error


def _first_line(error: Exception) -> str:
    if isinstance(error, MeterError):
        return error.message if not error.detail else f"{error.message} ({error.detail.rstrip('.')})"
    text = str(error).strip().partition("\n")[0]
    return text or type(error).__name__
