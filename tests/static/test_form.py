"""One way of writing SQL, as far as a program can tell.

A formatter of SQL does not see the bodies of functions, which to it are texts, and would move all the rest.
So this only keeps to what the files already do.
"""

from __future__ import annotations

import re
from pathlib import Path

from pglast import ast, parse_sql
from pglast.parser import scan

from tests.static.programs import FUNCTIONS, MIGRATIONS, ROOT, SQL

FILES = [*sorted(SQL.rglob("*.sql")), *MIGRATIONS]
_KEYWORDS = ("RESERVED_KEYWORD", "UNRESERVED_KEYWORD", "TYPE_FUNC_NAME_KEYWORD", "COL_NAME_KEYWORD")


def test_lines_are_clean() -> None:
    wrong = []
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        if not text.endswith("\n") or text.endswith("\n\n"):
            wrong.append(f"{_label(file)}: the end")
        lines = enumerate(text.splitlines(), 1)
        wrong += [f"{_label(file)}:{n}" for n, line in lines if "\t" in line or line != line.rstrip()]
    assert wrong == []


def test_keywords_are_written_small() -> None:
    wrong = []
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        bodies = [
            option.arg[0].sval
            for raw in parse_sql(text)
            if isinstance(raw.stmt, ast.CreateFunctionStmt)
            for option in raw.stmt.options or ()
            if option.defname == "as"
        ]
        wrong += [f"{_label(file)}: {word}" for part in (text, *bodies) for word in _shouted(part)]
    assert wrong == []


def test_no_time_zone_is_named() -> None:
    """From PostgreSQL 18 on, SET timezone = 'UTC+3' gives UTC another meaning: write INTERVAL '0' for it."""
    wrong = []
    for file in FILES:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            code = line.partition("--")[0].lower()
            truncates = file not in MIGRATIONS and re.search(r"date_trunc\(.*'utc'", code)
            if "at time zone '" in code or "timezone('" in code or truncates:
                wrong.append(f"{_label(file)}:{number}")
    assert wrong == []


def test_every_function_file_was_looked_at() -> None:
    assert set(FUNCTIONS) < set(FILES)


def _label(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def _shouted(text: str) -> list[str]:
    encoded = text.encode()
    words = [encoded[token.start : token.end + 1].decode() for token in scan(text) if token.kind in _KEYWORDS]
    return [word for word in words if word != word.lower()]
