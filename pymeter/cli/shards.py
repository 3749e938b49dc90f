"""Commands for many meters: shard init, add, pin, move, map, status, stubs."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType

from pymeter.cli.errors import SAYS_NO, CliError, fail
from pymeter.cli.help import add_command
from pymeter.cli.options import AsJson, form
from pymeter.cli.output import bad, counted, good, moment, note, show, stderr, stdout, table
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import Context
from pymeter.scale.shard_map import ShardMap, read_map, slot_ranges
from pymeter.scale.slots import slot_of
from pymeter.scale.status import ShardsStatus

if TYPE_CHECKING:
    from pymeter.scale.moving import Moved

shard = typer.Typer(
    cls=SuggestingGroup,
    help="Many meters as one: which subject lies where.\n\nThe map is a file: --map, or PYMETER_SHARDS.",
    no_args_is_help=True,
)
MapFile = Annotated[
    Path, typer.Option("--map", envvar="PYMETER_SHARDS", help="The file with the map of shards.")
]
_FILE = Path("shards.json")


def init(
    ctx: Context,
    shards: Annotated[
        list[str], typer.Argument(metavar="NAME=DSN...", help="${VARIABLE} in a DSN stays in the map.")
    ],
    map_file: MapFile = _FILE,
    as_json: AsJson = False,
) -> None:
    """Make meters shards, and write the map.

    Each is installed or upgraded. One of them may be in use: it keeps its subjects.

    pymeter shard init s1='service=meter1' s2='host=db2 user=meter password=${DB2}'
    """
    from pymeter.scale.setup import init as make

    dsns = dict(_named(given) for given in shards)
    if len(dsns) != len(shards):
        raise typer.BadParameter("two shards have one name")
    made = make(map_file, dsns, ctx.obj.schema)
    show(_document(made), None, lambda _: good(f"{map_file}: {', '.join(made.names)}"), form(as_json))


def add(
    ctx: Context,
    shard: Annotated[str, typer.Argument(metavar="NAME=DSN", help="A meter that is not in use.")],
    citus: Annotated[
        bool, typer.Option("--citus", help="The DSN is a coordinator's: add a shard on each of its workers.")
    ] = False,
    map_file: MapFile = _FILE,
    as_json: AsJson = False,
) -> None:
    """Add a shard to the map.

    It has no slots: no subject changes its shard.
    """
    from pymeter.scale.citus import add_workers
    from pymeter.scale.setup import add as extend

    name, dsn = _named(shard)
    made = (add_workers if citus else extend)(map_file, name, dsn, ctx.obj.schema)
    show(_document(made), None, lambda _: good(f"{map_file}: {', '.join(made.names)}"), form(as_json))


def pin(
    subject: Annotated[str, typer.Argument(help="A subject without any data yet.")],
    name: Annotated[str, typer.Argument(metavar="SHARD", help="Where it is to lie.")],
    map_file: MapFile = _FILE,
) -> None:
    """Let a new subject lie on a shard of choice.

    All subjects of one customer of a biller have to be on one shard.
    """
    from pymeter.scale.setup import pin as put

    put(map_file, subject, name)
    stdout().print(good(f"{subject} lies on {name}"))


def move(
    subjects_and_target: Annotated[
        list[str],
        typer.Argument(
            metavar="SUBJECT... SHARD", help="The subject, or several; and where they are to lie."
        ),
    ],
    wait: Annotated[
        float, typer.Option(min=0, max=60, help="Seconds that others are waited for while it is closed.")
    ] = 5,
    map_file: MapFile = _FILE,
    as_json: AsJson = False,
) -> None:
    """Move a subject to another shard, or go on with a move.

    Recording goes on while events are copied; then the subject is closed for a moment.
    Subjects of one customer of a biller are moved by one command.
    What was interrupted is completed by a repetition. Exit status 1: it cannot be moved as it is.
    """
    from pymeter.scale.errors import MoveRefused
    from pymeter.scale.moving import move as run

    *subjects, target = subjects_and_target
    if not subjects:
        raise typer.BadParameter("name a subject, and the shard that it is to lie on")
    began = time.monotonic()

    def tell(step: str, facts: dict[str, Any]) -> None:
        more = ", ".join(f"{count:,} {name}" for name, count in facts.items())
        line = f"{time.monotonic() - began:8.2f} s  {step}" + (f"  {more}" if more else "")
        stderr().print(line, highlight=False, markup=False)

    try:
        moved = run(map_file, subjects, target, wait=wait, tell=tell)
    except MoveRefused as refused:
        fail(refused, SAYS_NO)
    show(moved, None, _moved_line, form(as_json))


def _moved_line(moved: Moved) -> RenderableType:
    lie = f"{', '.join(moved.subjects)} {'lies' if len(moved.subjects) == 1 else 'lie'}"
    if moved.source == moved.target:
        return good(f"{lie} on {moved.target} already")
    return good(
        f"{lie} on {moved.target}: {counted(moved.events, 'event')} copied, "
        f"closed for {moved.closed_milliseconds / 1000:.2f} s"
    )


def show_map(
    subjects: Annotated[list[str] | None, typer.Argument(help="Where these lie.")] = None,
    map_file: MapFile = _FILE,
    as_json: AsJson = False,
) -> None:
    """Show the map, or where subjects lie."""
    found = read_map(map_file)
    if subjects:
        rows = [
            {"subject": s, "shard": found.shard_of(s), "slot": slot_of(s), "pinned": s in found.pins}
            for s in subjects
        ]
        show(rows, None, _subjects_table, form(as_json))
        return
    show(_document(found), None, lambda _: _map_table(found), form(as_json))


def status(map_file: MapFile = _FILE, as_json: AsJson = False) -> None:
    """Show how the shards are, and compare them.

    Moves that have not ended are listed, with the command that finishes each.
    Exit status 1: one has a problem, definitions are not alike, or a subject is closed.
    """
    from pymeter.scale.client import ShardedMeter
    from pymeter.scale.status import status as ask

    try:
        with ShardedMeter.open(map_file) as meter:
            found = ask(meter)
    except ModuleNotFoundError:
        raise CliError("shards need one more package", "pip install 'pymeter-ledger[pool]'") from None
    show(found, None, _status_tables, form(as_json))
    if not found.good:
        raise typer.Exit(SAYS_NO)


def stubs(
    roles: Annotated[
        list[str] | None,
        typer.Option(
            "--role", metavar="ROLE[=SHARD_ROLE]", help="May call the stubs, as which role of the shards."
        ),
    ] = None,
    map_file: MapFile = _FILE,
) -> None:
    """Print SQL for a front of the shards, for PL/Proxy.

    A front is a database whose functions are those of a meter, and run on the shards.
    Run the SQL as superuser; again after each upgrade and each change of the map.

    pymeter shard stubs --role app=meter_app > front.sql
    """
    import psycopg

    from pymeter.scale.stubs import stubs as generate

    found = read_map(map_file)
    given = dict(role.partition("=")[::2] for role in roles or ())
    with psycopg.connect(found.shards[found.names[0]].connection_string()) as connection:
        sys.stdout.write(generate(connection, found, {role: other or None for role, other in given.items()}))


def _named(given: str) -> tuple[str, str]:
    name, sign, dsn = given.partition("=")
    if not sign or not name or not dsn:
        raise typer.BadParameter(f"{name or given!r} is not NAME=DSN")
    return name, dsn


def _document(shard_map: ShardMap) -> dict[str, Any]:
    """The map without its DSNs."""
    ranges = slot_ranges(shard_map)
    return {
        "shards": [
            {"name": s.name, "number": s.number, "schema": s.schema, "slots": ranges[s.name]}
            for s in (shard_map.shards[name] for name in shard_map.names)
        ],
        "pins": dict(shard_map.pins),
        "ids_above": shard_map.ids_above,
        "oldest": shard_map.oldest,
    }


def _map_table(shard_map: ShardMap) -> RenderableType:
    result = table("shard", "number", "schema", "slots", "pinned", numbers=("number", "pinned"))
    ranges = slot_ranges(shard_map)
    for name in shard_map.names:
        pinned = sum(1 for shard in shard_map.pins.values() if shard == name)
        one = shard_map.shards[name]
        result.add_row(name, str(one.number), one.schema, ", ".join(ranges[name]), str(pinned))
    return result


def _subjects_table(rows: list[dict[str, Any]]) -> RenderableType:
    result = table("subject", "shard", "slot", "pinned", numbers=("slot",))
    for row in rows:
        result.add_row(row["subject"], row["shard"], str(row["slot"]), "yes" if row["pinned"] else "")
    return result


def _status_tables(found: ShardsStatus) -> RenderableType:
    shards = table("shard", "number", "slots", "pinned", "problems", numbers=("number", "slots", "pinned"))
    for one in found.shards:
        shards.add_row(one.name, str(one.number), str(one.slots), str(one.pins), "; ".join(one.problems))
    parts: list[RenderableType] = [shards, *_move_lines(found)]
    if not found.differences:
        return Group(*parts, good("all definitions are alike"))
    differences = table("definition", "key", "missing on", "differs between")
    for row in found.differences:
        variants = " | ".join(", ".join(names) for names in row.variants) if len(row.variants) > 1 else ""
        differences.add_row(row.kind, row.key, ", ".join(row.missing), variants)
    return Group(*parts, bad("not all definitions are alike"), differences)


_STATES = {
    "closed": "is closed: no shard accepts it",
    "copying": "is being copied, or was until the command was interrupted",
    "arrived": "is accepted at its new home",
    "unmapped": "has moved, and this map does not say so",
    "unknown": "may be closed: a shard does not answer",
}


def _move_lines(found: ShardsStatus) -> list[RenderableType]:
    return [
        (bad if move.state in ("closed", "unknown") else note)(
            f"{move.subject}, from {move.source} to {move.target} since {moment(move.since)} UTC,"
            f" {_STATES[move.state]}. Finish it with: {move.command}"
        )
        for move in found.moves
    ]


add_command(shard, init)
add_command(shard, add)
add_command(shard, pin)
add_command(shard, move)
add_command(shard, show_map, name="map")
add_command(shard, status)
add_command(shard, stubs)
