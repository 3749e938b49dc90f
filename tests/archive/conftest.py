"""The shared fixtures: see tests/helpers.py."""

from __future__ import annotations

from tests.helpers import ledger, new_ledger

__all__ = ["ledger", "new_ledger"]
