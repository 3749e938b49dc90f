"""POST and GET /v1/rpc/{function}: calls by name, with arguments by name."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import sql
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from pymeter import exact_json
from pymeter.web import body, forms
from pymeter.web.catalog import Catalog, Function, Value
from pymeter.web.database import Database
from pymeter.web.problems import Problem, bad_value, of_database

_JSON = "application/json"
# OFFSET keeps the result from being made at every mention.
_BOUNDED = """
SELECT CASE WHEN octet_length(a.text) <= %s::bigint THEN a.text END, octet_length(a.text)
FROM (SELECT {}::text AS text FROM ({}) r OFFSET 0) a
"""


class Rpc:
    """The two routes."""

    def __init__(self, database: Database, catalog: Catalog, limits: body.Limits) -> None:
        self._database = database
        self._catalog = catalog
        self._limits = limits

    async def endpoint(self, request: Request) -> Response:
        """Call the function in the path."""
        self._database.check_form(request)
        function = await self._catalog.get(request.path_params["function"])
        if function is None:
            raise Problem(
                404, "no such function", sqlstate="UM007", hint="GET /openapi.json lists the functions."
            )
        allowed = ("GET", "HEAD", "POST") if function.reads else ("POST",)
        if request.method not in allowed:
            raise Problem(
                405,
                "the method is not supported" if function.reads else "the function changes something",
                hint="Call it with POST.",
                headers={"Allow": ", ".join(allowed)},
            )
        if request.method == "POST":
            arguments = from_json(function, await _body_arguments(request, self._limits))
        else:
            body.check_query(request)
            arguments = from_query(function, request.query_params)
        add_idempotency_key(function, arguments, request)
        check_required(function, arguments)
        async with self._database.session(request, reads=function.reads) as session:
            try:
                text = await call(
                    session.connection, self._database.schema, function, arguments, self._limits
                )
            except psycopg.Error as error:
                raise of_database(error, function.name) from error
        if function.result == "void":
            return Response(status_code=204)
        return Response(text, media_type=_JSON)


async def _body_arguments(request: Request, limits: body.Limits) -> Mapping[str, Any]:
    kind = body.content_type(request)
    if kind not in ("", _JSON):
        raise Problem(415, "the content type is not supported", hint="Send application/json.")
    raw = await body.read(request, limits)
    value = body.parsed(raw) if raw.strip(b" \t\r\n") else {}
    if not isinstance(value, dict):
        raise bad_value("the body is not a JSON object", 'Send the arguments by name: {"subject": "acct_1"}.')
    return value


def from_json(function: Function, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for the function from JSON values. Raises Problem 400 for one that does not fit."""
    return {name: _of_json(_known(function, name), value) for name, value in given.items()}


def from_query(function: Function, query: QueryParams) -> dict[str, Any]:
    """Arguments from the query: an array is a parameter that is repeated, a JSON value is its text."""
    arguments: dict[str, Any] = {}
    for name in query:
        parameter = _known(function, name)
        texts = [forms.checked(name, parameter.type, storable(name, one)) for one in query.getlist(name)]
        if parameter.type.endswith("[]"):
            arguments[name] = texts
        elif len(texts) > 1:
            raise bad_value("a parameter is given twice", "Give it once.", name)
        else:
            arguments[name] = texts[0]
    return arguments


