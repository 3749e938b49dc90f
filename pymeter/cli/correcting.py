"""Commands that correct at once: void, amend, adjust; and what all commands of corrections share."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, TypeVar

import psycopg
import typer
from rich.console import Group, RenderableType

from pymeter.cli.errors import SAYS_NO, CliError
from pymeter.cli.options import AsJson, MetricKey, Subject, Zone, form, read_json_object, read_moment
from pymeter.cli.output import Form, bad, good, note, number, show, window
from pymeter.cli.patience import when_free
from pymeter.cli.target import Context, Settings
from pymeter.client import Meter
from pymeter.errors import EventsDropped, MeterError
from pymeter.models import Corrected

Result = TypeVar("Result")
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why, for people.")]
EventId = Annotated[int | None, typer.Option("--event", "-e", help="The event, as pymeter events shows it.")]
EventKey = Annotated[
    str | None, typer.Option("--key", "-k", "--idempotency-key", help="The event, by its key instead.")
]

_HINTS = {
    "no such correction": "List them with: pymeter correction list",
    "the event is a void": "Take the correction back with: pymeter correction revert ID REASON",
    "an adjustment cannot be amended": "Void it, and adjust anew: pymeter void, pymeter adjust",
    "only a sum or count can be adjusted": "Void or amend events instead: pymeter void, pymeter amend",
    "the correction takes back another one": "Make the change again in a new one: pymeter correction open",
}
_LOOKED_AT = 1000
_FOUR_EYES = "the setting four_eyes asks for a second person"


@contextmanager
def corrections(settings: Settings, events_of: str = "SUBJECT") -> Iterator[Meter]:
    """The meter; the hints of errors name commands. `events_of`: whose events they are, as options."""
    try:
        with settings.meter() as meter:
            yield meter
    except EventsDropped as error:
        error.hint = "Correct the total with: pymeter adjust"
        raise
    except MeterError as error:
        if error.message == "no such event":
            error.hint = f"Look it up with: pymeter events {events_of}"
        error.hint = _HINTS.get(error.message, error.hint)
        raise
    except psycopg.errors.InsufficientPrivilege as error:
        if error.diag.message_primary != _FOUR_EYES:
            raise
        opened = error.diag.message_detail
        hint = (
            "Let another role approve, reject or revert it, with the level approve."
            if opened
            else "Use pymeter correction open, then pymeter correction stage; another role approves."
        )
        raise CliError(f"{_FOUR_EYES}{f': {opened}' if opened else ''}", hint, SAYS_NO) from error


def void(
    ctx: Context,
    subject: Subject,
    metric: MetricKey,
    reason: Reason,
    event_id: EventId = None,
    idempotency_key: EventKey = None,
    as_json: AsJson = False,
) -> None:
    """Take an event back: it no longer counts.

        pymeter void acct_1 tokens --event 4711 --reason 'test traffic'
        pymeter void acct_1 tokens --key req_77 --reason 'test traffic'

    It stays in the log, and its key stays spent. Several at once: pymeter correction.
    """
    _one_name(event_id, idempotency_key)
    _at_once(
        ctx.obj,
        subject,
        metric,
        lambda meter: meter.void_event(
            subject, metric, event_id, idempotency_key=idempotency_key, reason=reason
        ),
        as_json,
    )


def amend(
    ctx: Context,
    subject: Subject,
    metric: MetricKey,
    reason: Reason,
    event_id: EventId = None,
    idempotency_key: EventKey = None,
    quantity: Annotated[str | None, typer.Option("--quantity", "-q", help="How much it was.")] = None,
    member: Annotated[str | None, typer.Option(help="What a unique metric counts.")] = None,
    at: Annotated[str | None, typer.Option(help="When it happened.")] = None,
    metadata: Annotated[str | None, typer.Option(help="A JSON object.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Replace an event by a corrected one.

        pymeter amend acct_1 tokens --key req_77 --quantity 20 --reason 'counted twice'

    What is left out stays as it is. The key then names the new event.

    Exit status 1: the event does not count any more.
    """
    _one_name(event_id, idempotency_key)
    if quantity is None and member is None and at is None and metadata is None:
        raise typer.BadParameter("say what changes: --quantity, --member, --at or --metadata")
    happened = read_moment(at, timezone, "--at")
    more = read_json_object(metadata, "--metadata")
    _at_once(
        ctx.obj,
        subject,
        metric,
        lambda meter: meter.amend_event(
            subject,
            metric,
            event_id,
            idempotency_key=idempotency_key,
            quantity=quantity,
            member=member,
            at=happened,
            metadata=more,
            reason=reason,
        ),
        as_json,
        conflict="the event does not count any more",
    )


