"""all_events(): the log of all subjects, the latest recorded first."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from tests.helpers import Ledger, at, refused


def pages(ledger: Ledger, max_rows: int, *, meanwhile: Any = None, **given: Any) -> list[Any]:
    """All pages, one after the other."""
    found: list[Any] = []
    cursor: dict[str, Any] = {}
    while page := ledger.call("all_events", max_rows=max_rows, **given, **cursor):
        found += page
        assert len(found) < 5_000, "pages come again"
        assert len(page) <= max_rows
        if meanwhile is not None:
            meanwhile()
        if len(page) < max_rows:
            break
        cursor = {"after_id": page[-1].event_id}
    return found


def test_first(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    for i in range(5):
        ledger.record("ab"[i % 2], "m", i, at=at("2026-06-18") - timedelta(days=40 * i))
    ledger.maintain()
    assert [e.quantity for e in ledger.call("all_events")] == [4, 3, 2, 1, 0]
    assert [e.quantity for e in ledger.call("all_events", metric="m", since=at("2026-04-01"))] == [1, 0]
    assert ledger.call("metric", key="m").key == "m"
