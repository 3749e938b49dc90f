"""A home-made meter, as @prsm/meter records: an INSERT of the event and an UPSERT of the period's total.

One log, indexed as ours is, with a unique idempotency key, and one row per subject and month. It does less:
no partitions, no finer rollup, no check of what is recorded, no payload compared.
"""

from __future__ import annotations

from typing import LiteralString

from tests.benchmarks.bench import Scale, connected
from tests.benchmarks.ready import OpenHour
from tests.benchmarks.seed import define

_TABLES: LiteralString = """
CREATE SCHEMA home_made;
CREATE TABLE home_made.events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    subject text NOT NULL,
    metric text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    quantity numeric NOT NULL,
    idempotency_key text,
    metadata jsonb,
    PRIMARY KEY (subject, metric, at, id)
);
CREATE UNIQUE INDEX ON home_made.events (subject, metric, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE home_made.totals (
    subject text NOT NULL,
    metric text NOT NULL,
    month timestamptz NOT NULL,
    quantity numeric NOT NULL,
    event_count bigint NOT NULL,
    PRIMARY KEY (subject, metric, month)
) WITH (fillfactor = 70);
"""
_TOTALS: LiteralString = """
INSERT INTO home_made.totals
SELECT 'acct_' || i, 'tokens', date_trunc('month', now(), 'UTC'), 0, 0 FROM generate_series(0, %s - 1) AS i
"""


def home_made(dsn: str, scale: Scale) -> OpenHour:
    """Put it beside the meter, with a total for every subject. Returns what does as much for the meter."""
    with connected(dsn) as connection:
        define(connection, "tokens")
        connection.execute(_TABLES)
        connection.execute(_TOTALS, [scale.subjects])
        connection.execute("VACUUM (ANALYZE) home_made.totals")
    return OpenHour(dsn, scale, "tokens")
