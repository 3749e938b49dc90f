"""What is sent to a biller goes on at the new home of a subject, and nowhere else."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pymeter import MeterError, SubjectMoved
from pymeter.scale import AsyncShardedMeter
from pymeter.scale.moving import move
from tests.scale.moves import Pair, S, killed

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=2)
LATER = NOW + timedelta(hours=1)
ROUTED = ["client", "asynchronous client"]


def plan(pair: Pair, now: datetime) -> Pair:
    """A push is planned at the first home."""
    pair.meter.define_biller("stripe", subject_is_customer=True)
    pair.meter.report_metric("sum", "units", "delta", since=NOW - timedelta(days=9))
    pair.meter.record(S, "sum", 5, idempotency_key="k1", at=min(now, datetime.now(UTC)) - timedelta(hours=2))
    assert pair.meter.plan_pushes(now=now) == 1
    return pair


@pytest.fixture
def reporting(pair: Pair) -> Pair:
    return plan(pair, NOW)


def claim(pair: Pair, now: datetime = NOW) -> Any:
    (push,) = pair.meter.claim_pushes("stripe", "w", now=now)
    return push


def states(pair: Pair, shard: str | None = None) -> list[str]:
    meter = pair.meter.meters[shard] if shard else pair.meter
    return sorted(push.state for push in meter.pushes())


def settle(pair: Pair, how: str, push: Any, outcome: str, now: datetime) -> Any:
    results = [{"push_id": push.push_id, "attempt": push.attempt, "outcome": outcome, "error": "x"}]
    if how == "client":
        return pair.meter.settle_pushes("stripe", "w", results, now=now)

    async def ask() -> Any:
        async with AsyncShardedMeter.open(pair.path) as meter:
            return await meter.settle_pushes("stripe", "w", results, now=now)

    return asyncio.run(ask())


def rechecks(pair: Pair, shard: str) -> int:
    with psycopg.connect(pair.dsns[shard]) as connection:
        found = connection.execute("SELECT count(*) FROM meter.reconciliations").fetchone()
    assert found is not None
    return int(found[0])


@pytest.mark.parametrize("how", ROUTED)
def test_a_push_that_the_new_home_sends_is_settled_there(reporting: Pair, how: str) -> None:
    """Its id tells the shard that planned it."""
    old = reporting.home()
    move(reporting.path, S, reporting.other())
    push = claim(reporting)
    (settled,) = settle(reporting, how, push, "delivered", NOW)
    assert (settled.push_id, settled.state) == (push.push_id, "delivered")
    assert states(reporting) == ["delivered"]
    assert list(reporting.meter.claim_pushes("stripe", "w", now=LATER)) == []
    assert rechecks(reporting, old) == 0


@pytest.mark.parametrize("outcome", ["delivered", "rejected"])
def test_a_result_that_comes_after_the_move_is_that_of_the_old_lease(pair: Pair, outcome: str) -> None:
    """The worker's lease had ended, so the push is sent again; if it was delivered, it is not."""
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    push = claim(plan(pair, long_ago), now=long_ago)
    move(pair.path, S, pair.other())
    (settled,) = settle(pair, "client", push, outcome, NOW)
    assert settled.state == ("delivered" if outcome == "delivered" else "planned")
    assert states(pair) == [settled.state]


def test_several_results_keep_their_order(reporting: Pair) -> None:
    other = next(f"s{n}" for n in range(99) if reporting.home(f"s{n}") != reporting.home())
    reporting.meter.record(other, "sum", 1)
    reporting.meter.plan_pushes(now=NOW)
    move(reporting.path, S, reporting.other())
    pushes = sorted(reporting.meter.claim_pushes("stripe", "w", now=NOW), key=lambda p: -p.push_id)
    results = [{"push_id": p.push_id, "attempt": p.attempt, "outcome": "delivered"} for p in pushes]
    settled = reporting.meter.settle_pushes("stripe", "w", results, now=NOW)
    assert [row.push_id for row in settled] == [push.push_id for push in pushes]
    assert {row.state for row in settled} == {"delivered"}


