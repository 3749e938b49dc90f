"""What a front refuses, it refuses in the words of the shard; a shard that is down, rights, and the SQL."""

from __future__ import annotations

import pickle
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from pymeter import Meter, MeterError
from pymeter.cli.app import app
from pymeter.scale import ShardedMeter, ShardMap, ShardMapError, ShardUnavailable, write_map
from pymeter.scale.slots import slot_of
from pymeter.scale.stubs import left_out, stubs
from tests.faults.servers import Server
from tests.helpers import Task, at
from tests.scale.plproxy.conftest import NewDatabase, build_front
from tests.scale.twins import SHARDS
from tests.schema.contract import names

NOON = at("2026-06-18 12:00")
ROLE = "front_app"


@pytest.fixture(scope="module")
def defined(front_dsn: str, new_database: NewDatabase) -> Iterator[tuple[Meter, Meter]]:
    """A front and one meter, with the same metric and limit."""
    with (
        psycopg.connect(front_dsn, autocommit=True) as proxied,
        psycopg.connect(new_database(), autocommit=True) as direct,
    ):
        meters = Meter(proxied), Meter(direct)
        for meter in meters:
            meter.define_metric("refused", "sum", "unit")
            meter.set_limit("refused", 10, subject="limited", since=at("2026-01-01"))
        yield meters


def _batch(*subjects: str | None, **more: Any) -> Callable[[Meter], Any]:
    """A batch whose last event is the one that is refused."""
    events = [{"subject": subject, "metric": "refused", "quantity": 1, "at": NOON} for subject in subjects]
    events[-1] |= more
    return lambda meter: meter.record_batch(events)


_SPREAD = [f"acct_{n}" for n in range(12)]
_REFUSED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "unknown metric": ("UM001", lambda m: m.record("a", "none", 1, at=NOON)),
    "a member of a sum": ("UM002", lambda m: m.record("a", "refused", at=NOON, member="x")),
    "null subject": ("22004", lambda m: m.record(None, "refused", 1, at=NOON)),
    "null subject of a question": ("22004", lambda m: m.usage(None, "refused", now=NOON)),
    "blank subject": ("22023", lambda m: m.record(" ", "refused", 1, at=NOON)),
    "over the limit": ("UM003", lambda m: m.record("limited", "refused", 99, at=NOON, strict=True)),
    "no such id": ("22004", lambda m: m.settle(None, 1)),
    "no such event": ("UM007", lambda m: m.void_event("a", "refused", 99, reason="why")),
    "bad period": ("22023", lambda m: m.usage("a", "refused", period="fortnight", now=NOON)),
    "bad definition": ("22023", lambda m: m.define_metric("x", "median", "unit")),
    "too many rows": ("22023", lambda m: m.totals("refused", max_rows=-1, now=NOON)),
    "no rows": ("22023", lambda m: m.limits(max_rows=-1)),
    "batch of one subject": ("UM001", _batch("a", "a", metric="none")),
    "batch of many": ("UM001", _batch(*_SPREAD, metric="none")),
    "batch with no subject": ("22004", _batch(*_SPREAD, None)),
    "batch that is none": ("22023", lambda m: m.record_batch([], on_invalid="never")),
}


@pytest.mark.parametrize("case", _REFUSED)
def test_a_refusal_has_the_words_of_the_shard(defined: tuple[Meter, Meter], case: str) -> None:
    sqlstate, call = _REFUSED[case]
    found = []
    for meter in defined:
        with pytest.raises(MeterError) as error:
            call(meter)
        e = error.value
        found.append((type(e), e.sqlstate, e.message, e.detail, e.hint, str(e)))
    assert found[0] == found[1]
    assert found[0][1] == sqlstate


def test_what_shards_refuse_together_has_the_words_of_the_client(
    front: Meter, sharded: ShardedMeter, shard_map: ShardMap
) -> None:
    near = "acct_0"
    far = next(s for s in _SPREAD if shard_map.shard_of(s) != shard_map.shard_of(near))
    id = sharded.meter_of(near).open_correction("why")
    entries = [
        {"entry": "adjust", "subject": s, "metric": "refused", "quantity": 1, "at": NOON} for s in (near, far)
    ]
    calls: list[tuple[str, Callable[[Any], Any]]] = [
        ("UM007", lambda m: m.settle(1023, 1)),
        ("22023", lambda m: m.erase_subject(near, far)),
        ("22023", lambda m: m.stage_correction(id, entries)),
        ("22004", lambda m: m.subjects(after_subject="a")),
    ]
    for sqlstate, call in calls:
        found = []
        for meter in (front, sharded):
            with pytest.raises(MeterError) as error:
                call(meter)
            found.append((type(error.value), error.value.sqlstate, error.value.message, error.value.detail))
        assert found[0] == found[1]
        assert found[0][1] == sqlstate
    assert not list(sharded.correction_entries(id)), "an entry went to a shard that its subject is not on"
    assert front.reject_correction(id, "done") is None


