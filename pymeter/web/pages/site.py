"""What all pages share: who looks, the transaction, templates, links, and errors that are pages, too."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg
from jinja2 import Environment, PackageLoader, StrictUndefined
from psycopg_pool import PoolTimeout, TooManyRequests
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from pymeter import __version__
from pymeter.calls.result import Row
from pymeter.invoice_page.lines import capitalised
from pymeter.invoice_page.words import TOTAL, Line, metric_name, metric_names, title
from pymeter.models import InvoiceProjection
from pymeter.visible import visible
from pymeter.web import body
from pymeter.web.database import Connection, Database
from pymeter.web.pages import wording
from pymeter.web.pages.asking import Answer, Asker, quoted
from pymeter.web.pages.sessions import Sessions, SignedIn
from pymeter.web.pages.tables import Column, Table, csv_response
from pymeter.web.problems import Problem, of_database, on_http_error, unavailable

logger = logging.getLogger("pymeter.web")

Endpoint = Callable[[Request], Awaitable[Response]]
_STATIC = Path(__file__).parent / "static"
_STYLE = (_STATIC / "pages.css").read_text(encoding="utf-8")
_ICON = (_STATIC / "icon.svg").read_text(encoding="utf-8")
_KEPT = {"Cache-Control": "max-age=300"}
_UNKNOWN = "Whether the change was made is not known: look at the page before you send the form again."
_UNCHANGED = "Nothing was changed: send the form again."
_OF_PROGRAMS = ("/v1/", "/openapi.json", "/health", "/metrics")
_LOST = "the database cannot be reached"
_ROWS = 50
_ROWS_OF_CSV = 10_000
UNCACHED = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class Site:
    """The pages of one application."""

    def __init__(self, database: Database, limits: body.Limits, embed_in: Sequence[str] = ()) -> None:
        self.database = database
        self.limits = limits
        self.sessions = Sessions()
        self.frame_ancestors = " ".join(["'self'", *embed_in])
        self._environment = _environment(database.schema)

    def route(self, path: str, endpoint: Endpoint, *, methods: Sequence[str] = ("GET",)) -> Route:
        """A route of a page: its errors are pages, too."""

        async def guarded(request: Request) -> Response:
            try:
                body.check_query(request)
                return await endpoint(request)
            except psycopg.errors.InvalidAuthorizationSpecification:
                response = self.to_sign_in(request)
                self.sessions.end(request, response)  # a key was revoked, or has expired
                return response
            except psycopg.Error as error:
                return self.problem(request, of_database(error))
            except Problem as problem:
                if problem.status == 401:
                    return self.to_sign_in(request)
                return self.problem(request, problem)
            except Exception as error:
                logger.error("unexpected error of the page %s", path, exc_info=error)
                return self.problem(request, Problem(500, "internal error"))

        return Route(path, guarded, methods=list(methods), name=path)

    @asynccontextmanager
    async def page(self, request: Request) -> AsyncIterator[Page]:
        """A page to look at: its numbers are of one instant, and nothing that is asked can change anything.

        Raises Problem 401 if nobody is signed in.
        """
        signed_in = self._signed_in(request)
        async with self.database.transaction() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            page = Page(self, request, signed_in, self._asker(connection, signed_in))
            await page.name_metrics()
            yield page

    @asynccontextmanager
    async def action(self, request: Request) -> AsyncIterator[tuple[Page, dict[str, str]]]:
        """What a form does, in one transaction: the page, and the form's fields.

        Raises Problem 403 for a form that is not one of this browser's pages.
        """
        signed_in = self._signed_in(request)
        fields = await self.fields(request)
        if not secrets.compare_digest(fields.pop("form_token", "").encode(), signed_in.form_token.encode()):
            raise Problem(
                403, "the form is not of this site, or is old", hint="Load the page again, and send it."
            )
        is_ended = False
        try:
            async with self.database.transaction() as connection:
                yield Page(self, request, signed_in, self._asker(connection, signed_in)), fields
                is_ended = True
        except (psycopg.OperationalError, Problem) as error:
            if not _is_loss(error):
                raise
            # The rest of the transaction is COMMIT: if it gets no answer, nobody knows.
            raise unavailable(_LOST, _UNKNOWN if is_ended else _UNCHANGED) from error

    async def fields(self, request: Request) -> dict[str, str]:
        """The fields of a form that this site's pages sent. Raises Problem 403 for others, 400."""
        if _is_of_another_site(request):
            raise Problem(403, "the form was sent by another site", hint="Open the page here.")
        raw = await body.read(request, self.limits)
        try:
            return dict(parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=100, errors="strict"))
        except ValueError:
            raise Problem(400, "the form cannot be read", hint="Load the page again, and send it.") from None

    def _asker(self, connection: Connection, signed_in: SignedIn) -> Asker:
        return Asker(self.database, connection, signed_in.keys, most_bytes=self.limits.answer_bytes)

    def _signed_in(self, request: Request) -> SignedIn:
        found = self.sessions.of(request)
        if found is None:
            raise Problem(401, "nobody is signed in")
        return found

    def to_sign_in(self, request: Request) -> Response:
        """To the form for a key, and back here afterwards."""
        path = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
        back = path if request.method == "GET" else ""
        root = request.scope.get("root_path", "")
        return RedirectResponse(
            link(root, "/sign-in", back=back.removeprefix(root) or None), 303, headers=UNCACHED
        )

    async def on_http_error(self, request: Request, error: Exception) -> Response:
        """Starlette's handler for its own errors: a page for a person, who has mistyped an address say."""
        path = request.url.path.removeprefix(request.scope.get("root_path", ""))
        is_of_programs = path.startswith(_OF_PROGRAMS) or "text/html" not in request.headers.get("accept", "")
        if is_of_programs or not isinstance(error, HTTPException) or error.status_code != 404:
            return await on_http_error(request, error)
        return self.problem(
            request, Problem(404, "no such page", hint="Its address may be mistyped, or old.")
        )

    def problem(self, request: Request, problem: Problem) -> Response:
        """An error as a page."""
        signed_in = self.sessions.of(request)
        path = request.url.path.removeprefix(request.scope.get("root_path", ""))
        # What was typed is there to be corrected.
        asked = path if signed_in is not None and request.method == "GET" else None
        values = {"title": problem.fields["title"], "problem": problem.fields, "here": "", "asked": asked}
        response = self.render(request, signed_in, "problem.html.jinja", values)
        response.status_code = problem.status
        response.headers.update(problem.headers)
        return response

    def render(
        self,
        request: Request,
        signed_in: SignedIn | None,
        template: str,
        values: Mapping[str, Any],
        *,
        frame_ancestors: str = "'none'",
        nonce: str = "",
    ) -> Response:
        """The template as an answer that no cache keeps, and that may load nothing of anybody else."""
        root = request.scope.get("root_path", "")
        query = dict(request.query_params)
        timezone = str(values.get("timezone") or (signed_in.timezone if signed_in else "UTC"))
        told = ""
        if signed_in is not None:
            told, signed_in.told = signed_in.told, ""
        text = self._environment.get_template(template).render(
            {
                "url": lambda path, /, **query: link(root, path, **query),
                "csv_of": lambda table: f"?{urlencode(query | {'csv': table})}",
                "with_query": lambda name, value: _with_query(query, name, value),
                "given": lambda name: query.get(name, ""),
                "query": query,
                "here": request.url.path.removeprefix(root),
                "here_with_query": link("", request.url.path.removeprefix(root), **query),
                "signed_in": signed_in,
                "timezone": timezone,
                "time": lambda value: wording.moment(value, timezone),
                "span": lambda since, until: wording.span(since, until, timezone),
                "now": datetime.now(UTC).replace(microsecond=0),
                "told": told,
                "version": __version__,
                "style": _STYLE_NAME,
                **values,
            }
        )
        style = "'self'" + (f" 'nonce-{nonce}'" if nonce else "")
        policy = (
            f"default-src 'none'; style-src {style}; img-src 'self'; form-action 'self'; base-uri 'none';"
            f" frame-ancestors {frame_ancestors}"
        )
        return HTMLResponse(text, headers={**UNCACHED, "Content-Security-Policy": policy})


