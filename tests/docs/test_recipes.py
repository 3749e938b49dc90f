"""The recipes of the pages that are not SQL, Python or shell: JavaScript for Node's ``pg``.

The Python recipes (FastAPI, Django, SQLAlchemy) are in pymeter/contrib/README.md, which test_readme.py runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from pymeter import Meter
from tests.docs.examples import ROOT
from tests.docs.markdown import blocks

_SECONDS_MAX = 120
_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
}


@pytest.fixture(scope="module")
def node_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Node finds ``pg``."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    command = [npm, "install", "--silent", "--no-audit", "--no-fund", "pg@8"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=_SECONDS_MAX)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"npm cannot install pg: {error}")
    return folder


def _run(project: Path, dsn: str, program: str) -> str:
    (project / "recipe.mjs").write_text(program, encoding="utf-8")
    given = conninfo_to_dict(dsn)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    environment |= {variable: str(given[name]) for name, variable in _VARIABLES.items() if given.get(name)}
    done = subprocess.run(
        ["node", "recipe.mjs"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_recipe_for_node_records_one_event_and_a_batch(
    node_project: Path, meter_dsn: str, meter: Meter
) -> None:
    meter.define_metric("tokens", "sum", "token")
    text = (ROOT / "sql" / "record" / "README.md").read_text(encoding="utf-8")
    (recipe,) = [block.text for block in blocks(text) if block.language == "js"]
    printed = _run(node_project, meter_dsn, recipe)
    assert "[ { outcome: 'recorded', quantity: '120' } ]" in printed
    assert "{ ordinal: '1', outcome: 'duplicate' }" in printed
    assert "{ ordinal: '2', outcome: 'recorded' }" in printed
    assert meter.usage("acct_1", "tokens").quantity == Decimal("120.5")


@pytest.mark.slow
def test_the_recipe_for_node_reads_usage_and_pages_of_the_log(
    node_project: Path, meter_dsn: str, meter: Meter
) -> None:
    meter.define_metric("tokens", "sum", "token")
    for number in range(205):
        meter.record(f"acct_{number % 2 + 1}", "tokens", Decimal(f"{number}.25"))
    text = (ROOT / "sql" / "usage" / "README.md").read_text(encoding="utf-8")
    (recipe,) = [block.text for block in blocks(text) if block.language == "js"]
    total, *printed = _run(node_project, meter_dsn, recipe).splitlines()
    assert total == f"{{ quantity: '{meter.usage('acct_1', 'tokens').quantity}', unit: 'token' }}"
    assert printed == [f"acct_{number % 2 + 1} {number}.25" for number in reversed(range(205))]


@pytest.mark.slow
def test_an_array_without_json_stringify_is_refused_by_postgresql(
    node_project: Path, meter_dsn: str, meter: Meter
) -> None:
    """Why the recipe calls JSON.stringify: ``pg`` sends an array as PostgreSQL's own {...}."""
    printed = _run(
        node_project,
        meter_dsn,
        """
        import pg from 'pg';
        const client = new pg.Client();
        await client.connect();
        await client.query('SELECT * FROM meter.record_batch($1)', [[{subject: 'a'}]])
            .catch(error => console.log(error.code));
        await client.end();
        """,
    )
    assert printed.strip() == "22P02"
