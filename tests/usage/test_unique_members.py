"""Exact distinct counting: any window, by any period and rollup, equals count(distinct) over the log."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from pymeter import pytest_plugin
from tests.databases import Databases
from tests.helpers import AT_LENGTH, PERIODS, ROLLUPS, Ledger, at

# On and beside the boundaries of hours, days, weeks and months; from a month of 31 days over one of 28.
MARKS = [
    at(text)
    for text in (
        "2025-12-31 23:00",
        "2026-01-01",
        "2026-01-31 23:59:59.999999",
        "2026-02-01",
        "2026-02-02",
        "2026-02-28 23:30",
        "2026-03-01",
        "2026-03-08 07:00",
        "2026-03-29 01:00",
        "2026-03-31 22:15:30",
        "2026-04-01",
    )
]


def moments(draw: random.Random, count: int) -> list[datetime]:
    steps = (timedelta(0), timedelta(microseconds=-1), timedelta(minutes=1), timedelta(hours=5))
    return [draw.choice(MARKS) + draw.choice(steps) for _ in range(count)]


@pytest.fixture(scope="module")
def filled(databases: Databases, pymeter_template: str, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """One for all tests of a kind of metric; what a test changes it restores, or it fails."""
    period, rollup = request.param
    name = pytest_plugin._database_name(f"members_{period}_{rollup}")
    with psycopg.connect(databases.create(name, pymeter_template), autocommit=True) as connection:
        yield fill(Ledger(connection), period, rollup)
    databases.drop(name)


def fill(ledger: Ledger, period: str, rollup: str) -> Ledger:
    ledger.define("m", "unique", period=period, rollup=rollup)
    draw = random.Random(f"{period} {rollup}")
    events: list[dict[str, Any]] = [
        {"subject": draw.choice("ab"), "metric": "m", "member": f"u{draw.randrange(6)}", "at": moment}
        for moment in moments(draw, 90)
    ]
    for event in events[:30]:
        before = ledger.brute(event["subject"], "m", *_bucket(ledger, period, event["at"]))[0]
        known = ledger.value(
            "SELECT count(*) FROM meter.logged_events"
            " WHERE subject = %s AND member = %s AND at >= %s AND at < %s",
            [event["subject"], event["member"], *_bucket(ledger, period, event["at"])],
        )
        assert ledger.record(**event).quantity == before + (known == 0)
    for first in range(30, 90, 12):
        ledger.batch(events[first : first + 12])
    return ledger


def _bucket(ledger: Ledger, period: str, moment: datetime) -> tuple[datetime, datetime]:
    row = ledger.row(
        "SELECT meter._bucket_start(%s, %s) AS since,"
        " least(meter._bucket_end(%s, meter._bucket_start(%s, %s)), '9999-01-01Z') AS until",
        [period, moment, period, period, moment],
    )
    return row.since, row.until


# In the suite each period meets two rollups.
KINDS = [
    pytest.param((period, rollup), id=f"{period} by {rollup}")
    for i, period in enumerate(PERIODS)
    for j, rollup in enumerate(ROLLUPS)
    if AT_LENGTH or (i + j) % 2 == 0
]


@pytest.mark.at_length
@pytest.mark.parametrize("filled", KINDS, indirect=True)
def test_p6_every_window_of_every_kind_of_metric_is_exact(filled: Ledger) -> None:
    assert filled.verify() == []
    draw = random.Random(5)
    windows: list[tuple[datetime | None, datetime | None]] = [(None, MARKS[5]), (MARKS[5], None)]
    while len(windows) < 80:
        since, until = sorted(moments(draw, 2))
        if since < until:
            windows.append((since, until))
    for (since, until), answer in zip(windows, filled.brute_each("a", "m", windows), strict=True):
        total = filled.usage("a", "m", since=since, until=until)
        assert (total.quantity, total.event_count) == answer, (since, until)


@pytest.mark.at_length
@pytest.mark.parametrize("filled", KINDS, indirect=True)
def test_p5_days_on_which_clocks_change_are_exact(filled: Ledger) -> None:
    """Of 23 and 25 hours, and cut between full hours of UTC."""
    totals = [
        filled.usage("a", "m", period=period, timezone=timezone, now=mark)
        for timezone in ("America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe")
        for period in ("day", "week", "month")
        for mark in MARKS
    ]
    answers = filled.brute_each("a", "m", [(total.since, total.until) for total in totals])
    for total, answer in zip(totals, answers, strict=True):
        assert (total.quantity, total.event_count) == answer, (total.since, total.until)


@pytest.mark.at_length
@pytest.mark.parametrize("filled", KINDS, indirect=True)
def test_p4_members_of_every_kind_of_metric_are_rebuilt(filled: Ledger) -> None:
    before = filled.state()
    filled.execute("TRUNCATE meter.unique_members")
    filled.rebuild()
    assert filled.state() == before
    filled.execute("UPDATE meter.unique_members SET seen = ~ seen")
    filled.execute(
        "DELETE FROM meter.unique_members"
        " WHERE seen IS NULL AND member_digest < '80000000-0000-0000-0000-000000000000'"
    )
    filled.execute(
        "INSERT INTO meter.unique_members (series_id, bucket, bucket_start, member_digest, seen)"
        " SELECT DISTINCT ON (1, 2, 3) series_id, bucket, bucket_start,"
        " '00000000-0000-0000-0000-000000000000'::uuid, seen"
        " FROM meter.unique_members"
    )
    assert {drift.what for drift in filled.verify()} == {"members"}
    filled.rebuild()
    assert filled.state() == before


@pytest.mark.parametrize("period", PERIODS)
def test_a_changed_rollup_changes_the_rows_of_members(ledger: Ledger, period: str) -> None:
    states: dict[str, Any] = {}
    ledger.define("m", "unique", period=period, rollup="none")
    draw = random.Random(2)
    for moment in moments(draw, 40):
        ledger.record("a", "m", member=f"u{draw.randrange(4)}", at=moment)
    for rollup in ("none", "hour", "day", "hour", "none", "day", "none", "minute", "hour", "minute", "none"):
        ledger.define("m", "unique", period=period, rollup=rollup)
        assert ledger.verify() == []
        derived = ledger.derived()
        assert states.setdefault(rollup, derived) == derived


def test_a_member_takes_one_row_a_month(ledger: Ledger) -> None:
    ledger.define("m", "unique")
    for hour in range(24 * 28):
        ledger.record("a", "m", member="u", at=at("2026-02-01") + timedelta(hours=hour, minutes=hour % 60))
    row = ledger.row("SELECT bucket, bucket_start, bit_count(seen) AS hours FROM meter.unique_members")
    assert row == ("month", at("2026-02-01"), 24 * 28)


def test_p12_members_of_a_dropped_month_are_left_alone(ledger: Ledger) -> None:
    ledger.define("m", "unique", period="day")
    for month in ("2024-01", "2026-05"):
        ledger.record("a", "m", member="u", at=at(f"{month}-15 10:00"))
    ledger.maintain()
    ledger.execute("DROP TABLE meter.events_2024_01")
    before = ledger.state()
    assert ledger.verify() == []
    ledger.rebuild()
    assert ledger.state() == before
    ledger.execute("UPDATE meter.unique_members SET seen = seen | (seen >> 1)")
    assert [d[:4] for d in ledger.verify()] == [("a", "m", "hour", at("2026-05-15 11:00"))]
    ledger.rebuild()
    assert ledger.verify() == []
    window = {"since": at("2024-01-15 10:00"), "until": at("2024-01-15 12:00")}
    assert ledger.usage("a", "m", **window).quantity == 1
