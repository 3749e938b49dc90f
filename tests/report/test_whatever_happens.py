"""P10: whatever happens in whatever order, each unit of usage reaches the biller exactly once.

The biller is thirty lines of Python that behave as one does: an identifier counts once while it is
remembered, which is a day; later, it would count again. Each example has names of its own in one database.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import Phase, given, note
from hypothesis import strategies as st

from tests.helpers import Ledger, examples
from tests.report.conftest import DAY, HOUR, MINUTE, Journal

pytestmark = pytest.mark.at_length

_examples = count(1)
# A seed does not get simpler; the steps of one that fails are noted.
_profile = examples(12, 40, phases=[Phase.generate])


class Double:
    """A biller, and all that it has counted."""

    def __init__(self) -> None:
        self.seen: dict[str, datetime] = {}
        self.totals: dict[tuple[str, str, datetime], Decimal] = defaultdict(Decimal)

    def receive(self, push: Any, now: datetime) -> None:
        if push.identifier in self.seen and now - self.seen[push.identifier] < DAY:
            return
        self.seen[push.identifier] = now
        hour = push.stamped_at.replace(minute=0, second=0, microsecond=0)
        self.totals[push.customer, push.event_name, hour] += Decimal(push.value)


class Run:
    """One example: a journal, a biller, two workers, and what they hold in their hands."""

    def __init__(self, ledger: Ledger, clock: datetime) -> None:
        self.journal = Journal(ledger, clock)
        self.begun = clock
        self.number = next(_examples)
        self.double = Double()
        self.held: list[tuple[str, Any]] = []
        self.used: dict[str, Decimal] = defaultdict(Decimal)
        self.modes: dict[str, str] = {}
        for subject in "ab":
            self.route(subject, "1")
        ledger.define(self.name("sum"), "sum")
        ledger.define(self.name("count"), "count", striped=True)
        self.mode("sum", "delta")
        self.mode("count", "event")

    def name(self, part: str) -> str:
        return f"{part}-{self.number}"

    def route(self, subject: str, customer: str | None) -> None:
        to = customer and self.name(f"cus-{subject}-{customer}")
        self.journal.customer(self.name(subject), to)

    def again(self, subject: str) -> None:
        """A customer who goes and comes back: all that is not reported is queued again, and no more."""
        self.route(subject, None)
        self.plan(True, 10000)
        self.route(subject, "1")

    def mode(self, metric: str, mode: str) -> None:
        self.modes[metric] = mode
        self.journal.map(self.name(metric), self.name(metric), mode)

    def off(self, metric: str) -> None:
        self.journal.map(self.name(metric), None)

    def record(self, subject: str, metric: str, quantity: Decimal, hours: int, key: str | None) -> None:
        event = {
            "subject": self.name(subject),
            "metric": self.name(metric),
            "quantity": quantity,
            # The clock here jumps days ahead of the real one, which events may not lie ahead of.
            "at": self.begun - hours * HOUR,
            "idempotency_key": key,
        }
        if key is None or quantity > 3:
            outcome = self.journal.ledger.record(**event).outcome
        else:
            outcome = self.journal.ledger.batch([event])[0].outcome
        if outcome == "recorded":
            self.used[event["subject"], event["metric"]] += quantity

    def plan(self, open_hours: bool, max_rows: int) -> None:
        self.journal.plan(open_hours=open_hours, max_rows=max_rows)

    def claim(self, worker: str, max_pushes: int) -> None:
        claimed = self.journal.claim(max_pushes, worker=worker)
        now = {(w, c.customer, c.event_name) for w, c in self.held if self.leased(c)}
        assert not {(c.customer, c.event_name) for c in claimed} & {(cus, ev) for _, cus, ev in now}
        self.held += [(worker, c) for c in claimed]

    def leased(self, claimed: Any) -> bool:
        """Whether it is still to be sent by who holds it."""
        if claimed.leased_until <= self.journal.now:
            return False
        (push,) = self.journal.ledger.rows(
            "SELECT state, attempts FROM meter.pushes WHERE push_id = %s", [claimed.push_id]
        )
        return (push.state, push.attempts) == ("sending", claimed.attempt)

    def answer(self, position: int, outcome: str, reaches: bool) -> None:
        """One of those in hand is sent, or not, and its outcome is told; late answers are told too."""
        if not self.held:
            return
        _, claimed = self.held.pop(position % len(self.held))
        if not self.leased(claimed):
            # A worker sends nothing after its lease; it may still tell what it knows: nothing.
            self.journal.settle([claimed], "unknown")
            return
        if outcome == "delivered" or (outcome == "unknown" and reaches):
            self.double.receive(claimed, self.journal.now)
        self.journal.settle([claimed], outcome)

    def work(self, outcomes: list[tuple[str, bool]]) -> None:
        """A worker's round: plan, claim, send one after another, with whatever outcomes."""
        self.plan(True, 10000)
        self.claim("w1", len(outcomes))
        for outcome, reaches in outcomes:
            self.answer(len(self.held) - 1, outcome, reaches)

    def forget(self) -> None:
        """The workers are killed: what was in their hands may have been sent, or not."""
        for number, (_, claimed) in enumerate(self.held):
            if number % 2 and self.leased(claimed):
                self.double.receive(claimed, self.journal.now)
        self.held.clear()

    def look_up(self) -> None:
        for hour in self.journal.uncertain():
            self.journal.settle_hour(
                self.double.totals[hour.customer, hour.event_name, hour.hour],
                hour.hour,
                customer=hour.customer,
                event_name=hour.event_name,
                delivered_total=hour.delivered_total,
            )

    def jump(self, span: timedelta) -> None:
        self.journal.now += span

    def finish(self, mode: str | None = "delta") -> None:
        """The biller is well again, and a person looks after what is left; None: metrics keep their modes."""
        self.forget()
        for metric in ("sum", "count"):
            self.mode(metric, mode or self.modes[metric])
        for subject in "ab":
            self.route(subject, "1")
        for _ in range(8):
            while self.journal.plan():
                pass
            self.journal.retry()
            while claimed := self.journal.claim():
                for push in claimed:
                    self.double.receive(push, self.journal.now)
                self.journal.settle(claimed)
            self.look_up()
            self.jump(timedelta(hours=25))
        for push in self.journal.pushes(state="uncertain"):
            self.journal.ledger.call(
                "resolve_push", identifier=push.identifier, delivered=push.identifier in self.double.seen
            )
        self.journal.now += DAY
        while claimed := self.journal.claim():
            for push in claimed:
                self.double.receive(push, self.journal.now)
            self.journal.settle(claimed)

    def assert_reported_once(self) -> None:
        mine = [p for p in self.journal.pushes() if p.metric in (self.name("sum"), self.name("count"))]
        assert {p.state for p in mine} <= {"delivered", "resolved", "replaced"}
        told: dict[Any, Decimal] = defaultdict(Decimal)
        by_usage: dict[Any, Decimal] = defaultdict(Decimal)
        for push in mine:
            if push.state != "replaced":
                hour = push.stamped_at.replace(minute=0, second=0, microsecond=0)
                told[push.customer, push.event_name, hour] += push.value
                by_usage[push.subject, push.metric] += push.value
        assert {k: v for k, v in self.double.totals.items() if v} == {k: v for k, v in told.items() if v}
        assert {k: v for k, v in by_usage.items() if v} == {k: v for k, v in self.used.items() if v}


