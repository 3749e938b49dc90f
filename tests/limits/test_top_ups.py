"""What the page says of top-ups, sentence by sentence, and the worked examples."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.helpers import Ledger, Task, refused

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def limit(ledger: Ledger, quota: Any, metric: str = "m", **named: Any) -> Any:
    return ledger.call("set_limit", metric=metric, quota=quota, **named)[0]


def top_up(ledger: Ledger, quantity: Any, key: str = "k", subject: str = "a", **named: Any) -> Any:
    given = {"subject": subject, "metric": "m", "quantity": quantity, "idempotency_key": key} | named
    return ledger.call("top_up", **given)[0]


def void(ledger: Ledger, given: Any) -> Any:
    return ledger.call("void_top_up", top_up_id=given.top_up_id, reason="refunded")[0]


def balance(ledger: Ledger, at: datetime | None = None, subject: str = "a") -> Any:
    moment = at or ledger.value("SELECT clock_timestamp()")
    return ledger.call("balance", subject=subject, metric="m", at=moment)[0]


def left(ledger: Ledger, at: datetime | None = None) -> dict[str, Decimal]:
    moment = at or ledger.value("SELECT clock_timestamp()")
    rows = ledger.call("top_ups", subject="a", metric="m", at=moment)
    return {row.idempotency_key or row.source: row.remaining for row in rows}


def month(back: int = 0, days: int = 0) -> datetime:
    """The start of this month, or of an earlier one, and so many days later."""
    start = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(back):
        start = (start - timedelta(days=1)).replace(day=1)
    return start + timedelta(days=days)


def told(ledger: Ledger) -> list[tuple[str, Any]]:
    rows = ledger.call("notifications", max_rows=1000)
    return [(n.type, n.data["idempotency_key"]) for n in rows if n.type.startswith("top_up.")]


@pytest.fixture
def metered(ledger: Ledger) -> Ledger:
    ledger.define("m", "sum")
    return ledger


# ------------------------------------------------------------------------------------------- worked examples


def test_500_a_month_and_200_that_stay(metered: Ledger) -> None:
    limit(metered, 500, since=LONG_AGO)
    top_up(metered, 200, since=month(1))
    metered.record("a", "m", 400, at=month(1, days=2))
    then = balance(metered, month(1, days=3))
    assert (then.quota - then.used, then.top_ups_left, then.remaining) == (100, 200, 300)
    assert metered.record("a", "m", 200, at=month(1, days=4)).remaining == 100
    then = balance(metered, month(1, days=5))
    assert (then.used, then.top_ups_left, then.remaining, then.overrun) == (600, 100, 100, 0)
    now = balance(metered)
    assert (now.quota, now.used, now.top_ups, now.top_ups_left, now.remaining) == (500, 0, 200, 100, 600)
    assert (now.limited_by, now.since) == ("default", month())


def test_of_several_top_ups_priority_then_expiry_then_promotional_decide(metered: Ledger) -> None:
    limit(metered, 0, since=LONG_AGO)
    august, september = month(1, days=15), month()
    begins = {"since": month(2)}
    top_up(metered, 50, "A", priority=1, expires_at=september, source="paid", **begins)
    top_up(metered, 20, "B", priority=1, expires_at=september, source="promotional", **begins)
    top_up(metered, 100, "C", priority=2, expires_at=august, source="promotional", **begins)
    metered.record("a", "m", 60, at=month(2, days=5))
    assert left(metered, month(2, days=6)) == {"B": 0, "A": 10, "C": 100}


def test_what_is_left_ends_with_the_expiry(metered: Ledger) -> None:
    limit(metered, 0, since=LONG_AGO)
    start = month(1)
    top_up(metered, 10, since=start + timedelta(hours=1), expires_at=start + timedelta(hours=10))
    metered.record("a", "m", 4, at=start + timedelta(hours=5))
    for hours, remaining in ((4, 10), (5, 6), (9, 6), (10, 0)):
        now = balance(metered, start + timedelta(hours=hours))
        assert (now.top_ups_left, now.remaining) == (remaining, remaining), hours
    assert balance(metered, start + timedelta(hours=1, microseconds=-1)).top_ups == 0
    assert balance(metered, start + timedelta(hours=10)).overrun == 0, "what was covered stays covered"


@pytest.mark.parametrize(
    ("used", "rollover", "comes_over"),
    [
        (10, (None, 50), 50),
        (70, (None, 50), 30),
        (100, (None, 50), 0),
        (100, (20, 50), 20),
        (10, (20, None), 90),
        (10, (None, None), 0),
        (0, (None, 0), 0),
    ],
)
def test_a_rollover_is_what_is_left_between_its_bounds(
    metered: Ledger, used: int, rollover: tuple[Any, Any], comes_over: int
) -> None:
    limit(metered, 100, since=LONG_AGO, rollover_min=rollover[0], rollover_max=rollover[1])
    metered.record("a", "m", used, at=month(1, days=3))
    now = balance(metered)
    assert (now.quota, now.top_ups, now.remaining) == (100, comes_over, 100 + comes_over)
    if comes_over:
        (row,) = metered.call("top_ups", subject="a", metric="m")
        assert (row.source, row.top_up_id, row.used, row.remaining) == ("rollover", None, 0, comes_over)
        assert (row.since, row.expires_at) == (now.since, now.until)
    assert metered.record("a", "m", 101 + comes_over).outcome == "refused"
    assert metered.record("a", "m", 100 + comes_over).outcome == "recorded"


def test_marks_stay_percentages_of_the_quota(metered: Ledger) -> None:
    limit(metered, 1000)
    top_up(metered, 5000)

    def marks() -> list[str]:
        return [n.type for n in metered.call("notifications") if n.type.startswith("threshold")]

    for quantity, there in ((700, 0), (99, 0), (51, 1), (150, 2), (2000, 2)):
        metered.record("a", "m", quantity)
        assert marks() == ["threshold.approaching", "threshold.exceeded"][:there]
    metered.call("top_up", subject="b", metric="m", quantity=5000, idempotency_key="k")
    metered.record("b", "m", 700)
    metered.record("b", "m", 300)
    assert marks()[2:] == ["threshold.approaching", "threshold.exceeded"]


def test_steps_fire_beyond_the_quota_while_a_top_up_lasts(metered: Ledger) -> None:
    limit(metered, 100, marks=[], every=50)
    top_up(metered, 1000)
    for _ in range(12):
        metered.record("a", "m", 20)
    assert [n.data["step"] for n in metered.call("notifications", type="threshold.exceeded")] == [1, 2]


# -------------------------------------------------------------------------------------------- what it raises


def test_it_raises_the_limit_named_default_and_others_hold_beside_it(metered: Ledger) -> None:
    limit(metered, 100)
    limit(metered, 130, name="most")
    top_up(metered, 50)
    answer = metered.record("a", "m", 120)
    assert (answer.outcome, answer.remaining, answer.limited_by) == ("recorded", 10, "most")
    assert metered.record("a", "m", 11).limited_by == "most"
    assert metered.record("a", "m", 10).outcome == "recorded"


@pytest.mark.parametrize(
    ("periods", "raised"),
    [
        (["day", "month"], "month"),
        (["day", "cycle", "year"], "cycle"),
        (["hour", "day", "year"], "year"),
        (["30 days", "day"], "day"),
    ],
)
def test_of_several_limits_named_default_one_is_raised(
    metered: Ledger, periods: list[str], raised: str
) -> None:
    for period in periods:
        limit(metered, 100 if period == raised else 10_000, period=period, since=LONG_AGO)
    top_up(metered, 7)
    assert metered.record("a", "m", 108).outcome == "refused"
    assert metered.record("a", "m", 107).remaining == 0
    assert balance(metered).quota == 100


def test_a_limit_of_another_period_gives_nothing_back_that_was_taken(metered: Ledger) -> None:
    """The earlier limit counted until the start of this month, the later one takes over there."""
    limit(metered, 0, since=LONG_AGO)
    top_up(metered, 100, since=month(1))
    metered.record("a", "m", 30, at=month(1, days=3))
    metered.record("a", "m", 20, at=month())
    metered.call("set_billing_cycle", subject="a", anchor=LONG_AGO + timedelta(days=9))
    limit(metered, 0, period="cycle", since=LONG_AGO)
    assert left(metered) == {"k": 50}
    metered.call("remove_limit", metric="m")
    assert left(metered) == {"k": 50}
    assert metered.record("a", "m", 51).outcome == "refused"
    assert metered.record("a", "m", 50).outcome == "recorded"


def test_without_a_limit_nothing_is_drawn(metered: Ledger) -> None:
    given = top_up(metered, 7)
    metered.record("a", "m", 5)
    now = balance(metered)
    assert (now.quota, now.used, now.remaining, now.limited_by) == (None, 5, None, None)
    assert (now.top_ups, now.top_ups_left, now.since) == (7, 7, month())
    assert given.since == month()
    limit(metered, None)
    assert balance(metered).remaining is None
    limit(metered, 3)
    now = balance(metered)
    assert (now.remaining, now.top_ups_left) == (5, 5)


def test_a_limit_that_only_alerts_is_raised_and_refuses_nothing(metered: Ledger) -> None:
    limit(metered, 10, action="alert")
    top_up(metered, 5)
    assert metered.record("a", "m", 12).remaining == 3
    assert metered.record("a", "m", 12).outcome == "recorded"
    assert balance(metered).overrun == 9


# ----------------------------------------------------------------------------------- order and time of usage


def test_by_default_it_covers_all_of_the_running_period(metered: Ledger) -> None:
    limit(metered, 10, since=LONG_AGO)
    metered.record("a", "m", 25, at=month(), overflow=True)
    assert balance(metered).overrun == 15
    assert top_up(metered, 20).since == month()
    now = balance(metered)
    assert (now.overrun, now.top_ups_left, now.remaining) == (0, 5, 5)


def test_what_nothing_covered_is_not_covered_by_a_later_top_up(metered: Ledger) -> None:
    limit(metered, 10)
    metered.record("a", "m", 25, at=month(), overflow=True)
    top_up(metered, 20, since=metered.value("SELECT clock_timestamp()"))
    now = balance(metered)
    assert (now.overrun, now.top_ups_left, now.remaining) == (15, 20, 20)
    status = metered.call("check_quota", subject="a", metric="m", requested=20)[0]
    assert (status.allowed, status.remaining, status.overrun) == (True, 20, 15)
    assert not metered.call("check_quota", subject="a", metric="m", requested=21)[0].allowed
    assert metered.record("a", "m", 21).outcome == "refused"
    assert metered.record("a", "m", 12).remaining == 8
    assert metered.record("a", "m", 9).outcome == "refused"
    assert metered.record("a", "m", 8).outcome == "recorded"
    assert metered.record("a", "m", 1).outcome == "refused"
    assert (row := metered.call("overruns")[0]).overrun == 15
    assert row.cause == "overflow"


def test_a_late_event_takes_from_later_usage_only_what_is_free(metered: Ledger) -> None:
    """Of the 100, 60 were taken in this month. A late event of the month before can take 40."""
    limit(metered, 10, since=LONG_AGO)
    top_up(metered, 100, since=month(2))
    metered.record("a", "m", 70)
    late = month(1, days=3)
    assert metered.record("a", "m", 51, at=late).outcome == "refused"
    assert metered.record("a", "m", 50, at=late).remaining == 0
    assert metered.record("a", "m", 1).outcome == "refused"
    assert balance(metered).overrun == 0
    assert balance(metered, late).top_ups_left == 60


def test_usage_of_an_expired_top_up_is_not_moved_to_another(metered: Ledger) -> None:
    limit(metered, 0, since=LONG_AGO)
    top_up(metered, 10, "short", since=month(2), expires_at=month(1))
    top_up(metered, 10, "long", since=month(2), priority=99)
    metered.record("a", "m", 4, at=month(2, days=3))
    assert left(metered) == {"long": 10}
    metered.record("a", "m", 8, at=month(2, days=1))
    assert left(metered) == {"long": 8}


def test_holds_are_usage_at_their_time_also_after_the_expiry(metered: Ledger) -> None:
    limit(metered, 10, since=LONG_AGO)
    top_up(metered, 20, since=month(1), expires_at=month(1, days=2))
    metered.execute(
        "INSERT INTO meter.reservations (reservation_id, metric, subject, quantity, held, at, expires_at)"
        " VALUES (1, 'm', 'a', 25, 25, %s, now() + interval '1 hour')",
        [month(1, days=1)],
    )
    then = balance(metered, month(1, days=1))
    assert (then.used, then.held, then.top_ups_left, then.remaining) == (0, 25, 5, 5)
    then = balance(metered, month(1, days=3))
    assert (then.held, then.overrun, then.top_ups_left, then.remaining) == (25, 0, 0, 0)
    metered.execute("UPDATE meter.reservations SET state = 'released'")
    assert balance(metered, month(1, days=1)).top_ups_left == 20


@pytest.mark.parametrize("rollup", ["minute", "hour", "day", "none"])
def test_a_top_up_that_begins_or_ends_within_a_bucket_is_exact(ledger: Ledger, rollup: str) -> None:
    ledger.define("m", "sum", period="day", rollup=rollup)
    limit(ledger, 0, since=LONG_AGO)
    now = ledger.value("SELECT clock_timestamp()")
    top_up(ledger, 10, since=now - timedelta(seconds=2), expires_at=now + timedelta(seconds=2))
    second = timedelta(seconds=1)
    assert ledger.record("a", "m", 1, at=now - 3 * second).outcome == "refused"
    assert ledger.record("a", "m", 4, at=now).remaining == 6
    assert ledger.record("a", "m", 1, at=now - 3 * second).outcome == "refused"
    assert ledger.record("a", "m", 1, at=now + 3 * second).outcome == "refused"
    assert ledger.record("a", "m", 7, at=now - second).outcome == "refused"
    assert ledger.record("a", "m", 6, at=now - second).remaining == 0


def test_a_rollover_comes_from_complete_periods_only(metered: Ledger) -> None:
    limit(metered, 100, rollover_max=50)
    assert balance(metered).top_ups == 0, "the limit began within the period before, or after it"
    limit(metered, 100, since=month(1, days=1), rollover_max=50, subject="a")
    assert balance(metered).top_ups == 0
    limit(metered, 100, since=month(1), rollover_max=50, subject="a")
    assert balance(metered).top_ups == 50
    until = balance(metered).until
    assert balance(metered, until + timedelta(days=1)).top_ups == 0, "that period is not over"


def test_a_late_event_takes_what_has_come_over(metered: Ledger) -> None:
    limit(metered, 100, since=LONG_AGO, rollover_max=50)
    metered.record("a", "m", 130)
    late = month(1, days=3)
    assert metered.record("a", "m", 71, at=late).outcome == "refused", "30 of it have been used"
    assert metered.record("a", "m", 70, at=late).remaining == 0
    assert metered.record("a", "m", 1).outcome == "refused"
    assert metered.record("a", "m", 5, at=late, overflow=True).outcome == "recorded"
    assert (balance(metered).top_ups, balance(metered).overrun) == (25, 5)


def test_dropped_events_do_not_stop_recording_where_a_top_up_began(metered: Ledger) -> None:
    """Of an hour whose events are gone, everything counts after an instant within it."""
    then = month(14, days=3) + timedelta(minutes=30)
    limit(metered, 0, since=LONG_AGO)
    top_up(metered, 10, since=then)
    metered.record("a", "m", 4, at=then + timedelta(minutes=5))
    metered.upkeep()
    metered.upkeep(keep="300 days")
    assert metered.value("SELECT count(*) FROM meter.events") == 0
    assert balance(metered).remaining == 6
    assert metered.record("a", "m", 7).outcome == "refused"
    assert metered.record("a", "m", 6).outcome == "recorded"


# -------------------------------------------------------------------------------------------- keys and voids


def test_a_key_that_was_used_is_the_same_top_up(metered: Ledger) -> None:
    first = top_up(metered, "20.50", reason="sold")
    assert top_up(metered, "20.5", reason="sold") == first
    assert top_up(metered, "20.5", reason="sold", since=first.since) == first
    for named in (
        {"quantity": 21},
        {"priority": 1},
        {"since": month(1)},
        {"expires_at": month() + timedelta(days=99)},
        {"source": "promotional"},
        {"reason": None},
    ):
        with refused("UM005", "idempotency_key"):
            top_up(metered, **({"quantity": "20.5", "reason": "sold"} | named))
    assert top_up(metered, 1, subject="b").top_up_id != first.top_up_id
    assert metered.value("SELECT count(*) FROM meter.top_ups") == 2
    rows = metered.call("admin_log", object="a")
    assert [(r.action, r.after["quantity"]) for r in rows] == [("top_up", Decimal("20.5"))]


def test_a_void_counts_as_if_the_top_up_had_never_been(metered: Ledger) -> None:
    limit(metered, 10)
    first = top_up(metered, 5, "first", priority=1)
    second = top_up(metered, 5, "second")
    metered.record("a", "m", 13)
    assert left(metered) == {"first": 2, "second": 5}
    gone = void(metered, first)
    assert (gone.void_reason, gone.voided_at is not None) == ("refunded", True)
    assert void(metered, first) == gone
    assert top_up(metered, 5, "first", priority=1) == gone, "its key stays used"
    assert left(metered) == {"second": 2}
    assert metered.record("a", "m", 3).outcome == "refused"
    assert metered.call("overruns") == []
    void(metered, second)
    (row,) = metered.call("overruns")
    assert (row.overrun, row.used, row.quota, row.cause) == (3, 13, 10, "top_up")
    assert metered.record("a", "m", 1).outcome == "refused"
    assert [r.action for r in metered.call("admin_log", object="a")] == ["void_top_up"] * 2 + ["top_up"] * 2


@pytest.mark.parametrize(
    ("named", "sqlstate", "parameter"),
    [
        ({"subject": None}, "22004", "subject"),
        ({"subject": " "}, "22023", "subject"),
        ({"subject": "x" * 513}, "22023", "subject"),
        ({"metric": "unknown"}, "UM001", "metric"),
        ({"metric": "peak"}, "UM002", "metric"),
        ({"metric": "seats"}, "UM002", "metric"),
        ({"quantity": None}, "22004", "quantity"),
        ({"quantity": 0}, "22023", "quantity"),
        ({"quantity": -1}, "22023", "quantity"),
        ({"quantity": "NaN"}, "22023", "quantity"),
        ({"quantity": "Infinity"}, "22023", "quantity"),
        ({"quantity": "1e51"}, "22023", "quantity"),
        ({"quantity": "1e-51"}, "22023", "quantity"),
        ({"idempotency_key": None}, "22004", "idempotency_key"),
        ({"idempotency_key": ""}, "22023", "idempotency_key"),
        ({"idempotency_key": "x" * 513}, "22023", "idempotency_key"),
        ({"priority": None}, "22004", "priority"),
        ({"since": "infinity"}, "22023", "since"),
        ({"since": "-infinity"}, "22023", "since"),
        ({"expires_at": "infinity"}, "22023", "expires_at"),
        ({"expires_at": "2000-01-01"}, "22023", "expires_at"),
        ({"since": "2026-01-02", "expires_at": "2026-01-02"}, "22023", "expires_at"),
        ({"source": None}, "22004", "source"),
        ({"source": "rollover"}, "22023", "source"),
        ({"reason": "x" * 1001}, "22023", "reason"),
    ],
)
def test_a_bad_value_is_refused(
    metered: Ledger, named: dict[str, Any], sqlstate: str, parameter: str
) -> None:
    metered.define("peak", "max")
    metered.define("seats", "unique")
    with refused(sqlstate, parameter):
        top_up(metered, **({"quantity": 1} | named))
    assert metered.value("SELECT count(*) FROM meter.top_ups") == 0


def test_a_bad_void_balance_or_rollover_is_refused(metered: Ledger) -> None:
    metered.define("seats", "unique")
    for named, sqlstate, parameter in (
        ({"top_up_id": 99, "reason": "x"}, "UM007", "top_up_id"),
        ({"top_up_id": None, "reason": "x"}, "22004", "top_up_id"),
        ({"top_up_id": 99, "reason": None}, "22004", "reason"),
        ({"top_up_id": 99, "reason": " "}, "22023", "reason"),
    ):
        with refused(sqlstate, parameter):
            metered.call("void_top_up", **named)
    for function in ("balance", "top_ups"):
        for named, sqlstate, parameter in (
            ({"subject": None, "metric": "m"}, "22004", "subject"),
            ({"subject": "a", "metric": "unknown"}, "UM001", None),
            ({"subject": "a", "metric": "seats"}, "UM002", "metric"),
            ({"subject": "a", "metric": "m", "at": None}, "22004", "at"),
            ({"subject": "a", "metric": "m", "at": "infinity"}, "22023", "at"),
        ):
            with refused(sqlstate, parameter):
                metered.call(function, **named)
    for rule, sqlstate, parameter in (
        ({"rollover_min": -1}, "22023", "rollover_min"),
        ({"rollover_max": "NaN"}, "22023", "rollover_max"),
        ({"rollover_min": 2, "rollover_max": 1}, "22023", "rollover_max"),
        ({"rollover_max": 1, "name": "other"}, "22023", "name"),
        ({"rollover_max": 1, "period": "30 days"}, "22023", "period"),
        ({"rollover_max": 1, "period": "never"}, "22023", "period"),
        ({"rollover_max": 1, "metric": "seats"}, "UM002", "metric"),
    ):
        with refused(sqlstate, parameter):
            limit(metered, 10, **rule)


# --------------------------------------------------------------------------------------------- notifications


def test_maintain_notifies_once_of_each_that_is_used_up_or_has_expired(metered: Ledger) -> None:
    limit(metered, 0, since=LONG_AGO)
    top_up(metered, 5, "over", since=month(2), expires_at=month(1))
    top_up(metered, 5, "used and over", since=month(2), expires_at=month(1), priority=1)
    top_up(metered, 5, "used", since=month(2), priority=90)
    top_up(metered, 9, "there", since=month(2), priority=99)
    gone = top_up(metered, 9, "void", since=month(2), expires_at=month(1), priority=0)
    void(metered, gone)
    metered.upkeep()
    assert sorted(told(metered)) == [("top_up.expired", "over"), ("top_up.expired", "used and over")]
    assert {n.data["remaining"] for n in metered.call("notifications", type="top_up.expired")} == {5}
    metered.record("a", "m", 6)
    assert metered.maintain()[0] == ("notified of top-ups", "1")
    assert told(metered)[2:] == [("top_up.depleted", "used")]
    metered.upkeep()
    assert len(told(metered)) == 3
    # A subject of its own: what expired was used up before.
    top_up(metered, 5, "late", subject="b", since=month(2), expires_at=month(1))
    metered.record("b", "m", 5, at=month(2, days=1))
    metered.upkeep()  # which creates the partition of that month, and no more
    metered.upkeep()
    assert told(metered)[3:] == [("top_up.depleted", "late"), ("top_up.expired", "late")]


def test_a_top_up_that_is_being_voided_is_left_to_the_next_call(
    metered: Ledger, new_ledger: NewLedger
) -> None:
    limit(metered, 0, since=LONG_AGO)
    given = top_up(metered, 5, since=month(2), expires_at=month(1))
    admin = new_ledger("admin", autocommit=False)
    void(admin, given)
    metered.upkeep()
    assert told(metered) == []
    admin.connection.rollback()
    metered.upkeep()
    assert told(metered) == [("top_up.expired", "k")]


# ----------------------------------------------------------------------------------------------------- races


@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_p11_of_two_events_for_the_rest_of_a_top_up_one_is_admitted(
    metered: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str, isolation: str
) -> None:
    limit(metered, 10)
    top_up(metered, 10)
    metered.record("a", "m", 5)
    one, other = new_ledger("one", autocommit=False), new_ledger("other", autocommit=False)
    other.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {isolation}")
    other.connection.commit()
    assert one.record("a", "m", 9).remaining == 6

    def second() -> str:
        event = {"subject": "a", "metric": "m", "quantity": 9}
        answer = other.batch([event])[0] if how == "batch" else other.record(**event)
        other.connection.commit()
        return str(answer.outcome)

    waiting = Task(second)
    wait_until_blocked(metered.connection, "other")
    one.connection.commit()
    if isolation == "read committed":
        assert waiting.result() == "refused"
    else:
        error = waiting.error()
        assert error is not None
        assert error.sqlstate == "40001"
    assert balance(metered).overrun == 0


@pytest.mark.parametrize("limited", ["before", "meanwhile"])
@pytest.mark.parametrize("seen", [True, False])
def test_p11_a_void_counts_for_every_event_after_its_commit(
    metered: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, limited: str, seen: bool
) -> None:
    """Also if the metric gets its first limit while the void is under way, and if the series begins then."""
    given = top_up(metered, 100)
    if limited == "before":
        limit(metered, 10)
    if seen:
        metered.record("a", "m", 5)
    admin = new_ledger("admin", autocommit=False)
    void(admin, given)
    if limited == "meanwhile":
        limit(metered, 10)
    caller = new_ledger("caller")
    waiting = Task(lambda: caller.record("a", "m", 50).outcome)
    wait_until_blocked(metered.connection, "caller")
    admin.connection.commit()
    assert waiting.result() == "refused"
    assert metered.record("a", "m", 6 if seen else 11).outcome == "refused"
    assert metered.call("overruns") == []


def test_a_top_up_helps_as_soon_as_it_is_committed_and_its_keys_meet(
    metered: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    limit(metered, 10)
    assert metered.record("a", "m", 20).outcome == "refused"
    admin, again, caller = new_ledger("admin", autocommit=False), new_ledger("again"), new_ledger("caller")
    given = top_up(admin, 10)
    same = Task(lambda: top_up(again, 10))
    wait_until_blocked(metered.connection, "again")
    admin.connection.commit()
    assert same.result() == given
    assert caller.record("a", "m", 20).outcome == "recorded"


def test_a_change_waits_for_a_recorder_no_longer_than_5_seconds(
    metered: Ledger, new_ledger: NewLedger
) -> None:
    limit(metered, 10)
    given = top_up(metered, 10)
    caller = new_ledger("caller", autocommit=False)
    caller.record("a", "m", 1)
    with refused("55P03"):
        void(metered, given)
    with refused("55P03"):
        top_up(metered, 1, "more")
    caller.connection.commit()
    assert void(metered, given).voided_at is not None


# ------------------------------------------------------------------------------------------------------ room


def test_while_there_is_room_nobody_looks_at_top_ups(metered: Ledger) -> None:
    """The short way of record() goes on beyond the quota, up to what top-ups leave."""
    limit(metered, 10, marks=[])
    top_up(metered, 100)
    metered.record("a", "m", 1)
    row = metered.row("SELECT unchecked_below, exhausted_at, limited_by FROM meter.series")
    assert tuple(row) == (110, 110, "default")
    assert metered.record("a", "m", 50).remaining == 59
    assert metered.record("a", "m", 60).outcome == "refused"
    assert metered.record("a", "m", 59).outcome == "recorded"


def test_within_a_bucket_in_which_a_top_up_begins_or_expires_everybody_looks(metered: Ledger) -> None:
    limit(metered, 10, marks=[])
    now = metered.value("SELECT date_trunc('hour', clock_timestamp())")
    for name, bounds in (
        ("begins", {"since": now + timedelta(minutes=59, seconds=59)}),
        ("expires", {"since": LONG_AGO, "expires_at": now + timedelta(minutes=59, seconds=59)}),
        ("outside", {"since": now, "expires_at": now + timedelta(hours=1)}),
    ):
        top_up(metered, 100, subject=name, **bounds)
        metered.record(name, "m", 1)
        below = metered.value("SELECT unchecked_below FROM meter.series WHERE subject = %s", [name])
        assert below == (110 if name == "outside" else Decimal("-Infinity")), name


def test_a_subject_without_top_ups_and_rollover_has_its_own_answers(metered: Ledger) -> None:
    """As if there were none, whatever others have."""
    limit(metered, 10)
    limit(metered, 10, subject="r", since=LONG_AGO, rollover_max=5)
    top_up(metered, 100)
    assert metered.record("b", "m", 11).outcome == "refused"
    assert metered.record("b", "m", 10).remaining == 0
    assert metered.record("r", "m", 16).outcome == "refused"
    assert metered.record("r", "m", 15).outcome == "recorded"


def test_nothing_goes_over_from_a_period_in_which_the_limit_did_not_hold_all_the_time(ledger: Ledger) -> None:
    """For a while there was no quota, or the subject did not have the plan."""
    ledger.define("m", "sum")
    named = {"metric": "m", "period": "month", "rollover_max": 100}
    ledger.call("define_plan", plan="pro")
    ledger.call("set_limit", quota=100, plan="pro", since=datetime(2026, 1, 1, tzinfo=UTC), **named)
    ledger.call("subscribe", subject="late", plan="pro", since=datetime(2026, 3, 31, 23, 59, tzinfo=UTC))
    for quota, day in ((100, 1), (None, 5), (100, 25)):
        ledger.call(
            "set_limit", quota=quota, subject="gap", since=datetime(2026, 3, day, tzinfo=UTC), **named
        )
    for subject in ("late", "gap"):
        (balance,) = ledger.call("balance", subject=subject, metric="m", at=datetime(2026, 4, 2, tzinfo=UTC))
        assert (balance.quota, balance.top_ups, balance.remaining) == (100, 0, 100), subject


def test_p11_settling_less_than_was_held_gives_back_no_more_than_is_left(ledger: Ledger) -> None:
    """A hold displaces usage that is later than the top-up, and that takes its place when the hold ends."""
    ledger.define("m", "sum", period="never")
    now = datetime.now(UTC)
    ledger.call("set_limit", metric="m", quota=300, marks=[])
    ledger.call(
        "top_up",
        subject="a",
        metric="m",
        quantity=100,
        idempotency_key="k",
        expires_at=now + timedelta(hours=2),
    )
    ledger.record("a", "m", 0)
    (held,) = ledger.call("reserve", subject="a", metric="m", quantity=190)
    ledger.record("a", "m", 95, at=now + timedelta(hours=5))
    ledger.call("set_limit", metric="m", quota=100, marks=[])
    for _ in range(2):
        ledger.record("a", "m", 0)
    (settled,) = ledger.call("settle", reservation_id=held.reservation_id, quantity=0)
    (status,) = ledger.call("check_quota", subject="a", metric="m")
    assert settled.remaining == status.remaining == 5
    assert ledger.record("a", "m", 9).outcome == "refused"


def test_a_hold_of_an_earlier_period_that_expires_leaves_more_of_its_top_up(ledger: Ledger) -> None:
    ledger.define("m", "sum", period="day", rollup="minute")
    since = datetime(2026, 1, 1, tzinfo=UTC)
    ledger.call("set_limit", metric="m", quota=100, marks=[], since=since)
    ledger.call("top_up", subject="a", metric="m", quantity=500, idempotency_key="k", since=since)
    ledger.call("reserve", subject="a", metric="m", quantity=400)
    ledger.execute("UPDATE meter.reservations SET at = at - interval '1 day'")
    assert ledger.record("a", "m", 0).remaining == 300
    ledger.execute("UPDATE meter.reservations SET expires_at = clock_timestamp() + interval '2 seconds'")
    ledger.execute("UPDATE meter.series SET unchecked_below = '-infinity'")
    assert ledger.record("a", "m", 0).remaining == 300
    time.sleep(2.1)
    assert ledger.record("a", "m", 1).remaining == 599
