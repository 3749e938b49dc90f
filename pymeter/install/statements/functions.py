"""Around the files of sql/: the settings that they need, the check of their bodies, the first maintenance."""

from __future__ import annotations

from pymeter.install.statements.quoting import do, identifier


def settings(schema: str) -> str:
    """The settings that the files need, until the end of the transaction.

    Functions keep this search_path (``SET search_path FROM CURRENT``). Bodies are checked at the end, by
    ``validate_all``, so files may be in any order. If a table is locked for longer than lock_timeout, the
    installation fails instead of making the application wait.
    """
    return f"""
SET LOCAL lock_timeout = '30s';
SET LOCAL client_min_messages = warning;
SET LOCAL check_function_bodies = off;
SET LOCAL search_path = {identifier(schema)}, pg_temp;
"""


def drop_row_defaults() -> str:
    """Drop our functions with a parameter whose default is of a table's row type. They are created again.

    The minor releases of PostgreSQL of November 2026 (15.20) refuse to add a column to such a table, if it
    has to be rewritten or its rows checked. Functions of earlier versions of pymeter have such parameters.
    """
    return do(
        """
DECLARE
    v_function regprocedure;
BEGIN
    FOR v_function IN
        SELECT f.oid
        FROM pg_proc AS f
        WHERE f.pronamespace = quote_ident(current_schema())::regnamespace
          AND starts_with(f.proname, '_') AND f.pronargdefaults > 0 AND pg_has_role(f.proowner, 'usage')
          AND EXISTS (
            SELECT
            FROM unnest((f.proargtypes::oid[])[f.pronargs - f.pronargdefaults : f.pronargs - 1]) AS d (type)
            JOIN pg_type AS t ON t.oid = d.type
            JOIN pg_class AS c ON c.reltype IN (t.oid, t.typelem)
            WHERE c.reltype <> 0 AND c.relkind <> 'c'
          )
    LOOP
        EXECUTE format('DROP FUNCTION %s', v_function);
    END LOOP;
END
"""
    )


# The functions of the schema that are ours to check; each language has a validator.
FUNCTIONS_TO_VALIDATE = """
SELECT f.oid, f.proname, f.prosrc, l.lanname
FROM pg_proc AS f
JOIN pg_namespace AS n ON n.oid = f.pronamespace
JOIN pg_language AS l ON l.oid = f.prolang
WHERE n.nspname = current_schema()
  AND l.lanname IN ('plpgsql', 'sql')
  AND pg_has_role(f.proowner, 'usage')
ORDER BY f.proname, f.oid
"""
VALIDATORS = {"plpgsql": "plpgsql_validator", "sql": "fmgr_sql_validator"}


def validate_all() -> str:
    """Check the body of every function. Creating them skips the check, because they call each other."""
    validate = f"""
DECLARE
    v_function record;
BEGIN
    FOR v_function IN {FUNCTIONS_TO_VALIDATE.strip()}
    LOOP
        IF v_function.lanname = 'plpgsql' THEN
            PERFORM plpgsql_validator(v_function.oid);
        ELSE
            PERFORM fmgr_sql_validator(v_function.oid);
        END IF;
    END LOOP;
END
"""
    return f"SET LOCAL check_function_bodies = on;\n{do(validate)}\n"


def first_maintenance() -> str:
    """Create the partitions of a new log. After an upgrade, the next maintain() does the work."""
    return do(
        """
BEGIN
    IF to_regproc('maintain') IS NOT NULL THEN
        PERFORM maintain();
    END IF;
END
"""
    )
