"""pymeter shard move and what pymeter shard status says of moves that have not ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from pymeter import SubjectMoved
from pymeter.cli.app import app
from tests.scale.moves import Pair, S, homes, killed

REFUSED, COULD_NOT = 1, 2


def run(pair: Pair, *words: str, as_json: bool = True) -> Result:
    more = ["--map", str(pair.path), *(["--json"] if as_json else [])]
    return CliRunner().invoke(app, ["shard", words[0], *more, *words[1:]])


def moves_of(pair: Pair, status: int) -> list[tuple[Any, ...]]:
    """The moves that the status lists."""
    result = run(pair, "status")
    assert result.exit_code == status, result.output
    names = ("subject", "source", "target", "state")
    return [tuple(move[name] for name in names) for move in json.loads(result.stdout)["moves"]]


@pytest.fixture
def healthy(pair: Pair) -> Pair:
    pair.meter.maintain()
    pair.meter.record(S, "sum", 5, idempotency_key="k1")
    return pair


@pytest.mark.parametrize(
    ("step", "state", "status"),
    [
        ("copied", "copying", 0),
        ("barrier", "closed", REFUSED),
        ("admit", "closed", REFUSED),
        ("leave", "arrived", 0),
        ("pin", "unmapped", 0),
    ],
)
def test_a_killed_move_is_listed_at_once_with_the_command_that_finishes_it(
    healthy: Pair, step: str, state: str, status: int
) -> None:
    source, target = healthy.home(), healthy.other()
    assert moves_of(healthy, 0) == []
    killed(healthy.path, S, target, step)
    assert moves_of(healthy, status) == [(S, source, target, state)]
    if status == REFUSED:
        with pytest.raises(SubjectMoved):
            healthy.meter.record(S, "sum", 1)
    shown = run(healthy, "status", as_json=False).stdout.replace("\n", " ")
    assert f"{S}, from {source} to {target}" in shown
    command = json.loads(run(healthy, "status").stdout)["moves"][0]["command"]
    assert command == f"pymeter shard move --map {healthy.path} {S} {target}"
    assert CliRunner().invoke(app, command.split()[1:]).exit_code == 0
    assert moves_of(healthy, 0) == []
    assert homes(healthy.meter, S, 1) == [target]


def test_a_move_whose_other_shard_does_not_answer_may_be_a_closed_subject(healthy: Pair) -> None:
    source, target = healthy.home(), healthy.other()
    killed(healthy.path, S, target, "barrier")
    dead = psycopg.conninfo.conninfo_to_dict(healthy.dsns[source])["dbname"]
    with psycopg.connect(healthy.dsns[target], autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{dead}" ALLOW_CONNECTIONS false'.encode())
        assert moves_of(healthy, REFUSED) == [(S, source, target, "unknown")]
        connection.execute(f'ALTER DATABASE "{dead}" ALLOW_CONNECTIONS true'.encode())


def test_health_tells_of_a_subject_that_stays_closed_or_arriving(healthy: Pair) -> None:
    source, target = healthy.home(), healthy.other()
    killed(healthy.path, S, target, "barrier")
    now = healthy.meter.meters[source].moves()[0].changed_at

    def problems(shard: str, **later: int) -> list[str]:
        found = healthy.meter.meters[shard].health(now=now + timedelta(**later)).problems
        return [problem for problem in found if "move" in problem]

    assert problems(source, minutes=4) == []
    assert problems(source, minutes=6) == [
        "subjects closed for a move for more than five minutes: 1; pymeter shard status names them"
    ]
    assert problems(target, hours=23) == []
    assert problems(target, hours=25) == [
        "subjects arriving by a move for more than a day: 1; pymeter shard status names them"
    ]


def test_the_command_tells_its_steps_and_what_it_did(healthy: Pair) -> None:
    source, target = healthy.home(), healthy.other()
    moved = run(healthy, "move", S, target)
    assert moved.exit_code == 0, moved.output
    document = json.loads(moved.stdout)
    assert {key: document[key] for key in ("subjects", "source", "target", "events")} == {
        "subjects": [S],
        "source": source,
        "target": target,
        "events": 1,
    }
    told = [line.split()[2] for line in moved.stderr.splitlines()]
    assert told[0] == "check"
    assert told[-1] == "pin"
    assert [step for step in ("copy", "close", "rest", "compare", "admit", "leave") if step not in told] == []
    assert "1 events" in moved.stderr
    again = run(healthy, "move", S, target, as_json=False)
    assert (again.exit_code, again.stdout.strip()) == (0, f"✓ {S} lies on {target} already")
    back = run(healthy, "move", S, source, as_json=False)
    assert back.stdout.startswith(f"✓ {S} lies on {source}: ")


def test_what_it_cannot_do_is_its_exit_status_and_changes_nothing(healthy: Pair) -> None:
    source, target = healthy.home(), healthy.other()
    healthy.meter.meters[source].define_plan("only here")
    refused = run(healthy, "move", S, target)
    assert (refused.exit_code, refused.stdout) == (REFUSED, "")
    assert "not alike" in refused.stderr
    healthy.meter.define_plan("only here")
    nowhere = run(healthy, "move", S, "s9")
    assert (nowhere.exit_code, nowhere.stdout) == (COULD_NOT, "")
    assert "It has: s1, s2" in nowhere.stderr
    assert moves_of(healthy, 0) == []
    assert healthy.home() == source


@pytest.mark.parametrize(("signal_sent", "state"), [(signal.SIGKILL, "closed"), (signal.SIGINT, "copying")])
def test_a_command_that_is_ended_while_the_subject_is_closed_is_repeated(
    healthy: Pair, signal_sent: signal.Signals, state: str
) -> None:
    """Somebody who plans pushes holds it up."""
    source, target = healthy.home(), healthy.other()
    healthy.meter.define_biller("stripe")
    command = [sys.executable, "-m", "pymeter", "shard", "move", "--map", str(healthy.path), S, target]
    with psycopg.connect(healthy.dsns[source]) as planner:
        planner.execute("SELECT FROM meter.billers FOR UPDATE")
        process = subprocess.Popen([*command, "--wait", "60"], stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(line.split()[-1])
            if told[-1] == "stop":
                break
        assert moves_of(healthy, REFUSED) == [(S, source, target, "closed")]
        os.kill(process.pid, signal_sent)
        told += [line.split()[-1] for line in process.stderr]
        assert process.wait(30) != 0
    # One that can still do so opens the subject.
    assert ("reopened" in told) == (state == "copying")
    assert moves_of(healthy, REFUSED if state == "closed" else 0) == [(S, source, target, state)]
    again = run(healthy, "move", S, target)
    assert (again.exit_code, json.loads(again.stdout)["target"]) == (0, target)
    assert homes(healthy.meter, S, 1) == [target]
    assert healthy.meter.record(S, "sum", 5, idempotency_key="k1").outcome == "duplicate"
