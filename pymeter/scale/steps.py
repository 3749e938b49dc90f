"""A call on many shards, without the I/O: a generator yields requests, and is sent their replies.

The synchronous and the asynchronous client run the same generators; only the I/O differs.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from pymeter.calls import Call
from pymeter.calls.argument import Argument
from pymeter.calls.result import Row
from pymeter.errors import MeterError
from pymeter.scale.errors import of_shard


class Request(NamedTuple):
    """A call to be made on one shard; its result are the rows as they are."""

    shard: str
    call: Call[list[Row]]


Reply: TypeAlias = "list[Row] | Exception"
Replies: TypeAlias = "list[Reply]"


@dataclass(frozen=True)
class Answer:
    """The merged rows, which shards have answered, and what the others have raised."""

    rows: Sequence[Row]
    answered: Sequence[str] = ()
    failed: Mapping[str, Exception] = field(default_factory=dict)


Steps: TypeAlias = "Generator[list[Request], Replies, Answer]"
Answers: TypeAlias = "dict[str, list[Row]]"
Asking: TypeAlias = "Generator[list[Request], Replies, tuple[Answers, dict[str, Exception]]]"


def raw(call: Call[Any], **changed: Any) -> Call[list[Row]]:
    """The call with other values of some arguments, and with its rows as its result."""
    arguments = [
        Argument(a.name, a.type, changed[a.name], a.required) if a.name in changed else a
        for a in call.arguments
    ]
    return Call(call.function, arguments, list)


def given(call: Call[Any], name: str) -> Any:
    """The value of an argument; None if it is not given."""
    for argument in call.arguments:  # a loop, because every call comes along here
        if argument.name == name:
            return argument.value
    return None


def ask(requests: list[Request]) -> Asking:
    """The rows of each shard that has answered, and the errors of the others, by name."""
    replies = yield requests
    answers: Answers = {}
    failed: dict[str, Exception] = {}
    for request, reply in zip(requests, replies, strict=True):
        if isinstance(reply, Exception):
            failed[request.shard] = of_shard(reply, request.shard)
        else:
            answers[request.shard] = reply
    if failed and not answers and _refuse_alike(failed):
        raise next(iter(failed.values()))
    return answers, failed


def ask_one(shard: str, call: Call[Any]) -> Generator[list[Request], Replies, list[Row]]:
    """The rows of one shard; its error is raised."""
    answers, failed = yield from ask([Request(shard, raw(call))])
    if failed:
        raise failed[shard]
    return answers[shard]


def _refuse_alike(failed: Mapping[str, Exception]) -> bool:
    """Whether all shards say the same about the call: then it is no matter of shards."""
    kinds = {(type(error), getattr(error, "sqlstate", None)) for error in failed.values()}
    return len(kinds) == 1 and (len(failed) == 1 or isinstance(next(iter(failed.values())), MeterError))
