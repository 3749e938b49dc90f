"""Projections of metrics that are no sum: max, min, last, avg and unique."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.helpers import Ledger, at
from tests.pricing.billing import SUBJECT, Billing, total, unit

NOW = at("2026-06-19")


def use(ledger: Ledger, metric: str, values: list[Any], until: str = "2026-06-18 12:00") -> None:
    """A value at noon of every day, the last of them at `until`; None: no event."""
    what = "member" if isinstance(values[-1], str) else "quantity"
    ledger.batch(
        [
            {
                "subject": SUBJECT,
                "metric": metric,
                what: value,
                "at": at(until) - timedelta(days=len(values) - 1 - n),
            }
            for n, value in enumerate(values)
            if value is not None
        ]
    )


def projected(ledger: Ledger, metric: str, now: Any = NOW) -> tuple[Any, ...]:
    (row,) = ledger.call("project_usage", subject=SUBJECT, metric=metric, now=now)
    assert row.run_rate is None
    assert row.weekday_profile is None
    return row.used, row.low, row.expected, row.high


def test_a_max_is_at_least_what_it_is(ledger: Ledger) -> None:
    ledger.define("seats", "max")
    use(ledger, "seats", [*[5] * 20, *[8] * 8, 9, *[6] * 18])
    assert projected(ledger, "seats") == (6, 6, 6, 11), "9, and 12 / 28 of 9 - 5 more"
    use(ledger, "seats", [12], "2026-06-18 18:00")
    used, low, expected, high = projected(ledger, "seats")
    assert (used, low, expected) == (12, 12, 12)
    assert high > 12
    use(ledger, "seats", [20], "2026-06-19 00:00")
    assert projected(ledger, "seats")[0] == 12, "what is after now does not count"


def test_a_value_later_in_the_hour_does_not_count(ledger: Ledger) -> None:
    ledger.define("seats", "max")
    use(ledger, "seats", [5] * 40)
    use(ledger, "seats", [50], "2026-06-19 09:40")
    assert projected(ledger, "seats", at("2026-06-19 09:30")) == (5, 5, 5, 5)
    assert projected(ledger, "seats", at("2026-06-19 09:50"))[:3] == (50, 50, 50)


def test_a_min_is_at_most_what_it_is(ledger: Ledger) -> None:
    ledger.define("free", "min")
    use(ledger, "free", [*[5] * 20, *[3] * 9, *[6] * 18])
    used, low, expected, high = projected(ledger, "free")
    assert (used, expected, high) == (6, 6, 6)
    assert low < 3


def test_a_last_value_holds(ledger: Ledger) -> None:
    ledger.define("disk", "last", carry=True)
    ledger.define("queue", "last")
    use(ledger, "disk", [*range(1, 30), *[None] * 20])
    use(ledger, "queue", [*range(1, 30), *[None] * 20])
    assert projected(ledger, "disk") == (29, 22, 29, 29), "carried on"
    assert projected(ledger, "queue") == (0, 0, 0, 29), "in 12 days like the last 12 there is no event"
    assert projected(ledger, "queue", at("2026-06-06")) == (0, 0, 29, 29)


def test_an_average_moves_to_that_of_four_weeks(ledger: Ledger) -> None:
    ledger.define("latency", "avg")
    use(ledger, "latency", [*[10] * 10, *[20] * 18])
    used, low, expected, high = projected(ledger, "latency")
    assert used == 20
    assert 10 < low < expected < high <= 20
    assert abs(expected - (20 * 18 + Decimal(460) / 28 * 12) / 30) < Decimal("0.00001")


def test_members_who_come_every_week_are_not_new(ledger: Ledger) -> None:
    ledger.define("users", "unique")
    use(ledger, "users", [f"user_{n % 7}" for n in range(70)])
    assert projected(ledger, "users") == (7, 7, 7, 12)
    assert projected(ledger, "users", at("2026-06-04")) == (3, 3, 7, 30)


def test_new_members_every_day_are_new_every_day(ledger: Ledger) -> None:
    ledger.define("users", "unique")
    use(ledger, "users", [f"user_{n}" for n in range(70)])
    assert projected(ledger, "users") == (18, 18, 30, 30)


@pytest.mark.parametrize("aggregate", ["max", "min", "last", "avg", "unique"])
def test_a_week_of_history_is_needed(ledger: Ledger, aggregate: str) -> None:
    ledger.define("it", aggregate)
    use(ledger, "it", (["a"] if aggregate == "unique" else [3]) * 5)
    used, *interval = projected(ledger, "it")
    assert used == (1 if aggregate == "unique" else 3)
    assert interval == [None, None, None]


@pytest.mark.parametrize("aggregate", ["max", "min", "last", "avg", "unique"])
def test_what_was_not_used_for_four_weeks_stays_as_it_is(ledger: Ledger, aggregate: str) -> None:
    ledger.define("it", aggregate)
    use(ledger, "it", (["a"] if aggregate == "unique" else [3]) * 10)
    assert projected(ledger, "it", at("2026-07-20")) == (0, 0, 0, 0)


@pytest.mark.parametrize("aggregate", ["max", "min", "last", "avg", "unique"])
@pytest.mark.parametrize("days", range(0, 30, 7))
def test_the_range_is_in_order(ledger: Ledger, aggregate: str, days: int) -> None:
    ledger.define("it", aggregate)
    values: list[Any] = [n * 13 % 31 for n in range(70)]
    use(ledger, "it", [f"user_{n}" for n in values] if aggregate == "unique" else values)
    _, low, expected, high = projected(ledger, "it", at("2026-06-01") + timedelta(days=min(days, 17)))
    assert low <= expected <= high


@pytest.mark.parametrize("aggregate", ["max", "min", "last", "avg"])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_range_is_in_order_before_anything_is_recorded_in_the_cycle(
    ledger: Ledger, aggregate: str, sign: int
) -> None:
    ledger.define("it", aggregate)
    use(ledger, "it", [sign * (5 + n % 3) for n in range(30)], "2026-05-25 12:00")
    for day in (1, 10, 18):
        used, low, expected, high = projected(ledger, "it", at(f"2026-06-{day:02}"))
        assert used == 0
        assert low <= expected <= high


def test_values_are_priced_as_values(ledger: Ledger) -> None:
    """Seats for a part of the cycle are a part of them; a price that begins later counts anew."""
    billing = Billing(ledger, metrics={"seats": "max", "users": "unique"}, subscribe=False)
    billing.price("seats", unit("30"))
    billing.price("users", unit("1"))
    billing.price("users", unit("2"), since="2026-06-21")
    billing.subscribe("pro", "2026-06-11")
    use(ledger, "seats", [6] * 70)
    use(ledger, "users", [f"user_{n % 7}" for n in range(70)])
    lines = ledger.call("project_invoice", subject=SUBJECT, now=NOW)
    seats = next(line for line in lines if line.item == "seats")
    assert (seats.so_far, seats.expected, seats.quantity) == (120, 120, 4), "6 for 20 of 30 days"
    users = [line for line in lines if line.item == "users"]
    assert [line.since for line in users] == [at("2026-06-11"), at("2026-06-21")]
    assert all(line.method == "recent_values" for line in users)
    assert users[1].expected > users[1].low == 0
    assert total(lines).expected == sum(
        line.expected for line in lines if line.currency and line.kind != "total"
    )


def test_a_min_that_was_never_negative_is_not_expected_to_be(ledger: Ledger) -> None:
    ledger.define("free", "min")
    use(ledger, "free", [1, 9] * 15)
    assert projected(ledger, "free")[1] == 0
    use(ledger, "free", [-1], "2026-06-17 18:00")
    assert projected(ledger, "free")[1] < -1


@pytest.mark.parametrize("price_changes", [False, True])
def test_members_of_dropped_months_are_looked_at_by_whole_buckets(
    ledger: Ledger, price_changes: bool
) -> None:
    """The time before now, as long as the cycle, begins at 12:20, in a day that has only a total."""
    ledger.define("users", "unique", rollup="day")
    billing = Billing(ledger, metrics={})
    billing.price("users", unit("1", currency="EUR"))
    if price_changes:
        billing.price("users", unit("2", currency="EUR"), since="2026-07-20")
    use(ledger, "users", [f"u{n % 20}" for n in range(60)], "2026-07-05 06:00")
    ledger.upkeep()
    assert any(action == "dropped partition" for action, _ in ledger.upkeep(keep=_since_july(ledger)))
    _, low, expected, high = projected(ledger, "users", at("2026-07-05 12:20"))
    assert low <= expected <= high
    assert expected == 20
    (line, _) = ledger.call("project_invoice", subject=SUBJECT, now=at("2026-07-05 12:20"))[:2]
    assert line.expected > 0


def _since_july(ledger: Ledger) -> str:
    """Keeps July, and drops June."""
    days = ledger.value("SELECT extract(day FROM now() - timestamptz '2026-07-20')::integer")
    return f"{days} days"
