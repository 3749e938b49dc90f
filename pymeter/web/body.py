"""The body of a request: how large it may be, how long it may take, and its JSON."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect, Request

from pymeter import exact_json
from pymeter.web.problems import Problem, bad_value

_DEPTH_MAX = 200


@dataclass(frozen=True)
class Limits:
    """Of every request."""

    bytes: int = 1 << 20
    seconds: float = 10.0
    """For the whole body: a slow client holds no connection to the database, but a socket."""
    answer_bytes: int = 32 << 20
    """What a function may return: the server holds several copies of it."""


def content_type(request: Request) -> str:
    """The media type, in lower case, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_query(request: Request) -> None:
    """Raises Problem 400 for a query that is not UTF-8."""
    try:
        unquote_to_bytes(request.scope["query_string"]).decode()
    except UnicodeDecodeError:
        # Starlette would put U+FFFD in its place, which is another subject.
        raise bad_value("the query is not UTF-8", "Percent-encode UTF-8.") from None


async def read(request: Request, limits: Limits) -> bytes:
    """The body. Raises Problem 413 or 408."""
    too_large = Problem(413, "the body is too large", hint=f"Send at most {limits.bytes} bytes at once.")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:19]) > limits.bytes:
        raise too_large
    found = bytearray()
    try:
        async with asyncio.timeout(limits.seconds):
            async for chunk in request.stream():
                found += chunk
                if len(found) > limits.bytes:
                    raise too_large
    except TimeoutError:
        raise Problem(
            408,
            "the body did not arrive in time",
            hint="Send it faster, or less.",
            headers={"Connection": "close"},
        ) from None
    except ClientDisconnect:
        raise Problem(400, "the body is not complete") from None
    return bytes(found)


def parsed(raw: bytes) -> Any:
    """The JSON value; numbers are exact. Raises Problem 400."""
    try:
        return exact_json.loads_unique(raw.decode())
    except UnicodeDecodeError:
        raise bad_value("the body is not UTF-8", "Send JSON in UTF-8.") from None
    except RecursionError:
        raise bad_value("the body is nested too deeply", f"Nest at most {_DEPTH_MAX} levels.") from None
    except ValueError as error:
        raise bad_value(f"the body is not JSON: {error}"[:300], "Send a JSON document.") from None