def adjust(
    ctx: Context,
    subject: Subject,
    metric: MetricKey,
    quantity: Annotated[str, typer.Argument(help="In the metric's unit; negative takes usage away.")],
    reason: Reason,
    at: Annotated[str | None, typer.Option(help="When it counts; default: now.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option("--key", "-k", "--idempotency-key", help="The same key adjusts once.")
    ] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Add a signed quantity to a total, such as -5 for goodwill.

        pymeter adjust acct_1 tokens -5 --reason goodwill --at 2026-06-18

    It is no event. Only a sum or count can be adjusted.

    Exit status 1: the key was used for something else.
    """
    counts = read_moment(at, timezone, "--at")
    _at_once(
        ctx.obj,
        subject,
        metric,
        lambda meter: meter.adjust(
            subject, metric, quantity, at=counts, reason=reason, idempotency_key=idempotency_key
        ),
        as_json,
        conflict="the key was used for another payload",
    )


def _one_name(event_id: int | None, idempotency_key: str | None) -> None:
    if event_id is None and idempotency_key is None:
        raise typer.BadParameter("name the event by --event or by --key")
    if event_id is not None and idempotency_key is not None:
        raise typer.BadParameter("name the event by --event or by --key, not both")


def _at_once(
    settings: Settings,
    subject: str,
    metric: str,
    call: Callable[[Meter], Corrected],
    as_json: bool,
    conflict: str = "the event was changed otherwise",
) -> None:
    wanted = form(as_json)
    quoted = shlex.quote(subject)
    with corrections(settings, f"{quoted} --metric {metric}") as meter:
        found = when_free(lambda: call(meter))
        now = _now(meter, subject, metric, found) if wanted is Form.table else ""
    show(found, Corrected, partial(_corrected, now, conflict, f"{quoted} --metric {metric}"), wanted)
    if found.outcome == "conflict":
        raise typer.Exit(SAYS_NO)


def _now(meter: Meter, subject: str, metric: str, found: Corrected) -> str:
    """What the period counts now: with its unit and its ends, as far as this role may read them."""
    what = f"{metric} of {subject} is now {number(found.quantity)}"
    try:
        (defined,) = [one for one in meter.catalog() if one.key == metric]
        what += f" {defined.unit}"
        page = meter.events(subject, metric, max_rows=_LOOKED_AT)
        (at,) = [row.at for row in page if row.event_id == found.event_id]
        period = meter.resolve_window(defined.period, now=at)
    except (MeterError, psycopg.Error, ValueError):  # the correction is made; its answer is only shorter
        return f"{what} in the period of event {found.event_id}"
    return f"{what} in {window(period.since, period.until)}"


def _corrected(now: str, conflict: str, events_of: str, found: Corrected) -> RenderableType:
    if found.outcome == "conflict":
        return Group(
            bad(f"conflict: {conflict}; nothing was changed; {now}"),
            note(f"  what was done before: pymeter events {events_of}"),
        )
    what: str = "already done" if found.outcome == "duplicate" else found.outcome
    if found.correction_id is not None:
        what += f" by correction {found.correction_id}"
    elif found.outcome == "duplicate":
        what = "nothing to change"
    return good(f"{what}: event {found.event_id}; {now}")
