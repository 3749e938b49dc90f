"""Fixtures for every folder. ``meter``, ``meter_dsn`` and the like come from pymeter's own pytest plugin.

``python -m pytest`` starts a private PostgreSQL; PYMETER_TEST_DSN names another server to use instead.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from pymeter.migrate import migrate
from tests.databases import Databases

_WAIT_SECONDS_MAX = 20
_TESTS = Path(__file__).parent
# A test opens a connection or two and calls every function for the first time: a fifth of that is the kernel,
# which adds memory to the session page by page. In large pages it takes an eighth less.
_LARGE_PAGES = "glibc.malloc.hugetlb=1"

# The files that take the most time, so that none is left at the end; a file's tests stay on one worker.
# By turns one that waits much, for servers and processes, and one that computes.
_LONGEST = (
    "report/test_reporter.py",
    "pricing/test_statements_tampered.py",
    "cli/test_demo_and_server.py",
    "scale/plproxy/test_front_answers.py",
    "budgets/test_digest.py",
    "install/test_embedded.py",
    "budgets/test_model.py",
    "faults/test_crashes.py",
    "budgets/test_races.py",
    "faults/test_upgrade.py",
    "close/test_watermark_load.py",
    "docs/test_readme.py",
    "close/test_watermarks.py",
    "fuzz/test_every_function.py",
    "close/test_tampering.py",
    "report/test_crashes.py",
    "close/test_refusing.py",
    "notify/test_sender.py",
    "close/test_late_usage_of_all.py",
    "notify/test_crashes.py",
    "correct/test_races.py",
    "limits/test_reserving_races.py",
    "correct/test_reads.py",
    "operate/test_old_keys.py",
    "correct/test_retries.py",
    "operate/test_recording_goes_on.py",
    "correct/test_limits.py",
    "close/test_watermarks_survive.py",
    "correct/test_any_order.py",
    "close/test_sealed_under_load.py",
    "cli/test_export_and_import_are_a_round_trip.py",
    "close/test_waiting_for_closers.py",
    "report/test_command.py",
    "report/test_invoice_item_crashes.py",
    "report/test_openmeter.py",
    "report/test_durability.py",
    "report/test_mapping.py",
    "install/test_pytest_plugin.py",
    "report/test_restoring.py",
    "install/test_whose_schema.py",
    "repair/test_rebuild.py",
    "install/test_bundle.py",
    "repair/test_rebuild_and_other_changes.py",
    "faults/test_dump_and_restore.py",
    "record/test_races.py",
    "faults/test_full_disk.py",
    "limits/test_races.py",
    "faults/test_logical_replication.py",
    "limits/test_limits.py",
    "faults/test_storms.py",
    "limits/test_reserving.py",
    "web/test_command.py",
    "limits/test_projected_marks.py",
    "limits/test_projected_marks_model.py",
    "limits/test_top_ups_model.py",
    "notify/test_what_is_told.py",
    "notify/test_where_to.py",
    "notify/test_deliveries.py",
    "operate/test_dropped_totals.py",
    "operate/test_retention.py",
    "performance/test_plans.py",
    "pricing/test_correction_amounts.py",
    "properties/test_any_order.py",
    "usage/test_open_buckets.py",
    "usage/test_unique_members.py",
    "client/test_tools_see_the_api.py",
    "contrib/test_django_app.py",
    "access/test_json_calls.py",
    "fuzz/test_clients.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """The programs that tests start, hundreds of them, find their modules compiled, whatever is set.

    Where nothing may be compiled beside the sources, it is done in pytest's own directory.
    """
    os.environ.setdefault("GLIBC_TUNABLES", _LARGE_PAGES)
    if sys.dont_write_bytecode and getattr(config, "cache", None) is not None:
        with suppress(OSError):
            os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(config.cache.mkdir("bytecode"))
            os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
            sys.dont_write_bytecode = False


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Ten thousand tests are no garbage: they are not looked at while they are made, and not afterwards."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Four, each with a server of its own, for the whole suite; none for a part of it, which starts sooner.

    They keep two cores busy, because many tests wait: for a lock, a timeout, a server that starts.
    None on a server that is given, either: there is a test that looks at what the whole server has written.
    """
    given = [(config.invocation_params.dir / argument).resolve() for argument in config.args]
    whole = any(Path(__file__).is_relative_to(path) for path in given)
    return 4 if whole and "PYMETER_TEST_DSN" not in os.environ else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, then those with slow tests: at the end no worker waits long for another."""
    order = {file: number for number, file in enumerate(_LONGEST)}
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(
        key=lambda item: (
            order.get(item.path.relative_to(_TESTS).as_posix(), len(order)),
            item.path not in slow,
        )
    )


class Connect(Protocol):
    """``connect("reader")``: a new connection whose application_name is ``reader``."""

    def __call__(
        self, name: str = "test", *, dsn: str | None = None, autocommit: bool = True, **options: Any
    ) -> psycopg.Connection[Any]: ...


@pytest.fixture(scope="session")
def pymeter_migrate() -> Callable[[str], object]:
    """Migrates the template and makes its copies cheap: thousands are made, and each is used a few times.

    Migrating leaves the catalogs with twice the rows they need and none of them marked as committed, which
    every copy would find out again, and without the file that spares the first connection the same work.
    """

    def run(dsn: str) -> None:
        migrate(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            tables = connection.execute(
                "SELECT oid::regclass::text FROM pg_class"
                " WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND NOT relisshared"
            ).fetchall()
            for (table,) in tables:
                connection.execute(f"VACUUM (FULL) {table}".encode())
        psycopg.connect(dsn).close()

    return run


@pytest.fixture(scope="session")
def databases(pymeter_server: str) -> Iterator[Databases]:
    made = Databases(pymeter_server)
    yield made
    made.close()


@pytest.fixture(scope="module")
def meter_template(pymeter_template: str) -> str:
    """What ``meter_dsn`` copies. A file all of whose tests begin alike may fill one: ``Databases.filled``."""
    return pymeter_template


@pytest.fixture
def meter_dsn(databases: Databases, meter_template: str) -> Iterator[str]:
    """As the plugin's, which makes a new database for every test; that one is tested in ``install``."""
    with databases.lent(meter_template) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def module_dsn(databases: Databases, pymeter_template: str) -> Iterator[str]:
    """As ``meter_dsn``, but one database for all tests of a file: for tests that change nothing in it."""
    with databases.lent(pymeter_template) as dsn:
        yield dsn


