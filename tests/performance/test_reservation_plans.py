"""Reservations are found by an index among thousands, in each call, whether they hold or have ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.helpers import Ledger
from tests.performance.plans import Plans, explainer

Explain = Callable[..., Plans]

TABLES = ("events", "keys", "old_keys", "rollups", "series", "unique_members", "reservations")
HOLDING, ENDED = 50, 5_000


@pytest.fixture
def reserved(filled: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """``acct_0`` has 5,000 reservations that have ended, and others' are between; 50 hold."""
    ledger = Ledger(filled)
    ledger.call("set_limit", metric="tokens", quota=10**9)
    for subject, states in (("acct_0", ("settled", "released", "expired", "held")), ("other_1", ("held",))):
        for state in states:
            ledger.execute(
                "INSERT INTO meter.reservations"
                " (reservation_id, metric, subject, quantity, held, at, expires_at, state)"
                " SELECT nextval('meter.event_ids'), 'tokens', %s, 5, 5, now(), now() + interval '1 day', %s"
                " FROM generate_series(1, %s)",
                [subject, state, HOLDING if state == "held" and subject == "acct_0" else ENDED // 3],
            )
    for _ in range(20):
        ledger.call("reserve", subject="rare", metric="tokens", quantity=1)
    ledger.execute("ANALYZE meter.reservations")
    ledger.record("acct_0", "tokens", 1)
    return filled


def test_a_reservation_far_from_the_quota_reads_one_row(reserved: psycopg.Connection[Any]) -> None:
    explain = explainer(reserved)
    plans = explain(
        "SELECT meter.reserve('acct_0', 'tokens', 1, idempotency_key => 'k' || clock_timestamp())"
    )
    plans.assert_by_index(*TABLES)
    assert plans.rows(*TABLES) == 1
    assert [scan.index for scan in plans.scans("series")] == ["series_pkey"]
    assert [len(plans.writes(table)) for table in ("keys", "series", "reservations")] == [1, 1, 1]
    assert plans.writes("rollups") == []


def test_its_settlement_reads_it_and_the_row_of_its_series(reserved: psycopg.Connection[Any]) -> None:
    ledger = Ledger(reserved)
    for _ in range(7):
        settle_one(ledger)
    held = ledger.call("reserve", subject="acct_0", metric="tokens", quantity=1)[0]
    explain = explainer(reserved)
    plans = explain(f"SELECT meter.settle({held.reservation_id}, 1)", calls_before=0)
    plans.assert_by_index(*TABLES)
    assert {scan.index for scan in plans.scans("reservations")} == {"reservations_pkey"}
    assert plans.rows("reservations") == 1
    assert plans.rows("series") == 1
    assert plans.rows("events", "keys", "old_keys", "rollups") == 0


def settle_one(ledger: Ledger) -> None:
    held = ledger.call("reserve", subject="acct_0", metric="tokens", quantity=1)[0]
    ledger.call("settle", reservation_id=held.reservation_id, quantity=1)


@pytest.mark.parametrize(
    "call",
    [
        "SELECT meter.record('acct_0', 'tokens', 1, at => now() - interval '2 hours')",
        "SELECT meter.reserve('acct_0', 'tokens', 5, minimum => 1)",
        "SELECT meter.check_quota('acct_0', 'tokens')",
    ],
)
def test_a_decision_reads_what_is_held_once(reserved: psycopg.Connection[Any], call: str) -> None:
    """Not what others hold, nor what has ended."""
    plans = explainer(reserved)(call)
    plans.assert_by_index(*TABLES)
    found = plans.scans("reservations")
    assert {scan.index for scan in found} == {"reservations_held"}
    # Once for what is held, once for what expires first.
    assert HOLDING <= plans.rows("reservations") <= HOLDING + 10


def test_a_decision_for_a_subject_without_holds_looks_once(reserved: psycopg.Connection[Any]) -> None:
    Ledger(reserved).record("other_2", "tokens", 1)
    late = "SELECT meter.record('other_2', 'tokens', 1, at => now() - interval '2 hours')"
    plans = explainer(reserved)(late)
    plans.assert_by_index(*TABLES)
    assert [(scan.index, scan.rows) for scan in plans.scans("reservations")] == [("reservations_held", 0)]


@pytest.mark.parametrize(
    "call",
    [
        "SELECT * FROM meter.reservations('rare', max_rows => 10)",
        "SELECT * FROM meter.reservations(max_rows => 10)",
        "SELECT * FROM meter.reservations(max_rows => 10, before_id => 20000000)",
    ],
)
def test_a_page_of_reservations_reads_a_page(reserved: psycopg.Connection[Any], call: str) -> None:
    plans = explainer(reserved)(call)
    assert [scan.node for scan in plans.scans("reservations") if "Index" not in scan.node] == []
    assert plans.rows("reservations") <= 10


def test_health_counts_what_expired_by_index(reserved: psycopg.Connection[Any]) -> None:
    plans = explainer(reserved)("SELECT * FROM meter.health()")
    plans.assert_by_index("reservations")
