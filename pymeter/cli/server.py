"""Commands for the private server: server start|stop|status, psql."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Annotated

import typer

from pymeter.cli.errors import SAYS_NO, CliError
from pymeter.cli.help import add_command
from pymeter.cli.output import bad, good, stdout
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import Context, private_target
from pymeter.secrets import without_password

app = typer.Typer(
    cls=SuggestingGroup,
    help="Start or stop the private PostgreSQL, for trying and testing.\n\n"
    "PYMETER_DATA_DIR is the directory of its data.",
    no_args_is_help=True,
)


def start() -> None:
    """Start it, and print its DSN."""
    print(private_target().dsn)


def stop() -> None:
    """Stop it; its data stays."""
    from pymeter.embedded import stop as stop_server

    stdout().print(good("stopped; its data stays" if stop_server() else "it was not running"))


def status() -> None:
    """Show whether it runs, and where its data is.

    Exit status 1: it does not run.
    """
    from pymeter.embedded import default_data_dir, is_running

    data = default_data_dir()
    runs = is_running()
    line = good(f"running; data in {data}") if runs else bad(f"not running; data in {data}")
    stdout().print(line, soft_wrap=True)
    if not runs:
        raise typer.Exit(SAYS_NO)


for _command in (start, stop, status):
    add_command(app, _command)


def psql(
    ctx: Context,
    args: Annotated[
        list[str] | None, typer.Argument(help="Passed on to psql: -c 'SELECT 1', -f FILE ...")
    ] = None,
) -> None:
    """Open psql on the database.

    Options after the word psql are psql's own.
    """
    database = ctx.obj.database(starts=True)
    # Other users of the machine can read a command line: the password goes through the environment.
    conninfo, password = without_password(database.dsn)
    command = [find_psql(), *(args or []), "-d", conninfo]
    environment = os.environ | ({"PGPASSWORD": password} if password is not None else {})
    if sys.platform == "win32":
        raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)
    os.execve(command[0], command, environment)  # noqa: S606 - psql takes our place


def find_psql() -> str:
    """The psql of the PATH, else the one that came with the private server."""
    if found := shutil.which("psql"):
        return found
    from pymeter.embedded import EmbeddedError, program

    try:
        return str(program("psql"))
    except EmbeddedError:
        raise CliError(
            "psql is not on the PATH",
            "Install PostgreSQL's client, or: pip install 'pymeter-ledger[embedded]'",
        ) from None
