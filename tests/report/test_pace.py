"""The token bucket: how fast a process sends, and how a 429 slows it down."""

from __future__ import annotations

import pytest

from pymeter.report.pace import Pace


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _sent(pace: Pace, time: Time, seconds: float) -> int:
    """How many calls one impatient sender makes in that time."""
    end, count = time.now + seconds, 0
    while time.now < end:
        wait = pace.take()
        count += wait == 0
        time.now += wait or 0.0001
    return count


def test_it_lets_through_what_the_rate_allows() -> None:
    time = Time()
    assert _sent(Pace(20, clock=time), time, 10) == pytest.approx(200, abs=4)


def test_it_never_lets_a_burst_through_that_exceeds_a_seconds_worth() -> None:
    time = Time()
    pace = Pace(1000, clock=time)
    time.now += 3600  # idle for an hour
    assert _sent(pace, time, 1) <= 1101


def test_a_429_stops_everybody_and_then_halves_the_rate() -> None:
    time = Time()
    pace = Pace(100, clock=time)
    pace.slow_down(5)
    assert pace.take() == pytest.approx(5)
    time.now += 4.9
    assert pace.take() == pytest.approx(0.1)
    time.now += 0.2
    assert _sent(pace, time, 4) == pytest.approx(200, abs=8)


def test_pauses_grow_until_a_call_goes_well() -> None:
    time = Time()
    pace = Pace(100, clock=time)
    pauses = []
    for _ in range(4):
        pace.slow_down()
        pauses.append(pace.take())
        time.now += pauses[-1]
    assert pauses == pytest.approx([1, 2, 4, 8])
    pace.went_well()
    pace.slow_down()
    assert pace.take() == pytest.approx(1)


def test_what_was_in_flight_together_is_one_sign() -> None:
    time = Time()
    pace = Pace(100, clock=time)
    for _ in range(16):
        pace.slow_down(2)
    assert pace.rate == 50


def test_the_rate_comes_back_as_calls_go_well() -> None:
    time = Time()
    pace = Pace(100, clock=time)
    for _ in range(10):
        pace.slow_down(0.1)
        time.now += 1
    assert pace.rate == 1
    for _ in range(200):
        pace.went_well()
    assert pace.rate == 100


def test_one_that_fails_among_others_that_do_not_slows_nobody() -> None:
    time = Time()
    pace = Pace(100, clock=time)
    for _ in range(100):
        pace.went_wrong(16)
        pace.went_well()
    assert pace.rate == 100


def test_an_outage_slows_everybody() -> None:
    time = Time()
    pace = Pace(100, clock=time)
    for _ in range(16):
        pace.went_wrong(16)
    assert pace.take() == pytest.approx(1)


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError):
        Pace(0)
