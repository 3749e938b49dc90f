"""The load of the long run, for a moment: what was acknowledged is counted once, SIGTERM or not."""

from __future__ import annotations

from pathlib import Path

from tests.helpers import Ledger
from tests.web.load import Figures, run_load

_SECONDS = 3


def test_what_is_acknowledged_under_load_is_counted_once(
    meter_dsn: str, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.define("tokens", "sum", "token")
    said: list[str] = []
    figures = run_load(meter_dsn, _SECONDS, tmp_path, said.append)
    figures.check_counts()
    assert figures.acknowledged > 0
    assert figures.refused.total() > 0
    assert figures.cuts == len(said) > 0


def test_memory_that_grows_is_told_from_memory_that_does_not() -> None:
    flat = Figures(rss_mb=[40.0, 70.0, 81.0, 82.0, 81.0, 81.5, 82.0, 81.0])
    grows = Figures(rss_mb=[80.0 + n for n in range(80)])
    assert flat.growth < 0.03
    assert grows.growth > 0.3
