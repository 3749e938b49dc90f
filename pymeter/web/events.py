"""POST /v1/events: one event or many, as plain JSON or as CloudEvents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from starlette.requests import Request
from starlette.responses import Response

from pymeter import exact_json
from pymeter.web import body, cloudevents, forms
from pymeter.web.catalog import Catalog, Function
from pymeter.web.database import Database, Session
from pymeter.web.problems import Problem, bad_value, of_database, status_of
from pymeter.web.rpc import call, check_required, from_json, storable

_FIELDS = ("subject", "metric", "quantity", "member", "idempotency_key", "at", "metadata")
# A row of the answer takes hundreds of bytes, also for an element of two bytes that is no event.
_EVENTS_MAX = 10_000
_TRUE, _FALSE = ("true", "1", ""), ("false", "0")
# The end of the period of the limit that has refused: several may have its name. Nothing for a budget, which
# is no limit, and for a period that has ended: it is full for ever.
_RESET = """
SELECT extract(epoch FROM q.until - clock_timestamp())
FROM {schema}.check_quota(%(subject)s, %(metric)s, now => coalesce(%(at)s::timestamptz, now())) q
WHERE q.limited_by = %(limit)s AND isfinite(q.until) AND q.until > clock_timestamp()
  AND q.limited_by IN (SELECT l.name FROM {schema}.effective_limits(%(subject)s, %(metric)s) l)
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
        arguments = _arguments(function, sent)
        is_batch = sent.is_batch
        del sent  # what was parsed is many times as large as its text: it does not wait for the database
        try:
            async with self._database.session(request) as session:
                text = await call(
                    session.connection, self._database.schema, function, arguments, self._limits
                )
                if is_batch:
                    return _answer_to_all(text, strict)
                return await self._answer_to_one(session, text, arguments, strict)
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
        if len(sent.events) > _EVENTS_MAX:
            raise Problem(413, "too many events", hint=f"Send at most {_EVENTS_MAX} events at once.")
        return _with_keys(sent, request.headers.get("idempotency-key"))

    async def _answer_to_one(
        self, session: Session, text: str, arguments: dict[str, Any], strict: bool
    ) -> Response:
        status, headers = 200, {}
        if strict:
            row = exact_json.loads(text)
            if row["outcome"] == "conflict":
                status = 409
            elif row["outcome"] == "refused":
                # Committed: nothing is recorded, but the refusal is noted for those who want to be notified.
                status = 402
                headers = await self._retry_after(session, arguments, row["limited_by"])
        return Response(text, status, headers, media_type="application/json")

    async def _retry_after(
        self, session: Session, arguments: dict[str, Any], limit: str | None
    ) -> dict[str, str]:
        """Retry-After, until the limit resets. A writer may not ask for limits: the server does, for this."""
        if not await self._database.take_role_for(session.connection, "check_quota"):
            return {}
        query = sql.SQL(_RESET).format(schema=sql.Identifier(self._database.schema))
        given = {name: arguments.get(name) for name in ("subject", "metric", "at")} | {"limit": limit}
        row = await (await session.connection.execute(query, given)).fetchone()
        if row is None or row[0] is None:
            return {}
        return {"Retry-After": str(max(math.ceil(row[0]), 1))}


def _arguments(function: Function, sent: Sent) -> dict[str, Any]:
    """Arguments of record() or record_batch()."""
    if sent.is_batch:
        try:
            return {"events": exact_json.storable(sent.events), "on_invalid": "skip"}
        except ValueError as error:
            raise bad_value(str(error), "Change it.", "events") from None
    event = sent.events[0]
    unknown = sorted(set(event) - set(_FIELDS))
    if unknown:
        raise bad_value("unknown field", f"The fields are {', '.join(_FIELDS)}.", unknown[0][:80])
    arguments = from_json(function, event)
    forms.check_event_time(event.get("at"))
    check_required(function, arguments)
    return arguments


def _answer_to_all(text: str, strict: bool) -> Response:
    if strict:
        rows = exact_json.loads(text)
        if bad := [row for row in rows if row["outcome"] not in ("recorded", "duplicate")]:
            # An exception, so that the transaction is rolled back.
            raise _not_recorded(bad)
    return Response(text, media_type="application/json")


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
