"""P1, P2, P4: whatever is killed, what was acknowledged is there once, and a retry counts once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.crashes import connect, run_round
from tests.faults.load import Figures, Journal, assert_exactly_once, define
from tests.faults.servers import Server

pytestmark = pytest.mark.slow

ROUNDS = [
    pytest.param(["postmaster", "client", "terminate"], id="a killed postmaster, clients and sessions"),
    pytest.param(["backend", "cancel", "everything"], id="a killed backend, then all processes at once"),
]


@pytest.mark.parametrize("kinds", ROUNDS)
def test_what_was_acknowledged_before_a_crash_is_there_exactly_once(
    durable_server: Server, durable_dsn: str, tmp_path: Path, kinds: list[str]
) -> None:
    with connect(durable_dsn, "test") as connection:
        define(connection)
    figures: Figures = run_round(
        durable_server, durable_dsn, Journal(), "-".join(kinds), kinds, tmp_path, seconds=2
    )
    assert_exactly_once(figures)
    assert figures.acknowledged > 100
    assert sum(figures.interruptions.values()) > 0, "nothing was interrupted: this tested nothing"
