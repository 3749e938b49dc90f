"""``migrate``: everything or nothing, many at once, and nothing at all when there is nothing to do."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from pymeter.install.engine import compare, install
from pymeter.install.sources import Sources
from pymeter.install.statements import lock
from pymeter.migrate import MigrateError

Dump = Callable[..., str]


def one(dsn: str, query: str) -> Any:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_a_fresh_database_gets_tables_functions_and_bookkeeping(tree, dsn):
    report = install(tree.load(), dsn, "meter")

    assert report.migrations == ("0001-first", "0002-things")
    assert report.functions_replaced
    assert report.changed
    assert report.previous_version is None
    assert one(dsn, "SELECT meter.add_thing('world')") == "hello world"
    assert one(dsn, "SELECT array_agg(migration_id::text ORDER BY 1) FROM meter._yoyo_migration") == [
        "0001-first",
        "0002-things",
    ]
    assert one(dsn, "SELECT count(*) FROM meter.installation") == 1


def test_a_second_run_changes_and_writes_nothing(tree, dsn, dump: Dump):
    install(tree.load(), dsn, "meter")
    before = dump(dsn)
    written = one(dsn, "SELECT pg_current_wal_insert_lsn()::text || pg_snapshot_xmax(pg_current_snapshot())")

    report = install(tree.load(), dsn, "meter")

    assert not report.changed
    assert report.migrations == ()
    assert (
        one(dsn, "SELECT pg_current_wal_insert_lsn()::text || pg_snapshot_xmax(pg_current_snapshot())")
        == written
    )
    assert dump(dsn) == before


def test_changed_functions_are_installed_without_a_new_migration(tree, dsn):
    install(tree.load(), dsn, "meter")
    greeting = (tree.root / "sql/usage/_greeting.sql").read_text()
    tree.write("sql/usage/_greeting.sql", greeting.replace("hello", "bonjour"))

    assert not compare(tree.load(), dsn, "meter").functions_current
    report = install(tree.load("1.1.0"), dsn, "meter")

    assert report.migrations == ()
    assert report.functions_replaced
    assert (report.previous_version, report.version) == ("1.0.0", "1.1.0")
    assert one(dsn, "SELECT meter.add_thing('monde')") == "bonjour monde"
    assert one(dsn, "SELECT count(*) FROM meter.installation") == 2


def test_an_upgraded_database_is_the_same_as_a_fresh_one(tree, new_database, dump: Dump):
    upgraded, fresh = new_database(), new_database()
    install(tree.load(), upgraded, "meter")
    tree.write("migrations/0003-more.sql", "ALTER TABLE things ADD COLUMN note text;\n")
    tree.write("sql/retired.sql", "DROP FUNCTION IF EXISTS add_thing(text);\n")
    (tree.root / "sql/record/add_thing.sql").unlink()
    tree.write("sql/grants.sql", "REVOKE ALL ON FUNCTION _greeting() FROM PUBLIC;\n")

    assert install(tree.load("1.1.0"), upgraded, "meter").migrations == ("0003-more",)
    install(tree.load("1.1.0"), fresh, "meter")

    assert dump(upgraded) == dump(fresh)
    assert "add_thing" not in dump(fresh)


BROKEN = {
    "a syntax error in a body": ("BEGIN\n    RETURN 1 +;\nEND", "add_thing.sql:6"),
    "an unknown column in an SQL function": (None, "_greeting.sql:4"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_body_leaves_the_old_installation_working(tree, dsn, dump: Dump, case):
    install(tree.load(), dsn, "meter")
    before = dump(dsn)
    tree.write("migrations/0003-more.sql", "ALTER TABLE things ADD COLUMN note text;\n")
    body, place = BROKEN[case]
    if body:
        tree.write(
            "sql/record/add_thing.sql",
            "\nCREATE OR REPLACE FUNCTION add_thing(name text) RETURNS text\nLANGUAGE plpgsql\n"
            f"AS $$\n{body}\n$$;\n",
        )
    else:
        tree.write(
            "sql/usage/_greeting.sql",
            "\nCREATE OR REPLACE FUNCTION _greeting() RETURNS text\nLANGUAGE sql\n"
            "AS $$ SELECT nothing FROM things $$;\n",
        )

    with pytest.raises(MigrateError, match=place):
        install(tree.load("1.1.0"), dsn, "meter")

    assert dump(dsn) == before
    assert one(dsn, "SELECT meter.add_thing('world')") == "hello world"
    status = compare(tree.load("1.1.0"), dsn, "meter")
    assert status.pending == ("0003-more",)
    assert status.installed_version == "1.0.0"


def test_a_failing_migration_names_file_and_line_and_leaves_no_schema(tree, dsn):
    tree.write(
        "migrations/0003-more.sql", "-- more\nSELECT 1;\n\n-- again\nCREATE TABLE things (x integer);\n"
    )

    with pytest.raises(MigrateError, match=r"migrations/0003-more\.sql:5: relation \"things\"") as caught:
        install(tree.load(), dsn, "meter")

    assert caught.value.sqlstate == "42P07"
    assert one(dsn, "SELECT to_regnamespace('meter') IS NULL")


@pytest.mark.parametrize("text", ["BEGIN;\nSELECT 1;\nCOMMIT;\n", "SELECT 1;\n/* now */ commit;\n"])
def test_a_migration_that_controls_transactions_is_refused_before_it_runs(tree, dsn, text):
    tree.write("migrations/0003-more.sql", text)

    with pytest.raises(MigrateError, match=r"0003-more\.sql:\d: a migration must not control transactions"):
        install(tree.load(), dsn, "meter")

    assert one(dsn, "SELECT to_regnamespace('meter') IS NULL")


def test_eight_installers_at_once_install_once(tree, dsn):
    together = threading.Barrier(8)
    sources = tree.load()

    def work(_: int) -> bool:
        together.wait()
        return install(sources, dsn, "meter").changed

    with ThreadPoolExecutor(8) as pool:
        changed = list(pool.map(work, range(8)))

    assert sorted(changed) == [False] * 7 + [True]
    assert one(dsn, "SELECT count(*) FROM meter.installation") == 1


def _install_in_a_process(sources: Sources, dsn: str) -> bool:
    return install(sources, dsn, "meter").changed


@pytest.mark.slow
def test_eight_processes_upgrading_at_once_upgrade_once(tree, dsn):
    install(tree.load(), dsn, "meter")
    tree.write("sql/usage/_greeting.sql", (tree.root / "sql/usage/_greeting.sql").read_text() + "-- new\n")
    with multiprocessing.get_context("spawn").Pool(8) as pool:
        changed = pool.starmap(_install_in_a_process, [(tree.load("1.1.0"), dsn)] * 8)

    assert sorted(changed) == [False] * 7 + [True]


@pytest.mark.parametrize("first_commits", [True, False])
def test_an_installer_waits_for_another_and_goes_on_when_it_ends(
    tree, dsn, connect, wait_until_blocked, first_commits
):
    holder = connect("holder", dsn=dsn, autocommit=False)
    observer = connect("observer", dsn=dsn)
    holder.execute(lock("meter").encode())
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(install, tree.load(), f"{dsn}&application_name=second", "meter")
        wait_until_blocked(observer, "second")
        assert not second.done()
        # Another schema's installer does not wait.
        assert install(tree.load(), dsn, "elsewhere").changed
        holder.commit() if first_commits else holder.rollback()
        assert second.result(timeout=20).changed


def test_an_installer_that_waited_finds_nothing_left_to_do(tree, dsn, connect, wait_until_blocked):
    observer = connect("observer", dsn=dsn)
    slow = connect("slow", dsn=dsn, autocommit=False)
    slow.execute(lock("meter").encode())
    with ThreadPoolExecutor(2) as pool:
        racing = []
        for name in ("second", "third"):
            racing.append(pool.submit(install, tree.load(), f"{dsn}&application_name={name}", "meter"))
            wait_until_blocked(observer, name)
        slow.commit()
        assert sorted(job.result(timeout=20).changed for job in racing) == [False, True]


@pytest.mark.parametrize("schema", ["Billing-2", 'say "meter"', "größe $do$", "a" * 63, "select", "public"])
def test_a_schema_may_have_any_name(tree, dsn, schema):
    install(tree.load(), dsn, schema)

    with psycopg.connect(dsn) as connection:
        name = psycopg.sql.Identifier(schema)
        query = psycopg.sql.SQL("SELECT {}.add_thing('world')").format(name)
        assert connection.execute(query).fetchone() == ("hello world",)
    assert not install(tree.load(), dsn, schema).changed


@pytest.mark.parametrize("schema", ["", "a" * 64, "ü" * 32, "pg_meter", "information_schema", "a\0b"])
def test_what_is_no_name_of_a_schema_is_refused(tree, dsn, schema):
    with pytest.raises(MigrateError, match="no name for a schema"):
        install(tree.load(), dsn, schema)


def test_two_meters_live_in_one_database(tree, dsn, dump: Dump):
    install(tree.load(), dsn, "meter")
    install(tree.load(), dsn, "Billing-2")

    one(dsn, "SELECT meter.add_thing('here')")
    assert one(dsn, "SELECT count(*) FROM meter.things") == 1
    assert one(dsn, 'SELECT count(*) FROM "Billing-2".things') == 0
    assert dump(dsn, "Billing-2").replace('"Billing-2"', "meter").replace("Billing-2", "meter") == dump(dsn)


def test_dropping_the_schema_leaves_nothing_behind(tree, dsn, dump: Dump):
    before = dump(dsn, "public")
    install(tree.load(), dsn, "meter")
    with psycopg.connect(dsn) as connection:
        connection.execute("DROP SCHEMA meter CASCADE")

    assert dump(dsn, "public") == before
    assert install(tree.load(), dsn, "meter").changed


def test_create_on_the_database_is_enough_and_a_schema_made_by_the_dba_too(tree, dsn):
    with psycopg.connect(dsn, autocommit=True) as admin:
        database = psycopg.sql.Identifier(admin.info.dbname)
        admin.execute("DROP ROLE IF EXISTS pymeter_plain")
        admin.execute("CREATE ROLE pymeter_plain LOGIN")
        try:
            admin.execute(psycopg.sql.SQL("GRANT CREATE ON DATABASE {} TO pymeter_plain").format(database))
            plain = f"{dsn}&user=pymeter_plain"
            assert install(tree.load(), plain, "meter").changed
            admin.execute(psycopg.sql.SQL("REVOKE CREATE ON DATABASE {} FROM pymeter_plain").format(database))
            admin.execute("CREATE SCHEMA given AUTHORIZATION pymeter_plain")
            assert install(tree.load(), plain, "given").changed
            assert not install(tree.load(), plain, "given").changed
            with pytest.raises(MigrateError, match="permission denied for database"):
                install(tree.load(), plain, "not_given")
        finally:
            admin.execute("DROP OWNED BY pymeter_plain")
            admin.execute("DROP ROLE pymeter_plain")


def test_a_role_with_unusual_defaults_can_install(tree, dsn):
    options = "-c default_transaction_isolation=serializable -c default_transaction_read_only=on"
    options += " -c statement_timeout=1h -c search_path=nowhere -c standard_conforming_strings=on"
    quoted = options.replace(" ", "%20").replace("=", "%3D")

    assert install(tree.load(), f"{dsn}&options={quoted}", "meter").changed


def test_a_schema_with_other_migrations_is_refused_and_stays_as_it_is(tree, dsn, dump: Dump):
    tree.write("migrations/0003-gone.sql", "-- depends: 0002-things\nCREATE TABLE gone (id int);\n")
    install(tree.load("0.1.0"), dsn, "meter")
    before = dump(dsn)
    (tree.root / "migrations/0003-gone.sql").unlink()
    tree.write("migrations/0003-other.sql", "-- depends: 0002-things\nCREATE TABLE other (id int);\n")
    with pytest.raises(
        MigrateError, match=r"installed by version 0\.1\.0, whose migrations.*0003-gone.*Export"
    ):
        install(tree.load("0.2.0"), dsn, "meter")
    assert dump(dsn) == before


def test_an_older_package_leaves_a_newer_installation_alone(tree, dsn):
    old = tree.load("1.9.0")
    tree.write("migrations/0003-more.sql", "ALTER TABLE things ADD COLUMN note text;\n")
    tree.write("sql/usage/_greeting.sql", (tree.root / "sql/usage/_greeting.sql").read_text() + "-- new\n")
    install(tree.load("1.10.0"), dsn, "meter")

    assert not install(old, dsn, "meter").changed
    status = compare(old, dsn, "meter")
    assert status.newer
    assert status.up_to_date
    assert status.unknown == ("0003-more",)
    # Going back is a decision: functions only, the tables stay.
    assert install(old, dsn, "meter", downgrade=True).functions_replaced
    assert compare(old, dsn, "meter").functions_current


def test_the_status_of_an_empty_database_is_that_all_is_pending(tree, dsn):
    status = compare(tree.load(), dsn, "meter")

    assert status.installed_version is None
    assert status.pending == ("0001-first", "0002-things")
    assert not status.up_to_date
    assert one(dsn, "SELECT to_regnamespace('meter') IS NULL")


@pytest.mark.parametrize(
    "dsn_with_secret",
    [
        "postgresql://user:sec%zzret@localhost/app",
        "host=localhost password=sec ret",
        "postgresql://user:secret@localhost:1/app?connect_timeout=1",
    ],
)
def test_no_error_shows_the_password(tree, dsn_with_secret):
    with pytest.raises(MigrateError) as caught:
        install(tree.load(), dsn_with_secret, "meter")

    shown: BaseException | None = caught.value
    while shown:
        assert "sec" not in f"{shown!r} {shown}".replace("seconds", "")
        shown = shown.__cause__
