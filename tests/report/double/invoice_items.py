"""POST and GET /v1/invoiceitems: what a customer's next invoice will say."""

from __future__ import annotations

import operator
import re
import secrets
from collections.abc import Callable
from typing import Any

from . import errors, paging
from .call import Call
from .items import InvoiceItem

AMOUNT_MAX = 999_999_999_999
DESCRIPTION_LENGTH_MAX = 5000
METADATA_KEYS_MAX, METADATA_KEY_LENGTH_MAX, METADATA_VALUE_LENGTH_MAX = 50, 40, 500
# Of docs.stripe.com/currencies, as far as a test needs them.
CURRENCIES = {
    "usd",
    "eur",
    "gbp",
    "chf",
    "huf",
    "twd",
    "jpy",
    "krw",
    "vnd",
    "mga",
    "kwd",
    "bhd",
    "isk",
    "ugx",
}
_STEPS = {"kwd": 10, "bhd": 10, "isk": 100, "ugx": 100}
_PARAMETERS = {
    "customer",
    "amount",
    "currency",
    "description",
    "discountable",
    "period",
    "metadata",
    "expand",
}
_BOUNDS: dict[str, Callable[[int, int], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_INTEGER = re.compile(r"-?[0-9]{1,18}")


def create(call: Call) -> dict[str, Any]:
    """Create one item; nothing but an Idempotency-Key keeps it from being created again."""
    params = call.params
    if unknown := set(params) - _PARAMETERS:
        name = min(unknown)
        raise errors.invalid(f"Received unknown parameter: {name}", param=name, code="parameter_unknown")
    customer = _customer(call)
    currency = _currency(params)
    item = InvoiceItem(
        id=f"ii_{secrets.token_hex(12)}",
        customer=customer,
        amount=_amount(params, currency),
        currency=currency,
        created=int(call.now),
        description=_text(params, "description", DESCRIPTION_LENGTH_MAX),
        discountable=params.get("discountable", "true") == "true",
        period=_period(params, int(call.now)),
        metadata=_metadata(params),
        livemode=call.world.livemode,
        idempotency_key=call.idempotency_key,
    )
    call.world.invoice_items.append(item)
    return item.as_stripe()


def list_items(call: Call) -> dict[str, Any]:
    """Newest first, whether they are on an invoice already or not."""
    params = call.params
    items = call.world.invoice_items[::-1]
    if "customer" in params:
        customer = _customer(call)
        items = [item for item in items if item.customer == customer]
    created = params.get("created", {})
    for name in created if isinstance(created, dict) else ():
        if name not in _BOUNDS:
            raise errors.invalid(f"Received unknown parameter: created[{name}]", param=f"created[{name}]")
        bound = errors.integer(created, name)
        items = [item for item in items if _BOUNDS[name](item.created, bound)]
    return paging.page([item.as_stripe() for item in items], params, "/v1/invoiceitems")


def _customer(call: Call) -> str:
    customer = call.params.get("customer")
    if not isinstance(customer, str) or not customer:
        raise errors.missing("customer")
    if not call.account.settings.customer_exists(call.world.name, customer):
        raise errors.invalid(f"No such customer: '{customer}'", param="customer", code="resource_missing")
    return customer


def _currency(params: dict[str, Any]) -> str:
    currency = params.get("currency")
    if not isinstance(currency, str) or not currency:
        raise errors.missing("currency")
    if currency not in CURRENCIES:
        raise errors.invalid(f"Invalid currency: {currency}.", param="currency")
    return currency


def _amount(params: dict[str, Any], currency: str) -> int:
    if "amount" not in params:
        raise errors.missing("amount")
    text = params["amount"]
    if not isinstance(text, str) or not _INTEGER.fullmatch(text):
        raise errors.invalid(f"Invalid integer: {text}", param="amount", code="parameter_invalid_integer")
    amount = int(text)
    if abs(amount) > AMOUNT_MAX:
        raise errors.invalid("Amount has more than 12 digits.", param="amount", code="amount_too_large")
    if amount % _STEPS.get(currency, 1):
        raise errors.invalid(
            f"Invalid amount. Amounts in {currency} must be evenly divisible by {_STEPS[currency]}.",
            param="amount",
        )
    return amount


def _period(params: dict[str, Any], now: int) -> dict[str, int]:
    period = params.get("period")
    if period is None:
        return {"start": now, "end": now}
    if not isinstance(period, dict) or not {"start", "end"} <= set(period):
        raise errors.missing("period[end]")
    start, end = errors.integer(period, "start"), errors.integer(period, "end")
    if end < start:
        raise errors.invalid("The period's end must not be before its start.", param="period[end]")
    return {"start": start, "end": end}


def _metadata(params: dict[str, Any]) -> dict[str, str]:
    metadata = params.get("metadata", {})
    if not isinstance(metadata, dict) or len(metadata) > METADATA_KEYS_MAX:
        raise errors.invalid("Invalid metadata.", param="metadata")
    for key, value in metadata.items():
        if len(key) > METADATA_KEY_LENGTH_MAX or len(value) > METADATA_VALUE_LENGTH_MAX:
            raise errors.invalid(f"Metadata {key} is too long.", param="metadata")
    return metadata


def _text(params: dict[str, Any], param: str, length_max: int) -> str | None:
    text = params.get(param)
    if text is not None and len(text) > length_max:
        raise errors.invalid(f"Invalid {param}: at most {length_max} characters.", param=param)
    return text
