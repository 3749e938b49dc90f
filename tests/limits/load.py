"""Many callers of many limited subjects: exactly what fits is admitted. For the suite and the long run."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg

from tests.helpers import Ledger


@dataclass(frozen=True)
class Race:
    """How many callers ask for how much. Half as much again is asked for as there is."""

    calls: int
    subjects: int
    callers: int
    quota: int
    isolation: str

    @property
    def size(self) -> int:
        """The quantity of each call."""
        return max(1, self.quota * self.subjects * 3 // 2 // self.calls)


Told = Counter[tuple[str, str]]


def run_race(dsn: str, race: Race) -> Told:
    """Define the metric and its limit, let everybody call, and count what each subject was told."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        ledger = Ledger(connection)
        ledger.define("tokens", "sum")
        ledger.call("set_limit", metric="tokens", quota=race.quota)
    told = Told()
    with ThreadPoolExecutor(race.callers) as pool:
        for answers in pool.map(lambda number: _call(dsn, race, number), range(race.callers)):
            told += answers
    return told


def _call(dsn: str, race: Race, number: int) -> Told:
    draw, told = random.Random(number), Told()
    with psycopg.connect(dsn, autocommit=True) as connection:
        session = Ledger(connection)
        session.execute(f"SET default_transaction_isolation = '{race.isolation}'")
        for turn in range(race.calls // race.callers):
            subject = f"acct_{draw.randrange(race.subjects)}"
            key = f"{number}-{turn}" if draw.random() < 0.5 else None
            while True:
                try:
                    answer = session.record(subject, "tokens", race.size, idempotency_key=key)
                except psycopg.errors.SerializationFailure:
                    continue
                break
            told[subject, answer.outcome] += 1
            assert answer.quantity <= race.quota
    return told


def check_race(ledger: Ledger, race: Race, told: Told) -> int:
    """Every subject got what fits and no more; totals, keys and log agree. Returns how many were admitted."""
    assert {outcome for _, outcome in told} == {"recorded", "refused"}
    fits = race.quota // race.size
    logged = dict(ledger.rows("SELECT subject, count(*)::integer FROM meter.logged_events GROUP BY subject"))
    for subject in {subject for subject, _ in told}:
        asked = told[subject, "recorded"] + told[subject, "refused"]
        assert told[subject, "recorded"] == logged[subject] == min(asked, fits), subject
        assert ledger.usage(subject, "tokens").quantity == logged[subject] * race.size
    keys = ledger.value("SELECT count(*) FROM meter.keys")
    assert keys == ledger.value("SELECT count(*) FROM meter.events WHERE idempotency_key IS NOT NULL")
    assert ledger.call("overruns") == []
    assert ledger.verify() == []
    return sum(logged.values())
