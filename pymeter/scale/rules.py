"""Where a call goes, and how answers become one. Which rule a function has is in pymeter.scale.routing."""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pymeter.calls import Call, argument, customer_subjects
from pymeter.calls.result import Row
from pymeter.errors import InvalidInput, MeterError, NotFound, NullInput, SubjectMoved
from pymeter.scale.errors import NotSharded, ShardUnavailable, of_shard
from pymeter.scale.merging import Answers, Merge, by, rows_of
from pymeter.scale.shard_map import ShardMap
from pymeter.scale.splitting import array, elements, split, with_ordinal
from pymeter.scale.steps import Answer, Replies, Request, Steps, ask, ask_one, given, raw


class ErasedRows(int):
    """How many rows of the log were rewritten, on all shards together."""

    shards: dict[str, int]
    """The shards that had something of the subject, with the rows of each."""

    def __new__(cls, shards: dict[str, int]) -> Self:
        made = super().__new__(cls, sum(shards.values()))
        made.shards = shards
        return made


class Rule:
    """What a function of the contract does where there are shards."""

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        raise NotImplementedError


@dataclass(frozen=True)
class OnSubject(Rule):
    """On the shard of one subject; without one, by another rule."""

    otherwise: Rule | None = None

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        subject = given(call, "subject")
        if subject is not None:
            return on(shard_map.shard_of(subject), call)
        # A null where a subject is needed: any shard refuses it.
        return (self.otherwise or AnyShard()).steps(call, shard_map)


@dataclass(frozen=True)
class If(Rule):
    """By one rule if a truth is given and true, or by the other."""

    argument: str
    rule: Rule
    otherwise: Rule

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        return (self.rule if given(call, self.argument) is True else self.otherwise).steps(call, shard_map)


@dataclass(frozen=True)
class OnId(Rule):
    """On the shard that has drawn an id; without one, by another rule."""

    argument: str
    otherwise: Rule | None = None

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        id = given(call, self.argument)
        if id is None:
            return (self.otherwise or AnyShard()).steps(call, shard_map)
        return on(shard_of_id(shard_map, id, self.argument), call)


def shard_of_id(shard_map: ShardMap, id: int, parameter: str) -> str:
    """The shard that has drawn an id. NotFound (UM007) if none of the map has."""
    name = shard_map.shard_of_id(id)
    if name is None:
        raise NotFound(
            "no shard of the map has this id",
            parameter=parameter,
            detail=f"{parameter} {id}.",
            hint="Pass an id that one of these shards has returned.",
        )
    return name


def on(shard: str, call: Call[Any]) -> Steps:
    """The answer of one shard."""
    rows = yield from ask_one(shard, call)
    return Answer(rows, (shard,))


@dataclass(frozen=True)
class AnyShard(Rule):
    """What all shards have alike: of the first that can be reached."""

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        for shard in shard_map.names:
            try:
                return (yield from on(shard, call))
            except ShardUnavailable:
                if shard == shard_map.names[-1]:
                    raise
        raise AssertionError("a map has a shard")


@dataclass(frozen=True)
class FirstShard(Rule):
    """What one shard has to do, no matter which."""

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        return on(shard_map.names[0], call)


@dataclass(frozen=True)
class Everywhere(Rule):
    """A definition: on all shards. What the first one refuses, none gets; its answer is that of all."""

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        first, *others = shard_map.names
        rows = yield from ask_one(first, call)
        if not others:
            return Answer(rows, (first,))
        replies = yield [Request(shard, raw(call)) for shard in others]
        return _with(first, rows, others, replies)


def _with(first: str, rows: list[Row], others: list[str], replies: Replies) -> Answer:
    failed = {
        shard: of_shard(reply, shard)
        for shard, reply in zip(others, replies, strict=True)
        if isinstance(reply, Exception)
    }
    return Answer(rows, (first, *(shard for shard in others if shard not in failed)), failed)


@dataclass(frozen=True)
class Merged(Rule):
    """On all shards; `merge` makes one answer, cut to the argument `max_rows` if `pages`."""

    merge: Merge
    pages: bool = False

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        answers, failed = yield from ask([Request(shard, raw(call)) for shard in shard_map.names])
        rows = self.merge(answers)
        return Answer(rows[: given(call, "max_rows")] if self.pages else rows, tuple(answers), failed)


