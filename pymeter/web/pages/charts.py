"""A series as a chart of bars, in SVG: it scales with the page, and says what each bar is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from pymeter.calls.result import Row
from pymeter.times import read_zone
from pymeter.visible import visible
from pymeter.web.pages.wording import quantity

_HEIGHT = 100
_STEP = 10
_LEAST = Decimal("0.7")  # something is never shown as nothing
_TICKS = 6


@dataclass(frozen=True)
class Bar:
    """A rectangle in a box of 10 units for each bucket, 100 high."""

    x: int
    y: str
    height: str
    title: str
    is_negative: bool


@dataclass(frozen=True)
class Chart:
    """A picture of a series: the rows of series(), of a few hundred buckets at most."""

    label: str
    width: int
    bars: tuple[Bar, ...]
    zero: str
    """Where the axis is, from above."""
    highest: str
    lowest: str
    ticks: tuple[str, ...]

    height = _HEIGHT


def chart(rows: Sequence[Row], unit: str, timezone: str, label: str) -> Chart | None:
    """The chart; None if no bucket has data."""
    values = [row["quantity"] for row in rows if row["quantity"] is not None]
    if not values:
        return None
    top, bottom = max(*values, Decimal(0)), min(*values, Decimal(0))
    scale = Decimal(_HEIGHT) / ((top - bottom) or 1)
    zero = top * scale
    zone = read_zone(timezone)
    starts = [row["bucket_start"].astimezone(zone) for row in rows]
    is_daily = all(start.hour == start.minute == 0 for start in starts)
    bars = []
    for place, (row, start) in enumerate(zip(rows, starts, strict=True)):
        value = row["quantity"]
        when = f"{start:%Y-%m-%d}" if is_daily else f"{start:%Y-%m-%d %H:%M}"
        shown = "no data" if value is None else f"{quantity(value)} {visible(unit)}"
        height = abs(value or 0) * scale
        if value:
            height = max(height, _LEAST)
        y = zero if value is not None and value < 0 else zero - height
        title = f"{when}: {shown}, {row['event_count']:,} events"
        bars.append(Bar(place * _STEP, f"{y:.2f}", f"{height:.2f}", title, (value or 0) < 0))
    is_long = len(starts) > 1 and starts[-1] - starts[0] > timedelta(days=2)
    form = "%b %d" if is_daily or is_long else "%H:%M"
    last = len(starts) - 1
    places = sorted({round(last * n / (_TICKS - 1)) for n in range(_TICKS)})  # the first and the last, too
    return Chart(
        label,
        len(rows) * _STEP,
        tuple(bars),
        f"{zero:.2f}",
        quantity(top),
        quantity(bottom),
        tuple(starts[place].strftime(form) for place in places),
    )
