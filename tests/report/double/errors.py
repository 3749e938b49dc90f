"""Stripe's errors as they look on the wire."""

from __future__ import annotations

import re
from typing import Any

_INTEGER = re.compile(r"-?[0-9]{1,18}")


class StripeError(Exception):
    """An answer that is an error.

    ``stored``: whether an Idempotency-Key remembers it. Stripe stores what an endpoint answered once it began
    to execute; what fails validation, a conflict, a wrong key or a rate limit may be sent again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
        stored: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.stored = stored
        self.headers = headers or {}
        self.body: dict[str, Any] = {"error": {"type": kind, "message": message}}
        if code:
            self.body["error"]["code"] = code
        if param:
            self.body["error"]["param"] = param


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> StripeError:
    return StripeError(400, message, param=param, code=code)


def missing(param: str) -> StripeError:
    return invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")


def integer(params: dict[str, Any], param: str) -> int:
    """The parameter as a number, or the 400."""
    text = params[param]
    if not isinstance(text, str) or not _INTEGER.fullmatch(text):
        raise invalid(f"Invalid integer: {text}", param=param, code="parameter_invalid_integer")
    return int(text)


def not_found(what: str, name: str, *, param: str = "id") -> StripeError:
    return StripeError(404, f"No such {what}: '{name}'", param=param, code="resource_missing")


def duplicate(identifier: str) -> StripeError:
    return StripeError(
        400,
        f"An event already exists with identifier {identifier}.",
        headers={"Stripe-Should-Retry": "false"},
        stored=True,
    )


def conflict() -> StripeError:
    message = "Another call for this customer and meter is under way; one at a time is allowed."
    return StripeError(409, message, code="lock_timeout")


def key_in_use() -> StripeError:
    message = "There is currently another in-progress request using this Idempotent Key."
    return StripeError(409, message, kind="idempotency_error", code="idempotency_key_in_use")


def key_mismatch(key: str) -> StripeError:
    message = (
        "Keys for idempotent requests can only be used with the same parameters they were first used with."
        f" Try using a key other than '{key}' if you meant to execute a different request."
    )
    return StripeError(400, message, kind="idempotency_error")


def rate_limited(reason: str | None) -> StripeError:
    headers = {"Stripe-Rate-Limited-Reason": reason} if reason else {}
    return StripeError(429, "Request rate limit exceeded.", code="rate_limit", headers=headers)


def wrong_key(key: str) -> StripeError:
    """Stripe shows the ends of the key it refuses; so does this, since it must not end up in a log."""
    shown = key[:8] + "*" * max(0, len(key) - 12) + key[-4:] if len(key) > 12 else "*" * len(key)
    return StripeError(401, f"Invalid API Key provided: {shown}")


def no_key() -> StripeError:
    return StripeError(401, "You did not provide an API key.")


def forbidden(key: str) -> StripeError:
    shown = f"{key[:8]}***{key[-4:]}"
    return StripeError(403, f"The provided key '{shown}' does not have the required permissions.")


def broken(status: int, should_retry: str | None) -> StripeError:
    headers = {"Stripe-Should-Retry": should_retry} if should_retry else {}
    kind = "api_error" if status >= 500 else "invalid_request_error"
    return StripeError(status, "An error occurred in the double, as asked for.", kind=kind, headers=headers)
