"""project_usage(): what is said, from when on, and what is not said."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.helpers import Ledger, at, refused

SUBJECT = "acct_1"
NOON = timedelta(hours=12)
NONE = (None, None, None)


def use(
    ledger: Ledger, since: str, days: int, quantity: Any = 10, metric: str = "tokens", subject: str = SUBJECT
) -> None:
    """A quantity at every noon."""
    ledger.batch(
        [
            {
                "subject": subject,
                "metric": metric,
                "quantity": quantity,
                "at": at(since) + NOON + timedelta(days=n),
            }
            for n in range(days)
        ]
    )


def projected(ledger: Ledger, now: str | datetime, metric: str = "tokens", subject: str = SUBJECT) -> Any:
    when = at(now) if isinstance(now, str) else now
    (row,) = ledger.call("project_usage", subject=subject, metric=metric, now=when)
    return row


def interval(row: Any) -> tuple[Any, Any, Any]:
    return row.low, row.expected, row.high


@pytest.fixture
def tokens(ledger: Ledger) -> Ledger:
    ledger.define("tokens", "sum", "token")
    return ledger


def test_even_usage_goes_on_as_it_was(tokens: Ledger) -> None:
    use(tokens, "2026-04-01", 79)
    row = projected(tokens, "2026-06-19")
    assert (row.metric, row.aggregate, row.unit) == ("tokens", "sum", "token")
    assert (row.since, row.until, row.at) == (at("2026-06-01"), at("2026-07-01"), at("2026-06-19"))
    assert (row.elapsed, row.used, row.method, row.reason) == (Decimal("0.6"), 180, "weekday_profile", None)
    assert (*interval(row), row.run_rate, row.weekday_profile) == (300, 300, 300, 300, 300)
    assert row.history_days == 78


def test_weekends_count_as_weekends_and_hours_as_hours(tokens: Ledger) -> None:
    """Ten on Mondays at 9 only. On Monday the 15th at 9:30 two more are to come: the 22nd and the 29th."""
    for week in range(9):
        tokens.record(SUBJECT, "tokens", 10, at=at("2026-04-27 09:10") + timedelta(weeks=week))
    assert projected(tokens, "2026-06-15 08:00").expected == 50, "1, 8, 15, 22 and 29"
    row = projected(tokens, "2026-06-15 10:00")
    assert (row.used, row.expected, row.run_rate) == (30, 50, Decimal(62))
    assert projected(tokens, "2026-06-23").expected == 50
    assert projected(tokens, "2026-06-29 09:30").expected == 45, "half of the hour is left"


def test_the_run_rate_begins_with_the_first_usage(tokens: Ledger) -> None:
    use(tokens, "2026-06-11", 10)
    row = projected(tokens, "2026-06-21")
    assert (row.used, row.weekday_profile) == (100, 200)
    assert row.run_rate == 205, "of 9 days and a half: 10.5 a day"


def test_a_new_level_is_projected_by_the_run_rate(tokens: Ledger) -> None:
    use(tokens, "2026-04-15", 47, 10)
    use(tokens, "2026-06-01", 20, 40)
    row = projected(tokens, "2026-06-21")
    assert (row.method, row.expected, row.run_rate) == ("run_rate", 1200, 1200)
    assert row.weekday_profile == 1110, "8 days of the 28 were at the old level"
    assert row.low < row.expected < row.high
    early = projected(tokens, "2026-06-07")
    assert early.method == "weekday_profile", "6 days of the cycle say too little"
    assert early.high >= 1200, "but that the level moves makes the range wide"


@pytest.mark.parametrize(
    ("days", "method", "reason"),
    [
        (2, "none", "too little history: 1 of at least 7 days"),
        (7, "none", "too little history: 6 of at least 7 days"),
        (8, "weekday_profile", None),
    ],
)
def test_a_week_of_history_is_needed(tokens: Ledger, days: int, method: str, reason: str | None) -> None:
    use(tokens, "2026-06-01", days)
    row = projected(tokens, at("2026-06-01") + timedelta(days=days))
    assert (row.method, row.reason, row.used) == (method, reason, 10 * days)
    if method == "none":
        assert interval(row) == NONE
        assert (row.run_rate, row.weekday_profile) == (None, None)
    else:
        assert row.low < row.expected < row.high, "one week says little about the next ones"


def test_of_one_who_has_used_nothing_nothing_is_known(tokens: Ledger) -> None:
    row = projected(tokens, "2026-06-19")
    assert (row.used, row.method, row.history_days) == (0, "none", None)
    assert (*interval(row), row.reason) == (*NONE, "the subject has used nothing before")
    with refused("UM001"):
        projected(tokens, "2026-06-19", metric="images")


def test_a_metric_that_an_old_subject_never_used_stays_at_0(tokens: Ledger) -> None:
    now = datetime.now(at("2026-06-01").tzinfo)
    tokens.define("images", "count")
    tokens.record(SUBJECT, "tokens", 1, at=now - timedelta(days=9))
    row = projected(tokens, now, "images")
    assert (row.method, *interval(row)) == ("none", *NONE)
    assert row.reason == "never used, and the subject or the metric is not 7 days old"
    row = projected(tokens, now + timedelta(days=8), "images")
    assert (row.method, *interval(row)) == ("unchanged", 0, 0, 0)
    assert row.reason.startswith("never used, by a subject that has used other metrics for ")
    row = projected(tokens, now - timedelta(days=10), "images")
    assert row.reason == "the subject has used nothing before"


def test_usage_that_stopped_is_not_projected(tokens: Ledger) -> None:
    use(tokens, "2026-04-01", 70)  # until 9 June, noon
    row = projected(tokens, "2026-06-12")
    assert (row.used, row.low, row.reason) == (90, 90, "not used for 2 days: low is without any more usage")
    assert row.expected > 90
    assert projected(tokens, "2026-06-11").low > 90
    row = projected(tokens, "2026-06-18")
    assert (row.method, *interval(row), row.used) == ("none", *NONE, 90)
    assert row.reason == "usage stopped 8 days ago, after gaps of at most 0 days"
    row = projected(tokens, "2026-07-08")
    assert (row.method, *interval(row)) == ("unchanged", 0, 0, 0)
    assert row.reason == "not used for 28 days"


def test_what_comes_later_in_the_hour_does_not_count(tokens: Ledger) -> None:
    use(tokens, "2026-04-01", 70)  # until 9 June, noon
    tokens.record(SUBJECT, "tokens", 10, at=at("2026-06-18 09:40"))
    assert projected(tokens, "2026-06-18 09:30").method == "none"
    assert projected(tokens, "2026-06-18 09:50").method != "none"
    tokens.record("acct_2", "tokens", 10, at=at("2026-06-18 09:40"))
    row = projected(tokens, "2026-06-18 09:30", subject="acct_2")
    assert (row.history_days, row.used, row.method) == (None, 0, "none")


def test_usage_that_comes_every_ten_days_has_not_stopped(tokens: Ledger) -> None:
    for n in range(6):
        tokens.record(SUBJECT, "tokens", 100, at=at("2026-04-20 12:00") + timedelta(days=10 * n))
    row = projected(tokens, "2026-06-18 12:00")
    assert row.method == "weekday_profile"
    assert row.low == row.used == 100
    assert row.high > row.expected > 100


def test_only_what_was_before_counts(tokens: Ledger) -> None:
    use(tokens, "2026-04-01", 90)
    tokens.record(SUBJECT, "tokens", 1000, at=at("2026-06-19 00:00"))
    before = projected(tokens, "2026-06-19 00:00")
    assert (before.used, before.expected) == (180, 300)
    assert projected(tokens, at("2026-06-19") + timedelta(microseconds=1)).used == 1180


def test_a_credit_does_not_make_usage_negative(tokens: Ledger) -> None:
    use(tokens, "2026-05-01", 49)
    tokens.call("adjust", subject=SUBJECT, metric="tokens", quantity=-5000, at=at("2026-06-18"), reason="x")
    row = projected(tokens, "2026-06-19")
    assert (row.used, row.weekday_profile, row.run_rate) == (-4820, -4820, -4820)
    assert (row.low, row.expected) == (-4820, -4820)
    assert row.high > 0


def test_voided_usage_is_no_history(tokens: Ledger) -> None:
    first = tokens.record(SUBJECT, "tokens", 5, at=at("2026-01-01"))
    use(tokens, "2026-06-14", 5)
    tokens.call("void_event", subject=SUBJECT, metric="tokens", event_id=first.event_id, reason="a test")
    assert projected(tokens, "2026-06-19").reason == "too little history: 4 of at least 7 days"


def test_decimals_are_those_of_the_usage(tokens: Ledger) -> None:
    use(tokens, "2026-05-20", 30, Decimal("0.25"))
    row = projected(tokens, "2026-06-19 12:34:56")
    assert all(value.as_tuple().exponent >= -2 for value in interval(row))
    use(tokens, "2026-05-20", 30, 7, subject="acct_2")
    row = projected(tokens, "2026-06-19 12:34:56", subject="acct_2")
    assert all(value == int(value) for value in (*interval(row), row.run_rate, row.weekday_profile))


def test_a_retired_metric_stays_as_it_is(tokens: Ledger) -> None:
    use(tokens, "2026-05-01", 49)
    tokens.call("retire_metric", key="tokens")
    now = datetime.now(at("2026-06-01").tzinfo) + timedelta(seconds=1)
    row = projected(tokens, now)
    assert (row.method, row.reason, *interval(row)) == ("unchanged", "the metric is retired", 0, 0, 0)
    assert tokens.call("project_usage", subject=SUBJECT, now=now) == []
    assert len(tokens.call("project_usage", subject=SUBJECT, now=at("2026-06-19"))) == 1


def test_without_a_metric_it_is_all_in_use(tokens: Ledger) -> None:
    tokens.define("images", "count")
    use(tokens, "2026-04-01", 79)
    rows = tokens.call("project_usage", subject=SUBJECT, now=at("2026-06-19"))
    assert [(row.metric, row.method) for row in rows] == [("images", "none"), ("tokens", "weekday_profile")]
    assert rows[1] == projected(tokens, "2026-06-19")


@pytest.mark.parametrize("rollup", ["day", "minute", "hour"])
def test_buckets_of_other_lengths_do(ledger: Ledger, rollup: str) -> None:
    ledger.define("tokens", "sum", rollup=rollup)
    use(ledger, "2026-04-01", 80)
    row = projected(ledger, "2026-06-19")
    assert interval(row) == (300, 300, 300)
    later = projected(ledger, "2026-06-19 18:00")
    assert (later.method, later.used) == ("weekday_profile", 190)
    assert later.expected == (303 if rollup == "day" else 300), "days do not tell that noon has passed"


def test_a_metric_without_days_is_not_projected(ledger: Ledger) -> None:
    ledger.define("tokens", "sum", rollup="none")
    use(ledger, "2026-04-01", 79)
    row = projected(ledger, "2026-06-19")
    assert (*interval(row), row.used) == (*NONE, 180)
    assert row.reason == "the metric keeps no buckets of hours or days (rollup none)"


def test_the_cycle_is_the_subjects_own(tokens: Ledger) -> None:
    tokens.call(
        "set_billing_cycle", subject=SUBJECT, anchor=at("2026-05-31 22:00"), timezone="Europe/Berlin",
        every="week", since=at("2026-05-31 22:00"),
    )  # fmt: skip
    use(tokens, "2026-04-01", 79)
    row = projected(tokens, "2026-06-18")
    assert (row.since, row.until) == (at("2026-06-14 22:00"), at("2026-06-21 22:00"))
    assert (row.used, row.expected) == (30, 70)
    start = projected(tokens, "2026-06-14 22:00")
    assert (start.elapsed, start.used, start.expected, start.run_rate) == (0, 0, 70, None)


@pytest.mark.parametrize("now", ["infinity", "-infinity"])
def test_a_time_that_is_none_is_refused(tokens: Ledger, now: str) -> None:
    for function in ("project_usage", "project_invoice"):
        with refused("22023", "now"):
            tokens.call(function, subject=SUBJECT, now=now)
        with refused("22004", "subject"):
            tokens.call(function, subject=None)
        assert tokens.rows(f"SELECT FROM meter.{function}(%s, now => null)", [SUBJECT]) is not None
