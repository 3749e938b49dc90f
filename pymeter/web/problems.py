"""Errors as HTTP answers: the status of every SQLSTATE, and application/problem+json (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout, TooManyRequests
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pymeter import exact_json
from pymeter.levels import missing_key

logger = logging.getLogger("pymeter.web")

_STATUSES = {
    "UM001": 404,
    "UM002": 409,
    "UM003": 402,
    "UM004": 409,
    "UM005": 409,
    "UM006": 410,
    "UM007": 404,
    "UM008": 421,
    "23505": 409,
    "25001": 409,
    "25006": 503,  # a standby
    "28000": 401,
    "3F000": 503,  # not installed
    "40001": 503,
    "40P01": 503,
    "42501": 403,
    "42883": 503,  # an upgrade is under way
    "42P01": 503,
    "54001": 400,  # nested too deeply
    "55000": 409,
    "55P03": 503,
    "57014": 504,  # statement_timeout
    "57P01": 503,
    "57P02": 503,
    "57P03": 503,
}
_STATUSES_OF_CLASSES = {"08": 503, "22": 400, "53": 503, "54": 400}
RETRY_SECONDS = 1
STATUSES: Mapping[int, str] = {
    400: "A bad value (SQLSTATE 22xxx), or a malformed request.",
    401: "No key, or one that is unknown, expired or revoked (28000).",
    402: "A limit refuses it (UM003). Of /v1/events, Retry-After: seconds until it resets, if it does.",
    403: "The key's level does not include the function, or the key is bound to another subject (42501).",
    404: "Unknown metric (UM001) or object (UM007), or no such function.",
    405: "The function changes something: use POST.",
    408: "The request's body did not arrive in time.",
    409: "Conflict: wrong state (UM002, UM004, 55000), or a key that was used for something else (UM005).",
    410: "The events were dropped (UM006).",
    413: "The request's body is too large, or has too many events.",
    415: "The content type is not supported.",
    421: "Another database is responsible (UM008).",
    429: "Too many failed attempts from this address.",
    500: "An error of the server.",
    503: "Busy or unavailable: repeat it after Retry-After seconds, with the same idempotency keys.",
    504: "The database took too long; nothing was written.",
}


class Problem(Exception):
    """An answer other than success, which is no error of the database."""

    def __init__(
        self,
        status: int,
        title: str,
        *,
        sqlstate: str | None = None,
        detail: str | None = None,
        hint: str | None = None,
        parameter: str | None = None,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.headers = dict(headers or {})
        self.fields = {
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": detail,
            "sqlstate": sqlstate,
            "hint": hint,
            "parameter": parameter,
            **(more or {}),
        }

    def response(self) -> Response:
        """The answer, without empty fields."""
        fields = {name: value for name, value in self.fields.items() if value is not None}
        return Response(
            exact_json.dumps(fields), self.status, self.headers, media_type="application/problem+json"
        )


def bad_value(title: str, hint: str, parameter: str | None = None) -> Problem:
    """400: the request cannot be understood."""
    return Problem(400, title, sqlstate="22023", hint=hint, parameter=parameter)


def status_of(sqlstate: str | None) -> int:
    """The status of an error of the database; 500 for one that is not expected."""
    if sqlstate is None:
        return 503  # the connection was lost
    return _STATUSES.get(sqlstate) or _STATUSES_OF_CLASSES.get(sqlstate[:2]) or 500


def of_database(error: psycopg.Error, function: str | None = None) -> Problem:
    """The problem for an error of the database. An unexpected one is logged, and its text is not sent."""
    if isinstance(error, PoolTimeout | TooManyRequests):
        return unavailable("all connections to the database are in use")
    if isinstance(error, psycopg.DataError) and error.sqlstate is None:
        return bad_value("a text has a NUL character", "Remove it: PostgreSQL cannot store it.")
    status = status_of(error.sqlstate)
    if error.sqlstate == "55P03" and error.diag.column_name is not None:
        status = 409  # an as_of after the last watermark: waiting a second changes nothing
    if status == 503 and error.sqlstate is None and not isinstance(error, psycopg.OperationalError):
        status = 500
    if status == 500:
        logger.error("unexpected SQLSTATE %s in %s", error.sqlstate, function, exc_info=error)
        return Problem(500, "internal error", sqlstate=error.sqlstate)
    if error.sqlstate is None:
        # Also when the connection was lost at COMMIT: nobody knows then.
        return unavailable("the database cannot be reached", "Send it again, with the same idempotency keys.")
    hint = error.diag.message_hint
    if status == 403 and hint is None and function is not None:
        hint = missing_key(function)
    elif status == 400 and hint is None:
        hint = "Correct the value: /openapi.json has the types."
    return Problem(
        status,
        error.diag.message_primary or "error",
        sqlstate=error.sqlstate,
        detail=error.diag.message_detail,
        hint=hint,
        parameter=error.diag.column_name,
        headers=_headers(status),
    )


def unavailable(title: str, hint: str = "Try again later.") -> Problem:
    """503: a repetition may succeed."""
    return Problem(503, title, hint=hint, headers=_headers(503))


def _headers(status: int) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="pymeter"'}
    return {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}


async def on_problem(_request: Request, error: Exception) -> Response:
    """Starlette's handler for :class:`Problem`."""
    assert isinstance(error, Problem)
    return error.response()


async def on_database_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for errors of the database."""
    assert isinstance(error, psycopg.Error)
    return of_database(error, request.path_params.get("function")).response()


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Starlette's handler for its own errors: no such route, another method."""
    assert isinstance(error, HTTPException)
    return Problem(error.status_code, HTTPStatus(error.status_code).phrase, headers=error.headers).response()


async def on_any_error(_request: Request, error: Exception) -> Response:
    """The last handler: its text is not sent."""
    logger.error("unexpected error", exc_info=error)
    return Problem(500, "internal error").response()
