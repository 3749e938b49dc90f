"""What an answer has to be, where that can be told from the log alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import psycopg

Rows = list[dict[str, Any]]
Values = Mapping[str, str | None]
Check = Callable[[psycopg.Connection[Any], Values, Rows], None]

_SAME = """
SELECT e.subject = %(subject)s AND e.metric = %(metric)s
   AND e.member IS NOT DISTINCT FROM %(member)s
   AND e.idempotency_key IS NOT DISTINCT FROM %(idempotency_key)s
   AND e.metadata IS NOT DISTINCT FROM nullif(%(metadata)s::jsonb, NULL)
   AND e.quantity IS NOT DISTINCT FROM coalesce(
       %(quantity)s::numeric, CASE WHEN m.aggregate = 'count' THEN 1 END)
   AND e.at = coalesce(%(at)s::timestamptz, now())
FROM meter.logged_events e JOIN meter.metrics m ON m.key = e.metric
WHERE e.event_id = %(event_id)s
"""
_IN_LOG = """
SELECT count(e.event_id) FILTER (WHERE e.kind = 'usage'), CASE m.aggregate
    WHEN 'unique' THEN count(DISTINCT e.member)
    WHEN 'min' THEN min(e.quantity)
    WHEN 'max' THEN max(e.quantity)
    WHEN 'avg' THEN sum(e.quantity) / nullif(count(e.quantity), 0)
    WHEN 'last' THEN (array_agg(e.quantity ORDER BY e.at DESC, e.event_id DESC))[1]
    ELSE sum(e.quantity) END
FROM meter.metrics m
LEFT JOIN meter.logged_events e ON e.metric = m.key AND e.subject = %(subject)s AND e.kind <> 'void'
    AND NOT EXISTS (
        SELECT FROM meter.event_kinds v
        LEFT JOIN meter.event_kinds u ON u.event_id = v.undone_by
        WHERE v.corrects = e.event_id AND v.kind = 'void'
            AND v.recorded_at <= coalesce(%(as_of)s::timestamptz, 'infinity')
            AND (u.event_id IS NULL OR u.recorded_at > coalesce(%(as_of)s::timestamptz, 'infinity')))
    AND e.recorded_at <= coalesce(%(as_of)s::timestamptz, 'infinity')
    AND e.at >= coalesce(%(since)s::timestamptz, '-infinity')
    AND e.at < coalesce(%(until)s::timestamptz, 'infinity')
WHERE m.key = %(metric)s
GROUP BY m.aggregate
"""


def recorded(connection: psycopg.Connection[Any], values: Values, rows: Rows) -> None:
    """What was sent is what is in the log, to the last character."""
    (row,) = rows
    assert row["outcome"] in ("recorded", "duplicate", "conflict", "refused")
    assert (row["outcome"] == "refused") == (row["event_id"] is None)
    if row["outcome"] == "recorded":
        given = dict.fromkeys(("member", "idempotency_key", "metadata", "quantity", "at")) | dict(values)
        found = connection.execute(_SAME, {**given, "event_id": row["event_id"]}).fetchone()
        assert found == (True,), f"recorded otherwise than sent: {row}"


def batch_recorded(connection: psycopg.Connection[Any], values: Values, rows: Rows) -> None:
    """An outcome for each event, in order, and as many events as were told to be recorded."""
    assert [row["ordinal"] for row in rows] == list(range(1, len(rows) + 1))
    sent = connection.execute("SELECT jsonb_array_length(%s::jsonb)", [values["events"]]).fetchone()
    assert sent == (len(rows),)
    ids = [row["event_id"] for row in rows if row["outcome"] == "recorded"]
    found = connection.execute("SELECT count(*) FROM meter.events WHERE event_id = ANY(%s)", [ids]).fetchone()
    assert found == (len(ids),)
    for row in rows:
        assert (
            (row["outcome"] in ("rejected", "refused"))
            == (row["sqlstate"] is not None)
            == (row["event_id"] is None)
        ), row


def used(connection: psycopg.Connection[Any], values: Values, rows: Rows) -> None:
    """The answer is the aggregate of the log over the window that it names."""
    for row in rows:
        _equals_log(connection, values["subject"], row, values.get("as_of"))


def _equals_log(
    connection: psycopg.Connection[Any], subject: str | None, row: dict[str, Any], as_of: Any
) -> None:
    # A month that was dropped is in the rollups alone.
    if row["since"] is None or row["since"].year < 2022:
        return
    question = {"subject": subject, "metric": row["metric"], "since": row["since"], "until": row["until"]}
    question["as_of"] = as_of
    found = connection.execute(_IN_LOG, question).fetchone()
    assert found is not None
    events, quantity = found
    assert row["event_count"] == events, row
    assert row["quantity"] == (quantity or 0), (row, quantity)


def tiles(_: psycopg.Connection[Any], values: Values, rows: Rows) -> None:
    """Each bucket begins where the one before it ends."""
    for before, after in pairwise(rows):
        assert before["bucket_end"] == after["bucket_start"], (before, after)


def within_quota(_: psycopg.Connection[Any], values: Values, rows: Rows) -> None:
    (row,) = rows
    if row["quota"] is None:
        assert (row["allowed"], row["remaining"], row["limited_by"]) == (True, None, None), row
        return
    assert row["remaining"] >= 0
    if values.get("quota") is not None:
        assert row["limited_by"] is None
    if values.get("requested") is None:
        assert row["allowed"] == (row["used"] < row["quota"]), row


def is_a_cycle(_: psycopg.Connection[Any], values: Values, rows: Rows) -> None:
    (row,) = rows
    cycle = row["billing_cycle"]
    assert cycle.lower < cycle.upper, cycle


CHECKS: Mapping[str, Check] = {
    "record": recorded,
    "record_batch": batch_recorded,
    "usage": used,
    "summary": used,
    "series": tiles,
    "check_quota": within_quota,
    "own_check_quota": within_quota,
    "billing_cycle": is_a_cycle,
}
