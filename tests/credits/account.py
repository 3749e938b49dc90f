"""What the tests of credits share: a subject that pays by short calls, and what statements say."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at

SUBJECT = "acct_1"


def month(number: int) -> datetime:
    """When a month of 2026 begins; 13 is the January after."""
    return at(f"{2026 + (number - 1) // 12}-{(number - 1) % 12 + 1:02}-01")


class Account:
    """A ledger with a plan ``pro``, and a subject that has had it for ever."""

    def __init__(self, ledger: Ledger, currency: str = "EUR", unit_amount: Any = 1) -> None:
        self.ledger = ledger
        ledger.define("tokens", "sum")
        ledger.call("define_plan", plan="pro")
        price = {"model": "unit", "unit_amount": str(unit_amount), "currency": currency}
        self.price("tokens", price, metric="tokens")
        ledger.call("subscribe", subject=SUBJECT, plan="pro", since=at("2020-01-01"))
        self.currency = currency
        self._keys = 0

    def price(self, item: str, price: Any, plan: str = "pro", **more: Any) -> Any:
        return self.ledger.call("define_price", plan=plan, item=item, price=Jsonb(price), **more)[0]

    def use(self, quantity: Any, number: int = 6, day: int = 10) -> Any:
        """Usage of a month; negative: an adjustment."""
        when = month(number).replace(day=day)
        if Decimal(quantity) < 0:
            given = {"subject": SUBJECT, "metric": "tokens", "quantity": Decimal(quantity), "at": when}
            return self.ledger.call("adjust", **given, reason="a fault")[0]
        return self.ledger.record(SUBJECT, "tokens", Decimal(quantity), at=when)

    def grant(self, amount: Any, **more: Any) -> Any:
        """A credit that is in force since 2026 began."""
        self._keys += 1
        given = {"currency": self.currency, "idempotency_key": f"k{self._keys}", "since": month(1), **more}
        return self.ledger.call("grant_credit", subject=SUBJECT, amount=Decimal(amount), **given)[0]

    def void(self, credit_id: int, reason: str = "a mistake") -> Any:
        return self.ledger.call("void_credit", credit_id=credit_id, reason=reason)[0]

    def tax(self, percent: Any, **more: Any) -> Any:
        percent = None if percent is None else Decimal(percent)
        return self.ledger.call("set_tax", subject=SUBJECT, percent=percent, **more)[0]

    def credits(self, number: int = 7) -> list[Any]:
        """Those that would pay for a period that ends when the month begins."""
        return self.ledger.call("credits", subject=SUBJECT, at=month(number))

    def left(self, number: int = 7) -> list[tuple[int, Decimal]]:
        return [(one.credit_id, one.remaining) for one in self.credits(number)]

    def invoice(self, number: int = 6, **more: Any) -> list[Any]:
        window = {"since": month(number), "until": month(number + 1)}
        return self.ledger.call("invoice", subject=SUBJECT, **window, **more)

    def close(self, number: int = 6) -> list[Any]:
        """The lines of the statement of a month. A preview just before has the same."""
        preview = self.invoice(number)
        window = {"since": month(number), "until": month(number + 1)}
        header = self.ledger.call("close_period", subject=SUBJECT, **window)[0]
        assert self.invoice(number) == preview
        assert self.invoice(number, as_of=header.watermark) == preview
        lines = self.ledger.call("statement", statement_id=header.statement_id)
        assert [said(line) for line in lines] == [said(line) for line in preview]
        return lines

    def settle(self, statement_id: int = 1, decision: str = "bill") -> None:
        """Decides about all late usage of a statement."""
        for late in self.ledger.call("late_usage", statement_id=statement_id):
            given = {"statement_id": statement_id, "metric": late.metric, "delta": late.delta}
            self.ledger.call("settle_late_usage", **given, decision=decision)

    def late(self, quantity: Any, number: int = 6) -> None:
        """Usage that comes after the statement of the month, and is billed."""
        self.use(quantity, number)
        self.settle(self.statement(number))

    def statement(self, number: int = 6) -> int:
        found = self.ledger.call("statements", subject=SUBJECT)
        return next(int(row.statement_id) for row in found if row.since == month(number))

    def problems(self) -> list[Any]:
        return self.ledger.call("verify_statements")


def said(line: Any) -> tuple[Any, ...]:
    return (line.kind, line.item, line.metric, line.quantity, line.amount, line.currency, line.late_of)


def of_kind(lines: Iterable[Any], *kinds: str) -> list[Any]:
    return [line for line in lines if line.kind in kinds]


def paid(lines: Iterable[Any]) -> list[tuple[str | None, Decimal, int | None]]:
    """(credit, amount, statement that it is given back for) of each line of kind credit."""
    return [(line.item, line.amount, line.late_of) for line in of_kind(lines, "credit")]


def taxed(lines: Iterable[Any]) -> list[tuple[str, Decimal]]:
    return [(line.item, line.amount) for line in of_kind(lines, "tax")]


def total(lines: Iterable[Any]) -> Decimal:
    (line,) = of_kind(lines, "total")
    amount: Decimal = line.amount
    return amount
