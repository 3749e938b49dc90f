"""The Idempotency-Key store of v1: the first status and body, errors included, for 24 hours."""

from __future__ import annotations

from dataclasses import dataclass

from . import errors
from .wire import Response

KEEP_SECONDS = 24 * 3600


@dataclass(slots=True)
class _Stored:
    fingerprint: str
    response: Response
    first_used: float


class IdempotencyKeys:
    """What each key of one world has answered, and which keys are in use this moment."""

    def __init__(self) -> None:
        self._stored: dict[str, _Stored] = {}
        self._in_use: set[str] = set()
        self.replays = 0

    def replay(self, key: str, fingerprint: str, now: float) -> Response | None:
        """The stored answer; None for a new key; an error when in use or when its parameters differ."""
        if key in self._in_use:
            raise errors.key_in_use()
        stored = self._stored.get(key)
        if stored is None or now - stored.first_used >= KEEP_SECONDS:
            return None
        if stored.fingerprint != fingerprint:
            raise errors.key_mismatch(key)
        self.replays += 1
        first = stored.response
        return Response(first.status, first.body, first.headers | {"Idempotent-Replayed": "true"})

    def begin(self, key: str) -> None:
        self._in_use.add(key)

    def end(self, key: str) -> None:
        self._in_use.discard(key)

    def store(self, key: str, fingerprint: str, response: Response, now: float) -> None:
        self._stored[key] = _Stored(fingerprint, response, now)
