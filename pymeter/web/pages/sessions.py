"""Who is signed in to the pages: the credentials of keys, kept in this process, found by a cookie."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

SECONDS = 12 * 60 * 60.0
"""How long somebody stays signed in."""


@dataclass(frozen=True)
class Held:
    """A key that somebody has signed in with."""

    credential: str = field(repr=False)
    key_id: int
    name: str
    level: str


@dataclass
class SignedIn:
    """What the browser with one cookie may do. A key has one level, so there is one for each level."""

    keys: dict[str, Held]
    until: float
    form_token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    """Is in every form: a page of somebody else cannot send one, because it cannot read it."""
    timezone: str = "UTC"
    told: str = ""
    """What the next page tells once, such as what a form has done."""

    @property
    def key_ids(self) -> set[int]:
        """The keys."""
        return {key.key_id for key in self.keys.values()}


class Sessions:
    """The browsers that are signed in. A cookie is a random name: no key leaves this process."""

    def __init__(
        self, most: int = 1000, *, most_of_key: int = 20, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._most_of_key = most_of_key
        self._clock = clock
        self._found: OrderedDict[str, SignedIn] = OrderedDict()

    def of(self, request: Request) -> SignedIn | None:
        """Who sends the request; None if nobody is signed in, or no longer."""
        found = self._found.get(_sent(request))
        return found if found is not None and found.until > self._clock() else None

    def add(self, request: Request, response: Response, *keys: Held) -> None:
        """Sign in with keys. The cookie gets another name each time, so that nobody can know it before."""
        name = _sent(request)
        known = self.of(request) or SignedIn({}, 0)
        self._found.pop(name, None)
        known.keys |= {key.level: key for key in keys}
        known.until = self._clock() + SECONDS
        name = secrets.token_urlsafe(32)
        self._found[name] = known
        self._make_room(key.key_id for key in keys)
        response.set_cookie(
            cookie_of(request),
            name,
            max_age=int(SECONDS),
            path=request.scope.get("root_path") or "/",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )

    def _make_room(self, key_ids: Iterable[int]) -> None:
        """Forget the oldest: of a key first, so that whoever has one key signs out nobody with another."""
        now = self._clock()
        for name in [name for name, one in self._found.items() if one.until <= now]:
            del self._found[name]
        for key_id in key_ids:
            names = [name for name, one in self._found.items() if key_id in one.key_ids]
            for name in names[: -self._most_of_key]:
                del self._found[name]
        while len(self._found) > self._most:
            self._found.popitem(last=False)

    def end(self, request: Request, response: Response) -> None:
        """Sign out."""
        self._found.pop(_sent(request), None)
        response.delete_cookie(cookie_of(request), path=request.scope.get("root_path") or "/")


def cookie_of(request: Request) -> str:
    """The cookie's own name at each port and path: browsers send the cookies of one host to all of them."""
    site = f"{request.url.netloc}{request.scope.get('root_path', '')}"
    return f"pymeter_{hashlib.sha256(site.encode()).hexdigest()[:12]}"


def _sent(request: Request) -> str:
    return request.cookies.get(cookie_of(request), "")
