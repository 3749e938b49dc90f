"""What the tests of budgets share: a subject that pays by short calls, and what is said of its budgets."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at

SUBJECT = "acct_1"
SET = at("2020-01-01")
FIRED = ("budget.approaching", "budget.exceeded", "budget.cleared")


def day(number: int, month: int = 6, hour: int = 0) -> datetime:
    """A day of 2026."""
    return at(f"2026-{month:02}-{number:02} {hour:02}:00")


class Spender:
    """A ledger with a plan ``pro`` at 1 EUR a token, and a subject that has had it for ever."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        ledger.define("tokens", "sum")
        ledger.define("notes", "count")
        ledger.call("define_plan", plan="pro")
        self.price("tokens", {"model": "unit", "unit_amount": "1", "currency": "EUR"}, metric="tokens")
        self.subscribe(SUBJECT)
        self._keys = 0

    def price(self, item: str, price: Any, plan: str = "pro", **more: Any) -> Any:
        return self.ledger.call("define_price", plan=plan, item=item, price=Jsonb(price), **more)[0]

    def subscribe(self, subject: str, plan: str = "pro", since: datetime = SET) -> None:
        self.ledger.call("subscribe", subject=subject, plan=plan, since=since)

    def budget(self, amount: Any, currency: str = "EUR", since: datetime | None = SET, **more: Any) -> Any:
        amount = None if amount is None else Decimal(amount)
        return self.ledger.call("set_budget", amount=amount, currency=currency, since=since, **more)[0]

    def use(self, quantity: Any, when: datetime, subject: str = SUBJECT, **more: Any) -> Any:
        return self.ledger.record(subject, "tokens", Decimal(quantity), at=when, **more)

    def adjust(self, quantity: Any, when: datetime, subject: str = SUBJECT) -> None:
        given = {"subject": subject, "metric": "tokens", "quantity": Decimal(quantity), "at": when}
        self.ledger.call("adjust", **given, reason="a fault")

    def grant(self, amount: Any, subject: str = SUBJECT, **more: Any) -> Any:
        self._keys += 1
        given = {"currency": "EUR", "idempotency_key": f"k{self._keys}", "since": at("2026-01-01"), **more}
        return self.ledger.call("grant_credit", subject=subject, amount=Decimal(amount), **given)[0]

    def judge(self, now: datetime, **more: Any) -> Any:
        """One round: until nobody is left."""
        total = None
        while True:
            found = self.ledger.call("judge_budgets", now=now, **more)[0]
            total = found if total is None else type(found)(*map(_sum, total, found))
            if found.remaining == 0 or found.judged == 0:
                return total._replace(remaining=found.remaining)

    def status(self, now: datetime, subject: str = SUBJECT) -> list[Any]:
        return self.ledger.call("budget_status", subject=subject, now=now)

    def told(self, subject: str = SUBJECT) -> list[tuple[str, Decimal]]:
        """The notifications of budgets: type and mark."""
        return [
            (row.type, Decimal(str(row.data["mark"])))
            for row in self.ledger.call("notifications", subject=subject)
            if row.type in FIRED
        ]

    def spent(self, now: datetime, subject: str = SUBJECT) -> Decimal:
        (row,) = self.status(now, subject)
        return Decimal(row.spent)


def _sum(a: Any, b: Any) -> Any:
    return b if isinstance(b, datetime) else a + b
