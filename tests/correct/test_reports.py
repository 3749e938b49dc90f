"""Billers get what is used after corrections: exactly, in the hour of the usage, in every mode."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import Phase, given, note
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, examples
from tests.report.conftest import DAY, HOUR, Journal, clock, journal
from tests.report.double import Double, fixtures
from tests.report.mortal import ClockFile, start
from tests.report.shop import Shop, shop
from tests.report.test_whatever_happens import Run

__all__ = ["clock", "journal", "shop"]

double = fixtures.stripe_double_process


def void(journal: Journal, event: Any, metric: str = "tokens") -> Any:
    return journal.ledger.call(
        "void_event", subject="acct_1", metric=metric, event_id=event.event_id, reason="test traffic"
    )[0]


def adjust(journal: Journal, quantity: Any, metric: str = "tokens", **named: Any) -> Any:
    named.setdefault("at", journal.now)
    return journal.ledger.call(
        "adjust", subject="acct_1", metric=metric, quantity=quantity, reason="goodwill", **named
    )[0]


def revert(journal: Journal, corrected: Any) -> None:
    journal.ledger.call("revert_correction", id=corrected.correction_id, reason="it was right")


def plan(journal: Journal) -> list[tuple[Any, str, str | None]]:
    """What is new on the journal."""
    before = {push.push_id for push in journal.pushes()}
    while journal.plan():
        pass
    journal.assert_balanced()
    return [(p.value, p.state, p.reason) for p in journal.pushes() if p.push_id not in before]


# ------------------------------------------------------------------------------------------ mode delta


@pytest.mark.parametrize(("rule", "state"), [("hold", "held"), ("send", "planned"), ("leave", "left")])
def test_what_was_reported_is_taken_back_by_a_negative_delta_by_the_billers_rule(
    journal: Journal, rule: str, state: str
) -> None:
    journal.rules(negative=rule)
    event = journal.record(5)
    journal.record(2)
    assert plan(journal) == [(7, "planned", None)]
    void(journal, event)
    assert plan(journal) == [(-5, state, None if rule == "send" else "negative")]
    hours = {push.bucket_start for push in journal.pushes()}
    assert hours == {journal.at(10)}
    assert all(journal.at(10) <= push.stamped_at < journal.at(11) for push in journal.pushes())


def test_what_was_not_planned_yet_is_not_reported_at_all(journal: Journal) -> None:
    event = journal.record(5)
    void(journal, event)
    assert plan(journal) == []


def test_an_event_moved_by_amending_is_taken_from_one_hour_and_added_to_another(journal: Journal) -> None:
    journal.rules(negative="send")
    event = journal.record(5)
    plan(journal)
    journal.ledger.call(
        "amend_event",
        subject="acct_1",
        metric="tokens",
        event_id=event.event_id,
        at=journal.at(4),
        quantity=6,
        reason="wrong hour",
    )
    assert plan(journal) == [(6, "planned", None), (-5, "planned", None)]
    assert [p.bucket_start for p in journal.pushes()] == [journal.at(h) for h in (10, 4, 10)]


def test_an_adjustment_is_reported_in_its_hour_and_reverting_takes_it_back(journal: Journal) -> None:
    journal.rules(negative="send")
    journal.record(9)
    plan(journal)
    credit = adjust(journal, -4)
    assert plan(journal) == [(-4, "planned", None)]
    revert(journal, credit)
    assert plan(journal) == [(4, "planned", None)]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"late": "hold"}, ("held", "late")),
        ({"late": "restamp"}, ("planned", "late")),
        ({"late": "send"}, ("planned", "late")),
        ({"late": "send", "too_old": "leave", "max_age": timedelta(days=1)}, ("left", "too_old")),
    ],
    ids=["late held", "late restamped", "late sent", "too old"],
)
def test_a_correction_of_an_earlier_period_goes_the_way_of_late_usage(
    journal: Journal, rules: dict[str, Any], expected: tuple[str, str]
) -> None:
    journal.metric("hits", period="hour")
    journal.rules(negative="send", **rules)
    journal.now -= 5 * HOUR
    event = journal.record(5, metric="hits")
    journal.now += HOUR / 2
    plan(journal)
    journal.now += 3 * DAY if "too_old" in rules else 4 * HOUR
    void(journal, event, "hits")
    assert plan(journal) == [(-5, *expected)]


# ------------------------------------------------------------------------------------------ mode event


@pytest.fixture
def by_event(journal: Journal) -> Journal:
    """``tokens`` is reported event by event; what is negative is sent."""
    journal.record(1, subject="nobody")  # no event that follows is of before mode event
    journal.map("tokens", "tokens", "event")
    journal.rules(negative="send")
    return journal


def test_neither_an_event_nor_its_void_is_pushed_if_none_was(by_event: Journal) -> None:
    void(by_event, by_event.record(5))
    by_event.record(2)
    assert plan(by_event) == [(2, "planned", None)]


def test_a_void_of_a_pushed_event_is_pushed_with_the_opposite_quantity_at_its_time(by_event: Journal) -> None:
    event = by_event.record(5)
    plan(by_event)
    voided = void(by_event, event)
    assert plan(by_event) == [(-5, "planned", None)]
    first, second = by_event.pushes()
    assert (first.event_id, first.stamped_at) == (event.event_id, second.stamped_at)
    assert second.event_id not in (event.event_id, None)
    revert(by_event, voided)
    assert plan(by_event) == [(5, "planned", None)]


def test_a_void_taken_back_before_either_was_planned_leaves_the_event(by_event: Journal) -> None:
    event = by_event.record(5)
    revert(by_event, void(by_event, event))
    assert plan(by_event) == [(5, "planned", None)]


def test_a_void_taken_back_after_both_were_planned_as_nothing_pushes_the_event(by_event: Journal) -> None:
    event = by_event.record(5)
    voided = void(by_event, event)
    assert plan(by_event) == []
    revert(by_event, voided)
    assert plan(by_event) == [(5, "planned", None)]
    void(by_event, event)
    assert plan(by_event) == [(-5, "planned", None)]


def test_an_amended_event_is_pushed_anew(by_event: Journal) -> None:
    event = by_event.record(5)
    plan(by_event)
    by_event.ledger.call(
        "amend_event", subject="acct_1", metric="tokens", event_id=event.event_id, quantity=3, reason="typo"
    )
    assert sorted(plan(by_event)) == [(-5, "planned", None), (3, "planned", None)]


@pytest.mark.parametrize("max_rows", [1, 2, 3])
def test_a_queue_that_is_planned_in_parts_pushes_no_more(by_event: Journal, max_rows: int) -> None:
    event = by_event.record(5)
    revert(by_event, void(by_event, event))
    void(by_event, by_event.record(7))
    while by_event.plan(max_rows=max_rows):
        pass
    assert by_event.values() == [5]
    by_event.assert_balanced()


def test_events_of_before_mode_event_are_taken_back_too(journal: Journal) -> None:
    journal.rules(negative="send")
    event, other = journal.record(5), journal.record(3)
    plan(journal)
    unplanned = journal.record(11)
    journal.map("tokens", "tokens", "event")
    void(journal, event)
    voided = void(journal, other)
    revert(journal, voided)
    void(journal, unplanned)
    plan(journal)
    assert sum(journal.values()) == 3


def kept(journal: Journal, month: datetime) -> str | None:
    """Why maintain() would keep the events of a month for reporting."""
    found = journal.ledger.value("SELECT meter._retention_blocker(%s)", [month])
    return None if found is None else str(found)


def test_a_voided_event_that_nobody_pushed_does_not_keep_a_month(by_event: Journal) -> None:
    """The mapping begins within an hour, whose events must be pushed before their month is dropped."""
    ledger, old = by_event.ledger, by_event.now - timedelta(days=100)
    month = old.replace(day=1, hour=0, minute=0)
    ledger.define("old", "sum")
    event = by_event.record(5, metric="old", at=old)
    voided = void(by_event, event, "old")
    by_event.map("old", "old", "event", since=old - timedelta(minutes=1))
    assert kept(by_event, month) == "some of its events have not been reported"
    assert plan(by_event) == []
    assert kept(by_event, month) is None
    revert(by_event, voided)
    assert kept(by_event, month) == "some of its events have not been reported"
    ledger.execute("DELETE FROM meter.unreported")
    assert kept(by_event, month) is not None


def test_a_correction_of_an_old_month_keeps_it_until_it_is_planned(by_event: Journal) -> None:
    old = by_event.now - timedelta(days=100)
    event = by_event.record(5, at=old)
    plan(by_event)
    month = old.replace(day=1, hour=0, minute=0)
    assert kept(by_event, month) is None
    void(by_event, event)
    assert kept(by_event, month) == "some of its events have not been reported"
    plan(by_event)
    assert kept(by_event, month) is None
    assert [p.value for p in by_event.pushes() if p.metric == "tokens"] == [5, -5]


# ------------------------------------------------------------------------------------- values of periods


@pytest.mark.parametrize(
    ("aggregate", "mode", "given", "first", "second"),
    [
        ("max", "delta", [5, 9], 9, -4),
        ("unique", "delta", ["x", "y"], 2, -1),
        ("last", "last", [5, 9], 9, 5),
        ("max", "last", [5, 9], 9, 5),
        ("min", "last", [9, 5], 5, 9),
        ("avg", "last", [2, 4], 3, 2),
        ("sum", "last", [5, 9], 14, 5),
    ],
)
def test_a_value_is_reported_as_it_is_after_a_void_of_the_last_event(
    journal: Journal, aggregate: str, mode: str, given: list[Any], first: Any, second: Any
) -> None:
    journal.rules(negative="send")
    journal.metric("m", aggregate, mode)
    column = "member" if aggregate == "unique" else "quantity"
    for value in given:
        quantity = None if column == "member" else value
        event = journal.record(quantity, metric="m", **({"member": value} if column == "member" else {}))
    assert plan(journal) == [(first, "planned", None)]
    void(journal, event, "m")
    assert plan(journal) == [(second, "planned", None)]


def test_a_value_of_which_nothing_counts_is_sent_only_after_another_one(journal: Journal) -> None:
    journal.metric("level", "last", "last")
    event = journal.record(5, metric="level")
    voided = void(journal, event, "level")
    assert plan(journal) == []
    revert(journal, voided)
    assert plan(journal) == [(5, "planned", None)]
    void(journal, event, "level")
    assert plan(journal) == [(0, "planned", None)]


# ------------------------------------------------------------------------------------------ whatever happens


class Corrected(Run):
    """Events that are corrected, too; what is used is what the log adds up to."""

    def __init__(self, ledger: Ledger, clock: datetime) -> None:
        super().__init__(ledger, clock)
        self.rows: list[tuple[str, str, int]] = []
        self.corrections: list[int] = []
        self.journal.rules(negative="send")

    def record(self, subject: str, metric: str, quantity: Decimal, hours: int, key: str | None) -> None:
        super().record(subject, metric, quantity, hours, key)
        self.rows = [
            tuple(row)
            for row in self.journal.ledger.rows(
                "SELECT subject, metric, event_id FROM meter.logged_events"
                " WHERE kind <> 'void' AND metric = ANY (%s) ORDER BY event_id",
                [[self.name("sum"), self.name("count")]],
            )
        ]

    def correct(self, what: str, position: int, quantity: Decimal, hours: int) -> None:
        if not self.rows:
            return
        subject, metric, event_id = self.rows[position % len(self.rows)]
        whose: dict[str, Any] = {"subject": subject, "metric": metric}
        at = self.begun - hours * HOUR
        more: dict[str, Any] = {"event_id": event_id}
        if what == "adjust":
            more = {"quantity": -quantity, "at": at}
        elif what == "amend":
            more |= {"quantity": quantity, **({"at": at} if hours else {})}
        function = "adjust" if what == "adjust" else f"{what}_event"
        try:
            told = self.journal.ledger.call(function, **whose, **more, reason="why")[0]
        except psycopg.errors.InvalidParameterValue:
            return  # an adjustment is not amended
        if told.outcome == "applied":
            self.corrections.append(told.correction_id)

    def backfill(self, positions: list[int], quantity: Decimal, hours: int) -> None:
        """Voids, and events, in one correction."""
        entries: list[dict[str, Any]] = [
            {"entry": "void", "subject": subject, "metric": metric, "event_id": event_id}
            for subject, metric, event_id in {self.rows[p % len(self.rows)] for p in positions if self.rows}
        ]
        whose = {"subject": self.name("a"), "metric": self.name("count")}
        at = (self.begun - hours * HOUR).isoformat()
        entries.append({"entry": "record", **whose, "quantity": str(quantity), "at": at})
        call = self.journal.ledger.call
        (number,) = call("open_correction", reason="backfill")[0]
        call("stage_correction", id=number, entries=Jsonb(entries))
        call("approve_correction", id=number)
        self.corrections.append(number)

    def revert(self, position: int) -> None:
        if self.corrections:
            number = self.corrections.pop(position % len(self.corrections))
            try:
                self.journal.ledger.call("revert_correction", id=number, reason="why not")
            except psycopg.errors.InvalidParameterValue:
                self.corrections.insert(0, number)  # a later one stands in the way

    def count(self) -> None:
        self.used.clear()
        for subject, metric, quantity in self.journal.ledger.rows(
            "SELECT subject, metric, sum(quantity) FROM meter.logged_events"
            " WHERE metric = ANY (%s) GROUP BY 1, 2",
            [[self.name("sum"), self.name("count")]],
        ):
            self.used[subject, metric] = quantity  # type: ignore[index]


def _steps(chance: random.Random, fixed: bool) -> Iterator[tuple[str, list[Any]]]:
    pick = chance.choice
    outcomes = ["delivered", "delivered", "unknown", "not_applied", "rejected"]
    for _ in range(50):
        name = pick(
            4 * ["record"] + 5 * ["correct"] + 3 * ["work"] + 2 * ["revert"]
            + ["backfill", "jump", "plan", "claim", "answer", "forget", "look_up", "again"]
            + ([] if fixed else ["mode", "off"])
        )  # fmt: skip
        quantity, hours = Decimal(pick("012358")), pick([0, 1, 2])
        arguments: dict[str, list[Any]] = {
            "record": [pick("ab"), pick(["sum", "count"]), quantity, hours, pick([None, None, "k1", "k2"])],
            "correct": [pick(["void", "void", "amend", "adjust"]), chance.randrange(99), quantity, hours],
            "backfill": [[chance.randrange(99) for _ in range(3)], quantity, hours],
            "revert": [chance.randrange(99)],
            "work": [[(pick(outcomes), pick([True, False])) for _ in range(pick([1, 2, 5]))]],
            "jump": [pick([timedelta(minutes=3), HOUR, 25 * HOUR])],
            "plan": [pick([True, False]), pick([1, 3, 10000])],
            "claim": [pick(["w1", "w2"]), pick([1, 3, 100])],
            "answer": [chance.randrange(10), pick(outcomes), pick([True, False])],
            "again": [pick("ab")],
            "mode": [pick(["sum", "count"]), pick(["delta", "event"])],
            "off": [pick(["sum", "count"])],
        }
        yield name, arguments.get(name, [])


@pytest.mark.parametrize("fixed", [True, False], ids=["modes stay", "modes change"])
@examples(20, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_p10_whatever_is_corrected_what_was_sent_is_what_is_used(
    ledger: Ledger, clock: datetime, fixed: bool, seed: int
) -> None:
    run = Corrected(ledger, clock)
    for name, arguments in _steps(random.Random(seed), fixed):
        note(f"{name}({', '.join(map(str, arguments))})")
        getattr(run, name)(*arguments)
        run.journal.assert_balanced()
    run.finish(None if fixed else "delta")
    run.journal.assert_balanced()
    run.count()
    run.assert_reported_once()


@pytest.mark.slow
def test_the_biller_has_what_is_used_hour_by_hour_after_corrections(
    meter_dsn: str, double: Double, shop: Shop
) -> None:
    shop.meter.define_biller(negative="send")
    shop.add_metric("calls", "count", "event")
    draw = random.Random(3)
    with psycopg.connect(meter_dsn, autocommit=True) as connection:
        for _ in range(4):
            shop.use_many(customers=2, hours=3)
            for _ in range(4):
                shop.use("cus_1", metric="calls", minutes=draw.randint(1, 100))
            if draw.random() < 0.5:
                shop.report()
            rows = connection.execute(
                "SELECT subject, metric, event_id FROM meter.logged_events WHERE kind = 'usage'"
            ).fetchall()
            for subject, metric, event_id in draw.sample(rows, 5):
                connection.execute(
                    "SELECT meter.void_event(%s, %s, event_id => %s, reason => 'why')",
                    [subject, metric, event_id],
                )
            connection.execute("SELECT meter.adjust('cus_1', 'tokens', -1, reason => 'goodwill')")
            assert shop.report().exit_status == 0
            used = {k: v for k, v in shop.used().items() if v}
            assert {k: v for k, v in shop.sent().items() if v} == used
    assert double.counters()["counted_twice"] == []


@pytest.mark.slow
def test_reporters_that_die_at_any_step_leave_corrections_exact(
    double: Double, shop: Shop, tmp_path: Path
) -> None:
    """What a killed reporter has planned or sent is corrected before another one takes over."""
    clock_file = ClockFile(tmp_path / "clock")
    shop.meter.define_biller(negative="send")
    shop.add_metric("calls", "count", "event")
    draw = random.Random(4)
    killed = 0
    with psycopg.connect(shop.dsn, autocommit=True) as connection:
        for step in range(2, 30, 3):
            shop.use_many(customers=2, hours=2)
            for _ in range(3):
                shop.use("cus_1", metric="calls", minutes=draw.randint(1, 100))
            for _ in range(2):
                process = start(
                    shop.dsn, double.url, clock_file, connections=1, die_at=step, before=step % 2 == 0
                )
                process.join(60)
                killed += process.exitcode == -signal.SIGKILL
                rows = connection.execute(
                    "SELECT subject, metric, event_id FROM meter.logged_events WHERE kind = 'usage'"
                ).fetchall()
                for subject, metric, event_id in draw.sample(rows, 4):
                    connection.execute(
                        "SELECT meter.void_event(%s, %s, event_id => %s, reason => 'why')",
                        [subject, metric, event_id],
                    )
                clock_file.jump(timedelta(minutes=3))  # the lease of the dead is over
                shop.set_clock(clock_file())
            assert shop.reporter(clock=clock_file, connections=1).run_once().exit_status == 0
            used = {k: v for k, v in shop.used().items() if v}
            assert {k: v for k, v in shop.sent().items() if v} == used
    assert killed > 5
    assert double.counters()["counted_twice"] == []
