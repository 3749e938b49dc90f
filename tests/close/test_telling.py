"""Who looks after the meter is told of what was closed, of what came late, and of what was not closed."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at

JUNE = (at("2026-06-01"), at("2026-07-01"))
JULY = (at("2026-07-01"), at("2026-08-01"))
SEPTEMBER = (at("2026-09-01"), at("2026-10-01"))


def closed(ledger: Ledger, since: Any, until: Any, subject: str = "acct_1") -> Any:
    return ledger.call("close_period", subject=subject, since=since, until=until)[0]


def record(ledger: Ledger, quantity: int, day: str, key: str | None = None) -> None:
    ledger.call(
        "record", subject="acct_1", metric="tokens", quantity=quantity, at=at(day), idempotency_key=key
    )


def told(ledger: Ledger, type: str) -> list[Any]:
    return [row.data for row in ledger.call("notifications", max_rows=1000) if row.type == type]


def maintained(ledger: Ledger) -> None:
    while ledger.rows("SELECT * FROM meter.maintain() WHERE action <> 'notified of late usage'"):
        pass


def test_a_closed_period_is_told_with_its_statement(ledger: Ledger) -> None:
    ledger.call("define_metric", key="tokens", aggregate="sum", unit="token")
    header = closed(ledger, *JUNE)
    closed(ledger, *JUNE)
    (data,) = told(ledger, "period.closed")
    assert (data["statement_id"], data["hash"]) == (header.statement_id, header.hash)


def test_late_usage_is_told_once_and_again_when_it_changes(ledger: Ledger) -> None:
    ledger.call("define_metric", key="tokens", aggregate="sum", unit="token")
    record(ledger, 5, "2026-06-10")
    header = closed(ledger, *JUNE)
    maintained(ledger)
    assert told(ledger, "usage.late") == []
    record(ledger, 2, "2026-06-11")
    for _ in range(3):
        maintained(ledger)
    assert [
        (d["statement_id"], d["stated"], d["current"], d["delta"]) for d in told(ledger, "usage.late")
    ] == [(header.statement_id, 5, 7, 2)]
    ledger.call(
        "settle_late_usage", statement_id=header.statement_id, metric="tokens", delta=2, decision="waive"
    )
    maintained(ledger)
    assert len(told(ledger, "usage.late")) == 1
    record(ledger, 4, "2026-06-12")
    maintained(ledger)
    assert [d["delta"] for d in told(ledger, "usage.late")] == [2, 4]


def test_health_counts_undecided_late_usage_until_it_is_decided(ledger: Ledger) -> None:
    def notices() -> list[str]:
        return [n for n in ledger.call("health")[0].notices if "late usage" in n]

    ledger.call("define_metric", key="tokens", aggregate="sum", unit="token")
    header = closed(ledger, *JUNE)
    record(ledger, 2, "2026-06-11")
    maintained(ledger)
    assert notices() == [
        "lines of statements with late usage that is not decided: 1; late_usage() lists them"
    ]
    ledger.call(
        "settle_late_usage", statement_id=header.statement_id, metric="tokens", delta=2, decision="bill"
    )
    assert notices() == []


def test_health_shows_gaps_until_they_are_closed(ledger: Ledger) -> None:
    def gaps() -> list[str]:
        return [n for n in ledger.call("health")[0].notices if "gap" in n]

    ledger.call("define_metric", key="tokens", aggregate="sum", unit="token")
    closed(ledger, *JUNE)
    assert gaps() == []
    closed(ledger, at("2026-08-01"), at("2026-09-01"))
    closed(ledger, *SEPTEMBER)
    assert gaps() == ["gaps between statements, among the 1,000 closed last: 1"]
    closed(ledger, *JULY)
    assert gaps() == []


def test_health_has_a_problem_when_closing_has_stopped(ledger: Ledger) -> None:
    def problems(now: str) -> list[str]:
        return [p for p in ledger.call("health", now=at(now))[0].problems if "cycle" in p]

    ledger.call("define_metric", key="tokens", aggregate="sum", unit="token")
    record(ledger, 5, "2026-06-10")
    assert problems("2026-08-05") == []  # closing is not used
    ledger.call("close_due", now=at("2026-07-01 02:00"))
    assert problems("2026-07-20") == []
    assert problems("2026-08-01 23:00") == []
    assert problems("2026-08-02 02:00") == [
        "subjects whose billing cycle has ended more than a day ago and is not closed: 1"
    ]
    ledger.call("close_due", now=at("2026-08-02 02:00"))
    assert problems("2026-08-02 02:00") == []


def test_a_preview_says_whether_the_period_is_closed(ledger: Ledger) -> None:
    ledger.call("define_metric", key="tokens", aggregate="sum", unit="token")
    record(ledger, 5, "2026-06-10", "june")
    record(ledger, 5, "2026-07-10", "july")
    closed(ledger, *JUNE)
    correction = ledger.value("SELECT meter.open_correction('double count')")
    entries = [
        {"entry": "void", "subject": "acct_1", "metric": "tokens", "idempotency_key": key}
        for key in ("june", "july")
    ]
    ledger.call("stage_correction", id=correction, entries=Jsonb(entries))
    preview = ledger.call("preview_correction", id=correction)
    assert [(row.since, row.closed) for row in preview] == [(JUNE[0], True), (JULY[0], False)]
    assert ledger.call("approve_correction", id=correction) == preview


def test_carry_is_settled_once_a_statement_has_the_metric(ledger: Ledger) -> None:
    ledger.call("define_metric", key="seats", aggregate="last", unit="seat")
    ledger.call("record", subject="acct_1", metric="seats", quantity=5, at=at("2026-05-10"))
    ledger.call("define_metric", key="seats", aggregate="last", unit="seat", carry=True)
    closed(ledger, *JUNE)
    with pytest.raises(psycopg.Error) as refused:
        ledger.call("define_metric", key="seats", aggregate="last", unit="seat", carry=False)
    assert refused.value.sqlstate == "UM002"
    ledger.call("define_metric", key="seats", aggregate="last", unit="chair", carry=True)
    assert ledger.rows("SELECT open FROM meter.statement_balances WHERE open <> 0") == []


def test_a_delta_that_was_never_there_is_a_conflict_and_no_duplicate(ledger: Ledger) -> None:
    ledger.call("define_metric", key="tokens", aggregate="sum", unit="token")
    header = closed(ledger, *JUNE)

    def settled(delta: int) -> tuple[str, int]:
        row = ledger.call(
            "settle_late_usage",
            statement_id=header.statement_id,
            metric="tokens",
            delta=delta,
            decision="bill",
        )[0]
        return row.outcome, row.billed

    assert settled(3) == ("conflict", 0)
    record(ledger, 3, "2026-06-10")
    assert settled(3) == ("settled", 3)
    assert settled(3) == ("duplicate", 3)