def test_what_was_rejected_is_retried_once(reporting: Pair) -> None:
    """Not by the sealed copy as well: its push would have an identifier of its own, and count twice."""
    (settled,) = settle(reporting, "client", claim(reporting), "rejected", NOW)
    assert settled.state == "rejected"
    old, new = reporting.home(), reporting.other()
    move(reporting.path, S, new)
    assert list(reporting.meter.meters[old].retry_pushes(now=LATER)) == []
    assert len(reporting.meter.retry_pushes(now=LATER)) == 1
    assert states(reporting) == ["planned", "replaced"]
    # Home again, the journal is what it has become.
    move(reporting.path, S, old)
    assert states(reporting, old) == ["planned", "replaced"]
    settle(reporting, "client", claim(reporting, LATER), "delivered", LATER)
    assert states(reporting) == ["delivered", "replaced"]


@pytest.mark.parametrize("function", ["retry_pushes", "leave_pushes", "resolve_push", "fail_pushes"])
def test_a_decision_by_identifier_is_made_at_the_new_home(reporting: Pair, function: str) -> None:
    push = claim(reporting)
    outcome = {"resolve_push": "unknown", "fail_pushes": "delivered"}.get(function, "rejected")
    settle(reporting, "client", push, outcome, NOW)
    move(reporting.path, S, reporting.other())
    much_later = NOW + timedelta(days=3)
    if function == "resolve_push":
        # Too late for the biller to recognise it.
        assert list(reporting.meter.claim_pushes("stripe", "w", now=much_later)) == []
        assert reporting.meter.resolve_push(push.identifier, True, now=much_later).state == "resolved"
    elif function == "fail_pushes":
        assert reporting.meter.fail_pushes("stripe", "evt_1", [push.identifier], "bad", now=LATER) == 1
    else:
        getattr(reporting.meter, function)("stripe", push.identifier, now=LATER)
    assert (
        states(reporting)[-1]
        == {
            "retry_pushes": "replaced",
            "leave_pushes": "left",
            "resolve_push": "resolved",
            "fail_pushes": "rejected",
        }[function]
    )


def test_while_the_subject_is_closed_nothing_is_decided(reporting: Pair) -> None:
    """It would be lost with the old home, and what is sent anew would be sent from both."""
    push = claim(reporting)
    settle(reporting, "client", push, "rejected", NOW)
    source = reporting.meter.meters[reporting.home()]
    killed(reporting.path, S, reporting.other(), "compare")
    assert list(source.retry_pushes(now=LATER)) == []
    assert list(source.leave_pushes(reason="refused", now=LATER)) == []
    for decide in (
        lambda: source.retry_pushes("stripe", push.identifier, now=LATER),
        lambda: source.leave_pushes("stripe", push.identifier, now=LATER),
        lambda: source.resolve_push(push.identifier, True, now=LATER),
        lambda: source.fail_pushes("stripe", "evt_1", [push.identifier], "bad", now=LATER),
    ):
        with pytest.raises(SubjectMoved):
            decide()
    move(reporting.path, S, reporting.other())
    assert states(reporting) == ["rejected"]
    assert len(reporting.meter.retry_pushes(now=LATER)) == 1


def test_an_uncertain_hour_of_a_closed_subject_is_busy(reporting: Pair) -> None:
    push = claim(reporting)
    settle(reporting, "client", push, "unknown", NOW)
    much_later = NOW + timedelta(days=3)
    assert list(reporting.meter.claim_pushes("stripe", "w", now=much_later)) == []
    (hour,) = reporting.meter.uncertain_hours("stripe", now=much_later)
    source = reporting.meter.meters[reporting.home()]
    killed(reporting.path, S, reporting.other(), "compare")
    verdict = source.settle_hour("stripe", S, "units", hour.hour, 5, now=much_later).verdict
    assert verdict == "busy"
    move(reporting.path, S, reporting.other())
    assert (
        reporting.meter.settle_hour("stripe", S, "units", hour.hour, 5, now=much_later).verdict == "present"
    )


@pytest.mark.parametrize("step", ["compared", "admit"])
def test_a_copy_that_was_not_admitted_sends_nothing(reporting: Pair, step: str) -> None:
    source, target = reporting.home(), reporting.other()
    killed(reporting.path, S, target, step)
    for shard in (source, target):
        assert list(reporting.meter.meters[shard].claim_pushes("stripe", "w", now=NOW)) == []
    # Whoever opens it by hand goes on sending as well.
    assert reporting.meter.meters[source].reopen_home(S)
    with pytest.raises(MeterError):
        reporting.meter.meters[target].reopen_home(S)
    push = claim(reporting)
    assert settle(reporting, "client", push, "delivered", NOW)[0].state == "delivered"
    move(reporting.path, S, target)
    assert states(reporting) == ["delivered"]
