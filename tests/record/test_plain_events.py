"""What passes the short test breaks no rule, so recording checks the rules only for the rest."""

from __future__ import annotations

from tests.helpers import Ledger

# Every combination of ordinary values and of values at the edges of the rules.
COMBINED = r"""
SELECT count(*) AS tried, count(*) FILTER (WHERE plain) AS plain,
       count(*) FILTER (WHERE plain AND EXISTS (
           SELECT FROM meter._event_rules(NULL, aggregate, retired_at, interval '5 minutes',
                                          subject, metric, quantity, member, key, at, metadata)
           WHERE is_broken)) AS wrong
FROM (
    SELECT *, meter._is_plain_event(aggregate, retired_at,
                                    subject, metric, quantity, member, key, at, metadata) AS plain
    FROM unnest(array['sum', 'avg', 'unique', null]) AS aggregate,
         unnest(array[null, timestamptz '2020-01-01']) AS retired_at,
         unnest(array['a', '', ' ', E'\u00a0', E'\t\x0b', ' a', E'\x01', repeat('x', 511), repeat('é', 513),
                      null]) AS subject,
         unnest(array['m', repeat('m', 2600), null]) AS metric,
         unnest(array[0.5, -1, 'NaN', 'Infinity', '-Infinity', 1e49, -1e100, 1e100, 1e-101,
                      null]::numeric[]) AS quantity,
         unnest(array['u', E'\t', repeat('u', 513), null]) AS member,
         unnest(array['k', '', E' \n', repeat('k', 513), null]) AS key,
         unnest(array[now(), '-infinity', 'infinity', '1969-12-31 23:59:59+00', '1970-01-01 00:00:00+00',
                      now() + interval '1 microsecond', null]::timestamptz[]) AS at,
         unnest(array['[]', '{"a": 1}', jsonb_build_object('a', repeat('x', 65536)), null]) AS metadata
) AS events
"""
ORDINARY = """
SELECT bool_and(meter._is_plain_event(
    aggregate, null, 'acct_1', 'tokens', CASE WHEN aggregate <> 'unique' THEN quantity END,
    CASE aggregate WHEN 'unique' THEN 'ana' END, key, now(), metadata))
FROM unnest(array['sum', 'count', 'min', 'max', 'avg', 'last', 'unique']) AS aggregate,
     unnest(array[0, 1, 0.25, 1e12]) AS quantity,
     unnest(array['req_1', gen_random_uuid()::text, null]) AS key,
     unnest(array['{"model": "large"}', null]::jsonb[]) AS metadata
"""


def test_p8_what_is_plain_breaks_no_rule(ledger: Ledger) -> None:
    tried = ledger.row(COMBINED)
    assert tried.wrong == 0
    assert 0 < tried.plain < tried.tried / 10


def test_ordinary_events_are_plain(ledger: Ledger) -> None:
    assert ledger.value(ORDINARY)
