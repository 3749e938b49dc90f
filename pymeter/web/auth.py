"""Who makes a request: the credential in its headers, and a limit on failed attempts per address."""

from __future__ import annotations

import ipaddress
import re
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request

from pymeter.web.problems import Problem
from pymeter.web.tokens import credential

_KEY = re.compile(r"pm_live_[0-9]{1,18}_[0-9a-f]{16,128}")
# Not 64 hexadecimal digits: a credential, which a log of the database may show, is no key.
_TOKEN = re.compile(r"[0-9]{1,18}\.[0-9]{1,11}\.[0-9a-f]{2,4096}\.[0-9a-f]{64}")
_CLOCKS_DIFFER_SECONDS = 60
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="pymeter"'}


def credential_of(request: Request, *, in_query: bool = False) -> str:
    """The credential of the request, for authenticate(). `in_query`: ?token= is accepted, too, for pages.

    Raises Problem 401 if there is none, or its form is wrong.
    """
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    text = text.strip() if scheme.lower() == "bearer" else ""
    if not text and in_query:
        text = request.query_params.get("token", "")
        if not _TOKEN.fullmatch(text):
            text = ""  # a key in a URL would be in logs and in the history
    if _TOKEN.fullmatch(text):
        return text
    return key_credential(text)


def key_credential(key: str) -> str:
    """The credential of a key. Raises Problem 401 if its form is wrong."""
    if _KEY.fullmatch(key):
        return credential(key)
    raise refused("invalid key or token" if key else "no key or token")


def refused(title: str) -> Problem:
    """401."""
    return Problem(
        401, title, sqlstate="28000", hint="Send Authorization: Bearer and a key.", headers=_CHALLENGE
    )


def check_expiry(credential: str) -> None:
    """Raises Problem 401 for a token that expired a while ago: a page that stays open keeps sending it.

    The database need not be asked, and it is no attempt: others at the same address would pay for it.
    """
    parts = credential.split(".")
    if len(parts) > 1 and int(parts[1]) < time.time() - _CLOCKS_DIFFER_SECONDS:
        raise refused("the token has expired")


def network(address: str) -> str:
    """What one client has of addresses: one of IPv4, or 2^64 of IPv6."""
    try:
        number = ipaddress.ip_address(address)
    except ValueError:
        return address
    if number.version == 4:
        return address
    return str(number.ipv4_mapped or ipaddress.ip_network((int(number) >> 64 << 64, 64)))


class FailedAttempts:
    """Counts the failed attempts of each address within a minute; refuses it from a number of them on (429).

    A credential that was accepted lately is not refused: others at the same address may try what they like.
    """

    def __init__(
        self,
        most: int = 20,
        seconds: float = 60.0,
        *,
        addresses: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._addresses = addresses
        self._clock = clock
        self._failed: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._accepted: OrderedDict[str, None] = OrderedDict()

    def check(self, address: str, credential: str | None) -> None:
        """Raises Problem 429 if the address has failed too often."""
        since, number = self._failed.get(network(address), (0.0, 0))
        left = since + self._seconds - self._clock()
        if number >= self._most and left > 0 and credential not in self._accepted:
            raise Problem(
                429,
                "too many failed attempts",
                hint="Wait, and send a valid key.",
                headers={"Retry-After": str(int(left) + 1)},
            )

    def failed(self, address: str, credential: str | None) -> None:
        """Counts a failed attempt."""
        now, address = self._clock(), network(address)
        since, number = self._failed.pop(address, (now, 0))
        if since + self._seconds <= now:
            since, number = now, 0
        self._failed[address] = (since, number + 1)
        if credential is not None:
            self._accepted.pop(credential, None)
        if len(self._failed) > self._addresses:
            self._failed.popitem(last=False)

    def accepted(self, credential: str) -> None:
        """Remembers a credential that was accepted."""
        self._accepted[credential] = None
        self._accepted.move_to_end(credential)
        if len(self._accepted) > self._addresses:
            self._accepted.popitem(last=False)
