"""Stripe's webhooks: error events about meter events that were accepted and could not be counted."""

from __future__ import annotations

import hmac
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg

from pymeter.async_client import AsyncConnectionPool
from pymeter.client import ConnectionPool
from pymeter.program_connection import checked_dsn, connect
from pymeter.report.biller import AsyncBiller, Biller
from pymeter.report.reporter import AsyncReporter, Reporter
from pymeter.report.stripe.biller import StripeBiller
from pymeter.report.stripe.wire import FAILURE_TYPES
from pymeter.secrets import Secret

TOLERANCE_SECONDS = 300
_SECOND = re.compile(r"[0-9]{1,12}")
_EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")  # it becomes part of a URL


class BadSignature(ValueError):
    """The signature is wrong or too old: answer 400 and do nothing."""


@dataclass(frozen=True)
class Webhook:
    """The result of a webhook."""

    event_id: str
    type: str
    handled: bool
    """Whether it was about meters. Others are ignored; answer 200 to them too."""
    rejected: int
    """How many delivered pushes became rejected; 0 when the event had been seen before."""


def handle_webhook(
    payload: str | bytes,
    signature: str | bytes | None,
    *,
    secret: str | None = None,
    pool: ConnectionPool | None = None,
    biller: Biller | None = None,
    biller_name: str = "stripe",
    schema: str = "meter",
) -> Webhook:
    """Verify a webhook, fetch its event from Stripe, and mark the named pushes as rejected.

    `payload` is the unmodified body, `signature` the header ``Stripe-Signature``. The secret is `secret`,
    else STRIPE_WEBHOOK_SECRET, else the content of STRIPE_WEBHOOK_SECRET_FILE. Without a `pool` the database
    is PYMETER_DSN, else DATABASE_URL. Repeats do nothing.

    Raises BadSignature. Raises BillerError when the call to Stripe fails: answer 500, and Stripe retries.

        handle_webhook(request.body, request.headers["Stripe-Signature"], pool=pool)
    """
    event = _checked(payload, signature, secret)
    if event["type"] not in FAILURE_TYPES:
        return Webhook(event["id"], event["type"], handled=False, rejected=0)
    reporter = Reporter(
        pool or _FromEnvironment(), biller or StripeBiller(), biller_name=biller_name, schema=schema
    )
    return Webhook(event["id"], event["type"], handled=True, rejected=reporter.take_in(event["id"]))


async def handle_webhook_async(
    payload: str | bytes,
    signature: str | bytes | None,
    *,
    pool: AsyncConnectionPool,
    secret: str | None = None,
    biller: Biller | AsyncBiller | None = None,
    biller_name: str = "stripe",
    schema: str = "meter",
) -> Webhook:
    """As `handle_webhook`, for an event loop."""
    event = _checked(payload, signature, secret)
    if event["type"] not in FAILURE_TYPES:
        return Webhook(event["id"], event["type"], handled=False, rejected=0)
    reporter = AsyncReporter(pool, biller or StripeBiller(), biller_name=biller_name, schema=schema)
    return Webhook(event["id"], event["type"], handled=True, rejected=await reporter.take_in(event["id"]))


def _checked(payload: str | bytes, signature: str | bytes | None, secret: str | None) -> dict[str, Any]:
    # Stripe signs UTF-8; replaced characters fail the check.
    body = payload.encode(errors="replace") if isinstance(payload, str) else bytes(payload)
    header = signature.decode("latin-1") if isinstance(signature, bytes) else signature or ""
    if not _signed(body, header, _secret(secret), time.time()):
        raise BadSignature("the webhook's signature is not good")
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        event = None
    event_id = event.get("id") if isinstance(event, dict) else None
    if not isinstance(event_id, str) or not _EVENT_ID.fullmatch(event_id):
        raise BadSignature("the webhook is no event")
    return {"id": event_id, "type": str(event.get("type"))}


def _signed(body: bytes, header: str, secret: Secret, now: float) -> bool:
    """Whether a signature of the header (several during key rotation) is HMAC-SHA256 of second.body."""
    parts = [part.strip().partition("=") for part in header.split(",")]
    second = next((value for name, _, value in parts if name == "t"), "")
    if not _SECOND.fullmatch(second) or abs(now - int(second)) > TOLERANCE_SECONDS:
        return False
    digest = hmac.new(secret.reveal().encode(), second.encode() + b"." + body, sha256).hexdigest()
    given = [value for name, _, value in parts if name == "v1"]
    return any(hmac.compare_digest(digest.encode(), value.encode(errors="replace")) for value in given)


def _secret(text: str | None) -> Secret:
    text = text or os.environ.get("STRIPE_WEBHOOK_SECRET")
    if not text and (file := os.environ.get("STRIPE_WEBHOOK_SECRET_FILE")):
        text = Path(file).read_text(encoding="utf-8")
    text = (text or "").strip()
    if not text:
        raise ValueError("there is no webhook secret: set STRIPE_WEBHOOK_SECRET")
    return Secret(text)


class _FromEnvironment:
    """Opens a connection for each call to the database of the environment."""

    def connection(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        return self._connect()

    @contextmanager
    def _connect(self) -> Iterator[psycopg.Connection[Any]]:
        dsn = os.environ.get("PYMETER_DSN") or os.environ.get("DATABASE_URL")
        if not dsn:
            raise ValueError("there is no database: give a pool, or set PYMETER_DSN")
        with connect(checked_dsn(dsn), "pymeter webhook") as connection:
            yield connection
