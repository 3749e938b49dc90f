"""HTTP/1.1 as far as an API client needs it: keep-alive, Content-Length bodies, form and query parameters."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
_REASONS |= {204: "No Content", 409: "Conflict", 429: "Too Many Requests", 500: "Internal Server Error"}


class MalformedRequest(Exception):
    """What came over the connection is not a request this server understands."""


@dataclass(slots=True)
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Response:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection, or None when the client has closed it (even in the middle of one)."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, headers = _parse_head(head)
        if "transfer-encoding" in headers:
            raise MalformedRequest("bodies need a Content-Length")
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except (asyncio.LimitOverrunError, ValueError) as error:
        raise MalformedRequest(str(error)) from error
    parts = urlsplit(target)
    return Request(method, unquote(parts.path), parts.query, headers, body)


def _parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _version = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, separator, value = line.partition(":")
        if separator:
            headers[name.lower()] = value.strip()
    return method, target, headers


def encode(response: Response, *, close: bool = False) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Status')}"]
    headers = response.headers
    if response.status != 204:
        headers = {"Content-Type": "application/json", **headers, "Content-Length": str(len(response.body))}
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + response.body


def parameters(text: str) -> dict[str, Any]:
    """Form parameters; ``payload[value]=1`` becomes ``{"payload": {"value": "1"}}``."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        outer, bracket, rest = name.partition("[")
        if not bracket:
            found[outer] = value
            continue
        inner = found.setdefault(outer, {})
        if not isinstance(inner, dict):
            raise MalformedRequest(f"{outer} is both a value and a group")
        inner[rest.partition("]")[0] or str(len(inner))] = value
    return found
