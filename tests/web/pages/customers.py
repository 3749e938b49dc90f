"""A meter with all that the pages of a subject show, and a server of it for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from pymeter.web import app
from tests.access.conftest import PASSWORD, Roles
from tests.helpers import Ledger
from tests.keys.conftest import Server
from tests.web.conftest import Api, running

HOSTILE = 'a/b "<script>alert(1)</script>" \u202e\u05e9\u05dc\u05d5\u05dd/&?#% '
NOW = datetime.now(UTC)
MONTH = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
BEFORE = (MONTH - timedelta(days=1)).replace(day=1)
HUGE = "1234567890123456789012345678901234567890"


def fill(ledger: Ledger) -> None:
    """Customers with a plan, limits, top-ups, a reservation, a statement, late usage and corrections."""
    ledger.define("tokens", "sum", "token")
    ledger.define("calls", "count", "call")
    ledger.define("drops", "sum", "drop")
    ledger.call("define_plan", plan="team")
    graduated = {
        "model": "graduated",
        "currency": "EUR",
        "tiers": [{"up_to": "100", "unit_amount": "0.10"}, {"up_to": None, "unit_amount": "0.05"}],
    }
    flat = {"model": "flat", "flat_amount": "20", "currency": "EUR"}
    ledger.call("define_price", plan="team", item="base", price=Jsonb(flat), name="Base fee")
    ledger.call("define_price", plan="team", item="tokens", price=Jsonb(graduated), metric="tokens")
    for subject in ("acct_1", HOSTILE):
        ledger.call("subscribe", subject=subject, plan="team", since=BEFORE - timedelta(days=40))
        ledger.record(subject, "tokens", 40, idempotency_key="old", at=BEFORE + timedelta(days=2))
        for n, at in enumerate((MONTH, MONTH + (NOW - MONTH) / 2, NOW)):
            given = {"idempotency_key": f"req_{n}", "at": at, "metadata": {"model": f"m{n % 2}"}}
            ledger.record(subject, "tokens", 60, **given)
            ledger.record(subject, "calls", **given)
    ledger.record("acct_1", "drops", HUGE)
    ledger.call("set_limit", metric="tokens", quota=250, subject="acct_1", period="cycle")
    ledger.call("set_limit", metric="tokens", quota=1000, plan="team", period="cycle")
    ledger.call("top_up", subject="acct_1", metric="tokens", quantity=50, idempotency_key="t", reason="gift")
    ledger.call("reserve", subject="acct_1", metric="tokens", quantity=25, idempotency_key="r")
    ledger.call("close_period", subject="acct_1", since=BEFORE, until=MONTH)
    ledger.record("acct_1", "tokens", 3, idempotency_key="late", at=BEFORE + timedelta(days=3))
    ledger.call(
        "amend_event", subject="acct_1", metric="tokens", idempotency_key="req_1", quantity=50, reason="r"
    )
    ledger.call("grant_credit", subject="acct_1", amount=5, currency="EUR", idempotency_key="c")
    ledger.call("set_budget", subject="acct_1", amount=40, currency="EUR")
    ledger.call("judge_budgets")


@contextmanager
def serving(dsn: str, **options: Any) -> Iterator[Api]:
    """The application on this database, in a server."""
    roles = Roles(dsn)
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            login = make_conninfo(dsn, user=Server(roles).role, password=PASSWORD)
            with running(app(login, **options)) as base:
                made = Api(base, Ledger(connection))
                yield made
                made.client.close()
    finally:
        roles.close()
