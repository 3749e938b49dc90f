"""A reporter sends nothing after its lease, however much time has passed that its own clocks do not show."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pymeter.report import Outcome, Reporter
from pymeter.report.clocks import Clocks
from tests.helpers import refused
from tests.report.conftest import DAY, MINUTE, Journal, clock, journal, ledger, new_journal, new_ledger
from tests.report.double import fixtures
from tests.report.mortal import ClockFile, frozen_clocks, start
from tests.report.shop import Shop, shop

pytest.importorskip("stripe")

__all__ = ["clock", "journal", "ledger", "new_journal", "new_ledger", "shop"]

double = fixtures.stripe_double_process
SECOND = timedelta(seconds=1)


class _Pausing:
    """A biller during whose first call something happens: time passes, or a clock is set."""

    rate, timeout = 1000.0, 0.5

    def __init__(self, happens: Callable[[], Any]) -> None:
        self.happens: Callable[[], Any] | None = happens
        self.sent: list[str] = []

    def check(self) -> None: ...

    def send(self, push: Any) -> Outcome:
        self.sent.append(push.identifier)
        if happens := self.happens:
            self.happens = None
            happens()
        return Outcome("delivered")

    def totals(self, *_: Any) -> Any:
        return []

    def failures(self, *_: Any) -> Any:
        return []

    def failure(self, *_: Any) -> Any:
        return None


def _report(shop: Shop, happens: Callable[[], Any], clocks: Clocks, **options: Any) -> None:
    """Report one lane of three pushes, with one connection."""
    shop.use_many(customers=1, hours=3)
    biller = _Pausing(happens)
    reporter = Reporter(shop.pool(), biller, connections=1, patience=timedelta(), **options)
    reporter.clocks = clocks
    reporter.run_once()


def _attempts(shop: Shop) -> list[int]:
    return [push.attempts for push in shop.pushes()]


def test_a_machine_whose_clocks_all_stood_still_asks_the_database(shop: Shop) -> None:
    """A virtual machine that was paused, or restored from a snapshot: nothing in it has noticed."""
    _report(shop, lambda: time.sleep(1.1), frozen_clocks(), lease=1.5 * SECOND)
    # The lease was over after the first call: the other two were given back unsent, and claimed again.
    assert _attempts(shop) == [1, 2, 2]


@pytest.mark.parametrize("jumping", ["monotonic", "boottime", "wall"])
def test_the_first_clock_that_says_over_counts(shop: Shop, jumping: str) -> None:
    """The boot clock goes on while the monotonic one stands still, and the wall clock after a snapshot."""
    moved = {"seconds": 1000.0}
    clocks = frozen_clocks(**{jumping: lambda: moved["seconds"]})
    _report(shop, lambda: moved.update(seconds=1000.0 + 150), clocks)
    assert _attempts(shop) == [1, 2, 2]


def test_a_wall_clock_that_is_set_back_does_not_extend_the_lease(shop: Shop) -> None:
    moved = {"seconds": 10_000.0}

    def happens() -> None:
        moved["seconds"] -= 3600
        time.sleep(1.1)

    clocks = frozen_clocks(wall=lambda: moved["seconds"])
    _report(shop, happens, clocks, lease=1.5 * SECOND)
    assert _attempts(shop) == [1, 2, 2]


def test_without_a_pause_one_claim_is_enough(shop: Shop) -> None:
    _report(shop, lambda: None, Clocks())
    assert _attempts(shop) == [1, 1, 1]


def test_the_clock_of_tests_goes_through_the_guard_of_production(shop: Shop) -> None:
    _report(shop, lambda: shop.pass_time(minutes=3), frozen_clocks(), clock=shop.now)
    assert _attempts(shop)[1:] == [2, 2]


@pytest.mark.slow
def test_a_stopped_process_that_goes_on_after_the_window_sends_nothing(shop: Shop, tmp_path: Path) -> None:
    """SIGSTOP in the middle of a lane, with clocks that stand still; the biller has forgotten what it saw.

    All clocks are real but those of the stopped process, as in production; the windows are short instead.
    """
    shop.meter.define_biller(dedup_window=4 * SECOND, dedup_margin=3 * SECOND, absence=timedelta())
    shop.use_many(customers=1, hours=4)
    shop.double.fault("hold_after", times=1)
    file = ClockFile(tmp_path / "clock")
    options = {"connections": 1, "lease": 2.9 * SECOND}
    process = start(shop.dsn, shop.double.url, file, frozen=True, timeout=1.5, **options)
    shop.double.wait_until_held()
    os.kill(process.pid, signal.SIGSTOP)
    shop.double.release()
    time.sleep(3.5)
    shop.double.advance(25 * 3600)  # it has seen nothing of this any more
    for _ in range(3):
        _others_report(shop)
    assert shop.sent() == shop.used()
    os.kill(process.pid, signal.SIGCONT)
    process.join(20)
    assert process.exitcode == 0
    _others_report(shop)
    shop.assert_reported()


def _others_report(shop: Shop) -> None:
    Reporter(shop.pool(), shop.biller(timeout=0.5), lease=SECOND, patience=3 * SECOND).run_once()


# --- confirm_push() -----------------------------------------------------------------------------------------


def _confirm(journal: Journal, claimed: Any, **named: Any) -> bool:
    named = {"worker": journal.worker, "attempt": claimed.attempt, "now": journal.now, **named}
    return bool(
        journal.ledger.call("confirm_push", biller="stripe", identifier=claimed.identifier, **named)[0][0]
    )


def test_a_push_is_not_confirmed_without_its_attempt(journal: Journal) -> None:
    with refused("22004", "attempt"):
        journal.ledger.call("confirm_push", biller="stripe", worker="w", identifier="i", attempt=None)


def test_a_claimed_push_is_confirmed_to_its_worker_until_the_lease_ends(journal: Journal) -> None:
    journal.record(7)
    journal.plan()
    (claimed,) = journal.claim()
    assert _confirm(journal, claimed)
    assert not _confirm(journal, claimed, worker="another")
    assert not _confirm(journal, claimed, attempt=2)
    assert _confirm(journal, claimed, now=journal.now + 2 * MINUTE - SECOND)
    assert not _confirm(journal, claimed, now=journal.now + 2 * MINUTE)
    assert _confirm(journal, claimed, margin=MINUTE)
    assert not _confirm(journal, claimed, margin=2 * MINUTE)


def test_what_is_settled_or_claimed_by_another_is_not_confirmed(
    journal: Journal, new_journal: Callable[..., Journal]
) -> None:
    for number in range(2):
        journal.record(7, at=journal.at(number))
    journal.plan()
    first, second = journal.claim()
    journal.settle([first])
    assert not _confirm(journal, first)
    assert _confirm(journal, second)
    other = new_journal()
    other.now = journal.now + 3 * MINUTE
    (again,) = other.claim()
    assert not _confirm(journal, second)
    assert _confirm(other, again)
    assert not _confirm(other, again, now=other.now + DAY)
