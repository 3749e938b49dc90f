"""What the tests of focus_charges() share: its file, its rows, and that they say what the statements say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from psycopg.rows import dict_row

from tests.focus.validator import problems, read
from tests.helpers import Ledger, at
from tests.pricing.billing import DECIMALS

EVER = {"since": at("2000-01-01"), "until": at("2100-01-01")}
Charge = dict[str, Any]


def charges(ledger: Ledger, **given: Any) -> list[Charge]:
    """The rows, by the names of their columns; of all time unless a window is given."""
    given = EVER | given
    arguments = ", ".join(f"{name} => %({name})s" for name in given)
    with ledger.connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(f"SELECT * FROM meter.focus_charges({arguments})", given).fetchall()


def exported(ledger: Ledger) -> str:
    """The file that COPY writes."""
    query = (
        "COPY (SELECT * FROM meter.focus_charges('2000-01-01', '2100-01-01', provider => 'Acme Co',"
        " service_category => 'AI and Machine Learning')) TO STDOUT CSV HEADER"
    )
    with ledger.connection.cursor() as cursor, cursor.copy(query) as copy:
        return b"".join(bytes(part) for part in copy).decode()


def assert_conforms(ledger: Ledger) -> list[dict[str, str]]:
    """The file breaks no rule of the specification, and agrees with the statements."""
    text = exported(ledger)
    assert problems(text) == []
    rows = charges(ledger)
    assert_agrees(ledger, rows)
    assert not [(row, name) for row in rows for name, value in row.items() if value == ""]
    return read(text)[1]


def assert_agrees(ledger: Ledger, rows: Iterable[Charge]) -> None:
    """Statement by statement, against the lines that statement() returns."""
    of_statement = defaultdict(list)
    for row in rows:
        of_statement[row["InvoiceId"]].append(row)
    headers = ledger.call("statements", max_rows=10000)
    assert of_statement.keys() <= {str(header.statement_id) for header in headers}
    prices = {row.price_id: row.price for row in ledger.rows("SELECT price_id, price FROM meter.plan_prices")}
    for header in headers:
        own = of_statement[str(header.statement_id)]
        lines = ledger.call("statement", statement_id=header.statement_id)
        for row in own:
            assert row["BillingAccountId"] == header.subject
            assert row["x_StatementHash"] == header.hash
            assert datetime.fromisoformat(row["BillingPeriodStart"]) == header.since
            assert datetime.fromisoformat(row["BillingPeriodEnd"]) == header.until
        _assert_sums(lines, own)
        _assert_lines({line.line: line for line in lines}, own, prices)


def _assert_sums(lines: list[Any], own: list[Charge]) -> None:
    """What is billed is the total; by list, it is what the prices say before discounts and bounds."""
    totals = {line.currency: line.amount for line in lines if line.kind == "total"}
    assert {row["BillingCurrency"] for row in own} <= {
        code for code, amount in totals.items() if amount is not None
    }
    for currency, amount in totals.items():
        if amount is not None:
            assert sum(row["BilledCost"] for row in own if row["BillingCurrency"] == currency) == amount
            listed = [
                line.exact_amount
                for line in lines
                if line.currency == currency
                and line.kind in ("usage", "fee")
                and line.unit_amount is not None
            ]
            found = [
                row["ListCost"]
                for row in own
                if row["BillingCurrency"] == currency
                and row["ChargeCategory"] in ("Usage", "Purchase")
                and row["ChargeClass"] is None
            ]
            assert abs(_sum(found) - _sum(listed)) < Fraction(1, 10**12)


def _assert_lines(lines: Mapping[int, Any], own: list[Charge], prices: Mapping[int, Any]) -> None:
    for row in own:
        line = lines[row["x_StatementLine"]]
        assert (row["x_Kind"], row["x_Item"], row["BillingCurrency"]) == (line.kind, line.item, line.currency)
        assert datetime.fromisoformat(row["ChargePeriodStart"]) == line.since
        corrects = line.kind == "late" or line.late_of is not None or "in advance by" in line.explanation
        assert (row["ChargeClass"] == "Correction") == corrects, row
        assert row["EffectiveCost"] == row["BilledCost"]
        price = prices.get(line.price_version) or {}
        is_usual = row["ChargeCategory"] in ("Usage", "Purchase") and not corrects
        if is_usual and not {"maximum_amount", "cells"} & price.keys():
            # Without a maximum, what is billed is what was agreed upon: rounded by line, part and discount.
            unit = Fraction(1, 10 ** DECIMALS[line.currency])
            assert abs(Fraction(row["BilledCost"]) - Fraction(row["ContractedCost"])) <= 3 * unit, row
            kept = 1 - Fraction(str(price.get("discount_percent", 0))) / 100
            assert Fraction(row["ContractedUnitPrice"]) == Fraction(row["ListUnitPrice"]) * kept


def _sum(values: Iterable[Decimal]) -> Fraction:
    return sum((Fraction(value) for value in values), Fraction(0))
