"""Judging a subject finds what it needs by indexes, also in a session that has seen the meter empty."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger
from tests.performance.plans import explainer

ROWS = 20_000
_TABLES = (
    "events", "rollups", "series", "credits", "credit_draws", "taxes", "subscriptions",
    "subscription_history",
    "billing_cycles", "cycle_history", "budgets", "limits", "budget_spending", "fired_budget_marks",
    "sealed_subjects", "statements", "late_decisions", "plan_prices",
)  # fmt: skip
_GROWN = (
    """INSERT INTO meter.series (metric, subject, stripe, series_id, revision, unit, newest_start,
        fine_start, fine_end, fine_last_at, fine_count, fine_total,
        coarse_start, coarse_end, coarse_last_at, coarse_count, coarse_total,
        has_stripes, is_ordinary, is_count)
    SELECT 'tokens', 's' || i, 0, 1000000 + i, 1, 'unit', t.hour,
        t.hour, t.hour + interval '1 hour', t.hour, 1, 1,
        t.month, t.month + interval '1 month', t.hour, 1, 1, false, true, false
    FROM generate_series(1, {rows}) i
    CROSS JOIN LATERAL (SELECT date_trunc('hour', now()), date_trunc('month', now())) t (hour, month)""",
    """INSERT INTO meter.subscriptions (subject, plan, since)
    SELECT 's' || i, 'pro', '2020-01-01' FROM generate_series(1, {rows}) i""",
    """INSERT INTO meter.budgets (subject, currency, period, since, amount, action, marks)
    SELECT 's' || i, 'EUR', 'month', '2020-01-01', 5, 'block', '{{}}'
    FROM generate_series(1, {rows}) i""",
    """INSERT INTO meter.limits (metric, name, period, subject, since, quota, action, marks)
    SELECT 'tokens', 'budget EUR', 'cycle', 's' || i, now(), 5, 'block', '{{}}'
    FROM generate_series(1, {rows}) i""",
    """INSERT INTO meter.budget_spending (since, until, judged_at, subject, currency, period, spent)
    SELECT now(), now(), now(), 's' || i, 'EUR', 'cycle', 5 FROM generate_series(1, {rows}) i""",
    """INSERT INTO meter.fired_budget_marks (period_start, is_projected, subject, currency, period, mark)
    SELECT now(), false, 's' || i, 'EUR', 'cycle', 5 FROM generate_series(1, {rows}) i""",
    """INSERT INTO meter.taxes (subject, name, percent, inclusive, since, recorded_at, recorded_by)
    SELECT 's' || i, 'VAT', 19, false, '2020-01-01', now(), 'x' FROM generate_series(1, {rows}) i""",
    """INSERT INTO meter.credits
        (recorded_at, since, priority, subject, idempotency_key, currency, source, recorded_by, amount)
    SELECT now(), now(), 50, 's' || i, 'k', 'EUR', 'paid', 'x', 5 FROM generate_series(1, {rows}) i""",
)
_CALLS = {
    "the digests of two": "SELECT * FROM meter._budget_inputs('{a,b}')",
    "two priced together": "SELECT * FROM unnest(meter._common_totals('{a,b}', now()))",
    "a status": "SELECT * FROM meter.budget_status('a')",
    "a judgement": "SELECT * FROM meter._judge_subject('a', clock_timestamp(), 1, false, '{}')",
    "a block": """SELECT meter._set_budget_limits(ROW(
        date_trunc('month', now(), 'UTC'), date_trunc('month', now(), 'UTC') + interval '1 month', now(), 'a',
        'EUR', 'cycle', 20, null, '{tokens}')::meter.budget_spending, '{tokens}', clock_timestamp())""",
}


@pytest.mark.parametrize("analyzed", ["empty", "never", "grown"])
def test_judging_a_subject_looks_at_few_rows_of_a_large_meter(
    connect: Callable[..., psycopg.Connection[object]], analyzed: str
) -> None:
    ledger = Ledger(connect("early"))
    ledger.define("tokens", "sum")
    ledger.call("define_plan", plan="pro")
    price = Jsonb({"model": "unit", "unit_amount": "1", "currency": "EUR"})
    ledger.call("define_price", plan="pro", item="tokens", price=price, metric="tokens")
    ledger.call("set_budget", amount=5, currency="EUR", action="block")
    for subject in ("a", "b"):
        ledger.call("subscribe", subject=subject, plan="pro")
        ledger.record(subject, "tokens", 20)
    ledger.call("judge_budgets")
    if analyzed == "empty":
        ledger.execute("VACUUM ANALYZE")
    explain = explainer(ledger.connection)
    for call in _CALLS.values():
        for _ in range(7):
            ledger.rows(call)
    for statement in _GROWN:
        Ledger(connect("others")).execute(statement.format(rows=ROWS))
    if analyzed == "grown":
        ledger.execute("VACUUM ANALYZE")
    wide = {}
    for name, call in _CALLS.items():
        plans = explain(call, calls_before=0)
        scans = [scan for scan in plans.scans(*_TABLES) if scan.rows > ROWS / 20]
        if scans:
            wide[name] = scans
    assert wide == {}
