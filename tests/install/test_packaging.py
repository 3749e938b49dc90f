"""pymeter as people get it: from a wheel, and from an editable checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import pymeter
from pymeter.install.engine import install
from pymeter.install.sources import find_root, load_sources

pytestmark = pytest.mark.slow

MIGRATE = """
import json, sys, pathlib, pymeter
from pymeter.install.sources import find_root, load_sources
report = pymeter.migrate(sys.argv[1])
package = pathlib.Path(pymeter.__file__).parent
print(json.dumps([report.migrations, report.functions_replaced, str(package), str(find_root())]))
"""


@pytest.fixture(scope="session")
def repository() -> Path:
    root = find_root()
    if not (root / "pyproject.toml").exists():
        pytest.skip("these tests are not run from a checkout")
    return root


@pytest.fixture(scope="session")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built with the hatchling that is installed: pip would download it once more."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), "."]
    subprocess.run(command, cwd=repository, capture_output=True, check=True)
    return next(target.glob("pymeter_ledger-*.whl"))


def migrate_with(python: Path, folder: Path, dsn: str) -> list[object]:
    """Migrate with another Python, from a folder where no checkout is near."""
    done = subprocess.run(
        [python, "-c", MIGRATE, dsn],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_the_wheel_holds_all_sql_and_says_that_it_is_typed(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = load_sources()

    assert {f"pymeter/{file.name}" for file in (*sources.migrations, *sources.functions)} <= names
    assert {"pymeter/py.typed", "pymeter/migrations/checksums.txt"} <= names
    templates = [file.name for file in (Path(pymeter.__file__).parent / "invoice_page/templates").iterdir()]
    assert "invoice.html.jinja" in templates
    assert {f"pymeter/invoice_page/templates/{name}" for name in templates} <= names
    assert not [name for name in names if name.startswith("tests") or "__pycache__" in name]


def test_a_wheel_in_a_fresh_environment_installs_the_same(wheel, tmp_path, new_database, dump):
    by_wheel, by_checkout = new_database(), new_database()
    home = tmp_path / "environment"
    venv.create(home, with_pip=False, symlinks=os.name != "nt")
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    # What pymeter needs is already installed here; only pymeter itself must come from the wheel.
    site = Path(subprocess.check_output([python, "-c", PRINT_SITE], text=True).strip())
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)],
        check=True,
    )
    (site / "dependencies.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")

    migrations, functions_replaced, package, root = migrate_with(python, tmp_path, by_wheel)
    install(load_sources(), by_checkout, "meter")

    assert (package, root) == (str(site / "pymeter"), str(site / "pymeter"))
    assert migrations == [migration.id for migration in load_sources().migrations]
    assert functions_replaced
    assert dump(by_wheel) == dump(by_checkout)
    assert not install(load_sources(), by_wheel, "meter").changed


def test_an_editable_installation_uses_the_checkouts_files(repository, tmp_path, dsn):
    if Path(pymeter.__file__).parents[1] != repository:
        pytest.skip("pymeter is not installed from the checkout")

    migrations, _, package, root = migrate_with(Path(sys.executable), tmp_path, dsn)

    assert (package, root) == (str(repository / "pymeter"), str(repository))
    assert migrations == [migration.id for migration in load_sources().migrations]


PRINT_SITE = "import sysconfig; print(sysconfig.get_path('purelib'))"
