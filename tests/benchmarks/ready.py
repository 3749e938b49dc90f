"""Before a load is measured: every series that it records for has its present hour open.

At 1,000 events a second and 10,000 subjects, one event in 360 is the first of an hour. What that one costs is
a row of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from tests.benchmarks.bench import Scale, connected

# Whatever a measurement takes beside `seconds`: warming up, and pgbench's second half.
_MARGIN_SECONDS = 5
_BATCH = """
SELECT count(*) FROM meter.record_batch((
    SELECT jsonb_agg(jsonb_build_object(
        'subject', %s || i, 'metric', %s::text, 'quantity', 1, 'at', now() - make_interval(hours => %s)))
    FROM generate_series(%s::int, %s) AS i))
"""
_BATCH_EVENTS = 10_000


class OpenHour:
    """Called before each measurement: records an event of every subject once an hour.

    When the hour is about to end, it waits for the next one.
    """

    def __init__(
        self,
        dsn: str,
        scale: Scale,
        metric: str,
        record: Callable[[], object] | None = None,
        *,
        analyze: bool = True,
    ) -> None:
        self._dsn, self._scale, self._metric, self._analyze = dsn, scale, metric, analyze
        self._record = record or self._by_batch
        self._hour: datetime | None = None

    def __call__(self) -> None:
        self.wait()
        hour = _hour()
        if hour != self._hour:
            self._record()
            if self._analyze:
                with connected(self._dsn) as connection:
                    connection.execute("VACUUM (ANALYZE) meter.series")
                    connection.execute("ANALYZE meter.keys, meter.events")
            self._hour = hour

    def wait(self) -> None:
        """Until no hour ends within a measurement."""
        left = (_hour() + timedelta(hours=1) - datetime.now(UTC)).total_seconds()
        if left < 2 * self._scale.seconds + _MARGIN_SECONDS:
            time.sleep(left + 0.1)

    def _by_batch(self) -> None:
        with connected(self._dsn) as connection:
            one_event_each(connection, self._metric, self._scale.subjects)


def one_event_each(
    connection: psycopg.Connection[Any],
    metric: str,
    subjects: int,
    prefix: str = "acct_",
    hours_ago: int = 0,
) -> None:
    """Record an event of each of ``acct_0``, ``acct_1`` ..."""
    for first in range(0, subjects, _BATCH_EVENTS):
        last = min(first + _BATCH_EVENTS, subjects) - 1
        connection.execute(_BATCH, [prefix, metric, hours_ago, first, last])


def _hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
