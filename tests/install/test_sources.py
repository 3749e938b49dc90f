"""What may lie in ``sql/`` and ``migrations/``, and in which order it runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pglast
import pytest

from pymeter.install.sources import check_transactional, find_root, load_sources
from pymeter.migrate import MigrateError

REPEATABLE = {
    "AlterDefaultPrivilegesStmt",
    "CommentStmt",
    "CreateFunctionStmt",
    "DoStmt",
    "DropStmt",
    "GrantStmt",
    "ViewStmt",
}


def test_functions_run_in_an_order_that_a_reader_can_guess(tree):
    for name in ("record/r", "record/_b", "catalog/c", "catalog/_a", "retired"):
        tree.write(f"sql/{name}.sql", "SELECT 1;\n")

    assert [file.name.removeprefix("sql/") for file in tree.load().functions] == [
        "retired.sql",
        "catalog/_a.sql",
        "catalog/c.sql",
        "record/_b.sql",
        "record/add_thing.sql",
        "record/r.sql",
        "usage/_greeting.sql",
        "grants.sql",
    ]


def test_the_fingerprint_changes_with_any_file_and_not_with_line_endings(tree):
    before = tree.load().sha256
    text = (tree.root / "sql/grants.sql").read_bytes()
    (tree.root / "sql/grants.sql").write_bytes(text.replace(b"\n", b"\r\n"))
    assert tree.load().sha256 == before
    tree.write("sql/README.md", "not SQL")
    assert tree.load().sha256 == before
    tree.write("sql/usage/empty.sql", "")
    assert tree.load().sha256 != before


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("0003-x.sql", "-- transactional: false\nSELECT 1;\n", "'transactional: false' is refused"),
        ("0003-x.sql", "-- depends: 0004-y\nSELECT 1;\n", "is no earlier migration"),
        ("0003-x.py", "", "a migration is a plain SQL file"),
        ("__init__.py", "", "a migration is a plain SQL file"),
        ("post-apply.sql", "SELECT 1;\n", "a migration is a plain SQL file"),
    ],
)
def test_a_migration_that_the_installer_could_not_make_atomic_is_refused(tree, name, text, message):
    tree.write(f"migrations/{name}", text)

    with pytest.raises(MigrateError, match=message):
        tree.load()


@pytest.mark.parametrize("folder", ["sql", "migrations"])
def test_an_empty_folder_never_passes_for_nothing_to_do(tree, folder):
    for path in (tree.root / folder).rglob("*.sql"):
        path.unlink()

    with pytest.raises(MigrateError):
        tree.load()


def test_a_rollback_beside_a_migration_is_no_migration(tree):
    tree.write("migrations/0002-things.rollback.sql", "DROP TABLE things;\n")

    assert [migration.id for migration in tree.load().migrations] == ["0001-first", "0002-things"]


def test_the_real_migrations_can_be_applied_atomically():
    for migration in load_sources().migrations:
        check_transactional(migration)


def test_the_real_functions_can_be_applied_again():
    for file in load_sources().functions:
        for statement in pglast.parse_sql(file.text):
            node = statement.stmt
            assert type(node).__name__ in REPEATABLE, file.name
            assert getattr(node, "replace", True), f"{file.name}: CREATE OR REPLACE"
            assert getattr(node, "missing_ok", True), f"{file.name}: DROP ... IF EXISTS"


def test_a_released_migration_never_changes():
    """``checksums.txt`` holds every released migration. A release adds its own:

    cd migrations && sha256sum [0-9]*.sql > checksums.txt
    """
    folder = find_root() / "migrations"
    for line in (folder / "checksums.txt").read_text().splitlines():
        expected, name = line.split()
        text = Path(folder / name).read_bytes().replace(b"\r\n", b"\n")
        assert hashlib.sha256(text).hexdigest() == expected, f"{name} has been released: add a new migration"
