"""The biller for Stripe Invoicing: each line of a statement is an invoice item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from pymeter.report.biller import BillerError, BillerRefused, Failure, Outcome, Sendable, Step, Total
from pymeter.report.stripe.api import StripeApi, readable

_URL = "/v1/invoiceitems"
_PAGE = 100
_CLOCKS_DIFFER_MAX = timedelta(days=1)
_STEPS: Mapping[Step, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
_IDENTIFIER, _STAMPED_AT = "pymeter_identifier", "pymeter_stamped_at"


class StripeInvoiceItems(StripeApi):
    """Creates invoice items, and lists those that there are. The parameters are those of StripeApi.

    The Idempotency-Key is the push's identifier, on every attempt: an item has no other protection against
    being created twice, and the key has one for 24 hours. After that it is looked up among the customer's
    items, by the identifier in its metadata. A live key makes 80 calls a second, a test key 20.

        Reporter(pool, StripeInvoiceItems(), biller_name="invoices").run_once()
    """

    LIVE_RATE = 80.0

    def send(self, push: Sendable) -> Outcome:
        """Create one item, once. Errors are outcomes, not exceptions."""
        answer = self._request("post", _URL, parameters(push), idempotency_key=push.identifier)
        outcome = answer if isinstance(answer, Outcome) else _answered(answer, push)
        # The key repeats a 500 for a day, whatever came of the first attempt; the list tells.
        return self._looked_up(push, outcome) if outcome.replayed else outcome

    def _looked_up(self, push: Sendable, outcome: Outcome) -> Outcome:
        try:
            there = any(item[0] == push.identifier for item in self._items(push.customer, push.stamped_at))
        except BillerError:
            return outcome
        return Outcome("delivered", duplicate=True) if there else outcome

    def totals(
        self, customer: str, event_name: str, since: datetime, until: datetime, step: Step
    ) -> Sequence[Total]:
        """Return the sums and identifiers of the items of that currency that were closed in each step.

        Every step has a total, so that an item that is not listed is known to be missing.
        """
        length = _STEPS[step]
        found: dict[datetime, list[tuple[str, Decimal]]] = {}
        for identifier, currency, stamped_at, amount in self._items(customer, since):
            if currency == event_name and since <= stamped_at < until:
                found.setdefault(since + (stamped_at - since) // length * length, []).append(
                    (identifier, amount)
                )
        starts = [since + number * length for number in range(int((until - since) / length))]
        return [
            Total(
                start,
                start + length,
                sum((amount for _, amount in found.get(start, [])), Decimal(0)),
                frozenset(identifier for identifier, _ in found.get(start, [])),
            )
            for start in starts
        ]

    def _items(self, customer: str, since: datetime) -> Iterator[tuple[str, str, datetime, Decimal]]:
        """Yield identifier, currency, time and amount of the customer's items that a journal has sent.

        An item is created after its period was closed, by another clock.
        """
        created = int((since - _CLOCKS_DIFFER_MAX).timestamp())
        with readable(_URL):
            for item in self._pages(
                _URL, {"customer": customer, "created": {"gte": created}, "limit": _PAGE}
            ):
                metadata = item.get("metadata") or {}
                if _IDENTIFIER in metadata:
                    stamped_at = datetime.fromtimestamp(int(metadata[_STAMPED_AT]), UTC)
                    yield metadata[_IDENTIFIER], item["currency"], stamped_at, Decimal(item["amount"])

    # What Stripe takes it has: no item fails later.

    def failures(self, since: datetime) -> Sequence[Failure]:
        """Return nothing."""
        return []

    def failure(self, event_id: str) -> Failure | None:
        """Return None."""
        return None


def parameters(push: Sendable) -> dict[str, Any]:
    """The parameters of one item: the same on every attempt.

    A coupon of the customer must not change what was stated, so no item is discountable.
    """
    if push.since is None or push.until is None:
        raise BillerRefused("usage is no invoice item", "Send it with StripeBiller.")
    start = int(push.since.timestamp())
    end = int((push.until - timedelta(microseconds=1)).timestamp())
    return {
        "customer": push.customer,
        "amount": push.value,
        "currency": push.event_name,
        "description": push.description,
        "discountable": "false",
        "period": {"start": start, "end": max(start, end)},
        "metadata": {
            _IDENTIFIER: push.identifier,
            _STAMPED_AT: str(int(push.stamped_at.timestamp())),
            "pymeter_statement": str(push.statement_id),
            "pymeter_line": str(push.line),
            "pymeter_hash": push.statement_hash,
        },
    }


def _answered(body: Mapping[str, Any], push: Sendable) -> Outcome:
    """Delivered if the 200 names this push's identifier; unknown if it names something else."""
    metadata = body.get("metadata")
    identifier = metadata.get(_IDENTIFIER) if isinstance(metadata, Mapping) else None
    if (body.get("object"), identifier) != ("invoiceitem", push.identifier):
        return Outcome("unknown", "the answer is about something else: is this address Stripe's?")
    return Outcome("delivered")
