"""What a biller has refused, or may have counted: seen with the reason, and decided by a person."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger
from tests.web.conftest import Api
from tests.web.pages.conftest import signed_in
from tests.web.pages.reading import read, rows_of_csv, run, send

CUSTOMER = "<b>cus</b>"
ERROR = "No such customer: '<script>alert(1)</script>'"


@pytest.fixture
def client(api: Api) -> httpx.Client:
    return signed_in(api, "read", "report", "admin")


@pytest.fixture
def reported(metered: Ledger) -> Ledger:
    """Usage of five customers: rejected, uncertain, held, delivered, and planned."""
    metered.call("define_biller", subject_is_customer=True)
    metered.call("report_metric", metric="tokens", event_name="api_tokens")
    metered.call("define_biller", biller="stripe_shadow")
    metered.call("report_metric", metric="tokens", event_name="api_tokens", biller="stripe_shadow")
    metered.record(CUSTOMER, "tokens", 11)
    for subject, quantity in (("unsure", 6), ("late", 9)):
        metered.record(subject, "tokens", quantity)
    metered.call("plan_pushes")
    metered.call("adjust", subject="acct_2", metric="tokens", quantity=-20, reason="refund")
    metered.call("plan_pushes")
    outcomes = {
        CUSTOMER: {"outcome": "rejected", "error": ERROR},
        "acct_1": {"outcome": "delivered"},
        "acct_2": {"outcome": "delivered"},
        "unsure": {"outcome": "unknown", "error": "timeout"},
        "late": {"outcome": "not_applied"},
    }
    results = [
        {"push_id": one.push_id, "attempt": one.attempt, **outcomes[one.customer]}
        for one in metered.call("claim_pushes", biller="stripe", worker="w")
    ]
    metered.call("settle_pushes", biller="stripe", worker="w", results=Jsonb(results))
    metered.execute("UPDATE meter.pushes SET state = 'uncertain' WHERE customer = 'unsure'")
    return metered


def push(ledger: Ledger, state: str) -> int:
    (row,) = ledger.call("pushes", state=state)
    return int(row.push_id)


def test_the_numbers_are_those_of_the_shown_select(client: httpx.Client, reported: Ledger) -> None:
    page = read(client, "/reporting")
    statement = next(text for text in page.statements if "report_status" in text)
    found = {row.state: (row.pushes, row.quantity) for row in run(reported, statement) if row.pushes}
    assert found["rejected"] == (1, 11)
    assert found["held"] == (1, -20)
    shown = {row[1]: (int(row[2]), Decimal(row[3].replace("\u2212", "-"))) for row in page.tables["status"]}
    assert shown == found
    assert len(rows_of_csv(client, "/reporting", "status")) == 11
    assert "rejected 1 the oldest" in page.text


def test_what_is_rejected_comes_first_with_its_reason(client: httpx.Client, reported: Ledger) -> None:
    page = read(client, "/reporting")
    assert page.tables["pushes"][0][1] == CUSTOMER
    assert f"refused: {ERROR}" in page.text
    one = read(client, "/push", biller="stripe", id=push(reported, "rejected"))
    assert ERROR in one.text
    for shown in (page, one):
        assert "<script" not in shown.source
        assert CUSTOMER not in shown.source
    assert len(read(client, "/reporting", state="all").tables["pushes"]) == 6
    assert read(client, "/reporting", state="left").tables.get("pushes") is None


def test_a_rejected_push_is_retried_or_left(client: httpx.Client, reported: Ledger) -> None:
    old = push(reported, "rejected")
    page = send(client, read(client, "/push", id=old), "/reporting/retry")
    assert f"This push replaces {old}." in page.text
    (replaced,) = reported.call("pushes", state="replaced")
    assert page.links[f"Push {old}"] == f"/push?biller=stripe&id={old}"
    assert replaced.push_id == old
    held = read(client, "/push", id=push(reported, "held"))
    left = send(client, held, "/reporting/leave")
    assert "1 push is left: never sent." in left.text
    assert push(reported, "left") > 0


def test_all_that_are_rejected_or_held_are_decided_at_once(client: httpx.Client, reported: Ledger) -> None:
    page = read(client, "/reporting")
    left = send(client, page, "/reporting/leave", left_reason="refused")
    assert "1 push is left: never sent." in left.text
    assert [row.customer for row in reported.call("pushes", state="left")] == [CUSTOMER]
    retried = send(client, page, "/reporting/retry")
    assert "1 push is planned anew." in retried.text
    assert reported.call("pushes", state="held") == []


@pytest.fixture
def with_old(reported: Ledger) -> Ledger:
    """And two pushes of usage that is older than the biller takes."""
    for day in (50, 51):
        reported.record("acct_1", "tokens", 2, at=datetime.now(UTC) - timedelta(days=day))
    reported.call("plan_pushes")
    return reported


def test_the_reasons_that_can_be_left_are_those_that_exist_the_most_frequent_first(
    client: httpx.Client, with_old: Ledger
) -> None:
    page = read(client, "/reporting")
    offered = re.findall(r'<option value="(\w+)">(.*?)</option>', page.source)
    assert offered[0] == ("too_old", "too_old: 2 pushes")
    assert sorted(offered[1:]) == [("negative", "negative: 1 push"), ("refused", "refused: 1 push")]
    for reason, number in (("too_old", "2 pushes are"), ("negative", "1 push is"), ("refused", "1 push is")):
        left = send(client, page, "/reporting/leave", left_reason=reason)
        assert f"{number} left: never sent." in left.text
    assert "Leave all of one kind" not in read(client, "/reporting").text


def test_the_form_of_a_retry_says_which_time_replaces_that_of_the_usage(
    client: httpx.Client, with_old: Ledger
) -> None:
    old = next(row for row in with_old.call("pushes", state="held") if row.reason == "too_old")
    shown = read(client, "/push", id=old.push_id)
    told = re.search(
        r"It becomes usage of now : its time, (.*?), is replaced by (.*?), and stripe", shown.text
    )
    assert told is not None, shown.text
    before, after = (datetime.fromisoformat(one).replace(tzinfo=UTC) for one in told.groups())
    assert before == old.stamped_at
    send(client, shown, "/reporting/retry")
    (made,) = (row for row in with_old.call("pushes") if row.replaces == old.push_id)
    assert abs(made.stamped_at - after) < timedelta(minutes=1)
    rejected = read(client, "/push", id=push(with_old, "rejected"))
    assert "If stripe no longer takes the time of its usage, it becomes usage of now" in rejected.text


@pytest.mark.parametrize(("delivered", "state"), [("true", "resolved"), ("false", "replaced")])
def test_a_person_says_whether_the_biller_has_counted_it(
    client: httpx.Client, reported: Ledger, delivered: str, state: str
) -> None:
    one = push(reported, "uncertain")
    page = send(client, read(client, "/push", id=one), "/push/resolve", delivered=delivered)
    assert f"Push {one} is {state}" in page.text
    assert push(reported, state) == one
    again = client.post(
        "/push/resolve", data={"form_token": page.forms[-1]["form_token"], "identifier": "pm_1"}
    )
    assert again.status_code == 400


def test_differences_are_shown_the_largest_first(client: httpx.Client, reported: Ledger) -> None:
    for customer, total in (("acct_1", 8), ("acct_2", 0)):
        reported.rows(
            "SELECT * FROM meter.reconcile_range('stripe', %s, 'api_tokens', date_trunc('day', now(), 'UTC'),"
            " 'day', %s)",
            [customer, total],
        )
    page = read(client, "/reporting")
    assert [row[0] for row in page.tables["differences"]] == ["acct_2", "acct_1"]
    assert [row[-2] for row in page.tables["differences"]] == ["\u221270", "3"]


def test_a_stopped_journal_is_a_problem(client: httpx.Client, reported: Ledger) -> None:
    assert "Reporting is stopped." not in read(client, "/reporting").text
    reported.execute("UPDATE meter.report_journals SET server = 'another' WHERE biller = 'stripe'")
    page = read(client, "/reporting")
    assert "Reporting is stopped. The journal was last used on another server (another)" in page.text
    assert "pymeter report adopt --biller stripe" in page.text


def test_the_billers_can_be_chosen(client: httpx.Client, reported: Ledger) -> None:
    page = read(client, "/reporting")
    reported.call("define_biller", biller="invoices", sends="statements")
    assert page.links["stripe_shadow"] == "/reporting?biller=stripe_shadow"
    invoices = read(client, "/reporting", biller="invoices")
    assert invoices.links["stripe"] == "/reporting?biller=stripe"
    assert "Sends the lines of statements to invoices" in invoices.text
    shadow = read(client, page.links["stripe_shadow"])
    assert [row[1] for row in shadow.tables["status"]] == ["unmapped"]
    assert "Sends usage to stripe_shadow" in shadow.text


def test_with_the_key_of_report_alone_it_is_seen_but_not_decided(api: Api, reported: Ledger) -> None:
    client = signed_in(api, "report")
    page = read(client, "/reporting")
    assert page.tables["pushes"]
    assert "To retry or leave them needs a key of the level admin" in page.text
    one = read(client, "/push", id=push(reported, "uncertain"))
    assert "To decide about it needs a key of the level admin" in one.text
    assert not [
        form for form in (*page.forms, *one.forms) if form["action"] in ("/reporting/retry", "/push/resolve")
    ]


def test_pushes_come_in_pages(client: httpx.Client, metered: Ledger) -> None:
    metered.call("define_biller", subject_is_customer=True)
    metered.call("report_metric", metric="tokens", event_name="api_tokens")
    for number in range(22):
        metered.record(f"many_{number}", "tokens", 1)
    metered.call("plan_pushes")
    ids = [str(row.push_id) for row in metered.call("pushes")]
    page = read(client, "/reporting")
    rest = read(client, f"/reporting{page.links['Next page']}")
    assert page.column("pushes", 0) + rest.column("pushes", 0) == ids
    assert "Next page" not in rest.links
    assert [row["push_id"] for row in rows_of_csv(client, "/reporting", "pushes")] == ids


@pytest.mark.parametrize(
    ("state", "action", "more"),
    [
        ("rejected", "/reporting/retry", {}),
        ("rejected", "/reporting/leave", {}),
        ("uncertain", "/push/resolve", {"delivered": "true"}),
        ("uncertain", "/push/resolve", {"delivered": "false"}),
    ],
)
def test_a_form_that_is_sent_twice_decides_once_and_the_second_answer_says_why(
    client: httpx.Client, reported: Ledger, state: str, action: str, more: dict[str, str]
) -> None:
    one = push(reported, state)
    page = read(client, "/push", biller="stripe", id=one)
    assert send(client, page, action, **more).status == 200
    before = reported.rows("SELECT * FROM meter.pushes ORDER BY push_id")
    second = send(client, page, action, **more)
    (found,) = (row for row in reported.call("pushes") if row.push_id == one)
    assert second.status == 400
    assert f"is {found.state}" in second.text
    assert reported.rows("SELECT * FROM meter.pushes ORDER BY push_id") == before
