"""/health/live, /health/ready, /health and /metrics: for a supervisor, a load balancer and a monitor."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pymeter.async_client import AsyncMeter
from pymeter.operate.prometheus import CONTENT_TYPE, as_text
from pymeter.web.database import Database
from pymeter.web.problems import unavailable
from pymeter.web.recent import Recent

# Without a key anybody can ask: an answer is kept for so long, and one request at a time asks the database.
_KEPT_SECONDS = 1.0
_TO_ASK = "SELECT healthy, problems FROM {}.health()"


class Observing:
    """The routes, and what they count."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._problems = Recent(database.check)
        self._health = Recent(self._ask_health)
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "pymeter_http_requests", "Requests answered.", ("route", "status"), registry=self._registry
        )
        self.seconds = Histogram(
            "pymeter_http_request_seconds", "Until the answer.", ("route",), registry=self._registry
        )

    async def live(self, _request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"live": True})

    async def ready(self, _request: Request) -> Response:
        """Requests can be served: the database, the meter and the roles are there."""
        problems = await self._problems.get(_KEPT_SECONDS)
        return JSONResponse({"ready": not problems, "problems": problems}, 503 if problems else 200)

    async def health(self, _request: Request) -> Response:
        """What health() says, with its problems and without notices, which name subjects."""
        healthy, found = await self._health.get(_KEPT_SECONDS)
        return JSONResponse({"healthy": healthy, "problems": found}, 200 if healthy else 503)

    async def _ask_health(self) -> tuple[bool, list[str]]:
        from psycopg import sql

        async with self._database.transaction() as connection:
            if not await self._database.take_role_for(connection, "health"):
                raise unavailable("no role of this server may call health()")
            query = sql.SQL(_TO_ASK).format(sql.Identifier(self._database.schema))
            row = await (await connection.execute(query)).fetchone()
        assert row is not None
        return row[0], row[1]

    async def metrics(self, request: Request) -> Response:
        """Prometheus metrics: of requests; with a key of level read, of the meter too."""
        text = generate_latest(self._registry).decode()
        if request.headers.get("authorization"):
            async with self._database.session(request, reads=True) as session:
                meter = AsyncMeter(session.connection, schema=self._database.schema)
                text += as_text(await meter.operational_metrics())
        return Response(text, media_type=CONTENT_TYPE)


class Counted:
    """Counts and times requests by route; not by path, which has as many values as clients can think of."""

    def __init__(self, app: ASGIApp, observing: Observing) -> None:
        self._app = app
        self._observing = observing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self._observing.requests.labels(route, str(status)).inc()
            self._observing.seconds.labels(route).observe(time.perf_counter() - began)
