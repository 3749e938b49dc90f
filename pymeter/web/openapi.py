"""The OpenAPI 3.1 document, made from the catalog: nothing of a function is written here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymeter import __version__
from pymeter.web.catalog import Function, Value
from pymeter.web.cloudevents import BATCH, STRUCTURED
from pymeter.web.problems import STATUSES

_NUMBER = {"type": "string", "description": "An exact decimal number."}
_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "numeric": _NUMBER,
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
_ALWAYS = (400, 401, 403, 404, 408, 409, 413, 415, 429, 500, 503, 504)
_OF_EVENTS = (402, 410, 421)
_EVENT_FIELDS = ("subject", "metric", "quantity", "member", "idempotency_key", "at", "metadata")
_KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 512},
    "description": "The key of what has none in the body: a repetition changes nothing.",
}
_CLOUDEVENT = {
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
            "properties": {"quantity": {"type": ["string", "number"]}, "member": {"type": "string"}},
        },
    },
}


def document(functions: Mapping[str, Function], base: str, max_bytes: int) -> dict[str, Any]:
    """The document for an application at the path `base`."""
    paths: dict[str, Any] = {"/v1/events": {"post": _record(functions)}} if "record" in functions else {}
    for name, function in functions.items():
        paths[f"/v1/rpc/{name}"] = _calls(function)
    paths |= _of_operation()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pymeter",
            "version": __version__,
            "description": "A usage ledger in PostgreSQL. A body may have"
            f" {max_bytes} bytes. Exact decimal numbers are strings in answers, and may be in requests.",
        },
        "servers": [{"url": base}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key, or a token signed with one.",
                }
            },
            "schemas": {"Problem": _problem()},
            "responses": {
                f"Problem{status}": {
                    "description": text,
                    "content": {
                        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
                    },
                }
                for status, text in STATUSES.items()
            },
        },
    }


def _calls(function: Function) -> dict[str, Any]:
    common = {
        "summary": function.summary,
        "description": function.description,
        "tags": ["rpc"],
        "responses": _answers(_result(function), *_ALWAYS, 402, 410, 421),
    }
    header = [_KEY_HEADER] if function.parameter("idempotency_key") is not None else []
    content = {"application/json": {"schema": _arguments(function)}}
    required = any(one.required for one in function.parameters)
    posted = common | {
        "operationId": function.name,
        "parameters": header,
        "requestBody": {"content": content, "required": required},
    }
    if not function.reads:
        return {"post": posted}
    query = [
        {"name": one.name, "in": "query", "required": one.required, "schema": _query_schema(one)}
        for one in function.parameters
    ]
    asked = common | {"operationId": f"{function.name}_get", "parameters": query + header}
    return {"post": posted, "get": asked}


def _arguments(function: Function) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {one.name: _parameter_schema(one) for one in function.parameters},
        "required": [one.name for one in function.parameters if one.required],
    }


def _parameter_schema(value: Value) -> dict[str, Any]:
    schema = _schema(value.type)
    if value.type == "numeric":
        schema = {"type": ["string", "number"]}
    elif value.type == "numeric[]":
        schema = {"type": "array", "items": {"type": ["string", "number"]}}
    return schema if value.required else _or_null(schema)


def _query_schema(value: Value) -> dict[str, Any]:
    if value.type == "jsonb":
        return {"type": "string", "description": "JSON."}
    return _schema(value.type)


def _schema(type: str) -> dict[str, Any]:
    if type.endswith("[]"):
        return {"type": "array", "items": _or_null(_schema(type[:-2]))}
    return dict(_SCHEMAS.get(type, {}))


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if "type" not in schema:
        return schema
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return schema | {"type": [*types, "null"]}


def _result(function: Function) -> dict[str, Any] | None:
    if function.result == "void":
        return None
    if not function.columns:
        value = _or_null(_schema(function.result))
    else:
        value = {
            "type": "object",
            "description": function.type_comment,
            "properties": {one.name: _or_null(_schema(one.type)) for one in function.columns},
            "required": [one.name for one in function.columns],
        }
    return {"type": "array", "items": value} if function.is_set else value


def _answers(result: dict[str, Any] | None, *statuses: int) -> dict[str, Any]:
    found: dict[str, Any] = (
        {"204": {"description": "Done."}}
        if result is None
        else {"200": {"description": "The result.", "content": {"application/json": {"schema": result}}}}
    )
    return found | {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in statuses}


def _record(functions: Mapping[str, Function]) -> dict[str, Any]:
    record, batch = functions["record"], functions.get("record_batch")
    event = _arguments(record)
    event["properties"] = {n: s for n, s in event["properties"].items() if n in _EVENT_FIELDS}
    rows = [_result(record), *([_result(batch)] if batch is not None else [])]
    answers = _answers({"anyOf": rows}, *_ALWAYS, *_OF_EVENTS)
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for status in (402, 409):
        answers[str(status)] = {
            "description": STATUSES[status] + " One event: its row; an array: a problem, with the outcomes.",
            "content": {
                "application/json": {"schema": _result(record)},
                "application/problem+json": problem,
            },
        }
    return {
        "operationId": "record_events",
        "tags": ["events"],
        "summary": "Record events",
        "description": "One event or an array, as plain JSON or as CloudEvents 1.0: structured, batched or"
        " binary. Each event has an outcome: recorded, duplicate, conflict, refused or rejected.",
        "parameters": [
            {
                "name": "strict",
                "in": "query",
                "schema": {"type": "boolean"},
                "description": "A refused event is answered with 402, a conflict with 409, and an array with"
                " either, or with an invalid event, is not recorded at all. Also as header Pymeter-Strict.",
            },
            _KEY_HEADER,
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"anyOf": [event, {"type": "array", "items": event}]}},
                STRUCTURED: {"schema": _CLOUDEVENT},
                BATCH: {"schema": {"type": "array", "items": _CLOUDEVENT}},
            },
        },
        "responses": answers,
    }


def _problem() -> dict[str, Any]:
    texts = ("type", "title", "detail", "sqlstate", "hint", "parameter")
    return {
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {"status": {"type": "integer"}} | {name: {"type": "string"} for name in texts},
    }


def _of_operation() -> dict[str, Any]:
    def get(
        name: str, summary: str, *, kind: str = "application/json", fails: bool = False
    ) -> dict[str, Any]:
        content = {kind: {"schema": {"type": "string" if kind == "text/plain" else "object"}}}
        answers: dict[str, Any] = {"200": {"description": "Yes.", "content": content}}
        if fails:
            problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
            answers["503"] = {"description": "No; problems says why.", "content": content | problem}
        return {
            "get": {
                "operationId": name,
                "tags": ["operation"],
                "summary": summary,
                "security": [],
                "responses": answers,
            }
        }

    metrics = get("metrics", "Prometheus metrics; with a key, of the meter too", kind="text/plain")
    metrics["get"]["security"] = [{}, {"key": []}]
    refusals = (401, 403, 429, 500, 503, 504)
    metrics["get"]["responses"] |= {str(n): {"$ref": f"#/components/responses/Problem{n}"} for n in refusals}
    return {
        "/health/live": get("live", "Whether the process answers"),
        "/health/ready": get("ready", "Whether requests can be served", fails=True),
        "/health": get("health_of_the_meter", "Whether health() has no problems", fails=True),
        "/metrics": metrics,
    }
