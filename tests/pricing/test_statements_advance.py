"""Fees in advance over statements: never twice, never lost, in whatever order periods are closed."""

from __future__ import annotations

import copy
import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at, at_length
from tests.pricing.billing import SUBJECT, Billing, flat
from tests.pricing.closings import AUGUST, JULY, JUNE, MAY, close, columns, lines, preview
from tests.pricing.days import DAY, Account, Version, _days
from tests.pricing.model import rated
from tests.pricing.test_invoice_model import CLOSE_TO, Life

MIDDLE = at("2026-06-16")


def fees(ledger: Ledger) -> list[tuple[int, Any]]:
    """(statement, amount) of every line of a fee."""
    return sorted(
        (header.statement_id, line.amount)
        for header in ledger.call("statements", subject=SUBJECT)
        for line in lines(ledger, header.statement_id)
        if line.kind == "fee"
    )


@pytest.fixture
def paid(billing: Billing) -> Billing:
    """30 a month in advance."""
    billing.fee("base", flat("30"), bill="advance")
    return billing


def test_a_cycle_that_was_billed_in_advance_is_not_billed_again(paid: Billing) -> None:
    for month in (MAY, JUNE, JULY):
        close(paid.ledger, month)
    assert fees(paid.ledger) == [(1, 30), (1, 30), (2, 30), (3, 30)]


@pytest.mark.parametrize("before", [True, False], ids=["billed in advance", "not billed yet"])
@pytest.mark.parametrize("first", [0, 1], ids=["in order", "out of order"])
def test_a_cycle_that_is_closed_in_parts_costs_one_fee(paid: Billing, before: bool, first: int) -> None:
    parts = [(JUNE, MIDDLE), (MIDDLE, JULY)]
    if before:
        close(paid.ledger, MAY)
    for part in (parts[first], parts[1 - first]):
        expected = columns(preview(paid.ledger, *part))
        header = close(paid.ledger, *part)
        assert columns(lines(paid.ledger, header.statement_id)) == expected
    close(paid.ledger, JULY)
    months = 4 if before else 3  # to the end of August
    assert sum(amount for _, amount in fees(paid.ledger)) == 30 * months


def test_a_window_with_the_end_of_a_cycle_inside_bills_that_cycle(paid: Billing) -> None:
    close(paid.ledger, MIDDLE, at("2026-07-16"))
    assert fees(paid.ledger) == [(1, 30)]
    close(paid.ledger, at("2026-07-16"), AUGUST)
    assert fees(paid.ledger) == [(1, 30), (2, 30), (2, 30)]


def test_months_that_are_closed_backwards_cost_a_fee_each(paid: Billing) -> None:
    for month in (AUGUST, JULY, JUNE, MAY):
        close(paid.ledger, month)
    assert fees(paid.ledger) == [(1, 30), (1, 30), (2, 30), (3, 30), (4, 30)]


def test_the_fee_of_a_month_that_is_closed_stays_when_the_one_before_is_closed_later(paid: Billing) -> None:
    """The new price holds from June on; July has been closed at the old one."""
    close(paid.ledger, JULY)
    paid.fee("base", flat("40"), bill="advance", since=JUNE)
    close(paid.ledger, JUNE)
    close(paid.ledger, AUGUST)
    # July, and August in advance; June; August again, at 40, and September in advance.
    assert fees(paid.ledger) == [(1, 30), (1, 30), (2, 40), (3, -30), (3, 40), (3, 40)]


def test_what_was_billed_in_advance_is_taken_off_when_the_plan_ends(paid: Billing) -> None:
    close(paid.ledger, MAY)
    paid.ledger.call("unsubscribe", subject=SUBJECT, plan="pro", at=at("2026-06-11"))
    close(paid.ledger, JUNE)
    close(paid.ledger, JULY)
    assert fees(paid.ledger) == [(1, 30), (1, 30), (2, -30), (2, 10)]


def test_a_cycle_that_is_cut_after_it_was_billed_costs_its_days(paid: Billing) -> None:
    close(paid.ledger, MAY)
    paid.ledger.call("set_billing_cycle", subject=SUBJECT, anchor=MIDDLE, since=MIDDLE)
    close(paid.ledger, JUNE, MIDDLE)
    assert fees(paid.ledger)[2:] == [(2, -30), (2, 15), (2, 30)]
    close(paid.ledger, MIDDLE, at("2026-07-16"))
    assert fees(paid.ledger)[5:] == [(3, 30)]


