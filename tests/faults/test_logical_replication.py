"""The log can be followed by another server, which derives everything else from it.

On the server that records: a publication of the catalog and the log, through the partitions' root, so that
the other side may be partitioned otherwise or not at all; and one of the new rows of series, without which
the log's numbers would mean nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from pymeter.migrate import migrate
from tests.faults.lived_in import SUBJECTS, day, live
from tests.faults.servers import Server, new_database, new_server
from tests.helpers import AGGREGATES, Ledger, midnight

pytestmark = pytest.mark.slow

PUBLISH = """
CREATE PUBLICATION meter_log FOR TABLE meter.metrics, meter.events
    WITH (publish = 'insert, update', publish_via_partition_root = true)
"""
PUBLISH_SERIES = """
CREATE PUBLICATION meter_series FOR TABLE meter.series WHERE (stripe = 0) WITH (publish = 'insert')
"""
SUBSCRIBE = "CREATE SUBSCRIPTION meter_log CONNECTION '{}' PUBLICATION meter_log, meter_series"


@pytest.fixture(scope="module")
def follower() -> Iterator[Server]:
    """A second server."""
    with new_server() as server:
        yield server


@pytest.fixture
def there(durable_dsn: str, follower: Server) -> Iterator[Ledger]:
    """A meter on the second server that follows the log of the first."""
    with psycopg.connect(durable_dsn, autocommit=True) as here:
        live(Ledger(here))
        here.execute(PUBLISH)
        here.execute(PUBLISH_SERIES)
    with new_database(follower.dsn) as dsn:
        migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(SUBSCRIBE.format(durable_dsn).encode())
            yield Ledger(connection)
            connection.execute("DROP SUBSCRIPTION meter_log")


def caught_up(here: Ledger, there: Ledger) -> None:
    """Wait until the other server has applied all that is committed here."""
    end = here.value("SELECT pg_current_wal_lsn()")
    deadline = time.monotonic() + 30
    states = "SELECT string_agg(DISTINCT srsubstate::text, '') FROM pg_subscription_rel"
    while True:
        behind = here.value(
            "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= %s::pg_lsn AND state = 'streaming'",
            [end],
        )
        if behind and there.value(states) == "r":
            return
        errors = there.row("SELECT apply_error_count, sync_error_count FROM pg_stat_subscription_stats")
        assert errors == (0, 0), f"replication failed: {errors}"
        assert time.monotonic() < deadline, "replication never caught up"
        time.sleep(0.02)


def log(ledger: Ledger) -> list[tuple[object, ...]]:
    return [tuple(row) for row in ledger.rows("SELECT * FROM meter.events ORDER BY event_id")]


def test_another_server_follows_the_log_and_derives_the_rollups(durable_dsn: str, there: Ledger) -> None:
    with psycopg.connect(durable_dsn, autocommit=True) as connection:
        here = Ledger(connection)
        here.batch(day(-3, "followed"))
        caught_up(here, there)
        assert log(there) == log(here)

        there.rebuild()
        assert there.verify() == []
        for subject in SUBJECTS:
            for aggregate in AGGREGATES:
                window = {"since": midnight(-500), "until": midnight(1)}
                question = (subject, f"by {aggregate}")
                assert there.usage(*question, **window) == here.usage(*question, **window)


def test_maintenance_on_either_side_does_not_disturb_it(durable_dsn: str, there: Ledger) -> None:
    """Strays that maintain() moves to partitions are the same events: they are not sent again."""
    with psycopg.connect(durable_dsn, autocommit=True) as connection:
        here = Ledger(connection)
        caught_up(here, there)
        assert here.value("SELECT count(*) FROM meter.events_default") > 0
        assert "moved strays" in dict(here.maintain())
        here.batch(day(-2, "after maintain"))
        caught_up(here, there)
        assert log(there) == log(here)
        assert "moved strays" in dict(there.maintain())
        here.batch(day(-1, "after maintain there"))
        caught_up(here, there)
        assert log(there) == log(here)
