"""Two maps of the same shards: the second one is refused before it records anything."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pymeter import Meter
from pymeter.errors import NotReady
from pymeter.scale import (
    AsyncShardedMeter,
    ShardedMeter,
    ShardMap,
    ShardMapError,
    even_slots,
    join,
    read_map,
    write_map,
)
from pymeter.scale.errors import MoveRefused
from pymeter.scale.moving import move
from pymeter.scale.setup import add, init, pin
from pymeter.scale.shard_map import slots_digest
from pymeter.scale.slots import SLOTS
from pymeter.scale.stubs import stubs
from tests.scale.conftest import NewDatabase
from tests.scale.twins import new_map

S = "acct_1"


@pytest.fixture
def path(tmp_path: Path, new_database: NewDatabase) -> Path:
    """A map whose first shard has all slots, as `init` of one and `add` of another make it."""
    path = tmp_path / "shards.json"
    init(path, {"s1": new_database()})
    add(path, "s2", new_database())
    with ShardedMeter.open(path) as meter:
        meter.define_metric("tokens", "sum", "token")
    return path


def even(path: Path) -> ShardMap:
    """Another map of the same shards, in which the subject is elsewhere."""
    shard_map = read_map(path)
    other = replace(shard_map, slots=even_slots(["s2", "s1"]))
    assert other.shard_of(S) != shard_map.shard_of(S) or other.slots != shard_map.slots
    return other


def events(path: Path) -> int:
    found = 0
    for shard in read_map(path).shards.values():
        with psycopg.connect(shard.dsn) as connection:
            found += len(list(Meter(connection).all_events()))
    return found


CALLS: dict[str, Any] = {
    "record": lambda meter: meter.record(S, "tokens", 1, idempotency_key="k"),
    "batch": lambda meter: meter.record_batch(
        [{"subject": f"acct_{n}", "metric": "tokens", "quantity": 1} for n in range(9)]
    ),
    "all": lambda meter: meter.totals("tokens"),
    "definition": lambda meter: meter.define_metric("else", "sum", "token"),
    "meter_of": lambda meter: meter.meter_of(S).record(S, "tokens", 1),
    "id": lambda meter: meter.settle(1025, 1),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_client_with_another_map_is_refused(path: Path, name: str) -> None:
    with ShardedMeter.open(even(path)) as other:
        for _ in range(2):
            with pytest.raises(ShardMapError, match="not that of the shard") as caught:
                CALLS[name](other)
            assert "other slots" in (caught.value.detail or "")
            assert caught.value.hint
    assert events(path) == 0
    with ShardedMeter.open(path) as meter:
        CALLS["record"](meter)


def test_in_a_transaction_and_asynchronously_too(path: Path) -> None:
    with (
        ShardedMeter.open(even(path)) as other,
        pytest.raises(ShardMapError),
        other.transaction(S) as (_, shard),
    ):
        shard.record(S, "tokens", 1)

    async def ask() -> None:
        async with AsyncShardedMeter.open(even(path)) as other:
            for name in ("record", "batch", "meter_of"):
                with pytest.raises(ShardMapError):
                    await CALLS[name](other)
            with pytest.raises(ShardMapError):
                async with other.transaction(S) as (_, shard):
                    await shard.record(S, "tokens", 1)
        async with AsyncShardedMeter.open(path) as meter:
            await CALLS["record"](meter)

    asyncio.run(ask())
    assert events(path) == 1


def test_pins_and_new_shards_change_no_slots(path: Path, new_database: NewDatabase) -> None:
    old = read_map(path)
    with ShardedMeter.open(path) as before:
        before.record("acct_0", "tokens", 1)
        add(path, "s3", new_database())
        pin(path, S, "s2")
        assert slots_digest(read_map(path)) == slots_digest(old)
        before.record("acct_0", "tokens", 1)
    with ShardedMeter.open(path) as after:
        after.define_metric("tokens", "sum", "token")
        assert after.record(S, "tokens", 1).event_id % 1024 == 2


def test_a_shard_that_is_another_one_or_none_is_refused(path: Path, new_database: NewDatabase) -> None:
    shard_map = read_map(path)
    one, two = shard_map.shards["s1"], shard_map.shards["s2"]
    swapped = replace(shard_map, shards={"s1": replace(one, dsn=two.dsn), "s2": replace(two, dsn=one.dsn)})
    alone = new_map({"s1": new_database()})
    for wrong, reason in ((swapped, "the meter is shard 2"), (alone, "the meter is no shard")):
        with ShardedMeter.open(wrong) as meter, pytest.raises(ShardMapError) as caught:
            meter.record(S, "tokens", 1)
        assert reason in (caught.value.detail or "")
    with ShardedMeter.open(alone) as meter:
        meter.meters["s1"].set_shard(1)
        with pytest.raises(ShardMapError, match="map") as caught:
            meter.define_metric("tokens", "sum", "token")
        assert "not told" in (caught.value.detail or "")
        join(alone)
        meter.define_metric("tokens", "sum", "token")
        meter.record(S, "tokens", 1)


def test_making_a_second_map_of_shards_in_use_is_refused(path: Path, tmp_path: Path) -> None:
    """As if the file was lost; made as it was before, it is the same."""
    dsns = {name: shard.dsn for name, shard in read_map(path).shards.items()}
    with ShardedMeter.open(path) as meter:
        meter.record(S, "tokens", 1)
    with pytest.raises(NotReady, match="another map"):
        init(tmp_path / "second.json", dsns)
    assert not (tmp_path / "second.json").exists()
    again = tmp_path / "again.json"
    init(again, {"s1": dsns["s1"]})
    with ShardedMeter.open(again) as meter:
        assert meter.usage(S, "tokens").quantity == 1


def test_a_map_of_shards_without_any_data_may_be_made_anew(tmp_path: Path, new_database: NewDatabase) -> None:
    dsns = {name: new_database() for name in ("s1", "s2")}
    init(tmp_path / "first.json", {"s1": dsns["s1"]})
    made = init(tmp_path / "second.json", dsns)
    assert len(set(made.slots)) == 2


def test_what_else_reads_the_map_refuses_it_too(path: Path) -> None:
    with ShardedMeter.open(path) as meter:
        meter.record(S, "tokens", 1)
    other = even(path)
    write_map(path, other)
    home = other.shard_of(S)
    with pytest.raises(MoveRefused, match="not the one of the map"):
        move(path, S, "s1" if home == "s2" else "s2")
    with psycopg.connect(other.shards["s1"].dsn) as connection, pytest.raises(ShardMapError):
        stubs(connection, other)


def test_a_role_that_may_only_record_is_not_stopped(path: Path) -> None:
    """Without the level read it cannot ask the shard."""
    shard_map = read_map(path)
    with psycopg.connect(shard_map.shards["s1"].dsn, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS shard_writer; CREATE ROLE shard_writer")
        try:
            connection.execute("SELECT meter.grant_access('shard_writer', 'write')")
            shards = {
                name: replace(
                    shard,
                    dsn=f"{shard.dsn}{'&' if '?' in shard.dsn else '?'}options=-c%20role%3Dshard_writer",
                )
                for name, shard in shard_map.shards.items()
            }
            with ShardedMeter.open(replace(shard_map, shards=shards)) as meter:
                for _ in range(2):
                    assert meter.record(S, "tokens", 1).outcome == "recorded"
        finally:
            connection.execute("DROP OWNED BY shard_writer; DROP ROLE shard_writer")


def test_the_digest_is_of_slots_and_numbers(new_database: NewDatabase) -> None:
    shard_map = new_map({"a": "host=a", "b": "host=b"})
    other = replace(shard_map, slots=("a",) * SLOTS)
    renamed = new_map({"x": "host=a", "y": "host=b"})
    assert slots_digest(shard_map) == slots_digest(renamed) != slots_digest(other)
    dsn = new_database()
    with psycopg.connect(dsn, autocommit=True) as connection:
        meter = Meter(connection)
        assert meter.set_shard(1, slots=slots_digest(shard_map)).slots == slots_digest(shard_map)
        assert meter.set_shard(1).slots == slots_digest(shard_map)
        for wrong in ("", "abc", slots_digest(other).upper()):
            with pytest.raises(ValueError, match="digest"):
                meter.set_shard(1, slots=wrong)
