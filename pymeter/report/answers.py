"""What the answers of an HTTP API have in common, whichever biller gives them. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pymeter.report.biller import Outcome
from pymeter.secrets import redact

_TEXT_MAX = 500
_RETRY_AFTER_MAX = 3600


def not_answered(error: Exception) -> Outcome:
    """The outcome without a complete answer. Without a connection the call was not applied."""
    causes = list(_causes(error))
    names = {type(cause).__name__ for cause in causes}
    text = redact(str(causes[-1]) or type(causes[-1]).__name__)[:_TEXT_MAX]
    if names & {"NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ConnectTimeout"}:
        return Outcome("not_applied", f"no connection: {text}", unreachable=True)
    return Outcome("unknown", f"no answer: {text}", unreachable=True)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and its causes, including those that urllib3 wraps."""
    while error is not None:
        yield error
        inner = getattr(error, "reason", None) or next(iter(getattr(error, "args", ()) or ()), None)
        error = error.__cause__ or error.__context__ or (inner if isinstance(inner, BaseException) else None)


def describe(status: int, code: str | None, message: str | None, reason: str | None = None) -> str:
    """One line about an error, without secrets."""
    words = " ".join(f"{message or 'no message'} {f'({reason})' if reason else ''}".split())
    return redact(f"{status} {code}: {words}" if code else f"{status}: {words}")[:_TEXT_MAX]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a Retry-After header asks for; None without a sensible one."""
    text = headers.get("Retry-After") or headers.get("retry-after") or ""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds < _RETRY_AFTER_MAX else None
