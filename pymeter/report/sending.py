"""Plan pushes, then claim them in the journal, send them lane by lane, and settle them in the journal.

A lane is one customer and event name: its pushes are sent one after another, because Stripe refuses two calls
at once. All connections of a process share one queue, so that a slow lane delays one connection only.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, get_args

from pymeter import calls
from pymeter.models import ClaimedPush, SettledPush
from pymeter.report.biller import BillerRefused, Outcome, Result
from pymeter.report.clocks import Deadline
from pymeter.report.core import Core, log
from pymeter.report.steps import Send, Sleep, Steps, Together
from pymeter.secrets import redact

_PLAN_ROWS = 10_000
_PUSHES_A_CONNECTION = 16
_SECONDS_AHEAD = 30  # of sending are claimed at most
_IDLE_SECONDS = 0.02
_POLL_SECONDS_MIN, _POLL_SECONDS_MAX = 0.05, 0.5
_OVERDUE_SECONDS = 5
_SETTLE_PUSHES, _SETTLE_SECONDS = 200, 0.5
_WATCH_SECONDS_MAX = 0.25
_ERROR_LENGTH_MAX = 2000


def plan(core: Core, *, open_hours: bool) -> Steps[int]:
    """Plan everything that is queued now. Usage recorded in the meantime is left to the next plan."""
    total = 0
    while not core.halted:
        rows = yield from core.ask(
            calls.plan_pushes(
                core.options.biller_name, open_hours=open_hours, max_rows=_PLAN_ROWS, now=core.now
            )
        )
        total += rows
        if rows < _PLAN_ROWS:
            break
    for observer in core.everyone:
        observer.planned(total)
    return total


def deliver(core: Core, *, plan_every: float | None = None, open_hours: bool = True) -> Steps[None]:
    """Send everything that is due. With `plan_every`, plan again after that number of seconds.

    Raises BillerRefused when the key is not accepted; claimed pushes are then returned unchanged.
    """
    queue = WorkQueue(core, connections=core.options.connections)
    core.progress.begin_round()
    core.gave_up = False
    planner = _Planner(core.monotonic(), plan_every, open_hours)
    try:
        parts = [_connection(core, queue, planner) for _ in range(core.options.connections)]
        yield Together((*parts, _watch_silence(core, queue)))
    finally:
        # Also after an error: delivered pushes are settled, unsent ones returned.
        for lane in queue.give_up():
            _give_back(queue, lane.pushes, "not sent: the reporter was stopped")
        yield from _settle(core, queue, queue.results_to_settle(all_of_them=True))
    if core.failure is not None:
        raise core.failure
    if core.out_of_patience:
        core.gave_up = True
        if plan_every is None:
            core.tell(f"gave up: nothing was delivered for {core.options.patience.total_seconds():.0f} s")


@dataclass
class Lane:
    """Claimed pushes of one customer and event name, in the order of sending."""

    pushes: Sequence[ClaimedPush]
    deadline: Deadline
    """After it, the lease may expire before an answer arrives."""


@dataclass
class _Planner:
    planned_at: float
    every: float | None
    open_hours: bool

    def is_due(self, now: float) -> bool:
        if self.every is None or now - self.planned_at < self.every:
            return False
        self.planned_at = now
        return True


@dataclass
class WorkQueue:
    """Lanes that are claimed and not sent, and results that are not settled. All connections share it."""

    core: Core
    lanes: deque[Lane] = field(default_factory=deque)
    connections: int = 0
    """Connections that are running."""
    busy: int = 0
    """Lanes that are being sent."""
    done: bool = False

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._results: list[dict[str, Any]] = []
        self._result_since = 0.0
        self._settling = 0
        self._settled_batches = 0
        self._claiming = False
        self._claim_at = 0.0
        self._poll_seconds = _POLL_SECONDS_MIN
        self._retries: dict[int, float] = {}  # when what has to be sent again is due, by push

    # --- claiming -------------------------------------------------------------------------------------------

    def begin_claim(self) -> int | None:
        """Return a token for `end_claim` if this connection should claim now, else None."""
        with self._lock:
            enough = len(self.lanes) > self.core.options.connections // 2
            if self._claiming or self.done or enough or self.core.monotonic() < self._claim_at:
                return None
            self._claiming = True
            return self._settled_batches

    def end_claim(self, token: int, lanes: Sequence[Lane] | None) -> None:
        """Add the claimed lanes; None if the claim failed."""
        now = self.core.monotonic()
        with self._lock:
            self._claiming = False
            if lanes:
                for lane in lanes:
                    for push in lane.pushes:
                        self._retries.pop(push.push_id, None)
                self.lanes.extend(lanes)
                self._claim_at, self._poll_seconds = now, _POLL_SECONDS_MIN
                return
            self._claim_at = now + self._poll_seconds
            self._poll_seconds = min(2 * self._poll_seconds, _POLL_SECONDS_MAX)
            at_rest = not (self.busy or self.lanes or self._results or self._settling)
            # What was settled while the claim ran may have freed a lane that the claim did not see.
            if lanes is None or not at_rest or token != self._settled_batches:
                return
            # The clocks may differ a little. What is long overdue, others have taken.
            self._retries = {push: at for push, at in self._retries.items() if now - at < _OVERDUE_SECONDS}
            next_at = min(self._retries.values(), default=None)
            if next_at is None or next_at - now > self.core.options.patience.total_seconds():
                self.done = True
            else:
                self._claim_at = max(self._claim_at, next_at)

    def take(self) -> Lane | None:
        """The next lane to send."""
        with self._lock:
            if not self.lanes or self.core.halted:
                return None
            self.busy += 1
            return self.lanes.popleft()

    def finish(self) -> None:
        """Report that a taken lane is finished."""
        with self._lock:
            self.busy -= 1

    def leave(self) -> None:
        """Report that a connection has ended."""
        with self._lock:
            self.connections -= 1

    def give_up(self) -> list[Lane]:
        """Remove and return the lanes that were not taken."""
        with self._lock:
            lanes = list(self.lanes)
            self.lanes.clear()
            return lanes

    # --- settling -------------------------------------------------------------------------------------------

    def add_result(self, push: ClaimedPush, outcome: Outcome) -> None:
        """Add the outcome of an attempt."""
        with self._lock:
            if not self._results:
                self._result_since = self.core.monotonic()
            self._results.append(
                {
                    "push_id": push.push_id,
                    "attempt": push.attempt,
                    "identifier": push.identifier,
                    "outcome": outcome.result,
                    "error": _storable(outcome.error),
                    "retry_after": _seconds(outcome.retry_after),
                }
            )

    def results_to_settle(self, *, all_of_them: bool = False) -> list[dict[str, Any]]:
        """Return a batch that is large or old enough to settle, or nothing. Report it with `settled`."""
        with self._lock:
            waiting = self.core.monotonic() - self._result_since
            if not self._results or not (
                all_of_them or len(self._results) >= _SETTLE_PUSHES or waiting >= _SETTLE_SECONDS
            ):
                return []
            batch, self._results = self._results, []
            self._settling += 1
            return batch

    def settled(self, batch: list[dict[str, Any]], rows: Sequence[SettledPush] | None) -> None:
        """Report that the batch is in the journal; with `rows` None, put it back to be retried."""
        with self._lock:
            self._settling -= 1
            if rows is None:
                self._results = batch + self._results
                return
            self._settled_batches += 1
            now, time = self.core.monotonic(), self.core.time()
            for row in rows:
                if row.state == "planned" and row.next_attempt_at is not None:
                    self._retries[row.push_id] = now + (row.next_attempt_at - time).total_seconds()


def _storable(text: str | None) -> str | None:
    """The text without characters that the journal cannot store: an answer may contain any bytes."""
    if text is None:
        return None
    return "".join(c if c.isprintable() else " " for c in str(text))[:_ERROR_LENGTH_MAX]


def _seconds(value: float | None) -> float | None:
    """The duration, or None if the journal cannot store it."""
    return value if value is not None and 0 <= value < math.inf else None


def _watch_silence(core: Core, queue: WorkQueue) -> Steps[None]:
    """Report when the biller does not answer, while connections are running."""
    pause = _IDLE_SECONDS
    while queue.connections and not core.halted:
        core.tell_silence()
        yield Sleep(pause)
        pause = min(2 * pause, _WATCH_SECONDS_MAX)


def _connection(core: Core, queue: WorkQueue, planner: _Planner) -> Steps[None]:
    """Run one connection until nothing is left to send."""
    try:
        yield from _work(core, queue, planner)
    finally:
        queue.leave()


def _work(core: Core, queue: WorkQueue, planner: _Planner) -> Steps[None]:
    while not core.halted and not core.out_of_patience and not queue.done:
        if planner.is_due(core.monotonic()):
            yield from plan(core, open_hours=planner.open_hours)
        token = queue.begin_claim()
        if token is not None:
            yield from _claim(core, queue, token)
        lane = queue.take()
        if lane is None:
            yield from _settle(core, queue, queue.results_to_settle(all_of_them=True))
            if not queue.done:
                yield Sleep(_IDLE_SECONDS)
            continue
        try:
            yield from _send_lane(core, queue, lane)
        finally:
            queue.finish()
        yield from _settle(core, queue, queue.results_to_settle())


def _claim(core: Core, queue: WorkQueue, token: int) -> Steps[None]:
    options = core.options
    ahead = int(core.pace.rate * _SECONDS_AHEAD)
    most = max(options.connections, min(options.connections * _PUSHES_A_CONNECTION, ahead))
    lanes: list[Lane] | None = None
    deadline = core.clocks.deadline(core.lease_seconds)
    try:
        pushes = yield from core.ask(
            calls.claim_pushes(
                options.biller_name, core.worker, max_pushes=most, lease=options.lease, now=core.now
            )
        )
        by_lane: dict[tuple[str, str], list[ClaimedPush]] = {}
        for push in pushes:
            by_lane.setdefault((push.customer, push.event_name), []).append(push)
        lanes = [Lane(of_lane, deadline) for of_lane in by_lane.values()]
    finally:
        queue.end_claim(token, lanes)


def _send_lane(core: Core, queue: WorkQueue, lane: Lane) -> Steps[None]:
    """Send a lane's pushes in order. After the first that stays unsettled, return the rest."""
    for position, push in enumerate(lane.pushes):
        if not (yield from _may_send(core, push, lane.deadline)):
            _give_back(queue, lane.pushes[position:], "not sent: the time was over")
            return
        outcome = yield from _send(core, push)
        queue.add_result(push, outcome)
        if outcome.result in ("unknown", "not_applied"):
            _give_back(queue, lane.pushes[position + 1 :], "not sent: the one before it is not settled")
            return


