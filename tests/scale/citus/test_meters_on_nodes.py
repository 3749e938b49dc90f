"""A meter on a node of a Citus cluster: an ordinary schema that works as on any server, and stays one."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import psycopg_pool
import pytest
from typer.testing import CliRunner

from pymeter import Meter, MigrateError, migrate
from pymeter.cli.app import app
from pymeter.scale import ShardedMeter, ShardMap
from tests.faults.lived_in import go_on, live
from tests.faults.test_upgrade import RELEASES, Release
from tests.helpers import Ledger, at_length
from tests.scale.citus.conftest import Cluster, Node
from tests.scale.test_answers import SUBJECTS, compare
from tests.scale.twins import Twins

PLACES = ("coordinator", "worker")
# Functions, types and schemas that Citus copies to new nodes, and tables that it distributes.
_CITUS_KNOWS = """
    SELECT (SELECT count(*) FROM pg_dist_partition) + (SELECT count(*) FROM pg_dist_schema)
         + (SELECT count(*) FROM pg_dist_object AS o
            CROSS JOIN LATERAL pg_identify_object(o.classid, o.objid, o.objsubid) AS i
            WHERE 'meter' IN (i.schema, i.name))
"""


@pytest.mark.parametrize("seed", range(at_length(1, 10)))
@pytest.mark.at_length
def test_shards_on_all_nodes_answer_as_one_meter_does(
    cluster: Cluster, shard_map: ShardMap, new_cluster: Callable[[], Cluster], seed: int
) -> None:
    alone = new_cluster().coordinator
    migrate(alone.dsn)
    with (
        ShardedMeter.open(shard_map, max_size=1) as many,
        psycopg_pool.ConnectionPool(alone.dsn, min_size=1, max_size=1) as pool,
    ):
        compare(Twins(Meter(pool), many), random.Random(seed), at_length(160, 1000), SUBJECTS[::2])
    # Also not by what maintain(), grant_access() and the like have created.
    assert [node.value(_CITUS_KNOWS) for node in (alone, *cluster.nodes)] == [0] * (1 + len(cluster.nodes))


@pytest.mark.parametrize("place", PLACES)
def test_a_meter_is_on_the_node_where_it_is_installed_only(cluster: Cluster, place: str) -> None:
    node, *others = cluster.nodes if place == "coordinator" else reversed(cluster.nodes)
    assert migrate(node.dsn).functions_replaced
    assert not migrate(node.dsn).functions_replaced
    assert node.value(_CITUS_KNOWS) == 0
    assert [other.value("SELECT to_regnamespace('meter')") for other in others] == [None, None]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("wheel", at_length(RELEASES[:1], RELEASES), ids=lambda wheel: wheel.stem)
@pytest.mark.at_length
def test_a_meter_is_upgraded(cluster: Cluster, place: str, wheel: Path, tmp_path: Path) -> None:
    node = cluster.coordinator if place == "coordinator" else cluster.workers[0]
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path)
    # Releases before 0.8.0 do not know Citus.
    Release(wheel.stem, tmp_path).migrate(node.dsn + _without_citus(node))
    with psycopg.connect(node.dsn, autocommit=True) as connection:
        ledger = Ledger(connection)
        live(ledger)
        migrate(node.dsn)
        go_on(ledger)
    assert node.value(_CITUS_KNOWS) == 0


def _without_citus(node: Node) -> str:
    assert "options" not in node.dsn
    return " options='-c citus.enable_ddl_propagation=off'"


def test_a_schema_that_citus_distributes_is_refused_with_nothing_written(cluster: Cluster) -> None:
    cluster.coordinator.run(
        "CREATE SCHEMA tenant",
        "CREATE TABLE tenant.own (id int)",
        "SET citus.enable_schema_based_sharding = on",
        "SELECT citus_schema_distribute('tenant')",
    )
    with pytest.raises(MigrateError, match="Citus distributes this schema") as error:
        migrate(cluster.coordinator.dsn, "tenant")
    assert error.value.sqlstate == "0A000"
    assert "citus_schema_undistribute('tenant')" in str(error.value)
    assert (
        cluster.coordinator.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'tenant'::regnamespace")
        == 1
    )


def test_citus_itself_refuses_to_distribute_a_meter(cluster: Cluster) -> None:
    migrate(cluster.coordinator.dsn)
    with pytest.raises(psycopg.Error, match="because it has triggers"):
        cluster.coordinator.run(
            "SET citus.enable_unsafe_triggers = off", "SELECT citus_schema_distribute('meter')"
        )
    with psycopg.connect(cluster.coordinator.dsn, autocommit=True) as connection:
        meter = Meter(connection)
        meter.define_metric("tokens", "sum", "token")
        assert meter.record("acct_1", "tokens", 5).outcome == "recorded"


def test_usage_is_committed_with_rows_of_a_distributed_table(cluster: Cluster) -> None:
    migrate(cluster.coordinator.dsn)
    cluster.coordinator.run("CREATE TABLE jobs (id int)", "SELECT create_distributed_table('jobs', 'id')")
    with psycopg.connect(cluster.coordinator.dsn) as connection:
        meter = Meter(connection)
        meter.define_metric("tokens", "sum", "token")
        connection.commit()
        for number, ends in enumerate((connection.rollback, connection.commit)):
            for id in range(20):  # on both workers
                connection.execute("INSERT INTO jobs VALUES (%s)", [id])
            meter.record("acct_1", "tokens", 5, idempotency_key="job")
            ends()
            jobs = connection.execute("SELECT count(*) FROM jobs").fetchone()
            assert (jobs, meter.usage("acct_1", "tokens").quantity) == ((20 * number,), 5 * number)
            connection.commit()


def test_each_worker_is_added_as_a_shard(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "shards.json"

    def run(*words: str, status: int = 0) -> str:
        result = CliRunner().invoke(app, ["shard", *words, "--map", str(path), "--json"])
        assert result.exit_code == status, result.output
        return result.stdout

    run("init", f"first={cluster.coordinator.dsn}")
    made = run("add", "--citus", f"w={cluster.coordinator.dsn}")
    assert [shard["name"][0] for shard in json.loads(made)["shards"]] == ["f", "w", "w"]
    assert run("add", "--citus", f"w={cluster.coordinator.dsn}") == made
    with ShardedMeter.open(path) as meter:
        meter.maintain()
    run("status")
    assert [node.value(_CITUS_KNOWS) for node in cluster.nodes] == [0, 0, 0]
