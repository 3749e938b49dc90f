"""``sql/`` is one function per file, named after it, in the folder that says who may call it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pglast
import psycopg
import pytest
from pglast import ast, enums

from tests.schema.contract import contract, read_functions

Connection = psycopg.Connection[Any]

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "sql").rglob("*.sql"))
FUNCTION_FILES = [f for f in FILES if f.parent.name not in ("sql", "views")]


def _statements(file: Path) -> list[Any]:
    return [raw.stmt for raw in pglast.parse_sql(file.read_text(encoding="utf-8"))]


def _label(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def _is_allowed(statement: ast.Node, file: Path) -> bool:
    if file.name == "grants.sql":
        return isinstance(statement, ast.GrantStmt | ast.GrantRoleStmt | ast.DoStmt)
    if file.name == "retired.sql":
        return isinstance(statement, ast.DropStmt) and statement.missing_ok
    match statement:
        case ast.CreateFunctionStmt() | ast.ViewStmt():
            return bool(statement.replace)
        case ast.DropStmt():
            return bool(statement.missing_ok)
    return isinstance(statement, ast.CommentStmt)


@pytest.mark.parametrize("file", FILES, ids=_label)
def test_a_file_holds_only_what_can_be_applied_again(file: Path) -> None:
    refused = [type(s).__name__ for s in _statements(file) if not _is_allowed(s, file)]
    assert refused == []


@pytest.mark.parametrize("file", FUNCTION_FILES, ids=_label)
def test_a_file_is_one_function_of_its_own_name_with_its_comment(file: Path) -> None:
    statements = _statements(file)
    created = [_last(s.funcname) for s in statements if isinstance(s, ast.CreateFunctionStmt)]
    assert created == [file.stem]
    commented = [
        _last(s.object.objname)
        for s in statements
        if isinstance(s, ast.CommentStmt) and s.objtype == enums.ObjectType.OBJECT_FUNCTION
    ]
    assert commented == [file.stem]


@pytest.mark.parametrize("file", FUNCTION_FILES, ids=_label)
def test_the_name_is_unqualified_and_the_attributes_are_in_order(file: Path) -> None:
    """Any schema will do, and every declaration reads the same: language, volatility, security, settings."""
    (function,) = (s for s in _statements(file) if isinstance(s, ast.CreateFunctionStmt))
    assert len(function.funcname) == 1
    order = ["language", "volatility", "strict", "parallel", "security", "set", "as"]
    given = [option.defname for option in function.options]
    assert given == sorted(given, key=order.index)
    assert "volatility" in given or _last(function.returnType.names) == "trigger"


def test_the_folder_says_who_may_call_it() -> None:
    for file in FUNCTION_FILES:
        assert (file.parent.name == "internal") == file.stem.startswith("_"), _label(file)


def test_the_public_folders_hold_what_the_contract_says() -> None:
    promised = {folder: sorted(line.split("(")[0] for line in lines) for folder, lines in contract().items()}
    found: dict[str, list[str]] = {}
    for file in FUNCTION_FILES:
        if file.parent.name != "internal":
            found.setdefault(file.parent.name, []).append(file.stem)
    assert found == promised


def test_no_function_of_the_schema_is_without_its_file(db: Connection) -> None:
    assert sorted(f.name for f in read_functions(db)) == sorted(f.stem for f in FUNCTION_FILES)


def test_names_are_told_apart_by_more_than_their_folder() -> None:
    names = [f.stem for f in FUNCTION_FILES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("file", FUNCTION_FILES, ids=_label)
def test_lines_are_not_too_long_to_review(file: Path) -> None:
    too_long = [n for n, line in enumerate(file.read_text().splitlines(), 1) if len(line) > 150]
    assert too_long == []


def _last(name: Any) -> str:
    return str(name[-1].sval)
