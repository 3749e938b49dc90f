"""The connection of the tests of rate(), which reads no table, and a ledger for those of invoices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.helpers import Ledger, ledger, new_ledger
from tests.pricing.billing import Billing

__all__ = ["ledger", "new_ledger"]


@pytest.fixture
def db(module_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A database of the file; every statement is a transaction."""
    with psycopg.connect(module_dsn, autocommit=True, options="-c search_path=meter") as connection:
        yield connection


@pytest.fixture
def billing(ledger: Ledger) -> Billing:
    """A subject with a plan, and the metric tokens (sum)."""
    return Billing(ledger)
