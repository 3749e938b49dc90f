"""Fixtures to take over: ``double = fixtures.stripe_double`` in a test module or a conftest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from . import running
from .client import Double


@pytest.fixture
def stripe_double() -> Iterator[Double]:
    """A new double in a thread of the test."""
    yield from _without_mistakes(running.in_thread())


@pytest.fixture
def stripe_double_process() -> Iterator[Double]:
    """A new double in a process of its own, for reporters in subprocesses and for throughput."""
    yield from _without_mistakes(running.in_process())


def _without_mistakes(starting: AbstractContextManager[Double]) -> Iterator[Double]:
    """After the test the double must not have failed by itself."""
    with starting as double:
        yield double
        assert double.counters()["internal_errors"] == []
