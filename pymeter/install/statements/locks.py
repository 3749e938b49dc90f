"""Waiting for other installers, and keeping writers out while tables change."""

from __future__ import annotations

from pymeter.install.statements.checks import check_owner
from pymeter.install.statements.quoting import do, identifier, literal


def lock(schema: str) -> str:
    """Create the schema where it is missing, and wait until no other installer works on it.

    COMMENT ON SCHEMA locks the schema until the transaction ends, and only its owner can hold that lock: an
    advisory lock could be taken by every role of the database. The comment does not change. If two installers
    create the schema at once, the unique index of its name makes the second wait, and then find it.

    A transaction's lock works through a transaction-pooling proxy and cannot be left behind. Until the schema
    is known to be trusted, names are looked up in pg_catalog only.
    """
    create = f"""
DECLARE
    v_grantee oid;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = {literal(schema)}) THEN
        CREATE SCHEMA {identifier(schema)};
        FOR v_grantee IN
            SELECT DISTINCT a.grantee FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
            WHERE n.nspname = {literal(schema)} AND a.grantee <> n.nspowner
        LOOP
            EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %s CASCADE', {literal(schema)},
                CASE v_grantee WHEN 0 THEN 'PUBLIC' ELSE v_grantee::regrole::text END);
        END LOOP;
    END IF;
EXCEPTION WHEN duplicate_schema OR unique_violation THEN
    NULL;
END
"""
    comment = f"""
BEGIN
    EXECUTE format('COMMENT ON SCHEMA %I IS %L', {literal(schema)},
        (SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = {literal(schema)}));
END
"""
    return f"""
SET LOCAL standard_conforming_strings = on;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL lock_timeout = 0;
SET LOCAL statement_timeout = 0;
{do(create)}
{check_owner(schema)}
{do(comment)}
"""


def keep_writers_out() -> str:
    """Wait for running calls to end, and block new ones until the migrations are committed.

    Every call that writes to the log starts with one of three tables: its key, its series, or the catalog. So
    locks on these are enough. Without them, migrations would lock tables one by one, in another order than
    writers, and could deadlock with them.

    A waiting request for a lock blocks later calls, so it is given up after a quarter of a second at most.
    And nothing is waited for while a lock is held, or a call could wait for this one in turn. So all are
    given up if they are not free, and tried again for up to 30 seconds. Once they are held, migrations wait
    for 2 seconds at most.
    """
    return do(
        """
DECLARE
    v_give_up timestamptz := clock_timestamp() + interval '30 seconds';
    v_millis  int := 10;
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND c.relname = 'metrics'
    ) THEN
        RETURN;
    END IF;
    LOOP
        PERFORM set_config('lock_timeout', v_millis || 'ms', true);
        BEGIN
            LOCK TABLE keys IN ACCESS EXCLUSIVE MODE;
            PERFORM pg_sleep(0.01);  -- for calls without a key to end
            LOCK TABLE series, metrics IN ACCESS EXCLUSIVE MODE NOWAIT;
            EXIT;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF clock_timestamp() > v_give_up THEN
                RAISE EXCEPTION USING errcode = '55P03', message = 'other transactions use the meter',
                    hint = 'Nothing was changed. End the transactions that are open for long '
                        '(pg_stat_activity), and try again.';
            END IF;
        END;
        PERFORM pg_sleep(0.15);
        v_millis := least(v_millis * 2, 250);
    END LOOP;
    PERFORM set_config('lock_timeout', '2s', true);
END
"""
    )
