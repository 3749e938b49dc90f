"""P5: one resolver; windows are half-open and tile, on DST days too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from pymeter.times import read_zone
from tests.helpers import Ledger, at, at_length, committed_or, refused

NOW = at("2026-06-18 14:30:45.123")
INSTANT = timedelta(microseconds=1)
UNITS = ("minute", "hour", "day", "week", "month", "year")

# A zone, and a time near which its clocks change in an odd way.
ODD = [
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Europe/Berlin", "2026-10-25"),
    ("Asia/Kathmandu", "2026-06-18"),
    ("Asia/Kathmandu", "1986-01-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Africa/Cairo", "2026-04-24"),
    ("Africa/Cairo", "2026-10-30"),
    ("America/Havana", "2026-03-08"),
    ("America/Havana", "2026-11-01"),
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Kiritimati", "1994-12-31"),
    ("Pacific/Kwajalein", "1993-08-21"),
    ("Pacific/Kwajalein", "1969-09-30"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("Asia/Beirut", "2026-03-29"),
    ("Asia/Beirut", "2026-10-25"),
    ("Atlantic/Azores", "2026-03-29"),
    ("Atlantic/Azores", "2026-10-25"),
    ("America/Asuncion", "2023-10-01"),
    ("America/Asuncion", "2024-03-24"),
    ("America/Caracas", "2016-05-01"),
    ("Asia/Pyongyang", "2018-05-05"),
    ("Asia/Pyongyang", "2015-08-15"),
    ("Antarctica/Troll", "2026-03-29"),
    ("Asia/Gaza", "2026-03-28"),
    ("Africa/Casablanca", "2026-02-15"),
    ("America/Godthab", "2023-03-26"),
    ("America/Scoresbysund", "2024-03-31"),
    ("Africa/Monrovia", "1972-01-07"),
    ("Antarctica/Casey", "2018-03-11"),
    ("America/St_Johns", "2006-10-29"),
    ("America/St_Johns", "2006-04-02"),
    ("Asia/Amman", "2022-10-28"),
    ("Europe/Dublin", "2026-10-25"),
    ("UTC", "2016-12-31"),
]


@pytest.fixture(scope="module")
def ledger(module_dsn: str) -> Iterator[Ledger]:
    """All tests of this file only ask."""
    with psycopg.connect(module_dsn, autocommit=True) as connection:
        yield Ledger(connection)


@pytest.mark.parametrize(
    ("period", "since", "until"),
    [
        ("minute", "2026-06-18 14:30", "2026-06-18 14:31"),
        ("hour", "2026-06-18 14:00", "2026-06-18 15:00"),
        ("day", "2026-06-18", "2026-06-19"),
        ("week", "2026-06-15", "2026-06-22"),
        ("month", "2026-06-01", "2026-07-01"),
        ("year", "2026-01-01", "2027-01-01"),
        ("DAY", "2026-06-18", "2026-06-19"),
        (" week ", "2026-06-15", "2026-06-22"),
    ],
)
def test_a_calendar_word_is_the_bucket_that_contains_now(
    ledger: Ledger, period: str, since: str, until: str
) -> None:
    assert ledger.window(period=period, now=NOW) == (at(since), at(until))


@pytest.mark.parametrize(
    ("now", "since"),
    [
        ("2026-06-15", "2026-06-15"),
        ("2026-06-14 23:59:59.999999", "2026-06-08"),
        ("2026-06-21 23:59:59.999999", "2026-06-15"),
        ("2027-01-01", "2026-12-28"),
        ("2024-12-30", "2024-12-30"),
        ("2021-01-03", "2020-12-28"),
        ("1970-01-01", "1969-12-29"),
    ],
)
def test_weeks_are_iso_weeks_from_monday(ledger: Ledger, now: str, since: str) -> None:
    assert ledger.window(period="week", now=at(now)) == (at(since), at(since) + timedelta(days=7))


@pytest.mark.parametrize(
    ("now", "period", "since"),
    [
        ("2026-06-18 14:30:45.123", "2 months", "2026-04-18 14:30:45.123"),
        ("2026-06-18 14:30:45.123", "1 year", "2025-06-18 14:30:45.123"),
        ("2026-03-31", "1 month", "2026-02-28"),
        ("2024-02-29", "1 year", "2023-02-28"),
        ("2026-03-31", "2 months", "2026-01-31"),
        ("2024-03-31 12:00", "1 month", "2024-02-29 12:00"),
        ("2024-02-29", "4 years", "2020-02-29"),
        ("2026-03-31", "13 months", "2025-02-28"),
        ("2026-06-18 14:30:45.123", "15m", "2026-06-18 14:15:45.123"),
        ("2026-06-18 14:30:45.123", "90 minutes", "2026-06-18 13:00:45.123"),
        ("2026-06-18 14:30:45.123", "30 days", "2026-05-19 14:30:45.123"),
        ("2026-06-18 14:30:45.123", "2 weeks", "2026-06-04 14:30:45.123"),
        ("2026-06-18 14:30:45.123", "1h 30m", "2026-06-18 13:00:45.123"),
        ("2026-06-18 14:30:45.123", "1h30m", "2026-06-18 13:00:45.123"),
        ("2026-06-18 14:30:45.123", "36h", "2026-06-17 02:30:45.123"),
        ("2026-06-18 14:30:45.123", "1 hour", "2026-06-18 13:30:45.123"),
        ("2026-06-18 14:30:45.123", "30 seconds", "2026-06-18 14:30:15.123"),
        ("2026-06-18 14:30:45.123", "1 week", "2026-06-11 14:30:45.123"),
        ("2026-06-18 14:30:45.123", "1 year 2 months 3 days", "2025-04-15 14:30:45.123"),
    ],
)
def test_a_duration_trails_ends_at_and_includes_now(
    ledger: Ledger, now: str, period: str, since: str
) -> None:
    assert ledger.window(period=period, now=at(now)) == (at(since), at(now) + INSTANT)


def test_trailing_months_clamp_in_the_callers_time_zone(ledger: Ledger) -> None:
    # 2026-03-31 23:30 in New York is already April in UTC.
    now = datetime.fromisoformat("2026-03-31T23:30:00-04:00")
    lower, _ = ledger.window(period="1 month", timezone="America/New_York", now=now)
    assert lower == datetime.fromisoformat("2026-02-28T23:30:00-05:00")


@pytest.mark.parametrize("half_hours", range(-1, 6))
@pytest.mark.parametrize(("period", "length"), [("15m", 0.25), ("24h", 24), ("1 day", 24), ("2 weeks", 336)])
def test_a_duration_is_as_long_as_it_says_while_clocks_repeat_an_hour(
    ledger: Ledger, period: str, length: float, half_hours: int
) -> None:
    """From 5:00 to 7:00 UTC it is twice one o'clock in New York."""
    now = at("2026-11-01 05:00") + half_hours * timedelta(minutes=30)
    expected = (now - timedelta(hours=length), now + INSTANT)
    assert ledger.window(period=period, timezone="America/New_York", now=now) == expected


