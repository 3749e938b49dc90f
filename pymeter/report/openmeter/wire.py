"""Requests to OpenMeter and the interpretation of its answers: pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from pymeter import exact_json
from pymeter.report.answers import describe, retry_after
from pymeter.report.biller import Outcome, Sendable, Step, Total

CONTENT_TYPE = "application/cloudevents+json"
"""Without a charset: OpenMeter compares the whole header."""
ACCEPTED = (202, 204)
"""What its two versions of ingestion answer. A 200 may be anybody's."""

_STEPS: dict[Step, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WINDOW = "MINUTE"
"""The smallest there is, as a large value hides a small one that is added to it in binary.

Totals come as binary floating point numbers, of which 15 digits are certain. Minutes without usage are left
out.
"""
_CERTAIN = Context(prec=15)


# --- sending ------------------------------------------------------------------------------------------------


def cloud_event(push: Sendable, source: str, value_key: str) -> bytes:
    """A push as a CloudEvent in JSON, always the same. The value is text: numbers become floats there."""
    return exact_json.dumps(
        {
            "specversion": "1.0",
            "id": push.identifier,
            "source": source,
            "type": push.event_name,
            "subject": push.customer,
            "time": moment(push.stamped_at),
            "datacontenttype": "application/json",
            "data": {value_key: str(push.value)},
        }
    ).encode()


def moment(at: datetime) -> str:
    """A time as RFC 3339 has it."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def outcome(status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """What an answer says about the call.

    Only a problem document is OpenMeter's word about the event; any other error is that of a proxy, or of
    another server, and tells nothing about it.
    """
    if status in ACCEPTED:
        return Outcome("delivered")
    problem = problem_in(headers, body)
    text = describe(status, None, message_of(problem))
    wait = retry_after(headers)
    if status in (401, 403):
        return Outcome("not_applied", text, refused=True)
    if status == 429:
        return Outcome("not_applied", text, throttled=True, retry_after=wait)
    if status in (404, 405):  # of the address, which is the same for every event
        return Outcome("not_applied", f"{text} (is this address OpenMeter's?)", unreachable=True)
    if status in (409, 425):
        return Outcome("not_applied", text, retry_after=wait)
    if 400 <= status < 500 and status != 408 and problem is not None:
        return Outcome("rejected", text)
    return Outcome("unknown", text, unreachable=status >= 500, retry_after=wait)


def problem_in(headers: Mapping[str, str], body: bytes) -> Mapping[str, Any] | None:
    """The problem document (RFC 9457) that an answer is; None if it is something else."""
    kind = headers.get("Content-Type") or headers.get("content-type") or ""
    try:
        found = exact_json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if kind.startswith("application/problem+json") and isinstance(found, dict) else None


def message_of(problem: Mapping[str, Any] | None) -> str:
    """What a problem is, in its words."""
    if problem is None:
        return "no answer of OpenMeter's"
    return ": ".join(str(problem[key]) for key in ("title", "detail") if problem.get(key))


# --- meters -------------------------------------------------------------------------------------------------


def sums(meter: Mapping[str, Any], event_name: str, value_key: str) -> bool:
    """Whether a meter adds up the values of these events. It need not be the only one that does."""
    return (
        meter.get("eventType") == event_name
        and meter.get("aggregation") == "SUM"
        and meter.get("valueProperty") == f"$.{value_key}"
        and not meter.get("deletedAt")
    )


def counts_from(meter: Mapping[str, Any]) -> datetime:
    """The time of the first event that a meter counts. It counts what came before it was created, too."""
    text = meter.get("eventFrom")
    return datetime.fromisoformat(text) if text else datetime.min.replace(tzinfo=UTC)


# --- totals -------------------------------------------------------------------------------------------------


def totals(rows: Iterable[Mapping[str, Any]], since: datetime, until: datetime, step: Step) -> list[Total]:
    """The minutes in [since, until), added up by step."""
    length = _STEPS[step]
    found: dict[datetime, Decimal] = {}
    for row in rows:
        minute = datetime.fromisoformat(row["windowStart"])
        if since <= minute < until:
            start = minute - (minute - _EPOCH) % length
            found[start] = found.get(start, Decimal(0)) + _CERTAIN.plus(Decimal(row["value"]))
    return [Total(start, start + length, found[start]) for start in sorted(found)]
