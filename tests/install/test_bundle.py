"""``pymeter sql``: one plain file does exactly what ``migrate`` does."""

from __future__ import annotations

import subprocess

import psycopg
import pytest

from pymeter.bundle import bundle_sources
from pymeter.embedded import program
from pymeter.install.engine import install
from pymeter.install.sources import load_sources
from pymeter.migrate import MigrateError


def psql(dsn: str, text: str) -> subprocess.CompletedProcess[str]:
    """Run ``text`` as a DBA would, without ON_ERROR_STOP: it must be safe even so."""
    return subprocess.run(
        [program("psql"), dsn, "-X", "-q", "-f", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("schema", ["meter", "Billing-2", "größe $do$ 'x'"])
def test_the_file_gives_the_same_schema_as_migrate(new_database, dump, schema):
    by_file, by_migrate = new_database(), new_database()
    sources = load_sources()

    done = psql(by_file, bundle_sources(sources, schema))
    install(sources, by_migrate, schema)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert dump(by_file, schema) == dump(by_migrate, schema)
    # A later migrate agrees that there is nothing to do.
    assert not install(sources, by_file, schema).changed


def test_any_client_can_run_it_as_one_string(tree, dsn):
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(bundle_sources(tree.load(), "meter").encode())

    assert not install(tree.load(), dsn, "meter").changed


def test_an_error_anywhere_leaves_nothing(tree, dsn):
    tree.write("sql/usage/broken.sql", "CREATE VIEW broken AS SELECT nothing FROM things\n")

    done = psql(dsn, bundle_sources(tree.load(), "meter"))

    assert 'column "nothing" does not exist' in done.stderr
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT to_regnamespace('meter')").fetchone() == (None,)


def test_a_second_run_is_refused_and_changes_nothing(tree, dsn, dump):
    psql(dsn, bundle_sources(tree.load(), "meter"))
    before = dump(dsn)

    done = psql(dsn, bundle_sources(tree.load(), "meter"))

    assert "the schema has other migrations than this file continues" in done.stderr
    assert dump(dsn) == before
    assert not install(tree.load(), dsn, "meter").changed


def test_an_upgrade_file_begins_after_the_last_migration(tree, dsn, dump, new_database):
    install(tree.load(), dsn, "meter")
    tree.write("migrations/0003-more.sql", "ALTER TABLE things ADD COLUMN note text -- no semicolon")
    fresh = new_database()
    install(tree.load("1.1.0"), fresh, "meter")

    done = psql(dsn, bundle_sources(tree.load("1.1.0"), "meter", after="0002-things"))

    assert done.stderr == ""
    assert dump(dsn) == dump(fresh)
    assert not install(tree.load("1.1.0"), dsn, "meter").changed
    with pytest.raises(MigrateError, match="is no migration of this pymeter"):
        bundle_sources(tree.load(), "meter", after="0009-unknown")


def test_without_its_own_transaction_it_joins_the_tools_and_puts_the_search_path_back(tree, dsn):
    text = bundle_sources(tree.load(), "meter", transaction=False)
    with psycopg.connect(dsn) as connection:
        connection.execute(text.encode())
        assert connection.execute("SHOW search_path").fetchone() == ('"$user", public',)
        connection.rollback()
        assert connection.execute("SELECT to_regnamespace('meter')").fetchone() == (None,)
        connection.execute(text.encode())

    assert not install(tree.load(), dsn, "meter").changed
