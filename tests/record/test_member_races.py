"""Races for one member's row, which stands for many buckets: who is new where is decided once."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.helpers import Ledger, Task, at, committed_or

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

HOUR = at("2026-06-18 10:00")
OTHERS = {
    "same hour": at("2026-06-18 10:59"),
    "other hour": at("2026-06-18 11:00"),
    "other day": at("2026-06-19 10:00"),
    "other month": at("2026-07-01"),
}
KINDS = [
    ("month", "hour"),
    ("day", "hour"),
    ("hour", "day"),
    ("week", "day"),
    ("minute", "hour"),
    ("never", "none"),
]


def through(ledger: Ledger, how: str, moment: Any, member: str = "u") -> Any:
    event = {"subject": "a", "metric": "m", "member": member, "at": moment}
    return ledger.batch([event, event])[0] if how == "batch" else ledger.record(**event)


def assert_right(ledger: Ledger) -> None:
    assert ledger.verify() == []
    total = ledger.usage("a", "m", period="never")
    assert (total.quantity, total.event_count) == ledger.brute("a", "m")


@pytest.mark.parametrize("kind", KINDS, ids=" by ".join)
@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_p1_two_sessions_with_one_member_each_know_what_they_added(
    ledger: Ledger, new_ledger: NewLedger, kind: tuple[str, str], how: str, end: str
) -> None:
    ledger.define("m", "unique", period=kind[0], rollup=kind[1])
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    for known_before in (False, True):
        for other, moment in OTHERS.items():
            if known_before:  # in that month
                ledger.record("a", "m", member=other, at=at("2026-06-18 12:00"))
            through(first, how, HOUR, other)
            recording = Task(lambda moment=moment, other=other: through(second, how, moment, other))  # type: ignore[misc]
            wait_for_lock(ledger, recording, "second")
            getattr(first.connection, end)()
            assert recording.result().outcome == "recorded"
            assert_right(ledger)


def wait_for_lock(observer: Ledger, task: Task, name: str) -> None:
    """Until it waits or has ended: of two buckets that have nothing in common, nobody waits."""
    while task.running and not observer.value(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
        " AND datname = current_database()",
        [name],
    ):
        time.sleep(0.002)


def test_a_known_member_is_recorded_without_a_lock_on_its_row(ledger: Ledger, new_ledger: NewLedger) -> None:
    ledger.define("m", "unique", striped=True)
    ledger.record("a", "m", member="u", at=HOUR)
    before = ledger.row("SELECT ctid::text, xmax::text FROM meter.unique_members")
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    second.execute("SET lock_timeout = '2s'")
    for how in ("record", "batch"):
        through(first, how, HOUR)
    second.execute("SELECT FROM meter.unique_members FOR UPDATE NOWAIT")
    first.connection.commit()
    assert ledger.row("SELECT ctid::text FROM meter.unique_members")[0] == before.ctid


@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize("tampered", ["hour", "row"])
def test_p4_a_rebuild_waits_for_who_has_taken_an_unfounded_member_for_counted(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str, tampered: str
) -> None:
    ledger.define("m", "unique")
    ledger.record("a", "m", member="u", at=at("2026-06-18 12:00"))
    _tamper(ledger, tampered)
    writer, rebuilder = new_ledger("writer", autocommit=False), new_ledger("rebuilder")
    through(writer, how, HOUR, "ghost" if tampered == "row" else "u")
    rebuilding = Task(rebuilder.rebuild)
    wait_until_blocked(ledger.connection, "rebuilder")
    writer.connection.commit()
    rebuilding.result()
    assert_right(ledger)


@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize("tampered", ["hour", "row"])
def test_p4_who_records_while_unfounded_members_are_taken_away_sees_them_gone(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str, tampered: str
) -> None:
    """The writer waits for the table, and must then not look with a snapshot from before."""
    ledger.define("m", "unique")
    ledger.record("a", "m", member="u", at=at("2026-06-18 12:00"))
    writer, rebuilder = new_ledger("writer"), new_ledger("rebuilder", autocommit=False)
    for day in range(1, 9):  # by a plan of its own at first, then by the one that is kept
        moment, member = at(f"2026-06-0{day} 10:00"), f"ghost {day}" if tampered == "row" else "u"
        _tamper(ledger, tampered, moment, member)
        rebuilder.rebuild()
        recording = Task(lambda moment=moment, member=member: through(writer, how, moment, member))  # type: ignore[misc]
        wait_until_blocked(ledger.connection, "writer")
        rebuilder.connection.commit()
        recording.result()
        assert_right(ledger)


@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("tampered", ["hour", "row"])
def test_p4_an_old_snapshot_never_takes_for_counted_what_was_taken_away(
    ledger: Ledger, new_ledger: NewLedger, how: str, isolation: str, tampered: str
) -> None:
    ledger.define("m", "unique")
    ledger.record("a", "m", member="u", at=at("2026-06-18 12:00"))
    _tamper(ledger, tampered)
    writer = new_ledger("writer", autocommit=False)
    writer.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    writer.call("catalog")
    ledger.rebuild()
    with committed_or(writer.connection, "40001"):
        through(writer, how, HOUR, "ghost" if tampered == "row" else "u")
    assert_right(ledger)


def _tamper(ledger: Ledger, how: str, moment: datetime = HOUR, member: str = "ghost") -> None:
    """Say that a member was seen at a moment of which there is no event."""
    if how == "hour":
        ledger.execute("UPDATE meter.unique_members SET seen = seen | meter._seen_bit('hour', %s)", [moment])
    else:
        ledger.execute(
            "INSERT INTO meter.unique_members (series_id, bucket, bucket_start, member_digest, seen)"
            " SELECT series_id, 'month', '2026-06-01Z', meter._digest(%s), meter._seen_bit('hour', %s)"
            " FROM meter.series WHERE subject = 'a' AND metric = 'm' AND stripe = 0",
            [member, moment],
        )