def test_each_subject_is_recorded_where_the_client_looks_for_it(front: Meter, sharded: ShardedMeter) -> None:
    sharded.define_metric("placed", "sum", "unit")
    subjects = [*sharded.shard_map.pins, "größe ☃", "acct'; --", *(f"place_{n}" for n in range(30))]
    for subject in subjects:
        front.record(subject, "placed", 1, at=NOON)
    front.record_batch(
        [{"subject": s, "metric": "placed", "quantity": 2, "at": NOON} for s in reversed(subjects)]
    )
    assert {sharded.shard_map.shard_of(subject) for subject in subjects} == set(SHARDS)
    for subject in subjects:
        assert sharded.meter_of(subject).usage(subject, "placed", now=NOON).quantity == 3, subject


def test_the_front_computes_the_slots_of_the_client(front_dsn: str, shard_map: ShardMap) -> None:
    subjects = [f"s{n}" for n in range(3000)]
    assert len({slot_of(subject) for subject in subjects}) > 900
    with psycopg.connect(front_dsn) as connection:
        rows = connection.execute("SELECT meter._shard_of(s) FROM unnest(%s::text[]) s", [subjects])
        assert [SHARDS[place] for (place,) in rows] == [shard_map.shard_of(subject) for subject in subjects]


def test_outcomes_are_in_input_order(front: Meter, sharded: ShardedMeter) -> None:
    sharded.define_metric("ordered", "sum", "unit")
    events = [
        {
            "subject": f"o{n % 17}",
            "metric": "ordered",
            "quantity": n,
            "idempotency_key": f"k{n % 90}",
            "at": NOON,
        }
        for n in range(100)
    ]
    outcomes = list(front.record_batch(events))
    assert [outcome.ordinal for outcome in outcomes] == list(range(1, 101))
    # Of the keys that come again, ten have come with another subject: these are new.
    expected = list(sharded.known_events(events))
    assert [o.outcome for o in front.known_events(events)] == [o.outcome for o in expected]
    again = list(front.record_batch(events))
    assert {outcome.outcome for outcome in again} == {"duplicate"}
    assert [outcome.event_id for outcome in again] == [outcome.event_id for outcome in outcomes]


def test_what_a_caller_rolls_back_stays_and_a_retry_is_a_duplicate(
    front: Meter, sharded: ShardedMeter, front_dsn: str
) -> None:
    sharded.define_metric("kept", "sum", "unit")
    with psycopg.connect(front_dsn) as connection:
        assert Meter(connection).record("acct", "kept", 5, idempotency_key="k").outcome == "recorded"
        connection.rollback()
    assert sharded.usage("acct", "kept").quantity == 5
    assert front.record("acct", "kept", 5, idempotency_key="k").outcome == "duplicate"
    assert sharded.usage("acct", "kept").quantity == 5


# ------------------------------------------------------------------------------------- shards that are down


def test_a_dead_shard_is_unavailable_and_others_go_on(
    new_database: NewDatabase, shard_map: ShardMap, sharded: ShardedMeter
) -> None:
    sharded.define_metric("alive", "sum", "unit")
    dead = replace(shard_map.shards["s3"], dsn=re.sub(r"/plproxy\d+", "/gone", shard_map.shards["s3"].dsn))
    with_dead = replace(shard_map, shards={**shard_map.shards, "s3": dead})
    dsn = build_front(new_database(None), with_dead)
    with psycopg.connect(dsn, autocommit=True) as connection:
        meter = Meter(connection)
        for subject in (f"acct_{n}" for n in range(20)):
            if shard_map.shard_of(subject) != "s3":
                assert meter.record(subject, "alive", 1).outcome == "recorded"
                continue
            with pytest.raises(ShardUnavailable) as error:
                meter.record(subject, "alive", 1)
            assert error.value.sqlstate == "08006"
            assert "database gone" in (error.value.detail or "")
            assert "idempotency key" in (error.value.hint or "")
            assert isinstance(error.value.__cause__, psycopg.errors.InternalError_)
            assert pickle.loads(pickle.dumps(error.value)).detail == error.value.detail
        with pytest.raises(ShardUnavailable):
            meter.totals("alive")


