"""The key is in nobody's sight: no log line, error, row, repr, metric or output has it."""

from __future__ import annotations

import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pymeter.report import BadSignature, Reporter, StripeBiller, handle_webhook
from pymeter.secrets import Secret
from tests.cli.conftest import Ran, pymeter
from tests.report.double import fixtures
from tests.report.shop import Shop, shop

pytest.importorskip("stripe")

__all__ = ["pymeter", "shop"]

double = fixtures.stripe_double

KEY = "sk_live_PLANTED0123456789"
SECRET = "whsec_PLANTED9876543210"
PLANTED = "PLANTED"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Everything that is logged by anybody, in every detail."""
    caplog.set_level(logging.DEBUG)
    for name in ("stripe", "urllib3", "psycopg", "psycopg.pool", "pymeter", "pymeter.report"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def _assert_quiet(shop: Shop, log: pytest.LogCaptureFixture, *more: object) -> None:
    assert log.records
    assert PLANTED not in log.text
    for record in log.records:
        assert PLANTED not in record.getMessage()
        assert PLANTED not in str(record.args)
        assert PLANTED not in str(record.exc_info and traceback.format_exception(*record.exc_info))
    for thing in more:
        assert PLANTED not in repr(thing)
        assert PLANTED not in str(thing)
    with psycopg.connect(shop.dsn) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'meter'").fetchall()
        assert len(tables) > 10
        for (table,) in tables:
            rows = connection.execute(sql.SQL("SELECT t::text FROM meter.{} t").format(sql.Identifier(table)))
            assert PLANTED not in str(rows.fetchall())
        queries = connection.execute("SELECT query, application_name FROM pg_stat_activity").fetchall()
        assert PLANTED not in str(queries)


def _told(error: BaseException) -> str:
    """An error as it could be printed, with everything that hangs on it."""
    lines = traceback.format_exception(error)
    seen: BaseException | None = error
    while seen is not None:
        lines += [repr(seen), str(seen), str(seen.args), str(vars(seen))]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(lines)


@pytest.fixture(params=[400, 401, 403, 404, 409, 429, 500])
def echo(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that repeats the key that it is given, in the body and in the headers of its answer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            key = self.headers["Authorization"]
            error = {"type": "invalid_request_error", "message": f"Invalid API Key: {key}", "code": key}
            body = json.dumps({"error": error}).encode()
            self.send_response(request.param)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Stripe-Rate-Limited-Reason", key)
            self.send_header("Request-Id", key)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *_args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_server_that_repeats_the_key_does_not_spread_it(
    shop: Shop, echo: str, log: pytest.LogCaptureFixture
) -> None:
    shop.use(hours=1)
    biller = StripeBiller(KEY, base=echo)
    reporter = Reporter(shop.pool(), biller, patience=_none(), clock=shop.now)
    told: list[object] = [biller, reporter, reporter.options]
    try:
        told.append(reporter.run_once())
    except Exception as error:
        told.append(_told(error))
    for call in (lambda: biller.failures(shop.now()), lambda: reporter.reconcile()):
        try:
            call()
        except Exception as error:
            told.append(_told(error))
    told += shop.pushes()
    _assert_quiet(shop, log, *told)


def _none() -> Any:
    from datetime import timedelta

    return timedelta()


@pytest.mark.parametrize("fault", [None, "drop_after", "error_before", "rate_limited", "half_response"])
def test_a_run_that_meets_trouble_does_not_spread_it(
    shop: Shop, log: pytest.LogCaptureFixture, fault: str | None
) -> None:
    if fault:
        shop.double.fault(fault)
    shop.use_many(customers=3, hours=2)
    reporter = shop.reporter(KEY)
    summary = reporter.run_once()
    assert summary.exit_status == 0
    _assert_quiet(shop, log, reporter, reporter.biller, summary)


def test_a_key_that_is_refused_is_not_repeated(shop: Shop, log: pytest.LogCaptureFixture) -> None:
    shop.double.settings(keys=["sk_live_other"])
    shop.use(hours=1)
    with pytest.raises(Exception, match="401") as caught:
        shop.report(key=KEY)
    _assert_quiet(shop, log, _told(caught.value))


@pytest.mark.parametrize(
    "args", [("--once", "--patience", "0"), ("--once", "--patience", "0", "--json"), ("reconcile",)]
)
def test_the_command_line_does_not_spread_it(
    shop: Shop,
    pymeter: Callable[..., Ran],
    log: pytest.LogCaptureFixture,
    echo: str,
    monkeypatch: pytest.MonkeyPatch,
    args: tuple[str, ...],
) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", KEY)
    monkeypatch.setenv("STRIPE_API_BASE", echo)
    shop.use(hours=1)
    shop.meter.plan_pushes()
    ran = pymeter("report", *args)
    assert PLANTED not in ran.out + ran.err
    _assert_quiet(shop, log, ran)


def test_the_webhooks_secret_is_not_repeated(shop: Shop, log: pytest.LogCaptureFixture) -> None:
    log_something = logging.getLogger("pymeter.report")
    log_something.debug("begin")
    with pytest.raises(BadSignature) as caught:
        handle_webhook(b"{}", "t=1,v1=00", secret=SECRET, pool=shop.pool())
    _assert_quiet(shop, log, _told(caught.value), Secret(SECRET))


def test_a_secret_says_nothing_and_is_not_pickled() -> None:
    import pickle

    secret = Secret(KEY)
    assert f"{secret} {secret!r} {secret!s}" == "*** *** ***"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
