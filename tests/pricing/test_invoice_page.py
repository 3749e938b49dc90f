"""The page of an invoice says what the invoice says, to people, and nothing of it can run or be fetched."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymeter import Meter
from pymeter.invoice_page import Draft, Letter, draft_page
from pymeter.invoice_page.words import shortened
from pymeter.models import Invoice, InvoiceHeader, InvoiceLine, InvoiceTotal
from tests.cli.conftest import Run, pymeter
from tests.helpers import examples
from tests.pricing.pages import Page

__all__ = ["pymeter"]

MAY, JUNE, JULY = (
    {"since": datetime(2026, month, 1, tzinfo=UTC), "until": datetime(2026, month + 1, 1, tzinfo=UTC)}
    for month in (5, 6, 7)
)
NOTHING = InvoiceTotal(exact_amount=None, amount=None)
FEE: dict[str, Any] = {"kind": "fee", "currency": "EUR", **JUNE}
GRADUATED = {
    "model": "graduated",
    "currency": "EUR",
    "tiers": [
        {"up_to": 1000, "unit_amount": "0.01"},
        {"up_to": 5000, "unit_amount": "0.002", "flat_amount": "1.5"},
        {"up_to": None, "unit_amount": "0.0005"},
    ],
    "discount_percent": 10,
}
# Characters that could end a text, an attribute, a style or a comment; that control a terminal; that reorder.
EVIL = "</style></title>--><script>alert(1)</script><img src=x onerror=y>\"'&amp;{{ 7*7 }}\x1b[2J\u202e"


def options(window: dict[str, datetime]) -> tuple[str, ...]:
    return "--since", window["since"].isoformat(), "--until", window["until"].isoformat()


@pytest.fixture
def priced(meter: Meter) -> Meter:
    """A subject with a fee, tiers and a discount, and usage in May and June."""
    meter.define_metric("tokens", "sum", "token")
    meter.define_metric("storage", "sum", "GB")
    meter.define_plan("pro")
    meter.define_price("pro", "tokens", GRADUATED, metric="tokens", name="Tokens")
    meter.define_price("pro", "base", {"model": "flat", "flat_amount": 20}, name="Platform fee")
    meter.subscribe("acct_1", "pro", since=datetime(2026, 1, 1, tzinfo=UTC))
    for month in (5, 6):
        at = datetime(2026, month, 10, tzinfo=UTC)
        meter.record("acct_1", "tokens", "6000.5", at=at)
        meter.record("acct_1", "storage", "12.25", at=at)
    return meter


def page(pymeter: Run, *args: str, subject: str | None = None) -> Page:
    done = pymeter(*args, "--html", *(() if subject is None else ("--", subject)))
    assert done.status == 0, done.err
    return Page(done.out)


def invoice_page(pymeter: Run, window: dict[str, datetime] = JUNE, *args: str) -> Page:
    return page(pymeter, "invoice", "acct_1", *options(window), *args)


def agrees(shown: Page, found: Invoice) -> None:
    """Every line of the invoice is a row, nothing else is, and what a reader adds up is what is charged."""
    lines = [line for line in found.lines if line.kind not in ("credit", "tax")]
    assert sorted(map(repr, (row[4] for row in shown.rows))) == sorted(repr(line.amount) for line in lines)
    counted = [_number(row[1]) for row in shown.rows if row[1]]
    assert sorted(counted) == sorted(line.quantity for line in lines if line.quantity is not None)
    for _, said, rows in shown.groups:
        if len(rows) > 1 and None not in rows and said is not None:
            assert said == sum(rows)  # type: ignore[arg-type]
    totals = {f"{total.amount:,f} {currency}" for currency, total in found.totals.items()}
    assert {amount for title, amount in shown.sums if title == "Total"} == totals
    assert set(shown.words("p", "due")) == totals


def test_a_page_has_the_lines_and_sums_of_the_invoice(pymeter: Run, priced: Meter) -> None:
    shown = invoice_page(pymeter)
    agrees(shown, priced.invoice_json("acct_1", **JUNE))
    assert shown.words("th", "amount") == ["Amount (EUR)"]
    fee, *tiers, discount, storage = shown.rows
    assert fee == ("Platform fee one cycle", "1", "", "20", Decimal("20.00"))
    assert tiers[0] == ("units 1 to 1,000", "1,000", "token", "0.01", Decimal("10.00"))
    assert tiers[1][0] == "units 1,001 to 5,000: 4,000 \N{MULTIPLICATION SIGN} 0.002 + 1.5", (
        "it is no plain product"
    )
    assert (discount[0], discount[4]) == ("discount: 10% of 20.00025", Decimal("-2.00"))
    assert storage == ("Storage", "12.25", "GB", "", None)
    assert [title for title, _, _ in shown.groups] == ["Platform fee", "Tokens", "Storage"]
    assert shown.words("tbody", "section") == ["Plan pro", "Usage without a price"]


@examples(25)
@given(
    quantity=st.decimals("0.1", "20000", places=1),
    price=st.sampled_from(["0.1", "0.333", "7"]),
    tax=st.sampled_from([None, 0, 19]),
    credit=st.sampled_from([None, 1, 100000]),
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_whatever_is_billed_the_sums_on_the_page_are_those_of_the_invoice(
    module_dsn: str, quantity: Decimal, price: str, tax: int | None, credit: int | None, currency: str
) -> None:
    import psycopg

    with psycopg.connect(module_dsn) as connection:
        meter = Meter(connection)
        meter.define_metric("tokens", "sum", "token")
        meter.define_plan("pro")
        meter.define_price("pro", "tokens", GRADUATED | {"currency": currency}, metric="tokens")
        meter.define_price("pro", "other", {"model": "unit", "unit_amount": price}, metric="tokens")
        meter.set_plan_minimum("pro", 30)
        meter.subscribe("acct_1", "pro", since=datetime(2026, 1, 1, tzinfo=UTC))
        meter.record("acct_1", "tokens", quantity, at=datetime(2026, 6, 10, tzinfo=UTC))
        if tax is not None:
            meter.set_tax("acct_1", tax, name="VAT")
        if credit is not None:
            meter.grant_credit(
                "acct_1", credit, currency, idempotency_key="k", since=datetime(2026, 1, 1, tzinfo=UTC)
            )
        found = meter.invoice_json("acct_1", **JUNE)
        connection.rollback()
    shown = Page(draft_page(found, Draft("It is a test.", datetime(2026, 6, 20, tzinfo=UTC)), Letter()))
    agrees(shown, found)
    *between, (_, total) = [(title, _number(amount)) for title, amount in shown.sums]
    lines = sum(row[4] for row in shown.rows if row[4] is not None)
    assert total == lines + sum(amount for title, amount in between if title != "Subtotal")
    assert {amount for title, amount in between if title == "Subtotal"} <= {lines}


def _number(text: str) -> Decimal:
    return Decimal(text.split()[0].replace(",", "").replace("\N{MINUS SIGN}", "-"))


def test_a_statement_has_its_number_and_hash_and_is_no_draft(pymeter: Run, priced: Meter) -> None:
    priced.close_period("acct_1", **MAY)
    before = invoice_page(pymeter)
    header = priced.close_period("acct_1", **JUNE)
    shown = page(pymeter, "statement", str(header.statement_id))
    (footer,) = shown.words("footer")
    assert f"Statement {header.statement_id}, closed " in footer
    assert f"SHA-256 {header.hash} follows {header.previous_hash}" in footer
    assert "raft" not in shown.text
    assert shown.elements("p", "draft") == []
    assert (shown.rows, shown.groups, shown.sums) == (before.rows, before.groups, before.sums)
    assert shown.words("p", "period") == ["1 Jun 2026 \N{EN DASH} 30 Jun 2026"]
    assert invoice_page(pymeter).text == shown.text, "the invoice of its window is the statement"
    mark = header.watermark.isoformat()
    (said,) = invoice_page(pymeter, JUNE, "--as-of", mark).words("p", "draft")
    assert said.startswith("The period was not closed yet. As of "), "it is computed anew"
    later = priced.watermark("acct_1").isoformat()
    assert invoice_page(pymeter, JUNE, "--as-of", later).text == shown.text


def test_an_invoice_that_is_not_final_says_so_and_as_of_when(pymeter: Run, priced: Meter) -> None:
    mark = priced.watermark("acct_1")
    year = str(datetime.now(UTC).year + 2)
    cases = [
        (("--since", f"{year}-01-01", "--until", f"{year}-02-01"), "The period has not ended."),
        (options(JUNE), "The period is not closed yet."),
        ((*options(JUNE), "--as-of", mark.isoformat()), "The period is not closed yet."),
    ]
    priced.close_period("acct_1", **MAY)
    cases.append(
        (("--since", "2026-05-03", "--until", "2026-05-04"), "The period is not one that was closed.")
    )
    for args, reason in cases:
        shown = page(pymeter, "invoice", "acct_1", *args)
        (said,) = shown.words("p", "draft")
        assert said.startswith(f"{reason} As of ")
        assert shown.words("span", "badge") == ["Draft"]
        assert shown.elements("title")[0].text.startswith("Invoice (draft): acct_1")  # type: ignore[union-attr]
        assert shown.elements("footer") == []
        assert '@top-right { content: "Draft"' in shown.text, "each printed page says it"
        if "--as-of" in args:
            assert mark.strftime("%H:%M:%S UTC") in said


def test_a_period_that_is_closed_meanwhile_is_shown_as_its_statement(
    pymeter: Run, priced: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = Meter.invoice_json

    def then_more_comes_and_it_is_closed(self: Meter, *args: Any, **more: Any) -> Invoice:
        found = computed(self, *args, **more)
        priced.record("acct_1", "tokens", 100000, at=datetime(2026, 6, 11, tzinfo=UTC))
        priced.close_period("acct_1", **JUNE)
        return found

    before = invoice_page(pymeter)
    monkeypatch.setattr(Meter, "invoice_json", then_more_comes_and_it_is_closed)
    shown = invoice_page(pymeter)
    monkeypatch.undo()
    assert shown.sums != before.sums
    agrees(shown, priced.invoice_json("acct_1", **JUNE))
    assert shown.elements("footer")


def test_late_lines_name_the_statement_that_they_belong_to(pymeter: Run, priced: Meter) -> None:
    may = priced.close_period("acct_1", **MAY).statement_id
    june = priced.close_period("acct_1", **JUNE).statement_id
    for month, statement in ((5, may), (6, june)):
        priced.record("acct_1", "tokens", 100, at=datetime(2026, month, 11, tzinfo=UTC))
        priced.settle_late_usage(statement, "tokens", 100, "bill")
    shown = invoice_page(pymeter, JULY)
    agrees(shown, priced.invoice_json("acct_1", **JULY))
    _, earlier = shown.body.split("Usage of earlier periods")
    for days, statement in (("1 May 2026 \N{EN DASH} 31 May", may), ("1 Jun 2026 \N{EN DASH} 30 Jun", june)):
        assert earlier.count(f"Tokens {days} 2026, statement {statement} ") == 1, earlier


def test_negative_and_large_quantities_are_written_as_amounts_are(pymeter: Run, priced: Meter) -> None:
    may = priced.close_period("acct_1", **MAY).statement_id
    priced.adjust("acct_1", "tokens", "-1500", reason="refund", at=datetime(2026, 5, 11, tzinfo=UTC))
    priced.settle_late_usage(may, "tokens", "-1500", "bill")
    shown = invoice_page(pymeter)
    now, no_longer, _ = shown.rows[-3:]
    assert now[:2] == (
        "now: units above 1,000 up to 4,500.5: 3,500.5 \N{MULTIPLICATION SIGN} 0.002 + 1.5",
        "\N{MINUS SIGN}499.5",
    )
    assert (no_longer[1], no_longer[4]) == ("\N{MINUS SIGN}1,000.5", Decimal("-0.50"))
    assert not re.search(r"(?<=[\s>])-\d", shown.body)
    assert not re.search(r"(?<![\d.,:-])\d{4,}(?![\d-])", shown.body.replace("2026", ""))


@pytest.mark.parametrize(
    ("explanation", "shown"),
    [
        ("units 100001 to 488007: 388006 x 0.00002", "units 100,001 to 488,007: 388,006 x 0.00002"),
        (
            "units above 1000.5 up to 20000.25: 18999.75 x 1",
            "units above 1,000.5 up to 20,000.25: 18,999.75 x 1",
        ),
        ("taken back: -8758 x 5000 + 20000", "taken back: -8,758 x 5,000 + 20,000"),
        ("in the period: 123456 / 1000 rounded up = 124, 2000 free",
         "in the period: 123,456 / 1,000 rounded up = 124, 2,000 free"),
        ("2.9% of 10000, and 300 for 1000 events", "2.9% of 10,000, and 300 for 1,000 events"),
        ("minimum 5000; without it: 3800", "minimum 5,000; without it: 3,800"),
        ("paid credit 12345: 3000 of 15000 left", "paid credit 12345: 3,000 of 15,000 left"),
        ("statement 12345: 2026-10-01 to 2026-11-01", "statement 12345: 2026-10-01 to 2026-11-01"),
        ("key 0123456789 to 0123456789abc", "key 0123456789 to 0123456789abc"),
        ("2000.1234567890123 x 3", "2,000.123456\N{HORIZONTAL ELLIPSIS} x 3"),
    ],
)  # fmt: skip
def test_quantities_of_an_explanation_have_separators_and_nothing_else_has(
    explanation: str, shown: str
) -> None:
    assert shortened(explanation) == shown


def test_subtotal_credits_and_taxes_stand_between_the_lines_and_the_total(
    pymeter: Run, priced: Meter
) -> None:
    priced.grant_credit("acct_1", 5, "EUR", idempotency_key="k", since=datetime(2026, 1, 1, tzinfo=UTC))
    priced.set_tax("acct_1", 19, name="VAT")
    assert invoice_page(pymeter).sums == [
        ("Subtotal", "38.00 EUR"),
        ("Credit 1", "\N{MINUS SIGN}5.00 EUR"),
        ("VAT", "6.27 EUR"),
        ("Total", "39.27 EUR"),
    ]


def test_without_any_price_it_is_a_list_of_quantities(pymeter: Run, priced: Meter) -> None:
    priced.record("acct_2", "tokens", 5, at=datetime(2026, 6, 10, tzinfo=UTC))
    draft = page(pymeter, "invoice", "acct_2", *options(JUNE))
    number = priced.close_period("acct_2", **JUNE).statement_id
    for shown in (draft, page(pymeter, "statement", str(number))):
        assert shown.words("h1")[0].startswith("Usage statement")
        assert ("Tokens", "5", "token", "", None) in shown.rows
        assert (shown.sums, shown.elements("data"), shown.elements("td", "amount")) == ([], [], [])
        assert not {"price", "Amount", "Total", "Bill"} & set(shown.body.split())


def test_nothing_at_all_is_said_in_words(pymeter: Run, meter: Meter) -> None:
    shown = page(pymeter, "invoice", "nobody")
    assert (shown.elements("table"), shown.words("p", "nothing")) == (
        [],
        ["Nothing was used in this period."],
    )


def test_an_unknown_amount_is_not_left_out_of_the_total(pymeter: Run, priced: Meter) -> None:
    cells = {
        "model": "matrix",
        "dimensions": ["size"],
        "cells": [{"when": {"size": "s"}, "unit_amount": 1}],
    }
    priced.define_price("pro", "storage", cells, metric="storage", since=MAY["since"])
    shown = invoice_page(pymeter)
    assert shown.sums == [("Total", "unknown EUR")]
    assert shown.words("p", "unknown")[0].startswith("A total is unknown, ")
    assert "error: no cell" in shown.body


def test_amounts_of_two_currencies_each_name_theirs(pymeter: Run, priced: Meter) -> None:
    middle = datetime(2026, 6, 16, tzinfo=UTC)
    priced.define_plan("yen")
    priced.define_price("yen", "base", {"model": "flat", "flat_amount": 3000, "currency": "JPY"}, name="Base")
    priced.unsubscribe("acct_1", "pro", at=middle)
    priced.subscribe("acct_1", "yen", since=middle)
    shown = invoice_page(pymeter)
    assert shown.words("th", "amount") == ["Amount"]
    assert [amount for title, amount in shown.sums if title == "Total"] == ["28.00 EUR", "1,500 JPY"]
    (base,) = [row for row in shown.rows if row[0].startswith("Base ")]
    assert base[0].startswith("Base 16 Jun 2026 \N{EN DASH} 30 Jun 2026 ")
    assert "1,500 JPY" in shown.words("data")


def test_days_are_those_of_the_zone_and_an_end_is_the_last_day(pymeter: Run, priced: Meter) -> None:
    def period(since: str, until: str) -> str:
        window = ("--since", since, "--until", until, "-z", "Europe/Berlin")
        return page(pymeter, "invoice", "acct_1", *window).words("p", "period")[0]

    assert period("2026-03-01", "2026-04-01") == "1 Mar 2026 \N{EN DASH} 31 Mar 2026"
    assert period("2026-03-29", "2026-03-30") == "29 Mar 2026"
    assert period("2026-06-01T00:00Z", "2026-06-02T00:00Z") == "1 Jun 2026 02:00 \N{EN DASH} 2 Jun 2026 02:00"


def test_hostile_names_are_texts(pymeter: Run, meter: Meter) -> None:
    meter.define_metric("tokens", "sum", EVIL, name=EVIL)
    meter.define_metric(f"u{EVIL}", "sum", EVIL)
    meter.define_plan(EVIL)
    when = {"model": "matrix", "dimensions": [EVIL], "cells": [{"when": {EVIL: EVIL}, "unit_amount": 1}]}
    meter.define_price(EVIL, EVIL, when, metric="tokens", name=EVIL)
    meter.define_price(EVIL, "base", {"model": "flat", "flat_amount": 20}, name=f"B{EVIL}")
    meter.set_plan_minimum(EVIL, 100)
    meter.subscribe(EVIL, EVIL, since=datetime(2026, 1, 1, tzinfo=UTC))
    meter.set_tax(EVIL, 19, name=EVIL)
    for metric in ("tokens", f"u{EVIL}"):
        meter.record(EVIL, metric, 5, at=datetime(2026, 6, 10, tzinfo=UTC), metadata={EVIL: EVIL})
    told = ("--from", EVIL, "--from", EVIL, "--to", EVIL, "--note", EVIL)
    draft = page(pymeter, "invoice", *options(JUNE), *told, subject=EVIL)
    number = meter.close_period(EVIL, **JUNE).statement_id
    seen = EVIL.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    for shown in (draft, page(pymeter, "statement", str(number), *told)):
        assert shown.elements("script") == shown.elements("img") == []
        assert len(shown.elements("style")) == len(shown.elements("title")) == 1
        texts = [*shown.words("bdi"), *shown.words("title")]
        assert sum(seen in text for text in texts) >= 12
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", shown.text)
        for one in shown.elements():
            assert set(one.attrib) <= ATTRIBUTES, one.tag
            assert EVIL[:8] not in "".join(one.attrib.values())


ATTRIBUTES = {"class", "value", "scope", "colspan", "lang", "charset", "name", "content", "http-equiv"}


def test_nothing_is_fetched_and_nothing_can_run(pymeter: Run, priced: Meter) -> None:
    shown = invoice_page(pymeter, JUNE, "--from", "Example Ltd", "--note", "by IBAN")
    assert {one.tag for one in shown.elements()}.isdisjoint(
        {"script", "link", "img", "iframe", "object", "embed", "svg", "form", "a", "base", "video", "audio"}
    )
    assert not re.search(r"url\(|@import|@font-face|https?:|//", shown.text)
    (policy,) = [one for one in shown.elements("meta") if one.get("http-equiv")]
    assert policy.get("http-equiv") == "Content-Security-Policy"
    assert policy.attrib["content"].startswith("default-src 'none'; style-src 'unsafe-inline'; ")


def test_texts_of_the_seller_are_lines(pymeter: Run, priced: Meter) -> None:
    told = (
        "--from",
        "Example, Inc.",
        "--from",
        "1 High Street\nLondon",
        "--to",
        "Anna GmbH",
        "--note",
        "Thanks",
    )
    shown = invoice_page(pymeter, JUNE, *told)
    assert shown.words("p", "brand") == ["Example, Inc."]
    seller, buyer, details = shown.words("section")
    assert (seller, buyer) == ("From Example, Inc. 1 High Street London", "Bill to Anna GmbH")
    assert details.startswith("Details Account acct_1 ")
    assert shown.words("div", "note") == ["Thanks"]
    assert invoice_page(pymeter).words("section")[0] == "Bill to acct_1"


def test_a_page_is_written_to_a_file(pymeter: Run, priced: Meter, tmp_path: Path) -> None:
    number = str(priced.close_period("acct_1", **JUNE).statement_id)
    file = tmp_path / "june.html"
    done = pymeter("statement", number, "--html", "-o", file, "--from", "Zürich \N{SNOWMAN}")
    assert (done.status, done.out, f"written to {file}" in done.err.replace("\n", "")) == (0, "", True)
    assert Page(file.read_text(encoding="utf-8")).words("p", "brand") == ["Zürich \N{SNOWMAN}"]
    nowhere = pymeter("statement", number, "--html", "-o", tmp_path / "missing" / "june.html")
    assert (nowhere.status, "No such file" in nowhere.err) == (2, True)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("invoice", "acct_1", "--html", "--json"), "--json and --html exclude each other"),
        (("invoice", "acct_1", "--html", "--csv"), "--csv and --html exclude each other"),
        (("invoice", "acct_1", "--from", "Example Ltd"), "--from needs --html"),
        (("statement", "1", "-o", "june.html"), "--output needs --html"),
        (("statement", "acct_1", "--html"), "need a statement's ID"),
        (("statement", "1", "--html", "--document"), "have no --html"),
    ],
)
def test_what_makes_no_page_is_refused(pymeter: Run, args: tuple[str, ...], said: str) -> None:
    done = pymeter(*args)
    assert (done.status, done.out) == (2, "")
    assert said in " ".join(done.err.replace("│", " ").split())


def test_without_jinja_all_else_works_and_the_page_says_what_to_install(
    pymeter: Run, priced: Meter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    file = tmp_path / "june.html"
    done = pymeter("invoice", "acct_1", "--html", "-o", file)
    assert (done.status, done.out, file.exists()) == (2, "", False)
    assert "--html needs Jinja2" in done.err
    assert "pip install 'pymeter-ledger[cli]'" in done.err
    assert pymeter("invoice", "acct_1").status == 0


def test_the_sum_of_an_item_is_exact_however_large() -> None:
    parts = [Decimal(10) ** 40, Decimal("0.01"), Decimal("-0.02")]
    lines = [InvoiceLine(item="a", amount=part, explanation="", **FEE) for part in parts]
    tax = InvoiceLine(kind="tax", item="VAT", amount=Decimal("0.00"), currency="EUR", explanation="", **JUNE)
    found = Invoice(
        header=InvoiceHeader(subject="acct_1", **JUNE), lines=[*lines, tax], totals={"EUR": NOTHING}
    )
    shown = Page(draft_page(found, Draft("It is a test.", JUNE["since"]), Letter()))
    exact = Decimal("9" * 40 + ".99")
    assert shown.groups == [("a", exact, parts)]
    assert shown.sums[0] == ("Subtotal", f"{exact:,f} EUR")


def test_a_long_number_may_be_broken_and_a_share_that_does_not_end_is_cut() -> None:
    big, third = Decimal(10) ** 60, Decimal(1) / Decimal(3)
    found = Invoice(
        header=InvoiceHeader(subject="acct_1", **JUNE),
        lines=[
            InvoiceLine(item="a", quantity=big, amount=big, explanation="", **FEE),
            InvoiceLine(
                item="b", quantity=third, amount=Decimal(1), explanation=f"share: {third} x 3", **FEE
            ),
        ],
        totals={"EUR": InvoiceTotal(exact_amount=big + 1, amount=big + 1)},
    )
    shown = Page(draft_page(found, Draft("It is a test.", JUNE["since"]), Letter()))
    assert shown.rows[0][4] == big
    assert len(shown.elements("td", "long")) == 1
    assert len(shown.elements("data", "long")) == 3, "the amount, and the total twice"
    assert shown.rows[1][:2] == ("b share: 0.333333… \N{MULTIPLICATION SIGN} 3", "0.333333…")
