"""What the lints look at: a migrated schema, read-only by habit, and the files of ``sql/``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest


@pytest.fixture
def db(module_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a fresh installation, where names without a schema are the meter's."""
    with psycopg.connect(module_dsn, autocommit=True) as connection:
        connection.execute("set search_path = meter, pg_temp")
        yield connection
