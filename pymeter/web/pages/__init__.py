"""Pages for people: for operators, and for a customer, who looks at its own usage. Without JavaScript."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from pymeter.web.pages.overview import Overview
from pymeter.web.pages.prices import Prices
from pymeter.web.pages.signing_in import SigningIn
from pymeter.web.pages.site import Site, style

__all__ = ["Site", "routes"]


def routes(site: Site, start: tuple[str, tuple[str, ...]] | None = None) -> list[BaseRoute]:
    """All pages. `start`: a code, and the keys that its address signs in with."""
    signing_in = SigningIn(site, start)
    return [
        Route("/pages.css", style),
        site.route("/sign-in", signing_in.form),
        site.route("/sign-in", signing_in.sign_in, methods=["POST"]),
        site.route("/sign-out", signing_in.sign_out, methods=["POST"]),
        site.route("/time-zone", signing_in.timezone, methods=["POST"]),
        site.route("/start/{code}", signing_in.start),
        site.route("/", Overview(site).get),
        site.route("/prices", Prices(site).get),
    ]
