"""Prices and invoices at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from pymeter import Meter
from tests.cli.conftest import Run

TIERS = '[{"up_to": 1000, "unit_amount": "0.01"}, {"up_to": null, "unit_amount": "0.002"}]'
TOKENS = f'{{"model": "graduated", "tiers": {TIERS}}}'
JUNE = ("--since", "2026-06-01", "--until", "2026-07-01")


@pytest.fixture(autouse=True)
def _plan(pymeter: Run) -> None:
    pymeter("define", "tokens", "sum", "token")
    pymeter("plan", "define", "pro")
    pymeter("subscribe", "acct_1", "pro", "--since", "2026-06-16")


def test_a_price_is_defined_listed_and_ended(pymeter: Run) -> None:
    nothing = pymeter("price", "list").out
    assert nothing == "no prices; begin with: pymeter price define PLAN ITEM PRICE --metric METRIC\n"
    given = ("price", "define", "pro", "tokens", TOKENS, "--metric", "tokens", "--name", "Tokens")
    version = pymeter(*given, "--json").json["price_version"]
    assert pymeter(*given).out == (
        "✓ pro, tokens: graduated, USD a unit; to 1,000 0.01; beyond 0.002, from the beginning"
        f" (version {version})\n"
    )
    fee = ("price", "define", "pro", "base", '{"model": "flat", "flat_amount": "20"}', "--bill", "advance")
    assert "20 USD a cycle, in advance, from the beginning" in pymeter(*fee).out
    shown = pymeter("price", "list", "pro").out
    assert all(word in shown for word in ("Tokens", "a fee", "always"))
    assert [row["item"] for row in pymeter("price", "list", "--json").json] == ["base", "tokens"]
    assert pymeter("price", "list", "--csv").out.startswith("price_version,plan,item,")
    end = ("price", "retire", "pro", "base", "--at", "2026-07-01")
    assert "pro, base: ends, since 2026-07-01 UTC" in pymeter(*end).out
    assert pymeter(*end, "--json").json["price"] is None
    assert [row["item"] for row in pymeter("price", "list", "--at", "2026-08-01", "--json").json] == [
        "tokens"
    ]
    unknown = pymeter("price", "define", "max", "base", TOKENS)
    assert (unknown.status, "`pymeter plan define`" in unknown.err) == (1, True)


def test_the_list_says_what_begins_later_and_what_a_plan_costs_at_least(pymeter: Run) -> None:
    pymeter("price", "minimum", "pro", "40")
    assert pymeter("price", "list").out == "pro: at least 40 USD a cycle, from the beginning\n"
    pymeter("price", "define", "pro", "tokens", TOKENS, "-m", "tokens")
    pymeter("price", "retire", "pro", "tokens", "--at", "2100-07-01")
    pymeter("price", "minimum", "pro", "none", "--since", "2100-01-01")
    now = pymeter("price", "list").out
    assert "at least 40 USD" in now
    assert "2100" not in now
    later = pymeter("price", "list", "--upcoming").out
    assert all(words in later for words in ("ends", "2100-07-01", "pro: no minimum, since 2100-01-01 UTC"))
    assert [row["price"] for row in pymeter("price", "list", "--upcoming", "--json").json][1] is None


def test_a_second_item_of_a_metric_is_pointed_out(pymeter: Run) -> None:
    pymeter("price", "define", "pro", "tokens", TOKENS, "-m", "tokens")
    said = pymeter("price", "define", "pro", "extra", TOKENS, "-m", "tokens").out
    assert said.endswith("  tokens is billed by tokens, too: each for the whole usage\n")
    assert "too" not in pymeter("price", "define", "pro", "base", '{"model": "flat", "flat_amount": 1}').out


def test_an_invoice_is_a_table_that_a_customer_can_read(pymeter: Run) -> None:
    pymeter("price", "define", "pro", "tokens", TOKENS, "-m", "tokens", "--name", "Tokens")
    pymeter(
        "price", "define", "pro", "base", '{"model": "flat", "flat_amount": "20"}', "--name", "Platform fee"
    )
    least = pymeter("price", "minimum", "pro", "100.00", "--since", "2026-06-01").out
    assert least == "✓ pro: at least 100.00 USD a cycle, since 2026-06-01 UTC\n"
    assert (
        pymeter("price", "minimum", "pro", "100", "--since", "2026-06-01", "--json").json["amount"]
        == "100.00"
    )
    pymeter("record", "acct_1", "tokens", "5000", "--at", "2026-06-18")
    shown = pymeter("invoice", "acct_1", *JUNE).out
    lines = [line.split() for line in shown.splitlines()]
    assert ["Platform", "fee", "0.5", "20", "10.00", "USD"] in lines
    assert ["Tokens", "1,000", "token", "0.01", "10.00", "USD"] in lines
    assert ["Tokens", "4,000", "token", "0.002", "8.00", "USD"] in lines
    assert ["minimum", "of", "pro", "22.00", "USD"] in lines
    assert ["total", "50.00", "USD"] in lines
    assert "units 1,001 to 5,000: 4,000 x 0.002" in shown
    document = pymeter("invoice", "acct_1", *JUNE, "--json").json
    assert document["totals"]["USD"]["amount"] == "50.00"
    assert document["header"]["subject"] == "acct_1"
    assert len(document["lines"]) == 4
    assert pymeter("invoice", "acct_1", *JUNE, "--csv").out.startswith("item,metric,kind,")


def test_a_changed_line_says_what_is_otherwise_than_before(pymeter: Run) -> None:
    base = ("price", "define", "pro", "base")
    flat = '{"model": "flat", "flat_amount": "20"}'
    first = pymeter(*base, flat, "--bill", "advance", "--no-prorate", "--name", "Fee").out
    assert "changed" not in first, "nothing held before"
    changed = pymeter(*base, '{"model": "flat", "flat_amount": "30"}').out.splitlines()
    assert changed[1:] == [
        "  changed: the price, which was 20 USD a cycle; in advance → in arrears;"
        " in full for a part of a cycle → by days for a part of a cycle; title 'Fee' dropped"
    ]
    assert len(pymeter(*base, '{"model": "flat", "flat_amount": "30"}').out.splitlines()) == 1
    tokens = ("price", "define", "pro", "tokens", TOKENS)
    pymeter(*tokens, "-m", "tokens", "--name", "Tokens")
    told = pymeter(*tokens, "-m", "tokens", "--name", "Units", "--tiers", "restart").out.splitlines()[1]
    assert (
        told
        == "  changed: tiers continue after a change → tiers restart after a change; title 'Tokens' → 'Units'"
    )
    own = pymeter("price", "define", "pro", "base", flat, "-s", "acct_1", "--name", "Own").out
    assert "changed: the price, which was 30 USD a cycle; title 'Own'" in own, "it replaces the plan's line"
    past = pymeter(*base, flat, "--since", "2000-01-01", "--name", "Old").out
    assert "in advance → in arrears" in past
    assert "title 'Fee' → 'Old'" in past, "what held at that time"
    assert "the price" not in past
    pymeter("price", "retire", "pro", "base")
    assert "changed" not in pymeter(*base, flat).out, "the line had ended"


def test_a_field_or_a_text_that_is_mistyped_is_found(pymeter: Run, tmp_path: Path) -> None:
    def refused(text: str, *args: str) -> str:
        ran = pymeter("price", "define", "pro", "tokens", *([text] if text else []), *args, "-m", "tokens")
        assert (ran.status, ran.out) == (2, "")
        return " ".join(ran.err.replace("│", " ").split())

    assert "Did you mean unit_amount? Remove" in refused('{"model": "unit", "unit_amuont": 1}')
    spaced = '{"model": "graduated", "tiers": [{"up_to": null, "unit amount": 1}]}'
    assert "Did you mean unit_amount?" in refused(spaced)
    assert "Did you mean" not in refused('{"model": "unit", "unit_amount": 1, "flat_amount": 1}'), (
        "no typing error"
    )
    assert "Did you mean" not in refused('{"model": "unit", "unit_amount": 1, "colour": 1}')
    assert "PRICE: line 1, column 18: Expecting" in refused('{"model": "unit" "unit_amount": 1}')
    (tmp_path / "broken.json").write_text('{\n  "model": "unit"\n  "unit_amount": 1\n}\n')
    assert "--price broken.json: line 3, column 3: Expecting" in refused("", "--price", "broken.json")


def test_a_price_is_read_from_a_file_or_the_standard_input(pymeter: Run, tmp_path: Path) -> None:
    given = ("price", "define", "pro", "tokens", "-m", "tokens", "--json")
    file = tmp_path / "price.json"
    file.write_text(f"\ufeff{TOKENS}\n", encoding="utf-8")
    first = pymeter(*given, "--price", file).json
    assert first["price"] == json.loads(TOKENS)
    assert pymeter(*given, "--price", "-", input=TOKENS).json == first, "what holds already"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "name a file with it: --price FILE"),
        (("20",), '\'{"model": "unit", "unit_amount": "0.002"}\''),
        ((TOKENS, "--price", "-"), "name a file with it: --price FILE"),
        (("--price", "nowhere.json"), "nowhere.json: No such file or directory"),
        (("--price", "picture.png"), "picture.png is not UTF-8 text"),
        (("--price", "text.txt"), "--price text.txt: write a JSON object"),
        (("{}",), "[22023]"),
    ],
)
def test_what_is_no_price_is_refused(pymeter: Run, tmp_path: Path, args: tuple[str, ...], said: str) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    (tmp_path / "text.txt").write_text("20")
    ran = pymeter("price", "define", "pro", "base", *args)
    folded = " ".join(ran.err.replace("│", " ").split())
    assert (ran.status, ran.out, said in folded) == (2, "", True), ran.err
    assert pymeter("price", "list", "--json").json == []


def test_prices_are_told_in_words_on_80_columns(pymeter: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    cells = [
        {"when": {"size": "large"}, "unit_amount": "3"},
        {"when": {"size": "small"}, "price": {"model": "package", "package_size": 10, "unit_amount": 2}},
    ]
    bounds = {"free_units": 100, "discount_percent": 10, "maximum_amount": 50, "minimum_amount": "5.5"}
    tiers: list[dict[str, int | None]] = [
        {"up_to": n if n < 10 else None, "unit_amount": 20 - n, "flat_amount": n % 2} for n in range(1, 11)
    ]
    thousands = {"divide_by": 1000, "round": "up"}
    for item, document in {
        "cells": {"model": "matrix", "dimensions": ["size"], "cells": cells},
        "many": {"model": "volume", "flat_at_zero": False, "tiers": tiers},
        "share": {"model": "percentage", "percent": "2.5", "fixed_amount": "0.30", "free_events": 3},
        "units": {"model": "unit", "unit_amount": "0.0000025", "convert": thousands, **bounds},
        "whole": {"model": "flat", "flat_amount": 1234567},
    }.items():
        pymeter("price", "define", "pro", item, json.dumps(document), "-m", "tokens", "--tiers", "restart")
    flat = '{"model": "flat", "flat_amount": 7}'
    pymeter("price", "define", "pro", "own", flat, "-s", "acct_1", "--no-prorate", "--name", "Own fee")
    shown = pymeter("price", "list", "pro", "--subject", "acct_1").out
    assert max(map(len, shown.splitlines())) <= 80
    told = " ".join(shown.split())
    for words in (
        "by size always",
        "size large: 3 USD a unit size small: 2 USD per package of 10",
        "volume, USD a unit",
        "to 1 19 + 1 flat to 2 18 to 3 17 + 1 flat",
        "and 2 more tiers no flat amount at 0",
        "2.5 % + 0.3 USD an event",
        "3 events free",
        "0.0000025 USD a unit",
        "units of 1,000, rounded up",
        "100 units free 10 % off at most 50 at least 5.5",
        "1,234,567 USD a cycle",
        "7 USD a cycle, in arrears",
        "in full for a part of a cycle",
        "tiers restart after a change",
        "Own fee",
        "for acct_1",
        "of tokens",
    ):
        assert words in told, (words, shown)


def test_an_invoice_fits_80_columns_and_explains_on_lines_of_its_own(
    pymeter: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    pymeter("define", "seats", "max", "seat")
    fee = {"model": "flat", "flat_amount": 20, "minimum_amount": 25}
    pymeter("price", "define", "pro", "seats", '{"model": "unit", "unit_amount": "0.0000025"}', "-m", "seats")
    pymeter("price", "define", "pro", "base", json.dumps(fee), "--name", "Ein langer Name " * 6)
    pymeter("price", "define", "pro", "seats", '{"model": "unit", "unit_amount": 6}', "-m", "seats",
            "--since", "2026-06-20")  # fmt: skip
    pymeter("record", "acct_1", "seats", "10", "--at", "2026-06-18")
    shown = pymeter("invoice", "acct_1", *JUNE).out
    assert max(map(len, shown.splitlines())) <= 80
    told = " ".join(shown.split())
    assert "seats 1.333333… seat 0.0000025 0.00 USD 2026-06-16 → 2026-06-20, units above 0 up to" in told, (
        "a share that does not end is cut, and says so; a rate is exact"
    )
    assert "Ein langer Name Ein langer Name" in told
    in_csv = pymeter("invoice", "acct_1", *JUNE, "--csv").out
    assert ",1.33333333333333333333,seat,0.0000025," in in_csv


def test_an_invoice_without_room_for_columns_loses_nothing(
    pymeter: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pymeter("price", "define", "pro", "tokens", TOKENS, "-m", "tokens", "--name", "価格" * 8)
    pymeter("record", "acct_1", "tokens", "5000", "--at", "2026-06-18")
    wide, narrow = [], []
    for columns, shown in ((80, wide), (30, narrow)):
        monkeypatch.setenv("COLUMNS", str(columns))
        shown += pymeter("invoice", "acct_1", *JUNE).out.splitlines()
    assert max(cell_len(line) for line in narrow) <= 30
    assert "".join(narrow).count("価格" * 8) == "".join(wide).count("価格" * 8) == 2
    lines = [line.split() for line in narrow]
    assert ["4,000", "token", "at", "0.002"] in lines
    assert ["8.00", "USD"] in lines
    assert lines[-3:-1] == [["total"], ["18.00", "USD"]]


def test_an_invoice_of_a_period_or_as_of_a_watermark(pymeter: Run, meter: Meter) -> None:
    pymeter("price", "define", "pro", "tokens", TOKENS, "-m", "tokens")
    pymeter("record", "acct_1", "tokens", "100")
    pymeter("invoice", "acct_1", "--period", "month")
    mark = meter.watermark("acct_1").isoformat()
    pymeter("record", "acct_1", "tokens", "900")
    now, then = (
        pymeter("invoice", "acct_1", "--period", "month", "--json", *more).json
        for more in ((), ("--as-of", mark))
    )
    assert [one["totals"]["USD"]["amount"] for one in (now, then)] == ["10.00", "1.00"]
    assert "as recorded up to" in pymeter("invoice", "acct_1", "--as-of", mark).out
    assert "preview: it has not ended" in pymeter("invoice", "acct_1").out
    assert "preview" not in pymeter("invoice", "acct_1", "--as-of", mark).out
    june = pymeter("invoice", "acct_1", "--at", "2026-06-15", "--json").json["header"]
    assert (june["since"], june["until"]) == ("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z")


def test_an_invoice_says_whether_its_period_is_closed(pymeter: Run) -> None:
    def head(*window: str) -> str:
        return pymeter("invoice", "acct_1", *window).out.splitlines()[0]

    june = "acct_1  2026-06-01 → 2026-07-01 UTC"
    pymeter("record", "acct_1", "tokens", "7", "--at", "2026-06-18")
    assert head(*JUNE) == f"{june}  preview: not closed"
    number = pymeter("close", "acct_1", *JUNE, "--json").json["statement_id"]
    pymeter("close", "acct_1", "--since", "2026-07-01", "--until", "2026-08-01")
    assert head(*JUNE) == f"{june}  statement {number}"
    for since, until in (
        ("2026-06-01", "2026-06-20"),
        ("2026-06-15", "2026-07-15"),
        ("2026-05-01", "2026-07-01"),
    ):
        assert head("--since", since, "--until", until) == f"acct_1  {since} → {until} UTC", "neither is true"
    assert head("--since", "2026-05-01", "--until", "2026-06-01").endswith("  preview: not closed")


def test_usage_without_a_price_is_shown(pymeter: Run) -> None:
    pymeter("record", "acct_1", "tokens", "7", "--at", "2026-06-18")
    shown = pymeter("invoice", "acct_1", *JUNE).out
    assert "no price" in shown
    assert "pymeter subscribe acct_1 PLAN" in shown
    assert pymeter("invoice", "acct_1", "--since", "2026-06-01").status == 2
