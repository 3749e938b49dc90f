"""The application: global options, groups of commands, and the one place where failures end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pymeter import __version__
from pymeter.cli import (
    access,
    archiving,
    budgets,
    catalog,
    closing,
    comparing,
    correcting,
    corrections,
    credits,
    events,
    focusing,
    importing,
    invoices,
    limits,
    notifications,
    notifying,
    operating,
    plans,
    prices,
    projecting,
    record,
    reporting,
    reserve,
    server,
    settings,
    shards,
    simulating,
    top_ups,
    upkeep,
    usage,
    web,
)
from pymeter.cli.demo import demo
from pymeter.cli.errors import INTERRUPTED, fail, show_error
from pymeter.cli.help import add_command
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import DEFAULT_SCHEMA, Settings
from pymeter.secrets import remember_dsn

_GLOBAL_OPTIONS = ("--dsn", "--schema")
_GLOBAL_FLAGS = ("--embedded",)
_WORDS = "pymeter.words"


class _Group(SuggestingGroup):
    """Accepts the global options behind the command too, and turns failures into a line and a status."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[_WORDS] = tuple(args)
        return super().parse_args(ctx, _globals_first(args))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            show_error("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            raise  # the reader of our output has seen enough
        except Exception as exc:
            if isinstance(exc, typer.Abort) or hasattr(exc, "exit_code"):  # typer's own: usage errors, Exit
                raise
            fail(exc)


def _globals_first(args: list[str]) -> list[str]:
    first: list[str] = []
    rest: list[str] = []
    position = 0
    while position < len(args):
        arg = args[position]
        if arg == "--" or (arg == "psql" and not rest):
            return first + rest + args[position:]  # what follows is for another program
        if arg in _GLOBAL_OPTIONS:
            first += args[position : position + 2]
            position += 2
            continue
        is_global = arg in _GLOBAL_FLAGS or arg.startswith(tuple(f"{option}=" for option in _GLOBAL_OPTIONS))
        (first if is_global else rest).append(arg)
        position += 1
    return first + rest


app = typer.Typer(
    name="pymeter",
    cls=_Group,
    help="A usage ledger that lives in PostgreSQL.",
    epilog="Exit status: 0 done; 1 refused, or a check failed; 2 it could not run.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"pymeter {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    dsn: Annotated[
        str | None,
        typer.Option(
            metavar="DSN",
            help="Or PYMETER_DSN, or DATABASE_URL.",
        ),
    ] = None,
    schema: Annotated[str, typer.Option(help="The meter's schema.")] = DEFAULT_SCHEMA,
    embedded: Annotated[
        bool,
        typer.Option("--embedded", help="Use the private PostgreSQL; start it."),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """A usage ledger that lives in PostgreSQL."""
    if dsn and embedded:
        raise typer.BadParameter("--dsn and --embedded exclude each other")
    if dsn:
        remember_dsn(dsn)
    ctx.obj = Settings(dsn, schema, embedded, ctx.meta[_WORDS])


_START = "Start here"
_RECORD = _START  # one panel: each costs the list two lines
_ASK = "Ask"
_CORRECT = "Correct and close"
_LIMIT = "Limit and price"
_REPORT = "Notify, report, serve and keep"
_KEEP = _REPORT

add_command(app, demo, _START)
add_command(app, upkeep.migrate, _START)
add_command(app, upkeep.status, _START)
add_command(app, catalog.define, _RECORD)
add_command(app, catalog.retire, _RECORD)
add_command(app, catalog.catalog, _RECORD)
add_command(app, record.record, _RECORD, context_settings={"ignore_unknown_options": True})
add_command(app, importing.import_, _RECORD, name="import")
add_command(app, usage.usage, _ASK)
add_command(app, usage.summary, _ASK)
add_command(app, usage.totals, _ASK)
add_command(app, usage.series, _ASK)
add_command(app, usage.check, _ASK, context_settings={"ignore_unknown_options": True})
add_command(app, usage.subjects, _ASK)
add_command(app, events.events, _ASK)
add_command(app, events.export, _ASK)
add_command(app, correcting.void, _CORRECT)
add_command(app, correcting.amend, _CORRECT)
add_command(app, correcting.adjust, _CORRECT, context_settings={"ignore_unknown_options": True})
app.add_typer(corrections.correction, name="correction", rich_help_panel=_CORRECT)
add_command(app, closing.close, _CORRECT)
add_command(app, closing.statement, _CORRECT)
add_command(app, closing.late, _CORRECT)
add_command(app, closing.erase, _CORRECT)
app.add_typer(limits.limit, name="limit", rich_help_panel=_LIMIT)
app.add_typer(plans.plan, name="plan", rich_help_panel=_LIMIT)
add_command(app, plans.subscribe, _LIMIT)
add_command(app, plans.unsubscribe, _LIMIT)
add_command(app, plans.subscriptions, _LIMIT)
app.add_typer(plans.cycle, name="cycle", rich_help_panel=_LIMIT)
app.add_typer(top_ups.top_up, name="top-up", rich_help_panel=_LIMIT)
add_command(app, top_ups.balance, _LIMIT)
add_command(app, reserve.reserve, _LIMIT, context_settings={"ignore_unknown_options": True})
add_command(app, reserve.settle, _LIMIT, context_settings={"ignore_unknown_options": True})
add_command(app, reserve.release, _LIMIT)
add_command(app, reserve.reservations, _LIMIT)
app.add_typer(prices.price, name="price", rich_help_panel=_LIMIT)
add_command(app, invoices.invoice, _LIMIT)
app.add_typer(budgets.budget, name="budget", rich_help_panel=_LIMIT)
app.add_typer(credits.credit, name="credit", rich_help_panel=_LIMIT)
app.add_typer(credits.tax, name="tax", rich_help_panel=_LIMIT)
add_command(app, simulating.simulate, _LIMIT)
add_command(app, comparing.compare, _LIMIT)
add_command(app, projecting.project, _LIMIT)
add_command(app, focusing.focus, _LIMIT)
add_command(app, notifications.notifications, _REPORT)
add_command(app, notifying.notify, _REPORT)
app.add_typer(notifying.endpoint, name="endpoint", rich_help_panel=_REPORT)
add_command(app, notifying.deliveries, _REPORT)
app.add_typer(notifying.spike, name="spike", rich_help_panel=_REPORT)
app.add_typer(reporting.app, name="report", rich_help_panel=_REPORT)
add_command(app, upkeep.verify, _KEEP)
add_command(app, upkeep.rebuild, _KEEP)
add_command(app, upkeep.maintain, _KEEP)
add_command(app, upkeep.sql, _KEEP)
add_command(app, access.grant, _KEEP)
add_command(app, access.revoke, _KEEP)
add_command(app, access.access, _KEEP)
add_command(app, operating.metrics, _KEEP)
app.add_typer(archiving.archive, name="archive", rich_help_panel=_KEEP)
app.add_typer(operating.operate, name="operate", rich_help_panel=_KEEP)
app.add_typer(web.key, name="key", rich_help_panel=_KEEP)
add_command(app, web.web, _KEEP)
app.add_typer(settings.settings, name="settings", rich_help_panel=_KEEP)
add_command(app, settings.log, _KEEP)
app.add_typer(shards.shard, name="shard", rich_help_panel=_KEEP)
app.add_typer(server.app, name="server", rich_help_panel=_KEEP)
add_command(
    app,
    server.psql,
    _KEEP,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
