"""P8: bad input is refused with a documented SQLSTATE before anything is written, whatever it is.

The long run is ``python -m tests.longrun --only fuzz``.
"""

from __future__ import annotations

import pytest

from tests.fuzz.fuzzer import Fuzzer, Tally
from tests.helpers import at_length
from tests.schema.contract import names

SHARE = at_length(1, 6) / 20  # of the corpus
EXPLORED = at_length(10, 30)  # inputs for each function
INPUTS_MIN = 1000

_OF_A_FILE = ("archive_month", "stage_archive", "restore_archive")
"""Need the digest of a month's rows, which no input here has: tests/archive."""
_tallies: dict[str, Tally] = {}


@pytest.mark.at_length
@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_any_input_is_answered_or_refused_as_documented(fuzzer: Fuzzer, name: str) -> None:
    tally = fuzzer.fuzz(name, EXPLORED, share=SHARE)
    assert tally.answered > 0 or name in _OF_A_FILE, "nothing was answered: no input made sense"
    _tallies[name] = tally


@pytest.mark.slow
def test_it_was_a_thousand_inputs_and_every_public_function(fuzzer: Fuzzer) -> None:
    assert sorted(fuzzer.functions) == sorted(names())
    if _tallies.keys() != set(names()):
        pytest.skip("not all functions were fuzzed in this run")
    assert sum(tally.inputs for tally in _tallies.values()) >= INPUTS_MIN
