"""Reporting to a biller: calls a second, and how many calls a day's events take.

The biller is the tests' double of Stripe, a process of its own that takes a millisecond for every call. The
other way is what is often written: one call for every event, from the same SDK on as many connections, and
nothing is written down that a crash could be recovered from.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from pymeter import Meter
from pymeter.report import Reporter, StripeBiller
from tests.benchmarks.bench import Bench, connected, short
from tests.benchmarks.harness import Row, Sample, Side
from tests.report.double import Double, running

_KEY = "sk_live_0123456789abcdef"
_CONNECTIONS = 16
_RATE = 100_000.0  # no limit: the speed of the reporter is measured, not the account's
_CUSTOMERS = 1_000
_HOURS = 24
_CALLS_A_SECOND_MIN = 500
_BATCH = 5_000
_random = Random(1)


@dataclass(frozen=True)
class _Push:
    identifier: str
    customer: str
    event_name: str
    value: str
    stamped_at: datetime


def rows(bench: Bench) -> Iterator[Row]:
    with running.in_process() as double:
        double.create_meter("tokens")
        yield from _calls_a_second(bench, double)
        yield from _calls_a_day(bench)


def _calls_a_second(bench: Bench, double: Double) -> Iterator[Row]:
    pushes = bench.scale.report_pushes
    with bench.database() as dsn, connected(dsn) as connection:
        meter = _reported(connection)
        biller = StripeBiller(_KEY, base=double.url, rate=_RATE, connections=_CONNECTIONS)
        days = count(1)

        def plan() -> None:
            """One event of each of so many customers, at an hour that was not used before."""
            at = datetime.now(UTC) - timedelta(hours=next(days))
            _record(meter, [(f"cus_{number}", at) for number in range(pushes)])
            while meter.plan_pushes():
                pass

        def report() -> Sample:
            with ConnectionPool(dsn, min_size=4, max_size=4, kwargs={"autocommit": True}) as pool:
                reporter = Reporter(pool, biller, connections=_CONNECTIONS, rate=_RATE)
                begin = time.perf_counter()
                summary = reporter.run_once()
                seconds = time.perf_counter() - begin
            assert summary.tally.delivered == pushes
            return Sample(pushes / seconds)

        yield Row(
            name=f"report, {_CONNECTIONS} connections",
            unit="calls/s",
            ours=Side("Reporter.run_once()", report, plan),
            baseline=Side("one call an event, no journal", lambda: _bare(biller, pushes)),
            least=_CALLS_A_SECOND_MIN,
            note=f"{short(pushes)} planned pushes of as many customers: claimed, sent, settled.",
        )
        biller.close()


def _bare(biller: StripeBiller, calls: int) -> Sample:
    """The calls alone, from as many threads."""
    stamp = datetime.now(UTC).replace(microsecond=0)
    prefix = f"bare_{_random.getrandbits(48):x}"

    def send(first: int) -> None:
        for number in range(first, calls, _CONNECTIONS):
            biller.send(_Push(f"{prefix}_{number}", f"cus_{number}", "tokens", "1", stamp))

    threads = [threading.Thread(target=send, args=(first,)) for first in range(_CONNECTIONS)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Sample(calls / (time.perf_counter() - begin))


def _calls_a_day(bench: Bench) -> Iterator[Row]:
    events = bench.scale.report_events
    with bench.database() as dsn, connected(dsn) as connection:
        meter = _reported(connection)
        day = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=_HOURS)
        for first in range(0, events, _BATCH):
            _record(
                meter,
                [
                    (
                        f"cus_{_random.randrange(_CUSTOMERS)}",
                        day + timedelta(seconds=_random.uniform(0, _HOURS * 3600)),
                    )
                    for _ in range(min(_BATCH, events - first))
                ],
            )

        begin = time.perf_counter()
        while meter.plan_pushes():
            pass
        seconds = time.perf_counter() - begin
        calls = next(row.pushes for row in meter.report_status() if row.state == "planned")
        yield Row(
            name=f"report, calls for {short(events)} events",
            unit="calls",
            ours=Side("deltas", lambda: Sample(calls)),
            baseline=Side("one call an event", lambda: Sample(events)),
            limit=_CUSTOMERS * _HOURS,
            note=f"{short(_CUSTOMERS)} customers, {_HOURS} hours, one metric; planned in {seconds:.1f} s.",
            rounds=1,
        )


def _reported(connection: psycopg.Connection[Any]) -> Meter:
    meter = Meter(connection)
    meter.define_metric("tokens", "sum", "token")
    meter.define_biller(subject_is_customer=True)
    meter.report_metric("tokens", "tokens")
    return meter


def _record(meter: Meter, events: list[tuple[str, datetime]]) -> None:
    meter.record_batch(
        [{"subject": subject, "metric": "tokens", "quantity": 3, "at": at} for subject, at in events]
    )
