"""Commands of the group correction: changes that are staged, previewed and approved."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any, cast

import psycopg
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from pymeter import exact_json
from pymeter.cli.correcting import corrections
from pymeter.cli.effects import added_up, describe_effects, moved
from pymeter.cli.errors import SAYS_NO, CliError
from pymeter.cli.help import add_command
from pymeter.cli.options import AsCsv, AsJson, MaxRows, OnlySubject, Zone, form
from pymeter.cli.output import (
    Form,
    below,
    good,
    is_narrow,
    minute,
    moment,
    note,
    number,
    print_json,
    show,
    stdout,
    table,
)
from pymeter.cli.patience import when_free
from pymeter.cli.suggestions import SuggestingGroup
from pymeter.cli.target import Context
from pymeter.client import Meter
from pymeter.models import Correction, CorrectionEffect, CorrectionEntry, CorrectionState

correction = typer.Typer(
    cls=SuggestingGroup,
    help="Correct what was recorded: stage changes, preview, approve.",
    no_args_is_help=True,
)

CorrectionId = Annotated[int, typer.Argument(metavar="ID", help="The correction, as open and list show it.")]
Why = Annotated[str, typer.Argument(help="Why, for people.")]
Shown = Annotated[int, typer.Option("--limit", "-n", min=0, help="How many periods to show; 0: all.")]
_ENTRIES_SHOWN = 100
_ENTRY_LINES = "Write one entry on each line."


def open_(
    ctx: Context,
    reason: Why,
    key: Annotated[str | None, typer.Option("--key", "-k", help="The same key opens one correction.")] = None,
    as_json: AsJson = False,
) -> None:
    """Open a correction, which counts once it is approved.

    pymeter correction open 'gateway counted twice on 18 June'
    pymeter correction stage 7 entries.jsonl
    pymeter correction preview 7
    pymeter correction approve 7
    """
    with corrections(ctx.obj) as meter:
        opened = meter.open_correction(reason, idempotency_key=key)
    show(
        {"correction_id": opened},
        None,
        lambda _: good(
            f"correction {opened} is open; add changes with: pymeter correction stage {opened} FILE"
        ),
        form(as_json),
    )


def stage(
    ctx: Context,
    correction_id: CorrectionId,
    file: Annotated[
        str, typer.Argument(help="JSON, an entry on each line or an array; - for standard input.")
    ],
    as_json: AsJson = False,
) -> None:
    """Add the entries of a file to an open correction.

        pymeter correction stage 7 entries.jsonl

    An entry: {"entry": "void", "subject": "acct_1", "metric": "tokens", "event_id": 4711}. entry is void,
    amend, adjust or record; the other fields are the parameters of void_event(), amend_event(), adjust() or
    record(). A void with since and until, and no event, takes back every event of that time.

    All entries are added, or none.
    """
    with corrections(ctx.obj) as meter, _open_input(file) as stream:
        count = meter.stage_correction(correction_id, _entries(stream, file))
    show(
        {"correction_id": correction_id, "entries": count},
        None,
        lambda _: good(
            f"correction {correction_id} has {_entries_of(count)};"
            f" see what they change: pymeter correction preview {correction_id}"
        ),
        form(as_json),
    )


def preview(
    ctx: Context,
    correction_id: CorrectionId,
    limit: Shown = 50,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show what approving a correction would change."""
    wanted = form(as_json, as_csv)
    with corrections(ctx.obj) as meter:
        effects = meter.preview_correction(correction_id)
        aggregates = _aggregates(meter) if wanted is Form.table else {}
    show(effects, CorrectionEffect, lambda rows: describe_effects(rows, aggregates, timezone, limit), wanted)


