"""late_usage() of all subjects finds what it finds for each one, and what the log says."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.close.closing import (
    AUGUST,
    JULY,
    JUNE,
    SEPTEMBER,
    assert_balanced,
    close,
    define_each,
    late,
    payload,
    settle,
    use,
)
from tests.helpers import AGGREGATES, Ledger, Task, at, at_length, refused

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

SUBJECTS = ("a", "b", "c")
SEATS = "seats"
FIRST, LAST = at("2026-04-01"), at("2026-10-01")
PERIODS = [
    *((at(f"2026-0{n}-01"), at(f"2026-0{n + 1}-01")) for n in range(5, 9)),
    (at("2026-05-01"), at("2026-05-10 12:34:56")),
    (at("2026-05-20"), at("2026-06-01")),
    (at("2026-06-10"), at("2026-06-11")),
    (at("2026-06-15"), at("2026-08-15")),
]


def assert_complete(ledger: Ledger) -> int:
    """Of all, of each subject and of each statement alike; how much there is."""
    everything = ledger.call("late_usage", max_rows=10_000)
    each = [
        line for subject in SUBJECTS for line in ledger.call("late_usage", subject=subject, max_rows=10_000)
    ]
    assert everything == sorted(each, key=lambda line: (line.statement_id, line.metric))
    for since, until in PERIODS:
        named = {"since": since, "until": until, "max_rows": 10_000}
        assert ledger.call("late_usage", **named) == [
            line for line in everything if line.since < until and line.until > since
        ]
    assert_balanced(ledger)
    return len(everything)


class History:
    """Random usage, late usage, corrections, closes and decisions; one session."""

    def __init__(self, ledger: Ledger, draw: random.Random) -> None:
        self.ledger = ledger
        self.draw = draw
        self.keys: list[tuple[str, str, str]] = []
        self.corrections: list[int] = []

    def moment(self) -> datetime:
        return FIRST + timedelta(seconds=self.draw.randrange(int((LAST - FIRST).total_seconds())))

    def record(self) -> None:
        subject, metric = self.draw.choice(SUBJECTS), self.draw.choice([*AGGREGATES, SEATS, SEATS])
        key = f"k{len(self.keys)}"
        use(
            self.ledger,
            subject,
            metric,
            self.draw.randint(1, 5),
            self.moment(),
            idempotency_key=key,
        )
        self.keys.append((subject, metric, key))

    def correct(self) -> None:
        """An event moves, maybe between closed periods; it goes; or a sum is adjusted."""
        how = self.draw.choice(("move", "void", "adjust", "change", "revert"))
        if how == "revert" and self.corrections:
            number = self.corrections.pop(self.draw.randrange(len(self.corrections)))
            try:
                self.ledger.call("revert_correction", id=number, reason="a mistake")
            except Exception as error:
                assert getattr(error, "sqlstate", None) == "22023", error  # noqa: PT017
            return
        if how in ("adjust", "revert") or not self.keys:
            done = self.ledger.call(
                "adjust",
                subject=self.draw.choice(SUBJECTS),
                metric="sum",
                quantity=self.draw.choice((-3, 2)),
                at=self.moment(),
                reason="why",
            )[0]
        else:
            subject, metric, key = self.draw.choice(self.keys)
            given: dict[str, Any] = {
                "subject": subject,
                "metric": metric,
                "idempotency_key": key,
                "reason": "why",
            }
            if how == "void":
                done = self.ledger.call("void_event", **given)[0]
            elif how == "move":
                done = self.ledger.call("amend_event", **given, at=self.moment())[0]
            else:
                aggregate = "last" if metric == SEATS else metric
                done = self.ledger.call(
                    "amend_event", **given, **payload(aggregate, self.draw.randint(1, 5))
                )[0]
        if done.outcome == "applied":
            self.corrections.append(done.correction_id)

    def close(self) -> None:
        since, until = self.draw.choice(PERIODS)
        try:
            close(self.ledger, self.draw.choice(SUBJECTS), since, until)
        except Exception as error:
            assert getattr(error, "sqlstate", None) == "22023", error  # noqa: PT017

    def decide(self) -> None:
        lines = self.ledger.call("late_usage")
        if lines:
            line = self.draw.choice(lines)
            decision = self.draw.choice(("bill", "waive"))
            assert (
                settle(self.ledger, line.statement_id, line.metric, line.delta, decision).outcome == "settled"
            )

    def live(self, steps: int) -> None:
        acts = [self.record] * 6 + [self.correct] * 3 + [self.close] * 2 + [self.decide]
        for _ in range(steps):
            self.draw.choice(acts)()


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(2, 40)))
def test_all_subjects_and_each_of_them_have_the_same_late_usage(ledger: Ledger, seed: int) -> None:
    define_each(ledger)
    ledger.define(SEATS, "last", carry=True)
    history = History(ledger, random.Random(seed))
    found = 0
    for _ in range(8):
        history.live(20)
        found += assert_complete(ledger)
    assert found > 5
    assert ledger.call("verify_statements") == []


@pytest.mark.parametrize("later", [None, "2026-06-20"])
def test_a_late_value_from_before_a_period_changes_what_it_begins_with(
    ledger: Ledger, later: str | None
) -> None:
    """No statement holds May; and the next event ends what is carried."""
    ledger.define(SEATS, "last", carry=True)
    use(ledger, "a", SEATS, 3, at("2026-03-10"))
    for since in (JUNE, JULY):
        close(ledger, since=since)
    if later:
        use(ledger, "a", SEATS, 7, at(later))
    assert_complete(ledger)
    use(ledger, "a", SEATS, 5, at("2026-05-10"))
    assert late(ledger) == ({(1, SEATS): 4, (2, SEATS): 4} if later else {(1, SEATS): 2, (2, SEATS): 2})
    assert_complete(ledger)


def test_a_value_of_a_closed_month_changes_a_later_one_that_was_closed_before(ledger: Ledger) -> None:
    """June is closed, then the value of May, then May."""
    ledger.define(SEATS, "last", carry=True)
    use(ledger, "a", SEATS, 3, at("2026-03-10"))
    close(ledger)
    use(ledger, "a", SEATS, 5, at("2026-05-10"))
    close(ledger, since=at("2026-05-01"), until=JUNE)
    assert late(ledger) == {(1, SEATS): 2}
    assert_complete(ledger)


def test_what_came_late_for_a_month_that_retention_has_dropped_is_still_found(ledger: Ledger) -> None:
    define_each(ledger)
    ledger.define(SEATS, "last", carry=True)
    for subject in ("a", "b"):
        for metric in (*AGGREGATES, SEATS):
            use(ledger, subject, metric, 3, at("2026-06-10"))
        for since in (JUNE, JULY, AUGUST):
            close(ledger, subject, since)
    for moment in ("2026-06-09", "2026-07-10"):
        for metric in (*AGGREGATES, SEATS):
            use(ledger, "a", metric, 2, at(moment))
    before = late(ledger)
    assert len(before) > 12
    ledger.upkeep(keep="100 days")  # which makes partitions of the old months
    assert any(action == "dropped partition" for action, _ in ledger.upkeep(keep="100 days"))
    assert late(ledger) == before
    assert_complete(ledger)
    settle(ledger, 1, "sum", 2, "bill")
    assert (1, "sum") not in late(ledger)
    assert_complete(ledger)
    assert ledger.call("verify_statements") == []
    assert close(ledger, since=SEPTEMBER).lines == len(AGGREGATES) + 2


# ------------------------------------------------------------------------------------- decisions that race


@pytest.fixture
def three_late(ledger: Ledger) -> Ledger:
    ledger.define("m", "sum")
    use(ledger, "a", "m", 5, at("2026-06-10"))
    close(ledger)
    use(ledger, "a", "m", 3, at("2026-06-11"))
    return ledger


def test_a_delta_that_has_moved_is_a_conflict(three_late: Ledger) -> None:
    use(three_late, "a", "m", 1, at("2026-06-12"))
    told = settle(three_late, 1, "m", 3, "bill")
    assert (told.outcome, told.delta, told.billed, told.waived) == ("conflict", 4, 0, 0)
    assert settle(three_late, 1, "m", 4, "waive").outcome == "settled"
    assert settle(three_late, 1, "m", 4, "waive").outcome == "duplicate"
    assert settle(three_late, 1, "m", 0, "waive").outcome == "settled"
    assert_balanced(three_late)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_of_two_that_decide_the_same_one_does(
    three_late: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    one, two = new_ledger("one", autocommit=False), new_ledger("two")
    assert settle(one, 1, "m", 3, "bill").outcome == "settled"
    settling = Task(lambda: settle(two, 1, "m", 3, "waive"))
    wait_until_blocked(three_late.connection, "two")
    getattr(one.connection, end)()
    told = settling.result()
    if end == "commit":
        assert (told.outcome, told.delta, told.billed, told.waived) == ("duplicate", 0, 3, 0)
    else:
        assert (told.outcome, told.delta, told.billed, told.waived) == ("settled", 0, 0, 3)
    assert_balanced(three_late)


def test_who_waits_for_a_decision_and_finds_more_late_usage_has_a_conflict(
    three_late: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    one, two = new_ledger("one", autocommit=False), new_ledger("two")
    settle(one, 1, "m", 3, "bill")
    settling = Task(lambda: settle(two, 1, "m", 3, "bill"))
    wait_until_blocked(three_late.connection, "two")
    use(three_late, "a", "m", 9, at("2026-06-12"))
    one.connection.commit()
    told = settling.result()
    assert (told.outcome, told.delta, told.billed) == ("conflict", 9, 3)
    assert_balanced(three_late)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_decision_that_waits_for_a_closer_stands_on_the_statement_after_it(
    three_late: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    closer, settler = new_ledger("closer", autocommit=False), new_ledger("settler")
    close(closer, since=JULY)
    settling = Task(lambda: settle(settler, 1, "m", 3, "bill"))
    wait_until_blocked(three_late.connection, "settler")
    getattr(closer.connection, end)()
    assert settling.result().outcome == "settled"
    july, august = (close(three_late, since=since) for since in (JULY, AUGUST))
    kinds = {
        header.since: [line.kind for line in three_late.call("statement", statement_id=header.statement_id)]
        for header in (july, august)
    }
    billed_in = AUGUST if end == "commit" else JULY
    assert kinds[billed_in] == ["usage", "late"]
    assert sorted(map(len, kinds.values())) == [1, 2]
    assert three_late.call("verify_statements") == []


def test_a_decision_needs_read_committed(three_late: Ledger) -> None:
    for level in ("REPEATABLE READ", "SERIALIZABLE"):
        with three_late.connection.transaction(force_rollback=True):
            three_late.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
            with refused("25001"):
                settle(three_late, 1, "m", 3, "bill")


def test_what_was_decided_is_returned_if_it_is_asked_for(ledger: Ledger) -> None:
    ledger.define("tokens", "sum")
    billed, waived, open_one = (use_and_close(ledger, subject) for subject in SUBJECTS)
    for subject in SUBJECTS:
        ledger.record(subject, "tokens", 5, at=at("2026-06-12"))
    settle(ledger, billed, "tokens", 5, "bill")
    settle(ledger, waived, "tokens", 5, "waive")
    found = {line.statement_id: line for line in ledger.call("late_usage", decided=True)}
    assert {n: (line.billed, line.waived, line.delta) for n, line in found.items()} == {
        billed: (5, 0, 0),
        waived: (0, 5, 0),
        open_one: (0, 0, 5),
    }
    assert [line.statement_id for line in ledger.call("late_usage")] == [open_one]
    assert ledger.call("late_usage", subject="a") == ledger.call("late_usage", subject="b") == []
    assert ledger.call("late_usage", statement_id=billed, decided=True) == [found[billed]]


def use_and_close(ledger: Ledger, subject: str) -> int:
    ledger.record(subject, "tokens", 10, at=at("2026-06-10"))
    (header,) = ledger.call("close_period", subject=subject, since=at("2026-06-01"), until=at("2026-07-01"))
    return int(header.statement_id)
