"""What could not be sent is seen with its error and body, and is sent again; an endpoint can be tested."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest
from psycopg.types.json import Jsonb

from pymeter.web.pages.facts import facts
from tests.helpers import Ledger
from tests.web.conftest import Api
from tests.web.pages.conftest import signed_in
from tests.web.pages.reading import read, rows_of_csv, run, send

NAME = "<i>ops</i>/\u05e9"
ERROR = "<script>alert(1)</script>"


@pytest.fixture
def client(api: Api) -> httpx.Client:
    return signed_in(api, "read", "admin")


@pytest.fixture
def sent(metered: Ledger) -> Ledger:
    """An endpoint with a delivery that was given up and one that has arrived, and one that is gone."""
    for name in (NAME, "gone"):
        metered.call(
            "define_endpoint", name=name, url="https://example.com/hook", types=["correction.applied"]
        )
    for subject in ("acct_1", "acct_2"):
        metered.call("adjust", subject=subject, metric="tokens", quantity=1, reason="goodwill")
    metered.call("plan_deliveries")
    results = [
        {"delivery_id": one.delivery_id, "attempt": one.attempt, "status": 500, "error": ERROR}
        | {
            "outcome": "gone"
            if one.endpoint == "gone"
            else "delivered"
            if one.subject == "acct_2"
            else "failed"
        }
        for one in metered.call("claim_deliveries", worker="w")
    ]
    metered.call("settle_deliveries", worker="w", results=Jsonb(results))
    metered.execute(
        "UPDATE meter.deliveries SET state = 'dead', settled_at = now(), next_attempt_at = null"
        " WHERE state = 'planned'"
    )
    return metered


def dead(ledger: Ledger) -> int:
    (row,) = ledger.call("deliveries", endpoint=NAME, state="dead")
    return int(row.delivery_id)


OCTOBER = {"since": "2026-10-01T00:00:00+00:00", "until": "2026-11-01T00:00:00+00:00"}
NOVEMBER = {"since": "2026-11-01T00:00:00+00:00", "until": "2026-12-01T00:00:00+00:00"}
NOTIFICATIONS = {
    "budget.exceeded": (
        {"mark": 100, **NOVEMBER, "period": "cycle",
         "source": "subject", "currency": "USD", "budget_id": 1, "numerator": Decimal("1522.70"),
         "denominator": 261, "action": "alert", "projected": False},
        "1,522.70 of 261 USD per cycle; mark 100 %; 2026-11-01 to 2026-12-01",
    ),
    "threshold.projected": (
        {"mark": 80, "limit": "default", "limit_id": 2, "unit": "tokens", "period": "month", "numerator": 700,
         "denominator": 1000, "low": 900, "expected": 1070, "high": Decimal("1200.5")},
        "700 of 1,000 tokens per month; mark 80 %; expected 1,070 (900 to 1,200.5); limit default",
    ),
    "limit.refused": (
        {"limit": "default", "unit": "tokens", "period": "month", "numerator": 1000, "denominator": 1000,
         "refused": 50},
        "1,000 of 1,000 tokens per month; limit default; refused 50",
    ),
    "period.closed": (
        {**OCTOBER, "hash": "758",
         "statement_id": 1234, "totals": {"USD": "1516.50", "EUR": None}},
        "unknown EUR; 1,516.50 USD; 2026-10-01 to 2026-11-01; statement 1234",
    ),
    "correction.applied": (
        {"before": 428494, "after": 419736, "delta": -8758, "limits": [], "reason": "disputed",
         "correction_id": 1,
         **OCTOBER},
        "428,494 became 419,736 (\N{MINUS SIGN}8,758); 2026-10-01 to 2026-11-01; reason disputed;"
        " correction 1",
    ),
    "usage.late": (
        {"stated": 10, "current": 15, "delta": 5, "billed": 0, "waived": 0, "unit": "tokens",
         "amount": "0.10",
         "currency": "USD", "statement_id": 1},
        "10 stated, 15 now, 5 to decide; costs 0.10 USD; billed 0; waived 0; unit tokens; statement 1",
    ),
    "metric.updated": (
        {"revision": 2, "striped": False, "carry": True, "before": {"name": None}, "retired_at": None},
        'revision 2; carry; before {"name":null}',
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NOTIFICATIONS)
def test_the_facts_of_a_notification_are_words_and_amounts(kind: str) -> None:
    data, said = NOTIFICATIONS[kind]
    row: Any = {"type": kind, "subject": "acct_1", "metric": "tokens", "data": data}
    before = dict(data)
    assert facts("UTC")(row) == said
    assert data == before
    long = {"reason": "x" * 120, "at": "2026-06-18T00:00:00+02:00", "note": "y" * 20}
    assert facts("UTC")(row | {"data": long}).endswith("at 2026-06-17 22:00:00; \N{HORIZONTAL ELLIPSIS}")


def test_endpoints_are_shown_with_what_is_wrong(client: httpx.Client, sent: Ledger) -> None:
    page = read(client, "/notifications")
    assert [row[:2] for row in page.tables["endpoints"]] == [[NAME, "active"], ["gone", "disabled"]]
    assert f"{NAME} : 1 delivery was given up." in page.text
    assert "it answered that it is gone (410)" in page.text
    assert NAME not in page.source
    (statement,) = [text for text in page.statements if "endpoints(" in text]
    assert [row.dead_deliveries for row in run(sent, statement)] == [1, 2]
    assert page.column("endpoints", -1) == ["1", "2"]


def test_deliveries_of_a_state_and_endpoint_can_be_chosen(client: httpx.Client, sent: Ledger) -> None:
    assert len(read(client, "/notifications").tables["deliveries"]) == 4
    found = read(client, "/notifications", state="dead", endpoint=NAME)
    assert found.column("deliveries", 0) == [str(dead(sent))]
    assert [
        row["error"]
        for row in rows_of_csv(client, "/notifications", "deliveries", state="dead", endpoint=NAME)
    ] == [ERROR]
    assert read(client, "/notifications", state="lost").status == 400


def test_a_dead_delivery_shows_its_error_and_body_and_is_sent_again(
    client: httpx.Client, sent: Ledger
) -> None:
    one = dead(sent)
    page = read(client, "/delivery", id=one)
    assert ERROR in page.text
    assert "<script" not in page.source
    assert "goodwill" in page.text
    again = send(client, page, "/endpoint/retry")
    assert "1 delivery is sent again" in again.text
    (row,) = [row for row in sent.call("deliveries", endpoint=NAME) if row.delivery_id == one]
    assert row.state in ("planned", "waiting")
    assert row.failures == 0


def test_all_of_an_endpoint_are_sent_again(client: httpx.Client, sent: Ledger) -> None:
    page = send(client, read(client, "/endpoint", name=NAME), "/endpoint/retry")
    assert "1 delivery is sent again by the next run of pymeter notify." in page.text
    assert sent.call("deliveries", endpoint=NAME, state="dead") == []
    assert len(sent.call("deliveries", endpoint="gone", state="dead")) == 2


def test_an_endpoint_is_tested_but_not_one_that_is_disabled(client: httpx.Client, sent: Ledger) -> None:
    page = send(client, read(client, "/endpoint", name=NAME), "/endpoint/test")
    assert "A test message is planned." in page.text
    assert "endpoint.test" in page.text
    assert sent.call("deliveries", state="planned")[0].type == "endpoint.test"
    gone = read(client, "/endpoint", name="gone")
    assert not [form for form in gone.forms if "/endpoint" in form["action"]]
    form = {"form_token": gone.forms[-1]["form_token"], "name": "gone"}
    answer = client.post("/endpoint/test", data=form)
    assert answer.status_code == 400
    assert "Enable it first" in answer.text
    assert client.get("/endpoint", params={"name": "none"}).status_code == 404


def test_without_a_key_of_admin_nothing_can_be_sent(api: Api, sent: Ledger) -> None:
    client = signed_in(api, "read")
    for page in (read(client, "/endpoint", name=NAME), read(client, "/delivery", id=dead(sent))):
        assert "needs a key of the level admin" in page.text
        assert not [form for form in page.forms if "/endpoint/" in form["action"]]


def test_the_feed_has_the_newest_first_in_pages(client: httpx.Client, metered: Ledger) -> None:
    for number in range(22):
        metered.call("adjust", subject="acct_1", metric="tokens", quantity=1, reason=f"goodwill {number}")
    ids = [str(row.notification_id) for row in metered.call("notifications", newest_first=True)]
    page = read(client, "/notifications")
    assert "reason goodwill 21" in page.tables["notifications"][0][3]
    rest = read(client, f"/notifications{page.links['Next page']}")
    assert page.column("notifications", 0) + rest.column("notifications", 0) == ids
    only = read(client, "/notifications", type="metric.defined")
    assert only.column("notifications", 1) == ["metric.defined"]


def test_deliveries_come_in_pages(client: httpx.Client, metered: Ledger) -> None:
    metered.call("define_endpoint", name="ops", url="https://example.com/hook", types=["correction.applied"])
    for number in range(22):
        metered.call("adjust", subject="acct_1", metric="tokens", quantity=1, reason=f"goodwill {number}")
    metered.call("plan_deliveries")
    ids = [str(row.delivery_id) for row in metered.call("deliveries")]
    page = read(client, "/endpoint", name="ops")
    rest = read(client, f"/endpoint{page.links['Next page']}")
    assert page.column("deliveries", 0) + rest.column("deliveries", 0) == ids
    assert len(ids) == 22
