"""The synchronous client of many meters: the methods of pymeter.Meter, each on the shards that it needs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from typing import Any, NamedTuple, Self, TypeVar

import psycopg

from pymeter._composed import ComposedMethods
from pymeter.calls import Call, erase_subject, shard_state
from pymeter.client import ConnectionPool, Meter
from pymeter.errors import SubjectMoved
from pymeter.models import NewEntry
from pymeter.scale.errors import of_shard, shards_failed, unavailable
from pymeter.scale.following import PATIENCE, Chances, is_split, newer_map, next_shard
from pymeter.scale.map_check import MapCheck
from pymeter.scale.routing import RULES
from pymeter.scale.rules import ErasedRows, OnSubject, erased_rows, shard_of_id
from pymeter.scale.shard_map import ShardMap, read_map
from pymeter.scale.sources import check_sources, checked_entries, open_pool
from pymeter.scale.steps import Answer, Reply, Request, Steps, given

T = TypeVar("T")


class MeterOfShard(Meter):
    """The meter of a shard, which is compared with the map before the first call."""

    def __init__(
        self,
        source: psycopg.Connection[Any] | ConnectionPool,
        *,
        schema: str,
        prepare: bool | None,
        check: MapCheck,
    ) -> None:
        super().__init__(source, schema=schema, prepare=prepare)
        self._check = check

    def on(self, connection: psycopg.Connection[Any]) -> MeterOfShard:
        """The same on a connection of the caller."""
        return MeterOfShard(connection, schema=self.schema, prepare=self.prepare, check=self._check)

    def _execute(self, connection: psycopg.Connection[Any], call: Call[T], params: dict[str, Any]) -> T:
        if self._check.is_due(call):
            may_ask = connection.execute(self._check.may_ask()).fetchone()
            if may_ask == (True,):
                self._check.compare(super()._execute(connection, shard_state(), {}))
            elif may_ask == (False,):
                self._check.give_up()
        return super()._execute(connection, call, params)


class ShardTransaction(NamedTuple):
    """A transaction on the shard of one subject, for what has to commit together with its usage."""

    connection: psycopg.Connection[Any]
    meter: Meter


class ShardedMeter(ComposedMethods):
    """Many meters as one. Which shard a subject lies on is in the map.

    Each shard is a pool, so that every call is a transaction of its own, on every shard that it needs. A
    connection in a pool's place is possible, too; then the caller commits.

        with ShardedMeter.open("shards.json") as meter:
            meter.record("acct_1", "tokens", 120, idempotency_key="req_1")
    """

    def __init__(
        self,
        shard_map: ShardMap,
        sources: Mapping[str, psycopg.Connection[Any] | ConnectionPool],
        *,
        concurrency: int = 8,
        prepare: bool | None = None,
        path: str | os.PathLike[str] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """`sources`: a pool for each shard; `path`: the file of the map, read again when a subject has moved;
        `patience`: how many seconds a call waits for one that is being moved; `concurrency`: how many
        shards are asked at once, at most."""
        check_sources(shard_map, sources)
        self.shard_map = shard_map
        self.meters: Mapping[str, MeterOfShard] = {
            name: MeterOfShard(
                sources[name],
                schema=shard_map.shards[name].schema,
                prepare=prepare,
                check=MapCheck(shard_map, name),
            )
            for name in shard_map.names
        }
        """The plain meter of each shard, by name."""
        self._sources = sources
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="pymeter-shard")
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
        """A meter with a pool for each shard; needs psycopg_pool. Close it, or use it in a ``with``.

        Args:
            map_or_path: The map, or the file that it is in.
            max_size: How many connections to a shard there may be.
            timeout: After how many seconds a shard that gives no connection counts as unavailable.
            concurrency: How many shards are asked at once, at most.
            patience: How many seconds a call waits for a subject that is being moved, at most.
            prepare: As of Meter.
        """
        path = None if isinstance(map_or_path, ShardMap) else map_or_path
        shard_map = map_or_path if isinstance(map_or_path, ShardMap) else read_map(map_or_path)
        pools = {
            name: open_pool(shard_map.shards[name], max_size, timeout, asynchronous=False)
            for name in shard_map.names
        }
        meter = cls(shard_map, pools, concurrency=concurrency, prepare=prepare, path=path, patience=patience)
        meter._owned = list(pools.values())
        return meter

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the pools that `open` has opened."""
        self._threads.shutdown()
        for pool in self._owned:
            pool.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.shard_map.names)})"

    def meter_of(self, subject: str) -> Meter:
        """The plain meter of the shard that the subject lies on."""
        return self.meters[self.shard_map.shard_of(subject)]

    @contextmanager
    def transaction(self, subject: str) -> Iterator[ShardTransaction]:
        """A transaction on the shard of a subject: its connection, and the plain meter on it.

        with meter.transaction("acct_1") as (connection, shard):
            connection.execute("UPDATE accounts SET ...")
            shard.record("acct_1", "tokens", 120, idempotency_key="req_1")
        """
        name = self.shard_map.shard_of(subject)
        source = self._sources[name]
        with ExitStack() as stack:
            if isinstance(source, psycopg.Connection):
                connection = source
            else:
                try:
                    connection = stack.enter_context(source.connection())
                except psycopg.Error as error:
                    raise of_shard(error, name) from error
            stack.enter_context(connection.transaction())
            yield ShardTransaction(connection, self.meters[name].on(connection))

    def stage_correction(self, id: int, entries: Iterable[NewEntry | Mapping[str, Any]]) -> int:
        name = shard_of_id(self.shard_map, id, "id")
        return self.meters[name].stage_correction(id, checked_entries(self.shard_map, name, entries))

    def erase_subject(self, subject: str, pseudonym: str) -> ErasedRows:
        """As of a meter, on all shards that have or had the subject; the result says what each did."""
        call = erase_subject(subject, pseudonym)
        return self._run(Call(call.function, call.arguments, erased_rows))

    def _run(self, call: Call[T]) -> T:
        rule = RULES[call.function]
        if isinstance(rule, OnSubject) and (subject := given(call, "subject")) is not None:
            return self._run_on(self.shard_map.shard_of(subject), call)
        return _finish(call, self._drive(rule.steps(call, self.shard_map)))

    def _run_on(self, name: str, call: Call[T]) -> T:
        """The usual case: one shard, whose rows need no merging."""
        try:
            return self.meters[name]._run(call)
        except psycopg.Error as error:
            if unavailable(error):
                raise of_shard(error, name) from error
            raise
        except SubjectMoved as error:
            return self._follow(name, call, error)

    def _follow(self, name: str, call: Call[T], error: SubjectMoved) -> T:
        """The subject is elsewhere, or on its way: ask where it went, until it has arrived."""
        chances = Chances(self._patience)
        while True:
            shard, pause = next_shard(error, self.shard_map), chances.pause()
            # In a transaction of the caller nothing more can be done.
            if shard is None or pause is None or isinstance(self._sources[name], psycopg.Connection):
                raise error
            time.sleep(pause)
            self.shard_map = newer_map(self.path, self.shard_map)
            try:
                return self.meters[shard]._run(call)
            except SubjectMoved as again:
                name, error = shard, again

    def _split_again(self, request: Request, error: SubjectMoved, chances: Chances) -> Reply:
        """A part of a batch has a subject that moved: the part is divided anew, by the map as it is now."""
        pause = chances.pause()
        if pause is None or isinstance(self._sources[request.shard], psycopg.Connection):
            return error
        time.sleep(pause)
        self.shard_map = newer_map(self.path, self.shard_map)
        try:
            steps = RULES[request.call.function].steps(request.call, self.shard_map)
            answer = self._drive(steps, chances)
        except Exception as failure:
            return failure
        failed = next(iter(answer.failed.values()), None)
        return list(answer.rows) if failed is None else failed

    def _drive(self, steps: Steps, chances: Chances | None = None) -> Answer:
        replies: list[Reply] | None = None
        while True:
            try:
                requests = next(steps) if replies is None else steps.send(replies)
            except StopIteration as done:
                answer: Answer = done.value
                return answer
            replies = [self._reply(r, chances) for r in requests] if chances else self._ask(requests)

    def _ask(self, requests: list[Request]) -> list[Reply]:
        if len(requests) == 1:
            return [self._reply(requests[0])]
        # Each thread has a copy of the context, for spans.
        running = [self._threads.submit(copy_context().run, self._reply, request) for request in requests]
        return [future.result() for future in running]

    def _reply(self, request: Request, chances: Chances | None = None) -> Reply:
        try:
            return self.meters[request.shard]._run(request.call)
        except SubjectMoved as error:
            if is_split(request.call):
                return self._split_again(request, error, chances or Chances(self._patience))
            try:
                return self._follow(request.shard, request.call, error)
            except Exception as failure:
                return failure
        except Exception as error:
            return error


def _finish(call: Call[T], answer: Answer) -> T:
    """The result; or an error that has it, if shards are missing."""
    if not answer.failed:
        return call.result(answer.rows)
    partial = call.result(answer.rows) if answer.answered else None
    raise shards_failed(answer.answered, answer.failed, partial)
