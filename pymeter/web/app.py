"""The application: its routes, and what they share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from pymeter import exact_json
from pymeter.web import pages, problems
from pymeter.web.auth import FailedAttempts
from pymeter.web.body import Limits
from pymeter.web.catalog import Catalog
from pymeter.web.database import Database
from pymeter.web.events import Events
from pymeter.web.observing import Counted, Observing
from pymeter.web.openapi import document
from pymeter.web.rpc import Rpc


def app(
    database: str | AsyncConnectionPool[Any],
    *,
    schema: str = "meter",
    routes: Sequence[BaseRoute] = (),
    max_bytes: int = 1 << 20,
    max_answer_bytes: int = 32 << 20,
    body_seconds: float = 10.0,
    statement_seconds: float = 10.0,
    connections: int = 10,
    waiting: int = 100,
    wait_seconds: float = 2.0,
    failed_attempts: int = 20,
    embed_in: Sequence[str] = (),
    start: tuple[str, tuple[str, ...]] | None = None,
) -> Starlette:
    """The HTTP API as an ASGI application, which can be mounted into another one.

    Args:
        database: The DSN of a role with the level ``login``, or an open pool of such a role's connections.
        schema: Where the meter is.
        routes: More routes, of pages say. ``request.app.state.database`` is their database.
        max_bytes: How large a request's body may be.
        max_answer_bytes: How large the result of a function may be.
        body_seconds: How long it may take to arrive.
        statement_seconds: How long a statement may take.
        connections: How many connections are opened, if `database` is a DSN.
        waiting: How many requests wait for one; others get 503 at once.
        wait_seconds: How long they wait.
        failed_attempts: How many failed attempts with a key an address has in a minute.
        embed_in: Sites whose pages may frame a customer's page: ``https://app.example.com``.
        start: A code, and keys: whoever opens ``/start/CODE`` is signed in to the pages with them.
    """
    pool, dsn = (None, database) if isinstance(database, str) else (database, None)
    shared = Database(
        dsn,
        pool,
        schema=schema,
        connections=connections,
        waiting=waiting,
        wait_seconds=wait_seconds,
        statement_seconds=statement_seconds,
        attempts=FailedAttempts(failed_attempts),
    )
    catalog = Catalog(shared)
    limits = Limits(max_bytes, body_seconds, max_answer_bytes)
    observing = Observing(shared)
    site = pages.Site(shared, limits, embed_in)

    written: tuple[object, str, str] = (None, "", "")

    async def openapi(request: Request) -> Response:
        nonlocal written
        base = str(request.scope.get("root_path", "")) or "/"
        functions = await catalog.functions()
        # Anybody can ask for it, and to write it takes as long as many requests.
        if written[0] is not functions or written[1] != base:
            written = functions, base, exact_json.dumps(document(functions, base, max_bytes))
        return Response(written[2], media_type="application/json")

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await shared.close()

    made = Starlette(
        routes=[
            Route("/v1/events", Events(shared, catalog, limits).endpoint, methods=["POST"]),
            _of_any_method("/v1/rpc/{function}", Rpc(shared, catalog, limits).endpoint),
            Route("/openapi.json", openapi),
            Route("/health/live", observing.live),
            Route("/health/ready", observing.ready),
            Route("/health", observing.health),
            Route("/metrics", observing.metrics),
            *pages.routes(site, start),
            *routes,
        ],
        middleware=[Middleware(Counted, observing=observing)],
        exception_handlers={
            problems.Problem: problems.on_problem,
            psycopg.Error: problems.on_database_error,
            HTTPException: site.on_http_error,
            Exception: problems.on_any_error,
        },
        lifespan=lifespan,
    )
    # A redirect leads to the host and the scheme that the server sees: behind a proxy with TLS, to http.
    made.router.redirect_slashes = False
    made.state.database = shared
    return made


def _of_any_method(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
    """A route that says itself which methods it supports: that depends on the function."""
    made = Route(path, endpoint)
    made.methods = None
    return made
