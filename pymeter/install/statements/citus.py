"""A meter on a server with Citus is an ordinary schema of that server, which Citus leaves alone."""

from __future__ import annotations

from pymeter.install.statements.quoting import do, literal


def stay_local(schema: str) -> str:
    """Keep Citus from copying the schema to other nodes, and refuse a schema that it distributes already.

    Citus refuses what the functions of a distributed schema do (whole rows as parameters, volatile functions
    in UPDATE). And what they rely on holds on one server only: its locks, its transactions, the order of ids.
    """
    return do(
        f"""
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus') THEN
        RETURN;
    END IF;
    PERFORM pg_catalog.set_config(name, 'off', true)
    FROM (VALUES ('citus.enable_ddl_propagation'), ('citus.enable_schema_based_sharding')) AS s (name);
    PERFORM pg_catalog.set_config('citus.propagate_set_commands', 'none', true);
    IF EXISTS (
        SELECT FROM pg_catalog.pg_dist_schema AS d JOIN pg_catalog.pg_namespace AS n ON n.oid = d.schemaid
        WHERE n.nspname = {literal(schema)}
    ) OR EXISTS (
        SELECT FROM pg_catalog.pg_dist_partition AS d JOIN pg_catalog.pg_class AS c ON c.oid = d.logicalrelid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = {literal(schema)}
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'feature_not_supported',
            MESSAGE = 'Citus distributes this schema',
            DETAIL = 'A meter lies on one server, as an ordinary schema.',
            HINT = 'Use another schema, or run SELECT citus_schema_undistribute('
                || pg_catalog.quote_literal({literal(schema)})
                || ') first. pymeter shard add --citus adds a meter on each worker.';
    END IF;
END
"""
    )