def approve(
    ctx: Context,
    correction_id: CorrectionId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    limit: Shown = 50,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Make an open correction count.

    At a terminal it shows the preview first, which needs the level read, and asks.

    Exit status 1: you said no, or the setting four_eyes asks for another person.
    """
    wanted = form(as_json, as_csv)
    with corrections(ctx.obj) as meter:
        aggregates = _aggregates(meter) if wanted is Form.table else {}
        shown: list[CorrectionEffect] | None = None
        if wanted is Form.table and not yes and _is_interactive():
            try:
                shown = meter.preview_correction(correction_id)
            except psycopg.errors.InsufficientPrivilege as error:
                raise CliError(
                    "the preview needs the level read",
                    "Run: pymeter grant ROLE read; or approve without a preview: --yes",
                ) from error
            stdout().print(describe_effects(shown, aggregates, timezone, limit))
            if not typer.confirm(f"Apply correction {correction_id}?", err=True):
                raise CliError(f"correction {correction_id} stays open", status=SAYS_NO)
        applied = when_free(lambda: meter.approve_correction(correction_id))
    if wanted is not Form.table:
        show(applied, CorrectionEffect, lambda _: "", wanted)
        return
    if shown is None:
        stdout().print(describe_effects(applied, aggregates, timezone, limit))
    stdout().print(good(f"correction {correction_id} is approved: {added_up(applied)}"))
    if shown is not None and (other := moved(shown, applied)):
        stdout().print(
            Text.assemble(
                ("! ", "bold yellow"),
                f"something was recorded or corrected since the preview: {number(len(other))} of"
                f" {number(len(applied))} periods had other quantities before; they are now:",
            ),
            describe_effects(other, aggregates, timezone, limit),
        )


def reject(ctx: Context, correction_id: CorrectionId, reason: Why, as_json: AsJson = False) -> None:
    """Close an open correction without applying it."""
    with corrections(ctx.obj) as meter:
        meter.reject_correction(correction_id, reason)
    show(
        {"correction_id": correction_id, "state": "rejected"},
        None,
        lambda _: good(f"correction {correction_id} is rejected; nothing was changed"),
        form(as_json),
    )


def revert(ctx: Context, correction_id: CorrectionId, reason: Why, as_json: AsJson = False) -> None:
    """Take an approved correction back."""
    with corrections(ctx.obj) as meter:
        undone = when_free(lambda: meter.revert_correction(correction_id, reason))
    show(
        {"correction_id": undone, "reverts": correction_id},
        None,
        lambda _: good(f"correction {correction_id} is taken back, by correction {undone}"),
        form(as_json),
    )


def list_(
    ctx: Context,
    state: Annotated[
        str | None, typer.Option("--state", help="open, approved, rejected or reverted.")
    ] = None,
    subject: OnlySubject = None,
    limit: MaxRows = 100,
    after_id: Annotated[int | None, typer.Option(help="Show older ones than this.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List corrections, the latest first."""
    wanted = form(as_json, as_csv)
    with corrections(ctx.obj) as meter:
        found = meter.corrections(
            cast("CorrectionState | None", state), subject, max_rows=limit, after_id=after_id
        )
    show(found, Correction, lambda rows: _corrections_table(rows, timezone), wanted)
    if wanted is Form.table and len(found) == limit:
        stdout().print(note(f"next page: --after-id {found[-1].correction_id}"))


def show_(
    ctx: Context,
    correction_id: CorrectionId,
    limit: MaxRows = _ENTRIES_SHOWN,
    after: Annotated[int, typer.Option(help="Show the entries after this one.")] = 0,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show a correction and its entries."""
    wanted = form(as_json, as_csv)
    with corrections(ctx.obj) as meter:
        entries = meter.correction_entries(correction_id, max_rows=limit, after_ordinal=after)
        (found,) = meter.corrections(after_id=correction_id + 1, max_rows=1)
    if wanted is Form.json:
        print_json({**_plain(found), "changes": entries})
        return
    show(
        entries,
        CorrectionEntry,
        lambda rows: Group(_header(found, timezone), _entries_table(rows, timezone)),
        wanted,
    )
    if wanted is Form.table and len(entries) == limit:
        stdout().print(note(f"next page: --after {entries[-1].ordinal}"))


def _plain(found: Correction) -> dict[str, Any]:
    return {name: getattr(found, name) for name in Correction.model_fields}


def _aggregates(meter: Meter) -> dict[str, str]:
    """Of the metrics; none for a role that may approve but not read."""
    try:
        return {metric.key: metric.aggregate for metric in meter.catalog()}
    except psycopg.errors.InsufficientPrivilege:
        return {}


def _is_interactive() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _entries_of(count: int) -> str:
    return f"{number(count)} {'entry' if count == 1 else 'entries'}"


# --- a file of entries --------------------------------------------------------------------------


@dataclass
class _open_input:
    file: str
    _stream: IO[str] | None = None

    def __enter__(self) -> IO[str]:
        if self.file == "-":
            return sys.stdin
        self._stream = Path(self.file).open(encoding="utf-8")
        return self._stream

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()


def _entries(stream: IO[str], file: str) -> list[dict[str, Any]]:
    """The entries of a file: a JSON array of them, or one on each line."""
    text = stream.read()
    found = list(_entries_of_array(text, file) if _is_array(text) else _entries_of_lines(text, file))
    if not found:
        raise CliError(f"{file} has no entries", f"{_ENTRY_LINES} A JSON array of them will do, too.")
    return found


def _is_array(text: str) -> bool:
    return text.lstrip().startswith("[")


def _entries_of_array(text: str, file: str) -> Iterator[dict[str, Any]]:
    try:
        entries = exact_json.loads_unique(text)
    except (ValueError, RecursionError) as exc:
        raise CliError(f"{file}: not a JSON array: {exc}", _ENTRY_LINES) from exc
    for position, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise CliError(f"{file}, entry {position}: not a JSON object", _ENTRY_LINES)
        yield entry


def _entries_of_lines(text: str, file: str) -> Iterator[dict[str, Any]]:
    for position, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = exact_json.loads_unique(line)
        except (ValueError, RecursionError) as exc:
            raise CliError(f"{file}, line {position}: not JSON: {exc}", _ENTRY_LINES) from exc
        if not isinstance(entry, dict):
            raise CliError(f"{file}, line {position}: not a JSON object", _ENTRY_LINES)
        yield entry


# --- tables -------------------------------------------------------------------------------------


def _corrections_table(found: Sequence[Correction], timezone: str) -> RenderableType:
    if not found:
        return note("no corrections")
    opened, narrow = f"opened ({timezone})", is_narrow()
    if narrow:
        columns = ["id", "state", "entries", opened, "reason"]
    else:
        columns = ["correction", "state", "entries", opened, "by", "decided by", "reason"]
    result = table(*columns, numbers=("id", "correction", "entries"), unfolded=(opened, "state"))
    for one in found:
        if narrow:
            state, _, more = _state(one).partition(", ")
            decided = "" if one.decided_by is None else f"decided by {one.decided_by}"
            since = below(minute(one.opened_at, timezone), f"by {one.opened_by}", decided)
            result.add_row(str(one.correction_id), below(state, more), number(one.entries), since, one.reason)
            continue
        result.add_row(
            str(one.correction_id),
            _state(one),
            number(one.entries),
            moment(one.opened_at.replace(microsecond=0), timezone),
            one.opened_by,
            one.decided_by or "",
            one.reason,
        )
    return result


def _state(one: Correction) -> str:
    if one.reverts is not None:
        return f"{one.state}, reverts {one.reverts}"
    if one.reverted_by is not None:
        return f"{one.state} by {one.reverted_by}"
    return one.state


def _header(one: Correction, timezone: str) -> RenderableType:
    result = table("", "")
    result.show_header = False
    result.add_row("correction", str(one.correction_id))
    result.add_row("state", _state(one))
    result.add_row("reason", one.reason)
    result.add_row("opened", f"{moment(one.opened_at.replace(microsecond=0), timezone)} by {one.opened_by}")
    if one.decided_at is not None:
        decided = moment(one.decided_at.replace(microsecond=0), timezone)
        result.add_row("decided", f"{decided} by {one.decided_by}")
    if one.decision is not None:
        result.add_row("because", one.decision)
    result.add_row("entries", number(one.entries))
    return result


def _entries_table(entries: Sequence[CorrectionEntry], timezone: str) -> RenderableType:
    if not entries:
        return note("no entries")
    at, narrow = f"at ({timezone})", is_narrow()
    reasons = any(one.reason for one in entries)
    if narrow:
        columns = ["#", "entry", "subject, metric", "event, key", "quantity", at]
    else:
        columns = ["#", "entry", "subject", "metric", "event", "quantity", at, "key", "outcome"]
        columns += ["reason"] if reasons else []
    result = table(*columns, numbers=("#", "event", "quantity"), unfolded=("entry", "metric", at, "outcome"))
    for one in entries:
        event = "" if one.corrects is None else str(one.corrects)
        key, outcome, reason = one.idempotency_key or "", one.outcome or "", one.reason or ""
        quantity = "" if one.quantity is None else number(one.quantity)
        quantity = quantity if one.member is None else one.member
        if narrow:
            result.add_row(
                str(one.ordinal),
                below(one.entry, outcome),
                below(one.subject, one.metric, reason),
                below(event, key),
                quantity,
                "" if one.at is None else minute(one.at, timezone),
            )
            continue
        result.add_row(
            str(one.ordinal),
            one.entry,
            one.subject,
            one.metric,
            event,
            quantity,
            "" if one.at is None else moment(one.at, timezone),
            key,
            outcome,
            *([reason] if reasons else []),
        )
    return result


add_command(correction, open_, name="open")
add_command(correction, stage)
add_command(correction, preview)
add_command(correction, approve)
add_command(correction, reject)
add_command(correction, revert)
add_command(correction, list_, name="list")
add_command(correction, show_, name="show")
