"""The word cycle wherever a question takes a period: the subject's billing cycle that contains now."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.helpers import Ledger, at, refused

NOW = at("2026-06-18 12:00")
SINCE, UNTIL = at("2026-06-09 18:30"), at("2026-07-09 18:30")


@pytest.fixture
def used(ledger: Ledger) -> Ledger:
    """A subject whose cycle begins on the 10th at midnight in India: 2 + 8 used in it, 1 + 4 around it."""
    ledger.define("m", "sum", "token", max_future="1000 days")
    for quantity, moment in enumerate(
        (SINCE - timedelta(seconds=1), SINCE, UNTIL, UNTIL - timedelta(seconds=1))
    ):
        ledger.record("a", "m", 2**quantity, at=moment, metadata={"model": str(quantity)})
    ledger.call("set_billing_cycle", subject="a", anchor=at("2026-01-09 18:30"), timezone="Asia/Kolkata")
    return ledger


@pytest.mark.parametrize("word", ["cycle", "CYCLE", "  Cycle "])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_every_question_takes_cycle_as_a_period(used: Ledger, word: str, zone: str) -> None:
    asked = {"period": word, "timezone": zone, "now": NOW}
    total = used.usage("a", "m", **asked)
    assert (total.quantity, total.event_count, total.since, total.until) == (10, 2, SINCE, UNTIL)
    assert used.call("summary", subject="a", **asked) == [total]
    groups = used.call("usage_by", subject="a", metric="m", dimension="model", **asked)
    assert [tuple(group) for group in groups] == [("3", 8, 1), ("1", 2, 1)]
    status = used.call("check_quota", subject="a", metric="m", quota=11, requested=2, **asked)[0]
    assert (status.allowed, status.used, status.since, status.until) == (False, 10, SINCE, UNTIL)


def test_without_now_the_cycle_is_that_of_the_clock(used: Ledger) -> None:
    expected = used.row("SELECT lower(c), upper(c) FROM meter.billing_cycle('a') c")
    total = used.usage("a", "m", period="cycle")
    assert (total.since, total.until) == tuple(expected)
    total = used.usage("a", "m", period="cycle", now=None)
    assert (total.since, total.until) == tuple(expected)


def test_a_subject_without_a_rule_is_asked_about_the_calendar_month(used: Ledger) -> None:
    total = used.usage("b", "m", period="cycle", timezone="Asia/Kolkata", now=NOW)
    assert (total.quantity, total.since, total.until) == (0, at("2026-06-01"), at("2026-07-01"))


@pytest.mark.parametrize("step", ["cycle", " CYCLE "])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_series_by_cycle_is_cut_to_its_window_and_tiles_across_a_change(
    used: Ledger, step: str, zone: str
) -> None:
    used.call("set_billing_cycle", subject="a", anchor=at("2026-07-20"), every="week", since=at("2026-07-12"))
    rows = used.call(
        "series",
        subject="a",
        metric="m",
        since=at("2026-06-01"),
        until=at("2026-07-22"),
        step=step,
        timezone=zone,
    )
    edges = [at("2026-06-01"), SINCE, UNTIL, at("2026-07-13"), at("2026-07-20"), at("2026-07-22")]
    assert [(row.bucket_start, row.bucket_end) for row in rows] == list(pairwise(edges))
    assert [row.quantity for row in rows] == [1, 10, 4, 0, 0]


def test_a_role_bound_to_a_subject_may_ask_by_cycle(used: Ledger) -> None:
    role = "pymeter_" + used.value("SELECT current_database()")
    asked: dict[str, Any] = {"period": "cycle", "now": NOW}
    series = {"subject": "a", "metric": "m", "since": SINCE, "until": UNTIL}
    used.execute(f'CREATE ROLE "{role}"')
    try:
        used.call("grant_access", role=role, level="read", subject="a")
        used.execute(f'SET ROLE "{role}"')
        answers = [
            used.call("own_usage", subject="a", metric="m", **asked)[0].quantity,
            used.call("own_summary", subject="a", **asked)[0].quantity,
            used.call("own_series", **series, step="cycle")[0].quantity,
            sum(
                g.quantity for g in used.call("own_usage_by", subject="a", metric="m", dimension="x", **asked)
            ),
        ]
        with refused("42501"):
            used.call("own_usage", subject="b", metric="m", **asked)
    finally:
        used.execute("RESET ROLE")
        used.execute(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')
    assert answers == [10, 10, 10, 10]


@pytest.mark.parametrize(
    ("given", "sqlstate", "parameter"),
    [
        ({"since": SINCE}, "22023", "period"),
        ({"until": UNTIL}, "22023", "period"),
        ({"now": "infinity"}, "22023", "now"),
        ({"now": at("9999-12-30")}, "22023", "now"),
        ({"timezone": "Mars"}, "22023", "timezone"),
        ({"timezone": None}, "22004", "timezone"),
    ],
)
def test_p8_the_other_arguments_are_checked_as_for_any_word(
    used: Ledger, given: dict[str, Any], sqlstate: str, parameter: str
) -> None:
    for function, more in (
        ("usage", {"metric": "m"}),
        ("summary", {}),
        ("usage_by", {"metric": "m", "dimension": "x"}),
        ("check_quota", {"metric": "m", "quota": 1}),
    ):
        with refused(sqlstate, parameter):
            used.call(function, subject="a", period="cycle", **more, **given)


@pytest.mark.parametrize(("function", "given"), [("resolve_window", {}), ("totals", {"metric": "m"})])
def test_where_there_is_no_subject_cycle_is_refused(
    used: Ledger, function: str, given: dict[str, str]
) -> None:
    for word in ("cycle", " CYCLE"):
        with refused("22023", "period") as caught:
            used.call(function, period=word, **given)
        assert "billing_cycle(subject)" in caught.value.diag.message_hint


def test_a_metric_has_no_period_cycle_and_a_step_no_other_word(used: Ledger) -> None:
    with refused("22023", "period"):
        used.define("n", "sum", period="cycle")
    for step in ("cycles", "1 cycle", "billing_cycle"):
        with refused("22023", "step"):
            used.call("series", subject="a", metric="m", since=SINCE, until=UNTIL, step=step)


def test_a_series_has_at_most_100_000_cycles(used: Ledger) -> None:
    used.call("set_billing_cycle", subject="z", anchor=at("0002-01-01"), every="week")
    with refused("22023", "step"):
        used.call(
            "series", subject="z", metric="m", since=at("0002-01-01"), until=at("2000-01-01"), step="cycle"
        )
    long: tuple[datetime, datetime] = (at("0100-01-01"), at("2000-01-01"))
    count = "SELECT count(*) FROM meter._series_buckets(%s, %s, 'cycle', 'UTC', 'z')"
    assert used.value(count, long) > 99_000
