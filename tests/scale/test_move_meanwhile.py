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
from pymeter.scale.moving import move
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
