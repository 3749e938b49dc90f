"""Pages for people: for operators, and for a customer, who looks at its own usage. Without JavaScript."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from pymeter.web.pages.corrections import Corrections
from pymeter.web.pages.embedded import Embedded
from pymeter.web.pages.events import Events
from pymeter.web.pages.late import LateUsage
from pymeter.web.pages.notifications import Notifications
from pymeter.web.pages.overview import Overview
from pymeter.web.pages.prices import Prices
from pymeter.web.pages.reporting import Reporting
from pymeter.web.pages.signing_in import SigningIn
from pymeter.web.pages.site import Site, icon, style
from pymeter.web.pages.statements import Statements
from pymeter.web.pages.subject import Subject
from pymeter.web.pages.subject_invoice import SubjectInvoice
from pymeter.web.pages.subject_limits import SubjectLimits
from pymeter.web.pages.subject_statements import SubjectStatements
from pymeter.web.pages.subjects import Subjects
from pymeter.web.pages.totals import Totals

__all__ = ["Site", "routes"]


def routes(site: Site, start: tuple[str, tuple[str, ...]] | None = None) -> list[BaseRoute]:
    """All pages. `start`: a code, and the keys that its address signs in with."""
    signing_in = SigningIn(site, start)
    return [
        Route("/pages.css", style),
        Route("/icon.svg", icon),
        site.route("/sign-in", signing_in.form),
        site.route("/sign-in", signing_in.sign_in, methods=["POST"]),
        site.route("/sign-out", signing_in.sign_out, methods=["POST"]),
        site.route("/time-zone", signing_in.timezone, methods=["POST"]),
        site.route("/start/{code}", signing_in.start),
        site.route("/", Overview(site).get),
        site.route("/prices", Prices(site).get),
        *_of_subjects(site),
        *_deciding(site),
        Route("/embed/usage", Embedded(site).get, name="/embed/usage"),
    ]


def _of_subjects(site: Site) -> list[BaseRoute]:
    invoice, events = SubjectInvoice(site), Events(site)
    return [
        site.route("/subjects", Subjects(site).get),
        site.route("/totals", Totals(site).get),
        site.route("/subject", Subject(site).get),
        site.route("/subject/invoice", invoice.get),
        site.route("/subject/invoice/print", invoice.printed),
        site.route("/subject/limits", SubjectLimits(site).get),
        site.route("/subject/statements", SubjectStatements(site).get),
        site.route("/events", events.of_subject),
        site.route("/all-events", events.of_all),
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
