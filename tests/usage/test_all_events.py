"""all_events(): the log of all subjects, the latest recorded first."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.helpers import Ledger, at, refused

METRICS = ("often", "seldom", "striped", "members")


def _pages(
    ledger: Ledger, max_rows: int, *, meanwhile: Callable[[], object] | None = None, **given: Any
) -> list[Any]:
    """All pages, one after the other."""
    found: list[Any] = []
    cursor: dict[str, Any] = {}
    while page := ledger.call("all_events", max_rows=max_rows, **given, **cursor):
        found += page
        assert len(page) <= max_rows
        assert len(found) < 5_000, "pages come again"
        if meanwhile is not None:
            meanwhile()
        if len(page) < max_rows:
            break
        cursor = {"after_id": page[-1].event_id}
    return found


def _logged(ledger: Ledger, **given: Any) -> list[Any]:
    """The same by definition: from the view."""
    return ledger.rows(
        "SELECT * FROM meter.logged_events WHERE (%(metric)s::text IS NULL OR metric = %(metric)s)"
        " AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)"
        " AND (%(until)s::timestamptz IS NULL OR at < %(until)s) ORDER BY event_id DESC",
        {"metric": None, "since": None, "until": None, **given},
    )


def _skip_ids(ledger: Ledger, number: int) -> None:
    ledger.execute("SELECT setval('meter.event_ids', last_value + %s) FROM meter.event_ids", [number])


def _record_with_gaps(ledger: Ledger) -> None:
    """Late events, stray ones without a partition, corrections, and gaps between ids of every width."""
    draw = random.Random(11)
    ledger.define("often", "sum")
    ledger.define("seldom", "last")
    ledger.define("striped", "sum", striped=True)
    ledger.define("members", "unique")
    for gap in (0, 9_000, 40_000, 700_000, 0, 12_000_000, 200):
        _skip_ids(ledger, gap)
        ledger.batch(
            [
                {
                    "subject": f"s{draw.randrange(9)}",
                    "metric": metric,
                    "at": at("2026-03-20") + timedelta(hours=draw.randrange(100 * 24)),
                    **({"member": f"u{n}"} if metric == "members" else {"quantity": n}),
                }
                for n, metric in enumerate(draw.choices(METRICS, weights=(60, 1, 10, 10), k=40))
            ]
        )
        if gap == 40_000:
            ledger.maintain()
    event = next(row for row in _logged(ledger, metric="often"))
    ledger.call("void_event", subject=event.subject, metric="often", event_id=event.event_id, reason="r")
    ledger.call("adjust", subject="s1", metric="often", quantity=-3, at=at("2026-06-01"), reason="r")


@pytest.mark.parametrize("max_rows", [1, 7, 100, 10_000])
def test_pages_have_every_event_once_and_in_the_order_of_ids_across_gaps(
    ledger: Ledger, max_rows: int
) -> None:
    _record_with_gaps(ledger)
    everything = _logged(ledger)
    assert len({row.kind for row in everything}) == 3
    if max_rows > 1:
        assert _pages(ledger, max_rows) == everything
    else:
        after = everything[50].event_id
        assert ledger.call("all_events", max_rows=1, after_id=after) == [everything[51]]


@pytest.mark.parametrize("metric", [None, *METRICS])
@pytest.mark.parametrize(
    "window",
    [
        {},
        {"since": at("2026-05-17 12:00")},
        {"until": at("2026-05-01")},
        {"since": at("2026-04-30 23:00"), "until": at("2026-05-02")},
        {"since": at("2020-01-01"), "until": at("2020-02-01")},
    ],
    ids=["all", "since", "until", "both", "empty"],
)
def test_a_metric_and_a_window_select_what_the_view_selects(
    ledger: Ledger, metric: str | None, window: dict[str, Any]
) -> None:
    _record_with_gaps(ledger)
    given = {"metric": metric, **window}
    assert _pages(ledger, 9, **given) == _logged(ledger, **given)


def test_what_is_recorded_meanwhile_moves_no_page(ledger: Ledger) -> None:
    _record_with_gaps(ledger)
    everything = _logged(ledger)
    found = _pages(ledger, 25, meanwhile=lambda: ledger.record("s1", "often", 1, at=at("2026-04-01")))
    assert found == everything


def test_any_id_is_a_cursor(ledger: Ledger) -> None:
    """Also one that is no event's, or a dropped one's."""
    ledger.define("m", "sum")
    first = ledger.record("a", "m", 1).event_id
    _skip_ids(ledger, 1_000)
    second = ledger.record("b", "m", 2).event_id
    expected = {first: [], first + 1: [1], second: [1], second + 1: [2, 1], 2**63 - 1: [2, 1]}
    for after_id, quantities in expected.items():
        assert [row.quantity for row in ledger.call("all_events", after_id=after_id)] == quantities


def test_a_sequence_that_is_behind_hides_nothing(ledger: Ledger) -> None:
    """As on a logical replica, which has no values of sequences."""
    _record_with_gaps(ledger)
    everything = _logged(ledger)
    ledger.execute("SELECT setval('meter.event_ids', 1, false)")
    assert _pages(ledger, 30) == everything


def test_the_event_of_a_reservation_is_where_it_was_reserved(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.call("set_limit", metric="m", quota=100)
    (held,) = ledger.call("reserve", subject="a", metric="m", quantity=5, idempotency_key="k")
    later = ledger.record("b", "m", 1).event_id
    ledger.call("settle", reservation_id=held.reservation_id, quantity=4)
    ids = [row.event_id for row in ledger.call("all_events")]
    assert ids == [later, held.reservation_id]


def test_an_empty_log_has_no_page(ledger: Ledger) -> None:
    assert ledger.call("all_events") == []
    ledger.define("m", "sum")
    assert ledger.call("all_events", metric="m", since=at("2026-06-01")) == []


def test_partitions_outside_of_the_window_are_not_opened(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    """A read locks what it opens."""
    ledger.define("m", "sum")
    for month in (3, 4, 5, 6):
        ledger.record("a", "m", month, at=at(f"2026-0{month}-15"))
    ledger.maintain()
    reader = new_ledger("reader", autocommit=False)
    (row,) = reader.call("all_events", since=at("2026-04-01"), until=at("2026-05-01"))
    assert row.quantity == 4
    locked = reader.rows(
        "SELECT DISTINCT relation::regclass::text AS name FROM pg_locks"
        " WHERE pid = pg_backend_pid() AND relation::regclass::text ~ 'events_(default|20..)'"
    )
    names = {row.name.removeprefix("meter.") for row in locked}
    assert {name for name in names if "_idx" not in name} == {"events_2026_04", "events_default"}


def test_it_cannot_miss_events_that_are_moved_to_their_month(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1, at=at("2026-03-15"))
    reader = new_ledger("reader", autocommit=False)
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    reader.call("catalog")
    ledger.maintain()
    with refused("40001"):
        reader.call("all_events")


def test_bad_arguments_are_refused(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    for max_rows, sqlstate in ((0, "22023"), (10_001, "22023"), (None, "22004")):
        with refused(sqlstate, "max_rows"):
            ledger.call("all_events", max_rows=max_rows)
    for after_id in (0, -1, -(2**63)):
        with refused("22023", "after_id"):
            ledger.call("all_events", after_id=after_id)
    with refused("UM001", "metric"):
        ledger.call("all_events", metric="nope")
    with refused("22023"):
        ledger.call("all_events", since=at("2026-06-18"), until=at("2026-06-18"))
    with refused("22023"):
        ledger.call("all_events", until="infinity")