_SPANS = [MINUTE, 3 * MINUTE, 3 * MINUTE, HOUR, 22 * HOUR, 25 * HOUR]
_OUTCOMES = ["delivered", "unknown", "unknown", "not_applied", "rejected"]


def _steps(chance: random.Random) -> Iterator[tuple[str, Sequence[Any]]]:
    """Sixty steps, each a method of Run and its arguments, the usual ones more often."""
    pick = chance.choice
    for _ in range(60):
        name = pick(
            3 * ["record", "work"]
            + 2 * ["jump", "mode"]
            + ["plan", "claim", "answer", "look_up", "forget", "route", "again", "off"]
        )
        subject, metric, worker = pick("ab"), pick(["sum", "count"]), pick(["w1", "w2"])
        outcome, reaches = pick(_OUTCOMES), pick([True, False])
        arguments: dict[str, Sequence[Any]] = {
            "record": [
                subject,
                metric,
                Decimal(pick("012358")),
                pick([0, 1, 2]),
                pick([None, None, "k1", "k2"]),
            ],
            "work": [[(pick(_OUTCOMES), pick([True, False])) for _ in range(pick([1, 2, 5]))]],
            "jump": [pick(_SPANS)],
            "mode": [metric, pick(["delta", "event"])],
            "plan": [pick([True, False]), pick([1, 3, 10000])],
            "claim": [worker, pick([1, 3, 100])],
            "answer": [pick(range(10)), outcome, reaches],
            "route": [subject, pick([None, "1", "2"])],
            "again": [subject],
            "off": [metric],
        }
        yield name, arguments.get(name, [])


@_profile
@given(seed=st.integers(0, 2**32))
def test_p10_whatever_happens_each_unit_is_reported_once(ledger: Ledger, clock: datetime, seed: int) -> None:
    run = Run(ledger, clock)
    for name, arguments in _steps(random.Random(seed)):
        note(f"{name}({', '.join(map(str, arguments))})")
        getattr(run, name)(*arguments)
        run.journal.assert_balanced()
    run.finish()
    run.journal.assert_balanced()
    run.assert_reported_once()
