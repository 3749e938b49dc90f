"""Moving a subject from one shard to another: in which order, and what if one is interrupted.

At any moment at most one home accepts: the target only admits what the source has closed, and the source only
reopens what the target can no longer admit. Each step is a transaction on one server, and what the two say of
the subject tells where to go on.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import psycopg

from pymeter.errors import MeterError
from pymeter.models.values import Model
from pymeter.scale.copying import Copied, copy_log, copy_rest
from pymeter.scale.errors import CopiesDiffer, MoveRefused, MoveUnfinished
from pymeter.scale.homes import Home
from pymeter.scale.move_checks import check, check_subject, facts_of
from pymeter.scale.setup import pin_moved
from pymeter.scale.shard_map import ShardMap, check_pin, read_map

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

    subject: str
    source: str
    target: str
    events: int
    """How many events were copied by this run."""
    bytes: int
    milliseconds: int
    closed_milliseconds: int
    """For how long nothing could be recorded for the subject; 0 if an earlier run had closed it."""


def move(
    path: str | os.PathLike[str],
    subject: str,
    target: str,
    *,
    wait: float = 5,
    open_wait: float = 60,
    tell: Tell | None = None,
) -> Moved:
    """Move a subject to another shard of a map, or finish a move that was interrupted.

    Args:
        path: The file of the map.
        subject: The subject.
        target: The name of the shard that it is to lie on.
        wait: How many seconds, at most, the closed subject waits for transactions of others.
        open_wait: How many seconds, at most, open transactions are waited for before it is closed.
        tell: Is called with the name of each step that begins, and what is known of it.

    Raises:
        MoveRefused: the subject cannot be moved exactly; nothing was changed.
        MoveUnfinished: it was interrupted; where the subject is recorded, and that a repetition goes on.
    """
    shard_map = read_map(path)
    check_pin(shard_map, subject, target)
    source = shard_map.shard_of(subject)
    if source == target:
        return Run(shard_map, subject, source, target, (wait, open_wait), _silent).result()
    run = Run(shard_map, subject, source, target, (wait, open_wait), tell or _silent)
    try:
        run.perform()
        run.tell("pin", {})
        pin_moved(path, subject, target)
    finally:
        run.close()
    return run.result()


def _silent(_step: str, _facts: dict[str, Any]) -> None:
    """Say nothing."""


class Run:
    """One attempt."""

    def __init__(
        self,
        shard_map: ShardMap,
        subject: str,
        source: str,
        target: str,
        waits: tuple[float, float],
        tell: Tell,
    ) -> None:
        self.shard_map, self.subject, self._tell = shard_map, subject, tell
        self.wait, self.open_wait = waits
        self.source, self.target = Home(shard_map.shards[source]), Home(shard_map.shards[target])
        self.id = uuid.uuid4()
        self.copied = Copied()
        self._began = time.monotonic()
        self._closes = False
        self._marks: dict[str, Any] | None = None
        self._closed_seconds = 0.0

    def tell(self, step: str, facts: dict[str, Any]) -> None:
        """Say which step begins."""
        self._tell(step, facts)

    def close(self) -> None:
        """Close both connections."""
        self.source.close()
        self.target.close()

    def result(self) -> Moved:
        """What was done."""
        return Moved(
            subject=self.subject,
            source=self.source.name,
            target=self.target.name,
            events=self.copied.events,
            bytes=self.copied.bytes,
            milliseconds=round((time.monotonic() - self._began) * 1000),
            closed_milliseconds=round(self._closed_seconds * 1000),
        )

    def perform(self) -> None:
        """Go on from wherever the subject is."""
        here, there = self.source.state(self.subject), self.target.state(self.subject)
        if here is not None and here.other != self.target.name:
            raise MoveRefused(
                "the subject is being moved, or has moved, to another shard",
                detail=f"{self.subject!r} on {self.source.name}: {here.state}, {here.other}.",
                hint=f"Finish that first: pymeter shard move {self.subject} {here.other}",
            )
        if here is not None and (here.state == "moved" or there is None):
            self._leave(here.run)  # it has been admitted
            return
        if here is not None:
            # An earlier run was interrupted. It can no longer admit the subject, which is used meanwhile.
            self._expect()
            self.source.commit("reopen_home", self.subject, here.run)
        check(self.shard_map, self.source, self.target, self.subject, tell=self.tell)
        if here is None:
            self._expect()
        deadline = time.monotonic() + self.open_wait
        self._raise_sequences(deadline)
        self._prepare_definitions(deadline)
        self._copy_while_open()
        self._closed()

    def _expect(self) -> None:
        self.tell("expect", {})
        self.target.commit("expect_subject", self.subject, self.source.name, self.id)

    def _copy_while_open(self) -> None:
        for round_number in range(1, _ROUNDS_MAX + 1):
            self.tell("copy", {"round": round_number, "events": self.copied.events})
            rows = copy_log(
                self.source, self.target, self.subject, self.id, self.copied, self.tell, self.open_wait
            )
            if rows < _FEW_ROWS:
                return

    def _closed(self) -> None:
        """From here on nobody can record for the subject, until it is admitted or the source reopens."""
        admitting = False
        closed_at = time.monotonic()
        deadline = closed_at + self.wait
        try:
            self.tell("close", {})
            self._closes = True
            self.source.commit("close_home", self.subject, self.target.name, f"{self.wait} seconds", self.id)
            self.tell("barrier", {})
            self.source.commit("_log_barrier", f"{max(deadline - time.monotonic(), 0)} seconds")
            self.tell("stop", {})
            self._stop_sending(deadline)
            self._raise_sequences(deadline)
            # While the log was copied, what had been looked for may have come.
            facts = check_subject(self.source, self.target, self.subject, of_log=False)
            self._prepare_definitions(deadline, facts)
            self.tell("rest", {})
            self._marks = copy_rest(self.source, self.target, self.subject, self.id, self.copied, self.tell)
            self.tell("admit", {})
            admitting = True
            with self.source.transaction():
                # Nobody reopens it meanwhile, by hand either.
                self.source.rows("_check_closed", self.subject, self.id)
                self.target.commit("admit_subject", self.subject, self.id)
        except BaseException as error:
            # Whatever went wrong, an admission that was sent may have been made.
            if not (admitting and self._was_admitted()):
                self._give_up(error)
                if isinstance(error, CopiesDiffer):
                    self._copy_all_again()
                raise
        self._closed_seconds = time.monotonic() - closed_at
        self._leave(self.id)

    def _stop_sending(self, deadline: float) -> None:
        self._until(deadline, lambda: self.source.commit("_stop_sending", self.subject))

    def _raise_sequences(self, deadline: float) -> None:
        def raised() -> bool:
            with self.source.transaction():
                highest = self.source.value("_highest_ids")
            self.target.commit("_raise_sequences", highest)
            return True

        self._until(deadline, raised)

    def _prepare_definitions(self, deadline: float, facts: dict[str, Any] | None = None) -> None:
        def prepared() -> bool:
            self.target.commit("_receive_definitions", self.subject, known)
            return True

        known = facts or facts_of(self.source, self.subject, of_log=False)
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
                    "a reporter is sending what the subject has used",
                    sqlstate="55P03",
                    detail=f"subject {self.subject!r}.",
                    hint="Try again when its lease has ended, or stop the reporter for a moment.",
                )
            time.sleep(_PAUSE)

    def _was_admitted(self) -> bool:
        """Whether an admission whose answer was lost has been made. If not, it cannot be any more."""
        for attempt in range(_RETRIES):
            try:
                self.target.commit("expect_subject", self.subject, self.source.name, uuid.uuid4())
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
        """Let the source record again. Nothing that this run has sent can admit the subject any more."""
        for attempt in range(_RETRIES):
            try:
                if self._closes:
                    self.source.commit("reopen_home", self.subject, self.id)
                self.tell("reopened", {})
                return
            except MeterError as refused:
                if refused.sqlstate == "55000":
                    return  # another run has taken over, or nothing was closed
                if refused.sqlstate not in _BUSY:
                    raise
                time.sleep(0.2 * 2**attempt)
            except _LOST:
                time.sleep(0.2 * 2**attempt)
        error.add_note(
            f"{self.subject!r} stays closed on {self.source.name}, which cannot be reached: run it again"
        )

    def _copy_all_again(self) -> None:
        """Let the next run compare everything, not only what it takes for new."""
        with suppress(Exception):
            self.target.commit("_note_copied", self.subject, None, None)

    def _leave(self, run: uuid.UUID | None) -> None:
        """The target has admitted the subject: what is at the source is a sealed copy from now on.

        `run` has closed it. If another one has meanwhile, this is not its end.
        """
        for attempt in range(_RETRIES):
            try:
                with self.target.transaction():
                    admitted = self.target.value("_has_come", self.subject)
                if not admitted:
                    raise MoveUnfinished(
                        "the subject is closed, and has not arrived",
                        detail=f"{self.subject!r}, from {self.source.name} to {self.target.name}.",
                        hint="See the runbook: a home that stays closed.",
                    )
                self.tell("leave", {})
                with self.source.transaction():
                    self.source.rows("_require_durable_commit")
                    self.source.rows("_end_sending", self.subject)
                    self.source.rows("leave_home", self.subject, run)
                    # If the subject comes back, only what is new has to come.
                    if self._marks is not None:
                        self.source.rows("_note_copied", self.subject, *self._marks.values())
                return
            except _LOST as error:
                if attempt + 1 == _RETRIES:
                    error.add_note(
                        f"{self.subject!r} is on {self.target.name} now: run the command again to finish"
                    )
                    raise
                with suppress(Exception):
                    self.close()
                time.sleep(0.2 * 2**attempt)
