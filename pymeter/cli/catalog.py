"""Commands for the catalog of metrics: define, retire, catalog."""

from __future__ import annotations

from typing import Annotated, cast

import typer
from rich.console import RenderableType
from rich.text import Text

from pymeter.cli.options import (
    AsCsv,
    AsJson,
    MetricKey,
    form,
    read_duration,
)
from pymeter.cli.output import (
    good,
    moment,
    note,
    show,
    table,
)
from pymeter.cli.patience import when_free
from pymeter.cli.target import Context
from pymeter.models import AfterClose, Aggregate, Metric, Period, Rollup

_BUCKETS = "How it is added up"
_EVENTS = "Which events, and windows without any"


def define(
    ctx: Context,
    key: Annotated[str, typer.Argument(help="Its name in other commands.")],
    aggregate: Annotated[str, typer.Argument(help="sum, count, min, max, avg, last or unique.")],
    unit: Annotated[str, typer.Argument(help="What one of it is: token, seat, GB.")],
    period: Annotated[
        str | None,
        typer.Option(
            help="minute, hour, day, week, month, year or never. New: month.", rich_help_panel=_BUCKETS
        ),
    ] = None,
    rollup: Annotated[
        str | None,
        typer.Option(help="A finer bucket: minute, hour, day or none. New: hour.", rich_help_panel=_BUCKETS),
    ] = None,
    striped: Annotated[
        bool | None,
        typer.Option("--striped/--no-striped", help="Faster for one busy subject.", rich_help_panel=_BUCKETS),
    ] = None,
    max_future: Annotated[
        str | None,
        typer.Option(help="How far ahead of the clock: 2h, 7 days. New: 1 day.", rich_help_panel=_EVENTS),
    ] = None,
    carry: Annotated[
        bool | None,
        typer.Option(
            "--carry/--no-carry",
            help="last: keep the value in windows without events.",
            rich_help_panel=_EVENTS,
        ),
    ] = None,
    after_close: Annotated[
        str | None,
        typer.Option(
            "--after-close",
            help="accept or refuse: new events of a closed period. New: accept.",
            rich_help_panel=_EVENTS,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="A title.")] = None,
    description: Annotated[str | None, typer.Option(help="What is counted, and why.")] = None,
    as_json: AsJson = False,
) -> None:
    """Define a metric, or change it.

        pymeter define tokens sum token
        pymeter define users unique user --period day
        pymeter define seats last seat --carry

    An option that is left out keeps its value. The same definition again changes nothing.
    """
    ahead = read_duration(max_future, "--max-future")
    with ctx.obj.meter() as meter:
        metric = when_free(
            lambda: meter.define_metric(
                key,
                cast(Aggregate, aggregate),
                unit,
                name=name,
                description=description,
                period=cast(Period | None, period),
                rollup=cast(Rollup | None, rollup),
                striped=striped,
                max_future=ahead,
                carry=carry,
                after_close=cast(AfterClose | None, after_close),
            )
        )
    show(metric, Metric, _defined, form(as_json))


def _defined(metric: Metric) -> Text:
    return good(f"{metric.key}: {metric.aggregate} of {metric.unit} per {metric.period}")


def retire(ctx: Context, key: MetricKey, as_json: AsJson = False) -> None:
    """Retire a metric: its history stays, recording is refused."""
    with ctx.obj.meter() as meter:
        metric = meter.retire_metric(key)
    show(metric, Metric, _retired, form(as_json))


def _retired(metric: Metric) -> Text:
    return good(f"{metric.key} is retired since {moment(metric.retired_at)} UTC")


def catalog(
    ctx: Context,
    key: Annotated[str | None, typer.Argument(help="Only this metric.")] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """List the metrics."""
    wanted = form(as_json, as_csv)
    with ctx.obj.meter() as meter:
        metrics = meter.catalog() if key is None else [meter.metric(key)]
    show(metrics, Metric, _catalog_table, wanted)


def _catalog_table(metrics: list[Metric]) -> RenderableType:
    if not metrics:
        return note("no metric is defined yet; begin with: pymeter define tokens sum token")
    result = table("metric", "aggregate", "unit", "period", "rollup", "name", "retired")
    for metric in metrics:
        result.add_row(
            metric.key,
            metric.aggregate,
            metric.unit,
            metric.period,
            metric.rollup + (" striped" if metric.striped else "") + (" carry" if metric.carry else ""),
            metric.name or "",
            moment(metric.retired_at) if metric.retired_at else "",
            style="dim" if metric.retired_at else None,
        )
    return result
