"""Error events of v2: what failed after its 200, reported in groups with a few samples."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .clock import iso
from .ledger import Event
from .settings import Settings

ERROR_REPORT = "v1.billing.meter.error_report_triggered"
NO_METER_FOUND = "v1.billing.meter.no_meter_found"
KEEP_SECONDS = 30 * 86400


@dataclass(slots=True)
class Failure:
    """One accepted event that was not counted, and why."""

    event: Event
    code: str
    message: str
    meter_id: str | None


class CoreEvents:
    """The thin events of one world."""

    def __init__(self, *, livemode: bool) -> None:
        self._livemode = livemode
        self._pending: list[Failure] = []
        self._created: dict[str, tuple[float, dict[str, Any]]] = {}

    def fail(self, failure: Failure) -> None:
        self._pending.append(failure)

    def report(self, now: float, settings: Settings, *, older_than: float = 0) -> list[str]:
        """Make events of the failures that are at least that old: one for each meter. Returns their ids."""
        due = [failure for failure in self._pending if now - failure.event.received_at >= older_than]
        self._pending = [failure for failure in self._pending if now - failure.event.received_at < older_than]
        by_meter: defaultdict[str | None, list[Failure]] = defaultdict(list)
        for failure in due:
            by_meter[failure.meter_id].append(failure)
        return [self._create(meter_id, failures, now, settings) for meter_id, failures in by_meter.items()]

    def retrieve(self, event_id: str, now: float) -> dict[str, Any] | None:
        created_at, event = self._created.get(event_id, (0.0, None))
        return event if event and now - created_at <= KEEP_SECONDS else None

    def newest_first(self, now: float) -> list[dict[str, Any]]:
        kept = [event for created_at, event in self._created.values() if now - created_at <= KEEP_SECONDS]
        return kept[::-1]

    def _create(
        self, meter_id: str | None, failures: Sequence[Failure], now: float, settings: Settings
    ) -> str:
        digest = hashlib.sha256(f"{self._livemode}/{len(self._created)}".encode()).hexdigest()
        event_id = ("evt_" if self._livemode else "evt_test_") + digest[:24]
        event: dict[str, Any] = {
            "id": event_id,
            "object": "v2.core.event",
            "type": ERROR_REPORT if meter_id else NO_METER_FOUND,
            "created": iso(now),
            "livemode": self._livemode,
            "context": None,
            "reason": None,
            "data": _report(failures, settings),
        }
        if meter_id:
            url = f"/v1/billing/meters/{meter_id}"
            event["related_object"] = {"id": meter_id, "type": "billing.meter", "url": url}
        self._created[event_id] = (now, event)
        return event_id


def _report(failures: Sequence[Failure], settings: Settings) -> dict[str, Any]:
    by_code: defaultdict[str, list[Failure]] = defaultdict(list)
    for failure in failures:
        by_code[failure.code].append(failure)
    received = [failure.event.received_at for failure in failures]
    count = len(failures)
    return {
        "developer_message_summary": f"Invalid events: {count}",
        "reason": {
            "error_count": count,
            "error_types": [
                {
                    "code": code,
                    "error_count": len(of_code),
                    "sample_errors": _samples(of_code, settings),
                }
                for code, of_code in by_code.items()
            ],
        },
        # Ten-second windows, as in the documentation's example.
        "validation_start": iso(min(received) // 10 * 10),
        "validation_end": iso(max(received) // 10 * 10 + 10),
    }


def _samples(failures: Sequence[Failure], settings: Settings) -> list[dict[str, Any]]:
    attribute = settings.sample_identifier  # the identifier, or the idempotency_key
    return [
        {"error_message": failure.message, "request": {"identifier": getattr(failure.event, attribute)}}
        for failure in failures[: settings.error_samples]
    ]
