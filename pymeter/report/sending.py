"""Send the pushes of a lane, one after another. One task of these is one connection to the biller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import get_args

from anyio.streams.memory import MemoryObjectReceiveStream

from pymeter import calls
from pymeter.models import ClaimedPush
from pymeter.report.biller import BillerRefused, Outcome, Result
from pymeter.report.clocks import Deadline
from pymeter.report.core import Caller, Core, log
from pymeter.report.delivery import Lane, result_of
from pymeter.report.settling import SETTLE_NOW, Results
from pymeter.secrets import redact


async def send_lanes(core: Core, queue: MemoryObjectReceiveStream[Lane], results: Results) -> None:
    """Send lanes until the queue ends. After a stop or an error, return those that are left unsent."""
    with queue, results:
        async for lane in queue:
            with core.failing():
                await _send_lane(core, lane, results)
            queued = queue.statistics()
            if not (queued.current_buffer_used or queued.tasks_waiting_send):
                await results.send(SETTLE_NOW)


async def _send_lane(core: Core, lane: Lane, results: Results) -> None:
    """Send a lane's pushes in order. After the first that stays unsettled, return the rest."""
    for position, push in enumerate(lane.pushes):
        outcome = await _send(core, push, lane.deadline)
        if outcome is None:
            why = "the reporter was stopped" if core.halted else "the time was over"
            await _give_back(lane.pushes[position:], results, f"not sent: {why}")
            return
        await results.send(result_of(push, outcome))
        if outcome.result in ("unknown", "not_applied"):
            rest = lane.pushes[position + 1 :]
            await _give_back(rest, results, "not sent: the one before it is not settled")
            return


async def _give_back(pushes: Sequence[ClaimedPush], results: Results, why: str) -> None:
    """Return pushes that were claimed and not sent. They stay due."""
    for push in pushes:
        await results.send(result_of(push, Outcome("not_applied", why, retry_after=0.0)))


async def _send(core: Core, push: ClaimedPush, deadline: Deadline) -> Outcome | None:
    """Wait for a slot and make one attempt. None: it may not be sent by this process any more."""
    if not await core.wait_for_slot(deadline):
        return None
    # The biller's errors are answers: what is tried again is the question to the journal.
    attempt = await core.retry(
        "confirm_push", partial(core.call_in_turn, partial(_attempt, core, push, deadline))
    )
    if attempt is None:
        return None
    outcome = _outcome(core, attempt.answer)
    core.progress.end(
        attempt.call,
        progress=outcome.result in ("delivered", "rejected"),
        unreachable=outcome.unreachable,
        error=outcome.error,
    )
    outcome = _adapt(core, outcome)
    for observer in core.everyone:
        observer.sent(outcome, attempt.seconds)
    log.debug("%s: %s %s", push.identifier, outcome.result, outcome.error or "")
    return outcome


@dataclass(frozen=True)
class _Attempt:
    """A call that was made."""

    call: object
    """Its token of `Progress`."""
    answer: object
    """What `send` has returned, or its error."""
    seconds: float


async def _attempt(core: Core, push: ClaimedPush, deadline: Deadline, call: Caller) -> _Attempt | None:
    """Check that this process still holds the push, and send it. May run in a thread.

    The journal is checked first, because the clocks of a paused machine stop; then this machine's clocks,
    because the journal's answer may have been late.
    """
    confirm = calls.confirm_push(
        core.options.biller_name,
        core.worker,
        push.identifier,
        push.attempt,
        margin=timedelta(seconds=core.call_seconds),
        now=core.now,
    )
    if not await call(core.meter._run, confirm) or deadline.has_passed():
        return None
    began, token = core.monotonic(), core.progress.begin()
    answer: object
    try:
        core.check_biller()
        answer = await call(core.biller.send, push)
    except Exception as error:
        answer = error
    return _Attempt(token, answer, core.monotonic() - began)


def _outcome(core: Core, answer: object) -> Outcome:
    """What an answer of the biller's class means; a mistake in that class proves nothing."""
    if isinstance(answer, BillerRefused):  # the key is gone: nothing was sent
        return Outcome("not_applied", str(answer), refused=True)
    if isinstance(answer, Outcome) and answer.result in get_args(Result):
        return answer
    if not isinstance(answer, Exception):
        answer = TypeError(f"send() has returned {answer!r:.200}")
    outcome = Outcome("unknown", redact(f"{type(answer).__name__}: {answer}"))
    core.tell(f"sending failed: {outcome.error}")
    return outcome


def _adapt(core: Core, outcome: Outcome) -> Outcome:
    """Adapt the pace of all connections; end the run if the key is refused."""
    if outcome.refused:
        core.refuse(outcome.error)
        return replace(outcome, retry_after=0.0)  # it is as due as it was
    if outcome.throttled:
        core.pace.slow_down(outcome.retry_after)
    elif outcome.unreachable:
        core.pace.went_wrong(core.options.connections)
    else:
        core.pace.went_well()
    return outcome
