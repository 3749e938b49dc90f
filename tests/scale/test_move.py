"""A subject that moves is the same at its new home, wherever the move is interrupted."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

from pymeter import LockUnavailable, MeterError, SubjectMoved
from pymeter.scale import ShardedMeter, read_map
from pymeter.scale.errors import MoveRefused
from pymeter.scale.moving import move
from tests.helpers import at, at_length
from tests.scale.moves import Pair, S, cut_connections, homes, killed, meanwhile, steps_of

STEPS = (
    "expect",
    "copy",
    "copied",
    "close",
    "barrier",
    "stop",
    "rest",
    "compare",
    "compared",
    "admit",
    "leave",
    "pin",
)


def test_a_subject_moves_there_and_back_and_its_keys_are_remembered(pair: Pair) -> None:
    keys = iter(range(99))
    for turn in range(4):
        pair.meter.record(S, "sum", 10, idempotency_key=f"k{next(keys)}", at=at("2026-06-18 12:00"))
        pair.meter.record(S, "sum", 1)
        before, target = pair.total(), pair.other()
        moved, _ = steps_of(pair.path, S, target)
        assert (moved.target, pair.home()) == (target, target)
        # On the way back only what is new is copied.
        assert moved.events == 2 if turn == 0 else moved.events <= 4
        assert pair.total() == before
        assert pair.meter.verify(S) == []
        again = [pair.meter.record(S, "sum", 10, idempotency_key=f"k{n}").outcome for n in range(turn + 1)]
        assert set(again) == {"duplicate"}
    assert steps_of(pair.path, S, pair.home())[1] == []


@pytest.mark.at_length
@pytest.mark.parametrize("step", at_length(("copied", "barrier", "compare", "leave", "pin"), STEPS))
def test_a_mover_that_dies_leaves_one_home_at_most_and_a_repetition_finishes(pair: Pair, step: str) -> None:
    for number in range(3):
        pair.meter.record(S, "sum", 5, idempotency_key=f"k{number}")
    target = pair.other()
    killed(pair.path, S, target, step)
    open_now = homes(pair.meter, S, 1)
    assert len(open_now) <= 1
    assert (open_now == [target]) == (step in ("leave", "pin"))
    moved, _ = steps_of(pair.path, S, target)
    assert (moved.target, pair.home()) == (target, target)
    assert homes(pair.meter, S, 2) == [target]
    assert pair.meter.record(S, "sum", 5, idempotency_key="k1").outcome == "duplicate"
    assert pair.total()[0] == 15
    assert pair.meter.verify(S) == []


@pytest.mark.parametrize(
    ("step", "side"),
    [("rest", "source"), ("compare", "target"), ("admit", "target"), ("admit", "source")],
)
def test_a_connection_that_is_cut_leaves_one_home(pair: Pair, step: str, side: str) -> None:
    pair.meter.record(S, "sum", 5, idempotency_key="k1")
    target, cut = pair.other(), pair.home() if side == "source" else pair.other()
    try:
        move(pair.path, S, target, tell=meanwhile(step, lambda: cut_connections(pair.dsns[cut])))
    except psycopg.OperationalError:
        assert homes(pair.meter, S, 1) == [pair.home()]
        move(pair.path, S, target)
    assert homes(pair.meter, S, 2) == [target]
    assert pair.meter.record(S, "sum", 5, idempotency_key="k1").outcome == "duplicate"
    assert pair.total()[0] == 5


def test_a_long_transaction_makes_it_give_up_and_reopen(pair: Pair) -> None:
    target = pair.other()
    pair.meter.record(S, "sum", 0)
    with pair.meter.transaction(S) as (_, shard):
        shard.record(S, "sum", 7, idempotency_key="open")
        with pytest.raises(LockUnavailable):
            # The first barrier is passed before the transaction writes; the second one is not.
            move(pair.path, S, target, wait=0.3, open_wait=0.3)
        assert pair.meter.record("other", "sum", 1).outcome == "recorded"
    assert homes(pair.meter, S, 1) == [pair.home()]

    def write_and_stay() -> None:
        late = psycopg.connect(pair.dsns[pair.home()])
        late.execute("SELECT meter.record(%s, 'sum', 3, idempotency_key => 'late')", (S,))
        opened.append(late)

    opened: list[psycopg.Connection[Any]] = []
    with pytest.raises(LockUnavailable):
        move(pair.path, S, target, wait=0.3, tell=meanwhile("close", write_and_stay))
    opened[0].commit()
    opened[0].close()
    assert homes(pair.meter, S, 2) == [pair.home()]
    move(pair.path, S, target)
    assert pair.total()[0] == 10


def test_callers_with_an_old_map_go_on_while_a_subject_moves_and_afterwards(pair: Pair) -> None:
    other = next(f"s{n}" for n in range(99) if pair.home(f"s{n}") == pair.home())
    sent, failed = [0], []
    stop = threading.Event()

    def use(meter: ShardedMeter) -> None:
        try:
            while not stop.is_set():
                sent[0] += 1
                events = [
                    {"subject": name, "metric": "sum", "quantity": 1, "idempotency_key": f"b{sent[0]}"}
                    for name in (S, other)
                ]
                outcomes = {row.outcome for row in meter.record_batch(events)}
                assert outcomes == {"recorded"}, outcomes
                assert meter.record(S, "sum", 1).outcome == "recorded"
        except BaseException as error:
            failed.append(error)

    with ShardedMeter.open(pair.path, max_size=2) as old:
        thread = threading.Thread(target=use, args=(old,))
        thread.start()
        for _ in range(2):
            move(pair.path, S, pair.other())
        stop.set()
        thread.join(30)
        assert failed == []
        held = old.reserve(S, "sum", 9)
        move(pair.path, S, pair.other())
        # Its id still tells the shard that has drawn it.
        assert old.settle(held.reservation_id or 0, 4).outcome == "recorded"
    assert pair.total() == (2 * sent[0] + 4, 2 * sent[0] + 1)
    assert pair.total(other)[0] == sent[0]


def test_a_map_that_is_no_file_cannot_be_read_again(pair: Pair) -> None:
    with ShardedMeter.open(read_map(pair.path), patience=0.2) as old:
        old.record(S, "sum", 1)
        move(pair.path, S, pair.other())
        assert old.record(S, "sum", 1).outcome == "recorded"
        with pytest.raises(SubjectMoved) as caught:
            old.record_batch([{"subject": S, "metric": "sum", "quantity": 1}])
        assert caught.value.shard == pair.home()


def test_what_cannot_be_moved_exactly_is_refused(pair: Pair) -> None:
    home = pair.meter.meter_of(S)
    pair.meter.record(S, "sum", 1)
    target = pair.other()

    def refusal() -> str:
        with pytest.raises(MoveRefused) as caught:
            move(pair.path, S, target)
        assert caught.value.hint
        assert pair.meter.record(S, "sum", 1).outcome == "recorded"
        return f"{caught.value.message} {caught.value.detail}"

    id_ = home.open_correction("why")
    home.stage_correction(id_, [{"entry": "adjust", "subject": S, "metric": "sum", "quantity": 7}])
    assert "correction of the subject is open" in refusal()
    home.reject_correction(id_, "no")
    home.define_plan("only here")
    assert "definitions" in refusal()
    pair.meter.define_plan("only here")
    mate = next(f"x{n}" for n in range(99) if pair.home(f"x{n}") == pair.home())
    for subject in (S, mate):
        home.report_subject(subject, "cus_1")
    pair.meter.define_biller("stripe")
    assert f"'cus_1' of 'stripe' has other subjects here: '{mate}'" in refusal()
    home.report_subject(S, "cus_2")
    move(pair.path, S, target)


def test_a_subject_of_which_nothing_is_stored_is_pinned_and_not_moved(pair: Pair) -> None:
    """It would stay closed: nothing at the new home could tell that it has arrived."""
    source, target = pair.home(), pair.other()
    with pytest.raises(MoveRefused) as caught:
        move(pair.path, S, target)
    assert "nothing is stored" in (caught.value.detail or "")
    assert f"pymeter shard pin {S}" in (caught.value.hint or "")
    assert pair.meter.moves() == []
    # A metric of its name is no data of it.
    pair.meter.define_metric(S, "sum", "unit")
    with pytest.raises(MoveRefused):
        move(pair.path, S, target)
    assert homes(pair.meter, S, 1) != []
    assert pair.home() == source


def test_a_subject_that_has_no_usage_yet_moves_with_what_it_has(pair: Pair) -> None:
    pair.meter.define_plan("pro")
    source, target = pair.home(), pair.other()
    pair.meter.subscribe(S, "pro")
    pair.meter.meters[target].subscribe("x", "pro")
    move(pair.path, S, target)
    assert [row.plan for row in pair.meter.subscriptions(S)] == ["pro"]
    assert homes(pair.meter, S, 1) == [target]
    # Two subjects of one name cannot become one, whatever they have.
    alone = next(f"y{n}" for n in range(99) if pair.home(f"y{n}") == source)
    for shard in (source, target):
        pair.meter.meters[shard].subscribe(alone, "pro")
    with pytest.raises(MeterError, match="at home here"):
        move(pair.path, alone, target)
