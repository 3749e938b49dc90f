"""A life of closed cycles: previews, statements and reads as of watermarks agree, and with a model."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.close.closing import assert_balanced
from tests.helpers import Ledger, at_length
from tests.pricing.closings import settle_all
from tests.pricing.lives import ClosedLife


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(2, 200)))
def test_what_was_billed_of_each_period_is_what_its_days_cost(ledger: Ledger, seed: int) -> None:
    """Late usage, corrections and decisions in any order, while prices, plans and cycles change."""
    rng = random.Random(seed)
    life = ClosedLife(ledger, rng)
    changes: list[Callable[[], None]] = [
        *[life.price] * 4, life.minimum, *[life.subscription] * 2, life.leave, life.cycle, *[life.use] * 8,
        *[life.void] * 3, *[life.adjust] * 2, life.setting, *[life.decide] * 3,
    ]  # fmt: skip
    for _ in range(8):
        life.price()
        life.subscription()
        life.use()
    for _ in range(9):
        for _ in range(8):
            rng.choice(changes)()
        life.close()
    life.read_back()
    ledger.call("set_setting", name="late_usage", value="ask")
    for _ in range(2):
        settle_all(ledger)
        life.close()
        life.use()
    settle_all(ledger)
    life.close()
    life.read_back()
    assert life.compare() >= 3
    assert_balanced(ledger)
    assert ledger.call("verify_statements") == []
    assert ledger.call("verify") == []
