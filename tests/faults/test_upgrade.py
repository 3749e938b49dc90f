"""From every released schema, long in use, to this one: equal to a fresh installation, old clients served.

``releases/`` holds the wheel of each release, named after its last migration:

    pip wheel --no-deps --wheel-dir /tmp/wheel . && mv /tmp/wheel/*.whl tests/faults/releases/0008-access.whl
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pymeter.migrate import migrate, status
from tests.faults.lived_in import go_on, grants, live, picture
from tests.faults.load import Journal, Writer, assert_exactly_once, compare, define
from tests.faults.servers import installed_servers, new_database, new_server, programs_of
from tests.faults.test_dump_and_restore import dump
from tests.helpers import Ledger, at_length

pytestmark = [pytest.mark.slow, pytest.mark.at_length]

HERE = Path(__file__).parent
RELEASES = sorted((HERE / "releases").glob("*.whl"))
# In the suite the oldest and the newest.
TRIED = at_length(RELEASES[:: len(RELEASES) - 1], RELEASES)
# A call that waits while the upgrade commits goes on with the old body of a function on the new tables and
# types. It may fail then, once, and has counted nothing.
CHANGED_UNDER_IT = ("42846", "42804", "42883", "42703", "42P01", "23514", "0A000")
_MIGRATE = "import sys, pymeter; print(pymeter.__file__); pymeter.migrate(sys.argv[1])"


@dataclass(frozen=True)
class Release:
    """A released package, unpacked; it runs in processes of its own."""

    name: str
    path: Path

    def python(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=os.environ | {"PYTHONPATH": str(self.path)},
            cwd=self.path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert str(self.path) in done.stdout, "another pymeter was imported"
        return done.stdout

    def migrate(self, dsn: str) -> None:
        self.python("-c", _MIGRATE, dsn)

    def answers(self, dsn: str) -> Any:
        return json.loads(self.python(str(HERE / "old_client.py"), dsn))["answers"]


@pytest.fixture(scope="module", params=TRIED, ids=lambda wheel: wheel.stem)
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Release:
    path = tmp_path_factory.mktemp("release")
    with zipfile.ZipFile(request.param) as wheel:
        wheel.extractall(path)
    return Release(request.param.stem, path)


@pytest.fixture(
    scope="module", params=installed_servers().values(), ids=lambda programs: programs.parent.name
)
def installed_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """One of Debian's, which may be of a newer minor release than the one that the tests bring."""
    with new_server(request.param) as server:
        yield server.dsn


def test_an_installed_server_of_a_newer_minor_release_upgrades_too(
    release: Release, installed_server: str
) -> None:
    """15.20 and the others of its day add no column to a table whose row type is that of a default."""
    with new_database(installed_server) as dsn:
        release.migrate(dsn)
        assert migrate(dsn).functions_replaced
        with psycopg.connect(dsn, autocommit=True) as connection:
            ledger = Ledger(connection)
            ledger.define("tokens", "sum")
            assert ledger.record("acct_1", "tokens", 5).outcome == "recorded"


