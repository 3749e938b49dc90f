"""The biller for Stripe Billing Meters, on stripe-python (extra ``stripe``)."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pymeter import exact_json
from pymeter.report.answers import not_answered
from pymeter.report.biller import (
    BillerError,
    BillerRefused,
    BillerUnavailable,
    Failure,
    Outcome,
    Sendable,
    Total,
)
from pymeter.report.biller import Step as Step
from pymeter.report.stripe import wire
from pymeter.secrets import Secret, find_secret, redact, redact_logs

if TYPE_CHECKING:
    from stripe import StripeClient

DEFAULT_BASE = "https://api.stripe.com"
DEFAULT_STREAM_BASE = "https://meter-events.stripe.com"
LIVE_RATE = 1000.0
TEST_RATE = 20.0
"""Calls a second: Stripe allows 1,000 to meter events, and 25 of any kind with a test key."""

_PAGE = 100
_NO_KEY_HINT = "Set STRIPE_API_KEY, or STRIPE_API_KEY_FILE to a file that holds it."
_TEST_PREFIXES = ("sk_test_", "rk_test_")


class StripeBiller:
    """Sends pushes as meter events, and reads Stripe's totals. Thread-safe.

    The key is `api_key`, else STRIPE_API_KEY, else the content of the file STRIPE_API_KEY_FILE. `base`
    replaces Stripe's own address for every host (STRIPE_API_BASE). `customer_key` and `value_key` are the
    payload keys of the meters, `timeout` the seconds to wait for an answer, `rate` the calls a second
    (1,000, or 20 with a test key), `connections` the number of connections that are kept open. `test_only`
    refuses a live key: for a rehearsal, whose usage must not be billed.

    Creating it does no I/O except reading the key's file. Retries are the journal's; the SDK makes none.

        biller = StripeBiller()
        Reporter(pool, biller).run_once()
    """

    adapter = "stripe"

    def __init__(
        self,
        api_key: str | None = None,
        *,
        api_key_file: str | os.PathLike[str] | None = None,
        base: str | None = None,
        customer_key: str = "stripe_customer_id",
        value_key: str = "value",
        timeout: float = 30.0,
        rate: float | None = None,
        connections: int = 16,
        test_only: bool = False,
    ) -> None:
        self._key = find_secret(api_key, api_key_file, "STRIPE_API_KEY")
        self.base = (base or os.environ.get("STRIPE_API_BASE") or "").rstrip("/") or None
        self.customer_key = customer_key
        self.value_key = value_key
        self.timeout = timeout
        self.connections = connections
        self.test_only = test_only
        self.rate = rate if rate is not None else TEST_RATE if self.test_mode else LIVE_RATE
        self._client: StripeClient | None = None
        self._event_names: dict[str, str] = {}  # by meter: neither ever changes
        self._counting_since: dict[str, datetime] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base={self.base or DEFAULT_BASE!r}, test_mode={self.test_mode})"

    @property
    def test_mode(self) -> bool:
        """Whether the key is one of Stripe's test keys."""
        return self._key is not None and self._key.reveal().startswith(_TEST_PREFIXES)

    def check(self) -> None:
        """Raise BillerRefused when there is no key, BillerError when stripe-python is not installed."""
        if self._key is None:
            raise BillerRefused("there is no Stripe API key", _NO_KEY_HINT)
        if not re.fullmatch(r"[!-~]+", self._key.reveal()):
            raise BillerRefused("the Stripe API key has characters that no key has", _NO_KEY_HINT)
        if self.test_only and not self.test_mode:
            raise BillerRefused("this biller takes test keys only", "A test key begins with sk_test_.")
        if self._client is None:
            self._client = self._connect(self._key)

    def close(self) -> None:
        """Close the connections. The biller may be used again."""
        if self._client is not None:
            self._connections.close()
            self._client = None

    def _connect(self, key: Secret) -> StripeClient:
        try:
            import stripe

            from pymeter.report.stripe.http import StripeConnections
        except ModuleNotFoundError:
            hint = "pip install 'pymeter-ledger[stripe]'"
            raise BillerError("stripe-python is not installed", hint) from None
        stripe.enable_telemetry = False  # it would write an id into the user's home and send it along
        redact_logs("stripe")
        bases = {"api": self.base or DEFAULT_BASE, "meter_events": self.base or DEFAULT_STREAM_BASE}
        self._connections = StripeConnections(bases["api"], self.timeout, self.connections)
        return stripe.StripeClient(
            key.reveal(),
            base_addresses=bases,  # type: ignore[arg-type]
            max_network_retries=0,
            http_client=self._connections,
        )

    # --- sending --------------------------------------------------------------------------------------------

    def send(self, push: Sendable) -> Outcome:
        """Send one push, once. Errors are outcomes, not exceptions."""
        params = wire.parameters(push, self.customer_key, self.value_key)
        key = wire.idempotency_key(push.identifier, uuid.uuid4().hex[:16])
        answer = self._request("post", "/v1/billing/meter_events", params, idempotency_key=key)
        return answer if isinstance(answer, Outcome) else wire.answered(answer, push)

    def _request(self, method: str, url: str, params: Mapping[str, Any], **options: Any) -> Any:
        """Return the answer's JSON with exact numbers, or the Outcome of a failed call."""
        self.check()
        assert self._client is not None
        import stripe

        try:
            response = self._client.raw_request(method, url, **params, **options)
        except stripe.APIConnectionError as error:
            return not_answered(error)
        except stripe.StripeError as error:
            detail = error.json_body if isinstance(error.json_body, dict) else {}
            kind = detail["error"].get("type", "") if isinstance(detail.get("error"), dict) else None
            headers = error.headers if isinstance(error.headers, Mapping) else {}
            message = error.user_message if kind is not None else "no answer of Stripe's"
            return wire.failed(error.http_status or 0, error.code, kind, message, headers)
        except Exception as error:  # an unreadable answer proves nothing
            return Outcome("unknown", redact(f"{type(error).__name__}: {error}")[:500])
        try:
            body = exact_json.loads(response.body)
        except ValueError:
            body = None
        return body if isinstance(body, dict) else Outcome("unknown", "the answer is no JSON object")

    def _read(self, url: str, params: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._request("get", url, params)
        if not isinstance(answer, Outcome):
            return dict(answer)
        text = f"Stripe did not answer {url}: {answer.error}"
        if answer.refused:
            raise BillerRefused(text, "Check the key and its permissions.")
        if answer.result == "rejected":
            raise BillerError(text)
        raise BillerUnavailable(text)

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
            with _readable(url):
                for total in wire.summaries(self._pages(url, params), since, until):
                    before = found.get(total.start)
                    found[total.start] = replace(total, value=total.value + before.value) if before else total
        return [found[start] for start in sorted(found)]

    def counting_since(self, event_name: str) -> datetime | None:
        """Return when the oldest meter of that event name was created. Earlier pushes are in no total."""
        if event_name not in self._counting_since:
            self._meters_of(event_name, datetime.max.replace(tzinfo=UTC))
        return self._counting_since.get(event_name)

    def _pages(self, url: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield every row of a v1 list."""
        page = self._read(url, params)
        while rows := page.get("data"):
            yield from rows
            if not page.get("has_more"):
                return
            page = self._read(url, {**params, "starting_after": rows[-1]["id"]})

    def _meters_of(self, event_name: str, since: datetime) -> list[str]:
        """Return the ids of the meters, active or archived, that may have counted at `since` or later."""
        with _readable("/v1/billing/meters"):
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
        with _readable("/v2/core/events"):
            meter_id = wire.meter_id_of(event)
            return wire.failure(event, self._event_name(meter_id) if meter_id else None)

    def _event_name(self, meter_id: str) -> str | None:
        if meter_id not in self._event_names:
            name = self._read(f"/v1/billing/meters/{meter_id}", {}).get("event_name")
            if not name:
                return None
            self._event_names[meter_id] = str(name)
        return self._event_names[meter_id]


@contextmanager
def _readable(url: str) -> Iterator[None]:
    """Raise BillerUnavailable for an answer that is not in the documented form."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, OSError) as error:
        text = redact(f"{type(error).__name__}: {error}")[:200]
        raise BillerUnavailable(f"Stripe's answer to {url} cannot be read: {text}") from error
