"""What the page says of limits, sentence by sentence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.helpers import PERIODS, ROLLUPS, Ledger, as_jsonb, covering, refused

NewLedger = Callable[..., Ledger]


def limit(ledger: Ledger, quota: Any, metric: str = "m", **named: Any) -> Any:
    return ledger.call("set_limit", metric=metric, quota=quota, **named)[0]


def today(hours: int = 0, days: int = 0) -> datetime:
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return start + timedelta(days=days, hours=hours)


def told(ledger: Ledger, kind: str | None = None) -> list[tuple[str, Any]]:
    rows = ledger.call("notifications", **({"type": kind} if kind else {}))
    return [(n.type, n.data.get("mark", n.data.get("step"))) for n in rows if n.type != "metric.defined"]


def status(ledger: Ledger, subject: str = "a", metric: str = "m", **named: Any) -> Any:
    return ledger.call("check_quota", subject=subject, metric=metric, **named)[0]


# ------------------------------------------------------------------------------------- which limit counts


def test_50_a_day_inside_300_a_month_refuses_the_51st_and_names_the_daily_limit(ledger: Ledger) -> None:
    ledger.define("m", "count")
    limit(ledger, 300, name="monthly")
    limit(ledger, 50, period="day", name="daily")
    for number in range(50):
        answer = ledger.record("a", "m")
        assert (answer.outcome, answer.remaining, answer.limited_by) == ("recorded", 49 - number, "daily")
    answer = ledger.record("a", "m")
    assert (answer.outcome, answer.event_id, answer.quantity) == ("refused", None, 50)
    assert (answer.remaining, answer.limited_by) == (0, "daily")
    answer = status(ledger)
    assert (answer.allowed, answer.quota, answer.limited_by) == (False, 50, "daily")
    assert ledger.record("a", "m", at=today(days=-1)).outcome == "recorded"


def test_an_own_entry_shadows_also_when_it_is_unlimited_and_counts_again_when_it_is_removed(
    ledger: Ledger,
) -> None:
    ledger.define("m", "sum")
    limit(ledger, 10)
    limit(ledger, None, subject="a")
    assert ledger.record("a", "m", 100).outcome == "recorded"
    assert ledger.record("b", "m", 100).outcome == "refused"
    rows = ledger.call("effective_limits", subject="a", metric="m")
    assert [(r.source, r.quota, r.counts) for r in rows] == [("subject", None, True), ("everyone", 10, False)]
    assert "shadowed" in rows[1].reason
    ledger.call("remove_limit", metric="m", subject="a")
    assert ledger.record("a", "m", 1).outcome == "refused"
    assert status(ledger).overrun == 90


def test_of_several_plans_the_strictest_counts_and_it_before_everyones(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 5)
    for plan, quota in (("large", 100), ("small", 20), ("open", None)):
        ledger.call("define_plan", plan=plan)
        limit(ledger, quota, plan=plan)
    ledger.call("subscribe", subject="a", plan="open")
    assert ledger.record("a", "m", 50, at=today(days=-40), overflow=True).outcome == "recorded"
    ledger.call("subscribe", subject="a", plan="large")
    ledger.call("subscribe", subject="a", plan="small")
    assert ledger.record("a", "m", 21).outcome == "refused"
    assert ledger.record("a", "m", 20).outcome == "recorded"
    ledger.call("unsubscribe", subject="a", plan="small")
    assert ledger.record("a", "m", 80).outcome == "recorded"
    assert ledger.record("a", "m", 1).outcome == "refused"
    assert ledger.record("b", "m", 6).outcome == "refused"


def test_a_plan_that_only_alerts_is_not_stricter_than_one_that_blocks(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    for plan, quota, action in (("watched", 10, "alert"), ("small", 20, "block")):
        ledger.call("define_plan", plan=plan)
        limit(ledger, quota, plan=plan, action=action)
        ledger.call("subscribe", subject="a", plan=plan)
    assert ledger.record("a", "m", 21).outcome == "refused"


def test_a_plan_whose_limit_does_nothing_is_not_stricter_than_one_that_alerts(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    for plan, quota, action in (("silent", 10, "none"), ("watched", 20, "alert")):
        ledger.call("define_plan", plan=plan)
        limit(ledger, quota, plan=plan, action=action)
        ledger.call("subscribe", subject="a", plan=plan)
    ledger.record("a", "m", 20)
    assert [row for row in told(ledger) if row[0].startswith("threshold")] == [
        ("threshold.approaching", 80),
        ("threshold.exceeded", 100),
    ]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_of_limits_beside_each_other_one_that_blocks_binds_before_one_that_alerts_before_the_others(
    ledger: Ledger, first: int
) -> None:
    """The later ones leave less."""
    ledger.define("m", "sum")
    actions = ["block", "alert", "none"][first:]
    for number, action in enumerate(reversed(actions)):
        limit(ledger, 100 + number, name=action, action=action)
    for number in range(3):
        answer = ledger.record("a", "m", 1)
        assert (answer.remaining, answer.limited_by) == (98 + len(actions) - number, actions[0])
    assert status(ledger).limited_by == actions[0]


def test_editing_never_resets_usage_and_the_past_is_not_rewritten(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100, since=today(days=-100))
    ledger.record("a", "m", 80)
    limit(ledger, 90)
    assert ledger.record("a", "m", 11).outcome == "refused"
    assert ledger.record("a", "m", 10).remaining == 0
    limit(ledger, 50)
    assert (status(ledger).used, status(ledger).overrun) == (90, 40)
    limit(ledger, 95)
    assert ledger.record("a", "m", 5).outcome == "recorded"
    past = ledger.call("effective_limits", subject="a", metric="m", at=today(days=-40))
    assert [r.quota for r in past] == [100]


def test_a_backdated_event_meets_the_quota_of_its_own_period(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    then = today(days=-40)
    limit(ledger, 10, since=today(days=-100))
    limit(ledger, 1000)
    assert ledger.record("a", "m", 500).outcome == "recorded"
    assert ledger.record("a", "m", 11, at=then).outcome == "refused"
    late = ledger.record("a", "m", 10, at=then)
    assert (late.outcome, late.remaining) == ("recorded", 0)
    assert ledger.record("a", "m", 500).remaining == 0


@pytest.mark.parametrize("whose", ["everyone", "subject", "plan"])
@pytest.mark.parametrize("holds", [True, False])
def test_a_removed_limit_does_not_come_back_with_a_scheduled_version(
    ledger: Ledger, whose: str, holds: bool
) -> None:
    ledger.define("m", "sum")
    ledger.call("define_plan", plan="p")
    ledger.call("subscribe", subject="a", plan="p")
    of = {} if whose == "everyone" else {whose: "a" if whose == "subject" else "p"}
    if holds:
        limit(ledger, 10, **of)
    begins = ledger.value("SELECT clock_timestamp() + interval '1.2 seconds'")
    later = ledger.value("SELECT clock_timestamp() + interval '2 days'")
    limit(ledger, 7, since=begins, **of)
    limit(ledger, 5, since=begins, **of)
    limit(ledger, 3, since=later, **of)
    ended = ledger.call("remove_limit", metric="m", **of)[0]
    assert (ended.removed, ended.quota) == (True, 10 if holds else 5)
    assert ended.since < begins if holds else ended.since == begins
    with refused("UM007", "metric"):
        ledger.call("remove_limit", metric="m", **of)
    assert ledger.record("a", "m", 50).outcome == "recorded"
    for moment in (None, begins, later + timedelta(days=1)):
        assert ledger.call("limits", metric="m", at=moment) == []
    ledger.execute("SELECT pg_sleep_until(%s)", [begins])
    assert ledger.record("a", "m", 50).remaining is None
    assert ledger.call("effective_limits", subject="a", metric="m") == []
    removals = ledger.value("SELECT count(*) FROM meter.admin_log WHERE action = 'remove_limit'")
    assert removals == (3 if holds else 2)
    limit(ledger, 200, since=later, **of)
    assert [v.quota for v in ledger.call("limits", metric="m", at=later)] == [200]


@pytest.mark.parametrize("what", ["version", "subscription", "end of a subscription"])
def test_what_begins_later_binds_when_its_time_comes(ledger: Ledger, what: str) -> None:
    ledger.define("m", "sum")
    ledger.call("define_plan", plan="small")
    limit(ledger, 10, plan="small")
    limit(ledger, 1000)
    begins = ledger.value("SELECT clock_timestamp() + interval '1.2 seconds'")
    if what == "version":
        limit(ledger, 10, since=begins)
    elif what == "subscription":
        ledger.call("subscribe", subject="a", plan="small", since=begins)
    else:
        ledger.call("subscribe", subject="a", plan="small", until=begins)
    first = ledger.record("a", "m", 5)
    assert (first.outcome, first.remaining) == ("recorded", 5 if what.startswith("end") else 995)
    assert ledger.record("a", "m", 1).outcome == "recorded"
    ledger.execute("SELECT pg_sleep_until(%s)", [begins])
    later = ledger.record("a", "m", 5)
    assert later.outcome == ("recorded" if what.startswith("end") else "refused")


@pytest.mark.parametrize(
    ("spellings", "stored"),
    [
        (("30 days", "30 day", "30d", " 720  Hours "), "30 days"),
        (("24 hours", "24 hour", "1 day", "1440 minutes"), "24 hours"),
        (("2 weeks", "14 days", "1w 7d"), "14 days"),
        (("1 month", "1 mon", "1mo"), "1 month"),
        (("1 year", "12 months"), "1 year"),
        (("1h 30m", "90 minutes", "5400 s"), "90 minutes"),
        (("1 month 1 day", "1 month 24 hours"), "1 month 24 hours"),
        (("90061 seconds", "1 day 1 hour 1 minute 1 second"), "90061 seconds"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_durations_of_the_same_length_are_one_period(
    ledger: Ledger, spellings: tuple[str, ...], stored: str
) -> None:
    ledger.define("m", "sum")
    for number, spelling in enumerate((*spellings, stored), start=5):
        assert limit(ledger, number, period=spelling).period == stored
    assert [(e.period, e.quota) for e in ledger.call("effective_limits", subject="a", metric="m")] == [
        (stored, number)
    ]
    for spelling in spellings:
        ledger.call("remove_limit", metric="m", period=spelling)
        assert ledger.call("limits") == []
        limit(ledger, 1, period=stored)


def test_a_month_is_not_30_days_and_a_calendar_unit_is_no_duration(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    periods = ["30 days", "1 month", "month", "day", "24 hours", "1 year", "365 days"]
    for period in periods:
        assert limit(ledger, 10, period=period).period == period
    assert len(ledger.call("limits")) == len(periods)


# --------------------------------------------------------------------------------------------- enforcing


def test_a_retry_of_an_admitted_event_is_a_duplicate_and_of_a_refused_one_is_decided_anew(
    ledger: Ledger,
) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100)
    assert ledger.record("a", "m", 100, idempotency_key="k").outcome == "recorded"
    assert ledger.record("a", "m", 100, idempotency_key="k").outcome == "duplicate"
    assert ledger.record("a", "m", 99, idempotency_key="k").outcome == "conflict"
    assert ledger.record("a", "m", 1, idempotency_key="l").outcome == "refused"
    assert ledger.record("a", "m", 1, idempotency_key="l").outcome == "refused"
    limit(ledger, 101)
    assert ledger.record("a", "m", 1, idempotency_key="l").outcome == "recorded"


@pytest.mark.parametrize("aggregate", ["max", "last"])
def test_max_and_last_compare(ledger: Ledger, aggregate: str) -> None:
    ledger.define("m", aggregate)
    limit(ledger, 10)
    for quantity, outcome in ((10, "recorded"), (11, "refused"), (-3, "recorded"), (10, "recorded")):
        assert ledger.record("a", "m", quantity).outcome == outcome
    assert ledger.usage("a", "m").quantity == 10


def test_max_is_not_refused_below_what_is_used_already(ledger: Ledger) -> None:
    ledger.define("m", "max")
    limit(ledger, 10)
    ledger.record("a", "m", 20, overflow=True)
    for quantity, outcome in ((21, "refused"), (20, "recorded"), (11, "recorded")):
        assert status(ledger, requested=quantity).allowed == (outcome == "recorded")
        assert ledger.record("a", "m", quantity).outcome == outcome
        events = [{"subject": "a", "metric": "m", "quantity": quantity}]
        assert ledger.batch(events)[0].outcome == outcome


@pytest.mark.parametrize("kind", ["month hour", "never none", "year day", "minute none", "day hour"])
@pytest.mark.parametrize("of", ["year", "cycle"])
def test_last_is_not_refused_if_a_later_event_of_the_period_counts(
    ledger: Ledger, kind: str, of: str
) -> None:
    """The cycle ends within an hour, and a later event of the next cycle, in that hour, does not matter."""
    period, rollup = kind.split()
    ledger.define("m", "last", period=period, rollup=rollup)
    ends = today(days=-400).replace(month=1, day=1) + timedelta(minutes=0 if of == "year" else 30)
    ledger.call("set_billing_cycle", subject="a", anchor=ends, every="year")
    limit(ledger, 10, period=of, since=today(days=-3000))
    before, after = ends - timedelta(minutes=10), ends + timedelta(minutes=10)
    ledger.record("a", "m", 1, at=after)
    assert ledger.record("a", "m", 11, at=before).outcome == "refused"
    ledger.record("a", "m", 1, at=before)
    assert ledger.record("a", "m", 11, at=before).outcome == "refused"
    older = before - timedelta(microseconds=1)
    assert ledger.record("a", "m", 11, at=older).outcome == "recorded"
    if of == "cycle" or period == "never":
        return  # their ends are read from the log
    ledger.upkeep()
    ledger.upkeep(keep="100 days")
    assert ledger.value("SELECT count(*) FROM meter.events WHERE at <= %s", [before]) == 0
    assert ledger.record("a", "m", 11, at=older - timedelta(hours=1)).outcome == "recorded"
    assert ledger.record("a", "m", 11, at=before + timedelta(minutes=5)).outcome == "refused"


@pytest.mark.parametrize("period", ["month", "day", "hour", "never", "cycle", "5 hours"])
def test_unique_counts_a_new_member_only(ledger: Ledger, period: str) -> None:
    ledger.define("m", "unique")
    limit(ledger, 2, period=period)
    for member, outcome in (("u", "recorded"), ("v", "recorded"), ("w", "refused"), ("u", "recorded")):
        assert ledger.record("a", "m", member=member).outcome == outcome
    assert status(ledger).allowed is False


@pytest.mark.parametrize("aggregate", ["min", "avg"])
def test_min_and_avg_cannot_be_limited(ledger: Ledger, aggregate: str) -> None:
    ledger.define("m", aggregate)
    with refused("UM002", "metric"):
        limit(ledger, 10)


def test_overflow_counts_what_has_happened_and_strict_raises(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 10)
    assert ledger.record("a", "m", 10, idempotency_key="k", strict=True).outcome == "recorded"
    with refused("UM003"):
        ledger.record("a", "m", 1, strict=True)
    for quantity in (10, 11):
        with refused("UM005"):
            ledger.record("a", "m", quantity, idempotency_key="k", strict=True)
    over = ledger.record("a", "m", 5, overflow=True)
    assert (over.outcome, over.quantity, over.remaining) == ("recorded", 15, 0)
    assert status(ledger).overrun == 5


@pytest.mark.parametrize("striped", [True, False])
@pytest.mark.parametrize("limited", [True, False])
def test_without_total_no_outcome_has_a_quantity(ledger: Ledger, striped: bool, limited: bool) -> None:
    ledger.define("m", "sum", striped=striped)
    if limited:
        limit(ledger, 10)
    answers = [
        ledger.record("a", "m", quantity, idempotency_key=key, total=False)
        for quantity, key in ((10, "k"), (10, "k"), (9, "k"), (1, "l"))
    ]
    outcomes = ["recorded", "duplicate", "conflict", "refused" if limited else "recorded"]
    assert [a.outcome for a in answers] == outcomes
    assert {a.quantity for a in answers} == {None}
    assert {a.period_start for a in answers} == {today().replace(day=1)}
    assert {a.remaining for a in answers} == {0 if limited else None}
    assert ledger.record("a", "m", 10, idempotency_key="k", total=None).quantity == (10 if limited else 11)


def test_a_refusal_leaves_the_callers_transaction_alive(ledger: Ledger, new_ledger: NewLedger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 10)
    caller = new_ledger("caller", autocommit=False)
    caller.record("a", "m", 9)
    assert caller.record("a", "m", 2).outcome == "refused"
    assert caller.record("a", "m", 1).outcome == "recorded"
    caller.connection.commit()
    assert ledger.usage("a", "m").quantity == 10


def test_batches_are_decided_in_order_and_on_refused_raise_refuses_the_whole(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.define("free", "sum")
    limit(ledger, 10)
    batch = [{"subject": "a", "metric": "m", "quantity": q} for q in (6, 5, 4, 1, 0)]
    batch.insert(2, {"subject": "a", "metric": "free", "quantity": 99})
    with refused("UM003"):
        ledger.call("record_batch", events=Jsonb(batch), on_refused="raise")
    assert ledger.usage("a", "free").event_count == 0
    answers = ledger.call("record_batch", events=Jsonb(batch))
    assert [a.outcome for a in answers] == [
        "recorded",
        "refused",
        "recorded",
        "recorded",
        "refused",
        "recorded",
    ]
    assert [a.ordinal for a in answers] == [1, 2, 3, 4, 5, 6]
    assert {a.sqlstate for a in answers if a.outcome == "refused"} == {"UM003"}
    assert ledger.usage("a", "m").quantity == 10
    assert ledger.verify() == []


def test_a_key_of_a_refused_event_may_be_owned_by_a_later_one_of_the_batch(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 10)
    batch = [{"subject": "a", "metric": "m", "quantity": q, "idempotency_key": "k"} for q in (11, 7, 7, 8)]
    outcomes = [o.outcome for o in ledger.batch(batch)]
    assert outcomes == ["refused", "recorded", "duplicate", "conflict"]
    assert ledger.value("SELECT count(*) FROM meter.keys") == 1
    assert ledger.verify() == []


def test_a_refused_first_event_leaves_no_trace_but_the_notification(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.define("seats", "unique")
    limit(ledger, 0)
    limit(ledger, 0, "seats")
    assert ledger.record("ghost", "m", 1, idempotency_key="k").outcome == "refused"
    assert ledger.record("ghost", "seats", member="u", idempotency_key="k").outcome == "refused"
    assert (
        ledger.batch([{"subject": "ghost", "metric": "m", "quantity": 1, "idempotency_key": "k"}])[0].event_id
        is None
    )
    assert all(rows == [] for rows in ledger.state().values())
    assert ledger.call("subjects") == []
    assert {row.event_count for row in ledger.call("summary", subject="ghost")} == {0}
    assert ledger.call("events", subject="ghost") == []
    assert ledger.verify() == []
    assert {n.subject for n in ledger.call("notifications", type="limit.refused")} == {"ghost"}


# ------------------------------------------------------------------------------------------------- marks


@pytest.mark.parametrize("how", ["record", "batch", "overflow"])
def test_marks_fire_once_at_the_first_decision_at_or_beyond_them(ledger: Ledger, how: str) -> None:
    ledger.define("m", "sum")
    limit(ledger, 1000)

    def use(quantity: int, subject: str) -> None:
        if how == "record":
            ledger.record(subject, "m", quantity)
        else:
            events = Jsonb([{"subject": subject, "metric": "m", "quantity": quantity}])
            ledger.call("record_batch", events=events, overflow=how == "overflow")

    use(799, "a")
    assert told(ledger) == []
    use(1, "a")
    assert told(ledger) == [("threshold.approaching", 80)]
    use(50, "a")
    use(149, "a")
    assert told(ledger) == [("threshold.approaching", 80)]
    use(1, "a")
    assert told(ledger) == [("threshold.approaching", 80), ("threshold.exceeded", 100)]
    use(700, "b")
    use(300, "b")
    assert told(ledger)[2:] == [("threshold.approaching", 80), ("threshold.exceeded", 100)]
    data = ledger.call("notifications", type="threshold.exceeded", subject="b")[0].data
    assert (data["numerator"], data["denominator"], data["unit"]) == (1000, 1000, "unit")


@pytest.mark.parametrize("newest_first", [False, True])
def test_notifications_are_paged_from_either_end(ledger: Ledger, newest_first: bool) -> None:
    ledger.define("m", "sum")
    ledger.call("set_limit", metric="m", quota=1, action="block")
    for subject in "abcde":
        ledger.record(subject, "m", 2)
    seen: list[Any] = []
    while page := ledger.call(
        "notifications",
        type="limit.refused",
        max_rows=2,
        newest_first=newest_first,
        **({"after_id": seen[-1].notification_id} if seen else {}),
    ):
        seen += page
    assert [row.subject for row in seen] == sorted("abcde", reverse=newest_first)
    with pytest.raises(psycopg.errors.NullValueNotAllowed):
        ledger.rows("SELECT meter.notifications(newest_first => null)")


def test_limit_refused_is_written_once_a_period(ledger: Ledger) -> None:
    ledger.define("m", "sum", period="day")
    limit(ledger, 10, marks=[], since=today(days=-9))
    for moment in (today(), today(), today(days=-1), today(days=-1)):
        assert ledger.record("a", "m", 11, at=moment).outcome == "refused"
    assert told(ledger) == [("limit.refused", None)] * 2


def test_alert_refuses_nothing_and_fires_at_each_further_step_and_none_does_neither(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100, action="alert", marks=[100], every=50)
    ledger.define("n", "sum")
    limit(ledger, 100, "n", action="none", every=10)
    for _ in range(5):
        assert ledger.record("a", "m", 60).outcome == "recorded"
        assert ledger.record("a", "n", 60).outcome == "recorded"
    assert told(ledger) == [
        ("threshold.exceeded", 100),  # 120
        ("threshold.exceeded", 1),  # 180
        ("threshold.exceeded", 2),  # 240
        ("threshold.exceeded", 4),  # 300
    ]


def test_a_mark_that_is_rolled_back_has_not_fired(ledger: Ledger, new_ledger: NewLedger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100)
    caller = new_ledger("caller", autocommit=False)
    caller.record("a", "m", 90)
    caller.connection.rollback()
    assert told(ledger) == []
    ledger.record("a", "m", 90)
    assert told(ledger) == [("threshold.approaching", 80)]


def test_marks_fire_again_for_a_cycle_that_is_moved_and_not_for_one_that_begins_when_it_did(
    ledger: Ledger,
) -> None:
    """A cycle that begins at another time is another period, with its own usage."""
    ledger.define("m", "sum")
    limit(ledger, 100, period="cycle", marks=[80], since=today(days=-100))
    start = today(days=-12)
    ledger.call("set_billing_cycle", subject="a", anchor=start, since=start)
    ledger.record("a", "m", 85, at=today(days=-2))
    assert told(ledger) == [("threshold.approaching", 80)]
    ledger.call("set_billing_cycle", subject="a", anchor=start, every="year", since=start)
    ledger.record("a", "m", 1)
    assert told(ledger) == [("threshold.approaching", 80)]
    for days, fires in ((-6, True), (-1, False)):
        moved = today(days=days)
        ledger.call("set_billing_cycle", subject="a", anchor=moved, since=moved)
        before = len(told(ledger))
        ledger.record("a", "m", 1)
        assert len(told(ledger)) - before == fires


# --------------------------------------------------------------------------------- all kinds of metrics


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("period", "rollup", "of"),
    covering(2, PERIODS, ROLLUPS, [None, "day", "cycle", "90 minutes", "3 days"]),
)
def test_limits_hold_whatever_the_period_and_rollup(
    ledger: Ledger, period: str, rollup: str, of: str | None
) -> None:
    ledger.define("m", "sum", period=period, rollup=rollup)
    limit(ledger, 10, period=of)
    moment = ledger.value("SELECT clock_timestamp()")
    for quantity, outcome in (
        (4, "recorded"),
        (4, "recorded"),
        (3, "refused"),
        (2, "recorded"),
        (1, "refused"),
    ):
        assert ledger.record("a", "m", quantity, at=moment).outcome == outcome
    ledger.record("a", "m", 1, at=today(days=-70))
    assert ledger.record("a", "m", 1, at=moment).outcome == "refused"
    assert ledger.verify() == []


@pytest.mark.parametrize("aggregate", ["sum", "unique", "max"])
def test_striped_metrics_are_limited_too(ledger: Ledger, new_ledger: NewLedger, aggregate: str) -> None:
    ledger.define("m", aggregate, striped=True)
    sessions = [new_ledger(f"session {n}") for n in range(3)]
    values = [{"member": f"u{n}"} if aggregate == "unique" else {"quantity": 1} for n in range(6)]
    for n in range(3):
        sessions[n].record("a", "m", **values[n])
    limit(ledger, 4 if aggregate != "max" else 1)
    outcomes = [sessions[n % 3].record("a", "m", **values[n]).outcome for n in range(3, 6)]
    assert outcomes == (["recorded", "refused", "refused"] if aggregate != "max" else ["recorded"] * 3)
    ledger.upkeep()
    assert ledger.verify() == []


def test_reported_metrics_are_limited_and_queue_what_is_admitted(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.execute("UPDATE meter.metrics SET billers = '{x}', revision = revision + 1")
    limit(ledger, 10)
    for quantity in (6, 6, 4):
        ledger.record("a", "m", quantity)
    queued = ledger.value("SELECT array_agg(event_id ORDER BY event_id) FROM meter.unreported")
    assert queued == ledger.value("SELECT array_agg(event_id ORDER BY event_id) FROM meter.events")
    assert len(queued) == 2


@pytest.mark.parametrize("rollup", ["minute", "day", "none"])
def test_rebuild_and_a_change_of_the_rollup_keep_limits_right(ledger: Ledger, rollup: str) -> None:
    ledger.define("m", "sum")
    limit(ledger, 10)
    limit(ledger, 9, period="4 hours", name="trailing")
    ledger.record("a", "m", 5)
    ledger.define("m", "sum", rollup=rollup)
    assert ledger.record("a", "m", 5).outcome == "refused"
    ledger.tamper("total = 1")
    ledger.rebuild()
    assert ledger.record("a", "m", 5).outcome == "refused"
    assert ledger.record("a", "m", 4).remaining == 0
    assert ledger.verify() == []


def test_decimals_are_exact(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, Decimal("0.3"))
    for outcome in ("recorded", "recorded", "recorded", "refused"):
        assert ledger.record("a", "m", Decimal("0.1")).outcome == outcome


def test_events_ahead_of_the_clock_meet_the_limit_of_their_period(ledger: Ledger) -> None:
    ledger.define("m", "sum", period="day")
    limit(ledger, 10)
    ahead = datetime.now(UTC) + timedelta(hours=23)
    assert ledger.record("a", "m", 6, at=ahead).outcome == "recorded"
    assert ledger.record("a", "m", 6, at=ahead).outcome == "refused"
    assert ledger.record("a", "m", 4, at=ahead).outcome == "recorded"
    assert ledger.verify() == []


def test_a_known_member_is_admitted_although_its_month_was_dropped(ledger: Ledger) -> None:
    """Seats for ever: what adds nothing is never refused."""
    ledger.define("m", "unique", period="never")
    ledger.record("a", "m", member="u", at=today(days=-400))
    ledger.upkeep()
    limit(ledger, 1)
    ledger.upkeep(keep="100 days")
    assert ledger.value("SELECT count(*) FROM meter.events") == 0
    assert ledger.record("a", "m", member="u").outcome == "recorded"
    assert ledger.record("a", "m", member="v").outcome == "refused"


@pytest.mark.parametrize("of", ["never", "400 days", "year", "cycle"])
@pytest.mark.parametrize(
    "kind", ["month hour", "month none", "week day", "day minute", "minute none", "year hour"]
)
def test_a_member_of_a_dropped_month_is_known_in_limits_of_other_periods(
    ledger: Ledger, of: str, kind: str
) -> None:
    """The month is dropped, the window is a piece of rollups: of the year, or of a cycle that is a year."""
    period, rollup = kind.split()
    ledger.define("m", "unique", period=period, rollup=rollup)
    then = today(days=-130)
    inside = then + timedelta(hours=10)
    ledger.call("set_billing_cycle", subject="a", anchor=then - timedelta(days=60), every="year")
    ledger.record("a", "m", member="u", at=inside)
    ledger.record("a", "m", member="old", at=then - timedelta(days=800))
    ledger.upkeep()
    limit(ledger, 2 if of == "never" else 1, period=of, since=then - timedelta(days=900))
    ledger.upkeep(keep="100 days")
    assert ledger.value("SELECT count(*) FROM meter.events") == 0
    now = ledger.value("SELECT clock_timestamp()")
    if of == "year" and inside.year != now.year:
        now = inside.replace(month=12, day=31)
    assert ledger.record("a", "m", member="u", at=now).outcome == "recorded"
    assert ledger.record("a", "m", member="v", at=now).outcome == "refused"
    assert ledger.record("a", "m", member="old", at=now).outcome == (
        "recorded" if of == "never" else "refused"
    )


@pytest.mark.parametrize("aggregate", ["sum", "unique", "last"])
@pytest.mark.parametrize("rollup", ["minute", "hour", "day", "none"])
def test_a_question_about_the_past_does_not_count_what_came_after_in_a_trailing_window(
    ledger: Ledger, rollup: str, aggregate: str
) -> None:
    ledger.define("m", aggregate, rollup=rollup)
    limit(ledger, 1, period="40 days", since=today(days=-100))
    now = ledger.value("SELECT clock_timestamp()")
    for hours in (3, 1):
        values = {"member": f"u{hours}"} if aggregate == "unique" else {"quantity": hours}
        ledger.record("a", "m", at=now - timedelta(hours=hours), overflow=True, **values)
    expected = {
        "sum": {0: 4, 0.5: 4, 2: 3, 5: 0},
        "unique": {0: 2, 0.5: 2, 2: 1, 5: 0},
        "last": {0: 1, 0.5: 1, 2: 3, 5: 0},
    }
    for hours, used in expected[aggregate].items():
        then = now - timedelta(hours=hours)
        answer = status(ledger, now=then)
        assert (answer.used, answer.overrun, answer.until) == (used, max(used - 1, 0), then)
        beyond = ledger.call("overruns", now=then)
        assert [(o.used, o.until, o.cause) for o in beyond] == (
            [(used, then, "overflow")] if used > 1 else []
        )
    assert status(ledger).until is None
    values = {"member": "ahead"} if aggregate == "unique" else {"quantity": 3}
    ledger.record("a", "m", at=now + timedelta(hours=2), overflow=True, **values)
    assert status(ledger).used == {"sum": 7, "unique": 3, "last": 3}[aggregate]
    assert [o.until for o in ledger.call("overruns")] == [None]


@pytest.mark.parametrize("kind", ["month hour", "month day", "day none", "never none", "week none"])
def test_a_cycle_that_began_within_an_hour_of_a_dropped_month_counts_that_hour_whole(
    ledger: Ledger, kind: str
) -> None:
    """Or the bucket of the rollup, if it is longer."""
    period, rollup = kind.split()
    ledger.define("m", "sum", period=period, rollup=rollup)
    ledger.define("seats", "unique", period=period, rollup=rollup)
    hour = today(days=-130, hours=5)
    ledger.call("set_billing_cycle", subject="a", anchor=hour + timedelta(minutes=30), every="year")
    for minute in (10, 50):
        ledger.record("a", "m", 10, at=hour + timedelta(minutes=minute))
        ledger.record("a", "seats", member=f"u{minute}", at=hour + timedelta(minutes=minute))
    for metric, quota in (("m", 30), ("seats", 2)):
        limit(ledger, quota, metric, period="cycle", since=today(days=-900))
        assert status(ledger, metric=metric).used == quota / (3 if metric == "m" else 2)
    ledger.upkeep()
    ledger.upkeep(keep="100 days")
    assert ledger.value("SELECT count(*) FROM meter.events") == 0
    for metric, used in (("m", 20), ("seats", 2)):
        assert (status(ledger, metric=metric).used, status(ledger, metric=metric).overrun) == (used, 0)
    assert ledger.record("a", "m", 11).outcome == "refused"
    assert ledger.record("a", "m", 10).outcome == "recorded"
    if kind == "month hour":
        for member, outcome in (("u50", "recorded"), ("u10", "recorded"), ("new", "refused")):
            assert ledger.record("a", "seats", member=member).outcome == outcome
    late = hour + timedelta(days=2)
    event = {"subject": "a", "metric": "m", "quantity": 1, "at": late}
    assert ledger.batch([event])[0].outcome == "refused"
    over = ledger.call("record_batch", events=as_jsonb([event]), overflow=True)
    assert [o.outcome for o in over] == ["recorded"]
    assert [(o.used, o.overrun) for o in ledger.call("overruns")] == [(31, 1)]


# ------------------------------------------------------------------------------------------------ cycles


def test_cycles_of_an_anchor_on_the_31st_are_the_last_day_of_a_short_month(ledger: Ledger) -> None:
    anchor = datetime(2026, 1, 31, 10, tzinfo=UTC)
    ledger.call("set_billing_cycle", subject="a", anchor=anchor)
    starts = [
        ledger.value(
            "SELECT lower(meter.billing_cycle('a', %s))",
            [datetime(2026, month, 28, 12, tzinfo=UTC) + timedelta(days=4)],
        )
        for month in (1, 2, 3, 4)
    ]
    assert [s.astimezone(UTC).strftime("%m-%d %H") for s in starts] == [
        "01-31 10",
        "02-28 10",
        "03-31 10",
        "04-30 10",
    ]


def test_cycles_tile_also_where_the_rule_changes_and_a_limit_of_a_cycle_follows(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 10, period="cycle", since=datetime(2020, 1, 1, tzinfo=UTC))
    ledger.call(
        "set_billing_cycle", subject="a", anchor=datetime(2025, 1, 31, tzinfo=UTC), timezone="Europe/Berlin"
    )
    ledger.call(
        "set_billing_cycle",
        subject="a",
        anchor=datetime(2025, 5, 13, tzinfo=UTC),
        every="week",
        since=datetime(2025, 5, 10, tzinfo=UTC),
    )
    at = datetime(2024, 11, 5, tzinfo=UTC)
    for _ in range(20):
        cycle = ledger.row(
            "SELECT lower(c) AS since, upper(c) AS until FROM meter.billing_cycle('a', %s) c", [at]
        )
        before = ledger.value(
            "SELECT upper(meter.billing_cycle('a', %s))", [cycle.since - timedelta(microseconds=1)]
        )
        assert before == cycle.since <= at < cycle.until
        ledger.record("a", "m", 10, at=cycle.since)
        assert ledger.record("a", "m", 1, at=cycle.until - timedelta(microseconds=1)).outcome == "refused"
        at = cycle.until


def test_a_key_twice_in_a_batch_is_refused_twice_if_neither_fits(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 0)
    event = {"subject": "a", "metric": "m", "quantity": 1, "idempotency_key": "k"}
    assert [o.outcome for o in ledger.batch([event, event])] == ["refused", "refused"]
    assert ledger.value("SELECT count(*) FROM meter.keys") == 0


def test_of_a_time_to_come_the_limits_are_those_that_are_planned(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100)
    limit(ledger, 200, subject="a", since=datetime.now(UTC) + timedelta(days=40))
    later = datetime.now(UTC) + timedelta(days=80)
    quotas = {
        at: [
            row.quota for row in ledger.call("effective_limits", subject="a", metric="m", at=at) if row.counts
        ]
        for at in (datetime.now(UTC), later)
    }
    assert list(quotas.values()) == [[100], [200]]


def test_a_list_of_an_unknown_metric_or_plan_is_refused(ledger: Ledger) -> None:
    for function, given, code in (
        ("limits", {"metric": "nope"}, "UM001"),
        ("limits", {"plan": "nope"}, "UM007"),
        ("overruns", {"metric": "nope"}, "UM001"),
    ):
        with pytest.raises(psycopg.Error) as raised:
            ledger.call(function, **given)
        assert raised.value.sqlstate == code
