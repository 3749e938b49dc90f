"""What the reporter asks of the outside, apart from how it is done.

All of the reporter's work is written once, as generators that yield these requests and get the answers back.
The two reporters differ in how they answer: with blocking calls and threads, or with coroutines and tasks.
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
    """Ask the biller what it has counted; the answer is a list of Totals."""

    customer: str
    event_name: str
    since: datetime
    until: datetime
    step: Step


@dataclass(frozen=True, slots=True)
class AskCountingSince:
    """Ask the biller since when it has counted under an event name; the answer is a time, or None."""

    event_name: str


@dataclass(frozen=True, slots=True)
class AskFailures:
    """Ask the biller what has failed after it was accepted; the answer is a list of Failures."""

    since: datetime


@dataclass(frozen=True, slots=True)
class AskFailure:
    """Ask the biller for one report of failures; the answer is a Failure or None."""

    event_id: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait, but no longer than until the reporter is told to stop. No answer."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Together:
    """Do all of this at the same time, and wait until all have ended; the first error is raised then."""

    parts: tuple[Generator[Request, Any, None], ...]


Request: TypeAlias = Ask | Send | AskTotals | AskCountingSince | AskFailures | AskFailure | Sleep | Together
Steps: TypeAlias = Generator[Request, Any, T]
