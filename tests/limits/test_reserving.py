"""Reservations: what the page and the COMMENTs say of them, sentence by sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at, refused

NewLedger = Callable[..., Ledger]


def limit(ledger: Ledger, quota: Any, metric: str = "m", **named: Any) -> Any:
    return ledger.call("set_limit", metric=metric, quota=quota, **named)[0]


def reserve(ledger: Ledger, quantity: Any = 10, subject: str = "a", metric: str = "m", **named: Any) -> Any:
    return ledger.call("reserve", subject=subject, metric=metric, quantity=quantity, **named)[0]


def batch(ledger: Ledger, *requests: dict[str, Any]) -> list[Any]:
    given = [{"subject": "a", "metric": "m"} | request for request in requests]
    return ledger.call("reserve_batch", requests=Jsonb(given))


def settle(ledger: Ledger, hold: Any, quantity: Any, **named: Any) -> Any:
    return ledger.call("settle", reservation_id=hold.reservation_id, quantity=quantity, **named)[0]


def release(ledger: Ledger, hold: Any) -> Any:
    return ledger.call("release", reservation_id=hold.reservation_id)[0]


def extend(ledger: Ledger, hold: Any, **named: Any) -> Any:
    return ledger.call("extend", reservation_id=hold.reservation_id, **named)[0]


def kept(ledger: Ledger, hold: Any) -> Any:
    return ledger.row("SELECT * FROM meter.reservations WHERE reservation_id = %s", [hold.reservation_id])


def expire(ledger: Ledger, hold: Any) -> None:
    """As if the time had passed: also what the row of the series knows about it."""
    ledger.execute(
        "UPDATE meter.reservations SET expires_at = clock_timestamp() WHERE reservation_id = %s",
        [hold.reservation_id],
    )
    ledger.execute("UPDATE meter.series SET unchecked_until = '-infinity'")


def status(ledger: Ledger, subject: str = "a", metric: str = "m") -> Any:
    return ledger.call("check_quota", subject=subject, metric=metric)[0]


def used(ledger: Ledger, subject: str = "a", metric: str = "m") -> Decimal:
    quantity = ledger.usage(subject, metric).quantity
    assert isinstance(quantity, Decimal)
    return quantity


# Values are judged before anything is read.
WHATEVER_IS_KNOWN = pytest.mark.parametrize("metered", ["noted"], indirect=True)


@pytest.fixture(params=["new", "known", "noted"], autouse=True)
def metered(ledger: Ledger, request: pytest.FixtureRequest) -> Ledger:
    """A subject without a series, one whose row knows of no limit, and one whose row knows its room."""
    ledger.define("m", "sum")
    if request.param != "new":
        ledger.record("a", "m", 0)
    limit(ledger, 100)
    if request.param == "noted":
        ledger.record("a", "m", 0)
        ledger.record("a", "m", 0)
    return ledger


# -------------------------------------------------------------------------------------------- reserve


def test_a_reservation_counts_like_usage_until_it_is_settled(ledger: Ledger) -> None:
    held = reserve(ledger, 60)
    assert (held.outcome, held.held, held.used, held.held_total) == ("held", 60, 0, 60)
    assert (held.remaining, held.quota, held.limited_by) == (40, 100, "default")
    now = ledger.value("SELECT clock_timestamp()")
    assert timedelta(minutes=9) < held.expires_at - now <= timedelta(minutes=10)
    assert (status(ledger).used, status(ledger).held, status(ledger).remaining) == (0, 60, 40)
    assert ledger.record("a", "m", 41).outcome == "refused"
    assert ledger.record("a", "m", 30).remaining == 10
    assert reserve(ledger, 11).outcome == "refused"
    second = reserve(ledger, 10)
    assert (second.used, second.held_total, second.remaining) == (30, 70, 0)
    recorded = settle(ledger, held, 25)
    assert (recorded.event_id, recorded.outcome) == (held.reservation_id, "recorded")
    assert (recorded.quantity, recorded.remaining, recorded.limited_by) == (55, 35, "default")
    assert (status(ledger).used, status(ledger).held, status(ledger).remaining) == (55, 10, 35)
    assert ledger.verify() == []


def test_a_refused_reservation_holds_nothing_and_may_be_tried_again(ledger: Ledger) -> None:
    known = ledger.value("SELECT count(*) FROM meter.series")
    answer = reserve(ledger, 101, idempotency_key="k")
    assert (answer.outcome, answer.reservation_id, answer.held) == ("refused", None, 0)
    assert (answer.remaining, answer.limited_by, answer.expires_at) == (100, "default", None)
    assert ledger.value("SELECT count(*) FROM meter.series") == known
    assert ledger.value("SELECT count(*) FROM meter.keys") == 0
    assert ledger.call("reservations") == []
    told = ledger.call("notifications", type="limit.refused")
    assert [(n.subject, n.data["refused"], n.data["numerator"]) for n in told] == [("a", 101, 0)]
    assert reserve(ledger, 100, idempotency_key="k").outcome == "held"


def test_minimum_holds_what_is_left_if_that_is_at_least_minimum(ledger: Ledger) -> None:
    ledger.record("a", "m", 70)
    assert reserve(ledger, 50, minimum=31).outcome == "refused"
    held = reserve(ledger, 50, minimum=30)
    assert (held.outcome, held.held, held.remaining) == ("held", 30, 0)
    assert (kept(ledger, held).quantity, kept(ledger, held).minimum) == (50, 30)
    assert reserve(ledger, 1).outcome == "refused"
    assert reserve(ledger, 0).outcome == "held"


def test_a_repeated_reserve_is_the_same_reservation(ledger: Ledger) -> None:
    first = reserve(ledger, 60, idempotency_key="k", minimum=5)
    again = reserve(ledger, Decimal("60.0"), idempotency_key="k", minimum=5, ttl="1 minute")
    assert (again.outcome, again.reservation_id, again.held) == ("duplicate", first.reservation_id, 60)
    assert (again.expires_at, again.held_total) == (first.expires_at, 60)
    for other in ({"quantity": 61, "minimum": 5}, {"quantity": 60}, {"quantity": 60, "minimum": 6}):
        assert reserve(ledger, **other, idempotency_key="k").outcome == "conflict"
    assert status(ledger).held == 60
    settle(ledger, first, 1)
    ended = reserve(ledger, 60, idempotency_key="k", minimum=5)
    assert (ended.outcome, ended.held, ended.held_total) == ("duplicate", 0, 0)


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("settled", [False, True])
def test_the_key_is_the_reservations_from_then_on(ledger: Ledger, moved: bool, settled: bool) -> None:
    held = reserve(ledger, 60, idempotency_key="k")
    if settled:
        settle(ledger, held, 60)
    if moved:  # what maintain() does two days later
        ledger.execute(
            "WITH moved AS (DELETE FROM meter.keys RETURNING *) INSERT INTO meter.old_keys"
            " (event_id, at, digest, quantity, member)"
            " SELECT event_id, at, digest, quantity, member FROM moved"
        )
    repeat = {"subject": "a", "metric": "m", "quantity": 60, "idempotency_key": "k"}
    assert ledger.record(**repeat).outcome == "conflict"
    assert [o.outcome for o in ledger.batch([repeat])] == ["conflict"]
    assert [o.outcome for o in ledger.call("known_events", events=Jsonb([repeat]))] == ["conflict"]
    assert reserve(ledger, 60, idempotency_key="k").outcome == "duplicate"
    assert reserve(ledger, 60, subject="b", idempotency_key="k").outcome == "held"
    assert used(ledger) == (60 if settled else 0)
    assert ledger.verify() == []


def test_the_key_of_an_event_is_a_conflict_for_a_reservation(ledger: Ledger) -> None:
    ledger.record("a", "m", 60, idempotency_key="k")
    answer = reserve(ledger, 60, idempotency_key="k")
    assert (answer.outcome, answer.reservation_id, answer.held) == ("conflict", None, 0)
    assert status(ledger).held == 0


def test_without_a_limit_everything_is_held_and_a_limit_that_is_set_later_counts_it(ledger: Ledger) -> None:
    ledger.define("free", "count")
    held = reserve(ledger, 60, metric="free")
    assert (held.outcome, held.held, held.remaining, held.quota) == ("held", 60, None, None)
    assert (held.used, held.held_total, held.limited_by) == (None, None, None)
    limit(ledger, 100, "free")
    assert ledger.record("a", "free", 41).outcome == "refused"
    assert ledger.record("a", "free", 40).outcome == "recorded"
    limit(ledger, 50, "free")
    (row,) = ledger.call("overruns", metric="free")
    assert (row.used, row.overrun, row.cause) == (40, 50, "limit")
    assert settle(ledger, held, 60).remaining == 0


def test_what_is_held_of_a_subject_that_never_recorded_is_an_overrun_too(ledger: Ledger) -> None:
    reserve(ledger, 60, subject="new")
    limit(ledger, 50)
    (row,) = ledger.call("overruns", subject="new")
    assert (row.used, row.quota, row.overrun, row.cause) == (0, 50, 10, "limit")


def test_a_hold_counts_in_the_period_in_which_it_was_made(ledger: Ledger) -> None:
    limit(ledger, 80, period="day", name="daily", since=at("2020-01-01"))
    held = reserve(ledger, 60)
    assert (held.limited_by, held.remaining) == ("daily", 20)
    ledger.execute("UPDATE meter.reservations SET at = at - interval '40 days'")
    ledger.execute("UPDATE meter.series SET unchecked_below = '-infinity'")
    assert status(ledger).held == 0
    assert ledger.record("a", "m", 80).outcome == "recorded"
    past = kept(ledger, held).at
    assert ledger.record("a", "m", 21, at=past).outcome == "refused"
    assert settle(ledger, held, 60).outcome == "recorded"
    assert used(ledger) == 80
    assert ledger.usage("a", "m", now=past).quantity == 60


def test_a_hold_counts_in_a_trailing_window_while_it_is_inside(ledger: Ledger) -> None:
    limit(ledger, 80, period="3 hours", name="trailing")
    held = reserve(ledger, 60)
    assert (held.limited_by, held.remaining) == ("trailing", 20)
    assert ledger.record("a", "m", 21).outcome == "refused"
    ledger.execute("UPDATE meter.reservations SET at = at - interval '5 hours'")
    ledger.execute("UPDATE meter.series SET unchecked_below = '-infinity'")
    expected = 40 if kept(ledger, held).at.month == datetime.now(UTC).month else 80
    assert ledger.record("a", "m", expected + 1).outcome == "refused"
    assert ledger.record("a", "m", expected).outcome == "recorded"


def test_an_alert_does_not_refuse_a_reservation(ledger: Ledger) -> None:
    ledger.define("soft", "sum")
    limit(ledger, 100, "soft", action="alert")
    held = reserve(ledger, 150, metric="soft")
    assert (held.outcome, held.held, held.remaining, held.limited_by) == ("held", 150, 0, "default")
    assert ledger.call("notifications", type="threshold.exceeded") == []
    settle(ledger, held, 150)
    assert len(ledger.call("notifications", type="threshold.exceeded")) == 1


def test_an_event_that_overflows_into_what_is_held_is_an_overrun(ledger: Ledger) -> None:
    reserve(ledger, 60)
    ledger.record("a", "m", 50, overflow=True)
    answer = status(ledger)
    assert (answer.used, answer.held, answer.remaining, answer.overrun) == (50, 60, 0, 10)
    assert [(o.overrun, o.cause) for o in ledger.call("overruns")] == [(10, "overflow")]


@WHATEVER_IS_KNOWN
@pytest.mark.parametrize("aggregate", ["max", "min", "avg", "last", "unique"])
def test_only_sums_and_counts_are_reserved(ledger: Ledger, aggregate: str) -> None:
    ledger.define("other", aggregate)
    with refused("UM002", "metric"):
        reserve(ledger, 1, metric="other")
    with refused("UM002", "metric"):
        batch(ledger, {"metric": "other", "quantity": 1})


@WHATEVER_IS_KNOWN
@pytest.mark.parametrize(
    ("named", "sqlstate", "parameter"),
    [
        ({"subject": None}, "22004", "subject"),
        ({"subject": " "}, "22023", "subject"),
        ({"metric": None}, "22004", "metric"),
        ({"metric": "unknown"}, "UM001", "metric"),
        ({"quantity": None}, "22004", "quantity"),
        ({"quantity": -1}, "22023", "quantity"),
        ({"quantity": Decimal("NaN")}, "22023", "quantity"),
        ({"quantity": Decimal("Infinity")}, "22023", "quantity"),
        ({"quantity": Decimal("1e100")}, "22023", "quantity"),
        ({"idempotency_key": ""}, "22023", "idempotency_key"),
        ({"minimum": 0}, "22023", "minimum"),
        ({"minimum": 11}, "22023", "minimum"),
        ({"minimum": Decimal("NaN")}, "22023", "minimum"),
        ({"ttl": "0 s"}, "22023", "ttl"),
        ({"ttl": "-1 s"}, "22023", "ttl"),
        ({"ttl": "25 hours"}, "22023", "ttl"),
        ({"metadata": Jsonb([])}, "22023", "metadata"),
    ],
)
def test_bad_values_are_refused(ledger: Ledger, named: dict[str, Any], sqlstate: str, parameter: str) -> None:
    given = {"subject": "a", "metric": "m", "quantity": 10} | named
    with refused(sqlstate, parameter):
        ledger.call("reserve", **given)
    assert ledger.call("reservations") == []
    assert ledger.value("SELECT count(*) FROM meter.keys") == 0


def test_a_retired_metric_is_not_reserved_but_what_was_reserved_is_settled(ledger: Ledger) -> None:
    held = reserve(ledger, 10)
    ledger.call("retire_metric", key="m")
    with refused("UM002", "metric"):
        reserve(ledger, 10)
    assert settle(ledger, held, 10).outcome == "recorded"


def test_the_settings_say_how_long_and_at_most(ledger: Ledger) -> None:
    ledger.call("set_setting", name="reservation_ttl", value="1 hour")
    ledger.call("set_setting", name="reservation_ttl_max", value="2 hours")
    now = ledger.value("SELECT clock_timestamp()")
    held = reserve(ledger)
    assert timedelta(minutes=59) < held.expires_at - now < timedelta(minutes=61)
    with refused("22023", "ttl"):
        reserve(ledger, ttl="3 hours")
    with refused("22023", "ttl"):
        extend(ledger, held, ttl="3 hours")
    assert reserve(ledger, ttl="2 hours").outcome == "held"


def test_settings_that_contradict_each_other_are_refused(ledger: Ledger) -> None:
    for name, value in (("reservation_ttl", "3 days"), ("reservation_ttl_max", "5 minutes")):
        with refused("22023", "value"):
            ledger.call("set_setting", name=name, value=value)
    assert reserve(ledger).outcome == "held"


# --------------------------------------------------------------------------------------------- settle


def test_a_settlement_counts_once_whatever_is_retried(ledger: Ledger) -> None:
    held = reserve(ledger, 60, idempotency_key="k", metadata=Jsonb({"model": "x", "n": 1}))
    settle(ledger, held, 25, metadata=Jsonb({"n": 2}))
    again = settle(ledger, held, Decimal("25.0"))
    assert (again.outcome, again.event_id, again.quantity) == ("duplicate", held.reservation_id, 25)
    other = settle(ledger, held, 26)
    assert (other.outcome, other.event_id, other.quantity) == ("conflict", held.reservation_id, 25)
    (event,) = [e for e in ledger.call("events", subject="a") if e.event_id == held.reservation_id]
    assert (event.quantity, event.idempotency_key, event.metadata) == (25, "k", {"model": "x", "n": 2})
    assert event.at == kept(ledger, held).at
    row = kept(ledger, held)
    assert (row.state, row.settled_quantity, row.settled_for, row.is_late) == ("settled", 25, row.at, False)
    assert (used(ledger), status(ledger).held) == (25, 0)


def test_it_counts_at_the_time_that_is_given(ledger: Ledger) -> None:
    held = reserve(ledger, 60)
    settle(ledger, held, 25, at=at("2020-02-03"))
    assert used(ledger) == 0
    assert ledger.usage("a", "m", now=at("2020-02-03")).quantity == 25
    assert settle(ledger, held, 25).quantity == 25
    assert status(ledger).remaining == 100
    assert ledger.verify() == []


def test_more_than_was_held_is_recorded_as_it_is(ledger: Ledger) -> None:
    ledger.record("a", "m", 40)
    held = reserve(ledger, 60)
    assert settle(ledger, held, 75).remaining == 0
    assert (used(ledger), status(ledger).overrun) == (115, 15)
    assert [(o.overrun, o.cause) for o in ledger.call("overruns")] == [(15, "settle")]


def test_more_than_was_held_may_fit(ledger: Ledger) -> None:
    assert settle(ledger, reserve(ledger, 60), 75).remaining == 25
    assert ledger.call("overruns") == []


def test_what_was_held_is_the_limits_fault_if_the_limit_was_lowered(ledger: Ledger) -> None:
    held = reserve(ledger, 60)
    limit(ledger, 50)
    settle(ledger, held, 60)
    assert [(o.overrun, o.cause) for o in ledger.call("overruns")] == [(10, "limit")]


@pytest.mark.parametrize("how", ["released", "expired", "tidied"])
def test_what_is_settled_after_release_or_expiry_is_recorded_and_marked_late(
    ledger: Ledger, how: str
) -> None:
    held = reserve(ledger, 60)
    if how == "released":
        release(ledger, held)
    else:
        expire(ledger, held)
    if how == "tidied":
        assert ("expired reservations", "1") in ledger.maintain() + ledger.maintain()
    assert ledger.record("a", "m", 100).outcome == "recorded"
    assert settle(ledger, held, 60).outcome == "recorded"
    assert (kept(ledger, held).state, kept(ledger, held).is_late) == ("settled", True)
    assert (used(ledger), status(ledger).overrun) == (160, 60)
    assert [(o.overrun, o.cause) for o in ledger.call("overruns")] == [(60, "settle")]
    assert settle(ledger, held, 60).outcome == "duplicate"
    assert release(ledger, held).outcome == "settled"
    assert ledger.verify() == []


@pytest.mark.parametrize("how", ["released", "expired"])
def test_a_late_settlement_is_late_far_from_the_quota_too(ledger: Ledger, how: str) -> None:
    """There no other call would look at the limits."""
    limit(ledger, 10_000)
    ledger.record("a", "m", 1)
    held, other = reserve(ledger, 60), reserve(ledger, 5)
    if how == "released":
        release(ledger, held)
    else:
        expire(ledger, held)
    assert ledger.record("a", "m", 1).remaining == 9_993
    assert settle(ledger, held, 60).remaining == 9_933
    assert kept(ledger, held).is_late
    assert settle(ledger, other, 5).remaining == 9_933
    assert not kept(ledger, other).is_late


def test_a_settlement_fires_marks(ledger: Ledger) -> None:
    held = reserve(ledger, 90)
    assert ledger.call("notifications", type="threshold.approaching") == []
    settle(ledger, held, 80)
    assert [n.data["mark"] for n in ledger.call("notifications", type="threshold.approaching")] == [80]


def test_many_reservations_far_below_the_quota_fire_marks_when_they_are_reached(ledger: Ledger) -> None:
    """The short way leaves less room than there is, never more."""
    for _ in range(9):
        settle(ledger, reserve(ledger, 10), 9)
    assert (used(ledger), status(ledger).remaining) == (81, 19)
    assert [n.data["numerator"] for n in ledger.call("notifications", type="threshold.approaching")] == [81]
    assert settle(ledger, reserve(ledger, 19), 19).remaining == 0
    assert reserve(ledger, 1).outcome == "refused"


@pytest.mark.parametrize("striped", [False, True])
@pytest.mark.parametrize("limited", [False, True])
def test_striped_and_reported_metrics_are_settled_like_recorded_ones(
    ledger: Ledger, striped: bool, limited: bool
) -> None:
    ledger.define("hot", "sum", striped=striped)
    ledger.call("define_biller", subject_is_customer=True)
    ledger.call("report_metric", metric="hot", event_name="hot")
    if limited:
        limit(ledger, 100, "hot")
    for known in (False, True):
        held = reserve(ledger, 20, metric="hot")
        assert settle(ledger, held, 15).quantity == 15 * (1 + known)
        assert settle(ledger, reserve(ledger, 20, metric="hot"), 0, at=at("2020-02-03")).quantity == 0
        rows = ledger.rows("SELECT event_id FROM meter.unreported WHERE event_id = %s", [held.reservation_id])
        assert len(rows) == 1
    assert ledger.verify() == []


def test_an_unknown_reservation_is_um007(ledger: Ledger) -> None:
    for function, more in (("settle", {"quantity": 1}), ("release", {}), ("extend", {})):
        with refused("UM007", "reservation_id"):
            ledger.call(function, reservation_id=99, **more)
        with refused("22004", "reservation_id"):
            ledger.call(function, reservation_id=None, **more)


@WHATEVER_IS_KNOWN
@pytest.mark.parametrize(
    ("named", "sqlstate", "parameter"),
    [
        ({"quantity": None}, "22004", "quantity"),
        ({"quantity": -1}, "22023", "quantity"),
        ({"quantity": Decimal("NaN")}, "22023", "quantity"),
        ({"at": datetime(1969, 1, 1, tzinfo=UTC)}, "22023", "at"),
        ({"at": datetime(2999, 1, 1, tzinfo=UTC)}, "22023", "at"),
        ({"at": datetime.max.replace(tzinfo=UTC)}, "22023", "at"),
        ({"metadata": Jsonb(5)}, "22023", "metadata"),
        ({"metadata": Jsonb({"x": "y" * 70_000})}, "22023", "metadata"),
    ],
)
def test_bad_values_of_a_settlement_are_refused(
    ledger: Ledger, named: dict[str, Any], sqlstate: str, parameter: str
) -> None:
    held = reserve(ledger, 10, metadata=Jsonb({"a": 1}))
    with refused(sqlstate, parameter):
        ledger.call("settle", **({"reservation_id": held.reservation_id, "quantity": 1} | named))
    assert kept(ledger, held).state == "held"


def test_a_count_is_settled_with_a_quantity_too(ledger: Ledger) -> None:
    ledger.define("calls", "count")
    limit(ledger, 10, "calls")
    held = reserve(ledger, 8, metric="calls")
    with refused("22004", "quantity"):
        settle(ledger, held, None)
    assert settle(ledger, held, 3).quantity == 3


# ------------------------------------------------------------------------- release, extend, expiry


def test_a_release_frees_what_was_held_once(ledger: Ledger) -> None:
    held = reserve(ledger, 60)
    reserve(ledger, 30)
    first = release(ledger, held)
    assert (first.outcome, first.held, first.held_total, first.remaining) == ("released", 0, 30, 70)
    again = release(ledger, held)
    assert (again.outcome, again.held_total, again.remaining) == ("released", 30, 70)
    assert ledger.record("a", "m", 71).outcome == "refused"
    assert ledger.record("a", "m", 70).outcome == "recorded"
    assert extend(ledger, held).outcome == "released"
    assert status(ledger).held == 30


def test_a_settled_reservation_is_not_released(ledger: Ledger) -> None:
    held = reserve(ledger, 60)
    settle(ledger, held, 60)
    before = kept(ledger, held)
    assert (release(ledger, held).outcome, extend(ledger, held).outcome) == ("settled", "settled")
    assert kept(ledger, held) == before
    assert used(ledger) == 60


def test_an_expired_reservation_holds_nothing_without_any_sweeper(ledger: Ledger) -> None:
    held = reserve(ledger, 100)
    assert ledger.record("a", "m", 1).outcome == "refused"
    expire(ledger, held)
    assert ledger.record("a", "m", 1).remaining == 99
    assert (release(ledger, held).outcome, extend(ledger, held).outcome) == ("expired", "expired")
    assert status(ledger).held == 0


def test_expiry_needs_no_call_that_notices_it(ledger: Ledger) -> None:
    """By the clock alone, also on the short way of record()."""
    ledger.record("a", "m", 1)
    reserve(ledger, 90, ttl="300 milliseconds")
    assert ledger.record("a", "m", 1).remaining == 8
    assert ledger.record("a", "m", 10).outcome == "refused"
    ledger.execute("SELECT pg_sleep(0.35)")
    assert ledger.record("a", "m", 1).remaining == 97
    assert ledger.record("a", "m", 90).outcome == "recorded"


def test_expiry_shows_in_what_remains_far_from_the_quota_too(ledger: Ledger) -> None:
    limit(ledger, 10_000)
    ledger.record("a", "m", 1)
    reserve(ledger, 90, ttl="300 milliseconds")
    assert ledger.record("a", "m", 1).remaining == 9_908
    ledger.execute("SELECT pg_sleep(0.35)")
    assert ledger.record("a", "m", 1).remaining == 9_997


def test_a_hold_of_another_hour_gives_nothing_back_to_the_limit_of_this_one(ledger: Ledger) -> None:
    limit(ledger, 90, period="hour", name="hourly")
    ledger.record("a", "m", 0)
    held = reserve(ledger, 60)
    ledger.execute("UPDATE meter.reservations SET at = at - interval '1 hour'")
    ledger.execute("UPDATE meter.series SET unchecked_below = '-infinity'")
    assert ledger.record("a", "m", 1).remaining in (89, 39)  # hourly, or the month, unless it has just begun
    now = ledger.value("SELECT now()")
    assert settle(ledger, held, 10, at=now).remaining == 79
    assert ledger.record("a", "m", 1).remaining == 78


def test_a_settlement_does_not_hide_a_mark(ledger: Ledger) -> None:
    """What it gives back to the limit is no room up to the mark."""
    limit(ledger, 1000)
    ledger.record("a", "m", 0)
    held = reserve(ledger, 300)
    ledger.execute("UPDATE meter.series SET unchecked_until = '-infinity'")
    ledger.record("a", "m", 0)  # looks at the limits while it holds
    settle(ledger, held, 10)
    assert ledger.record("a", "m", 850).remaining == 140
    assert [n.data["mark"] for n in ledger.call("notifications", type="threshold.approaching")] == [80]


def test_extend_is_a_heartbeat(ledger: Ledger) -> None:
    held = reserve(ledger, 60, ttl="1 second")
    for _ in range(3):
        ledger.execute("SELECT pg_sleep(0.5)")
        longer = extend(ledger, held, ttl="1 second")
        assert (longer.outcome, longer.held, longer.held_total) == ("held", 60, 60)
        assert longer.expires_at > held.expires_at
    assert ledger.record("a", "m", 41).outcome == "refused"
    shorter = extend(ledger, held, ttl="100 milliseconds")
    assert shorter.expires_at < longer.expires_at
    ledger.execute("SELECT pg_sleep(0.15)")
    assert extend(ledger, held).outcome == "expired"
    assert ledger.record("a", "m", 41).outcome == "recorded"


def test_maintain_marks_what_has_expired_and_notifies_once(ledger: Ledger) -> None:
    held = reserve(ledger, 60, idempotency_key="k")
    reserve(ledger, 1)
    expire(ledger, held)
    assert ledger.call("reservations", state="expired")[0].reservation_id == held.reservation_id
    assert kept(ledger, held).state == "held"
    done = ledger.upkeep() + ledger.upkeep()
    assert done.count(("expired reservations", "1")) == 1
    (told,) = ledger.call("notifications", type="reservation.expired")
    assert (told.subject, told.metric) == ("a", "m")
    assert (told.data["reservation_id"], told.data["held"]) == (held.reservation_id, 60)
    assert told.data["idempotency_key"] == "k"
    assert (kept(ledger, held).state, status(ledger).held) == ("expired", 1)


def test_maintain_deletes_ended_reservations_with_the_months_that_it_drops(ledger: Ledger) -> None:
    old, new, holding = (reserve(ledger, 5, idempotency_key=key) for key in ("old", "new", "holding"))
    for hold in (old, new):
        release(ledger, hold)
    ids = [old.reservation_id, holding.reservation_id]
    ledger.execute(
        "UPDATE meter.reservations SET at = at - interval '100 days' WHERE reservation_id = ANY (%s)", [ids]
    )
    ledger.upkeep()
    assert len(ledger.call("reservations")) == 3
    assert ("deleted reservations", "1") in ledger.upkeep(keep="2 months")
    rest = {r.reservation_id for r in ledger.call("reservations")}
    assert rest == {new.reservation_id, holding.reservation_id}
    assert reserve(ledger, 5, idempotency_key="old").outcome == "conflict"
    with refused("UM007"):
        settle(ledger, old, 5)


def test_health_tells_of_reservations_that_nobody_settled_or_that_hold_for_long(ledger: Ledger) -> None:
    held, long = reserve(ledger, 5), reserve(ledger, 5)
    notices = ledger.call("health")[0].notices
    assert not [n for n in notices if "reservations" in n]
    expire(ledger, held)
    ledger.execute(
        "UPDATE meter.reservations SET at = at - interval '2 days' WHERE reservation_id = %s",
        [long.reservation_id],
    )
    for _ in range(2):
        notices = [n for n in ledger.call("health")[0].notices if "reservations" in n]
        assert notices == [
            "reservations that expired within a day and were not settled: 1",
            "reservations held for longer than reservation_ttl_max: 1",
        ]
        ledger.upkeep()


def test_reservations_are_listed_newest_first_page_by_page(ledger: Ledger) -> None:
    ledger.define("n", "sum")
    holds = [reserve(ledger, 1, subject=s, metric=m) for s in "ab" for m in "mn" for _ in range(2)]
    ids = [h.reservation_id for h in holds]
    assert [r.reservation_id for r in ledger.call("reservations")] == ids[::-1]
    assert [r.reservation_id for r in ledger.call("reservations", subject="a")] == ids[3::-1]
    assert [r.reservation_id for r in ledger.call("reservations", metric="n", subject="b")] == ids[:5:-1]
    page = ledger.call("reservations", max_rows=3)
    rest = ledger.call("reservations", max_rows=3, before_id=page[-1].reservation_id)
    assert [r.reservation_id for r in [*page, *rest]] == ids[:1:-1]
    settle(ledger, holds[0], 1)
    release(ledger, holds[1])
    expire(ledger, holds[2])
    for state, expected in (("settled", ids[:1]), ("released", ids[1:2]), ("expired", ids[2:3])):
        rows = ledger.call("reservations", state=state)
        assert [(r.reservation_id, r.state) for r in rows] == [(expected[0], state)]
    assert len(ledger.call("reservations", state="held")) == 5
    for bad, sqlstate in (
        ({"state": "open"}, "22023"),
        ({"metric": "x"}, "UM001"),
        ({"subject": " "}, "22023"),
        ({"max_rows": 0}, "22023"),
    ):
        with refused(sqlstate):
            ledger.call("reservations", **bad)


# ---------------------------------------------------------------------------------------- reserve_batch


def test_a_batch_is_decided_in_order_with_the_holds_of_those_before(ledger: Ledger) -> None:
    rows = batch(
        ledger,
        {"quantity": 60, "idempotency_key": "k", "metadata": {"x": 1}, "ttl": "5 minutes"},
        {"quantity": "60", "minimum": "10"},
        {"subject": "b", "quantity": 100},
    )
    assert [(r.ordinal, r.outcome, r.held, r.remaining) for r in rows] == [
        (1, "held", 60, 40),
        (2, "held", 40, 0),
        (3, "held", 100, 0),
    ]
    assert kept(ledger, rows[0]).metadata == {"x": 1}
    assert rows[0].expires_at < rows[1].expires_at
    assert status(ledger).held == 100


@pytest.mark.parametrize("refused_at", [0, 1, 2])
def test_if_one_is_refused_nothing_is_held(ledger: Ledger, refused_at: int) -> None:
    ledger.define("n", "sum")
    requests = [{"quantity": 30, "idempotency_key": str(n)} for n in range(3)]
    requests[2]["metric"] = "n"
    limit(ledger, 50, "n", name="hard")
    requests[refused_at]["quantity"] = 101
    rows = batch(ledger, *requests)
    expected = ["skipped"] * 3
    expected[refused_at] = "refused"
    assert [r.outcome for r in rows] == expected
    assert rows[refused_at].limited_by == ("hard" if refused_at == 2 else "default")
    assert rows[refused_at].remaining == [100, 70, 50][refused_at]
    assert ledger.value("SELECT count(*) FROM meter.keys") == 0
    assert ledger.call("reservations") == []
    assert len(ledger.call("notifications", type="limit.refused")) == 1
    assert ledger.record("a", "m", 100).outcome == "recorded"
    ledger.call("set_limit", metric="m", quota=1000)
    ledger.call("set_limit", metric="n", quota=1000, name="hard")
    assert [r.outcome for r in batch(ledger, *requests)] == ["held"] * 3


def test_a_repeat_of_a_whole_batch_is_all_duplicates(ledger: Ledger) -> None:
    requests = [{"quantity": 30, "idempotency_key": str(n)} for n in range(3)]
    first = batch(ledger, *requests)
    again = batch(ledger, *requests)
    assert [(r.outcome, r.reservation_id) for r in again] == [("duplicate", r.reservation_id) for r in first]
    assert status(ledger).held == 90


def test_a_conflict_holds_nothing_either_and_what_was_there_stays(ledger: Ledger) -> None:
    held = reserve(ledger, 30, idempotency_key="there")
    ledger.record("b", "m", 1, idempotency_key="event")
    rows = batch(
        ledger,
        {"quantity": 30, "idempotency_key": "new"},
        {"quantity": 30, "idempotency_key": "there"},
        {"quantity": 30, "idempotency_key": "new"},
        {"subject": "b", "quantity": 1, "idempotency_key": "event"},
        {"quantity": 1},
    )
    assert [r.outcome for r in rows] == ["skipped", "duplicate", "skipped", "conflict", "skipped"]
    assert [r.reservation_id for r in ledger.call("reservations")] == [held.reservation_id]
    assert status(ledger).held == 30
    assert reserve(ledger, 30, idempotency_key="new").outcome == "held"


def test_a_key_twice_in_a_batch_is_one_reservation(ledger: Ledger) -> None:
    rows = batch(ledger, *[{"quantity": 30, "idempotency_key": "k"}] * 2)
    assert [r.outcome for r in rows] == ["held", "duplicate"]
    assert rows[0].reservation_id == rows[1].reservation_id
    assert status(ledger).held == 30


@WHATEVER_IS_KNOWN
@pytest.mark.parametrize(
    ("requests", "sqlstate", "detail"),
    [
        (None, "22004", None),
        ({}, "22023", "object"),
        ([1], "22023", "Request 1: not an object"),
        ([{"quantity": 1}, {"qty": 1}], "22023", "Request 2: field qty"),
        ([{"quantity": 1, "member": "x"}], "22023", "field member"),
        ([{"quantity": 1, "at": "2020-01-01T00:00:00Z"}], "22023", "field member or at"),
        ([{"quantity": 1, "minimum": "x"}], "22023", "minimum 'x'"),
        ([{"quantity": "x"}], "22023", "quantity 'x'"),
        ([{"quantity": 1, "ttl": "soon"}], "22023", "ttl 'soon'"),
        ([{"quantity": 1, "ttl": "3 days"}], "22023", "reservation_ttl_max"),
        ([{"quantity": 1}, {"quantity": -1}], "22023", "Request 2: "),
        ([{"quantity": 1}, {"quantity": 1, "metric": "x"}], "UM001", "Request 2: "),
    ],
)
def test_bad_requests_are_refused(ledger: Ledger, requests: Any, sqlstate: str, detail: str | None) -> None:
    if isinstance(requests, list):
        requests = [{"subject": "a", "metric": "m"} | r if isinstance(r, dict) else r for r in requests]
    with refused(sqlstate) as caught:
        ledger.call("reserve_batch", requests=None if requests is None else Jsonb(requests))
    assert (detail or "") in (caught.value.diag.message_detail or "")
    assert ledger.call("reservations") == []


def test_a_batch_leaves_the_series_of_metrics_without_limits_alone(ledger: Ledger) -> None:
    """Their rows are not locked, and stay on the short way of record()."""
    ledger.define("free", "sum")
    for days in (0, 40):
        subject = f"s{days}"
        ledger.record(subject, "free", 1, at=datetime.now(UTC) - timedelta(days=days))
        before = ledger.rows("SELECT s::text FROM meter.series s WHERE metric = 'free'")
        assert batch(ledger, {"metric": "free", "subject": subject, "quantity": 5})[0].outcome == "held"
        assert ledger.rows("SELECT s::text FROM meter.series s WHERE metric = 'free'") == before


def test_an_empty_batch_is_no_rows(ledger: Ledger) -> None:
    assert batch(ledger) == []


# ------------------------------------------------------------------------------------ with other parts


def test_rebuild_and_verify_leave_holds_alone(ledger: Ledger) -> None:
    held = reserve(ledger, 60, idempotency_key="k")
    ledger.record("a", "m", 30)
    ledger.tamper("total = total + 1")
    ledger.rebuild()
    assert ledger.record("a", "m", 11).outcome == "refused"
    assert (status(ledger).used, status(ledger).held, status(ledger).remaining) == (30, 60, 10)
    assert settle(ledger, held, 60).remaining == 10
    assert ledger.verify() == []


def test_a_settled_event_that_is_recorded_elsewhere_is_recorded_there(
    ledger: Ledger, new_ledger: NewLedger
) -> None:
    """As export and import do it: in another meter its key is an event's; here it is known."""
    settle(ledger, reserve(ledger, 60, idempotency_key="k"), 25)
    event = {"subject": "a", "metric": "m", "quantity": 25, "idempotency_key": "k"}
    assert [o.outcome for o in ledger.call("record_batch", events=Jsonb([event]), overflow=True)] == [
        "conflict"
    ]
    assert used(ledger) == 25


