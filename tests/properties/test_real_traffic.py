"""An hour of real LLM API traffic, delivered at least once and out of order, gives the known totals."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import Ledger, Task

DATA = Path(__file__).parents[2].parent / "shared" / "data"

pytestmark = pytest.mark.skipif(
    not (DATA / "llm_usage.csv.gz").exists(),
    reason=f"no llm_usage.csv.gz in {DATA}: it is not part of the project",
)


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    with gzip.open(DATA / "llm_usage.csv.gz", "rt", newline="") as file:
        rows = [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]
    return [{**row, "metadata": json.loads(row["metadata"])} if "metadata" in row else row for row in rows]


def load(ledger: Ledger, lines: list[dict[str, Any]], size: int = 1000) -> Counter[str]:
    return Counter(
        o.outcome for start in range(0, len(lines), size) for o in ledger.batch(lines[start : start + size])
    )


@pytest.fixture
def metrics(ledger: Ledger) -> Ledger:
    for key, aggregate in (("tokens_in", "sum"), ("tokens_out", "sum"), ("active_users", "unique")):
        ledger.define(key, aggregate, "token" if aggregate == "sum" else "user")
    return ledger


def assert_totals(ledger: Ledger) -> None:
    expected = json.loads((DATA / "llm_usage.totals.json").read_text())
    answered = {
        f"{subject.subject} {row.metric}": (row.quantity, row.event_count)
        for subject in ledger.call("subjects", max_rows=1000)
        for row in ledger.call("summary", subject=subject.subject, period="never")
        if row.event_count
    }
    assert answered == {key: (Decimal(quantity), events) for key, (quantity, events) in expected.items()}
    assert ledger.verify() == []


def test_importing_gives_exactly_the_totals_and_again_only_duplicates(
    metrics: Ledger, lines: list[dict[str, Any]]
) -> None:
    outcomes = load(metrics, lines)
    assert set(outcomes) == {"recorded", "duplicate"}
    assert outcomes["recorded"] == 3 * 8819
    assert_totals(metrics)
    before = metrics.state()
    metrics.maintain()
    assert load(metrics, lines) == {"duplicate": len(lines)}
    assert metrics.state() == before


def test_four_importers_of_the_same_lines_at_once_give_exactly_the_totals(
    metrics: Ledger, new_ledger: Callable[..., Ledger], lines: list[dict[str, Any]]
) -> None:
    sessions = [new_ledger(f"importer {i}") for i in range(4)]
    sizes = (1000, 700, 1300, 450)
    tasks = [
        Task(lambda s=s, n=n, i=i: load(s, lines if i % 2 else lines[::-1], n))  # type: ignore[misc]
        for i, (s, n) in enumerate(zip(sessions, sizes, strict=True))
    ]
    outcomes: Counter[str] = sum((task.result() for task in tasks), Counter())
    assert outcomes == {"recorded": 3 * 8819, "duplicate": 4 * len(lines) - 3 * 8819}
    assert_totals(metrics)
