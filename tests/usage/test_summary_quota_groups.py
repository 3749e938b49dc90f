"""summary(), check_quota() and usage_by(): the same windows as usage()."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.helpers import AGGREGATES, Ledger, at, refused

DAY = {"since": at("2026-06-18"), "until": at("2026-06-19")}


def test_the_summary_has_every_metric_in_use_with_its_unit_zeros_included(ledger: Ledger) -> None:
    ledger.define("tokens", "sum", "token")
    ledger.define("users", "unique", "user", period="day")
    ledger.define("idle", "max", "seat")
    ledger.define("old", "sum")
    ledger.record("a", "old", 5)
    ledger.call("retire_metric", key="old")  # its usage is not in the window
    ledger.record("a", "tokens", 5, at=at("2026-06-18 10:00"))
    ledger.record("a", "users", member="u", at=at("2026-06-18 10:00"))
    rows = ledger.call("summary", subject="a", **DAY)
    assert [(r.metric, r.quantity, r.unit, r.aggregate, r.event_count) for r in rows] == [
        ("idle", 0, "seat", "max", 0),
        ("tokens", 5, "token", "sum", 1),
        ("users", 1, "user", "unique", 1),
    ]
    assert rows == [ledger.usage("a", r.metric, **DAY) for r in rows]
    ledger.execute("UPDATE meter.metrics SET retired_at = '2026-06-19Z' WHERE key = 'old'")
    now = at("2026-06-18 12:00")
    assert ledger.call("summary", subject="a", now=now) == [
        ledger.usage("a", r.metric, now=now) for r in rows
    ]
    assert {r.since for r in ledger.call("summary", subject="a", now=now)} == {
        at("2026-06-01"),
        at("2026-06-18"),
    }


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_a_metric_that_was_retired_in_the_window_is_a_line_of_the_invoice(
    ledger: Ledger, aggregate: str
) -> None:
    ledger.define("m", aggregate)
    ledger.define("unused", aggregate)
    given = {"member": "u"} if aggregate == "unique" else {"quantity": 0}
    ledger.record("a", "m", at=at("2026-06-18 10:00"), **given)
    for key in ("m", "unused"):
        ledger.call("retire_metric", key=key)
    for window in (
        DAY,
        {"period": "month", "now": at("2026-06-20")},
        {"now": at("2026-06-20")},
        {"period": "never"},
    ):
        assert ledger.call("summary", subject="a", **window) == [ledger.usage("a", "m", **window)]
    for window in ({"period": "month", "now": at("2026-05-20")}, {"now": at("2026-07-01")}):
        assert ledger.call("summary", subject="a", **window) == []
    assert ledger.call("summary", subject="b", **DAY) == []


def test_the_summary_without_metrics_is_empty(ledger: Ledger) -> None:
    assert ledger.call("summary", subject="a") == []


@pytest.mark.parametrize(
    ("used", "requested", "allowed", "remaining"),
    [
        (80, None, True, 20),
        (120, None, False, 0),
        (100, None, False, 0),
        (80, 20, True, 20),
        (80, 21, False, 20),
        (0, None, True, 100),
        (100, 0, True, 0),
        (80, "20.0000000000001", False, 20),
        (0, 100, True, 100),
        ("99.9999", None, True, "0.0001"),
    ],
)
def test_a_quota_of_100(ledger: Ledger, used: Any, requested: Any, allowed: bool, remaining: Any) -> None:
    ledger.define("m", "sum", "token")
    ledger.record("a", "m", used, at=at("2026-06-18"))
    (status,) = ledger.call("check_quota", subject="a", metric="m", quota=100, requested=requested, **DAY)
    assert status[:6] == ("m", allowed, Decimal(str(used)), Decimal(str(remaining)), 100, "token")
    assert (status.since, status.until) == (at("2026-06-18"), at("2026-06-19"))


@pytest.mark.parametrize("period", ["minute", "hour", "day", "week", "month", "year", "never"])
def test_a_quota_says_which_window_it_is_about(ledger: Ledger, period: str) -> None:
    """The same whether the period has a row (one statement reads it), or usage() answers."""
    now = at("2026-06-18 14:30:45")
    ledger.define("m", "sum", period=period)
    check = {"subject": "a", "metric": "m", "quota": 5, "now": now}
    (empty,) = ledger.call("check_quota", **check)
    ledger.record("a", "m", 1, at=now)
    (used,) = ledger.call("check_quota", **check)
    (total,) = ledger.call("usage", subject="a", metric="m", now=now)
    assert used.used == 1
    assert (used.since, used.until) == (empty.since, empty.until) == (total.since, total.until)
    assert (used.until is None) is (period == "never")


def test_a_quota_is_about_the_window(ledger: Ledger) -> None:
    ledger.define("m", "sum", period="day")
    ledger.record("a", "m", 100, at=at("2026-06-18"))
    check = {"subject": "a", "metric": "m", "quota": 100}
    assert not ledger.call("check_quota", **check, now=at("2026-06-18 23:59"))[0].allowed
    assert ledger.call("check_quota", **check, now=at("2026-06-19"))[0].allowed
    assert not ledger.call("check_quota", **check, period="2 days", now=at("2026-06-19"))[0].allowed
    assert ledger.call("check_quota", subject="b", metric="m", quota=0)[0].allowed is False


@pytest.mark.parametrize(
    ("given", "sqlstate"),
    [
        ({"quota": None, "period": "day"}, "22023"),
        ({"quota": -1}, "22023"),
        ({"quota": "NaN"}, "22023"),
        ({"quota": "Infinity"}, "22023"),
        ({"requested": -1}, "22023"),
        ({"requested": "NaN"}, "22023"),
        ({"requested": "Infinity"}, "22023"),
        ({"requested": "-Infinity"}, "22023"),
    ],
)
def test_p8_a_bad_quota_is_refused(ledger: Ledger, given: dict[str, Any], sqlstate: str) -> None:
    ledger.define("m", "sum")
    with refused(sqlstate):
        ledger.call("check_quota", **({"subject": "a", "metric": "m", "quota": 1} | given))


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_groups_are_by_the_text_of_a_metadata_key_and_null_is_a_group(ledger: Ledger, aggregate: str) -> None:
    ledger.define("m", aggregate)
    models: list[Any] = ["large", "small", "large", None, 7, "7", True, {"x": 1}, "", "null", ...]
    for i, model in enumerate(models):
        metadata = None if model is ... else {"model": model, "other": i}
        given = {"member": f"u{i % 2}"} if aggregate == "unique" else {"quantity": i + 1}
        ledger.record("a", "m", at=at(f"2026-06-18 {i:02}:00"), metadata=metadata, **given)
    ledger.record(
        "a", "m", at=at("2026-06-19"), **({"member": "u"} if aggregate == "unique" else {"quantity": 9})
    )
    groups = {
        g.value: (g.quantity, g.event_count)
        for g in ledger.call("usage_by", subject="a", metric="m", dimension="model", **DAY)
    }
    large = {"sum": 4, "count": 4, "min": 1, "max": 3, "last": 3, "avg": 2, "unique": 1}[aggregate]
    assert groups["large"] == (large, 2)
    assert groups["7"][1] == 2
    assert groups[None][1] == 2
    assert set(groups) == {"large", "small", None, "7", "true", '{"x": 1}', "", "null"}
    total = ledger.usage("a", "m", **DAY)
    assert sum(count for _, count in groups.values()) == total.event_count
    if aggregate in ("sum", "count"):
        assert sum(quantity for quantity, _ in groups.values()) == total.quantity


def test_p8_groups_of_nothing_are_refused(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    with refused("22004", "dimension"):
        ledger.call("usage_by", subject="a", metric="m", dimension=None)
    assert ledger.call("usage_by", subject="a", metric="m", dimension="'; --") == []
