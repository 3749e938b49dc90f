"""CREATE on a database is all that an installation needs, as on managed servers; and all that it then has."""

from __future__ import annotations

import subprocess

import psycopg
import pytest

from pymeter.bundle import bundle
from pymeter.embedded import program
from pymeter.install.engine import install
from pymeter.install.sources import load_sources
from tests.access.conftest import PASSWORD, Roles
from tests.helpers import Ledger, refused


@pytest.fixture
def installer(roles: Roles) -> str:
    """A role that may create in this database, and nothing more."""
    roles.sql("DROP SCHEMA meter CASCADE")
    name = roles.new(options="LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS")
    (database,) = roles.admin.execute("SELECT quote_ident(current_database())").fetchone() or ("",)
    roles.sql(f"GRANT CREATE ON DATABASE {database} TO {{}}", name)
    return name


@pytest.fixture
def installer_dsn(installer: str, meter_dsn: str) -> str:
    return psycopg.conninfo.make_conninfo(meter_dsn, user=installer, password=PASSWORD)


@pytest.mark.parametrize("way", ["migrate", "psql"])
def test_a_role_with_create_on_the_database_installs_and_upgrades(
    installer: str, installer_dsn: str, roles: Roles, way: str
) -> None:
    if way == "migrate":
        assert install(load_sources(), installer_dsn, "meter").changed
    else:
        done = subprocess.run(
            [program("psql"), installer_dsn, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"],
            input=bundle(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert not install(load_sources(), installer_dsn, "meter").changed

    owner = roles.login(installer)
    owner.define("tokens", "sum", "token")
    writer, reader = roles.new(), roles.new()
    owner.call("grant_access", role=writer, level="write")
    owner.call("grant_access", role=reader, level="read", subject="acct_1")
    for month in ("2026-06", "2024-01"):
        recorded = roles.login(writer).record("acct_1", "tokens", 5, at=f"{month}-18 14:30Z")
        assert recorded.outcome == "recorded"
    own = roles.login(reader).call("own_usage", subject="acct_1", metric="tokens", period="never")
    assert own[0].quantity == 10
    assert ("moved strays", "2 events") in owner.maintain()
    assert owner.rebuild() == 0
    assert owner.verify() == []
    assert owner.call("health")[0].healthy
    with refused("42501"):
        owner.execute("DELETE FROM meter.events")


def test_nothing_of_it_is_owned_by_anybody_else(installer: str, installer_dsn: str, roles: Roles) -> None:
    install(load_sources(), installer_dsn, "meter")
    owners = Ledger(roles.admin).rows(
        """
        SELECT DISTINCT pg_get_userbyid(owner) AS name FROM (
            SELECT proowner FROM pg_proc WHERE pronamespace = 'meter'::regnamespace
            UNION ALL SELECT relowner FROM pg_class WHERE relnamespace = 'meter'::regnamespace
            UNION ALL SELECT typowner FROM pg_type WHERE typnamespace = 'meter'::regnamespace
            UNION ALL SELECT nspowner FROM pg_namespace WHERE nspname = 'meter') AS o (owner)
        """
    )
    assert [row.name for row in owners] == [installer]


def test_a_schema_that_a_dba_has_made_is_enough(installer: str, meter_dsn: str, roles: Roles) -> None:
    """Not even CREATE on the database, then."""
    role = roles.new()
    roles.sql("CREATE SCHEMA billing AUTHORIZATION {}", role)
    dsn = psycopg.conninfo.make_conninfo(meter_dsn, user=role, password=PASSWORD)
    assert install(load_sources(), dsn, "billing").changed
    roles.login(role).execute("SELECT billing.define_metric('m', 'sum', 'unit'), billing.record('a', 'm', 1)")
