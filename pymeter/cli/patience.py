"""Commands that need a moment in which nobody else uses what they change: they try again for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from pymeter.cli.output import stderr
from pymeter.errors import LockUnavailable

_SECONDS_MAX = 60
_PAUSE_SECONDS = 2

Result = TypeVar("Result")


def when_free(call: Callable[[], Result]) -> Result:
    """The result of `call`, which is repeated for a minute while it raises LockUnavailable.

    Each attempt has given up by itself, so recording goes on in between.
    """
    give_up = time.monotonic() + _SECONDS_MAX
    told = False
    while True:
        try:
            return call()
        except LockUnavailable as error:
            if time.monotonic() > give_up:
                raise
            if not told:
                stderr().print(
                    f"waiting: {error.message} ({error.detail or ''})", soft_wrap=True, markup=False
                )
                told = True
            time.sleep(_PAUSE_SECONDS)
