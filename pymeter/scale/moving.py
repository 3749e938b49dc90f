"""Moving a subject from one shard to another: in which order, and what if one is interrupted.

At any moment at most one home accepts: the target only admits what the source has closed, and the source only
reopens what the target can no longer admit. Each step is a transaction on one server, and what the two say of
the subject tells where to go on.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import psycopg

from pymeter.errors import MeterError
from pymeter.models.values import Model
from pymeter.scale.copying import Copied, copy_log, copy_rest
from pymeter.scale.errors import CopiesDiffer, MoveRefused, MoveUnfinished
from pymeter.scale.homes import Home
from pymeter.scale.move_checks import check, check_subject
from pymeter.scale.setup import pin_moved
from pymeter.scale.shard_map import ShardMap, check_pin, move_command, read_map

Tell = Callable[[str, dict[str, Any]], None]
_ROUNDS_MAX: Final = 5
_FEW_ROWS: Final = 2_000
# Others who wait for the same lock have three quarters of the time.
_PAUSE: Final = 0.15
_RETRIES: Final = 5
_BUSY: Final = ("55P03", "40P01")
_LOST: Final = (psycopg.OperationalError, psycopg.InterfaceError)


class Moved(Model):
    """What a move did."""

    subjects: list[str]
    source: str
    target: str
    events: int
    """How many events were copied by this run."""
    bytes: int
    milliseconds: int
    closed_milliseconds: int
    """For how long nothing could be recorded for the subjects; 0 if an earlier run had closed them."""


def move(
    path: str | os.PathLike[str],
    subjects: str | Sequence[str],
    target: str,
    *,
    wait: float = 5,
    open_wait: float = 60,
    tell: Tell | None = None,
) -> Moved:
    """Move a subject, or several together, to another shard of a map, or finish a move that was interrupted.

    Subjects of one customer of a biller can only be moved together.

    Args:
        path: The file of the map.
        subjects: The subject, or subjects of one shard.
        target: The name of the shard that they are to lie on.
        wait: How many seconds, at most, closed subjects wait for transactions of others.
        open_wait: How many seconds, at most, open transactions are waited for before they are closed.
        tell: Is called with the name of each step that begins, and what is known of it.

    Raises:
        MoveRefused: they cannot be moved exactly; nothing was changed.
        MoveUnfinished: it was interrupted; where they are recorded, and that a repetition goes on.
    """
    shard_map = read_map(path)
    names = list(dict.fromkeys([subjects] if isinstance(subjects, str) else subjects))
    for subject in names:
        check_pin(shard_map, subject, target)
    moving = [subject for subject in names if shard_map.shard_of(subject) != target]
    source = _source_of(shard_map, moving) if moving else target
    run = Run(shard_map, moving, source, target, (wait, open_wait), tell or _silent)
    if not moving:
        return run.result(names)
    try:
        run.perform()
        run.tell("pin", {})
        for subject in moving:
            pin_moved(path, subject, target)
    finally:
        run.close()
    return run.result(names)


def _source_of(shard_map: ShardMap, subjects: Sequence[str]) -> str:
    homes = {subject: shard_map.shard_of(subject) for subject in subjects}
    if len(set(homes.values())) > 1:
        raise MoveRefused(
            "the subjects are not all on one shard",
            detail="; ".join(f"{subject!r} on {shard}" for subject, shard in homes.items()) + ".",
            hint="Move those of each shard by a command of their own.",
        )
    return homes[subjects[0]]


def _listed(subjects: Sequence[str]) -> str:
    return ", ".join(map(repr, subjects))


def _silent(_step: str, _facts: dict[str, Any]) -> None:
    """Say nothing."""


class Run:
    """One attempt. Several subjects are closed one after the other, and admitted in one transaction."""

    def __init__(
        self,
        shard_map: ShardMap,
        subjects: Sequence[str],
        source: str,
        target: str,
        waits: tuple[float, float],
        tell: Tell,
    ) -> None:
        self.shard_map, self._tell = shard_map, tell
        self.subjects = list(subjects)
        self.wait, self.open_wait = waits
        self.source, self.target = Home(shard_map.shards[source]), Home(shard_map.shards[target])
        self.id = uuid.uuid4()
        self.copied = Copied()
        self._began = time.monotonic()
        self._closes: list[str] = []
        self._marks: dict[str, dict[str, Any]] = {}
        self._closed_seconds = 0.0

    def tell(self, step: str, facts: dict[str, Any]) -> None:
        """Say which step begins."""
        self._tell(step, facts)

    def close(self) -> None:
        """Close both connections."""
        self.source.close()
        self.target.close()

    def result(self, subjects: Sequence[str]) -> Moved:
        """What was done."""
        return Moved(
            subjects=list(subjects),
            source=self.source.name,
            target=self.target.name,
            events=self.copied.events,
            bytes=self.copied.bytes,
            milliseconds=round((time.monotonic() - self._began) * 1000),
            closed_milliseconds=round(self._closed_seconds * 1000),
        )

    def perform(self) -> None:
        """Go on from wherever the subjects are."""
        closed = self._leave_those_admitted()
        if not self.subjects:
            return
        # An earlier run was interrupted. It can no longer admit the subjects, which are used meanwhile.
        self._expect(list(closed))
        for subject, run in closed.items():
            self.source.commit("reopen_home", subject, run)
        facts = check(self.shard_map, self.source, self.target, self.subjects, tell=self.tell)
        self._expect([subject for subject in self.subjects if subject not in closed])
        deadline = time.monotonic() + self.open_wait
        self._raise_sequences(deadline)
        for subject in self.subjects:
            self._prepare_definitions(deadline, subject, facts[subject])
            self._copy_while_open(subject)
        self._closed()

    def _expect(self, subjects: Sequence[str]) -> None:
        if subjects:
            self.tell("expect", {})
        for subject in subjects:
            self.target.commit("expect_subject", subject, self.source.name, self.id)

    def _leave_those_admitted(self) -> dict[str, uuid.UUID | None]:
        """End what earlier runs have all but done. Returns those that are closed, with the run of each."""
        closed: dict[str, uuid.UUID | None] = {}
        admitted: dict[str, uuid.UUID | None] = {}
        for subject in self.subjects:
            here, there = self.source.state(subject), self.target.state(subject)
            if here is not None and here.other != self.target.name:
                raise MoveRefused(
                    "the subject is being moved, or has moved, to another shard",
                    detail=f"{subject!r} on {self.source.name}: {here.state}, {here.other}.",
                    hint=f"Finish that first: {move_command([subject], here.other)}",
                )
            if here is not None and (here.state == "moved" or there is None):
                admitted[subject] = here.run
            elif here is not None:
                closed[subject] = here.run
        if admitted:
            self._leave(admitted)
        self.subjects = [subject for subject in self.subjects if subject not in admitted]
        return closed

    def _copy_while_open(self, subject: str) -> None:
        for round_number in range(1, _ROUNDS_MAX + 1):
            self.tell("copy", {"round": round_number, "events": self.copied.events})
            rows = copy_log(
                self.source, self.target, subject, self.id, self.copied, self.tell, self.open_wait
            )
            if rows < _FEW_ROWS:
                return

    def _closed(self) -> None:
        """From here on nobody can record for the subjects, until they are admitted or the source reopens."""
        admitting = False
        closed_at = time.monotonic()
        deadline = closed_at + self.wait
        try:
            self.tell("close", {})
            for subject in self.subjects:
                self._closes.append(subject)
                left = f"{max(deadline - time.monotonic(), 0)} seconds"
                self.source.commit("close_home", subject, self.target.name, left, self.id)
            self.tell("barrier", {})
            self.source.commit("_log_barrier", f"{max(deadline - time.monotonic(), 0)} seconds")
            self.tell("stop", {})
            self._stop_sending(deadline)
            self._raise_sequences(deadline)
            for subject in self.subjects:
                # While the log was copied, what had been looked for may have come.
                facts = check_subject(self.source, self.target, subject, self.subjects, of_log=False)
                self._prepare_definitions(deadline, subject, facts)
            self.tell("rest", {})
            for subject in self.subjects:
                self._marks[subject] = copy_rest(
                    self.source, self.target, subject, self.id, self.copied, self.tell
                )
            self.tell("admit", {})
            admitting = True
            self._admit()
        except BaseException as error:
            # Whatever went wrong, an admission that was sent may have been made.
            if not (admitting and self._was_admitted()):
                self._give_up(error)
                if isinstance(error, CopiesDiffer):
                    self._copy_all_again()
                raise
        self._closed_seconds = time.monotonic() - closed_at
        self._leave(dict.fromkeys(self.subjects, self.id))

    def _admit(self) -> None:
        with self.source.transaction(), self.target.transaction():
            for subject in self.subjects:
                # Nobody reopens it meanwhile, by hand either.
                self.source.rows("_check_closed", subject, self.id)
            self.target.rows("_require_durable_commit")
            for subject in self.subjects:
                self.target.rows("admit_subject", subject, self.id)

    def _stop_sending(self, deadline: float) -> None:
        for subject in self.subjects:
            self._until(deadline, lambda name=subject: self.source.commit("_stop_sending", name))  # type: ignore[misc]

    def _raise_sequences(self, deadline: float) -> None:
        def raised() -> bool:
            with self.source.transaction():
                highest = self.source.value("_highest_ids")
            self.target.commit("_raise_sequences", highest)
            return True

        self._until(deadline, raised)

    def _prepare_definitions(self, deadline: float, subject: str, facts: dict[str, Any]) -> None:
        def prepared() -> bool:
            self.target.commit("_receive_definitions", subject, facts)
            return True

        self._until(deadline, prepared)

    def _until(self, deadline: float, attempt: Callable[[], bool]) -> None:
        while True:
            failure: MeterError | psycopg.Error | None = None
            try:
                if attempt():
                    return
            except (MeterError, psycopg.Error) as error:
                if error.sqlstate not in _BUSY:
                    raise
                failure = error
            if time.monotonic() > deadline:
                raise failure or MoveUnfinished(
                    "a reporter is sending what has been used",
                    sqlstate="55P03",
                    detail=f"{_listed(self.subjects)}.",
                    hint="Try again when its lease has ended, or stop the reporter for a moment.",
                )
            time.sleep(_PAUSE)

    def _was_admitted(self) -> bool:
        """Whether an admission whose answer was lost has been made. If not, none of it can be any more."""
        for attempt in range(_RETRIES):
            try:
                self.target.commit("expect_subject", self.subjects[0], self.source.name, uuid.uuid4())
            except MeterError as error:
                if error.sqlstate == "55000":
                    return True
                raise
            except _LOST:
                time.sleep(0.2 * 2**attempt)
            else:
                return False
        return True  # not known: so the source stays closed, and _leave() finds out

    def _give_up(self, error: BaseException) -> None:
        """Let the source record again. Nothing that this run has sent can admit a subject any more."""
        for attempt in range(_RETRIES):
            try:
                while self._closes:
                    self._reopen(self._closes[-1])
                    self._closes.pop()
                self.tell("reopened", {})
                return
            except MeterError as busy:
                if busy.sqlstate not in _BUSY:
                    raise
                time.sleep(0.2 * 2**attempt)
            except _LOST:
                time.sleep(0.2 * 2**attempt)
        error.add_note(f"closed on {self.source.name}: {_listed(self._closes)}. Run it again")

    def _reopen(self, subject: str) -> None:
        try:
            self.source.commit("reopen_home", subject, self.id)
        except MeterError as refused:
            if refused.sqlstate != "55000":
                raise
            # Another run has taken over, or nothing was closed.

    def _copy_all_again(self) -> None:
        """Let the next run compare everything, not only what it takes for new."""
        with suppress(Exception):
            for subject in self.subjects:
                self.target.commit("_note_copied", subject, None, None)

    def _leave(self, subjects: Mapping[str, uuid.UUID | None]) -> None:
        """The target has admitted the subjects: what is at the source are sealed copies from now on.

        Each with the run that has closed it: if another one has meanwhile, this is not its end.
        """
        for attempt in range(_RETRIES):
            try:
                with self.target.transaction():
                    lost = [name for name in subjects if not self.target.value("_has_come", name)]
                if lost:
                    raise MoveUnfinished(
                        "the subject is closed, and has not arrived",
                        detail=f"{_listed(lost)}, from {self.source.name} to {self.target.name}.",
                        hint="See the runbook: a home that stays closed.",
                    )
                self.tell("leave", {})
                with self.source.transaction():
                    self.source.rows("_require_durable_commit")
                    for subject, run in subjects.items():
                        self.source.rows("_end_sending", subject)
                        self.source.rows("leave_home", subject, run)
                        # If the subject comes back, only what is new has to come.
                        if subject in self._marks:
                            self.source.rows("_note_copied", subject, *self._marks[subject].values())
                return
            except _LOST as error:
                if attempt + 1 == _RETRIES:
                    error.add_note(
                        f"on {self.target.name} now: {_listed(list(subjects))}. Run it again to finish"
                    )
                    raise
                with suppress(Exception):
                    self.close()
                time.sleep(0.2 * 2**attempt)