@pytest.fixture
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Open connections to the test's database (or to ``dsn``); all of them are closed at the end."""
    opened: list[psycopg.Connection[Any]] = []

    def new(
        name: str = "test", *, dsn: str | None = None, autocommit: bool = True, **options: Any
    ) -> psycopg.Connection[Any]:
        target = dsn or request.getfixturevalue("meter_dsn")
        connection = psycopg.connect(target, autocommit=autocommit, application_name=name, **options)
        opened.append(connection)
        return connection

    yield new
    for connection in opened:
        connection.close()


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that root's private server, which is another account's, can enter too, unlike tmp_path."""
    path = Path(tempfile.mkdtemp(prefix="pymeter-home-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def wait_until_blocked() -> Callable[[psycopg.Connection[Any], str], None]:
    """``wait_until_blocked(observer, "writer")`` returns when the connection of that name waits for a lock.

    ``observer`` is a third, idle connection in autocommit. This is how a race is made instead of hoped for.
    """

    def wait(observer: psycopg.Connection[Any], name: str) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS_MAX
        while time.monotonic() < deadline:
            row = observer.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE application_name = %s AND wait_event_type = 'Lock' AND datname = current_database()",
                [name],
            ).fetchone()
            if row and row[0]:
                return
            time.sleep(0.005)
        pytest.fail(f"the connection {name!r} never waited for a lock")

    return wait
