"""What sending looks at among the deliveries of the past: what is due, whatever the statistics say."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.performance.plans import explainer

# PYMETER_OLD_DELIVERIES=1000000: as many as there are after weeks of a busy meter.
OLD = int(os.environ.get("PYMETER_OLD_DELIVERIES", "60000"))
ENDPOINTS = 3
SUBJECTS = 20
CALLS = {
    "plan": ("SELECT meter.plan_deliveries()", ()),
    "claim": ("SELECT * FROM meter.claim_deliveries('worker_1', 30)", ()),
    "settle": None,
    "release": ("SELECT meter.release_deliveries('worker_1')", ()),
    "retry one": None,
    "retry": ("SELECT meter.retry_deliveries()", ()),
    "endpoints": ("SELECT * FROM meter.endpoints()", ()),
}


@pytest.fixture(params=["absent", "stale", "fresh"])
def meter(
    connect: Callable[..., psycopg.Connection[Any]], request: pytest.FixtureRequest
) -> psycopg.Connection[Any]:
    """60,000 old deliveries, some of them dead, and 60 to be sent; with statistics of that kind."""
    connection = connect("deliveries")
    for number in range(ENDPOINTS):
        connection.execute(
            "SELECT meter.define_endpoint(%s, 'https://example.com/hook', '{threshold.exceeded}')",
            [f"e{number}"],
        )
    connection.execute("SELECT meter.define_metric('m', 'count', 'unit')")
    connection.execute("SELECT meter.set_limit('m', 1, action => 'alert', marks => '{100}', every => 1)")
    connection.execute("ALTER TABLE meter.deliveries SET (autovacuum_enabled = false)")
    connection.execute("ALTER TABLE meter.notifications SET (autovacuum_enabled = false)")
    if request.param == "stale":  # of empty tables
        connection.execute("ANALYZE meter.deliveries, meter.notifications, meter.endpoints")
    connection.execute(
        "INSERT INTO meter.notifications (type, subject, metric, data, planned_at)"
        " SELECT 'threshold.exceeded', 's' || n %% 500, 'm', '{}', now() FROM generate_series(1, %s) n",
        [OLD // ENDPOINTS],
    )
    connection.execute(
        "INSERT INTO meter.deliveries (notification_id, endpoint, subject, lane, type, message_id, body,"
        " state, attempts, worker, settled_at)"
        " SELECT n.notification_id, e.name, n.subject, n.subject, n.type, 'msg_' || n.notification_id, '{}',"
        " CASE WHEN n.notification_id % 2000 = 0 THEN 'dead' ELSE 'delivered' END, 1, 'worker_1', now()"
        " FROM meter.notifications n CROSS JOIN meter.endpoints e WHERE n.planned_at IS NOT NULL",
    )
    if request.param == "fresh":
        connection.execute("ANALYZE")
    connection.execute(
        "SELECT meter.record('s' || n, 'm') FROM generate_series(1, %s) n, generate_series(1, 2)", [SUBJECTS]
    )
    return connection


def test_sending_reads_what_is_due_and_not_what_was_sent(meter: psycopg.Connection[Any]) -> None:
    explain = explainer(meter)
    for name, call in CALLS.items():
        if name == "settle":
            held = meter.execute(
                "SELECT delivery_id, attempts FROM meter.deliveries WHERE state = 'sending'"
            ).fetchall()
            assert held
            results = [
                {"delivery_id": one, "attempt": attempt, "outcome": ("delivered", "failed")[n % 2]}
                for n, (one, attempt) in enumerate(held[:-2])
            ]
            call = ("SELECT * FROM meter.settle_deliveries('worker_1', %s)", (Jsonb(results),))
        elif name == "retry one":
            (dead,) = meter.execute(
                "SELECT delivery_id FROM meter.deliveries WHERE state = 'dead' LIMIT 1"
            ).fetchone() or (None,)
            call = ("SELECT meter.retry_deliveries(delivery_id => %s)", (dead,))
        assert call is not None
        plans = explain(*call, calls_before=0)
        for scan in plans.scans("deliveries", "notifications"):
            assert "Seq" not in scan.node, (name, scan)
            assert scan.rows <= 1000, (name, scan)
