"""Install and upgrade pymeter in a database: ``migrate``, and ``status``, which says whether that is needed.

This page is the contract and imports nothing heavy; the work is done in :mod:`pymeter.install`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


class MigrateError(RuntimeError):
    """The installation was not changed. The message names file and line where a statement failed.

    ``sqlstate`` is the database's code, where the database refused.
    """

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


@dataclass(frozen=True)
class MigrateReport:
    """What one ``migrate`` did."""

    schema: str
    version: str
    """The version of pymeter that is installed now."""
    previous_version: str | None
    """The version that was installed before; None: this was the first installation."""
    migrations: tuple[str, ...]
    """The migrations that were applied now, in order."""
    functions_replaced: bool
    """Whether the functions of ``sql/`` were applied again."""

    rights_repaired: bool = False
    """Whether only rights were set again, which a restore had lost."""

    @property
    def changed(self) -> bool:
        """Whether anything was written at all."""
        return self.functions_replaced or self.rights_repaired or bool(self.migrations)


@dataclass(frozen=True)
class Status:
    """What is installed in a schema, compared with what this package would install."""

    schema: str
    package_version: str
    installed_version: str | None
    """None: no complete installation."""
    installed_at: datetime | None
    applied: tuple[str, ...]
    """This package's migrations that the schema has."""
    pending: tuple[str, ...]
    """This package's migrations that the schema lacks."""
    unknown: tuple[str, ...]
    """Migrations that the schema has and this package does not know: a newer pymeter installed them."""
    functions_current: bool
    """Whether the functions were installed from this package's very files."""
    newer: bool
    """Whether a newer pymeter than this package installed the schema."""
    open_functions: tuple[str, ...] = ()
    """Functions with the owner's rights that everybody may call: a restore has lost their privileges."""
    visible: bool = True
    """Whether this role may read what is installed. False: nothing above is known; only the owner sees it."""

    @property
    def up_to_date(self) -> bool:
        """Whether ``migrate`` has nothing to do. A newer installation serves older clients, so it counts."""
        return not self.open_functions and (self.newer or (self.functions_current and not self.pending))


def migrate(dsn: str, schema: str = "meter", *, downgrade: bool = False) -> MigrateReport:
    """Install pymeter into ``schema``, or bring an older installation up to date.

    Migrations, functions and the notes of what was applied commit together or not at all. Many processes may
    call this at once: one works, the others wait and find nothing to do. When nothing is to be done, nothing
    is written. Where a newer pymeter has installed the schema, it is left alone, unless ``downgrade`` asks
    for this package's functions (tables are never downgraded).

    The role needs CREATE on the database, or a schema of that name that it owns; no superuser is needed.
    A schema of another role, or one in which others may create or have created something, is refused. Nobody
    but the role that ran this has any right on what is new. Rights that a restore has lost are repaired.

    Raises ``MigrateError``; the database is then as it was.

    >>> migrate("postgresql:///app")                           # doctest: +SKIP
    >>> migrate("postgresql:///app", schema="billing")         # doctest: +SKIP
    """
    from pymeter.install.engine import install
    from pymeter.install.sources import load_sources

    return install(load_sources(), dsn, schema, downgrade=downgrade)


def status(dsn: str, schema: str = "meter") -> Status:
    """Compare ``schema`` with this package. Reads only, and takes no lock. Raises ``MigrateError``."""
    from pymeter.install.engine import compare
    from pymeter.install.sources import load_sources

    return compare(load_sources(), dsn, schema)
