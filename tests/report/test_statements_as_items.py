"""What a biller of statements is told: each line of a closed period, in the currency's minor units."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from threading import Thread

import psycopg
import pytest
from hypothesis import Phase, given, note
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.credits.account import month
from tests.helpers import Ledger, at, examples, ledger, new_ledger
from tests.report.bills import BILLER, FACTORS, Bills, sums

__all__ = ["ledger", "new_ledger"]

NewLedger = Callable[..., Ledger]
DAY = timedelta(days=1)


@pytest.fixture
def bills(ledger: Ledger) -> Bills:
    """acct_1, who pays 1.25 EUR a token, is cus_1."""
    bills = Bills(ledger)
    bills.plan_of("EUR", "1.25")
    bills.subject()
    return bills


# --- what is sent -------------------------------------------------------------------------------------------


def test_a_line_becomes_an_item_in_minor_units(bills: Bills) -> None:
    statement_id = bills.bill(3)
    (item,) = bills.preview()
    assert (item.subject, item.customer, item.event_name, item.value) == ("acct_1", "cus_1", "eur", "375")
    assert (item.mode, item.metric, item.state, item.reason) == ("item", "EUR", "planned", None)
    assert (item.statement_id, item.line) == (statement_id, 1)
    assert (item.since, item.until, item.description) == (month(6), month(7), "Tokens: 3 token")
    (header,) = bills.ledger.call("statements")
    assert item.stamped_at == header.closed_at.replace(microsecond=0)
    assert bills.plan() == 1
    (claimed,) = bills.claim()
    assert claimed.value == "375"
    assert (claimed.statement_id, claimed.line, claimed.description) == (statement_id, 1, "Tokens: 3 token")
    assert (claimed.since, claimed.until) == (month(6), month(7))
    assert claimed.statement_hash == header.hash


def test_negative_lines_taxes_and_credits_are_sent_so_that_items_add_up_to_the_total(
    bills: Bills,
) -> None:
    bills.grant(1, "acct_1", "EUR")
    bills.tax(19, "acct_1", name="VAT")
    bills.bill(4)
    items = bills.preview()
    assert [(item.description, item.value) for item in items] == [
        ("Tokens: 4 token", "500"),
        ("Credit", "-100"),
        ("VAT", "76"),
    ]
    assert sums(items) == bills.stated() == {("acct_1", "EUR"): 476}


def test_a_tax_that_prices_contain_and_other_zeros_are_no_items(bills: Bills) -> None:
    bills.tax(19, "acct_1", name="VAT", inclusive=True)
    bills.bill(4)
    assert [item.description for item in bills.preview()] == ["Tokens: 4 token"]


def test_a_statement_without_amounts_is_not_queued(bills: Bills) -> None:
    bills.close()
    bills.use(1, "acct_without_plan")
    bills.close("acct_without_plan")
    assert bills.queue() == []
    assert bills.status() == {}


@pytest.mark.parametrize(
    ("currency", "price", "value", "exact"),
    [
        ("EUR", "0.01", "1", True),
        ("JPY", "7", "7", True),
        ("KWD", "1.23", "1230", True),
        ("KWD", "1.234", "1234", False),
        ("ISK", "5", "500", True),
        ("UGX", "5", "500", True),
        ("HUF", "5.01", "501", True),
        ("TWD", "5.01", "501", True),
        ("MGA", "5", "5", True),
        ("MGA", "5.20", "5.2", False),
        ("CLF", "0.0001", "0.01", False),
    ],
)
def test_an_amount_that_stripe_cannot_express_is_held_and_never_rounded(
    ledger: Ledger, currency: str, price: str, value: str, exact: bool
) -> None:
    bills = Bills(ledger)
    bills.plan_of(currency, price)
    bills.subject(plan=currency)
    bills.bill(1)
    assert bills.plan() == 1
    (push,) = bills.pushes()
    assert (push.event_name, push.value) == (currency.lower(), Decimal(value))
    assert (push.state, push.reason) == (("planned", None) if exact else ("held", "inexact"))
    if not exact:
        assert bills.claim() == []
        assert ledger.call("retry_pushes", biller=BILLER) == []
        with pytest.raises(psycopg.Error, match="no such amount") as caught:
            ledger.call("retry_pushes", biller=BILLER, identifier=push.identifier)
        assert caught.value.sqlstate == "22023"
        (left,) = ledger.call("leave_pushes", biller=BILLER, reason="inexact")
        assert left.state == "left"


def test_the_lines_of_a_currency_whose_total_is_unknown_wait_for_a_person(bills: Bills) -> None:
    ledger = bills.ledger
    ledger.define("jobs", "sum", "job")
    matrix = {
        "model": "matrix",
        "currency": "EUR",
        "dimensions": ["region"],
        "cells": [{"when": {"region": "eu"}, "price": {"model": "unit", "unit_amount": "1"}}],
    }
    ledger.call("define_price", plan="EUR", item="jobs", metric="jobs", price=Jsonb(matrix))
    ledger.record("acct_1", "jobs", 2, at=month(6), metadata={"region": "us"})
    bills.bill(4)
    bills.plan()
    (push,) = bills.pushes()
    assert (push.state, push.reason, push.value) == ("held", "unknown_total", 500)
    (again,) = ledger.call("retry_pushes", biller=BILLER)
    assert (again.state, again.statement_id, again.line) == ("planned", push.statement_id, push.line)


def test_an_amount_with_too_many_digits_is_held_until_the_limit_is_raised(bills: Bills) -> None:
    bills.define(max_digits=3)
    bills.bill(1000)
    bills.plan()
    (push,) = bills.pushes()
    assert (push.state, push.reason, push.value) == ("held", "too_many_digits", 125000)
    assert bills.ledger.call("retry_pushes", biller=BILLER) == []
    bills.define(max_digits=6)
    assert [p.state for p in bills.ledger.call("retry_pushes", biller=BILLER)] == ["planned"]


# --- once ---------------------------------------------------------------------------------------------------


def test_a_line_is_planned_once_however_often_it_is_queued(bills: Bills) -> None:
    statement_id = bills.bill(3)
    bills.plan()
    before = bills.pushes()
    for _ in range(2):
        bills.ledger.execute(
            "INSERT INTO meter.unbilled_statements (biller, subject_id, statement_id)"
            " SELECT %s, subject_id, statement_id FROM meter.statements WHERE statement_id = %s",
            [BILLER, statement_id],
        )
        assert bills.plan() == 1
        assert bills.pushes() == before
    bills.settle(bills.claim())
    bills.define(statements_since=month(1))
    assert bills.queue() == []
    assert [push.state for push in bills.pushes()] == ["delivered"]


def test_what_an_item_sends_cannot_be_changed(bills: Bills) -> None:
    bills.bill(3)
    bills.plan()
    for change in ("description = 'x'", "statement_id = 9", "line = 9", "since = now()", "until = now()"):
        with pytest.raises(psycopg.Error) as caught:
            bills.ledger.execute(f"UPDATE meter.pushes SET {change}")
        assert caught.value.sqlstate == "42501"


def test_a_period_whose_closing_is_rolled_back_is_not_sent(bills: Bills, new_ledger: NewLedger) -> None:
    bills.use(3)
    other = new_ledger("closer", autocommit=False)
    bills.close(ledger=other)
    other.connection.rollback()
    assert bills.plan() == 0
    assert bills.preview() == []
    assert bills.close()
    assert [item.value for item in bills.preview()] == ["375"]


def test_what_is_closed_while_statements_are_planned_is_in_the_next_plan(
    bills: Bills, new_ledger: NewLedger
) -> None:
    bills.subject("acct_2", customer="cus_2")
    bills.bill(1)
    bills.use(2, "acct_2")
    closer = new_ledger("closer", autocommit=False)
    bills.close("acct_2", ledger=closer)
    assert bills.plan() == 1
    closer.connection.commit()
    assert bills.plan() == 1
    assert bills.plan() == 0
    assert sums(bills.pushes()) == bills.stated() == {("acct_1", "EUR"): 125, ("acct_2", "EUR"): 250}


def test_close_due_queues_what_it_closes(bills: Bills) -> None:
    bills.bill(1)
    bills.use(2, number=7)
    bills.ledger.call("close_due", now=month(8) + timedelta(days=3))
    assert sums(bills.preview()) == {("acct_1", "EUR"): 375}


# --- which statements ---------------------------------------------------------------------------------------


def test_by_default_nothing_that_was_closed_before_the_biller_was_defined_is_sent(ledger: Ledger) -> None:
    bills = Bills(ledger, define=False)
    bills.plan_of("EUR")
    bills.subject(customer=None)
    bills.bill(1, number=5)
    bills.define()
    bills.map("acct_1", "cus_1")
    assert bills.preview() == []
    bills.bill(2, number=6)
    assert [item.value for item in bills.preview()] == ["200"]


def test_statements_since_sends_closed_periods_that_begin_then_or_later_and_none_before(
    ledger: Ledger,
) -> None:
    bills = Bills(ledger, define=False)
    bills.plan_of("EUR")
    bills.subject(customer=None)
    for number in (3, 4, 5):
        bills.bill(number, number=number)
    bills.define(statements_since=month(5))
    bills.map("acct_1", "cus_1")
    assert [item.value for item in bills.preview()] == ["500"]
    bills.define(statements_since=month(4))
    assert [item.value for item in bills.preview()] == ["400", "500"]
    bills.define(statements_since=month(5))
    assert [item.value for item in bills.preview()] == ["500"]
    bills.subject("acct_2", customer="cus_2")
    bills.bill(9, "acct_2", number=4)
    assert [item.value for item in bills.preview()] == ["500"]


def test_a_statement_that_is_being_closed_while_the_biller_is_defined_is_queued_once(
    ledger: Ledger, new_ledger: NewLedger
) -> None:
    """Its closer looked for billers before there was one; the definition waits for it."""
    bills = Bills(ledger, define=False)
    bills.plan_of("EUR")
    bills.subject(customer=None)
    bills.use(1)
    closer, definer = new_ledger("closer", autocommit=False), new_ledger("definer")
    bills.close(ledger=closer)
    defining = Thread(
        target=lambda: definer.call(
            "define_biller", biller=BILLER, sends="statements", statements_since=month(1)
        )
    )
    defining.start()
    defining.join(0.5)
    assert defining.is_alive()
    closer.connection.commit()
    defining.join(20)
    bills.map("acct_1", "cus_1")
    assert [item.value for item in bills.preview()] == ["100"]


def test_recording_goes_on_while_a_biller_of_statements_is_being_defined(
    bills: Bills, new_ledger: NewLedger
) -> None:
    definer = new_ledger("definer", autocommit=False)
    definer.call("define_biller", biller="other", sends="statements", statements_since=month(1))
    bills.ledger.execute("SET lock_timeout = '200ms'")
    bills.use(1)
    assert bills.status() == {}
    definer.connection.rollback()


@pytest.mark.parametrize("sends", [None, "usage"])
def test_closing_without_a_biller_of_statements_writes_no_queue(ledger: Ledger, sends: str | None) -> None:
    bills = Bills(ledger, define=False)
    if sends:
        bills.define("stripe", sends=sends)
    bills.plan_of("EUR")
    bills.subject(customer="cus_1")
    bills.bill(1)
    assert ledger.rows("SELECT * FROM meter.unbilled_statements") == []


def test_a_biller_of_statements_takes_no_usage_and_does_not_change_what_it_sends(bills: Bills) -> None:
    ledger = bills.ledger
    with pytest.raises(psycopg.Error, match="statements, not of usage") as caught:
        ledger.call("report_metric", metric="tokens", event_name="tokens", biller=BILLER)
    assert caught.value.sqlstate == "UM002"
    bills.bill(1)
    with pytest.raises(psycopg.Error, match="in use") as caught:
        bills.define(sends="usage")
    assert caught.value.sqlstate == "UM002"
    ledger.call("report_metric", metric="tokens", event_name="tokens")
    with pytest.raises(psycopg.Error, match="in use") as caught:
        ledger.call("define_biller", sends="statements")
    assert caught.value.sqlstate == "UM002"


@pytest.mark.parametrize(
    "named", [{"sends": "items"}, {"sends": "usage", "statements_since": at("2026-01-01")}]
)
def test_what_is_sent_must_be_one_of_two_things(ledger: Ledger, named: dict[str, object]) -> None:
    with pytest.raises(psycopg.Error) as caught:
        ledger.call("define_biller", biller="other", **named)
    assert caught.value.sqlstate == "22023"
    assert caught.value.diag.message_hint
    assert ledger.rows("SELECT * FROM meter.billers") == []


def test_usage_reported_to_one_biller_and_statements_to_another_do_not_meet(bills: Bills) -> None:
    bills.ledger.call("report_metric", metric="tokens", event_name="tokens")
    bills.map("acct_1", "cus_1", "stripe")
    bills.define("invoices_shadow")
    bills.bill(3)
    assert [push.mode for push in bills.preview("stripe")] == ["delta"]
    assert [push.mode for push in bills.preview()] == ["item"]
    assert bills.status("invoices_shadow") == {"unmapped": (1, Decimal(375))}


# --- customers ----------------------------------------------------------------------------------------------


def test_a_statement_waits_for_its_customer(bills: Bills) -> None:
    bills.map("acct_1", None)
    bills.bill(3)
    assert bills.status() == {"unmapped": (1, Decimal(375))}
    assert bills.plan() == 1
    assert bills.plan() == 0
    assert bills.status() == {"unmapped": (1, Decimal(375))}
    assert bills.pushes() == []
    bills.map("acct_1", "cus_7")
    assert bills.status() == {"unplanned": (1, Decimal(375))}
    assert bills.plan() == 1
    assert [push.customer for push in bills.pushes()] == ["cus_7"]
    assert bills.status() == {"planned": (1, Decimal(375))}


def test_subjects_may_be_their_own_customers(bills: Bills) -> None:
    bills.map("acct_1", None)
    bills.bill(3)
    bills.plan()
    bills.define(subject_is_customer=True)
    assert bills.plan() == 1
    assert [push.customer for push in bills.pushes()] == ["acct_1"]


def test_a_rejected_item_goes_to_the_customer_of_the_day_it_is_retried(bills: Bills) -> None:
    bills.bill(3)
    bills.plan()
    bills.settle(bills.claim(), "rejected")
    bills.map("acct_1", "cus_2")
    (again,) = bills.ledger.call("retry_pushes", biller=BILLER)
    (old, new) = bills.pushes()
    assert (old.state, old.replaced_by, new.push_id) == ("replaced", new.push_id, again.push_id)
    assert (new.customer, new.value, new.statement_id, new.line) == ("cus_2", 375, old.statement_id, old.line)
    assert (new.description, new.since, new.until) == (old.description, old.since, old.until)
    assert new.identifier != old.identifier
    assert bills.status() == {"planned": (1, Decimal(375)), "replaced": (1, Decimal(375))}


def test_old_statements_are_sent_as_they_are(bills: Bills) -> None:
    """What is too old or too late for usage is nothing to an invoice item."""
    bills.define(too_old="leave", late="hold", max_age=DAY, negative="hold")
    bills.bill(3)
    bills.plan()
    (header,) = bills.ledger.call("statements")
    assert len(bills.claim(now=header.closed_at + 90 * DAY)) == 1


# --- what is uncertain --------------------------------------------------------------------------------------


def _uncertain(bills: Bills, quantity: int = 3) -> tuple[object, ...]:
    bills.bill(quantity)
    bills.plan()
    claimed = bills.claim()
    bills.settle(claimed, "unknown")
    later = claimed[0].stamped_at + DAY
    assert bills.claim(now=later) == []
    (hour,) = bills.ledger.call("uncertain_hours", biller=BILLER, now=later)
    return claimed, hour, later


def test_identifiers_decide_where_amounts_could_not(bills: Bills) -> None:
    """Two items of one amount in one hour: their sum does not tell which of them is there."""
    bills.ledger.call("define_plan", plan="EUR")
    bills.fee("base", "1.25")
    claimed, hour, later = _uncertain(bills, 1)
    there, missing = claimed
    assert there.value == missing.value
    named = {"biller": BILLER, "customer": "cus_1", "event_name": "eur", "hour": hour.hour, "total": 125}
    named["identifiers"] = [missing.identifier]
    for wait, verdict in ((0 * DAY, "waiting"), (DAY, "partly")):
        (found,) = bills.ledger.call("settle_hour", now=later + wait, **named)
        assert found.verdict == verdict
    assert {push.identifier: push.state for push in bills.pushes()}[there.identifier] == "replaced"
    assert {push.identifier: push.state for push in bills.pushes()}[missing.identifier] == "resolved"
    assert bills.pushes()[-1].line == there.line


def test_no_identifier_is_no_answer_from_the_total(bills: Bills) -> None:
    """A total that would fit by chance proves nothing if the biller lists what it has."""
    _, hour, later = _uncertain(bills)
    named = {"biller": BILLER, "customer": "cus_1", "event_name": "eur", "hour": hour.hour, "total": 375}
    (found,) = bills.ledger.call("settle_hour", now=later, identifiers=[], **named)
    assert found.verdict == "waiting"


def test_after_a_restore_items_of_ended_periods_wait_for_a_person(bills: Bills) -> None:
    """The lost part of the journal may have closed and sent the period, as another statement."""
    bills.bill(3)
    bills.ledger.call("adopt_journal", biller=BILLER, force=True)
    assert [(item.state, item.reason) for item in bills.preview()] == [("held", "restored")]
    bills.plan()
    (push,) = bills.pushes()
    assert (push.state, push.reason) == ("held", "restored")
    assert bills.claim() == []
    assert bills.ledger.call("retry_pushes", biller=BILLER) == []
    (resolved,) = bills.ledger.call("resolve_push", identifier=push.identifier, delivered=True)
    assert resolved.state == "resolved"


# --- who is erased, who watches -----------------------------------------------------------------------------


def test_a_subject_that_is_its_own_customer_is_not_erased_while_a_statement_waits(bills: Bills) -> None:
    bills.map("acct_1", "acct_1")
    bills.bill(3)
    with pytest.raises(psycopg.Error, match="yet to be reported") as caught:
        bills.ledger.call("erase_subject", subject="acct_1", pseudonym="nobody")
    assert caught.value.sqlstate == "55000"


def test_a_statement_of_an_erased_subject_is_sent_to_its_customer(bills: Bills) -> None:
    bills.bill(3)
    bills.ledger.call("erase_subject", subject="acct_1", pseudonym="nobody")
    bills.plan()
    (push,) = bills.pushes()
    assert (push.customer, push.value) == ("cus_1", 375)
    assert push.subject != "acct_1"


def test_health_tells_of_statements_that_nobody_sends(bills: Bills) -> None:
    bills.claim()
    bills.bill(3)
    (header,) = bills.ledger.call("statements")
    (health,) = bills.ledger.call("health")
    assert health.oldest_unreported_at == header.closed_at
    bills.map("acct_1", None)
    bills.plan()
    assert bills.ledger.call("health")[0].oldest_unreported_at is None


def test_health_tells_that_no_reporter_has_run_for_a_biller_of_statements(bills: Bills) -> None:
    (health,) = bills.ledger.call("health")
    assert any("no reporter has run yet for invoices" in notice for notice in health.notices)


# --- whatever is stated -------------------------------------------------------------------------------------


@examples(8, 30, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_items_add_up_to_the_totals_of_all_statements_whatever_they_hold(ledger: Ledger, seed: int) -> None:
    """Random usage, corrections, late usage, credits and taxes, in currencies of 0, 2 and 3 decimals."""
    chance = random.Random(seed)
    if not ledger.rows("SELECT * FROM meter.billers"):
        bills = Bills(ledger)
        for currency, unit_amount in (("EUR", "0.333"), ("JPY", "3.7"), ("KWD", "0.51")):
            bills.plan_of(currency, unit_amount, minimum_amount="2")
    bills = _Again(ledger)
    subjects = {f"acct_{seed}_{currency}": currency for currency in ("EUR", "JPY", "KWD")}
    for subject, currency in subjects.items():
        bills.subject(subject, currency, f"cus_{subject}")
        if chance.random() < 0.5:
            bills.tax(chance.choice(["19", "7.7"]), subject, inclusive=chance.random() < 0.5)
        if chance.random() < 0.5:
            bills.grant(chance.randint(1, 50), subject, currency)
    for number in (4, 5, 6):
        for subject in subjects:
            for _ in range(chance.randint(0, 2)):
                bills.use(chance.randint(1, 100), subject, number)
            statement_id = bills.close(subject, number)
            note(f"{subject} {number}: statement {statement_id}")
            if chance.random() < 0.6:
                bills.late(chance.choice([-3, 5, 40]), statement_id, subject, number)
        if chance.random() < 0.5:
            bills.plan()
    preview = [item for item in bills.preview() if item.state == "planned"]
    already = {(push.statement_id, push.line) for push in bills.pushes()}
    assert already.isdisjoint((item.statement_id, item.line) for item in preview)
    while bills.plan():
        pass
    pushes = bills.pushes()
    assert sums(pushes) == bills.stated()
    assert len({(push.statement_id, push.line) for push in pushes}) == len(pushes)
    assert all(push.value == int(push.value) for push in pushes if push.state == "planned")
    assert {(i.statement_id, i.line, Decimal(i.value)) for i in preview} <= {
        (push.statement_id, push.line, push.value) for push in pushes
    }


class _Again(Bills):
    """Another look at a database that has its plans already."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.keys = random.getrandbits(60)


def test_the_factors_of_this_file_are_those_of_stripe(ledger: Ledger) -> None:
    for currency, factor in FACTORS.items():
        found = ledger.value("SELECT meter._minor_units(%s, 1)", [currency])
        assert found == factor
