"""Periods that an older release has closed: they stay as they are, and late usage of them is a quantity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from pymeter.migrate import migrate
from tests.faults.servers import new_database
from tests.faults.test_upgrade import RELEASES, Release, release
from tests.helpers import Ledger, at, at_length

__all__ = ["release"]
pytestmark = [pytest.mark.slow, pytest.mark.at_length]

JUNE, JULY, AUGUST, SEPTEMBER = (at(f"2026-{month:02}-01") for month in range(6, 10))
# The first that closes periods.
CLOSING = [wheel for wheel in RELEASES if wheel.stem >= "0014"]
TRIED = at_length(CLOSING[-1:], CLOSING)


def documents(ledger: Ledger) -> list[Any]:
    return ledger.rows(
        "SELECT statement_id, hash, meter.statement_document(statement_id) FROM meter.statements ORDER BY 1"
    )


@pytest.fixture
def upgraded(release: Release, pymeter_server: str) -> Iterator[Ledger]:
    """The old release has closed June, and has decided about some late usage; there are prices since."""
    with new_database(pymeter_server) as dsn:
        release.migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            ledger = Ledger(connection)
            ledger.define("tokens", "sum")
            ledger.define("seats", "max")
            ledger.call("define_plan", plan="pro")
            ledger.call("subscribe", subject="a", plan="pro", since=at("2026-01-01"))
            for subject in ("a", "without a plan"):
                for metric in ("tokens", "seats"):
                    ledger.record(subject, metric, 5, at=at("2026-06-10"))
                ledger.call("close_period", subject=subject, since=JUNE, until=JULY)
            ledger.record("a", "tokens", 2, at=at("2026-06-20"))
            settle(ledger, "tokens", 2)
            ledger.record("a", "tokens", 3, at=at("2026-06-20"))
            before = documents(ledger)
            assert migrate(dsn).functions_replaced
            assert documents(ledger) == before
            assert len(before) == 2
            for item in ("tokens", "seats"):
                price(ledger, item, {"model": "unit", "unit_amount": "10"}, metric=item)
            price(ledger, "base", {"model": "flat", "flat_amount": "30"}, bill="advance")
            yield ledger


def price(ledger: Ledger, item: str, document: Any, **more: Any) -> None:
    ledger.call("define_price", plan="pro", item=item, price=Jsonb(document), **more)


def settle(ledger: Ledger, metric: str, delta: Any) -> None:
    done = ledger.call("settle_late_usage", statement_id=1, metric=metric, delta=delta, decision="bill")[0]
    assert done.outcome == "settled"


@pytest.mark.parametrize("release", TRIED, ids=lambda wheel: wheel.stem, indirect=True)
def test_a_statement_of_an_older_release_fits_and_its_late_usage_is_a_quantity(upgraded: Ledger) -> None:
    assert upgraded.call("verify_statements") == []
    upgraded.record("a", "seats", 9, at=at("2026-06-21"))
    upgraded.record("a", "tokens", 4, at=at("2026-07-10"))
    found = upgraded.call("late_usage", subject="a")
    assert [(line.metric, line.delta, line.amount, line.currency) for line in found] == [
        ("seats", 4, None, None),
        ("tokens", 3, None, None),
    ]
    for line in found:
        settle(upgraded, line.metric, line.delta)
    assert upgraded.call("late_usage", subject="a") == []
    waiting = upgraded.call("invoice", subject="a", since=JULY, until=AUGUST)
    second = upgraded.call("close_period", subject="a", since=JULY, until=AUGUST)[0]
    lines = upgraded.call("statement", statement_id=second.statement_id)
    text = "the statement has no prices"
    assert [
        (row.metric, row.quantity, row.amount, row.explanation) for row in lines if row.kind == "late"
    ] == [
        ("seats", 4, None, text),
        ("tokens", 5, None, text),
    ]
    for rows in (waiting, lines):
        assert [row.amount for row in rows if row.kind == "total"] == [40 + 30 + 30]
    upgraded.record("a", "tokens", 1, at=at("2026-07-11"))
    assert [line.amount for line in upgraded.call("late_usage", subject="a")] == [10]
    third = upgraded.call("close_period", subject="a", since=AUGUST, until=SEPTEMBER)[0]
    assert {row.kind for row in upgraded.call("statement", statement_id=third.statement_id)} == {
        "usage",
        "fee",
        "total",
    }
    assert upgraded.call("verify_statements") == []
