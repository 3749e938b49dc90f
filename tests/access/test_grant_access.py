"""grant_access, revoke_access and access(): what is granted, remembered, taken away and shown."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from pymeter.embedded import program
from pymeter.install.engine import install
from pymeter.install.sources import Sources, load_sources
from tests.access.conftest import Roles
from tests.helpers import Ledger, Task, refused


def levels(ledger: Ledger, role: str) -> list[tuple[Any, ...]]:
    return [(r.level, r.subject, r.complete) for r in ledger.call("access") if r.role == role]


def test_granting_again_changes_nothing(ledger: Ledger, roles: Roles) -> None:
    role = roles.new("read", "read")
    assert levels(ledger, role) == [("read", None, True)]


@pytest.mark.parametrize(
    ("arguments", "sqlstate", "parameter"),
    [
        ({"role": None, "level": "read"}, "22004", "role"),
        ({"role": "pymeter no such role", "level": "read"}, "22023", "role"),
        ({"role": "public", "level": "read"}, "22023", "role"),
        ({"role": "none", "level": "read"}, "22023", "role"),
        ({"role": "", "level": "read"}, "22023", "role"),
        ({"level": None}, "22004", "level"),
        ({"level": "owner"}, "22023", "level"),
        ({"level": "READ"}, "22023", "level"),
        ({"level": "write", "subject": "a"}, "22023", "subject"),
        ({"level": "admin", "subject": "a"}, "22023", "subject"),
        ({"level": "read", "subject": " "}, "22023", "subject"),
    ],
)
def test_bad_input_is_refused(
    ledger: Ledger, roles: Roles, arguments: dict[str, Any], sqlstate: str, parameter: str
) -> None:
    with refused(sqlstate, parameter):
        ledger.call("grant_access", **({"role": roles.new()} | arguments))
    assert ledger.call("access") == []


def test_the_owner_keeps_its_rights(ledger: Ledger) -> None:
    owner = ledger.value("SELECT current_user")
    for function in ("grant_access", "revoke_access"):
        with refused("22023", "role"):
            ledger.call(function, role=owner, level="read")


def test_a_name_is_no_sql(ledger: Ledger, roles: Roles) -> None:
    role = roles.new()
    roles.sql('ALTER ROLE {} RENAME TO "x; drop schema meter cascade --"', role)
    roles._names[-1] = "x; drop schema meter cascade --"
    ledger.call("grant_access", role="x; drop schema meter cascade --", level="read")
    assert levels(ledger, "x; drop schema meter cascade --") == [("read", None, True)]


def test_revoking_a_level_leaves_the_others(ledger: Ledger, roles: Roles) -> None:
    role = roles.new("read", "write")
    ledger.call("revoke_access", role=role, level="read")
    assert levels(ledger, role) == [("write", None, True)]
    session = roles.login(role)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.call("catalog")
    ledger.call("revoke_access", role=role, level="write")
    assert levels(ledger, role) == []
    assert not session.value("SELECT has_schema_privilege('meter', 'usage')")


def test_revoking_everything_takes_also_what_was_granted_by_hand(ledger: Ledger, roles: Roles) -> None:
    role = roles.new("read", "admin")
    roles.sql("GRANT ALL ON ALL TABLES IN SCHEMA meter TO {} WITH GRANT OPTION", role)
    roles.sql("GRANT SELECT (quantity) ON meter.events TO {}", role)
    roles.sql("GRANT ALL ON ALL FUNCTIONS IN SCHEMA meter TO {}", role)
    roles.sql("GRANT ALL ON ALL SEQUENCES IN SCHEMA meter TO {}", role)
    roles.sql("GRANT ALL ON SCHEMA meter TO {}", role)
    assert None in {level for level, _, _ in levels(ledger, role)}
    ledger.call("revoke_access", role=role)
    assert ledger.call("access") == []
    roles.sql("DROP ROLE {}", role)  # it would fail while a privilege is left
    roles._names.remove(role)


def test_revoking_what_was_never_granted_does_nothing(ledger: Ledger, roles: Roles) -> None:
    role = roles.new()
    ledger.call("revoke_access", role=role)
    ledger.call("revoke_access", role=role, level="admin")
    with refused("22023", "level"):
        ledger.call("revoke_access", role=role, level="all")
    with refused("22023", "subject"):
        ledger.call("revoke_access", role=role, subject="a")


def test_access_shows_what_was_granted_by_hand_and_to_whom_it_reaches(ledger: Ledger, roles: Roles) -> None:
    group, stranger = roles.new("read"), roles.new()
    member = roles.new()
    roles.sql("GRANT {} TO {}", group, member)
    roles.sql("GRANT SELECT ON meter.rollups TO {}", stranger)
    roles.sql("GRANT SELECT (member) ON meter.events TO {}", stranger)
    roles.sql("GRANT SELECT ON meter.buckets TO {}", stranger)
    roles.sql("GRANT EXECUTE ON FUNCTION meter.verify TO PUBLIC")
    roles.sql("GRANT CREATE ON SCHEMA meter TO {}", group)
    roles.sql("REVOKE EXECUTE ON FUNCTION meter.usage FROM {}", group)
    by_hand = {r.role: r.rights for r in ledger.call("access") if r.level is None}
    assert by_hand == {
        group: ["CREATE on schema meter"],
        stranger: ["SELECT on table buckets", "SELECT on table events.member", "SELECT on table rollups"],
        "public": ["EXECUTE on function verify"],
    }
    (granted,) = (r for r in ledger.call("access") if r.level == "read")
    assert (granted.role, granted.complete, granted.members) == (group, False, [member])
    assert "usage" not in granted.rights
    assert "catalog" in granted.rights


def test_two_grants_at_once_wait_for_each_other(
    ledger: Ledger,
    new_ledger: Callable[..., Ledger],
    wait_until_blocked: Callable[..., None],
    roles: Roles,
) -> None:
    one, two = roles.new(), roles.new()
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    first.call("grant_access", role=one, level="read")
    granting = Task(lambda: second.call("grant_access", role=two, level="read"))
    wait_until_blocked(ledger.connection, "second")
    first.connection.commit()
    granting.result()
    assert levels(ledger, one) == levels(ledger, two) == [("read", None, True)]


# ----------------------------------------------------------------------------------------- and upgrades


def without(*names: str) -> Sources:
    """An older release, which did not have these functions yet."""
    sources = load_sources()
    kept = tuple(file for file in sources.functions if file.stem not in names)
    assert len(kept) == len(sources.functions) - len(names)
    return replace(sources, functions=kept, sha256="older " + " ".join(names))


@pytest.fixture
def older(meter_dsn: str, roles: Roles) -> None:
    """The installation as it was before series(), health(), record_batch() and own_series()."""
    roles.sql("DROP SCHEMA meter CASCADE")
    install(without("series", "health", "record_batch", "own_series"), meter_dsn, "meter")


def test_an_upgrade_extends_what_was_granted_to_new_functions(
    older: None, meter_dsn: str, ledger: Ledger, roles: Roles
) -> None:
    reader, writer, bound, by_hand = roles.new("read"), roles.new("write"), roles.new(), roles.new()
    ledger.call("grant_access", role=bound, level="read", subject="acct_1")
    roles.sql("GRANT EXECUTE ON FUNCTION meter.record TO {}", by_hand)
    before = {r.role: r.rights for r in ledger.call("access")}
    install(load_sources(), meter_dsn, "meter")
    rights = {r.role: r.rights for r in ledger.call("access")}
    assert set(rights[reader]) == {*before[reader], "series", "health"}
    assert set(rights[writer]) == {
        *("record", "record_batch", "known_events"),
        *("reserve", "reserve_batch", "settle", "release", "extend"),
    }
    assert set(rights[bound]) == {*before[bound], "own_series"}
    assert rights[by_hand] == before[by_hand] == ["EXECUTE on function record"]
    assert all(r.complete for r in ledger.call("access") if r.level)


def test_an_upgrade_gives_nothing_back_that_was_taken_away_by_hand(
    older: None, meter_dsn: str, ledger: Ledger, roles: Roles
) -> None:
    role = roles.new("read")
    roles.sql("REVOKE EXECUTE ON FUNCTION meter.usage FROM {}", role)
    before = ledger.call("access")
    install(load_sources(), meter_dsn, "meter")
    assert ledger.call("access") == before


def test_an_upgrade_forgets_roles_that_were_dropped(
    older: None, meter_dsn: str, ledger: Ledger, roles: Roles
) -> None:
    roles.forget(roles.new("read"))
    install(load_sources(), meter_dsn, "meter")
    assert ledger.value("SELECT count(*) FROM meter.access_grants") == 0


def test_a_role_that_is_dropped_and_created_again_has_nothing(ledger: Ledger, roles: Roles) -> None:
    role = roles.new(subjects=("acct_1",))
    roles.forget(role)
    roles.sql("CREATE ROLE {} LOGIN PASSWORD 'not a secret'", role)
    roles._names.append(role)
    ledger.call("grant_access", role=role, level="read", subject="acct_2")
    ledger.define("tokens", "sum")
    session = roles.login(role)
    assert session.call("own_usage", subject="acct_2", metric="tokens")
    with refused("42501", "subject"):
        session.call("own_usage", subject="acct_1", metric="tokens")


def test_rights_follow_a_role_that_is_renamed(ledger: Ledger, roles: Roles) -> None:
    role = roles.new("write")
    roles.sql("ALTER ROLE {} RENAME TO {}", role, f"{role} b")
    roles._names[-1] = f"{role} b"
    assert levels(ledger, f"{role} b") == [("write", None, True)]


def test_grants_and_bindings_are_in_a_dump(
    meter_dsn: str, pymeter_server: str, metered: Ledger, roles: Roles
) -> None:
    writer, bound = roles.new("write"), roles.new(subjects=("acct_1",))
    (name,) = metered.row("SELECT current_database() || '_restored'")
    copy = urlsplit(meter_dsn)._replace(path=f"/{name}").geturl()
    dumped = subprocess.run([program("pg_dump"), meter_dsn], capture_output=True, text=True, check=True)
    with psycopg.connect(pymeter_server, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}".encode())
        try:
            subprocess.run(
                [program("psql"), copy, "-X", "-q"],
                input=dumped.stdout,
                text=True,
                check=True,
                capture_output=True,
            )
            assert roles.login(writer, copy).record("acct_1", "tokens", 1).quantity == 6
            portal = roles.login(bound, copy)
            assert portal.call("own_usage", subject="acct_1", metric="tokens")[0].quantity == 6
            with refused("42501", "subject"):
                portal.call("own_usage", subject="acct_2", metric="tokens")
            with psycopg.connect(copy, autocommit=True) as owner:
                assert Ledger(owner).call("access") == metered.call("access")
                Ledger(owner).call("revoke_access", role=writer)
                Ledger(owner).call("revoke_access", role=bound)
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_default_privileges_open_nothing(meter_dsn: str, ledger: Ledger, roles: Roles) -> None:
    """Some hosts let certain roles use whatever is created; the meter and later partitions stay closed."""
    role = roles.new()
    for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
        roles.sql(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON {kind} TO {{}}", role)
    roles.sql("ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC")
    roles.sql("DROP SCHEMA meter CASCADE")
    install(without("series", "record_batch"), meter_dsn, "meter")
    assert ledger.call("access") == []
    install(load_sources(), meter_dsn, "meter")
    ledger.define("m", "sum")
    for month in ("2024-01-31", "2031-05-01"):
        ledger.execute("SELECT meter.define_metric('m', 'sum', 'unit', max_future => '20 years')")
        ledger.execute(f"SELECT meter.record('a', 'm', 1, at => '{month} 00:00Z')")
    assert ledger.maintain()
    assert ledger.call("access") == []


def test_hand_made_grants_survive_an_upgrade(
    older: None, meter_dsn: str, ledger: Ledger, roles: Roles
) -> None:
    role = roles.new()
    roles.sql("GRANT USAGE ON SCHEMA meter TO {}", role)
    roles.sql("GRANT SELECT ON meter.events TO {}", role)
    roles.sql("GRANT EXECUTE ON FUNCTION meter.usage TO {}", role)
    before = ledger.call("access")
    install(load_sources(), meter_dsn, "meter")
    assert ledger.call("access") == before != []


def test_what_was_granted_and_revoked_is_in_the_admin_log(ledger: Ledger, roles: Roles) -> None:
    role = roles.new("read", "read", "write")
    ledger.call("revoke_access", role=role, level="write")
    ledger.call("revoke_access", role=role, level="write")  # nothing is left to revoke
    entries = [(e.action, e.before, e.after) for e in ledger.call("admin_log", object=role)]
    assert entries == [
        ("revoke_access", [{"level": "write", "subject": None}], None),
        ("grant_access", None, {"level": "write", "subject": None}),
        ("grant_access", None, {"level": "read", "subject": None}),
    ]