def add_idempotency_key(function: Function, arguments: dict[str, Any], request: Request) -> None:
    """The header Idempotency-Key is the argument of that name, if there is none."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return
    if function.parameter("idempotency_key") is None:
        raise bad_value(
            "the function has no idempotency key", "Leave out the header Idempotency-Key.", "idempotency_key"
        )
    if arguments.get("idempotency_key") is None:
        arguments["idempotency_key"] = storable("idempotency_key", key)
    if arguments["idempotency_key"] != key:
        raise bad_value(
            "the header Idempotency-Key differs from idempotency_key", "Send one of them.", "idempotency_key"
        )


def check_required(function: Function, arguments: Mapping[str, Any]) -> None:
    """Raises Problem 400 if a parameter without a default is missing."""
    for one in function.parameters:
        if one.required and one.name not in arguments:
            raise Problem(
                400,
                f"{one.name} is missing",
                sqlstate="22004",
                hint=f"Send {one.name}, of the type {one.type}.",
                parameter=one.name,
            )


def _known(function: Function, name: str) -> Value:
    parameter = function.parameter(name)
    if parameter is None:
        names = ", ".join(one.name for one in function.parameters) or "none"
        raise bad_value("unknown parameter", f"The parameters of {function.name}: {names}.", name[:80])
    return parameter


def _of_json(parameter: Value, value: Any) -> Any:
    name, type = parameter.name, parameter.type
    if value is None:
        return None
    if type == "jsonb":
        try:
            return exact_json.storable(value)
        except ValueError as error:
            raise bad_value(str(error), "Change it.", name) from None
    if type.endswith("[]"):
        if not isinstance(value, list):
            raise bad_value("the value is not an array", "Send a JSON array.", name)
        return [None if one is None else _scalar(name, type, one) for one in value]
    return _scalar(name, type, value)


def _scalar(name: str, type: str, value: Any) -> str:
    if isinstance(value, bool):
        if type.removesuffix("[]") != "boolean":
            raise bad_value("true and false are no values of this parameter", f"Its type is {type}.", name)
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        if type.removesuffix("[]") not in ("numeric", "bigint", "integer", "smallint"):
            raise bad_value("a number is no value of this parameter", f"Its type is {type}.", name)
        try:
            return exact_json.dumps(value)
        except ValueError as error:
            raise bad_value(str(error), "Send a smaller number.", name) from None
    if isinstance(value, str):
        return forms.checked(name, type, storable(name, value))
    raise bad_value("an object or array is no value of this parameter", f"Its type is {type}.", name)


def storable(name: str, text: str) -> str:
    """The text, if PostgreSQL can store it."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise bad_value("a text has a NUL character or a lone surrogate", "Remove it.", name[:80])
    return text


async def call(
    connection: psycopg.AsyncConnection[Any],
    schema: str,
    function: Function,
    arguments: Mapping[str, Any],
    limits: body.Limits,
) -> str:
    """The result as JSON, made by PostgreSQL: nothing is rounded on the way. Raises Problem 400."""
    query = _statement(schema, function, tuple(arguments))
    if function.result == "void":
        await connection.execute(query, list(arguments.values()))
        return "null"
    row = await (await connection.execute(query, [limits.answer_bytes, *arguments.values()])).fetchone()
    text, length = row or (None, None)
    if length is not None and text is None:
        # An exception, so that a function which changes something has not.
        raise Problem(
            400,
            "the answer is too large",
            sqlstate="54000",
            detail=f"{length} bytes.",
            hint="Ask for fewer rows, or for a shorter time.",
        )
    return "null" if text is None else str(text)


@lru_cache(maxsize=1024)
def _statement(schema: str, function: Function, given: tuple[str, ...]) -> bytes:
    return _composed(schema, function, given).as_bytes(None)


def _composed(schema: str, function: Function, given: tuple[str, ...]) -> sql.Composed:
    types = {one.name: one.type for one in function.parameters}
    arguments = sql.SQL(", ").join(
        sql.SQL("{} => %s::{}").format(sql.Identifier(name), sql.SQL(types[name])) for name in given
    )
    called = sql.SQL("{}({})").format(sql.Identifier(schema, function.name), arguments)
    if function.columns:
        columns = sql.SQL(", ").join(_column(sql.Identifier("t", c.name), c) for c in function.columns)
        row = sql.SQL("SELECT {} FROM {} t").format(columns, called)
        value: sql.Composable = sql.SQL("to_json(r)")
    else:
        row = sql.SQL("SELECT {} FROM (SELECT {} AS value) t").format(
            _column(sql.Identifier("t", "value"), Value("value", function.result)), called
        )
        value = sql.SQL("to_json(r.value)")
    if function.result == "void":
        return sql.SQL("SELECT NULL FROM {}").format(called)
    if function.is_set:
        value = sql.SQL("coalesce(json_agg({}), '[]')").format(value)
    return sql.SQL(_BOUNDED).format(value, row)


def _column(source: sql.Identifier, column: Value) -> sql.Composed:
    """numeric is a string in JSON: most programs read numbers as floats. A range is an object."""
    form = {
        "numeric": "{}::text",
        "numeric[]": "{}::text[]",
        "tstzrange": "json_build_object('since', lower({0}), 'until', upper({0}))",
    }.get(column.type, "{}")
    return sql.SQL("{} AS {}").format(
        sql.SQL(form).format(source),
        sql.Identifier(column.name),
    )
