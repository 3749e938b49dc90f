"""The installer's own SQL, as text: ``engine.py`` runs it, ``pymeter.bundle`` prints it.

Only statements used in both places are here, so a bundle and ``migrate`` cannot drift apart. Values are
quoted literals, because a bundle has no parameters.
"""

from __future__ import annotations

from pymeter.install.statements.bookkeeping import note_installation, note_migration, note_objects, prepare
from pymeter.install.statements.checks import check_contents, check_names, check_owner, check_schema_name
from pymeter.install.statements.citus import stay_local
from pymeter.install.statements.functions import (
    FUNCTIONS_TO_VALIDATE,
    VALIDATORS,
    drop_row_defaults,
    first_maintenance,
    settings,
    validate_all,
)
from pymeter.install.statements.locks import keep_writers_out, lock
from pymeter.install.statements.quoting import do, identifier, literal

__all__ = [
    "FUNCTIONS_TO_VALIDATE",
    "VALIDATORS",
    "check_contents",
    "check_names",
    "check_owner",
    "check_schema_name",
    "do",
    "drop_row_defaults",
    "first_maintenance",
    "identifier",
    "keep_writers_out",
    "literal",
    "lock",
    "note_installation",
    "note_migration",
    "note_objects",
    "prepare",
    "settings",
    "stay_local",
    "validate_all",
]
