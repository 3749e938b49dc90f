"""What a sender tells while it runs, to observers and Prometheus; and the asynchronous sender."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psycopg
import pytest
from prometheus_client import CollectorRegistry
from psycopg_pool import AsyncConnectionPool

from pymeter.models import ClaimedDelivery, EndpointStatus
from pymeter.notify import AsyncNotifier, Notifier, Observer, Result
from pymeter.notify.metrics import PrometheusMetrics
from tests.helpers import Task
from tests.notify.conftest import STEP
from tests.notify.test_sender import Site, receiver, site

__all__ = ["receiver", "site"]


class Listener(Observer):
    """Keeps every event."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def planned(self, notifications: int) -> None:
        self.events.append(("planned", notifications))

    def sent(self, delivery: ClaimedDelivery, result: Result, seconds: float) -> None:
        assert seconds > 0
        self.events.append(("sent", delivery.endpoint, result.outcome))

    def given_up(self, deliveries: int) -> None:
        self.events.append(("given up", deliveries))

    def spikes(self, found: int) -> None:
        self.events.append(("spikes", found))

    def projected_marks(self, fired: int) -> None:
        self.events.append(("projected marks", fired))

    def trouble(self, message: str) -> None:
        self.events.append(("trouble", message))

    def status(self, endpoints: Sequence[EndpointStatus]) -> None:
        self.events.append(("status", [(one.name, one.open_deliveries) for one in endpoints]))


def test_an_observer_is_told_of_plans_attempts_troubles_and_the_endpoints(site: Site) -> None:
    site.endpoint("ops")
    site.endpoint("gone")
    site.receiver.faults["/gone"] = ["410"]
    site.outbox.tell("a")
    listener = Listener()
    with site.pool() as pool:
        site.notifier(pool, observers=[listener]).run_once()
        assert ("spikes", 0) in listener.events
        assert ("projected marks", 0) in listener.events
        assert sum(event[1] for event in listener.events if event[0] == "planned") == 2
        assert {event for event in listener.events if event[0] == "sent"} == {
            ("sent", "ops", "delivered"),
            ("sent", "gone", "gone"),
        }
        assert ("given up", 1) in listener.events
        assert any("HTTP 410" in event[1] for event in listener.events if event[0] == "trouble")
        watching = site.notifier(pool, observers=[listener])
        running = Task(lambda: watching.watch(0.05))
        while not any(event[0] == "status" for event in listener.events):
            assert running.running
            time.sleep(0.02)
        watching.stop()
        running.result()
    assert ("status", [("gone", 0), ("ops", 0)]) in listener.events


def test_metrics_count_attempts_by_endpoint_and_outcome_and_forget_a_removed_endpoint(site: Site) -> None:
    registry = CollectorRegistry()
    metrics = PrometheusMetrics(registry=registry)
    site.endpoint("ops")
    site.endpoint("bad")
    site.receiver.faults["/bad"] = ["500"]
    site.outbox.tell("a")

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"pymeter_notify_{name}", labels)

    def endpoints() -> list[EndpointStatus]:
        rows = site.outbox.ledger.call("endpoints")
        return [EndpointStatus.model_validate(row._asdict()) for row in rows]

    with site.pool() as pool:
        site.notifier(pool, observers=[metrics]).run_once()
    assert value("attempts_total", endpoint="ops", outcome="delivered") == 1
    assert value("attempts_total", endpoint="bad", outcome="failed") == 1
    assert value("attempt_seconds_count", endpoint="ops", outcome="delivered") == 1
    assert value("planned_notifications_total") == 2
    assert value("troubles_total") == 1
    metrics.status(endpoints())
    assert (value("open_deliveries", endpoint="bad"), value("failing", endpoint="bad")) == (1, 1)
    assert (value("open_deliveries", endpoint="ops"), value("failing", endpoint="ops")) == (0, 0)
    site.outbox.ledger.call("remove_endpoint", name="bad")
    metrics.status(endpoints())
    assert value("open_deliveries", endpoint="bad") is None
    names = {label for family in registry.collect() for one in family.samples for label in one.labels}
    assert names <= {"endpoint", "outcome", "le"}


def in_a_loop(site: Site, program: Callable[[AsyncNotifier], Awaitable[Any]], **options: Any) -> Any:
    """Run it with an asynchronous sender on an event loop."""

    async def main() -> Any:
        async with AsyncConnectionPool(site.dsn, min_size=1, max_size=3, open=False) as pool:
            options.setdefault("timeout", 20.0)
            return await program(
                AsyncNotifier(pool, allow_private=True, clock=lambda: site.outbox.now, **options)
            )

    return asyncio.run(main())


def test_an_asynchronous_sender_sends_the_same(site: Site) -> None:
    site.endpoint("ops")
    site.outbox.tell("a", "b", "a")
    summary = in_a_loop(site, lambda notifier: notifier.run_once())
    assert (summary.delivered, summary.exit_status) == (3, 0)
    site.assert_arrived("ops")


def test_an_asynchronous_sender_watches_until_it_is_stopped(site: Site) -> None:
    site.endpoint("ops")
    site.outbox.tell("a")

    async def program(notifier: AsyncNotifier) -> Any:
        running = asyncio.create_task(notifier.watch(0.05))
        while not site.receiver.accepted():
            await asyncio.sleep(0.02)
        notifier.stop()
        return await running

    assert in_a_loop(site, program).delivered == 1


def test_an_asynchronous_sender_that_is_cancelled_releases_what_is_in_flight(site: Site) -> None:
    site.endpoint("ops")
    site.receiver.faults["/ops"] = ["hang"]
    site.outbox.tell("a")

    async def program(notifier: AsyncNotifier) -> None:
        running = asyncio.create_task(notifier.watch(0.05))
        while not site.receiver.hanging.acquire(blocking=False):
            await asyncio.sleep(0.02)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    in_a_loop(site, program)
    (one,) = site.outbox.all(endpoint="ops")
    assert (one.type, one.state, one.failures) == (STEP, "planned", 0)


def test_a_sender_takes_a_pool_of_its_own_kind(site: Site) -> None:
    with psycopg.connect(site.dsn) as connection, pytest.raises(TypeError, match="takes a pool"):
        Notifier(connection)  # type: ignore[arg-type]
    with site.pool() as pool, pytest.raises(TypeError):
        AsyncNotifier(pool)  # type: ignore[arg-type]
