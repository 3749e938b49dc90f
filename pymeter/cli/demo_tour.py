"""The steps of ``pymeter demo``: record a sample, then run every query once."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import psycopg
from psycopg import sql
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from pymeter.cli import closing_display, late_display
from pymeter.cli.chart import chart
from pymeter.cli.errors import CliError
from pymeter.cli.events import events_table
from pymeter.cli.invoice_display import InvoiceSheet
from pymeter.cli.output import bad, good, moment, note, number, progress, table, window
from pymeter.cli.server import find_psql
from pymeter.cli.target import Target
from pymeter.cli.usage import room
from pymeter.client import Meter
from pymeter.migrate import migrate
from pymeter.models import Aggregate, BatchOutcome, Invoice, StatementHeader, UsageTotal
from pymeter.program_connection import ProgramPool, transaction
from pymeter.sample import METRICS, Sample, make_sample
from pymeter.secrets import without_password

_MARK = "The playground of pymeter demo: every run drops this schema and makes it again."
_BATCH = 1000
_BUSIEST = 3
_CALLERS = 32
_LOCK_SECONDS_MAX = 10
PLAN = "pro"
_PRICES: tuple[tuple[str, str | None, str, dict[str, Any]], ...] = (
    ("base", None, "Platform fee", {"model": "flat", "flat_amount": "20"}),
    ("seats", "seats", "Seats", {"model": "unit", "unit_amount": "5"}),
    (
        "tokens",
        "tokens",
        "Tokens",
        {
            "model": "graduated",
            "tiers": [
                {"up_to": 100_000, "unit_amount": "0.0001"},
                {"up_to": None, "unit_amount": "0.00002"},
            ],
        },
    ),
)
"""The lines of the plan: item, metric, title, price."""


def run(console: Console, database: Target, schema: str, seed: int) -> str:
    """Show it all on `database`, in a `schema` that is the demo's own. Returns the busiest subject."""
    with database.connect() as connection:
        _prepare(console, connection, database, schema)
        meter = Meter(ProgramPool(connection, mode="READ WRITE"), schema=schema)
        sample = make_sample(datetime.now(UTC), seed)
        _define(console, meter)
        _ingest(console, meter, sample)
        busiest = _invoices(console, meter, sample)
        _quotas(console, meter, sample, busiest)
        _limit(console, meter, database, schema)
        _reserve(console, meter)
        _chart(console, meter, sample, busiest)
        _explain(console, meter, sample, busiest)
        _price(console, meter, sample, busiest)
        _budget(console, meter, busiest)
        header = _close(console, meter, sample, busiest)
        _dispute(console, meter, header)
        _bill_late(console, meter, header)
        _verify(console, meter)
    return busiest


def _title(console: Console, text: str, note: str = "") -> None:
    console.print()
    title = Text.assemble((text, "bold cyan"), (f"  {note}" if note else "", "dim"))
    console.print(Rule(title, align="left", style="dim"))


def _show(console: Console, thing: Any) -> None:
    console.print(Padding(thing, (0, 0, 0, 2), expand=False))


# --- steps --------------------------------------------------------------------------------------------------


def _prepare(console: Console, connection: psycopg.Connection[Any], database: Target, schema: str) -> None:
    _title(console, "A fresh meter")
    started = time.monotonic()
    name = sql.Identifier(schema)
    with transaction(connection):
        row = connection.execute(
            "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s", (schema,)
        ).fetchone()
    if row is not None:
        if row[0] != _MARK:
            raise CliError(
                f"schema {schema} exists and was not made by pymeter demo, which would drop it",
                "Choose another one with --schema.",
            )
        _refuse_foreign(connection, schema)
        with transaction(connection, mode="READ WRITE"):
            connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS_MAX}s'")
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(name))
    report = migrate(database.dsn, schema)
    with transaction(connection, mode="READ WRITE"):
        connection.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(name, sql.Literal(_MARK)))
    version = connection.info.server_version // 10000
    seconds = time.monotonic() - started
    _show(console, good(f"pymeter {report.version} installed into schema {schema} of {database.describe()}"))
    _show(
        console,
        Text(f"PostgreSQL {version}, {len(report.migrations)} migrations, {seconds:.1f} s", style="dim"),
    )


