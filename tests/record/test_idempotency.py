"""P2: the same (subject, metric, idempotency_key) counts once, without a horizon."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.helpers import Ledger, at

Record = Callable[..., tuple[str, int | None]]


@pytest.fixture(params=["record", "record_batch"])
def record(request: pytest.FixtureRequest, ledger: Ledger) -> Record:
    """(outcome, event_id) of one event, through either function."""

    def one(**event: Any) -> tuple[str, int | None]:
        row = ledger.record(**event) if request.param == "record" else ledger.batch([event])[0]
        return row.outcome, row.event_id

    return one


def test_p2_the_same_key_twice_counts_once_and_returns_the_first_event(
    ledger: Ledger, record: Record
) -> None:
    ledger.define("m", "sum")
    outcome, first = record(subject="a", metric="m", quantity=5, idempotency_key="k")
    assert outcome == "recorded"
    before = ledger.state()
    assert record(subject="a", metric="m", quantity=5, idempotency_key="k") == ("duplicate", first)
    assert ledger.state() == before
    assert ledger.usage("a", "m").quantity == 5


def test_p2_the_repeat_is_told_the_unchanged_total_of_the_first_period(ledger: Ledger) -> None:
    ledger.define("m", "sum", "token", period="day")
    first = ledger.record("a", "m", 5, at=at("2026-06-18"), idempotency_key="k")
    ledger.record("a", "m", 7, at=at("2026-06-18"))
    repeat = ledger.record("a", "m", 5, at=at("2026-07-20"), idempotency_key="k")
    assert repeat[:6] == (first.event_id, "duplicate", 12, "token", at("2026-06-18"), at("2026-06-19"))
    conflict = ledger.record("a", "m", 6, at=at("2026-07-20"), idempotency_key="k")
    assert conflict[:6] == (first.event_id, "conflict", 12, "token", at("2026-06-18"), at("2026-06-19"))


@pytest.mark.parametrize(
    "other", [{"subject": "b"}, {"metric": "m2"}, {"idempotency_key": "k "}, {"idempotency_key": "K"}]
)
def test_p2_the_same_key_elsewhere_is_another_event(
    ledger: Ledger, record: Record, other: dict[str, str]
) -> None:
    ledger.define("m", "sum")
    ledger.define("m2", "sum")
    event = {"subject": "a", "metric": "m", "quantity": 5, "idempotency_key": "k"}
    first = record(**event)
    second = record(**(event | other))
    assert second[0] == "recorded"
    assert second[1] != first[1]


def test_p2_subject_metric_and_key_are_never_run_together(ledger: Ledger, record: Record) -> None:
    for metric in ("b", "bc", "c"):
        ledger.define(metric, "sum")
    for subject, metric, key in (("a", "bc", "d"), ("ab", "c", "d"), ("a", "b", "cd")):
        assert record(subject=subject, metric=metric, quantity=1, idempotency_key=key)[0] == "recorded"


def test_without_a_key_every_call_counts(ledger: Ledger, record: Record) -> None:
    ledger.define("m", "sum")
    for _ in range(3):
        assert record(subject="a", metric="m", quantity=5, at=at("2026-06-18"))[0] == "recorded"
    assert ledger.usage("a", "m", period="never").quantity == 15


@pytest.mark.parametrize(
    ("aggregate", "first", "second"),
    [
        ("sum", {"quantity": 5}, {"quantity": 6}),
        ("sum", {"quantity": 5}, {"quantity": "5.00000000000000000000000000001"}),
        ("count", {}, {"quantity": 2}),
        ("last", {"quantity": 5}, {"quantity": -5}),
        ("unique", {"member": "u"}, {"member": "v"}),
        ("unique", {"member": "u"}, {"member": "u "}),
    ],
)
def test_p2_a_key_reused_with_another_payload_is_a_conflict_and_changes_nothing(
    ledger: Ledger, record: Record, aggregate: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    ledger.define("m", aggregate)
    event = {"subject": "a", "metric": "m", "idempotency_key": "k"}
    _, event_id = record(**event, **first)
    before = ledger.state()
    assert record(**event, **second) == ("conflict", event_id)
    assert ledger.state() == before
    assert record(**event, **first) == ("duplicate", event_id)


def test_p2_count_without_a_quantity_is_the_same_payload_as_one(ledger: Ledger, record: Record) -> None:
    ledger.define("m", "count")
    record(subject="a", metric="m", idempotency_key="k")
    assert record(subject="a", metric="m", quantity=1, idempotency_key="k")[0] == "duplicate"


def test_p2_at_and_metadata_are_not_compared_and_the_first_one_wins(ledger: Ledger, record: Record) -> None:
    ledger.define("m", "sum")
    event = {"subject": "a", "metric": "m", "quantity": 5, "idempotency_key": "k"}
    _, first = record(**event, at=at("2026-06-18"), metadata={"try": 1})
    assert record(**event, at=at("2026-06-19"), metadata={"try": 2}) == ("duplicate", first)
    (stored,) = ledger.call("events", subject="a")
    assert (stored.at, stored.metadata) == (at("2026-06-18"), {"try": 1})


def test_p2_a_duplicate_in_a_later_month_counts_once(ledger: Ledger, record: Record) -> None:
    ledger.define("m", "sum")
    event = {"subject": "a", "metric": "m", "quantity": 5, "idempotency_key": "k"}
    ledger.maintain()
    record(**event, at=at("2026-01-31 23:59:59"))
    assert record(**event, at=at("2026-02-01"))[0] == "duplicate"
    ledger.maintain()
    assert record(**event, at=at("2026-06-01"))[0] == "duplicate"
    assert record(**event)[0] == "duplicate"
    assert ledger.usage("a", "m", period="never").quantity == 5
    assert ledger.verify() == []


@pytest.mark.parametrize("aggregate", ["sum", "unique"])
def test_p2_a_duplicate_after_its_partition_was_dropped_counts_once(
    ledger: Ledger, record: Record, aggregate: str
) -> None:
    ledger.define("m", aggregate)
    event = {"subject": "a", "metric": "m", "idempotency_key": "k", "at": at("2024-01-15")}
    event |= {"member": "u"} if aggregate == "unique" else {"quantity": 5}
    _, first = record(**event)
    ledger.maintain()
    ledger.execute("DROP TABLE meter.events_2024_01")
    assert record(**event) == ("duplicate", first)
    assert record(**(event | {"at": at("2026-06-18")})) == ("duplicate", first)
    other = {"member": "v"} if aggregate == "unique" else {"quantity": 6}
    assert record(**(event | other)) == ("conflict", first)
    assert ledger.value("SELECT count(*) FROM meter.events") == 0
    # The period's rollup still tells what was used.
    january = ledger.usage("a", "m", period="month", now=at("2024-01-20"))
    assert january.quantity == (1 if aggregate == "unique" else 5)


def test_p2_keys_outlive_a_rebuild(ledger: Ledger, record: Record) -> None:
    ledger.define("m", "sum")
    event = {"subject": "a", "metric": "m", "quantity": 5, "idempotency_key": "k"}
    record(**event)
    ledger.forget()
    ledger.rebuild()
    assert record(**event)[0] == "duplicate"
    assert ledger.usage("a", "m").quantity == 5


def test_p2_many_keys_of_one_subject_do_not_meet(ledger: Ledger) -> None:
    ledger.define("m", "count")
    keys = [f"{i}" for i in range(3000)]
    events = [
        {"subject": "a", "metric": "m", "idempotency_key": key, "at": at("2026-06-18") + timedelta(seconds=i)}
        for i, key in enumerate(keys)
    ]
    assert {o.outcome for o in ledger.batch(events)} == {"recorded"}
    assert {o.outcome for o in ledger.batch(events[::-1])} == {"duplicate"}
    assert ledger.usage("a", "m", period="never").quantity == 3000
