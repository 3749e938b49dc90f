"""subjects() and events(): who was active, and why a charge is what it is."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.helpers import PERIODS, ROLLUPS, Ledger, at, refused


def test_subjects_are_most_recent_first_and_capped(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    assert ledger.call("subjects") == []
    for i, subject in enumerate("abcde"):
        ledger.record(subject, "m", 1, at=at("2026-06-18") + timedelta(days=i))
    ledger.record("b", "m", 1, at=at("2026-07-18"))
    ledger.record("e", "m", 1, at=at("2025-07-18"))
    assert ledger.call("subjects", max_rows=3) == [
        ("b", at("2026-07-18")),
        ("e", at("2026-06-22")),
        ("d", at("2026-06-21")),
    ]
    assert [s.subject for s in ledger.call("subjects")] == ["b", "e", "d", "c", "a"]


def test_subjects_of_metrics_of_every_kind_are_in_order(ledger: Ledger) -> None:
    draw = random.Random(3)
    latest: dict[str, Any] = {}
    kinds = [(p, r) for p in PERIODS for r in ROLLUPS]
    for i, (period, rollup) in enumerate(kinds):
        ledger.define(f"m{i}", "sum", period=period, rollup=rollup)
    events = []
    for i in range(400):
        moment = at("2025-01-01") + timedelta(seconds=draw.randrange(500 * 86400))
        subject = f"s{draw.randrange(60)}"
        events.append({"subject": subject, "metric": f"m{i % len(kinds)}", "quantity": 1, "at": moment})
        latest[subject] = max(latest.get(subject, moment), moment)
    ledger.batch(events)
    expected = sorted(latest.items(), key=lambda item: item[1], reverse=True)
    for max_rows in (1, 2, 7, 59, 60, 100):
        assert [tuple(row) for row in ledger.call("subjects", max_rows=max_rows)] == expected[:max_rows]


def test_one_busy_subject_does_not_hide_the_others(ledger: Ledger) -> None:
    ledger.define("m", "sum", period="minute", rollup="none")
    ledger.batch(
        [
            {"subject": "busy", "metric": "m", "quantity": 1, "at": at("2026-06-18") + timedelta(minutes=i)}
            for i in range(2000)
        ]
    )
    ledger.record("quiet", "m", 1, at=at("2026-01-01"))
    assert [s.subject for s in ledger.call("subjects", max_rows=2)] == ["busy", "quiet"]


@pytest.mark.parametrize("max_rows", [0, -1, 10_001, 2_000_000_000])
def test_p8_an_absurd_number_of_rows_is_refused(ledger: Ledger, max_rows: int) -> None:
    for function, given in (("subjects", {}), ("events", {"subject": "a"})):
        with refused("22023", "max_rows"):
            ledger.call(function, max_rows=max_rows, **given)
        with refused("22004", "max_rows"):
            ledger.call(function, max_rows=None, **given)


def test_events_are_newest_first_as_they_were_recorded(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.define("u", "unique")
    ledger.record("a", "m", "1.50", at=at("2026-06-18"), idempotency_key="k", metadata={"x": 1})
    ledger.record("a", "u", member="v", at=at("2026-06-19"))
    ledger.record("b", "m", 9, at=at("2026-06-19"))
    newest, oldest = ledger.call("events", subject="a")
    assert (newest.metric, newest.quantity, newest.member, newest.idempotency_key, newest.metadata) == (
        "u",
        None,
        "v",
        None,
        None,
    )
    assert (oldest.at, oldest.quantity, oldest.member, oldest.idempotency_key, oldest.metadata) == (
        at("2026-06-18"),
        1.5,
        None,
        "k",
        {"x": 1},
    )
    assert oldest.recorded_at is not None
    assert ledger.call("events", subject="a", metric="m") == [oldest]
    assert ledger.call("events", subject="a", since=at("2026-06-19")) == [newest]
    assert ledger.call("events", subject="a", until=at("2026-06-19")) == [oldest]
    assert ledger.call("events", subject="nobody") == []


@pytest.mark.parametrize("with_after_at", [False, True])
@pytest.mark.parametrize("metric", [None, "m"])
def test_pages_have_every_event_once_also_when_many_share_a_time(
    ledger: Ledger, with_after_at: bool, metric: str | None
) -> None:
    draw = random.Random(5)
    for key in ("m", "n", "o"):
        ledger.define(key, "sum")
    ledger.batch(
        [
            {
                "subject": "a",
                "metric": draw.choice("mno"),
                "quantity": i,
                "at": at("2026-05-30") + timedelta(days=draw.randrange(4)),
            }
            for i in range(100)
        ]
    )
    ledger.maintain()
    everything = ledger.call("events", subject="a", metric=metric)
    assert everything == sorted(everything, key=lambda e: (e.at, e.event_id), reverse=True)
    assert len(everything) == ledger.value(
        "SELECT count(*) FROM meter.logged_events WHERE metric = coalesce(%s, metric)", [metric]
    )
    pages: list[Any] = []
    given: dict[str, Any] = {}
    while page := ledger.call("events", subject="a", metric=metric, max_rows=7, **given):
        pages += page
        # What is recorded meanwhile belongs in front, and moves no page.
        ledger.record("a", "m", 1000, at=at("2026-06-18"))
        given = {"after_id": page[-1].event_id} | ({"after_at": page[-1].at} if with_after_at else {})
    assert pages == everything


def _cursors(moment: datetime) -> dict[str, Any]:
    """What clients make of the time of a page's last row."""
    return {
        "cut to milliseconds, as JavaScript's Date": moment.replace(
            microsecond=moment.microsecond // 1000 * 1000
        ),
        "rounded up to milliseconds": moment + timedelta(microseconds=-moment.microsecond % 1000),
        "cut to seconds": moment.replace(microsecond=0),
        "in another zone": moment.astimezone(timezone(timedelta(hours=9))),
        "none": None,
        "of another day": moment - timedelta(days=1),
        "infinite": "infinity",
    }


