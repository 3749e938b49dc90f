"""A dump that is restored without its privileges, or with some of them, opens the ledger to nobody."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from pymeter.embedded import program
from pymeter.migrate import migrate, status
from tests.access.conftest import Roles
from tests.access.test_levels import CALLS, LEVELS, callable_functions
from tests.helpers import Ledger, refused


def run(name: str, *arguments: str, stdin: bytes | None = None, check: bool = True) -> bytes:
    done = subprocess.run([program(name), *arguments], input=stdin, capture_output=True, check=check)
    return done.stdout


class Restored:
    """The database of the test, dumped and restored as another one in some way."""

    def __init__(self, dsn: str, copy: str) -> None:
        self.dsn = dsn
        self.copy = copy

    def pg_restore(self, *options: str, before: Callable[[], Any] = lambda: None) -> Ledger:
        archive = run("pg_dump", "-Fc", "--schema=meter", self.dsn)
        before()
        run("pg_restore", *options, "-d", self.copy, stdin=archive, check=False)
        return self.ledger()

    def psql(self, *options: str, before: Callable[[], Any] = lambda: None) -> Ledger:
        script = run("pg_dump", *options, "--schema=meter", self.dsn)
        before()
        run("psql", "-X", "-q", "-d", self.copy, stdin=script)
        return self.ledger()

    def ledger(self) -> Ledger:
        return Ledger(psycopg.connect(self.copy, autocommit=True))


@pytest.fixture
def restored(meter_dsn: str, pymeter_server: str, roles: Roles) -> Iterator[Restored]:
    name = urlsplit(meter_dsn).path.removeprefix("/") + "_restored"
    with psycopg.connect(pymeter_server, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}".encode())
        yield Restored(meter_dsn, urlsplit(meter_dsn)._replace(path=f"/{name}").geturl())
        for session in roles._opened[1:]:
            session.close()
        server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def without_privileges(restored: Restored) -> Ledger:
    return restored.pg_restore("--no-acl")


def script_without_privileges(restored: Restored) -> Ledger:
    return restored.psql("--no-acl")


def cleaned_without_privileges(restored: Restored) -> Ledger:
    restored.pg_restore()
    return restored.pg_restore("--clean", "--if-exists", "--no-acl")


OPENING = [without_privileges, script_without_privileges, cleaned_without_privileges]


# It refuses a null quota before anything else.
ASKED = {"check_quota": "SELECT meter.check_quota('acct_1', 'tokens', 8)"}


@pytest.mark.parametrize("way", OPENING)
def test_functions_that_a_restore_has_opened_refuse_who_was_not_granted_them(
    metered: Ledger, roles: Roles, restored: Restored, way: Callable[[Restored], Ledger]
) -> None:
    reader, writer, stranger = roles.new("read"), roles.new("write"), roles.new()
    calls = [call for call in metered.rows(CALLS) if not call.proname.startswith("_")]
    copy = way(restored)
    copy.execute("GRANT USAGE ON SCHEMA meter TO PUBLIC")
    mine = {name for name, level, _ in calls if level == "own"}
    for role, level in ((reader, "read"), (writer, "write"), (stranger, None)):
        session = roles.login(role, restored.copy)
        allowed = set()
        for name, _, call in calls:
            try:
                answer = session.rows(ASKED.get(name, call))
            except psycopg.Error as error:
                if error.sqlstate == "42501":
                    continue
            else:
                if not answer:  # nothing has been told
                    continue
            allowed.add(name)
        assert allowed - mine <= {name for name, of, _ in calls if of == level}, role
    # Recording goes on for whoever was granted it, and for the owner.
    assert roles.login(writer, restored.copy).record("acct_1", "tokens", 1).quantity == 6
    assert roles.login(reader, restored.copy).usage("acct_1", "tokens").quantity == 6
    assert copy.record("acct_1", "tokens", 1).quantity == 7


@pytest.mark.parametrize("way", OPENING)
def test_it_is_seen_refused_and_repaired(
    metered: Ledger, roles: Roles, restored: Restored, way: Callable[[Restored], Ledger]
) -> None:
    granted = {level: roles.new(level) for level in LEVELS}
    bound, other = roles.new(subjects=("acct_1",)), roles.new()
    rights = metered.call("access")
    copy = way(restored)

    assert not status(restored.copy).up_to_date
    assert set(status(restored.copy).open_functions) >= {"record", "grant_access", "retire_metric"}
    assert not copy.call("health")[0].healthy
    assert "everybody may call" in " ".join(copy.call("health")[0].problems)
    assert not any(row.complete for row in copy.call("access"))
    with refused("55000"):
        copy.call("grant_access", role=other, level="read")

    report = migrate(restored.copy)
    assert (report.changed, report.rights_repaired, report.functions_replaced) == (True, True, False)
    assert not migrate(restored.copy).changed
    assert status(restored.copy).up_to_date
    assert not [p for p in copy.call("health")[0].problems if "call" in p]
    assert copy.call("access") == rights
    calls = copy.rows(CALLS)
    for level, role in granted.items():
        expected = {name for name, of, _ in calls if of == level}
        assert callable_functions(roles.login(role, restored.copy), calls) == expected
    assert roles.login(bound, restored.copy).call("own_usage", subject="acct_1", metric="tokens")
    with refused("42501", "subject"):
        roles.login(bound, restored.copy).call("own_usage", subject="acct_2", metric="tokens")


def elsewhere(copy: Ledger) -> None:
    """The restored database as if it were in another cluster, where roles have other oids."""
    copy.execute("UPDATE meter.access_grants SET cluster = cluster + 1, role = role::bigint + 100000")


@pytest.mark.parametrize("restore", ["pg_restore", "psql"])
def test_a_missing_role_opens_nothing_and_takes_no_right_from_the_others(
    metered: Ledger, roles: Roles, restored: Restored, restore: str
) -> None:
    writer, gone = roles.new("write", "read"), roles.new(*LEVELS)
    stranger = roles.new()
    copy = getattr(restored, restore)(before=lambda: roles.forget(gone))
    elsewhere(copy)
    copy.execute("GRANT USAGE ON SCHEMA meter TO PUBLIC")
    session = roles.login(stranger, restored.copy)
    for statement in ("meter.record('acct_1', 'tokens', 1)", "meter.grant_access('x', 'admin')"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(f"SELECT {statement}")
    assert migrate(restored.copy).rights_repaired
    shown = {(row.role, row.level): row.complete for row in copy.call("access")}
    assert shown == {(writer, "read"): True, (writer, "write"): True} | {(gone, one): False for one in LEVELS}
    assert f"{gone} lacks functions of the level admin" in copy.call("health")[0].notices
    assert roles.login(writer, restored.copy).record("acct_1", "tokens", 1).quantity == 6
    # When the role is created, migrate gives it what the dump said.
    roles.sql("CREATE ROLE {} LOGIN PASSWORD 'not a secret'", gone)
    roles._names.append(gone)
    assert migrate(restored.copy).rights_repaired
    assert not migrate(restored.copy).changed
    assert all(row.complete for row in copy.call("access") if row.level)
    assert copy.call("health")[0].notices == []


def test_recording_asks_once_in_a_session_whether_it_is_open(metered: Ledger) -> None:
    metered.execute("SET track_functions = 'all'")
    asked = "SELECT coalesce(sum(calls), 0) FROM pg_stat_user_functions WHERE funcname = %s"
    for _ in range(20):
        metered.record("acct_1", "tokens", 1)
        metered.call("check_quota", subject="acct_1", metric="tokens", quota=1000)
    metered.execute("SELECT pg_stat_force_next_flush()")
    assert metered.value(asked, ["record"]) >= 20
    assert metered.value(asked, ["_is_open"]) <= 10
    assert metered.value(asked, ["_check_caller"]) == 0


def test_what_the_owner_took_away_by_hand_stays_taken(metered: Ledger, roles: Roles, meter_dsn: str) -> None:
    role = roles.new("read")
    roles.sql("REVOKE EXECUTE ON FUNCTION meter.usage FROM {}", role)
    roles.sql("GRANT EXECUTE ON FUNCTION meter.events TO PUBLIC")
    assert status(meter_dsn).open_functions == ("events",)
    assert migrate(meter_dsn).rights_repaired
    (row,) = metered.call("access")
    assert (row.complete, "usage" in row.rights, "events" in row.rights) == (False, False, True)
    assert not migrate(meter_dsn).changed


def test_a_role_that_may_create_in_the_schema_is_a_problem(metered: Ledger, roles: Roles) -> None:
    role = roles.new()
    roles.sql("GRANT CREATE ON SCHEMA meter TO {}", role)
    assert metered.call("health")[0].problems == [f"other roles may create objects in the schema: {role}"]


def test_a_grant_that_has_no_effect_is_refused(metered: Ledger, roles: Roles) -> None:
    """GRANT only warns where the owner of the functions does not own the schema."""
    owner, role = roles.new(), roles.new()
    roles.sql("ALTER SCHEMA meter OWNER TO {}", owner)
    roles.sql("CREATE ROLE {} LOGIN", made := f"{owner} installer")
    roles._names.append(made)
    for (signature,) in metered.rows(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'meter'::regnamespace"
    ):
        roles.admin.execute(f'ALTER FUNCTION {signature} OWNER TO "{made}"'.encode())
    roles.sql("GRANT ALL ON ALL TABLES IN SCHEMA meter TO {}", made)
    roles.sql("GRANT USAGE ON SCHEMA meter TO {}", made)
    roles.sql("ALTER TABLE meter.yoyo_lock OWNER TO {}", made)
    with refused("42501", "role"):
        roles.login(made).call("grant_access", role=role, level="read")
    assert role not in {row.role for row in metered.call("access")}