def _refuse_foreign(connection: psycopg.Connection[Any], schema: str) -> None:
    """Refuse a playground that another role made, or that somebody has defined metrics of their own in."""
    with transaction(connection):
        row = connection.execute(
            "SELECT nspowner::regrole::text, nspowner = current_user::regrole FROM pg_namespace"
            " WHERE nspname = %s",
            (schema,),
        ).fetchone()
        metrics = sql.Identifier(schema, "metrics")
        (exists,) = connection.execute("SELECT to_regclass(%s)", (metrics.as_string(None),)).fetchone() or [
            None
        ]
        found = (
            connection.execute(sql.SQL("SELECT key FROM {} ORDER BY key").format(metrics)).fetchall()
            if exists and row and row[1]
            else []
        )
    hint = "Choose another schema with --schema."
    if row is not None and not row[1]:
        raise CliError(f"schema {schema} belongs to {row[0]}, whose demo it may be", hint)
    foreign = {key for (key,) in found} - {metric["key"] for metric in METRICS}
    if foreign:
        raise CliError(
            f"schema {schema} holds metrics that pymeter demo did not define: {', '.join(sorted(foreign))}",
            hint,
        )


def _define(console: Console, meter: Meter) -> None:
    _title(console, "The catalog", "what is counted, and how")
    result = table("metric", "aggregate", "unit", "per", "is")
    for metric in METRICS:
        defined = meter.define_metric(
            metric["key"],
            cast(Aggregate, metric["aggregate"]),
            metric["unit"],
            name=metric["name"],
            carry=metric["aggregate"] == "last",
        )
        result.add_row(
            defined.key,
            defined.aggregate,
            defined.unit,
            defined.period,
            Text(defined.name or "", style="dim"),
        )
    _show(console, result)


def _ingest(console: Console, meter: Meter, sample: Sample) -> None:
    events = sample.delivered
    _title(
        console,
        "Recording",
        f"{number(len(events))} events: at least once, out of order, some wrong",
    )
    first, seconds = _deliver(events, meter)
    again, seconds_again = _deliver(events, meter)
    result = table("outcome", "events", "a second time", "", numbers=("events", "a second time"))
    meaning = {
        "recorded": "counted, once",
        "duplicate": "same key and payload: no change",
        "conflict": "same key, other payload: no change",
        "rejected": "refused, nothing written",
    }
    counts, counts_again = (Counter(outcome.outcome for outcome in outcomes) for outcomes in (first, again))
    styles = {"recorded": "green", "conflict": "yellow", "rejected": "yellow"}
    for outcome, text in meaning.items():
        result.add_row(
            Text(outcome, style=styles.get(outcome, "default")),
            number(counts[cast(Any, outcome)]),
            number(counts_again[cast(Any, outcome)]),
            Text(text, style="dim"),
        )
    _show(console, result)
    for events_count, took, what in (
        (len(events), seconds, "events per second"),
        (
            len(events),
            seconds_again,
            "per second the second time, all of them known",
        ),
    ):
        _show(
            console,
            Text(f"{number(round(events_count / took)):>7} ", style="bold").append(what, style="not bold"),
        )
    reasons = Counter(
        (outcome.sqlstate, outcome.message) for outcome in first if outcome.outcome == "rejected"
    )
    refused = table("why rejected", "SQLSTATE", "events", numbers=("events",))
    for (sqlstate, message), count in sorted(reasons.items(), key=lambda item: (-item[1], str(item[0]))):
        refused.add_row(message or "", sqlstate, number(count))
    console.print()
    _show(console, refused)