def test_an_explicit_range_is_taken_as_it_is(ledger: Ledger) -> None:
    since, until = at("2026-06-01"), at("2026-06-02")
    assert ledger.window(since=since, until=until) == (since, until)
    assert ledger.window(since=since) == (since, None)
    assert ledger.window(until=until) == (None, until)
    assert ledger.window(since=since, until=since + INSTANT) == (since, since + INSTANT)


@pytest.mark.parametrize(
    ("given", "sqlstate"),
    [
        ({}, "22023"),
        ({"period": "month", "since": NOW}, "22023"),
        ({"period": "1 month", "until": NOW}, "22023"),
        ({"since": NOW, "until": NOW}, "22023"),
        ({"since": NOW, "until": NOW - INSTANT}, "22023"),
        ({"since": "infinity"}, "22023"),
        ({"since": "-infinity"}, "22023"),
        ({"until": "infinity"}, "22023"),
        ({"since": NOW, "until": "infinity"}, "22023"),
        ({"period": "day", "now": "infinity"}, "22023"),
        ({"period": "1 day", "now": "-infinity"}, "22023"),
        ({"period": "day", "timezone": None}, "22004"),
        ({"period": "day", "timezone": "Mars/Olympus"}, "22023"),
        ({"period": "day", "timezone": ""}, "22023"),
        ({"period": "day", "timezone": "x" * 5000}, "22023"),
        ({"period": "day", "timezone": "'; DROP TABLE"}, "22023"),
        ({"since": NOW, "timezone": "nowhere"}, "22023"),
        *[
            ({"period": p}, "22023")
            for p in (
                "",
                " ",
                "fortnight",
                "days",
                "0 days",
                "0m",
                "-1 day",
                "1.5 hours",
                "1",
                "1 lightyear",
                "day 1",
                "month month",
                "1 month ago",
                "1,5h",
                "99999999999 days",
                "999999999 years",
                "1001 years",
                "P1M",
                "all",
                "now",
                "1 day; 2",
                "1" * 300,
                "9" * 9 + "y",
                "1 century",
                "quarter",
                "1e2 days",
                "infinity",
                "1h -30m",
            )
        ],
    ],
)
def test_p8_what_is_not_a_window_is_refused(ledger: Ledger, given: dict[str, Any], sqlstate: str) -> None:
    with refused(sqlstate):
        ledger.window(**given)
    ledger.define("m", "sum")
    if given:
        with refused(sqlstate):
            ledger.usage("a", "m", **given)
        with refused(sqlstate):
            ledger.call("summary", subject="a", **given)
        with refused(sqlstate):
            ledger.call("usage_by", subject="a", metric="m", dimension="x", **given)
        with refused(sqlstate):
            ledger.call("check_quota", subject="a", metric="m", quota=1, **given)


