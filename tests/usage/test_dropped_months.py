"""A window that needs dropped events is refused; every other one is answered as before the drop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.helpers import AGGREGATES, Ledger, Task, at, refused

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]


def drop(ledger: Ledger, by: str = "maintain") -> None:
    if by == "maintain":
        assert ("dropped partition", "events_2024_01") in ledger.maintain(keep="13 months")
    else:
        ledger.execute("DROP TABLE meter.events_2024_01")


@pytest.fixture
def old(ledger: Ledger) -> Ledger:
    """Every aggregate by month and hour, with events of a in January 2024 (10:15, 11:45) and June 2026."""
    for aggregate in AGGREGATES:
        ledger.define(aggregate, aggregate)
        for i, day in enumerate(("2024-01-15 10:15", "2024-01-15 11:45", "2026-06-18 12:30")):
            given: dict[str, Any] = {"member": f"u{i}"} if aggregate == "unique" else {"quantity": i + 1}
            ledger.record("a", aggregate, at=at(day), metadata={"model": "large"}, **given)
    ledger.maintain()
    return ledger


@pytest.mark.parametrize("by", ["maintain", "hand"])
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_whole_hours_are_answered_and_cut_ones_are_refused(old: Ledger, aggregate: str, by: str) -> None:
    def answer(since: str, until: str) -> Any:
        return old.usage("a", aggregate, since=at(since), until=at(until))

    whole = [
        ("2024-01-15 10:00", "2024-01-15 11:00"),
        ("2024-01-15 11:00", "2026-06-18 12:31"),
        ("2024-01-01", "2024-02-01"),
        ("2023-01-01", "2027-01-01"),
    ]
    before = [answer(*window) for window in whole]
    drop(old, by)
    assert [answer(*window) for window in whole] == before
    for since, until in (
        ("2024-01-15 10:10", "2024-01-15 10:20"),
        ("2024-01-15 10:30", "2024-01-15 11:00"),
        ("2024-01-15 10:00", "2024-01-15 11:50"),
        ("2024-01-15 10:15", "2026-07-01"),
        ("2023-01-01", "2024-01-15 11:46"),
    ):
        with refused("UM006") as caught:
            answer(since, until)
        diag = caught.value.diag  # type: ignore[attr-defined]
        assert "2024-01" in diag.message_detail
        assert "hour" in diag.message_hint


def test_edges_in_which_the_subject_had_nothing_are_answered(old: Ledger) -> None:
    """Rollups tell: there is none for an hour without events."""
    drop(old)
    assert old.usage("a", "sum", since=at("2024-01-15 09:30"), until=at("2024-01-15 12:30")).quantity == 3
    assert old.usage("b", "sum", since=at("2024-01-15 10:10"), until=at("2024-01-15 10:20")).quantity == 0
    assert old.usage("a", "sum", since=at("2024-01-20 10:10"), until=at("2026-07-01")).quantity == 3


@pytest.mark.parametrize(
    "question",
    [
        "SELECT meter.usage('a', 'sum', '900 days', now => '2026-07-03 10:30Z')",
        "SELECT meter.summary('a', '900 days', now => '2026-07-03 10:30Z')",
        "SELECT meter.series('a', 'sum', '2024-01-15Z', '2024-01-16Z', '15m')",
        "SELECT meter.series('a', 'sum', '2024-01-15Z', '2024-01-16Z', 'hour', 'Asia/Kolkata')",
        "SELECT meter.check_quota('a', 'sum', 9, since => '2024-01-15 10:10Z')",
        "SELECT meter.usage_by('a', 'sum', 'model', 'never')",
        "SELECT meter.usage_by('a', 'sum', 'model', since => '2024-01-01Z', until => '2024-02-01Z')",
        "SELECT meter.usage_by('a', 'unique', 'model', until => '2024-01-15 10:30Z')",
    ],
)
def test_every_question_that_would_miss_events_is_refused(old: Ledger, question: str) -> None:
    assert old.rows(question)
    drop(old)
    with refused("UM006"):
        old.rows(question)


@pytest.mark.parametrize(
    "question",
    [
        "SELECT * FROM meter.usage('a', 'sum', 'never')",
        "SELECT * FROM meter.summary('a', since => '2024-01-01Z', until => '2025-01-01Z')",
        "SELECT * FROM meter.series('a', 'sum', '2024-01-15Z', '2024-01-16Z', 'hour')",
        "SELECT * FROM meter.series('a', 'unique', '2024-01-01Z', '2027-01-01Z', 'month')",
        "SELECT * FROM meter.check_quota('a', 'sum', 9, period => 'month', now => '2024-01-20Z')",
        "SELECT * FROM meter.usage('a', 'sum', 'month', timezone => 'Asia/Tokyo', now => '2024-01-20Z')",
        "SELECT * FROM meter.usage_by('a', 'sum', 'model', since => '2024-02-01Z')",
        "SELECT * FROM meter.usage_by('b', 'sum', 'model', 'never')",
        "SELECT * FROM meter.subjects()",
    ],
)
def test_every_other_question_is_answered_as_before(old: Ledger, question: str) -> None:
    before = old.rows(question)
    drop(old)
    assert old.rows(question) == before


def test_events_returns_what_there_is(old: Ledger) -> None:
    drop(old)
    assert [e.at for e in old.call("events", subject="a", metric="sum")] == [at("2026-06-18 12:30")]


@pytest.mark.parametrize(
    ("period", "rollup", "answered", "refused_"),
    [
        ("month", "none", ("2024-01-01", "2024-02-01"), ("2024-01-01", "2024-01-16")),
        ("month", "day", ("2024-01-15", "2024-01-16"), ("2024-01-15", "2024-01-15 11:00")),
        ("hour", "none", ("2024-01-15 10:00", "2024-01-15 11:00"), ("2024-01-15 10:00", "2024-01-15 10:30")),
        (
            "minute",
            "hour",
            ("2024-01-15 10:15", "2024-01-15 10:16"),
            ("2024-01-15 10:15", "2024-01-15 10:15:30"),
        ),
        ("week", "none", ("2024-01-15", "2024-01-22"), ("2024-01-16", "2024-01-22")),
        ("week", "none", ("2024-01-29", "2024-02-05"), ("2024-01-30", "2024-02-05")),
        ("year", "none", ("2024-01-01", "2025-01-01"), ("2024-01-01", "2024-12-31")),
        ("never", "none", ("1970-01-01", None), ("2024-01-01", "2024-12-31")),
    ],
)
def test_the_hint_names_the_buckets_that_are_still_there(
    ledger: Ledger,
    period: str,
    rollup: str,
    answered: tuple[str, str | None],
    refused_: tuple[str, str | None],
) -> None:
    ledger.define("m", "sum", period=period, rollup=rollup)
    for day in ("2024-01-15 10:15", "2024-01-31 12:00", "2024-02-01 12:00"):
        ledger.record("a", "m", 1, at=at(day))
    ledger.maintain()
    window = _window(*answered)
    before = ledger.usage("a", "m", **window)
    ledger.execute("DROP TABLE meter.events_2024_01")
    assert ledger.usage("a", "m", **window) == before
    with refused("UM006") as caught:
        ledger.usage("a", "m", **_window(*refused_))
    hinted = {"month day": "day", "minute hour": "minute"}.get(f"{period} {rollup}", period)
    assert hinted in caught.value.diag.message_hint  # type: ignore[attr-defined]


def test_a_late_event_does_not_bring_the_month_back(old: Ledger) -> None:
    drop(old)
    old.record("a", "sum", 7, at=at("2024-01-15 10:16"))
    window = {"since": at("2024-01-15 10:10"), "until": at("2024-01-15 10:20")}
    for _ in range(2):
        with refused("UM006"):
            old.usage("a", "sum", **window)
        with refused("UM006"):
            old.call("usage_by", subject="a", metric="sum", dimension="model", **window)
        old.maintain()
    assert old.usage("a", "sum", since=at("2024-01-15 10:00"), until=at("2024-01-15 11:00")).quantity == 8


@pytest.mark.parametrize("by", ["maintain", "hand"])
@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
@pytest.mark.parametrize(
    "question",
    [
        "SELECT quantity FROM meter.usage('a', 'sum', NULL, '2024-01-15 10:10Z', '2024-01-15 10:20Z')",
        "SELECT quantity FROM meter.usage('a', 'unique', NULL, '2024-01-15 10:10Z', '2024-01-15 10:20Z')",
        "SELECT quantity FROM meter.usage_by('a', 'sum', 'model', until => '2024-01-15 11:00Z')",
    ],
)
def test_a_question_that_waited_for_the_drop_never_misses_events(
    old: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, question: str, isolation: str, by: str
) -> None:
    """Its snapshot is from before the drop; the log that it then reads is not."""
    maintainer, reader = new_ledger("maintainer", autocommit=False), new_ledger("reader")
    reader.execute(f"SET default_transaction_isolation = '{isolation}'")
    drop(maintainer, by)
    asking = Task(lambda: reader.value(question))
    wait_until_blocked(old.connection, "reader")
    maintainer.connection.commit()
    error = asking.error()
    assert error is not None
    assert error.sqlstate == "UM006"


def test_a_snapshot_from_before_the_drop_and_a_late_event_is_refused_too(
    old: Ledger, new_ledger: NewLedger
) -> None:
    reader = new_ledger("reader", autocommit=False)
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    reader.call("catalog")
    drop(old)
    old.record("a", "sum", 7, at=at("2024-01-15 10:16"))
    old.maintain()
    with refused("40001"):
        reader.usage("a", "sum", since=at("2024-01-15 10:10"), until=at("2024-01-15 10:20"))


def _window(since: str | None, until: str | None) -> dict[str, datetime | None]:
    return {"since": since and at(since), "until": until and at(until)}  # type: ignore[dict-item]
