"""grant, revoke, access, and the health that status shows."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.access.conftest import Roles, roles
from tests.cli.conftest import Run

__all__ = ["roles"]


def test_grant_access_and_revoke(pymeter: Run, roles: Roles) -> None:
    app, portal = roles.new(), roles.new()
    assert "no role but the owner" in pymeter("access").out
    granted = pymeter("grant", app, "read", "write")
    assert (granted.status, granted.out) == (0, f"✓ {app} may read and write\n")
    assert pymeter("grant", portal, "read", "--subject", "acct_1").out == f"✓ {portal} may read acct_1\n"
    rows = {(r["role"], r["level"], r["subject"], r["complete"]) for r in pymeter("access", "--json").json}
    assert rows == {(app, "read", None, True), (app, "write", None, True), (portal, "read", "acct_1", True)}
    shown = pymeter("access").out
    assert "record, record_batch" in shown
    assert "acct_1" in shown
    assert pymeter("access", "--csv").out.startswith("role,level,subject,complete,rights,members,escaped\n")
    assert pymeter("revoke", portal, "read", "-s", "acct_1").out == f"✓ {portal}: read acct_1 revoked\n"
    assert pymeter("revoke", app, "write").out == f"✓ {app}: write revoked\n"
    assert pymeter("revoke", app).out == f"✓ {app}: every right revoked\n"
    assert pymeter("access", "--json").json == []


def test_of_several_levels_all_or_none_are_granted(pymeter: Run, roles: Roles) -> None:
    role = roles.new()
    ran = pymeter("grant", role, "read", "wrote")
    assert ran.status == 2
    assert "unknown level" in ran.err
    assert pymeter("access", "--json").json == []


def test_a_role_without_the_level_is_told_which_one_it_lacks(
    pymeter: Run, meter_dsn: str, roles: Roles, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in (roles.new(), roles.new("read")):
        options: dict[str, Any] = {"user": role, "password": "not a secret"}
        monkeypatch.setenv("PYMETER_DSN", psycopg.conninfo.make_conninfo(meter_dsn, **options))
        ran = pymeter("record", "acct_1", "tokens", "1")
        assert (ran.status, "[42501]" in ran.err) == (2, True)
        assert "record() needs the level write" in ran.err
        assert "pymeter grant ROLE write" in ran.err


def test_status_shows_health(pymeter: Run, meter_dsn: str) -> None:
    ran = pymeter("status")
    assert ran.status == 0
    assert "✓ healthy" in ran.out
    assert "0 missing of this month and the next three" in ran.out
    state = pymeter("status", "--json").json["health"]
    assert (state["healthy"], state["problems"], state["missing_partitions"]) == (True, [], 0)


def test_status_says_no_when_the_meter_is_not_healthy(pymeter: Run, meter_dsn: str) -> None:
    with psycopg.connect(meter_dsn, autocommit=True) as owner:
        owner.execute("UPDATE meter.maintenance SET done_at = now() - interval '3 days'")
    ran = pymeter("status")
    assert ran.status == 1
    assert "✗ maintain() has not run for two days" in ran.out
    assert "✓ up to date" in ran.out
    assert "healthy" not in ran.out
    assert pymeter("status", "--json").status == 1


@pytest.mark.parametrize("why", ["no right", "no function"])
def test_status_still_tells_the_version_where_health_cannot_be_asked(
    pymeter: Run, meter_dsn: str, roles: Roles, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "no function":
        roles.sql("DROP FUNCTION meter.health")
    else:
        role = roles.new()
        roles.sql("GRANT USAGE ON SCHEMA meter TO {}", role)
        roles.sql("GRANT SELECT ON meter.installation, meter._yoyo_migration TO {}", role)
        options: dict[str, Any] = {"user": role, "password": "not a secret"}
        monkeypatch.setenv("PYMETER_DSN", psycopg.conninfo.make_conninfo(meter_dsn, **options))
    ran = pymeter("status", "--json")
    assert (ran.status, ran.json["up_to_date"], ran.json["health"]) == (0, True, None)
