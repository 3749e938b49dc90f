"""Marks that fire on the usage that is expected at the end of a period: judge_projections()."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at, refused

LONG_AGO = at("2026-01-01")
NOW = at("2026-06-16")  # the middle of June, a Tuesday
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def use(
    ledger: Ledger,
    subject: str = "a",
    *,
    since: datetime = NOW - 60 * DAY,
    until: datetime = NOW,
    metric: str = "tokens",
    quantity: Any = 10,
) -> None:
    """A quantity on every hour: 7,200 in a month of 30 days."""
    hours = [since + n * HOUR for n in range((until - since) // HOUR)]
    for first in range(0, len(hours), 1000):
        ledger.batch(
            [
                {"subject": subject, "metric": metric, "quantity": quantity, "at": hour}
                for hour in hours[first : first + 1000]
            ]
        )


def limit(ledger: Ledger, quota: Any, **named: Any) -> Any:
    given = {"metric": "tokens", "since": LONG_AGO, "projected": True, **named}
    return ledger.call("set_limit", quota=quota, **given)[0]


def judge(ledger: Ledger, now: datetime = NOW, **named: Any) -> int:
    return int(ledger.call("judge_projections", now=now, **named)[0][0])


def told(ledger: Ledger, type: str = "threshold.projected") -> list[Any]:
    return ledger.call("notifications", type=type, max_rows=1000)


def marks(ledger: Ledger) -> list[tuple[str, int]]:
    return [(row.subject, row.data["mark"]) for row in told(ledger)]


@pytest.fixture
def tokens(ledger: Ledger) -> Ledger:
    ledger.define("tokens", "sum", "token")
    return ledger


# ------------------------------------------------------------------------------------------ what fires


def test_a_mark_that_the_expected_usage_reaches_fires_before_usage_does(tokens: Ledger) -> None:
    use(tokens)
    version = limit(tokens, 8000)
    assert judge(tokens) == 1
    (row,) = told(tokens)
    assert (row.subject, row.metric) == ("a", "tokens")
    assert row.data == {
        "limit": "default",
        "limit_id": version.limit_id,
        "period": "month",
        "action": "block",
        "mark": 80,
        "numerator": 3600,
        "low": 7200,
        "expected": 7200,
        "high": 7200,
        "method": "weekday_profile",
        "denominator": 8000,
        "unit": "token",
        "since": "2026-06-01T00:00:00+00:00",
        "until": "2026-07-01T00:00:00+00:00",
    }
    assert told(tokens, "threshold.approaching") == told(tokens, "threshold.exceeded") == []


@pytest.mark.parametrize(("quota", "fired"), [(7200, [80, 100]), (7201, [80]), (9000, [80]), (9001, [])])
def test_a_mark_fires_if_as_much_is_expected_and_not_if_less_is(
    tokens: Ledger, quota: int, fired: list[int]
) -> None:
    use(tokens)
    limit(tokens, quota)
    assert judge(tokens) == len(fired)
    assert marks(tokens) == [("a", mark) for mark in fired]


@pytest.mark.parametrize(
    ("period", "expected"), [("day", 240), ("week", 1680), ("month", 7200), ("cycle", 1680), ("year", 62160)]
)
def test_every_period_with_an_end_in_sight_can_be_projected(
    tokens: Ledger, period: str, expected: int
) -> None:
    """The year has no usage before 17 April, and half of it to come."""
    tokens.call("set_billing_cycle", subject="a", anchor=at("2026-01-07 12:00"), every="week")
    now = NOW + 12 * HOUR
    use(tokens, until=now)
    limit(tokens, expected, period=period, marks=[100])
    limit(tokens, expected + 1, period=period, marks=[100], name="not reached")
    assert judge(tokens, now) == 1
    (row,) = told(tokens)
    assert (row.data["limit"], row.data["expected"]) == ("default", expected)


@pytest.mark.parametrize("aggregate", ["count", "max", "last", "unique"])
def test_every_aggregate_that_can_be_limited_can_be_projected(ledger: Ledger, aggregate: str) -> None:
    """Nothing was used in June yet, so a maximum and a latest value are expected as they were in May."""
    ledger.define("things", aggregate, "thing")
    adds = aggregate in ("count", "unique")
    ledger.batch(
        [
            {"subject": "a", "metric": "things", "at": at("2026-06-01") - n * DAY}
            | ({"member": f"m{n}"} if aggregate == "unique" else {"quantity": 1 if adds else 30})
            for n in range(-9 if adds else 1, 40)
        ]
    )
    limit(ledger, 30, metric="things", marks=[100])
    assert judge(ledger, at("2026-06-10")) == 1


def test_it_fires_once_for_a_version_and_a_period(tokens: Ledger) -> None:
    use(tokens, until=NOW + 40 * DAY)
    limit(tokens, 7000)
    assert [judge(tokens, NOW + n * HOUR) for n in range(3)] == [2, 0, 0]
    assert judge(tokens, at("2026-07-15")) == 2, "another period"
    limit(tokens, 7001, since=None)  # the present, in which nothing is used
    limit(tokens, 7002, since=LONG_AGO)
    assert judge(tokens) == 2, "another version"
    assert marks(tokens) == [("a", 80), ("a", 100)] * 3


def test_a_projection_that_falls_and_rises_again_fires_no_second_time(tokens: Ledger) -> None:
    use(tokens)
    limit(tokens, 8000)
    assert judge(tokens) == 1
    tokens.call("adjust", subject="a", metric="tokens", quantity=-3600, reason="goodwill", at=NOW)
    (row,) = tokens.call("project_usage", subject="a", metric="tokens", now=NOW + HOUR)
    assert row.expected < 6400
    assert judge(tokens, NOW + HOUR) == 0
    use(tokens, since=NOW, until=NOW + DAY, quantity=1000)
    assert judge(tokens, NOW + 2 * HOUR) == 0, "it is not armed again by a correction, either"


def test_what_usage_has_reached_is_not_projected_any_more(tokens: Ledger) -> None:
    use(tokens, until=NOW - HOUR)
    limit(tokens, 4000, marks=[80, 100], action="alert")
    tokens.record("a", "tokens", 10, at=NOW - HOUR)
    assert [row.data["mark"] for row in told(tokens, "threshold.approaching")] == [80]
    assert judge(tokens) == 1
    assert marks(tokens) == [("a", 100)]
    tokens.record("a", "tokens", 400, at=NOW)
    assert [row.data["mark"] for row in told(tokens, "threshold.exceeded")] == [100], "the mark itself fires"


def test_what_usage_had_reached_before_the_limit_was_set_is_not_projected(tokens: Ledger) -> None:
    use(tokens)
    limit(tokens, 3600, marks=[50, 100, 150])
    assert judge(tokens) == 1
    assert marks(tokens) == [("a", 150)]


def test_with_too_little_history_nothing_fires(tokens: Ledger) -> None:
    use(tokens, since=NOW - 6 * DAY)
    limit(tokens, 10)
    use(tokens, "b", since=NOW - 50 * DAY, until=NOW - 40 * DAY)
    limit(tokens, 1)
    assert judge(tokens) == 0
    assert judge(tokens, NOW + DAY) == 0, "the history is long enough, but usage is beyond the quota"
    limit(tokens, 2000)
    assert judge(tokens, NOW + DAY) == 2


def test_a_limit_without_projected_is_left_alone(tokens: Ledger) -> None:
    use(tokens)
    limit(tokens, 7000, projected=False)
    assert judge(tokens) == 0
    assert tokens.value("SELECT count(*) FROM meter.projection_rounds") == 0


@pytest.mark.parametrize(
    "other",
    [
        {"projected": False},
        {"quota": None},
        {"action": "none"},
        {"marks": []},
        {"quota": 100000},
        {"since": NOW + DAY, "quota": 100, "expected": 2},
    ],
)
def test_the_limit_that_counts_is_the_one_that_is_judged(tokens: Ledger, other: dict[str, Any]) -> None:
    """A subject's own limit shadows everyone's, from its since on."""
    fired = other.pop("expected", 0) if "expected" in other else 0
    use(tokens)
    limit(tokens, 7000)
    limit(tokens, **{"quota": 7000, "subject": "a", **other})
    assert judge(tokens) == fired


def test_a_limit_that_was_removed_is_not_judged(tokens: Ledger) -> None:
    use(tokens)
    limit(tokens, 7000, subject="a")
    assert tokens.call("remove_limit", metric="tokens", subject="a")[0].projected is True
    assert judge(tokens) == 2, "it held at that time"
    use(tokens, since=at("2026-09-20"), until=at("2026-11-27"))
    assert judge(tokens, tokens.value("SELECT clock_timestamp()")) == 0


def test_a_plan_counts_while_the_subject_has_it(tokens: Ledger) -> None:
    use(tokens)
    tokens.call("define_plan", plan="pro")
    limit(tokens, 7000, plan="pro")
    tokens.call("subscribe", subject="a", plan="pro", since=NOW, until=NOW + DAY)
    use(tokens, "b")
    assert judge(tokens, NOW - HOUR) == 0
    assert judge(tokens, NOW + DAY) == 0
    assert judge(tokens) == 2
    assert {subject for subject, _ in marks(tokens)} == {"a"}


# --------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("given", "sqlstate", "parameter"),
    [
        ({"projected": None}, "22004", "projected"),
        *[({"period": period}, "22023", "period") for period in ("minute", "hour", "never", "30 days")],
        ({"metric": "coarse"}, "UM002", "metric"),
        ({"metric": "coarse", "period": "month", "quota": None}, "UM002", "metric"),
    ],
)
def test_what_can_never_be_projected_is_refused(
    tokens: Ledger, given: dict[str, Any], sqlstate: str, parameter: str
) -> None:
    tokens.define("coarse", "sum", rollup="none")
    with refused(sqlstate, parameter):
        limit(tokens, **{"quota": 10, **given})
    assert tokens.call("limits") == []


def test_a_metric_without_rollups_whose_period_is_a_day_has_days_to_look_at(tokens: Ledger) -> None:
    tokens.define("daily", "sum", rollup="none", period="day")
    use(tokens, metric="daily")
    limit(tokens, 240, metric="daily", marks=[100])
    assert judge(tokens, NOW - DAY + HOUR) == 1


def test_the_same_limit_again_is_no_new_version_and_projected_is_part_of_it(tokens: Ledger) -> None:
    first = limit(tokens, 10)
    assert limit(tokens, 10) == first
    other = limit(tokens, 10, projected=False)
    assert other.limit_id > first.limit_id
    assert (first.projected, other.projected) == (True, False)
    (row,) = tokens.call("effective_limits", subject="a", metric="tokens")
    assert (row.limit_id, row.projected) == (other.limit_id, False)
    (entry,) = tokens.call("admin_log", object="tokens", max_rows=1)
    assert (entry.before["projected"], entry.after["projected"]) == (True, False)


@pytest.mark.parametrize(
    ("given", "sqlstate", "parameter"),
    [
        ({"now": None}, "22004", "now"),
        ({"now": "infinity"}, "22023", "now"),
        ({"max_subjects": None}, "22004", "max_rows"),
        ({"max_subjects": 0}, "22023", "max_rows"),
        ({"max_subjects": 10001}, "22023", "max_rows"),
    ],
)
def test_judging_refuses_bad_values(
    tokens: Ledger, given: dict[str, Any], sqlstate: str, parameter: str
) -> None:
    with refused(sqlstate, parameter):
        tokens.call("judge_projections", **given)


# ------------------------------------------------------------------------------------- round after round


def test_a_call_judges_no_more_subjects_than_it_may_and_the_next_goes_on(tokens: Ledger) -> None:
    for number in range(7):
        use(tokens, f"s{number}", since=NOW - 30 * DAY)
    limit(tokens, 7200, marks=[100])
    assert [judge(tokens, max_subjects=3) for _ in range(4)] == [3, 3, 1, 0]
    assert marks(tokens) == [(f"s{number}", 100) for number in range(7)]


def test_metrics_take_turns(tokens: Ledger) -> None:
    tokens.define("images", "sum")
    for number in range(4):
        use(tokens, f"s{number}", since=NOW - 30 * DAY)
        use(tokens, f"s{number}", since=NOW - 30 * DAY, metric="images")
    for metric in ("tokens", "images"):
        limit(tokens, 7200, marks=[100], metric=metric)
    fired = [judge(tokens, max_subjects=2) for _ in range(4)]
    assert fired == [2, 2, 2, 2]
    assert [row.metric for row in told(tokens)][::2] == ["images", "tokens", "images", "tokens"]


def test_only_the_subjects_are_looked_at_that_a_limit_can_be_about(tokens: Ledger) -> None:
    """And that have used something lately: the others would use up what a call may judge."""
    for number in range(5):
        use(tokens, f"s{number}", since=NOW - 30 * DAY)
    use(tokens, "idle", since=NOW - 60 * DAY, until=NOW - 40 * DAY)
    for subject in ("idle", "s3", "s4", "unknown"):
        limit(tokens, 7200, marks=[100], subject=subject)
    assert judge(tokens, max_subjects=2) == 2
    assert [subject for subject, _ in marks(tokens)] == ["s3", "s4"]


def test_erasing_the_subject_that_was_judged_last_loses_nobody(tokens: Ledger) -> None:
    for number in range(4):
        use(tokens, f"s{number}", since=NOW - 30 * DAY)
    limit(tokens, 7200, marks=[100])
    assert judge(tokens, max_subjects=2) == 2
    tokens.call("erase_subject", subject="s1", pseudonym="zz")
    assert tokens.value("SELECT after_subject FROM meter.projection_rounds") == "s0"
    assert judge(tokens) == 2
    assert judge(tokens) == 0
    assert marks(tokens) == [("s0", 100), ("zz", 100), ("s2", 100), ("s3", 100)]


def test_a_period_that_begins_within_an_hour_that_was_dropped_is_judged_all_the_same(tokens: Ledger) -> None:
    """project_usage() refuses to tell what is used; a limit counts the hour whole, as recording does."""
    now = tokens.value("SELECT date_trunc('hour', now())")
    start = (now - 70 * DAY).replace(minute=30)
    tokens.call("set_billing_cycle", subject="a", anchor=start, every="year")
    use(tokens, since=start - 12 * HOUR - HOUR / 2, until=now)
    tokens.upkeep()
    tokens.upkeep(keep="35 days")
    with refused("UM006"):
        tokens.call("project_usage", subject="a", metric="tokens")
    limit(tokens, 240 * 365, period="cycle", marks=[90], since=start)
    assert judge(tokens, now) == 1


# --------------------------------------------------------------------------------------------- in words


def test_the_message_says_that_it_is_expected(tokens: Ledger) -> None:
    for name, form, url in (("chat", "slack", None), ("mail", "email", "mailto:ops@example.com")):
        tokens.call(
            "define_endpoint",
            name=name,
            url=url,
            types=["threshold.projected"],
            format=form,
            secret_name="SLACK_URL" if url is None else None,
        )
    use(tokens)
    limit(tokens, 8000)
    judge(tokens)
    tokens.call("plan_deliveries")
    text = (
        "threshold.projected: a is expected to have used 7200 (7200 to 7200) of 8000 token of tokens at the"
        " end of the period, 2026-07-01 UTC, and has used 3600, mark 80 % (limit default, month)."
    )
    bodies = [row.body for row in tokens.call("deliveries")]
    assert len(bodies) == 2
    assert all(text in body for body in bodies)


def test_a_batch_and_a_refusal_are_as_they_were(tokens: Ledger) -> None:
    """Recording is never refused by what is expected: only by what is used."""
    use(tokens)
    limit(tokens, 7000)
    assert judge(tokens) == 2
    assert tokens.record("a", "tokens", 3400, at=NOW).outcome == "recorded"
    assert tokens.record("a", "tokens", 1, at=NOW).outcome == "refused"
    rows = tokens.call("record_batch", events=Jsonb([{"subject": "a", "metric": "tokens", "quantity": 1}]))
    assert rows[0].outcome == "recorded", "another month"
    assert tokens.usage("a", "tokens", period="month", now=NOW).quantity == Decimal(7000)
