"""One server for all fuzzing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.fuzzer import Fuzzer, new_fuzzer


@pytest.fixture(scope="session")
def fuzzer() -> Iterator[Fuzzer]:
    try:
        with new_fuzzer() as found:
            yield found
    except NotImplementedError as error:
        pytest.skip(str(error))
