"""Fixtures for tests of corrections."""

from __future__ import annotations

from tests.helpers import ledger, new_ledger

__all__ = ["ledger", "new_ledger"]