@pytest.mark.parametrize("offset", ["+05:30", "-3", "05:30", "EST5EDT,M3.2.0", "FOO+5", "<+0530>-5:30"])
def test_p8_an_offset_is_not_a_time_zone_because_its_sign_would_be_reversed(
    ledger: Ledger, offset: str
) -> None:
    """PostgreSQL reads '+05:30' as a POSIX zone, five and a half hours WEST of Greenwich."""
    with refused("22023", "timezone"):
        ledger.window(period="day", timezone=offset)


@pytest.mark.parametrize(
    "name",
    [
        *("right/UTC", "Right/utc", "right/Europe/Berlin", "posix/UTC", "posix/Europe/Berlin"),
        *("EST", "MST", "CET", "IST", "PST", "BST", "GMT", "Z", "zulu", "UCT", "est", "PST8PDT", "MST7MDT"),
        *("GMT+0", "GMT0", "UTC+3", "UTC0", "foo5", "Foo/Bar5", "Etc/GMT+13", "Etc/GMT-15", "Etc/GMT+07"),
        *("localtime", "posixrules", "Factory", "America", "America/Argentina", "Europe/Berlin "),
        *("../UTC", "Europe//Berlin", "/UTC", "Europe/", "Europe/Berlin\n", "Europe\\Berlin", "DEFAULT"),
    ],
)
def test_p8_a_time_zone_is_a_name_and_nothing_else_that_postgresql_reads(ledger: Ledger, name: str) -> None:
    """Above all check_quota() must not count all time because the zone's day is empty."""
    ledger.define("m", "sum")
    window = {"period": "day", "timezone": name}
    month = {"since": at("2026-06-01"), "until": at("2026-07-01"), "timezone": name}
    for function, given in [
        ("resolve_window", window),
        ("usage", {"subject": "a", "metric": "m", **window}),
        ("usage", {"subject": "a", "metric": "m", "timezone": name}),
        ("summary", {"subject": "a", **window}),
        ("usage_by", {"subject": "a", "metric": "m", "dimension": "x", **window}),
        ("check_quota", {"subject": "a", "metric": "m", "quota": 1, **window}),
        ("check_quota", {"subject": "a", "metric": "m", "quota": 1, "timezone": name}),
        ("series", {"subject": "a", "metric": "m", **month}),
        ("series", {"subject": "a", "metric": "m", "step": "1h", **month}),
    ]:
        with refused("22023", "timezone"):
            ledger.call(function, **given)
    with pytest.raises(ValueError, match="is not a time zone"):
        read_zone(name)


