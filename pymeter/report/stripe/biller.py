"""The biller for Stripe Billing Meters."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pymeter.report.biller import BillerError, BillerRefused, Failure, Outcome, Sendable, Total
from pymeter.report.biller import Step as Step
from pymeter.report.stripe import wire
from pymeter.report.stripe.api import StripeApi, readable

_PAGE = 100


class StripeBiller(StripeApi):
    """Sends pushes as meter events, and reads Stripe's totals.

    `customer_key` and `value_key` are the payload keys of the meters; the other parameters are those of
    StripeApi. A live key makes 1,000 calls a second, a test key 20.

        biller = StripeBiller()
        Reporter(pool, biller).run_once()
    """

    LIVE_RATE = 1000.0

    def __init__(
        self,
        api_key: str | None = None,
        *,
        customer_key: str = "stripe_customer_id",
        value_key: str = "value",
        **options: Any,
    ) -> None:
        super().__init__(api_key, **options)
        self.customer_key = customer_key
        self.value_key = value_key
        self._event_names: dict[str, str] = {}  # by meter: neither ever changes
        self._counting_since: dict[str, datetime] = {}

    # --- sending --------------------------------------------------------------------------------------------

    def send(self, push: Sendable) -> Outcome:
        """Send one push, once. Errors are outcomes, not exceptions."""
        if getattr(push, "statement_id", None) is not None:
            raise BillerRefused("an invoice item is no meter event", "Send it with StripeInvoiceItems.")
        params = wire.parameters(push, self.customer_key, self.value_key)
        key = wire.idempotency_key(push.identifier, uuid.uuid4().hex[:16])
        answer = self._request("post", "/v1/billing/meter_events", params, idempotency_key=key)
        return answer if isinstance(answer, Outcome) else wire.answered(answer, push)

    # --- reading --------------------------------------------------------------------------------------------

    def totals(
        self, customer: str, event_name: str, since: datetime, until: datetime, step: Step
    ) -> Sequence[Total]:
        """Return Stripe's event summaries. `since` and `until` are boundaries of `step`, in UTC.

        They are summed over all meters that have or had the event name: an archived meter keeps its total,
        and its successor counts the rest. The meters are listed on every call.

        Raises BillerError when Stripe has no such meter or customer, BillerUnavailable without an answer.
        """
        params = {
            "customer": customer,
            "start_time": int(since.timestamp()),
            "end_time": int(until.timestamp()),
            "value_grouping_window": step,
            "limit": _PAGE,
        }
        found: dict[datetime, Total] = {}
        for meter_id in self._meters_of(event_name, since):
            url = f"/v1/billing/meters/{meter_id}/event_summaries"
            with readable(url):
                for total in wire.summaries(self._pages(url, params), since, until):
                    before = found.get(total.start)
                    found[total.start] = replace(total, value=total.value + before.value) if before else total
        return [found[start] for start in sorted(found)]

    def counting_since(self, event_name: str) -> datetime | None:
        """Return when the oldest meter of that event name was created. Earlier pushes are in no total."""
        if event_name not in self._counting_since:
            self._meters_of(event_name, datetime.max.replace(tzinfo=UTC))
        return self._counting_since.get(event_name)

    def _meters_of(self, event_name: str, since: datetime) -> list[str]:
        """Return the ids of the meters, active or archived, that may have counted at `since` or later."""
        with readable("/v1/billing/meters"):
            meters = [
                meter
                for meter in self._pages("/v1/billing/meters", {"limit": _PAGE})
                if meter.get("event_name") == event_name
            ]
        if not meters:
            raise BillerError(
                f"Stripe has no meter with the event name {event_name}",
                "Create it (formula sum), or correct the mapping of the metric.",
            )
        self._counting_since[event_name] = wire.created_first(meters)
        return [meter["id"] for meter in meters if not wire.was_archived_before(meter, since)]

    # --- what failed after its 200 --------------------------------------------------------------------------

    def failures(self, since: datetime) -> Sequence[Failure]:
        """Return the error events of meters since a time. Stripe keeps them for 30 days."""
        # Numbered, because releases of the SDK write lists differently.
        types = {str(number): kind for number, kind in enumerate(wire.FAILURE_TYPES)}
        params = {"types": types, "created": {"gte": since.isoformat()}, "limit": _PAGE}
        found: list[Failure] = []
        page = self._read("/v2/core/events", params)
        while True:
            for event in page.get("data") or []:
                report = self._failure(event)
                if report is not None:
                    found.append(report)
            next_page = page.get("next_page_url")
            if not next_page:
                return found
            page = self._read(next_page, {})

    def failure(self, event_id: str) -> Failure | None:
        """Return the error event of that id; None when it is not about a meter."""
        return self._failure(self._read(f"/v2/core/events/{event_id}", {}))

    def _failure(self, event: Mapping[str, Any]) -> Failure | None:
        if event.get("type") not in wire.FAILURE_TYPES:
            return None
        if "data" not in event:  # a list may hold thin events
            event = self._read(f"/v2/core/events/{event['id']}", {})
        with readable("/v2/core/events"):
            meter_id = wire.meter_id_of(event)
            return wire.failure(event, self._event_name(meter_id) if meter_id else None)

    def _event_name(self, meter_id: str) -> str | None:
        if meter_id not in self._event_names:
            name = self._read(f"/v1/billing/meters/{meter_id}", {}).get("event_name")
            if not name:
                return None
            self._event_names[meter_id] = str(name)
        return self._event_names[meter_id]
