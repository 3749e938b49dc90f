"""Deliveries while others define, retry, remove and delete: nothing is lost, and no lane is left waiting."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from tests.helpers import Task, at_length
from tests.notify.conftest import STEP, Outbox

NewOutbox = Callable[..., Outbox]
Blocked = Callable[[Any, str], None]


def test_an_endpoint_that_is_defined_while_a_planner_waits_gets_what_is_written_after_it(
    outbox: Outbox, new_outbox: NewOutbox, wait_until_blocked: Blocked
) -> None:
    outbox.endpoint("x")
    holder = new_outbox("holder", autocommit=False)
    holder.ledger.call("test_endpoint", name="x")
    planner = new_outbox("planner")
    planning = Task(planner.plan)
    wait_until_blocked(outbox.ledger.connection, "planner")
    outbox.endpoint("y")
    outbox.tell("a")
    holder.ledger.connection.rollback()
    planning.result()
    while outbox.plan():
        pass
    assert sorted(one.endpoint for one in outbox.all(subject="a")) == ["x", "y"]


def test_a_notification_that_commits_after_a_later_one_was_planned_is_planned_too(
    outbox: Outbox, new_outbox: NewOutbox
) -> None:
    outbox.endpoint()
    slow = new_outbox("slow", autocommit=False)
    slow.tell("a")
    outbox.tell("b")
    outbox.plan()
    assert [one.subject for one in outbox.all()] == ["b"]
    slow.ledger.connection.commit()
    outbox.plan()
    assert [one.subject for one in outbox.all()] == ["b", "a"]


def test_what_is_retried_comes_before_a_later_one_that_waits_for_its_next_attempt(outbox: Outbox) -> None:
    outbox.endpoint()
    outbox.tell("a", "a", "a")
    outbox.plan()
    for _ in range(16):
        outbox.settle("failed", *outbox.claim())
        outbox.now += timedelta(hours=12)
    outbox.settle("failed", *outbox.claim())
    assert outbox.states() == ["dead", "dead", "planned"]
    assert outbox.retry(endpoint="ops") == 3
    outbox.check()
    assert [one.delivery_id for one in outbox.send_all()] == [one.delivery_id for one in outbox.all()]


def test_what_is_retried_waits_for_a_later_one_that_is_being_sent(outbox: Outbox) -> None:
    outbox.endpoint()
    outbox.tell("a", "a")
    outbox.plan()
    for _ in range(8):
        outbox.settle("failed", *outbox.claim())
        outbox.now += timedelta(hours=12)
    (later,) = outbox.claim()
    assert outbox.retry() == 1
    outbox.check()
    assert outbox.states() == ["waiting", "sending"]
    outbox.settle("failed", later)
    assert outbox.states() == ["planned", "waiting"]
    assert [one.delivery_id for one in outbox.send_all()] == [one.delivery_id for one in outbox.all()]


@pytest.mark.parametrize("other", ["plan", "claim", "settle", "remove", "define", "retry"])
def test_while_one_retries_nothing_else_is_lost(
    outbox: Outbox, new_outbox: NewOutbox, wait_until_blocked: Blocked, other: str
) -> None:
    """The other call waits for the endpoint, and then finds the lane as the retry has left it."""
    outbox.endpoint("ops")
    outbox.tell("a", "b")
    outbox.plan()
    for _ in range(8):
        outbox.settle("failed", *(one for one in outbox.claim() if one.subject == "a"))
        outbox.now += timedelta(hours=12)
    outbox.tell("a", "b")
    claimed = outbox.claim()
    retrier = new_outbox("retrier", autocommit=False)
    retrier.now = outbox.now
    assert retrier.retry() == 1
    session = new_outbox("session")
    session.now = outbox.now
    session.worker = outbox.worker
    calls: dict[str, Callable[[], Any]] = {
        "plan": session.plan,
        "claim": session.claim,
        "settle": lambda: session.settle("delivered", *claimed),
        "remove": lambda: session.ledger.call("remove_endpoint", name="ops"),
        "define": lambda: session.endpoint("ops"),
        "retry": session.retry,
    }
    if other == "claim":
        outbox.now += timedelta(hours=1)
        session.now = outbox.now
    waiting = Task(calls[other])
    wait_until_blocked(outbox.ledger.connection, "session")
    retrier.ledger.connection.commit()
    waiting.result()
    outbox.check()
    outbox.now += timedelta(hours=1)
    while outbox.plan():
        pass
    outbox.send_all()
    assert outbox.states() == ([] if other == "remove" else ["delivered"] * 4)


def test_upkeep_does_not_delete_what_is_retried_meanwhile(outbox: Outbox, new_outbox: NewOutbox) -> None:
    outbox.endpoint()
    outbox.tell("a")
    outbox.plan()
    for _ in range(8):
        outbox.settle("failed", *outbox.claim())
        outbox.now += timedelta(hours=12)
    outbox.ledger.execute("UPDATE meter.notifications SET created_at = created_at - interval '91 days'")
    retrier = new_outbox("retrier", autocommit=False)
    retrier.now = outbox.now
    assert retrier.retry() == 1
    outbox.ledger.upkeep()
    retrier.ledger.connection.commit()
    outbox.tell("a")
    outbox.plan()
    outbox.ledger.upkeep()
    outbox.check()
    assert outbox.states() == ["planned", "waiting"]
    assert len(outbox.send_all()) == 2


def test_a_410_of_the_old_url_does_not_disable_an_endpoint_that_has_a_new_one(outbox: Outbox) -> None:
    outbox.endpoint()
    outbox.tell("a", "b")
    outbox.plan()
    one, two = outbox.claim()
    outbox.endpoint(url="https://new.example.com/")
    outbox.settle("gone", one, status=410)
    outbox.settle("delivered", two)
    (endpoint,) = outbox.ledger.call("endpoints")
    assert (endpoint.disabled_at, outbox.states()) == (None, ["planned", "delivered"])
    (again,) = outbox.claim()
    assert (again.url, again.message_id) == ("https://new.example.com/", one.message_id)


def test_an_endpoint_with_a_new_url_is_not_taken_for_failing(outbox: Outbox) -> None:
    outbox.endpoint()
    outbox.tell(*(f"s{number}" for number in range(10)))
    outbox.plan()
    first, *rest = outbox.claim()
    outbox.settle("failed", first)
    assert outbox.ledger.call("endpoints")[0].failing_since is not None
    outbox.endpoint(url="https://new.example.com/")
    assert outbox.ledger.call("endpoints")[0].failing_since is None
    outbox.settle("failed", *rest)
    assert outbox.ledger.call("endpoints")[0].failing_since is None
    assert len(outbox.claim()) == 9


def test_a_changed_format_is_what_an_undelivered_body_is_sent_in(outbox: Outbox) -> None:
    outbox.endpoint()
    outbox.tell("a", "a")
    outbox.plan()
    outbox.endpoint(url="mailto:ops@example.com", format="email")
    assert [sorted(json.loads(one.body)) for one in outbox.all()] == [["subject", "text"]] * 2
    outbox.settle("delivered", *outbox.claim())
    outbox.endpoint(url="https://ops.example.com/", format="slack")
    assert ["text" in json.loads(one.body) and "subject" in json.loads(one.body) for one in outbox.all()] == [
        *(True, False)
    ]


STEPS = ("tell", "tell", "plan", "claim", "claim", "settle", "settle", "release")


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(2, 15)))
def test_eight_sessions_that_crash_and_whose_clocks_jump_lose_nothing_and_keep_the_order(
    outbox: Outbox, new_outbox: NewOutbox, seed: int
) -> None:
    for name in ("x", "y"):
        outbox.endpoint(name)
    arrivals: list[Any] = []
    start = outbox.now

    def work(number: int) -> None:
        chance = random.Random(8 * seed + number)
        session = new_outbox(f"w{number}", autocommit=False)
        held: list[Any] = []
        for _ in range(40):
            session.now = start + timedelta(minutes=chance.choice((0, 0, 1, 3, 60, -600, 6000)))
            crashes = chance.random() < 0.2
            claimed: list[Any] = []
            try:
                match chance.choice(STEPS):
                    case "tell":
                        session.tell(*sorted(chance.choices("abc", k=2)))
                    case "plan":
                        session.plan(max_notifications=chance.choice((1, 5, 1000)))
                    case "claim":
                        claimed = session.claim(chance.randint(1, 5), lease="1 minute")
                    case "settle" if held:
                        session.settle(chance.choice(("delivered", "delivered", "unsent")), *held)
                    case "release":
                        session.release()
            except psycopg.errors.LockNotAvailable:  # the machine is busy
                crashes = True
            if crashes:
                session.ledger.connection.rollback()
                held = []  # it knows nothing of what it had claimed
                continue
            session.ledger.connection.commit()
            arrivals.extend(claimed)
            held = claimed or held

    sessions = [Task(partial(work, number)) for number in range(8)]
    for one in sessions:
        one.result()
    outbox.now = start + timedelta(days=10)
    while outbox.plan():
        pass
    outbox.check()
    arrivals += outbox.send_all()
    rows = outbox.all()
    assert {one.state for one in rows} == {"delivered"}
    told = outbox.ledger.call("notifications", type=STEP, max_rows=10_000)
    assert len(rows) == 2 * len(told)
    first = dict.fromkeys((one.endpoint, one.subject, one.delivery_id) for one in arrivals)
    assert {key[2] for key in first} == {one.delivery_id for one in rows}
    for lane in {key[:2] for key in first}:
        ids = [delivery_id for *found, delivery_id in first if tuple(found) == lane]
        assert ids == sorted(ids), lane
