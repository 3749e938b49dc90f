"""report_status(): the quantities of all states are the usage, whatever is mapped, planned or dropped."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from itertools import count
from typing import Any

import psycopg
import pytest
from hypothesis import Phase, given, note
from hypothesis import strategies as st

from tests.helpers import Ledger, Task, examples
from tests.report.conftest import DAY, HOUR, Journal

pytestmark = pytest.mark.at_length

_examples = count(0)
_profile = examples(4, 12, phases=[Phase.generate])

# Aggregate, period, rollup, and the modes that it may be reported in.
METRICS: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "tokens": ("sum", "month", "hour", ("delta", "event", "last")),
    "daily": ("count", "day", "day", ("event", "last")),
    "monthly": ("sum", "month", "none", ("event",)),
    "weekly": ("sum", "week", "none", ("event",)),
    "yearly": ("count", "year", "none", ("event", "last")),
    "ever": ("sum", "never", "none", ("event",)),
    "minutes": ("count", "minute", "hour", ("delta", "event")),
    "peak": ("max", "hour", "day", ("delta", "last")),
    "users": ("unique", "day", "hour", ("delta", "last")),
    "seats": ("last", "month", "hour", ("last",)),
    "load": ("avg", "hour", "hour", ("last",)),
}
SUBJECTS = ("ann", "bob", "cus_3")
BILLERS = ("stripe", "second")
_ROUNDED = Context(prec=15, rounding=ROUND_HALF_UP)
_REFUSED = {"UM002", "22023"}


class Run:
    """One example, with names and months of its own in one database, and a list of what was recorded."""

    def __init__(self, ledger: Ledger, clock: datetime) -> None:
        self.journal = Journal(ledger, clock)
        self.number = next(_examples)
        self.events: dict[tuple[str, str], list[tuple[datetime, int, Decimal, str]]] = defaultdict(list)
        self.mapped: set[tuple[str, str]] = set()
        for key, (aggregate, period, rollup, _) in METRICS.items():
            ledger.define(self.name(key), aggregate, period=period, rollup=rollup)

    def name(self, part: str) -> str:
        return f"{part}-{self.number}"

    # --- steps ----------------------------------------------------------------------------------------------

    def record(self, subject: str, metric: str, quantity: int, when: tuple[int, int, int]) -> None:
        month, day, hour = when
        at = self.journal.now - timedelta(hours=hour)
        if month:
            at = datetime(1980 + self.number, month, day, hour, 30, tzinfo=UTC)
        aggregate = METRICS[metric][0]
        what: dict[str, Any] = {"member": f"m{quantity}"} if aggregate == "unique" else {"quantity": quantity}
        self.journal.ledger.call(
            "record", subject=self.name(subject), metric=self.name(metric), at=at, **what
        )
        found = self.events[subject, metric]
        found.append((at, len(found), Decimal(quantity), f"m{quantity}"))

    def map_metric(self, metric: str, biller: str, mode: str | None) -> None:
        if mode is None and (metric, biller) not in self.mapped:
            return
        refusal = Task(
            lambda: self.journal.map(
                self.name(metric), mode and self.name(metric), mode or "delta", biller=biller
            )
        ).error()
        if refusal is None:
            self.mapped.add((metric, biller))
        else:
            assert refusal.sqlstate in _REFUSED

    def map_subject(self, subject: str, biller: str, customer: str | None) -> None:
        to = customer and self.name(f"{customer}-{subject}")
        self.journal.customer(self.name(subject), to, biller=biller)

    def own_customers(self, biller: str, on: bool) -> None:
        self.journal.rules(biller, subject_is_customer=on)

    def plan(self, biller: str, max_rows: int, open_hours: bool) -> None:
        self.journal.plan(biller=biller, max_rows=max_rows, open_hours=open_hours)

    def send(self, biller: str, outcome: str) -> None:
        claimed = self.journal.claim(biller=biller)
        results = [{"push_id": c.push_id, "attempt": c.attempt, "outcome": outcome} for c in claimed]
        self.journal.ledger.call(
            "settle_pushes",
            biller=biller,
            worker=self.journal.worker,
            results=psycopg.types.json.Jsonb(results),
            now=self.journal.now,
        )

    def decide(self, biller: str, reason: str | None) -> None:
        if reason is None:
            self.journal.ledger.call("retry_pushes", biller=biller, now=self.journal.now)
        else:
            self.journal.ledger.call("leave_pushes", biller=biller, reason=reason, now=self.journal.now)

    def maintain(self, detach: bool) -> None:
        self.journal.ledger.maintain(keep="13 months", detach=detach)

    def drop_by_hand(self, month: int) -> None:
        """A DBA drops a partition, and asks nobody."""
        name = f"events_{1980 + self.number}_{month:02}"
        self.journal.ledger.execute(f"DROP TABLE IF EXISTS meter.{name}")

    def jump(self, span: timedelta) -> None:
        self.journal.now += span

    # --- the law --------------------------------------------------------------------------------------------

    def used(self, metric: str, mode: str) -> Decimal:
        """What there is to report of a metric, by the textbook."""
        aggregate, period, _, _ = METRICS[metric]
        total = Decimal(0)
        for subject in SUBJECTS:
            events = self.events[subject, metric]
            if mode != "last" and aggregate in ("sum", "count"):
                total += sum(quantity for _, _, quantity, _ in events)
                continue
            buckets: dict[Any, list[Any]] = defaultdict(list)
            for event in events:
                buckets[_bucket(period, event[0])].append(event)
            total += sum((_value(aggregate, found) for found in buckets.values()), Decimal(0))
        return total

    def assert_counted(self) -> None:
        modes = {
            (row.biller, row.metric): row.mode
            for row in self.journal.ledger.rows("TABLE meter.report_metrics")
        }
        for biller in BILLERS:
            status: dict[str, dict[str, Decimal]] = defaultdict(dict)
            for row in self.journal.ledger.call("report_status", biller=biller):
                if row.state != "replaced" and row.quantity:
                    status[row.metric][row.state] = row.quantity
            for metric in METRICS:
                key = self.name(metric)
                if (biller, key) in modes:
                    counted = sum(status[key].values(), Decimal(0))
                    assert counted == self.used(metric, modes[biller, key]), (biller, key, dict(status[key]))


def _bucket(period: str, at: datetime) -> Any:
    return {
        "minute": at.replace(second=0, microsecond=0),
        "hour": at.replace(minute=0, second=0, microsecond=0),
        "day": at.date(),
        "week": at.isocalendar()[:2],
        "month": (at.year, at.month),
        "year": at.year,
        "never": None,
    }[period]


def _value(aggregate: str, events: list[Any]) -> Decimal:
    quantities = [quantity for _, _, quantity, _ in events]
    total = sum(quantities, Decimal(0))
    return {
        "sum": total,
        "count": total,
        "avg": _ROUNDED.divide(total, Decimal(len(events))),
        "max": max(quantities),
        "unique": Decimal(len({member for *_, member in events})),
        "last": max(events)[2],
    }[aggregate]


def _steps(chance: random.Random) -> Iterator[tuple[str, list[Any]]]:
    """Each is a method of Run and its arguments. At first everything is mapped, or nothing is."""
    pick = chance.choice
    if pick([True, False]):
        for metric, (*_, modes) in METRICS.items():
            yield "map_metric", [metric, "stripe", pick(modes)]
        for subject in SUBJECTS:
            yield "map_subject", [subject, "stripe", pick([None, "1"])]
    for _ in range(70):
        name = pick(
            6 * ["record"]
            + 3 * ["map_metric", "plan"]
            + 2 * ["map_subject", "send", "maintain"]
            + ["own_customers", "decide", "jump", "drop_by_hand"]
        )
        metric, biller = pick(list(METRICS)), pick([*BILLERS, "stripe"])
        arguments: dict[str, list[Any]] = {
            "record": [
                pick(SUBJECTS),
                metric,
                pick([0, 1, 2, 3, 5, 7]),
                (pick([0, 1, 2, 2, 12]), pick([1, 15, 28]), pick([0, 1, 23])),
            ],
            "map_metric": [metric, biller, pick([None, *METRICS[metric][3], *METRICS[metric][3]])],
            "map_subject": [pick(SUBJECTS), biller, pick([None, "1", "1", "2"])],
            "own_customers": [biller, pick([True, False])],
            "plan": [biller, pick([1, 5, 10000]), pick([True, False])],
            "send": [biller, pick(["delivered", "delivered", "unknown", "rejected", "not_applied"])],
            "decide": [biller, pick([None, None, "too_old", "refused"])],
            "maintain": [pick([True, False])],
            "drop_by_hand": [pick([1, 2, 12])],
            "jump": [pick([HOUR, DAY])],
        }
        yield name, arguments[name]


@_profile
@given(seed=st.integers(0, 2**32))
def test_p10_every_unit_of_usage_is_in_exactly_one_state(ledger: Ledger, clock: datetime, seed: int) -> None:
    run = Run(ledger, clock)
    run.journal.rules()
    run.journal.rules("second")
    for name, arguments in _steps(random.Random(seed)):
        note(f"{name}({', '.join(map(str, arguments))})")
        getattr(run, name)(*arguments)
        run.assert_counted()
