"""Programs that look at SQL without running it; a test is skipped where its program is not installed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SQL = ROOT / "sql"
FUNCTIONS = sorted(SQL.glob("*/*.sql"))
MIGRATIONS = sorted((ROOT / "migrations").glob("[0-9]*.sql"))


def program(name: str) -> str:
    """The path of a program of this environment, or of one on the PATH."""
    path = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path
