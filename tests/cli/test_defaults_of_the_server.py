"""Every command works whatever the database, the role or the server has as defaults, and on a hot standby."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from pymeter import Meter, migrate
from tests.cli.conftest import Run
from tests.faults.servers import new_server

# What an administrator may have set for other programs.
DEFAULTS = {
    "default_transaction_isolation": "serializable",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kathmandu",
    "client_encoding": "LATIN1",
    "search_path": "nowhere",
    "standard_conforming_strings": "off",
    "statement_timeout": "150ms",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
}


@contextmanager
def _defaults(dsn: str, settings: dict[str, str]) -> Iterator[None]:
    """Set for every new connection to the database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        for setting, value in settings.items():
            connection.execute(
                sql.SQL("ALTER DATABASE {} SET {} = {}").format(name, sql.Identifier(setting), value)
                if setting != "search_path"
                else sql.SQL("ALTER DATABASE {} SET search_path = {}").format(name, sql.Identifier(value))
            )
        yield
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(name))


@pytest.fixture(params=["default_transaction_isolation", "DateStyle", "all of them"])
def defaults(request: pytest.FixtureRequest, meter_dsn: str) -> Iterator[None]:
    """The commonest ones alone, then all of them."""
    wanted = DEFAULTS if request.param == "all of them" else {request.param: DEFAULTS[request.param]}
    with _defaults(meter_dsn, wanted):
        yield


def test_every_command_works(pymeter: Run, defaults: None, tmp_path: Path) -> None:
    lines = [
        {"subject": "acct_2", "metric": "tokens", "quantity": n, "idempotency_key": f"k{n}"} for n in (1, 2)
    ]
    (tmp_path / "usage.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    for args in (
        ("migrate",),
        ("define", "tokens", "sum", "tökén", "--max-future", "2h"),
        ("define", "seats", "last", "seat", "--rollup", "day"),
        (
            "record",
            "acct_1",
            "tokens",
            "5",
            "--key",
            "k",
            "--at",
            "2026-06-07T08:09:10Z",
            "--metadata",
            '{"a": 1}',
        ),
        ("define", "seats", "last", "seat", "--rollup", "none"),
        ("import", str(tmp_path / "usage.jsonl")),
        ("status",),
        ("catalog",),
        ("usage", "acct_1", "tokens", "--period", "30 days"),
        ("summary", "acct_1"),
        ("series", "acct_1", "tokens", "--since", "2026-06-01", "--until", "2026-07-01"),
        ("check", "acct_1", "tokens", "100"),
        ("subjects",),
        ("events", "acct_1"),
        ("export", "acct_1"),
        ("verify",),
        ("rebuild",),
        ("maintain",),
        ("access",),
        ("grant", "pg_monitor", "read", "write"),
        ("revoke", "pg_monitor"),
        ("report", "metric", "tokens", "tokens"),
        ("report", "subject", "acct_1", "cus_1"),
        ("report", "rules", "--subject-is-customer", "--grace", "2h"),
        ("report", "mappings"),
        ("report", "status"),
        ("report", "--dry-run"),
        ("report", "pushes"),
        ("report", "retry"),
        ("retire", "seats"),
    ):
        ran = pymeter(*args)
        # The oldest rich leaves a blank line behind a progress bar.
        assert (ran.status, ran.err.strip()) == (0, ""), args
    of_the_day = ("--since", "2026-06-07", "--until", "2026-06-08", "--json")
    assert pymeter("usage", "acct_1", "tokens", *of_the_day).json["quantity"] == "5"


def test_the_demo_works(pymeter: Run, meter_dsn: str) -> None:
    with _defaults(meter_dsn, DEFAULTS):
        ran = pymeter("demo", "--schema", "playground")
        assert ran.status == 0, ran.err


def test_a_new_database_can_be_installed(pymeter: Run, meter_dsn: str) -> None:
    with _defaults(meter_dsn, DEFAULTS):
        assert pymeter("migrate", "--schema", "second").status == 0
        assert "0 pending" in pymeter("status", "--schema", "second").out


def test_a_timeout_that_the_caller_asks_for_is_kept(
    pymeter: Run, meter_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=1ms")
    assert "57014" in pymeter("verify").err


# --- what may only be read ----------------------------------------------------------------------------------


def _role(dsn: str, name: str, level: str | None) -> str:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        if level is not None:
            Meter(connection).grant_access(name, level)  # type: ignore[arg-type]
    return psycopg.conninfo.make_conninfo(dsn, user=name)


def test_status_for_a_reader_shows_what_it_can_see(pymeter: Run, meter_dsn: str) -> None:
    reader = _role(meter_dsn, "status_reader", "read")
    ran = pymeter("status", "--dsn", reader)
    assert (ran.status, ran.err.strip()) == (0, "")
    assert "not visible to this role" in ran.out
    assert "healthy" in ran.out
    found = pymeter("status", "--dsn", reader, "--json").json
    assert (found["up_to_date"], found["health"]["healthy"]) == (None, True)


def test_status_for_a_role_without_any_right_says_so(pymeter: Run, meter_dsn: str) -> None:
    ran = pymeter("status", "--dsn", _role(meter_dsn, "status_nobody", None))
    assert (ran.status, ran.err.strip()) == (0, "")
    assert ran.out.count("not visible to this role") == 2


def test_a_hot_standby_answers_every_question(pymeter: Run) -> None:
    with new_server() as server:
        migrate(server.dsn)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("ALTER DATABASE postgres SET default_transaction_isolation = serializable")
            Meter(connection).define_metric("tokens", "sum", "token")
            Meter(connection).record("acct_1", "tokens", 5)
        server.stop()
        (server.data_dir / "standby.signal").touch()
        server.account.own(server.data_dir / "standby.signal")
        server.ensure_running()
        for args in (
            ("status",),
            ("catalog",),
            ("usage", "acct_1", "tokens"),
            ("summary", "acct_1"),
            ("check", "acct_1", "tokens", "100"),
            ("subjects",),
            ("events", "acct_1"),
            ("export", "acct_1"),
            ("verify",),
            ("access",),
            ("report", "status"),
            ("report", "mappings"),
            ("report", "pushes"),
            ("migrate",),
        ):
            ran = pymeter(*args, "--dsn", server.dsn)
            assert (ran.status, ran.err.strip()) == (0, ""), args
        ran = pymeter("record", "acct_1", "tokens", "5", "--dsn", server.dsn)
        assert (ran.status, "[25006]" in ran.err, "primary" in ran.err) == (2, True, True)
