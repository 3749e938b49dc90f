"""What ``pymeter report`` shows while it works and at its end: a status line, tables, or lines of JSON."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from pymeter.cli.output import bad, counted, good, moment, number, print_json, stderr, stdout, table
from pymeter.models import PushStatus, Reconciliation
from pymeter.report.biller import Outcome
from pymeter.report.observing import Observer, Summary, Tally, Waiting
from pymeter.secrets import redact
from pymeter.visible import visible

_REFRESH_A_SECOND = 8
_MEANING = {
    "unmapped": "has no customer or event name: not reported",
    "unplanned": "waits for the next run",
    "planned": "waits to be sent",
    "sending": "is being sent, or waits for another reporter",
    "delivered": "the biller has it",
    "resolved": "found in the biller's totals",
    "rejected": "the biller refused it: mend it, then report retry",
    "uncertain": "outcome unknown: totals or report resolve decide",
    "held": "needs a decision: report retry or leave",
    "left": "not sent: by a rule or report leave",
    "replaced": "another push replaces it",
}
_WARN = {"rejected": "red", "uncertain": "red", "held": "yellow", "unmapped": "yellow"}


def status_table(rows: Sequence[PushStatus], *, of_statements: bool = False) -> Table:
    """How much of which metric is in which state, and what that means; of statements, of which currency."""
    what, quantity = ("currency", "minor units") if of_statements else ("metric", "quantity")
    numbers = ("pushes", quantity)
    result = table(what, "state", *numbers, "oldest (UTC)", "meaning", numbers=numbers)
    for row in rows:
        style = _WARN.get(row.state, "") if row.pushes else "dim"
        result.add_row(
            Text(row.metric or "", style=style),
            Text(row.state, style=style),
            number(row.pushes),
            number(row.quantity),
            moment(row.oldest),
            Text(_MEANING.get(row.state, ""), style="dim"),
        )
    return result


class Troubles(Observer):
    """Shows what goes wrong, and keeps it."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def trouble(self, message: str) -> None:
        self.messages.append(message)
        stderr().print(Text.assemble(("warning: ", "yellow"), visible(redact(message))), soft_wrap=True)


