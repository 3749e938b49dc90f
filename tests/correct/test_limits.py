"""Limits, marks, top-ups and reservations after corrections: as if usage had always been what it is now."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, Task, at_length, examples
from tests.limits import test_model as limits_model
from tests.limits import test_top_ups_model as top_ups_model

HISTORIES = int(os.environ.get("PYMETER_CORRECTED_HISTORIES", at_length(6, 200)))
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
NewLedger = Callable[..., Ledger]


def limit(ledger: Ledger, quota: Any, **named: Any) -> Any:
    return ledger.call("set_limit", metric="m", quota=quota, **named)[0]


def void(ledger: Ledger, event: Any, metric: str = "m", subject: str = "a") -> Any:
    named = {"subject": subject, "metric": metric, "event_id": event.event_id, "reason": "why"}
    return ledger.call("void_event", **named)[0]


def amend(ledger: Ledger, event: Any, **named: Any) -> Any:
    whose = {"subject": "a", "metric": "m", "event_id": event.event_id, "reason": "why"}
    return ledger.call("amend_event", **whose, **named)[0]


def adjust(ledger: Ledger, quantity: Any, **named: Any) -> Any:
    return ledger.call("adjust", subject="a", metric="m", quantity=quantity, reason="why", **named)[0]


def revert(ledger: Ledger, corrected: Any) -> None:
    ledger.call("revert_correction", id=corrected.correction_id, reason="why")


def staged(ledger: Ledger, *entries: dict[str, Any]) -> int:
    (number,) = ledger.call("open_correction", reason="why")[0]
    given_entries = [{"subject": "a", "metric": "m", **entry} for entry in entries]
    ledger.call("stage_correction", id=number, entries=Jsonb(given_entries))
    return int(number)


def told(ledger: Ledger, subject: str = "a") -> list[Any]:
    """Since the last time: type and mark, or step; without what tells of the correction itself."""
    seen = getattr(ledger, "seen", 0)
    rows = [row for row in ledger.call("notifications", subject=subject) if row.notification_id > seen]
    ledger.seen = max((row.notification_id for row in rows), default=seen)  # type: ignore[attr-defined]
    return [
        (row.type, row.data.get("mark", row.data.get("step")))
        for row in sorted(rows, key=lambda row: row.notification_id)
        if not row.type.startswith("correction.")
    ]


CLEARED, APPROACHING, EXCEEDED = "threshold.cleared", "threshold.approaching", "threshold.exceeded"


# -------------------------------------------------------------------------------------------------- marks


@pytest.mark.parametrize("period", [None, "day", "year", "cycle", "5 hours"])
def test_a_void_clears_the_marks_that_usage_fell_below_and_arms_them_again(
    ledger: Ledger, period: str | None
) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100, period=period)
    ledger.record("a", "m", 70)
    event = ledger.record("a", "m", 30)
    assert told(ledger) == [(APPROACHING, 80), (EXCEEDED, 100)]
    voided = void(ledger, event)
    assert sorted(told(ledger)) == [(CLEARED, 80), (CLEARED, 100)]
    ledger.record("a", "m", 10)
    assert told(ledger) == [(APPROACHING, 80)]
    revert(ledger, voided)
    assert told(ledger) == [(EXCEEDED, 100)]


def test_a_correction_that_stays_between_marks_tells_nothing(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100)
    event = ledger.record("a", "m", 85)
    told(ledger)
    amend(ledger, event, quantity=90)
    amend(ledger, ledger.row("SELECT max(event_id) AS event_id FROM meter.events"), metadata=Jsonb({"x": 1}))
    adjust(ledger, -3)
    assert told(ledger) == []


def test_a_correction_that_raises_usage_fires_marks_once_and_is_never_refused(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100)
    event = ledger.record("a", "m", 10)
    assert amend(ledger, event, quantity=85).outcome == "applied"
    assert told(ledger) == [(APPROACHING, 80)]
    assert adjust(ledger, 40).outcome == "applied"
    assert told(ledger) == [(EXCEEDED, 100)]
    number = staged(ledger, {"entry": "record", "quantity": 50})
    ledger.call("approve_correction", id=number)
    assert told(ledger) == []
    assert [(o.used, o.overrun, o.cause) for o in ledger.call("overruns")] == [(175, 75, "correction")]


def test_a_correction_looks_at_every_period_that_it_changes(ledger: Ledger) -> None:
    """Days of two months, by a limit of the day and one of the month; usage moves between them."""
    ledger.define("m", "sum")
    limit(ledger, 100, period="day", name="day", since=LONG_AGO, marks=[100])
    limit(ledger, 150, since=LONG_AGO, marks=[100])
    days = [datetime(2026, 3, 30, 12, tzinfo=UTC) + timedelta(days=n) for n in range(4)]
    events = [ledger.record("a", "m", 100, at=day, overflow=True) for day in days]
    told(ledger)
    number = staged(ledger, *({"entry": "void", "event_id": e.event_id} for e in events[:2]))
    ledger.call("approve_correction", id=number)
    rows = ledger.rows(
        "SELECT data ->> 'limit' AS name, (data ->> 'since')::timestamptz AS since FROM meter.notifications"
        " WHERE type = 'threshold.cleared' ORDER BY 1, 2"
    )
    midnights = [day.replace(hour=0) for day in days]
    assert [tuple(row) for row in rows] == [
        ("day", midnights[0]),
        ("day", midnights[1]),
        ("default", midnights[0].replace(day=1)),
    ]
    told(ledger)
    number = staged(ledger, {"entry": "amend", "event_id": events[2].event_id, "at": days[0].isoformat()})
    ledger.call("approve_correction", id=number)
    assert sorted(told(ledger)) == [(CLEARED, 100), (CLEARED, 100), (EXCEEDED, 100)]


def test_p3_few_looks_are_enough_for_many_rows(ledger: Ledger) -> None:
    """A limit of the month is looked at once for each month, however many hours are corrected."""
    ledger.define("m", "sum")
    limit(ledger, 10, since=LONG_AGO)
    limit(ledger, 10, period="cycle", name="cycle", since=LONG_AGO)
    times = [datetime(2026, 3, 30, tzinfo=UTC) + timedelta(hours=n) for n in range(100)]
    found = ledger.value(
        "SELECT meter._limited_times(m, 'a', %s) FROM meter.metrics m WHERE key = 'm'", [times]
    )
    assert found == [datetime(2026, 3, 31, 23, tzinfo=UTC), times[-1]]


def test_steps_are_armed_again_at_what_is_left(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100, action="alert", marks=[], every=10)
    event = ledger.record("a", "m", 30)
    ledger.record("a", "m", 125)
    assert told(ledger) == [(EXCEEDED, 5)]
    void(ledger, event)
    assert told(ledger) == []
    ledger.record("a", "m", 1)
    assert told(ledger) == []
    ledger.record("a", "m", 5)
    assert told(ledger) == [(EXCEEDED, 3)]


def test_the_first_refusal_after_a_correction_made_room_is_told_again(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100, marks=[])
    event = ledger.record("a", "m", 100)
    assert [ledger.record("a", "m", 1).outcome for _ in range(2)] == ["refused", "refused"]
    assert told(ledger) == [("limit.refused", None)]
    void(ledger, event)
    assert ledger.record("a", "m", 100).outcome == "recorded"
    assert ledger.record("a", "m", 1).outcome == "refused"
    assert told(ledger) == [("limit.refused", None)]


@pytest.mark.parametrize(
    ("aggregate", "values", "quota", "marks"),
    [("max", [50, 90], 100, 80), ("last", [50, 90], 100, 80), ("unique", ["x", "y"], 2, 100)],
)
def test_marks_of_what_does_not_add_up_are_cleared_and_fired(
    ledger: Ledger, aggregate: str, values: list[Any], quota: int, marks: int
) -> None:
    ledger.define("m", aggregate)
    limit(ledger, quota, marks=[marks])
    fired = EXCEEDED if marks == 100 else APPROACHING
    for value in values:
        member = value if aggregate == "unique" else None
        event = ledger.record("a", "m", None if member else value, member=member)
    assert told(ledger) == [(fired, marks)]
    voided = void(ledger, event)
    assert told(ledger) == [(CLEARED, marks)]
    revert(ledger, voided)
    assert told(ledger) == [(fired, marks)]


# --------------------------------------------------------------------------------------------- overruns


def test_the_cause_of_an_overrun_is_forgotten_with_it(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100, marks=[])
    event = ledger.record("a", "m", 120, overflow=True)
    assert [row.cause for row in ledger.call("overruns")] == ["overflow"]
    amend(ledger, event, quantity=90)
    assert ledger.call("overruns") == []
    adjust(ledger, 30)
    assert [row.cause for row in ledger.call("overruns")] == ["correction"]
    ledger.record("a", "m", 1, overflow=True)
    assert [row.cause for row in ledger.call("overruns")] == ["overflow"]


def test_a_correction_that_takes_away_is_not_the_cause_of_what_is_beyond(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    event = ledger.record("a", "m", 120)
    ledger.record("a", "m", 50)
    limit(ledger, 100, marks=[])
    amend(ledger, event, quantity=110)
    assert [(row.overrun, row.cause) for row in ledger.call("overruns")] == [(60, "limit")]


# ---------------------------------------------------------------------------------------------- preview


@pytest.mark.parametrize(
    ("aggregate", "values", "quota"),
    [("sum", [60, 60], 100), ("max", [50, 110], 100), ("last", [50, 110], 100), ("unique", ["x", "y"], 2)],
)
def test_preview_and_approve_name_the_limits_that_are_crossed(
    ledger: Ledger, aggregate: str, values: list[Any], quota: int
) -> None:
    ledger.define("m", aggregate)
    events = [
        ledger.record("a", "m", None if isinstance(v, str) else v, member=v if isinstance(v, str) else None)
        for v in values
    ]
    limit(ledger, quota)
    limit(ledger, quota * 2, name="far")
    number = staged(ledger, {"entry": "void", "event_id": events[1].event_id})
    preview = ledger.call("preview_correction", id=number)
    done = ledger.call("approve_correction", id=number)
    assert [row.limits for row in preview] == [["default"]]
    assert done == preview


def test_limits_of_other_periods_are_crossed_in_the_period_of_the_metric_that_changes(ledger: Ledger) -> None:
    ledger.define("m", "sum", period="day")
    day = datetime(2026, 3, 30, 12, tzinfo=UTC)
    limit(ledger, 100, period="month", name="month", since=LONG_AGO)
    limit(ledger, 100, period="year", name="year", since=LONG_AGO)
    limit(ledger, 40, period="hour", name="hour", since=LONG_AGO)
    limit(ledger, 40, period="minute", name="minute", since=LONG_AGO)  # within fine buckets: not told
    limit(ledger, 1, period="5 hours", name="now", since=LONG_AGO)
    for n in range(3):
        ledger.record("a", "m", 50, at=day + timedelta(days=n), overflow=True)
    number = staged(
        ledger,
        {"entry": "adjust", "quantity": -20, "at": day.isoformat()},
        {"entry": "adjust", "quantity": -40, "at": (day + timedelta(days=2)).isoformat()},
    )
    preview = ledger.call("preview_correction", id=number)
    assert [row.limits for row in preview] == [
        ["hour", "month", "year"],
        ["hour", "year"],
    ]
    assert ledger.call("approve_correction", id=number) == preview


# ------------------------------------------------------------------------------- reservations and top-ups


def test_a_void_gives_the_units_of_top_ups_back(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100)
    named = {"subject": "a", "metric": "m", "quantity": 50, "idempotency_key": "invoice"}
    ledger.call("top_up", **named)
    event = ledger.record("a", "m", 30)
    ledger.record("a", "m", 100)

    def asked() -> tuple[Any, ...]:
        b = ledger.call("balance", subject="a", metric="m", at=datetime.now(UTC))[0]
        return b.used, b.top_ups_left, b.remaining

    assert asked() == (130, 20, 20)
    voided = void(ledger, event)
    assert asked() == (100, 50, 50)
    assert ledger.record("a", "m", 51).outcome == "refused"
    revert(ledger, voided)
    assert asked() == (130, 20, 20)
    assert ledger.record("a", "m", 21).outcome == "refused"
    assert ledger.record("a", "m", 20).remaining == 0


def test_an_adjustment_gives_back_what_usage_before_took_from_top_ups(ledger: Ledger) -> None:
    """It takes away more than was used since the last boundary of a top-up. What it gives back stays."""
    ledger.define("m", "sum")
    limit(ledger, 100, since=LONG_AGO)
    day = datetime(2026, 3, 1, tzinfo=UTC)
    for key, since in (("one", day), ("two", day + timedelta(days=5))):
        named = {"idempotency_key": key, "since": since, "quantity": 50}
        ledger.call("top_up", subject="a", metric="m", **named)
    ledger.record("a", "m", 140, at=day + timedelta(days=1))
    ledger.record("a", "m", 10, at=day + timedelta(days=6))

    def left(days: int) -> tuple[Any, ...]:
        b = ledger.call("balance", subject="a", metric="m", at=day + timedelta(days=days))[0]
        return b.used, b.top_ups, b.top_ups_left, b.overrun

    assert (left(7), left(40)) == ((150, 100, 50, 0), (0, 100, 50, 0))
    credit = adjust(ledger, -30, at=day + timedelta(days=6, hours=1))
    assert (left(7), left(40)) == ((120, 100, 80, 0), (0, 100, 80, 0))
    assert left(2) == (140, 50, 10, 0)
    revert(ledger, credit)
    assert (left(7), left(40)) == ((150, 100, 50, 0), (0, 100, 50, 0))


def test_a_period_from_which_more_was_taken_than_used_has_more_than_its_quota(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100)
    adjust(ledger, -20)
    quota = ledger.call("check_quota", subject="a", metric="m")[0]
    assert (quota.used, quota.remaining) == (-20, 120)
    assert ledger.record("a", "m", 121).outcome == "refused"
    assert ledger.record("a", "m", 120).remaining == 0


def test_what_rolls_over_follows_a_correction_of_the_period_before(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100, since=LONG_AGO, rollover_max=50)
    this_month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    event = ledger.record("a", "m", 90, at=this_month - timedelta(days=3))
    for expected in (10, 50):
        b = ledger.call("balance", subject="a", metric="m", at=datetime.now(UTC))[0]
        assert (b.top_ups, b.remaining) == (expected, 100 + expected)
        assert ledger.record("a", "m", 101 + expected).outcome == "refused"
        if expected == 10:
            void(ledger, event)


def test_a_settled_reservation_is_voided_like_an_event_and_its_key_stays_spent(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100)
    named = {"subject": "a", "metric": "m", "quantity": 80}
    held = ledger.call("reserve", **named, idempotency_key="call")[0]
    event = ledger.call("settle", reservation_id=held.reservation_id, quantity=60)[0]
    assert event.event_id == held.reservation_id
    void(ledger, event)
    quota = ledger.call("check_quota", subject="a", metric="m")[0]
    assert (quota.used, quota.held, quota.remaining) == (0, 0, 100)
    again = ledger.call("settle", reservation_id=held.reservation_id, quantity=60)[0]
    assert again.outcome == "duplicate"
    assert ledger.call("reserve", **named, idempotency_key="call")[0].outcome == "duplicate"
    assert ledger.call("release", reservation_id=held.reservation_id)[0][0] != "released"
    assert ledger.usage("a", "m").quantity == 0


def test_a_reservation_with_the_key_of_a_voided_event_is_a_conflict(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100)
    void(ledger, ledger.record("a", "m", 60, idempotency_key="k"))
    named = {"subject": "a", "metric": "m", "quantity": 60, "idempotency_key": "k"}
    assert ledger.call("reserve", **named)[0].outcome == "conflict"
    quota = ledger.call("check_quota", subject="a", metric="m")[0]
    assert (quota.used, quota.held, quota.remaining) == (0, 0, 100)


def test_a_reservation_is_given_what_a_void_left(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100)
    event = ledger.record("a", "m", 90)
    named = {"subject": "a", "metric": "m", "quantity": 80}
    assert ledger.call("reserve", **named)[0].outcome == "refused"
    voided = void(ledger, event)
    held = ledger.call("reserve", **named)[0]
    assert (held.outcome, held.remaining) == ("held", 20)
    revert(ledger, voided)
    (overrun,) = ledger.call("overruns")
    assert (overrun.used, overrun.overrun, overrun.cause) == (90, 70, "correction")


# ------------------------------------------------------------------------------------------ at the same time


@pytest.mark.parametrize("change", ["adjust", "revert"])
def test_p11_who_records_while_usage_rises_by_a_correction_waits_and_then_counts_it(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Callable[..., None], change: str
) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100, marks=[])
    voided = void(ledger, ledger.record("a", "m", 40))
    ledger.record("a", "m", 30)
    assert ledger.record("a", "m", 30).remaining == 40  # room for 39 more is noted
    corrector = new_ledger("corrector", autocommit=False)
    recorder = new_ledger("recorder")
    if change == "adjust":
        adjust(corrector, 40)
    else:
        revert(corrector, voided)
    task = Task(lambda: recorder.record("a", "m", 30))
    wait_until_blocked(ledger.connection, "recorder")
    corrector.connection.commit()
    answer = task.result()
    assert (answer.outcome, answer.remaining) == ("refused", 0)


# --------------------------------------------------------------------------------- against a naive model


corrections = st.one_of(
    st.tuples(st.just("void"), st.integers(0, 50)),
    st.tuples(st.just("amend"), st.integers(0, 50), limits_model.quantities),
    st.tuples(st.just("revert"), st.integers(0, 50)),
)
adjustments = st.tuples(
    st.just("adjust"),
    limits_model.subjects,
    st.sampled_from(["tokens", "calls", "ever", "burst"]),
    st.integers(-30, 30),
    limits_model.ago,
)


class Correcting:
    """Beside a model's list of events: the rows that they are in a meter, and what was corrected."""

    ledger: Ledger

    def begin(self, events: list[dict[str, Any]]) -> None:
        self.events = events
        self.all: list[dict[str, Any]] = []
        self.done: list[tuple[int, list[dict[str, Any]], list[dict[str, Any]]]] = []

    def find(self) -> None:
        """The ids of what the model has admitted since."""
        known = {id(event) for event in self.all}
        for event in self.events:
            if id(event) in known:
                continue
            event["id"] = self.ledger.value(
                "SELECT min(event_id) FROM meter.logged_events WHERE (subject, metric, at) = (%s, %s, %s)"
                " AND quantity IS NOT DISTINCT FROM %s AND member IS NOT DISTINCT FROM %s"
                " AND kind = 'usage' AND event_id <> ALL (%s)",
                [
                    *(event[name] for name in ("subject", "metric", "at")),
                    event.get("quantity"),
                    event.get("member"),
                    [other["id"] for other in self.all],
                ],
            )
            assert event["id"] is not None
            self.all.append(event)

    def replace(self, gone: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
        self.all += [event for event in new if all(event is not other for other in self.all)]
        active = {id(event) for event in self.events} - {id(e) for e in gone} | {id(e) for e in new}
        self.events[:] = [event for event in self.all if id(event) in active]

    def _correct(self, function: str, event: dict[str, Any], gone: list[Any], **named: Any) -> Any:
        whose = {"subject": event["subject"], "metric": event["metric"]}
        answer = self.ledger.call(function, **whose, **named, reason="why")[0]
        new = [] if function == "void_event" else [{**event, "id": answer.event_id}]
        if answer.outcome == "applied":
            self.replace(gone, new)
            self.done.append((answer.correction_id, gone, new))
        return answer

    def void(self, number: int) -> None:
        self.find()
        if self.events:
            event = self.events[number % len(self.events)]
            assert self._correct("void_event", event, [event], event_id=event["id"]).outcome == "applied"

    def amend(self, number: int, quantity: Decimal) -> None:
        self.find()
        found = [e for e in self.events if e.get("quantity") is not None and not e.get("is_adjustment")]
        found = [e for e in found if e.get("idempotency_key") is None]
        if found:
            event = found[number % len(found)]
            changed = {**event, "quantity": quantity}
            self._correct("amend_event", changed, [event], event_id=event["id"], quantity=quantity)

    def revert(self, number: int) -> None:
        self.find()
        if self.done:
            correction, gone, new = self.done[number % len(self.done)]
            try:
                self.ledger.call("revert_correction", id=correction, reason="why")
            except psycopg.errors.InvalidParameterValue:
                return  # a later one stands in the way
            self.done.pop(number % len(self.done))
            self.replace(new, gone)


class LimitsHistory(Correcting, limits_model.History):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self.begin(self.model.events)

    def adjust(self, subject: str, metric: str, quantity: int, ago: int) -> None:
        self.find()
        event = self.event(
            {"subject": subject, "metric": metric, "quantity": Decimal(quantity), "ago": ago}
            | {"idempotency_key": None},
            self.now(),
        )
        event["is_adjustment"] = True
        named = {"quantity": quantity, "at": event["at"]}
        assert self._correct("adjust", event, [], **named).outcome == "applied"

    def compare(self) -> None:
        super().compare()
        for subject, metric in itertools.product(limits_model.SUBJECTS, limits_model.KINDS):
            # Usage of these falls only by corrections, which clear marks.
            if metric != "seats_last":
                self.assert_fired_marks_are_reached(subject + self.tag, metric + self.tag)

    def assert_fired_marks_are_reached(self, subject: str, metric: str) -> None:
        now = self.now()
        for check in self.model.checks(subject, metric, now, now):
            if check.until is not None or check.version.period == "never":
                fired = self.ledger.rows(
                    "SELECT mark FROM meter.fired_marks WHERE (limit_id, subject) = (%s, %s)"
                    " AND kind = 'mark' AND period_start = %s",
                    [check.version.limit_id, subject, max(check.since, datetime(1, 1, 2, tzinfo=UTC))],
                )
                assert all(check.used >= check.version.quota * mark / 100 for (mark,) in fired)


@pytest.mark.at_length
def test_p11_limits_are_answered_as_by_a_naive_model_that_forgets_what_was_corrected(ledger: Ledger) -> None:
    """Both ways of record(): answers, and what check_quota() says, are those of the events that are left."""
    operations = st.one_of(limits_model.operations, corrections, corrections, adjustments)

    @examples(HISTORIES)
    @given(
        st.lists(limits_model.limits, min_size=1, max_size=4), st.lists(operations, min_size=8, max_size=30)
    )
    def check(first: list[dict[str, Any]], then: list[tuple[Any, ...]]) -> None:
        history = LimitsHistory(ledger)
        for given_limit in first:
            history.limit(given_limit)
        for name, *arguments in then:
            getattr(history, name)(*arguments)
        history.compare()

    check()
    assert ledger.verify() == []


class TopUpsHistory(Correcting, top_ups_model.History):
    """Its ``void`` takes a top-up back; ``undo`` is that of an event."""

    def __init__(self, ledger: Ledger, kind: str) -> None:
        super().__init__(ledger, kind)
        self.begin(self.model.limits.events)

    def void(self, number: int) -> None:
        top_ups_model.History.void(self, number)

    def undo(self, number: int) -> None:
        Correcting.void(self, number)


@pytest.mark.at_length
@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(top_ups_model.KINDS))
def test_p11_top_ups_are_answered_as_by_a_naive_model_that_forgets_what_was_corrected(
    ledger: Ledger, kind: str
) -> None:
    operations = st.one_of(
        top_ups_model.operations,
        st.tuples(st.just("undo"), st.integers(0, 50)),
        st.tuples(st.just("amend"), st.integers(0, 50), st.integers(0, 40).map(Decimal)),
        st.tuples(st.just("revert"), st.integers(0, 50)),
    )

    @examples(HISTORIES)
    @given(st.lists(operations, min_size=6, max_size=24))
    def check(then: list[tuple[Any, ...]]) -> None:
        history = TopUpsHistory(ledger, kind)
        history.limit(20, False, top_ups_model.DAY * 70, (None, None))
        for name, *arguments in then:
            getattr(history, name)(*arguments)
        history.compare_all()

    check()
    assert ledger.verify() == []