def test_a_session_that_ends_during_a_call_is_unavailable(
    front: Meter, sharded: ShardedMeter, shard_map: ShardMap
) -> None:
    sharded.define_metric("ending", "sum", "unit")
    sharded.record("ends", "ending", 1)
    shard = shard_map.shards[shard_map.shard_of("ends")]
    with psycopg.connect(shard.dsn) as holder, psycopg.connect(shard.dsn, autocommit=True) as watcher:
        Meter(holder).record("ends", "ending", 1)
        task = Task(lambda: front.record("ends", "ending", 1, idempotency_key="k"))
        waiting = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        while watcher.execute(waiting).fetchone() is None:
            assert task.running
            time.sleep(0.01)
        watcher.execute(f"SELECT pg_terminate_backend(pid) FROM ({waiting}) w".encode())
        with pytest.raises(ShardUnavailable):
            task.result()
    assert front.record("ends", "ending", 1, idempotency_key="k").outcome == "recorded"
    assert sharded.usage("ends", "ending").quantity == 3  # with that of the holder


# ------------------------------------------------------------------------------------- rights


@pytest.fixture
def role(server: Server) -> Iterator[str]:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(f"DROP ROLE IF EXISTS {ROLE}; CREATE ROLE {ROLE} LOGIN".encode())
        yield ROLE


