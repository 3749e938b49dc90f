"""pymeter shard: init, add, pin, map, status."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from pymeter import Meter
from pymeter.cli.app import app
from pymeter.scale import ShardedMeter, read_map
from tests.scale.conftest import NewDatabase

Run = Callable[..., Any]
EXIT_REFUSED, EXIT_COULD_NOT = 1, 2


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``run("shard", "map")`` returns the JSON that it prints."""

    def command(*words: str, status: int = 0) -> Any:
        more = [] if words[1] == "pin" else ["--json"]
        result = CliRunner().invoke(app, [*words, "--map", str(tmp_path / "shards.json"), *more])
        assert result.exit_code == status, result.output
        return json.loads(result.stdout) if result.stdout.startswith(("{", "[")) else result.output

    return command


def test_shards_from_the_first_to_the_fifth(run: Run, tmp_path: Path, new_database: NewDatabase) -> None:
    dsns = {f"s{n}": new_database() for n in range(1, 5)}
    made = run("shard", "init", *(f"{name}={dsn}" for name, dsn in dsns.items()))
    assert [shard["number"] for shard in made["shards"]] == [1, 2, 3, 4]
    assert [shard["slots"] for shard in made["shards"]] == [["0-255"], ["256-511"], ["512-767"], ["768-1023"]]
    path = tmp_path / "shards.json"
    with ShardedMeter.open(path) as meter:
        meter.define_metric("tokens", "sum", "token")
        places = {f"acct_{n}": meter.record(f"acct_{n}", "tokens", 1).event_id for n in range(20)}
        for subject, id in places.items():
            assert meter.shard_map.shard_of_id(id or 0) == meter.shard_map.shard_of(subject)
    # maintain() has not run yet, which health() says.
    run("shard", "add", f"s5={new_database()}")
    rows = run("shard", "map", *places)
    assert {row["shard"] for row in rows} == set(dsns)
    status = run("shard", "status", status=EXIT_REFUSED)
    assert [(d["kind"], d["key"], d["missing"]) for d in status["differences"]] == [
        ("metrics", "tokens", ["s5"])
    ]
    with ShardedMeter.open(path) as meter:
        meter.define_metric("tokens", "sum", "token")
        meter.maintain()
        meter.meters["s2"].set_limit("tokens", 5)
    run("shard", "pin", "new", "s5")
    assert read_map(path).shard_of("new") == "s5"
    assert "something is stored of the subject" in run("shard", "pin", "acct_1", "s5", status=EXIT_COULD_NOT)
    status = run("shard", "status", status=EXIT_REFUSED)
    assert [(d["kind"], d["missing"]) for d in status["differences"]] == [
        ("limits", ["s1", "s3", "s4", "s5"])
    ]
    assert [shard["pins"] for shard in status["shards"]] == [0, 0, 0, 0, 1]
    with ShardedMeter.open(path) as meter:
        meter.set_limit("tokens", 5)
        meter.define_metric("tokens", "sum", "token", description="changed")
        meter.meters["s2"].define_metric("tokens", "sum", "token", description="else")
    status = run("shard", "status", status=EXIT_REFUSED)
    assert [d["variants"] for d in status["differences"]] == [[["s1", "s3", "s4", "s5"], ["s2"]]]
    with ShardedMeter.open(path) as meter:
        meter.define_metric("tokens", "sum", "token", description="changed")
    assert run("shard", "status")["differences"] == []


def test_a_meter_in_use_becomes_the_first_shard(
    run: Run, tmp_path: Path, meter: Meter, meter_dsn: str, new_database: NewDatabase
) -> None:
    meter.define_metric("tokens", "sum", "token")
    held = meter.reserve("acct_1", "tokens", 5)
    old = meter.record("acct_1", "tokens", 1).event_id
    given = [f"new={new_database()}", f"old={meter_dsn}"]
    made = run("shard", "init", *given)
    assert made["oldest"] == "old"
    assert made["ids_above"] > (old or 0)
    assert [shard["slots"] for shard in made["shards"]] == [[], ["0-1023"]]
    with ShardedMeter.open(tmp_path / "shards.json") as sharded:
        assert sharded.settle(held.reservation_id or 0, 4).outcome == "recorded"
        assert sharded.usage("acct_1", "tokens").quantity == 5
        assert sharded.record("acct_1", "tokens", 1).event_id % 1024 == 2
    # What was interrupted before the map was written is done again.
    (tmp_path / "shards.json").unlink()
    assert run("shard", "init", *given) == made
    assert "there is a map" in run("shard", "init", *given, status=EXIT_COULD_NOT)


def test_two_meters_in_use_are_refused(
    run: Run, tmp_path: Path, meter: Meter, meter_dsn: str, new_database: NewDatabase
) -> None:
    other = new_database()
    meter.define_metric("tokens", "sum", "token")
    with psycopg.connect(other, autocommit=True) as connection:
        Meter(connection).define_metric("tokens", "sum", "token")
    answer = run("shard", "init", f"a={meter_dsn}", f"b={other}", status=EXIT_COULD_NOT)
    assert "several of the meters have ids" in answer
    assert not (tmp_path / "shards.json").exists()
    assert meter.shard_state().number is None
    run("shard", "init", f"a={meter_dsn}")
    assert "only an unused meter" in run("shard", "add", f"b={other}", status=EXIT_COULD_NOT)


def test_p13_a_password_is_neither_taken_nor_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer = run("shard", "init", "a=host=h password=geheim", status=EXIT_COULD_NOT)
    assert "geheim" not in answer
    monkeypatch.setenv("SECRET", "geheim")
    answer = run("shard", "init", "a=host=127.0.0.1 port=1 user=u password=${SECRET}", status=EXIT_COULD_NOT)
    assert "geheim" not in answer
    assert not (tmp_path / "shards.json").exists()


def test_a_dead_shard_is_a_row_of_the_status(
    run: Run, new_database: NewDatabase, pymeter_server: str
) -> None:
    dsns = {name: new_database() for name in ("a", "b")}
    run("shard", "init", *(f"{name}={dsn}" for name, dsn in dsns.items()))
    dead = str(psycopg.conninfo.conninfo_to_dict(dsns["b"])["dbname"])
    with psycopg.connect(pymeter_server, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(dead)))
    status = run("shard", "status", status=EXIT_REFUSED)
    assert "cannot be reached" in status["shards"][1]["problems"][0]
