"""A file that has grown never counts a line again, whichever of its lines the ledger rejected before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pymeter import Meter
from pymeter.importing import ImportOptions, import_file

Run = Callable[..., Any]
IN_3_DAYS = (datetime.now(UTC) + timedelta(days=3)).isoformat(timespec="seconds")


@pytest.fixture(autouse=True)
def metrics(meter: Meter) -> None:
    meter.define_metric("tokens", "sum", "token")


def write(lines: Sequence[str], name: str = "f.csv", header: str = "subject,metric,quantity,at") -> str:
    Path(name).write_text("".join(f"{line}\n" for line in (header, *lines)))
    return name


def load(pymeter: Run, lines: Sequence[str], *more: str) -> tuple[int, ...]:
    report = pymeter("import", write(lines), "--json", *more).json
    return tuple(report[outcome] for outcome in ("recorded", "duplicate", "conflict", "rejected"))


def total(meter: Meter) -> Decimal:
    window = {"since": datetime(2020, 1, 1, tzinfo=UTC), "until": datetime(2100, 1, 1, tzinfo=UTC)}
    return meter.usage("a", "tokens", **window).quantity or Decimal(0)


def refuse(pymeter: Run, lines: Sequence[str], *more: str) -> None:
    ran = pymeter("import", write(lines), *more)
    assert (ran.status, "--grown" in ran.err, "--source" in ran.err) == (2, True, True), ran


UNKNOWN = [f"a,later{number},1," for number in range(40)]
REJECTED_FIRST = {
    "negative": ["a,tokens,-5,"],
    "many negative": ["a,tokens,-5,"] * 1100,
    "no number": ["a,tokens,x,", "a,tokens,,", "a,tokens,NaN,"],
    "no subject": [",tokens,1,"],
    "unknown metrics": UNKNOWN,
    "in the future": [f"a,tokens,1,{IN_3_DAYS}"],
    "not a time": ["a,tokens,1,yesterday"],
    "a column too many": ["a,tokens,1,,,"],
    "all of it": [*UNKNOWN, f"a,tokens,1,{IN_3_DAYS}", "a,tokens,-5,", "a,tokens,-6,", ",tokens,1,"],
}


@pytest.mark.parametrize("rejected", REJECTED_FIRST.values(), ids=REJECTED_FIRST.keys())
def test_lines_that_were_rejected_do_not_hide_where_a_file_ended(
    pymeter: Run, meter: Meter, rejected: list[str]
) -> None:
    lines = [*rejected, "a,tokens,5,"]
    old = len(rejected)
    assert load(pymeter, lines) == (1, 0, 0, old)
    lines += ["a,tokens,7,"]
    refuse(pymeter, lines)
    assert load(pymeter, lines, "--grown") == (1, 1, 0, old)
    lines += rejected
    assert load(pymeter, lines, "--grown") == (0, 2, 0, 2 * old)
    lines += ["a,tokens,1,"]
    refuse(pymeter, lines)
    assert load(pymeter, lines, "--grown") == (1, 2, 0, 2 * old)
    assert load(pymeter, lines, "--grown") == (0, 3, 0, 2 * old)
    assert total(meter) == 13


@pytest.mark.parametrize("tail", [["a,tokens,-1,"], ["a,tokens,x,"], ["a,later0,1,"], ["a,tokens,1,,,"]])
def test_a_growth_that_ended_with_a_rejected_line_is_found(
    pymeter: Run, meter: Meter, tail: list[str]
) -> None:
    lines = ["a,tokens,5,"]
    assert load(pymeter, lines) == (1, 0, 0, 0)
    for growth in range(1, 4):
        lines += ["a,tokens,7,", *tail]
        refuse(pymeter, lines)
        assert load(pymeter, lines, "--grown") == (1, growth, 0, growth)
    assert load(pymeter, [*lines, "a,tokens,9,"], "--grown") == (1, 4, 0, 3)
    assert total(meter) == 35


def test_lines_that_would_be_accepted_now_were_perhaps_rejected_then(pymeter: Run, meter: Meter) -> None:
    future = f"a,tokens,2,{IN_3_DAYS}"
    lines = [*UNKNOWN, future, "a,tokens,5,"]
    assert load(pymeter, lines) == (1, 0, 0, 41)
    for number in range(40):
        meter.define_metric(f"later{number}", "sum", "token")
    meter.define_metric("tokens", "sum", "token", max_future=timedelta(days=7))
    lines += ["a,tokens,7,"]
    refuse(pymeter, lines)
    assert load(pymeter, lines, "--grown") == (42, 1, 0, 0)
    assert total(meter) == 14
    assert [meter.usage("a", f"later{number}").quantity for number in range(40)] == [1] * 40


def test_lines_that_would_be_rejected_now_were_perhaps_accepted_then(pymeter: Run, meter: Meter) -> None:
    meter.define_metric("old", "sum", "token")
    meter.define_metric("tokens", "sum", "token", max_future=timedelta(days=7))
    lines = ["a,old,-1,", "a,old,1,", f"a,tokens,2,{IN_3_DAYS}", "b,tokens,-1,"]
    assert load(pymeter, lines) == (2, 0, 0, 2)
    meter.retire_metric("old")
    meter.define_metric("tokens", "sum", "token", max_future=timedelta(hours=1))
    lines += ["b,tokens,7,"]
    refuse(pymeter, lines)
    assert load(pymeter, lines, "--grown")[0] == 1
    meter.define_metric("old", "sum", "token")
    meter.define_metric("tokens", "sum", "token", max_future=timedelta(days=7))
    assert load(pymeter, lines, "--grown") == (0, 3, 0, 2)


def test_a_file_of_rejected_lines_has_counted_nothing_and_counts_once(pymeter: Run, meter: Meter) -> None:
    lines = ["a,tokens,-5,", "a,later0,5,", "a,tokens,x,"]
    assert load(pymeter, lines) == (0, 0, 0, 3)
    lines += ["a,tokens,7,"]
    assert load(pymeter, lines) == (1, 0, 0, 3)
    meter.define_metric("later0", "sum", "token")
    assert load(pymeter, lines) == (1, 1, 0, 2)
    refuse(pymeter, [*lines, "a,tokens,1,"])
    assert load(pymeter, [*lines, "a,tokens,1,"], "--grown") == (1, 2, 0, 2)
    assert total(meter) == 8


@pytest.mark.parametrize("first", [0, 3, 250])
def test_an_import_that_was_interrupted_before_the_file_grew(
    pymeter: Run, meter: Meter, meter_dsn: str, first: int
) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        if total(meter):
            raise Interrupted

    def interrupted(lines: list[str]) -> None:
        with pytest.raises(Interrupted):
            import_file(
                write(lines),
                lambda: psycopg.connect(meter_dsn, autocommit=True),
                options=ImportOptions(batch_size=100, grown=True),
                progress=interrupt,
            )

    lines = [*["a,tokens,-1,"] * first, *["a,tokens,1,"] * 400]
    interrupted(lines)
    lines += [*["a,tokens,-1,"] * first, *["a,tokens,1,"] * 400]
    refuse(pymeter, lines)
    interrupted(lines)
    lines += ["a,tokens,1,"]
    assert load(pymeter, lines, "--grown")[3] == 2 * first
    assert total(meter) == 801


def test_a_file_may_grow_by_every_line(pymeter: Run, meter: Meter) -> None:
    lines: list[str] = []
    for number in range(12):
        lines += [f"a,tokens,{-1 if number % 3 == 1 else 1},"]
        assert load(pymeter, lines, "--grown")[0] == (number % 3 != 1)
    assert total(meter) == 8


def test_lines_that_were_rejected_for_what_they_lacked_may_come_to_be_accepted(
    pymeter: Run, meter: Meter
) -> None:
    lines = [
        '{"subject":"a","metric":"tokens","quantity":1}',
        '{"subject":"a","metric":"tokens","quantity":2,"t":"2026-01-01"}',
    ]
    Path("f.jsonl").write_text("\n".join(lines))
    assert pymeter("import", "f.jsonl", "--map", "at=t", "--json").json["recorded"] == 1
    Path("f.jsonl").write_text("\n".join([*lines, lines[1]]))
    assert pymeter("import", "f.jsonl", "--map", "at?=t").status == 2
    assert pymeter("import", "f.jsonl", "--map", "at?=t", "--grown", "--json").json["recorded"] == 2
    assert total(meter) == 5


def test_a_last_line_that_is_rejected_now_does_not_hide_where_a_file_ended(
    pymeter: Run, meter: Meter
) -> None:
    lines = [
        '{"subject":"a","metric":"tokens","quantity":1,"t":"2026-01-01"}',
        '{"subject":"a","metric":"tokens","quantity":2}',
    ]
    Path("f.jsonl").write_text("\n".join(lines))
    assert pymeter("import", "f.jsonl", "--map", "at?=t", "--json").json["recorded"] == 2
    Path("f.jsonl").write_text("\n".join([*lines, lines[0]]))
    assert pymeter("import", "f.jsonl", "--map", "at=t").status == 2
    assert pymeter("import", "f.jsonl", "--map", "at=t", "--grown", "--json").json["recorded"] == 1
    assert total(meter) == 4
