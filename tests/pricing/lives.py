"""A long life of a subject whose cycles are closed one after another, while anything is changed, late or not.

The model of a period is that of its days (tests/pricing/days.py) as prices, plans and cycles were when it was
closed, with the usage that is there now.
"""

from __future__ import annotations

import copy
import itertools
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.helpers import Ledger, committed_or
from tests.pricing.billing import SUBJECT
from tests.pricing.closings import SETTINGS, assert_sums, billed_of, columns, lines
from tests.pricing.days import Account, Adjustment
from tests.pricing.test_invoice_model import CLOSE_TO, METERED, START, Life


@dataclass
class Closed:
    """A statement, what was known when it was made, and what its invoice as of its watermark was."""

    header: Any
    account: Account
    rows: list[tuple[Any, ...]]


class ClosedLife(Life):
    """Closes cycle after cycle. Whatever is refused because of a statement has not happened to the model."""

    def __init__(self, ledger: Ledger, rng: random.Random) -> None:
        super().__init__(ledger, rng)
        self.closed: list[Closed] = []
        self.keyed: list[tuple[str, Any]] = []
        self.keys = itertools.count()
        ledger.call("set_setting", name="currency", value="EUR")

    @property
    def until(self) -> datetime:
        return self.closed[-1].header.until if self.closed else START

    def moment(self) -> datetime:
        """Around the cycle that is next: two thirds of what comes is late, or else soon."""
        days = self.rng.choice([-60, -30, -30, 0, 0, 20])
        when = self.until + timedelta(days=days + self.rng.randint(0, 30), seconds=self.rng.randrange(86400))
        return max(START, when)

    def use(self) -> None:
        for _ in range(self.rng.randint(1, 8)):
            metric, when = self.rng.choice([*METERED]), self.moment()
            quantity = (
                Decimal(1) if metric == "calls" else Decimal(self.rng.choice(["0", "1", "2.5", "40", "700"]))
            )
            key = f"key {next(self.keys)}"
            self.ledger.record(SUBJECT, metric, quantity, at=when, idempotency_key=key)
            event = (when, metric, Fraction(quantity))
            self.keyed.append((key, event))
            self.account.usage.append(event)

    def void(self) -> None:
        if self.keyed:
            key, event = self.keyed.pop(self.rng.randrange(-1, -min(30, len(self.keyed)) - 1, -1))
            self.ledger.call(
                "void_event", subject=SUBJECT, metric=event[1], idempotency_key=key, reason="why", at=event[0]
            )
            self.account.usage = [one for one in self.account.usage if one is not event]

    def adjust(self) -> None:
        metric, when, quantity = (
            self.rng.choice(["tokens", "calls"]),
            self.moment(),
            self.rng.choice([-3, -1, 5]),
        )
        self.ledger.call("adjust", subject=SUBJECT, metric=metric, quantity=quantity, at=when, reason="why")
        self.account.usage.append((when, metric, Adjustment(quantity)))

    def setting(self) -> None:
        self.ledger.call("set_setting", name="late_usage", value=self.rng.choice(SETTINGS))
        self.ledger.call("set_setting", name="rounding", value=self.rng.choice(["total", "line"]))

    def decide(self) -> None:
        decision = self.rng.choice(["bill", "bill", "waive"])
        for line in self.ledger.call("late_usage", subject=SUBJECT):
            if self.rng.random() < 0.5:
                self.ledger.call(
                    "settle_late_usage", statement_id=line.statement_id, metric=line.metric, delta=line.delta,
                    decision=decision,
                )  # fmt: skip

    def cycle(self) -> None:
        """Not back into a closed period, which is refused."""
        anchor = datetime(2024, 1, self.rng.randint(1, 28), tzinfo=UTC)
        every = self.rng.choice(["month", "month", "week"])
        since = self.until + timedelta(days=self.rng.randint(0, 40))
        with committed_or(self.ledger.connection, "UM004"):
            self.ledger.call("set_billing_cycle", subject=SUBJECT, anchor=anchor, every=every, since=since)
        self.read_rules()

    def close(self) -> None:
        since, until = self.account.cycle(self.until)
        before = columns(self.ledger.call("invoice", subject=SUBJECT, since=since, until=until))
        header = self.ledger.call("close_period", subject=SUBJECT, since=since, until=until)[0]
        rows = lines(self.ledger, header.statement_id)
        assert columns(rows) == before
        assert_sums(rows)
        known = copy.copy(self.account)
        known.usage = []
        self.closed.append(Closed(header, copy.deepcopy(known), before))

    # -------------------------------------------------------------------------------------- what has to hold

    def read_back(self) -> None:
        """Both reads of every statement's period are what they were."""
        for one in self.closed:
            window = {"subject": SUBJECT, "since": one.header.since, "until": one.header.until}
            assert columns(self.ledger.call("invoice", **window)) == one.rows
            assert columns(self.ledger.call("invoice", **window, as_of=one.header.watermark)) == one.rows

    def compare(self) -> int:
        """What was billed of every period of which nothing is waived or open; how many these are."""
        balances = self.ledger.rows("SELECT * FROM meter.statement_balances")
        left = {row.statement_id for row in balances if row.open != 0} | self.apart()
        compared = 0
        for one in self.closed:
            if one.header.statement_id not in left:
                one.account.usage = self.account.usage
                found = billed_of(self.ledger, one.header.statement_id)
                expected = one.account.owes_for_usage(one.header.since, one.header.until)
                assert abs(found - expected) < CLOSE_TO, (one.header, float(found), float(expected))
                compared += 1
        return compared

    def apart(self) -> set[int]:
        rows = self.ledger.rows(
            "SELECT DISTINCT statement_id FROM meter.late_decisions"
            " WHERE billed_on IS NULL AND decision = 'bill' OR decision = 'waive'"
        )
        return {row.statement_id for row in rows}
