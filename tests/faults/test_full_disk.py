"""P1, P2: out of disk. What was acknowledged is there once; with room again, everything goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.disks import DISK_FULL, NoDisk, fill_tablespace, fill_wal
from tests.faults.load import Figures, assert_exactly_once
from tests.faults.servers import Server

pytestmark = pytest.mark.slow


def _run(run: Callable[[], Figures]) -> Figures:
    try:
        return run()
    except NoDisk as error:
        pytest.skip(str(error))


def test_a_full_tablespace_refuses_events_and_loses_none(durable_server: Server, tmp_path: Path) -> None:
    durable_server.bring_back()
    figures = _run(lambda: fill_tablespace(durable_server, tmp_path))
    assert_exactly_once(figures)
    assert figures.interruptions[DISK_FULL] > 0
    assert figures.acknowledged > 100


def test_a_server_that_went_down_for_want_of_disk_has_all_that_it_acknowledged(tmp_path: Path) -> None:
    figures = _run(lambda: fill_wal(tmp_path))
    assert_exactly_once(figures)
    assert figures.interruptions.total() > 0
    assert figures.acknowledged > 100
