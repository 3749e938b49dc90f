"""Subjects whose statements are sent as invoice items: what the tests of them share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from psycopg.types.json import Jsonb

from tests.credits.account import month
from tests.helpers import Ledger, at

BILLER = "invoices"
# Stripe's minor units, written down a second time.
FACTORS = {"EUR": 100, "USD": 100, "JPY": 1, "KWD": 1000, "ISK": 100, "UGX": 100, "MGA": 1}


class Bills:
    """A biller of statements, plans of one metric (named by their currencies) and subjects who have one."""

    def __init__(self, ledger: Ledger, *, define: bool = True) -> None:
        self.ledger = ledger
        self.keys = 0
        ledger.define("tokens", "sum", "token")
        if define:
            self.define()

    def define(self, biller: str = BILLER, **named: Any) -> Any:
        named.setdefault("sends", "statements")
        return self.ledger.call("define_biller", biller=biller, **named)[0]

    def plan_of(self, currency: str, unit_amount: Any = 1, **price: Any) -> None:
        self.ledger.call("define_plan", plan=currency)
        price = {"model": "unit", "unit_amount": str(unit_amount), "currency": currency, **price}
        self.ledger.call(
            "define_price", plan=currency, item="tokens", metric="tokens", price=Jsonb(price), name="Tokens"
        )

    def fee(self, item: str, amount: str, plan: str = "EUR") -> None:
        price = {"model": "flat", "flat_amount": amount}
        self.ledger.call("define_price", plan=plan, item=item, price=Jsonb(price))

    def subject(self, subject: str = "acct_1", plan: str = "EUR", customer: str | None = "cus_1") -> None:
        self.ledger.call("subscribe", subject=subject, plan=plan, since=at("2020-01-01"))
        self.map(subject, customer)

    def map(self, subject: str, customer: str | None, biller: str = BILLER) -> None:
        self.ledger.call("report_subject", subject=subject, customer=customer, biller=biller)

    def use(self, quantity: Any, subject: str = "acct_1", number: int = 6, day: int = 10) -> None:
        when = month(number).replace(day=day)
        if Decimal(quantity) < 0:
            given = {"subject": subject, "metric": "tokens", "quantity": Decimal(quantity), "at": when}
            self.ledger.call("adjust", **given, reason="a fault")
        else:
            self.ledger.record(subject, "tokens", Decimal(quantity), at=when)

    def close(self, subject: str = "acct_1", number: int = 6, ledger: Ledger | None = None) -> int:
        window = {"since": month(number), "until": month(number + 1)}
        return int((ledger or self.ledger).call("close_period", subject=subject, **window)[0].statement_id)

    def bill(self, quantity: Any, subject: str = "acct_1", number: int = 6) -> int:
        self.use(quantity, subject, number)
        return self.close(subject, number)

    def grant(self, amount: Any, subject: str, currency: str) -> None:
        self.keys += 1
        given = {"currency": currency, "idempotency_key": f"k{self.keys}", "since": month(1)}
        self.ledger.call("grant_credit", subject=subject, amount=Decimal(amount), **given)

    def tax(self, percent: Any, subject: str, **more: Any) -> None:
        self.ledger.call("set_tax", subject=subject, percent=Decimal(percent), **more)

    def late(self, quantity: Any, statement_id: int, subject: str = "acct_1", number: int = 6) -> None:
        """Usage that comes after the statement of the month, and is billed."""
        self.use(quantity, subject, number, day=20)
        for late in self.ledger.call("late_usage", statement_id=statement_id):
            given = {"statement_id": statement_id, "metric": late.metric, "delta": late.delta}
            self.ledger.call("settle_late_usage", **given, decision="bill")

    # --- the journal ----------------------------------------------------------------------------------------

    def plan(self, biller: str = BILLER, **named: Any) -> int:
        return int(self.ledger.call("plan_pushes", biller=biller, **named)[0][0])

    def preview(self, biller: str = BILLER, **named: Any) -> list[Any]:
        return self.ledger.call("preview_pushes", biller=biller, **named)

    def claim(self, biller: str = BILLER, worker: str = "w1", **named: Any) -> list[Any]:
        return self.ledger.call("claim_pushes", biller=biller, worker=worker, **named)

    def settle(self, claimed: Iterable[Any], outcome: str = "delivered", **extra: Any) -> list[Any]:
        results = [{"push_id": c.push_id, "attempt": c.attempt, "outcome": outcome} for c in claimed]
        given = {"biller": BILLER, "worker": "w1", "results": Jsonb(results), **extra}
        return self.ledger.call("settle_pushes", **given)

    def pushes(self, biller: str = BILLER, **named: Any) -> list[Any]:
        """Oldest first."""
        return self.ledger.call("pushes", biller=biller, **{"max_rows": 10_000, **named})[::-1]

    def status(self, biller: str = BILLER) -> dict[str, tuple[int, Decimal]]:
        """Pushes and quantity by state, of all currencies; zeros left out."""
        found: dict[str, tuple[int, Decimal]] = {}
        for row in self.ledger.call("report_status", biller=biller):
            if row.pushes:
                pushes, quantity = found.get(row.state, (0, Decimal()))
                found[row.state] = (pushes + row.pushes, quantity + row.quantity)
        return found

    def queue(self, biller: str = BILLER) -> list[int]:
        rows = self.ledger.rows(
            "SELECT statement_id FROM meter.unbilled_statements WHERE biller = %s ORDER BY 1", [biller]
        )
        return [row.statement_id for row in rows]

    def stated(self) -> dict[tuple[str, str], Decimal]:
        """What statements total, by subject and currency, in minor units."""
        sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for header in self.ledger.call("statements", max_rows=10_000):
            for currency, total in header.totals.items():
                sums[header.subject, currency] += Decimal(total) * FACTORS[currency]
        return {key: amount for key, amount in sums.items() if amount}


def sums(rows: Iterable[Any]) -> dict[tuple[str, str], Decimal]:
    """Of pushes, what there is of each subject and currency."""
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        found[row.subject, row.event_name.upper()] += Decimal(row.value)
    return {key: amount for key, amount in found.items() if amount}
