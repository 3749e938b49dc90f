"""What corrections do, one by one: outcomes, where they count, what stays, what a revert restores."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import AGGREGATES, Ledger, at

NOON = at("2026-03-02 12:00")
BY_KEY = {"subject": "a", "metric": "m", "idempotency_key": "k", "reason": "why"}


def total(ledger: Ledger, **window: Any) -> tuple[Any, int]:
    used = ledger.usage("a", "m", **(window or {"period": "never"}))
    return used.quantity, used.event_count


def one(ledger: Ledger, function: str, **named: Any) -> Any:
    return ledger.call(function, **named)[0]


def kinds(ledger: Ledger) -> list[tuple[Any, ...]]:
    """Oldest first."""
    rows = sorted(ledger.call("events", subject="a", metric="m"), key=lambda row: row.event_id)
    return [(row.kind, row.quantity, row.corrects) for row in rows]


def staged(ledger: Ledger, *entries: dict[str, Any], subject: str = "a") -> int:
    number = ledger.value("SELECT meter.open_correction('why')")
    whose = {"subject": subject, "metric": "m"}
    ledger.call("stage_correction", id=number, entries=Jsonb([{**whose, **entry} for entry in entries]))
    assert isinstance(number, int)
    return number


def test_a_voided_event_stays_in_the_log_and_its_key_stays_spent(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    event = ledger.record("a", "m", 5, at=NOON, idempotency_key="k", metadata={"model": "large"}).event_id
    ledger.record("a", "m", 2, at=NOON)
    told = one(ledger, "void_event", **BY_KEY)
    assert (told.event_id, told.outcome, told.quantity) == (event, "applied", 2)
    assert total(ledger) == (2, 1)
    assert kinds(ledger) == [("usage", 5, None), ("usage", 2, None), ("void", -5, event)]
    (void,) = [row for row in ledger.call("events", subject="a") if row.kind == "void"]
    assert (void.at, void.metadata, void.idempotency_key) == (NOON, {"model": "large"}, None)
    assert void.correction_id == told.correction_id
    assert ledger.record("a", "m", 5, at=NOON, idempotency_key="k").outcome == "duplicate"
    assert ledger.record("a", "m", 6, at=NOON, idempotency_key="k").outcome == "conflict"
    again = one(ledger, "void_event", **BY_KEY)
    assert (again.outcome, again.correction_id, again.quantity) == ("duplicate", told.correction_id, 2)
    assert len(kinds(ledger)) == 3
    assert ledger.verify() == []


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_the_only_event_of_a_period_can_be_voided_and_comes_back(ledger: Ledger, aggregate: str) -> None:
    ledger.define("m", aggregate)
    given = {"member": "u"} if aggregate == "unique" else {"quantity": 5}
    ledger.record("a", "m", at=NOON, idempotency_key="k", **given)
    before = total(ledger)
    told = one(ledger, "void_event", **BY_KEY)
    assert told.quantity == 0
    number = told.correction_id
    used = ledger.usage("a", "m", period="never")
    assert (used.quantity, used.event_count, used.has_data) == (0, 0, False)
    assert ledger.verify() == []
    ledger.call("revert_correction", id=number, reason="no")
    assert total(ledger) == before
    assert ledger.verify() == []
    assert one(ledger, "void_event", **BY_KEY).outcome == "applied"
    assert total(ledger) == (0, 0)


def test_an_amended_event_is_replaced_and_both_payloads_are_known(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    event = ledger.record("a", "m", 5, at=NOON, idempotency_key="k", metadata={"n": 1}).event_id
    told = one(ledger, "amend_event", quantity=7, **BY_KEY)
    assert (told.outcome, told.quantity) == ("applied", 7)
    assert told.event_id > event
    assert total(ledger) == (7, 1)
    assert kinds(ledger)[0] == ("usage", 5, None)
    assert set(kinds(ledger)[1:]) == {("void", -5, event), ("usage", 7, event)}
    (new,) = [row for row in ledger.call("events", subject="a") if row.event_id == told.event_id]
    assert (new.at, new.metadata) == (NOON, {"n": 1})
    for quantity in (5, 7):
        again = ledger.record("a", "m", quantity, at=NOON, idempotency_key="k")
        assert (again.outcome, again.event_id) == ("duplicate", event)
        assert ledger.batch([{"subject": "a", "metric": "m", "quantity": quantity, "idempotency_key": "k"}])[
            0
        ][1:3] == (event, "duplicate")
    assert ledger.record("a", "m", 6, at=NOON, idempotency_key="k").outcome == "conflict"
    # The same change again is one that changes nothing.
    assert one(ledger, "amend_event", quantity=7, **BY_KEY).outcome == "duplicate"
    assert total(ledger) == (7, 1)
    assert ledger.verify() == []


def test_an_event_that_was_amended_away(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    event = ledger.record("a", "m", 5, at=NOON, idempotency_key="k").event_id
    new = one(ledger, "amend_event", quantity=7, **BY_KEY).event_id
    by_id = {**BY_KEY, "idempotency_key": None, "event_id": event}
    assert one(ledger, "void_event", **by_id).outcome == "duplicate"
    conflict = one(ledger, "amend_event", quantity=8, **by_id)
    assert (conflict.outcome, conflict.correction_id) == ("conflict", None)
    assert total(ledger) == (7, 1)
    # The key names the event that replaced it.
    told = one(ledger, "void_event", **BY_KEY)
    assert (told.outcome, told.event_id) == ("applied", new)
    assert total(ledger) == (0, 0)


@pytest.mark.parametrize("hours", [1, 24, 24 * 40])
def test_an_event_is_moved_to_another_time(ledger: Ledger, hours: int) -> None:
    ledger.define("m", "max")
    for n, number in enumerate((4, 9)):
        ledger.record("a", "m", number, at=NOON + timedelta(minutes=n), idempotency_key=f"k{n}")
    later = NOON + timedelta(hours=hours)
    one(ledger, "amend_event", **{**BY_KEY, "idempotency_key": "k1", "at": later})
    hour = timedelta(hours=1)
    assert total(ledger, since=NOON, until=NOON + hour) == (4, 1)
    assert total(ledger, since=later, until=later + hour) == (9, 1)
    assert ledger.verify() == []


def test_corrections_count_in_the_period_of_the_usage(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    january, february = at("2026-01-15"), at("2026-02-15")
    ledger.record("a", "m", 5, at=january, idempotency_key="k")
    ledger.record("a", "m", 3, at=february)
    one(ledger, "void_event", **BY_KEY)
    one(ledger, "adjust", subject="a", metric="m", quantity=-1, at=february, reason="a credit")
    months = ledger.call(
        "series", subject="a", metric="m", since=at("2026-01-01"), until=at("2026-03-01"), step="month"
    )
    assert [(row.quantity, row.event_count) for row in months] == [(0, 0), (2, 1)]
    assert total(ledger, period="month") == (0, 0)


@pytest.mark.parametrize("aggregate", ["sum", "count"])
def test_adjustments_are_signed_count_no_event_and_may_be_all_that_there_is(
    ledger: Ledger, aggregate: str
) -> None:
    ledger.define("m", aggregate)
    given = {"subject": "a", "metric": "m", "at": NOON, "reason": "why"}
    told = one(ledger, "adjust", quantity=-5, **given)
    assert (told.outcome, told.quantity) == ("applied", -5)
    assert total(ledger) == (-5, 0)
    assert one(ledger, "adjust", quantity="7.5", **given).quantity == "2.5" or total(ledger)[0] == 2.5
    assert ledger.record("a", "m", 1, at=NOON).quantity == 3.5
    assert total(ledger) == (3.5, 1)
    assert [row[:2] for row in kinds(ledger)] == [("adjustment", -5), ("adjustment", 7.5), ("usage", 1)]
    assert ledger.verify() == []
    ledger.call("revert_correction", id=told.correction_id, reason="no")
    assert total(ledger) == (8.5, 1)
    assert ledger.verify() == []


def test_an_adjustment_with_a_key_counts_once(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    given = {"subject": "a", "metric": "m", "at": NOON, "reason": "why", "idempotency_key": "credit"}
    first = one(ledger, "adjust", quantity=-5, **given)
    again = one(ledger, "adjust", quantity=-5, **given)
    assert (again.outcome, again.event_id) == ("duplicate", first.event_id)
    assert one(ledger, "adjust", quantity=-6, **given).outcome == "conflict"
    assert total(ledger) == (-5, 0)
    # Two pending, three approved, four reverted: three count.
    for quantity, then in ((2, None), (3, "approve_correction"), (4, "revert_correction")):
        number = staged(ledger, {"entry": "adjust", "quantity": quantity, "at": NOON.isoformat()})
        if then:
            ledger.call("approve_correction", id=number)
        if then == "revert_correction":
            ledger.call("revert_correction", id=number, reason="no")
    assert total(ledger) == (-5 + 3, 0)
    assert ledger.verify() == []


@pytest.mark.parametrize("count_first", [False, True])
def test_a_revert_restores_which_of_two_events_of_one_time_is_the_last(
    ledger: Ledger, count_first: bool
) -> None:
    """The later id wins: that of the reinstated event, not that of the row that reinstates it."""
    ledger.define("m", "last")
    for n in (1, 2, 3):
        ledger.record("a", "m", n, at=NOON, idempotency_key=f"k{n}")
    numbers = []
    for n in (3, 2) if count_first else (2, 3):
        numbers.append(one(ledger, "void_event", **{**BY_KEY, "idempotency_key": f"k{n}"}).correction_id)
    assert total(ledger) == (1, 1)
    expected = {3: 3, 2: 2} if count_first else {2: 2, 3: 3}
    seen = set()
    for number, n in zip(numbers, expected, strict=True):
        ledger.call("revert_correction", id=number, reason="no")
        seen.add(n)
        assert total(ledger) == (max(seen), 1 + len(seen))
        assert ledger.verify() == []
    # An amend makes a later event, which wins, until it is reverted.
    told = one(ledger, "amend_event", quantity=9, **{**BY_KEY, "idempotency_key": "k1"})
    assert total(ledger) == (9, 3)
    ledger.call("revert_correction", id=told.correction_id, reason="no")
    assert total(ledger) == (3, 3)
    assert ledger.rebuild() == 0


def test_a_correction_of_many_entries_is_applied_and_reverted_as_one(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    for n in range(4):
        ledger.record("a", "m", n, at=NOON, idempotency_key=f"k{n}")
    number = staged(
        ledger,
        {"entry": "void", "idempotency_key": "k1"},
        {"entry": "amend", "idempotency_key": "k2", "quantity": "20", "metadata": {"why": "wrong"}},
        {"entry": "adjust", "quantity": "-0.5", "at": NOON.isoformat()},
        {"entry": "record", "quantity": 100, "at": NOON.isoformat(), "idempotency_key": "new"},
        {"entry": "record", "quantity": 3, "at": NOON.isoformat(), "idempotency_key": "k3"},
        {"entry": "record", "quantity": 4, "at": NOON.isoformat(), "idempotency_key": "k3"},
    )
    assert total(ledger) == (6, 4)
    assert ledger.record("a", "m", 100, at=NOON, idempotency_key="new").outcome == "recorded"
    (effect,) = ledger.call("approve_correction", id=number)
    entries = ledger.call("correction_entries", id=number)
    assert [row.outcome for row in entries] == ["applied"] * 3 + ["duplicate"] * 2 + ["conflict"]
    assert [row.ordinal for row in entries] == [1, 2, 3, 4, 5, 6]
    assert (effect.before, effect.after, effect.delta) == (106, 122.5, 16.5)
    assert total(ledger) == (122.5, 4)
    revert = ledger.value("SELECT meter.revert_correction(%s, 'no')", [number])
    assert total(ledger) == (106, 5)
    (row,) = ledger.call("corrections", state="reverted")
    assert (row.correction_id, row.entries, row.reverted_by, row.decision) == (number, 6, revert, None)
    (row,) = [row for row in ledger.call("corrections") if row.correction_id == revert]
    assert row.reverts == number
    assert ledger.verify() == []


def test_a_window_is_staged_as_a_void_of_each_event_that_counts_in_it(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    for n in range(6):
        ledger.record("a", "m", 1, at=NOON + timedelta(hours=n), idempotency_key=f"k{n}")
    ledger.record("b", "m", 1, at=NOON + timedelta(hours=2))
    one(ledger, "void_event", **{**BY_KEY, "idempotency_key": "k2"})
    one(ledger, "amend_event", quantity=5, **{**BY_KEY, "idempotency_key": "k3"})
    window = {
        "since": (NOON + timedelta(hours=1)).isoformat(),
        "until": (NOON + timedelta(hours=4)).isoformat(),
    }
    number = staged(ledger, {"entry": "void", **window})
    assert len(ledger.call("correction_entries", id=number)) == 2
    ledger.record("a", "m", 1, at=NOON + timedelta(hours=2))  # later: not in it
    ledger.call("approve_correction", id=number)
    assert total(ledger) == (4, 4)
    ledger.call("revert_correction", id=number, reason="no")
    assert total(ledger) == (10, 6)
    assert ledger.usage("b", "m", period="never").quantity == 1
    assert ledger.verify() == []


def test_open_correction_with_a_key_opens_one(ledger: Ledger) -> None:
    first, second = (
        ledger.value("SELECT meter.open_correction('why', idempotency_key => 'ticket 7')") for _ in range(2)
    )
    assert first == second
    assert ledger.value("SELECT meter.open_correction('why')") != first
    assert [row.correction_id for row in ledger.call("corrections", state="open")]


def test_corrections_are_listed_newest_first_in_pages(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    numbers = [staged(ledger, {"entry": "adjust", "quantity": 1}, subject=s) for s in "abaab"]
    ledger.call("reject_correction", id=numbers[0], reason="no")
    assert [row.correction_id for row in ledger.call("corrections", state="rejected")] == [numbers[0]]
    pages: list[int] = []
    after = None
    for _ in range(3):
        rows = ledger.call("corrections", max_rows=2, after_id=after)
        pages += [row.correction_id for row in rows]
        after = rows[-1].correction_id
    assert sorted(pages) == numbers
    assert pages in (numbers, numbers[::-1])
    mine = ledger.call("corrections", subject="b")
    assert sorted(row.correction_id for row in mine) == [numbers[1], numbers[4]]
    assert all((row.state, row.entries, row.reason) == ("open", 1, "why") for row in mine)


@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("striped", [False, True], ids=["plain", "striped"])
def test_a_rebuild_changes_nothing_after_corrections_and_restores_what_was_emptied(
    ledger: Ledger, aggregate: str, striped: bool
) -> None:
    ledger.define("m", aggregate, striped=striped)
    for n in range(8):
        given = {"member": f"u{n % 3}"} if aggregate == "unique" else {"quantity": 10 - n}
        moment = NOON + timedelta(minutes=25 * n)
        ledger.record("a", "m", at=moment, idempotency_key=f"k{n}", **given)
    for n in (0, 3, 7):
        one(ledger, "void_event", **{**BY_KEY, "idempotency_key": f"k{n}"})
    change = {"member": "v"} if aggregate == "unique" else {"quantity": 30}
    one(ledger, "amend_event", **{**BY_KEY, "idempotency_key": "k4", **change})
    before, derived = total(ledger), ledger.derived()
    assert ledger.verify() == []
    assert ledger.rebuild() == 0
    assert ledger.derived() == derived
    ledger.forget()
    ledger.execute("DELETE FROM meter.unique_members")
    ledger.rebuild()
    assert total(ledger) == before
    assert ledger.verify() == []
