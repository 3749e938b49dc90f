"""A reporter for a command: its biller, its pool, its metrics, and its end."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pymeter.cli.errors import CliError
from pymeter.cli.target import Settings
from pymeter.program_connection import connection_options

if TYPE_CHECKING:
    from pymeter.report import Observer, Reporter, StripeBiller, StripeInvoiceItems

_POOL_MAX = 4


class Stoppable(Protocol):
    """A program that ends well when it is told to."""

    def stop(self) -> None: ...


@contextmanager
def reporter_for(
    settings: Settings, biller: str, key_file: Path | None, observers: list[Observer], **options: Any
) -> Iterator[Reporter]:
    """A reporter on the chosen database, with connections of its own."""
    made = _stripe(biller, key_file, options.get("connections", 16))
    try:
        from psycopg_pool import ConnectionPool
        from stamina.instrumentation import set_on_retry_hooks

        from pymeter.report import Reporter
    except ModuleNotFoundError as exc:
        raise CliError(f"reporting needs {exc.name}", "pip install 'pymeter-ledger[stripe]'") from None
    # The display shows every warning; without a handler Python would print it once more, and stamina a retry.
    logging.getLogger("pymeter").addHandler(logging.NullHandler())
    set_on_retry_hooks([])
    database = settings.installed()
    with database.connect() as connection:  # one attempt, with an error of its own, before a pool retries
        journal = settings.meter_on(connection).report_journal(biller)
    if journal.sends == "statements":
        made = _stripe(biller, key_file, options.get("connections", 16), journal.sends)
    pool = ConnectionPool(
        database.dsn, min_size=1, max_size=_POOL_MAX, kwargs=connection_options(database.dsn), open=False
    )
    with pool, _closing(made):
        yield Reporter(pool, made, biller_name=biller, schema=settings.schema, observers=observers, **options)


def _stripe(
    biller: str, key_file: Path | None, connections: int, sends: str = "usage"
) -> StripeBiller | StripeInvoiceItems:
    try:
        from pymeter.report import StripeBiller, StripeInvoiceItems
        from pymeter.report.options import REHEARSAL
    except ModuleNotFoundError as exc:
        raise CliError(f"reporting needs {exc.name}", "pip install 'pymeter-ledger[stripe]'") from None

    adapter = StripeInvoiceItems if sends == "statements" else StripeBiller
    made = adapter(api_key_file=key_file, connections=connections, test_only=biller.endswith(REHEARSAL))
    made.check()  # before the database is touched
    return made


@contextmanager
def _closing(made: StripeBiller | StripeInvoiceItems) -> Iterator[None]:
    """Close the biller's connections at the end."""
    try:
        yield
    finally:
        made.close()


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
