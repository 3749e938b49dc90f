"""Corrections from Python: exact results, both clients, entries as models or dicts, any number of them."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

import pymeter._staging as staging
from pymeter import AsyncMeter, Meter, errors, models

NOON = datetime(2026, 6, 18, 12, tzinfo=UTC)
JUNE = {"since": datetime(2026, 6, 1, tzinfo=UTC), "until": datetime(2026, 7, 1, tzinfo=UTC)}


@pytest.fixture(autouse=True)
def tokens(meter: Meter) -> None:
    meter.define_metric("tokens", "sum", "token")
    meter.define_metric("users", "unique", "user")


def _used(meter: Meter) -> Decimal:
    return meter.usage("acct_1", "tokens", **JUNE).quantity


def _adjustments(number: int) -> Iterator[models.AdjustEntry]:
    for _ in range(number):
        yield models.AdjustEntry(subject="acct_1", metric="tokens", quantity="0.1", at=NOON)


def test_results_are_exact(meter: Meter) -> None:
    meter.record("acct_1", "tokens", "0.30", idempotency_key="k", at=NOON)
    amended = meter.amend_event("acct_1", "tokens", idempotency_key="k", quantity="0.1", reason="a fault")
    assert (amended.outcome, amended.quantity) == ("applied", Decimal("0.1"))
    adjusted = meter.adjust("acct_1", "tokens", Decimal("1e-30"), at=NOON, reason="a credit")
    assert adjusted.quantity == Decimal("0.1") + Decimal("1e-30")
    voided = meter.void_event("acct_1", "tokens", amended.event_id, reason="a fault")
    assert (voided.event_id, voided.quantity) == (amended.event_id, Decimal("1e-30"))
    (one,) = meter.corrections(max_rows=1)
    assert (one.correction_id, one.state, one.reason, one.entries) == (
        voided.correction_id,
        "approved",
        "a fault",
        1,
    )
    assert one.opened_at.tzinfo is UTC
    assert pickle.loads(pickle.dumps(one)) == one


def test_entries_are_models_or_dicts(meter: Meter) -> None:
    meter.record("acct_1", "tokens", 5, idempotency_key="k", at=NOON)
    meter.record("acct_1", "tokens", 6, at=NOON)
    meter.record("acct_1", "users", member="ana", at=NOON)
    (event,) = meter.events("acct_1", "users")
    about: dict[str, Any] = {"subject": "acct_1", "metric": "tokens"}
    entries: list[Any] = [
        models.VoidEntry(**about, since=NOON, until=NOON + timedelta(seconds=1)),
        models.RecordEntry(**about, quantity=2, idempotency_key="k", at=NOON, metadata={"n": Decimal("0.1")}),
        models.AmendEntry(subject="acct_1", metric="users", event_id=event.event_id, member="ben"),
        {"entry": "adjust", **about, "quantity": Decimal("-0.5"), "at": NOON, "reason": "goodwill"},
    ]
    number = meter.open_correction("replay", idempotency_key="replay-1")
    assert meter.open_correction("replay", idempotency_key="replay-1") == number
    assert meter.stage_correction(number, iter(entries)) == 5
    effects = {effect.metric: effect for effect in meter.preview_correction(number)}
    assert (effects["tokens"].before, effects["tokens"].after) == (11, Decimal("1.5"))
    assert [effect.after for effect in meter.approve_correction(number)] == [Decimal("1.5"), 1]
    found = meter.correction_entries(number)
    assert [entry.entry for entry in found] == ["void", "void", "record", "amend", "adjust"]
    assert {entry.outcome for entry in found} == {"applied"}
    assert found[2].metadata == {"n": Decimal("0.1")}
    undone = meter.revert_correction(number, "wrong file")
    assert (_used(meter), meter.corrections("reverted")[0].reverted_by) == (11, undone)


@pytest.mark.parametrize("pooled", [False, True])
def test_any_number_of_entries_is_staged_as_a_whole(
    meter: Meter, meter_dsn: str, monkeypatch: pytest.MonkeyPatch, pooled: bool
) -> None:
    """In batches, all of them in one transaction: the last one fails, so nothing is staged."""
    monkeypatch.setattr(staging, "BATCH_ENTRIES", 10)
    number = meter.open_correction("many")
    bad = {"entry": "adjust", "subject": "acct_1", "metric": "tokenz", "quantity": 1}
    with ConnectionPool(meter_dsn, min_size=1) as pool, psycopg.connect(meter_dsn) as connection:
        made = Meter(pool if pooled else connection)
        with pytest.raises(errors.UnknownMetric) as caught:
            made.stage_correction(number, [*_adjustments(25), bad])
        assert "after entry 20" in str(caught.value.detail)
        connection.rollback()
        assert meter.corrections("open")[0].entries == 0
        for entries in ([], _adjustments(10), _adjustments(15)):
            staged = made.stage_correction(number, entries)
        connection.commit()
    assert staged == 25
    meter.approve_correction(number)
    assert _used(meter) == Decimal("2.5")


@pytest.mark.parametrize(
    ("entry", "parameter"),
    [
        ("void", "entries"),
        ({"entry": "adjust", "subject": "a", "metric": "tokens", "quantity": 0.5}, "quantity"),
        ({"entry": "void", "subject": "a", "metric": "tokens", "at": datetime(2026, 6, 1)}, "at"),
        ({"entry": "record", "subject": "a\0", "metric": "tokens", "quantity": 1}, "entries"),
    ],
)
def test_what_cannot_be_sent_is_refused(meter: Meter, entry: Any, parameter: str) -> None:
    number = meter.open_correction("x")
    with pytest.raises(errors.InvalidInput) as caught:
        meter.stage_correction(number, [entry])
    assert caught.value.parameter == parameter


def test_errors_have_classes(meter: Meter) -> None:
    with pytest.raises(errors.NotFound):
        meter.preview_correction(99999)
    with pytest.raises(errors.NotFound):
        meter.void_event("acct_1", "tokens", 99999, reason="x")
    with pytest.raises(errors.NullInput):
        meter.adjust("acct_1", "tokens", 1)
    with pytest.raises(errors.MetricForbids):
        meter.adjust("acct_1", "users", 1, reason="x")
    meter.open_correction("x", idempotency_key="k")
    with pytest.raises(errors.DuplicateEvent):
        meter.open_correction("y", idempotency_key="k")
    number = meter.open_correction("z")
    meter.reject_correction(number, "no")
    with pytest.raises(errors.InvalidInput):
        meter.approve_correction(number)


def test_the_async_client_does_the_same(
    meter: Meter, meter_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "BATCH_ENTRIES", 10)

    async def correct() -> None:
        async with await psycopg.AsyncConnection.connect(meter_dsn, autocommit=True) as connection:
            made = AsyncMeter(connection)
            recorded = await made.record("acct_1", "tokens", 5, at=NOON)
            assert (await made.void_event("acct_1", "tokens", recorded.event_id, reason="x")).quantity == 0
            number = await made.open_correction("many")
            assert await made.stage_correction(number, _adjustments(25)) == 25
            (effect,) = await made.preview_correction(number)
            assert await made.approve_correction(number) == [effect]
            assert len(await made.correction_entries(number, max_rows=20)) == 20
            await made.revert_correction(number, "x")
            assert [one.state for one in await made.corrections(max_rows=2)] == ["approved", "reverted"]

    asyncio.run(correct())
    assert _used(meter) == 0


def test_health_tells_of_corrections_that_wait(meter: Meter) -> None:
    assert not [notice for notice in meter.health().notices if "correction" in notice]
    number, _ = meter.open_correction("x"), meter.open_correction("y")
    opened = meter.corrections("open")[1].opened_at
    (notice,) = [notice for notice in meter.health().notices if "correction" in notice]
    assert notice == f"corrections waiting for a decision: 2, the oldest since {opened:%Y-%m-%d %H:%M} UTC"
    meter.reject_correction(number, "no")
    (notice,) = [notice for notice in meter.health().notices if "correction" in notice]
    assert "decision: 1," in notice
