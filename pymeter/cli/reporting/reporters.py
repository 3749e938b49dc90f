"""A reporter for a command: its biller, its pool, its metrics, and its end."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

from pymeter.cli.errors import CliError
from pymeter.cli.target import Settings
from pymeter.program_connection import connection_options

if TYPE_CHECKING:
    from pymeter.report import Observer, OpenMeterBiller, Reporter, StripeBiller, StripeInvoiceItems

_POOL_MAX = 4


class Stoppable(Protocol):
    """A program that ends well when it is told to."""

    def stop(self) -> None: ...


@dataclass(frozen=True)
class BillerChoice:
    """Which biller the options ask for."""

    name: str
    adapter: str | None = None
    url: str | None = None
    key_file: Path | None = None


@contextmanager
def reporter_for(
    settings: Settings, biller: BillerChoice, observers: list[Observer], **options: Any
) -> Iterator[Reporter]:
    """A reporter on the chosen database, with connections of its own."""
    made = _made(biller, options.get("connections", 16))
    try:
        from psycopg_pool import ConnectionPool
        from stamina.instrumentation import set_on_retry_hooks

        from pymeter.report import Reporter
    except ModuleNotFoundError as exc:
        hint = f"pip install 'pymeter-ledger[{made.adapter}]'"
        raise CliError(f"reporting needs {exc.name}", hint) from None
    # The display shows every warning; without a handler Python would print it once more, and stamina a retry.
    logging.getLogger("pymeter").addHandler(logging.NullHandler())
    set_on_retry_hooks([])
    database = settings.installed()
    with database.connect() as connection:  # one attempt, with an error of its own, before a pool retries
        journal = settings.meter_on(connection).report_journal(biller.name)
    if journal.sends == "statements":
        made = _made(biller, options.get("connections", 16), journal.sends)
    pool = ConnectionPool(
        database.dsn, min_size=1, max_size=_POOL_MAX, kwargs=connection_options(database.dsn), open=False
    )
    with pool, closing(made):
        yield Reporter(
            pool, made, biller_name=biller.name, schema=settings.schema, observers=observers, **options
        )


def _made(
    biller: BillerChoice, connections: int, sends: str = "usage"
) -> StripeBiller | StripeInvoiceItems | OpenMeterBiller:
    from pymeter.report import OpenMeterBiller, StripeBiller, StripeInvoiceItems
    from pymeter.report.adapters import ADAPTERS, adapter_of
    from pymeter.report.options import REHEARSAL

    adapter = biller.adapter or adapter_of(biller.name) or "stripe"
    if adapter not in ADAPTERS:
        raise typer.BadParameter(f"--adapter: {' or '.join(ADAPTERS)}")
    made: StripeBiller | StripeInvoiceItems | OpenMeterBiller
    if adapter == "openmeter" and sends == "statements":
        raise CliError(f"{biller.name} is told of statements; OpenMeter takes usage", "Use --adapter stripe.")
    if adapter == "openmeter":
        made = OpenMeterBiller(token_file=biller.key_file, url=biller.url, connections=connections)
    else:
        kind = StripeInvoiceItems if sends == "statements" else StripeBiller
        made = kind(
            api_key_file=biller.key_file,
            base=biller.url,
            connections=connections,
            test_only=biller.name.endswith(REHEARSAL),
        )
    made.check()  # before the database is touched
    return made


@contextmanager
def metrics_served(biller: str, reporter: Reporter, port: int | None, host: str) -> Iterator[None]:
    """Serve the reporter's numbers to Prometheus; nothing without a port."""
    if port is None:
        yield
        return
    try:
        from pymeter.report.metrics import PrometheusMetrics, serve
    except ModuleNotFoundError:
        raise CliError("metrics need one more package", "pip install 'pymeter-ledger[prometheus]'") from None
    reporter.observers = (*reporter.observers, PrometheusMetrics(biller))
    close = serve(port, host)
    try:
        yield
    finally:
        close()


@contextmanager
def stopped_by_signals(program: Stoppable) -> Iterator[None]:
    """The first SIGTERM or Ctrl-C settles what is in flight and ends well; the second ends."""
    before: dict[signal.Signals, Any] = {}

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, before[signal.Signals(number)])
        program.stop()

    with suppress(ValueError):  # not the main thread: a caller's own handlers stay
        for caught in (signal.SIGTERM, signal.SIGINT):
            before[caught] = signal.signal(caught, stop)
    try:
        yield
    finally:
        for caught, handler in before.items():
            signal.signal(caught, handler)
