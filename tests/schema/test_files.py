"""A folder of ``sql/`` is a subject: public functions in files of their names, private ones beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pglast
import psycopg
from pglast import ast, enums

from tests.schema.contract import contract, read_functions

Connection = psycopg.Connection[Any]

SQL = Path(__file__).resolve().parents[2] / "sql"
STATEMENTS = {
    file: [raw.stmt for raw in pglast.parse_sql(file.read_text(encoding="utf-8"))]
    for file in sorted(SQL.rglob("*.sql"))
}
FUNCTION_FILES = [file for file in STATEMENTS if file.parent != SQL]

LINES_MAX = 150
LINE_WIDTH_MAX = 150

# A ceiling that may only be lowered: the file, and how long it is.
LONGER: dict[str, int] = {}


def test_a_file_holds_only_what_can_be_applied_again() -> None:
    refused = [
        f"{_label(file)}: {type(statement).__name__}"
        for file, statements in STATEMENTS.items()
        for statement in statements
        if not _is_allowed(statement, file)
    ]
    assert refused == []


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


def test_a_public_function_is_alone_in_the_file_of_its_name() -> None:
    wrong = [
        _label(file)
        for file in FUNCTION_FILES
        if not file.stem.startswith("_") and _functions(file) != [file.stem]
    ]
    assert wrong == []


def test_private_functions_stand_in_files_that_begin_with_an_underscore() -> None:
    wrong = [
        f"{_label(file)}: {name}"
        for file in FUNCTION_FILES
        if file.stem.startswith("_")
        for name in _functions(file)
        if not name.startswith("_")
    ]
    assert wrong == []


def test_every_function_has_its_comment_beside_it() -> None:
    assert [_label(file) for file in FUNCTION_FILES if _functions(file) != _commented(file)] == []


def test_names_are_unqualified_and_attributes_in_order() -> None:
    """Any schema will do, and every declaration reads the same: language, volatility, security, settings."""
    order = ["language", "volatility", "strict", "parallel", "security", "set", "as"]
    wrong = []
    for file in FUNCTION_FILES:
        for function in _created(file):
            given = [option.defname for option in function.options]
            has_volatility = "volatility" in given or _last(function.returnType.names) == "trigger"
            in_order = given == sorted(given, key=order.index)
            if len(function.funcname) != 1 or not in_order or not has_volatility:
                wrong.append(f"{_label(file)}: {_last(function.funcname)}")
    assert wrong == []


def test_files_and_lines_are_short_enough_to_review() -> None:
    too_long = {}
    for file in STATEMENTS:
        lines = file.read_text(encoding="utf-8").splitlines()
        if len(lines) > LONGER.get(_label(file), LINES_MAX):
            too_long[_label(file)] = len(lines)
        too_long |= {
            f"{_label(file)}:{number}": len(line)
            for number, line in enumerate(lines, 1)
            if len(line) > LINE_WIDTH_MAX
        }
    assert too_long == {}


def test_the_folders_hold_the_public_functions_that_the_contract_names() -> None:
    promised = {folder: sorted(line.split("(")[0] for line in lines) for folder, lines in contract().items()}
    found: dict[str, list[str]] = {}
    for file in FUNCTION_FILES:
        if not file.stem.startswith("_"):
            found.setdefault(file.parent.name, []).append(file.stem)
    assert found == promised


def test_the_schema_has_the_functions_of_the_files_and_no_others(db: Connection) -> None:
    defined = [name for file in FUNCTION_FILES for name in _functions(file)]
    assert sorted(f.name for f in read_functions(db)) == sorted(defined)
    assert len(defined) == len(set(defined))


def _created(file: Path) -> Iterator[ast.CreateFunctionStmt]:
    return (s for s in STATEMENTS[file] if isinstance(s, ast.CreateFunctionStmt))


def _functions(file: Path) -> list[str]:
    return [_last(s.funcname) for s in _created(file)]


def _commented(file: Path) -> list[str]:
    return [
        _last(s.object.objname)
        for s in STATEMENTS[file]
        if isinstance(s, ast.CommentStmt) and s.objtype == enums.ObjectType.OBJECT_FUNCTION
    ]


def _last(name: Any) -> str:
    return str(name[-1].sval)


def _label(file: Path) -> str:
    return file.relative_to(SQL).as_posix()
