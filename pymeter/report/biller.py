"""The interface of a biller, and the outcomes of its calls."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol, runtime_checkable

Result = Literal["delivered", "rejected", "unknown", "not_applied"]
Step = Literal["hour", "day"]


class Sendable(Protocol):
    """The part of a push that is sent. It never changes: every attempt sends the same."""

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

    # Of an invoice item; None for usage.
    @property
    def statement_id(self) -> int | None: ...
    @property
    def line(self) -> int | None: ...
    @property
    def description(self) -> str | None: ...
    @property
    def since(self) -> datetime | None: ...
    @property
    def until(self) -> datetime | None: ...
    @property
    def statement_hash(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one attempt.

    ``delivered``    the biller has the push, from this attempt or an earlier one
    ``rejected``     the biller will never accept it; ``error`` has the reason
    ``unknown``      it may or may not have been counted: no answer, or an unclear one
    ``not_applied``  it was not counted, and can be sent again
    """

    result: Result
    error: str | None = None
    duplicate: bool = False
    """Whether an earlier attempt had already been counted."""
    throttled: bool = False
    """Whether the biller asks for fewer calls: every connection then slows down."""
    retry_after: float | None = None
    """The seconds to wait, as requested by the biller."""
    refused: bool = False
    """Whether the key was refused: sending stops."""
    unreachable: bool = False
    """Whether there was no answer, or only a server error."""
    replayed: bool = False
    """Whether it repeats what an earlier attempt was answered, so that trying again tells nothing new."""


@dataclass(frozen=True, slots=True)
class Total:
    """The biller's total for one customer and meter in [start, end)."""

    start: datetime
    end: datetime
    value: Decimal
    identifiers: frozenset[str] | None = None
    """Those of the pushes in it, if the biller lists them: then they decide, and not the value."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A report of pushes that the biller accepted and could not count."""

    event_id: str
    event_name: str | None
    """The meter's event name; None when the report does not name the meter."""
    since: datetime
    until: datetime
    """When the failed calls were received: [since, until)."""
    samples: Sequence[tuple[str, str]]
    """(code, identifier) of the pushes that the report names; more may have failed."""
    codes: Sequence[str]
    """Every error code in the report, also those without a sample."""


class BillerError(Exception):
    """A call to the biller failed. ``hint`` has the fix; the text contains no secret."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class BillerRefused(BillerError):
    """The key is missing, or the biller refuses it. Nothing was marked as sent."""


class BillerUnavailable(BillerError):
    """No answer, an outage, or too many calls. Try again later."""


@runtime_checkable
class Biller(Protocol):
    """A biller, called from several threads at once: StripeBiller, OpenMeterBiller, or one of your own.

    A biller that bills nobody has an attribute ``test_mode`` that is True. Rehearsals accept no other. One
    with an attribute ``adapter`` is refused under a name that begins with another adapter's.
    """

    @property
    def rate(self) -> float:
        """The calls a second that it allows in total."""
        ...

    @property
    def timeout(self) -> float:
        """The seconds after which `send` gives up."""
        ...

    def check(self) -> None:
        """Raise :class:`BillerRefused` when it cannot be used, for example without a key. Does no I/O."""
        ...

    def send(self, push: Sendable) -> Outcome:
        """Send one push, once. Errors of the network and the biller are outcomes, not exceptions."""
        ...

    def totals(
        self, customer: str, event_name: str, since: datetime, until: datetime, step: Step
    ) -> Sequence[Total]:
        """Return the totals by hour or day. An interval that is not listed has no usage."""
        ...

    # Optional: counting_since(event_name) -> datetime | None, when the biller began to count under that name.
    # Pushes that were sent earlier are then not expected in its totals.

    def failures(self, since: datetime) -> Sequence[Failure]:
        """Return the reports of failures since a time."""
        ...

    def failure(self, event_id: str) -> Failure | None:
        """Return the report of that id; None when it is not about meters."""
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