@pytest.mark.parametrize("cursor", list(_cursors(at("2026-06-18"))))
@pytest.mark.parametrize("metric", [None, "m"])
def test_pages_do_not_depend_on_the_precision_of_the_clients_time(
    ledger: Ledger, cursor: str, metric: str | None
) -> None:
    for key in ("m", "n"):
        ledger.define(key, "sum")
    ledger.batch(
        [
            {
                "subject": subject,
                "metric": "mn"[i // 3 % 2],
                "quantity": 1,
                "at": at("2026-06-30 23:59:59.998") + timedelta(microseconds=137 * i),
            }
            for i in range(30)
            for subject in ("a", "b")
        ]
    )
    ids = [e.event_id for e in ledger.call("events", subject="a", metric=metric)]
    assert len(ids) == (30 if metric is None else 15)
    paged: list[int] = []
    given: dict[str, Any] = {}
    while page := ledger.call("events", subject="a", metric=metric, max_rows=4, **given):
        paged += [e.event_id for e in page]
        assert len(paged) <= len(ids), "a page comes again"
        given = {"after_id": page[-1].event_id, "after_at": _cursors(page[-1].at)[cursor]}
    assert paged == ids


def test_p8_a_bad_page_is_refused(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    other = ledger.record("b", "m", 1)
    with refused("22023", "after_id"):
        ledger.call("events", subject="a", after_id=other.event_id)
    with refused("22023", "after_id"):
        ledger.call("events", subject="a", after_id=other.event_id, after_at=at("2026-06-18"))
    with refused("22004", "after_id"):
        ledger.call("events", subject="a", after_at=at("2026-06-18"))
    with refused("UM001", "metric"):
        ledger.call("events", subject="a", metric="nope")
    with refused("22023"):
        ledger.call("events", subject="a", since=at("2026-06-18"), until=at("2026-06-18"))
    with refused("22023"):
        ledger.call("events", subject="a", since="infinity")


def test_events_of_a_retired_metric_are_still_shown(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1)
    ledger.call("retire_metric", key="m")
    assert len(ledger.call("events", subject="a")) == 1
    assert len(ledger.call("subjects")) == 1


def _all_subjects(ledger: Ledger, max_rows: int, *, digits: int | None = 6, record: Any = None) -> list[Any]:
    """All pages; `digits` of the cursor's seconds, None for no time."""
    found: list[Any] = []
    given: dict[str, Any] = {}
    while page := ledger.call("subjects", max_rows=max_rows, **given):
        found += page
        assert len(found) < 2_000, "pages come again"
        if record is not None:
            record(page)
        after_at = page[-1].last_activity_at
        if digits == 3:
            after_at = after_at.replace(microsecond=after_at.microsecond // 1000 * 1000)
        given = {"after_subject": page[-1].subject} | ({} if digits is None else {"after_at": after_at})
    return found


def _record_at_few_times(ledger: Ledger) -> list[Any]:
    draw = random.Random(9)
    kinds = [(p, r) for p in PERIODS for r in ROLLUPS]
    for i, (period, rollup) in enumerate(kinds):
        ledger.define(f"m{i}", "sum", period=period, rollup=rollup, striped=i % 3 == 0)
    for _ in range(2):
        ledger.batch(
            [
                {
                    "subject": f"s{draw.randrange(90)}",
                    "metric": f"m{i % len(kinds)}",
                    "quantity": 1,
                    "at": at("2025-12-30")
                    + timedelta(hours=7 * draw.randrange(30), microseconds=137 * draw.randrange(9)),
                }
                for i in range(250)
            ]
        )
    return ledger.call("subjects")


@pytest.mark.parametrize(("max_rows", "digits"), [(2, 6), (7, 6), (90, 6), (7, 3), (7, None)])
def test_pages_have_every_subject_once_also_where_many_share_a_time(
    ledger: Ledger, max_rows: int, digits: int | None
) -> None:
    everything = _record_at_few_times(ledger)
    assert len(everything) > 80
    assert everything == sorted(everything, key=lambda row: row.last_activity_at, reverse=True)
    assert _all_subjects(ledger, max_rows, digits=digits) == everything


def test_who_records_meanwhile_disturbs_nobody_else(ledger: Ledger) -> None:
    """Also where it is the subject that the next page begins after."""
    everything = _record_at_few_times(ledger)
    active: set[str] = set()

    def record(page: list[Any]) -> None:
        for subject in (page[-1].subject, "s7", "s8"):
            ledger.record(subject, "m0", 1, at=at("2026-06-18"))
            active.add(subject)

    found = [row.subject for row in _all_subjects(ledger, 9, record=record)]
    assert len(found) == len(set(found))
    assert [s for s in found if s not in active] == [
        row.subject for row in everything if row.subject not in active
    ]


def test_pages_of_one_snapshot_have_every_subject(ledger: Ledger, new_ledger: Any) -> None:
    everything = _record_at_few_times(ledger)
    reader = new_ledger("reader", autocommit=False)
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    assert _all_subjects(reader, 9, record=lambda page: ledger.record("s7", "m0", 1)) == everything


@pytest.mark.parametrize(("period", "rollup"), [("month", "hour"), ("hour", "none")])
def test_long_silent_subjects_are_found_behind_a_busy_one(ledger: Ledger, period: str, rollup: str) -> None:
    """Coarse rollups skip the hours between; without any, every subject is looked at."""
    ledger.define("m", "sum", period=period, rollup=rollup)
    ledger.batch(
        [
            {"subject": "busy", "metric": "m", "quantity": 1, "at": at("2024-06-18") + timedelta(hours=i)}
            for i in range(12_000)
        ]
    )
    ledger.batch(
        [
            {
                "subject": f"quiet{i}",
                "metric": "m",
                "quantity": 1,
                "at": at("2024-01-01") + timedelta(hours=i),
            }
            for i in range(5)
        ]
    )
    expected = ["busy", "quiet4", "quiet3", "quiet2", "quiet1", "quiet0"]
    for max_rows in (1, 2, 6, 100):
        assert [row.subject for row in _all_subjects(ledger, max_rows)] == expected


def test_p8_a_bad_page_of_subjects_is_refused(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1)
    for after_subject in ("nobody", "", " "):
        with refused("22023", "after_subject"):
            ledger.call("subjects", after_subject=after_subject)
    with refused("22004", "after_subject"):
        ledger.call("subjects", after_at=at("2026-06-18"))
    with refused("22023", "after_at"):
        ledger.call("subjects", after_subject="a", after_at="infinity")
