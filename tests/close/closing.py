"""What the tests of closed periods share."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.helpers import AGGREGATES, Ledger, at

JUNE, JULY, AUGUST = at("2026-06-01"), at("2026-07-01"), at("2026-08-01")
SEPTEMBER, OCTOBER = at("2026-09-01"), at("2026-10-01")
NEXT = {JUNE: JULY, JULY: AUGUST, AUGUST: SEPTEMBER, SEPTEMBER: OCTOBER}
GUARDED = ("statements", "statement_lines")


def define_each(ledger: Ledger, **named: Any) -> None:
    """A metric of each aggregate, called as the aggregate."""
    for aggregate in AGGREGATES:
        ledger.define(aggregate, aggregate, **named)


def payload(aggregate: str, n: int) -> dict[str, Any]:
    """What an event has of the number n."""
    if aggregate == "count":
        return {}
    return {"member": f"u{n}"} if aggregate == "unique" else {"quantity": n}


def use(
    ledger: Ledger,
    subject: str,
    metric: str,
    n: int,
    moment: datetime,
    *,
    of: str | None = None,
    **named: Any,
) -> Any:
    """An event. of: the metric's aggregate, if that is not its name."""
    return ledger.record(subject, metric, at=moment, **payload(of or metric, n), **named)


def close(ledger: Ledger, subject: str = "a", since: datetime = JUNE, until: datetime | None = None) -> Any:
    return ledger.call("close_period", subject=subject, since=since, until=until or NEXT[since])[0]


def lines(ledger: Ledger, statement_id: int) -> list[Any]:
    return ledger.call("statement", statement_id=statement_id)


def stated(ledger: Ledger, statement_id: int) -> dict[tuple[str, str], Decimal]:
    """(kind, metric) -> quantity."""
    return {(line.kind, line.metric): line.quantity for line in lines(ledger, statement_id)}


def late(ledger: Ledger, **scope: Any) -> dict[tuple[int, str], Decimal]:
    """(statement, metric) -> what is not decided."""
    return {(line.statement_id, line.metric): line.delta for line in ledger.call("late_usage", **scope)}


def settle(
    ledger: Ledger, statement_id: int, metric: str, delta: Decimal | int, decision: str, **named: Any
) -> Any:
    return ledger.call(
        "settle_late_usage", statement_id=statement_id, metric=metric, delta=delta, decision=decision, **named
    )[0]


def assert_balanced(ledger: Ledger) -> None:
    """In one snapshot: the invariant of every line, and late_usage() of all is what is open."""
    assert unbalanced(ledger) == []


def unbalanced(ledger: Ledger) -> list[Any]:
    """What breaks it. A REPEATABLE READ transaction, so that all is of one moment."""
    with ledger.connection.transaction():
        ledger.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        rows = ledger.rows("SELECT * FROM meter.statement_balances")
        found = {
            (line.statement_id, line.metric): (
                line.stated,
                line.billed,
                line.waived,
                line.delta,
                line.current,
            )
            for line in ledger.call("late_usage", max_rows=10_000)
            if line.delta != 0
        }
    wrong: list[Any] = [row for row in rows if row.stated + row.billed + row.waived + row.open != row.current]
    expected = {
        (row.statement_id, row.metric): (row.stated, row.billed, row.waived, row.open, row.current)
        for row in rows
        if row.open != 0
    }
    wrong += [
        (key, expected.get(key), found.get(key))
        for key in expected.keys() | found.keys()
        if expected.get(key) != found.get(key)
    ]
    return wrong


def documents(ledger: Ledger) -> dict[int, str]:
    """Every statement, as it is hashed."""
    return dict(
        ledger.rows(
            "SELECT statement_id, meter.statement_document(statement_id) FROM meter.statements ORDER BY 1"
        )
    )


def without_guard(ledger: Ledger, statements: Iterable[str]) -> None:
    """As a superuser could: the triggers are switched off meanwhile."""
    with ledger.connection.transaction():
        tables = [*GUARDED, "credit_draws", "events"]
        for table in tables:
            ledger.execute(f"ALTER TABLE meter.{table} DISABLE TRIGGER USER")
        for statement in statements:
            ledger.execute(statement)
        for table in tables:
            ledger.execute(f"ALTER TABLE meter.{table} ENABLE TRIGGER USER")


def moments(draw: random.Random, since: datetime, until: datetime, number: int) -> list[datetime]:
    seconds = int((until - since).total_seconds())
    return [since + timedelta(seconds=draw.randrange(seconds)) for _ in range(number)]
