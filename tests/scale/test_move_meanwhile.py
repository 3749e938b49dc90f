"""What happens while a subject moves, and what the new home has to learn: limits, currencies, corrections."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pymeter import Meter, MeterError
from pymeter.scale import ShardedMeter, read_map, write_map
from pymeter.scale.errors import MoveRefused
from pymeter.scale.moving import Moved, move
from tests.helpers import at
from tests.scale.conftest import NewDatabase
from tests.scale.moves import Pair, S, homes, killed, meanwhile
from tests.scale.twins import join, new_map

SINCE = at("2026-01-01")


def _neighbour(pair: Pair) -> str:
    return next(f"s{n}" for n in range(99) if pair.home(f"s{n}") == pair.home())


def _claimed(meter: Meter) -> list[str]:
    return [push.subject or "" for push in meter.claim_pushes("stripe", "worker")]


@pytest.fixture
def reported(pair: Pair) -> Pair:
    """With a biller, to which the subject is reported as cus."""
    pair.meter.define_biller("stripe")
    pair.meter.report_metric("sum", "used")
    pair.meter.report_subject(S, "cus")
    return pair


def test_limits_of_a_subject_hold_at_a_shard_that_had_no_limits(pair: Pair) -> None:
    pair.meter.set_limit("sum", 100, subject=S)
    assert pair.meter.record(S, "sum", 90).outcome == "recorded"
    pair.meter.record(_other_of(pair), "sum", 5)
    for _ in range(2):
        move(pair.path, S, pair.other())
        assert pair.meter.record(S, "sum", 20).outcome == "refused"
        assert pair.meter.reserve(S, "sum", 20).outcome == "refused"
        assert pair.meter.balance(S, "sum").quota == 100
    assert pair.meter.record(_other_of(pair), "sum", 500).outcome == "recorded"
    assert pair.meter.verify() == []


def _other_of(pair: Pair) -> str:
    return next(f"s{n}" for n in range(99) if pair.home(f"s{n}") == pair.other())


def test_a_limit_that_is_set_while_the_log_is_copied_holds_too(pair: Pair) -> None:
    pair.meter.record(S, "sum", 90)
    move(
        pair.path,
        S,
        pair.other(),
        tell=meanwhile("copied", lambda: pair.meter.set_limit("sum", 100, subject=S)),
    )
    assert pair.meter.record(S, "sum", 20).outcome == "refused"


def test_a_price_of_a_subject_alone_has_its_currency_at_the_new_home(pair: Pair) -> None:
    pair.meter.define_plan("pro")
    pair.meter.subscribe(S, "pro", since=SINCE)
    price = {"currency": "JPY", "model": "unit", "unit_amount": "3"}
    pair.meter.define_price("pro", "units", price, metric="sum", subject=S, since=SINCE)
    pair.meter.record(S, "sum", 5, at=at("2026-02-03"))
    february = {"since": at("2026-02-01"), "until": at("2026-03-01")}
    before = pair.meter.invoice(S, **february)
    assert before[-1].currency == "JPY"
    for _ in range(2):
        move(pair.path, S, pair.other())
        assert pair.meter.invoice(S, **february) == before


def test_a_subject_of_which_nothing_is_stored_is_pinned_not_moved(pair: Pair) -> None:
    with pytest.raises(MoveRefused, match="nothing is stored") as error:
        move(pair.path, S, pair.other())
    assert "pymeter shard pin" in (error.value.hint or "")
    assert [one.moves() for one in pair.meter.meters.values()] == [[], []]


BELONGINGS: dict[str, Callable[[ShardedMeter], object]] = {
    "credit": lambda meter: meter.grant_credit(S, 10, "USD", "k1"),
    "tax": lambda meter: meter.set_tax(S, 20),
    "cycle": lambda meter: meter.set_billing_cycle(S, at("2026-01-15")),
    "subscription": lambda meter: meter.subscribe(S, "pro"),
    "key": lambda meter: meter.create_api_key("read", subject=S, name="x"),
    "limit": lambda meter: meter.set_limit("sum", 10, subject=S),
    "budget": lambda meter: meter.set_budget(100, "USD", subject=S),
    "spike alert": lambda meter: meter.set_spike_alert("sum", 3, subject=S),
    "price": lambda meter: meter.define_price(
        "pro",
        "units",
        {"currency": "USD", "model": "unit", "unit_amount": "3"},
        metric="sum",
        subject=S,
    ),
    "top-up": lambda meter: meter.top_up(S, "sum", 5, "k1"),
    "customer": lambda meter: meter.report_subject(S, "cus"),
}


@pytest.mark.parametrize("belonging", BELONGINGS)
def test_a_subject_that_has_only_one_thing_moves_with_it(reported: Pair, belonging: str) -> None:
    if belonging != "customer":
        reported.meter.report_subject(S, None)
    reported.meter.define_plan("pro")
    BELONGINGS[belonging](reported.meter)
    target = reported.other()
    move(reported.path, S, target)
    assert homes(reported.meter, S, 1) == [target]


def test_a_correction_that_is_opened_while_the_log_is_copied_stays_whole(pair: Pair) -> None:
    other = _neighbour(pair)
    for subject in (S, other):
        pair.meter.record(subject, "sum", 5)
    here = pair.meter.meters[pair.home()]
    opened: list[int] = []

    def open_one() -> None:
        opened.append(here.open_correction("why"))
        entries = [
            {"entry": "adjust", "subject": name, "metric": "sum", "quantity": q}
            for name, q in ((S, 7), (other, 3))
        ]
        here.stage_correction(opened[0], entries)

    with pytest.raises(MoveRefused, match="a correction of the subject is open"):
        move(pair.path, S, pair.other(), tell=meanwhile("copied", open_one))
    assert homes(pair.meter, S, 1) == [pair.home()]
    here.approve_correction(opened[0])
    assert (pair.total()[0], pair.total(other)[0]) == (12, 8)
    move(pair.path, S, pair.other())
    assert (pair.total()[0], pair.total(other)[0]) == (12, 8)


def test_another_subject_that_becomes_the_customers_while_the_log_is_copied_is_reported(
    reported: Pair,
) -> None:
    other = _neighbour(reported)
    reported.meter.record(S, "sum", 5)
    here = reported.meter.meters[reported.home()]

    def map_other() -> None:
        reported.meter.report_subject(other, "cus")
        reported.meter.record(other, "sum", 7)
        here.plan_pushes()

    with pytest.raises(MoveRefused, match="customer 'cus' of 'stripe' has other subjects"):
        move(reported.path, S, reported.other(), tell=meanwhile("copied", map_other))
    assert sorted(_claimed(here)) == sorted((S, other))


def test_a_customer_of_the_closed_time_is_reported_by_both_shards(reported: Pair) -> None:
    other = _neighbour(reported)
    reported.meter.record(S, "sum", 5)
    here, there = (reported.meter.meters[name] for name in (reported.home(), reported.other()))
    here.plan_pushes()

    def map_other() -> None:
        here.report_subject(other, "cus")
        here.record(other, "sum", 7)
        here.plan_pushes()

    move(reported.path, S, reported.other(), tell=meanwhile("leave", map_other))
    assert (_claimed(here), _claimed(there)) == ([other], [S])


@pytest.mark.parametrize("again_until", [None, "copy"])
def test_giving_up_a_move_that_died_sends_what_was_planned(reported: Pair, again_until: str | None) -> None:
    reported.meter.record(S, "sum", 5)
    here = reported.meter.meters[reported.home()]
    here.plan_pushes()
    killed(reported.path, S, reported.other(), "rest")
    if again_until is None:
        assert here.reopen_home(S)
    else:
        killed(reported.path, S, reported.other(), again_until)
    assert _claimed(here) == [S]


def test_a_refusal_after_a_move_that_died_leaves_the_subject_open(pair: Pair) -> None:
    pair.meter.record(S, "sum", 5)
    killed(pair.path, S, pair.other(), "rest")
    pair.meter.meters[pair.home()].define_plan("only here")
    with pytest.raises(MoveRefused, match="definitions"):
        move(pair.path, S, pair.other())
    assert homes(pair.meter, S, 2) == [pair.home()]


@pytest.fixture
def three(tmp_path: Path, new_database: NewDatabase) -> Iterator[tuple[Path, ShardedMeter]]:
    path = tmp_path / "shards.json"
    write_map(path, new_map({name: new_database() for name in ("s1", "s2", "s3")}))
    with ShardedMeter.open(path, max_size=2, patience=0.2) as meter:
        join(meter)
        meter.define_metric("sum", "sum", "unit")
        yield path, meter


def test_of_two_moves_to_different_shards_at_one_moment_one_is_refused(
    three: tuple[Path, ShardedMeter],
) -> None:
    path, meter = three
    meter.record(S, "sum", 20)
    source = read_map(path).shard_of(S)
    targets = [name for name in read_map(path).names if name != source]
    ready = threading.Barrier(2)
    # Both wait for this one to end, and close the subject one after the other.
    holder = psycopg.connect(read_map(path).shards[source].dsn)

    def go(target: str) -> Any:
        def tell(step: str, _facts: dict[str, Any]) -> None:
            if step == "close":
                if ready.wait(20) == 0:
                    holder.execute("SELECT meter.record(%s, 'sum', 1)", (S,))
                    threading.Timer(0.5, holder.commit).start()
                ready.wait(20)

        try:
            return move(path, S, target, tell=tell)
        except MeterError as error:
            return error

    with ThreadPoolExecutor(2) as threads:
        results = dict(zip(targets, threads.map(go, targets), strict=True))
    holder.close()
    refused = [error for error in results.values() if isinstance(error, MeterError)]
    assert [error.sqlstate for error in refused] == ["55000"]
    (won,) = (name for name, result in results.items() if not isinstance(result, MeterError))
    assert homes(meter, S, 1) == [won]
    assert meter.usage(S, "sum", period="year").quantity == 21


def _approve(meter: Meter) -> object:
    correction = meter.open_correction("why")
    entries = [{"entry": "void", "subject": S, "metric": "sum", "idempotency_key": "k1"}]
    meter.stage_correction(correction, entries)
    return meter.approve_correction(correction)


@pytest.mark.parametrize(
    ("correct", "table", "remains"),
    [
        (
            lambda meter: meter.void_event(S, "sum", idempotency_key="k1", reason="why"),
            "correction_entries",
            6,
        ),
        (_approve, "event_kinds", 6),
        (
            lambda meter: meter.revert_correction(meter.corrections()[0].correction_id, "why"),
            "event_kinds",
            6,
        ),
    ],
    ids=["void_event", "approve_correction", "revert_correction"],
)
def test_a_correction_that_is_slow_while_the_log_is_copied_is_waited_for(
    pair: Pair,
    wait_until_blocked: Callable[[psycopg.Connection[Any], str], None],
    correct: Callable[[Meter], object],
    table: str,
    remains: int,
) -> None:
    """It has drawn its id and read the clock, and waits for a lock before it is done."""
    for number in range(1, 4):
        pair.meter.record(S, "sum", number, idempotency_key=f"k{number}")
    pair.meter.adjust(S, "sum", 1, reason="why", idempotency_key="adjusted")
    home = pair.dsns[pair.home()]
    holder = psycopg.connect(home)
    errors: list[Exception] = []

    def run() -> None:
        try:
            with psycopg.connect(home, autocommit=True, application_name="corrector") as connection:
                correct(Meter(connection))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)

    def begin() -> None:
        holder.execute(f"LOCK TABLE meter.{table} IN SHARE MODE".encode())
        thread.start()
        with psycopg.connect(home, autocommit=True) as observer:
            wait_until_blocked(observer, "corrector")
        threading.Timer(0.7, holder.commit).start()

    move(pair.path, S, pair.other(), tell=meanwhile("copy", begin))
    thread.join(20)
    holder.close()
    assert errors == []
    assert pair.total()[0] == remains
    assert pair.meter.verify(S) == []


def test_a_repetition_that_lags_behind_another_one_reopens_nothing(pair: Pair) -> None:
    """Both find that a mover has died. One finishes; the other then goes on with what it knew."""
    pair.meter.record(S, "sum", 5)
    source, target = pair.home(), pair.other()
    killed(pair.path, S, target, "rest")
    finished: list[Moved] = []
    with pytest.raises(MeterError) as error:
        move(
            pair.path,
            S,
            target,
            tell=meanwhile("expect", lambda: finished.append(move(pair.path, S, target))),
        )
    assert error.value.sqlstate == "55000"
    assert finished
    assert homes(pair.meter, S, 1) == [target]
    assert pair.meter.meters[source].moves()[0].state == "moved"


def test_a_repetition_that_lags_behind_closes_another_ones_home_no_more(pair: Pair) -> None:
    """It found that the subject had been admitted; meanwhile that was finished, and the subject came back."""
    pair.meter.record(S, "sum", 5)
    source, target = pair.home(), pair.other()
    killed(pair.path, S, target, "leave")

    def go_on() -> None:
        move(pair.path, S, target)
        move(pair.path, S, source)
        pair.meter.meters[source].close_home(S, target)

    with pytest.raises(MeterError):
        move(pair.path, S, target, tell=meanwhile("leave", go_on))
    assert pair.meter.meters[source].moves()[0].state == "closing"


def test_a_subject_that_was_reopened_by_hand_is_not_admitted(pair: Pair) -> None:
    pair.meter.record(S, "sum", 5)
    here = pair.meter.meters[pair.home()]
    with pytest.raises(MeterError, match="was reopened"):
        move(pair.path, S, pair.other(), tell=meanwhile("admit", lambda: here.reopen_home(S)))
    assert homes(pair.meter, S, 1) == [pair.home()]
    move(pair.path, S, pair.other())
    assert pair.total()[0] == 5


def test_a_correction_of_two_subjects_is_reverted_where_both_are(pair: Pair) -> None:
    other = _neighbour(pair)
    for subject in (S, other):
        pair.meter.record(subject, "sum", 5)
    here = pair.meter.meters[pair.home()]
    correction = here.open_correction("why")
    here.stage_correction(
        correction,
        [{"entry": "adjust", "subject": name, "metric": "sum", "quantity": 2} for name in (S, other)],
    )
    here.approve_correction(correction)
    move(pair.path, S, pair.other())
    with pytest.raises(MeterError, match="a part of the correction is on another shard") as error:
        pair.meter.revert_correction(correction, "wrong")
    assert error.value.sqlstate == "55000"
    assert (pair.total()[0], pair.total(other)[0]) == (7, 7)
    move(pair.path, other, pair.home())
    pair.meter.revert_correction(correction, "wrong")
    assert (pair.total()[0], pair.total(other)[0]) == (5, 5)
    assert pair.meter.verify() == []
