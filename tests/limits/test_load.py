"""Many callers of many limited subjects; the long run has more of both."""

from __future__ import annotations

import pytest

from tests.helpers import Ledger, at_length
from tests.limits.load import Race, check_race, run_race


@pytest.mark.at_length
@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_p11_exactly_what_fits_is_admitted_however_many_call(
    ledger: Ledger, meter_dsn: str, isolation: str
) -> None:
    # As many callers meet in as many subjects, only not as often.
    calls = at_length(900, 6000)
    race = Race(calls=calls, subjects=24, callers=16, quota=calls // 12, isolation=isolation)
    check_race(ledger, race, run_race(meter_dsn, race))
