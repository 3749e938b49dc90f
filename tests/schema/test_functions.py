"""How functions are declared: pinned, closed to the public, short, and read-only where they say so."""

from __future__ import annotations

import os
from typing import Any

import psycopg
import pytest

Connection = psycopg.Connection[Any]

LINES_MAX = 70

# A ceiling that may only be lowered: the function, and how long it is.
LONGER: dict[str, int] = {}

_FUNCTIONS = """
    from pg_proc p
    join pg_language l on l.oid = p.prolang
    where p.pronamespace = 'meter'::regnamespace
"""

# A LANGUAGE sql function is inlined only without SET and SECURITY DEFINER: a helper may do without them.
_INLINABLE = "(l.lanname = 'sql' and not p.prosecdef and p.proconfig is null and p.proname ~ '^_')"


def _names(db: Connection, condition: str) -> list[str]:
    return [name for (name,) in db.execute(f"select p.oid::regprocedure::text {_FUNCTIONS} and {condition}")]


def test_every_function_pins_its_search_path_or_is_an_inlinable_helper(db: Connection) -> None:
    pinned = "coalesce('search_path=meter, pg_temp' = any (p.proconfig), false)"
    assert _names(db, f"not {pinned} and not {_INLINABLE}") == []


def test_inlinable_helpers_use_nothing_outside_pg_catalog(db: Connection) -> None:
    """They run with whatever search_path their caller has, so they may not name a thing of the schema."""
    helpers = db.execute(f"select p.oid, p.proname {_FUNCTIONS} and {_INLINABLE}").fetchall()
    assert helpers
    db.execute("set search_path = pg_catalog")
    for oid, name in helpers:
        try:
            db.execute("select fmgr_sql_validator(%s)", [oid])
        except psycopg.Error as error:
            pytest.fail(f"{name}: {error}")


def test_public_functions_run_as_their_owner_and_helpers_as_their_caller(db: Connection) -> None:
    """Users get EXECUTE and no right on a table; a helper has no more rights than who calls it."""
    assert _names(db, "p.prosecdef <> (p.proname !~ '^_')") == []


def test_nobody_but_the_owner_may_execute_anything(db: Connection) -> None:
    # proacl is null while the default, EXECUTE for PUBLIC, was never taken away.
    assert (
        _names(
            db,
            """(p.proacl is null or exists (
                select from aclexplode(p.proacl) where grantee <> p.proowner))""",
        )
        == []
    )


def test_nobody_but_the_owner_has_a_right_on_the_schema_or_a_table(db: Connection) -> None:
    granted = db.execute(
        """
        select c.relname, a.privilege_type from pg_class c, aclexplode(c.relacl) a
        where c.relnamespace = 'meter'::regnamespace and a.grantee <> c.relowner
        union all
        select n.nspname, a.privilege_type from pg_namespace n, aclexplode(n.nspacl) a
        where n.nspname = 'meter' and a.grantee <> n.nspowner
        """
    ).fetchall()
    assert granted == []