@pytest.mark.at_length
def test_p11_after_adjustments_an_admitted_event_leaves_nothing_uncovered_that_was_covered(
    ledger: Ledger,
) -> None:
    """Adjustments may take away more than was used between the boundaries of two top-ups."""
    days = [datetime.now(UTC) - timedelta(days=n) for n in (70, 40, 20, 3, 0)]
    numbers = itertools.count()
    moments = st.integers(0, len(days) - 1)
    operations = st.one_of(
        st.tuples(st.just("record"), st.integers(1, 40), moments),
        st.tuples(st.just("record"), st.integers(1, 40), st.just(len(days) - 1)),
        st.tuples(st.just("adjust"), st.integers(-60, 20), moments),
        st.tuples(st.just("top_up"), st.integers(1, 30), moments),
    )

    @examples(HISTORIES)
    @given(st.lists(operations, min_size=6, max_size=20), st.sampled_from([None, 15]))
    def check(then: list[tuple[str, int, int]], rollover: int | None) -> None:
        metric = f"m{next(numbers)}"
        whose = {"subject": "a", "metric": metric}
        ledger.define(metric, "sum")
        ledger.call("set_limit", metric=metric, quota=50, since=LONG_AGO, rollover_max=rollover)

        def overrun() -> Decimal:
            """Of all periods."""
            now = datetime.now(UTC)
            months = {(day.year, day.month): day for day in days[:-1]} | {(now.year, now.month): now}
            ends = [
                now
                if day is now
                else (day.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0)
                - timedelta(hours=1)
                for day in months.values()
            ]
            balances = [ledger.call("balance", **whose, at=end)[0] for end in ends]
            return sum((b.overrun for b in balances), Decimal(0))

        for name, quantity, moment in then:
            day = days[moment] if moment < len(days) - 1 else datetime.now(UTC)
            if name == "adjust":
                ledger.call("adjust", **whose, quantity=quantity, at=day, reason="why")
            elif name == "top_up":
                key = f"k{next(numbers)}"
                lasts = {"expires_at": day + timedelta(days=30)} if quantity % 2 else {}
                ledger.call("top_up", **whose, quantity=quantity, idempotency_key=key, since=day, **lasts)
            else:
                left = ledger.call("check_quota", **whose, now=day)[0].remaining
                before = overrun()
                answer = ledger.record("a", metric, quantity, at=day)
                assert answer.outcome == ("recorded" if quantity <= left else "refused")
                if answer.outcome == "recorded":
                    assert overrun() <= before
                    assert answer.remaining == ledger.call("check_quota", **whose, now=day)[0].remaining

    check()
    assert ledger.verify() == []