def test_a_role_needs_to_be_named_and_has_its_own_rights_on_the_shards(
    new_database: NewDatabase, shard_map: ShardMap, sharded: ShardedMeter, role: str
) -> None:
    sharded.define_metric("granted", "sum", "unit")
    dsn = build_front(new_database(None), shard_map)
    as_role = make_conninfo(dsn, user=role)
    with (
        psycopg.connect(as_role, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        Meter(connection).record("acct", "granted", 1)
    build_front(dsn, shard_map, {role: None})
    with psycopg.connect(as_role, autocommit=True) as connection:
        meter = Meter(connection)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            meter.record("acct", "granted", 1)
        sharded.access.grant(role, "write")
        assert meter.record("acct", "granted", 1).outcome == "recorded"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            meter.usage("acct", "granted")
        sharded.access.revoke(role)
        sharded.access.grant(role, "read", "bound")
        assert meter.for_subject("bound").usage("granted").quantity == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            meter.for_subject("acct").usage("granted")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM meter._shard_pins")
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT p.proname FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a"
            " WHERE p.pronamespace = 'meter'::regnamespace AND a.grantee = 0"
        ).fetchall()
        assert rows == []


@pytest.fixture
def tenants(server: Server) -> tuple[str, str]:
    names = ("front_tenant", "front_other")
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN".encode())
    return names


_BECOME_ANOTHER = (
    "ALTER USER MAPPING FOR CURRENT_USER SERVER meter_shards OPTIONS (SET user 'postgres')",
    "ALTER USER MAPPING FOR CURRENT_USER SERVER meter_shards OPTIONS (DROP user)",
    "ALTER USER MAPPING FOR CURRENT_USER SERVER meter_shards OPTIONS (ADD password 'x')",
    "DROP USER MAPPING FOR CURRENT_USER SERVER meter_shards",
    "DROP OWNED BY CURRENT_USER",
)


def test_a_role_of_the_front_cannot_become_another_one_on_the_shards(
    new_database: NewDatabase, shard_map: ShardMap, sharded: ShardedMeter, tenants: tuple[str, str]
) -> None:
    sharded.define_metric("bordered", "sum", "unit")
    tenant, other = tenants
    sharded.access.grant(other, "read", "acct")
    dsn = build_front(new_database(None), shard_map, {tenant: other})
    build_front(dsn, shard_map, {tenant: other})
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("CREATE SERVER mine FOREIGN DATA WRAPPER plproxy OPTIONS (p0 'dbname=x')")
        owner.execute(f"GRANT USAGE ON FOREIGN SERVER mine, meter_shards TO {tenant}, {other}".encode())
        owner.execute(f"GRANT CREATE ON SCHEMA public TO {tenant}".encode())
    with psycopg.connect(make_conninfo(dsn, user=tenant), autocommit=True) as connection:
        meter = Meter(connection)
        for statement in _BECOME_ANOTHER:
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
                connection.execute(statement.encode())
            assert refused.value.diag.message_hint, statement
        # Operators and functions of the caller do not come before those of PostgreSQL.
        connection.execute("CREATE FUNCTION public.yes(name, text) RETURNS boolean LANGUAGE sql RETURN false")
        connection.execute("CREATE OPERATOR public.= (FUNCTION = yes, LEFTARG = name, RIGHTARG = text)")
        connection.execute("SET search_path TO public, pg_catalog")
        for statement in _BECOME_ANOTHER:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        assert meter.for_subject("acct").usage("bordered").quantity == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            meter.record("acct", "bordered", 1)
        # Mappings of other servers, and what else a role drops, are its own.
        for statement in (
            "CREATE USER MAPPING FOR CURRENT_USER SERVER mine OPTIONS (user 'x')",
            "ALTER USER MAPPING FOR CURRENT_USER SERVER mine OPTIONS (SET user 'y')",
            "DROP USER MAPPING FOR CURRENT_USER SERVER mine",
            "DROP OPERATOR public.= (name, text)",
        ):
            connection.execute(statement.encode())
    with (
        psycopg.connect(make_conninfo(dsn, user=other), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(
            "CREATE USER MAPPING FOR CURRENT_USER SERVER meter_shards OPTIONS (user 'postgres')"
        )
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("SET session_replication_role TO replica")
        owner.execute(
            f"ALTER USER MAPPING FOR {tenant} SERVER meter_shards OPTIONS (ADD password 'x')".encode()
        )
        # PL/Proxy's language makes functions that connect as anybody.
        trusted = owner.execute("SELECT lanpltrusted FROM pg_language WHERE lanname = 'plproxy'").fetchone()
        assert trusted == (False,)
        modes = owner.execute("SELECT evtenabled FROM pg_event_trigger ORDER BY evtname").fetchall()
        assert modes == [("A",), ("A",)]
    assert sharded.usage("acct", "bordered").quantity == 0


# ------------------------------------------------------------------------------------- the SQL


def test_every_function_has_a_stub_with_its_comment_or_a_reason(front_dsn: str, shard_map: ShardMap) -> None:
    query = (
        "SELECT p.proname, pg_get_function_arguments(p.oid), p.prorettype::regtype::text, p.proretset,"
        " obj_description(p.oid, 'pg_proc') FROM pg_proc p"
        " WHERE p.pronamespace = 'meter'::regnamespace AND p.proname !~ '^_'"
    )
    found = []
    for dsn in (front_dsn, shard_map.shards["s1"].dsn):
        with psycopg.connect(dsn) as connection:
            found.append({row[0]: row for row in connection.execute(query)})
    stubs_found, functions = found
    assert set(stubs_found) == set(names()) - left_out().keys()
    for name, row in stubs_found.items():
        assert row == functions[name]
    for name, reason in left_out().items():
        assert reason.endswith("."), name


def test_a_database_with_a_meter_is_never_made_a_front(
    new_database: NewDatabase, shard_map: ShardMap
) -> None:
    dsn = new_database()
    with psycopg.connect(dsn, autocommit=True) as connection:
        Meter(connection).define_metric("mine", "sum", "unit")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        build_front(dsn, shard_map)
    with psycopg.connect(dsn) as connection:
        assert Meter(connection).metric("mine").key == "mine"


def test_a_view_on_a_stub_stops_its_replacement_and_is_named(
    new_database: NewDatabase, shard_map: ShardMap
) -> None:
    dsn = build_front(new_database(None), shard_map)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE VIEW mine AS SELECT * FROM meter.catalog()")
        with pytest.raises(psycopg.errors.DependentObjectsStillExist) as error:
            build_front(dsn, shard_map)
        assert "view mine" in (error.value.diag.message_detail or "")
        assert connection.execute("SELECT count(*) FROM mine").fetchone() is not None


def test_the_command_prints_sql_without_passwords(
    tmp_path: Path,
    shard_map: ShardMap,
    new_database: NewDatabase,
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    shards = {
        name: replace(shard, dsn=make_conninfo(shard.dsn, password="${SECRET}"))
        for name, shard in shard_map.shards.items()
    }
    path = tmp_path / "shards.json"
    write_map(path, replace(shard_map, shards=shards))
    result = CliRunner().invoke(app, ["shard", "stubs", "--map", str(path), "--role", "postgres"])
    assert result.exit_code == 0, result.output
    assert "hunter2" not in result.output
    dsn = new_database(None)
    psql = [server.program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", dsn]
    subprocess.run(psql, input=result.stdout, text=True, check=True)
    with psycopg.connect(dsn, autocommit=True) as connection:
        assert Meter(connection).shard_slot("acct_1") == 896


def test_schemas_of_different_names_are_refused(shard_map: ShardMap) -> None:
    other = replace(shard_map.shards["s2"], schema="other")
    with psycopg.connect(shard_map.shards["s1"].dsn) as connection, pytest.raises(ShardMapError):
        stubs(connection, replace(shard_map, shards={**shard_map.shards, "s2": other}))
