"""What a biller has to offer, and what can become of a call to it."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol, runtime_checkable

Result = Literal["delivered", "rejected", "unknown", "not_applied"]
Step = Literal["hour", "day"]


class Sendable(Protocol):
    """What is sent of a push. It never changes: every attempt sends exactly this."""

    @property
    def identifier(self) -> str: ...
    @property
    def customer(self) -> str: ...
    @property
    def event_name(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def stamped_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt came to.

    ``delivered``    the biller has it, now or from an earlier attempt
    ``rejected``     the biller will never take it; ``error`` says why
    ``unknown``      it may or may not have been counted: no answer, or an answer that does not say
    ``not_applied``  it was certainly not counted, and may be sent again
    """

    result: Result
    error: str | None = None
    duplicate: bool = False
    """It had been counted by an earlier attempt."""
    throttled: bool = False
    """The biller asks for fewer calls: every connection slows down."""
    retry_after: float | None = None
    """Seconds that the biller asks to wait."""
    refused: bool = False
    """The key is not good for this: there is no point in sending anything."""
    unreachable: bool = False
    """Nobody answered, or only an outage did."""


@dataclass(frozen=True, slots=True)
class Total:
    """What the biller has counted for one customer and meter in [start, end)."""

    start: datetime
    end: datetime
    value: Decimal


@dataclass(frozen=True, slots=True)
class Failure:
    """What the biller could not count after it had accepted it."""

    event_id: str
    event_name: str | None
    """The meter's event name; None when the biller does not say which meter it was."""
    since: datetime
    until: datetime
    """When the failed calls were received: [since, until)."""
    samples: Sequence[tuple[str, str]]
    """(code, identifier) of those it names; there may be more that it does not."""
    codes: Sequence[str]
    """Every reason it gives, also those without a sample."""


class BillerError(Exception):
    """The biller could not be asked. ``hint`` says what to do; the text holds no secret."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class BillerRefused(BillerError):
    """There is no key, or the biller does not accept it. Nothing was marked as sent."""


class BillerUnavailable(BillerError):
    """No answer, an outage, or too many calls: try again later."""


@runtime_checkable
class Biller(Protocol):
    """A biller, called from several threads at once. :class:`~pymeter.report.StripeBiller` is one.

    One that bills nobody has an attribute ``test_mode`` that is True: a rehearsal calls no other.
    """

    @property
    def rate(self) -> float:
        """Calls a second that it allows, in all."""
        ...

    @property
    def timeout(self) -> float:
        """Seconds after which `send` gives up."""
        ...

    def check(self) -> None:
        """Raise :class:`BillerRefused` when it cannot be used at all (no key). No I/O."""
        ...

    def send(self, push: Sendable) -> Outcome:
        """Send one push, once. It never raises for what the network or the biller do."""
        ...

    def totals(
        self, customer: str, event_name: str, since: datetime, until: datetime, step: Step
    ) -> Sequence[Total]:
        """What it has counted, by hour or day; where nothing is listed, nothing was counted."""
        ...

    # A biller may also have counting_since(event_name) -> datetime | None: since when it has counted under
    # that name. What was sent earlier is then never taken for missing from its totals.

    def failures(self, since: datetime) -> Sequence[Failure]:
        """What failed after it was accepted, since a time."""
        ...

    def failure(self, event_id: str) -> Failure | None:
        """The report of that id; None when it is about something else."""
        ...


class AsyncBiller(Protocol):
    """A biller whose calls are coroutines. An AsyncReporter takes either kind."""

    @property
    def rate(self) -> float: ...
    @property
    def timeout(self) -> float: ...
    def check(self) -> None: ...
    def send(self, push: Sendable) -> Awaitable[Outcome]: ...
    def totals(
        self, customer: str, event_name: str, since: datetime, until: datetime, step: Step
    ) -> Awaitable[Sequence[Total]]: ...
    def failures(self, since: datetime) -> Awaitable[Sequence[Failure]]: ...
    def failure(self, event_id: str) -> Awaitable[Failure | None]: ...
