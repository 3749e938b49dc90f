"""record_batch(): many events in one call, the same as record() one by one in order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.helpers import Ledger, at, refused

EVENT: dict[str, Any] = {"subject": "a", "metric": "m", "quantity": 5, "at": at("2026-06-18")}


def test_outcomes_come_in_input_order_with_ordinals_from_1(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    events = [
        EVENT | {"subject": s, "idempotency_key": k}
        for s, k in (("z", "9"), ("a", "1"), ("z", "1"), ("a", "9"), ("m", "5"))
    ]
    outcomes = ledger.batch(events)
    assert [o.ordinal for o in outcomes] == [1, 2, 3, 4, 5]
    for outcome, event in zip(outcomes, events, strict=True):
        (stored,) = ledger.rows(
            "SELECT subject, idempotency_key FROM meter.logged_events WHERE event_id = %s", [outcome.event_id]
        )
        assert stored == (event["subject"], event["idempotency_key"])


def test_p2_of_duplicates_inside_one_batch_the_first_counts(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    keyed = EVENT | {"idempotency_key": "k"}
    outcomes = ledger.batch(
        [keyed | {"metadata": {"n": 1}}, EVENT, keyed | {"quantity": 6}, keyed | {"at": at("2026-07-18")}]
    )
    first = outcomes[0].event_id
    assert [o.outcome for o in outcomes] == ["recorded", "recorded", "conflict", "duplicate"]
    assert [o.event_id for o in outcomes[2:]] == [first, first]
    assert ledger.usage("a", "m", period="never").quantity == 10
    assert ledger.call("events", subject="a")[-1].metadata == {"n": 1}
    assert ledger.batch([keyed | {"quantity": 6}, keyed])[0].outcome == "conflict"


def test_p2_a_rejected_event_does_not_take_its_key_away(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    keyed = EVENT | {"idempotency_key": "k"}
    outcomes = ledger.batch([keyed | {"quantity": -1}, keyed], "skip")
    assert [o.outcome for o in outcomes] == ["rejected", "recorded"]
    assert ledger.usage("a", "m", period="never").quantity == 5


def test_p3_of_last_events_with_one_time_the_later_in_the_batch_counts(ledger: Ledger) -> None:
    ledger.define("m", "last")
    ledger.batch([EVENT | {"quantity": q} for q in (9, 1, 5)])
    assert ledger.usage("a", "m", period="never").quantity == 5
    ledger.batch([EVENT | {"quantity": q, "at": EVENT["at"] - timedelta(seconds=1)} for q in (7, 8)])
    assert ledger.usage("a", "m", period="never").quantity == 5
    ledger.batch([EVENT | {"quantity": q, "idempotency_key": "k"} for q in (2, 3)])
    assert ledger.usage("a", "m", period="never").quantity == 2
    assert ledger.verify() == []


def test_a_batch_mixes_subjects_metrics_and_months(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.define("u", "unique", period="day", rollup="none")
    ledger.batch(
        [
            EVENT,
            EVENT | {"at": at("2026-07-01")},
            EVENT | {"subject": "b"},
            {"subject": "a", "metric": "u", "member": "x", "at": at("2026-06-18")},
            {"subject": "a", "metric": "u", "member": "x", "at": at("2026-06-19")},
            {"subject": "a", "metric": "u", "member": "x", "at": at("2026-06-18 23:00")},
        ]
    )
    assert ledger.usage("a", "m", period="month", now=at("2026-06-18")).quantity == 5
    assert ledger.usage("a", "m", period="never").quantity == 10
    assert ledger.usage("a", "u", period="never")[1:5] == (1, "unit", "unique", 3)
    assert ledger.verify() == []


def test_p1_all_or_nothing_when_the_caller_rolls_back(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    ledger.define("m", "sum")
    before = ledger.state()
    writer = new_ledger("writer", autocommit=False)
    writer.batch([EVENT | {"idempotency_key": f"{i}"} for i in range(10)])
    writer.connection.rollback()
    assert ledger.state() == before


@pytest.mark.parametrize("size", [1, 5000])
def test_a_large_batch_counts_every_event(ledger: Ledger, size: int) -> None:
    ledger.define("m", "sum")
    outcomes = ledger.batch(
        [EVENT | {"idempotency_key": f"{i}", "subject": f"s{i % 50}"} for i in range(size)]
    )
    assert [o.ordinal for o in outcomes] == list(range(1, size + 1))
    assert (
        sum(r[0] for r in ledger.rows("SELECT event_count FROM meter.buckets WHERE bucket = 'month'")) == size
    )
    assert ledger.verify() == []


def test_an_error_in_the_middle_of_a_transaction_leaves_what_was_before(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    ledger.define("m", "sum")
    writer = new_ledger("writer", autocommit=False)
    writer.record(**EVENT)
    with refused("22023"), writer.connection.transaction():
        writer.batch([EVENT, EVENT | {"quantity": -1}])
    writer.connection.commit()
    assert ledger.usage("a", "m", period="never").quantity == 5


def test_a_cursor_over_the_outcomes_that_is_not_read_to_its_end_has_recorded_everything(
    ledger: Ledger,
) -> None:
    ledger.define("m", "sum")
    ledger.execute(
        "SELECT 1 FROM meter.record_batch(("
        "SELECT jsonb_agg(jsonb_build_object('subject', 'a', 'metric', 'm', 'quantity', 1))"
        " FROM generate_series(1, 20))) LIMIT 1"
    )
    assert ledger.usage("a", "m").quantity == 20


@pytest.mark.parametrize("digits", [7, 9, 12, 30])
@pytest.mark.parametrize("offset", ["Z", "+00:00", "-00:00"])
def test_a_time_finer_than_a_microsecond_stays_in_its_month(ledger: Ledger, digits: int, offset: str) -> None:
    """As .NET (7 digits), Go and Java (9) write it."""
    ledger.define("m", "sum")
    ledger.batch([EVENT | {"at": f"2026-06-30T23:59:59.{'9' * digits}{offset}"}])
    assert ledger.usage("a", "m", period="month", now=at("2026-06-15")).quantity == 5
    assert ledger.usage("a", "m", period="month", now=at("2026-07-15")).quantity == 0
    assert ledger.call("events", subject="a")[0].at == at("2026-06-30 23:59:59.999999")
