"""Scenarios in our own shape: what they may say, and what is refused, with its path."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.helpers import Ledger, at
from tests.pricing.billing import Billing, flat, unit
from tests.simulate.scenarios import Scenario, own, refusal, simulate

Connection = psycopg.Connection[Any]
PRICE = {"model": "unit", "unit_amount": 1}


def test_the_prices_of_a_plan_are_taken_from_the_catalog(ledger: Ledger) -> None:
    billing = Billing(ledger)
    billing.price("tokens", unit("0.002", currency="EUR"))
    billing.price("tokens", unit("0.003", currency="EUR"), since="2030-01-01")
    billing.price("seats", unit(8), metric="tokens", subject="another")
    billing.fee("base", flat(20), bill="advance")
    ledger.call("set_plan_minimum", plan="pro", amount=50, since=at("2029-01-01"))
    billing.use(99999)  # a subject's data is not read
    usage = [{"metric": "tokens", "quantity": 1500}]

    def total(prices: Any, **more: Any) -> Any:
        return simulate(ledger.connection, {"prices": prices, "usage": usage, **more})["total"]

    now, later = {"plan": "pro", "at": "2026-06-01"}, {"plan": "pro", "at": "2030-01-01"}
    # As on the first invoice of a subject, the fee is of this cycle and, in advance, of the next one.
    assert total(now) == "43.00"
    # That of the next cycle does not count for the minimum of this one.
    assert total(later) == "70.00"
    assert total({**later, "item": "tokens"}) == "4.50"
    assert total([later, {"item": "base", "price": flat(30)}], minimums=[{"amount": 0}]) == "34.50"
    assert total([{**now, "item": "tokens"}, {**later, "item": "base"}]) == "43.00"
    twice = refusal(ledger.connection, {"prices": [now, later]})
    assert twice == '$.prices[1].plan is given twice: "pro".'
    assert refusal(ledger.connection, {"prices": {**now, "item": "x"}}).startswith(
        "$.prices.item is not a line"
    )
    with pytest.raises(psycopg.Error, match="no such plan"):
        total({"plan": "nix"})


def test_a_fee_a_minimum_and_a_part_of_a_cycle(db: Connection) -> None:
    fee = {"item": "base", "price": {"model": "flat", "flat_amount": 31}}
    scenario = own(prices=[fee], usage=[], minimums=[{"amount": 62}])
    july = {"since": "2026-07-01", "until": "2026-07-11"}
    whole = simulate(db, scenario | july)
    assert [(line["kind"], line["amount"]) for line in whole["lines"]] == [
        ("fee", "31.00"),
        ("true_up", "31.00"),
    ]
    # Of a cycle of 31 days, 10 are in the period.
    assert simulate(db, scenario | july | {"cycle": {}})["total"] == "20.00"
    weekly = {"cycle": {"every": "week", "anchor": "2026-07-01", "timezone": "Europe/Berlin"}}
    assert (
        simulate(db, scenario | {"since": "2026-07-01", "until": "2026-07-15"} | weekly)["total"] == "124.00"
    )


def test_quantities_keep_all_their_digits(db: Connection) -> None:
    db.execute("SET extra_float_digits = 0")
    found = simulate(db, own(usage=[{"metric": "tokens", "quantity": "0.1"}] * 3))
    assert (found["lines"][0]["quantity"], found["lines"][0]["exact_amount"]) == ("0.3", "0.0006")


def test_a_negative_total_becomes_a_credit(db: Connection) -> None:
    scenario = own(prices=[{"metric": "tokens", "price": {"model": "percentage", "percent": 10}}])
    scenario |= {"usage": [{"metric": "tokens", "quantity": -100}], "expected": {"total": 0, "subtotal": 0}}
    assert simulate(db, scenario)["passed"] is True


def test_lines_are_expected_by_what_they_are(db: Connection) -> None:
    lines = [
        {"item": "tokens", "amount": "3.00"}, {"kind": "usage", "amount": 3},
        {"metric": "tokens", "amount": 4}, {"item": "nix", "amount": 0},
        {"plan": "scenario", "kind": "tax", "amount": 0},
    ]  # fmt: skip
    found = simulate(db, own(taxes=[{"percent": 0}], expected={"total": 3, "lines": lines}))
    assert [check["passed"] for check in found["expected"]] == [True, True, True, False, False, False]
    assert found["expected"][3] == {
        "path": "$.expected.lines[2].amount", "expected": "4", "found": "3.00", "difference": "-1",
        "allowed": "0", "passed": False,
    }  # fmt: skip
    assert found["passed"] is False
    assert simulate(db, own())["passed"] is None


def test_an_amount_that_is_unknown_passes_nothing(db: Connection) -> None:
    cells = [{"when": {"model": "large"}, "unit_amount": 1}]
    price = {"model": "matrix", "dimensions": ["model"], "cells": cells}
    scenario = own(
        prices=[{"metric": "tokens", "price": price}],
        usage=[{"metric": "tokens", "quantity": 3, "dimensions": {"model": "tiny"}}],
        expected={"total": 0}, tolerances={"absolute": 100},
    )  # fmt: skip
    found = simulate(db, scenario)
    assert (found["total"], found["passed"], found["expected"][0]["found"]) == (None, False, None)


def test_nothing_is_written_and_the_transaction_may_be_read_only(db: Connection) -> None:
    with db.transaction():
        db.execute("SET TRANSACTION READ ONLY")
        assert simulate(db, own(credits=[{"amount": 1}], taxes=[{"percent": 19}]))["total"] == "2.38"


def prices(**line: Any) -> Scenario:
    return own(prices=[{"metric": "tokens", "price": PRICE, **line}])


def usage(**entry: Any) -> Scenario:
    return own(usage=[{"metric": "tokens", "quantity": 1, **entry}])


HALVES = [
    {"metric": "tokens", "price": PRICE, "until": "2026-06-16"},
    {"metric": "tokens", "price": PRICE, "since": "2026-06-16"},
]
JUNE = {"since": "2026-06-01", "until": "2026-07-01"}
MATRIX = {"model": "matrix", "dimensions": ["m"], "cells": [{"when": {}, "unit_amount": 1}]}
PER_EVENT = {"model": "percentage", "percent": 1, "fixed_amount": 1}


@pytest.mark.parametrize(
    ("scenario", "detail"),
    [
        ([], "$ is not an object"),
        ({}, "$.currency is missing."),
        (own(currency="XXX"), "$.currency is not a current code"),
        (own(currency=5), "$.currency is not a text"),
        (own(since="2026-06-01"), "$.until is missing, or not after"),
        (own(until="2026-06-01"), "$.since is missing, or not after"),
        (own(since="2026-06-01", until="2026-06-31"), "$.until is not a time"),
        (own(since="2026-06-01T00:00:00", until="2026-07-01"), "$.since is not a time"),
        (own(since="infinity", until="2026-07-01"), "$.since is not a time"),
        (own(**{"a b": 1}), '$["a b"] is not a field here.'),
        (own(since="9997-01-01", until="9998-12-31"), "$.until is too late"),
        (own(cycle={"timezone": "Mars/Phobos"}), "$.cycle.timezone is not the name"),
        (own(cycle={"every": "day"}), "$.cycle.every is not one of the words"),
        (own(rounding="up"), "$.rounding is not one of the words"),
        (own(prices=5), "$.prices is not an array"),
        (own(prices=[None]), "$.prices[0] is not an object"),
        (own(prices=[{}]), "$.prices[0].price is missing."),
        (own(prices={"plan": "pro", "price": PRICE}), "$.prices.item is missing."),
        (prices(price={"model": "unit"}), "$.prices[0].price.unit_amount is missing."),
        (
            prices(price={"model": "volume", "tiers": [{"up_to": 5, "unit_amount": 1}]}),
            "$.prices[0].price.tiers[0]",
        ),
        (prices(price=PRICE | {"currency": "USD"}), "$.prices[0].price.currency is not the currency"),
        (prices(currency="USD"), "$.prices[0].currency is not the currency"),
        (prices(bill="never"), "$.prices[0].bill is not one of the words"),
        (prices(prorate="yes"), "$.prices[0].prorate is not true or false"),
        (prices(price_version=1.5), "$.prices[0].price_version is not a whole number"),
        (prices(since="2026-06-02", until="2026-06-02"), "$.prices[0].until is missing, or not after"),
        (own(prices=[{"item": "fee", "price": MATRIX}]), "$.prices[0].price.model has a model"),
        (own(prices=[HALVES[0], {"metric": "tokens", "price": PRICE}], **JUNE), "$.prices[1] overlaps"),
        (own(prices=HALVES, **JUNE), "$.usage[0] goes beyond"),
        (usage(quantity="1e200"), "$.usage[0].quantity is not a number"),
        (usage(quantity=True), "$.usage[0].quantity is not a number"),
        (usage(quantity=None), "$.usage[0].quantity is missing."),
        (usage(event_count="x"), "$.usage[0].event_count is not a number"),
        (usage(event_count=10**15), "$.usage[0].event_count is not a whole number"),
        (usage(dimensions=["m"]), "$.usage[0].dimensions is not an object"),
        (usage(dimensions={"m": None}), "$.usage[0].dimensions.m is not a text"),
        (usage(aggregate="median"), "$.usage[0].aggregate is not one of the words"),
        (usage(item="nix"), "$.usage[0].item is not a line with a price"),
        (
            usage(since="2026-06-01", until="2026-06-02") | JUNE | {"until": "2026-06-01T12:00Z"},
            "$.usage[0] goes beyond",
        ),
        (usage(since="2026-06-01", until="2026-06-02", aggregate="max") | JUNE, "$.usage[0] goes beyond"),
        (
            own(usage=[{"metric": "tokens", "quantity": 1, "aggregate": "max"}] * 2),
            "$.usage[0] is given twice",
        ),
        (prices(price=PER_EVENT), "$.usage[0].event_count is missing: the price has an amount"),
        (prices(price=MATRIX) | {"usage": usage(aggregate="last")["usage"]}, "$.usage[0].metric is a matrix"),
        (own(minimums=[{}]), "$.minimums[0].amount is missing."),
        (own(minimums=[{"amount": -1}]), "$.minimums[0].amount is not a number"),
        (own(credits=[{"amount": 5, "remaining": 6}]), "$.credits[0].remaining is more than amount"),
        (own(credits=[{"amount": 5, "source": "found"}]), "$.credits[0].source is not one of the words"),
        (own(credits=[{"amount": 5, "priority": 1e9}]), "$.credits[0].priority is not a whole number"),
        (
            own(credits=[{"amount": 5}, {"amount": 5, "credit_id": 1}]),
            "$.credits[1].credit_id is given twice",
        ),
        (own(taxes=[{"percent": 7}, {"percent": 8}]), "$.taxes[1].name is given twice"),
        (own(taxes=[{"percent": 7, "inclusive": 1}]), "$.taxes[0].inclusive is not true or false"),
        (own(taxes=[{}] * 1001), "$.taxes is not an array of at most 1000"),
        (own(expected=[]), "$.expected is not an object"),
        (own(expected={"lines": [{"item": "tokens"}]}), "$.expected.lines[0].amount is missing."),
        (own(expected={"lines": [{"kind": "total", "amount": 1}]}), "$.expected.lines[0].kind is not one of"),
        (own(tolerances={"absolute": -1}), "$.tolerances.absolute is not a number"),
    ],
)
def test_what_is_wrong_is_refused_with_its_path(db: Connection, scenario: Any, detail: str) -> None:
    assert refusal(db, scenario).startswith(detail)


def test_a_null_is_refused(db: Connection) -> None:
    with pytest.raises(psycopg.errors.NullValueNotAllowed):
        db.execute("SELECT meter.simulate(NULL)")
