"""A schema of another role is refused; in one with other things in it, only pymeter's own are touched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from itertools import count

import psycopg
import pytest
from psycopg import sql

from pymeter.bundle import bundle
from pymeter.embedded import program
from pymeter.install.engine import install
from pymeter.install.sources import load_sources
from pymeter.migrate import MigrateError, migrate, status

_numbers = count(1)


@pytest.fixture
def admin(dsn: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def new_role(admin: psycopg.Connection[tuple[object, ...]]) -> Iterator[Callable[[], str]]:
    """``new_role()``: the name of a new role that may log in and create schemas, and is no superuser."""
    names: list[str] = []

    def create() -> str:
        name = f"pymeter_schema_{os.getpid()}_{next(_numbers)}"
        admin.execute(f"CREATE ROLE {name} LOGIN".encode())
        database = sql.Identifier(admin.info.dbname)
        admin.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, sql.Identifier(name)))
        names.append(name)
        return name

    yield create
    for name in names:
        admin.execute(f"DROP OWNED BY {name} CASCADE".encode())
        admin.execute(f"DROP ROLE {name}".encode())


def as_role(dsn: str, role: str) -> str:
    return f"{dsn}&user={role}"


def run_file(dsn: str, text: str) -> str:
    done = subprocess.run(
        [program("psql"), dsn, "-X", "-q", "-f", "-"], input=text, capture_output=True, text=True, check=False
    )
    return done.stderr


# Each becomes a superuser if any of it runs in the session of the superuser who installs.
TRAP = (
    "CREATE FUNCTION meter.{signature} LANGUAGE plpgsql"
    " AS $$ BEGIN ALTER ROLE {role} SUPERUSER; RETURN NULL; END $$"
)
SIGNATURES = [
    "quote_ident(name) RETURNS text",
    "clock_timestamp() RETURNS timestamptz",
    "set_config(text, text, boolean) RETURNS text",
    "set_config(text, character varying, boolean) RETURNS text",
    "current_setting(unknown) RETURNS text",
    "format(text, name) RETURNS text",
    "format(text, name, text) RETURNS text",
    "nameeq2(name, text) RETURNS boolean",
    "to_regproc(unknown) RETURNS regproc",
    "plpgsql_validator(oid) RETURNS void",
    "aclexplode(aclitem[]) RETURNS record",
    "bookkeeping() RETURNS trigger",
]


def set_the_trap(dsn: str, role: str) -> None:
    with psycopg.connect(as_role(dsn, role), autocommit=True) as attacker:
        for signature in SIGNATURES:
            try:
                attacker.execute(TRAP.format(signature=signature, role=role).encode())
            except psycopg.Error:
                continue
        for name, left, right in (("=", "name", "text"), ("<>", "oid", "bigint")):
            attacker.execute(
                f"CREATE FUNCTION meter.op_{left}({left}, {right}) RETURNS boolean LANGUAGE plpgsql"
                f" AS $$ BEGIN ALTER ROLE {role} SUPERUSER; RETURN true; END $$".encode()
            )
            attacker.execute(
                f"CREATE OPERATOR meter.{name} (LEFTARG = {left}, RIGHTARG = {right},"
                f" FUNCTION = meter.op_{left})".encode()
            )
        attacker.execute(
            "CREATE TABLE meter.yoyo_lock (locked integer DEFAULT 1, ctime timestamp, pid integer NOT NULL);"
            "CREATE TABLE meter._yoyo_log (id text, migration_hash text, migration_id text, operation text,"
            " username text, hostname text, comment text, created_at_utc timestamp);"
            "CREATE TRIGGER t BEFORE INSERT ON meter._yoyo_log"
            " FOR EACH ROW EXECUTE FUNCTION meter.bookkeeping()"
        )


def evil_view(dsn: str, role: str) -> None:
    """Reading the bookkeeping is enough."""
    with psycopg.connect(as_role(dsn, role), autocommit=True) as attacker:
        attacker.execute(TRAP.format(signature="evil() RETURNS text", role=role).encode())
        attacker.execute("CREATE VIEW meter._yoyo_migration AS SELECT meter.evil() AS migration_id")
        attacker.execute("CREATE VIEW meter.installation AS SELECT meter.evil() AS version, '' AS sql_sha256")


@pytest.mark.parametrize("trap", [set_the_trap, evil_view])
@pytest.mark.parametrize("given_away", [False, True])
def test_who_made_the_schema_does_not_become_superuser(
    dsn: str,
    admin: psycopg.Connection[tuple[object, ...]],
    new_role: Callable[[], str],
    trap: Callable[[str, str], None],
    given_away: bool,
) -> None:
    role = new_role()
    with psycopg.connect(as_role(dsn, role), autocommit=True) as attacker:
        attacker.execute("CREATE SCHEMA meter")
    trap(dsn, role)
    if given_away:  # the schema itself, but not what is in it
        admin.execute("ALTER SCHEMA meter OWNER TO CURRENT_USER")
    before = admin.execute("SELECT count(*) FROM pg_class").fetchone()
    with pytest.raises(MigrateError, match=r"belongs to another role|objects of other roles|something else"):
        install(load_sources(), dsn, "meter")
    if trap is evil_view:
        with pytest.raises(MigrateError, match="something else"):
            status(dsn)
    else:
        assert status(dsn).installed_version is None
    assert "belongs to another role" in (said := run_file(dsn, bundle())) or "objects of other roles" in said
    assert admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [role]).fetchone() == (False,)
    assert admin.execute("SELECT count(*) FROM pg_class").fetchone() == before


@pytest.mark.parametrize("granted", ["USAGE, CREATE", "ALL"])
def test_a_schema_that_was_granted_and_not_given_is_refused(
    dsn: str, admin: psycopg.Connection[tuple[object, ...]], new_role: Callable[[], str], granted: str
) -> None:
    role = new_role()
    admin.execute("CREATE SCHEMA meter")
    admin.execute(f"GRANT {granted} ON SCHEMA meter TO {role}".encode())
    with pytest.raises(MigrateError, match="belongs to another role") as caught:
        migrate(as_role(dsn, role))
    assert caught.value.sqlstate == "42501"
    assert "SET ROLE" in str(caught.value)
    # Nor may the owner install where that role can put functions in the way.
    with pytest.raises(MigrateError, match="other roles may create objects") as caught:
        migrate(dsn)
    assert f"REVOKE CREATE ON SCHEMA meter FROM {role}" in str(caught.value)
    admin.execute(f"REVOKE CREATE ON SCHEMA meter FROM {role}".encode())
    assert migrate(dsn).changed


@pytest.mark.parametrize(
    "create",
    [
        "CREATE FUNCTION meter.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE meter.t (x int)",
        "CREATE VIEW meter.v AS SELECT 1 AS x",
        "CREATE SEQUENCE meter.s",
        "CREATE TYPE meter.e AS ENUM ('a')",
        "CREATE TYPE meter.c AS (x int)",
        "CREATE DOMAIN meter.d AS text",
        "CREATE OPERATOR meter.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq)",
        "CREATE AGGREGATE meter.a(int) (SFUNC = int4pl, STYPE = int)",
        'CREATE COLLATION meter.l FROM "C"',
        "CREATE TEXT SEARCH CONFIGURATION meter.ts (COPY = pg_catalog.simple)",
    ],
)
def test_an_object_of_another_role_is_refused_on_the_first_day_and_later(
    dsn: str, admin: psycopg.Connection[tuple[object, ...]], new_role: Callable[[], str], create: str
) -> None:
    role = new_role()
    admin.execute(f"CREATE SCHEMA meter; GRANT CREATE, USAGE ON SCHEMA meter TO {role}".encode())
    with psycopg.connect(as_role(dsn, role), autocommit=True) as other:
        other.execute(create.encode())
    admin.execute(f"REVOKE CREATE ON SCHEMA meter FROM {role}".encode())
    with pytest.raises(MigrateError, match="objects of other roles"):
        migrate(dsn)
    admin.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER".encode())
    assert migrate(dsn).changed


def test_an_object_that_was_given_to_a_predefined_role_is_seen(
    dsn: str, admin: psycopg.Connection[tuple[object, ...]], new_role: Callable[[], str]
) -> None:
    """pg_shdepend has no row for it; the owner of the database can act as that role."""
    attacker, installer = new_role(), new_role()
    name = sql.Identifier(admin.info.dbname)
    admin.execute(f"CREATE SCHEMA meter AUTHORIZATION {installer}".encode())
    admin.execute(f"GRANT CREATE, USAGE ON SCHEMA meter TO pg_database_owner, {attacker}".encode())
    admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, sql.Identifier(attacker)))
    with psycopg.connect(as_role(dsn, attacker), autocommit=True) as other:
        other.execute("CREATE FUNCTION meter.f() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        other.execute("ALTER FUNCTION meter.f() OWNER TO pg_database_owner")
    admin.execute(f"REVOKE ALL ON SCHEMA meter FROM pg_database_owner, {attacker}".encode())
    with pytest.raises(MigrateError, match="objects of other roles"):
        migrate(as_role(dsn, installer))
    admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(name))
    admin.execute("DROP FUNCTION meter.f()")


def test_an_upgrade_by_another_role_than_the_owner_is_refused(
    dsn: str, admin: psycopg.Connection[tuple[object, ...]], new_role: Callable[[], str]
) -> None:
    owner, member = new_role(), new_role()
    admin.execute(f"GRANT {owner} TO {member}".encode())
    assert migrate(as_role(dsn, owner)).changed
    admin.execute("UPDATE meter.installation SET sql_sha256 = 'older'")
    for stranger in (dsn, as_role(dsn, member)):
        with pytest.raises(MigrateError, match="belongs to another role"):
            migrate(stranger)
        assert "belongs to another role" in run_file(stranger, bundle())
    # Acting as the owner is the owner.
    assert migrate(f"{as_role(dsn, member)}&options=-c%20role%3D{owner}").functions_replaced
    admin.execute("UPDATE meter.installation SET sql_sha256 = 'older'")
    assert migrate(f"{dsn}&options=-c%20role%3D{owner}").functions_replaced
    owners = admin.execute(
        "SELECT DISTINCT proowner::regrole::text FROM pg_proc WHERE pronamespace = 'meter'::regnamespace"
    ).fetchall()
    assert owners == [(owner,)]


def test_the_owner_of_the_database_may_use_the_schema_public(
    dsn: str, admin: psycopg.Connection[tuple[object, ...]], new_role: Callable[[], str]
) -> None:
    owner, other, app = new_role(), new_role(), new_role()
    with pytest.raises(MigrateError, match="belongs to another role"):
        migrate(as_role(dsn, other), "public")
    admin.execute(
        sql.SQL("ALTER DATABASE {} OWNER TO {}").format(*map(sql.Identifier, (admin.info.dbname, owner)))
    )
    assert migrate(as_role(dsn, owner), "public").changed
    with psycopg.connect(as_role(dsn, owner), autocommit=True) as meter:
        meter.execute("SELECT define_metric('m', 'sum', 'unit'), grant_access(%s, 'write')", [app])
    with psycopg.connect(as_role(dsn, app), autocommit=True) as writer:
        assert writer.execute("SELECT outcome FROM record('a', 'm', 1)").fetchone() == ("recorded",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.execute("SELECT usage('a', 'm')")
    admin.execute(
        sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(sql.Identifier(admin.info.dbname))
    )


@pytest.mark.parametrize("schema", ["public", "shared"])
@pytest.mark.parametrize("way", ["migrate", "psql"])
def test_rights_on_what_else_is_in_the_schema_stay_as_they_are(
    dsn: str,
    admin: psycopg.Connection[tuple[object, ...]],
    new_role: Callable[[], str],
    schema: str,
    way: str,
) -> None:
    role, app = new_role(), new_role()
    admin.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}".encode())
    admin.execute(
        f"GRANT USAGE ON SCHEMA {schema} TO PUBLIC; CREATE TABLE {schema}.orders (id int);"
        f" CREATE TABLE {schema}.events_archive (id int); CREATE SEQUENCE {schema}.numbers;"
        f" CREATE FUNCTION {schema}.total() RETURNS int LANGUAGE sql AS 'SELECT 1';"
        f" CREATE FUNCTION {schema}._helper() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';"
        f" GRANT SELECT ON {schema}.orders, {schema}.events_archive, {schema}.numbers TO PUBLIC;"
        f" GRANT INSERT ON {schema}.orders TO {role};"
        f" GRANT EXECUTE ON FUNCTION {schema}.total() TO {role}".encode()
    )
    rights = (
        "SELECT 'schema', nspacl::text FROM pg_namespace WHERE nspname = %(s)s UNION ALL"
        " SELECT relname, relacl::text FROM pg_class WHERE relnamespace = %(s)s::regnamespace"
        " AND relname IN ('orders', 'events_archive', 'numbers') UNION ALL"
        " SELECT proname, proacl::text FROM pg_proc WHERE pronamespace = %(s)s::regnamespace"
        " AND proname IN ('total', '_helper') ORDER BY 1"
    )
    before = admin.execute(rights, {"s": schema}).fetchall()
    assert len(before) == 6
    if way == "migrate":
        migrate(dsn, schema)
    else:
        assert run_file(dsn, bundle(schema)) == ""
    assert admin.execute(rights, {"s": schema}).fetchall() == before
    admin.execute(f"UPDATE {schema}.installation SET sql_sha256 = 'older'".encode())
    assert migrate(dsn, schema).changed
    assert admin.execute(rights, {"s": schema}).fetchall() == before

    for name in (role, app):
        admin.execute(f"SELECT {schema}.grant_access(%s, 'read')".encode(), [name])
    assert [row[3] for row in admin.execute(f"SELECT * FROM {schema}.access()".encode())] == [True, True]
    admin.execute(f"SELECT {schema}.revoke_access(%s)".encode(), [role])
    admin.execute(f"SELECT {schema}.revoke_access(%s, 'read')".encode(), [app])
    assert not [row for row in admin.execute(rights, {"s": schema}).fetchall()[:-3] if row not in before]
    assert admin.execute(
        f"SELECT has_table_privilege(%s, '{schema}.orders', 'insert'),"
        f" has_function_privilege(%s, '{schema}.total()', 'execute'),"
        f" has_function_privilege(%s, '{schema}.catalog()', 'execute')".encode(),
        [role] * 3,
    ).fetchone() == (True, True, False)


def test_functions_with_our_names_are_not_replaced(
    dsn: str, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    admin.execute("CREATE FUNCTION public.usage(x int) RETURNS int LANGUAGE sql AS 'SELECT 1'")
    with pytest.raises(MigrateError, match="already has functions with the names of pymeter's") as caught:
        migrate(dsn, "public")
    assert caught.value.sqlstate == "55000"
    assert "names of pymeter's" in run_file(dsn, bundle("public"))
    assert admin.execute("SELECT public.usage(1)").fetchone() == (1,)


def test_default_privileges_on_schemas_open_nothing(
    dsn: str, admin: psycopg.Connection[tuple[object, ...]], new_role: Callable[[], str]
) -> None:
    admin.execute(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO {new_role()}, PUBLIC".encode())
    migrate(dsn)
    assert admin.execute("SELECT nspacl::text FROM pg_namespace WHERE nspname = 'meter'").fetchone() in (
        (None,),
        ("{postgres=UC/postgres}",),
    )


def test_the_list_of_what_is_installed_is_what_is_there(
    dsn: str, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    migrate(dsn)
    sources = load_sources()
    found = admin.execute("SELECT proname FROM pg_proc WHERE pronamespace = 'meter'::regnamespace").fetchall()
    assert {name for (name,) in found} == set(sources.function_names)
    missing = admin.execute(
        "SELECT relname FROM pg_class"
        " WHERE relnamespace = 'meter'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')"
        " AND oid NOT IN (SELECT oid FROM meter._meter_objects() WHERE kind <> 'function')"
    ).fetchall()
    assert missing == []


def test_two_who_install_into_an_empty_schema_at_once_both_succeed(
    dsn: str, admin: psycopg.Connection[tuple[object, ...]], connect, wait_until_blocked
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from pymeter.install.statements import lock

    admin.execute("CREATE SCHEMA meter; COMMENT ON SCHEMA meter IS 'ours'")
    holder = connect("holder", dsn=dsn, autocommit=False)
    holder.execute(lock("meter").encode())
    with ThreadPoolExecutor(2) as pool:
        racing = [
            pool.submit(install, load_sources(), f"{dsn}&application_name={name}", "meter")
            for name in ("one", "two")
        ]
        for name in ("one", "two"):
            wait_until_blocked(admin, name)
        holder.commit()
        assert sorted(job.result(timeout=60).changed for job in racing) == [False, True]
    assert admin.execute("SELECT obj_description('meter'::regnamespace)").fetchone() == ("ours",)
