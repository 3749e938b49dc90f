"""The whole installation as one SQL file, for people who do not run Python in production."""

from __future__ import annotations

from pymeter.install import statements
from pymeter.install.outcome import MigrateError
from pymeter.install.sources import Migration, Sources, check_transactional, load_sources


def bundle(schema: str = "meter", *, after: str | None = None, transaction: bool = True) -> str:
    """Everything that ``migrate`` would do to ``schema``, as plain SQL, bookkeeping included.

    Any client can run it, psql included (``psql -v ON_ERROR_STOP=1 -f``), and ``migrate`` then finds nothing
    to do. It does everything or nothing, and refuses a database with other migrations than those it
    continues.

    after: the id of the last migration that the database has (``0001-catalog``): only what follows it is
        printed, and the functions. None: a first installation.
    transaction: False leaves out BEGIN and COMMIT, for a migration tool that sends its own. The search_path
        is then put back at the end, for what the tool does next in its transaction.

    Raises ``MigrateError`` for an unknown ``after`` or an invalid schema name.
    """
    return bundle_sources(load_sources(), schema, after=after, transaction=transaction)


def bundle_sources(
    sources: Sources, schema: str, *, after: str | None = None, transaction: bool = True
) -> str:
    """``bundle`` of given sources."""
    statements.check_schema_name(schema)
    ids = [migration.id for migration in sources.migrations]
    if after is not None and after not in ids:
        raise MigrateError(f"{after!r} is no migration of this pymeter; it has {', '.join(ids)}")
    start = 0 if after is None else ids.index(after) + 1
    parts = [
        f"-- pymeter {sources.version}, to be installed as one transaction; functions {sources.sha256}",
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;" if transaction else _KEEP_SEARCH_PATH,
        statements.stay_local(schema),
        statements.lock(schema),
        statements.check_contents(schema),
        statements.settings(schema),
        statements.prepare(),
        statements.note_objects(sources),
        _expect(schema, ids[:start]),
        statements.check_names(sources) if after is None else "",
        statements.keep_writers_out() if start and start < len(ids) else "",
        statements.drop_row_defaults() if start else "",
        *(_migration(migration) for migration in sources.migrations[start:]),
        *(f"-- {file.name}\n{_terminated(file.text)}" for file in sources.functions),
        statements.validate_all(),
        statements.note_installation(sources),
        statements.first_maintenance() if after is None else "",
        "COMMIT;" if transaction else _RESTORE_SEARCH_PATH,
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


_KEEP_SEARCH_PATH = statements.do(
    "BEGIN PERFORM pg_catalog.set_config('pymeter.search_path',"
    " pg_catalog.current_setting('search_path'), true); END"
)
_RESTORE_SEARCH_PATH = statements.do(
    "BEGIN PERFORM pg_catalog.set_config('search_path',"
    " pg_catalog.current_setting('pymeter.search_path'), true); END"
)


def _migration(migration: Migration) -> str:
    check_transactional(migration)
    return f"-- {migration.name}\n{_terminated(migration.text)}\n{statements.note_migration(migration)}"


def _terminated(text: str) -> str:
    """``text`` with a final semicolon, on a line of its own because a comment may end the text."""
    return f"{text.rstrip()}\n;" if not text.rstrip().endswith(";") else text.rstrip()


def _expect(schema: str, applied: list[str]) -> str:
    """Refuse to run on a database that has other migrations than ``applied``."""
    expected = ", ".join(statements.literal(id) for id in applied)
    hint = "Upgrade with pymeter migrate, or with a file that begins after the last migration of this schema."
    return statements.do(
        f"""
BEGIN
    IF ARRAY[{expected}]::text[] IS DISTINCT FROM
       ARRAY(SELECT migration_id::text FROM _yoyo_migration ORDER BY migration_id COLLATE "C") THEN
        RAISE EXCEPTION USING
            ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'the schema has other migrations than this file continues',
            DETAIL = {statements.literal("Schema " + statements.identifier(schema))},
            HINT = {statements.literal(hint)};
    END IF;
END
"""
    )
