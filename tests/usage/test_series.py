"""series(): gaps filled, buckets that tile the window."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.helpers import Ledger, at, refused


def test_a_chart_plots_it_as_it_is(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 5, at=at("2026-06-02 12:00"))
    rows = ledger.call("series", subject="a", metric="m", since=at("2026-06-01"), until=at("2026-06-04"))
    assert rows == [
        (at("2026-06-01"), at("2026-06-02"), 0, 0, False),
        (at("2026-06-02"), at("2026-06-03"), 5, 1, True),
        (at("2026-06-03"), at("2026-06-04"), 0, 0, False),
    ]


@pytest.mark.parametrize(
    ("zone", "since", "until", "step", "lengths"),
    [
        ("America/New_York", "2026-03-07T00:00-05:00", "2026-03-10T00:00-04:00", "day", [24, 23, 24]),
        ("America/New_York", "2026-10-31T00:00-04:00", "2026-11-03T00:00-05:00", "day", [24, 25, 24]),
        ("America/New_York", "2026-03-01T00:00-05:00", "2026-04-01T00:00-04:00", "month", [31 * 24 - 1]),
        ("Asia/Kathmandu", "2026-06-18T00:00+05:45", "2026-06-20T00:00+05:45", "day", [24, 24]),
        ("Pacific/Apia", "2011-12-29T00:00-10:00", "2012-01-01T00:00+14:00", "day", [24, 24]),
        ("UTC", "2026-06-18T00:00Z", "2026-06-19T00:00Z", "7h", [7, 7, 7, 3]),
        ("UTC", "2026-06-18T12:00Z", "2026-06-20T06:00Z", "day", [12, 24, 6]),
        ("UTC", "2026-01-31T00:00Z", "2026-04-30T00:00Z", "1 month", [28 * 24, 31 * 24, 30 * 24]),
        # Twice the same hour; a day that begins half an hour early; a local midnight that comes twice.
        ("America/New_York", "2026-11-01T05:30Z", "2026-11-01T08:00Z", "hour", [0.5, 1, 1]),
        ("America/New_York", "2026-11-01T05:30Z", "2026-11-01T07:30Z", "30m", [0.5, 0.5, 0.5, 0.5]),
        ("Australia/Lord_Howe", "2026-04-04T13:00Z", "2026-04-04T16:30Z", "hour", [1, 1, 1, 0.5]),
        ("America/Havana", "2026-11-01T03:30Z", "2026-11-01T06:30Z", "hour", [0.5, 1, 1, 0.5]),
    ],
)
def test_p5_buckets_are_local_and_cut_to_the_window(
    ledger: Ledger, zone: str, since: str, until: str, step: str, lengths: list[int]
) -> None:
    ledger.define("m", "sum")
    since_at, until_at = datetime.fromisoformat(since), datetime.fromisoformat(until)
    rows = ledger.call(
        "series", subject="a", metric="m", since=since_at, until=until_at, step=step, timezone=zone
    )
    assert [(r.bucket_end - r.bucket_start) / timedelta(hours=1) for r in rows] == lengths
    assert (rows[0].bucket_start, rows[-1].bucket_end) == (since_at, until_at)


@pytest.mark.parametrize(
    ("given", "sqlstate"),
    [
        ({"since": None}, "22004"),
        ({"until": None}, "22004"),
        ({"until": at("2026-06-01")}, "22023"),
        ({"until": at("2026-05-01")}, "22023"),
        ({"step": None}, "22004"),
        ({"step": "fortnight"}, "22023"),
        ({"step": ""}, "22023"),
        ({"step": "0m"}, "22023"),
        ({"step": "never"}, "22023"),
        ({"timezone": "Mars"}, "22023"),
        ({"timezone": None}, "22004"),
        ({"since": "-infinity"}, "22023"),
        ({"until": "infinity"}, "22023"),
        ({"step": "1 second", "until": at("2026-06-18")}, "22023"),
    ],
)
def test_p8_a_bad_series_is_refused(ledger: Ledger, given: dict[str, Any], sqlstate: str) -> None:
    ledger.define("m", "sum")
    good = {"subject": "a", "metric": "m", "since": at("2026-06-01"), "until": at("2026-06-02")}
    with refused(sqlstate):
        ledger.call("series", **(good | given))


def test_a_long_series_is_quick_enough(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.execute("SET statement_timeout = '10s'")
    rows = ledger.call(
        "series", subject="a", metric="m", since=at("2026-01-01"), until=at("2026-03-01"), step="15m"
    )
    assert len(rows) == 59 * 96
