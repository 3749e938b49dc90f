"""Calls on the connection that ``django.db.connections`` has for the thread, in the transaction it is in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from pymeter.async_client import AsyncMeter
from pymeter.calls import Call
from pymeter.client import Meter
from pymeter.models import NewEntry

T = TypeVar("T")


def meter(using: str = DEFAULT_DB_ALIAS, *, schema: str = "meter", prepare: bool | None = None) -> Meter:
    """Return a meter whose calls are part of the transaction of Django's connection `using`.

    Outside of `transaction.atomic()` every call commits at once, as every query of Django's does. Creating
    the meter does no I/O, and one meter may serve all threads and requests: each call takes the connection
    that Django has then. Database routers are not asked.

        with transaction.atomic():
            Order.objects.create(account="acct_1")
            meter().record("acct_1", "tokens", 120, idempotency_key="order_1")

    A failed call marks the atomic block for rollback, as a failed `save()` does. What pymeter has no class
    for is raised as Django's own error, such as django.db.OperationalError.

    Raises:
        ImproperlyConfigured: by a call, if the database is no PostgreSQL, or its driver is not psycopg 3.
        SynchronousOnlyOperation: by a call in an event loop; use `async_meter`, or sync_to_async.
    """
    return _DjangoMeter(using, schema=schema, prepare=prepare)


def async_meter(
    using: str = DEFAULT_DB_ALIAS, *, schema: str = "meter", prepare: bool | None = None
) -> AsyncMeter:
    """Return a meter for asynchronous views. Each call runs in the thread in which Django's ORM runs, too.

    As with the ORM's `aget()` and `acreate()`, every call commits at once: Django has no asynchronous
    transactions. Where more belongs together, write a synchronous function with `transaction.atomic()` and
    `meter`, and call it by `sync_to_async`.
    """
    return _AsyncDjangoMeter(meter(using, schema=schema, prepare=prepare))


class _Source:
    """Lends Django's connection, as a pool would; it neither commits nor rolls back."""

    def __init__(self, using: str) -> None:
        self.using = using

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        wrapper = connections[self.using]
        if wrapper.vendor != "postgresql":
            raise ImproperlyConfigured(f"{_place(self.using)} {wrapper.vendor}; pymeter needs PostgreSQL.")
        # Opening a cursor connects, and checks what Django checks: health, threads, event loops, tests.
        with wrapper.cursor() as cursor:
            driver = cursor.connection
        if not isinstance(driver, psycopg.Connection):
            raise ImproperlyConfigured(
                f"{_place(self.using)} on another driver; pymeter works on psycopg 3 alone."
                " Django 4.2 and later use it where it is installed."
            )
        wrapper.validate_no_broken_transaction()
        # PostgreSQL would answer the COMMIT after a failed statement with a rollback, and Django not notice.
        with transaction.mark_for_rollback_on_error(using=self.using):
            yield driver


class _DjangoMeter(Meter):
    """Raises Django's classes for what pymeter has none for; Django then also replaces a lost connection."""

    def __init__(self, using: str, *, schema: str, prepare: bool | None) -> None:
        super().__init__(_Source(using), schema=schema, prepare=prepare)
        self._using = using

    def _run(self, call: Call[T]) -> T:
        with connections[self._using].wrap_database_errors:
            return super()._run(call)

    def stage_correction(self, id: int, entries: Iterable[NewEntry | Mapping[str, Any]]) -> int:
        with connections[self._using].wrap_database_errors:
            return super().stage_correction(id, entries)


class _AsyncDjangoMeter(AsyncMeter):
    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.schema = meter.schema
        self.prepare = meter.prepare

    async def _run(self, call: Call[T]) -> T:
        result: T = await sync_to_async(self._meter._run)(call)
        return result

    async def stage_correction(self, id: int, entries: Iterable[NewEntry | Mapping[str, Any]]) -> int:
        staged: int = await sync_to_async(self._meter.stage_correction)(id, entries)
        return staged


def _place(using: str) -> str:
    return f"DATABASES[{using!r}] is"
