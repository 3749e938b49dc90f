"""Numbers and times survive the way in and out, whatever the caller's session is set to."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import RawCursor
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg.types.numeric import FloatLoader, NumericBinaryLoader
from psycopg_pool import ConnectionPool

from pymeter import AsyncMeter, Meter
from pymeter.migrate import migrate
from pymeter.models import NewEvent

LONG = Decimal("0.1234567890123456789012345")
"""More digits than a float has."""
NOON = datetime(2026, 6, 18, 12, 30, 45, 123456, tzinfo=UTC)


class BinaryFloatLoader(NumericBinaryLoader):
    """Loads a numeric that comes in binary form, as the clients ask for it, as a float."""

    def load(self, data: Any) -> Any:
        return float(super().load(data))


def spoil(adapters: AdaptersMap) -> None:
    """What an application may do that wants floats, in both forms that PostgreSQL answers in."""
    adapters.register_loader("numeric", FloatLoader)
    adapters.register_loader("numeric", BinaryFloatLoader)


@pytest.fixture(autouse=True)
def metrics(meter: Meter) -> None:
    meter.define_metric("gigabytes", "sum", "GB")
    meter.define_metric("price", "avg", "EUR")


@pytest.mark.parametrize(
    "quantity", ["0.1", "0.000000000000000000000000001", str(2**90), "12345678901234567890.5"]
)
def test_a_quantity_comes_back_as_it_went_in(meter: Meter, quantity: str) -> None:
    assert meter.record("acct_1", "gigabytes", Decimal(quantity)).quantity == Decimal(quantity)
    assert meter.events("acct_1")[0].quantity == Decimal(quantity)
    batch = [{"subject": "b", "metric": "gigabytes", "quantity": Decimal(quantity)}]
    assert meter.record_batch(batch)[0].outcome == "recorded"
    assert meter.usage("b", "gigabytes").quantity == Decimal(quantity)


def test_a_result_without_a_total_has_no_quantity(meter: Meter) -> None:
    assert meter.record("acct_1", "gigabytes", 2, total=True).quantity == 2
    recorded = meter.record("acct_1", "gigabytes", 2, total=False)
    assert (recorded.outcome, recorded.quantity, recorded.unit) == ("recorded", None, "GB")
    assert meter.record("acct_1", "gigabytes", 2).quantity == 6


def test_tenths_add_up(meter: Meter) -> None:
    meter.record_batch([NewEvent(subject="a", metric="gigabytes", quantity=Decimal("0.1"))] * 10)
    assert meter.usage("a", "gigabytes").quantity == 1


def test_a_connection_that_loads_numbers_as_floats_does_not_spoil_them(
    meter_connection: psycopg.Connection[Any],
) -> None:
    spoil(meter_connection.adapters)
    result = Meter(meter_connection).record("acct_1", "gigabytes", LONG)
    assert result.quantity == LONG


def test_an_async_connection_that_loads_numbers_as_floats_does_not_spoil_them(meter_dsn: str) -> None:
    async def work() -> Any:
        async with await psycopg.AsyncConnection.connect(meter_dsn) as connection:
            spoil(connection.adapters)
            return await AsyncMeter(connection).record("acct_1", "gigabytes", LONG)

    result = asyncio.run(work())
    assert result.quantity == LONG


def test_the_connection_keeps_the_loaders_that_it_was_given(
    meter_connection: psycopg.Connection[Any],
) -> None:
    """In a call its own loaders do not count, and after the call they do again."""
    spoil(meter_connection.adapters)
    assert isinstance(Meter(meter_connection).record("acct_1", "gigabytes", 1).quantity, Decimal)
    for binary in (False, True):
        row = meter_connection.execute("SELECT 0.5", binary=binary).fetchone()
        assert row is not None
        assert isinstance(row[0], float)


def test_the_settings_of_the_session_do_not_matter(meter_connection: psycopg.Connection[Any]) -> None:
    meter_connection.row_factory = dict_row  # type: ignore[assignment]
    meter_connection.cursor_factory = RawCursor  # type: ignore[assignment]
    for setting in (
        "datestyle = 'German, DMY'",
        "intervalstyle = 'sql_standard'",
        "timezone = 'Asia/Kathmandu'",
        "extra_float_digits = -15",
        "search_path = ''",
        "client_encoding = 'SQL_ASCII'",
    ):
        meter_connection.execute(f"SET {setting}")  # type: ignore[arg-type]
    local = Meter(meter_connection)
    local.define_metric("gigabytes", "sum", "GB", max_future=timedelta(days=2, hours=3))
    local.record("acct_1", "gigabytes", Decimal("1.25"), at=NOON, metadata={"model": "large"})
    event = local.events("acct_1")[0]
    assert event.at == NOON
    assert event.at.tzinfo is UTC
    assert local.catalog()[0].max_future == timedelta(days=2, hours=3)
    window = local.resolve_window("month", now=NOON)
    assert (window.since, window.until) == (
        datetime(2026, 6, 1, tzinfo=UTC),
        datetime(2026, 7, 1, tzinfo=UTC),
    )


def test_times_of_any_zone_are_the_same_instant(meter: Meter) -> None:
    tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
    meter.record("acct_1", "gigabytes", 1, at=tokyo)
    assert meter.events("acct_1")[0].at == NOON


def test_metadata_keeps_its_numbers(meter: Meter) -> None:
    metadata = {"price": Decimal("0.10"), "big": 2**70, "deep": [{"rate": Decimal("1E-30")}], "when": NOON}
    meter.record("acct_1", "gigabytes", 1, metadata=metadata)
    found = meter.events("acct_1")[0].metadata
    assert found == {
        "price": Decimal("0.10"),
        "big": 2**70,
        "deep": [{"rate": Decimal("1E-30")}],
        "when": NOON.isoformat(),
    }
    assert str(found["price"]) == "0.10"


def test_text_is_data(meter: Meter) -> None:
    odd = "Robert'); DROP TABLE events;-- %s %(x)s {} 🧾 " + "ü" * 100
    meter.record(odd, "gigabytes", 1, idempotency_key=odd, metadata={odd: odd})
    event = meter.events(odd)[0]
    assert (event.subject, event.idempotency_key, event.metadata) == (odd, odd, {odd: odd})


def test_windows_without_an_end_have_none(meter: Meter) -> None:
    meter.define_metric("ever", "count", "x", period="never")
    assert meter.record("acct_1", "ever").period_end is None
    assert meter.resolve_window(since=NOON).until is None
    assert meter.usage("acct_1", "gigabytes", since=NOON).until is None


def test_every_method_answers(meter: Meter) -> None:
    meter.record("acct_1", "gigabytes", 80, at=NOON, metadata={"region": "eu"})
    month: dict[str, Any] = {
        "since": datetime(2026, 6, 1, tzinfo=UTC),
        "until": datetime(2026, 7, 1, tzinfo=UTC),
    }
    assert meter.usage("acct_1", "gigabytes", **month).quantity == 80
    assert [line.metric for line in meter.summary("acct_1", **month)] == ["gigabytes", "price"]
    days = meter.series("acct_1", "gigabytes", **month)
    assert len(days) == 30
    assert sum(day.quantity for day in days) == 80
    assert [
        (group.value, group.quantity) for group in meter.usage_by("acct_1", "gigabytes", "region", **month)
    ] == [("eu", 80)]
    assert meter.check_quota("acct_1", "gigabytes", 100, 20, **month).allowed
    assert not meter.check_quota("acct_1", "gigabytes", "100", Decimal(21), **month).allowed
    assert [row.subject for row in meter.subjects()] == ["acct_1"]
    assert meter.verify() == []
    assert meter.rebuild("acct_1") >= 0
    assert meter.maintain() is not None
    assert meter.maintain("13 months", detach=True) == meter.maintain(timedelta(days=400)) == []
    assert meter.retire_metric("price").retired_at is not None


def test_events_are_paged_without_gaps_or_repeats(meter: Meter) -> None:
    """Seven events share every instant, so pages end in the middle of one."""
    meter.record_batch(
        [
            {
                "subject": "acct_1",
                "metric": "gigabytes",
                "quantity": n,
                "at": NOON + timedelta(seconds=n // 7),
            }
            for n in range(50)
        ]
    )
    ids = [event.event_id for event in meter.iter_events("acct_1", page_size=10)]
    assert len(ids) == len(set(ids)) == 50
    assert ids == [event.event_id for event in meter.events("acct_1", max_rows=100)]
    assert list(meter.iter_events("nobody")) == []


def test_in_a_database_without_an_encoding_a_result_that_is_committed_can_be_read(
    pymeter_server: str,
) -> None:
    """psycopg returns bytes there. An error after the commit would be answered with a retry."""
    name = f"pymeter_sql_ascii_{os.getpid()}"
    with psycopg.connect(pymeter_server, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
        try:
            dsn = make_conninfo(pymeter_server, dbname=name)
            migrate(dsn)
            with ConnectionPool(dsn, min_size=1, max_size=1) as pool:
                meter = Meter(pool)
                meter.define_metric("tokens", "sum", "tök")
                recorded = meter.record("ä", "tokens", 1)
                assert (recorded.outcome, recorded.quantity, recorded.unit) == ("recorded", 1, "tök")
                assert meter.record_batch([NewEvent(subject="a", metric="tokens", quantity=Decimal(1))])
                with pool.connection() as connection:
                    connection.execute(
                        "UPDATE meter.metrics SET unit = convert_from('\\xff41', 'SQL_ASCII')"
                    )  # by a client that writes in another encoding
                assert meter.record("ä", "tokens", 1).quantity == 2
                assert [event.subject for event in meter.events("ä")] == ["ä", "ä"]
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