def _may_send(core: Core, push: ClaimedPush, deadline: Deadline) -> Steps[bool]:
    """Wait for a slot, then check that this process still holds the push.

    The journal is checked first, because the clocks of a paused machine stop; then this machine's clocks,
    because the journal's answer may have been late.
    """
    if not (yield from core.wait_for_slot(deadline)):
        return False
    is_ours = yield from core.ask(
        calls.confirm_push(
            core.options.biller_name,
            core.worker,
            push.identifier,
            push.attempt,
            margin=timedelta(seconds=core.call_seconds),
            now=core.now,
        )
    )
    return is_ours and not deadline.has_passed()


def _send(core: Core, push: ClaimedPush) -> Steps[Outcome]:
    began = core.monotonic()
    call = core.progress.begin()
    try:
        core.check_biller()
        outcome: Outcome = yield Send(push)
        if not isinstance(outcome, Outcome) or outcome.result not in get_args(Result):
            raise TypeError(f"send() has returned {outcome!r:.200}")
    except BillerRefused as error:  # the key is gone: nothing was sent
        outcome = Outcome("not_applied", str(error), refused=True)
    except Exception as error:  # a mistake in the biller's class: the call may have been made
        outcome = Outcome("unknown", redact(f"{type(error).__name__}: {error}"))
        core.tell(f"sending failed: {outcome.error}")
    core.progress.end(
        call,
        progress=outcome.result in ("delivered", "rejected"),
        unreachable=outcome.unreachable,
        error=outcome.error,
    )
    if outcome.refused:
        core.refuse(outcome.error)
        outcome = replace(outcome, retry_after=0.0)  # it is as due as it was
    elif outcome.throttled:
        core.pace.slow_down(outcome.retry_after)
    elif outcome.unreachable:
        core.pace.went_wrong(core.options.connections)
    else:
        core.pace.went_well()
    for observer in core.everyone:
        observer.sent(outcome, core.monotonic() - began)
    log.debug("%s: %s %s", push.identifier, outcome.result, outcome.error or "")
    return outcome


def _give_back(queue: WorkQueue, pushes: Sequence[ClaimedPush], why: str) -> None:
    """Return pushes that were claimed and not sent. They stay due."""
    for push in pushes:
        queue.add_result(push, Outcome("not_applied", why, retry_after=0.0))


def _settle(core: Core, queue: WorkQueue, batch: list[dict[str, Any]]) -> Steps[None]:
    if not batch:
        return
    rows: Sequence[SettledPush] | None = None
    try:
        rows = yield from core.ask(
            calls.settle_pushes(core.options.biller_name, core.worker, batch, now=core.now)
        )
    finally:
        queue.settled(batch, rows)