@pytest.fixture
def role(pymeter_server: str) -> Iterator[str]:
    name = f"pymeter_old_app_{os.getpid()}"
    with psycopg.connect(pymeter_server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        yield name
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def old_template(release: Release, pymeter_server: str) -> Iterator[str]:
    """The name of a database with the release's own schema, whose functions an upgrade will replace."""
    name = f"pymeter_release_{os.getpid()}"
    with new_database(pymeter_server, name) as dsn:
        release.migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("UPDATE meter.installation SET sql_sha256 = 'of older functions'")
        yield name


@pytest.fixture
def old_dsn(old_template: str, pymeter_server: str) -> Iterator[str]:
    """A copy of the test's own."""
    with new_database(pymeter_server, template=old_template) as dsn:
        yield dsn


def schema(dsn: str, programs: Path) -> str:
    """Tables, functions, comments, grants; the months' partitions are data."""
    return dump(programs, dsn, "--schema-only", "--exclude-table=meter.events_[12]*")


def test_an_upgraded_meter_has_its_data_and_records_on(release: Release, role: str, old_dsn: str) -> None:
    with psycopg.connect(old_dsn, autocommit=True) as connection:
        ledger = Ledger(connection)
        live(ledger, role)
        before = picture(ledger)
        totals = _totals(ledger)
        allowed = {row for row in grants(ledger) if row.grantee == role}

        assert migrate(old_dsn).functions_replaced

        assert status(old_dsn).up_to_date
        assert not migrate(old_dsn).changed
        after = picture(ledger)
        for kept in ("events", "sequence", "partitions"):
            assert after[kept] == before[kept]
        assert _totals(ledger) == totals
        functions = {row.object.split("(")[0] for row in grants(ledger) if row.grantee == role}
        # A function that has gained parameters is a new one, which a GRANT by hand does not include.
        lost = {
            "0008-access": {"meter.record", "meter.usage"},
            "0015-prices": set[str](),
            "0019-projections": set[str](),
            "0025-operations": set[str](),
        }.get(release.name, {"meter.usage"})
        assert functions == {row.object.split("(")[0] for row in allowed} - lost
        ledger.execute(
            sql.SQL("GRANT EXECUTE ON FUNCTION meter.record, meter.usage TO {}").format(sql.Identifier(role))
        )
        go_on(ledger, role)


def test_an_upgraded_schema_is_that_of_a_fresh_installation(
    old_dsn: str, pymeter_server: str, meter_dsn: str
) -> None:
    """Comments and grants included; after years of use, of which maintain() makes tables and triggers."""
    programs = programs_of(pymeter_server)
    if programs is None:
        pytest.skip("no pg_dump of the server's version is at hand")
    with psycopg.connect(old_dsn, autocommit=True) as connection:
        live(Ledger(connection))
        migrate(old_dsn)
        assert schema(old_dsn, programs) == schema(meter_dsn, programs)
        Ledger(connection).maintain()
    assert schema(old_dsn, programs) == schema(meter_dsn, programs)


def test_partitions_of_an_upgraded_log_are_those_of_a_fresh_one(old_dsn: str, meter_dsn: str) -> None:
    """Made before or after the upgrade: the same columns, constraints, triggers and rights."""
    with psycopg.connect(old_dsn, autocommit=True) as connection:
        Ledger(connection).maintain()
        migrate(old_dsn)
        old = _partitions(Ledger(connection))
    with psycopg.connect(meter_dsn, autocommit=True) as connection:
        Ledger(connection).maintain()
        assert old == _partitions(Ledger(connection))


def test_an_old_client_gets_the_same_answers_from_the_new_schema(
    release: Release, old_dsn: str, meter_dsn: str
) -> None:
    expected = release.answers(old_dsn)
    answers = release.answers(meter_dsn)
    assert [name for name, _ in answers] == [name for name, _ in expected]
    differing = [
        (mine, theirs)
        for mine, theirs in zip(answers, expected, strict=True)
        if _timeless(mine) != _timeless(theirs)
    ]
    assert differing == []


def test_recording_goes_on_during_an_upgrade(old_dsn: str) -> None:
    """Whoever records waits, or fails once; there is no deadlock, nothing is lost, nothing counted twice."""
    with psycopg.connect(old_dsn, autocommit=True) as connection:
        define(connection)
        journal, stopped = Journal(), threading.Event()
        writers = [
            Writer(
                f"upgrade-{n}",
                lambda: psycopg.connect(old_dsn, autocommit=True),
                journal,
                tolerated=CHANGED_UNDER_IT,
            )
            for n in range(4)
        ]
        threads = [threading.Thread(target=w.run, args=(stopped,), daemon=True) for w in writers]
        for thread in threads:
            thread.start()
        try:
            time.sleep(0.3)
            assert migrate(old_dsn).functions_replaced
            before = len(journal.acknowledged)
            time.sleep(0.3)
        finally:
            stopped.set()
            for thread in threads:
                thread.join(60)
        assert journal.unexpected == []
        assert len(journal.acknowledged) > before
        figures = compare(connection, journal)
    assert_exactly_once(figures)
    assert figures.acknowledged > 50


def _totals(ledger: Ledger) -> list[Any]:
    subjects = [row.subject for row in ledger.call("subjects")]
    return [
        tuple(row)
        for subject in sorted(subjects)
        for row in ledger.rows(
            "SELECT u.metric, u.quantity, u.unit, u.aggregate, u.event_count"
            " FROM meter.metrics m, meter.usage(%s, m.key, period => 'never') u ORDER BY u.metric",
            [subject],
        )
    ]


def _partitions(ledger: Ledger) -> list[Any]:
    return ledger.rows(
        r"""
        SELECT c.relname, obj_description(c.oid, 'pg_class'),
               (SELECT count(*) FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner) AS others,
               (SELECT array_agg((attname, format_type(atttypid, -1), attnotnull)::text ORDER BY attname)
                FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns,
               (SELECT array_agg((conname, pg_get_constraintdef(k.oid))::text ORDER BY conname)
                FROM pg_constraint k WHERE conrelid = c.oid) AS constraints,
               (SELECT array_agg((tgname, tgenabled, pg_get_triggerdef(t.oid))::text ORDER BY tgname)
                FROM pg_trigger t WHERE tgrelid = c.oid) AS triggers
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'meter.events'::regclass ORDER BY 1
        """
    )


def _timeless(answer: Any) -> Any:
    """Without the moments that are those of the run."""
    name, fields = answer
    if name in ("define_metric", "retire_metric", "catalog"):
        fields = [
            {k: v for k, v in row.items() if not k.endswith("_at")}
            for row in (fields if isinstance(fields, list) else [fields])
        ]
    return name, fields
