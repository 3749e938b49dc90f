"""Empty databases, small source trees, and dumps to compare."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from pymeter.embedded import program
from pymeter.install.sources import Sources, load_sources

_numbers = count(1)

INSTALLATION = """
CREATE TABLE installation (
    version text NOT NULL,
    sql_sha256 text NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT now()
);
"""

THINGS = """
CREATE TABLE things (name text NOT NULL, CONSTRAINT things_pkey PRIMARY KEY (name));
COMMENT ON TABLE things IS '100 % plain; even $$ and "quotes"';
"""

ADD_THING = """
CREATE OR REPLACE FUNCTION add_thing(name text) RETURNS text
LANGUAGE plpgsql SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO things (name) VALUES (add_thing.name);
    RETURN _greeting() || add_thing.name;
END
$$;
COMMENT ON FUNCTION add_thing(text) IS 'Adds a thing.';
"""

GREETING = """
CREATE OR REPLACE FUNCTION _greeting() RETURNS text
LANGUAGE sql IMMUTABLE
AS $$ SELECT 'hello '::text $$;
"""


class Tree:
    """A folder with a small ``sql/`` and ``migrations/``, to install from and to change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("migrations/0001-first.sql", f"-- The first.\n{INSTALLATION}")
        self.write("migrations/0002-things.sql", f"-- depends: 0001-first\n{THINGS}")
        self.write("sql/record/add_thing.sql", ADD_THING)
        # Needed by add_thing, but sorted behind it on purpose: bodies are checked at the end.
        self.write("sql/usage/_greeting.sql", GREETING)
        self.write("sql/grants.sql", "REVOKE ALL ON FUNCTION add_thing(text) FROM PUBLIC;\n")

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def load(self, version: str = "1.0.0") -> Sources:
        return replace(load_sources(self.root), version=version)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


@pytest.fixture
def new_database(pymeter_server: str) -> Iterator[Callable[[], str]]:
    """``new_database()``: the DSN of an empty database."""
    names: list[str] = []
    admin = psycopg.connect(pymeter_server, autocommit=True)

    def create() -> str:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        name = f"pymeter_install_{os.getpid()}_{worker}_{next(_numbers)}"
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        names.append(name)
        return with_database(pymeter_server, name)

    yield create
    for name in names:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    admin.close()


@pytest.fixture
def dsn(new_database: Callable[[], str]) -> str:
    """The DSN of one empty database."""
    return new_database()


def with_database(dsn: str, name: str) -> str:
    if "://" in dsn:
        return urlsplit(dsn)._replace(path=f"/{name}").geturl()
    return psycopg.conninfo.make_conninfo(dsn, dbname=name)


@pytest.fixture
def dump() -> Callable[..., str]:
    """``dump(dsn, schema)``: the schema as pg_dump writes it, grants and comments included, owners not."""

    def run(dsn: str, schema: str = "meter", *options: str) -> str:
        pattern = '"' + schema.replace('"', '""') + '"'
        done = subprocess.run(
            [program("pg_dump"), "--schema-only", "--no-owner", f"--schema={pattern}", *options, dsn],
            capture_output=True,
            text=True,
            check=True,
        )
        # pg_dump guards its output with a token that is new every time.
        return re.sub(r"^\\(un)?restrict .*\n", "", done.stdout, flags=re.MULTILINE)

    return run
