"""record() against SQL written by hand: one statement with the same writes on the same tables, by pgbench.

The target is for the first variant, which leaves the same rows behind: key, event and both rollups. The
second leaves out the idempotency key and the hour's rollup: what the promises cost.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.harness import Row, Sample, Side, Target
from tests.benchmarks.pgbench import pgbench
from tests.benchmarks.seed import define

_VARIABLES = """
\\set s random(0, {subjects} - 1)
\\set k random(1, 1000000000000000000)
"""
RECORD = (
    _VARIABLES
    + """
SELECT * FROM meter.record('acct_' || :s, 'tokens', 3, idempotency_key => 'req_' || :k);
"""
)
SAME_ROWS = (
    _VARIABLES
    + """
WITH k AS (
    INSERT INTO meter.idempotency_keys (event_id, at, subject, metric, key_digest, payload_digest)
    VALUES (nextval('meter.event_ids'), now(), 'acct_' || :s, 'tokens',
            substr(sha256(convert_to('req_' || :k, 'UTF8')), 1, 16),
            substr(sha256(convert_to('3', 'UTF8')), 1, 8))
    ON CONFLICT (subject, metric, key_digest) DO NOTHING
    RETURNING event_id, at, subject, metric
), e AS (
    INSERT INTO meter.events (event_id, at, subject, metric, quantity, idempotency_key)
    SELECT event_id, at, subject, metric, 3, 'req_' || :k FROM k
)
INSERT INTO meter.rollups AS r (subject, metric, bucket, bucket_start, event_count, last_at, total)
SELECT subject, metric, b.bucket, date_trunc(b.bucket, at, 'UTC'), 1, at, 3
FROM k, (VALUES ('hour'), ('month')) AS b (bucket)
ON CONFLICT (subject, metric, bucket, bucket_start, stripe) DO UPDATE SET
    event_count = r.event_count + excluded.event_count, last_at = greatest(r.last_at, excluded.last_at),
    total = r.total + excluded.total
RETURNING r.total;
"""
)
BARE = (
    _VARIABLES
    + """
WITH e AS (
    INSERT INTO meter.events (at, subject, metric, quantity, idempotency_key)
    VALUES (now(), 'acct_' || :s, 'tokens', 3, 'req_' || :k)
    RETURNING at, subject, metric
)
INSERT INTO meter.rollups AS r (subject, metric, bucket, bucket_start, event_count, last_at, total)
SELECT subject, metric, 'month', date_trunc('month', at, 'UTC'), 1, at, 3 FROM e
ON CONFLICT (subject, metric, bucket, bucket_start, stripe) DO UPDATE SET
    event_count = r.event_count + excluded.event_count, last_at = greatest(r.last_at, excluded.last_at),
    total = r.total + excluded.total
RETURNING r.total;
"""
)


def rows(bench: Bench) -> Iterator[Row]:
    with bench.database() as dsn:
        with connected(dsn) as connection:
            define(connection, "tokens")

        def side(name: str, script: str, clients: int) -> Side:
            text = script.replace("{subjects}", str(bench.scale.subjects))

            def run() -> Sample:
                return pgbench(dsn, text, clients=clients, seconds=bench.scale.seconds)

            return Side(name, run)

        for clients in bench.scale.clients:
            if bench.scale.name == "quick" and clients != 8:
                continue
            count = f"{clients} client{'s' * (clients > 1)}"
            yield Row(
                name=f"record, pgbench, {count}",
                unit="calls/s",
                ours=side("record()", RECORD, clients),
                baseline=side("one statement, the same rows", SAME_ROWS, clients),
                target=Target(">=", 0.9),
                note="Against one hand-written statement that writes key, event, hour and month.",
            )
            yield Row(
                name=f"record, pgbench, {count}, bare",
                unit="calls/s",
                ours=side("record()", RECORD, clients),
                baseline=side("one statement, event and month only", BARE, clients),
                note="For information: no idempotency key, no hour rollup.",
            )
