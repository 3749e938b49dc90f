"""Budgets of a random life are judged as a naive model judges them, though most compute nothing."""

from __future__ import annotations

import random

import pytest

from tests.budgets.life import Life
from tests.helpers import Ledger, at_length

STEPS = 90


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(1, 200)))
def test_every_mark_fires_once_and_what_is_spent_is_refused_until_it_is_not(
    ledger: Ledger, seed: int
) -> None:
    life = Life(ledger, random.Random(seed))
    for _ in range(STEPS):
        life.step()
    life.ends()
    assert {"use", "judge", "budget"} <= set(life.counts)