def test_a_cycle_that_is_cut_where_a_part_was_closed_costs_its_days(paid: Billing) -> None:
    """The part was closed when June did not end with it; now no other window does."""
    close(paid.ledger, MAY)
    close(paid.ledger, JUNE, MIDDLE)
    paid.ledger.call("set_billing_cycle", subject=SUBJECT, anchor=MIDDLE, since=MIDDLE)
    expected = columns(preview(paid.ledger, MIDDLE, at("2026-07-16")))
    header = close(paid.ledger, MIDDLE, at("2026-07-16"))
    assert columns(lines(paid.ledger, header.statement_id)) == expected
    assert fees(paid.ledger)[2:] == [(3, -30), (3, 15), (3, 30), (3, 30)]
    close(paid.ledger, at("2026-07-16"), at("2026-08-16"))
    assert fees(paid.ledger)[6:] == [(4, 30)]


def test_a_fee_of_a_cycle_that_is_cut_where_a_part_was_closed_is_billed_once(billing: Billing) -> None:
    billing.fee("base", flat("30"), prorate=False)
    close(billing.ledger, JUNE, MIDDLE)
    billing.ledger.call("set_billing_cycle", subject=SUBJECT, anchor=MIDDLE, since=MIDDLE)
    close(billing.ledger, MIDDLE, at("2026-07-16"))
    assert fees(billing.ledger) == [(2, 30), (2, 30)]


# -------------------------------------------------------------------------------------------- the model


class FeeLife(Life):
    """Fees of two plans; cycles are closed in order or not, whole or in parts."""

    def __init__(self, ledger: Ledger, rng: random.Random) -> None:
        super().__init__(ledger, rng)
        ledger.call("set_setting", name="currency", value="EUR")
        self.closed: list[tuple[datetime, datetime]] = []
        self.ended: list[tuple[datetime, datetime]] = []
        self.final = Fraction(0)
        self.ahead: dict[datetime, Fraction] = {}

    def price(self) -> None:
        rng, self.number = self.rng, self.number + 1
        plan, item, amount = rng.choice(["free", "pro"]), rng.choice(["base", "setup"]), rng.randint(1, 99)
        since = self.day()
        bill = "advance" if item == "base" else rng.choice(["advance", "arrears"])
        if not self.closed:
            self.bills = {**getattr(self, "bills", {}), (plan, item): bill}
        terms = {
            "bill": self.bills.setdefault((plan, item), bill),
            "prorate": item == "base",
        }
        self.ledger.call(
            "define_price", plan=plan, item=item, price=Jsonb(flat(amount)), since=since, **terms
        )
        version = Version(since, self.number, flat(amount), None, *terms.values())
        self.account.lines.setdefault((plan, item, False), []).append(version)

    def day(self) -> datetime:
        return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=self.rng.randint(0, 400))

    def cycle(self, after: int | None = None) -> None:
        """From where the last closed period ends, or later."""
        closed = max([until for _, until in self.closed], default=self.day())
        since = closed + (self.rng.randint(0, 40) if after is None else after) * DAY
        anchor = datetime(2024, 1, self.rng.randint(1, 28), tzinfo=UTC)
        self.ledger.call(
            "set_billing_cycle", subject=SUBJECT, anchor=anchor, since=since,
            every=self.rng.choice(["month", "week"]),
        )  # fmt: skip
        self.read_rules()

    def cut(self) -> None:
        """A cycle is cut where its first part was closed, and the new one is closed."""
        open_since = max([until for _, until in self.closed], default=self.day())
        self.close(open_since, part=1)
        self.cycle(after=0)
        self.close(max([until for _, until in self.closed], default=open_since))

    def close(self, moment: datetime | None = None, part: float = 0.3) -> None:
        since, until = self.account.cycle(moment or self.day())
        if self.rng.random() < part:
            days = (until - since).days
            cut = since + self.rng.randint(0, days) * DAY
            since, until = self.rng.choice([(since, cut), (cut, until)])
        if since == until or any(s < until and since < u for s, u in self.closed):
            return
        window = {"subject": SUBJECT, "since": since, "until": until}
        expected = columns(self.ledger.call("invoice", **window))
        header = self.ledger.call("close_period", **window)[0]
        assert columns(lines(self.ledger, header.statement_id)) == expected
        self.count(since, until)
        self.closed.append((since, until))
        if self.account.cycle(since)[1] <= until:
            self.ended.append((since, until))

    def count(self, since: datetime, until: datetime) -> None:
        account, cycle = copy.deepcopy(self.account), self.account.cycle(since)
        ends = cycle[1] == until
        before = self.account.cycle(since - DAY)
        if since == cycle[0] and any(u == since and (s, u) not in self.ended for s, u in self.closed):
            self.take_off(*before)
            self.final += sum((own(account, *key[:2], *before) for key in account.lines), Fraction(0))
        self.final += sum((arrears(account, *key[:2], since, until) for key in account.lines), Fraction(0))
        if ends:
            self.take_off(*cycle)
            self.final += sum((own(account, *key[:2], *cycle) for key in account.lines), Fraction(0))
            following = account.cycle(until)
            if not any(s < following[1] <= u for s, u in self.closed):
                self.take_off(*following)
                for start, due in (
                    one for key in account.lines for one in ahead(account, *key[:2], *following)
                ):
                    self.ahead[start] = self.ahead.get(start, Fraction(0)) + due

    def take_off(self, since: datetime, until: datetime) -> None:
        """What was billed in advance of a cycle goes where that is due."""
        self.ahead = {start: due for start, due in self.ahead.items() if not since <= start < until}


