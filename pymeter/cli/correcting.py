"""Commands that correct at once: void, amend, adjust; and what all commands of corrections share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, TypeVar

import psycopg
import typer
from rich.console import Group, RenderableType

from pymeter.cli.errors import SAYS_NO, CliError
from pymeter.cli.options import AsJson, MetricKey, Subject, Zone, form, read_json_object, read_moment
from pymeter.cli.output import bad, good, note, number, show
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
    "no such event": "Look it up with: pymeter events SUBJECT",
    "the event is a void": "Take the correction back with: pymeter correction revert ID REASON",
    "an adjustment cannot be amended": "Void it, and adjust anew: pymeter void, pymeter adjust",
    "only a sum or count can be adjusted": "Void or amend events instead: pymeter void, pymeter amend",
    "the correction takes back another one": "Make the change again in a new one: pymeter correction open",
}
_FOUR_EYES = "the setting four_eyes asks for a second person"


@contextmanager
def corrections(settings: Settings) -> Iterator[Meter]:
    """The meter; the hints of errors name commands."""
    try:
        with settings.meter() as meter:
            yield meter
    except EventsDropped as error:
        error.hint = "Correct the total with: pymeter adjust"
        raise
    except MeterError as error:
        error.hint = _HINTS.get(error.message, error.hint)
        raise
    except psycopg.errors.InsufficientPrivilege as error:
        if error.diag.message_primary != _FOUR_EYES:
            raise
        opened = error.diag.message_detail
        hint = (
            "Let another role approve, reject or revert it, with the level approve."
            if opened
            else "Use pymeter correction open and stage; another role approves."
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
    """Add a signed quantity: a credit, a goodwill.

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
    )


def _one_name(event_id: int | None, idempotency_key: str | None) -> None:
    if (event_id is None) == (idempotency_key is None):
        raise typer.BadParameter("name the event by --event or by --key")


def _at_once(
    settings: Settings, subject: str, metric: str, call: Callable[[Meter], Corrected], as_json: bool
) -> None:
    with corrections(settings) as meter:
        found = when_free(lambda: call(meter))
    show(found, Corrected, partial(_corrected, subject, metric), form(as_json))
    if found.outcome == "conflict":
        raise typer.Exit(SAYS_NO)


def _corrected(subject: str, metric: str, found: Corrected) -> RenderableType:
    now = f"{metric} of {subject} is now {number(found.quantity)} in the period of event {found.event_id}"
    if found.outcome == "conflict":
        return Group(
            bad(f"conflict: nothing was changed; {now}"),
            note(f"  what was done before: pymeter events {subject} --metric {metric}"),
        )
    by = "" if found.correction_id is None else f" by correction {found.correction_id}"
    return good(f"{found.outcome}{by}: {now}")
