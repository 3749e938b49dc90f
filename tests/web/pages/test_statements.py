"""A statement, its seal, and what came late: seen, billed or waived by a person."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from psycopg.types.json import Jsonb

from pymeter.web.pages import late
from tests.helpers import Ledger, at
from tests.web.conftest import Api
from tests.web.pages.conftest import signed_in
from tests.web.pages.reading import Page, read, rows_of_csv, run, send

SINCE, UNTIL = at("2026-06-01"), at("2026-07-01")
HOSTILE = '<img src=x onerror="alert(1)">/\u05e9\u05dc\u05d5\u05dd'


@pytest.fixture
def client(api: Api) -> httpx.Client:
    return signed_in(api, "read", "admin")


@pytest.fixture
def close(metered: Ledger) -> Callable[..., int]:
    """``close("acct_9", 15)``: the id of a statement of June with so many tokens, at 2 EUR each."""
    metered.call("define_plan", plan="pro")
    price = {"model": "unit", "unit_amount": 2, "currency": "EUR"}
    metered.call("define_price", plan="pro", item="tokens", price=Jsonb(price), metric="tokens")

    def made(subject: str, quantity: int) -> int:
        metered.call("subscribe", subject=subject, plan="pro", since=at("2026-01-01"))
        metered.record(subject, "tokens", quantity, at=at("2026-06-10"))
        return int(metered.call("close_period", subject=subject, since=SINCE, until=UNTIL)[0].statement_id)

    return made


def come_late(ledger: Ledger, subject: str, quantity: int, **named: Any) -> None:
    ledger.record(subject, "tokens", quantity, at=at("2026-06-20"), **named)


def settle(client: httpx.Client, statement: int, decision: str, reason: str = "") -> Page:
    page = read(client, "/late-line", statement=statement, metric="tokens")
    return send(client, page, "/late-line/settle", decision=decision, reason=reason)


def test_a_statement_shows_its_lines_as_the_function_returns_them(
    client: httpx.Client, metered: Ledger, close: Callable[..., int]
) -> None:
    one = close(HOSTILE, 15)
    listed = read(client, "/statements")
    assert listed.tables["statements"][0][:3] == [str(one), HOSTILE, "30.00 EUR"]
    assert "2026-06-01 to 2026-07-01" in listed.source
    page = read(client, "/statement", id=one)
    assert "<img" not in page.source
    assert page.column("lines", -1) == ["30.00 EUR", "30.00 EUR"]
    (statement,) = [text for text in page.statements if ".statement(" in text]
    lines = run(metered, statement)
    assert [line.amount for line in lines] == [Decimal("30.00")] * 2
    rows = rows_of_csv(client, "/statement", "lines", id=one)
    assert [row["explanation"] for row in rows] == [line.explanation for line in lines]
    assert all(line.explanation in page.text for line in lines)


def test_the_document_has_the_hash_that_the_page_shows(
    client: httpx.Client, close: Callable[..., int]
) -> None:
    one = close(HOSTILE, 15)
    page = read(client, "/statement", id=one)
    answer = client.get(page.links["Sealed document"])
    assert answer.headers["Content-Disposition"] == f'attachment; filename="statement-{one}.json"'
    assert hashlib.sha256(answer.content).hexdigest() in page.text


def test_the_invoice_is_a_page_of_its_own_whose_style_the_browser_accepts(
    client: httpx.Client, close: Callable[..., int]
) -> None:
    page = read(client, "/statement", id=close(HOSTILE, 15))
    answer = client.get(page.links["Invoice"])
    assert "30.00" in answer.text
    assert "<img" not in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert answer.text.count("<style>") == 1


def test_only_a_key_of_admin_verifies_and_it_finds_what_was_changed(
    api: Api, client: httpx.Client, metered: Ledger, close: Callable[..., int]
) -> None:
    one = close("acct_9", 15)
    assert "All statements of this subject fit" not in read(client, "/statement", id=one).text
    assert "All statements of this subject fit" in read(client, "/statement", id=one, verify=1).text
    reader = read(signed_in(api, "read"), "/statement", id=one, verify=1)
    assert "pymeter key create admin" in reader.text
    assert "All statements of this subject fit" not in reader.text
    metered.execute("ALTER TABLE meter.statement_lines DISABLE TRIGGER ALL")
    metered.execute("UPDATE meter.statement_lines SET quantity = 14 WHERE line = 1")
    assert "hash" in read(client, "/statement", id=one, verify=1).column("problems", 1)


def test_a_statement_says_what_was_decided_since_and_where_it_stands(
    client: httpx.Client, metered: Ledger, close: Callable[..., int]
) -> None:
    one = close("acct_9", 15)
    assert "decided" not in read(client, "/statement", id=one).tables
    come_late(metered, "acct_9", 4)
    settle(client, one, "bill")
    come_late(metered, "acct_9", 3)
    settle(client, one, "waive")
    page = read(client, "/statement", id=one)
    assert "Nothing waits for a decision." in page.text
    billed, waived = page.tables["decided"]
    assert billed[:4] == ["Tokens", "billed", "4", "8.00 EUR"]
    assert billed[4].startswith("the invoice of ")
    assert billed[4].endswith(", not closed yet")
    assert page.links[billed[4]] == "/subject/invoice?subject=acct_9"
    assert waived == ["Tokens", "waived", "3", "\N{EN DASH}", "never billed"]
    (statement,) = [text for text in page.statements if "decided => true" in text]
    (row,) = run(metered, statement)
    assert (row.billed, row.waived, row.delta) == (4, 3, 0)
    metered.record("acct_9", "tokens", 1, at=at("2026-07-10"))
    next_one = metered.call("close_period", subject="acct_9", since=UNTIL, until=at("2026-08-01"))[0]
    page = read(client, "/statement", id=one)
    where = f"statement {next_one.statement_id}"
    assert page.tables["decided"][0] == ["Tokens", "billed", "4", "8.00 EUR", where]
    assert page.links[where] == f"/statement?id={next_one.statement_id}"


def test_usage_of_an_earlier_period_leads_to_what_explains_it(
    client: httpx.Client, metered: Ledger, close: Callable[..., int]
) -> None:
    one = close("acct_9", 15)
    (event,) = metered.call("events", subject="acct_9")
    named = {"subject": "acct_9", "metric": "tokens", "event_id": event.event_id}
    (voided,) = metered.call("void_event", **named, reason="test")
    settle(client, one, "bill")
    invoice = read(client, "/subject/invoice", subject="acct_9")
    (row,) = [row for row in invoice.tables["invoice"] if "what changed" in row]
    assert row[-1] == "\N{MINUS SIGN}30.00 EUR"
    explained = read(client, invoice.links["what changed"])
    (change,) = explained.tables["changes"]
    assert change[1:4] == ["Tokens", "void", "\N{MINUS SIGN}15"]
    assert explained.links[change[-1]] == f"/correction?id={voided.correction_id}"


@pytest.mark.parametrize("decision", ["bill", "waive"])
def test_late_usage_is_decided_once(
    client: httpx.Client, metered: Ledger, close: Callable[..., int], decision: str
) -> None:
    one = close("acct_9", 15)
    come_late(metered, "acct_9", 4)
    assert read(client, "/late-usage").tables["late"][0][-3:] == ["4", "8.00 EUR", "Decide"]
    assert read(client, "/statement", id=one).column("changes", 3) == ["4"]
    line = read(client, "/late-line", statement=one, metric="tokens")
    assert "8.00 EUR" in line.text
    page = settle(client, one, decision, "agreed")
    told = "billed with the next statement: 8.00 EUR" if decision == "bill" else "is waived"
    assert told in page.text
    assert "late" not in page.tables
    (row,) = metered.rows("SELECT decision, quantity, reason FROM meter.late_decisions")
    assert row == (decision, 4, "agreed")
    again = send(client, line, "/late-line/settle", decision=decision, reason="")
    assert "was left to decide" in again.text
    assert len(metered.rows("SELECT FROM meter.late_decisions")) == 1


def test_nothing_is_decided_about_usage_that_the_person_has_not_seen(
    client: httpx.Client, metered: Ledger, close: Callable[..., int]
) -> None:
    one = close("acct_9", 15)
    come_late(metered, "acct_9", 4)
    line = read(client, "/late-line", statement=one, metric="tokens")
    come_late(metered, "acct_9", 3)
    page = send(client, line, "/late-line/settle", decision="bill", reason="")
    assert page.status == 409
    assert "Open are 7 now. Nothing was decided." in page.text
    assert metered.rows("SELECT FROM meter.late_decisions") == []


def test_without_a_key_of_admin_late_usage_is_seen_but_not_decided(
    api: Api, metered: Ledger, close: Callable[..., int]
) -> None:
    one = close("acct_9", 15)
    come_late(metered, "acct_9", 4)
    page = read(signed_in(api, "read"), "/late-line", statement=one, metric="tokens")
    assert "To bill or waive it needs a key of the level admin" in page.text
    assert not [form for form in page.forms if "/late-line" in form["action"]]


def test_pages_of_late_usage_show_each_line_once(
    client: httpx.Client, metered: Ledger, close: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    metered.define("requests", "count", "request")
    for number in range(4):
        close(f"late_{number}", 15)
        come_late(metered, f"late_{number}", 4)
        metered.record(f"late_{number}", "requests", at=at("2026-06-20"))
    expected = [(row.statement_id, row.metric) for row in metered.call("late_usage")]
    assert len(expected) == 8
    for rows in (2, 3, 4, 5, 8, 9):
        monkeypatch.setattr(late, "_ROWS", rows)
        shown: list[tuple[int, str]] = []
        address = "/late-usage"
        while address:
            page = read(client, address)
            shown += [(int(row[0]), row[1].lower()) for row in page.tables.get("late", [])]
            address = f"/late-usage{page.links['Next page']}" if "Next page" in page.links else ""
        assert shown == expected, rows


def test_statements_come_in_pages_and_of_one_subject(
    client: httpx.Client, metered: Ledger, close: Callable[..., int]
) -> None:
    ids = [close(f"many_{number}", number + 1) for number in range(52)]
    page = read(client, "/statements")
    assert page.column("statements", 0) == [str(one) for one in ids[:1:-1]]
    assert read(client, f"/statements{page.links['Next page']}").column("statements", 0) == [
        str(one) for one in ids[1::-1]
    ]
    assert read(client, "/statements", subject="many_7").column("statements", 0) == [str(ids[7])]
    assert len(rows_of_csv(client, "/statements", "statements")) == 52