def _deliver(events: list[dict[str, Any]], meter: Meter) -> tuple[list[BatchOutcome], float]:
    outcomes: list[BatchOutcome] = []
    started = time.monotonic()
    with progress() as bar:
        task = bar.add_task("recording", total=len(events))
        for start in range(0, len(events), _BATCH):
            outcomes += meter.record_batch(events[start : start + _BATCH], on_invalid="skip")
            bar.advance(task, _BATCH)
    return outcomes, time.monotonic() - started


def _invoices(console: Console, meter: Meter, sample: Sample) -> str:
    _title(console, "Invoice lines of the busiest subjects", window(sample.since, sample.until))
    by_subject: dict[str, list[UsageTotal]] = {
        row.subject: meter.summary(row.subject, since=sample.since, until=sample.until)
        for row in meter.subjects()
    }
    busiest = sorted(by_subject, key=lambda subject: -_line(by_subject[subject], "tokens").quantity)[
        :_BUSIEST
    ]
    result = table("metric", *busiest, "unit", numbers=busiest)
    for metric in METRICS:
        lines = [_line(by_subject[subject], metric["key"]) for subject in busiest]
        result.add_row(
            metric["name"],
            *(number(line.quantity) for line in lines),
            Text(f"{metric['unit']} ({metric['aggregate']})", style="dim"),
        )
    _show(console, result)
    return busiest[0]


def _line(totals: list[UsageTotal], metric: str) -> UsageTotal:
    return next(total for total in totals if total.metric == metric)


