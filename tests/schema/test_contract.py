"""The public functions are exactly those of the contract: names, parameters, defaults, results."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.schema.contract import contract, names, read_functions, results, short_type

Connection = psycopg.Connection[Any]


def test_every_function_has_the_signature_of_the_contract(db: Connection) -> None:
    promised = sorted(line for lines in contract().values() for line in lines)
    assert sorted(str(f) for f in read_functions(db) if f.is_public) == promised


def test_no_public_function_is_overloaded(db: Connection) -> None:
    """Two functions of one name make a call with few arguments ambiguous."""
    public = [f.name for f in read_functions(db) if f.is_public]
    assert sorted(public) == sorted(names())


@pytest.mark.parametrize("result", results())
def test_every_result_has_the_columns_of_the_contract_in_order(db: Connection, result: str) -> None:
    rows = db.execute(
        """
        select attname, format_type(atttypid, null)
        from pg_attribute
        where attrelid = %s::regclass and attnum > 0 and not attisdropped
        order by attnum
        """,
        [result],
    ).fetchall()
    assert ", ".join(f"{name} {short_type(type)}" for name, type in rows) == results()[result]


def test_every_composite_result_is_in_the_contract(db: Connection) -> None:
    returned = {f.result_type for f in read_functions(db) if f.is_public}
    assert (
        returned - {"tstzrange", "timestamptz", "text", "bigint", "integer", "boolean", "void", "jsonb"}
        == results().keys()
    )


def test_parameters_that_mean_the_same_have_the_same_name_type_and_default(db: Connection) -> None:
    """A window is asked for in the same words everywhere, and a subject is a subject."""
    windowed = ("usage", "summary", "usage_by", "check_quota", "resolve_window")
    functions = {f.name: {p.name: p for p in f.parameters} for f in read_functions(db) if f.is_public}
    for name in windowed:
        for parameter in ("period", "since", "until", "timezone", "now"):
            assert functions[name][parameter] == functions["resolve_window"][parameter], (name, parameter)
    for function in functions.values():
        for parameter in ("subject", "metric"):
            if parameter in function:
                assert function[parameter].type == "text"
                assert function[parameter].default in (None, "null")
