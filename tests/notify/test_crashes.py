"""Senders that are killed at every step lose nothing, and the next one goes on in order."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest

from tests.notify.mortal import start
from tests.notify.receiver import SECRET
from tests.notify.test_sender import Site, receiver, site

__all__ = ["receiver", "site"]

_STEPS_MAX = 60


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_sender_that_is_killed_at_any_step_loses_nothing(site: Site, before: bool) -> None:
    """Each process is killed one call later than the last one, until one lives to the end."""
    for name in ("x", "y"):
        site.endpoint(name)
    killed = 0
    for die_at in range(1, _STEPS_MAX):
        site.outbox.tell("a", "b", "a")
        process = start(site.dsn, site.outbox.now, SECRET, die_at, before)
        process.join(30)
        assert process.exitcode in (0, -signal.SIGKILL)
        site.outbox.check()
        if process.exitcode == 0:
            break
        killed += 1
        site.outbox.now += timedelta(minutes=2, seconds=1)  # its leases end
    else:
        raise AssertionError("it never lived to the end")
    assert killed >= 8
    site.run_to_the_end()
    site.assert_arrived("x", "y")
    assert len(site.outbox.all()) == 2 * 3 * (killed + 1)
    assert set(site.receiver.at_once.values()) == {1}
