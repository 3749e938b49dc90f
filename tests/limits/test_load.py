"""Many callers of many limited subjects; the long run has more of both."""

from __future__ import annotations

import pytest

from tests.helpers import Ledger
from tests.limits.load import Race, check_race, run_race


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_p11_exactly_what_fits_is_admitted_however_many_call(
    ledger: Ledger, meter_dsn: str, isolation: str
) -> None:
    race = Race(calls=6000, subjects=24, callers=16, quota=500, isolation=isolation)
    check_race(ledger, race, run_race(meter_dsn, race))
