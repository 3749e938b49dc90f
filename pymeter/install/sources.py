"""The SQL files of this package: their location, their order and their fingerprint.

``migrations/`` is in yoyo's format: an id is a file name without ``.sql``, ``-- depends:`` names earlier ids,
and ``X.rollback.sql`` is beside ``X.sql``. Stricter than yoyo: plain SQL only, transactional only, and names
sort in the order of their dependencies, so there is one order to read, review and bundle.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sqlparse
from yoyo.migrations import get_migration_hash, parse_metadata_from_sql_comments

from pymeter._version import __version__
from pymeter.install.outcome import MigrateError

FIRST_MIGRATION = "0001"
GRANTS = "grants"
"""The file that sets rights: it runs last, and alone where rights have to be repaired."""

_TRANSACTION_CONTROL = {
    "ABORT",
    "BEGIN",
    "COMMIT",
    "END",
    "PREPARE",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "START",
}
_CREATE_FUNCTION = re.compile(r"^create\s+(?:or\s+replace\s+)?function\s+(\w+)", re.MULTILINE | re.IGNORECASE)
_CREATE_RELATION = re.compile(
    r"^create\s+(?:or\s+replace\s+|unlogged\s+)?(?:table|view|materialized\s+view|sequence)\s+(?:if\s+not\s+exists\s+)?(\w+)",
    re.MULTILINE | re.IGNORECASE,
)
_BLANK = re.compile(r"(?:\s+|--[^\n]*|/\*.*?\*/)*", re.DOTALL)


@dataclass(frozen=True)
class SqlFile:
    """One file. ``name`` is its path below the root (``sql/record/record.sql``), as shown in errors."""

    name: str
    text: str

    @property
    def stem(self) -> str:
        """The file's name without folders and ``.sql``: for a function's file, the function's name."""
        return self.name.rsplit("/", 1)[-1].removesuffix(".sql")

    def line_at(self, offset: int) -> int:
        """The line, from 1, of the character at ``offset``."""
        return self.text.count("\n", 0, offset) + 1


@dataclass(frozen=True)
class Migration(SqlFile):
    """One migration file."""

    @property
    def id(self) -> str:
        """The migration's id in yoyo."""
        return self.stem

    @property
    def hash(self) -> str:
        """yoyo's key of the migration: a digest of the id, not of the content."""
        return str(get_migration_hash(self.id))

    def statements(self) -> tuple[tuple[int, str], ...]:
        """Each statement with the offset of its first word, split as yoyo splits it."""
        return _split(self.text)


@cache
def _split(text: str) -> tuple[tuple[int, str], ...]:
    """Kept: it takes a third of an installation, and a migration is split to be checked and to be run."""
    found = []
    position = 0
    for statement in sqlparse.split(text):
        start = text.index(statement, position)
        position = start + len(statement)
        offset = skip_blank(text, start)
        if offset < position:
            found.append((offset, text[offset:position]))
    return tuple(found)


@dataclass(frozen=True)
class Sources:
    """Everything that one version of pymeter installs."""

    version: str
    migrations: tuple[Migration, ...]
    """In the order in which they are applied."""
    functions: tuple[SqlFile, ...]
    """The files of ``sql/`` in the order in which they run. They run again after every change."""
    sha256: str
    """The fingerprint of ``functions``, names included."""

    @property
    def function_names(self) -> tuple[str, ...]:
        """Every function that is installed."""
        return _created(_CREATE_FUNCTION, self.functions)

    @property
    def relation_names(self) -> tuple[str, ...]:
        """Every table, view and sequence that a migration has ever created."""
        return _created(_CREATE_RELATION, (*self.migrations, *self.functions))


def _created(statement: re.Pattern[str], files: tuple[SqlFile, ...]) -> tuple[str, ...]:
    return tuple(sorted({name.lower() for file in files for name in statement.findall(file.text)}))


def skip_blank(text: str, start: int = 0) -> int:
    """The offset of the first character at or after ``start`` that is neither white space nor comment."""
    match = _BLANK.match(text, start)
    return match.end() if match else start


def load_sources(root: Path | None = None) -> Sources:
    """Read ``root/sql`` and ``root/migrations``; without ``root``, those of this package."""
    root = root or find_root()
    functions = _read_functions(root)
    digest = hashlib.sha256()
    for file in functions:
        digest.update(f"{file.name}\0{len(file.text)}\0{file.text}".encode())
    return Sources(__version__, _read_migrations(root), functions, digest.hexdigest())


def find_root() -> Path:
    """The folder that holds ``sql`` and ``migrations``: the package in a wheel, its parent in a repository.

    The first migration must exist, so that an empty or missing folder never means "nothing to migrate".
    """
    package = Path(__file__).resolve().parent.parent
    for root in (package, package.parent):
        if (root / "sql").is_dir() and list((root / "migrations").glob(f"{FIRST_MIGRATION}*.sql")):
            return root
    raise MigrateError(
        "pymeter's sql/ and migrations/ folders are missing: the package is not completely installed"
    )


def _read_functions(root: Path) -> tuple[SqlFile, ...]:
    names = [path.relative_to(root).as_posix() for path in (root / "sql").rglob("*.sql")]
    if not names:
        raise MigrateError("the folder sql/ holds no .sql file")
    return tuple(SqlFile(name, _read(root / name)) for name in sorted(names, key=_function_order))


def _function_order(name: str) -> tuple[int, str]:
    """Retired signatures are dropped first, which frees their names; grants run last."""
    return {"sql/retired.sql": 0, f"sql/{GRANTS}.sql": 2}.get(name, 1), name


def _read_migrations(root: Path) -> tuple[Migration, ...]:
    migrations: list[Migration] = []
    for path in sorted((root / "migrations").iterdir()):
        if path.suffix == ".py" or path.name.startswith("post-apply"):
            raise MigrateError(
                f"migrations/{path.name}: a migration is a plain SQL file; yoyo would run this one"
            )
        if path.suffix == ".sql" and not path.name.endswith(".rollback.sql"):
            migration = Migration(f"migrations/{path.name}", _read(path))
            _check_directives(migration, known={earlier.id for earlier in migrations})
            migrations.append(migration)
    if not migrations or not migrations[0].id.startswith(FIRST_MIGRATION):
        raise MigrateError(f"migrations/ does not begin with {FIRST_MIGRATION}")
    return tuple(migrations)


def _check_directives(migration: Migration, known: set[str]) -> None:
    directives, _, _ = parse_metadata_from_sql_comments(migration.text)
    if directives.get("transactional", "true").strip().lower() != "true":
        raise MigrateError(
            f"{migration.name}: 'transactional: false' is refused; migrations, functions and bookkeeping"
            " commit together or not at all"
        )
    for depends in directives.get("depends", "").split():
        if depends not in known:
            raise MigrateError(f"{migration.name}: depends on {depends!r}, which is no earlier migration")


def check_transactional(migration: Migration) -> None:
    """Refuse statements that would end the installer's transaction and leave half an upgrade."""
    for offset, statement in migration.statements():
        if re.split(r"\W", statement, maxsplit=1)[0].upper() in _TRANSACTION_CONTROL:
            raise MigrateError(
                f"{migration.name}:{migration.line_at(offset)}: a migration must not control transactions"
            )


def _read(path: Path) -> str:
    # Universal newlines: a checkout with CRLF has the same fingerprint and the same function bodies.
    return path.read_text(encoding="utf-8")
