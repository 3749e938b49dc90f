"""P3 with corrections: any order of events and corrections, each after what it concerns, gives one state.

That state is the model's, and nothing drifts on the way.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.correct.histories import KINDS, METRICS, Author, Life, define, run_histories, shuffled
from tests.helpers import AGGREGATES, Ledger, at_length, examples

NewLedger = Callable[..., Ledger]

_numbers = count(1)


@pytest.mark.at_length
@pytest.mark.slow
@pytest.mark.parametrize("striped", [False, True], ids=["plain", "striped"])
def test_p3_any_order_of_events_and_corrections_gives_the_state_of_the_model(
    ledger: Ledger, meter_dsn: str, striped: bool
) -> None:
    """The long run has thousands of them."""
    define(ledger, striped=striped)
    for states in run_histories(meter_dsn, at_length(3, 20), seed=1 + striped, length=35):
        assert states[0] == states[1]
    assert ledger.verify() == []


@pytest.mark.at_length
@pytest.mark.slow
def test_p3_short_histories_of_one_aggregate(ledger: Ledger, new_ledger: NewLedger) -> None:
    """Short enough to be read when they fail."""
    define(ledger)
    sessions = [ledger, new_ledger("second")]

    @examples(6, 100)
    @given(st.randoms(use_true_random=False), st.sampled_from(sorted(AGGREGATES)), st.integers(2, 14))
    def check(draw: random.Random, aggregate: str, length: int) -> None:
        metrics = [key for key in KINDS if METRICS[key] in (aggregate, "sum")]
        steps = Author(draw, metrics).history(length)
        states = []
        for order in (steps, shuffled(steps, draw)):
            life = Life(sessions, f"{next(_numbers)}", draw)
            life.live(order, check_every=3)
            life.assert_equals_model()
            states.append(life.state())
        assert states[0] == states[1]

    check()


@pytest.mark.at_length
@pytest.mark.slow
def test_a_revert_restores_every_number(ledger: Ledger, new_ledger: NewLedger) -> None:
    """What usage() and buckets say is what they said before; only the log has more rows."""
    define(ledger)
    sessions = [ledger, new_ledger("second")]
    draw = random.Random(3)
    for _ in range(at_length(3, 20)):
        life = Life(sessions, f"{next(_numbers)}", draw)
        author = Author(draw)
        life.live(author.history(15))
        before = life.state()[:-1]
        numbers = usage(ledger, life)
        step = next(step for step in iter(author.correction, None) if step.what == "correction")
        life.stage(step.name, step.entries, approve=True)
        if author.model.corrections[step.name].entries:
            ledger.value("SELECT meter.revert_correction(%s, 'no')", [life.corrections[step.name]])
        life.verify()
        assert usage(ledger, life) == numbers
        after = life.state()[:-1]
        assert without_times(after) == without_times(before)


def usage(ledger: Ledger, life: Life) -> list[object]:
    return [
        row for name in life.names.values() for row in ledger.call("summary", subject=name, period="never")
    ]


def without_times(state: list[list[tuple[object, ...]]]) -> object:
    """Rolled-up rows that count something; where the open bucket is depends on rows that count no more."""
    return [row for row in state[1] if row[4]]


def test_every_aggregate_is_among_the_kinds() -> None:
    assert set(METRICS.values()) == set(AGGREGATES)
