"""Whatever happens between a statement and Stripe, each of its lines is there once."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers import at_length
from tests.report.bills import BILLER, FACTORS
from tests.report.double import fixtures
from tests.report.till import Till, till

pytest.importorskip("stripe")

__all__ = ["till"]

double = fixtures.stripe_double

CURRENCIES = ("EUR", "JPY", "KWD")
STEPS = 30
FAULTS = ("drop_before", "drop_after", "half_response", "error_before", "error_after", "rate_limited")


class Life:
    """Subjects whose customers change, who are erased, and whose statements wait, while calls fail."""

    def __init__(self, till: Till, rng: random.Random) -> None:
        self.till = till
        self.rng = rng
        self.subjects = {f"acct_{number}": currency for number, currency in enumerate(CURRENCIES)}
        self.months = dict.fromkeys(self.subjects, 1)
        self.statements: dict[str, int] = {}
        till.meter.define_biller(BILLER, subject_is_customer=False)
        for subject, currency in self.subjects.items():
            till.customer(subject, currency)

    def bill(self) -> None:
        subject = self.rng.choice(list(self.subjects))
        number = self.months[subject]
        if number < 11:
            self.months[subject] += 1
            self.statements[subject] = self.till.bills.bill(self.rng.randint(0, 300), subject, number)

    def late(self) -> None:
        if self.statements:
            subject = self.rng.choice(list(self.statements))
            quantity = self.rng.choice([7, 90])
            number = self.months[subject] - 1
            self.till.bills.late(quantity, self.statements[subject], subject, number)

    def map(self) -> None:
        """To one of two customers, or to none."""
        subject = self.rng.choice(list(self.subjects))
        self.till.bills.map(subject, self.rng.choice([f"cus_{subject}", "cus_of_all", "cus_of_all", None]))

    def erase(self) -> None:
        """It goes on under its pseudonym."""
        subject = self.rng.choice(list(self.subjects))
        if self.rng.random() < 0.3 and len(subject) < 30:
            pseudonym = f"erased_{subject}"
            self.till.ledger.call("erase_subject", subject=subject, pseudonym=pseudonym)
            for known in (self.subjects, self.months, self.statements):
                if subject in known:
                    known[pseudonym] = known.pop(subject)  # type: ignore[attr-defined]

    def plan(self) -> None:
        self.till.bills.plan(max_rows=self.rng.randint(1, 3), now=self.till.now())

    def report(self) -> None:
        fault = self.rng.choice([*FAULTS, None])
        if fault:
            route = self.rng.choice(["create_invoice_item", "*"])
            seed = self.rng.randrange(1000)
            self.till.double.fault(fault, times=None, probability=0.5, seed=seed, route=route)
        self.till.double.settings(unknown_customers=self.rng.choice([[], [], ["cus_of_all"]]))
        self.till.report()
        self.till.double.clear_faults()

    def wait(self) -> None:
        self.till.pass_time(hours=self.rng.choice([0.2, 3, 13, 25]))

    def retry(self) -> None:
        self.till.meter.retry_pushes(BILLER, now=self.till.now())

    def end(self) -> None:
        """Everybody has a customer, Stripe answers, and days pass."""
        self.till.double.settings(unknown_customers=[])
        for subject in self.subjects:
            self.till.bills.map(subject, f"cus_{subject}")
        for _ in range(4):
            self.retry()
            self.till.report()
            self.till.pass_time(hours=25)


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(3, 100)))
def test_each_line_is_there_once_whatever_happens_before(till: Till, seed: int) -> None:
    life = Life(till, random.Random(f"statements {seed}"))
    steps: list[Callable[[], Any]] = [
        *[life.bill] * 4, life.late, *[life.map] * 2, life.erase, *[life.plan] * 2, *[life.report] * 4,
        *[life.wait] * 3, life.retry,
    ]  # fmt: skip
    for _ in range(STEPS):
        life.rng.choice(steps)()
    life.end()
    lines = [
        ((row.statement_id, row.line), (row.currency.lower(), row.amount * FACTORS[row.currency]))
        for row in till.ledger.rows(
            "SELECT statement_id, line, amount, currency FROM meter.statement_lines"
            " WHERE kind <> 'total' AND amount <> 0"
        )
    ]
    # Stripe has no third decimal of a dinar: a person decides.
    inexact = [line for line, (currency, amount) in lines if currency == "kwd" and amount % 10]
    there = [(item["currency"], item["amount"]) for item in till.items()]
    sent = sorted(line for line in lines if line[0] not in inexact)
    assert sorted(zip(till.lines(), there, strict=True)) == sent
    held = [(push.statement_id, push.line) for push in till.bills.pushes(state="held")]
    assert sorted(held) == sorted(inexact)
    assert set(till.states()) <= {"delivered", "resolved", "replaced", "held"}
    assert till.reporter().reconcile().different == []
