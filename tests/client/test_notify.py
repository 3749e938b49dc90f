"""Endpoints, deliveries and spikes from Python."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pymeter import Meter, errors


@pytest.fixture(autouse=True)
def calls(meter: Meter) -> None:
    meter.define_metric("calls", "count", "call")


def test_from_an_endpoint_to_a_delivery_that_has_arrived(meter: Meter) -> None:
    endpoint = meter.define_endpoint(
        "ops", "https://example.com/hook", ["threshold.exceeded"], secret_name="HOOK_SECRET"
    )
    assert (endpoint.types, endpoint.format, endpoint.secret_name) == (
        ["threshold.exceeded"],
        "standard",
        "HOOK_SECRET",
    )
    meter.set_limit("calls", 1, action="alert")
    meter.record("acct_1", "calls")
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert meter.plan_deliveries(now=later) > 0
    (claimed,) = meter.claim_deliveries("worker", now=later)
    assert json.loads(claimed.body)["data"]["numerator"] == 1
    assert claimed.leased_until == later + timedelta(minutes=2)
    result = {"delivery_id": claimed.delivery_id, "attempt": claimed.attempt, "outcome": "failed"}
    (settled,) = meter.settle_deliveries(
        "worker", [{**result, "error": "HTTP 500", "status": 500}], now=later
    )
    assert settled.state == "planned"
    assert meter.endpoints()[0].failing_since == later
    assert meter.retry_deliveries("ops", now=later) == 1
    (again,) = meter.claim_deliveries("worker", 1, lease=timedelta(seconds=30), now=later)
    assert (again.message_id, again.attempt) == (claimed.message_id, 2)
    assert meter.release_deliveries("worker", now=later) == 1
    (third,) = meter.claim_deliveries("worker", now=later)
    meter.settle_deliveries(
        "worker", iter([{**result, "attempt": third.attempt, "outcome": "delivered"}]), now=later
    )
    (delivery,) = meter.deliveries("ops", "delivered", subject="acct_1")
    assert (delivery.attempts, delivery.error, delivery.settled_at) == (3, None, later)
    assert meter.test_endpoint("ops").type == "endpoint.test"
    assert (meter.endpoints()[0].open_deliveries, meter.endpoints()[0].dead_deliveries) == (1, 0)
    assert meter.remove_endpoint("ops").name == "ops"
    assert (meter.endpoints(), meter.deliveries()) == ([], [])


def test_what_is_not_there_and_what_cannot_be(meter: Meter) -> None:
    for call in (meter.test_endpoint, meter.remove_endpoint, meter.retry_deliveries):
        with pytest.raises(errors.NotFound):
            call("none")
    with pytest.raises(errors.NotFound):
        meter.remove_spike_alert("calls")
    with pytest.raises(errors.InvalidInput):
        meter.define_endpoint("ops", "ftp://example.com", ["*"])
    for results in ("x", {"delivery_id": 1}, 7, [7]):
        wrong: Any = results
        with pytest.raises(errors.InvalidInput):
            meter.settle_deliveries("worker", wrong)


def test_spike_alerts_are_set_listed_judged_and_removed(meter: Meter) -> None:
    alert = meter.set_spike_alert("calls", Decimal("2.5"), within=timedelta(hours=2))
    assert (alert.factor, alert.within, alert.baseline, alert.subject) == (
        *(Decimal("2.5"), timedelta(hours=2), timedelta(days=14), None),
    )
    assert meter.spike_alerts() == [alert]
    assert meter.judge_spikes() == 0
    assert meter.remove_spike_alert("calls", within=timedelta(hours=2)) == alert
    with pytest.raises(errors.MetricForbids):
        meter.set_spike_alert("calls", 2, within=timedelta(minutes=90))
