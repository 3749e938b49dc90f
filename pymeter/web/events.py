"""POST /v1/events: one event or many, as plain JSON or as CloudEvents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from pymeter import exact_json
from pymeter.web import body, cloudevents
from pymeter.web.catalog import Catalog, Function
from pymeter.web.database import Database, Session
from pymeter.web.problems import Problem, bad_value, of_database, status_of
from pymeter.web.rpc import call, check_required, from_json, storable

_FIELDS = ("subject", "metric", "quantity", "member", "idempotency_key", "at", "metadata")
_TRUE, _FALSE = ("true", "1", ""), ("false", "0")
# The end of the period of the limit that has refused; a budget is none of them.
_RESET = """
SELECT extract(epoch FROM min(l.until) - clock_timestamp())
FROM {}.effective_limits(%s, %s) l WHERE l.name = %s AND isfinite(l.until)
"""


@dataclass(frozen=True)
class Sent:
    """What a request has sent."""

    events: list[Any]
    is_batch: bool


class Events:
    """The route."""

    def __init__(self, database: Database, catalog: Catalog, limits: body.Limits) -> None:
        self._database = database
        self._catalog = catalog
        self._limits = limits

    async def endpoint(self, request: Request) -> Response:
        """Record what was sent: the answer is a row, or a row for each event of an array."""
        self._database.check_form(request)
        strict = _is_strict(request)
        sent = await self._sent(request)
        name = "record_batch" if sent.is_batch else "record"
        function = await self._catalog.get(name)
        if function is None:
            raise Problem(
                403,
                "this server accepts no keys of the level write",
                sqlstate="42501",
                hint="Grant its login role a role with just this level: pymeter web --print-roles.",
            )
        try:
            async with self._database.session(request) as session:
                if sent.is_batch:
                    return await self._record_all(session, function, sent.events, strict)
                return await self._record_one(session, function, sent.events[0], strict)
        except psycopg.Error as error:
            raise of_database(error, name) from error

    async def _sent(self, request: Request) -> Sent:
        """The events of the request, by its content type."""
        kind = body.content_type(request)
        raw = await body.read(request, self._limits)
        if kind == cloudevents.STRUCTURED:
            sent = Sent([cloudevents.to_event(body.parsed(raw))], is_batch=False)
        elif kind == cloudevents.BATCH:
            found = body.parsed(raw)
            if not isinstance(found, list):
                raise bad_value("the batch is not an array", "Send a JSON array of CloudEvents.")
            sent = Sent([cloudevents.to_event(one) for one in found], is_batch=True)
        elif cloudevents.is_binary(request.headers):
            sent = Sent([cloudevents.from_binary(request.headers, raw)], is_batch=False)
        elif kind in ("", "application/json"):
            found = body.parsed(raw)
            if not isinstance(found, dict | list):
                raise bad_value("the body is no event", "Send a JSON object, or an array of objects.")
            sent = Sent(found, True) if isinstance(found, list) else Sent([found], False)
        else:
            raise Problem(
                415,
                "the content type is not supported",
                hint=f"Send application/json, {cloudevents.STRUCTURED} or {cloudevents.BATCH}.",
            )
        return _with_keys(sent, request.headers.get("idempotency-key"))

    async def _record_one(
        self, session: Session, function: Function, event: dict[str, Any], strict: bool
    ) -> Response:
        unknown = sorted(set(event) - set(_FIELDS))
        if unknown:
            raise bad_value("unknown field", f"The fields are {', '.join(_FIELDS)}.", unknown[0][:80])
        arguments = from_json(function, event)
        check_required(function, arguments)
        text = await call(session.connection, self._database.schema, function, arguments)
        row = exact_json.loads(text)
        status, headers = 200, {}
        if strict and row["outcome"] == "conflict":
            status = 409
        elif strict and row["outcome"] == "refused":
            # Committed: nothing is recorded, but the refusal is noted for those who want to be notified.
            status = 402
            headers = await self._retry_after(session, event, row["limited_by"])
        return Response(text, status, headers, media_type="application/json")

    async def _record_all(
        self, session: Session, function: Function, events: list[Any], strict: bool
    ) -> Response:
        try:
            document = exact_json.storable(events)
        except ValueError as error:
            raise bad_value(str(error), "Change it.", "events") from None
        arguments = {"events": document, "on_invalid": "skip"}
        text = await call(session.connection, self._database.schema, function, arguments)
        rows = exact_json.loads(text)
        if strict and (bad := [r for r in rows if r["outcome"] not in ("recorded", "duplicate")]):
            # An exception, so that the transaction is rolled back.
            raise _not_recorded(bad)
        return Response(text, media_type="application/json")

    async def _retry_after(
        self, session: Session, event: dict[str, Any], limit: str | None
    ) -> dict[str, str]:
        """Retry-After, until the limit resets. A writer may not ask for limits: the server does, for this."""
        if not await self._database.take_role_for(session.connection, "effective_limits"):
            return {}
        quoted = psycopg.sql.Identifier(self._database.schema)
        query = psycopg.sql.SQL(_RESET).format(quoted)
        row = await (
            await session.connection.execute(query, [event["subject"], event["metric"], limit])
        ).fetchone()
        if row is None or row[0] is None:
            return {}
        return {"Retry-After": str(max(math.ceil(row[0]), 1))}


def _not_recorded(bad: list[dict[str, Any]]) -> Problem:
    first = bad[0]
    statuses = {"refused": 402, "conflict": 409}
    status = statuses.get(first["outcome"]) or status_of(first["sqlstate"])
    return Problem(
        status,
        "an event of the batch cannot be recorded",
        sqlstate=first["sqlstate"],
        detail=f"Event {first['ordinal']}: {first['message'] or first['outcome']}. Nothing was recorded.",
        hint=first["hint"] or "Leave these events out, or send the batch without strict.",
        more={"outcomes": bad},
    )


def _with_keys(sent: Sent, key: str | None) -> Sent:
    """The header Idempotency-Key is the key of events without one; of an array, with their places."""
    if key is None:
        return sent
    if not storable("idempotency_key", key):
        # With the places of an array appended it would be a key, the same for every array.
        raise bad_value("the header Idempotency-Key is empty", "Send a key, or no header.", "idempotency_key")
    if not sent.is_batch:
        return Sent([_with_key(sent.events[0], key)], False)
    return Sent([_with_key(event, f"{key}:{place}") for place, event in enumerate(sent.events, 1)], True)


def _with_key(event: Any, key: str) -> Any:
    """Null is no key: many programs send it for a field that is not set."""
    if not isinstance(event, dict) or event.get("idempotency_key") is not None:
        return event
    return event | {"idempotency_key": key}


def _is_strict(request: Request) -> bool:
    names = [name for name, _ in request.query_params.multi_items()]
    if names not in ([], ["strict"]):
        raise bad_value("unknown or repeated parameter", "The only one is ?strict=true.", names[-1][:80])
    text = request.query_params.get("strict", request.headers.get("pymeter-strict", "false")).lower()
    if text not in (*_TRUE, *_FALSE):
        raise bad_value("strict is neither true nor false", "Send ?strict=true.", "strict")
    return text in _TRUE
