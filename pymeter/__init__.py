"""pymeter: a usage ledger that lives in PostgreSQL.

    import psycopg, pymeter

    pymeter.migrate("postgresql:///app")
    with psycopg.connect("postgresql:///app") as connection:
        meter = pymeter.Meter(connection)
        meter.record("acct_1", "tokens", 120, idempotency_key="req_1")

Names are loaded when they are first used: pytest imports this package in every run (entry point
``pytest11``), and must not pay for pydantic and psycopg there.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pymeter._version import __version__

# Not lazy: a module and a function share this name, and the function must win whatever is imported first.
from pymeter.migrate import MigrateError, MigrateReport, migrate

if TYPE_CHECKING:
    from pymeter.async_client import AsyncMeter
    from pymeter.client import Meter
    from pymeter.errors import (
        CredentialRefused,
        DuplicateEvent,
        EventsDropped,
        InvalidInput,
        LockUnavailable,
        MeterError,
        MetricForbids,
        NotFound,
        NotInstalled,
        NotReady,
        NullInput,
        PeriodSealed,
        QuotaExceeded,
        ReportingStopped,
        SerializationFailure,
        SubjectMoved,
        UnknownMetric,
    )
    from pymeter.models import NewEvent

_LAZY = {
    "AsyncMeter": "pymeter.async_client",
    "CredentialRefused": "pymeter.errors",
    "NotReady": "pymeter.errors",
    "DuplicateEvent": "pymeter.errors",
    "EventsDropped": "pymeter.errors",
    "InvalidInput": "pymeter.errors",
    "LockUnavailable": "pymeter.errors",
    "Meter": "pymeter.client",
    "MeterError": "pymeter.errors",
    "MetricForbids": "pymeter.errors",
    "NewEvent": "pymeter.models",
    "NotFound": "pymeter.errors",
    "NotInstalled": "pymeter.errors",
    "ReportingStopped": "pymeter.errors",
    "NullInput": "pymeter.errors",
    "PeriodSealed": "pymeter.errors",
    "QuotaExceeded": "pymeter.errors",
    "SerializationFailure": "pymeter.errors",
    "SubjectMoved": "pymeter.errors",
    "UnknownMetric": "pymeter.errors",
}

__all__ = [
    "AsyncMeter",
    "CredentialRefused",
    "DuplicateEvent",
    "EventsDropped",
    "InvalidInput",
    "LockUnavailable",
    "Meter",
    "MeterError",
    "MetricForbids",
    "MigrateError",
    "MigrateReport",
    "NewEvent",
    "NotFound",
    "NotInstalled",
    "NotReady",
    "NullInput",
    "PeriodSealed",
    "QuotaExceeded",
    "ReportingStopped",
    "SerializationFailure",
    "SubjectMoved",
    "UnknownMetric",
    "__version__",
    "migrate",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
