"""A connection for scenarios, which touch no data, and a ledger for comparing them with invoices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.helpers import ledger, new_ledger

__all__ = ["ledger", "new_ledger"]


@pytest.fixture
def db(module_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A database of the file; every statement is a transaction."""
    with psycopg.connect(module_dsn, autocommit=True) as connection:
        yield connection
