"""grant_access: a role of each level tries every function and every table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from pymeter import levels as known_levels
from tests.access.conftest import Roles
from tests.helpers import Ledger

LEVELS = ("read", "write", "report", "admin", "approve")
ROOT = Path(__file__).resolve().parents[2]

# A call with a null for every parameter: it gets past the privilege and no further.
CALLS = """
SELECT p.proname, l.level, concat('SELECT meter.', quote_ident(p.proname), '(',
           (SELECT string_agg(CASE WHEN p.provariadic <> 0 AND t.n = p.pronargs THEN 'VARIADIC ' ELSE '' END
                              || 'NULL::' || format_type(t.oid, NULL), ', ' ORDER BY t.n)
            FROM unnest(p.proargtypes) WITH ORDINALITY AS t (oid, n)), ')') AS call
FROM pg_proc p
LEFT JOIN meter._level_functions() l ON l.function = p.proname
WHERE p.pronamespace = 'meter'::regnamespace AND p.prorettype <> 'trigger'::regtype
ORDER BY p.proname
"""
RELATIONS = "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'meter'::regnamespace"


def callable_functions(session: Ledger, calls: list[Any]) -> set[str]:
    """The functions that the session gets into. Nothing of what they do stays."""
    allowed = set()
    for name, _, call in calls:
        try:
            with session.connection.transaction(force_rollback=True):
                session.connection.execute("SET LOCAL lock_timeout = '2s'")
                session.connection.execute(call)
        except psycopg.Error as error:
            closed = f"permission denied for function {name}", "permission denied for schema meter"
            if error.sqlstate == "42501" and error.diag.message_primary in closed:
                continue
            if error.sqlstate not in ("22004", "22023", "UM001", "42501"):
                raise
        allowed.add(name)
    return allowed


def test_every_public_function_has_one_level(ledger: Ledger) -> None:
    levels = ledger.rows("SELECT * FROM meter._level_functions()")
    listed = [row.function for row in levels]
    assert {row.function: row.level for row in levels} == known_levels.LEVELS, (
        "what an error says is what is so"
    )
    assert len(listed) == len(set(listed))
    public = {name for name, _, _ in ledger.rows(CALLS) if not name.startswith("_")}
    assert public - set(listed) == set()
    announced = set(listed) - public
    if (ROOT / "sql/report").exists():
        assert announced == set(), "a level lists functions that there are not"
    else:
        reporting = ledger.rows(
            "SELECT function FROM meter._level_functions() WHERE level IN ('report', 'admin')"
        )
        assert announced <= {row.function for row in reporting}


@pytest.mark.parametrize("level", LEVELS)
def test_a_role_of_a_level_may_call_exactly_its_functions(metered: Ledger, roles: Roles, level: str) -> None:
    calls = metered.rows(CALLS)
    expected = {name for name, of, _ in calls if of == level}
    assert expected or level == "report"
    assert callable_functions(roles.as_(level), calls) == expected


def test_a_role_bound_to_a_subject_may_call_exactly_the_own_functions(metered: Ledger, roles: Roles) -> None:
    calls = metered.rows(CALLS)
    expected = {name for name, of, _ in calls if of == "own"}
    assert callable_functions(roles.as_(subjects=("acct_1",)), calls) == expected


def test_a_role_that_was_granted_nothing_may_call_nothing(metered: Ledger, roles: Roles) -> None:
    assert callable_functions(roles.as_(), metered.rows(CALLS)) == set()


def test_levels_add_up_and_all_of_them_are_still_not_the_owner(metered: Ledger, roles: Roles) -> None:
    calls = metered.rows(CALLS)
    expected = {name for name, of, _ in calls if of in LEVELS}
    assert callable_functions(roles.as_(*LEVELS), calls) == expected
    assert not expected & {"grant_access", "revoke_access"}


def test_no_level_gives_a_right_on_a_table_a_column_or_a_sequence(metered: Ledger, roles: Roles) -> None:
    sessions = [roles.as_(*LEVELS), roles.as_(subjects=("acct_1",)), roles.as_()]
    for name, kind in metered.rows(RELATIONS):
        if kind == "v":  # which nobody can write to, truncate or copy from
            statements = [
                f"SELECT * FROM meter.{name}",
                f"SELECT count(*) FROM meter.{name}",
                f"SELECT 1 FROM meter.{name} LIMIT 0",
                f"COPY (SELECT * FROM meter.{name}) TO STDOUT",
                f"DO $$ BEGIN LOCK TABLE meter.{name} IN ACCESS SHARE MODE; END $$",
                f"EXPLAIN SELECT * FROM meter.{name}",
                f"CREATE OR REPLACE VIEW meter.{name} AS SELECT 1 AS series_id",
                f"ALTER VIEW meter.{name} SET (security_invoker = true)",
                f"DROP VIEW meter.{name}",
            ]
        elif kind in ("r", "p"):
            statements = [
                f"SELECT * FROM meter.{name}",
                f"SELECT count(*) FROM meter.{name}",
                f"SELECT 1 FROM meter.{name} LIMIT 0",
                f"COPY meter.{name} TO STDOUT",
                f"INSERT INTO meter.{name} DEFAULT VALUES",
                f"DELETE FROM meter.{name}",
                f"TRUNCATE meter.{name}",
                f"DO $$ BEGIN LOCK TABLE meter.{name} IN ACCESS SHARE MODE; END $$",
                f"EXPLAIN SELECT * FROM meter.{name}",
                f"ALTER TABLE meter.{name} DISABLE TRIGGER ALL",
                f"DROP TABLE meter.{name}",
            ]
        elif kind == "S":
            statements = [
                f"SELECT nextval('meter.{name}')",
                f"SELECT setval('meter.{name}', 1)",
                f"SELECT last_value FROM meter.{name}",
            ]
        else:
            continue
        for session in sessions:
            for statement in statements:
                if kind == "p" and statement.startswith("COPY"):
                    continue  # no partitioned table can be copied from, by nobody
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    session.connection.execute(statement)
    for session in sessions:
        assert session.value("SELECT count(*) FROM pg_stats WHERE schemaname = 'meter'") == 0


def test_every_public_function_is_the_installers_pinned_and_runs_as_the_owner(ledger: Ledger) -> None:
    weak = ledger.rows(
        """
        SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'meter' AND p.proname !~ '^_'
          AND NOT (p.prosecdef AND p.proowner = n.nspowner
                   AND 'search_path=meter, pg_temp' = ANY (p.proconfig))
        """
    )
    assert weak == []


def test_a_level_does_what_it_is_for(metered: Ledger, roles: Roles) -> None:
    reader, writer, admin = roles.as_("read"), roles.as_("write"), roles.as_("admin")
    assert writer.record("acct_1", "tokens", 1).quantity == 6
    assert [
        row.outcome for row in writer.batch([{"subject": "acct_1", "metric": "tokens", "quantity": 1}])
    ] == ["recorded"]
    assert reader.usage("acct_1", "tokens").quantity == 7
    assert reader.call("check_quota", subject="acct_1", metric="tokens")[0].allowed
    assert [row.metric for row in reader.call("summary", subject="acct_1")] == ["tokens"]
    assert len(reader.call("events", subject="acct_1")) == 3
    assert reader.call("health")[0].healthy
    assert admin.define("seats", "last").key == "seats"
    assert admin.call("set_limit", metric="tokens", quota=7, marks=[])[0].quota == 7
    assert writer.record("acct_1", "tokens", 1).outcome == "refused"
    assert [row.type for row in reader.call("notifications", subject="acct_1")] == ["limit.refused"]
    assert admin.call("admin_log", object="tokens", max_rows=1)[0].action == "set_limit"
    assert admin.verify() == []
    assert admin.rebuild() == 0
    assert admin.maintain() == []
    assert admin.call("access")
