"""One subject: what it has used, of how much, when, and by what."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from starlette.requests import Request
from starlette.responses import Response

from pymeter.calls.result import Row
from pymeter.visible import visible
from pymeter.web.pages.allowances import Meters, meters
from pymeter.web.pages.asking import Answer
from pymeter.web.pages.charts import Chart, chart
from pymeter.web.pages.site import Page, Site
from pymeter.web.pages.tables import Column, Table
from pymeter.web.pages.windows import SPANS, one_of, window_of
from pymeter.web.problems import bad_value

_SPANS = tuple((name, span.title) for name, span in SPANS.items())
_SAMPLE = 20
_FIELDS_MAX = 12


def subject_of(page: Page) -> str:
    """The subject of the query, as it is written there: spaces around it may be a part of it."""
    subject = page.request.query_params.get("subject", "")
    if not subject.strip():
        raise bad_value("subject is missing", "Choose one on the page of subjects.", "subject")
    return subject


class Subject:
    """The page."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def get(self, request: Request) -> Response:
        """The page."""
        async with self._site.page(request) as page:
            subject = subject_of(page)
            cycle = await page.ask("billing_cycle", subject=subject, at=page.now)
            plans = await page.ask("subscriptions", subject=subject, at=page.now)
            newest = await page.ask("events", subject=subject, max_rows=1)
            catalog = await page.ask("catalog")
            found = await meters(page, subject, catalog=catalog)
            tables = [Table("summary", "Usage", found.summary, ())]
            metric = page.given("metric") or (_first(found) if newest.rows else None)
            values = {} if metric is None else await _of_metric(page, subject, metric, catalog, tables)
            return page.render(
                "subject.html.jinja",
                tables,
                title=visible(subject),
                subject=subject,
                cycle=cycle.row["billing_cycle"],
                cycle_answer=cycle,
                plans=plans,
                newest=newest,
                meters=found,
                metric=metric,
                link_of=lambda metric: f"{page.link('/subject', subject=subject, metric=metric)}#chart",
                **({"series": None} | values),
            )


def _first(found: Meters) -> str | None:
    return next((meter.metric for meter in (*found.used, *found.found)), None)


async def _of_metric(
    page: Page, subject: str, metric: str, catalog: Answer, tables: list[Table]
) -> dict[str, object]:
    """The chart of a metric, and its groups."""
    name = one_of(page, "span", _SPANS, "30d")
    since, until = window_of(SPANS[name], page.now, page.timezone)
    step = SPANS[name].step
    timezone = None if page.timezone == "UTC" else page.timezone
    of = {"subject": subject, "metric": metric}
    series = await page.ask("series", **of, since=since, until=until, step=step, timezone=timezone)
    row = next((row for row in catalog.rows if row["key"] == metric), None)
    title, unit = page.named(metric), "" if row is None else row["unit"]
    tables.append(_buckets(series))
    sample = await page.ask("events", **of, max_rows=_SAMPLE)
    dimensions = _dimensions(row["metadata"] for row in sample.rows)
    dimension = page.given("by")
    groups = None
    if dimension is not None:
        groups = await page.try_ask("usage_by", **of, dimension=dimension, period="cycle")
        tables.append(_groups(page, groups, dimension))
        if dimension not in dimensions:
            dimensions.append(dimension)
    return {
        "series": series,
        "chart": _chart(series, unit, page.timezone, f"{visible(title)} by {step}"),
        "step": step,
        "title_of_metric": title,
        "spans": _SPANS,
        "chosen_span": name,
        "groups": groups,
        "dimensions": [(name, name) for name in dimensions],
        "dimension": dimension,
    }


def _chart(series: Answer, unit: str, timezone: str, label: str) -> Chart | None:
    if not any(row["event_count"] or row["has_data"] for row in series.rows):
        return None
    return chart(series.rows, unit, timezone, label)


def _dimensions(found: Iterable[dict[str, object] | None]) -> list[str]:
    names = {name for metadata in found for name in metadata or {}}
    return sorted(names)[:_FIELDS_MAX]


def _buckets(series: Answer) -> Table:
    return Table(
        "series",
        "Usage by time",
        series,
        (
            Column("bucket_start", "From", "time"),
            Column("bucket_end", "To", "time", wide=True),
            Column("quantity", "Quantity", "number"),
            Column("event_count", "Events", "number"),
        ),
        rows=tuple(reversed(series.rows)),
    )


def _groups(page: Page, groups: Answer, dimension: str) -> Table:
    most = max((row["quantity"] for row in groups.rows), default=Decimal(0))

    def share(row: Row) -> str | None:
        return f"{row['quantity'] * 100 / most:.1f}" if most > 0 and row["quantity"] >= 0 else None

    return Table(
        "groups",
        "Usage by metadata",
        groups,
        (
            Column("value", visible(dimension), of=lambda row: row["value"] or "(without)"),
            Column("share", "Of the largest", "bar", of=share, wide=True),
            Column("quantity", "Quantity", "number"),
            Column("event_count", "Events", "number"),
        ),
        empty="No event in this billing cycle.",
        rows=groups.rows[: page.most("rows")],
    )