class Display(Tally):
    """A status line on a terminal; without one, a line for every round of --watch. A context manager."""

    def __init__(self, biller: str, *, watching: bool, as_json: bool) -> None:
        super().__init__()
        self._biller = biller
        self._watching = watching
        self._as_json = as_json
        self._began = self._asked_at = time.monotonic()
        self._calls_before = 0
        self._rate = 0.0
        self._rows: Sequence[PushStatus] = ()
        self._drift: Sequence[Reconciliation] = ()
        self._console = stderr()
        self._live: Live | None = None
        self._printing = threading.Lock()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            spinner = Spinner("dots", style="cyan")
            self._live = Live(
                get_renderable=lambda: self._line(spinner),
                console=self._console,
                refresh_per_second=_REFRESH_A_SECOND,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def _line(self, spinner: Spinner) -> Spinner:
        now = time.monotonic()
        if now - self._asked_at >= 1:
            self._rate = (self.calls - self._calls_before) / (now - self._asked_at)
            self._asked_at, self._calls_before = now, self.calls
        parts = [f"{self._biller}: {number(self.delivered)} delivered", f"{self._rate:.0f}/s"]
        parts += [f"{number(count)} {name}" for name, count in self._bad_counts() if count]
        parts += [f"{number(n)} {state}" for state, n in _pushes(self._rows).items() if n and _of_note(state)]
        if self._drift:
            parts.append(f"{number(len(self._drift))} totals differ")
        spinner.update(text=Text(" · ".join(parts)))
        return spinner

    def _bad_counts(self) -> list[tuple[str, int]]:
        return [("refused", self.rejected), ("unanswered", self.unknown), ("throttled", self.throttled)]

    # --- as an observer -------------------------------------------------------------------------------------

    def trouble(self, message: str) -> None:
        super().trouble(message)
        with self._printing:
            self._console.print(
                Text.assemble(("warning: ", "yellow"), visible(redact(message))), soft_wrap=True
            )

    def sent(self, outcome: Outcome, seconds: float) -> None:
        super().sent(outcome, seconds)

    def status(self, rows: Sequence[PushStatus], drift: Sequence[Reconciliation]) -> None:
        self._rows, self._drift = rows, drift
        if not self._watching:
            return
        if self._as_json:
            with self._printing:
                print_json({"at": datetime.now(UTC), **self._as_dict(), "states": _states(rows)})
        elif self._live is None:
            counts = ", ".join(f"{number(n)} {state}" for state, n in _pushes(rows).items() if n)
            with self._printing:
                line = f"{moment(datetime.now(UTC))} {self._biller}: {number(self.calls)} calls; {counts}"
                self._console.print(Text(line), soft_wrap=True)

    def _as_dict(self) -> dict[str, Any]:
        names = ("rows_planned", "calls", "delivered", "duplicates", "rejected", "unknown", "not_applied")
        more = ("throttled", "found", "replaced", "failed", "ranges_compared", "ranges_different")
        counts = {name: getattr(self, name) for name in (*names, *more)}
        return {"biller": self._biller, **counts, "seconds_waited": round(self.seconds_waited, 3)}

    # --- the end --------------------------------------------------------------------------------------------

    def finish(self, summary: Summary, exit_status: int) -> None:
        """The summary."""
        seconds = round(summary.seconds, 3)
        if self._as_json:
            print_json(
                {
                    **({"final": True} if self._watching else {}),
                    **self._as_dict(),
                    "seconds": seconds,
                    "exit_status": exit_status,
                    "gave_up": summary.gave_up,
                    "waiting": {
                        "pushes": summary.waiting.pushes,
                        "first_at": summary.waiting.first_at,
                        "last_at": summary.waiting.last_at,
                    },
                    "states": _states(summary.status),
                }
            )
            return
        stdout().print(
            status_table([row for row in summary.status if row.pushes or row.state == "delivered"])
        )
        line = f"{counted(self.calls, 'call')} in {summary.seconds:.1f} s: {number(self.delivered)} delivered"
        for name, count in [
            *self._bad_counts(),
            ("found in totals", self.found),
            ("replaced", self.replaced),
        ]:
            line += f", {number(count)} {name}" if count else ""
        line += ", gave up" if summary.gave_up else ""
        stdout().print((bad if summary.exit_status else good)(line))
        if waits := waiting_line(summary.waiting):
            stdout().print(bad(waits))
        for row in self._drift[:5]:
            what = f"{row.customer}, {row.event_name}, {moment(row.range_start)} ({row.step})"
            stdout().print(bad(f"{what}: the biller has {number(row.remote)}, delivered {number(row.local)}"))


def waiting_line(waiting: Waiting) -> str | None:
    """How many pushes wait, and until when."""
    if not waiting.pushes:
        return None
    line = f"{number(waiting.pushes)} {'waits' if waiting.pushes == 1 else 'wait'} to be sent"
    if waiting.first_at is None or waiting.last_at is None:
        return f"{line}: by the next run"
    first, last = (moment(at.replace(microsecond=0)) for at in (waiting.first_at, waiting.last_at))
    return f"{line} again: the first after {first} UTC" + (
        f", the last after {last} UTC" if last != first else ""
    )


def _of_note(state: str) -> bool:
    return state not in ("delivered", "resolved", "replaced", "left")


def _pushes(rows: Sequence[PushStatus]) -> dict[str, int]:
    """By state, of all metrics."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.state] = counts.get(row.state, 0) + row.pushes
    return counts


def _states(rows: Sequence[PushStatus]) -> dict[str, Any]:
    """By state. Of several metrics ``quantity`` is null, as they are not added; ``quantities`` has each."""
    states: dict[str, Any] = {}
    for state, pushes in _pushes(rows).items():
        here = [row for row in rows if row.state == state]
        quantities = {row.metric: row.quantity for row in here if row.pushes and row.metric}
        states[state] = {
            "pushes": pushes,
            "quantity": Decimal(0) if not quantities else None,
            "oldest": min((row.oldest for row in here if row.oldest), default=None),
            "quantities": quantities,
        }
        if len(quantities) == 1:
            (states[state]["quantity"],) = quantities.values()
    return states
