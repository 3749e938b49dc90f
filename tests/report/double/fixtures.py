"""Fixtures to take over: ``double = fixtures.stripe_double`` in a test module or a conftest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest

from . import running
from .client import Double

_KEY = pytest.StashKey[Double]()


@pytest.fixture
def stripe_double() -> Iterator[Double]:
    """A new double in a thread of the test."""
    yield from _without_mistakes(running.in_thread())


@pytest.fixture
def stripe_double_process() -> Iterator[Double]:
    """A new double in a process of its own, for reporters in subprocesses and for throughput."""
    yield from _without_mistakes(running.in_process())


@pytest.fixture
def stripe_double_shared(request: pytest.FixtureRequest) -> Iterator[Double]:
    """The process that all tests of this run share, as new: for tests that leave no call under way."""
    if _KEY not in request.config.stash:
        starting = running.in_process()
        request.config.stash[_KEY] = starting.__enter__()
        request.config.add_cleanup(lambda: starting.__exit__(None, None, None))
    double = request.config.stash[_KEY]
    double.reset()
    yield from _without_mistakes(nullcontext(double))


def _without_mistakes(starting: AbstractContextManager[Double]) -> Iterator[Double]:
    """After the test the double must not have failed by itself."""
    with starting as double:
        yield double
        assert double.counters()["internal_errors"] == []
