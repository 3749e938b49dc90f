"""A ledger for each test, a subject with a plan, and one that pays."""

from __future__ import annotations

import pytest

from tests.credits.account import Account
from tests.helpers import Ledger, ledger, new_ledger
from tests.pricing.billing import Billing

__all__ = ["ledger", "new_ledger"]


@pytest.fixture
def billing(ledger: Ledger) -> Billing:
    """A subject with a plan, and the metric tokens (sum)."""
    return Billing(ledger)


@pytest.fixture
def account(ledger: Ledger) -> Account:
    """A subject whose tokens cost 1 EUR each."""
    return Account(ledger)
