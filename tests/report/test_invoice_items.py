"""Each line of a statement becomes one invoice item at Stripe, whatever goes wrong on the way."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pymeter.report import BillerRefused, Reporter, StripeBiller
from tests.cli.conftest import Ran, pymeter
from tests.credits.account import month
from tests.report.bills import BILLER
from tests.report.double import fixtures
from tests.report.till import LIVE, Till, till

stripe: Any = pytest.importorskip("stripe")

__all__ = ["pymeter", "till"]

double = fixtures.stripe_double

TEST = "sk_test_0123456789abcdef"
CREATE = {"route": "create_invoice_item"}
Run = Callable[..., Ran]


def test_an_item_says_what_the_line_says(till: Till) -> None:
    statement_id = till.bill()
    assert till.report().exit_status == 0
    usage, tax = till.items()
    assert (usage["customer"], usage["currency"], usage["amount"]) == ("cus_1", "eur", 3330)
    assert (usage["description"], tax["description"], tax["amount"]) == ("Tokens: 100 token", "VAT", 633)
    # The last second belongs to the period at Stripe.
    start, end = int(month(6).timestamp()), int(month(7).timestamp()) - 1
    assert usage["period"] == tax["period"] == {"start": start, "end": end}
    assert usage["discountable"] is False
    (header,) = till.ledger.call("statements")
    first = till.bills.pushes()[0]
    assert usage["metadata"] == {
        "pymeter_identifier": first.identifier,
        "pymeter_stamped_at": str(int(header.closed_at.timestamp())),
        "pymeter_statement": str(statement_id),
        "pymeter_line": "1",
        "pymeter_hash": header.hash,
    }
    till.assert_billed_once()


def test_currencies_of_no_two_and_three_decimals_are_sent_in_their_minor_units(till: Till) -> None:
    for subject, currency in (("cus_1", "EUR"), ("cus_2", "JPY"), ("cus_3", "KWD")):
        till.bill(subject, 1000, currency=currency)
    assert till.report().exit_status == 0
    amounts = {(item["currency"], item["amount"]) for item in till.items()}
    assert amounts == {
        *(("eur", 33300), ("eur", 6327)),
        *(("jpy", 3700), ("jpy", 703)),
        *(("kwd", 510000), ("kwd", 96900)),
    }
    till.assert_billed_once()


def test_nothing_is_sent_again(till: Till) -> None:
    till.bill()
    for _ in range(3):
        till.report()
        till.pass_time(hours=30)
    till.assert_billed_once()
    assert till.double.counters()["requests"]["create_invoice_item"] == {"200": 2}


@pytest.mark.parametrize("fault", ["drop_after", "half_response", "drop_before", "rate_limited"])
def test_a_lost_call_is_made_again_under_the_same_key(till: Till, fault: str) -> None:
    till.bill()
    till.double.fault(fault, **CREATE)
    till.report()
    till.pass_time(minutes=20)
    till.report()
    till.assert_billed_once()
    applied = fault in ("drop_after", "half_response")
    assert till.double.counters()["replays"] == applied


def test_an_error_that_the_key_repeats_is_looked_up(till: Till) -> None:
    """Created, but answered with a 500, which the key repeats for a day."""
    till.bill()
    till.double.fault("error_after", **CREATE)
    till.report()
    assert till.states() == {"planned": 1, "delivered": 1}
    till.pass_time(minutes=20)
    assert till.report().tally.duplicates == 1
    till.assert_billed_once()


def test_an_item_that_an_error_kept_away_is_created_under_another_key_after_a_day(till: Till) -> None:
    till.bill()
    till.double.fault("error_before", **CREATE)
    till.report()
    for hours in (1, 10, 12.5):
        till.pass_time(hours=hours)
        till.report()
    assert till.states() == {"planned": 1, "uncertain": 1} or till.states() == {
        "uncertain": 1,
        "delivered": 1,
    }
    assert len(till.items()) == 1 or not till.items()
    for _ in range(3):
        till.pass_time(hours=25)
        till.report()
    assert till.states() == {"delivered": 2, "replaced": 1}
    till.assert_billed_once()


@pytest.mark.parametrize("fault", ["drop_after", "drop_before", "error_after", "error_before"])
def test_after_an_outage_of_days_what_is_there_is_found_and_the_rest_is_created(
    till: Till, fault: str
) -> None:
    for number in range(1, 4):
        till.bill(f"cus_{number}", 10 * number)
    till.double.fault(fault, times=None, probability=0.7, seed=4, **CREATE)
    till.double.fault("error_before", times=None, route="list_invoice_items", status=503)
    for _ in range(4):
        till.report()
        till.pass_time(hours=13)
    till.double.clear_faults()
    for _ in range(3):
        till.report()
        till.pass_time(hours=25)
    till.assert_billed_once()


def test_more_items_than_a_page_are_looked_through(till: Till) -> None:
    till.bill()
    till.double.fault("drop_after", times=2, **CREATE)
    till.report()
    client = stripe.StripeClient(LIVE, base_addresses=till.double.base_addresses)
    for number in range(230):
        client.v1.invoice_items.create({"customer": "cus_1", "amount": number, "currency": "eur"})
    till.pass_time(hours=25)
    till.report()
    assert till.states() in ({"resolved": 1, "delivered": 1}, {"resolved": 2})


def test_an_unknown_customer_is_a_rejection_and_a_retry_goes_to_the_new_one(till: Till) -> None:
    till.double.settings(unknown_customers=["cus_1"])
    till.bill()
    assert till.report().exit_status == 1
    assert till.states() == {"rejected": 2}
    till.bills.map("cus_1", "cus_9")
    assert len(till.meter.retry_pushes(BILLER, now=till.now())) == 2
    assert till.report().exit_status == 0
    assert {item["customer"] for item in till.items()} == {"cus_9"}
    assert till.states() == {"delivered": 2, "replaced": 2}


def test_two_reporters_at_once_bill_once(till: Till) -> None:
    for number in range(12):
        till.bill(f"cus_{number % 4}", 7, number=1 + number // 4)
    reporters = [till.reporter(connections=4) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda reporter: reporter.run_once(), reporters))
    till.report()
    till.assert_billed_once()
    assert till.double.counters()["replays"] == 0


def test_late_usage_of_a_closed_period_is_an_item_of_the_next_statement(till: Till) -> None:
    first = till.bill()
    till.report()
    till.bills.late(-40, first, "cus_1")
    till.bill(quantity=10, number=7)
    till.report()
    late = next(item for item in till.items() if "(late)" in item["description"])
    assert late["amount"] == -1332
    assert late["period"]["end"] == int(month(7).timestamp()) - 1
    till.assert_billed_once()


# --- comparing ----------------------------------------------------------------------------------------------


def test_items_that_are_there_twice_or_were_deleted_show_as_a_difference(till: Till) -> None:
    till.bill("cus_1", 100)
    till.bill("cus_2", 100)
    till.report()
    till.pass_time(hours=30)
    assert till.reporter().reconcile().different == []
    of_1, *_ = (item for item in till.items() if item["customer"] == "cus_1")
    of_2, *_ = (item for item in till.items() if item["customer"] == "cus_2")
    client = stripe.StripeClient(LIVE, base_addresses=till.double.base_addresses)
    again = {name: of_1[name] for name in ("customer", "amount", "currency", "metadata")}
    client.v1.invoice_items.create(again)
    till.double.delete_invoice_item(of_2["id"])
    found = {row.customer: row.difference for row in till.reporter().reconcile().different}
    assert found == {"cus_1": of_1["amount"], "cus_2": -of_2["amount"]}


def test_items_of_others_are_not_compared(till: Till) -> None:
    till.bill()
    till.report()
    client = stripe.StripeClient(LIVE, base_addresses=till.double.base_addresses)
    client.v1.invoice_items.create({"customer": "cus_1", "amount": 5, "currency": "eur"})
    till.pass_time(hours=30)
    assert till.reporter().reconcile().different == []


# --- who may send what --------------------------------------------------------------------------------------


def test_items_are_not_sent_as_usage_nor_usage_as_items(till: Till) -> None:
    till.bill()
    wrong = StripeBiller(LIVE, base=till.double.url)
    with pytest.raises(BillerRefused, match="no meter event"):
        Reporter(till.pool(), wrong, biller_name=BILLER, clock=till.now).run_once()
    till.meter.define_biller(subject_is_customer=True)
    till.meter.report_metric("tokens", "eur")
    till.meter.record("cus_1", "tokens", 5)
    with pytest.raises(BillerRefused, match="no invoice item"):
        Reporter(till.pool(), till.biller(), clock=till.now).run_once()
    assert till.items() == []
    assert till.double.events() == []
    till.report()
    till.assert_billed_once()


def test_a_rehearsal_bills_test_customers_only(till: Till) -> None:
    shadow = f"{BILLER}_shadow"
    till.meter.define_biller(shadow, sends="statements", subject_is_customer=True)
    till.bill()
    with pytest.raises(BillerRefused, match="test keys only"):
        till.report(biller_name=shadow)
    assert till.reporter(TEST, biller_name=shadow).run_once().exit_status == 0
    assert len(till.items("test")) == 2
    assert till.items() == []
    till.report()
    till.assert_billed_once()


# --- the command line ---------------------------------------------------------------------------------------


def test_the_command_line_sends_statements_for_a_biller_of_statements(
    till: Till, pymeter: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", LIVE)
    monkeypatch.setenv("STRIPE_API_BASE", till.double.url)
    rules = pymeter("report", "rules", "--biller", BILLER, "--sends", "statements", "--json").json
    assert (rules["sends"], rules["statements_since"]) == ("statements", None)
    till.bill()
    planned = pymeter("report", "--dry-run", "--biller", BILLER, "--json").json
    assert [(row["value"], row["line"], row["description"]) for row in planned] == [
        ("3330", 1, "Tokens: 100 token"),
        ("633", 2, "VAT"),
    ]
    shown = pymeter("report", "--dry-run", "--biller", BILLER).out
    assert "Tokens: 100 token" in shown
    assert "2 calls would be made" in shown
    assert till.items() == []
    assert "2 delivered" in pymeter("report", "--once", "--biller", BILLER).out
    till.assert_billed_once()
    (row,) = [r for r in pymeter("report", "status", "--biller", BILLER, "--json").json if r["pushes"]]
    assert (row["state"], row["metric"], row["quantity"]) == ("delivered", "EUR", "3963")
    assert "3963" not in pymeter("report", "reconcile", "--biller", BILLER).out


def test_the_command_line_says_whose_statements_have_no_customer(till: Till, pymeter: Run) -> None:
    till.bills.define("other")
    till.bill()
    shown = pymeter("report", "--dry-run", "--biller", "other")
    assert "1 subject with statements in EUR has no customer" in " ".join((shown.out + shown.err).split())
    since = pymeter("report", "rules", "--biller", "other", "--statements-since", "2026-06-01", "--json").json
    assert since["statements_since"].startswith("2026-06-01T00:00:00")
