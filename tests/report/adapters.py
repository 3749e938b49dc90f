"""The adapters that the same tests run against. The double behind them is one: it speaks both languages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pymeter.report import OpenMeterBiller, StripeBiller, StripeInvoiceItems

LIVE = "sk_live_0123456789abcdef"


def _stripe(url: str, key: str = LIVE, **options: Any) -> StripeBiller:
    return StripeBiller(key, **{"base": url, **options})


def _openmeter(url: str, key: str = LIVE, **options: Any) -> OpenMeterBiller:
    return OpenMeterBiller(key, **{"url": url, **options})


def _items(url: str, key: str = LIVE, **options: Any) -> StripeInvoiceItems:
    return StripeInvoiceItems(key, **{"base": url, **options})


@dataclass(frozen=True)
class Adapter:
    """An adapter, and the name of the biller that is reported to."""

    name: str
    biller: Callable[..., Any]
    """Its biller: of the double's URL, a key and options."""


STRIPE = Adapter("stripe", _stripe)
OPENMETER = Adapter("openmeter", _openmeter)
ITEMS = Adapter("invoices", _items)
ADAPTERS = {adapter.name: adapter for adapter in (STRIPE, OPENMETER)}
