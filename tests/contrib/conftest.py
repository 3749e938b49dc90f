"""An order and its usage: rows of the application and of the meter, which have to share one fate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pymeter import Meter

# How many orders and events are committed.
Committed = Callable[[], tuple[int, int]]


@pytest.fixture
def parameters(meter_dsn: str) -> dict[str, Any]:
    """How to connect to the test's database, as keywords."""
    return dict(conninfo_to_dict(meter_dsn))


@pytest.fixture
def committed(meter_dsn: str, meter: Meter) -> Committed:
    """Ask another connection how many orders and how many events there are. Makes the table of orders."""
    meter.define_metric("tokens", "sum", "token")
    with psycopg.connect(meter_dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id bigserial PRIMARY KEY, account text NOT NULL)")

    def count() -> tuple[int, int]:
        with psycopg.connect(meter_dsn, autocommit=True) as observer:
            row = observer.execute("SELECT (SELECT count(*) FROM orders), count(*) FROM meter.events")
            return row.fetchone()  # type: ignore[return-value]

    return count