class Page:
    """A page that somebody looks at: what it asks, and how it is written."""

    def __init__(self, site: Site, request: Request, signed_in: SignedIn, asker: Asker) -> None:
        self.site = site
        self.request = request
        self.signed_in = signed_in
        self.ask = asker.ask
        self.try_ask = asker.try_ask
        self.may = asker.may
        self.timezone = signed_in.timezone
        self.now = datetime.now(UTC)
        self.names: dict[str, str | None] = {}
        """The display names of metrics, by their keys."""
        self._titles: dict[str, str] = {}

    async def name_metrics(self) -> None:
        """Read what people call the metrics, for whoever may read it."""
        if self.csv is None and self.may("catalog"):
            self.set_names({row["key"]: row["name"] for row in (await self.try_ask("catalog")).rows})

    def set_names(self, names: dict[str, str | None]) -> None:
        """What the metrics are called: the display names, by their keys."""
        self.names, self._titles = names, metric_names(names)

    def named(self, metric: str) -> str:
        """What people call a metric; the CSV of a table has its key."""
        return metric_name(metric, self._titles)

    def title(self, line: Line | InvoiceProjection) -> str:
        """What a line of an invoice is of."""
        if line.kind == TOTAL:
            return "Total"
        is_named = line.name is not None or line.item is not None or line.metric is not None
        return title(line, self._titles) if is_named else capitalised(title(line))

    def metric_column(self, below: Callable[[Row], str] | None = None, **more: Any) -> Column:
        """The metric of a row."""
        return Column("metric", "Metric", of=lambda row: self.named(row["metric"]), below=below, **more)

    def given(self, name: str) -> str | None:
        """A value of the query; None if it is not there, or blank."""
        return self.request.query_params.get(name, "").strip() or None

    @property
    def csv(self) -> str | None:
        """The table that is wanted as CSV."""
        return self.given("csv")

    def most(self, table: str, rows: int = _ROWS) -> int:
        """How many rows to ask for: more, if the table is wanted as CSV."""
        return _ROWS_OF_CSV if self.csv == table else rows

    def next(self, answer: Answer, most: int, /, **after: Any) -> str | None:
        """The address of the next page: the same with `after`. None if this is the last one."""
        if len(answer.rows) < most:
            return None
        query = dict(self.request.query_params) | {name: str(value) for name, value in after.items()}
        query.pop("csv", None)
        return f"?{urlencode(query)}"

    def link(self, path: str, /, **query: Any) -> str:
        """The address of another page."""
        return link(self.request.scope.get("root_path", ""), path, **query)

    def render(self, template: str, tables: Sequence[Table] = (), **values: Any) -> Response:
        """The page; or one of its tables as CSV."""
        by_name = {table.name: table for table in tables}
        if self.csv is not None:
            table = by_name.get(self.csv)
            if table is None:
                raise Problem(404, "no such table", hint="Follow the link beside the table.")
            if table.answer.problem is not None:
                raise table.answer.problem
            response = csv_response(table)
            response.headers.update(UNCACHED)
            return response
        found = {"tables": by_name, "now": self.now, "named": self.named, **values}
        return self.shown(template, found)

    def shown(self, template: str, values: Mapping[str, Any]) -> Response:
        """The template in the frame of this page."""
        return self.site.render(self.request, self.signed_in, template, values)

    def done(self, told: str, path: str, /, **query: Any) -> Response:
        """After a form: to a page, which tells once what has been done."""
        self.signed_in.told = told
        return RedirectResponse(self.link(path, **query), 303, headers=UNCACHED)


