"""What the server does for one call, counted: the same in every run. Needs valgrind, and is left out without.

The first row is against record() of 0.1.0, counted in the same way; the others are against an ordinary event.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

from tests.benchmarks import instructions
from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import Row, Sample, Side, Target

_OF_0_1_0 = 572_600  # by the same program, on the same machine
_KINDS = ("late", "new series", "first of an hour", "reported", "bare select", "check_quota")


def rows(bench: Bench) -> Iterator[Row]:
    if shutil.which("valgrind") is None:
        print("instructions are left out: valgrind is not installed", file=sys.stderr)
        return
    kinds = ("ordinary", *(_KINDS if bench.scale.name != "tiny" else ()))
    ordinary = Side("", lambda: Sample(0))
    for name, number in instructions.count(kinds):
        side = _side(instructions.KINDS[name].title, number)
        if name == "ordinary":
            ordinary = side
        yield Row(
            name="record, instructions on the server" if name == "ordinary" else f"instructions, {name}",
            unit="instructions",
            ours=side,
            baseline=_side("record() of 0.1.0", _OF_0_1_0) if name == "ordinary" else ordinary,
            target=Target("<=", 0.55) if name == "ordinary" else None,
            note="A call without client, network and disk, counted by valgrind.",
            rounds=1,
        )


def _side(name: str, number: int) -> Side:
    return Side(name, lambda: Sample(number))
