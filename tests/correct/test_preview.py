"""A preview says what approving does, cell by cell; approving says what it did, also while others record."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.correct.histories import KINDS, METRICS, Author, Life, define, period_of
from tests.helpers import _EXACT, Ledger, Task, _plain, at

NewLedger = Callable[..., Ledger]
Cell = tuple[str, str, datetime | None]

_numbers = count(1)
NOON = at("2026-03-02 12:00")


def cells(rows: list[Any]) -> dict[Cell, Any]:
    """By subject, metric and begin of the period; no cell comes twice."""
    found = {(row.subject, row.metric, row.since): row for row in rows}
    assert len(found) == len(rows)
    return found


def quantities(ledger: Ledger, life: Life) -> dict[Cell, Decimal]:
    """usage() of every period in which the model has a row, also one that counts no more."""
    found = {}
    for row in life.model.rows.values():
        since, until = period_of(KINDS[row.metric][0], row.at)
        window: dict[str, Any] = {"since": since, "until": until} if since else {"period": "never"}
        subject = life.names[row.subject]
        key = (subject, row.metric, since)
        if key not in found:
            found[key] = ledger.usage(subject, row.metric, **window).quantity
    return found


def begin(row: Any) -> datetime | None:
    return None if KINDS[row.metric][0] == "never" else row.since


class Previewed(Life):
    """Every correction is previewed, approved, and compared with usage() before and after."""

    def approve(self, session: Ledger, number: int) -> None:
        preview = session.call("preview_correction", id=number)
        before = self.asked(preview)
        assert before == [row.before for row in preview]
        done = session.call("approve_correction", id=number)
        assert done == preview
        assert self.asked(done) == [row.after for row in done]
        for row in done:
            assert row.delta == _EXACT.subtract(row.after, row.before)
        cells(done)
        self.changed_cells = {(row.subject, row.metric, begin(row)): row for row in done}

    def asked(self, rows: list[Any]) -> list[Decimal]:
        ledger = self.sessions[0]
        return [
            ledger.usage(
                row.subject,
                row.metric,
                **({"since": row.since, "until": row.until} if begin(row) else {"period": "never"}),
            ).quantity
            for row in rows
        ]


@pytest.mark.slow
@pytest.mark.parametrize("striped", [False, True], ids=["plain", "striped"])
def test_a_preview_is_what_approving_does_cell_by_cell(
    ledger: Ledger, new_ledger: NewLedger, striped: bool
) -> None:
    define(ledger, striped=striped)
    sessions = [ledger, new_ledger("second")]
    draw = random.Random(11 + striped)
    for _ in range(8):
        life = Previewed(sessions, f"{next(_numbers)}", draw)
        author = Author(draw)
        life.live(author.history(20))
        for _ in range(3):
            step = author.correction()
            if step.what != "correction":
                continue
            before = quantities(ledger, life)
            life.do(step)
            after = quantities(ledger, life)
            # What it lists is all that it has changed.
            different = {cell for cell in after if after[cell] != before.get(cell, Decimal(0))}
            assert different <= life.changed_cells.keys()
            assert all(
                (after.get(cell, 0), before.get(cell, 0)) == (row.after, row.before)
                for cell, row in life.changed_cells.items()
            )
        life.verify()


def test_a_preview_changes_nothing_and_may_be_repeated(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    event = ledger.record("a", "m", 5, at=NOON).event_id
    number = staged(ledger, [{"entry": "void", "subject": "a", "metric": "m", "event_id": event}])
    before = ledger.state()
    first = ledger.call("preview_correction", id=number)
    assert first == ledger.call("preview_correction", id=number)
    assert ledger.state() == before
    assert ledger.usage("a", "m", period="never").quantity == 5
    (row,) = first
    assert (row.before, row.after, row.delta) == (5, 0, -5)
    assert (row.since, row.until) == (at("2026-03-01"), at("2026-04-01"))


def test_what_was_recorded_since_the_preview_shows_in_what_approving_says(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.define("peak", "max")
    for metric in ("m", "peak"):
        ledger.record("a", metric, 5, at=NOON, idempotency_key="k")
    void = {"entry": "void", "subject": "a", "idempotency_key": "k"}
    number = staged(ledger, [{**void, "metric": "m"}, {**void, "metric": "peak"}])
    preview = cells(ledger.call("preview_correction", id=number))
    for metric in ("m", "peak"):
        ledger.record("a", metric, 7, at=NOON)
    done = cells(ledger.call("approve_correction", id=number))
    told = [(c[1], r.before, r.after, r.delta) for p in (preview, done) for c, r in sorted(p.items())]
    assert told == [("m", 5, 0, -5), ("peak", 5, 0, -5), ("m", 12, 7, -5), ("peak", 7, 7, 0)]


def test_a_preview_of_entries_that_others_have_done_meanwhile_says_that_nothing_is_left(
    ledger: Ledger,
) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 5, at=NOON, idempotency_key="k")
    void = {"entry": "void", "subject": "a", "metric": "m", "idempotency_key": "k"}
    number = staged(ledger, [void])
    ledger.call("void_event", subject="a", metric="m", idempotency_key="k", reason="why")
    assert all(row.delta == 0 for row in ledger.call("preview_correction", id=number))
    assert all(row.delta == 0 for row in ledger.call("approve_correction", id=number))
    assert [row.outcome for row in ledger.call("correction_entries", id=number)] == ["duplicate"]
    assert ledger.verify() == []


@pytest.mark.slow
def test_approving_while_others_record_says_exactly_what_it_did(
    ledger: Ledger, new_ledger: NewLedger
) -> None:
    """before and after are usage() before and after in the same transaction, which holds the series' rows."""
    define(ledger)
    draw = random.Random(5)
    life = Life([ledger], "w", draw)
    author = Author(draw)
    life.live(author.history(40), check_every=20)
    stop = threading.Event()

    def write(session: Ledger, seed: int) -> int:
        mine = random.Random(seed)
        events = Author(mine)
        recorded = 0
        while not stop.is_set():
            given = {**life.renamed(events.event().given), "idempotency_key": None}
            recorded += session.record(**given).outcome == "recorded"
        return recorded

    writers = [Task(lambda s=seed: write(new_ledger(f"writer {s}"), s)) for seed in (1, 2)]  # type: ignore[misc]
    approver = new_ledger("approver", autocommit=False)
    compared = 0
    try:
        for _ in range(12):
            step = author.correction()
            entries = [life.entry(entry) for entry in step.entries if known(life, entry)]
            if step.what != "correction" or not entries:
                continue
            number = staged(ledger, entries)
            preview = cells(ledger.call("preview_correction", id=number))
            done = cells(approver.call("approve_correction", id=number))
            after = {cell: usage(approver, row) for cell, row in done.items()}
            approver.connection.commit()
            assert preview.keys() == done.keys()
            for cell, row in done.items():
                assert row.after == after[cell], row
                assert row.delta == _EXACT.subtract(row.after, row.before)
                if METRICS[row.metric] in ("sum", "count"):  # others may have another value afterwards
                    compared += 1
                    assert row.delta == preview[cell].delta, (row, preview[cell])
    finally:
        stop.set()
        recorded = sum(writer.result() for writer in writers)
    assert recorded > 50
    assert compared > 10
    assert ledger.verify() == []


def known(life: Life, entry: Any) -> bool:
    """Whether it concerns a row that the meter has, too: the author went on without it."""
    return not isinstance(entry.target, str) or entry.target in life.ids


def usage(ledger: Ledger, row: Any) -> Decimal:
    window = {"since": row.since, "until": row.until} if begin(row) else {"period": "never"}
    quantity = ledger.usage(row.subject, row.metric, **window).quantity
    assert isinstance(quantity, Decimal)
    return quantity


def staged(ledger: Ledger, entries: list[dict[str, Any]]) -> int:
    number = ledger.value("SELECT meter.open_correction('why')")
    plain = [{k: _plain(v) for k, v in entry.items()} for entry in entries]
    assert ledger.value("SELECT meter.stage_correction(%s, %s)", [number, Jsonb(plain)]) == len(entries)
    assert isinstance(number, int)
    return number
