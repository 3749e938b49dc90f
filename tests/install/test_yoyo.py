"""yoyo's own command and library agree with ``migrate``, and a host application's yoyo is left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg
import pytest
import yoyo

from pymeter.install.engine import compare, install
from pymeter.install.sources import find_root, load_sources
from pymeter.migrate import MigrateError


def yoyo_url(dsn: str, schema: str | None = "meter") -> str:
    """``dsn`` as yoyo takes it."""
    parts = urlsplit(dsn)
    query = dict(parse_qsl(parts.query)) | ({"schema": schema} if schema else {})
    return parts._replace(scheme="postgresql+psycopg", query=urlencode(query)).geturl()


def run_yoyo(command: str, dsn: str, migrations: Path, schema: str = "meter") -> str:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "yoyo", command, "--batch", "--no-config-file"),
            *("--database", yoyo_url(dsn, schema), str(migrations)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(("schema", "for_yoyo"), [("meter", "meter"), ("Billing-2", '"Billing-2"')])
def test_yoyo_lists_everything_as_applied_and_applies_nothing(tree, dsn, dump, schema, for_yoyo):
    install(tree.load(), dsn, schema)
    before = dump(dsn, schema)

    listed = run_yoyo("list", dsn, tree.root / "migrations", for_yoyo)
    run_yoyo("apply", dsn, tree.root / "migrations", for_yoyo)

    lines = [line for line in listed.splitlines() if "000" in line]
    assert [line.split()[0] for line in lines] == ["A", "A"]
    assert dump(dsn, schema) == before


def test_what_yoyo_applied_migrate_completes_to_the_same_schema(tree, new_database, dump):
    by_yoyo, by_migrate = new_database(), new_database()
    with psycopg.connect(by_yoyo) as connection:
        connection.execute("CREATE SCHEMA meter")
    run_yoyo("apply", by_yoyo, tree.root / "migrations")
    assert compare(tree.load(), by_yoyo, "meter").pending == ()

    report = install(tree.load(), by_yoyo, "meter")
    install(tree.load(), by_migrate, "meter")

    assert report.migrations == ()
    assert report.functions_replaced
    # The bookkeeping tables too: ours are the ones that yoyo makes.
    assert dump(by_yoyo) == dump(by_migrate)


def test_the_real_migrations_suit_yoyo(dsn):
    real = load_sources()
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE SCHEMA meter")
    backend = yoyo.get_backend(yoyo_url(dsn))
    try:
        pending = backend.to_apply(yoyo.read_migrations(str(find_root() / "migrations")))
        assert [migration.id for migration in pending] == [migration.id for migration in real.migrations]
        backend.apply_migrations(pending)
    finally:
        backend.connection.close()

    assert install(real, dsn, "meter").migrations == ()


def test_a_lock_that_a_killed_yoyo_left_does_not_stop_migrate(tree, dsn):
    install(tree.load(), dsn, "meter")
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO meter.yoyo_lock (locked, ctime, pid) VALUES (1, now(), 4711)")
    tree.write("migrations/0003-more.sql", "ALTER TABLE things ADD COLUMN note text;\n")

    assert install(tree.load("1.1.0"), dsn, "meter").migrations == ("0003-more",)


def test_a_host_application_that_uses_yoyo_is_not_disturbed(tree, dsn, dump, tmp_path):
    host = tmp_path / "host"
    host.mkdir()
    # The same id as ours: in shared bookkeeping, one of the two would silently be skipped.
    (host / "0001-first.sql").write_text("CREATE TABLE host_things (name text);\n")
    run_yoyo("apply", dsn, host, "public")
    before = dump(dsn, "public")

    assert install(tree.load(), dsn, "meter").migrations == ("0001-first", "0002-things")
    assert dump(dsn, "public") == before
    (host / "0002-second.sql").write_text("CREATE TABLE host_more (name text);\n")
    run_yoyo("apply", dsn, host, "public")
    assert not install(tree.load(), dsn, "meter").changed


def test_a_schema_with_the_bookkeeping_of_another_application_is_refused(tree, dsn, dump, tmp_path):
    host = tmp_path / "host"
    host.mkdir()
    (host / "0001-first.sql").write_text("CREATE TABLE host_things (name text);\n")
    run_yoyo("apply", dsn, host, "public")
    before = dump(dsn, "public")

    with pytest.raises(MigrateError, match="the migrations of another application"):
        install(tree.load(), dsn, "public")

    assert dump(dsn, "public") == before
