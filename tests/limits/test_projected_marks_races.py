"""Judging projections beside recorders, other judges, changes of limits and erasing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers import Ledger, Task, refused
from tests.limits.test_projected_marks import DAY, NOW, judge, limit, marks, use

NewLedger = Callable[..., Ledger]


@pytest.fixture
def full(ledger: Ledger) -> Ledger:
    """Three subjects that are expected to reach 7,200 tokens, of which half are used."""
    ledger.define("tokens", "sum", "token")
    for subject in ("a", "b", "c"):
        use(ledger, subject, since=NOW - 30 * DAY)
    limit(ledger, 7200, marks=[100])
    return ledger


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_of_two_judges_one_judges(full: Ledger, new_ledger: NewLedger, end: str) -> None:
    first = new_ledger("first", autocommit=False)
    assert judge(first) == 3
    full.execute("SET statement_timeout = '5s'")
    assert judge(full) == 0, "it does not wait"
    getattr(first.connection, end)()
    assert judge(full) == (0 if end == "commit" else 3)
    assert marks(full) == [(subject, 100) for subject in "abc"]


def test_recording_and_changes_of_limits_do_not_wait_for_a_judge(full: Ledger, new_ledger: NewLedger) -> None:
    """Not even where usage reaches the same mark of the same subject meanwhile."""
    judging = new_ledger("judge", autocommit=False)
    assert judge(judging) == 3
    full.execute("SET statement_timeout = '2s'")
    assert full.record("a", "tokens", 3600, at=NOW).outcome == "recorded"
    assert (
        full.batch([{"subject": "b", "metric": "tokens", "quantity": 3600, "at": NOW}])[0].outcome
        == "recorded"
    )
    held = full.call("reserve", subject="c", metric="tokens", quantity=1)[0]
    assert full.call("settle", reservation_id=held.reservation_id, quantity=1)[0].outcome == "recorded"
    exceeded = full.call("notifications", type="threshold.exceeded")
    assert [row.subject for row in exceeded] == ["a", "b"]
    limit(full, 7300, marks=[100])
    limit(full, 7300, marks=[100], subject="a")
    judging.connection.commit()
    assert len(marks(full)) == 3


def test_a_judge_does_not_wait_for_recorders(full: Ledger, new_ledger: NewLedger) -> None:
    recorder = new_ledger("recorder", autocommit=False)
    for subject in ("a", "b"):
        recorder.record(subject, "tokens", 3600, at=NOW)
    full.execute("SET statement_timeout = '5s'")
    assert judge(full) == 3
    recorder.connection.commit()


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_an_older_snapshot_is_refused(full: Ledger, new_ledger: NewLedger, isolation: str) -> None:
    other = new_ledger("other")
    other.execute(f"SET default_transaction_isolation = '{isolation}'")
    with refused("25001"):
        judge(other)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_nothing_is_told_of_a_subject_that_is_erased_meanwhile(
    full: Ledger, new_ledger: NewLedger, wait_until_blocked: Callable[..., None], end: str
) -> None:
    """Erasing waits for the judge, and renames what that has written; no judge begins before it ends."""
    judging, eraser = new_ledger("judge", autocommit=False), new_ledger("eraser", autocommit=False)
    assert judge(judging, max_subjects=1) == 1
    erasing = Task(lambda: eraser.call("erase_subject", subject="a", pseudonym="nobody"))
    wait_until_blocked(full.connection, "eraser")
    getattr(judging.connection, end)()
    erasing.result()
    assert judge(full) == 0
    eraser.connection.commit()
    assert judge(full) == (2 if end == "commit" else 3)
    assert {subject for subject, _ in marks(full)} == {"nobody", "b", "c"}
    named = "SELECT count(*) FROM meter.fired_marks WHERE subject = 'a'"
    assert full.value(named) == 0


def test_whatever_runs_at_once_no_mark_fires_twice(full: Ledger, new_ledger: NewLedger) -> None:
    """Two judges and two recorders, while limits change; each recorder is refused by what is used alone."""
    stop, outcomes = threading.Event(), Counter[str]()

    def record(subject: str) -> None:
        session = new_ledger(f"recorder {subject}")
        while not stop.is_set():
            outcomes[session.record(subject, "tokens", 1, at=NOW).outcome] += 1

    def judging(number: int) -> int:
        session = new_ledger(f"judge {number}")
        return sum(judge(session, NOW + DAY, max_subjects=1 + number) for _ in range(40))

    recorders = [Task(lambda subject=subject: record(subject)) for subject in ("a", "b")]  # type: ignore[misc]
    judges = [Task(lambda number=number: judging(number)) for number in (1, 2)]  # type: ignore[misc]
    versions: list[Any] = [limit(full, 10**6 + n, marks=[80]) for n in range(5)]
    versions += [limit(full, 9000 + n, marks=[50, 80]) for n in range(5)]
    fired = sum(task.result() for task in judges)
    stop.set()
    for task in recorders:
        task.result()
    rows = full.call("notifications", type="threshold.projected", max_rows=1000)
    keys = Counter((row.data["limit_id"], row.subject, row.data["since"], row.data["mark"]) for row in rows)
    assert max(keys.values()) == 1
    assert len(rows) == fired
    assert versions[-1].limit_id in {limit_id for limit_id, *_ in keys} or judge(full, NOW + DAY) > 0
    assert set(outcomes) == {"recorded"}
    assert full.verify() == []
