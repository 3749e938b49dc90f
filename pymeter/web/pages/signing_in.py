"""Signing in with a key, with one more, by the address that a program printed, and out."""

from __future__ import annotations

import re
import secrets

import psycopg
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pymeter.times import read_zone
from pymeter.web.pages.sessions import Held
from pymeter.web.pages.site import Site
from pymeter.web.problems import Problem
from pymeter.web.tokens import credential

# No other host: browsers read // and /\\ as the beginning of one.
_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


class SigningIn:
    """The pages. `start`: a code whose address signs in with keys, for whoever started this process."""

    def __init__(self, site: Site, start: tuple[str, tuple[str, ...]] | None = None) -> None:
        self._site = site
        self._start_with = start

    async def form(self, request: Request) -> Response:
        """The form for a key."""
        return self._form(request, request.query_params.get("back", ""))

    def _form(self, request: Request, back: str, failed: str = "") -> Response:
        values = {"failed": failed, "back": back}
        response = self._site.render(request, self._site.sessions.of(request), "sign_in.html.jinja", values)
        if failed:
            response.status_code = 401
        return response

    async def sign_in(self, request: Request) -> Response:
        """Take the key of the form."""
        fields = await self._site.fields(request)
        back = fields.get("back", "")
        try:
            held = await self._held(request, fields.get("key", "").strip())
        except psycopg.errors.InvalidAuthorizationSpecification:
            return self._form(request, back, "The key is unknown, was revoked or has expired.")
        except Problem as problem:
            if problem.status not in (400, 401):
                raise
            return self._form(request, back, str(problem.fields["hint"]))
        response = self._to(request, back)
        self._site.sessions.add(request, response, held)
        return response

    async def start(self, request: Request) -> Response:
        """Sign in with the keys of the process that printed this address."""
        code, keys = self._start_with or ("", ())
        if not code or not secrets.compare_digest(request.path_params["code"].encode(), code.encode()):
            raise Problem(404, "no such page", hint="Sign in with a key.")
        response = self._to(request, "/")
        self._site.sessions.add(request, response, *[await self._held(request, key) for key in keys])
        return response

    async def sign_out(self, request: Request) -> Response:
        """End it, here and in this process."""
        response = self._to(request, "/sign-in")
        await self._site.fields(request)
        self._site.sessions.end(request, response)
        return response

    async def timezone(self, request: Request) -> Response:
        """The time zone that this browser's pages are in."""
        async with self._site.action(request) as (page, fields):
            name = fields.get("timezone", "").strip()
            try:
                read_zone(name)
            except ValueError as error:
                hint = "Write one like Europe/Berlin."
                raise Problem(400, str(error), sqlstate="22023", hint=hint) from None
            page.signed_in.timezone = name
        return self._to(request, fields.get("back", ""))

    async def _held(self, request: Request, key: str) -> Held:
        session = await self._site.database.holder(request, key)
        if session.subject is not None:
            hint = "The key is bound to one subject: see /embed/usage."
            raise Problem(400, "the key is of one subject", hint=hint)
        return Held(credential(key), session.key_id, session.name, session.level)

    def _to(self, request: Request, back: str) -> Response:
        path = back if _PATH.fullmatch(back) else "/"
        root = request.scope.get("root_path", "")
        return RedirectResponse(f"{root}{path}", 303, headers={"Cache-Control": "no-store"})
