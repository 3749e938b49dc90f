"""P2 with corrections: a retry of a key's first payload, or of one that replaced it, never counts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.faults.servers import new_database, programs_of, why_no_restore
from tests.helpers import Ledger, as_jsonb, at

NewLedger = Callable[..., Ledger]

MOMENT = at("2024-01-15 10:00")
KEEP = "13 months"
# The payloads of the key k, one after the other.
PAYLOADS: dict[str, list[dict[str, Any]]] = {
    "sum": [{"quantity": 5}, {"quantity": 7}, {"quantity": 9}],
    "count": [{"quantity": 1}, {"quantity": 2}, {"quantity": 3}],
    "max": [{"quantity": 5}, {"quantity": 7}, {"quantity": 4}],
    "unique": [{"member": "u"}, {"member": "v"}, {"member": "w"}],
}
THEN: dict[str, Callable[[Ledger, int], Any]] = {
    "amended": lambda ledger, number: None,
    "reverted": lambda ledger, number: ledger.call("revert_correction", id=number, reason="no"),
    "voided": lambda ledger, number: ledger.call(
        "void_event", subject="a", metric="m", idempotency_key="k", reason="why"
    ),
}


def event(given: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"subject": "a", "metric": "m", "at": MOMENT, "idempotency_key": "k", **given, **more}


def live(ledger: Ledger, aggregate: str, then: str) -> int:
    """An event that is amended twice, and what comes then; its id."""
    ledger.define("m", aggregate)
    first, *others = PAYLOADS[aggregate]
    number = ledger.record(**event(first)).event_id
    ledger.record("a", "m", at=MOMENT, idempotency_key="other", **first)
    for change in others:
        (told,) = ledger.call(
            "amend_event", subject="a", metric="m", idempotency_key="k", reason="why", **change
        )
        assert told.outcome == "applied"
    THEN[then](ledger, told.correction_id)
    assert isinstance(number, int)
    return number


def assert_known(ledger: Ledger, aggregate: str, number: int) -> None:
    """Every payload, singly and in a batch, is a duplicate; nothing counts, another one is a conflict."""
    before = ledger.usage("a", "m", period="never"), ledger.value("SELECT count(*) FROM meter.events")
    payloads = PAYLOADS[aggregate]
    another = {"member": "another"} if aggregate == "unique" else {"quantity": 77}
    for given in payloads:
        for moment in (MOMENT, MOMENT + timedelta(days=70)):
            told = ledger.record(**event(given, at=moment))
            assert (told.outcome, told.event_id) == ("duplicate", number), given
            (told,) = ledger.batch([event(given, at=moment)])
            assert (told.outcome, told.event_id) == ("duplicate", number), given
    told = ledger.batch([event(given) for given in [*payloads, another, *payloads]])
    n = len(payloads)
    assert [row.outcome for row in told] == ["duplicate"] * n + ["conflict"] + ["duplicate"] * n
    assert ledger.record(**event(another)).outcome == "conflict"
    known = ledger.call("known_events", events=as_jsonb([event(given) for given in payloads]))
    assert [row.outcome for row in known] == ["duplicate"] * n
    after = ledger.usage("a", "m", period="never"), ledger.value("SELECT count(*) FROM meter.events")
    assert after == before
    assert ledger.verify() == []


@pytest.mark.parametrize("then", THEN)
@pytest.mark.parametrize("aggregate", PAYLOADS)
def test_a_retry_after_a_lost_connection(
    ledger: Ledger, new_ledger: NewLedger, aggregate: str, then: str
) -> None:
    number = live(ledger, aggregate, then)
    ledger.connection.close()
    assert_known(new_ledger("reconnected"), aggregate, number)


@pytest.mark.parametrize("then", THEN)
@pytest.mark.parametrize("aggregate", ["sum", "unique"])
def test_a_retry_of_a_key_that_maintain_has_moved(ledger: Ledger, aggregate: str, then: str) -> None:
    number = live(ledger, aggregate, then)
    move_keys(ledger)
    assert_known(ledger, aggregate, number)


def move_keys(ledger: Ledger) -> None:
    ledger.execute(
        "INSERT INTO meter.keys (event_id, at, digest) SELECT 0, now(), gen_random_uuid()"
        " FROM generate_series(1, 100000)"
    )
    ledger.maintain()
    ledger.execute("UPDATE meter.key_marks SET noted_at = noted_at - interval '49 hours'")
    assert "moved keys" in dict(ledger.maintain())
    assert ledger.value("SELECT count(*) FROM meter.keys") == 0


@pytest.mark.parametrize("then", ["void_event", "amend_event"])
def test_an_event_whose_key_was_moved_can_be_corrected_by_it(ledger: Ledger, then: str) -> None:
    live(ledger, "sum", "amended")
    move_keys(ledger)
    change = {"quantity": 12} if then == "amend_event" else {}
    (told,) = ledger.call(then, subject="a", metric="m", idempotency_key="k", reason="why", **change)
    assert told.outcome == "applied"
    assert ledger.usage("a", "m", period="never").quantity == 5 + change.get("quantity", 0)
    assert ledger.record(**event({"quantity": 9})).outcome == "duplicate"
    if change:
        assert ledger.record(**event(change)).outcome == "duplicate"
    assert ledger.verify() == []


@pytest.mark.parametrize("then", THEN)
@pytest.mark.parametrize("aggregate", PAYLOADS)
def test_a_retry_when_retention_has_dropped_the_month(ledger: Ledger, aggregate: str, then: str) -> None:
    number = live(ledger, aggregate, then)
    before = ledger.usage("a", "m", period="never")
    ledger.maintain()
    assert "dropped partition" in dict(ledger.maintain(keep=KEEP))
    assert ledger.value("SELECT count(*) FROM meter.events") == 0
    assert ledger.usage("a", "m", period="never") == before
    assert_known(ledger, aggregate, number)


def test_a_retry_when_the_month_of_one_of_both_events_was_dropped(ledger: Ledger) -> None:
    """An amend has moved the event from January 2024 to now."""
    ledger.define("m", "sum")
    number = ledger.record(**event({"quantity": 5})).event_id
    ledger.record("a", "m", 1, at=MOMENT)
    now = at("2026-06-18")
    given = {"subject": "a", "metric": "m", "idempotency_key": "k", "reason": "why"}
    ledger.call("amend_event", quantity=7, at=now, **given)
    ledger.maintain()
    assert "dropped partition" in dict(ledger.maintain(keep=KEEP))
    for quantity in (5, 7):
        told = ledger.record(**event({"quantity": quantity}))
        assert (told.outcome, told.event_id) == ("duplicate", number)
    assert ledger.usage("a", "m", period="never").quantity == 8
    # The key names an event that is still there.
    assert ledger.call("void_event", **given)[0].outcome == "applied"
    assert ledger.usage("a", "m", period="never").quantity == 1
    assert ledger.verify() == []


@pytest.mark.parametrize("then", ["void_event", "amend_event"])
def test_a_key_names_the_event_that_counts_when_the_month_of_a_voided_one_was_dropped(
    ledger: Ledger, then: str
) -> None:
    """An amend had moved it to January 2024, and was taken back."""
    ledger.define("m", "sum")
    now = at("2026-06-18")
    number = ledger.record(**event({"quantity": 5}, at=now)).event_id
    ledger.record("a", "m", 1, at=MOMENT)
    given = {"subject": "a", "metric": "m", "idempotency_key": "k", "reason": "why"}
    (moved,) = ledger.call("amend_event", at=MOMENT, **given)
    ledger.call("revert_correction", id=moved.correction_id, reason="no")
    ledger.maintain()
    assert "dropped partition" in dict(ledger.maintain(keep=KEEP))
    change = {"quantity": 7} if then == "amend_event" else {}
    (told,) = ledger.call(then, **given, **change)
    assert (told.outcome, told.event_id == number) == ("applied", then == "void_event")
    assert ledger.usage("a", "m", period="never").quantity == (8 if change else 1)
    assert ledger.verify() == []


@pytest.mark.slow
def test_a_retry_after_a_restore(ledger: Ledger, pymeter_server: str, meter_dsn: str, tmp_path: Path) -> None:
    """And everything that corrections have written is in the dump."""
    number = live(ledger, "sum", "amended")
    staged = ledger.value("SELECT meter.open_correction('why')")
    entries = [{"entry": "void", "subject": "a", "metric": "m", "idempotency_key": "k"}]
    ledger.call("stage_correction", id=staged, entries=as_jsonb(entries))
    listed = ledger.call("corrections")
    state = ledger.state()
    programs = programs_of(pymeter_server)
    if programs is None or not (programs / "pg_dump").exists():
        pytest.skip("no pg_dump of the server's version is at hand")
    if reason := why_no_restore(programs, pymeter_server, pymeter_server):
        pytest.skip(f"this pg_dump and this server do not fit: {reason.splitlines()[0]}")
    dump = [
        programs / "pg_dump",
        "--schema=meter",
        "--format=custom",
        f"--file={tmp_path / 'dump'}",
        meter_dsn,
    ]
    subprocess.run(dump, check=True)
    with new_database(pymeter_server) as restored:
        subprocess.run(
            [programs / "pg_restore", "--exit-on-error", "-d", restored, tmp_path / "dump"], check=True
        )
        with psycopg.connect(restored, autocommit=True) as connection:
            other = Ledger(connection)
            assert other.state() == state
            assert other.call("corrections") == listed
            assert_known(other, "sum", number)
            other.call("approve_correction", id=staged)
            assert other.usage("a", "m", period="never").quantity == 5
            assert other.value("SELECT meter.open_correction('later')") > staged
            assert_known(other, "sum", number)
