"""P5: billing cycles tile, in every zone, for every anchor, and across a change of the rule."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import AT_LENGTH, Ledger, at, examples, refused
from tests.limits.cycle_model import Rule, Rules, cycles_between

INSTANT = timedelta(microseconds=1)
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Adelaide", "Asia/Kolkata")


def set_cycle(ledger: Ledger, subject: str, anchor: datetime, **named: Any) -> Any:
    return ledger.call("set_billing_cycle", subject=subject, anchor=anchor, **named)[0]


def cycle(ledger: Ledger, subject: str, moment: datetime) -> tuple[datetime, datetime]:
    row = ledger.row(
        "SELECT lower(c) AS since, upper(c) AS until, lower_inc(c) AND NOT upper_inc(c) AS half_open"
        " FROM meter.billing_cycle(%s, %s) c",
        [subject, moment],
    )
    assert row.half_open
    return row.since, row.until


def cycles(ledger: Ledger, subject: str, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    """One after another, as billing_cycle() has them."""
    found = [cycle(ledger, subject, since)]
    while found[-1][1] < until:
        found.append(cycle(ledger, subject, found[-1][1]))
        assert found[-1][0] == found[-2][1]
    return found


def written(ledger: Ledger) -> list[Any]:
    return ledger.rows(
        "SELECT to_jsonb(c)::text FROM meter.billing_cycles c"
        " UNION ALL SELECT to_jsonb(l)::text FROM meter.admin_log l ORDER BY 1"
    )


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("zone", "day"),
    # Which days a month has is the same in every zone.
    [(zone, day) for n, zone in enumerate(ZONES) for day in (29, 30, 31) if AT_LENGTH or n % 3 == day - 29],
)
def test_p5_cycles_of_four_years_tile_and_their_usage_adds_up(ledger: Ledger, zone: str, day: int) -> None:
    anchor = datetime(2022, 1, day, 1, 30, tzinfo=ZoneInfo(zone))
    until = datetime(2026, 1, day, 1, 30, tzinfo=ZoneInfo(zone))
    ledger.define("m", "sum")
    set_cycle(ledger, "a", anchor, timezone=zone)
    found = cycles(ledger, "a", anchor, until - INSTANT)
    assert (len(found), found[0][0], found[-1][1]) == (48, anchor, until)
    edges = [m for since, _ in found for m in (since, since + timedelta(days=15, minutes=7))]
    ledger.batch(
        [
            {"subject": "a", "metric": "m", "quantity": str(n + 1), "at": moment.isoformat()}
            for n, moment in enumerate(sorted({m + d for m in edges for d in (-INSTANT, 0 * INSTANT)}))
        ]
    )
    inside = [(m, c) for c in found for m in (c[0], c[0] + (c[1] - c[0]) / 2, c[1] - INSTANT)]
    assert [cycle(ledger, "a", moment) for moment, _ in inside] == [c for _, c in inside]
    each = [ledger.usage("a", "m", period="cycle", now=since + INSTANT) for since, _ in found]
    assert [(row.since, row.until) for row in each] == found
    assert [(row.quantity, row.event_count) for row in each] == ledger.brute_each("a", "m", found)
    whole = ledger.usage("a", "m", since=anchor, until=until)
    assert sum(row.quantity for row in each) == whole.quantity
    rows = ledger.call("series", subject="a", metric="m", since=anchor, until=until, step="cycle")
    assert [(r.bucket_start, r.bucket_end, r.quantity) for r in rows] == [
        (r.since, r.until, r.quantity) for r in each
    ]


@pytest.mark.parametrize(("year", "february"), [(2024, 29), (2026, 28), (2100, 28)])
def test_an_anchor_on_the_31st_is_the_last_day_of_a_short_month(
    ledger: Ledger, year: int, february: int
) -> None:
    set_cycle(ledger, "a", at(f"{year}-01-31 10:00"))
    starts = [since for since, _ in cycles(ledger, "a", at(f"{year}-01-31 10:00"), at(f"{year}-06-01"))]
    expected = ("01-31", f"02-{february}", "03-31", "04-30", "05-31")
    assert starts == [at(f"{year}-{day} 10:00") for day in expected]


def test_a_year_from_29_february_begins_on_the_28th_until_the_next_leap_year(ledger: Ledger) -> None:
    set_cycle(ledger, "a", at("2024-02-29"), every="year")
    starts = [
        since.date().isoformat() for since, _ in cycles(ledger, "a", at("2024-02-29"), at("2028-03-01"))
    ]
    assert starts == ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]


@pytest.mark.parametrize("every", ["week", "month"])
@pytest.mark.parametrize("zone", ["America/New_York", "Australia/Adelaide", "Australia/Lord_Howe"])
def test_the_time_of_day_of_the_anchor_survives_a_change_of_clocks(
    ledger: Ledger, zone: str, every: str
) -> None:
    anchor = datetime(2026, 1, 15, 9, 45, tzinfo=ZoneInfo(zone))
    set_cycle(ledger, "a", anchor, timezone=zone, every=every)
    starts = [since.astimezone(ZoneInfo(zone)) for since, _ in cycles(ledger, "a", anchor, at("2027-01-10"))]
    assert {(s.hour, s.minute) for s in starts} == {(9, 45)}
    assert len({s.utcoffset() for s in starts}) == 2


@pytest.mark.parametrize("minutes", [0, 60])
def test_an_anchor_in_the_hour_that_occurs_twice_is_the_start_of_a_cycle(
    ledger: Ledger, minutes: int
) -> None:
    """01:30 in New York was at 5:30 and at 6:30 UTC."""
    anchor = at("2026-11-01 05:30") + timedelta(minutes=minutes)
    assert set_cycle(ledger, "a", anchor, timezone="America/New_York").since == anchor
    assert cycle(ledger, "a", anchor) == (anchor, at("2026-12-01 06:30"))
    assert cycle(ledger, "a", anchor - INSTANT)[1] == anchor


def test_a_subject_without_a_rule_has_the_calendar_month_in_utc(ledger: Ledger) -> None:
    ledger.execute("SET timezone = 'Pacific/Auckland'")
    for moment in ("2026-06-01", "2026-06-18 14:30", "2026-06-30 23:59:59.999999"):
        assert cycle(ledger, "nobody", at(moment)) == (at("2026-06-01"), at("2026-07-01"))


def test_before_its_first_rule_a_subject_has_the_calendar_month_cut_at_the_anchor(ledger: Ledger) -> None:
    set_cycle(ledger, "a", at("2026-06-18 14:00"))
    assert cycle(ledger, "a", at("2026-05-31")) == (at("2026-05-01"), at("2026-06-01"))
    assert cycle(ledger, "a", at("2026-06-05")) == (at("2026-06-01"), at("2026-06-18 14:00"))
    assert cycle(ledger, "a", at("2026-06-18 14:00")) == (at("2026-06-18 14:00"), at("2026-07-18 14:00"))


def test_a_change_holds_from_its_first_start_and_ends_the_running_cycle(ledger: Ledger) -> None:
    now = ledger.value("SELECT now()")
    set_cycle(ledger, "a", at("2020-01-10"))
    before = cycle(ledger, "a", now)
    rule = set_cycle(ledger, "a", at("2020-01-25 12:00"), timezone="Asia/Kolkata", every="week")
    assert now < rule.since <= now + timedelta(days=7)
    running = cycle(ledger, "a", now)
    assert running == (before[0], min(before[1], rule.since))
    found = cycles(ledger, "a", at("2020-01-01"), rule.since + timedelta(days=30))
    assert rule.since in [since for since, _ in found]
    assert [u - s for s, u in found if s >= rule.since] == [timedelta(days=7)] * 5


def test_since_says_from_when_a_change_holds(ledger: Ledger) -> None:
    set_cycle(ledger, "a", at("2026-01-10"))
    rule = set_cycle(ledger, "a", at("2020-05-25"), since=at("2026-03-12"))
    assert rule.since == at("2026-03-25")
    starts = [since for since, _ in cycles(ledger, "a", at("2026-01-10"), at("2026-04-26"))]
    assert starts == [at(f"2026-{day}") for day in ("01-10", "02-10", "03-10", "03-25", "04-25")]
    assert set_cycle(ledger, "a", at("2020-05-07"), since=at("2026-05-07")).since == at("2026-05-07")


def test_a_change_replaces_every_rule_that_would_begin_later(ledger: Ledger) -> None:
    set_cycle(ledger, "a", at("2026-01-10"))
    set_cycle(ledger, "a", at("2026-03-15"), since=at("2026-03-11"))
    # Its first start is on the 20th, after that of the rule which it replaces.
    set_cycle(ledger, "a", at("2026-01-20"), since=at("2026-03-12"))
    assert cycle(ledger, "a", at("2026-03-16")) == (at("2026-03-10"), at("2026-03-20"))
    # Back to the first rule: nothing is left of the change.
    assert set_cycle(ledger, "a", at("2026-01-10"), since=at("2026-03-12")).since == at("2026-01-10")
    assert cycle(ledger, "a", at("2026-03-16")) == (at("2026-03-10"), at("2026-04-10"))
    assert ledger.value("SELECT count(*) FROM meter.billing_cycles") == 1
    assert ledger.value("SELECT count(*) FROM meter.admin_log WHERE action = 'set_billing_cycle'") == 4


@pytest.mark.parametrize("days", [-500, -1, 3, 500])
def test_the_first_rule_holds_from_its_anchor_however_often_it_is_set(ledger: Ledger, days: int) -> None:
    anchor = ledger.value("SELECT date_trunc('hour', now())") + timedelta(days=days)
    first = set_cycle(ledger, "a", anchor)
    assert first.since == anchor
    before = written(ledger)
    assert set_cycle(ledger, "a", anchor) == first
    assert written(ledger) == before
    # Before it has begun, a corrected anchor replaces it.
    if days > 0:
        assert set_cycle(ledger, "a", anchor + timedelta(days=40)).since == anchor + timedelta(days=40)
        assert ledger.value("SELECT count(*) FROM meter.billing_cycles") == 1


def test_p3_a_repetition_changes_nothing(ledger: Ledger) -> None:
    set_cycle(ledger, "a", at("2020-01-10"))
    for named in (
        {"anchor": at("2020-02-29"), "every": "year"},
        {"anchor": at("2020-01-31"), "timezone": "Europe/Berlin", "since": at("2024-05-05")},
        {"anchor": at("2021-01-31"), "timezone": "Europe/Berlin", "since": at("2099-05-05")},
    ):
        rule = set_cycle(ledger, "a", **named)
        before = written(ledger)
        assert set_cycle(ledger, "a", **named) == rule
        assert written(ledger) == before


_moments = st.integers(0, 4000 * 48).map(lambda n: at("2018-01-01") + timedelta(minutes=30 * n))
_days = st.sampled_from([1, 15, 28, 29, 30, 31])
_anchors = st.builds(lambda moment, day: moment.replace(month=1, day=day), _moments, _days)
_changes = st.fixed_dictionaries(
    {
        "anchor": _anchors | st.sampled_from([at("2026-11-01 05:30"), at("2026-03-08 06:30")]),
        "timezone": st.sampled_from(ZONES),
        "every": st.sampled_from(["week", "month", "month", "year"]),
        "since": st.none() | _moments,
    }
)


def test_p5_cycles_are_those_of_a_naive_model_after_any_changes(ledger: Ledger) -> None:
    numbers = iter(range(1_000))

    @examples(60)
    @given(st.lists(_changes, min_size=1, max_size=4), _moments)
    def check(changes: list[dict[str, Any]], since: datetime) -> None:
        subject, rules = f"s{next(numbers)}", Rules()
        for change in changes:
            rule = Rule(change["anchor"], change["timezone"], change["every"])
            rules.change(rule, change["since"], ledger.value("SELECT now()"))
            assert set_cycle(ledger, subject, **change).since == rules.held[-1][0]
        until = since + timedelta(days=400)
        expected = cycles_between(rules, since, until)
        found = ledger.rows(
            "SELECT bucket_start, bucket_end FROM meter._series_buckets(%s, %s, 'cycle', 'UTC', %s)",
            [since, until, subject],
        )
        assert [tuple(row) for row in found] == [(max(s, since), min(u, until)) for s, u in expected]
        edges = [m for s, u in expected[:8] for m in (s, u - INSTANT)]
        answers = ledger.rows(
            "SELECT lower(c), upper(c) FROM unnest(%s::timestamptz[]) WITH ORDINALITY m (at, n),"
            " meter.billing_cycle(%s, m.at) c ORDER BY n",
            [edges, subject],
        )
        assert [tuple(row) for row in answers] == [c for c in expected[:8] for _ in range(2)]

    check()


@pytest.mark.parametrize(
    ("given_badly", "sqlstate", "parameter"),
    [
        ({"subject": None}, "22004", "subject"),
        ({"subject": " "}, "22023", "subject"),
        ({"subject": "x" * 513}, "22023", "subject"),
        ({"anchor": None}, "22004", "anchor"),
        ({"anchor": "infinity"}, "22023", "anchor"),
        ({"anchor": "-infinity"}, "22023", "anchor"),
        ({"anchor": "10000-01-01"}, "22023", "anchor"),
        ({"timezone": None}, "22004", "timezone"),
        ({"timezone": "Mars/Olympus"}, "22023", "timezone"),
        ({"timezone": "CET"}, "22023", "timezone"),
        ({"timezone": "+05:30"}, "22023", "timezone"),
        ({"every": None}, "22004", "every"),
        ({"every": "day"}, "22023", "every"),
        ({"every": "2 months"}, "22023", "every"),
        ({"since": "infinity"}, "22023", "since"),
        ({"since": "-infinity"}, "22023", "since"),
        ({"since": "9999-12-30"}, "22023", "since"),
    ],
)
def test_p8_a_bad_rule_is_refused_and_nothing_is_written(
    ledger: Ledger, given_badly: dict[str, Any], sqlstate: str, parameter: str
) -> None:
    set_cycle(ledger, "a", at("2026-01-10"))
    before = written(ledger)
    with refused(sqlstate, parameter):
        ledger.call("set_billing_cycle", **({"subject": "a", "anchor": at("2026-01-15")} | given_badly))
    assert written(ledger) == before


@pytest.mark.parametrize(
    ("moment", "sqlstate"),
    [(None, "22004"), ("infinity", "22023"), ("-infinity", "22023"), ("9999-12-30", "22023")],
)
def test_p8_a_cycle_outside_the_years_of_clients_is_refused(
    ledger: Ledger, moment: str | None, sqlstate: str
) -> None:
    with refused(sqlstate, "at"):
        ledger.call("billing_cycle", subject="a", at=moment)
    with refused("22004", "subject"):
        ledger.call("billing_cycle", subject=None)
