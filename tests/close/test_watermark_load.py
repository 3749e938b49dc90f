"""Dozens of watermarks under load; a thousand in ``python -m tests.longrun --only as-of``."""

from __future__ import annotations

import psycopg
import pytest

from tests.close.watermark_load import assert_all_still_so, define, run_load
from tests.helpers import Ledger, at_length

pytestmark = pytest.mark.slow


@pytest.mark.at_length
def test_what_was_answered_under_load_is_answered_after_repairs_and_corrections(
    ledger: Ledger, meter_dsn: str
) -> None:
    define(ledger)
    load = run_load(meter_dsn, at_length(24, 200))
    ends = {what.split(", ")[1] for what in load.recorded}
    assert ends >= {"commit", "rollback"}
    assert {what.split(", ")[0] for what in load.recorded} >= {
        "single",
        "batch",
        "settle",
        "correct",
        "stage",
    }
    assert load.longest_draw < 3
    assert load.longest_wait < 3
    assert sum(one.answers["events"] > 0 for one in load.remembered) >= 16
    assert_all_still_so(meter_dsn, load.remembered)
    later = run_load(meter_dsn, 2, seed=1)
    ledger.rebuild()
    ledger.upkeep()
    with psycopg.connect(meter_dsn, autocommit=True) as connection:
        assert Ledger(connection).verify() == []
    assert_all_still_so(meter_dsn, load.remembered + later.remembered)
