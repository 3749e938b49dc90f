"""Characters: how numbers, times and charts look."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from rich.console import Console

from pymeter.cli.chart import chart
from pymeter.cli.output import moment, number, table, window
from pymeter.models import UsageBucket
from pymeter.plain import plain

MIDNIGHT = datetime(2026, 6, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Decimal("1234567.50"), "1,234,567.5"),
        (Decimal("1E+3"), "1,000"),
        (Decimal("0.000001"), "0.000001"),
        (Decimal("2.0000000000000000"), "2"),
        (Decimal(-1000), "-1,000"),
        (Decimal(0), "0"),
        (12345, "12,345"),
        (Decimal(10**30), "1,000,000,000,000,000,000,000,000,000,000"),
        (None, "-"),
    ],
)
def test_numbers_are_exact_and_have_separators(value: Decimal | int | None, shown: str) -> None:
    assert number(value) == shown


def test_numbers_for_programs_have_no_exponent() -> None:
    assert plain([Decimal("1E+3"), {"n": Decimal("0.10")}]) == ["1000", {"n": "0.10"}]


def test_times_are_short_where_they_are_round() -> None:
    assert moment(MIDNIGHT) == "2026-06-18 00:00:00"
    assert moment(MIDNIGHT + timedelta(milliseconds=5), "Asia/Kathmandu") == "2026-06-18 05:45:00.005"
    assert window(MIDNIGHT, MIDNIGHT + timedelta(hours=1, minutes=5)) == "2026-06-18 → 2026-06-18 01:05 UTC"
    assert window(None, MIDNIGHT) == "… → 2026-06-18 UTC"


def drawn(values: list[int | None], step: timedelta, width: int = 70, encoding: str = "utf-8") -> list[str]:
    buckets = [
        UsageBucket(
            bucket_start=MIDNIGHT + step * n,
            bucket_end=MIDNIGHT + step * (n + 1),
            quantity=None if value is None else Decimal(value),
            event_count=0 if value is None else 1,
        )
        for n, value in enumerate(values)
    ]
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, width=width, highlight=False)
    console.print(chart(buckets, console, "UTC", "token"))
    stream.seek(0)
    return [line.rstrip() for line in stream.read().splitlines()]


def test_columns_are_as_high_as_their_values() -> None:
    lines = drawn([0, 9, 18, 1], timedelta(hours=1))
    assert [line.split("│")[1] for line in lines[:9]] == [
        *["        ███"] * 4,
        "    ▄▄▄ ███",
        *["    ███ ███"] * 3,
        "    ███ ███ ▄▄▄",
    ]
    assert lines[0].startswith("18 │")
    assert lines[-1] == "4 buckets, 4 events; peak 18 token at 2026-06-18 02:00:00 UTC"


def test_buckets_without_data_are_gaps() -> None:
    lines = drawn([8, None, 4], timedelta(hours=1))
    assert {line.split("│")[1][4:7] for line in lines[:9]} <= {"", "   "}
    assert lines[-1].startswith("3 buckets, 2 events; peak 8 token")
    assert drawn([-8, None], timedelta(hours=1))[1].split("  ")[1].strip() == "-"
    assert drawn([None, None], timedelta(hours=1)) == ["no data in 2 buckets"]


def test_a_little_is_not_shown_as_nothing() -> None:
    assert drawn([1, 1_000_000], timedelta(days=1))[8].split("│")[1].startswith("▁")


def test_labels_stand_at_round_hours() -> None:
    ticks = drawn(list(range(48)), timedelta(hours=1))[10]
    assert ticks.split() == ["Jun", "18", "12:00", "Jun", "19", "12:00"]


def test_many_buckets_become_bars() -> None:
    lines = drawn(list(range(100)), timedelta(days=1), width=60)
    assert len(lines) == 100
    assert lines[0] == "2026-06-18 00:00   0"
    assert lines[-1].endswith("█" * 30)


def test_negative_values_become_bars() -> None:
    lines = [line[23:] for line in drawn([-5, 5, 0, -10], timedelta(days=1), width=60)]
    blocks = 10
    assert lines == [
        " " * blocks + "█" * blocks + "│",
        " " * 2 * blocks + "│" + "█" * blocks,
        " " * 2 * blocks + "│",
        "█" * 2 * blocks + "│",
    ]


def test_nothing_is_a_chart_too() -> None:
    assert drawn([], timedelta(days=1)) == ["no buckets"]
    assert len(drawn([0, 0], timedelta(days=1))) == 12


def test_a_terminal_without_blocks_gets_ascii() -> None:
    text = "\n".join(drawn([1, 2], timedelta(days=1), encoding="ascii"))
    assert text.isascii()
    assert "#" in text


@pytest.mark.parametrize("width", range(20, 60))
def test_a_number_that_is_too_long_for_the_terminal_says_so(width: int) -> None:
    shown = io.StringIO()
    rows = table("metric", "rate", "amount", numbers=("rate", "amount"))
    rows.add_row("tokens of a long name", "0.123456", "15,241,481.36")
    Console(file=shown, width=width).print(rows)
    digits = [cell for cell in shown.getvalue().split() if cell[0].isdecimal()]
    assert all(cell in ("0.123456", "15,241,481.36") or cell.endswith("…") for cell in digits), digits
