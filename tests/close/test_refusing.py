"""Metrics that refuse late usage: no new event of a closed period, on any path, and in no race."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.close.closing import JULY, close, late, payload, use
from tests.helpers import AGGREGATES, Ledger, Task, at, covering, refused

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]
INSIDE, OUTSIDE = at("2026-06-30 23:59:59.999999"), JULY
KINDS: dict[str, tuple[str, dict[str, Any], bool]] = {
    **{aggregate: (aggregate, {}, False) for aggregate in AGGREGATES},
    "limited": ("sum", {}, True),
    "limited unique": ("unique", {}, True),
    "limited max": ("max", {}, True),
    "striped": ("sum", {"striped": True}, False),
    "striped count": ("count", {"striped": True}, False),
    "no rollup": ("sum", {"rollup": "none"}, False),
    "by day": ("sum", {"rollup": "day", "period": "day"}, False),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def prepare(ledger: Ledger, kind: str, *, after_close: str = "refuse") -> str:
    """Metric m of that kind, June of a closed, an event with the key k; the aggregate."""
    aggregate, named, limited = KINDS[kind]
    ledger.define("m", aggregate, after_close=after_close, **named)
    if limited:
        ledger.call("set_limit", metric="m", quota=1000)
    use(ledger, "a", "m", 5, at("2026-06-10"), of=aggregate, idempotency_key="k")
    use(ledger, "a", "m", 5, at("2026-07-10"), of=aggregate)
    close(ledger)
    return aggregate


def entry(aggregate: str, moment: Any, n: int = 7, **named: Any) -> dict[str, Any]:
    return {"subject": "a", "metric": "m", "at": moment.isoformat(), **payload(aggregate, n), **named}


@each_kind
def test_a_single_new_event_is_refused(ledger: Ledger, kind: str) -> None:
    aggregate = prepare(ledger, kind)
    before = ledger.state()
    for moment in (at("2026-06-01"), at("2026-06-10"), INSIDE):
        for named in ({}, {"idempotency_key": "new"}):
            with refused("UM004", "at"):
                use(ledger, "a", "m", 7, moment, of=aggregate, **named)
    assert ledger.state() == before
    for moment in (at("2026-05-31 23:59:59"), OUTSIDE):
        assert use(ledger, "a", "m", 7, moment, of=aggregate).outcome == "recorded"
    assert use(ledger, "b", "m", 7, INSIDE, of=aggregate).outcome == "recorded"
    assert ledger.verify() == []
    assert late(ledger) == {}


@each_kind
def test_a_known_key_stays_what_it_is(ledger: Ledger, kind: str) -> None:
    aggregate = prepare(ledger, kind)
    again = use(ledger, "a", "m", 5, at("2026-06-10"), of=aggregate, idempotency_key="k")
    assert again.outcome == "duplicate"
    if aggregate != "count":
        other = use(ledger, "a", "m", 6, INSIDE, of=aggregate, idempotency_key="k")
        assert other.outcome == "conflict"
    outcomes = ledger.batch(
        [
            entry(aggregate, at("2026-06-10"), 5, idempotency_key="k"),
            entry(aggregate, at("2026-06-11"), 5),
            entry(aggregate, JULY, 5, idempotency_key="n"),
            entry(aggregate, at("2026-06-10"), 5, idempotency_key="n"),
        ],
        "skip",
    )
    assert [row.outcome for row in outcomes] == ["duplicate", "rejected", "recorded", "duplicate"]
    assert ledger.verify() == []


@each_kind
@pytest.mark.parametrize("others", [0, 3])
def test_a_batch_with_such_an_event_is_refused_whole(ledger: Ledger, kind: str, others: int) -> None:
    aggregate = prepare(ledger, kind)
    before = ledger.state()
    events = [entry(aggregate, JULY, n) for n in range(1, others + 1)]
    for position in {0, others}:
        with refused("UM004", "at"):
            ledger.batch([*events[:position], entry(aggregate, INSIDE), *events[position:]])
    assert ledger.state() == before


@each_kind
def test_of_a_batch_that_skips_only_such_events_are_rejected(ledger: Ledger, kind: str) -> None:
    aggregate = prepare(ledger, kind)
    ledger.define("accepts", "sum")
    told = ledger.batch(
        [
            entry(aggregate, INSIDE, 1),
            entry(aggregate, JULY, 2),
            {**entry(aggregate, INSIDE, 3), "subject": "b"},
            {"subject": "a", "metric": "accepts", "quantity": 4, "at": INSIDE.isoformat()},
            entry(aggregate, at("2026-06-01"), 5, idempotency_key="later"),
        ],
        "skip",
    )
    assert [row.outcome for row in told] == ["rejected", "recorded", "recorded", "recorded", "rejected"]
    assert {row.sqlstate for row in told if row.outcome == "rejected"} == {"UM004"}
    assert all(row.hint and row.message for row in told if row.outcome == "rejected")
    assert ledger.verify() == []
    assert set(late(ledger)) == {(1, "accepts")}
    # The key of what was rejected is not spent.
    assert use(ledger, "a", "m", 5, JULY, of=aggregate, idempotency_key="later").outcome == "recorded"


@pytest.mark.parametrize("limited", [False, True])
def test_what_was_used_under_a_hold_is_recorded_now_with_when_it_was_used(
    ledger: Ledger, limited: bool
) -> None:
    ledger.define("m", "sum", after_close="refuse")
    if limited:
        ledger.call("set_limit", metric="m", quota=1000)
    hold = ledger.call("reserve", subject="a", metric="m", quantity=5)[0]
    until = ledger.value("SELECT clock_timestamp()")
    ledger.call("release", reservation_id=hold.reservation_id)
    since = at("2026-06-01")
    header = close(ledger, since=since, until=until)
    told = ledger.call("settle", reservation_id=hold.reservation_id, quantity=3)[0]
    assert told.outcome == "recorded"
    (event,) = ledger.call("events", subject="a", metric="m")
    assert event.at > header.until
    assert since < at(event.metadata["used_at"]) < until
    again = ledger.call("settle", reservation_id=hold.reservation_id, quantity=3)[0]
    assert again.outcome == "duplicate"
    assert late(ledger) == {}
    assert ledger.verify() == []


def test_a_metric_may_begin_and_cease_to_refuse(ledger: Ledger) -> None:
    prepare(ledger, "sum", after_close="accept")
    use(ledger, "a", "m", 1, INSIDE)
    ledger.define("m", "sum", after_close="refuse")
    with refused("UM004", "at"):
        use(ledger, "a", "m", 1, INSIDE)
    ledger.define("m", "sum")
    with refused("UM004", "at"):
        use(ledger, "a", "m", 1, INSIDE)
    ledger.define("m", "sum", after_close="accept")
    use(ledger, "a", "m", 1, INSIDE)
    assert late(ledger) == {(1, "m"): 2}


# ------------------------------------------------------------------------------------------------- races


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("end", "how", "kind"),
    covering(2, ["commit", "rollback"], ["single", "batch", "batch of many", "skip"], KINDS),
)
def test_a_recorder_that_waits_for_the_row_while_the_period_is_closed_is_refused(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, kind: str, how: str, end: str
) -> None:
    aggregate, named, limited = KINDS[kind]
    ledger.define("m", aggregate, after_close="refuse", **named)
    if limited:
        ledger.call("set_limit", metric="m", quota=1000)
    use(ledger, "a", "m", 5, at("2026-06-10"), of=aggregate)
    closer, recorder = new_ledger("closer", autocommit=False), new_ledger("recorder")
    close(closer)

    def record() -> str:
        if how == "single":
            return str(use(recorder, "a", "m", 7, INSIDE, of=aggregate, idempotency_key="x").outcome)
        number = 40 if how == "batch of many" else 1
        events = [entry(aggregate, INSIDE, n + 7, idempotency_key=f"x{n}") for n in range(number)]
        (outcome,) = {row.outcome for row in recorder.batch(events, "skip" if how == "skip" else "raise")}
        return str(outcome)

    recording = Task(record)
    wait_until_blocked(ledger.connection, "recorder")
    getattr(closer.connection, end)()
    if end == "rollback":
        assert recording.result() == "recorded"
    elif how == "skip":
        assert recording.result() == "rejected"
    else:
        error = recording.error()
        assert error is not None
        assert error.sqlstate == "UM004"
    assert ledger.verify() == []
    assert late(ledger) == {}


@pytest.mark.parametrize("limited", [False, True])
def test_a_hold_that_is_settled_while_the_period_is_closed_counts_now(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, limited: bool
) -> None:
    ledger.define("m", "sum", after_close="refuse")
    if limited:
        ledger.call("set_limit", metric="m", quota=1000)
    hold = ledger.call("reserve", subject="a", metric="m", quantity=5)[0]
    until = ledger.value("SELECT clock_timestamp()")
    ledger.call("release", reservation_id=hold.reservation_id)
    closer, settler = new_ledger("closer", autocommit=False), new_ledger("settler")
    close(closer, since=at("2026-06-01"), until=until)
    settling = Task(lambda: settler.call("settle", reservation_id=hold.reservation_id, quantity=3))
    wait_until_blocked(ledger.connection, "settler")
    closer.connection.commit()
    assert settling.result()[0].outcome == "recorded"
    assert late(ledger) == {}
    assert ledger.call("events", subject="a", metric="m")[0].at > until


def test_corrections_of_a_closed_period_are_late_usage_all_the_same(ledger: Ledger) -> None:
    """They are decided by a person, and not late: refusing concerns recording."""
    prepare(ledger, "sum")
    ledger.call("adjust", subject="a", metric="m", quantity=2, at=INSIDE, reason="why")
    ledger.call("void_event", subject="a", metric="m", idempotency_key="k", reason="why")
    assert late(ledger) == {(1, "m"): -3}
