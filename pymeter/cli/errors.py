"""How a failure is shown: one red line, its detail and its hint; never a traceback, never a password."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NoReturn

import psycopg
import typer
from rich.text import Text

from pymeter.cli.commands import as_commands
from pymeter.cli.output import stderr
from pymeter.embedded import EmbeddedError
from pymeter.errors import InvalidInput, MeterError, NotInstalled
from pymeter.importing import ImportStopped, OptionsError
from pymeter.migrate import MigrateError
from pymeter.program_connection import BadDsn
from pymeter.report.biller import BillerError
from pymeter.secrets import redact
from pymeter.visible import visible, visible_lines

SAYS_NO = 1
COULD_NOT_RUN = 2
INTERRUPTED = 130


_HINTS: dict[type[psycopg.Error], str] = {
    psycopg.errors.ReadOnlySqlTransaction: "This server is a standby or read only: name the primary's DSN."
}


class CliError(Exception):
    """A failure that the command line itself words."""

    def __init__(self, message: str, hint: str | None = None, status: int = COULD_NOT_RUN) -> None:
        super().__init__(message)
        self.hint = hint
        self.status = status


_EXPECTED = (
    CliError,
    BillerError,
    BadDsn,
    MeterError,
    MigrateError,
    EmbeddedError,
    ImportStopped,
    OptionsError,
    psycopg.Error,
    OSError,
)


def fail(exc: Exception, status: int | None = None) -> NoReturn:
    """Print what went wrong and end with `status`, or the error's own. PYMETER_DEBUG=1 shows a traceback."""
    if os.environ.get("PYMETER_DEBUG"):
        raise exc
    if not isinstance(exc, _EXPECTED):
        show_error(
            f"{type(exc).__name__}: {exc}", hint="This is a bug in pymeter; PYMETER_DEBUG=1 shows where."
        )
        raise typer.Exit(COULD_NOT_RUN)
    message, detail, hint, code = _parts(exc)
    show_error(message, detail, hint, code)
    if isinstance(exc, CliError):
        raise typer.Exit(exc.status)
    could_not_run = not isinstance(exc, MeterError) or isinstance(exc, NotInstalled | InvalidInput)
    raise typer.Exit(status or (COULD_NOT_RUN if could_not_run else SAYS_NO))


def show_error(
    message: str, detail: str | None = None, hint: str | None = None, code: str | None = None
) -> None:
    """One red line on standard error, with its detail and hint below."""
    console = stderr()
    line = Text.assemble(("error: ", "bold red"), (visible(redact(message)), "red"))
    if code:
        line.append(f"  [{code}]", style="dim")
    console.print(line, soft_wrap=True)
    if detail:
        console.print(Text("  " + visible_lines(redact(detail))), soft_wrap=True)
    if hint:
        console.print(Text.assemble("  ", ("hint:", "cyan"), f" {visible(redact(hint))}"), soft_wrap=True)


def _private_server_hint(exc: Exception) -> str | None:
    """What to do if nobody listens on the socket of the private server: DATABASE_URL may still name it."""
    from pymeter.embedded import default_socket

    if "connection" not in str(exc):
        return None
    with suppress(EmbeddedError, ImportError, OSError):
        if f'connection to server on socket "{default_socket()}" failed' in str(exc):
            return "The private PostgreSQL is not running. Run: pymeter server start"
    return None


def _parts(exc: Exception) -> tuple[str, str | None, str | None, str | None]:
    if isinstance(exc, InvalidInput | MeterError):
        return exc.message, exc.detail, as_commands(exc.hint) if exc.hint else None, exc.sqlstate
    if isinstance(exc, psycopg.Error):
        message = exc.diag.message_primary or str(exc)
        first, _, rest = message.strip().partition("\n")
        return (
            first,
            exc.diag.message_detail or " ".join(rest.split()) or None,
            as_commands(exc.diag.message_hint or "")
            or _HINTS.get(type(exc))
            or "; ".join(getattr(exc, "__notes__", []))
            or _private_server_hint(exc)
            or None,
            exc.sqlstate,
        )
    if isinstance(exc, OSError) and exc.filename is not None:
        return f"{exc.filename}: {exc.strerror}", None, None, None
    first, _, rest = str(exc).strip().partition("\n")
    hint = getattr(exc, "hint", None) or _private_server_hint(exc)
    return first, rest.strip() or None, hint, getattr(exc, "sqlstate", None)
