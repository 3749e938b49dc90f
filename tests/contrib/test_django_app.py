"""The Django app installs pymeter with ``migrate``, and into the database of a test run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

_SECONDS_MAX = 120
_SITE = """\
import sys
from django.conf import settings

database = {{"ENGINE": "django.db.backends.postgresql", {database}, "OPTIONS": {options}}}
settings.configure(
    INSTALLED_APPS=["pymeter.contrib.django"],
    DATABASES={{"default": database, "other": database | {{"TEST": {{"MIRROR": "default"}}}}}},
    PYMETER_SCHEMAS={schemas},
)

import django
from django.core.management import execute_from_command_line
from django.db import transaction
from django.test import TestCase
from pymeter.contrib.django import meter


class UsageTest(TestCase):
    def test_usage_is_counted(self):
        meter(schema="billing").define_metric("tokens", "sum", "token")
        self.assertEqual(meter(schema="billing").record("acct_1", "tokens", 5).quantity, 5)


execute_from_command_line(sys.argv)
"""


@pytest.fixture
def empty_dsn(databases: Any) -> Any:
    dsn = databases.create("pymeter_django_app", "template0")
    yield dsn
    databases.drop("pymeter_django_app")


def _manage(
    folder: Path, dsn: str, *arguments: str, schemas: dict[str, str], options: dict[str, Any] | None = None
) -> str:
    given = conninfo_to_dict(dsn)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    database = ", ".join(f"{key!r}: {given.get(name, '')!r}" for key, name in names.items())
    site = folder / "manage.py"
    site.write_text(_SITE.format(database=database, options=options or {}, schemas=schemas))
    done = subprocess.run(
        [sys.executable, site.name, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _owners(dsn: str) -> dict[str, str]:
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT relnamespace::regnamespace::text, relowner::regrole::text FROM pg_class"
            " WHERE relname = 'events' AND relnamespace::regnamespace::text IN ('meter', 'billing')"
        )
        return dict(found.fetchall())


def test_migrate_installs_and_a_second_run_changes_nothing(tmp_path: Path, empty_dsn: str) -> None:
    for _ in range(2):
        _manage(tmp_path, empty_dsn, "migrate", schemas={"default": "billing"})
        with psycopg.connect(empty_dsn) as connection:
            found = connection.execute("SELECT max(oid::bigint) FROM pg_proc").fetchone()
        assert list(_owners(empty_dsn)) == ["billing"]
    _manage(tmp_path, empty_dsn, "migrate", schemas={"default": "billing"})
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT max(oid::bigint) FROM pg_proc").fetchone() == found


def test_migrate_of_a_database_that_is_not_listed_leaves_it_alone(tmp_path: Path, empty_dsn: str) -> None:
    _manage(tmp_path, empty_dsn, "migrate", "--database", "other", schemas={"default": "meter"})
    assert _owners(empty_dsn) == {}


def test_what_is_installed_belongs_to_the_role_that_django_assumes(tmp_path: Path, empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute('CREATE ROLE "django owner"')
        try:
            connection.execute('GRANT CREATE ON DATABASE pymeter_django_app TO "django owner"')
            connection.execute('GRANT CREATE ON SCHEMA public TO "django owner"')
            options = {"assume_role": "django owner", "application_name": "site"}
            _manage(tmp_path, empty_dsn, "migrate", schemas={"default": "meter"}, options=options)
            assert _owners(empty_dsn) == {"meter": '"django owner"'}
        finally:
            connection.execute('DROP OWNED BY "django owner" CASCADE')
            connection.execute('DROP ROLE "django owner"')


def test_the_database_of_a_test_run_has_the_meter(tmp_path: Path, empty_dsn: str) -> None:
    printed = _manage(tmp_path, empty_dsn, "test", "__main__", schemas={"default": "billing"})
    assert "Ran 1 test" in printed
    assert _owners(empty_dsn) == {}
