"""Load on `pymeter web`, for as long as one likes: how fast it answers, its memory, and what it counted.

Clients post events singly and in batches, and repeat some. Meanwhile others send what is to be refused, and
the server's connections to the database are terminated now and then. At the end SIGTERM comes in the middle
of the load, and what was acknowledged is compared with the log.
"""

from __future__ import annotations

import json
import random
import signal
import statistics
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tests.helpers import Ledger
from tests.web.hostile import REQUESTS, answer_to
from tests.web.posts import Poster, Unanswered
from tests.web.process import Served, login, new_key, serving

CLIENTS = 4
BATCH = 100
_SUBJECTS = 50
_SAMPLES = 360
_CUTS = 36
_GROWTH_MAX = 0.05
_DRAIN_SECONDS_MAX = 30


@dataclass
class Figures:
    """What a run showed."""

    seconds: float = 0
    requests: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    cuts: int = 0
    acknowledged: int = 0
    unacknowledged: int = 0
    of_them_counted: int = 0
    lost: int = 0
    double: int = 0
    drifts: int = 0
    p50_ms: float = 0
    p99_ms: float = 0
    batch_p50_ms: float = 0
    batch_p99_ms: float = 0
    rss_mb: list[float] = field(default_factory=list)
    """Of the server process, at equal distances in time."""
    drained_seconds: float = 0
    exit_status: int | None = None
    unexpected: list[str] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """By how much of it the memory grew: the last quarter of the time beside the second one."""
        quarter = max(len(self.rss_mb) // 4, 1)
        second, last = self.rss_mb[quarter : 2 * quarter], self.rss_mb[-quarter:]
        return statistics.median(last) / statistics.median(second or last) - 1

    def check_counts(self) -> None:
        assert not self.unexpected, self.unexpected[:3]
        assert (self.lost, self.double, self.drifts) == (0, 0, 0), self
        assert self.exit_status in (0, -signal.SIGTERM), self.exit_status

    def check_memory(self) -> None:
        assert self.growth <= _GROWTH_MAX, f"memory grew by {self.growth:.0%}: {self.rss_mb}"

    def __str__(self) -> str:
        return (
            f"{self.seconds / 60:.0f} minutes, {self.requests:,} requests"
            f" ({self.requests / self.seconds:,.0f}/s) by {CLIENTS} clients; a single event"
            f" {self.p50_ms:.1f} / {self.p99_ms:.1f} ms (p50 / p99), {BATCH} events {self.batch_p50_ms:.1f} /"
            f" {self.batch_p99_ms:.1f} ms; {self.refused.total():,} hostile requests refused, connections cut"
            f" {self.cuts} times; memory of the server {self.rss_mb[len(self.rss_mb) // 4]:.0f} MB after a"
            f" quarter of the time, {self.rss_mb[-1]:.0f} MB at the end, {max(self.rss_mb):.0f} MB at most;"
            f" SIGTERM drained in {self.drained_seconds:.1f} s; {self.acknowledged:,} events acknowledged,"
            f" {self.unacknowledged:,} not ({self.of_them_counted:,} of them counted);"
            f" {self.lost} lost, {self.double} double, {self.drifts} drifts"
        )


class Client:
    """Posts events until it is stopped or the server is gone. What an event is follows from its number."""

    def __init__(self, number: int, served: Served, stopped: threading.Event) -> None:
        self.number = number
        self.acknowledged = bytearray()  # by the number of the event
        self.statuses: Counter[str] = Counter()
        self.latencies = {1: array("f"), BATCH: array("f")}
        self.unexpected: list[str] = []
        self._served = served
        self._stopped = stopped
        self._random = random.Random(number)

    def event(self, number: int) -> dict[str, Any]:
        return {
            "subject": f"acct_{number % _SUBJECTS}",
            "metric": "tokens",
            "quantity": 1 + number % 9,
            "idempotency_key": f"{self.number}-{number}",
        }

    def run(self) -> None:
        try:
            with Poster(self._served.port, self._served.key) as poster:
                while not self._stopped.is_set():
                    first, size = self._next()
                    sent = self._send(poster, first, size)
                    # Half of what failed is sent again until it is answered, the rest is given up.
                    while not sent and not self._stopped.is_set() and self._random.random() < 0.5:
                        time.sleep(0.1)
                        sent = self._send(poster, first, size)
        except ConnectionRefusedError:
            if not self._stopped.wait(_DRAIN_SECONDS_MAX):
                self.unexpected.append("the server has closed its port")
        except BaseException as error:
            self.unexpected.append(f"{type(error).__name__}: {error}")

    def _next(self) -> tuple[int, int]:
        """The first event of a request, and how many; now and then one that was sent before."""
        if self.acknowledged and self._random.random() < 0.05:
            return self._random.randrange(len(self.acknowledged)), 1
        size = BATCH if self._random.random() < 0.1 else 1
        first = len(self.acknowledged)
        self.acknowledged.extend(bytes(size))
        return first, size

    def _send(self, poster: Poster, first: int, size: int) -> bool:
        events = [self.event(number) for number in range(first, first + size)]
        body = json.dumps(events if size > 1 else events[0]).encode()
        began = time.perf_counter()
        try:
            status, answer = poster.post(body)
        except Unanswered:
            self.statuses["unanswered"] += 1
            return False
        self.latencies[size].append(time.perf_counter() - began)
        self.statuses[str(status)] += 1
        if status != 200:
            if status != 503:
                self.unexpected.append(f"{status}: {answer.decode()[:500]}")
            return False
        rows = json.loads(answer)
        outcomes = [row["outcome"] for row in (rows if size > 1 else [rows])]
        if len(outcomes) != size or not {*outcomes} <= {"recorded", "duplicate"}:
            self.unexpected.append(f"outcomes {Counter(outcomes)} of {size} events")
        for number in range(first, first + size):
            self.acknowledged[number] = 1
        return True


def run_load(dsn: str, seconds: float, files: Path, say: Callable[[str], None]) -> Figures:
    """Load on a server of the meter at `dsn`, an owner's, whose metric tokens has no events."""
    figures, stopped = Figures(), threading.Event()
    with login(dsn) as login_dsn, serving(login_dsn, new_key(dsn), files / "web.log") as served:
        clients = [Client(number, served, stopped) for number in range(CLIENTS)]
        threads = [threading.Thread(target=client.run) for client in clients]
        threads.append(threading.Thread(target=_send_hostile, args=(served, stopped, figures)))
        for thread in threads:
            thread.start()
        began = time.monotonic()
        try:
            _watch(dsn, served, seconds, figures, lambda: sum(map(_answered, clients)), say)
            figures.seconds = time.monotonic() - began
            served.process.send_signal(signal.SIGTERM)
            figures.exit_status = served.process.wait(_DRAIN_SECONDS_MAX)
            figures.drained_seconds = time.monotonic() - began - figures.seconds
        finally:
            stopped.set()
            for thread in threads:
                thread.join()
    _sum_up(figures, clients)
    with psycopg.connect(dsn) as connection:
        _compare(figures, connection, clients)
    return figures


def _answered(client: Client) -> int:
    return client.statuses.total()


def _watch(
    dsn: str,
    served: Served,
    seconds: float,
    figures: Figures,
    answered: Callable[[], int],
    say: Callable[[str], None],
) -> None:
    """Sample the memory, and cut the connections to the database now and then."""
    step = seconds / _SAMPLES
    began = time.monotonic()
    with psycopg.connect(dsn, autocommit=True) as owner:
        for number in range(1, _SAMPLES + 1):
            time.sleep(max(0.0, began + number * step - time.monotonic()))
            figures.rss_mb.append(round(served.rss() / 1e6, 1))
            if number % (_SAMPLES // _CUTS) == _SAMPLES // _CUTS // 2:
                owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'pymeter web' AND datname = current_database()"
                )
                figures.cuts += 1
                elapsed = round(number * step)
                say(json.dumps({"seconds": elapsed, "rss_mb": figures.rss_mb[-1], "requests": answered()}))


def _send_hostile(served: Served, stopped: threading.Event, figures: Figures) -> None:
    """What is to be refused, again and again: from the address of the others, too."""
    while True:
        for name, (request, statuses) in REQUESTS.items():
            if stopped.wait(0.2) or served.process.poll() is not None:
                return
            try:
                status = answer_to(served.port, request(served.key))
            except OSError:
                continue  # the server has closed the connection, or is gone
            figures.refused[f"{name}: {status}"] += 1
            if status not in statuses and not stopped.is_set():
                figures.unexpected.append(f"{name} is answered with {status}")


def _sum_up(figures: Figures, clients: list[Client]) -> None:
    for client in clients:
        figures.statuses += client.statuses
        figures.unexpected += client.unexpected
        figures.acknowledged += sum(client.acknowledged)
        figures.unacknowledged += len(client.acknowledged) - sum(client.acknowledged)
    figures.requests = figures.statuses.total()
    for size, names in ((1, ("p50_ms", "p99_ms")), (BATCH, ("batch_p50_ms", "batch_p99_ms"))):
        latencies = sorted(latency for client in clients for latency in client.latencies[size])
        for name, percent in zip(names, (50, 99), strict=True):
            setattr(figures, name, 1000 * latencies[len(latencies) * percent // 100] if latencies else 0.0)


def _compare(figures: Figures, connection: psycopg.Connection[Any], clients: list[Client]) -> None:
    """Every acknowledged event is in the log once, every other one at most once, and nothing else is."""
    counted = [bytearray(len(client.acknowledged)) for client in clients]
    total = 0
    with connection.cursor("events") as cursor:
        cursor.itersize = 10_000
        cursor.execute("SELECT idempotency_key, quantity FROM meter.events")
        for key, quantity in cursor:
            number, event = map(int, key.split("-"))
            assert clients[number].event(event)["quantity"] == quantity, key
            counted[number][event] += 1
            total += quantity
    for client, found in zip(clients, counted, strict=True):
        for acknowledged, times in zip(client.acknowledged, found, strict=True):
            figures.lost += acknowledged > times
            figures.double += times > 1
            figures.of_them_counted += times > acknowledged
    ledger = Ledger(connection)
    figures.drifts = len(ledger.verify())
    answered = sum(ledger.usage(f"acct_{n}", "tokens", period="never").quantity for n in range(_SUBJECTS))
    figures.drifts += answered != total
