"""How many entries of a correction are sent at once, for both clients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

from pymeter.errors import MeterError
from pymeter.models import NewEntry

BATCH_ENTRIES = 10_000
Batch = list[NewEntry | Mapping[str, Any]]


def batches(entries: Iterable[NewEntry | Mapping[str, Any]]) -> Iterator[tuple[int, Batch]]:
    """At least one batch, with the number of entries before it."""
    left, before = iter(entries), 0
    while (batch := list(islice(left, BATCH_ENTRIES))) or not before:
        yield before, batch
        if len(batch) < BATCH_ENTRIES:
            return
        before += len(batch)


@contextmanager
def counted_after(before: int) -> Iterator[None]:
    """The detail of an error counts the entries of a batch; this says how many came before them."""
    try:
        yield
    except MeterError as error:
        if before:
            error.detail = f"{error.detail or ''} In the batch after entry {before}.".lstrip()
        raise
