"""project_invoice(): the invoice that follows if usage goes on as projected."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from tests.helpers import Ledger, at, at_length
from tests.pricing.billing import MONTH, SUBJECT, Billing, flat, total, unit

NOW = at("2026-06-16 06:00")
TIERS = [{"up_to": 500, "unit_amount": "1", "flat_amount": "3"}, {"up_to": None, "unit_amount": "0.5"}]
PRICES: dict[str, dict[str, Any]] = {
    "unit": unit("0.333"),
    "flat": flat("20"),
    "graduated": {"model": "graduated", "tiers": TIERS},
    "volume": {"model": "volume", "tiers": TIERS},
    "package": {"model": "package", "package_size": 100, "unit_amount": "7"},
    "bounds": unit("1", free_units=100, discount_percent=10, minimum_amount=700, maximum_amount=750),
    "percentage": {"model": "percentage", "percent": "2.5"},
}


def use(
    billing: Billing, subject: str = SUBJECT, metric: str = "tokens", days: int = 76, **more: Any
) -> None:
    """20 to 44 units at every noon, up to NOW."""
    billing.ledger.batch(
        [
            {
                "subject": subject,
                "metric": metric,
                "quantity": 20 + n * 7 % 25,
                "at": at("2026-04-01 12:00") + timedelta(days=n),
                **more,
            }
            for n in range(76 - days, 76)
        ]
    )


def projected(billing: Billing, subject: str = SUBJECT, now: Any = NOW) -> list[Any]:
    return billing.ledger.call("project_invoice", subject=subject, now=now)


def only(lines: list[Any], item: str | None, kind: str = "usage") -> Any:
    (line,) = [one for one in lines if one.item == item and one.kind == kind]
    return line


@pytest.mark.parametrize("scenario", ["low", "expected", "high"])
@pytest.mark.parametrize("model", PRICES)
def test_if_it_happens_it_is_invoiced(billing: Billing, model: str, scenario: str) -> None:
    billing.price("tokens", PRICES[model])
    billing.fee("base", flat("20"), bill="advance")
    billing.ledger.call("set_plan_minimum", plan="pro", amount=300)
    use(billing)
    (usage,) = billing.ledger.call("project_usage", subject=SUBJECT, metric="tokens", now=NOW)
    assert usage.low < usage.expected < usage.high
    lines = projected(billing)
    billing.use(getattr(usage, scenario) - usage.used, "2026-06-16 12:00")
    invoiced = billing.invoice()
    assert getattr(total(lines), scenario) == total(invoiced).amount
    for line in lines:
        same = [
            one
            for one in invoiced
            if (one.item, one.kind, one.since, one.until) == (line.item, line.kind, line.since, line.until)
        ]
        assert getattr(line, scenario) == sum((one.amount for one in same), Decimal(0))
        if scenario == "expected" and line.kind == "usage":
            assert line.quantity == sum(one.quantity for one in same)


def test_so_far_is_the_invoice_without_any_more_usage(billing: Billing) -> None:
    billing.price("tokens", PRICES["graduated"])
    billing.fee("base", flat("20"))
    use(billing)
    lines = projected(billing)
    invoiced = billing.invoice()
    assert total(lines).so_far == total(invoiced).amount
    assert total(lines).so_far < total(lines).low < total(lines).expected < total(lines).high
    base = only(lines, "base", "fee")
    assert (base.so_far, base.low, base.expected, base.high, base.method) == (20, 20, 20, 20, None)
    assert only(lines, "tokens").method == "weekday_profile"
    assert lines[-1].kind == "total"


def test_tiers_that_are_not_reached_yet_are_in_the_amount(billing: Billing) -> None:
    billing.price("tokens", PRICES["graduated"])
    use(billing)
    line = only(projected(billing), "tokens")
    assert "units 501 to" in line.explanation
    assert line.so_far < 503 < line.expected < line.quantity


def test_a_price_that_changes_later_rates_what_is_expected_then(billing: Billing) -> None:
    """The parts are cut by the profile, and sum to the whole; tiers go on counting."""
    billing.price("tokens", PRICES["graduated"])
    billing.price("tokens", {"model": "graduated", "tiers": [{**TIERS[0], "unit_amount": "2"}, TIERS[1]]},
                  since="2026-06-10")  # fmt: skip
    billing.price("tokens", unit("3"), since="2026-06-24 12:30", tiers_after_change="restart")
    use(billing)
    (usage,) = billing.ledger.call("project_usage", subject=SUBJECT, metric="tokens", now=NOW)
    lines = projected(billing)
    parts = sorted((line for line in lines if line.item == "tokens"), key=lambda line: line.since)
    assert [line.since for line in parts] == [MONTH[0], at("2026-06-10"), at("2026-06-24 12:30")]
    assert sum(line.quantity for line in parts) == usage.expected
    assert parts[0].so_far == parts[0].low == parts[0].high, "it is over"
    assert parts[0].method is None
    assert parts[2].so_far == 0
    used = billing.ledger.usage(SUBJECT, "tokens", since=at("2026-06-10"), until=NOW).quantity
    billing.use(parts[1].quantity - used, "2026-06-20")
    billing.use(parts[2].quantity, "2026-06-28")
    assert total(lines).expected == total(billing.invoice()).amount


def test_usage_of_mondays_is_expected_on_mondays(billing: Billing) -> None:
    """The 22nd and the 29th are left; a price from the 23rd has the second, and one from the 30th none."""
    billing.price("tokens", unit("1"))
    billing.price("tokens", unit("2"), since="2026-06-23")
    billing.price("tokens", unit("3"), since="2026-06-30")
    for week in range(8):
        billing.ledger.record(SUBJECT, "tokens", 10, at=at("2026-04-27 09:10") + timedelta(weeks=week))
    lines = [line for line in projected(billing) if line.item == "tokens"]
    assert sorted((line.since.day, line.quantity, line.expected) for line in lines) == [
        (1, 40, 40),
        (23, 10, 20),
        (30, 0, 0),
    ]


def test_of_a_matrix_the_mix_of_four_weeks_goes_on(billing: Billing) -> None:
    cells = [{"when": {"m": "a"}, "unit_amount": "1"}, {"when": {"m": "b"}, "unit_amount": "10"}]
    matrix = {"model": "matrix", "dimensions": ["m"], "cells": cells}
    billing.price("tokens", matrix)
    billing.price("tokens", {**matrix, "discount_percent": 50}, since="2026-06-25")
    for model in ("a", "a", "a", "b"):
        use(billing, metadata={"m": model})
    (usage,) = billing.ledger.call("project_usage", subject=SUBJECT, metric="tokens", now=NOW)
    lines = projected(billing)
    before, after = (line for line in lines if line.item == "tokens" and line.kind == "usage")
    assert before.quantity + after.quantity == usage.expected
    assert before.expected == before.quantity * Decimal("3.25")
    assert after.expected == after.quantity * Decimal("3.25")
    discounted = usage.expected * Decimal("3.25") - after.expected / 2
    assert abs(total(lines).expected - discounted) <= Decimal("0.005")


def test_events_that_cost_something_are_projected_too(billing: Billing) -> None:
    billing.price("tokens", {"model": "percentage", "percent": "0", "fixed_amount": "0.10"})
    use(billing)
    line = only(projected(billing), "tokens")
    assert line.so_far == Decimal("1.50")
    assert line.expected == Decimal("3.00"), "30 events in all"


def test_what_is_not_known_makes_the_total_unknown_and_not_low(billing: Billing) -> None:
    billing.ledger.define("images", "count")
    billing.price("tokens", unit("1"))
    billing.price("images", unit("1"))
    billing.fee("base", flat("20"))
    billing.ledger.call("set_plan_minimum", plan="pro", amount=100_000)
    use(billing)
    billing.use(1, "2026-06-15 12:00", "images")
    lines = projected(billing)
    images = only(lines, "images")
    assert (images.so_far, images.low, images.expected, images.high) == (1, None, None, None)
    assert (images.quantity, images.method) == (None, "none")
    assert images.reason == "too little history: 0 of at least 7 days"
    assert images.explanation.startswith("so far: ")
    assert only(lines, "tokens").expected > 0
    assert only(lines, "base", "fee").expected == 20
    minimum = only(lines, None, "true_up")
    assert minimum.so_far > 0
    assert (minimum.low, minimum.expected, minimum.high) == (None, None, None)
    whole = total(lines)
    assert (whole.low, whole.expected, whole.high) == (None, None, None)
    assert whole.so_far == 100_000


def test_a_part_that_is_over_is_known_although_the_rest_is_not(billing: Billing) -> None:
    billing.price("tokens", unit("1"))
    billing.price("tokens", unit("2"), since="2026-06-15 18:00")
    use(billing, days=2)
    first, second = (line for line in projected(billing) if line.item == "tokens")
    assert first.expected == first.so_far > 0
    assert (second.expected, second.so_far) == (None, 0)


def test_a_subject_without_a_plan_has_lines_without_amounts(billing: Billing) -> None:
    use(billing, "nobody")
    (line,) = projected(billing, "nobody")
    assert (line.kind, line.so_far, line.expected, line.currency) == ("usage", None, None, None)
    (usage,) = billing.ledger.call("project_usage", subject="nobody", metric="tokens", now=NOW)
    assert line.quantity == usage.expected


def test_a_closed_cycle_is_its_statement(billing: Billing) -> None:
    billing.price("tokens", unit("1"))
    use(billing)
    before = projected(billing)
    assert total(before).expected > total(before).so_far
    header = billing.ledger.call("close_period", subject=SUBJECT, since=MONTH[0], until=MONTH[1])[0]
    lines = projected(billing)
    whole = total(lines)
    stated = billing.ledger.call("statement", statement_id=header.statement_id)
    assert {line.method for line in lines} == {"stated"}
    assert whole.low == whole.expected == whole.high == whole.so_far == stated[-1].amount
    assert whole.reason == f"statement {header.statement_id}"


def test_late_usage_is_billed_in_the_projected_invoice(billing: Billing) -> None:
    billing.ledger.call("set_setting", name="late_usage", value="bill")
    billing.price("tokens", unit("1"))
    use(billing)
    billing.ledger.call("close_period", subject=SUBJECT, since=at("2026-05-01"), until=at("2026-06-01"))
    billing.use(100, "2026-05-15")
    lines = projected(billing)
    late = next(line for line in lines if line.kind == "late")
    assert (late.so_far, late.low, late.expected, late.high) == (100, 100, 100, 100)
    assert total(lines).expected == sum(line.expected for line in lines if line.kind != "total")


def test_plans_that_come_and_go_are_projected_for_their_time(billing: Billing) -> None:
    billing.plan("max")
    billing.price("tokens", unit("1"))
    billing.price("tokens", unit("2"), plan="max")
    billing.ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=at("2026-06-21"))
    billing.subscribe("max", "2026-06-21")
    use(billing)
    lines = projected(billing)
    pro, maximum = (line for line in lines if line.item == "tokens")
    (usage,) = billing.ledger.call("project_usage", subject=SUBJECT, metric="tokens", now=NOW)
    assert {pro.plan, maximum.plan} == {"pro", "max"}
    assert pro.quantity + maximum.quantity == usage.expected
    assert total(lines).expected == pro.expected + maximum.expected


def test_lines_sum_to_the_total_in_every_column(ledger: Ledger) -> None:
    billing = Billing(ledger, metrics={f"m{n}": "sum" for n in range(7)})
    for n in range(7):
        billing.price(f"m{n}", unit(f"0.00{n + 1}", discount_percent=n))
        use(billing, metric=f"m{n}")
    lines = projected(billing)
    for column in ("so_far", "low", "expected", "high"):
        amounts = [getattr(line, column) for line in lines if line.kind != "total"]
        assert sum(amounts) == getattr(total(lines), column)


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(4, 100)))
def test_no_line_moves_against_its_usage_and_all_sum_to_the_total(ledger: Ledger, seed: int) -> None:
    """Which line takes up the rounding depends on all lines: also one that is the same in every scenario."""
    random = Random(seed)
    count = random.randint(2, 6)
    billing = Billing(ledger, metrics={f"m{n}": "sum" for n in range(count)})
    billing.ledger.call("set_setting", name="late_usage", value="bill")
    for n in range(count):
        billing.price(f"m{n}", unit(f"0.000{random.randint(1, 99)}"))
        billing.fee(f"fee{n}", flat(f"{random.randint(1, 9)}.00{random.randint(1, 9)}"))
        use(billing, metric=f"m{n}", days=random.randint(20, 76))
    billing.ledger.call("close_period", subject=SUBJECT, since=at("2026-05-01"), until=at("2026-06-01"))
    for n in range(count):
        billing.use(random.randint(1, 900), "2026-05-15", f"m{n}")
    columns = ("so_far", "low", "expected", "high")
    lines = projected(billing)
    for line in lines:
        amounts = [getattr(line, column) for column in columns]
        assert amounts == sorted(amounts), line
        if line.kind in ("late", "fee"):
            assert len(set(amounts)) == 1, line
    for column in columns:
        amounts = [getattr(line, column) for line in lines if line.kind != "total"]
        assert sum(amounts) == getattr(total(lines), column)