def test_every_region_of_the_server_is_a_time_zone(ledger: Ledger) -> None:
    names = [
        row.name
        for row in ledger.rows(
            "SELECT name FROM pg_timezone_names WHERE name ~ '^(?!posix/|right/).*/' OR name = 'UTC'"
        )
    ]
    assert len(names) > 400
    assert {"UTC", "Etc/UTC", "Etc/GMT+3", "Etc/GMT-14", "America/Argentina/Buenos_Aires"} <= set(names)
    names += ["Japan", "Singapore", "NZ", "utc", "europe/berlin"]
    ledger.rows("SELECT meter.resolve_window('day', timezone => name) FROM unnest(%s::text[]) name", [names])


@pytest.mark.parametrize("setting", ["UTC+3", "<UTC>-5", "<EUROPE/BERLIN>-5", "EUROPE/BERLIN-5", "JAPAN-3"])
@pytest.mark.parametrize("name", ["UTC", "utc", "Etc/UTC", "Europe/Berlin", "Japan"])
def test_the_session_cannot_say_what_a_time_zone_means(ledger: Ledger, setting: str, name: str) -> None:
    """From PostgreSQL 18 on, AT TIME ZONE takes an abbreviation of the session's own zone first."""
    questions = [{"period": period, "timezone": name, "now": NOW} for period in ("day", "month", "1 month")]
    expected = [ledger.window(**question) for question in questions]
    with ledger.connection.transaction():
        ledger.execute("SELECT set_config('timezone', %s, true)", [setting])
        for question, window in zip(questions, expected, strict=True):
            try:
                with ledger.connection.transaction():
                    assert ledger.window(**question) == window
            except psycopg.errors.InvalidParameterValue:  # a name that the session has redefined
                assert name.upper() in setting
                assert name != "UTC"
    with ledger.connection.transaction():
        ledger.execute("SELECT set_config('timezone', 'GB-Eire', true)")
        assert ledger.window(period="day", timezone="GB", now=NOW) == (
            at("2026-06-17 23:00"),
            at("2026-06-18 23:00"),
        )


@pytest.mark.parametrize(
    ("period", "now"),
    [
        ("1000 years", "0500-06-01"),
        ("year", "9999-12-30"),
        ("day", "9999-12-30 23:00"),
        ("week", "0001-01-02"),
        ("never", "2026-06-18"),
    ],
)
def test_a_window_never_leaves_the_calendar_that_clients_have(ledger: Ledger, period: str, now: str) -> None:
    """Python's datetime, for one, ends with the years 1 and 9999: reading the window must not fail."""
    ledger.define("m", "sum")
    with committed_or(ledger.connection, "22023"):
        ledger.window(period=period, now=at(now), timezone="Asia/Kathmandu")
        ledger.usage("a", "m", period=period, now=at(now))


@pytest.mark.parametrize(
    ("timezone", "day", "hours"),
    [
        ("America/New_York", "2026-03-08 12:00-04:00", 23),
        ("America/New_York", "2026-11-01 12:00-05:00", 25),
        ("Asia/Kathmandu", "2026-06-18 12:00+05:45", 24),
        ("Australia/Lord_Howe", "2026-04-05 12:00+10:30", 24.5),
        ("America/Sao_Paulo", "2018-11-04 12:00-02:00", 23),
        ("America/Havana", "2026-11-01 12:00-05:00", 24),
    ],
)
def test_p5_local_days_have_as_many_hours_as_they_have(
    ledger: Ledger, timezone: str, day: str, hours: float
) -> None:
    lower, upper = ledger.window(period="day", timezone=timezone, now=datetime.fromisoformat(day))
    assert lower is not None
    assert upper is not None
    assert upper - lower == timedelta(hours=hours)


def test_kathmandu_days_start_at_a_quarter_past_six_in_the_evening_utc(ledger: Ledger) -> None:
    lower, upper = ledger.window(period="day", timezone="Asia/Kathmandu", now=at("2026-06-18 18:14:59"))
    assert (lower, upper) == (at("2026-06-17 18:15"), at("2026-06-18 18:15"))


