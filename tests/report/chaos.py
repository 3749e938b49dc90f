"""Chaos: usage is recorded while reporters are killed and suspended, the network fails, and the clock jumps.

With a server of its own, that is also restored from a base backup, and fails over to a standby that lags.

    python -m tests.report.chaos [--rounds N] [--reporters N] [--events N] [--seed N] [--dsn DSN]
        [--adapter NAME]

At the end what the double has counted is what the ledger has, per customer, meter and hour, and every push is
in a state that can be counted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import secrets
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from pymeter import Meter
from pymeter.errors import ReportingStopped
from pymeter.models import Push
from pymeter.report import Reporter
from tests.report.adapters import ADAPTERS, STRIPE, Adapter
from tests.report.cluster import Cluster, new_cluster
from tests.report.double import Double, running
from tests.report.mortal import ClockFile, start

METRICS = {"tokens": ("sum", "delta"), "calls": ("count", "delta"), "jobs": ("sum", "event")}
CUSTOMERS = 8
_BATCH = 25
_CALL_SECONDS_MAX = 10
_JUMPS = (timedelta(minutes=3), timedelta(hours=2), timedelta(hours=25))
_FINAL_ROUNDS_MAX = 12
_OPEN = ("planned", "sending", "uncertain", "unplanned")
# What share of calls each of these befalls.
_FAULTS: dict[str, dict[str, Any]] = {
    "drop_before": {"probability": 0.03},
    "drop_after": {"probability": 0.03},
    "half_response": {"probability": 0.02},
    "error_before": {"probability": 0.02, "status": 503},
    "error_after": {"probability": 0.02},
    "rate_limited": {"probability": 0.01},
    "slow_before": {"probability": 0.01, "delay": 0.1},
    "slow_after": {"probability": 0.01, "delay": 0.1},
}


@dataclass
class Result:
    """What there was at the end."""

    events: int = 0
    kills: int = 0
    suspended: int = 0
    restores: int = 0
    failovers: int = 0
    jumps: int = 0
    by_person: int = 0
    """Pushes that totals could not resolve: a person looked them up."""
    states: dict[str, int] = field(default_factory=dict)
    counters: dict[str, Any] = field(default_factory=dict)
    sent: dict[Any, Decimal] = field(default_factory=dict)
    used: dict[Any, Decimal] = field(default_factory=dict)
    seconds: float = 0

    def check(self) -> None:
        """Every unit once, in its hour; nothing sent in another form, nothing two at a time."""
        keys = self.sent.keys() | self.used.keys()
        differing = {
            k: (self.sent.get(k), self.used.get(k)) for k in keys if self.sent.get(k) != self.used.get(k)
        }
        assert not differing, f"sent and used differ: {differing}"
        assert self.counters["counted_twice"] == []
        assert self.counters["duplicates_that_differ"] == 0
        assert self.counters["conflicts"] == 0
        assert set(self.states) <= {"delivered", "resolved", "replaced"}


class Chaos:
    """One ledger, one double, and everything that happens to them."""

    def __init__(
        self,
        dsn: str,
        double: Double,
        directory: Path,
        *,
        reporters: int,
        seed: int,
        cluster: Cluster | None = None,
        adapter: Adapter = STRIPE,
    ) -> None:
        self.dsn = dsn
        self.adapter = adapter
        self.cluster = cluster
        self.kept: list[dict[str, Any]] = []  # what was committed, to be recorded again
        self._keys = count()
        self._suspended: list[Any] = []
        self.double = double
        self.reporters = reporters
        self.random = random.Random(seed)
        self.clock = ClockFile(directory / f"clock-{secrets.token_hex(4)}")
        self.result = Result()

    def run(self, *, rounds: int, events: int) -> Result:
        """`rounds` rounds with `events` events in all."""
        began = time.monotonic()
        self._jump(timedelta(days=-30))
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            meter = Meter(connection)
            meter.define_biller(self.adapter.name, subject_is_customer=True)
            for metric, (aggregate, mode) in METRICS.items():
                meter.define_metric(metric, aggregate, "unit")  # type: ignore[arg-type]
                meter.report_metric(metric, metric, mode, self.adapter.name)  # type: ignore[arg-type]
                self.double.create_meter(metric)
        for number, (kind, rule) in enumerate(_FAULTS.items()):
            self.double.fault(kind, times=None, seed=number, **rule)
        for number in range(rounds):
            fault = self._FAULTS_OF_SERVERS[number % 3] if self.cluster and number else None
            if fault:
                assert self.cluster is not None
                self.cluster.prepare(fault)
            self._round(events // rounds)
            # Nobody is alive: the leases of the dead are over, and with 25 hours their windows too.
            self._jump(_JUMPS[-1] if number == 0 else self.random.choice(_JUMPS))
            if fault:
                self._lose(fault)
        self._wake_suspended()
        time.sleep(1)
        self._kill_suspended()
        self.double.clear_faults()
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            meter = Meter(connection)
            self._finish(meter)
            self._look(connection, meter)
        self.result.seconds = time.monotonic() - began
        return self.result

    _FAULTS_OF_SERVERS = (None, "restore", "failover")

    def _lose(self, fault: str) -> None:
        """The server is replaced by an older state of itself, and the applications record again."""
        assert self.cluster is not None
        self._kill_suspended()
        self.dsn = self.cluster.lose(fault)
        if fault == "restore":
            self.result.restores += 1
        else:
            self.result.failovers += 1
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            meter = Meter(connection)
            journal = meter.report_journal(self.adapter.name)
            # A backup from before the first plan is of no server yet: only a person knows that it is old.
            assert journal.stopped == (journal.server is not None)
            with contextlib.suppress(ReportingStopped):
                meter.claim_pushes(self.adapter.name, "worker", now=self.clock())
                assert not journal.stopped
            for first in range(0, len(self.kept), 500):
                meter.record_batch(self.kept[first : first + 500])
            meter.adopt_journal(self.adapter.name, force=True, now=self.clock())

    def _await_call(self) -> None:
        """Until a reporter has made a call: on a busy machine it would be killed before it does anything."""
        before = self._calls()
        deadline = time.monotonic() + _CALL_SECONDS_MAX
        while self._calls() == before and time.monotonic() < deadline:
            time.sleep(0.02)

    def _calls(self) -> int:
        return sum(self.double.counters()["requests"].get("create_meter_event", {}).values())

    def _suspend(self, process: Any) -> None:
        """It stands still until the next round: past its lease, and perhaps past the biller's window."""
        os.kill(process.pid, signal.SIGSTOP)
        self._suspended.append(process)
        self.result.suspended += 1

    def _wake_suspended(self) -> None:
        for process in self._suspended:
            os.kill(process.pid, signal.SIGCONT)

    def _kill_suspended(self) -> None:
        while self._suspended:
            self._kill(self._suspended.pop())

    def _round(self, events: int) -> None:
        woken, self._suspended = self._suspended, []
        alive = [self._start() for _ in range(self.reporters)]
        for process in woken:
            os.kill(process.pid, signal.SIGCONT)
        alive += woken
        with self._recording(events) as recording:
            # A while after the last event there is still something to be sent.
            end = time.monotonic() + 0.5
            while recording() or time.monotonic() < end:
                self._await_call()
                time.sleep(self.random.uniform(0.02, 0.4))
                victim = self.random.randrange(len(alive))
                if len(self._suspended) < 2 and self.random.random() < 0.3:
                    self._suspend(alive[victim])
                else:
                    self._kill(alive[victim])
                alive[victim] = self._start()
                if self.cluster:
                    self.cluster.lag()
                if recording():
                    end = time.monotonic() + 0.5
        for process in alive:
            self._kill(process)
        time.sleep(0.2)  # a call that the dead have made may still be under way

    def _start(self) -> Any:
        return start(
            self.dsn,
            self.double.url,
            self.clock,
            watch=True,
            connections=self.random.choice([1, 4]),
            adapter=self.adapter,
        )

    def _kill(self, process: Any) -> None:
        process.kill()
        process.join()
        self.result.kills += 1

    @contextlib.contextmanager
    def _recording(self, events: int) -> Iterator[Any]:
        """Two applications that record; some of what they do is rolled back."""
        threads = [
            threading.Thread(target=self._record, args=(events // 2, self.random.getrandbits(32)))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        try:
            yield lambda: any(thread.is_alive() for thread in threads)
        finally:
            for thread in threads:
                thread.join()

    def _record(self, events: int, seed: int) -> None:
        chance = random.Random(seed)
        with psycopg.connect(self.dsn) as connection:
            meter = Meter(connection)
            for first in range(0, events, _BATCH):
                batch = [self._event(chance) for _ in range(min(_BATCH, events - first))]
                if chance.random() < 0.3:
                    single = batch.pop()
                    meter.record(**single)
                    connection.commit()
                    self.kept.append(single)
                meter.record_batch(batch)
                if chance.random() < 0.1:
                    connection.rollback()
                else:
                    connection.commit()
                    self.kept += batch
                time.sleep(chance.uniform(0, 0.02))

    def _event(self, chance: random.Random) -> dict[str, Any]:
        metric = chance.choice(list(METRICS))
        return {
            "subject": f"cus_{chance.randrange(CUSTOMERS)}",
            "metric": metric,
            "quantity": Decimal(chance.randint(1, 10**6)) / 1000 if METRICS[metric][0] == "sum" else 1,
            "at": self.clock() - timedelta(seconds=chance.uniform(0, 3 * 3600)),
            "idempotency_key": f"use_{next(self._keys)}",
        }

    def _jump(self, length: timedelta) -> None:
        self.clock.jump(length)
        self.double.set_clock(self.clock())
        self.result.jumps += 1

    def _finish(self, meter: Meter) -> None:
        """Days pass, and one reporter runs; then a person looks up what totals cannot tell."""
        biller = self.adapter.biller(self.double.url, timeout=5)
        with ConnectionPool(self.dsn, min_size=1, max_size=4, kwargs={"autocommit": True}) as pool:
            for number in range(_FINAL_ROUNDS_MAX):
                Reporter(
                    pool, biller, biller_name=self.adapter.name, clock=self.clock, patience=timedelta()
                ).run_once()
                if not any(self._states(meter).get(state) for state in _OPEN):
                    return
                if number == _FINAL_ROUNDS_MAX - 4:
                    self._ask_a_person(meter)
                self._jump(timedelta(hours=25))

    def _ask_a_person(self, meter: Meter) -> None:
        """Any pushes that add up to what the hour lacks will do; those that can be found come first."""
        there = [event for event in self.double.events() if event["state"] == "counted"]
        identifiers = {event["identifier"] for event in there}
        contents = {(e["customer"], e["event_name"], Decimal(e["value_text"]), e["timestamp"]) for e in there}
        totals = self.double.totals("live", by="sum")
        hours: dict[Any, list[Push]] = {}
        for push in _all_pushes(meter, self.adapter.name):
            start = push.stamped_at.replace(minute=0, second=0, microsecond=0)
            hours.setdefault((push.customer, push.event_name, start), []).append(push)
        for key, pushes in hours.items():
            known = sum(push.value for push in pushes if push.state in ("delivered", "resolved"))
            missing = totals.get(key, Decimal()) - known
            uncertain = [push for push in pushes if push.state == "uncertain"]
            found = [push for push in uncertain if push.identifier in identifiers]
            if sum(push.value for push in found) != missing:
                found = [push for push in uncertain if _content(push) in contents]
            if sum(push.value for push in found) != missing:
                found = _adding_up_to(missing, uncertain)
            for push in uncertain:
                meter.resolve_push(push.identifier, push in found, now=self.clock())
            self.result.by_person += len(uncertain)

    def _states(self, meter: Meter) -> dict[str, int]:
        counts = Counter[str]()
        for row in meter.report_status(self.adapter.name):
            counts[row.state] += row.pushes
        return {state: pushes for state, pushes in counts.items() if pushes}

    def _look(self, connection: psycopg.Connection[Any], meter: Meter) -> None:
        result = self.result
        result.states = self._states(meter)
        result.counters = self.double.counters()
        result.sent = self.double.totals("live", by="sum")
        rows: list[tuple[str, str, datetime, Decimal, int]] = connection.execute(
            "SELECT subject, metric, date_trunc('hour', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC',"
            " sum(quantity), count(*) FROM meter.logged_events GROUP BY 1, 2, 3"
        ).fetchall()
        result.used = {(subject, metric, start): quantity for subject, metric, start, quantity, _ in rows}
        result.events = sum(row[-1] for row in rows)


def _content(push: Push) -> tuple[str, str, Decimal, int]:
    return push.customer, push.event_name, push.value, int(push.stamped_at.timestamp())


def _adding_up_to(total: Decimal, pushes: list[Push]) -> list[Push]:
    sums: dict[Decimal, list[Push]] = {Decimal(): []}
    for push in pushes:
        more = {value + push.value: [*members, push] for value, members in sums.items()}
        sums = {value: members for value, members in more.items() if value <= total} | sums
        assert len(sums) < 10**6, "too many sums"
    assert total in sums, f"no pushes add up to {total}: {[push.value for push in pushes]}"
    return sums[total]


def _all_pushes(meter: Meter, biller: str) -> list[Push]:
    found: list[Push] = []
    after: int | None = None
    while page := meter.pushes(biller, max_rows=1000, after_id=after):
        found += page
        after = page[-1].push_id
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.report.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--reporters", type=int, default=8)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    parser.add_argument("--adapter", choices=ADAPTERS, default="stripe")
    parser.add_argument("--dsn", help="an empty database; default: a private server, with restores")
    options = parser.parse_args()
    from pymeter import migrate

    print(f"seed {options.seed}", flush=True)
    with contextlib.ExitStack() as stack:
        cluster = None if options.dsn else stack.enter_context(new_cluster())
        dsn = options.dsn or cluster.dsn
        migrate(dsn)
        double = stack.enter_context(running.in_process())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        chaos = Chaos(
            dsn,
            double,
            directory,
            reporters=options.reporters,
            seed=options.seed,
            cluster=cluster,
            adapter=ADAPTERS[options.adapter],
        )
        result = chaos.run(rounds=options.rounds, events=options.events)
    requests = result.counters["requests"]["create_meter_event"]
    print(
        f"{result.events} events, {result.kills} kills, {result.suspended} suspended,"
        f" {result.restores} restores, {result.failovers} failovers, {result.jumps} jumps in"
        f" {result.seconds:.0f} s;"
        f" calls {requests}; states {result.states}; {result.by_person} looked up by a person"
    )
    result.check()
    print("every unit is there once")


if __name__ == "__main__":
    main()
