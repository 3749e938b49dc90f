"""An application with its ledger on one database or another, and the one biller that it reports to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg_pool import ConnectionPool

from pymeter import Meter
from pymeter.models import Push
from pymeter.report import Reporter, StripeBiller, Summary
from tests.faults.servers import new_database
from tests.report.double import Double

LIVE = "sk_live_0123456789abcdef"
METRIC = "tokens"


class Site:
    """Nothing is connected between two calls, so that the database can be copied.

    The application keeps what it recorded, with idempotency keys, and can record it again.
    """

    def __init__(self, dsn: str, double: Double) -> None:
        self.dsn = dsn
        self.double = double
        self.offset = timedelta()
        self.kept: list[dict[str, Any]] = []
        with self.meter() as meter:
            meter.define_biller(subject_is_customer=True)
            meter.define_metric(METRIC, "sum", "unit", max_future=timedelta(days=3650))
            meter.report_metric(METRIC, METRIC)
        double.create_meter(METRIC)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def pass_time(self, **length: float) -> None:
        self.offset += timedelta(**length)
        self.double.set_clock(self.now())

    @contextmanager
    def meter(self) -> Iterator[Meter]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            yield Meter(connection)

    def use(self, quantity: Any, at: datetime, customer: str = "cus_1", metric: str = METRIC) -> None:
        event = {"subject": customer, "metric": metric, "quantity": Decimal(quantity), "at": at}
        self.kept.append(event | {"idempotency_key": f"use_{len(self.kept)}"})
        with self.meter() as meter:
            meter.record(**self.kept[-1])

    def record_again(self, events: list[dict[str, Any]] | None = None) -> None:
        with self.meter() as meter:
            meter.record_batch(self.kept if events is None else events)

    def report(self, **options: Any) -> Summary:
        options = {"clock": self.now, "patience": timedelta(), **options}
        with ConnectionPool(self.dsn, min_size=1, max_size=3, kwargs={"autocommit": True}) as pool:
            return Reporter(pool, StripeBiller(LIVE, base=self.double.url, timeout=5), **options).run_once()

    def adopt(self, *, complete: bool = False) -> None:
        with self.meter() as meter:
            meter.adopt_journal(complete=complete, now=self.now())

    def report_for_days(self, days: int = 3) -> None:
        """Long enough for what is missing to be sent."""
        for _ in range(days):
            self.report()
            self.pass_time(hours=25)

    def pushes(self) -> list[Push]:
        with self.meter() as meter:
            return meter.pushes(max_rows=10_000)[::-1]

    def states(self) -> dict[str, int]:
        with self.meter() as meter:
            return {row.state: row.pushes for row in meter.report_status() if row.pushes}

    def used(self) -> dict[Any, Decimal]:
        with psycopg.connect(self.dsn) as connection:
            rows: list[Any] = connection.execute(
                "SELECT subject, metric, date_trunc('hour', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC',"
                " sum(quantity) FROM meter.logged_events GROUP BY 1, 2, 3"
            ).fetchall()
        return {(subject, metric, start): quantity for subject, metric, start, quantity in rows}

    def assert_reported(self) -> None:
        """Every unit is there, once, in its hour, and nothing is left to be done."""
        assert self.double.totals("live", by="sum") == self.used()
        assert self.double.counters()["counted_twice"] == []
        assert self.double.counters()["duplicates_that_differ"] == 0
        assert set(self.states()) <= {"delivered", "resolved", "replaced"}

    @contextmanager
    def copied(self) -> Iterator[str]:
        """A copy of the database as it is now."""
        with new_database(self.dsn, template=urlsplit(self.dsn).path.lstrip("/")) as copy:
            yield copy
