"""The fixtures of budgets: a ledger, and a subject that pays 1 EUR a token."""

from __future__ import annotations

import pytest

from tests.budgets.spender import Spender
from tests.helpers import Ledger, ledger, new_ledger

__all__ = ["ledger", "new_ledger"]


@pytest.fixture
def spender(ledger: Ledger) -> Spender:
    return Spender(ledger)
