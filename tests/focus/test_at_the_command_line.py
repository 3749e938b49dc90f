"""pymeter focus, and the same in Python: a file that conforms, whatever the length of the window."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest

from pymeter import AsyncMeter, Meter
from pymeter.errors import InvalidInput
from tests.cli.conftest import Run, pymeter
from tests.credits.account import Account, month
from tests.focus.charges import charges
from tests.focus.validator import problems, read
from tests.helpers import at
from tests.pricing.billing import flat, unit

__all__ = ["pymeter"]

YEAR = ("--since", "2026-01-01", "--until", "2027-01-01")


@pytest.fixture
def year(account: Account) -> Account:
    """Ten months, of 1 EUR more each, with a tax."""
    account.tax(19, name="VAT")
    for number in range(1, 11):
        account.use(number, number)
        account.close(number)
    return account


def test_the_file_of_a_year_conforms_and_has_each_charge_once(year: Account, pymeter: Run) -> None:
    """It is read in pieces that cut months."""
    printed = pymeter("focus", *YEAR, "--csv", "--provider", "Acme")
    assert problems(printed.out) == []
    header, rows = read(printed.out)
    expected = charges(year.ledger, provider="Acme")
    assert header == list(expected[0])
    assert [(row["InvoiceId"], Decimal(row["BilledCost"])) for row in rows] == [
        (row["InvoiceId"], row["BilledCost"]) for row in expected
    ]
    assert sum(Decimal(row["BilledCost"]) for row in rows) == Decimal("65.45")


def test_json_has_the_same_rows_and_a_table_has_their_sums(year: Account, pymeter: Run) -> None:
    rows = json.loads(pymeter("focus", *YEAR, "--json").out)
    assert [row["BilledCost"] for row in rows] == [
        str(row["BilledCost"]) for row in charges(year.ledger, provider="pymeter")
    ]
    lines = [line.split() for line in pymeter("focus", *YEAR).out.splitlines()]
    assert ["Usage", "10", "55", "55.00", "EUR"] in lines
    assert ["all", "65.45", "EUR"] in lines
    assert "no statement" in pymeter("focus", "--since", "2030-01-01", "--until", "2031-01-01").out


def test_a_statement_that_is_left_out_is_named_on_standard_error(account: Account, pymeter: Run) -> None:
    cells = [{"when": {"m": "x"}, "unit_amount": "3"}]
    matrix = {"model": "matrix", "dimensions": ["m"], "cells": cells, "currency": "EUR"}
    account.price("tokens", matrix, metric="tokens", since=at("2026-01-01"))
    account.use(1)
    account.close()
    account.price("tokens", unit("1") | {"currency": "EUR"}, metric="tokens", since=month(7))
    account.price("base", flat("1") | {"currency": "EUR"}, since=month(7))
    account.close(7)
    printed = pymeter("focus", *YEAR, "--csv")
    assert {row["InvoiceId"] for row in read(printed.out)[1]} == {"2"}
    assert "statement 1 is left out: its total in EUR is unknown" in printed.err
    assert "left out" not in pymeter("focus", "--since", "2026-07-01", "--until", "2026-08-01").err


def test_the_clients_return_the_rows_as_models(year: Account, meter_dsn: str) -> None:
    june = {"since": month(6), "until": month(7)}
    expected = charges(year.ledger, **june, provider="Acme", subject="acct_1")
    with psycopg.connect(meter_dsn) as connection:
        meter = Meter(connection)
        found = meter.focus_charges(month(6), month(7), provider="Acme", subject="acct_1")
        assert [dict(row) for row in found] == expected
        with pytest.raises(InvalidInput):
            meter.focus_charges(month(7), month(6) - timedelta(days=1))

    async def ask() -> object:
        async with await psycopg.AsyncConnection.connect(meter_dsn) as connection:
            return await AsyncMeter(connection).focus_charges(
                month(6), month(7), provider="Acme", subject="acct_1"
            )

    assert asyncio.run(ask()) == found
