"""The OpenAPI 3.1 document, made from the catalog: nothing of a function is written here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymeter import __version__
from pymeter.levels import LEVELS
from pymeter.web import schemas
from pymeter.web.catalog import Function
from pymeter.web.cloudevents import BATCH, STRUCTURED
from pymeter.web.problems import STATUSES

_ALWAYS = (400, 401, 402, 403, 404, 408, 409, 410, 413, 415, 421, 429, 500, 503, 504)
_TAGS = {
    "events": "Record events, with a key of the level write.",
    **{level: f"Calls that need a key of the level {level}." for level in LEVELS.values()},
    "own": "Calls with a key that is bound to a subject, or with a token.",
    "operation": "How the server and the meter are.",
}
_NOT_SERVED = ("owner", "login")
_KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 512},
    "description": "The key of what has none in the body: a repetition changes nothing.",
}
_RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
_HEADERS: Mapping[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    402: _RETRY_AFTER,
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
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
        "tags": [{"name": n, "description": d} for n, d in _TAGS.items() if n not in _NOT_SERVED],
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
            "schemas": schemas.named(functions),
            "responses": {f"Problem{status}": _refusal(status) for status in _ALWAYS},
        },
    }


def _refusal(status: int) -> dict[str, Any]:
    described = {"description": STATUSES[status], "content": {"application/problem+json": _of("Problem")}}
    return described | ({"headers": _HEADERS[status]} if status in _HEADERS else {})


def _of(name: str) -> dict[str, Any]:
    return {"schema": schemas.reference(name)}


def _calls(function: Function) -> dict[str, Any]:
    common = {
        "summary": function.summary,
        "description": function.description,
        "tags": [LEVELS.get(function.name, "other")],
        "responses": _answers(schemas.result(function)),
    }
    header = [_KEY_HEADER] if function.parameter("idempotency_key") is not None else []
    content = {"application/json": {"schema": schemas.arguments(function)}}
    required = any(one.required for one in function.parameters)
    posted = common | {
        "operationId": function.name,
        "parameters": header,
        "requestBody": {"content": content, "required": required},
    }
    if not function.reads:
        return {"post": posted}
    query = [
        {"name": one.name, "in": "query", "required": one.required, "schema": schemas.of_query(one)}
        for one in function.parameters
    ]
    asked = common | {"operationId": f"{function.name}_get", "parameters": query + header}
    return {"post": posted, "get": asked}


def _answers(result: dict[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = (
        {"204": {"description": "Done."}}
        if result is None
        else {"200": {"description": "The result.", "content": {"application/json": {"schema": result}}}}
    )
    return found | _refusals(*_ALWAYS)


def _refusals(*statuses: int) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in statuses}


def _record(functions: Mapping[str, Function]) -> dict[str, Any]:
    record, batch = functions["record"], functions.get("record_batch")
    rows = [schemas.result(record), *([schemas.result(batch)] if batch is not None else [])]
    answers = _answers({"anyOf": rows})
    for status in (402, 409):
        answers[str(status)] = _refusal(status) | {
            "description": STATUSES[status] + " One event: its row; an array: a problem, with the outcomes.",
            "content": {
                "application/json": {"schema": schemas.result(record)},
                "application/problem+json": _of("Problem"),
            },
        }
    event, cloudevent = schemas.reference("Event"), schemas.reference("CloudEvent")
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
                STRUCTURED: {"schema": cloudevent},
                BATCH: {"schema": {"type": "array", "items": cloudevent}},
            },
        },
        "responses": answers,
    }


def _of_operation() -> dict[str, Any]:
    def get(
        name: str, summary: str, *, kind: str = "application/json", fails: bool = False
    ) -> dict[str, Any]:
        content = {kind: {"schema": {"type": "string" if kind == "text/plain" else "object"}}}
        answers: dict[str, Any] = {"200": {"description": "Yes.", "content": content}}
        if fails:
            problem = {"application/problem+json": _of("Problem")}
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
    metrics["get"]["responses"] |= _refusals(401, 403, 429, 500, 503, 504)
    return {
        "/health/live": get("live", "Whether the process answers"),
        "/health/ready": get("ready", "Whether requests can be served", fails=True),
        "/health": get("health_of_the_meter", "Whether health() has no problems", fails=True),
        "/metrics": metrics,
    }
