"""Commands for programs that speak HTTP: web, and key create|list|revoke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer
from psycopg.conninfo import make_conninfo
from rich.console import RenderableType

from pymeter.cli.errors import CliError
from pymeter.cli.help import add_command
from pymeter.cli.limits import OfSubject
from pymeter.cli.options import AsCsv, AsJson, Zone, form, read_moment
from pymeter.cli.output import good, moment, note, print_json, show, stdout, table
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import DEFAULT_SCHEMA, Context, Settings, Target
from pymeter.models import ApiKey, KeyLevel

if TYPE_CHECKING:
    from starlette.applications import Starlette

_LOGIN = "pymeter_web"

key = typer.Typer(
    cls=SuggestingGroup, help="Create, list and revoke keys of the HTTP API.", no_args_is_help=True
)


def web(
    ctx: Context,
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Where to listen.")] = 8080,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="On which address.")] = "127.0.0.1",
    connections: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="Connections to the database.")
    ] = 10,
    login: Annotated[str, typer.Option("--role", metavar="ROLE", help="The role that logs in.")] = _LOGIN,
    print_roles: Annotated[
        bool, typer.Option("--print-roles", help="Print the SQL that creates the roles, and end.")
    ] = False,
) -> None:
    """Serve the HTTP API and the pages.

        pymeter web --print-roles | psql "$OWNER_DSN"
        pymeter web --port 8080

    The DSN is of a role with the level login. On the private server the roles are created. SIGTERM ends it
    when the requests under way are answered.
    """
    try:
        from pymeter.web import app, roles
        from pymeter.web.serving import serve
    except ModuleNotFoundError as exc:
        raise CliError(f"the HTTP API needs {exc.name}", "pip install 'pymeter-ledger[web]'") from None
    if print_roles:
        print(roles.script(ctx.obj.schema, login))
        return
    target = _target(ctx.obj, login)
    application: Starlette = app(target.dsn, schema=ctx.obj.schema, connections=connections)
    stdout().print(good(f"http://{host}:{port}, with {target.describe()}"), soft_wrap=True)
    serve(application, host, port)


def _target(settings: Settings, login: str) -> Target:
    """The database, with the role of the server."""
    from pymeter.migrate import migrate
    from pymeter.web import roles

    target = settings.database(starts=True)
    if target.data_dir is not None:
        if settings.schema == DEFAULT_SCHEMA:
            migrate(target.dsn, settings.schema)
        with target.connect() as connection:
            roles.create(connection, settings.schema, login)
        target = Target(make_conninfo(target.dsn, user=login), target.data_dir)
    with target.connect() as connection:
        problem = roles.problem_of(connection, settings.schema)
    if problem is not None:
        raise CliError(problem, "Create the roles with: pymeter web --print-roles; and log in as the first.")
    return target


def create(
    ctx: Context,
    level: Annotated[str, typer.Argument(help="read, write, report, admin or approve.")],
    subject: OfSubject = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    expires: Annotated[str | None, typer.Option(help="From when it is refused; default: never.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Create a key, and print it: it is shown only once.

    pymeter key create write --name worker
    pymeter key create read --subject acct_1 --name portal
    """
    until = read_moment(expires, timezone, "--expires")
    with ctx.obj.meter() as meter:
        made = meter.create_api_key(cast(KeyLevel, level), subject=subject, expires_at=until, name=name)
    if as_json:
        print_json(made)
        return
    print(made.key)


def list_(ctx: Context, timezone: Zone = "UTC", as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """List all keys, and when each was last used."""
    wanted = form(as_json, as_csv)
    with ctx.obj.meter() as meter:
        found = meter.api_keys()
    show(found, ApiKey, lambda rows: _keys_table(rows, timezone), wanted)


def _keys_table(found: list[ApiKey], timezone: str) -> RenderableType:
    if not found:
        return note("no keys; begin with: pymeter key create LEVEL --name NAME")
    result = table("id", "name", "level", "subject", f"last used ({timezone})", "state", numbers=("id",))
    for one in found:
        used = "never" if one.last_used_at is None else moment(one.last_used_at, timezone)
        state = "revoked" if one.revoked_at else ""
        if one.expires_at and not state:
            state = f"until {moment(one.expires_at, timezone)}"
        result.add_row(str(one.key_id), one.name, one.level, one.subject or "", used, state)
    return result


def revoke(
    ctx: Context,
    key_id: Annotated[int, typer.Argument(help="Its number, from key list.")],
    as_json: AsJson = False,
) -> None:
    """Revoke a key, and tokens that were signed with it."""
    with ctx.obj.meter() as meter:
        found = meter.revoke_api_key(key_id)
    show(found, ApiKey, lambda one: good(f"key {one.key_id} ({one.name}): revoked"), form(as_json))


add_command(key, create)
add_command(key, list_, name="list")
add_command(key, revoke)
