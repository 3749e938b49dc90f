"""Whatever crashes when: each line of a statement is billed once."""

from __future__ import annotations

import random
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import at_length
from tests.report.adapters import ITEMS
from tests.report.double import fixtures
from tests.report.mortal import ClockFile, start
from tests.report.till import Till, till

pytest.importorskip("stripe")

__all__ = ["till"]

double = fixtures.stripe_double_process
_STEPS_MAX = 100
_FAULTS: dict[str, dict[str, Any]] = {
    "drop_before": {"probability": 0.05},
    "drop_after": {"probability": 0.1},
    "half_response": {"probability": 0.05},
    "error_before": {"probability": 0.03, "status": 503},
    "error_after": {"probability": 0.05},
    "rate_limited": {"probability": 0.02},
    "slow_before": {"probability": 0.05, "delay": 0.1},
    "slow_after": {"probability": 0.05, "delay": 0.1},
}


@pytest.mark.slow
@pytest.mark.at_length
@pytest.mark.parametrize("window", ["inside", "past"])
# After one step is before the next: it is enough to look from one side.
@pytest.mark.parametrize("before", at_length([True], [True, False]), ids=lambda b: "before" if b else "after")
def test_a_reporter_that_dies_at_any_step_bills_each_line_once(
    till: Till, tmp_path: Path, before: bool, window: str
) -> None:
    """Killed at its first step, its second ... until a run comes to its end by itself."""
    clock = ClockFile(tmp_path / "clock")
    for step in range(1, _STEPS_MAX):
        till.bill(f"cus_{step}", quantity=100 + step)
        process = start(
            till.dsn,
            till.double.url,
            clock,
            adapter=ITEMS,
            connections=1,
            die_at=step,
            before=before,
        )
        process.join(30)
        assert process.exitcode in (0, -signal.SIGKILL)
        # The lease of the dead is over; with 25 hours so is the time in which Stripe knows the key.
        _pass_time(till, clock, timedelta(minutes=3) if window == "inside" else timedelta(hours=25))
        for _ in range(1 if window == "inside" else 3):
            till.reporter(clock=clock, connections=1).run_once()
            _pass_time(till, clock, timedelta() if window == "inside" else timedelta(hours=25))
        till.assert_billed_once()
        if process.exitcode == 0:
            break
    else:
        pytest.fail("it never came to its end")
    assert step > 8


@pytest.mark.slow
@pytest.mark.at_length
def test_reporters_that_are_killed_at_any_moment_bill_each_line_once(till: Till, tmp_path: Path) -> None:
    """A network that fails both ways, several reporters, periods that are closed, a clock that jumps."""
    clock, chance, kills = ClockFile(tmp_path / "clock"), random.Random(5), 0
    for number, (kind, rule) in enumerate(_FAULTS.items()):
        till.double.fault(kind, times=None, seed=number, route="create_invoice_item", **rule)
    for cycle in range(at_length(2, 6)):
        alive = [_watching(till, clock) for _ in range(3)]
        for number in range(at_length(12, 30)):
            till.bill(f"cus_{number % 6}_{cycle}", chance.randint(1, 500), number=1 + number // 6)
            time.sleep(chance.uniform(0, 0.2))
            victim = chance.randrange(len(alive))
            alive[victim].kill()
            alive[victim].join()
            alive[victim] = _watching(till, clock)
            kills += 1
        for process in alive:
            process.kill()
            process.join()
        _pass_time(
            till, clock, chance.choice([timedelta(minutes=3), timedelta(hours=2), timedelta(hours=25)])
        )
    till.double.clear_faults()
    for _ in range(5):
        till.reporter(clock=clock).run_once()
        _pass_time(till, clock, timedelta(hours=25))
    till.assert_billed_once()
    assert till.double.counters()["requests"]["create_invoice_item"]["dropped"] > 0
    assert kills > 20


def _watching(till: Till, clock: ClockFile) -> Any:
    return start(
        till.dsn,
        till.double.url,
        clock,
        watch=True,
        adapter=ITEMS,
        connections=2,
    )


def _pass_time(till: Till, clock: ClockFile, length: timedelta) -> None:
    clock.jump(length)
    till.set_clock(clock())
