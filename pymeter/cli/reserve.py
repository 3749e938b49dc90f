"""Commands about reservations: reserve, settle, release, reservations."""

from __future__ import annotations

from functools import partial
from typing import Annotated, cast

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from pymeter.cli.errors import SAYS_NO
from pymeter.cli.options import (
    AsCsv,
    AsJson,
    MaxRows,
    MetricKey,
    OnlyMetric,
    OnlySubject,
    Subject,
    Zone,
    form,
    read_duration,
    read_json_object,
    read_moment,
    read_zone,
)
from pymeter.cli.output import Form, bad, good, moment, note, number, show, stdout, table, window
from pymeter.cli.record import refused_by, spent_budget
from pymeter.cli.target import Context
from pymeter.models import Recorded, Reservation, ReservationState, Reserved

ReservationId = Annotated[int, typer.Argument(help="The id that reserve printed.")]


def reserve(
    ctx: Context,
    subject: Subject,
    metric: MetricKey,
    quantity: Annotated[str, typer.Argument(help="How much to hold, in the metric's unit.")],
    idempotency_key: Annotated[
        str | None, typer.Option("--key", "-k", "--idempotency-key", help="The same key reserves once.")
    ] = None,
    minimum: Annotated[str | None, typer.Option(help="If not all is left, hold at least this.")] = None,
    ttl: Annotated[str | None, typer.Option(help="How long, such as 5m; default: 10 minutes.")] = None,
    metadata: Annotated[str | None, typer.Option(help="A JSON object, for the event.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hold a quantity for usage to come.

        pymeter reserve acct_1 tokens 4000 --key call_7
        pymeter settle 81 3120

    Exit status 1: a limit refuses it, or its key was used for something else.
    """
    lasting = read_duration(ttl, "--ttl")
    more = read_json_object(metadata, "--metadata")
    with ctx.obj.meter() as meter:
        found = meter.reserve(
            subject,
            metric,
            quantity,
            idempotency_key=idempotency_key,
            minimum=minimum,
            ttl=lasting,
            metadata=more,
        )
    show(found, Reserved, lambda one: _reserved(one, subject), form(as_json))
    if found.outcome in ("conflict", "refused"):
        raise typer.Exit(SAYS_NO)


def _reserved(found: Reserved, subject: str = "") -> RenderableType:
    left = "" if found.remaining is None else f", {number(found.remaining)} left ({found.limited_by})"
    if found.outcome == "refused":
        more = spent_budget(subject, found.limited_by)
        refused = bad(f"refused: {refused_by(found.limited_by, number(found.remaining))}")
        return Group(refused, *([note(f"  {more}")] if more else []))
    if found.outcome == "conflict":
        return Group(bad("conflict"), note("  the key was used before, for another request or an event"))
    until = (
        "" if found.expires_at is None else f" until {moment(found.expires_at.replace(microsecond=0))} UTC"
    )
    holds = f"holds {number(found.held)}{until}" if found.held else "holds nothing"
    return good(f"{found.outcome}: reservation {found.reservation_id} {holds}{left}")


def settle(
    ctx: Context,
    reservation_id: ReservationId,
    quantity: Annotated[str, typer.Argument(help="What was used, in the metric's unit.")],
    at: Annotated[str | None, typer.Option(help="When it happened; default: when reserved.")] = None,
    metadata: Annotated[str | None, typer.Option(help="A JSON object, added to that of reserve.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """End a reservation and record what was used.

    Exit status 1: it was settled with another quantity before.
    """
    happened = read_moment(at, timezone, "--at")
    more = read_json_object(metadata, "--metadata")
    with ctx.obj.meter() as meter:
        found = meter.settle(reservation_id, quantity, at=happened, metadata=more)
    show(found, Recorded, _settled, form(as_json))
    if found.outcome == "conflict":
        raise typer.Exit(SAYS_NO)


def _settled(found: Recorded) -> RenderableType:
    left = "" if found.remaining is None else f", {number(found.remaining)} left ({found.limited_by})"
    when = window(found.period_start, found.period_end)
    line = f"{found.outcome}: event {found.event_id}; {number(found.quantity)} {found.unit} in {when}{left}"
    if found.outcome != "conflict":
        return good(line)
    return Group(bad(line), note("  it was settled before with another quantity, which counts"))


def release(ctx: Context, reservation_id: ReservationId, as_json: AsJson = False) -> None:
    """End a reservation without usage."""
    with ctx.obj.meter() as meter:
        found = meter.release(reservation_id)
    show(found, Reserved, _reserved, form(as_json))


def reservations(
    ctx: Context,
    subject: OnlySubject = None,
    metric: OnlyMetric = None,
    state: Annotated[str | None, typer.Option(help="held, settled, released or expired.")] = None,
    rows: MaxRows = 20,
    before_id: Annotated[int | None, typer.Option(help="Show older ones than this one.")] = None,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List reservations, the newest first."""
    wanted = form(as_json, as_csv)
    read_zone(timezone)
    with ctx.obj.meter() as meter:
        found = meter.reservations(
            subject,
            metric=metric,
            state=cast(ReservationState | None, state),
            max_rows=rows,
            before_id=before_id,
        )
    show(found, Reservation, partial(_reservations_table, timezone=timezone), wanted)
    if wanted is Form.table and len(found) == rows:
        stdout().print(note(f"next page: --before-id {found[-1].reservation_id}"))


def _reservations_table(found: list[Reservation], timezone: str) -> RenderableType:
    if not found:
        return note("no reservations")
    until = f"until ({timezone})"
    result = table(
        *("id", "subject", "metric", "held", "state", "used", until),
        numbers=("id", "held", "used"),
        unfolded=(until,),
    )
    for one in found:
        result.add_row(
            str(one.reservation_id),
            one.subject,
            one.metric,
            number(one.held),
            Text(one.state + (", late" if one.is_late else "")),
            "" if one.settled_quantity is None else number(one.settled_quantity),
            moment(one.expires_at.replace(microsecond=0), timezone),
        )
    return result
