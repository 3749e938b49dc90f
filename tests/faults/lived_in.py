"""A meter that has been in use for years, the picture of it, and a day of its life after it was moved.

Everything here is SQL that the first release understood, so that it can be done before an upgrade too.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.helpers import AGGREGATES, Ledger, midnight, refused

SUBJECTS = ("acct_1", "acct_2", "größe ☃", "acct'; --")
_DAYS = (2000, 0, 1, 33, 64, 400)  # ago; what comes after the last upkeep stays in the default partition
_KEEPS = ("keys", "old_keys", "series", "rollups", "unique_members", "log_months", "metrics")


def live(ledger: Ledger, role: str | None = None) -> None:
    """Years of every aggregate, some of them strays; repeats, stripes, a retired metric, a dropped month."""
    for aggregate in AGGREGATES:
        ledger.define(f"by {aggregate}", aggregate, name=f"Metric by {aggregate}")
    ledger.define("by day", "sum", period="day", rollup="none")
    ledger.define("hot", "sum", striped=True, max_future=timedelta(days=3))
    ledger.define("old", "sum")
    ledger.record("acct_1", "old", "12.50", idempotency_key="old_1")
    ledger.call("retire_metric", key="old")
    for number, days in enumerate(_DAYS):
        ledger.batch(day(-days, f"day_{days}"))
        if number % 3 == 0:
            ledger.maintain()
    ledger.batch(day(-1, "day_1"))  # a retry
    other = Ledger(psycopg.connect(ledger.connection.info.dsn, autocommit=True))
    for number, session in enumerate((ledger, other), start=1):  # of many sessions, two may have one stripe
        session.execute(f"SET pymeter.stripe = {number}")
    with ledger.connection.transaction():  # keeps the bucket's own row, so the other one takes a stripe
        ledger.record("acct_1", "hot", 1)
        other.record("acct_1", "hot", 2)
    other.connection.close()
    ledger.execute(f"DROP TABLE meter.events_{midnight(-2000):%Y_%m}")
    if role:
        grant(ledger, role)


def day(days: int, prefix: str) -> list[dict[str, Any]]:
    """A day's events of every metric and subject, half of them with keys."""
    events: list[dict[str, Any]] = []
    for subject in SUBJECTS:
        for metric in (*(f"by {aggregate}" for aggregate in AGGREGATES), "by day", "hot"):
            for n in range(3):
                event = {
                    "subject": subject,
                    "metric": metric,
                    "at": midnight(days) + timedelta(hours=5 * n, microseconds=len(events)),
                    "metadata": {"model": "large" if n else "small", "n": len(events)},
                }
                event |= (
                    {"member": f"user_{n}"} if metric == "by unique" else {"quantity": f"{n + days % 7}.25"}
                )
                if n:
                    event["idempotency_key"] = f"{prefix}_{n}"
                events.append(event)
    return events


def grant(ledger: Ledger, role: str) -> None:
    """What the README tells a DBA to grant."""
    name = sql.Identifier(role)
    ledger.connection.execute(sql.SQL("GRANT USAGE ON SCHEMA meter TO {}").format(name))
    for function in ("record", "usage"):
        signature = ledger.value(
            "SELECT oid::regprocedure::text FROM pg_proc"
            " WHERE pronamespace = 'meter'::regnamespace AND proname = %s",
            [function],
        )
        ledger.connection.execute(
            sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.SQL(signature), name)
        )


def picture(ledger: Ledger) -> dict[str, Any]:
    """Everything that a move must keep: rows, the sequence, who may do what."""
    rows = {
        table: ledger.value(
            f"SELECT coalesce(array_agg(t::text ORDER BY t::text), '{{}}') FROM meter.{table} t"
        )
        for table in ("events", *_KEEPS)
    }
    return {
        **rows,
        "sequence": ledger.row("SELECT last_value, is_called FROM meter.event_ids"),
        "partitions": ledger.rows(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid)"
            " FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'meter.events'::regclass ORDER BY 1"
        ),
        "grants": grants(ledger),
    }


def grants(ledger: Ledger) -> list[Any]:
    """(object, grantee, privilege) of the schema, its tables and functions: what others than the owner may.

    No list of rights means the default: for a function, that everybody may execute it.
    """
    return ledger.rows(
        """
        SELECT o.object, coalesce(r.rolname, 'everybody') AS grantee, a.privilege_type
        FROM (
            SELECT 'schema' AS object, nspowner AS owner, coalesce(nspacl, acldefault('n', nspowner)) AS acl
            FROM pg_namespace WHERE nspname = 'meter'
            UNION ALL
            SELECT relname::text, relowner, coalesce(relacl, acldefault('r', relowner))
            FROM pg_class WHERE relnamespace = 'meter'::regnamespace
            UNION ALL
            SELECT oid::regprocedure::text, proowner, coalesce(proacl, acldefault('f', proowner))
            FROM pg_proc WHERE pronamespace = 'meter'::regnamespace
        ) o
        CROSS JOIN LATERAL aclexplode(o.acl) a
        LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE a.grantee <> o.owner
        ORDER BY 1, 2, 3
        """
    )


def go_on(ledger: Ledger, role: str | None = None) -> None:
    """A day of life: repeats are known, new events count, the log is closed, upkeep works."""
    assert ledger.verify() == []
    newest = ledger.value("SELECT max(event_id) FROM meter.events")
    counted = ledger.value("SELECT count(*) FROM meter.events")
    again = ledger.batch([event for event in day(-64, "day_64") if "idempotency_key" in event])
    assert {row.outcome for row in again} == {"duplicate"}
    assert ledger.record("acct_1", "by sum", 999, idempotency_key="day_64_1").outcome == "conflict"
    # The month of this key's event was dropped with its partition.
    dropped = [event for event in day(-2000, "day_2000") if "idempotency_key" in event]
    assert {row.outcome for row in ledger.batch(dropped)} == {"duplicate"}

    first = ledger.record("acct_1", "by sum", 1)
    assert first.event_id > newest
    today = ledger.batch(day(0, "after") + day(-90, "late"))
    assert {row.outcome for row in today} == {"recorded"}
    assert ledger.value("SELECT count(*) FROM meter.events") == counted + 1 + len(today)
    while "again" in dict(ledger.maintain()):
        pass
    assert ledger.maintain() == []
    assert ledger.value("SELECT count(*) FROM meter.events_default") == 0
    assert ledger.verify() == []
    for aggregate in AGGREGATES:
        used = ledger.usage("acct_2", f"by {aggregate}", since=midnight(-95), until=midnight(1))
        assert used.quantity == ledger.brute("acct_2", f"by {aggregate}", midnight(-95), midnight(1))[0]
    with refused("42501"):
        ledger.execute("DELETE FROM meter.events")
    with refused("UM002"):
        ledger.record("acct_1", "old", 1)
    if role:
        with ledger.connection.transaction(force_rollback=True):
            ledger.connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            assert ledger.record("acct_1", "by sum", 1).outcome == "recorded"
            for refusal in ("SELECT * FROM meter.events", "SELECT meter.rebuild()"):
                with _no_privilege(), ledger.connection.transaction():
                    ledger.execute(refusal)


def _no_privilege() -> Any:
    return pytest.raises(psycopg.errors.InsufficientPrivilege)