def arrears(account: Account, plan: str, item: str, since: datetime, until: datetime) -> Fraction:
    """What is prorated and not in advance, of the days of a window."""
    total = Fraction(0)
    for day in _days(since, until):
        version = account.held(plan, item, day)
        if plan in account.plans(day) and version and version.prorate and version.bill == "arrears":
            total += rated(version.price or {}, Fraction(1)) / account.whole_days(day)
    return total


def own(account: Account, plan: str, item: str, since: datetime, until: datetime) -> Fraction:
    """What is due at the end of a cycle, of the whole of it."""
    return account._fee(plan, item, since, until) - arrears(account, plan, item, since, until)


def ahead(
    account: Account, plan: str, item: str, since: datetime, until: datetime
) -> list[tuple[Any, Fraction]]:
    """What is billed of a cycle in advance, by where its lines start: the cycle may be cut later."""
    found: list[tuple[Any, Fraction]] = []
    before: Version | None = None
    rest = account._fee(plan, item, since, until, "advance")
    for day in _days(since, until):
        version = account.held(plan, item, day) if plan in account.plans(day) else None
        if version and version.prorate and version.bill == "advance":
            if before is None or before.terms != version.terms:
                found.append((day, Fraction(0)))
            share = rated(version.price or {}, Fraction(1)) / account.whole_days(day)
            found[-1] = (found[-1][0], found[-1][1] + share)
            rest -= share
        before = version
    return [*found, (since, rest)]


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(2, 200)))
def test_fees_of_statements_are_those_of_their_cycles_and_of_the_next(ledger: Ledger, seed: int) -> None:
    rng = random.Random(seed)
    life = FeeLife(ledger, rng)
    while {plan for plan, _, _ in life.account.lines} != {"free", "pro"}:
        life.price()
    for _ in range(4):
        life.price()
        life.subscription()
    for _ in range(60):
        rng.choice([life.price, life.subscription, life.leave, life.cycle, life.cut, *[life.close] * 6])()
    found = ledger.value(
        "SELECT coalesce(sum(exact_amount), 0) FROM meter.statement_lines"
        " WHERE item IS NOT NULL AND metric IS NULL AND kind NOT IN ('credit', 'tax')"
    )
    expected = life.final + sum(life.ahead.values(), Fraction(0))
    assert abs(Fraction(found) - expected) < CLOSE_TO, (float(found), float(expected))
    assert len(life.closed) > 5
    assert ledger.call("verify_statements") == []
