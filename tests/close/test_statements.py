"""Statements from Python: the calls, their models, and the errors that a caller branches on."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from pymeter import Meter, errors
from pymeter.async_client import AsyncMeter

JUNE = datetime(2026, 6, 1, tzinfo=UTC)
JULY = datetime(2026, 7, 1, tzinfo=UTC)
AUGUST = datetime(2026, 8, 1, tzinfo=UTC)
NOON = datetime(2026, 6, 18, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def tokens(meter: Meter) -> None:
    meter.define_metric("tokens", "sum", "token")
    meter.record("acct_1", "tokens", "0.1", at=NOON)


def test_what_a_watermark_has_seen_is_the_answer_for_ever(meter: Meter) -> None:
    watermark = meter.watermark("acct_1")
    assert watermark.tzinfo is UTC
    meter.record("acct_1", "tokens", 5, at=NOON)
    window = {"since": JUNE, "until": JULY}
    assert meter.usage("acct_1", "tokens", **window, as_of=watermark).quantity == Decimal("0.1")
    assert [line.quantity for line in meter.summary("acct_1", **window, as_of=watermark)] == [Decimal("0.1")]
    (bucket,) = meter.series("acct_1", "tokens", JUNE, JULY, step="month", as_of=watermark)
    assert bucket.quantity == Decimal("0.1")
    assert [event.quantity for event in meter.events("acct_1", as_of=watermark)] == [Decimal("0.1")]
    assert meter.usage("acct_1", "tokens", **window).quantity == Decimal("5.1")


def test_a_read_beyond_the_last_watermark_is_refused_with_the_way_to_draw_one(meter: Meter) -> None:
    later = meter.watermark("acct_1") + timedelta(microseconds=1)
    with pytest.raises(errors.LockUnavailable) as caught:
        meter.usage("acct_1", "tokens", as_of=later)
    assert caught.value.parameter == "as_of"
    assert "meter.watermark('acct_1')" in (caught.value.hint or "")


def test_a_closed_period_is_a_statement_with_a_document_that_has_its_hash(meter: Meter) -> None:
    header = meter.close_period("acct_1", JUNE, JULY)
    assert meter.close_period("acct_1", JUNE, JULY) == header
    assert meter.statements("acct_1") == [header]
    (line,) = meter.statement(header.statement_id)
    assert (line.kind, line.metric, line.quantity, line.event_count) == ("usage", "tokens", Decimal("0.1"), 1)
    document = meter.statement_document(header.statement_id)
    assert hashlib.sha256(document.encode()).hexdigest() == header.hash
    assert [row["quantity"] for row in json.loads(document)["lines"]] == ["0.1"]
    following = meter.close_period("acct_1", JULY, AUGUST)
    assert following.previous_hash == header.hash
    assert meter.verify_statements() == []


def test_late_usage_is_decided_once_and_stands_on_the_next_statement(meter: Meter) -> None:
    header = meter.close_period("acct_1", JUNE, JULY)
    meter.record("acct_1", "tokens", 5, at=NOON)
    (late,) = meter.late_usage("acct_1")
    assert (late.stated, late.current, late.delta) == (Decimal("0.1"), Decimal("5.1"), 5)
    assert [event.quantity for event in meter.what_changed(header.statement_id)] == [5]
    moved = meter.settle_late_usage(header.statement_id, "tokens", 4, "bill")
    assert (moved.outcome, moved.delta, moved.billed) == ("conflict", 5, 0)
    settled = meter.settle_late_usage(header.statement_id, "tokens", 5, "bill", reason="agreed")
    assert (settled.outcome, settled.delta, settled.billed) == ("settled", 0, 5)
    assert meter.settle_late_usage(header.statement_id, "tokens", 5, "bill").outcome == "duplicate"
    following = meter.close_period("acct_1", JULY, AUGUST)
    (line,) = [line for line in meter.statement(following.statement_id) if line.kind == "late"]
    assert (line.quantity, line.since, line.until, line.late_of) == (5, JUNE, JULY, header.statement_id)
    assert meter.late_usage() == []


def test_what_is_due_is_closed_until_nothing_is(meter: Meter) -> None:
    (closed,) = meter.close_due()
    assert (closed.subject, closed.outcome, closed.sqlstate) == ("acct_1", "closed", None)
    assert [header.statement_id for header in meter.statements()] == [closed.statement_id]
    assert meter.close_due() == []


def test_a_metric_may_refuse_what_comes_after_closing(meter: Meter) -> None:
    assert meter.define_metric("tokens", "sum", "token", after_close="refuse").after_close == "refuse"
    meter.close_period("acct_1", JUNE, JULY)
    with pytest.raises(errors.PeriodSealed):
        meter.record("acct_1", "tokens", 1, at=NOON)
    assert meter.record("acct_1", "tokens", 1, at=JULY).outcome == "recorded"


def test_a_period_that_cannot_be_closed_yet_is_no_missing_installation(meter: Meter) -> None:
    held = meter.reserve("acct_1", "tokens", 1)
    now = datetime.now(UTC) + timedelta(minutes=1)
    with pytest.raises(errors.NotReady) as caught:
        meter.close_period("acct_1", JUNE, now, now=now)
    assert caught.value.sqlstate == "55000"
    assert "Settle or release it" in (caught.value.hint or "")
    assert held.reservation_id is not None


def test_a_missing_statement_is_not_found(meter: Meter) -> None:
    for call in (meter.statement, meter.statement_document, meter.what_changed):
        with pytest.raises(errors.NotFound):
            call(4711)


def test_the_tables_are_final_for_their_owner(
    meter: Meter, meter_connection: psycopg.Connection[Any]
) -> None:
    meter.close_period("acct_1", JUNE, JULY)
    for table in ("statements", "statement_lines"):
        for change in (f"UPDATE meter.{table} SET since = since", f"DELETE FROM meter.{table}"):
            with (
                pytest.raises(psycopg.errors.InsufficientPrivilege),
                meter_connection.transaction(),
            ):
                meter_connection.execute(change)


def test_the_asynchronous_client_closes_too(meter_dsn: str) -> None:
    async def close() -> tuple[str, str, datetime]:
        connection = await psycopg.AsyncConnection.connect(meter_dsn)
        async with connection:
            asynchronous = AsyncMeter(connection)
            header = await asynchronous.close_period("acct_2", period="month")
            document = await asynchronous.statement_document(header.statement_id)
            return header.hash, document, await asynchronous.watermark("acct_2")

    hash, document, watermark = asyncio.run(close())
    assert hashlib.sha256(document.encode()).hexdigest() == hash
    assert watermark.tzinfo is UTC
