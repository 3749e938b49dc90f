"""A pin says where a new subject lies: nothing of it may stay behind on another shard."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pymeter.scale import ShardedMeter, read_map, write_map
from pymeter.scale.errors import ShardMapError
from pymeter.scale.setup import pin
from pymeter.scale.status import status
from pymeter.scale.unfinished import unfinished_moves
from tests.scale.moves import Pair, S, killed
from tests.scale.test_move_meanwhile import BELONGINGS

STORED = BELONGINGS | {
    "usage": lambda meter: meter.record(S, "sum", 5),
    "usage that was voided": lambda meter: (
        meter.record(S, "sum", 5, idempotency_key="k"),
        meter.void_event(S, "sum", idempotency_key="k", reason="why"),
    ),
    "reservation": lambda meter: meter.reserve(S, "sum", 5),
    "correction": lambda meter: meter.meter_of(S).stage_correction(
        meter.meter_of(S).open_correction("why"),
        [{"entry": "adjust", "subject": S, "metric": "sum", "quantity": 5}],
    ),
    "right of a role": lambda meter: meter.grant_access("pg_monitor", "read", subject=S),
}


@pytest.mark.parametrize("stored", STORED)
def test_a_subject_of_which_anything_is_stored_is_not_pinned(pair: Pair, stored: str) -> None:
    pair.meter.define_biller("stripe")
    pair.meter.define_plan("pro")
    home = pair.home()
    for to in (pair.other(), home):
        pin(pair.path, S, to)
    STORED[stored](pair.meter)
    before = read_map(pair.path)
    with pytest.raises(ShardMapError) as refused:
        pin(pair.path, S, pair.other())
    assert refused.value.hint
    assert read_map(pair.path) == before
    pin(pair.path, S, home)


def test_a_subject_whose_events_were_dropped_is_not_pinned(pair: Pair) -> None:
    """Its key would count again on the other shard."""
    old = datetime.now(UTC) - timedelta(days=90)
    pair.meter.record(S, "sum", 5, at=old, idempotency_key="k")
    for more in ({}, {"keep": "40 days"}):
        pair.meter.meters[pair.home()].maintain(**more)
    assert pair.meter.events(S) == []
    with pytest.raises(ShardMapError, match="something is stored"):
        pin(pair.path, S, pair.other())
    assert pair.meter.record(S, "sum", 5, at=old, idempotency_key="k").outcome == "duplicate"


@pytest.mark.parametrize("belonging", ["top-up", "usage"])
def test_the_status_knows_a_subject_that_has_arrived_by_anything_of_it(pair: Pair, belonging: str) -> None:
    STORED[belonging](pair.meter)
    killed(pair.path, S, pair.other(), "leave")
    with ShardedMeter.open(pair.path) as meter:
        assert [move.state for move in status(meter).moves] == ["arrived"]


ROLE = f"pymeter_pins_{os.getpid()}"


@pytest.fixture
def role(pymeter_server: str, pair: Pair) -> Iterator[str]:
    with psycopg.connect(pymeter_server, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {ROLE} LOGIN".encode())
        yield ROLE
        for dsn in pair.dsns.values():
            with psycopg.connect(dsn, autocommit=True) as other:
                other.execute(f"DROP OWNED BY {ROLE}".encode())
        connection.execute(f"DROP ROLE {ROLE}".encode())


def test_who_does_not_own_the_meters_pins_nothing(pair: Pair, role: str) -> None:
    shard_map = read_map(pair.path)
    pair.meter.access.grant(role, "admin")
    shards = {n: replace(s, dsn=make_conninfo(s.dsn, user=role)) for n, s in shard_map.shards.items()}
    as_role = replace(shard_map, shards=shards)
    write_map(pair.path, as_role)
    with pytest.raises(ShardMapError, match="only the owner") as refused:
        pin(pair.path, S, pair.other())
    assert "owner" in (refused.value.hint or "")
    assert read_map(pair.path) == as_role
    write_map(pair.path, shard_map)
    pair.meter.record(S, "sum", 5)
    killed(pair.path, S, pair.other(), "leave")
    with ShardedMeter.open(as_role, max_size=1) as meter:
        moves = {name: one.moves() for name, one in meter.meters.items()}
        assert [move.state for move in unfinished_moves(meter, moves)] == ["unknown"]
