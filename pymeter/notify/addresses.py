"""To which addresses a sender connects: public ones, and those that were checked."""

from __future__ import annotations

import ipaddress
import socket
from functools import partial
from typing import TypeAlias

import anyio
import anyio.to_thread

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

# Public by number, but a cloud's own: Azure's agent.
_CLOUD = frozenset({ipaddress.ip_address("168.63.129.16")})
# Special by registration; releases of Python differ in what they know of these.
_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("192.0.0.0/24", "192.88.99.0/24", "100.64.0.0/10", "198.18.0.0/15", "240.0.0.0/4"),
        *("::/96", "2001::/23", "3fff::/20", "5f00::/16", "fec0::/10"),
        "64:ff9b:1::/48",  # a network's own NAT64: where it has the IPv4 address is not known
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class BadAddress(Exception):
    """A host that must not be sent to, or has no address. The message has no address."""


async def resolve(host: str, port: int, *, allow_private: bool, limiter: anyio.CapacityLimiter) -> list[str]:
    """The addresses of a host, which are then connected to without another look-up. Raises BadAddress.

    A host is refused if any of its addresses is: an answer that mixes public and private ones is an attack.
    """
    try:
        # Not in the event loop's few threads: a name server that hangs would delay all other look-ups.
        found = await anyio.to_thread.run_sync(
            partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM),
            abandon_on_cancel=True,
            limiter=limiter,
        )
    except (OSError, UnicodeError) as error:
        raise BadAddress(f"the host cannot be looked up: {type(error).__name__}") from None
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    if not addresses:
        raise BadAddress("the host has no address")
    if not allow_private and not all(is_public(address) for address in addresses):
        raise BadAddress("the host has an address that is not public; --allow-private would send there")
    return addresses


def is_public(text: str) -> bool:
    """Whether this is a public address: not loopback, private, link-local, multicast or a cloud's own."""
    if "%" in text:
        return False  # the scope of a link-local address
    return _is_public(ipaddress.ip_address(text))


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        embedded = _embedded(address)
        if embedded is not None:
            return _is_public(embedded)
    if address.is_multicast or address.is_reserved or address in _CLOUD:
        return False
    return address.is_global and not any(address in network for network in _SPECIAL)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that is reached through an IPv6 one."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
