"""The command that records one event: record."""

from __future__ import annotations

import shlex
from functools import partial
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from pymeter.cli.errors import SAYS_NO
from pymeter.cli.options import (
    AsJson,
    MetricKey,
    Subject,
    Zone,
    form,
    read_json_object,
    read_moment,
)
from pymeter.cli.output import (
    bad,
    good,
    note,
    number,
    show,
    window,
)
from pymeter.cli.target import Context
from pymeter.models import Recorded

_BUDGET = "budget "
"""How the names of limits begin that budgets set; nobody else may use such a name."""


def record(
    ctx: Context,
    subject: Subject,
    metric: MetricKey,
    quantity: Annotated[str | None, typer.Argument(help="How much, in the metric's unit.")] = None,
    member: Annotated[str | None, typer.Option(help="What a unique metric counts.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option("--key", "-k", "--idempotency-key", help="The same key counts once.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="When it happened; default: now.")] = None,
    metadata: Annotated[str | None, typer.Option(help="A JSON object.")] = None,
    overflow: Annotated[bool, typer.Option("--overflow", help="Count it beyond a limit, too.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="A key that was used is an error, too.")] = False,
    timezone: Zone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Record one event.

        pymeter record acct_1 tokens 120 --key req_77

    Exit status 1: a limit refuses it, or its key was used for another quantity or member.
    """
    happened = read_moment(at, timezone, "--at")
    more = read_json_object(metadata, "--metadata")
    with ctx.obj.meter() as meter:
        result = meter.record(
            subject,
            metric,
            quantity,
            member=member,
            idempotency_key=idempotency_key,
            at=happened,
            metadata=more,
            overflow=overflow,
            strict=strict,
        )
    show(result, Recorded, partial(_recorded, subject, metric), form(as_json))
    if result.outcome in ("conflict", "refused"):
        raise typer.Exit(SAYS_NO)


def refused_by(limit: str | None, left: str) -> str:
    """What refuses a quantity: a limit, or the budget in whose name judging has set one."""
    if limit is not None and limit.startswith(_BUDGET):
        return f"the budget in {limit.removeprefix(_BUDGET)} is spent"
    return f"{left} left of the limit {limit}"


def spent_budget(subject: str, limit: str | None) -> str:
    """The next step after a refusal by a budget; empty for a limit."""
    if limit is None or not limit.startswith(_BUDGET):
        return ""
    return f"how much is spent, and until when: pymeter budget status {shlex.quote(subject)}"


def _recorded(subject: str, metric: str, result: Recorded) -> RenderableType:
    when = window(result.period_start, result.period_end)
    now = f"{metric} of {subject} is now {number(result.quantity)} {result.unit}"
    if result.outcome == "refused":
        why = refused_by(result.limited_by, f"{number(result.remaining)} {result.unit}")
        more = spent_budget(subject, result.limited_by)
        return Group(
            bad(f"refused: {why}; {now} in {when}"),
            note("  nothing was counted; usage that has happened is recorded with --overflow"),
            *([note(f"  {more}")] if more else []),
        )
    left = "" if result.remaining is None else f", {number(result.remaining)} left ({result.limited_by})"
    line = f"{result.outcome}: event {result.event_id}; {now} in {when}{left}"
    if result.outcome != "conflict":
        return good(line)
    return Group(
        bad(line), note("  the key was used before, with another quantity or member; the first one counts")
    )
