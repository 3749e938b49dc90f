"""Many callers of many limited subjects: exactly what fits is admitted, at every isolation level.

PYMETER_LIMIT_CALLS=100000 is the long run; a part of the suite makes do with fewer.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.helpers import Ledger

CALLS = int(os.environ.get("PYMETER_LIMIT_CALLS", "6000"))
LONG = CALLS >= 100_000
SUBJECTS = 200 if LONG else 24
CALLERS = 64 if LONG else 16
# Half as much again is asked for as there is.
QUOTA = 1000 if LONG else CALLS * 3 // SUBJECTS * 2 // 3


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_p11_exactly_what_fits_is_admitted_however_many_call(
    ledger: Ledger, connect: Callable[..., psycopg.Connection[Any]], isolation: str
) -> None:
    ledger.define("tokens", "sum")
    ledger.call("set_limit", metric="tokens", quota=QUOTA)
    size = max(1, QUOTA * SUBJECTS * 3 // 2 // CALLS)

    def call(number: int) -> Counter[tuple[str, str]]:
        draw, told = random.Random(number), Counter[tuple[str, str]]()
        session = Ledger(connect(f"caller {number}"))
        session.execute(f"SET default_transaction_isolation = '{isolation}'")
        for turn in range(CALLS // CALLERS):
            subject = f"acct_{draw.randrange(SUBJECTS)}"
            key = f"{number}-{turn}" if draw.random() < 0.5 else None
            while True:
                try:
                    answer = session.record(subject, "tokens", size, idempotency_key=key)
                except psycopg.errors.SerializationFailure:
                    continue
                break
            told[subject, answer.outcome] += 1
            assert answer.quantity <= QUOTA
        return told

    told = Counter[tuple[str, str]]()
    with ThreadPoolExecutor(CALLERS) as pool:
        for answers in pool.map(call, range(CALLERS)):
            told += answers
    assert {outcome for _, outcome in told} == {"recorded", "refused"}
    fits = QUOTA // size
    logged = dict(ledger.rows("SELECT subject, count(*)::integer FROM meter.logged_events GROUP BY subject"))
    for subject in {subject for subject, _ in told}:
        asked = told[subject, "recorded"] + told[subject, "refused"]
        assert told[subject, "recorded"] == logged[subject] == min(asked, fits), subject
        assert ledger.usage(subject, "tokens").quantity == logged[subject] * size
    keys = ledger.value("SELECT count(*) FROM meter.keys")
    assert keys == ledger.value("SELECT count(*) FROM meter.events WHERE idempotency_key IS NOT NULL")
    assert ledger.verify() == []
