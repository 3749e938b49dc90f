"""Reports usage to a biller: Stripe, OpenMeter, or any class that implements :class:`Biller`.

    with psycopg_pool.ConnectionPool(dsn) as pool:
        pymeter.report.Reporter(pool, pymeter.report.StripeBiller()).run_once()

SQL functions decide what to send, when to retry and how to book an answer (``plan_pushes``, ``claim_pushes``,
``settle_pushes``, ``uncertain_hours``, ``settle_hour``), so a reporter can be written in any language. This
package makes the network calls and runs the loop.

What needs an extra is loaded when it is first used: the command line shows how things stand without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pymeter.report.biller import (
    AsyncBiller,
    Biller,
    BillerError,
    BillerRefused,
    BillerUnavailable,
    Failure,
    Outcome,
    Sendable,
    Total,
)
from pymeter.report.observing import Observer, Summary, Tally
from pymeter.report.openmeter.biller import OpenMeterBiller
from pymeter.report.stripe.biller import StripeBiller
from pymeter.report.stripe.invoice_items import StripeInvoiceItems

if TYPE_CHECKING:
    from pymeter.report.asking import Comparison
    from pymeter.report.reporter import AsyncReporter, Reporter
    from pymeter.report.stripe.webhook import BadSignature, Webhook, handle_webhook, handle_webhook_async

_LAZY = {
    "AsyncReporter": "pymeter.report.reporter",
    "BadSignature": "pymeter.report.stripe.webhook",
    "Comparison": "pymeter.report.asking",
    "Reporter": "pymeter.report.reporter",
    "Webhook": "pymeter.report.stripe.webhook",
    "handle_webhook": "pymeter.report.stripe.webhook",
    "handle_webhook_async": "pymeter.report.stripe.webhook",
}

__all__ = [
    "AsyncBiller",
    "AsyncReporter",
    "BadSignature",
    "Biller",
    "BillerError",
    "BillerRefused",
    "BillerUnavailable",
    "Comparison",
    "Failure",
    "Observer",
    "OpenMeterBiller",
    "Outcome",
    "Reporter",
    "Sendable",
    "StripeBiller",
    "StripeInvoiceItems",
    "Summary",
    "Tally",
    "Total",
    "Webhook",
    "handle_webhook",
    "handle_webhook_async",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
