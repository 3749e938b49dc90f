"""record() against SQL written by hand: one statement with the same writes on the same tables, by pgbench.

The target is for the first variant, which leaves the same rows behind: key, event, and the series with its
open hour and month. It does what record() does with an ordinary event and nothing else: it does not check
what is recorded, and where the hour is not open, it records nothing. The second variant leaves out the
idempotency key and the hour: what the promises cost.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.bench import Bench, connected
from tests.benchmarks.harness import Row, Sample, Side, Target
from tests.benchmarks.pgbench import pgbench
from tests.benchmarks.ready import OpenHour
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
    INSERT INTO meter.keys (event_id, at, digest, quantity)
    VALUES (nextval('meter.event_ids'), now(), encode(substr(sha256(convert_to('6,' || length('acct_' || :s)
            || ',tokensacct_' || :s || 'req_' || :k, 'UTF8')), 1, 16), 'hex')::uuid, 3)
    ON CONFLICT (digest) DO NOTHING
    RETURNING event_id
), s AS (
    UPDATE meter.series SET
        version = version + 1,
        fine_last_at = greatest(fine_last_at, now()), fine_count = fine_count + 1,
        fine_total = fine_total + 3,
        coarse_last_at = greatest(coarse_last_at, now()), coarse_count = coarse_count + 1,
        coarse_total = coarse_total + 3
    FROM k
    WHERE metric = 'tokens' AND subject = 'acct_' || :s AND stripe = 0
      AND fine_start <= now() AND fine_end > now()
    RETURNING series_id, k.event_id, coarse_total
), e AS (
    INSERT INTO meter.events (event_id, at, recorded_at, series_id, quantity, idempotency_key)
    SELECT event_id, now(), clock_timestamp(), series_id, 3, 'req_' || :k FROM s
)
SELECT event_id, coarse_total FROM s;
"""
)
BARE = (
    _VARIABLES
    + """
WITH s AS (
    UPDATE meter.series SET
        coarse_last_at = greatest(coarse_last_at, now()), coarse_count = coarse_count + 1,
        coarse_total = coarse_total + 3
    WHERE metric = 'tokens' AND subject = 'acct_' || :s AND stripe = 0
      AND coarse_start <= now() AND coarse_end > now()
    RETURNING series_id, coarse_total
), e AS (
    INSERT INTO meter.events (event_id, at, recorded_at, series_id, quantity, idempotency_key)
    SELECT nextval('meter.event_ids'), now(), clock_timestamp(), series_id, 3, 'req_' || :k FROM s
)
SELECT coarse_total FROM s;
"""
)


def rows(bench: Bench) -> Iterator[Row]:
    scale = bench.scale
    with bench.database() as dsn:
        with connected(dsn) as connection:
            define(connection, "tokens")
        ready = OpenHour(dsn, scale, "tokens")

        def side(name: str, script: str, clients: int) -> Side:
            text = script.replace("{subjects}", str(scale.subjects))

            def run() -> Sample:
                return pgbench(dsn, text, clients=clients, seconds=scale.seconds)

            return Side(name, run, ready)

        for clients in scale.clients:
            if scale.name == "quick" and clients != 8:
                continue
            count = f"{clients} client{'s' * (clients > 1)}"
            yield Row(
                name=f"record, pgbench, {count}",
                unit="calls/s",
                ours=side("record()", RECORD, clients),
                baseline=side("one statement, the same rows", SAME_ROWS, clients),
                target=Target(">=", 0.85),
                note="Against one hand-written statement that writes key, event, hour and month.",
            )
            yield Row(
                name=f"record, pgbench, {count}, bare",
                unit="calls/s",
                ours=side("record()", RECORD, clients),
                baseline=side("one statement, event and month only", BARE, clients),
                note="For information: no idempotency key, no hour.",
            )
