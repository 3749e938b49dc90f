"""Install and upgrade pymeter in a database: ``migrate``, and ``status``, which reports whether it is needed.

Importing this module loads nothing heavy; :mod:`pymeter.install` does the work.
"""

from __future__ import annotations

from pymeter.install.outcome import MigrateError, MigrateReport, Status

__all__ = ["MigrateError", "MigrateReport", "Status", "migrate", "status"]


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
