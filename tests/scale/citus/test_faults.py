"""Nodes of a Citus cluster are killed while subjects are used, and move from one to another."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pymeter import migrate
from pymeter.scale import ShardedMeter, ShardMap, ShardUnavailable, write_map
from tests.helpers import at_length
from tests.scale.citus.conftest import Cluster
from tests.scale.move_load import moves_on
from tests.scale.twins import new_map

SUBJECTS = tuple(f"acct_{n}" for n in range(30))


def test_a_worker_that_is_killed_takes_its_subjects_only(cluster: Cluster, shard_map: ShardMap) -> None:
    """Everybody records all the time; what was acknowledged is there when the worker is back."""
    dead = "s2"
    acknowledged: dict[str, int] = dict.fromkeys(SUBJECTS, 0)
    refused: set[str] = set()
    stop = threading.Event()

    def write(subjects: tuple[str, ...]) -> None:
        with ShardedMeter.open(shard_map, max_size=1, timeout=2) as meter:
            number = 0
            while not stop.is_set():
                number += 1
                for subject in subjects:
                    try:
                        outcome = meter.record(
                            subject, "tokens", 1, idempotency_key=f"{subject} {number}"
                        ).outcome
                    except ShardUnavailable as error:
                        refused.add(error.shard)
                    else:
                        acknowledged[subject] += outcome == "recorded"

    with ShardedMeter.open(shard_map, max_size=1) as meter:
        meter.define_metric("tokens", "sum", "token")
    writers = [threading.Thread(target=write, args=(SUBJECTS[n::3],)) for n in range(3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(at_length(1, 10)):
            cluster.workers[0].kill()
            cluster.workers[0].bring_back()
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert refused <= {dead}
    with ShardedMeter.open(shard_map, max_size=1) as meter:
        assert meter.verify() == []
        for subject in SUBJECTS:
            lost = acknowledged[subject] - meter.usage(subject, "tokens").quantity
            # What was being committed as the server died may be counted without an answer.
            assert lost <= 0 if shard_map.shard_of(subject) == dead else lost == 0


@pytest.mark.at_length
@pytest.mark.slow
def test_subjects_move_between_workers_whatever_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "shards.json"
    servers = dict(zip(("s1", "s2"), cluster.workers, strict=False))
    for server in servers.values():
        migrate(server.dsn)
    write_map(path, new_map({name: server.dsn for name, server in servers.items()}))
    figures = moves_on(path, servers, at_length(6, 60), 300, print)
    figures.check()
    assert figures.moves >= 6
    print(figures)
