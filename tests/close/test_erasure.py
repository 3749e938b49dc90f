"""Erasing a subject: what stays, what goes on under the pseudonym, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import AGGREGATES, Ledger, at

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

DAY = at("2026-06-18 10:00")
MONTH = {"since": at("2026-06-01"), "until": at("2026-07-01")}


def erase(ledger: Ledger, subject: str = "a", pseudonym: str = "nobody") -> int:
    return int(ledger.call("erase_subject", subject=subject, pseudonym=pseudonym)[0][0])


def payload(aggregate: str, n: int) -> dict[str, Any]:
    return {"member": f"m{n}"} if aggregate == "unique" else {"quantity": n}


def record(ledger: Ledger, metric: str, n: int, aggregate: str = "sum", **named: Any) -> Any:
    given = {"idempotency_key": f"k{n}", "at": DAY + timedelta(hours=n), **payload(aggregate, n), **named}
    return ledger.record(given.pop("subject", "a"), metric, **given)


@pytest.mark.parametrize("striped", [False, True])
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_totals_stay_and_old_retries_are_duplicates(ledger: Ledger, aggregate: str, striped: bool) -> None:
    ledger.define("m", aggregate, striped=striped)
    for n in (1, 2, 3):
        record(ledger, "m", n, aggregate, metadata={"field": "x"})
        record(ledger, "m", n, aggregate, idempotency_key=None)
    ledger.call("void_event", subject="a", metric="m", idempotency_key="k2", reason="x")
    change = payload(aggregate, 5)
    ledger.call("amend_event", subject="a", metric="m", idempotency_key="k3", reason="x", **change)
    before = ledger.usage("a", "m", **MONTH)
    day = {"step": "hour", "since": DAY, "until": DAY + timedelta(days=1)}
    hours = ledger.call("series", subject="a", metric="m", **day)
    assert erase(ledger) == (9 if aggregate == "unique" else 6)
    assert ledger.usage("nobody", "m", **MONTH) == before
    assert ledger.call("series", subject="nobody", metric="m", **day) == hours
    assert ledger.verify() == []
    assert ledger.rebuild() == 0
    assert ledger.usage("a", "m", **MONTH).event_count == 0
    for n in (1, 2, 3):
        assert record(ledger, "m", n, aggregate).outcome == "duplicate"
    assert record(ledger, "m", 3, aggregate, **payload(aggregate, 5)).outcome == "duplicate"
    again = {"subject": "a", "metric": "m", "idempotency_key": "k1", "at": DAY, **payload(aggregate, 1)}
    assert [o.outcome for o in ledger.batch([again])] == ["duplicate"]
    assert [o.outcome for o in ledger.call("known_events", events=Jsonb([again | {"at": "2026-06-18"}]))] == [
        "duplicate"
    ]
    assert ledger.usage("a", "m", **MONTH).event_count == 0


def test_another_quantity_is_a_conflict_and_another_member_can_no_longer_be_told(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.define("users", "unique")
    record(ledger, "m", 1)
    record(ledger, "users", 1, "unique")
    erase(ledger)
    assert record(ledger, "m", 1, quantity=2).outcome == "conflict"
    assert record(ledger, "users", 1, "unique", member="another").outcome == "duplicate"


def test_the_key_of_a_reservation_is_still_no_key_of_an_event(ledger: Ledger) -> None:
    """It has neither quantity nor member, and yet nothing of it was erased."""
    ledger.define("m", "sum")
    ledger.define("users", "unique")
    ledger.call("reserve", subject="a", metric="m", quantity=5, idempotency_key="k1")
    assert record(ledger, "m", 1, quantity=5).outcome == "conflict"
    erase(ledger)
    assert record(ledger, "m", 1, quantity=5).outcome == "conflict"
    again = ledger.call("reserve", subject="a", metric="m", quantity=5, idempotency_key="k1")[0]
    assert again.outcome == "duplicate"


def test_keys_of_dropped_months_lose_their_members(ledger: Ledger) -> None:
    ledger.define("users", "unique", period="week", rollup="day")
    for subject, member in (("a", "m1"), ("b", "m1"), ("b", "m2")):
        ledger.record(subject, "users", member=member, idempotency_key=member, at=at("2024-03-05"))
    for _ in range(2):
        ledger.upkeep(keep=timedelta(days=365))
    assert ledger.value("SELECT count(*) FROM meter.events") == 0
    window = {"since": at("2024-03-04"), "until": at("2024-03-11")}
    before = ledger.usage("a", "users", **window)
    erase(ledger)
    assert ledger.usage("nobody", "users", **window) == before
    assert ledger.verify() == []
    assert ledger.rows("SELECT member FROM meter.keys ORDER BY event_id") == [("",), ("",), ("m2",)]
    repeat = {"idempotency_key": "m1", "at": at("2024-03-05")}
    assert ledger.record("a", "users", member="m1", **repeat).outcome == "duplicate"
    assert ledger.record("b", "users", member="m1", **repeat).outcome == "duplicate"


def test_old_keys_lose_their_members(ledger: Ledger) -> None:
    ledger.define("users", "unique")
    record(ledger, "users", 1, "unique")
    ledger.execute("INSERT INTO meter.old_keys TABLE meter.keys")
    ledger.execute("DELETE FROM meter.keys")
    erase(ledger)
    assert ledger.value("SELECT member FROM meter.old_keys") == ""
    assert record(ledger, "users", 1, "unique").outcome == "duplicate"


def test_equal_members_get_one_text_in_a_series_and_another_in_another(ledger: Ledger) -> None:
    for metric in ("users", "others"):
        ledger.define(metric, "unique")
        for member in ("x", "x", "y"):
            ledger.record("a", metric, member=member, at=DAY)
    erase(ledger)
    users, others = (
        [e.member for e in ledger.call("events", subject="nobody", metric=metric)]
        for metric in ("users", "others")
    )
    assert len(set(users)) == len(set(others)) == 2
    assert not set(users) & set(others)
    assert not {"x", "y"} & {*users, *others}


def test_what_is_recorded_under_the_old_text_later_is_a_new_subject(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    record(ledger, "m", 1)
    ledger.call("close_period", subject="a", **MONTH)
    erase(ledger)
    record(ledger, "m", 7)
    record(ledger, "m", 2, subject="nobody")
    assert ledger.usage("a", "m", **MONTH).quantity == 7
    assert ledger.usage("nobody", "m", **MONTH).quantity == 3
    assert ledger.call("statements", subject="a") == []
    assert erase(ledger, "a", "nobody_2") == 1
    assert ledger.usage("nobody_2", "m", **MONTH).quantity == 7
    assert ledger.verify() == []


def test_statements_and_late_usage_go_on_under_the_pseudonym(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.call("set_setting", name="late_usage", value="bill")
    record(ledger, "m", 5)
    statement = ledger.call("close_period", subject="a", **MONTH)[0].statement_id
    document = ledger.call("statement_document", statement_id=statement)
    record(ledger, "m", 3)
    late = ledger.call("late_usage", subject="a")
    assert late[0].delta == 3
    erase(ledger)
    assert ledger.call("statement_document", statement_id=statement) == document
    assert [row._replace(subject="a") for row in ledger.call("late_usage", subject="nobody")] == late
    record(ledger, "m", 2, subject="nobody", at=at("2026-07-03"))
    ledger.call("close_period", subject="nobody", since=at("2026-07-01"), until=at("2026-08-01"))
    lines = ledger.rows("SELECT kind, quantity FROM meter.statement_lines ORDER BY statement_id, line")
    assert lines == [("usage", 5), ("usage", 2), ("late", 3)]
    assert ledger.call("verify_statements") == []
    assert ledger.rows("SELECT subject, salt FROM meter.sealed_subjects") == [("nobody", None)]
    for row in ledger.rows("SELECT * FROM meter.statement_balances"):
        assert row.stated + row.billed + row.waived + row.open == row.current
    # A tampered statement still shows.
    ledger.execute("ALTER TABLE meter.statement_lines DISABLE TRIGGER USER")
    ledger.execute("UPDATE meter.statement_lines SET quantity = 6 WHERE quantity = 5")
    assert {p.what for p in ledger.call("verify_statements")} == {"hash", "log"}


def test_reads_as_of_a_watermark_stay(ledger: Ledger) -> None:
    for metric, aggregate in (("m", "sum"), ("users", "unique")):
        ledger.define(metric, aggregate)
        record(ledger, metric, 1, aggregate)
    (drawn,) = ledger.call("watermark", subject="a")[0]
    for metric, aggregate in (("m", "sum"), ("users", "unique")):
        record(ledger, metric, 2, aggregate)
    erase(ledger)
    assert ledger.usage("nobody", "m", as_of=drawn, **MONTH).quantity == 1
    assert ledger.usage("nobody", "users", as_of=drawn, **MONTH).quantity == 1


def test_holds_limits_and_top_ups_go_on_under_the_pseudonym(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.call("set_limit", metric="m", quota=10, subject="a")
    ledger.call("top_up", subject="a", metric="m", quantity=5, idempotency_key="t1", reason="goodwill")
    ledger.record("a", "m", 4)
    held = ledger.call("reserve", subject="a", metric="m", quantity=3, metadata=Jsonb({"f": "x"}))[0]
    before = ledger.call("balance", subject="a", metric="m")
    erase(ledger)
    assert ledger.call("balance", subject="nobody", metric="m") == before
    assert ledger.record("nobody", "m", 9).outcome == "refused"
    assert ledger.call("settle", reservation_id=held.reservation_id, quantity=6)[0].quantity == 10
    assert ledger.record("nobody", "m", 6).outcome == "refused"
    assert ledger.record("nobody", "m", 5).outcome == "recorded"
    # The limit was the subject's own, so the new one has none.
    assert ledger.record("a", "m", 1000).outcome == "recorded"
    assert ledger.verify() == []


def test_a_correction_is_taken_back_after_the_erasure(ledger: Ledger) -> None:
    ledger.define("users", "unique")
    for n in (1, 2):
        record(ledger, "users", n, "unique")
    void = ledger.call("void_event", subject="a", metric="users", idempotency_key="k1", reason="why")[0]
    erase(ledger)
    assert ledger.usage("nobody", "users", **MONTH).quantity == 1
    ledger.call("revert_correction", id=void.correction_id, reason="x")
    assert ledger.usage("nobody", "users", **MONTH).quantity == 2
    event = next(e for e in ledger.call("events", subject="nobody") if e.kind == "usage")
    ledger.call("void_event", subject="nobody", metric="users", event_id=event.event_id, reason="x")
    assert ledger.usage("nobody", "users", **MONTH).quantity == 1
    assert ledger.verify() == []


def test_the_reason_of_a_correction_of_several_subjects_stays_unless_it_names_the_subject(
    ledger: Ledger,
) -> None:
    ledger.define("m", "sum")
    entries = [
        {"entry": "adjust", "subject": s, "metric": "m", "quantity": 1, "reason": f"for {s}"}
        for s in ("alice", "bob")
    ]
    for reason in ("a faulty meter", "alice has complained"):
        ((opened,),) = ledger.call("open_correction", reason=reason)
        ledger.call("stage_correction", id=opened, entries=Jsonb(entries))
        ledger.call("approve_correction", id=opened)
    erase(ledger, "alice")
    assert [c.reason for c in ledger.call("corrections")] == ["erased", "a faulty meter"]
    told = ledger.rows(
        "SELECT subject, data ->> 'reason' FROM meter.notifications WHERE type ~ 'corr' ORDER BY 1, 2"
    )
    assert told == [("bob", "a faulty meter"), ("bob", None), ("nobody", None), ("nobody", None)]
    assert [(e.subject, e.reason) for e in ledger.call("correction_entries", id=1)] == [
        ("nobody", None),
        ("bob", "for bob"),
    ]


def test_the_admin_log_tells_of_it_without_the_name(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.call("set_billing_cycle", subject="a", anchor=at("2026-01-15"))
    record(ledger, "m", 1)
    erase(ledger)
    entry, cycle, _ = ledger.call("admin_log")
    assert (entry.action, entry.object, entry.before, entry.after) == (
        "erase_subject",
        "nobody",
        None,
        {"rows": 1},
    )
    assert (cycle.action, cycle.object, cycle.after["subject"]) == ("set_billing_cycle", "nobody", "nobody")


def test_a_metric_of_the_same_name_keeps_it(ledger: Ledger) -> None:
    ledger.define("same", "sum")
    ledger.call("set_limit", metric="same", quota=10, subject="same")
    record(ledger, "same", 1, subject="same")
    erase(ledger, "same")
    assert [e.object for e in ledger.call("admin_log")] == ["nobody", "same", "same"]
    assert ledger.call("admin_log")[1].after["metric"] == "same"
    assert ledger.usage("nobody", "same", **MONTH).quantity == Decimal(1)
