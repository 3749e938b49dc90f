"""The schemas of the OpenAPI document: PostgreSQL's types, the rows of functions, events and problems.

Rows, events and problems are named, so that generated programs have a type for each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pymeter.web.catalog import Function, Value

Schema = dict[str, Any]

_TYPES: Mapping[str, Schema] = {
    "text": {"type": "string"},
    "numeric": {"type": "string", "description": "An exact decimal number."},
    "bigint": {"type": "integer", "format": "int64"},
    "integer": {"type": "integer", "format": "int32"},
    "smallint": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "timestamp with time zone": {"type": "string", "description": "A time, ISO 8601; or infinity."},
    "interval": {"type": "string", "description": "A duration, such as PT2H or 2 hours."},
    "jsonb": {"description": "Any JSON value."},
    "tstzrange": {
        "type": "object",
        "properties": {"since": {"type": ["string", "null"]}, "until": {"type": ["string", "null"]}},
    },
}
_EVENT_FIELDS = ("subject", "metric", "quantity", "member", "idempotency_key", "at", "metadata")
_NUMBER: Schema = {
    "anyOf": [{"type": "string"}, {"type": "number", "format": "double"}],
    "description": "An exact decimal number. Send a string where numbers are floats.",
}
_CLOUDEVENT: Schema = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "subject"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string"},
        "source": {"type": "string"},
        "type": {"type": "string", "description": "The metric."},
        "subject": {"type": "string"},
        "time": {"type": "string"},
        "data": {
            "type": "object",
            "description": "quantity or member; the rest becomes the metadata.",
            "properties": {"quantity": {"$ref": "#/components/schemas/Number"}, "member": {"type": "string"}},
        },
    },
}


def reference(name: str) -> Schema:
    """A reference to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def named(functions: Mapping[str, Function]) -> dict[str, Schema]:
    """The named schemas."""
    rows = {_row_name(function): _row(function) for function in functions.values() if function.columns}
    inputs: dict[str, Schema] = {"Number": _NUMBER, "CloudEvent": _CLOUDEVENT}
    if "record" in functions:
        event = arguments(functions["record"])
        event["properties"] = {n: s for n, s in event["properties"].items() if n in _EVENT_FIELDS}
        inputs["Event"] = event
    return dict(sorted(rows.items())) | inputs | {"Problem": _problem()}


def arguments(function: Function) -> Schema:
    """Of the body of a call: an object with the arguments by name."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {one.name: _argument(one, _may_be_null(function, one)) for one in function.parameters},
        "required": [one.name for one in function.parameters if one.required],
    }


def of_query(value: Value) -> Schema:
    """Of an argument in the query."""
    if value.type == "jsonb":
        return {"type": "string", "description": "JSON."}
    return _schema(value.type)


def result(function: Function) -> Schema | None:
    """Of the answer; None if there is none."""
    if function.result == "void":
        return None
    value = reference(_row_name(function)) if function.columns else _or_null(_schema(function.result))
    return {"type": "array", "items": value} if function.is_set else value


def _row_name(function: Function) -> str:
    """``UsageTotal`` for the type ``usage_total`` of the reference, in whichever schema it is."""
    name = function.result.rpartition(".")[2].strip('"')
    return "".join(word.capitalize() for word in name.split("_"))


def _row(function: Function) -> Schema:
    return {
        "type": "object",
        "description": function.type_comment,
        "properties": {one.name: _or_null(_schema(one.type)) for one in function.columns},
        "required": [one.name for one in function.columns],
    }


def _argument(value: Value, may_be_null: bool) -> Schema:
    if value.type == "numeric":
        number = reference("Number")
        return {"anyOf": [number, {"type": "null"}]} if may_be_null else number
    schema = _schema(value.type)
    if value.type == "numeric[]":
        schema = {"type": "array", "items": reference("Number")}
    return _or_null(schema) if may_be_null else schema


def _may_be_null(function: Function, value: Value) -> bool:
    """What has a default may; of the others, those to whose null the comment gives a meaning."""
    said = function.description.partition(" Raises ")[0]
    name = re.escape(value.name)
    meaning = rf"\ba null {name}\b|\b{name} null:|\b{name}: [^.]*; null: "
    return not value.required or re.search(meaning, said, re.IGNORECASE) is not None


def _schema(type: str) -> Schema:
    if type.endswith("[]"):
        return {"type": "array", "items": _or_null(_schema(type[:-2]))}
    return dict(_TYPES.get(type, {}))


def _or_null(schema: Schema) -> Schema:
    if "type" not in schema:
        return schema
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return schema | {"type": [*types, "null"]}


def _problem() -> Schema:
    texts = ("type", "title", "detail", "sqlstate", "hint", "parameter")
    return {
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {"status": {"type": "integer"}} | {name: {"type": "string"} for name in texts},
    }