@dataclass(frozen=True)
class MergedDefinitions(Rule):
    """Rows of everybody, which all shards have, and rows of subjects, which one has.

    The former are taken from the first shard. A page of another shard may hold little else, so it is read on
    until it has as many rows of subjects as are asked for.
    """

    id: str

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        first, *others = shard_map.names
        size = given(call, "max_rows")
        kept: Answers = {}
        failed: dict[str, Exception] = {}
        waiting = {shard: raw(call) for shard in shard_map.names}
        while waiting:
            found, lost = yield from ask([Request(shard, call) for shard, call in waiting.items()])
            failed |= lost
            waiting = {}
            for shard, rows in found.items():
                own = [row for row in rows if shard == first or row["subject"] is not None]
                kept = {**kept, shard: [*kept.get(shard, ()), *own]}
                if shard in others and size is not None and len(rows) == size and len(kept[shard]) < size:
                    waiting[shard] = _after(call, self.id, rows[-1][self.id])
        merged = sorted(rows_of(kept), key=by(self.id))
        return Answer(merged[:size], tuple(name for name in kept if name not in failed), failed)


def _after(call: Call[Any], column: str, id: int) -> Call[list[Row]]:
    others = [a for a in call.arguments if a.name != "after_id"]
    return Call(call.function, [*others, argument.integer("after_id", "bigint", id)], list)


@dataclass(frozen=True)
class SharedAndOwn(Rule):
    """As MergedDefinitions, of a function that returns all rows at once."""

    merge: Merge

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        answers, failed = yield from ask([Request(shard, raw(call)) for shard in shard_map.names])
        first = shard_map.names[0]
        kept = {
            shard: [row for row in rows if shard == first or row["subject"] is not None]
            for shard, rows in answers.items()
        }
        return Answer(self.merge(kept), tuple(answers), failed)


@dataclass(frozen=True)
class Taken(Rule):
    """What is taken off queues: one shard after the other, beginning anywhere, until there is enough."""

    limit: str

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        names = list(shard_map.names)
        # For fairness; it is no secret.
        start = random.randrange(len(names))  # noqa: S311
        left = given(call, self.limit)
        rows: list[Row] = []
        answered: list[str] = []
        failed: dict[str, Exception] = {}
        for shard in names[start:] + names[:start]:
            try:
                taken = yield from ask_one(shard, raw(call, **{self.limit: left - len(rows)}))
            except ShardUnavailable as error:
                failed[shard] = error
                continue
            answered.append(shard)
            rows += taken
            if len(rows) >= left:
                break
        if failed and not rows:
            return Answer(rows, answered, failed)
        # What was taken has to be dealt with: the shards that are down have their turn later.
        return Answer(rows, answered)


@dataclass(frozen=True)
class Known(Rule):
    """On the shard that knows a name, which only asking tells; if all refuse, the rarest error counts."""

    argument: str
    otherwise: Rule | None = None

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        if self.otherwise is not None and given(call, self.argument) is None:
            return (yield from self.otherwise.steps(call, shard_map))
        refused: dict[str, list[MeterError]] = {}
        lost: ShardUnavailable | SubjectMoved | None = None
        for shard in shard_map.names:
            try:
                return (yield from on(shard, call))
            except (ShardUnavailable, SubjectMoved) as error:
                lost = error
            except MeterError as error:
                refused.setdefault(error.message, []).append(error)
        if lost is not None and len(refused) < 2:
            raise lost  # it may be the one that knows
        raise min(refused.values(), key=len)[0]


@dataclass(frozen=True)
class SplitBySubject(Rule):
    """A batch: each shard gets the elements of its subjects; the first refuses those without a subject."""

    argument: str
    noun: str

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        def shard_of(element: Any) -> str:
            subject = element.get("subject") if isinstance(element, dict) else None
            return shard_map.shard_of(subject) if isinstance(subject, str) else shard_map.names[0]

        parts = split(given(call, self.argument), shard_of)
        if len(parts) < 2:
            return (yield from on(next(iter(parts), shard_map.names[0]), call))
        requests = [
            Request(shard, raw(call, **{self.argument: array(texts)})) for shard, (_, texts) in parts.items()
        ]
        answers, failed = yield from _ask_parts(requests, self.noun, parts)
        rows = [
            {**row, "ordinal": parts[shard][0][row["ordinal"] - 1]}
            for shard, found in answers.items()
            for row in found
        ]
        return Answer(sorted(rows, key=by("ordinal")), tuple(answers), failed)


