"""invoice(): windows, segments, values that are no sums, fees, minimums and combinations."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.helpers import Ledger, at, refused
from tests.pricing.billing import MONTH, SUBJECT, Billing, amounts, flat, priced, total, unit

TIERS = {
    "model": "graduated",
    "tiers": [{"up_to": 10, "unit_amount": "1"}, {"up_to": None, "unit_amount": "0.5"}],
}
MATRIX = {
    "model": "matrix", "dimensions": ["model"], "free_units": 2,
    "cells": [{"when": {"model": "large"}, "unit_amount": "3"}, {"when": {}, "unit_amount": "1"}],
}  # fmt: skip


def spans(lines: list[Any]) -> list[tuple[datetime, datetime]]:
    return [(line.since, line.until) for line in lines]


def test_without_a_window_it_is_the_running_cycle(billing: Billing) -> None:
    billing.price("tokens", unit("1"))
    billing.ledger.call("set_billing_cycle", subject=SUBJECT, anchor=at("2026-01-31"), since=at("2026-01-31"))
    for window in ({}, {"period": "cycle"}):
        lines = billing.ledger.call("invoice", subject=SUBJECT, now=at("2026-03-01"), **window)
        assert spans(lines) == [(at("2026-02-28"), at("2026-03-31"))] * 2
    lines = billing.ledger.call("invoice", subject=SUBJECT, period="month", now=at("2026-03-01"))
    assert spans(lines) == [(at("2026-03-01"), at("2026-04-01"))] * 2


@pytest.mark.parametrize(
    ("window", "sqlstate"),
    [
        ({"since": at("2026-06-01")}, "22023"),
        ({"until": at("2026-06-01")}, "22023"),
        ({"since": at("2026-06-02"), "until": at("2026-06-01")}, "22023"),
        ({"period": "never"}, "22023"),
        ({"period": "soon"}, "22023"),
        ({"period": "cycle", "since": at("2026-06-01")}, "22023"),
        ({"since": at("1000-01-01"), "until": at("2026-06-01")}, "22023"),
    ],
)
def test_a_window_that_is_none_is_refused(billing: Billing, window: dict[str, Any], sqlstate: str) -> None:
    with refused(sqlstate):
        billing.ledger.call("invoice", subject=SUBJECT, **window)


def test_two_items_of_one_metric_are_both_billed(billing: Billing) -> None:
    billing.price("tokens", unit("1"))
    billing.price("surcharge", TIERS, metric="tokens")
    billing.use(12)
    lines = billing.invoice()
    assert amounts(lines, "tokens") == [12]
    assert amounts(lines, "surcharge") == [10, 1]
    assert total(lines).amount == 23


def test_a_subject_without_a_plan_owes_nothing_and_sees_its_usage(billing: Billing) -> None:
    billing.ledger.record("nobody", "tokens", 3, at=at("2026-06-10"))
    (line,) = billing.invoice(subject="nobody")
    assert (line.kind, line.quantity, line.amount, line.currency) == ("usage", 3, None, None)


def test_a_change_of_plan_restarts_tiers(billing: Billing) -> None:
    billing.plan("max")
    billing.price("tokens", TIERS)
    billing.price("tokens", TIERS, plan="max")
    billing.ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=at("2026-06-16"))
    billing.subscribe("max", "2026-06-16")
    billing.use(12, "2026-06-10")
    billing.use(12, "2026-06-20")
    assert amounts(billing.invoice()) == [10, 1, 10, 1]


def test_adjacent_subscriptions_to_one_plan_are_one(billing: Billing) -> None:
    billing.price("tokens", TIERS)
    billing.ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=at("2026-06-16"))
    billing.subscribe("pro", "2026-06-16")
    billing.use(8, "2026-06-10")
    billing.use(8, "2026-06-20")
    assert amounts(billing.invoice()) == [10, 3]


@pytest.mark.parametrize(("tiers", "expected"), [("continue", [8, 2, 3]), ("restart", [8, 8])])
def test_tiers_go_on_or_restart_after_a_change_of_the_price(
    billing: Billing, tiers: str, expected: list[int]
) -> None:
    billing.price("tokens", TIERS)
    billing.price("tokens", TIERS, since="2026-06-16", name="new", tiers_after_change=tiers)
    billing.use(8, "2026-06-10")
    billing.use(8, "2026-06-20")
    assert amounts(billing.invoice()) == expected


VALUES = {
    "max": "at most 6", "avg": "6 on average", "last": "6 at the end", "min": "at least 6",
    "unique": "6 different ones",
}  # fmt: skip


@pytest.mark.parametrize(
    ("since", "text"),
    [
        ("2026-06-16", "15 of 30 days"), ("2026-06-04 21:50", "26 days 2 hours of 30 days"),
        ("2026-06-29 23:00", "1 day 1 hour of 30 days"), ("2026-06-30 21:30", "3 hours of 30 days"),
        ("2026-06-30 22:29", "91 minutes of 30 days"), ("2026-06-30 23:59", "1 minute of 30 days"),
        ("2026-06-30 23:59:30", "less than a minute of 30 days"), ("2026-06-01 00:10", "30 days of 30 days"),
    ],
)  # fmt: skip
def test_a_part_of_a_cycle_is_told_in_days_and_hours(ledger: Ledger, since: str, text: str) -> None:
    billing = Billing(ledger, subscribe=False)
    billing.fee("base", flat("20"))
    billing.subscribe("pro", since)
    assert priced(billing.invoice())[0].explanation == f"{text}, at 20 a cycle"


@pytest.mark.parametrize("aggregate", ["max", "avg", "last", "min", "unique"])
def test_a_value_counts_by_its_share_of_the_cycle(ledger: Ledger, aggregate: str) -> None:
    billing = Billing(ledger, metrics={"seats": aggregate}, subscribe=False)
    billing.price("seats", unit("30"))
    billing.subscribe("pro", "2026-06-11")
    for n in range(1 if aggregate != "unique" else 6):
        given = {"member": f"u{n}"} if aggregate == "unique" else {"quantity": 6}
        ledger.record(SUBJECT, "seats", at=at("2026-06-12"), **given)
    (line,) = priced(billing.invoice())
    assert (line.quantity, line.amount) == (4, 120)
    assert line.explanation == f"units 1 to 4: 4 x 30; {VALUES[aggregate]}, for 20 of 30 days"
    (whole,) = priced(billing.invoice("2026-06-12", "2026-06-13"))
    assert (whole.quantity, whole.amount) == (6, 180)


@pytest.mark.parametrize("aggregate", ["max", "avg", "last", "min", "unique"])
def test_without_a_price_a_value_is_shown_as_it_was_measured(ledger: Ledger, aggregate: str) -> None:
    billing = Billing(ledger, metrics={"seats": aggregate, "tokens": "sum"}, subscribe=False)
    billing.price("tokens", unit("1"))
    billing.subscribe("pro", "2026-06-11")
    for day in (5, 12):
        for n in range(1 if aggregate != "unique" else 6):
            given = {"member": f"u{n}"} if aggregate == "unique" else {"quantity": 6}
            ledger.record(SUBJECT, "seats", at=at(f"2026-06-{day:02}"), **given)
    lines = [line for line in billing.invoice() if line.metric == "seats"]
    assert lines
    for line in lines:
        assert (line.quantity, line.amount) == (6, None)
        assert line.explanation.startswith("no plan of the subject has a price for this metric")
        assert " days" not in line.explanation


def test_parts_of_a_value_are_rounded_once_and_not_each(ledger: Ledger) -> None:
    """Two thirds of a seat, three times, each rounded, would be more than two seats, and three packages."""
    billing = Billing(ledger, metrics={"seats": "max"})
    price = {"model": "package", "package_size": 1, "unit_amount": "10"}
    for day in (1, 11, 21):
        billing.price("seats", price, since=f"2026-06-{day:02}", name=f"from {day}")
        billing.use(2, f"2026-06-{day:02}", "seats")
    lines = priced(billing.invoice())
    assert len({line.since for line in lines}) == 3
    assert total(billing.invoice()).amount == 20


def test_a_value_of_a_cycle_that_a_new_rule_cuts_counts_by_its_share_of_the_uncut_one(ledger: Ledger) -> None:
    billing = Billing(ledger, metrics={"seats": "max"})
    billing.price("seats", unit("30"))
    ledger.call("set_billing_cycle", subject=SUBJECT, anchor=at("2026-06-16"), since=at("2026-06-16"))
    billing.use(6, "2026-06-12", "seats")
    (line,) = priced(billing.invoice("2026-06-01", "2026-06-16"))
    assert (line.quantity, line.amount) == (3, 90)


def test_a_day_of_23_hours_is_a_day(billing: Billing) -> None:
    billing.fee("base", flat("31"))
    zone = "Europe/Berlin"
    billing.ledger.call(
        "set_billing_cycle", subject=SUBJECT, anchor=at("2026-02-28 23:00"), timezone=zone,
        since=at("2026-02-28 23:00"),
    )  # fmt: skip
    billing.ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=at("2026-03-29 22:00"))
    (line,) = priced(billing.ledger.call("invoice", subject=SUBJECT, now=at("2026-03-10")))
    assert line.amount == 29


def test_a_fee_in_advance_is_of_the_next_cycle_too(billing: Billing) -> None:
    billing.fee("base", flat("30"), bill="advance")
    billing.fee("base", flat("62"), bill="advance", since="2026-07-01")
    lines = priced(billing.invoice())
    assert [(line.kind, line.amount) for line in lines] == [("fee", 30), ("fee", 62)]
    assert spans(lines) == [MONTH, (MONTH[1], at("2026-08-01"))]
    assert amounts(billing.invoice("2026-06-16", "2026-07-01")) == [30, 62]
    assert amounts(billing.invoice("2026-06-01", "2026-06-16")) == []
    billing.ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=at("2026-07-16"))
    assert amounts(billing.invoice()) == [30, 30]


@pytest.mark.parametrize(("prorate", "expected"), [(True, ["12.50"]), (False, ["25.00"])])
def test_a_fee_is_prorated_unless_it_is_not(billing: Billing, prorate: bool, expected: list[str]) -> None:
    billing.ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=at("2026-06-16"))
    billing.fee("base", flat("25"), prorate=prorate)
    assert amounts(billing.invoice()) == [Decimal(amount) for amount in expected]


def test_a_fee_with_a_discount_has_a_line_for_it(billing: Billing) -> None:
    billing.fee("base", unit("100", discount_percent=25))
    assert [(x.kind, x.amount) for x in priced(billing.invoice())] == [("fee", 100), ("discount", -25)]


@pytest.mark.parametrize(("used", "missing"), [(0, 70), (65, 5), (70, None), (200, None)])
def test_a_minimum_adds_what_is_missing(billing: Billing, used: int, missing: int | None) -> None:
    """Of 30, from the 11th on 90, as the days are; the fee of the next cycle does not count."""
    ledger = billing.ledger
    billing.price("tokens", unit("1"))
    billing.fee("base", flat("1000"), bill="advance", since="2026-07-01")
    ledger.call("set_plan_minimum", plan="pro", amount=30)
    ledger.call("set_plan_minimum", plan="pro", amount=90, since=at("2026-06-11"))
    billing.use(used)
    lines = billing.invoice()
    assert [x.amount for x in lines if x.kind == "true_up"] == ([] if missing is None else [missing])
    assert total(lines).amount == max(used, 70) + 1000


def test_combinations_go_on_in_a_later_segment_also_after_another_model(billing: Billing) -> None:
    billing.price("tokens", unit("9"), since="2026-06-01")
    billing.price("tokens", MATRIX, since="2026-06-11")
    billing.price("tokens", MATRIX, since="2026-06-21", name="again")
    for day in (5, 15, 25):
        for name in ("large", "small"):
            billing.use(3, f"2026-06-{day:02}", metadata={"model": name})
    lines = priced(billing.invoice())
    by_segment = {
        since: sum(x.amount for x in lines if x.since == since) for since in {x.since for x in lines}
    }
    assert [by_segment[since] for since in sorted(by_segment)] == [54, 12, 12]


def test_what_was_taken_back_is_in_no_combination(billing: Billing) -> None:
    """Not even with what is due at zero usage of a combination."""
    cells = [{"when": {"model": name}, "model": "flat", "flat_amount": "3"} for name in ("large", "small")]
    billing.price("tokens", {"model": "matrix", "dimensions": ["model"], "cells": cells})
    billing.use(10, metadata={"model": "large"}, idempotency_key="k")
    billing.use(0, metadata={"model": "small"})
    assert total(billing.invoice()).amount == 6
    mark = billing.watermark()
    billing.ledger.call("void_event", subject=SUBJECT, metric="tokens", idempotency_key="k", reason="why")
    (line,) = priced(billing.invoice())
    assert (line.quantity, line.amount) == (0, 3)
    assert total(billing.invoice(as_of=mark)).amount == 6
    assert total(billing.invoice(as_of=billing.watermark())).amount == 3


def test_a_percentage_counts_events_over_segments(billing: Billing) -> None:
    price = {"model": "percentage", "percent": "10", "fixed_amount": "1", "free_events": 2}
    billing.price("tokens", price)
    billing.price("tokens", price, name="again", since="2026-06-16")
    for day in (1, 2, 3, 20, 21):
        billing.use(100, f"2026-06-{day:02}")
    lines = priced(billing.invoice())
    assert [(line.amount, line.event_count) for line in lines] == [(31, 3), (22, 2)]


def test_negative_usage_costs_nothing_and_lowers_what_follows(billing: Billing) -> None:
    billing.price("tokens", unit("1"))
    billing.price("tokens", unit("2"), since="2026-06-16")
    given = {"subject": SUBJECT, "metric": "tokens", "reason": "goodwill"}
    billing.ledger.call("adjust", quantity=Decimal(-4), at=at("2026-06-10"), **given)
    billing.use(10, "2026-06-20")
    first, second = priced(billing.invoice())
    assert (first.amount, second.quantity, second.amount) == (0, 6, 12)
    assert "the usage is negative: -4" in first.explanation


def test_a_role_that_is_bound_to_a_subject_sees_its_own_invoice(billing: Billing) -> None:
    ledger = billing.ledger
    billing.price("tokens", unit("2"))
    billing.use(3)
    expected = billing.invoice()
    ledger.execute("DROP ROLE IF EXISTS pymeter_portal; CREATE ROLE pymeter_portal")
    ledger.call("grant_access", role="pymeter_portal", level="read", subject=SUBJECT)
    ledger.execute("SET ROLE pymeter_portal")
    assert ledger.call("own_invoice", subject=SUBJECT, since=MONTH[0], until=MONTH[1]) == expected
    with refused("42501", "subject"):
        ledger.call("own_invoice", subject="other")
    ledger.execute("RESET ROLE")
    ledger.call("revoke_access", role="pymeter_portal", level="read", subject=SUBJECT)
    ledger.execute("DROP OWNED BY pymeter_portal; DROP ROLE pymeter_portal")
