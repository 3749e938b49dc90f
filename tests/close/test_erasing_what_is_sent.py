"""Erasing a subject while its usage is on its way to a biller, or to who is notified of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, Task, at

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

DAY = at("2026-06-18 10:00")
ENDS = pytest.mark.parametrize("end", ["commit", "rollback"])


def erase(ledger: Ledger, subject: str = "a", pseudonym: str = "nobody") -> int:
    return int(ledger.call("erase_subject", subject=subject, pseudonym=pseudonym)[0][0])


@pytest.fixture
def reported(ledger: Ledger) -> Ledger:
    """Usage of a that is on its way to customer cus_1."""
    now = ledger.value("SELECT date_trunc('hour', now()) - interval '2 hours'")
    ledger.define("m", "sum")
    ledger.call("report_metric", metric="m", event_name="m")
    ledger.call("report_subject", subject="a", customer="cus_1")
    for quantity in (5, 7):
        ledger.record("a", "m", quantity, at=now)
        ledger.call("plan_pushes")
    return ledger


def sent(ledger: Ledger) -> list[tuple[str, Any]]:
    return [tuple(r) for r in ledger.rows("SELECT subject, value FROM meter.pushes ORDER BY push_id")]


@ENDS
def test_usage_that_is_planned_meanwhile_is_reported_once(
    reported: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    ledger = reported
    moment = ledger.value("SELECT date_trunc('hour', now()) - interval '2 hours'")
    ledger.record("a", "m", 1, at=moment)
    eraser, planner = new_ledger("eraser", autocommit=False), new_ledger("planner")
    erase(eraser)
    task = Task(lambda: planner.call("plan_pushes"))
    wait_until_blocked(ledger.connection, "planner")
    getattr(eraser.connection, end)()
    task.result()
    name = "nobody" if end == "commit" else "a"
    assert sent(ledger) == [(name, 5), (name, 7), (name, 1)]
    assert ledger.rows("SELECT subject, quantity FROM meter.reported") == [(name, 13)]
    ledger.record(name, "m", 2, at=moment)
    ledger.call("plan_pushes")
    assert sent(ledger)[3:] == [(name, 2)]
    claimed = ledger.call("claim_pushes", biller="stripe", worker="w")
    assert [c.customer for c in claimed] == ["cus_1"] * 4


@ENDS
def test_pushes_that_are_being_sent_are_settled_under_the_pseudonym(
    reported: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    ledger = reported
    claimed = ledger.call("claim_pushes", biller="stripe", worker="w")
    eraser, worker = new_ledger("eraser", autocommit=False), new_ledger("worker")
    erase(eraser)
    results = Jsonb([{"push_id": c.push_id, "attempt": c.attempt, "outcome": "delivered"} for c in claimed])
    task = Task(lambda: worker.call("settle_pushes", biller="stripe", worker="w", results=results))
    wait_until_blocked(ledger.connection, "worker")
    getattr(eraser.connection, end)()
    assert {p.state for p in task.result()} == {"delivered"}
    assert ledger.value("SELECT count(*) FROM meter.pushes WHERE state = 'delivered'") == len(claimed)


def test_a_subject_that_the_biller_knows_by_its_text_has_to_be_reported_first(reported: Ledger) -> None:
    """What is sent under a text cannot lose it; what was sent can."""
    ledger = reported
    ledger.call("define_biller", biller="plain", subject_is_customer=True)
    ledger.call("report_metric", metric="m", event_name="m", biller="plain")
    assert ledger.value("SELECT count(*) FROM meter.unreported") > 0
    for done in ("queued", "planned", "sending"):
        with pytest.raises(psycopg.Error) as refused:
            erase(ledger)
        assert refused.value.sqlstate == "55000", done
        if done == "queued":
            ledger.call("plan_pushes", biller="plain")
        elif done == "planned":
            claimed = ledger.call("claim_pushes", biller="plain", worker="w")
    results = [{"push_id": c.push_id, "attempt": c.attempt, "outcome": "delivered"} for c in claimed]
    ledger.call("settle_pushes", biller="plain", worker="w", results=Jsonb(results))
    erase(ledger)
    assert ledger.rows("SELECT subject, customer FROM meter.pushes WHERE biller = 'plain'") == [
        ("nobody", "nobody")
    ]
    assert ledger.rows("SELECT customer FROM meter.report_lanes WHERE biller = 'plain'") == [("nobody",)]
    assert ledger.call("preview_pushes", biller="plain") == []


@ENDS
def test_deliveries_that_are_planned_meanwhile_have_the_pseudonym(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    ledger.define("m", "sum")
    ledger.call("define_endpoint", name="ops", url="https://example.com", types=["*", "usage.recorded"])
    ledger.record("a", "m", 1, idempotency_key="k1", at=DAY)
    ledger.call("adjust", subject="a", metric="m", quantity=-1, at=DAY, reason="x")
    eraser, planner = new_ledger("eraser", autocommit=False), new_ledger("planner")
    erase(eraser)
    task = Task(lambda: planner.call("plan_deliveries"))
    wait_until_blocked(ledger.connection, "planner")
    getattr(eraser.connection, end)()
    task.result()
    name = "nobody" if end == "commit" else "a"
    told = ledger.rows(
        "SELECT subject, body::jsonb ->> 'subject' AS body FROM meter.deliveries WHERE subject <> ''"
    )
    assert told == [(name, name)] * 2
    found = ledger.value("SELECT count(*) FROM meter.deliveries WHERE body ~ '\"(k1|reason)\"'")
    assert found == (0 if end == "commit" else 2)
