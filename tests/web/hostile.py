"""Requests that are to be refused, byte by byte, and the status that answers each."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

_HEAD = "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
Request = Callable[[str], Iterator[bytes]]


def answer_to(port: int, parts: Iterator[bytes], *, seconds: float = 30) -> int:
    """The status of the answer; 0 if the server closes the connection without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as client:
        try:
            for part in parts:
                client.sendall(part)
        except ConnectionError:
            pass  # it has answered already
        found = b""
        while b"\r\n" not in found and (data := client.recv(4096)):
            found += data
    return int(found[9:12]) if found else 0


def whole(body: bytes) -> Request:
    """A request with this body."""

    def request(key: str) -> Iterator[bytes]:
        head = f"{_HEAD}Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        yield head.encode() + body

    return request


def declared(size: int) -> Request:
    """A request whose body is said to be so large."""

    def request(key: str) -> Iterator[bytes]:
        yield f"{_HEAD}Authorization: Bearer {key}\r\nContent-Length: {size}\r\n\r\n".encode()
        yield b"[" * 65536

    return request


def chunked(size: int) -> Request:
    """A request whose body comes in chunks, of so many bytes in all."""

    def request(key: str) -> Iterator[bytes]:
        yield f"{_HEAD}Authorization: Bearer {key}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        for _ in range(size // 65536):
            yield b"10000\r\n" + b"[" * 65536 + b"\r\n"
        yield b"0\r\n\r\n"

    return request


def query(parameters: int) -> Request:
    """A request with so many parameters in its URL."""

    def request(key: str) -> Iterator[bytes]:
        yield b"GET /v1/rpc/usage?"
        for first in range(0, parameters, 10_000):
            yield "".join(f"p{n}=1&" for n in range(first, min(first + 10_000, parameters))).encode()
        yield f" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n".encode()

    return request


def without_key(_key: str) -> Iterator[bytes]:
    yield f"{_HEAD}Content-Length: 2\r\n\r\n[]".encode()


def with_another_key(_key: str) -> Iterator[bytes]:
    yield from whole(b"{}")("pm_live_1_" + "0" * 64)


# What the load sends again and again: bytes of some 100 KB at most.
REQUESTS: dict[str, tuple[Request, tuple[int, ...]]] = {
    "1 GB declared": (declared(1 << 30), (413,)),
    "4 MB in chunks": (chunked(4 << 20), (413, 0)),
    "deep JSON": (whole(b"[" * 100_000), (400,)),
    "deep event": (whole(b'{"metadata":' * 1000 + b"1" + b"}" * 1000), (400,)),
    "half of an object": (whole(b'{"subject": '), (400,)),
    "not UTF-8": (whole(b"\xff\xfe{}"), (400,)),
    "a large array": (whole(b"[" + b"1," * 500_000 + b"1]"), (413,)),
    "100,000 parameters": (query(100_000), (400, 0)),
    "no key": (without_key, (401, 429)),
    "another key": (with_another_key, (401, 429, 503, 400)),
    "no HTTP": (lambda _key: iter([b"\x16\x03\x01\x02\x00\r\n\r\n"]), (400,)),
}
