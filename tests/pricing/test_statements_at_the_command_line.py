"""Statements with amounts, and late usage in money, as people see them at the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.cli.conftest import Run, pymeter

__all__ = ["pymeter"]

UNIT = '{"model": "unit", "unit_amount": 10, "currency": "EUR"}'
FEE = '{"model": "flat", "flat_amount": 20}'
MAY, JUNE, JULY, AUGUST = (
    ("--since", f"2026-0{month}-01", "--until", f"2026-0{month + 1}-01") for month in (5, 6, 7, 8)
)


@pytest.fixture(autouse=True)
def _priced(pymeter: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    pymeter("define", "tokens", "sum", "token")
    pymeter("plan", "define", "pro")
    pymeter("price", "define", "pro", "tokens", UNIT, "-m", "tokens", "--name", "Tokens")
    pymeter("price", "define", "pro", "base", FEE, "--name", "Platform fee")
    pymeter("subscribe", "acct_1", "pro", "--since", "2026-06-01")


def record(pymeter: Run, quantity: int, day: str, subject: str = "acct_1", **metadata: str) -> None:
    at = day if len(day) > len("06-10") else f"2026-{day}T14:00Z"
    more = ("--metadata", json.dumps(metadata)) if metadata else ()
    assert pymeter("record", subject, "tokens", str(quantity), "--at", at, *more).status == 0


def closed(pymeter: Run, window: tuple[str, ...], subject: str = "acct_1") -> str:
    done = pymeter("close", subject, *window, "--json")
    assert done.status == 0, done.err
    return str(done.json["statement_id"])


def words(shown: str) -> list[list[str]]:
    return [line.split() for line in shown.splitlines()]


def fits(shown: str, columns: int = 80) -> bool:
    return max(len(line.rstrip()) for line in shown.splitlines()) <= columns


def test_a_statement_with_prices_looks_like_the_invoice(pymeter: Run) -> None:
    record(pymeter, 1200, "06-10")
    invoice = pymeter("invoice", "acct_1", *JUNE).out.splitlines()
    done = pymeter("close", "acct_1", *JUNE).out
    first, title, *sheet = done.splitlines()
    assert first.endswith(" of acct_1: 2026-06-01 → 2026-07-01 UTC, 3 lines")
    assert title.endswith(" of acct_1  2026-06-01 → 2026-07-01 UTC")
    assert sheet[: len(invoice) - 1] == invoice[1:]
    assert ["Platform", "fee", "1", "20", "20.00", "EUR"] in words(done)
    assert ["Tokens", "1,200", "token", "10", "12,000.00", "EUR"] in words(done)
    assert ["total", "12,020.00", "EUR"] in words(done)
    assert fits(done)
    number = first.split()[2]
    assert pymeter("statement", number).out.splitlines() == [title, *sheet]
    assert pymeter("invoice", "acct_1", *JUNE).out.splitlines()[1:] == invoice[1:]


def test_a_statement_is_json_and_csv_with_its_amounts(pymeter: Run) -> None:
    record(pymeter, 5, "06-10")
    number = closed(pymeter, JUNE)
    found = pymeter("statement", number, "--json").json
    assert found["totals"] == {"EUR": "70.00"}
    assert [(one["kind"], one["amount"]) for one in found["items"]] == [
        ("fee", "20.00"),
        ("usage", "50.00"),
        ("total", "70.00"),
    ]
    document = json.loads(pymeter("statement", number, "--document").out)
    assert [line["amount"] for line in document["lines"]] == ["20.00", "50.00", "70.00"]
    head, *rows = pymeter("statement", number, "--csv").out.splitlines()
    amount = head.split(",").index("amount")
    assert [Decimal(row.split(",")[amount]) for row in rows] == [20, 50, 70]
    (row,) = pymeter("statement", "acct_1", "--json").json
    assert row["totals"] == {"EUR": "70.00"}


def test_lists_of_statements_have_their_totals(pymeter: Run) -> None:
    record(pymeter, 5, "06-10")
    record(pymeter, 5, "06-10", subject="acct_2")
    without = closed(pymeter, JUNE, subject="acct_2")
    assert "total" not in pymeter("statement").out, "nothing has a price yet"
    number = closed(pymeter, JUNE)
    shown = words(pymeter("statement").out)
    assert [number, "acct_1", "2026-06", "3", "70.00", "EUR"] in [row[:6] for row in shown]
    assert [without, "acct_2", "2026-06", "1", "-"] in [row[:5] for row in shown]


def test_a_statement_without_prices_is_a_table_of_quantities(pymeter: Run) -> None:
    record(pymeter, 5, "06-10", subject="acct_2")
    number = closed(pymeter, JUNE, subject="acct_2")
    shown = pymeter("statement", number).out
    assert ["metric", "quantity", "unit", "events"] in words(shown)
    assert ["tokens", "5", "token", "1"] in words(shown)
    assert not {"total", "rate", "amount"} & set(shown.split())
    invoice = pymeter("invoice", "acct_2", *JUNE)
    assert invoice.status == 0, invoice.err
    assert ["tokens", "5", "token", "no", "price"] in words(invoice.out)
    assert "no plan of the subject has a price for this metric" in invoice.out


def test_closing_tells_totals_by_currency(pymeter: Run) -> None:
    pymeter("plan", "define", "yen")
    pymeter("price", "define", "yen", "base", '{"model": "flat", "flat_amount": 300, "currency": "JPY"}')
    for subject, plan in (("acct_2", "pro"), ("acct_3", "yen"), ("acct_4", "yen")):
        pymeter("subscribe", subject, plan, "--since", "2020-01-01")
    for subject in ("acct_1", "acct_2", "acct_3", "acct_4", "acct_5"):
        record(pymeter, 5, "06-10", subject=subject)
    done = pymeter("close")
    assert done.out.splitlines()[0].startswith("✓ closed 5 periods of 5 subjects: ")
    assert done.out.splitlines()[0].endswith(": 40.00 EUR, 600 JPY")
    assert [row[-2:] for row in words(done.out) if row[1:2] == ["acct_3"]] == [["300", "JPY"]]
    assert [row[-1:] for row in words(done.out) if row[1:2] == ["acct_5"]] == [["-"]]
    assert fits(done.out)
    rows = pymeter("statement", "--json").json
    assert {row["subject"]: row["totals"] for row in rows} == {
        "acct_1": {"EUR": "20.00"},
        "acct_2": {"EUR": "20.00"},
        "acct_3": {"JPY": "300"},
        "acct_4": {"JPY": "300"},
        "acct_5": {},
    }


def test_a_sum_with_an_unknown_total_is_unknown(pymeter: Run) -> None:
    matrix = (
        '{"model": "matrix", "dimensions": ["size"], "cells": [{"when": {"size": "s"}, "unit_amount": 1}]}'
    )
    pymeter("price", "define", "pro", "tokens", matrix, "-m", "tokens", "--since", "2026-01-01")
    pymeter("subscribe", "acct_2", "pro", "--since", "2020-01-01")
    last_month = (datetime.now(UTC).replace(day=1) - timedelta(days=5)).isoformat()
    record(pymeter, 5, last_month, "acct_2", size="xl")
    record(pymeter, 5, last_month, "acct_1", size="s")
    done = pymeter("close")
    assert done.out.splitlines()[0].endswith(": unknown EUR")
    assert [row[-2:] for row in words(done.out) if row[1:2] == ["acct_1"]] == [["25.00", "EUR"]]
    assert [row[-2:] for row in words(done.out) if row[1:2] == ["acct_2"]] == [["unknown", "EUR"]]


def test_late_usage_has_its_amount_and_deciding_says_what_it_adds(
    pymeter: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(pymeter, 5, "05-10")
    may = closed(pymeter, MAY)
    record(pymeter, 5, "06-10")
    june = closed(pymeter, JUNE)
    record(pymeter, 3, "05-11")
    assert "amount" not in pymeter("late", "acct_1").out, "nothing that is open has a price"
    record(pymeter, 3, "06-11")
    shown = pymeter("late", "acct_1").out
    assert fits(shown)
    assert [may, "acct_1", "2026-05", "5", "8", "+3", "no", "price"] in words(shown)
    assert [june, "acct_1", "2026-06", "5", "8", "+3", "+30.00"] in words(shown)
    monkeypatch.setenv("COLUMNS", "130")
    wide = words(pymeter("late", "acct_1").out)
    assert [june, "acct_1", "tokens", "2026-06", "5", "8", "-", "+3", "token", "+30.00", "EUR"] in wide
    rows = pymeter("late", "acct_1", "--json").json
    assert [(row["amount"], row["currency"]) for row in rows] == [(None, None), ("30.00", "EUR")]
    conflict = pymeter("late", "--settle", june, "tokens", "2", "bill")
    assert (conflict.status, "next statement" in conflict.out) == (1, False)
    done = pymeter("late", "--settle", june, "tokens", "3", "bill").out
    assert done.splitlines() == [
        f"✓ tokens of statement {june}: billed 3, waived 0 token in all",
        "the subject's next statement: +30.00 EUR",
    ]
    waived = pymeter("late", "--settle", may, "tokens", "3", "waive").out
    assert waived == f"✓ tokens of statement {may}: billed 0, waived 3 token in all\n"


def test_late_lines_are_a_section_of_their_own_that_names_their_periods(
    pymeter: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(pymeter, 5, "06-10")
    june = closed(pymeter, JUNE)
    assert "earlier periods" not in pymeter("invoice", "acct_1", *JULY).out
    record(pymeter, 3, "06-11")
    pymeter("late", "--settle", june, "tokens", "3", "bill")
    record(pymeter, 1, "07-11")
    invoice = pymeter("invoice", "acct_1", *JULY).out
    own, section, earlier = invoice.partition(" usage of earlier periods")
    assert section, invoice
    assert ["Tokens", "1", "token", "10", "10.00", "EUR"] in words(own)
    assert ["Tokens", "3", "token", "10", "30.00", "EUR"] in words(earlier)
    assert f"2026-06-01 → 2026-07-01 (statement {june}), now: units 1 to 8: 8 x 10" in earlier
    assert words(earlier)[-2:] == [["total", "60.00", "EUR"], []]
    assert fits(invoice)
    monkeypatch.setenv("COLUMNS", "35")
    narrow = [line.rstrip() for line in pymeter("invoice", "acct_1", *JULY).out.splitlines()]
    assert narrow.index("usage of earlier periods") < narrow.index("  3 token at 10")
    assert fits("\n".join(narrow), 35)
    monkeypatch.setenv("COLUMNS", "80")
    july = closed(pymeter, JULY)
    head, sheet = pymeter("invoice", "acct_1", *JULY).out.split("\n", 1)
    assert (head.endswith(f"  statement {july}"), sheet) == (True, invoice.split("\n", 1)[1])
    assert invoice.split("\n", 1)[1].rstrip() in pymeter("statement", july).out
