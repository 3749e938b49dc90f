"""Deliveries by SQL: planned, claimed, settled, retried; in order, at least once, under one id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import Ledger, Task, examples, refused
from tests.notify.conftest import STEP, Outbox

NewOutbox = Callable[..., Outbox]
SECONDS = (5, 300, 1800, 7200, 18000, 36000, 36000)


def test_each_endpoint_is_sent_what_it_asks_for_and_what_was_written_since_it_was_defined(
    outbox: Outbox,
) -> None:
    outbox.tell("before")
    outbox.endpoint("steps")
    outbox.endpoint("all", ["*"])
    outbox.endpoint("refusals", ["limit.refused"])
    outbox.tell("a", "b")
    outbox.ledger.define("other", "sum")
    assert outbox.plan() == 5  # with what was written before, which nobody is sent
    assert outbox.plan() == 0
    told = Counter((one.endpoint, one.type, one.subject) for one in outbox.all())
    assert told == {
        ("steps", STEP, "a"): 1,
        ("steps", STEP, "b"): 1,
        ("all", STEP, "a"): 1,
        ("all", STEP, "b"): 1,
        ("all", "metric.defined", None): 1,
    }


def test_without_an_endpoint_nothing_is_planned_and_a_later_one_is_not_sent_the_past(outbox: Outbox) -> None:
    outbox.tell("a")
    assert outbox.plan() == 0
    outbox.endpoint()
    while outbox.plan():
        pass
    assert outbox.all() == []


def test_of_an_endpoint_and_subject_one_is_in_flight_and_they_are_sent_in_order(outbox: Outbox) -> None:
    outbox.endpoint("x")
    outbox.endpoint("y")
    outbox.tell("a", "a", "b", "a")
    outbox.plan()
    first = outbox.claim()
    assert sorted((one.endpoint, one.subject) for one in first) == [
        *(("x", "a"), ("x", "b"), ("y", "a"), ("y", "b"))
    ]
    assert outbox.claim() == []
    outbox.settle("delivered", *first)
    outbox.check()
    rest = outbox.send_all()
    for name in ("x", "y"):
        ids = [one.delivery_id for one in first + rest if (one.endpoint, one.subject) == (name, "a")]
        assert ids == sorted(ids)
        assert len(ids) == 3
    assert set(outbox.states()) == {"delivered"}


def test_a_failure_delays_its_own_subject_only_and_the_attempts_follow_the_schedule(outbox: Outbox) -> None:
    outbox.endpoint()
    outbox.tell("a", "a", "b")
    outbox.plan()
    failing, other = outbox.claim()
    outbox.settle("delivered", other)
    for failures, seconds in enumerate(SECONDS, 1):
        (settled,) = outbox.settle("failed", failing, error="HTTP 500", status=500).values()
        wait = (settled.next_attempt_at - outbox.now).total_seconds()
        assert seconds <= wait <= seconds * 1.1, failures
        outbox.now += timedelta(seconds=seconds - 1)
        assert outbox.claim() == []
        outbox.now = settled.next_attempt_at
        (again,) = outbox.claim()
        assert (again.message_id, again.body, again.attempt) == (
            failing.message_id,
            failing.body,
            failures + 1,
        )
        failing = again
    (settled,) = outbox.settle("failed", failing, error="HTTP 500").values()
    assert (settled.state, settled.next_attempt_at) == ("dead", None)
    assert outbox.states() == ["dead", "planned", "delivered"]  # the next of the subject goes on
    assert outbox.all()[0].error == "HTTP 500"


def test_retry_after_is_obeyed_where_it_is_longer(outbox: Outbox) -> None:
    outbox.endpoint()
    outbox.tell("a", "b")
    outbox.plan()
    one, two = outbox.claim()
    (late,) = outbox.settle("failed", one, status=429, retry_after=120).values()
    assert late.next_attempt_at == outbox.now + timedelta(seconds=120)
    (soon,) = outbox.settle("failed", two, status=429, retry_after=1).values()
    assert soon.next_attempt_at >= outbox.now + timedelta(seconds=5)


def test_gone_disables_the_endpoint_and_defining_it_again_and_retrying_sends_all(outbox: Outbox) -> None:
    outbox.endpoint("gone")
    outbox.endpoint("stays")
    outbox.tell("a", "a", "b")
    outbox.plan()
    claimed = outbox.claim()
    (first, *_) = (one for one in claimed if one.endpoint == "gone" and one.subject == "a")
    outbox.settle("gone", first, status=410, error="HTTP 410")
    outbox.tell("c")
    outbox.plan()
    assert outbox.states(endpoint="gone") == ["dead"] * 4
    assert "dead" not in outbox.states(endpoint="stays")
    gone, stays = outbox.ledger.call("endpoints")
    assert gone.disabled_at == outbox.now
    assert "410" in gone.disabled_reason
    assert (gone.open_deliveries, gone.dead_deliveries) == (0, 4)
    assert (stays.disabled_at, stays.open_deliveries, stays.dead_deliveries) == (None, 4, 0)
    notices = outbox.ledger.call("health")[0].notices
    assert any("endpoint gone is disabled" in notice for notice in notices)
    with refused("22023", "endpoint"):
        outbox.retry(endpoint="gone")
    with refused("22023", "name"):
        outbox.ledger.call("test_endpoint", name="gone")
    outbox.endpoint("gone")
    assert outbox.retry(endpoint="gone") == 4
    outbox.check()
    sent = [one for one in outbox.send_all() if one.endpoint == "gone"]
    assert [one.message_id for one in sent if one.subject == "a"] == [
        one.message_id for one in outbox.all(endpoint="gone", subject="a")
    ]
    assert len(sent) == 4


def test_a_lease_that_ended_is_claimed_again_and_the_late_worker_settles_only_what_arrived(
    outbox: Outbox, new_outbox: NewOutbox
) -> None:
    outbox.endpoint()
    outbox.tell("a", "a")
    outbox.plan()
    (lost,) = outbox.claim(lease="30 seconds")
    outbox.now += timedelta(seconds=29)
    assert outbox.claim() == []
    outbox.now += timedelta(seconds=1)
    other = new_outbox()
    other.now = outbox.now
    (again,) = other.claim()
    assert (again.delivery_id, again.message_id, again.attempt) == (lost.delivery_id, lost.message_id, 2)
    outbox.settle("failed", lost)
    assert outbox.states() == ["sending", "waiting"]
    outbox.settle("delivered", lost)  # the first attempt has arrived after all
    assert outbox.states() == ["delivered", "planned"]
    other.settle("failed", again)
    assert outbox.states() == ["delivered", "planned"]


def test_a_result_of_a_delivery_that_a_restore_has_replaced_is_ignored(outbox: Outbox) -> None:
    outbox.endpoint()
    outbox.tell("a")
    outbox.plan()
    (one,) = outbox.claim()
    assert outbox.settle("delivered", one._replace(message_id="msg_1_1")) == {}
    assert outbox.states() == ["sending"]
    assert one.message_id.startswith("msg_")


def test_an_endpoint_has_sixteen_in_flight_and_endpoints_take_turns(outbox: Outbox) -> None:
    outbox.endpoint("hangs")
    outbox.tell(*(f"s{n}" for n in range(40)))
    outbox.plan()
    assert len(outbox.claim(10)) == 10
    assert len(outbox.claim(10)) == 6
    assert outbox.claim(10) == []
    outbox.endpoint("works")
    outbox.tell("s1", "s2", "s3")
    outbox.plan()
    assert [one.endpoint for one in outbox.claim(10)] == ["works"] * 3
    outbox.now += timedelta(minutes=3)
    outbox.tell("s4")
    outbox.plan()
    assert Counter(one.endpoint for one in outbox.claim(4)) == {"hangs": 2, "works": 2}


def test_while_all_attempts_fail_an_endpoint_has_two_in_flight(outbox: Outbox) -> None:
    outbox.endpoint()
    outbox.tell(*(f"s{n}" for n in range(40)))
    outbox.plan()
    outbox.settle("failed", *outbox.claim())
    (status,) = outbox.ledger.call("endpoints")
    assert status.failing_since == outbox.now
    one, two = outbox.claim()
    outbox.settle("failed", one)
    (again,) = outbox.claim()
    assert outbox.ledger.call("endpoints")[0].failing_since == status.failing_since
    outbox.settle("delivered", two)
    assert outbox.ledger.call("endpoints")[0].failing_since is None
    assert len(outbox.claim()) == 15
    outbox.settle("delivered", again)


def test_release_returns_what_a_worker_holds_and_costs_no_failure(
    outbox: Outbox, new_outbox: NewOutbox
) -> None:
    outbox.endpoint()
    outbox.tell("a", "b")
    outbox.plan()
    (mine,) = outbox.claim(1)
    (theirs,) = new_outbox().claim(1)
    assert outbox.release() == 1
    by_id = {one.delivery_id: one for one in outbox.all()}
    assert (by_id[mine.delivery_id].state, by_id[mine.delivery_id].failures) == ("planned", 0)
    assert by_id[theirs.delivery_id].state == "sending"
    (again,) = outbox.claim()
    assert again.message_id == mine.message_id
    (settled,) = outbox.settle("unsent", again).values()
    assert (settled.state, settled.next_attempt_at) == ("planned", outbox.now)


def test_health_notices_an_endpoint_that_has_failed_for_an_hour(outbox: Outbox) -> None:
    """An attempt that failed is due again later, so nothing is late; and it is dead after days only."""

    def notices(hours: int) -> list[str]:
        (found,) = outbox.ledger.call("health", now=outbox.now + timedelta(hours=hours))
        return [notice for notice in found.notices if "endpoint ops has failed" in notice]

    outbox.endpoint()
    outbox.tell("a", "a")
    outbox.plan()
    outbox.settle("failed", *outbox.claim(), error="HTTP 500")
    assert (notices(0), len(notices(1))) == ([], 1)
    outbox.now += timedelta(hours=12)
    outbox.settle("delivered", *outbox.claim())
    assert notices(1) == []


def test_dead_letters_are_seen_and_replayed_in_their_first_order_under_their_ids(outbox: Outbox) -> None:
    outbox.endpoint()
    outbox.tell("a", "a", "a", "b")
    outbox.plan()
    for _ in range(24):
        if claimed := [one for one in outbox.claim() if one.subject == "a"]:
            outbox.settle("failed", *claimed, error="HTTP 500")
        outbox.now += timedelta(hours=12)
    dead = outbox.all(state="dead", subject="a")
    assert len(dead) == 3
    assert any("3 deliveries to ops are dead" in notice for notice in outbox.ledger.call("health")[0].notices)
    outbox.tell("a")
    outbox.plan()
    assert outbox.retry(delivery_id=dead[1].delivery_id) == 1
    assert outbox.retry(endpoint="ops") >= 2
    outbox.check()
    outbox.now += timedelta(hours=1)
    sent = [one.message_id for one in outbox.send_all() if one.subject == "a"]
    assert sent == [one.message_id for one in outbox.all(subject="a")]
    with refused("22023", "delivery_id"):
        outbox.retry(delivery_id=dead[0].delivery_id)


def test_a_test_goes_to_one_endpoint_and_waits_for_nothing(outbox: Outbox) -> None:
    outbox.endpoint("ops", ["metric.defined"])
    outbox.endpoint("other", ["*"])
    outbox.ledger.define("x", "sum")
    outbox.plan()
    outbox.settle("failed", *(one for one in outbox.claim() if one.endpoint == "ops"))
    (planned,) = outbox.ledger.call("test_endpoint", name="ops")
    assert (planned.type, planned.state, planned.endpoint) == ("endpoint.test", "planned", "ops")
    outbox.plan()
    (claimed,) = [one for one in outbox.claim() if one.endpoint == "ops"]
    assert claimed.message_id == planned.message_id
    assert [one.endpoint for one in outbox.all() if one.type == "endpoint.test"] == ["ops"]


def test_removing_an_endpoint_removes_its_deliveries_and_no_others(outbox: Outbox) -> None:
    outbox.endpoint("x")
    outbox.endpoint("y")
    outbox.tell("a")
    outbox.plan()
    claimed = outbox.claim()
    outbox.ledger.call("remove_endpoint", name="x")
    assert {one.endpoint for one in outbox.all()} == {"y"}
    outbox.settle("delivered", *claimed)
    assert outbox.states() == ["delivered"]
    with refused("UM007", "name"):
        outbox.ledger.call("remove_endpoint", name="x")


BAD_ENDPOINTS = [
    ({"name": None}, "22004", "name"),
    ({"name": " "}, "22023", "name"),
    ({"name": "x" * 65}, "22023", "name"),
    ({"url": None}, "22004", "url"),
    ({"url": "ftp://example.com"}, "22023", "url"),
    ({"url": "https://user:planted-secret@example.com/"}, "22023", "url"),
    ({"url": "https://example.com/a b"}, "22023", "url"),
    ({"url": "https://example.com\\@evil.example"}, "22023", "url"),
    ({"url": "https://example.com/\nHost: x"}, "22023", "url"),
    ({"url": "https://hooks.slack.com/services/planted-secret"}, "22023", "url"),
    ({"url": "mailto:a@b.c"}, "22023", "url"),
    ({"url": "https://a.b", "format": "email"}, "22023", "url"),
    ({"url": "mailto:a@b.c,d@e.f", "format": "email"}, "22023", "url"),
    ({"url": "mailto:a@b.c\nBcc: d@e.f", "format": "email"}, "22023", "url"),
    ({"url": "mailto:a@b.c", "format": "email", "secret_name": "X"}, "22023", "secret_name"),
    ({"url": "https://a.b", "format": "slack", "secret_name": "X"}, "22023", "url"),
    ({"types": []}, "22023", "types"),
    ({"types": ["threshold.exceded"]}, "22023", "types"),
    ({"types": [None]}, "22004", "types"),
    ({"format": None}, "22004", "format"),
    ({"format": "sms"}, "22023", "format"),
    ({"secret_name": "whsec_cGxhbnRlZC1zZWNyZXQ"}, "22023", "secret_name"),
    ({"secret_name": "planted-secret"}, "22023", "secret_name"),
]


@pytest.mark.parametrize(("change", "sqlstate", "parameter"), BAD_ENDPOINTS)
def test_an_endpoint_that_cannot_be_is_refused_and_a_secret_is_not_repeated(
    ledger: Ledger, change: dict[str, Any], sqlstate: str, parameter: str
) -> None:
    good = {"name": "ops", "url": "https://example.com/hook", "types": ["*"]}
    with refused(sqlstate, parameter) as caught:
        ledger.call("define_endpoint", **{**good, **change})
    diag = caught.value.diag
    assert "planted" not in f"{diag.message_primary} {diag.message_detail} {diag.message_hint}"
    assert "cGxhbn" not in f"{diag.message_primary} {diag.message_detail} {diag.message_hint}"


def test_a_repeated_definition_changes_the_endpoint_and_is_in_the_log_of_changes(outbox: Outbox) -> None:
    first = outbox.endpoint("ops", ["*"], secret_name="HOOK_SECRET")
    again = outbox.endpoint("ops", [STEP], url="https://new.example.com/")
    assert (again.types, again.url, again.secret_name) == ([STEP], "https://new.example.com/", "HOOK_SECRET")
    again = outbox.endpoint("ops", None, secret_name="")
    assert (again.types, again.secret_name) == ([STEP], None)
    assert outbox.endpoint("new", None).types == ["*"]
    assert (again.since, again.created_at) == (first.since, first.created_at)
    outbox.ledger.call("remove_endpoint", name="ops")
    entries = outbox.ledger.call("admin_log", object="ops")
    assert [entry.action for entry in entries] == ["remove_endpoint", *["define_endpoint"] * 3]


@pytest.mark.parametrize(
    ("function", "named", "sqlstate", "parameter"),
    [
        ("plan_deliveries", {"max_notifications": 0}, "22023", "max_rows"),
        ("plan_deliveries", {"now": "infinity"}, "22023", "now"),
        ("claim_deliveries", {"worker": None}, "22004", "worker"),
        ("claim_deliveries", {"worker": "w", "lease": "0"}, "22023", "lease"),
        ("claim_deliveries", {"worker": "w", "lease": None}, "22004", "lease"),
        ("claim_deliveries", {"worker": "w", "lease": "2 hours"}, "22023", "lease"),
        ("settle_deliveries", {"worker": "w", "results": None}, "22004", "results"),
        ("settle_deliveries", {"worker": "w", "results": "{}"}, "22023", "results"),
        ("settle_deliveries", {"worker": "w", "results": '[{"delivery_id": 1}]'}, "22023", "results"),
        ("release_deliveries", {"worker": " "}, "22023", "worker"),
        ("retry_deliveries", {"endpoint": "x"}, "UM007", "name"),
        ("retry_deliveries", {"delivery_id": 1}, "22023", "delivery_id"),
        ("deliveries", {"state": "lost"}, "22023", "state"),
        ("deliveries", {"max_rows": 0}, "22023", "max_rows"),
        ("test_endpoint", {"name": "x"}, "UM007", "name"),
    ],
)
def test_bad_values_are_refused(
    ledger: Ledger, function: str, named: dict[str, Any], sqlstate: str, parameter: str
) -> None:
    with refused(sqlstate, parameter):
        ledger.call(function, **named)


# ------------------------------------------------------------------------------------------------- races


def test_what_is_planned_while_the_one_before_it_is_settled_is_not_left_waiting(
    outbox: Outbox, new_outbox: NewOutbox, wait_until_blocked: Callable[[Any, str], None]
) -> None:
    outbox.endpoint()
    outbox.tell("a")
    outbox.plan()
    settler = new_outbox("settler", autocommit=False)
    (one,) = settler.claim()
    settler.ledger.connection.commit()
    settler.settle("delivered", one)
    outbox.tell("a")
    planner = new_outbox("planner")
    planning = Task(planner.plan)
    wait_until_blocked(outbox.ledger.connection, "planner")
    settler.ledger.connection.commit()
    assert planning.result() == 1
    outbox.check()
    assert outbox.states() == ["delivered", "planned"]


def test_two_that_plan_at_once_plan_each_notification_once(
    outbox: Outbox, new_outbox: NewOutbox, wait_until_blocked: Callable[[Any, str], None]
) -> None:
    outbox.endpoint()
    outbox.tell("a", "b")
    first = new_outbox("first", autocommit=False)
    assert first.plan() == 3  # with the metric's definition
    second = Task(new_outbox("second").plan)
    wait_until_blocked(outbox.ledger.connection, "second")
    first.ledger.connection.commit()
    assert second.result() == 0
    assert len(outbox.all()) == 2


def test_two_that_claim_at_once_get_different_deliveries(
    outbox: Outbox, new_outbox: NewOutbox, wait_until_blocked: Callable[[Any, str], None]
) -> None:
    outbox.endpoint()
    outbox.tell("a", "b", "c")
    outbox.plan()
    first = new_outbox("first", autocommit=False)
    mine = first.claim(2)
    second = Task(new_outbox("second").claim)
    wait_until_blocked(outbox.ledger.connection, "second")
    first.ledger.connection.commit()
    theirs = second.result()
    assert sorted(one.subject for one in mine + theirs) == ["a", "b", "c"]


def test_recording_waits_for_nothing_that_concerns_endpoints(outbox: Outbox, new_outbox: NewOutbox) -> None:
    outbox.endpoint()
    outbox.tell("a")
    other = new_outbox("holder", autocommit=False)
    other.plan()
    other.claim()
    outbox.ledger.execute("SET lock_timeout = '1s'")
    outbox.tell("a", "b")
    other.ledger.connection.rollback()


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_sender_needs_read_committed(outbox: Outbox, level: str) -> None:
    outbox.endpoint()
    outbox.ledger.execute(f"SET default_transaction_isolation = '{level}'")
    for call in (outbox.plan, outbox.claim, outbox.release, outbox.retry):
        with refused("25001"):
            call()
    with refused("25001"):
        outbox.settle("delivered")


# -------------------------------------------------------------------------------------------- properties

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), st.sampled_from("abc")),
        st.tuples(st.just("plan"), st.integers(1, 3)),
        st.tuples(st.just("claim"), st.integers(1, 4)),
        st.tuples(st.just("settle"), st.sampled_from(("delivered", "delivered", "failed", "unsent"))),
        st.tuples(st.just("gone"), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from((1, 60, 7200, 50_000))),
        st.tuples(st.just("release"), st.just(0)),
        st.tuples(st.just("retry"), st.just(0)),
        st.tuples(st.just("define"), st.just(0)),
    ),
    min_size=5,
    max_size=40,
)


@given(steps=STEPS)
@examples(40)
def test_whatever_happens_all_that_was_told_arrives_in_order_and_no_lane_is_left_waiting(
    outbox: Outbox, steps: list[tuple[str, Any]]
) -> None:
    for name in ("x", "y"):
        outbox.endpoint(name)
    already = {one.delivery_id for one in outbox.all()}
    arrived: list[Any] = []
    held: list[Any] = []
    for step, value in steps:
        if step == "tell":
            outbox.tell(value)
        elif step == "plan":
            outbox.plan(max_notifications=value)
        elif step == "claim":
            held += outbox.claim(value)
        elif step == "settle" and held:
            one = held.pop(0)
            if value == "delivered":
                arrived.append(one)
            outbox.settle(value, one)
        elif step == "gone" and held:
            outbox.settle("gone", held.pop())
        elif step == "wait":
            outbox.now += timedelta(seconds=value)
        elif step == "release":
            outbox.release()
        elif step == "retry":
            outbox.retry()
        elif step == "define":
            outbox.endpoint("x")
        outbox.check()
    while outbox.plan():
        pass
    for name in ("x", "y"):
        outbox.endpoint(name)
    outbox.now += timedelta(hours=1)
    outbox.release()
    outbox.retry()
    outbox.check()
    arrived += outbox.send_all()
    rows = [one for one in outbox.all() if one.delivery_id not in already]
    assert {one.state for one in rows} <= {"delivered"}
    told = [n.notification_id for n in outbox.ledger.call("notifications", type=STEP, max_rows=10_000)]
    assert {one.notification_id for one in rows} <= set(told)
    assert {one.delivery_id for one in rows} <= {one.delivery_id for one in arrived}
    if not any(step == "gone" for step, _ in steps):
        first = dict.fromkeys((one.endpoint, one.subject, one.delivery_id) for one in arrived)
        for lane in {key[:2] for key in first}:
            ids = [delivery_id for *found, delivery_id in first if tuple(found) == lane]
            assert ids == sorted(ids), lane


def test_the_functions_of_a_sender_have_the_level_report_and_those_that_decide_admin(ledger: Ledger) -> None:
    levels = dict(
        ledger.rows(
            "SELECT function, level FROM meter._level_functions() WHERE function ~ '(deliver|endpoint|spike)'"
        )
    )
    assert {name for name, level in levels.items() if level == "report"} == {
        *("plan_deliveries", "claim_deliveries", "settle_deliveries", "release_deliveries", "judge_spikes")
    }
    assert {name for name, level in levels.items() if level == "read"} == {
        *("endpoints", "deliveries", "spike_alerts")
    }
    assert {name for name, level in levels.items() if level == "admin"} == {
        *("define_endpoint", "remove_endpoint", "test_endpoint", "retry_deliveries"),
        *("set_spike_alert", "remove_spike_alert"),
    }
