"""A statement with amounts, its decisions, and what they were computed from, changed past the guards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg.types.json import Jsonb

from tests.close.closing import GUARDED, without_guard
from tests.close.test_tampering import _changed, every_change, named
from tests.databases import Databases
from tests.helpers import Ledger, at_length
from tests.pricing.billing import SUBJECT, Billing, flat
from tests.pricing.closings import AUGUST, JULY, JUNE, close, settle_all

TIERS = {
    "model": "graduated",
    "tiers": [{"up_to": 10, "unit_amount": "2"}, {"up_to": None, "unit_amount": "3", "flat_amount": "1"}],
    "discount_percent": 10,
    "minimum_amount": 5,
}
MATRIX = {"model": "matrix", "dimensions": ["m"], "cells": [{"when": {"m": "*"}, "unit_amount": "2"}]}


@pytest.fixture(scope="module")
def meter_template(databases: Databases, pymeter_template: str) -> Iterator[str]:
    with databases.filled("priced", pymeter_template, lambda connection: fill(Ledger(connection))) as name:
        yield name


def fill(ledger: Ledger) -> None:
    billing = Billing(ledger, metrics={"tokens": "sum", "seats": "max", "calls": "count", "idle": "sum"})
    billing.price("tokens", TIERS, name="Tokens")
    billing.price("tokens", {**TIERS, "maximum_amount": 90}, since="2026-06-16")
    billing.price("seats", flat("7"))
    billing.price("calls", MATRIX)
    billing.fee("base", flat("30"), bill="advance")
    ledger.call("set_plan_minimum", plan="pro", amount=500)
    for month in (JUNE, JULY, AUGUST):
        for day in (5, 20):
            moment = f"{month:%Y-%m}-{day:02}"
            billing.use(20, moment)
            billing.use(3, moment, "seats")
            billing.use(None, moment, "calls", metadata={"m": "x"})
        if month > JUNE:
            billing.use(7, "2026-06-21")
            billing.use(None, "2026-06-21", "calls", metadata={"m": "y"})
            billing.use(2, f"{month:%Y-%m}-02")
            settle_all(ledger)
        close(ledger, month)
    assert ledger.call("verify_statements") == []


@pytest.fixture
def priced(ledger: Ledger) -> Ledger:
    """Statements 1, 2 (late lines of 1), 3 (late lines of both): every kind of line, several segments."""
    return ledger


@pytest.mark.at_length
@pytest.mark.parametrize("statement", at_length([1, 3], [1, 2, 3]))
@pytest.mark.parametrize("table", GUARDED)
def test_a_change_of_any_column_of_any_line_is_named(priced: Ledger, table: str, statement: int) -> None:
    """In the suite, of one line of each kind: of statement 3, of those kinds that 1 has not."""
    numbers = priced.value(
        "SELECT array_agg(line) FILTER (WHERE statement_id = %s)"
        " FROM (SELECT statement_id, line,"
        " row_number() OVER (PARTITION BY kind ORDER BY statement_id, line) AS n"
        " FROM meter.statement_lines WHERE statement_id = ANY (%s)) l WHERE n <= %s",
        [statement, at_length([1, 3], [statement]), at_length(1, 1000)],
    )
    picks = [""] if table == "statements" else [f" AND line = {line}" for line in numbers]
    tried = 0
    for pick in picks:
        for change in every_change(priced, table, f"statement_id = {statement}{pick}"):
            with priced.connection.transaction(force_rollback=True):
                if _changed(priced, change) is None:
                    continue
                tried += 1
                found = named(priced)
                assert statement in {one[0] for one in found} or "statement_id" in change, change
                assert found, change
    assert tried > 20
    assert named(priced) == set()


def test_any_part_of_what_a_statement_was_computed_from_is_named(priced: Ledger) -> None:
    """Every key of it, one after the other, without, and with another value of each type."""
    basis = priced.value("SELECT basis FROM meter.statements WHERE statement_id = 1")
    paths = [[key] for key in basis] + [["scope", key] for key in basis["scope"]]
    paths += [
        [array, "0", key] for array in ("segments", "usage", "fees", "minimums") for key in basis[array][0]
    ]
    others = [None, "x", -1, True, [], {}, [1], "infinity", {"a": [1]}]
    for path in paths:
        for other in (*others, "removed"):
            with priced.connection.transaction(force_rollback=True):
                value = "basis #- %s" if other == "removed" else "jsonb_set(basis, %s, %s)"
                given = [path] if other == "removed" else [path, Jsonb(other)]
                priced.execute("ALTER TABLE meter.statements DISABLE TRIGGER USER")
                done = priced.connection.execute(
                    f"UPDATE meter.statements SET basis = {value}"
                    f" WHERE statement_id = 1 AND basis IS DISTINCT FROM {value}",
                    [*given, *given],
                )
                if done.rowcount:
                    assert (1, "hash", None) in named(priced), (path, other)


DECISIONS = [
    "'[]'", "'{}'", "'{\"a\": 1}'", "'5'", "'null'", "null", "'[1]'", "'[{}]'", "'[{\"segment\": \"x\"}]'",
    "'[{\"segment\": 1, \"quantity\": \"x\"}]'", "jsonb_set({0}, '{{0,quantity}}', '99')",
    "jsonb_set({0}, '{{0,segment}}', '7')", "jsonb_set({0}, '{{0,event_count}}', '99')", "{0} || {0}",
    "jsonb_set({0}, '{{0,quantity}}', '1e9')", "jsonb_set({0}, '{{0,combinations}}', '5')",
    "jsonb_set({0}, '{{0,combinations}}', '[{\"when\": 5}]')",
]  # fmt: skip


@pytest.mark.parametrize("column", ["logged", "billed"])
@pytest.mark.parametrize("value", DECISIONS)
def test_what_a_decision_was_computed_from_is_named_if_it_is_changed(
    priced: Ledger, column: str, value: str
) -> None:
    """Of every decision that stands on a statement."""
    ids = [row.decision_id for row in priced.rows("SELECT decision_id FROM meter.late_decisions ORDER BY 1")]
    assert len(ids) > 3
    for number in ids:
        with priced.connection.transaction(force_rollback=True):
            expression = value.replace("{{", "{").replace("}}", "}").replace("{0}", column)
            done = priced.connection.execute(
                f"UPDATE meter.late_decisions SET {column} = {expression}"
                f" WHERE decision_id = {number} AND {column} IS DISTINCT FROM {expression}".encode()
            )
            if done.rowcount:
                found = named(priced)
                assert "late" in {what for _, what, _ in found}, (number, expression)
                assert {what for _, what, _ in found} == {"late"}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE meter.late_decisions SET quantity = quantity + 1",
        "UPDATE meter.late_decisions SET decision = 'waive'",
        "UPDATE meter.late_decisions SET metric = 'idle'",
        "UPDATE meter.late_decisions SET billed_on = null",
        "DELETE FROM meter.late_decisions",
    ],
)
def test_a_decision_that_is_changed_or_gone_is_named(priced: Ledger, change: str) -> None:
    ids = [row.decision_id for row in priced.rows("SELECT decision_id FROM meter.late_decisions ORDER BY 1")]
    for number in ids:
        with priced.connection.transaction(force_rollback=True):
            priced.execute(f"{change} WHERE decision_id = {number}")
            assert {what for _, what, _ in named(priced)} == {"late"}, number


def test_usage_that_was_changed_in_the_log_is_named_by_its_first_line(priced: Ledger) -> None:
    with priced.connection.transaction(force_rollback=True):
        without_guard(
            priced,
            [
                "UPDATE meter.events SET quantity = quantity + 1 WHERE at = '2026-06-05' AND series_id ="
                " (SELECT series_id FROM meter.series WHERE metric = 'tokens' AND stripe = 0)"
            ],
        )
        (row,) = priced.call("verify_statements", subject=SUBJECT)
        assert (row.statement_id, row.what, row.metric) == (1, "log", "tokens")
        line = priced.row(
            "SELECT * FROM meter.statement_lines WHERE statement_id = 1 AND line = %s", [row.line]
        )
        assert (line.metric, line.kind) == ("tokens", "usage")
