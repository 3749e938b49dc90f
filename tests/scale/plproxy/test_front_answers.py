"""A front of four shards gives the answers of one meter, by every function that it has."""

from __future__ import annotations

import random

import psycopg_pool
import pytest

from pymeter import Meter
from pymeter.scale.stubs import left_out
from tests.helpers import at_length
from tests.scale.plproxy.conftest import Fronted, NewDatabase
from tests.scale.test_answers import SINCE, SUBJECTS, UNTIL, compare
from tests.scale.twins import Twins
from tests.schema.contract import names


@pytest.mark.at_length
def test_a_front_answers_as_one_meter_does(fronted: Fronted, new_database: NewDatabase) -> None:
    with psycopg_pool.ConnectionPool(new_database(), min_size=1, max_size=1) as pool:
        # PL/Proxy loses the name of the parameter that is refused.
        twins = Twins(Meter(pool), fronted, names_parameters=False)
        # A refusal takes long: PL/Proxy connects anew behind it.
        compare(twins, random.Random(0), at_length(160, 1500), SUBJECTS[:: at_length(2, 1)])
        twins.focus_charges(SINCE, UNTIL, subject=SUBJECTS[0])
    missing = set(names()) - left_out().keys() - fronted.stubs
    assert not missing, f"stubs that were not called: {sorted(missing)}"