def _quotas(console: Console, meter: Meter, sample: Sample, subject: str) -> None:
    _title(console, "Quotas", f"tokens of {subject}, the day before {moment(sample.until)[:16]} UTC")
    used = meter.check_quota(subject, "tokens", 1, period="1 day", now=sample.until).used
    round_up = (int(used) // 50_000 + 1) * 50_000
    for quota, requested in ((round_up, None), (round_up, 60_000)):
        status = meter.check_quota(subject, "tokens", quota, requested, period="1 day", now=sample.until)
        what = "within the quota" if requested is None else f"{number(requested)} more"
        line = f"{what}: {room(status)}"
        _show(console, good(f"allowed  {line}") if status.allowed else bad(f"refused  {line}"))


def _limit(console: Console, meter: Meter, database: Target, schema: str) -> None:
    """More callers at once than the quota has room for: each on a connection of its own."""
    _title(
        console,
        "A limit that holds",
        f"{_CALLERS} callers at once, for a subject with a quota of 1,000 tokens",
    )
    meter.set_limit("tokens", 1000, subject="racer")

    def call(_: int) -> list[str]:
        with database.connect() as connection:
            racing = Meter(ProgramPool(connection, mode="READ WRITE"), schema=schema)
            return [racing.record("racer", "tokens", 50).outcome for _ in range(2)]

    with ThreadPoolExecutor(_CALLERS) as callers:
        outcomes = Counter(outcome for one in callers.map(call, range(_CALLERS)) for outcome in one)
    status = meter.check_quota("racer", "tokens")
    line = f"{outcomes['recorded']} calls of 50 admitted, {outcomes['refused']} refused: {room(status)}"
    _show(console, good(line) if status.used == status.quota else bad(line))


def _reserve(console: Console, meter: Meter) -> None:
    """An answer whose size is known afterwards, and a top-up that pays what the quota does not."""
    _title(
        console, "Reserved, settled, topped up", "two answers of a model at once, for a quota of 1,000 tokens"
    )
    meter.set_limit("tokens", 1000, subject="writer")
    result = table("call", "outcome", "used", "held", "remaining", numbers=("used", "held", "remaining"))

    def show(call: str, outcome: str) -> None:
        left = meter.balance("writer", "tokens")
        style = {"refused": "yellow"}.get(outcome, "green")
        numbers = (number(value) for value in (left.used, left.held, left.remaining or 0))
        result.add_row(call, Text(outcome, style=style), *numbers)

    with meter.reserved("writer", "tokens", 800) as first:
        show("reserve 800, the most it may take", first.reservation.outcome)
        show("reserve 300 for the next", meter.reserve("writer", "tokens", 300).outcome)
        show("settle the first: it took 620", first.settle(620).outcome)
    show("reserve 300 again", meter.reserve("writer", "tokens", 300).outcome)
    meter.top_up("writer", "tokens", 500, "invoice_1")
    show("top up 500", "paid")
    show("record 450", meter.record("writer", "tokens", 450).outcome)
    _show(console, result)


def _chart(console: Console, meter: Meter, sample: Sample, subject: str) -> None:
    _title(console, "Day by day", f"tokens of {subject}")
    buckets = meter.series(subject, "tokens", sample.since, sample.until, step="day")
    _show(console, chart(buckets, console, "UTC", "tokens"))


def _explain(console: Console, meter: Meter, sample: Sample, subject: str) -> None:
    total = meter.usage(subject, "tokens", since=sample.since, until=sample.until)
    _title(
        console,
        "Why is that so?",
        f"{number(total.quantity)} {total.unit} of {subject} are {number(total.event_count)} events",
    )
    _show(
        console,
        events_table(meter.events(subject, "tokens", since=sample.since, until=sample.until, max_rows=5)),
    )


def _price(console: Console, meter: Meter, sample: Sample, subject: str) -> None:
    """A plan of three lines, and what the subject owes for last month."""
    _title(console, "What does it cost?", f"a fee, seats, and tokens in tiers: the plan {PLAN}")
    meter.define_plan(PLAN)
    for item, metric, name, price in _PRICES:
        meter.define_price(PLAN, item, price, metric=metric, name=name)
    meter.subscribe(subject, PLAN, since=sample.since)
    unpriced = _show_priced(console, meter.invoice_json(subject, since=sample.since, until=sample.turn))
    _show(console, note(f"{unpriced} metrics have no price: pymeter invoice shows them without an amount"))


def _show_priced(console: Console, found: Invoice) -> int:
    """Show the lines that have a price. Returns how many have none."""
    priced = [line for line in found.lines if line.currency is not None]
    _show(console, InvoiceSheet(found.model_copy(update={"lines": priced}), "UTC"))
    return len(found.lines) - len(priced)


def _budget(console: Console, meter: Meter, subject: str) -> None:
    """What the running cycle costs, against a budget that is half of it, and what it is expected to be."""
    owed = next((line for line in meter.invoice(subject) if line.kind == "total"), None)
    if owed is None or not owed.amount or owed.currency is None:
        return  # the first minutes of a month
    _title(console, "A budget", "how much may be billed in a billing cycle, and what to expect")
    meter.set_budget(max(owed.amount // 2, Decimal(1)), owed.currency, subject=subject)
    judged = meter.judge_budgets()
    (status,) = meter.budget_status(subject)
    spent = f"{number(status.spent)} of {number(status.amount)} {status.currency} spent, {status.percent} %"
    _show(console, note(f"{spent}: {judged.approaching + judged.exceeded} notifications"))
    expected = next(line.expected for line in meter.project_invoice(subject) if line.kind == "total")
    _show(console, note(f"{number(expected)} {status.currency} are expected at the end of the cycle"))


def _close(console: Console, meter: Meter, sample: Sample, subject: str) -> StatementHeader:
    """Last month becomes a statement."""
    header = meter.close_period(subject, sample.since, sample.turn)
    _title(console, "A period is closed", "its statement, the invoice of last month, never changes")
    _show(console, closing_display.statement(header, meter.statement(header.statement_id), "UTC"))
    return header


def _dispute(console: Console, meter: Meter, header: StatementHeader) -> None:
    """A charge is disputed, found in the log, and taken back; the log keeps both."""
    subject = header.subject
    charges = meter.events(subject, "tokens", since=header.since, until=header.until, max_rows=1000)
    charge = max(charges, key=lambda event: event.quantity or 0)
    before = meter.usage(subject, "tokens", since=header.since, until=header.until)
    when = moment(charge.at.replace(microsecond=0))
    _title(console, "A charge is disputed", f"{subject} did not ask for what was counted at {when} UTC")
    done = meter.void_event(
        subject, "tokens", charge.event_id, reason=f"disputed by {subject}: not its call", at=charge.at
    )
    end = charge.at + timedelta(microseconds=1)
    rows = meter.events(subject, "tokens", since=charge.at, until=end)
    _show(console, events_table([row for row in rows if charge.event_id in (row.event_id, row.corrects)]))
    after = meter.usage(subject, "tokens", since=header.since, until=header.until)
    _show(
        console,
        good(
            f"taken back by correction {done.correction_id}: {number(before.quantity)} {before.unit} of"
            f" {number(before.event_count)} events, now {number(after.quantity)} of"
            f" {number(after.event_count)}"
        ),
    )
    _show(
        console,
        Text("nothing was deleted: the event stays, and the correction can be reverted", style="dim"),
    )


def _bill_late(console: Console, meter: Meter, closed: StatementHeader) -> None:
    """The statement stays as it is; what changed is decided, and stands on the next invoice."""
    _title(console, "Late usage", f"what has changed since statement {closed.statement_id}, in money, too")
    late = meter.late_usage(closed.subject)
    _show(console, late_display.late(late, "UTC", hint=False))
    for line in late:
        done = meter.settle_late_usage(line.statement_id, line.metric, line.delta, "bill", reason="disputed")
        _show(console, late_display.settled(done, line.unit, "bill"))
    _title(console, "The next invoice, so far", "the disputed charge is a line of its own")
    _show_priced(console, meter.invoice_json(closed.subject, period="cycle"))


def _verify(console: Console, meter: Meter) -> None:
    _title(console, "Do the numbers equal the log?")
    started = time.monotonic()
    drifts = meter.verify()
    seconds = time.monotonic() - started
    if drifts:
        raise CliError(
            f"{len(drifts)} rollups differ from the log", "This must not happen: please report it.", status=1
        )
    if problems := meter.verify_statements():
        raise CliError(
            f"{len(problems)} lines of statements do not fit",
            "This must not happen: please report it.",
            status=1,
        )
    _show(console, good(f"verify: no drift; every rollup was computed again from the log ({seconds:.1f} s)"))
    _show(console, good("statements: as they were closed, and equal to the log as of then"))


def farewell(console: Console, database: Target, schema: str, subject: str) -> None:
    _title(console, "Now you")
    if database.data_dir is not None:
        _show(console, Text("Go on with a ledger of your own, on this private server:", style="dim"))
        lines = ["export DATABASE_URL=$(pymeter server start)", "pymeter migrate", "pymeter psql"]
    else:
        _show(console, Text("Look at it with psql:", style="dim"))
        conninfo, password = without_password(database.dsn)
        lines = [shlex.join([find_psql(), conninfo if password is not None else database.dsn])]
    for line in lines:
        console.print(f"    {line}", style="bold", soft_wrap=True, markup=False)
    console.print()
    _show(console, Text("In psql, try the sample:", style="dim"))
    name = (
        sql.Identifier(schema).as_string(None)
        if not schema.isidentifier() or not schema.islower()
        else schema
    )
    statements = (
        f"SELECT * FROM {name}.summary('{subject}', period => '7 days');",
        f"SELECT * FROM {name}.record('{subject}', 'tokens', 120,",
        "    idempotency_key => 'try-1');  -- twice",
        f"SELECT * FROM {name}.usage_by('{subject}', 'tokens', 'model',",
        "    period => '7 days');",
    )
    sql_style = Syntax("", "sql", theme="ansi_dark", background_color="default")
    for statement in statements:
        line_of_sql = sql_style.highlight(statement)
        line_of_sql.rstrip()
        console.print(Text("    ").append_text(line_of_sql), soft_wrap=True)
    if database.data_dir is not None:
        console.print()
        _show(console, Text("The private server keeps running. Its data is in", style="dim"))
        console.print(Text(f"    {database.data_dir}", style="dim"), soft_wrap=True)
        console.print(Text.assemble("  ", ("Stop it with: ", "dim"), ("pymeter server stop", "bold")))
    console.print()
