"""What an installation reports: ``MigrateReport``, ``Status`` and ``MigrateError``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


class MigrateError(RuntimeError):
    """The installation was not changed. The message names file and line where a statement failed.

    ``sqlstate`` is the database's code, if the database raised the error.
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
    """Whether only rights were repaired that a restore had lost."""

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
    """Whether the installed functions are those of this package."""
    newer: bool
    """Whether a newer pymeter than this package installed the schema."""
    open_functions: tuple[str, ...] = ()
    """SECURITY DEFINER functions that PUBLIC may call, because a restore has lost their privileges."""
    visible: bool = True
    """Whether this role may read the installation. If False, the other fields are unknown."""

    @property
    def up_to_date(self) -> bool:
        """Whether ``migrate`` has nothing to do. A newer installation serves older clients, so it counts."""
        return not self.open_functions and (self.newer or (self.functions_current and not self.pending))
