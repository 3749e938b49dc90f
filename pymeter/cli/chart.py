"""A series as a chart made of characters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from rich.console import Console, Group
from rich.text import Text

from pymeter.cli.output import counted, moment, number
from pymeter.models import UsageBucket
from pymeter.times import read_zone
from pymeter.visible import visible

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_ASCII = "    ####" + "#"
_HEIGHT_ROWS = 9
_ROUND_MINUTES = (1, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440)
_COLUMN_CELLS_MAX = 4
_LEAST = Decimal("-Infinity")


def chart(buckets: Sequence[UsageBucket], console: Console, timezone: str, unit: str) -> Group:
    """Columns over time; bars one below the other where columns do not fit or a value is negative.

    A bucket without data is a gap.
    """
    if not buckets:
        return Group(Text("no buckets", style="dim"))
    values = [bucket.quantity for bucket in buckets if bucket.quantity is not None]
    if not values:
        return Group(Text(f"no data in {len(buckets)} buckets", style="dim"))
    highest = max(values)
    axis = max(len(number(highest)), len(number(highest / 2)) if highest % 2 == 0 else 0) + 2
    room = console.width - axis - 2
    if min(values) < 0 or room < len(buckets):
        return _bars(buckets, console, timezone)
    cells = min(_COLUMN_CELLS_MAX, room // len(buckets))
    eighths = _EIGHTHS if _has_blocks(console) else _ASCII
    rows: list[Text] = []
    for row in range(_HEIGHT_ROWS, 0, -1):
        label = number(highest) if row == _HEIGHT_ROWS else ""
        line = Text(f"{label:>{axis - 2}} ", style="dim").append(
            "│" if _has_blocks(console) else "|", style="dim"
        )
        columns = "".join(_column(bucket.quantity, highest, row, cells, eighths) for bucket in buckets)
        rows.append(line.append(columns, style="cyan"))
    floor = "└" + "─" * (cells * len(buckets)) if _has_blocks(console) else "+" + "-" * (cells * len(buckets))
    rows.append(Text(f"{0:>{axis - 2}} {floor}", style="dim"))
    rows.append(Text(" " * axis + _ticks(buckets, cells, read_zone(timezone)), style="dim"))
    rows.append(_caption(buckets, unit, timezone))
    return Group(*rows)


def _has_blocks(console: Console) -> bool:
    return console.encoding.lower().startswith("utf")


def _column(value: Decimal | None, highest: Decimal, row: int, cells: int, eighths: str) -> str:
    filled = 0 if not highest or value is None else int(value * _HEIGHT_ROWS * 8 / highest)
    if value and not filled:
        filled = 1  # something is never shown as nothing
    block = eighths[max(0, min(8, filled - (row - 1) * 8))]
    return block * cells if cells == 1 else block * (cells - 1) + " "


def _ticks(buckets: Sequence[UsageBucket], cells: int, zone: ZoneInfo) -> str:
    """Labels below the columns, at round hours or every few days, as many as there is room for."""
    length = buckets[-1].bucket_start - buckets[0].bucket_start
    hourly = length / max(1, len(buckets) - 1) < timedelta(hours=22)
    form = "%H:%M" if hourly else "%b %d" if length < timedelta(days=300) else "%b %Y"
    starts = [bucket.bucket_start.astimezone(zone) for bucket in buckets]
    line = ""
    for minutes in _ROUND_MINUTES if hourly else (0,):
        line = ""
        crowded = False
        for position, start in enumerate(starts):
            if minutes and (start.hour * 60 + start.minute) % minutes:
                continue
            label = _label(start, form)
            room = cells * len(buckets) + 6 - position * cells
            if not line or len(line) + 2 <= position * cells:
                line = line.ljust(position * cells) + label if len(label) <= room else line
            else:
                crowded = True
        if not crowded:
            break
    return line


def _label(value: datetime, form: str) -> str:
    # At midnight the day says more than 00:00.
    return value.strftime("%b %d" if form == "%H:%M" and value.hour == value.minute == 0 else form)


def _caption(buckets: Sequence[UsageBucket], unit: str, timezone: str) -> Text:
    peak = max(buckets, key=lambda bucket: _LEAST if bucket.quantity is None else bucket.quantity)
    events = sum(bucket.event_count for bucket in buckets)
    return Text(
        f"{counted(len(buckets), 'bucket')}, {counted(events, 'event')}; "
        f"peak {number(peak.quantity)} {visible(unit)} at "
        f"{moment(peak.bucket_start, timezone)} {timezone}",
        style="dim",
    )


def _bars(buckets: Sequence[UsageBucket], console: Console, timezone: str) -> Group:
    """One line for each bucket. Negative values grow to the left of an axis, positive ones to the right."""
    values = [bucket.quantity or Decimal(0) for bucket in buckets]
    below, above = -min(*values, Decimal(0)), max(*values, Decimal(0))
    digits = max(len(number(bucket.quantity)) for bucket in buckets)
    axis = ("│" if _has_blocks(console) else "|") if below else ""
    room = max(10, console.width - digits - 26 - len(axis))
    scale = room / (below + above) if below or above else Decimal(0)
    left = int(below * scale)
    mark = "█" if _has_blocks(console) else "#"
    rows = []
    for bucket, value in zip(buckets, values, strict=True):
        bar = mark * int(abs(value) * scale)
        line = Text(f"{moment(bucket.bucket_start, timezone)[:16]}  ", style="dim")
        line.append(f"{number(bucket.quantity):>{digits}}  ", style="default")
        line.append((bar if value < 0 else "").rjust(left), style="red").append(axis, style="dim")
        rows.append(line.append(bar if value > 0 else "", style="cyan"))
    return Group(*rows)
