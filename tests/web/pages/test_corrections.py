"""A person sees what a correction would change, and decides about it."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import httpx
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at
from tests.keys.conftest import Server
from tests.web.conftest import Api
from tests.web.pages.conftest import signed_in
from tests.web.pages.reading import read, rows_of_csv, run, send

HOSTILE = '<script>alert("1")</script>/\u05e9\u05dc\u05d5\u05dd & co'


@pytest.fixture
def client(api: Api) -> httpx.Client:
    return signed_in(api, "read", "approve")


def stage(ledger: Ledger, reason: str = "goodwill", **entry: Any) -> int:
    """An open correction that takes 2 of acct_1, if nothing else is given."""
    (opened,) = ledger.call("open_correction", reason=reason)
    made = {"entry": "adjust", "subject": "acct_1", "metric": "tokens", "quantity": -2} | entry
    ledger.call("stage_correction", id=opened[0], entries=Jsonb([made]))
    return int(opened[0])


def used(ledger: Ledger, subject: str = "acct_1") -> Decimal:
    return Decimal(ledger.usage(subject, "tokens").quantity)


def test_those_that_wait_come_first_and_a_state_can_be_chosen(client: httpx.Client, metered: Ledger) -> None:
    first, second, third = stage(metered, "a"), stage(metered, "b"), stage(metered, "c")
    metered.call("reject_correction", id=second, reason="wrong")
    page = read(client, "/corrections")
    assert page.column("waiting", 0) == [str(third), str(first)]
    assert page.column("corrections", 0) == [str(third), str(second), str(first)]
    assert page.source.index('id="waiting"') < page.source.index('id="corrections"')
    rejected = read(client, "/corrections", state="rejected")
    assert rejected.column("corrections", 0) == [str(second)]
    assert "waiting" not in rejected.tables
    assert read(client, "/corrections", subject="acct_2").tables == {}
    assert read(client, "/corrections", state="lost").status == 400


def test_the_impact_is_what_the_shown_select_returns(client: httpx.Client, metered: Ledger) -> None:
    one = stage(metered, subject="acct_2", quantity=-20)
    page = read(client, "/correction", id=one)
    (statement,) = [text for text in page.statements if "preview_correction" in text]
    (effect,) = run(metered, statement)
    assert page.tables["impact"] == [["acct_2", "70", "50", "\u221220", "\u2013"]]
    assert (effect.before, effect.after, effect.delta) == (70, 50, -20)
    (row,) = rows_of_csv(client, "/correction", "impact", id=one)
    assert row["delta"] == "'-20" or row["delta"] == "-20"
    assert [row["subject"] for row in rows_of_csv(client, "/correction", "entries", id=one)] == ["acct_2"]


def test_a_void_says_how_much_it_takes_back_of_which_event_also_on_a_narrow_screen(
    client: httpx.Client, metered: Ledger
) -> None:
    metered.define("users", "unique", "user")
    metered.define("peak", "max", "token")
    tokens = metered.record("acct_1", "tokens", "1234.5", idempotency_key="a", at=at("2026-06-18 14:30:05"))
    user = metered.record("acct_1", "users", member="u_1")
    peak = metered.record("acct_1", "peak", 40)
    (opened,) = metered.call("open_correction", reason="doubled")
    one = int(opened[0])
    for metric, recorded in (("tokens", tokens), ("users", user), ("peak", peak)):
        entry = {"entry": "void", "subject": "acct_1", "metric": metric, "event_id": recorded.event_id}
        metered.call("stage_correction", id=one, entries=Jsonb([entry]))
    taken = ["\N{MINUS SIGN}1,234.5", "u_1", "\N{MINUS SIGN}40"]
    page = read(client, "/correction", id=one)
    assert page.column("entries", -1) == taken
    assert page.column("entries", 3)[0] == f"event {tokens.event_id}"
    assert "2026-06-18 14:30:05" in page.text
    heads = re.findall(r'<th scope="col" class="([^"]*)">([^<]*)</th>', page.source.split('id="entries"')[1])
    assert "wide" not in {title: kind for kind, title in heads}["Event"]
    (row, *_) = rows_of_csv(client, "/correction", "entries", id=one)
    assert row["quantity"] == ""
    send(client, page, "/correction/approve")
    approved = read(client, "/correction", id=one)
    assert approved.column("entries", -2) == taken


def test_approving_makes_it_count_and_tells_what_has_changed(client: httpx.Client, metered: Ledger) -> None:
    one = stage(metered)
    page = send(client, read(client, "/correction", id=one), "/correction/approve")
    assert page.status == 200
    assert f"Correction {one} is approved. acct_1, Tokens: 5 became 3." in page.text
    assert page.column("entries", -1) == ["applied"]
    assert used(metered) == 3
    (row,) = metered.call("corrections", state="approved")
    assert row.correction_id == one
    assert row.decided_by != row.opened_by
    assert [form["action"] for form in page.forms if "/correction/" in form["action"]] == [
        "/correction/revert"
    ]


def test_approving_twice_is_refused_and_counts_once(client: httpx.Client, metered: Ledger) -> None:
    one = stage(metered)
    page = read(client, "/correction", id=one)
    send(client, page, "/correction/approve")
    again = send(client, page, "/correction/approve")
    assert again.status == 400
    assert "the correction is in another state" in again.text
    assert used(metered) == 3


def test_rejecting_needs_a_reason_and_counts_nowhere(client: httpx.Client, metered: Ledger) -> None:
    one = stage(metered)
    page = read(client, "/correction", id=one)
    assert send(client, page, "/correction/reject", reason="  ").status == 400
    assert metered.call("corrections", state="open")
    rejected = send(client, page, "/correction/reject", reason="of another month")
    assert "of another month" in rejected.text
    assert metered.call("corrections", state="rejected")[0].decision == "of another month"
    assert used(metered) == 5


def test_reverting_makes_the_old_total_count_again(client: httpx.Client, metered: Ledger) -> None:
    one = stage(metered)
    approved = send(client, read(client, "/correction", id=one), "/correction/approve")
    page = send(client, approved, "/correction/revert", reason="wrong account")
    assert f"Correction {one} is reverted, by correction {one + 1}." in page.text
    assert page.links[f"Correction {one}"] == f"/correction?id={one}"
    assert used(metered) == 5
    assert not [form for form in page.forms if "/correction/" in form["action"]]


def test_who_opened_it_may_not_approve_it_and_reads_why(
    client: httpx.Client, metered: Ledger, server: Server
) -> None:
    role = server.of_level["approve"]
    metered.call("grant_access", role=role, level="admin")
    metered.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)).as_string(None))
    one = stage(metered)
    metered.execute("RESET ROLE")
    metered.call("revoke_access", role=role, level="admin")
    metered.call("set_setting", name="four_eyes", value="true")
    page = send(client, read(client, "/correction", id=one), "/correction/approve")
    assert page.status == 403
    assert "the setting four_eyes asks for a second person" in page.text
    assert f"opened correction {one}" in page.text
    assert "Let another role decide, with the level approve." in page.text
    assert used(metered) == 5


def test_without_a_key_of_approve_there_is_no_button_but_what_to_do(api: Api, metered: Ledger) -> None:
    one = stage(metered)
    page = read(signed_in(api, "read"), "/correction", id=one)
    assert not [form for form in page.forms if "/correction/" in form["action"]]
    assert "To approve or reject it needs a key of the level approve" in page.text
    assert page.links["Add a key"].startswith("/sign-in?back=")


def test_texts_of_others_stay_texts(client: httpx.Client, metered: Ledger) -> None:
    one = stage(metered, HOSTILE, subject=HOSTILE, quantity=7)
    for page in (read(client, "/corrections"), read(client, "/correction", id=one)):
        assert "<script" not in page.source
        assert HOSTILE in page.text
    approved = send(client, read(client, "/correction", id=one), "/correction/approve")
    assert "<script" not in approved.source
    assert f"{HOSTILE}, Tokens: 0 became 7" in approved.text


def test_entries_that_can_no_longer_be_applied_are_a_problem_beside_them(
    client: httpx.Client, metered: Ledger
) -> None:
    (event,) = metered.call("events", subject="acct_1", metric="tokens")
    one = stage(metered, entry="amend", quantity=9, event_id=event.event_id)
    metered.call("void_event", subject="acct_1", metric="tokens", event_id=event.event_id, reason="test")
    page = read(client, "/correction", id=one)
    assert page.status == 200
    assert "impact" not in page.tables
    assert page.column("entries", 2) == ["acct_1"]


def test_many_entries_come_in_pages(client: httpx.Client, metered: Ledger) -> None:
    (opened,) = metered.call("open_correction", reason="backfill")
    entry = {"entry": "adjust", "subject": "acct_1", "metric": "tokens", "quantity": 1}
    metered.call("stage_correction", id=opened[0], entries=Jsonb([entry] * 60))
    page = read(client, "/correction", id=opened[0])
    assert page.column("entries", 0) == [str(n) for n in range(1, 51)]
    last = read(client, f"/correction{page.links['Next page']}")
    assert last.column("entries", 0) == [str(n) for n in range(51, 61)]
    assert "Next page" not in last.links
    assert len(rows_of_csv(client, "/correction", "entries", id=opened[0])) == 60
