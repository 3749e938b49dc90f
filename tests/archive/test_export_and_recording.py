"""Who exports a month or restores a file stops nobody who records, and gives up if somebody holds the log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pymeter.archive.work import export_month, restore_file
from pymeter.errors import MeterError
from tests.helpers import Ledger, at
from tests.operate.test_recording_goes_on import RECORDERS, idle_transaction, worst_wait

NewLedger = Callable[..., Ledger]
JANUARY = datetime(2024, 1, 1, tzinfo=UTC)
_WAIT_SECONDS_MAX = 2.0


@pytest.fixture
def old(ledger: Ledger) -> Ledger:
    """A month that is over, and what the recorders record to."""
    ledger.define("m", "sum")
    ledger.define("hot", "sum", striped=True)
    ledger.define("members", "unique")
    for n in range(RECORDERS):
        ledger.record(f"s{n}", "m", 1)
    for n in range(50):
        ledger.record("z", "m", n, at=at("2024-01-10"))
    ledger.maintain()
    return ledger


def exported(ledger: Ledger, directory: Path) -> Path:
    return directory / export_month(ledger.connection, "meter", JANUARY, directory).file_name


@pytest.mark.slow
def test_recording_goes_on_while_a_month_goes_to_a_file_and_comes_back(
    old: Ledger, new_ledger: NewLedger, tmp_path: Path
) -> None:
    paths: list[Path] = []
    worst, error = worst_wait(new_ledger, lambda: paths.append(exported(old, tmp_path)))
    assert error is None
    assert worst < _WAIT_SECONDS_MAX
    worst, error = worst_wait(new_ledger, lambda: restore_file(old.connection, "meter", paths[0]))
    assert error is None
    assert worst < _WAIT_SECONDS_MAX
    assert old.verify() == []
    assert len(old.call("events", subject="z", max_rows=100)) == 50


@pytest.mark.slow
def test_an_export_and_a_restore_that_cannot_have_the_log_give_up(
    old: Ledger, new_ledger: NewLedger, tmp_path: Path
) -> None:
    idle = idle_transaction(new_ledger)
    refused: list[MeterError] = []

    def call(work: Callable[[], object]) -> None:
        try:
            work()
        except MeterError as error:
            refused.append(error)

    worst, _ = worst_wait(new_ledger, lambda: call(lambda: exported(old, tmp_path)))
    assert worst < _WAIT_SECONDS_MAX
    idle.connection.rollback()
    (path,) = tmp_path.glob("*.parquet")
    assert exported(old, tmp_path) == path, "the same rows are the same file"
    idle.rows("SELECT * FROM meter.events('z', since => '2026-01-01Z')")
    worst, _ = worst_wait(new_ledger, lambda: call(lambda: restore_file(old.connection, "meter", path)))
    assert worst < _WAIT_SECONDS_MAX
    idle.connection.rollback()
    assert [(error.sqlstate, bool(error.hint)) for error in refused] == [("55P03", True)] * 2
    assert restore_file(old.connection, "meter", path).restored_at is not None
    assert old.verify() == []
