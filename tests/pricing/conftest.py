"""The connection of the tests of rate(), which reads no table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest


@pytest.fixture
def db(module_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A database of the file; every statement is a transaction."""
    with psycopg.connect(module_dsn, autocommit=True, options="-c search_path=meter") as connection:
        yield connection
