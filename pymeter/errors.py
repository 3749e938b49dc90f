"""What a call can raise: one class for every SQLSTATE that a caller branches on.

The database raises every error with its message; this module adds a Python type. The psycopg error is the
``__cause__``. An error that is not in :data:`BY_SQLSTATE` (a lost connection, a missing
privilege, a statement timeout ...) passes through as psycopg raised it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, ClassVar

import psycopg

from pymeter.levels import missing_level
from pymeter.proxied import Said, said_by


class MeterError(Exception):
    """Base class of pymeter's errors.

    ``sqlstate`` is the contract, ``message`` one constant sentence, ``detail`` the values, ``hint`` the fix
    and ``parameter`` the name of the argument that was refused (each of the last three may be None).
    """

    default_sqlstate: ClassVar[str] = "XX000"

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        detail: str | None = None,
        hint: str | None = None,
        parameter: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate or self.default_sqlstate
        self.detail = detail
        self.hint = hint
        self.parameter = parameter

    def __str__(self) -> str:
        lines = [self.message]
        if self.detail:
            lines.append(f"DETAIL:  {self.detail}")
        if self.hint:
            lines.append(f"HINT:  {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        # Task queues pickle exceptions; keyword-only arguments need help for that.
        return (type(self), (self.message,), self.__dict__)


class UnknownMetric(MeterError):
    """The catalog has no such metric: define it first (UM001)."""

    default_sqlstate = "UM001"


class MetricForbids(MeterError):
    """The metric's definition forbids this: retired, another aggregate, a member too many (UM002)."""

    default_sqlstate = "UM002"


class QuotaExceeded(MeterError):
    """An event or a reservation would go beyond a limit, and the call was strict; nothing changed (UM003)."""

    default_sqlstate = "UM003"


class PeriodSealed(MeterError):
    """The period is closed; its statement does not change any more (UM004)."""

    default_sqlstate = "UM004"


class DuplicateEvent(MeterError):
    """The key was used before, and the call was strict (UM005)."""

    default_sqlstate = "UM005"


class EventsDropped(MeterError):
    """The window needs events that retention has dropped; the hint names windows that do not (UM006)."""

    default_sqlstate = "UM006"


class NotFound(MeterError):
    """There is no such event, correction, plan, limit, top-up ...; the detail says which (UM007)."""

    default_sqlstate = "UM007"


class SubjectMoved(MeterError):
    """The subject is on another shard, or on its way there; nothing was changed (UM008)."""

    default_sqlstate = "UM008"

    @property
    def shard(self) -> str:
        """The name of the other shard."""
        return self.detail or ""


class InvalidInput(MeterError, ValueError):
    """A value cannot be accepted (22023, or PostgreSQL's own data exception); nothing was written."""

    default_sqlstate = "22023"


class NullInput(InvalidInput):
    """A null where a value is needed (22004)."""

    default_sqlstate = "22004"


class CredentialRefused(MeterError):
    """The key or token is unknown, was revoked or has expired (28000)."""

    default_sqlstate = "28000"


class SerializationFailure(MeterError):
    """Two transactions collided: roll back and run the whole transaction again (40001, 40P01)."""

    default_sqlstate = "40001"


class LockUnavailable(MeterError):
    """Other transactions hold a lock that is needed; nothing was written: try again later (55P03)."""

    default_sqlstate = "55P03"


class NotInstalled(MeterError):
    """The schema holds no meter, or an older one: run ``pymeter migrate`` (55000, 42883 ...)."""

    default_sqlstate = "55000"


class NotReady(MeterError):
    """Something has to be done before, such as settling a reservation; the hint says what (55000)."""

    default_sqlstate = "55000"


class ReportingStopped(MeterError):
    """The journal was restored, copied or failed over: see ``pymeter report adopt`` (55000)."""

    default_sqlstate = "55000"


BY_SQLSTATE: dict[str, type[MeterError]] = {
    "UM001": UnknownMetric,
    "UM002": MetricForbids,
    "UM003": QuotaExceeded,
    "UM004": PeriodSealed,
    "UM005": DuplicateEvent,
    "UM006": EventsDropped,
    "UM007": NotFound,
    "UM008": SubjectMoved,
    "22004": NullInput,
    "22023": InvalidInput,  # invalid_parameter_value: what pymeter's own functions raise
    "22003": InvalidInput,  # numeric_value_out_of_range
    "22007": InvalidInput,  # invalid_datetime_format
    "22008": InvalidInput,  # datetime_field_overflow
    "22021": InvalidInput,  # character_not_in_repertoire
    "22P02": InvalidInput,  # invalid_text_representation
    "22P05": InvalidInput,  # untranslatable_character: \u0000 in a JSON string
    "28000": CredentialRefused,
    "40001": SerializationFailure,
    "40P01": SerializationFailure,  # deadlock_detected
    "55P03": LockUnavailable,
    "55000": NotInstalled,
    "3F000": NotInstalled,  # invalid_schema_name
    "42883": NotInstalled,  # undefined_function
    "42P01": NotInstalled,  # undefined_table
}

# Parameters that refuse because of something else that comes first: nothing is wrong with the installation.
_UNREADY = ("subject", "number", "ids_above", "slots", "run", "target")
_INSTALL_HINT = (
    "Run `pymeter migrate` (or pymeter.migrate(dsn, schema=...)) and check the name of the schema."
)


class meter_errors(AbstractContextManager[None]):
    """Turns the errors that :data:`BY_SQLSTATE` names into :class:`MeterError`; lets all others through.

    A missing privilege on the call's function gets a note that names the missing level.
    """

    def __init__(self, function: str) -> None:
        self._function = function

    def __exit__(self, _kind: Any, error: BaseException | None, _traceback: Any) -> None:
        if not isinstance(error, psycopg.Error):
            return
        said = said_by(error)
        if said.is_unavailable:
            raise _unavailable(said) from error
        kind = BY_SQLSTATE.get(error.sqlstate or "")
        if kind is None:
            if isinstance(error, psycopg.errors.InsufficientPrivilege) and not said.hint:
                error.add_note(missing_level(self._function))
            return
        diag = error.diag
        if kind is NotInstalled and (diag.table_name == "report_journals" or said.stops_reporting):
            # adopt_journal() names its parameter: the journal is not stopped.
            kind = MeterError if diag.column_name == "force" else ReportingStopped
        elif kind is NotInstalled and (
            diag.table_name == "statements" or diag.column_name in _UNREADY or said.is_refusal
        ):
            kind = NotReady
        # PostgreSQL's own hint for a missing function speaks of type casts, which helps nobody here.
        hint = said.hint if kind is not NotInstalled or error.sqlstate == "55000" else None
        raise kind(
            said.message or str(error),
            sqlstate=error.sqlstate,
            detail=said.detail,
            hint=hint or (_INSTALL_HINT if kind is NotInstalled else None),
            parameter=diag.column_name,
        ) from error


def _unavailable(said: Said) -> MeterError:
    # Loaded when it is needed: pymeter.scale needs the classes of this module.
    from pymeter.scale.errors import ShardUnavailable

    return ShardUnavailable(
        "a shard cannot be reached",
        detail=said.reason,
        hint="Its subjects have to wait, others do not. Repeat the call with the same idempotency key.",
    )
