"""Pages for people: for operators, and for a customer, who looks at its own usage. Without JavaScript."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from pymeter.web.pages.corrections import Corrections
from pymeter.web.pages.late import LateUsage
from pymeter.web.pages.notifications import Notifications
from pymeter.web.pages.overview import Overview
from pymeter.web.pages.prices import Prices
from pymeter.web.pages.reporting import Reporting
from pymeter.web.pages.signing_in import SigningIn
from pymeter.web.pages.site import Site, style
from pymeter.web.pages.statements import Statements

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
        *_deciding(site),
    ]


def _deciding(site: Site) -> list[BaseRoute]:
    """Where a person decides: corrections, late usage, what a biller refused, what could not be sent."""
    corrections, statements, late = Corrections(site), Statements(site), LateUsage(site)
    reporting, notifications = Reporting(site), Notifications(site)
    shown = {
        "/corrections": corrections.get,
        "/correction": corrections.one,
        "/statements": statements.get,
        "/statement": statements.one,
        "/statement/document": statements.document,
        "/statement/invoice": statements.invoice,
        "/late-usage": late.get,
        "/late-line": late.one,
        "/reporting": reporting.get,
        "/push": reporting.one,
        "/notifications": notifications.get,
        "/endpoint": notifications.endpoint,
        "/delivery": notifications.delivery,
    }
    sent = {
        "/correction/approve": corrections.approve,
        "/correction/reject": corrections.reject,
        "/correction/revert": corrections.revert,
        "/late-line/settle": late.settle,
        "/reporting/retry": reporting.retry,
        "/reporting/leave": reporting.leave,
        "/push/resolve": reporting.resolve,
        "/endpoint/test": notifications.test,
        "/endpoint/retry": notifications.retry,
    }
    return [
        *(site.route(path, page) for path, page in shown.items()),
        *(site.route(path, action, methods=["POST"]) for path, action in sent.items()),
    ]
