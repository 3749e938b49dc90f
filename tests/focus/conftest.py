"""A ledger for each test, and a subject with a plan."""

from __future__ import annotations

import pytest

from tests.credits.account import Account
from tests.helpers import Ledger, ledger, new_ledger

__all__ = ["ledger", "new_ledger"]


@pytest.fixture
def account(ledger: Ledger) -> Account:
    """A subject whose tokens cost 1 EUR each."""
    return Account(ledger)