def test_the_callers_transaction_decides(ledger: Ledger, new_ledger: NewLedger) -> None:
    session = new_ledger("session", autocommit=False)
    held = reserve(session, 60, idempotency_key="k")
    settle(session, held, 10)
    assert release(session, reserve(session, 20)).outcome == "released"
    session.connection.rollback()
    assert (used(ledger), ledger.call("reservations")) == (0, [])
    assert reserve(ledger, 60, idempotency_key="k").outcome == "held"


def test_a_settlement_in_another_period_is_the_cause_of_what_is_beyond_there(ledger: Ledger) -> None:
    ledger.define("day", "sum", period="day")
    ledger.call("set_limit", metric="day", quota=100, since=datetime(2026, 1, 1, tzinfo=UTC))
    before = datetime.now(UTC) - timedelta(days=40)
    ledger.record("a", "day", 100, at=before)
    (held,) = ledger.call("reserve", subject="a", metric="day", quantity=80)
    ledger.call("settle", reservation_id=held.reservation_id, quantity=80, at=before)
    (overrun,) = ledger.call("overruns", metric="day", now=before)
    assert (overrun.overrun, overrun.cause) == (80, "settle")


def test_a_conflict_within_a_batch_names_no_reservation_that_is_undone(ledger: Ledger) -> None:
    requests = [{"subject": "a", "metric": "m", "quantity": n, "idempotency_key": "z"} for n in (1, 2)]
    first, second = ledger.call("reserve_batch", requests=Jsonb(requests))
    assert (first.outcome, second.outcome) == ("skipped", "conflict")
    assert (second.reservation_id, second.held) == (None, 0)


def test_a_past_period_has_one_quota_whoever_asks(ledger: Ledger) -> None:
    ledger.define("month", "sum")
    for quota, day in ((100, 1), (200, 15)):
        ledger.call("set_limit", metric="month", quota=quota, since=datetime(2026, 3, day, tzinfo=UTC))
    at = datetime(2026, 3, 5, tzinfo=UTC)
    (status,) = ledger.call("check_quota", subject="a", metric="month", now=at)
    (balance,) = ledger.call("balance", subject="a", metric="month", at=at)
    assert status.quota == balance.quota == 200
