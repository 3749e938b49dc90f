"""What a judgement takes on trust: a digest of inputs, and the prices of many together."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from psycopg.errors import Error

from tests.budgets.crowd import NOW, START, SUBJECTS, Crowd
from tests.helpers import Ledger, at, at_length

STEPS = at_length(60, 120)
Window = tuple[datetime, datetime]
WINDOWS: dict[str, Window] = {
    "month": (at("2026-06-01"), at("2026-07-01")),
    "week": (at("2026-06-15"), at("2026-06-22")),
    "day": (at("2026-06-17"), at("2026-06-18")),
    "year": (at("2026-01-01"), at("2027-01-01")),
    "cycle": (at("2026-06-01"), at("2026-07-01")),
}


def total(ledger: Ledger, subject: str, window: Window) -> Decimal | str | None:
    """What the invoice says; a SQLSTATE if it says nothing."""
    try:
        lines = ledger.call("invoice", subject=subject, since=window[0], until=window[1])
    except Error as error:
        return str(error.sqlstate)
    found = [line.amount for line in lines if (line.kind, line.currency) == ("total", "EUR")]
    return found[0] if found else Decimal(0)


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(1, 200)))
def test_the_same_digest_has_the_same_totals(ledger: Ledger, seed: int) -> None:
    crowd = Crowd(ledger, random.Random(seed))
    crowd.prices()
    known: dict[tuple[str, int], tuple[object, ...]] = {}
    for _ in range(STEPS):
        crowd.step()
        digests = ledger.rows("SELECT * FROM meter._budget_inputs(%s)", [list(SUBJECTS)])
        assert len(digests) == len(SUBJECTS)
        for row in digests:
            (cycle,) = ledger.call("billing_cycle", subject=row.subject, at=NOW)
            windows = [WINDOWS["month"], WINDOWS["week"], (cycle[0].lower, cycle[0].upper)]
            found = (*windows, *(total(ledger, row.subject, window) for window in windows))
            assert known.setdefault((row.subject, row.inputs), found) == found, row
    assert len(known) > STEPS / 2


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(1, 300)))
def test_those_who_are_priced_together_owe_what_their_invoices_say(ledger: Ledger, seed: int) -> None:
    rng = random.Random(seed)
    crowd = Crowd(ledger, rng)
    crowd.prices()
    compared = 0
    for _ in range(40):
        crowd.step()
        day = START + timedelta(days=rng.randrange(120))
        windows = [*WINDOWS.values(), (day, day + timedelta(days=rng.randint(1, 70)))]
        for window in rng.sample(windows, 2):
            try:
                rows = ledger.rows(
                    "SELECT * FROM meter._window_totals(%s, %s, %s)", [list(SUBJECTS), *window]
                )
            except Error as error:
                if error.sqlstate == "UM006":
                    continue
                raise
            assert len({row.subject for row in rows}) == len(rows)
            for row in rows:
                assert row.amount == total(ledger, row.subject, window), (row, window, crowd.done)
            compared += len(rows)
    assert compared > 0, crowd.done
