"""known_events(): which events were recorded before, by their key or by what an export says of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from tests.helpers import Ledger, as_jsonb

AT = datetime(2026, 6, 18, 12, tzinfo=UTC)


@pytest.fixture
def unkeyed(ledger: Ledger) -> dict[str, Any]:
    """An event without a key, as events() returns it."""
    ledger.define("tokens", "sum", "token")
    ledger.record("a", "tokens", 7, at=AT)
    (event,) = ledger.call("events", subject="a")
    return {**event._asdict(), "metadata": None}


def known(ledger: Ledger, *events: dict[str, Any]) -> list[tuple[int, str]]:
    return [(row.ordinal, row.outcome) for row in ledger.call("known_events", events=as_jsonb(events))]


def test_an_event_without_a_key_is_known_by_its_id_and_both_of_its_times(
    ledger: Ledger, unkeyed: dict[str, Any]
) -> None:
    assert known(ledger, unkeyed) == [(1, "duplicate")]
    for name, other in (
        *(("event_id", unkeyed["event_id"] + 1), ("recorded_at", AT), ("at", unkeyed["recorded_at"])),
        *(("subject", "b"), ("metric", "others"), ("event_id", "1e3"), ("recorded_at", "never")),
    ):
        assert known(ledger, {**unkeyed, name: other}) == [], name


def test_an_event_with_another_quantity_is_in_conflict(ledger: Ledger, unkeyed: dict[str, Any]) -> None:
    assert known(ledger, unkeyed | {"quantity": 8}, unkeyed | {"quantity": "7.0"}) == [
        (1, "conflict"),
        (2, "duplicate"),
    ]


def test_an_event_with_a_key_is_known_by_it(ledger: Ledger) -> None:
    ledger.define("tokens", "sum", "token")
    ledger.record("a", "tokens", 7, idempotency_key="k")
    event = {"subject": "a", "metric": "tokens", "quantity": 7, "idempotency_key": "k"}
    assert known(ledger, {**event, "idempotency_key": "l"}, event, {**event, "quantity": 8}) == [
        (2, "duplicate"),
        (3, "conflict"),
    ]


def test_what_is_no_event_is_not_known(ledger: Ledger) -> None:
    assert known(ledger, {}, {"subject": None, "metric": 3, "event_id": 10**30}) == []
    assert ledger.call("known_events", events='[1, null, [], "x"]') == []


@pytest.mark.parametrize(("events", "sqlstate"), [(None, "22004"), ("{}", "22023")])
def test_what_is_no_list_of_events_is_refused(ledger: Ledger, events: str | None, sqlstate: str) -> None:
    with pytest.raises(psycopg.Error) as refused:
        ledger.call("known_events", events=events)
    assert refused.value.sqlstate == sqlstate
