"""Requests to Stripe and the interpretation of its answers: pure functions, no SDK, no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from pymeter.report.answers import describe, retry_after
from pymeter.report.biller import Failure, Outcome, Sendable, Total

ERROR_REPORT = "v1.billing.meter.error_report_triggered"
NO_METER_FOUND = "v1.billing.meter.no_meter_found"
FAILURE_TYPES = (ERROR_REPORT, NO_METER_FOUND)
KEPT = timedelta(days=30)
"""How long Stripe keeps events that can be listed."""

_AHEAD = timedelta(hours=1)
"""Longer than the 5 minutes that a timestamp may lie in the future."""
_DUPLICATE = re.compile(r"already exists with identifier", re.IGNORECASE)
_ATTEMPT = re.compile(r"\.[0-9a-f]{16}$")


def parameters(push: Sendable, customer_key: str, value_key: str) -> dict[str, Any]:
    """The parameters of one meter event. The value is text, because the SDK would reformat a number."""
    return {
        "event_name": push.event_name,
        "identifier": push.identifier,
        "timestamp": int(push.stamped_at.timestamp()),
        "payload": {customer_key: push.customer, value_key: str(push.value)},
    }


def idempotency_key(identifier: str, token: str) -> str:
    """A new key for every attempt: for a known key Stripe repeats its earlier answer, even a 500.

    It begins with the identifier, because error reports may contain the key instead of the identifier.
    """
    return f"{identifier}.{token}"


def identifier_of(name: str) -> str:
    """The identifier in a sample of an error report, which has the identifier or the attempt's key."""
    return _ATTEMPT.sub("", name)


# --- outcomes of calls --------------------------------------------------------------------------------------


def answered(body: Mapping[str, Any], push: Sendable) -> Outcome:
    """Delivered if the 200 names this push's identifier; unknown if it names something else."""
    if (body.get("object"), body.get("identifier")) != ("billing.meter_event", push.identifier):
        return Outcome("unknown", "the answer is about something else: is this address Stripe's?")
    return Outcome("delivered")


def failed(
    status: int, code: str | None, kind: str | None, message: str | None, headers: Mapping[str, str]
) -> Outcome:
    """The outcome of an answer that is an error.

    `code`, `kind` and `message` are those of Stripe's error object; without one (`kind` None) the answer
    came from a proxy, and only the status is meaningful.
    """
    reason = headers.get("Stripe-Rate-Limited-Reason") or headers.get("stripe-rate-limited-reason")
    text = describe(status, code, message, reason)
    if status in (401, 403):
        return Outcome("not_applied", text, refused=True)
    if status == 429:
        return Outcome("not_applied", text, throttled=True, retry_after=retry_after(headers))
    if status == 409:
        return Outcome("not_applied", text)
    if status >= 500 or status in (408, 425) or kind is None or kind == "idempotency_error":
        replayed = (headers.get("Idempotent-Replayed") or headers.get("idempotent-replayed")) == "true"
        return Outcome("unknown", text, unreachable=status >= 500, replayed=replayed)
    if 400 <= status < 500:
        if code == "duplicate_meter_event" or (status == 400 and _DUPLICATE.search(message or "")):
            return Outcome("delivered", duplicate=True)
        return Outcome("rejected", text)
    return Outcome("unknown", text)


# --- totals -------------------------------------------------------------------------------------------------


def summaries(rows: Iterable[Mapping[str, Any]], since: datetime, until: datetime) -> Iterator[Total]:
    """Event summaries that begin in [since, until). Stripe's pages differ on whether end_time is included."""
    for row in rows:
        start = datetime.fromtimestamp(int(row["start_time"]), UTC)
        if since <= start < until:
            end = datetime.fromtimestamp(int(row["end_time"]), UTC)
            yield Total(start, end, Decimal(row["aggregated_value"]))


# --- meters -------------------------------------------------------------------------------------------------


def created_first(meters: Iterable[Mapping[str, Any]]) -> datetime:
    """When the first of these meters was created."""
    return min(datetime.fromtimestamp(int(meter["created"]), UTC) for meter in meters)


def was_archived_before(meter: Mapping[str, Any], since: datetime) -> bool:
    """Whether the meter was archived before it could count events stamped `since` or later."""
    archived_at = (meter.get("status_transitions") or {}).get("deactivated_at")
    if meter.get("status") != "inactive" or not archived_at:
        return False
    return datetime.fromtimestamp(int(archived_at), UTC) + _AHEAD < since


# --- failures -----------------------------------------------------------------------------------------------


def failure(event: Mapping[str, Any], event_name: str | None) -> Failure:
    """The content of an error event of either type. Stripe may add codes."""
    data = event.get("data") or {}
    created = _time(event.get("created")) or datetime.now(UTC)
    since = _time(data.get("validation_start")) or created - timedelta(hours=1)
    until = _time(data.get("validation_end")) or created
    types = (data.get("reason") or {}).get("error_types") or []
    return Failure(
        event_id=str(event["id"]),
        event_name=event_name,
        since=since,
        until=until,
        samples=[
            (str(kind.get("code")), identifier_of(name))
            for kind in types
            for sample in kind.get("sample_errors") or []
            if (name := (sample.get("request") or {}).get("identifier"))
        ],
        codes=[str(kind.get("code")) for kind in types],
    )


def meter_id_of(event: Mapping[str, Any]) -> str | None:
    """The meter that an error event is about."""
    return (event.get("related_object") or {}).get("id")


def _time(text: Any) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    return value if value.utcoffset() is not None else value.replace(tzinfo=UTC)
