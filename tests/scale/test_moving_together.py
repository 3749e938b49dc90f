"""Subjects of one customer of a biller are moved together: all of them, or none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from pymeter import LockUnavailable
from pymeter.cli.app import app
from pymeter.scale import read_map, write_map
from pymeter.scale.errors import MoveRefused
from pymeter.scale.moving import move
from tests.helpers import at_length
from tests.scale.moves import Pair, S, cut_connections, homes, killed, meanwhile
from tests.scale.twins import new_map

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=2)


@pytest.fixture
def mates(pair: Pair) -> list[str]:
    """Three subjects of one customer on one shard, of which usage was reported and is to be reported."""
    names = [S, *(f"x{n}" for n in range(99) if pair.home(f"x{n}") == pair.home())][:3]
    pair.meter.define_biller("stripe")
    pair.meter.report_metric("sum", "units", "delta", since=NOW - timedelta(days=9))
    for name in names:
        pair.meter.report_subject(name, "cus_1")
        pair.meter.record(name, "sum", 1, idempotency_key="k1", at=NOW - timedelta(days=4))
    _report(pair, 3)
    for name in names:
        pair.meter.record(name, "sum", 5, idempotency_key="k2")
    assert pair.meter.plan_pushes(now=NOW) == 3
    return names


def _report(pair: Pair, count: int) -> None:
    pair.meter.plan_pushes(now=NOW)
    claimed = pair.meter.claim_pushes("stripe", "w", now=NOW)
    assert len(claimed) == count
    results = [{"push_id": p.push_id, "attempt": p.attempt, "outcome": "delivered"} for p in claimed]
    settled = pair.meter.settle_pushes("stripe", "w", results, now=NOW)
    assert [row.state for row in settled] == ["delivered"] * count


def test_one_of_them_is_refused_with_the_command_that_moves_all(pair: Pair, mates: list[str]) -> None:
    source, target = pair.home(), pair.other()
    with pytest.raises(MoveRefused) as caught:
        move(pair.path, mates[:2], target)
    hint = caught.value.hint or ""
    assert f"'{mates[2]}'" in (caught.value.detail or "")
    command = hint.partition(": ")[2]
    assert command == f"pymeter shard move {' '.join(mates)} {target}"
    assert pair.meter.moves() == []
    words = command.split()
    done = CliRunner().invoke(app, [*words[1:3], "--map", str(pair.path), "--json", *words[3:]])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert (document["subjects"], document["source"], document["events"]) == (mates, source, 6)
    for name in mates:
        assert pair.home(name) == target
        assert homes(pair.meter, name, 1) == [target]
        assert pair.meter.record(name, "sum", 5, idempotency_key="k2").outcome == "duplicate"
        assert pair.meter.verify(name) == []
    # What was to be reported is, once, and from the new home.
    assert {row.state for row in pair.meter.meters[target].pushes()} == {"delivered", "planned"}
    _report(pair, 3)
    assert [row.subject for row in pair.meter.customer_subjects("cus_1")] == sorted(mates)
    again = CliRunner().invoke(app, ["shard", "move", "--map", str(pair.path), *mates, target])
    assert f"✓ {', '.join(mates)} lie on {target} already" in again.stdout


@pytest.mark.at_length
@pytest.mark.parametrize(
    "step",
    at_length(
        ("compare", "leave"),
        ("copied", "close", "barrier", "stop", "compared", "admit", "leave", "pin"),
    ),
)
def test_a_mover_that_dies_has_admitted_all_or_none(pair: Pair, mates: list[str], step: str) -> None:
    target = pair.other()
    killed(pair.path, mates, target, step)
    # Whatever is left to do is one command.
    status = json.loads(
        CliRunner().invoke(app, ["shard", "status", "--map", str(pair.path), "--json"]).stdout
    )
    commands = {row["command"] for row in status["moves"]}
    assert commands == {f"pymeter shard move --map {pair.path} {' '.join(sorted(mates))} {target}"}
    open_now = {name: homes(pair.meter, name, 1) for name in mates}
    assert len({str(found) for found in open_now.values()}) == 1
    assert len(open_now[S]) <= 1
    assert (open_now[S] == [target]) == (step in ("leave", "pin"))
    assert CliRunner().invoke(app, commands.pop().split()[1:]).exit_code == 0
    for name in mates:
        assert homes(pair.meter, name, 2) == [target]
        assert pair.meter.usage(name, "sum", period="never").quantity == 6
    _report(pair, 3)


def test_they_are_all_opened_again(pair: Pair, mates: list[str]) -> None:
    """Somebody writes for the last of them while they are closed."""
    source, target = pair.home(), pair.other()
    opened: list[psycopg.Connection[Any]] = []

    def write_and_stay() -> None:
        late = psycopg.connect(pair.dsns[source])
        late.execute("SELECT meter.record(%s, 'sum', 3)", (mates[-1],))
        opened.append(late)

    with pytest.raises(LockUnavailable):
        move(pair.path, mates, target, wait=0.5, tell=meanwhile("close", write_and_stay))
    opened[0].commit()
    opened[0].close()
    for name in mates:
        assert homes(pair.meter, name, 1) == [source]
    assert [row.state for row in pair.meter.meters[source].moves()] == []
    _report(pair, 4)


def test_a_connection_that_is_cut_at_the_admission_leaves_one_home(pair: Pair, mates: list[str]) -> None:
    source, target = pair.home(), pair.other()
    try:
        move(pair.path, mates, target, tell=meanwhile("admit", lambda: cut_connections(pair.dsns[target])))
    except psycopg.OperationalError:
        for name in mates:
            assert homes(pair.meter, name, 1) == [source]
        move(pair.path, mates, target)
    for name in mates:
        assert homes(pair.meter, name, 2) == [target]


def test_subjects_of_two_shards_are_not_moved_by_one_command(tmp_path: Path) -> None:
    shard_map = new_map({f"s{n}": f"host=nowhere{n}" for n in (1, 2, 3)}, pins={"a": "s1", "b": "s2"})
    write_map(tmp_path / "shards.json", shard_map)
    with pytest.raises(MoveRefused) as caught:
        move(tmp_path / "shards.json", ["a", "b"], "s3")
    assert caught.value.detail == "'a' on s1; 'b' on s2."
    refused = CliRunner().invoke(app, ["shard", "move", "s3"])
    assert refused.exit_code == 2


def test_one_that_is_there_already_stays(pair: Pair) -> None:
    elsewhere = next(f"x{n}" for n in range(99) if pair.home(f"x{n}") != pair.home())
    for name in (S, elsewhere):
        pair.meter.record(name, "sum", 1)
    before = read_map(pair.path)
    # Of these, one is where it is to be.
    move(pair.path, [S, elsewhere], pair.other())
    assert (pair.home(), pair.home(elsewhere)) == (pair.home(elsewhere), before.shard_of(elsewhere))
