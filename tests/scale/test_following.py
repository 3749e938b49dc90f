"""AsyncShardedMeter follows a subject that has moved, or waits for one that is being moved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest

from pymeter import SubjectMoved
from pymeter.scale import AsyncShardedMeter, read_map
from pymeter.scale.moving import move
from tests.scale.moves import Pair, S, killed

Client = AsyncShardedMeter


def with_client(
    pair: Pair, use: Callable[[Client], Awaitable[Any]], *, from_file: bool = True, **named: Any
) -> Any:
    """What a client does that has read the map before the subject moves."""

    async def run() -> Any:
        source = pair.path if from_file else read_map(pair.path)
        async with AsyncShardedMeter.open(source, max_size=2, **named) as client:
            return await use(client)

    return asyncio.run(run())


async def moved(pair: Pair) -> None:
    await asyncio.to_thread(move, pair.path, S, pair.other())


def test_a_client_with_an_old_map_goes_on_at_the_new_home(pair: Pair) -> None:
    other = next(f"s{n}" for n in range(99) if pair.home(f"s{n}") == pair.home())

    async def use(client: Client) -> None:
        held = await client.reserve(S, "sum", 9)
        await client.record(S, "sum", 1, idempotency_key="k1")
        old = client.shard_map.shard_of(S)
        await moved(pair)
        assert (await client.record(S, "sum", 1, idempotency_key="k1")).outcome == "duplicate"
        assert client.shard_map.shard_of(S) != old
        events = [
            {"subject": name, "metric": "sum", "quantity": 2, "idempotency_key": "b1"}
            for name in (S, other, S)
        ]
        events[2]["idempotency_key"] = "b2"
        rows = await client.record_batch(events)
        assert [(row.ordinal, row.outcome) for row in rows] == [(n, "recorded") for n in (1, 2, 3)]
        # Its id still tells the shard that has drawn it.
        assert (await client.settle(held.reservation_id or 0, 4)).outcome == "recorded"
        assert (await client.usage(S, "sum", period="year")).quantity == 9

    with_client(pair, use)


def test_a_batch_that_comes_to_the_old_home_is_divided_anew(pair: Pair) -> None:
    """Each client meets the move by its first call."""

    pair.meter.record(S, "sum", 0)

    async def batch(client: Client) -> None:
        await client.catalog()
        await moved(pair)
        events = [{"subject": S, "metric": "sum", "quantity": n, "idempotency_key": f"{n}"} for n in (1, 2)]
        assert [row.outcome for row in await client.record_batch(events)] == ["recorded"] * 2
        assert [row.outcome for row in await client.record_batch(events)] == ["duplicate"] * 2

    with_client(pair, batch)
    assert pair.total()[0] == 3


def test_a_call_waits_until_the_subject_is_open_again(pair: Pair) -> None:
    pair.meter.record(S, "sum", 1)
    source, target = pair.home(), pair.other()
    killed(pair.path, S, target, "rest")

    async def use(client: Client) -> list[Any]:
        async def finish() -> None:
            await asyncio.sleep(0.3)
            await asyncio.to_thread(move, pair.path, S, target)

        batch = [{"subject": S, "metric": "sum", "quantity": 1, "idempotency_key": "b"}]
        return await asyncio.gather(
            client.record(S, "sum", 1, idempotency_key="k"), client.record_batch(batch), finish()
        )

    with_client(pair, use, patience=20)
    assert pair.home() == target != source
    assert pair.total() == (3, 3)


@pytest.mark.parametrize("from_file", [True, False])
def test_after_its_patience_it_raises_with_the_name_of_the_shard(pair: Pair, from_file: bool) -> None:
    pair.meter.record(S, "sum", 1)
    target = pair.other()
    killed(pair.path, S, target, "rest")

    async def use(client: Client) -> None:
        for call in (
            lambda: client.record(S, "sum", 1),
            lambda: client.record_batch([{"subject": S, "metric": "sum", "quantity": 1}]),
        ):
            began = time.monotonic()
            with pytest.raises(SubjectMoved) as caught:
                await call()
            assert caught.value.shard in pair.dsns
            assert 0.2 <= time.monotonic() - began < 5

    with_client(pair, use, from_file=from_file, patience=0.2)
    move(pair.path, S, target)
    assert pair.total() == (1, 1)


def test_without_a_file_a_batch_cannot_be_divided_anew(pair: Pair) -> None:
    async def use(client: Client) -> None:
        await client.record(S, "sum", 1)
        await moved(pair)
        assert (await client.record(S, "sum", 1)).outcome == "recorded"
        with pytest.raises(SubjectMoved) as caught:
            await client.record_batch([{"subject": S, "metric": "sum", "quantity": 1}])
        assert caught.value.shard == pair.home()

    with_client(pair, use, from_file=False, patience=0.2)
    assert pair.total() == (2, 2)


def test_in_a_transaction_of_the_caller_nothing_is_followed(pair: Pair) -> None:
    async def use() -> None:
        sources = {name: await psycopg.AsyncConnection.connect(dsn) for name, dsn in pair.dsns.items()}
        client = AsyncShardedMeter(read_map(pair.path), sources, path=pair.path)
        await client.catalog()
        for connection in sources.values():
            await connection.commit()
        await moved(pair)
        began = time.monotonic()
        with pytest.raises(SubjectMoved):
            await client.record(S, "sum", 1)
        assert time.monotonic() - began < 3
        for connection in sources.values():
            await connection.close()

    pair.meter.record(S, "sum", 1)
    asyncio.run(use())
