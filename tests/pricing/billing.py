"""What the tests of invoices share: plans, prices and usage by short calls, and sums in fractions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at

SUBJECT = "acct_1"
MONTH = (at("2026-06-01"), at("2026-07-01"))
DECIMALS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3, "CLF": 4}


def unit(amount: Any, **more: Any) -> dict[str, Any]:
    return {"model": "unit", "unit_amount": amount, **more}


def flat(amount: Any, **more: Any) -> dict[str, Any]:
    return {"model": "flat", "flat_amount": amount, **more}


class Billing:
    """A ledger with a plan ``pro`` and a subject that has had it for ever."""

    def __init__(
        self, ledger: Ledger, *, metrics: dict[str, str] | None = None, subscribe: bool = True
    ) -> None:
        self.ledger = ledger
        for key, aggregate in (metrics or {"tokens": "sum"}).items():
            ledger.define(key, aggregate)
        self.plan("pro")
        if subscribe:
            self.subscribe("pro", "2020-01-01")

    def plan(self, name: str) -> None:
        self.ledger.call("define_plan", plan=name)

    def price(self, item: str, price: Any, plan: str = "pro", **more: Any) -> Any:
        """``metric`` is the item's name unless it is given: None for a fee."""
        more = {"metric": item, **more}
        more = {k: at(v) if k == "since" and isinstance(v, str) else v for k, v in more.items()}
        (row,) = self.ledger.call("define_price", plan=plan, item=item, price=Jsonb(price), **more)
        return row

    def fee(self, item: str, price: Any, **more: Any) -> Any:
        return self.price(item, price, metric=None, **more)

    def subscribe(self, plan: str, since: str, until: str | None = None, subject: str = SUBJECT) -> None:
        self.ledger.call(
            "subscribe",
            subject=subject,
            plan=plan,
            since=at(since),
            until=None if until is None else at(until),
        )

    def use(self, quantity: Any, when: str = "2026-06-10", metric: str = "tokens", **more: Any) -> None:
        value = None if quantity is None else Decimal(quantity)
        self.ledger.record(SUBJECT, metric, value, at=at(when), **more)

    def invoice(
        self,
        since: datetime | str = MONTH[0],
        until: datetime | str = MONTH[1],
        subject: str = SUBJECT,
        **more: Any,
    ) -> list[Any]:
        window = [at(moment) if isinstance(moment, str) else moment for moment in (since, until)]
        return self.ledger.call("invoice", subject=subject, since=window[0], until=window[1], **more)

    def watermark(self) -> datetime:
        mark = self.ledger.value("SELECT meter.watermark(%s)", [SUBJECT])
        assert isinstance(mark, datetime)
        return mark


def priced(lines: Iterable[Any]) -> list[Any]:
    """Without totals, and without usage that has no price."""
    return [line for line in lines if line.kind != "total" and line.currency is not None]


def exact(lines: Iterable[Any]) -> Fraction:
    return sum((Fraction(line.exact_amount) for line in priced(lines)), Fraction(0))


def amounts(lines: Iterable[Any], item: str | None = None) -> list[Decimal]:
    return [line.amount for line in priced(lines) if item is None or line.item == item]


def total(lines: Iterable[Any], currency: str | None = None) -> Any:
    (line,) = [one for one in lines if one.kind == "total" and currency in (None, one.currency)]
    return line


def rounded(value: Fraction, decimals: int) -> Fraction:
    """Half away from zero."""
    scaled = abs(value) * 10**decimals
    whole = (scaled.numerator * 2 + scaled.denominator) // (scaled.denominator * 2)
    return Fraction(whole if value >= 0 else -whole, 10**decimals)
