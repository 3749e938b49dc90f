"""Subjects move while they are used, and movers and servers are killed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.helpers import at_length
from tests.scale.move_load import run_moves


@pytest.mark.at_length
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="servers are killed on Linux only")
def test_whatever_is_killed_every_event_is_counted_and_reported_once(tmp_path: Path) -> None:
    figures = run_moves(tmp_path, at_length(6, 60), 300, lambda _: None)
    figures.check()
    assert figures.moves >= 6
    assert figures.events > 0
