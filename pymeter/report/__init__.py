"""Reporting usage to a biller: Stripe, or any class that is a :class:`Biller`.

    with psycopg_pool.ConnectionPool(dsn) as pool:
        pymeter.report.Reporter(pool, pymeter.report.StripeBiller()).run_once()

What is to be sent, when again, and what an answer means for the books is decided by SQL functions
(``plan_pushes``, ``claim_pushes``, ``settle_pushes``, ``uncertain_hours``, ``settle_hour``), so that a
reporter can be written in any language. Here are the calls over the network, and the loop.
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