# ----------------------------------------------------------------------------------------- notifications


def test_each_correction_tells_of_the_periods_that_it_changes(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.call("define_endpoint", name="hook", url="https://example.com/x", types=["usage.recorded", "*"])
    event = ledger.record("a", "m", 5)
    voided = void(ledger, event)
    void(ledger, event)  # a duplicate tells nothing
    revert(ledger, voided)
    number = staged(ledger, {"entry": "record", "quantity": 7})
    ledger.call("approve_correction", id=number)
    while ledger.call("plan_deliveries")[0][0]:
        pass
    rows = ledger.rows(
        "SELECT type, subject, metric, data FROM meter.notifications"
        " WHERE type LIKE 'correction.%%' OR type = 'usage.recorded'"
        " ORDER BY type = 'usage.recorded', notification_id"
    )
    assert [(r.type, r.data.get("before"), r.data.get("after"), r.data.get("delta")) for r in rows] == [
        ("correction.applied", 5, 0, -5),
        ("correction.reverted", 0, 5, 5),
        ("correction.applied", 5, 12, 7),
        ("usage.recorded", None, None, None),
    ]
    assert [r.data["correction_id"] for r in rows[:-1]] == [
        voided.correction_id,
        voided.correction_id,
        number,
    ]
    assert {(r.subject, r.metric) for r in rows} == {("a", "m")}


@pytest.mark.parametrize("aggregate", ["sum", "count", "avg", "min", "max", "last"])
@pytest.mark.parametrize("period", ["month", "hour"])
@pytest.mark.parametrize("left", [0, 1])
def test_both_ways_of_voiding_tell_the_same_and_recorded_usage_is_told_of_once(
    ledger: Ledger, aggregate: str, period: str, left: int
) -> None:
    """An event named by its key, or by its id alone."""
    ledger.define("m", aggregate, period=period)
    ledger.call("define_endpoint", name="hook", url="https://example.com/x", types=["usage.recorded"])
    moment = datetime.now(UTC)
    for subject in ("a", "b"):
        for quantity in [7, *[3, 12][: left * 2], 9]:
            event = ledger.record(subject, "m", quantity, at=moment, idempotency_key=f"k{quantity}")
            moment += timedelta(microseconds=1)
        for quantity in (9, 7):
            if subject == "a":
                named: dict[str, Any] = {"idempotency_key": f"k{quantity}"}
            else:
                named = {"event_id": event.event_id if quantity == 9 else event.event_id - 1 - 2 * left}
            told_of = ledger.call("void_event", subject=subject, metric="m", **named, reason="why")[0]
            assert told_of.outcome == "applied"
    while ledger.call("plan_deliveries")[0][0]:
        pass
    rows = ledger.rows(
        "SELECT subject, data - 'correction_id' AS data FROM meter.notifications"
        " WHERE type = 'correction.applied' ORDER BY notification_id"
    )
    of_a, of_b = ([row.data for row in rows if row.subject == subject] for subject in ("a", "b"))
    assert of_a == of_b
    assert len(of_a) == 2
    assert of_a[1]["before"] == of_a[0]["after"]
    recorded = ledger.value("SELECT count(*) FROM meter.notifications WHERE type = 'usage.recorded'")
    assert recorded == 2 * (2 + 2 * left)
    assert ledger.verify() == []
