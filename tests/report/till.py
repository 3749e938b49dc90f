"""Statements, a double of Stripe and reporters between them: what the tests of invoice items share."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from pymeter import Meter
from pymeter.report import Reporter, StripeInvoiceItems, Summary
from tests.helpers import Ledger
from tests.report.bills import BILLER, FACTORS, Bills
from tests.report.double import Double

LIVE = "sk_live_0123456789abcdef"
_AMOUNTS = {"EUR": "0.333", "JPY": "3.7", "KWD": "0.51"}


class Till:
    """Subjects with a plan in EUR, JPY or KWD and 19 % of tax, each its own customer.

    The clock of the double and of reporters is ``now``: that of the machine, or ahead of it.
    """

    def __init__(self, dsn: str, double: Double, stack: ExitStack) -> None:
        self.dsn = dsn
        self.double = double
        self._stack = stack
        self._offset = timedelta()
        self.ledger = Ledger(stack.enter_context(psycopg.connect(dsn, autocommit=True)))
        self.bills = Bills(self.ledger)
        self.bills.define(subject_is_customer=True)
        for currency, unit_amount in _AMOUNTS.items():
            self.bills.plan_of(currency, unit_amount)
        self.meter = Meter(self.ledger.connection)
        self.set_clock(self.now())

    # --- the clock ------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def set_clock(self, now: datetime) -> None:
        self._offset = now - datetime.now(UTC)
        self.double.set_clock(self.now())

    def pass_time(self, **length: float) -> None:
        self.set_clock(self.now() + timedelta(**length))

    # --- statements -----------------------------------------------------------------------------------------

    def customer(self, subject: str, currency: str = "EUR") -> None:
        self.bills.subject(subject, currency, customer=None)
        self.bills.tax(19, subject, name="VAT")

    def bill(
        self, subject: str = "cus_1", quantity: int = 100, number: int = 6, currency: str = "EUR"
    ) -> int:
        """A statement of two lines: the usage and its tax."""
        if not self.ledger.rows("SELECT FROM meter.subscriptions WHERE subject = %s", [subject]):
            self.customer(subject, currency)
        return self.bills.bill(quantity, subject, number)

    # --- reporting ------------------------------------------------------------------------------------------

    def pool(self) -> ConnectionPool[Any]:
        pool = ConnectionPool(self.dsn, min_size=1, max_size=4, kwargs={"autocommit": True}, open=True)
        return self._stack.enter_context(pool)

    def biller(self, key: str = LIVE, **options: Any) -> StripeInvoiceItems:
        biller = StripeInvoiceItems(key, **{"base": self.double.url, "timeout": 5, **options})
        self._stack.callback(biller.close)
        return biller

    def reporter(self, key: str = LIVE, *, timeout: float = 5, **options: Any) -> Reporter:
        options = {"clock": self.now, "biller_name": BILLER, "patience": timedelta(), **options}
        return Reporter(self.pool(), self.biller(key, timeout=timeout), **options)

    def report(self, **options: Any) -> Summary:
        return self.reporter(**options).run_once()

    def states(self) -> dict[str, int]:
        counts = Counter[str]()
        for row in self.meter.report_status(BILLER):
            counts[row.state] += row.pushes
        return {state: pushes for state, pushes in counts.items() if pushes}

    # --- what is there --------------------------------------------------------------------------------------

    def items(self, world: str = "live") -> list[dict[str, Any]]:
        return self.double.invoice_items(world)

    def lines(self) -> list[tuple[int, int]]:
        """(statement, line) of every item that there is."""
        return [
            (int(item["metadata"]["pymeter_statement"]), int(item["metadata"]["pymeter_line"]))
            for item in self.items()
        ]

    def assert_billed_once(self) -> None:
        """Each line of each statement is there, once, and the items add up to the totals."""
        rows = self.ledger.rows(
            "SELECT l.statement_id, l.line, l.amount, l.currency, w.subject"
            " FROM meter.statement_lines l JOIN meter.statements t USING (statement_id)"
            " JOIN meter.sealed_subjects w USING (subject_id) WHERE l.kind <> 'total' AND l.amount <> 0"
        )
        stated = {
            (row.statement_id, row.line): (
                row.subject,
                row.currency.lower(),
                row.amount * FACTORS[row.currency],
            )
            for row in rows
        }
        found = [(item["customer"], item["currency"], Decimal(item["amount"])) for item in self.items()]
        assert sorted(zip(self.lines(), found, strict=True)) == sorted(stated.items())
        sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for customer, currency, amount in found:
            sums[customer, currency.upper()] += amount
        assert sums == self.bills.stated()
        assert set(self.states()) <= {"delivered", "resolved", "replaced"}


@pytest.fixture
def till(meter_dsn: str, double: Double) -> Iterator[Till]:
    with ExitStack() as stack:
        yield Till(meter_dsn, double, stack)
