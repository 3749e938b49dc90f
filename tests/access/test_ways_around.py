"""A hostile role that may call functions and create things of its own: nothing of it reaches the meter."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest

from tests.access.conftest import Roles
from tests.helpers import Ledger, at, refused

LEVELS = ("read", "write", "report", "admin")

# Every function, operator and cast below tells who ran it.
TRACE = """
CREATE TABLE public.traces (what text, who text);
GRANT INSERT, SELECT ON public.traces TO PUBLIC;
"""


def body(result: str, what: str) -> str:
    return (
        f"LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.traces VALUES ('{what}', current_user);"
        f" RETURN {result}; END $$"
    )


@pytest.fixture
def hostile(metered: Ledger, roles: Roles) -> Ledger:
    """A session of a role with every level, which may create things in public and temporary ones."""
    role = roles.new(*LEVELS)
    roles.sql("GRANT CREATE, USAGE ON SCHEMA public TO {}", role)
    roles.admin.execute(TRACE)
    session = roles.login(role)
    session.execute("SET client_min_messages = error")
    return session


def use_everything(session: Ledger, subject: str = "acct_1") -> tuple[object, ...]:
    """One call of everything that is worth fooling, and what it says."""
    recorded = session.record(subject, "tokens", 1, metadata={"model": "small"})
    (outcome,) = session.batch([{"subject": subject, "metric": "tokens", "quantity": 2}])
    return (
        recorded.outcome,
        outcome.outcome,
        session.usage(subject, "tokens").quantity,
        session.usage(subject, "tokens", period="30 days").quantity,
        session.call("check_quota", subject=subject, metric="tokens", quota=8)[0].allowed,
        [row.quantity for row in session.call("summary", subject=subject)],
        len(session.call("events", subject=subject)),
        sorted(
            row.quantity
            for row in session.call("usage_by", subject=subject, metric="tokens", dimension="model")
        ),
        session.verify(),
        session.rebuild(),
        session.maintain(),
        session.define("tokens", "sum", "token").key,
        session.call("health")[0].healthy,
    )


EXPECTED = ("recorded", "recorded", 8, 8, False, [8], 3, [1, 2, 5], [], 0, [], "tokens", True)


def traces(ledger: Ledger) -> list[tuple[str, str]]:
    return ledger.rows("SELECT DISTINCT what, who FROM public.traces ORDER BY 1")


@pytest.mark.parametrize("path", ["pg_temp, public, meter", "pg_temp, public, pg_catalog, meter", "''"])
def test_temporary_tables_that_shadow_the_meters_are_not_looked_at(
    metered: Ledger, hostile: Ledger, path: str
) -> None:
    for (name,) in metered.rows(
        "SELECT relname FROM pg_class"
        " WHERE relnamespace = 'meter'::regnamespace AND relkind IN ('r', 'p', 'S')"
    ):
        hostile.execute(
            f"CREATE TEMP TABLE {name} (key text, subject text, metric text, role regrole, level text)"
        )
    for name in ("pg_class", "pg_proc", "pg_inherits", "pg_roles"):
        hostile.execute(f"CREATE TEMP TABLE {name} (oid oid, relname name, rolname name, proname name)")
    hostile.execute(f"SET search_path = {path}")
    assert use_everything(hostile) == EXPECTED
    assert metered.verify() == []


def test_functions_that_shadow_are_not_called(metered: Ledger, hostile: Ledger) -> None:
    helpers = metered.rows(
        """
        SELECT DISTINCT ON (proname) proname, oidvectortypes(proargtypes) AS arguments
        FROM pg_proc WHERE pronamespace = 'meter'::regnamespace AND prorettype <> 'trigger'::regtype
          AND NOT EXISTS (SELECT FROM unnest(proargtypes) t JOIN pg_type y ON y.oid = t
                          WHERE y.typnamespace = 'meter'::regnamespace)
        """
    )
    assert len(helpers) > 50
    builtin = [
        ("now", ""), ("current_setting", "text"), ("coalesce2", "text"), ("date_trunc", "text, timestamp"),
        ("date_trunc", "text, timestamptz"), ("lower", "text"), ("btrim", "text"), ("format", "text"),
        ("sha256", "bytea"), ("trim_scale", "numeric"), ("nextval", "regclass"), ("quote_ident", "text"),
        ("pg_advisory_xact_lock", "bigint"), ("jsonb_typeof", "jsonb"), ("current_schema", ""),
    ]  # fmt: skip
    for schema in ("public", "pg_temp"):
        for name, arguments in [*helpers, *builtin]:
            hostile.execute(
                f'CREATE FUNCTION {schema}."{name}"({arguments}) RETURNS text ' + body("NULL", str(name))
            )
    hostile.execute("SET search_path = pg_temp, public, pg_catalog, meter")
    hostile.value("SELECT now()")
    assert traces(metered) == [("now", hostile.value("SELECT current_user::text"))], "the trap works"
    metered.execute("TRUNCATE public.traces")
    # Called with their schema, as everybody does; what they call inside is looked up by their own path.
    assert use_everything(hostile) == EXPECTED
    assert traces(metered) == []


def test_operators_that_shadow_are_not_used(metered: Ledger, hostile: Ledger) -> None:
    types = [("text", "text"), ("timestamptz", "timestamptz"), ("numeric", "numeric"), ("bigint", "bigint")]
    types += [("bytea", "bytea"), ("oid", "oid"), ("name", "text"), ("text[]", "text[]")]
    for number, operator in enumerate(("=", "<>", "<", ">", "<=", ">=", "+", "-")):
        for left, right in types:
            name = f'public."evil {number} {left}"({left}, {right})'
            hostile.execute(f"CREATE FUNCTION {name} RETURNS boolean " + body("true", operator))
            hostile.execute(
                f"CREATE OPERATOR public.{operator} (LEFTARG = {left}, RIGHTARG = {right},"
                f' FUNCTION = public."evil {number} {left}")'
            )
    hostile.execute("CREATE FUNCTION public.evil_arrow(jsonb, text) RETURNS text " + body("'evil'", "->>"))
    hostile.execute(
        "CREATE OPERATOR public.->> (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = public.evil_arrow)"
    )
    hostile.execute("SET search_path = public, pg_catalog, meter")
    assert hostile.value("SELECT 'a'::text = 'b'::text"), "the trap works"
    assert traces(metered) == [("=", hostile.value("SELECT current_user::text"))]
    metered.execute("TRUNCATE public.traces")
    assert use_everything(hostile) == EXPECTED
    assert traces(metered) == []


def test_casts_and_domains_run_as_the_caller_before_the_call(metered: Ledger, hostile: Ledger) -> None:
    me = hostile.value("SELECT current_user::text")
    hostile.execute("CREATE TYPE public.evil AS (x text)")
    hostile.execute("CREATE FUNCTION public.evil_text(public.evil) RETURNS text " + body("'acct_1'", "cast"))
    hostile.execute(
        "CREATE CAST (public.evil AS text) WITH FUNCTION public.evil_text(public.evil) AS IMPLICIT"
    )
    hostile.execute("CREATE FUNCTION public.evil_check(text) RETURNS boolean " + body("true", "domain"))
    hostile.execute("CREATE DOMAIN public.evil_domain AS text CHECK (public.evil_check(VALUE))")
    assert hostile.value("SELECT quantity FROM meter.usage(ROW('x')::public.evil, 'tokens')") == 5
    assert hostile.value("SELECT quantity FROM meter.usage('acct_1'::public.evil_domain, 'tokens')") == 5
    assert hostile.value(
        "SELECT outcome FROM meter.record(ROW('x')::public.evil, 'tokens'::public.evil_domain, 1)"
    )
    assert traces(metered) == [("cast", me), ("domain", me)]


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE {owner}",
        "SET SESSION AUTHORIZATION {owner}",
        "SELECT set_config('role', '{owner}', false)",
        "SET session_replication_role = replica",
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT ALL ON TABLES TO PUBLIC",
        "REASSIGN OWNED BY {owner} TO CURRENT_USER",
        "DROP OWNED BY {owner}",
        "GRANT {owner} TO CURRENT_USER",
        "ALTER SCHEMA meter OWNER TO CURRENT_USER",
        "ALTER SCHEMA meter RENAME TO meter2",
        "CREATE TABLE meter.mine (x int)",
        "CREATE FUNCTION meter.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION meter.rebuild(subject text, metric text) RETURNS bigint RETURN 1",
        "ALTER FUNCTION meter.usage SECURITY INVOKER",
        "ALTER FUNCTION meter.usage RESET search_path",
        "ALTER FUNCTION meter.usage SET search_path = public",
        "ALTER FUNCTION meter.usage OWNER TO CURRENT_USER",
        "DROP FUNCTION meter.usage",
        "CREATE TABLE public.child () INHERITS (meter.metrics)",
        "CREATE TABLE public.part PARTITION OF meter.events FOR VALUES FROM ('1999-01-01') TO ('1999-02-01')",
        "CREATE TABLE public.copy (LIKE meter.events)",
        "CREATE TABLE public.copy AS SELECT * FROM meter.events",
        "CREATE TABLE public.key (k text REFERENCES meter.metrics)",
        "CREATE INDEX ON meter.events (metadata)",
        "CREATE STATISTICS public.s ON subject, metric FROM meter.series",
        "CREATE TRIGGER mine BEFORE INSERT ON meter.metrics EXECUTE FUNCTION meter._guard_log()",
        "CREATE RULE mine AS ON SELECT TO meter.metrics DO INSTEAD NOTHING",
        "CREATE POLICY mine ON meter.metrics",
        "ALTER TABLE meter.events DISABLE TRIGGER events_are_append_only",
        "ALTER TABLE meter.events ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE meter.events DETACH PARTITION meter.events_default",
        "CREATE PUBLICATION mine FOR TABLE meter.events",
        "ALTER TYPE meter.recorded ADD ATTRIBUTE x int",
        "COMMENT ON TABLE meter.events IS 'mine'",
        "COPY (SELECT * FROM meter.events) TO STDOUT",
        "MERGE INTO meter.metrics m USING (VALUES (1)) v ON true WHEN MATCHED THEN DELETE",
        "SELECT meter.grant_access(current_user::text, 'admin')",
        "SELECT meter.revoke_access('x')",
        "SELECT meter._apply_access()",
        "SELECT meter._record_rows(ARRAY[]::meter.batch_event[], false)",
        "DO $$ BEGIN PERFORM * FROM meter.rollups; END $$",
        "SELECT * FROM meter.series",
        "SELECT * FROM meter.buckets",
        "SELECT * FROM meter.logged_events",
        "CREATE OR REPLACE VIEW meter.buckets AS SELECT 1 AS series_id",
        "SELECT currval('meter.event_ids')",
        "SELECT nextval('meter.series_ids')",
        "SELECT lastval()",
        "SELECT * FROM meter.usage('acct_1', 'tokens') u, meter.rollups",
        "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM meter.events",
    ],
)
def test_what_belongs_to_the_owner_is_refused(
    metered: Ledger, hostile: Ledger, meter_dsn: str, statement: str
) -> None:
    owner = metered.value(
        "SELECT quote_ident(nspowner::regrole::name) FROM pg_namespace WHERE nspname = 'meter'"
    )
    hostile.record("acct_1", "tokens", 1)  # so that there is something for lastval()
    before, rights = metered.state(), metered.call("access")
    with pytest.raises(psycopg.Error) as caught:
        hostile.connection.execute(statement.replace("{owner}", owner))
    # 42501 for nearly all; dropping what the system needs has a code of its own
    assert caught.value.sqlstate in ("42501", "2BP01"), caught.value
    assert metered.state() == before
    assert metered.call("access") == rights


def test_passing_rights_on_does_nothing(metered: Ledger, hostile: Ledger, roles: Roles) -> None:
    other = roles.new()
    rights = metered.call("access")
    hostile.connection.execute(
        psycopg.sql.SQL("GRANT EXECUTE ON FUNCTION meter.usage TO {}").format(psycopg.sql.Identifier(other))
    )  # PostgreSQL only warns
    assert metered.call("access") == rights


def test_views_and_functions_of_a_role_reach_no_further_than_the_role(
    metered: Ledger, hostile: Ledger, roles: Roles
) -> None:
    hostile.execute("CREATE VIEW public.spy AS SELECT * FROM meter.events")
    hostile.execute(
        "CREATE FUNCTION public.spy() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER"
        " AS $$ BEGIN RETURN (SELECT count(*) FROM meter.events); END $$"
    )
    for session in (hostile, roles.as_("read")):
        for statement in ("SELECT * FROM public.spy", "SELECT public.spy()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.connection.execute(statement)


@pytest.mark.parametrize("setting", ["row_security = off", "plpgsql.extra_errors = 'all'", "role = none"])
def test_settings_open_nothing(metered: Ledger, hostile: Ledger, setting: str) -> None:
    hostile.execute(f"SET {setting}")
    assert use_everything(hostile) == EXPECTED
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        hostile.connection.execute("SELECT * FROM meter.events")


def test_p7_not_even_a_superuser_changes_the_log_by_leaving_triggers_out(metered: Ledger) -> None:
    """session_replication_role = replica, as replication has it, switches ordinary triggers off."""
    metered.record("acct_1", "tokens", 1, at=None)
    metered.execute("SELECT meter.record('acct_1', 'tokens', 1, at => '2020-01-31 00:00Z')")
    metered.execute("SELECT meter.record('acct_1', 'tokens', 1, at => '2018-01-31 00:00Z')")
    metered.maintain()
    metered.execute(
        "SELECT meter.maintain(keep => %s, detach => true)", [datetime.now(UTC) - at("2018-06-01")]
    )
    metered.execute("SELECT meter.record('acct_1', 'tokens', 1, at => '2019-01-31 00:00Z')")
    metered.execute("SET session_replication_role = replica")
    before = metered.state()
    partitions = metered.rows("SELECT relid::regclass::text AS name FROM pg_partition_tree('meter.events')")
    assert len(partitions) > 5
    partitions.append(("meter.events_2018_01_detached",))
    for (name,) in partitions:
        statements = [f"TRUNCATE {name}"]
        if metered.value(f"SELECT count(*) FROM {name}"):
            statements += [f"DELETE FROM {name}", f"UPDATE {name} SET quantity = 9"]
        for statement in statements:
            with refused("42501"):
                metered.execute(statement)
    assert metered.state() == before