TILING = """
    SELECT probe, lower(w) AS since, upper(w) AS until, w @> probe AS contains,
           meter.resolve_window(%(unit)s, timezone => %(zone)s, now => lower(w)) = w AS start_agrees,
           lower(meter.resolve_window(%(unit)s, timezone => %(zone)s, now => upper(w))) = upper(w) AS tiles,
           meter.resolve_window(%(unit)s, timezone => %(zone)s, now => upper(w) - %(instant)s) = w AS ends
    FROM unnest(%(probes)s::timestamptz[]) probe,
         LATERAL (SELECT meter.resolve_window(%(unit)s, timezone => %(zone)s, now => probe) w) r
"""


# Minutes from one probe to the next, and how many. The minutes are not divisors of an hour or a day: probes
# fall anywhere in it.
TILED = {
    "minute": (at_length(23, 7), at_length(90, 300)),
    "hour": (at_length(53, 17), at_length(78, 240)),
    "day": (at_length(170, 60), at_length(33, 90)),
    "week": (11 * 60, 30),
    "month": (11 * 60, 30),
    "year": (11 * 60, 30),
}


def assert_tiles(ledger: Ledger, zone: str, around: datetime) -> None:
    for unit in UNITS:
        step, count = TILED[unit]
        probes = [
            around + timedelta(minutes=step * i) - timedelta(minutes=step * count // 2) for i in range(count)
        ]
        probes = [p.replace(microsecond=0) for p in probes]
        with ledger.connection.cursor() as cursor:
            rows = cursor.execute(
                TILING, {"unit": unit, "zone": zone, "probes": probes, "instant": INSTANT}
            ).fetchall()
        bad = [row for row in rows if not all(row[3:])]
        assert not bad, (zone, unit, bad[:3])


@pytest.mark.at_length
@pytest.mark.parametrize(("zone", "around"), ODD)
def test_p5_calendar_buckets_tile_around_odd_clock_changes(ledger: Ledger, zone: str, around: str) -> None:
    assert_tiles(ledger, zone, at(around))


def test_p5_calendar_buckets_tile_at_every_change_of_every_zone(ledger: Ledger) -> None:
    """Days and hours of each zone that the server knows, at each change of its offset in some years."""
    changes = ledger.rows("""
        WITH zones AS MATERIALIZED (
            SELECT min(name) AS name FROM pg_timezone_names
            WHERE name ~ '/' AND name !~ '^(posix|right|Etc)/' GROUP BY utc_offset, is_dst, abbrev,
                (timestamptz '2005-07-01' AT TIME ZONE name),
                (timestamptz '2012-01-01' AT TIME ZONE name)
        ), hours AS (
            SELECT name, h, h AT TIME ZONE name - h AT TIME ZONE 'UTC' AS o,
                   lag(h AT TIME ZONE name - h AT TIME ZONE 'UTC')
                       OVER (PARTITION BY name ORDER BY h) AS before
            FROM zones, generate_series(timestamptz '2009-01-01Z', '2012-06-01Z', '6 hours') h
        )
        SELECT name, h FROM hours WHERE o <> before
    """)
    assert len(changes) > 100
    query = """
        SELECT c.zone, c.near, u.unit, p.probe
        FROM unnest(%s::text[], %s::timestamptz[]) c (zone, near), unnest('{hour,day,week}'::text[]) u (unit),
             generate_series(c.near - interval '30 h', c.near + interval '30 h', '3 h 20 min') p (probe),
             LATERAL (SELECT meter.resolve_window(u.unit, timezone => c.zone, now => p.probe) w) r
        WHERE NOT r.w @> p.probe
           OR lower(meter.resolve_window(u.unit, timezone => c.zone, now => upper(r.w))) <> upper(r.w)
           OR meter.resolve_window(u.unit, timezone => c.zone, now => upper(r.w) - interval '1 us') <> r.w
    """
    bad = ledger.rows(query, [[c.name for c in changes], [c.h for c in changes]])
    assert not bad, bad[:5]


def test_a_null_now_is_now(ledger: Ledger) -> None:
    lower, upper = ledger.window(period="1 hour", now=None)
    assert upper is not None
    assert lower is not None
    assert abs(upper - datetime.now(UTC)) < timedelta(minutes=1)