def _ask_parts(
    requests: list[Request], noun: str, parts: dict[str, tuple[list[int], list[str]]]
) -> Generator[list[Request], Replies, tuple[Answers, dict[str, Exception]]]:
    replies = yield requests
    placed = [
        with_ordinal(reply, noun, parts[request.shard][0]) if isinstance(reply, Exception) else reply
        for request, reply in zip(requests, replies, strict=True)
    ]
    asking = ask(requests)
    next(asking)
    try:
        asking.send(placed)
    except StopIteration as done:
        found: tuple[Answers, dict[str, Exception]] = done.value
        return found
    raise AssertionError("one round is all")


@dataclass(frozen=True)
class SplitById(Rule):
    """Results of what was taken off queues: each goes to the shard whose id it has."""

    argument: str
    id: str

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        def id_of(element: Any) -> int | None:
            text = str(element.get(self.id)) if isinstance(element, dict) else ""
            return int(text) if text.isdecimal() and len(text) < 19 else None

        def shard_of(element: Any) -> str:
            id = id_of(element)
            return (shard_map.shard_of_id(id) if id is not None else None) or shard_map.names[0]

        document = given(call, self.argument)
        if document is None or not isinstance(document.obj, str):
            return (yield from on(shard_map.names[0], call))
        parts = split(document, shard_of)
        if len(parts) < 2:
            return (yield from on(next(iter(parts), shard_map.names[0]), call))
        places = {id_of(element): place for place, (element, _) in enumerate(elements(document))}
        answers, failed = yield from ask(
            [
                Request(shard, raw(call, **{self.argument: array(texts)}))
                for shard, (_, texts) in parts.items()
            ]
        )
        rows = sorted(rows_of(answers), key=lambda row: places.get(row[self.id], len(places)))
        return Answer(rows, tuple(answers), failed)


@dataclass(frozen=True)
class SettledPushes(SplitById):
    """As SplitById. If the subject of a push has moved, the shard that has drawn its id knows only that: any
    of the others may be its home.
    """

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        answer = yield from super().steps(call, shard_map)
        moved = {row[self.id] for row in answer.rows if _has_moved(row)}
        if not moved:
            return answer
        texts = [
            text for element, text in elements(given(call, self.argument)) if int(element[self.id]) in moved
        ]
        again = raw(call, **{self.argument: array(texts)})
        found, failed = yield from ask([Request(shard, again) for shard in shard_map.names])
        home = {row[self.id]: row for row in rows_of(found) if not _has_moved(row)}
        rows = [home.get(row[self.id], row) for row in answer.rows]
        return Answer(rows, tuple(found), {**answer.failed, **failed})


def _has_moved(push: Row) -> bool:
    return (push["state"], push["reason"]) == ("replaced", "moved")


@dataclass(frozen=True)
class OfSubjects(Rule):
    """A question about the subjects of a list, or all: each shard is asked about its own."""

    argument: str
    merge: Merge

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        subjects: list[str] | None = given(call, self.argument)
        parts: dict[str, list[str]] = {}
        for subject in subjects or ():
            parts.setdefault(shard_map.shard_of(subject), []).append(subject)
        if subjects is None:
            requests = [Request(shard, raw(call)) for shard in shard_map.names]
        else:
            requests = [Request(s, raw(call, **{self.argument: own})) for s, own in parts.items()]
            requests = requests or [Request(shard_map.names[0], raw(call))]
        answers, failed = yield from ask(requests)
        return Answer(self.merge(answers), tuple(answers), failed)


@dataclass(frozen=True)
class OnCustomer(Rule):
    """On the shard that has a biller's customer; one that nobody knows is looked for as a subject."""

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        customer = given(call, "customer")
        if customer is None:
            return (yield from on(shard_map.names[0], call))
        found, failed = yield from holders(customer, given(call, "biller"), shard_map.names)
        if len(found) > 1:
            raise split_customer(customer, found)
        if not found and failed:
            raise next(iter(failed.values()))
        return (yield from on(next(iter(found), shard_map.shard_of(customer)), call))


def holders(
    customer: str, biller: str, shards: Iterable[str]
) -> Generator[list[Request], Replies, tuple[list[str], dict[str, Exception]]]:
    """Which of the shards report usage as that of this customer."""
    call = raw(customer_subjects(customer, biller))
    answers, failed = yield from ask([Request(shard, call) for shard in shards])
    return [shard for shard, rows in answers.items() if rows], failed


