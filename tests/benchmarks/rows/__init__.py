"""The rows of the table, by the name that ``--only`` takes; run in this order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.benchmarks.bench import Bench
from tests.benchmarks.harness import Row
from tests.benchmarks.rows import (
    batch,
    clients,
    close,
    correct,
    first,
    growth,
    hot,
    http,
    instructions,
    limits,
    node,
    pricing,
    quota,
    rebuild,
    report,
    size,
    statement,
    unique,
    window,
)

Rows = Callable[[Bench], Iterator[Row]]

ROWS: dict[str, Rows] = {
    "node": node.rows,
    "clients": clients.rows,
    "statement": statement.rows,
    "first": first.rows,
    "instructions": instructions.rows,
    "limits": limits.rows,
    "correct": correct.rows,
    "close": close.rows,
    "price": pricing.rows,
    "hot": hot.rows,
    "batch": batch.rows,
    "http": http.rows,
    "window": window.rows,
    "unique": unique.rows,
    "quota": quota.rows,
    "rebuild": rebuild.rows,
    "size": size.rows,
    "report": report.rows,
    "growth": growth.rows,
}