def test_a_stranger_is_refused(db: Connection) -> None:
    """The same, seen from the other side: a role that was granted nothing can neither call nor look."""
    role = f"pymeter_stranger_{os.getpid()}"
    db.execute(f"create role {role}")
    try:
        db.execute(f"set role {role}")
        for statement in (
            "select meter.catalog()",
            "select * from meter.events",
            "select meter._digest('x')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute(statement)
    finally:
        db.execute("reset role")
        db.execute(f"drop role {role}")


def test_bodies_are_at_most_70_lines(db: Connection) -> None:
    lines = "cardinality(string_to_array(btrim(p.prosrc, E'\\n'), E'\\n'))"
    longer = dict(db.execute(f"select p.proname, {lines} {_FUNCTIONS} and {lines} > {LINES_MAX}").fetchall())
    assert {name: n for name, n in longer.items() if n > LONGER.get(name, LINES_MAX)} == {}
    assert LONGER.keys() <= longer.keys(), "lower the ceiling: it is not needed any more"


def test_parameters_have_plain_names(db: Connection) -> None:
    """They are the API: ``subject``, not ``p_subject``; and every one has a name."""
    assert (
        _names(
            db,
            """(coalesce(cardinality(p.proargnames), 0) < p.pronargs or exists (
                select from unnest(p.proargnames) as name
                where name !~ '^[a-z][a-z_]*$' or name ~ '^[pv]_'))""",
        )
        == []
    )


def test_functions_that_read_a_table_are_not_immutable(db: Connection) -> None:
    """A promise to the planner that a function cannot keep gives stale answers."""
    tables = "metrics|series|events|keys|old_keys|rollups|unique_members|installation"
    assert _names(db, rf"p.provolatile = 'i' and p.prosrc ~ '\m(from|join|into|update)\s+({tables})\M'") == []


def test_reading_functions_say_that_they_only_read(db: Connection) -> None:
    """A STABLE function sees one snapshot, and the planner may call it once instead of for every row."""
    writing = {
        *("define_metric", "retire_metric", "record", "record_batch", "rebuild", "maintain"),
        *("define_biller", "report_metric", "report_subject", "plan_pushes", "claim_pushes", "settle_pushes"),
        *("release_pushes", "settle_hour", "resolve_push", "retry_pushes", "leave_pushes", "fail_pushes"),
        *("reconcile_range", "adopt_journal", "grant_access", "revoke_access"),
        *("create_api_key", "revoke_api_key", "authenticate"),
        *("set_setting", "set_billing_cycle", "define_plan", "subscribe", "unsubscribe"),
        *("set_limit", "remove_limit", "top_up", "void_top_up"),
        *("define_price", "retire_price", "set_plan_minimum"),
        *("grant_credit", "void_credit", "set_tax"),
        *("set_budget", "remove_budget", "judge_budgets"),
        *("void_event", "amend_event", "adjust", "open_correction", "stage_correction"),
        *("approve_correction", "reject_correction", "revert_correction"),
        *("watermark", "close_period", "close_due", "settle_late_usage", "erase_subject"),
        *("reserve", "reserve_batch", "settle", "release", "extend", "check_drift"),
        *("set_shard", "close_home", "reopen_home", "leave_home", "expect_subject", "admit_subject"),
        *("archive_month", "stage_archive", "restore_archive"),
        *("define_endpoint", "remove_endpoint", "test_endpoint", "plan_deliveries", "claim_deliveries"),
        *("settle_deliveries", "release_deliveries", "retry_deliveries"),
        *("set_spike_alert", "remove_spike_alert", "judge_spikes", "judge_projections"),
    }
    volatile = {
        name
        for (name,) in db.execute(
            f"select p.proname {_FUNCTIONS} and p.provolatile = 'v' and p.proname !~ '^_'"
        )
    }
    assert volatile == writing


def test_functions_talk_to_nothing_but_their_database(db: Connection) -> None:
    """P9: recording waits for no network and no other service, and wakes nobody up."""
    assert _names(db, "l.lanname not in ('sql', 'plpgsql')") == []
    talks = r"p.prosrc ~* '\m(dblink|http|copy|notify|pg_notify|pg_read_file|lo_import|pg_sleep\w*)\M'"
    # Between two attempts at a lock it lets recorders go on.
    patient = (
        "('_lock_tables', '_lock_metric', '_mark_series', 'watermark', '_align_sequences', '_close_subject',"
        " '_log_barrier', '_receive_table')"  # the last only writes a COPY, for the program that moves
    )
    assert _names(db, f"{talks} and p.proname not in {patient}") == []


def test_no_default_is_of_the_row_type_of_a_table(db: Connection) -> None:
    """PostgreSQL 15.20, and other releases since November 2026, would add no column to the table."""
    of_a_row = """
        p.pronargdefaults > 0 and exists (
            select
            from unnest((p.proargtypes::oid[])[p.pronargs - p.pronargdefaults : p.pronargs - 1]) as d (type)
            join pg_type t on t.oid = d.type
            join pg_class c on c.reltype <> 0 and c.reltype in (t.oid, t.typelem)
            where c.relkind <> 'c')
    """
    assert _names(db, of_a_row) == []
