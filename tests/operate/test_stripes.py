"""maintain() merges stripes beside writers: nothing is lost, and a series knows whether it has stripes."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.helpers import AGGREGATES, Ledger, Task, at

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

EARLIER = at("2026-06-18 14:30")
STRIPES = "SELECT count(*) FROM meter.series WHERE stripe > 0"


def consistent(ledger: Ledger) -> None:
    assert ledger.verify() == []
    assert (
        ledger.rows(
            "SELECT s.subject FROM meter.series s WHERE stripe = 0 AND has_stripes"
            " <> EXISTS (SELECT FROM meter.series t WHERE t.series_id = s.series_id AND t.stripe > 0)"
        )
        == []
    )
    assert ledger.value("SELECT count(*) FROM meter.series WHERE stripe > 0 AND NOT has_stripes") == 0


def merged(actions: list[tuple[str, str]]) -> bool:
    return "merged stripes" in dict(actions)


def striped(ledger: Ledger, new_ledger: NewLedger, aggregate: str = "sum") -> Ledger:
    """Another session; it and the given one have written to a stripe each, long ago."""
    ledger.define("plain", "sum")
    ledger.record("z", "plain", 1, at=EARLIER)
    ledger.maintain()  # the month has its partition
    ledger.define("hot", aggregate, striped=True)
    other = new_ledger("other")
    for session in (ledger, other):
        if aggregate == "unique":
            session.record("a", "hot", member="old", at=EARLIER)
        else:
            session.record("a", "hot", 1, at=EARLIER)
    assert ledger.value(STRIPES) == 2
    return other


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_stripes_stay_while_the_metric_is_striped_and_go_afterwards(
    ledger: Ledger, new_ledger: NewLedger, aggregate: str
) -> None:
    striped(ledger, new_ledger, aggregate)
    before = ledger.usage("a", "hot", period="never")
    assert merged(ledger.maintain())
    assert ledger.value(STRIPES) == 2
    assert ledger.value(f"{STRIPES} AND coarse_count > 0") == 0
    assert ledger.value("SELECT count(*) FROM meter.rollups WHERE stripe > 0") == 0
    consistent(ledger)
    assert ledger.maintain() == []
    ledger.define("hot", aggregate, striped=False)
    assert merged(ledger.maintain())
    assert ledger.value(STRIPES) == 0
    consistent(ledger)
    assert ledger.maintain() == []
    assert ledger.usage("a", "hot", period="never") == before


def test_a_stripe_in_use_is_left_alone(ledger: Ledger, new_ledger: NewLedger) -> None:
    ledger.define("hot", "sum", striped=True, rollup="none")
    other = new_ledger("other")
    for session in (ledger, other):
        session.record("a", "hot", 1)
    assert ledger.maintain() == []
    other.record("a", "hot", 1, at=datetime.now(UTC) - timedelta(days=40))
    assert merged(ledger.upkeep())
    assert ledger.maintain() == []
    assert ledger.usage("a", "hot", period="never").quantity == 3
    consistent(ledger)


def test_an_unstriped_series_is_recorded_in_the_short_way_again(
    ledger: Ledger, new_ledger: NewLedger
) -> None:
    striped(ledger, new_ledger)
    ordinary = "SELECT is_ordinary FROM meter.series WHERE stripe = 0 AND metric = 'hot'"
    ledger.define("hot", "sum", striped=False)
    ledger.record("a", "hot", 1, at=EARLIER)
    assert not ledger.value(ordinary)
    assert merged(ledger.maintain())
    assert ledger.value(ordinary)
    assert ledger.record("a", "hot", 1, at=EARLIER).quantity == 4


@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_recorder_that_waited_for_the_merge_is_counted(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str, end: str
) -> None:
    writer = striped(ledger, new_ledger)
    maintainer = new_ledger("maintainer", autocommit=False)
    assert merged(maintainer.maintain())
    event = {"subject": "a", "metric": "hot", "quantity": 1, "at": EARLIER}
    recording = Task(lambda: writer.batch([event]) if how == "batch" else writer.record(**event))
    wait_until_blocked(ledger.connection, "other")
    getattr(maintainer.connection, end)()
    assert recording.error() is None
    assert ledger.usage("a", "hot", period="never").quantity == 3
    consistent(ledger)


@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize("writes_to", ["its stripe", "a new stripe"])
def test_a_merge_is_postponed_while_a_recorder_waits_for_a_member_of_another_one(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str, writes_to: str
) -> None:
    """It holds its stripe meanwhile, which the metric, no longer striped, does not need afterwards."""
    other = striped(ledger, new_ledger, "unique")
    writer = other if writes_to == "its stripe" else new_ledger("newcomer")
    name = "other" if writer is other else "newcomer"
    first = new_ledger("first", autocommit=False)
    first.execute(
        "INSERT INTO meter.unique_members (series_id, bucket, bucket_start, member_digest)"
        " SELECT series_id, 'month', '2026-06-01Z', meter._digest('new') FROM meter.series WHERE stripe = 0"
    )
    event = {"subject": "a", "metric": "hot", "member": "new", "at": EARLIER}
    recording = Task(lambda: writer.batch([event]) if how == "batch" else writer.record(**event))
    wait_until_blocked(ledger.connection, name)
    ledger.define("hot", "unique", striped=False)
    assert not merged(ledger.maintain())
    first.connection.rollback()
    assert recording.error() is None
    consistent(ledger)
    total = ledger.usage("a", "hot", period="never")
    assert (total.quantity, total.event_count) == ledger.brute("a", "hot") == (2, 3)
    assert merged(ledger.maintain())
    assert ledger.value(STRIPES) == 0
    consistent(ledger)
    assert ledger.usage("a", "hot", period="never") == total


@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize("first", ["the stripe", "the rebuild"])
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_rebuild_and_a_recorder_that_creates_a_stripe_wait_for_each_other(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str, first: str, end: str
) -> None:
    striped(ledger, new_ledger)
    ledger.tamper("event_count = event_count + 1, total = total + 1")
    creator, rebuilder = new_ledger("creator", autocommit=False), new_ledger("rebuilder", autocommit=False)
    event = {"subject": "a", "metric": "hot", "quantity": 1, "at": EARLIER}

    def create() -> Any:
        return creator.batch([event]) if how == "batch" else creator.record(**event)

    if first == "the stripe":
        create()
        rebuilding = Task(rebuilder.rebuild)
        wait_until_blocked(ledger.connection, "rebuilder")
        getattr(creator.connection, end)()
        rebuilding.result()
        rebuilder.connection.commit()
    else:
        rebuilder.rebuild()
        creating = Task(create)
        wait_until_blocked(ledger.connection, "creator")
        getattr(rebuilder.connection, end)()
        creating.result()
        creator.connection.commit()
        ledger.rebuild()
    consistent(ledger)
    total = ledger.usage("a", "hot", period="never")
    assert (total.quantity, total.event_count) == ledger.brute("a", "hot")
    assert total.event_count == (2 if (first, end) == ("the stripe", "rollback") else 3)


def test_stripes_that_somebody_holds_are_left_for_later(ledger: Ledger, new_ledger: NewLedger) -> None:
    striped(ledger, new_ledger)
    holder = new_ledger("holder", autocommit=False)
    holder.rows("SELECT FROM meter.series WHERE stripe > 0 LIMIT 1 FOR UPDATE")
    assert ledger.maintain() == [("postponed stripes", "other transactions hold locks on them")]
    holder.connection.rollback()
    assert merged(ledger.maintain())


def test_many_stripes_are_merged_in_several_calls(ledger: Ledger, new_ledger: NewLedger) -> None:
    ledger.define("hot", "sum", striped=True)
    events = [{"subject": f"s{n}", "metric": "hot", "quantity": 1, "at": EARLIER} for n in range(600)]
    for session in (ledger, new_ledger("other")):
        session.batch(events)
    ledger.maintain()  # the month gets its partition
    assert ledger.maintain()[-1] == ("again", "stripes are left to merge: run maintain() again")
    assert merged(ledger.maintain())
    assert ledger.maintain() == []
    assert ledger.value(f"{STRIPES} AND coarse_count > 0") == 0
    assert ledger.value("SELECT sum(total) FROM meter.buckets WHERE bucket = 'month'") == 1200
    consistent(ledger)


@pytest.mark.parametrize("aggregate", ["sum", "last", "unique"])
def test_writers_run_while_stripes_come_and_go(ledger: Ledger, new_ledger: NewLedger, aggregate: str) -> None:
    ledger.define("hot", aggregate, striped=True)
    ledger.define("plain", "sum")
    ledger.maintain()
    stop = threading.Event()
    acknowledged: list[int] = []

    def event(draw: random.Random) -> dict[str, Any]:
        moment = EARLIER + timedelta(hours=draw.randrange(40))
        if draw.random() < 0.2:
            return {"subject": f"s{draw.randrange(3)}", "metric": "plain", "quantity": 1, "at": moment}
        given = (
            {"member": f"u{draw.randrange(6)}"} if aggregate == "unique" else {"quantity": draw.randrange(9)}
        )
        return {"subject": f"s{draw.randrange(3)}", "metric": "hot", "at": moment} | given

    def write(seed: int) -> None:
        draw, session = random.Random(seed), new_ledger(f"writer {seed}")
        while not stop.is_set():
            one = draw.random() < 0.6
            batch = [event(draw) for _ in range(1 if one else draw.randrange(1, 9))]
            # As the page says of maintain(), rebuild() and striped metrics: nothing was counted then.
            with contextlib.suppress(psycopg.errors.DeadlockDetected):
                session.record(**batch[0]) if one else session.batch(batch)
                acknowledged.extend(1 for _ in batch)

    def keep_up() -> None:
        session, striped = new_ledger("upkeep"), True
        while not stop.is_set():
            with contextlib.suppress(psycopg.errors.DeadlockDetected):
                session.maintain()
                striped = not striped
                session.define("hot", aggregate, striped=striped)

    def repair() -> None:
        session = new_ledger("repair")
        while not stop.is_set():
            # As the page says: whoever gets it has changed nothing, and the next call does it.
            with contextlib.suppress(psycopg.errors.DeadlockDetected):
                # Like every writer: the rows of the series are locked before it is changed.
                with session.connection.transaction():
                    one = session.rows(
                        "SELECT series_id FROM meter.series WHERE stripe = 0"
                        " ORDER BY random() LIMIT 1 FOR UPDATE"
                    )
                    if one:
                        session.tamper(
                            "event_count = event_count + 1", f"stripe = 0 AND series_id = {one[0].series_id}"
                        )
                session.rebuild()

    tasks = [Task(lambda seed=seed: write(seed)) for seed in range(3)] + [Task(keep_up), Task(repair)]  # type: ignore[misc]
    time.sleep(2)
    stop.set()
    for task in tasks:
        task.result()
    ledger.rebuild()
    consistent(ledger)
    assert ledger.value("SELECT count(*) FROM meter.events") == len(acknowledged) > 50
    assert ledger.value("SELECT sum(event_count) FROM meter.buckets WHERE bucket = 'month'") == len(
        acknowledged
    )