def split_customer(customer: str, shards: Iterable[str]) -> InvalidInput:
    """The error of a customer whose subjects do not lie together."""
    return InvalidInput(
        "the subjects of a customer lie on several shards",
        parameter="customer",
        detail=f"customer {customer!r}, shards {', '.join(shards)}.",
        hint="What is reported is summed by customer, on one shard: pin all of its subjects to one.",
    )


@dataclass(frozen=True)
class MapCustomer(Rule):
    """Maps a subject to a customer, unless another shard has subjects of it.

    It is checked again afterwards: of two sessions that map at once, at least one finds the other's mapping.
    """

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        subject, customer, biller = (given(call, name) for name in ("subject", "customer", "biller"))
        if subject is None or customer is None:
            return (yield from OnSubject().steps(call, shard_map))
        home = shard_map.shard_of(subject)
        others = [shard for shard in shard_map.names if shard != home]
        yield from self._check(customer, biller, home, others)
        rows = yield from ask_one(home, call)
        yield from self._check(customer, biller, home, others)
        return Answer(rows, (home,))

    def _check(
        self, customer: str, biller: str, home: str, others: list[str]
    ) -> Generator[list[Request], Replies, None]:
        if not others:
            return
        found, failed = yield from holders(customer, biller, others)
        if found:
            raise split_customer(customer, [home, *found])
        if failed:
            raise next(iter(failed.values()))


@dataclass(frozen=True)
class Erasing(Rule):
    """On the shard of the subject, where its pseudonym has to lie as well; then on all others, which may have
    sealed copies of it, or roles that are bound to it.

    A repetition after a failure finds it erased on some of them.
    """

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        subject, pseudonym = given(call, "subject"), given(call, "pseudonym")
        if subject is not None and pseudonym is not None:
            home, other = shard_map.shard_of(subject), shard_map.shard_of(pseudonym)
            if home != other:
                raise InvalidInput(
                    "the pseudonym lies on another shard than the subject",
                    parameter="pseudonym",
                    detail=f"subject on {home}, pseudonym {pseudonym!r} on {other}.",
                    hint=f"Pin the pseudonym first: pymeter shard pin {pseudonym} {home}",
                )
            return self._everywhere(call, home, shard_map)
        return OnSubject().steps(call, shard_map)

    def _everywhere(self, call: Call[Any], home: str, shard_map: ShardMap) -> Steps:
        others = [shard for shard in shard_map.names if shard != home]
        (first,) = yield [Request(home, raw(call))]
        if isinstance(first, Exception) and not isinstance(first, NotFound):
            raise of_shard(first, home)
        replies = yield [Request(shard, raw(call)) for shard in others]
        erased: dict[str, int] = {}
        failed: dict[str, Exception] = {}
        for shard, reply in zip([home, *others], [first, *replies], strict=True):
            if isinstance(reply, NotFound):
                continue
            if isinstance(reply, Exception):
                failed[shard] = of_shard(reply, shard)
            else:
                (erased[shard],) = reply[0].values()
        if isinstance(first, Exception) and not erased and not failed:
            raise first
        return Answer([{"erase_subject": ErasedRows(erased)}], tuple(erased), failed)


def erased_rows(rows: Sequence[Row]) -> ErasedRows:
    """What `Erasing` answers."""
    found: ErasedRows = rows[0]["erase_subject"]
    return found


@dataclass(frozen=True)
class NotAcross(Rule):
    """Not to be done across shards: the caller names one."""

    reason: str

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        raise NotSharded(
            "this function works on one shard",
            detail=f"{call.function}(): {self.reason}",
            hint=f"Call {call.function}() of meter_of(subject), or of meters[name].",
        )


def page_behind(call: Call[Any]) -> None:
    """A page of `subjects` that begins behind a subject: only its own shard could tell since when."""
    if given(call, "after_subject") is not None and given(call, "after_at") is None:
        raise NullInput(
            "after_subject is given without after_at",
            parameter="after_at",
            detail=f"after_subject {given(call, 'after_subject')!r}.",
            hint="Pass last_activity_at of the last row of the page before, too.",
        )


@dataclass(frozen=True)
class Subjects(Rule):
    """The pages of all subjects."""

    merged: Merged

    def steps(self, call: Call[Any], shard_map: ShardMap) -> Steps:
        page_behind(call)
        return self.merged.steps(call, shard_map)
