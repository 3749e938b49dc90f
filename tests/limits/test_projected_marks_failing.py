"""A subject whose usage cannot be projected does not stop the others."""

from __future__ import annotations

from datetime import timedelta

from tests.helpers import Ledger, at

NOW = at("2026-06-15 12:00")


def test_a_subject_that_cannot_be_judged_does_not_stop_the_others(ledger: Ledger) -> None:
    ledger.define("tokens", "sum")
    ledger.call(
        "set_limit", metric="tokens", quota=500, period="cycle", projected=True, since=at("2020-01-01")
    )
    for subject in ("ann", "bob", "cid"):
        for days in range(30):
            ledger.record(subject, "tokens", 20, at=NOW - timedelta(days=days))
    ledger.call("set_billing_cycle", subject="bob", anchor=at("2026-01-01"), timezone="Europe/Berlin")
    for table, column, value in (
        ("cycle_history", "timezones", "'{Nowhere/Never}'"),
        ("billing_cycles", "timezone", "'Nowhere/Never'"),
    ):
        ledger.execute(f"UPDATE meter.{table} SET {column} = {value} WHERE subject = 'bob'")
    for _ in range(3):
        ledger.call("judge_projections", now=NOW)
    told = {row.subject for row in ledger.call("notifications") if row.type == "threshold.projected"}
    assert told == {"ann", "cid"}
    (found,) = ledger.call("health")
    assert (
        "subjects whose usage of tokens could not be projected: 1, the last one: unknown time zone (22023)"
        in found.notices
    )
    for table, column, value in (
        ("cycle_history", "timezones", "'{Europe/Berlin}'"),
        ("billing_cycles", "timezone", "'Europe/Berlin'"),
    ):
        ledger.execute(f"UPDATE meter.{table} SET {column} = {value} WHERE subject = 'bob'")
    assert ledger.call("judge_projections", now=NOW)[0][0] > 0
    assert ledger.call("health")[0].notices == []
