"""``pymeter demo --web``: the sample as pages."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.conninfo import make_conninfo
from rich.console import Console
from rich.text import Text

from pymeter.cli.demo_tour import PLAN, run
from pymeter.cli.errors import CliError
from pymeter.cli.output import good, note, stdout
from pymeter.cli.target import Target
from pymeter.client import Meter
from pymeter.models import KeyLevel, VoidEntry
from pymeter.program_connection import ProgramPool

_HOST = "127.0.0.1"
_KEYS_END_AFTER = timedelta(hours=12)
_LEVELS: tuple[KeyLevel, ...] = ("read", "report", "admin", "approve")
_QUOTA_OF_PLAN = 1_000_000
_OTHER_PLAN = "team"
_OTHER_PRICES: tuple[tuple[str, str | None, str, dict[str, Any]], ...] = (
    ("base", None, "Platform fee", {"model": "flat", "flat_amount": "90"}),
    ("seats", "seats", "Seats", {"model": "unit", "unit_amount": "4"}),
    ("tokens", "tokens", "Tokens", {"model": "package", "package_size": 100_000, "unit_amount": "3"}),
)
"""What the page of prices compares the plan with."""
_LATE_TOKENS = 5000


def serve_demo(database: Target, schema: str, seed: int, port: int) -> None:
    """Record the sample, and serve it until Ctrl-C."""
    try:
        from pymeter.web import app, embed_token, roles
        from pymeter.web.serving import serve
    except ModuleNotFoundError as exc:
        raise CliError(f"the pages need {exc.name}", "pip install 'pymeter-ledger[web]'") from None

    console = stdout()
    busiest = run(Console(quiet=True), database, schema, seed)
    with database.connect() as connection:
        roles.create(connection, schema)
        meter = Meter(ProgramPool(connection, mode="READ WRITE"), schema=schema)
        _add_what_waits(meter, busiest)
        until = datetime.now(UTC) + _KEYS_END_AFTER
        keys = tuple(
            meter.create_api_key(level, expires_at=until, name=f"demo {level}").key for level in _LEVELS
        )
    code = secrets.token_urlsafe(16)
    application = app(make_conninfo(database.dsn, user=roles.LOGIN), schema=schema, start=(code, keys))
    token = embed_token(keys[0], busiest, _KEYS_END_AFTER)
    site = f"http://{_HOST}:{port}"
    console.print(good(f"a sample of 10,000 events, in schema {schema} of {database.describe()}"))
    for title, address in (
        ("For operators, signed in", f"{site}/start/{code}"),
        (f"For the customer {busiest}", f"{site}/embed/usage?token={token}"),
        ("For programs", f"{site}/openapi.json"),
    ):
        console.print(Text(f"  {title}:", style="dim"))
        console.print(Text(f"    {address}", style="bold"), soft_wrap=True)
    console.print(note("Ctrl-C ends it"))
    serve(application, _HOST, port)


def _add_what_waits(meter: Meter, busiest: str) -> None:
    """What the tour does not show: other customers of the plan, a second plan, and decisions that wait."""
    meter.set_limit("tokens", _QUOTA_OF_PLAN, plan=PLAN, period="cycle", action="alert")
    others = [row.subject for row in meter.subjects() if row.subject not in (busiest, "racer", "writer")]
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for subject in others:
        meter.subscribe(subject, PLAN, since=midnight.replace(day=1))
    meter.define_plan(_OTHER_PLAN)
    for item, metric, name, price in _OTHER_PRICES:
        meter.define_price(_OTHER_PLAN, item, price, metric=metric, name=name)
    late = midnight.replace(day=1) - timedelta(hours=9)
    meter.record(busiest, "tokens", _LATE_TOKENS, idempotency_key="late", at=late)
    # Stripe takes no usage older than 35 days: of what is older, only a little is shown as held.
    meter.report_metric("requests", "api_requests", since=midnight - timedelta(days=36))
    for subject in [busiest, *others[:3]]:
        meter.report_subject(subject, f"cus_{subject}")
    meter.plan_pushes()
    correction = meter.open_correction("cached tokens were counted twice", idempotency_key="cached")
    events = meter.events(others[0], "tokens", max_rows=20)
    meter.stage_correction(
        correction,
        [VoidEntry(subject=e.subject, metric=e.metric, event_id=e.event_id, at=e.at) for e in events],
    )
    for _ in ("partitions for the sample", "what waits"):
        meter.maintain()
