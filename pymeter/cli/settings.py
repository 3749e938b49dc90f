"""Commands about the meter itself: settings, and the log of who changed what."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text

from pymeter import exact_json
from pymeter.cli.help import add_command
from pymeter.cli.options import AsCsv, AsJson, Zone, form, read_zone
from pymeter.cli.output import Form, good, moment, note, show, stdout, table
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import Context
from pymeter.models import AdminEntry, Setting

settings = typer.Typer(
    cls=SuggestingGroup, help="List and set the settings of the meter.", no_args_is_help=True
)


def list_(ctx: Context, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """List the settings, their defaults, and what they do."""
    wanted = form(as_json, as_csv)
    with ctx.obj.meter() as meter:
        found = meter.settings()
    show(found, Setting, _settings_table, wanted)


def _settings_table(found: list[Setting]) -> RenderableType:
    result = table("setting", "value", "default", "what it does")
    for one in found:
        result.add_row(one.name, one.value, one.default_value, one.description)
    return result


def set_(
    ctx: Context,
    name: Annotated[str, typer.Argument(help="A setting, as the list has it.")],
    value: Annotated[str | None, typer.Argument(help="Without it, the default is restored.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change a setting, or restore its default.

    pymeter settings set notifications_keep '30 days'
    """
    with ctx.obj.meter() as meter:
        found = meter.set_setting(name, value)
    show(found, Setting, _set, form(as_json))


def _set(one: Setting) -> Text:
    return good(f"{one.name} is {one.value}" + (" (default)" if one.value == one.default_value else ""))


def log(
    ctx: Context,
    object: Annotated[str | None, typer.Argument(help="A metric, setting, subject, plan or role.")] = None,
    rows: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many.")] = 20,
    before_id: Annotated[int | None, typer.Option(help="Show older changes than this one.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show who changed what, newest first."""
    wanted = form(as_json, as_csv)
    read_zone(timezone)
    with ctx.obj.meter() as meter:
        found = meter.admin_log(object, max_rows=rows, before_id=before_id)
    show(found, AdminEntry, lambda page: _log_table(page, timezone), wanted)
    if wanted is Form.table and len(found) == rows:
        stdout().print(note(f"next page: --before-id {found[-1].entry_id}"))


def _log_table(found: list[AdminEntry], timezone: str) -> RenderableType:
    if not found:
        return note("nothing was changed")
    at = f"at ({timezone})"
    result = table("id", at, "role", "action", "object", "change", numbers=("id",), unfolded=(at,))
    for one in found:
        result.add_row(
            str(one.entry_id),
            moment(one.changed_at.replace(microsecond=0), timezone),
            one.role,
            one.action,
            one.object,
            _change(one),
        )
    return result


def _change(one: AdminEntry) -> str:
    """The fields that differ: quota 10 → 20."""
    if not isinstance(one.before, dict) or not isinstance(one.after, dict):
        values = (one.before, one.after) if one.before is not None else (one.after,)
        return " → ".join(exact_json.dumps(_given(value)) for value in values)
    return ", ".join(
        f"{field} {exact_json.dumps(before)} → {exact_json.dumps(after)}"
        for field, after in one.after.items()
        if (before := one.before.get(field)) != after
    )


def _given(value: object) -> object:
    return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


add_command(settings, list_, name="list")
add_command(settings, set_, name="set")
