"""Whatever crashes when: every unit reaches the biller once."""

from __future__ import annotations

import signal
from datetime import timedelta
from pathlib import Path

import pytest

from tests.helpers import AT_LENGTH, at_length
from tests.report.adapters import ADAPTERS, OPENMETER, STRIPE
from tests.report.chaos import Chaos
from tests.report.double import Double, fixtures
from tests.report.mortal import ClockFile, start
from tests.report.shop import Shop, shop

pytest.importorskip("stripe")

__all__ = ["shop"]

double = fixtures.stripe_double_process
_STEPS_MAX = 200


@pytest.mark.slow
@pytest.mark.at_length
@pytest.mark.parametrize(
    ("adapter", "reporters"), [*[("stripe", 2)] * AT_LENGTH, ("stripe", 8), ("openmeter", 4)]
)
def test_chaos(meter_dsn: str, double: Double, tmp_path: Path, adapter: str, reporters: int) -> None:
    """Thousands of events, SIGKILL at random moments, a network that fails both ways, a clock that jumps."""
    chaos = Chaos(meter_dsn, double, tmp_path, reporters=reporters, seed=reporters, adapter=ADAPTERS[adapter])
    events = at_length(600, 2000)
    result = chaos.run(rounds=3, events=events)
    assert result.events > 0.75 * events
    assert result.kills > 3 * reporters
    # The last reporter meets no faults: those that were killed have sent something, too.
    assert result.counters["requests"]["create_meter_event"]["dropped"] > 0
    result.check()


@pytest.mark.slow
@pytest.mark.at_length
@pytest.mark.parametrize(
    ("shop", "window", "before"),
    # After one step is before the next: it is enough to look from one side.
    [
        pytest.param(STRIPE, "inside", True, id="inside-before"),
        pytest.param(OPENMETER, "past", True, id="openmeter-past-before"),
        *(
            pytest.param(STRIPE, "inside", False, id="inside-after"),
            pytest.param(STRIPE, "past", True, id="past-before"),
            pytest.param(OPENMETER, "inside", True, id="openmeter-inside-before"),
        )
        * AT_LENGTH,
    ],
    indirect=["shop"],
)
def test_a_reporter_that_dies_at_any_step_loses_nothing_and_sends_nothing_twice(
    shop: Shop, tmp_path: Path, before: bool, window: str
) -> None:
    """Killed before (or after) its first step, its second ... until a run comes to its end by itself."""
    clock = ClockFile(tmp_path / "clock")
    for step in range(1, _STEPS_MAX):
        shop.use_many(customers=2, hours=2)
        process = start(
            shop.dsn,
            shop.double.url,
            clock,
            connections=1,
            die_at=step,
            before=before,
            adapter=shop.adapter,
        )
        process.join(30)
        assert process.exitcode in (0, -signal.SIGKILL)
        assert set(shop.states()) <= {"unplanned", "planned", "sending", "delivered", "resolved", "replaced"}
        # The lease of the dead is over; with 25 hours so is the window in which they could be repeated.
        _pass_time(shop, clock, timedelta(minutes=3) if window == "inside" else timedelta(hours=25))
        if window == "inside":
            assert shop.reporter(clock=clock, connections=1).run_once().exit_status == 0
        else:
            for _ in range(3):  # uncertain; missing; missing for a day, and sent under another identifier
                shop.reporter(clock=clock, connections=1).run_once()
                _pass_time(shop, clock, timedelta(hours=25))
        assert set(shop.states()) <= {"delivered", "resolved", "replaced"}
        shop.assert_reported()
        if process.exitcode == 0:
            break
    else:
        pytest.fail("it never came to its end")
    assert shop.double.counters()["conflicts"] == 0
    assert step > 8


def _pass_time(shop: Shop, clock: ClockFile, length: timedelta) -> None:
    clock.jump(length)
    shop.set_clock(clock())
