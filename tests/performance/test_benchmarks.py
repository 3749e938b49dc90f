"""The benchmarks still run, in the long run all of them: what they measure is too little to mean anything."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.benchmarks import seed
from tests.benchmarks.harness import Harness, Row, Sample, Side, Target
from tests.benchmarks.ready import one_event_each
from tests.benchmarks.rows import ROWS
from tests.benchmarks.rows.rebuild import _empty
from tests.benchmarks.rows.statement import SAME_ROWS
from tests.helpers import AT_LENGTH

_REPOSITORY = Path(__file__).parents[2]
# All of them take longer than any other test, and are no promise to anyone.
MEASURED = [*ROWS] if AT_LENGTH else ["first", "window", "quota"]
# What they need may not be installed; the run says so then.
_MAY_BE_LEFT_OUT = {"node", "instructions"}

Connect = Callable[..., psycopg.Connection[Any]]


@pytest.mark.at_length
@pytest.mark.slow
def test_the_rows_run_on_a_server_of_their_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.benchmarks", "--tiny", "--only", *MEASURED),
            *("--json", str(tmp_path / "results.json"), "--markdown", str(tmp_path / "results.md")),
        ],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "results.json").read_text())
    missing = {*MEASURED} - {result["group"] for result in report["results"]}
    assert missing <= _MAY_BE_LEFT_OUT
    assert all(re.search(rf"^{name} (is|are) left out: ", done.stderr, re.MULTILINE) for name in missing)
    assert all(result["ours_median"] > 0 for result in report["results"])
    assert report["run"]["settings"]["fsync"] == "on"
    assert report["run"]["settings"]["synchronous_commit"] == "on"
    names = [result["name"] for result in report["results"]]
    assert len(names) == len(set(names))
    assert all(f"| {name} |" in (tmp_path / "results.md").read_text() for name in names)


def test_sides_take_turns_and_the_ratio_is_of_the_medians() -> None:
    order: list[str] = []

    def side(name: str, values: list[float]) -> Side:
        def run() -> Sample:
            order.append(name)
            return Sample(values.pop(0))

        return Side(name, run)

    harness = Harness(rounds=3)
    row = Row("x", "calls/s", side("a", [30, 10, 20]), side("b", [10, 10, 5]), Target(">=", 2))
    harness.run("group", [row], lambda result: None)
    (result,) = harness.results
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert result.ratio == 2
    assert result.spread == (1, 4)
    assert result.met is True


@pytest.mark.parametrize(
    ("sign", "ratio"), [(">=", 5.0), ("<=", 0.2)], ids=["times as fast", "times its time"]
)
def test_the_ratio_of_times_says_what_the_target_says(sign: str, ratio: float) -> None:
    target = Target(">=" if sign == ">=" else "<=", 1)
    row = Row("x", "ms", Side("a", lambda: Sample(2)), Side("b", lambda: Sample(10)), target)
    harness = Harness(rounds=1)
    harness.run("group", [row], lambda result: None)
    assert harness.results[0].ratio == ratio
    assert harness.results[0].met is True


def test_a_log_that_was_filled_is_a_meter(connect: Connect) -> None:
    connection = connect("filled")
    until = seed.recent()
    since = until - timedelta(days=40)
    seed.define(connection, "tokens")
    seed.define(connection, "users", "unique")
    seed.define(connection, "by_minute", rollup="minute")
    seed.partitions(connection, since, until)
    for first in (0, 300):
        seed.log(
            connection,
            "tokens",
            events=300,
            since=since,
            until=until,
            subjects=3,
            keys=True,
            first=first,
        )
    seed.log(connection, "users", events=300, since=since, until=until, members=9)
    seed.log(connection, "by_minute", events=300, since=since, until=until)
    seed.settle(connection)
    assert connection.execute("SELECT * FROM meter.verify()").fetchall() == []
    # A key is in one of its two tables, and a repeat finds it there.
    keys = connection.execute(
        "SELECT subject, idempotency_key, quantity FROM meter.logged_events WHERE metric = 'tokens'"
    ).fetchall()
    outcomes = {
        connection.execute(
            "SELECT outcome FROM meter.record(%s, 'tokens', %s, idempotency_key => %s)",
            [subject, quantity, key],
        ).fetchone()
        for subject, key, quantity in keys
    }
    assert outcomes == {("duplicate",)}
    assert len(keys) == 600
    # What the row of rebuild does in between.
    _empty(connection)
    assert connection.execute("SELECT meter.rebuild() > 0").fetchone() == (True,)
    assert connection.execute("SELECT * FROM meter.verify()").fetchall() == []


def test_the_statement_by_hand_leaves_the_rows_that_record_does(connect: Connect) -> None:
    """To the byte of the digest: otherwise it might do less than what it is compared with."""
    connection = connect("by hand")
    seed.define(connection, "tokens")
    one_event_each(connection, "tokens", 2)
    connection.execute("SELECT meter.record('acct_0', 'tokens', 3, idempotency_key => 'req_7')")
    statement = SAME_ROWS[SAME_ROWS.index("WITH") :]
    for variable, value in {"s": "1", "k": "7"}.items():
        statement = re.sub(rf"(?<!:):{variable}\b", value, statement)
    (row,) = connection.execute(statement.encode()).fetchall()
    assert row[1] == 4
    rows = [
        connection.execute(
            "SELECT s.version, s.fine_count, s.fine_total, s.coarse_count, s.coarse_total, e.quantity,"
            " e.idempotency_key, k.quantity, e.at = k.at, e.at = s.fine_last_at, e.at = s.coarse_last_at"
            " FROM meter.series s JOIN meter.events e USING (series_id) JOIN meter.keys k USING (event_id)"
            " WHERE s.subject = %s",
            [subject],
        ).fetchall()
        for subject in ("acct_0", "acct_1")
    ]
    assert len(rows[0]) == 1
    assert rows[0] == rows[1]
    assert connection.execute("SELECT * FROM meter.verify()").fetchall() == []
    assert connection.execute(
        "SELECT outcome FROM meter.record('acct_1', 'tokens', 3, idempotency_key => 'req_7')"
    ).fetchone() == ("duplicate",)
