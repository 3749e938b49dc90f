"""One dead shard: its subjects fail fast with a clear error, and the others go on. Four servers."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import anyio
import psycopg
import pytest
from psycopg import sql

from pymeter import embedded, migrate
from pymeter.scale import AsyncShardedMeter, ShardedMeter, ShardMap, ShardsFailed, ShardUnavailable
from tests.scale.conftest import NewDatabase
from tests.scale.twins import SHARDS, join, new_map

DEAD = "s3"
OTHERS = tuple(name for name in SHARDS if name != DEAD)
SUBJECTS = tuple(f"acct_{n}" for n in range(40))


@pytest.fixture(scope="module")
def one_dies() -> Iterator[ShardMap]:
    """The map of four servers, one of which has died after it was used."""
    stacks = {name: ExitStack() for name in SHARDS}

    def start(name: str) -> str:
        dsn = stacks[name].enter_context(embedded.temporary_server())
        migrate(dsn)
        return dsn

    try:
        with ThreadPoolExecutor(len(SHARDS)) as threads:
            dsns = dict(zip(SHARDS, threads.map(start, SHARDS), strict=True))
        shard_map = new_map(dsns)
        with ShardedMeter.open(shard_map) as meter:
            join(meter)
            meter.define_metric("tokens", "sum", "token")
            meter.record_batch([{"subject": s, "metric": "tokens", "quantity": 1} for s in SUBJECTS])
            assert len(meter.totals("tokens")) == len(SUBJECTS)
        stacks[DEAD].close()
        yield shard_map
    finally:
        for stack in stacks.values():
            stack.close()


def _of(shard_map: ShardMap, *, dead: bool) -> list[str]:
    found = [subject for subject in SUBJECTS if (shard_map.shard_of(subject) == DEAD) is dead]
    assert found
    return found


def test_its_subjects_fail_fast_and_others_go_on(one_dies: ShardMap) -> None:
    with ShardedMeter.open(one_dies, timeout=1) as meter:
        for subject in _of(one_dies, dead=False):
            assert meter.record(subject, "tokens", 1, idempotency_key="k").outcome == "recorded"
        begun = time.monotonic()
        with pytest.raises(ShardUnavailable) as error:
            meter.record(_of(one_dies, dead=True)[0], "tokens", 1, idempotency_key="k")
        assert time.monotonic() - begun < 5
        assert (error.value.shard, error.value.sqlstate) == (DEAD, "08006")
        assert f"Shard {DEAD}:" in str(error.value)
        assert "idempotency key" in (error.value.hint or "")
        assert isinstance(error.value.__cause__, psycopg.OperationalError)


def test_a_question_about_all_has_the_answers_of_the_others(one_dies: ShardMap) -> None:
    alive = _of(one_dies, dead=False)
    with ShardedMeter.open(one_dies, timeout=1) as meter:
        with pytest.raises(ShardsFailed) as error:
            meter.totals("tokens")
        assert [row.subject for row in error.value.partial] == sorted(alive)
        assert tuple(error.value.answered) == OTHERS
        assert list(error.value.failed) == [DEAD]
        assert isinstance(error.value.failed[DEAD], ShardUnavailable)
        assert f"{DEAD}: a shard cannot be reached" in (error.value.detail or "")
        with pytest.raises(ShardsFailed) as error:
            meter.health()
        assert not error.value.partial.problems
        # What all shards have alike, the first that can be reached tells.
        assert meter.metric("tokens").unit == "token"


def test_a_batch_counts_on_the_others(one_dies: ShardMap) -> None:
    events = [{"subject": s, "metric": "tokens", "quantity": 5, "idempotency_key": "b"} for s in SUBJECTS]
    with ShardedMeter.open(one_dies, timeout=1) as meter:
        with pytest.raises(ShardsFailed) as error:
            meter.record_batch(events)
        places = [n for n, s in enumerate(SUBJECTS, start=1) if one_dies.shard_of(s) != DEAD]
        assert [(o.ordinal, o.outcome) for o in error.value.partial] == [(n, "recorded") for n in places]
        with pytest.raises(ShardsFailed) as error:
            meter.record_batch(events)
        assert {o.outcome for o in error.value.partial} == {"duplicate"}


def test_the_asynchronous_client_does_the_same(one_dies: ShardMap) -> None:
    async def ask() -> None:
        async with AsyncShardedMeter.open(one_dies, timeout=1) as meter:
            await meter.record(_of(one_dies, dead=False)[0], "tokens", 1)
            with pytest.raises(ShardUnavailable):
                await meter.record(_of(one_dies, dead=True)[0], "tokens", 1)
            with pytest.raises(ShardsFailed) as error:
                await meter.totals("tokens")
            assert len(error.value.partial) == len(_of(one_dies, dead=False))
            with pytest.raises(ShardUnavailable):
                async with meter.transaction(_of(one_dies, dead=True)[0]):
                    pass

    anyio.run(ask)


def test_errors_of_shards_can_be_pickled(one_dies: ShardMap) -> None:
    with ShardedMeter.open(one_dies, timeout=1) as meter, pytest.raises(ShardUnavailable) as error:
        meter.usage(_of(one_dies, dead=True)[0], "tokens")
    assert pickle.loads(pickle.dumps(error.value)).shard == DEAD


def test_a_definition_that_some_shards_have_missed_is_completed_by_a_repetition(
    new_database: NewDatabase, closed: Callable[[str], None], opened: Callable[[str], None]
) -> None:
    shard_map = new_map({name: new_database() for name in SHARDS})
    with ShardedMeter.open(shard_map, timeout=0.5) as meter:
        join(meter)
        closed(shard_map.shards[DEAD].dsn)
        with pytest.raises(ShardsFailed) as error:
            meter.define_metric("tokens", "sum", "token")
        assert tuple(error.value.answered) == OTHERS
        assert error.value.partial.key == "tokens"
        opened(shard_map.shards[DEAD].dsn)
        assert meter.define_metric("tokens", "sum", "token").key == "tokens"
        assert meter.record_batch([{"subject": s, "metric": "tokens", "quantity": 1} for s in SUBJECTS])


def test_a_definition_that_the_first_shard_misses_nobody_has(
    new_database: NewDatabase, closed: Callable[[str], None]
) -> None:
    shard_map = new_map({name: new_database() for name in SHARDS})
    with ShardedMeter.open(shard_map, timeout=0.5) as meter:
        join(meter)
        closed(shard_map.shards["s1"].dsn)
        with pytest.raises(ShardUnavailable):
            meter.define_metric("tokens", "sum", "token")
        assert [meter.meters[name].catalog() for name in SHARDS[1:]] == [[], [], []]


@pytest.fixture
def closed(pymeter_server: str) -> Callable[[str], None]:
    """Lets nobody into a database any more, and ends those that are in it."""

    def close(dsn: str) -> None:
        name = _allow(pymeter_server, dsn, "false")
        with psycopg.connect(pymeter_server, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )

    return close


@pytest.fixture
def opened(pymeter_server: str) -> Callable[[str], None]:
    def open_(dsn: str) -> None:
        _allow(pymeter_server, dsn, "true")

    return open_


def _allow(server: str, dsn: str, whether: str) -> str:
    name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.SQL(whether))
        )
    return name
