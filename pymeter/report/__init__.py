"""Reports usage to a biller: Stripe, or any class that implements :class:`Biller`.

    with psycopg_pool.ConnectionPool(dsn) as pool:
        pymeter.report.Reporter(pool, pymeter.report.StripeBiller()).run_once()

SQL functions decide what to send, when to retry and how to book an answer (``plan_pushes``, ``claim_pushes``,
``settle_pushes``, ``uncertain_hours``, ``settle_hour``), so a reporter can be written in any language. This
package makes the network calls and runs the loop.
"""

from __future__ import annotations

from pymeter.report.asking import Comparison
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
from pymeter.report.reporter import AsyncReporter, Reporter
from pymeter.report.stripe.biller import StripeBiller
from pymeter.report.stripe.webhook import BadSignature, Webhook, handle_webhook, handle_webhook_async

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
    "Outcome",
    "Reporter",
    "Sendable",
    "StripeBiller",
    "Summary",
    "Tally",
    "Total",
    "Webhook",
    "handle_webhook",
    "handle_webhook_async",
]
