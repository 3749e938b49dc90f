"""The I/O requests of the reporter, independent of how they are executed.

The reporter's logic is written once, as generators that yield these requests and receive the answers. The
two reporters execute them differently: with blocking calls and threads, or with coroutines and tasks.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from pymeter.calls import Call
from pymeter.report.biller import Sendable, Step

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ask:
    """Call the database; the answer is the call's result."""

    call: Call[Any]


@dataclass(frozen=True, slots=True)
class Send:
    """Send one push; the answer is an Outcome."""

    push: Sendable


@dataclass(frozen=True, slots=True)
class AskTotals:
    """Fetch the biller's totals; the answer is a list of Totals."""

    customer: str
    event_name: str
    since: datetime
    until: datetime
    step: Step


@dataclass(frozen=True, slots=True)
class AskCountingSince:
    """Fetch when the biller began to count under an event name; the answer is a time or None."""

    event_name: str


@dataclass(frozen=True, slots=True)
class AskFailures:
    """Fetch the reports of failures; the answer is a list of Failures."""

    since: datetime


@dataclass(frozen=True, slots=True)
class AskFailure:
    """Fetch one report of failures; the answer is a Failure or None."""

    event_id: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait until the time has passed or the reporter stops. No answer."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Together:
    """Run all parts concurrently and wait for all of them; then raise the first error."""

    parts: tuple[Generator[Request, Any, None], ...]


Request: TypeAlias = Ask | Send | AskTotals | AskCountingSince | AskFailures | AskFailure | Sleep | Together
Steps: TypeAlias = Generator[Request, Any, T]
