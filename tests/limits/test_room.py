"""What recording notes of the limits in the row of a series never lets an event pass that a limit refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def limit(ledger: Ledger, quota: Any, metric: str = "m", **named: Any) -> Any:
    return ledger.call("set_limit", metric=metric, quota=quota, **named)[0]


def overflow(ledger: Ledger, *events: dict[str, Any]) -> None:
    given = [{"subject": "a", "metric": "m", **event} for event in events]
    assert {o.outcome for o in ledger.call("record_batch", events=Jsonb(given), overflow=True)} == {
        "recorded"
    }


def month() -> datetime:
    return datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


@pytest.mark.parametrize("whose", ["everyone", "subject"])
@pytest.mark.parametrize("how", ["late batch", "rebuild"])
def test_p11_what_opens_a_series_without_a_decision_does_not_take_it_for_checked(
    ledger: Ledger, whose: str, how: str
) -> None:
    """Between set_limit() and the next decision comes a batch that overflows, or rebuild()."""
    ledger.define("m", "sum")
    limit(ledger, None)
    ledger.record("a", "m", 10)
    limit(ledger, 100, **({"subject": "a"} if whose == "subject" else {}))
    if how == "rebuild":
        ledger.tamper("total = total + 1")
        assert ledger.rebuild() > 0
    else:
        overflow(ledger, {"quantity": 1, "at": LONG_AGO.isoformat()})
    assert ledger.record("a", "m", 100).outcome == "refused"
    assert ledger.record("a", "m", 90).outcome == "recorded"


@pytest.mark.parametrize("how", ["record", "overflow", "batch", "overflowing batch"])
def test_p11_a_late_event_does_not_hide_a_trailing_limit(ledger: Ledger, how: str) -> None:
    """The late event is older than the window that ends now, but of the period that is open."""
    ledger.define("m", "sum", period="never", rollup="hour")
    limit(ledger, 100, period="2 hours")
    ledger.record("a", "m", 60)
    late = datetime.now(UTC) - timedelta(hours=12)
    if how == "record":
        ledger.record("a", "m", 500, at=late)
    elif how == "overflow":
        ledger.record("a", "m", 500, at=late, overflow=True)
    elif how == "batch":
        ledger.batch([{"subject": "a", "metric": "m", "quantity": 500, "at": late}])
    else:
        overflow(ledger, {"quantity": 500, "at": late.isoformat()})
    assert ledger.record("a", "m", 60).outcome == "refused"
    assert ledger.record("a", "m", 40).outcome == "recorded"


def test_remaining_is_null_without_a_limit_and_never_negative(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100, subject="b", action="alert", marks=[])
    for turn in range(3):
        answer = ledger.record("a", "m", 60)
        assert (answer.remaining, answer.limited_by) == (None, None), turn
    for left in (40, 0, 0, 0):
        answer = ledger.record("b", "m", 60)
        assert (answer.remaining, answer.limited_by) == (left, "default")


def test_remaining_has_no_trailing_zeros_on_either_way(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100, marks=[])
    for quantity in ("0.50", "0.50"):
        assert "." not in str(ledger.record("a", "m", quantity).remaining) or quantity == "0.50"
    assert str(ledger.record("a", "m", "1.00").remaining) == "98"


@pytest.mark.parametrize("how", ["duplicate", "conflict"])
def test_a_repeat_tells_what_the_limit_leaves(ledger: Ledger, how: str) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100)
    ledger.record("a", "m", 60, idempotency_key="k")
    repeat = ledger.record("a", "m", 60 if how == "duplicate" else 61, idempotency_key="k")
    assert (repeat.outcome, repeat.quantity, repeat.remaining, repeat.limited_by) == (how, 60, 40, "default")


def told(ledger: Ledger) -> list[str]:
    return [row.type for row in ledger.call("notifications", subject="a")]


def test_a_trailing_limit_tells_of_its_refusals_once_in_its_window(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100, subject="a", period="5 hours", marks=[])
    ledger.record("a", "m", 95)
    for _ in range(3):
        assert ledger.record("a", "m", 10).outcome == "refused"
    assert told(ledger) == ["limit.refused"]


def test_a_trailing_mark_fires_again_after_its_usage_has_left_the_window(ledger: Ledger) -> None:
    """The window moves by whole hours, so the test moves the mark: it fired for usage that is gone."""
    ledger.define("m", "sum")
    limit(ledger, 100, subject="a", period="5 hours", marks=[80])
    ledger.record("a", "m", 10)
    ledger.execute(
        "INSERT INTO meter.fired_marks (limit_id, subject, period_start, kind, mark)"
        " SELECT limit_id, subject, '-infinity', 'mark', 80 FROM meter.limits"
    )
    ledger.record("a", "m", 85)
    assert told(ledger) == ["threshold.cleared", "threshold.approaching"]


def test_steps_never_fire_on_the_way_down(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100, subject="a", action="alert", marks=[], every=10)
    ledger.record("a", "m", 135)
    ledger.execute("UPDATE meter.fired_marks SET mark = 5")
    ledger.record("a", "m", 1)
    assert told(ledger) == ["threshold.exceeded"]
    ledger.record("a", "m", 30)
    assert told(ledger) == 2 * ["threshold.exceeded"]


def test_a_repeat_in_a_batch_that_overflows_is_not_the_cause_of_an_overrun(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 50, idempotency_key="k")
    limit(ledger, 10)
    event = {"subject": "a", "metric": "m", "quantity": 50, "idempotency_key": "k"}
    assert [o.outcome for o in ledger.call("record_batch", events=Jsonb([event]), overflow=True)] == [
        "duplicate"
    ]
    assert [row.cause for row in ledger.call("overruns")] == ["limit"]


def events_of(ledger: Ledger, quantities: list[int], moments: list[datetime]) -> None:
    overflow(
        ledger,
        *({"quantity": q, "at": moment.isoformat()} for q, moment in zip(quantities, moments, strict=True)),
    )


@pytest.mark.parametrize("period", ["minute", "cycle"])
@pytest.mark.parametrize("ago", [2, 30, 24 * 70], ids="{} hours".format)
def test_a_batch_that_overflows_fires_the_marks_of_every_period_within_an_hour(
    ledger: Ledger, period: str, ago: int
) -> None:
    """The period that is beyond its quota is not the last of the hour; a cycle is cut within a minute."""
    ledger.define("m", "sum")
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=ago)
    cut = hour + timedelta(minutes=10, seconds=20)
    limit(ledger, 10, period=period, marks=[100], since=LONG_AGO)
    ledger.call("set_billing_cycle", subject="a", anchor=cut)
    early = cut - timedelta(seconds=1 if period == "cycle" else 120)
    events_of(ledger, [12, 3, 4], [early, cut, cut + timedelta(seconds=1)])
    assert told(ledger) == ["threshold.exceeded"]
    assert [row.cause for row in ledger.call("overruns", now=early)] == ["overflow"]


def test_a_batch_that_overflows_clears_trailing_marks_before_it_counts(ledger: Ledger) -> None:
    """The window moves by whole hours, so the test moves the mark: it fired for usage that is gone."""
    ledger.define("m", "sum")
    limit(ledger, 100, subject="a", period="5 hours", marks=[80])
    ledger.record("a", "m", 10)
    ledger.execute(
        "INSERT INTO meter.fired_marks (limit_id, subject, period_start, kind, mark)"
        " SELECT limit_id, subject, '-infinity', 'mark', 80 FROM meter.limits"
    )
    overflow(ledger, {"quantity": 85})
    assert told(ledger) == ["threshold.cleared", "threshold.approaching"]


@pytest.mark.parametrize("rollup", ["minute", "hour"])
def test_usage_that_leaves_a_trailing_window_is_noticed_within_the_hour(ledger: Ledger, rollup: str) -> None:
    """The length of the window is chosen so that an hour leaves it in two seconds."""
    ledger.define("m", "sum", period="never", rollup=rollup)
    ledger.execute("SELECT pg_sleep(11) WHERE extract(epoch FROM clock_timestamp())::integer % 3600 > 3585")
    now = ledger.value("SELECT clock_timestamp()")
    leaves = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    length = int((now - leaves).total_seconds()) + 2
    limit(ledger, 100, period=f"{length} seconds", marks=[])
    ledger.record("a", "m", 60, at=leaves - timedelta(minutes=30))
    assert [ledger.record("a", "m", 1).remaining for _ in range(3)] == [39, 38, 37]
    ledger.execute("SELECT pg_sleep_until(%s)", [leaves + timedelta(seconds=length)])
    assert [ledger.record("a", "m", 1).remaining for _ in range(2)] == [96, 95]
