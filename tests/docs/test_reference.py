"""sql/README.md is what the database says, and the error table is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

from pymeter.errors import BY_SQLSTATE, MeterError
from tests.docs.errors import CODES
from tests.docs.examples import Runner
from tests.docs.markdown import broken_links
from tests.docs.reference import COMMAND, REFERENCE, ROOT, render

_OUTDATED = f"is not up to date; run: {COMMAND}"


def test_the_reference_is_current(roles: None, meter_dsn: str, pymeter_server: str, tmp_path: Path) -> None:
    """The examples of the functions included, which are run for it."""
    runner = Runner(meter_dsn, pymeter_server, tmp_path, REFERENCE)
    with psycopg.connect(meter_dsn, autocommit=True) as connection:
        current = render(connection, runner.sql)
    assert REFERENCE.read_text(encoding="utf-8") == current, f"sql/README.md {_OUTDATED}"


def test_links_of_the_reference_lead_somewhere() -> None:
    assert broken_links(REFERENCE) == []


def test_every_sqlstate_that_sql_raises_is_in_the_table() -> None:
    raised: set[str] = set()
    for file in [*(ROOT / "sql").rglob("*.sql"), *(ROOT / "migrations").glob("*.sql")]:
        text = file.read_text(encoding="utf-8")
        for clause in re.findall(r"errcode\s*=\s*(?:case\b.*?\bend\b|'\w{5}')", text, re.DOTALL):
            raised |= _codes(clause)
    raised |= _codes((ROOT / "sql/record/_event_rules.sql").read_text(encoding="utf-8"))
    assert raised
    # XX000 and the like mean a broken installation, not something to branch on.
    assert {code for code in raised if not code.startswith("XX")} <= {code.sqlstate for code in CODES}


def test_every_code_of_our_own_class_has_its_python_exception() -> None:
    ours = {code.sqlstate for code in CODES if code.sqlstate.startswith("UM")}
    assert ours == {sqlstate for sqlstate in BY_SQLSTATE if sqlstate.startswith("UM")}
    kinds = [BY_SQLSTATE[sqlstate] for sqlstate in ours]
    assert len(set(kinds)) == len(kinds)
    assert MeterError not in kinds


def _codes(text: str) -> set[str]:
    return set(re.findall(r"'(UM\d{3}|\d{2}[0-9A-Z]{3}|XX\d{3})'", text))
