"""Grants, expiries, voids, taxes, late usage, corrections and closing in any order, by two ledgers."""

from __future__ import annotations

import random

import pytest

from tests.credits.history import MONTHS, History
from tests.helpers import Ledger, at_length

STEPS = 45


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(2, 200)))
def test_after_every_step_the_meter_says_what_a_naive_ledger_says(ledger: Ledger, seed: int) -> None:
    history = History(ledger, random.Random(seed))
    taken: list[str] = []
    for _ in range(STEPS):
        taken.append(history.step())
        history.check()
    while len(history.statements) < MONTHS:
        history.close()
        history.check()
    assert {"use", "take_back", "grant"} <= set(taken)
