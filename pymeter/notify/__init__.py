"""Sends notifications to endpoints: webhooks by Standard Webhooks, Slack, e-mail.

    with psycopg_pool.ConnectionPool(dsn) as pool:
        pymeter.notify.Notifier(pool).run_once()

SQL functions decide what is sent to whom, in what order and when again (``plan_deliveries``,
``claim_deliveries``, ``settle_deliveries``), so a sender can be written in any language. This package makes
the network calls and runs the loop. It needs the extra ``notify``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymeter.notify.keys import Secrets
    from pymeter.notify.notifier import AsyncNotifier, Notifier
    from pymeter.notify.observing import Observer
    from pymeter.notify.options import Options, Result, Summary

_LAZY = {
    "AsyncNotifier": "pymeter.notify.notifier",
    "Notifier": "pymeter.notify.notifier",
    "Observer": "pymeter.notify.observing",
    "Options": "pymeter.notify.options",
    "Result": "pymeter.notify.options",
    "Secrets": "pymeter.notify.keys",
    "Summary": "pymeter.notify.options",
}

__all__ = ["AsyncNotifier", "Notifier", "Observer", "Options", "Result", "Secrets", "Summary"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
