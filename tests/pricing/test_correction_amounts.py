"""What a correction is said to change in money is what the invoices, and late usage, then change by."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, Task, at, at_length
from tests.pricing.billing import MONTH, SUBJECT, Billing, flat, total, unit

JULY = (at("2026-07-01"), at("2026-08-01"))
MONTHS = [(datetime(2026, n, 1, tzinfo=UTC), datetime(2026, n + 1, 1, tzinfo=UTC)) for n in (5, 6, 7)]
GRADUATED = {"model": "graduated", "tiers": [
    {"up_to": 20, "unit_amount": "0.37"}, {"up_to": 50, "unit_amount": "0.211", "flat_amount": 3},
    {"up_to": None, "unit_amount": "0.05"}]}  # fmt: skip
VOLUME = {**GRADUATED, "model": "volume"}
PACKAGE = {"model": "package", "package_size": 7, "unit_amount": "1.11"}
PERCENTAGE = {"model": "percentage", "percent": "2.9", "fixed_amount": "0.301", "free_events": 2}
LIMITED = unit("0.333", discount_percent=10, maximum_amount=40, minimum_amount=2)
MATRIX = {"model": "matrix", "dimensions": ["m"], "cells": [
    {"when": {"m": "x"}, "unit_amount": "0.7"}, {"when": {"m": "*"}, **GRADUATED}]}  # fmt: skip
MODELS = [GRADUATED, VOLUME, PACKAGE, PERCENTAGE, LIMITED, unit(2)]
METRICS = {"tokens": "sum", "calls": "count", "cells": "sum"}


def stage(ledger: Ledger, *entries: dict[str, Any]) -> int:
    number: int = ledger.value("SELECT meter.open_correction('test')")
    plain = [
        {"subject": SUBJECT, **{k: v.isoformat() if isinstance(v, datetime) else v for k, v in entry.items()}}
        for entry in entries
    ]
    ledger.value("SELECT meter.stage_correction(%s, %s)", [number, Jsonb(plain)])
    return number


def adjustment(quantity: Any, when: datetime | str = "2026-06-11", metric: str = "tokens") -> dict[str, Any]:
    moment = at(when) if isinstance(when, str) else when
    return {"entry": "adjust", "metric": metric, "quantity": quantity, "at": moment}


class Changed:
    """Random usage, and random corrections of it."""

    def __init__(self, billing: Billing, seed: int) -> None:
        self.billing, self.ledger, self.draw = billing, billing.ledger, random.Random(seed)
        self.keys: dict[str, str] = {}

    def moment(self, months: list[tuple[datetime, datetime]] = MONTHS) -> datetime:
        since, until = self.draw.choice(months)
        edges = [since, until - timedelta(microseconds=1), at("2026-06-15"), at("2026-06-14 23:59:59.999999")]
        chosen = since + timedelta(seconds=self.draw.randrange(int((until - since).total_seconds())))
        return self.draw.choice([chosen, chosen, chosen, *(e for e in edges if since <= e < until)])

    def metadata(self, metric: str) -> dict[str, str]:
        return {"m": self.draw.choice("xyz")} if metric == "cells" else {}

    def record(self, events: int, months: list[tuple[datetime, datetime]] = MONTHS) -> None:
        for _ in range(events):
            metric, key = self.draw.choice(sorted(METRICS)), f"key {len(self.keys)}"
            self.ledger.record(
                SUBJECT,
                metric,
                self.draw.randint(1, 30) if metric != "calls" else None,
                at=self.moment(months),
                idempotency_key=key,
                metadata=self.metadata(metric),
            )
            self.keys[key] = metric

    def entries(self, number: int) -> list[dict[str, Any]]:
        """Each event is in one of them at most."""
        given: list[dict[str, Any]] = []
        left = self.draw.sample(sorted(self.keys), len(self.keys))
        for _ in range(number):
            kind = self.draw.choice(["void", "amend", "adjust", "record"] if left else ["adjust", "record"])
            metric = self.draw.choice(sorted(METRICS))
            entry: dict[str, Any] = {"entry": kind, "metric": metric}
            if kind in ("void", "amend"):
                entry["idempotency_key"] = left.pop()
                entry["metric"] = metric = self.keys[entry["idempotency_key"]]
            if kind in ("amend", "record"):
                entry |= {"at": self.moment(), "metadata": self.metadata(metric)}
                entry |= {} if metric == "calls" else {"quantity": self.draw.randint(1, 30)}
            if kind == "adjust":
                metric = entry["metric"] = self.draw.choice(["tokens", "calls"])
                entry |= {"quantity": self.draw.randint(-60, 60), "at": self.moment()}
            if kind == "void":
                del self.keys[entry["idempotency_key"]]
            given.append(entry)
        return given

    def owed(self, windows: list[tuple[datetime, datetime]]) -> Decimal:
        return sum((total(self.billing.invoice(*window)).amount for window in windows), Decimal(0))


def setting_up(ledger: Ledger, seed: int) -> Changed:
    """Prices that change on 15 June, by random models; perhaps a minimum, a fee, days as periods."""
    draw = random.Random(-seed)
    billing = Billing(ledger, metrics={})
    for metric, aggregate in METRICS.items():
        ledger.define(metric, aggregate, period=draw.choice(["month", "day", "year", "never"]))
    for metric in ("tokens", "calls"):
        billing.price(metric, draw.choice(MODELS))
        more = {"since": "2026-06-15", "tiers_after_change": draw.choice(["continue", "restart"])}
        billing.price(metric, draw.choice(MODELS), **more)
    billing.price("cells", draw.choice([MATRIX, unit(1)]))
    billing.price("cells", MATRIX, since="2026-06-15", name="Cells")
    if draw.random() < 0.5:
        ledger.call("set_plan_minimum", plan="pro", amount=draw.randint(5, 30))
    if draw.random() < 0.5:
        billing.fee("base", flat("4.999"), since="2026-06-11", bill=draw.choice(["advance", "arrears"]))
    return Changed(billing, seed)


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(5, 60)))
def test_the_amounts_of_a_preview_are_what_the_invoices_change_by(ledger: Ledger, seed: int) -> None:
    """Of three months, to the cent; approving says the same."""
    changed = setting_up(ledger, seed)
    changed.record(25)
    moved = 0
    for _ in range(3):
        number = stage(ledger, *changed.entries(changed.draw.randint(1, 12)))
        before = changed.owed(MONTHS)
        shown = ledger.call("preview_correction", id=number)
        assert ledger.call("approve_correction", id=number) == shown
        assert {row.currency for row in shown} == {"USD"}
        assert sum(row.amount for row in shown) == changed.owed(MONTHS) - before
        moved += len([row for row in shown if row.amount])
    assert moved


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(4, 40)))
def test_in_a_closed_period_the_amount_is_what_late_usage_changes_by(ledger: Ledger, seed: int) -> None:
    """With late usage that is open, billed or waived already; what is open goes on to its invoice."""
    changed = setting_up(ledger, 100 + seed)
    changed.record(20)
    (june,) = ledger.call("close_period", subject=SUBJECT, since=MONTH[0], until=MONTH[1])
    moved = 0
    for turn in range(4):
        if turn % 2:
            changed.record(4, [MONTH])
        if turn > 1:
            for line in ledger.call("late_usage", subject=SUBJECT):
                decision = changed.draw.choice(["bill", "waive"])
                named = {"metric": line.metric, "delta": line.delta, "decision": decision}
                ledger.call("settle_late_usage", statement_id=june.statement_id, **named)
        entries = [e for e in changed.entries(8) if e["entry"] != "amend"]
        number = stage(ledger, *entries)
        open_before, late_before = changed.owed([MONTHS[0], MONTHS[2]]), late_amounts(ledger)
        shown = ledger.call("preview_correction", id=number)
        assert ledger.call("approve_correction", id=number) == shown
        open_after, late_after = changed.owed([MONTHS[0], MONTHS[2]]), late_amounts(ledger)
        late = sum(late_after.values()) - sum(late_before.values())
        assert sum(row.amount for row in shown) == open_after - open_before + late
        moved += late != 0
    assert moved


def late_amounts(ledger: Ledger) -> dict[str, Decimal]:
    found: dict[str, Decimal] = defaultdict(Decimal)
    for line in ledger.call("late_usage", subject=SUBJECT):
        found[line.metric] += line.amount
    return found


def test_a_row_of_one_closed_period_has_the_amount_of_its_late_usage(billing: Billing) -> None:
    """Graduated: 20 at 1 and the rest at 0.5; 15 stated, 10 more: 5 and 2.50."""
    ledger = billing.ledger
    billing.price("tokens", {"model": "graduated", "tiers": [
        {"up_to": 20, "unit_amount": 1}, {"up_to": None, "unit_amount": "0.5"}]})  # fmt: skip
    billing.use(15)
    ledger.call("close_period", subject=SUBJECT, since=MONTH[0], until=MONTH[1])
    (row,) = ledger.call("preview_correction", id=stage(ledger, adjustment(10)))
    assert (row.closed, row.delta, row.amount, row.currency) == (True, 10, Decimal("7.50"), "USD")


def test_rows_of_one_invoice_add_up_though_each_is_a_day(ledger: Ledger) -> None:
    """10 at 2, the rest at 1: the first day's 8 cost 16, the second one's 2 at 2 and 6 at 1."""
    billing = Billing(ledger, metrics={})
    ledger.define("tokens", "sum", period="day")
    billing.price("tokens", {"model": "graduated", "tiers": [
        {"up_to": 10, "unit_amount": 2}, {"up_to": None, "unit_amount": 1}]})  # fmt: skip
    entries = [adjustment(8, "2026-06-11 08:00"), adjustment(8, "2026-06-12 08:00")]
    rows = ledger.call("preview_correction", id=stage(ledger, *entries))
    assert [row.amount for row in rows] == [16, 10]


@pytest.mark.parametrize(("day", "known"), [("2026-06-01", True), ("2026-06-20", False)])
def test_a_maximum_is_priced_where_one_segment_holds_its_period(
    ledger: Ledger, day: str, known: bool
) -> None:
    """If the price changes inside the month, the row does not say how each part of it changes."""
    billing = Billing(ledger, metrics={"seats": "max"})
    billing.price("seats", unit(5))
    billing.price("seats", unit(6), since=day)
    billing.use(10, "2026-06-05", "seats")
    entry = {"entry": "record", "metric": "seats", "quantity": 13, "at": at("2026-06-06")}
    (row,) = ledger.call("preview_correction", id=stage(ledger, entry))
    assert (row.amount, row.currency) == ((18, "USD") if known else (None, None))
    assert row.delta == 3


def test_a_last_value_that_is_carried_on_has_no_amount(ledger: Ledger) -> None:
    """It changes the months after it, too."""
    billing = Billing(ledger, metrics={})
    ledger.define("seats", "last", carry=True)
    billing.price("seats", unit(5))
    entry = {"entry": "record", "metric": "seats", "quantity": 13, "at": at("2026-06-06")}
    (row,) = ledger.call("preview_correction", id=stage(ledger, entry))
    assert (row.delta, row.amount) == (13, None)


@pytest.mark.parametrize(
    "why", ["no plan", "no price", "a plan without prices", "a statement without prices"]
)
def test_without_a_price_there_is_no_amount(ledger: Ledger, why: str) -> None:
    billing = Billing(ledger, subscribe=why != "no plan")
    ledger.define("other", "sum")
    if why == "a statement without prices":
        ledger.call("close_period", subject=SUBJECT, since=MONTH[0], until=MONTH[1])
    if why != "a plan without prices":
        billing.price("tokens", unit(1))
    entry = adjustment(5, metric="other" if why == "no price" else "tokens")
    number = stage(ledger, entry)
    (shown,) = ledger.call("preview_correction", id=number)
    assert (shown.delta, shown.amount, shown.currency) == (5, None, None)
    assert ledger.call("approve_correction", id=number) == [shown]


def test_where_a_statement_holds_a_part_of_a_cycle_each_part_has_its_own_invoice(billing: Billing) -> None:
    """5 in the closed half cost 10 at the price that was stated; 7 in the other half 1 each."""
    ledger = billing.ledger
    billing.price("tokens", unit(2))
    billing.use(1)
    ledger.call("close_period", subject=SUBJECT, since=MONTH[0], until=at("2026-06-16"))
    billing.price("tokens", unit(1), since="2026-06-16")
    (row,) = ledger.call(
        "preview_correction", id=stage(ledger, adjustment(5), adjustment(7, "2026-06-16 00:00"))
    )
    assert (row.delta, row.amount) == (12, 17)


def test_combinations_of_a_matrix_are_priced_each_by_its_cell(billing: Billing) -> None:
    """3 of x at 3, and 4 of y at 2; voiding x takes its own price back."""
    ledger = billing.ledger
    cells = [{"when": {"m": "x"}, "unit_amount": 3}, {"when": {"m": "y"}, "unit_amount": 2}]
    billing.price("tokens", {"model": "matrix", "dimensions": ["m"], "cells": cells})
    billing.use(10, metadata={"m": "x"}, idempotency_key="ten")
    base = {"entry": "record", "metric": "tokens", "at": at("2026-06-11")}
    more = [{**base, "quantity": n, "metadata": {"m": m}} for n, m in ((3, "x"), (4, "y"))]
    void = {"entry": "void", "metric": "tokens", "idempotency_key": "ten"}
    for entries, amount in ((more, 17), ([*more, void], -13)):
        (row,) = ledger.call("preview_correction", id=stage(ledger, *entries))
        assert row.amount == amount
    (row,) = ledger.call(
        "preview_correction", id=stage(ledger, {**base, "quantity": 1, "metadata": {"m": "z"}})
    )
    assert (row.delta, row.amount) == (1, None)


def test_whoever_records_does_not_wait_while_amounts_are_computed(
    billing: Billing, new_ledger: Callable[..., Ledger], wait_until_blocked: Callable[..., None]
) -> None:
    """Only prices read the table of minimums: approving waits for it, with nothing of the series locked."""
    ledger = billing.ledger
    billing.price("tokens", unit(2))
    number = stage(ledger, adjustment(5))
    blocker, approver, recorder = new_ledger(autocommit=False), new_ledger("approver"), new_ledger()
    blocker.connection.execute("LOCK TABLE meter.plan_minimums IN ACCESS EXCLUSIVE MODE")
    approving = Task(lambda: approver.call("approve_correction", id=number))
    wait_until_blocked(ledger.connection, "approver")
    recorder.execute("SET statement_timeout = '20s'")
    assert recorder.record(SUBJECT, "tokens", 8, at=at("2026-06-10")).quantity == 8
    blocker.connection.commit()
    (applied,) = approving.result()
    assert (applied.before, applied.after, applied.amount) == (8, 13, 10)


def test_what_is_recorded_after_a_preview_changes_the_amount_with_the_tiers(billing: Billing) -> None:
    """Then approving says what the correction changes by then."""
    ledger = billing.ledger
    billing.price("tokens", {"model": "graduated", "tiers": [
        {"up_to": 10, "unit_amount": 2}, {"up_to": None, "unit_amount": 1}]})  # fmt: skip
    number = stage(ledger, adjustment(5))
    (shown,) = ledger.call("preview_correction", id=number)
    billing.use(8)
    (applied,) = ledger.call("approve_correction", id=number)
    assert (shown.amount, applied.amount) == (10, 7)
    assert shown.delta == applied.delta
