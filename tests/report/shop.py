"""A ledger, a double of a biller and reporters between them: what the tests of the reporter share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pymeter import Meter
from pymeter.models import Push
from pymeter.report import Reporter, Summary
from tests.report.adapters import LIVE, STRIPE, Adapter
from tests.report.double import Double

METRIC = "tokens"
Totals = dict[tuple[str, str, datetime], Decimal]


def hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


class Shop:
    """Customers who use tokens, reported to the double; a subject is its customer's id.

    The clock of the double, and of reporters that are given ``clock``, is ``now`` and goes on from there.
    """

    def __init__(self, dsn: str, double: Double, stack: ExitStack, adapter: Adapter = STRIPE) -> None:
        self.dsn = dsn
        self.adapter = adapter
        self.double = double
        self._stack = stack
        self._offset = timedelta()
        self.meter = Meter(stack.enter_context(psycopg.connect(dsn, autocommit=True)))
        self.meter.define_biller(adapter.name, subject_is_customer=True)
        self.add_metric(METRIC)
        self.set_clock(self.now())

    def add_metric(self, key: str, aggregate: Any = "sum", mode: Any = "delta") -> None:
        # The clock of a test may be far ahead of the database's.
        self.meter.define_metric(key, aggregate, "unit", max_future=timedelta(days=3650))
        self.meter.report_metric(key, key, mode, self.adapter.name)
        self.double.create_meter(key)

    # --- the clock ------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def set_clock(self, now: datetime) -> None:
        self._offset = now - datetime.now(UTC)
        self.double.set_clock(self.now())

    def pass_time(self, **length: float) -> None:
        self.set_clock(self.now() + timedelta(**length))

    # --- usage ----------------------------------------------------------------------------------------------

    def use(self, customer: str = "cus_1", quantity: Any = 1, *, metric: str = METRIC, **ago: float) -> None:
        """Use something, so long ago."""
        self.meter.record(customer, metric, quantity, at=self.now() - timedelta(**ago))

    def use_many(self, customers: int, hours: int, quantity: int = 1) -> int:
        """Every customer, in every one of the last hours before this one."""
        self.meter.record_batch(
            [
                {
                    "subject": f"cus_{customer}",
                    "metric": METRIC,
                    "quantity": quantity + customer + number,
                    "at": hour(self.now()) - timedelta(hours=number, minutes=1),
                }
                for customer in range(customers)
                for number in range(hours)
            ]
        )
        return customers * hours

    def used(self) -> Totals:
        """What the log says, by customer, metric and hour."""
        rows = self._stack.enter_context(psycopg.connect(self.dsn, autocommit=True)).execute(
            "SELECT subject, metric, date_trunc('hour', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC',"
            " sum(quantity) FROM meter.logged_events GROUP BY 1, 2, 3"
        )
        return {(subject, metric, start): quantity for subject, metric, start, quantity in rows}

    # --- reporting ------------------------------------------------------------------------------------------

    def pool(self) -> ConnectionPool[Any]:
        pool = ConnectionPool(self.dsn, min_size=1, max_size=4, kwargs={"autocommit": True}, open=True)
        return self._stack.enter_context(pool)

    def async_pool(self) -> AsyncConnectionPool[Any]:
        return AsyncConnectionPool(self.dsn, min_size=1, max_size=4, kwargs={"autocommit": True}, open=False)

    def biller(self, key: str = LIVE, **options: Any) -> Any:
        biller = self.adapter.biller(self.double.url, key, **{"timeout": 5, **options})
        self._stack.callback(biller.close)
        return biller

    def reporter(self, key: str = LIVE, *, timeout: float = 5, **options: Any) -> Reporter:
        options = {"clock": self.now, "biller_name": self.adapter.name, **options}
        return Reporter(self.pool(), self.biller(key, timeout=timeout), **options)

    def report(self, **options: Any) -> Summary:
        return self.reporter(**options).run_once()

    def states(self) -> dict[str, int]:
        """How many pushes, of all metrics."""
        counts = Counter[str]()
        for row in self.meter.report_status(self.adapter.name):
            counts[row.state] += row.pushes
        return {state: pushes for state, pushes in counts.items() if pushes}

    def pushes(self, state: Any = None) -> list[Push]:
        return self.meter.pushes(self.adapter.name, state, max_rows=10_000)[::-1]

    def sent(self) -> Totals:
        """What the double has counted."""
        return self.double.totals("live", by="sum")

    def assert_reported(self) -> None:
        """Every unit is there, once, in its hour."""
        assert self.sent() == self.used()
        counters = self.double.counters()
        assert counters["counted_twice"] == []
        assert counters["duplicates_that_differ"] == 0


@pytest.fixture
def shop(meter_dsn: str, double: Double, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """Reports to Stripe's double, or to the adapter that an indirect parameter names."""
    with ExitStack() as stack:
        yield Shop(meter_dsn, double, stack, getattr(request, "param", STRIPE))


NewShop = Callable[..., Shop]
