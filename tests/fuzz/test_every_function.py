"""P8: bad input is refused with a documented SQLSTATE before anything is written, whatever it is.

The long run is ``python -m tests.longrun --only fuzz``.
"""

from __future__ import annotations

import pytest

from tests.fuzz.fuzzer import Fuzzer
from tests.schema.contract import names

EXPLORED = 40  # inputs for each function


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_any_input_is_answered_or_refused_as_documented(fuzzer: Fuzzer, name: str) -> None:
    swept = fuzzer.sweep(name)
    explored = fuzzer.explore(name, EXPLORED if fuzzer.functions[name].parameters else 1)
    assert swept.answered + explored.answered > 0, "nothing was answered: no input made sense"


def test_every_public_function_is_fuzzed(fuzzer: Fuzzer) -> None:
    assert sorted(fuzzer.functions) == sorted(names())


def test_the_corpus_alone_is_a_thousand_inputs(fuzzer: Fuzzer) -> None:
    from tests.fuzz.values import hurting

    inputs = sum(len(hurting(t)) for f in fuzzer.functions.values() for _, t, _ in f.parameters)
    assert inputs >= 1000
