"""Marks of limits that have fired do not fire again at the new home, whichever versions of a limit it has."""

from __future__ import annotations

from typing import Any

import pytest

from pymeter.scale.moving import move
from tests.helpers import at
from tests.scale.moves import Pair, S

JANUARY, JUNE, FAR = at("2026-01-01"), at("2026-06-01"), at("2099-01-01")


def told(pair: Pair, shard: str) -> list[Any]:
    """The marks that a shard has told of, as percentages with the quota."""
    found = pair.meter.meters[shard].notifications(subject=S)
    return [
        (note.data["mark"], note.data["denominator"]) for note in found if note.type.startswith("threshold")
    ]


@pytest.fixture
def fired(pair: Pair) -> Pair:
    """Nine of ten are used, which s1 has told, if it is the home."""
    pair.meter.meters[pair.home()].set_limit("sum", 10, since=JANUARY)
    pair.meter.record(S, "sum", 9)
    assert told(pair, pair.home()) == [(80, 10)]
    return pair


def test_a_subject_with_a_mark_of_a_past_version_comes_to_a_shard_without_that_version(fired: Pair) -> None:
    """As after pymeter shard add, and repeating the definitions."""
    home, target = fired.home(), fired.other()
    fired.meter.set_limit("sum", 20)
    move(fired.path, S, target)
    fired.meter.record(S, "sum", 8)
    fired.meter.record(S, "sum", 1)
    assert told(fired, target) == [(80, 20)]
    move(fired.path, S, home)
    fired.meter.record(S, "sum", 1)
    assert told(fired, home) == [(80, 10)]
    move(fired.path, S, target)
    fired.meter.record(S, "sum", 1)
    assert told(fired, target) == [(80, 20), (100, 20)]


def test_marks_of_the_version_that_holds_come_whatever_is_to_come_later(fired: Pair) -> None:
    home, target = fired.home(), fired.other()
    fired.meter.meters[target].set_limit("sum", 10, since=JUNE)
    fired.meter.meters[home].set_limit("sum", 30, since=FAR)
    move(fired.path, S, target)
    fired.meter.record(S, "sum", "0.5")
    assert told(fired, target) == []


def test_marks_of_a_past_version_come_to_a_shard_that_has_it(pair: Pair) -> None:
    """Late usage of a period that is over is checked against the version that held at its end."""
    home, target, day = pair.home(), pair.other(), at("2026-05-10")
    pair.meter.set_limit("sum", 10, period="month", since=JANUARY)
    pair.meter.set_limit("sum", 20, period="month", since=JUNE)
    pair.meter.record(S, "sum", 9, at=day)
    assert told(pair, home) == [(80, 10)]
    for to in (target, home):
        move(pair.path, S, to)
        pair.meter.record(S, "sum", "0.1", at=day)
    assert (told(pair, home), told(pair, target)) == ([(80, 10)], [])
    pair.meter.record(S, "sum", "0.8", at=day)
    assert told(pair, home) == [(80, 10), (100, 10)]
