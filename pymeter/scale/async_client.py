"""The asynchronous client of many meters: as :mod:`pymeter.scale.client`, with tasks in place of threads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple, Self, TypeVar

import psycopg

from pymeter._async_composed import AsyncComposedMethods
from pymeter.async_client import AsyncConnectionPool, AsyncMeter
from pymeter.calls import Call, erase_subject, shard_state
from pymeter.errors import SubjectMoved
from pymeter.models import NewEntry
from pymeter.scale.client import _finish
from pymeter.scale.errors import of_shard, unavailable
from pymeter.scale.following import PATIENCE, Chances, is_split, newer_map, next_shard
from pymeter.scale.map_check import MapCheck
from pymeter.scale.routing import RULES
from pymeter.scale.rules import ErasedRows, OnSubject, erased_rows, shard_of_id
from pymeter.scale.shard_map import ShardMap, read_map
from pymeter.scale.sources import check_sources, checked_entries, open_pool
from pymeter.scale.steps import Answer, Reply, Request, Steps, given

T = TypeVar("T")


class AsyncMeterOfShard(AsyncMeter):
    """The meter of a shard, which is compared with the map before the first call."""

    def __init__(
        self,
        source: psycopg.AsyncConnection[Any] | AsyncConnectionPool,
        *,
        schema: str,
        prepare: bool | None,
        check: MapCheck,
    ) -> None:
        super().__init__(source, schema=schema, prepare=prepare)
        self._check = check

    def on(self, connection: psycopg.AsyncConnection[Any]) -> AsyncMeterOfShard:
        """The same on a connection of the caller."""
        return AsyncMeterOfShard(connection, schema=self.schema, prepare=self.prepare, check=self._check)

    async def _execute(
        self, connection: psycopg.AsyncConnection[Any], call: Call[T], params: dict[str, Any]
    ) -> T:
        if self._check.is_due(call):
            may_ask = await (await connection.execute(self._check.may_ask())).fetchone()
            if may_ask == (True,):
                self._check.compare(await super()._execute(connection, shard_state(), {}))
            elif may_ask == (False,):
                self._check.give_up()
        return await super()._execute(connection, call, params)


class AsyncShardTransaction(NamedTuple):
    """A transaction on the shard of one subject, for what has to commit together with its usage."""

    connection: psycopg.AsyncConnection[Any]
    meter: AsyncMeter


class AsyncShardedMeter(AsyncComposedMethods):
    """Many meters as one. Which shard a subject lies on is in the map.

    Each shard is a pool, so that every call is a transaction of its own, on every shard that it needs. A
    connection in a pool's place is possible, too; then the caller commits.

        async with AsyncShardedMeter.open("shards.json") as meter:
            await meter.record("acct_1", "tokens", 120, idempotency_key="req_1")
    """

    def __init__(
        self,
        shard_map: ShardMap,
        sources: Mapping[str, psycopg.AsyncConnection[Any] | AsyncConnectionPool],
        *,
        concurrency: int = 8,
        prepare: bool | None = None,
        path: str | os.PathLike[str] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """`sources`: a pool for each shard; `path`: the file of the map, read again when a subject has moved;
        `patience`: how many seconds a call waits for one that is being moved; `concurrency`: how many
        shards a call asks at once, at most."""
        check_sources(shard_map, sources)
        self.shard_map = shard_map
        self.meters: Mapping[str, AsyncMeterOfShard] = {
            name: AsyncMeterOfShard(
                sources[name],
                schema=shard_map.shards[name].schema,
                prepare=prepare,
                check=MapCheck(shard_map, name),
            )
            for name in shard_map.names
        }
        """The plain meter of each shard, by name."""
        self._sources = sources
        self._concurrency = concurrency
        self._owned: list[Any] = []
        self.path, self._patience = path, patience

    @classmethod
    def open(
        cls,
        map_or_path: ShardMap | str | os.PathLike[str],
        *,
        max_size: int = 4,
        timeout: float = 3,
        concurrency: int = 8,
        prepare: bool | None = None,
        patience: float = PATIENCE,
    ) -> Self:
        """A meter with a pool for each shard of the map; needs psycopg_pool. Use it in an ``async with``.

        Args:
            map_or_path: The map, or the file that it is in.
            max_size: How many connections to a shard there may be.
            timeout: After how many seconds a shard that gives no connection counts as unavailable.
            concurrency: How many shards are asked at once, at most.
            patience: How many seconds a call waits for a subject that is being moved, at most.
            prepare: As of AsyncMeter.
        """
        path = None if isinstance(map_or_path, ShardMap) else map_or_path
        shard_map = map_or_path if isinstance(map_or_path, ShardMap) else read_map(map_or_path)
        pools = {
            name: open_pool(shard_map.shards[name], max_size, timeout, asynchronous=True)
            for name in shard_map.names
        }
        meter = cls(shard_map, pools, concurrency=concurrency, prepare=prepare, path=path, patience=patience)
        meter._owned = list(pools.values())
        return meter

    async def __aenter__(self) -> Self:
        for pool in self._owned:
            await pool.open(wait=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the pools that `open` has made."""
        for pool in self._owned:
            await pool.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.shard_map.names)})"

    def meter_of(self, subject: str) -> AsyncMeter:
        """The plain meter of the shard that the subject lies on."""
        return self.meters[self.shard_map.shard_of(subject)]

    @asynccontextmanager
    async def transaction(self, subject: str) -> AsyncIterator[AsyncShardTransaction]:
        """A transaction on the shard of a subject: its connection, and the plain meter on it.

        async with meter.transaction("acct_1") as (connection, shard):
            await connection.execute("UPDATE accounts SET ...")
            await shard.record("acct_1", "tokens", 120, idempotency_key="req_1")
        """
        name = self.shard_map.shard_of(subject)
        source = self._sources[name]
        async with AsyncExitStack() as stack:
            if isinstance(source, psycopg.AsyncConnection):
                connection = source
            else:
                try:
                    connection = await stack.enter_async_context(source.connection())
                except psycopg.Error as error:
                    raise of_shard(error, name) from error
            await stack.enter_async_context(connection.transaction())
            yield AsyncShardTransaction(connection, self.meters[name].on(connection))

    async def stage_correction(self, id: int, entries: Iterable[NewEntry | Mapping[str, Any]]) -> int:
        name = shard_of_id(self.shard_map, id, "id")
        return await self.meters[name].stage_correction(id, checked_entries(self.shard_map, name, entries))

    async def erase_subject(self, subject: str, pseudonym: str) -> ErasedRows:
        """As of a meter, on all shards that have or had the subject; the result says what each did."""
        call = erase_subject(subject, pseudonym)
        return await self._run(Call(call.function, call.arguments, erased_rows))

    async def _run(self, call: Call[T]) -> T:
        rule = RULES[call.function]
        if isinstance(rule, OnSubject) and (subject := given(call, "subject")) is not None:
            return await self._run_on(self.shard_map.shard_of(subject), call)
        return _finish(call, await self._drive(rule.steps(call, self.shard_map)))

    async def _run_on(self, name: str, call: Call[T]) -> T:
        """The usual case: one shard, whose rows need no merging."""
        try:
            return await self.meters[name]._run(call)
        except psycopg.Error as error:
            if unavailable(error):
                raise of_shard(error, name) from error
            raise
        except SubjectMoved as error:
            return await self._follow(name, call, error)

    async def _follow(self, name: str, call: Call[T], error: SubjectMoved) -> T:
        """The subject is elsewhere, or on its way: ask where it went, until it has arrived."""
        chances = Chances(self._patience)
        while True:
            shard, pause = next_shard(error, self.shard_map), chances.pause()
            # In a transaction of the caller nothing more can be done.
            if shard is None or pause is None or isinstance(self._sources[name], psycopg.AsyncConnection):
                raise error
            await asyncio.sleep(pause)
            self.shard_map = newer_map(self.path, self.shard_map)
            try:
                return await self.meters[shard]._run(call)
            except SubjectMoved as again:
                name, error = shard, again

    async def _split_again(self, request: Request, error: SubjectMoved, chances: Chances) -> Reply:
        """A part of a batch has a subject that moved: the part is divided anew, by the map as it is now."""
        pause = chances.pause()
        if pause is None or isinstance(self._sources[request.shard], psycopg.AsyncConnection):
            return error
        await asyncio.sleep(pause)
        self.shard_map = newer_map(self.path, self.shard_map)
        try:
            steps = RULES[request.call.function].steps(request.call, self.shard_map)
            answer = await self._drive(steps, chances)
        except Exception as failure:
            return failure
        failed = next(iter(answer.failed.values()), None)
        return list(answer.rows) if failed is None else failed

    async def _drive(self, steps: Steps, chances: Chances | None = None) -> Answer:
        replies: list[Reply] | None = None
        while True:
            try:
                requests = next(steps) if replies is None else steps.send(replies)
            except StopIteration as done:
                answer: Answer = done.value
                return answer
            replies = (
                [await self._reply(r, chances) for r in requests] if chances else await self._ask(requests)
            )

    async def _ask(self, requests: list[Request]) -> list[Reply]:
        turns = asyncio.Semaphore(self._concurrency)

        async def reply(request: Request) -> Reply:
            async with turns:
                return await self._reply(request)

        if len(requests) == 1:
            return [await reply(requests[0])]
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(reply(request)) for request in requests]
        return [task.result() for task in running]

    async def _reply(self, request: Request, chances: Chances | None = None) -> Reply:
        try:
            return await self.meters[request.shard]._run(request.call)
        except SubjectMoved as error:
            if is_split(request.call):
                return await self._split_again(request, error, chances or Chances(self._patience))
            try:
                return await self._follow(request.shard, request.call, error)
            except Exception as failure:
                return failure
        except Exception as error:
            return error