def link(root: str, path: str, /, **query: Any) -> str:
    """The address of a page, with what is not None as its query, whatever the names in it."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{root}{path}?{urlencode(given)}" if given else f"{root}{path}"


def _is_loss(error: psycopg.OperationalError | Problem) -> bool:
    """Whether the connection was lost in a transaction, or cut."""
    if isinstance(error, PoolTimeout | TooManyRequests):
        return False
    if isinstance(error, Problem):
        sqlstate, is_lost = error.fields["sqlstate"], error.status == 503
    else:
        sqlstate, is_lost = error.sqlstate, True
    return is_lost and (sqlstate is None or sqlstate.startswith(("08", "57P")))


def _is_of_another_site(request: Request) -> bool:
    """Whether a browser says that a form was sent by a page of another site."""
    origin = request.headers.get("origin")
    try:
        is_foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    except ValueError:  # no address
        return True
    return is_foreign or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def _with_query(query: Mapping[str, str], name: str, value: str | None) -> str:
    """The address with another choice, or with none: from its first page on."""
    kept = {
        key: text for key, text in query.items() if key not in (name, "csv") and not key.startswith("after")
    }
    return f"?{urlencode(kept if value is None else kept | {name: value})}"


def _environment(schema: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("pymeter.web.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "quantity": wording.quantity,
        "rounded": wording.rounded,
        "rate": wording.rate,
        "amount": wording.amount,
        "ago": wording.ago,
        "tone": wording.tone,
        "visible": visible,
        "written": wording.text,
        "with_code": lambda hint: wording.with_code(hint, quoted(schema)),
    }
    return environment


_STYLE_NAME = "pages.css"


async def style(_request: Request) -> Response:
    """The stylesheet."""
    return Response(_STYLE, media_type="text/css", headers=_KEPT)


async def icon(_request: Request) -> Response:
    """The icon of the pages."""
    return Response(_ICON, media_type="image/svg+xml", headers=_KEPT)
