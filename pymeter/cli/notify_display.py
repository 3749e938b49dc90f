"""What ``pymeter notify`` shows while it works and at its end: lines for people, or lines of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from pymeter.cli.output import bad, counted, good, moment, note, number, print_json, stderr, stdout
from pymeter.cli.visible import visible
from pymeter.models import BudgetRound, ClaimedDelivery, EndpointStatus
from pymeter.notify.observing import Observer
from pymeter.notify.options import Result, Summary


@dataclass(frozen=True)
class Left:
    """What is still to be sent, and when the first of it is due."""

    deliveries: int
    next_at: datetime | None


class Display(Observer):
    """Warnings as they come; with --watch, also a line a minute in which something happened."""

    def __init__(self, *, watching: bool, as_json: bool) -> None:
        self._watching = watching
        self._as_json = as_json
        self._outcomes = {"delivered": 0, "failed": 0, "gone": 0}
        self._given_up = 0
        self._planned = 0
        self._spikes = 0
        self._budgets = 0
        self._projected = 0
        self._shown: tuple[int, ...] = ()

    def planned(self, notifications: int) -> None:
        self._planned += notifications

    def sent(self, delivery: ClaimedDelivery, result: Result, seconds: float) -> None:
        self._outcomes[result.outcome] = self._outcomes.get(result.outcome, 0) + 1

    def given_up(self, deliveries: int) -> None:
        self._given_up += deliveries

    def spikes(self, found: int) -> None:
        self._spikes += found

    def budgets(self, found: BudgetRound) -> None:
        self._budgets += found.approaching + found.exceeded

    def projected_marks(self, fired: int) -> None:
        self._projected += fired

    def trouble(self, message: str) -> None:
        stderr().print(Text(visible(message), style="yellow"), soft_wrap=True)

    def status(self, endpoints: Sequence[EndpointStatus]) -> None:
        left = sum(one.open_deliveries for one in endpoints)
        dead = sum(one.dead_deliveries for one in endpoints)
        if not self._watching:
            return
        if self._as_json:
            states = [
                {
                    "endpoint": one.name,
                    "open": one.open_deliveries,
                    "dead": one.dead_deliveries,
                    "oldest_open_at": one.oldest_open_at,
                    "failing_since": one.failing_since,
                    "disabled_at": one.disabled_at,
                }
                for one in endpoints
            ]
            print_json({"at": datetime.now(UTC), **self._counts(), "endpoints": states})
            return
        shown = (*self._outcomes.values(), left, dead)
        if shown != self._shown:
            self._shown = shown
            parts = [f"{number(self._outcomes['delivered'])} delivered"]
            failed = self._outcomes["failed"] + self._outcomes["gone"]
            parts += [f"{counted(failed, 'attempt')} failed"] if failed else []
            parts += [f"{number(left)} still to send"] if left else []
            parts += [f"{number(dead)} given up"] if dead else []
            at = moment(datetime.now(UTC).replace(microsecond=0))
            stderr().print(Text(f"{at} {', '.join(parts)}"), soft_wrap=True)

    def _counts(self) -> dict[str, Any]:
        return {
            "delivered": self._outcomes["delivered"],
            "failed": self._outcomes["failed"] + self._outcomes["gone"],
            "dead": self._given_up,
            "planned": self._planned,
            "spikes": self._spikes,
            "budgets": self._budgets,
            "projected_marks": self._projected,
        }

    def finish(self, summary: Summary, exit_status: int, left: Left | None) -> None:
        """The summary. `left` is None where it is not known."""
        if self._as_json:
            final = {"final": True} if self._watching else {}
            seconds = {"seconds": round(summary.seconds, 3), "exit_status": exit_status}
            open_ = {} if left is None else {"open": left.deliveries, "next_attempt_at": left.next_at}
            print_json({**final, **self._counts(), **open_, **seconds})
            return
        line = f"{number(summary.delivered)} delivered in {summary.seconds:.1f} s"
        if left is not None and left.deliveries:
            line += f"; {number(left.deliveries)} still to send"
            line += (
                "" if left.next_at is None else f", next at {moment(left.next_at.replace(microsecond=0))} UTC"
            )
        line += f"; {counted(summary.spikes, 'spike')} found" if summary.spikes else ""
        line += f"; {counted(summary.budgets, 'mark')} of budgets reached" if summary.budgets else ""
        marks = summary.projected_marks
        line += f"; {counted(marks, 'mark')} expected to be reached" if marks else ""
        if not summary.exit_status:
            stdout().print(good(line))
            return
        dead = f", {number(summary.dead)} given up" if summary.dead else ""
        stdout().print(bad(f"{line}; {counted(summary.failed, 'attempt')} failed{dead}"))
        stdout().print(note("why, and when they are sent again: pymeter deliveries"))
