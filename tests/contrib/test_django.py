"""With Django, usage and the application's rows commit and roll back together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import django
import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.db import OperationalError, close_old_connections, connections, transaction
from django.db.utils import InternalError
from django.http import HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from psycopg.rows import dict_row

from pymeter import AsyncMeter, Meter
from pymeter.contrib.django import async_meter, meter
from pymeter.errors import InvalidInput, UnknownMetric
from tests.contrib.conftest import Committed
from tests.helpers import Task

_DRIVER = "django.db.backends.postgresql"
Databases = Callable[..., None]


@pytest.fixture
def use(
    monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any], committed: Committed
) -> Iterator[Databases]:
    """Give Django other databases; by default the test's, as ``default`` and ``other``."""
    if not settings.configured:
        settings.configure()
    settings.SECRET_KEY = "a test's"  # also if another test has configured Django
    django.setup()
    given = {key.upper(): parameters.get(key, "") for key in ("user", "password", "host", "port")}

    def set_databases(**changes: Any) -> None:
        _forget()
        database = {"ENGINE": _DRIVER, "NAME": parameters["dbname"], **given, **changes}
        both = {alias: dict(database) for alias in ("default", "other")}
        monkeypatch.setitem(connections.__dict__, "settings", connections.configure_settings(both))

    set_databases()
    yield set_databases
    _forget()


def _forget() -> None:
    """Close this thread's connections, and let it make new ones of other settings."""
    connections.close_all()
    for alias in ("default", "other"):
        with suppress(AttributeError):
            delattr(connections._connections, alias)


def order() -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("INSERT INTO orders (account) VALUES (%s)", ["acct_1"])


def usage() -> None:
    meter().record("acct_1", "tokens", 5)


class Undone(Exception):
    pass


# --- atomic, savepoints -------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["order", "usage", "only usage"])
@pytest.mark.parametrize("fails", [False, True])
def test_usage_shares_the_fate_of_an_atomic_block(
    use: Databases, committed: Committed, first: str, fails: bool
) -> None:
    steps = {"order": (order, usage), "usage": (usage, order)}.get(first, (usage,))
    for _ in range(2):
        with suppress(Undone), transaction.atomic():
            for step in steps:
                step()
            assert committed()[0] in (0, 1)
            if fails:
                raise Undone
    times = 0 if fails else 2
    assert committed() == (0 if first == "only usage" else times, times)


@pytest.mark.parametrize("before", [False, True], ids=["nothing before", "usage before"])
@pytest.mark.parametrize("inner_fails", [False, True])
@pytest.mark.parametrize("outer_fails", [False, True])
def test_usage_shares_the_fate_of_an_inner_atomic_block(
    use: Databases, committed: Committed, before: bool, inner_fails: bool, outer_fails: bool
) -> None:
    with suppress(Undone), transaction.atomic():
        if before:
            usage()
        with suppress(Undone), transaction.atomic():
            usage()
            order()
            if inner_fails:
                raise Undone
        if outer_fails:
            raise Undone
    kept = 0 if inner_fails or outer_fails else 1
    assert committed() == (kept, kept + (before and not outer_fails))


def test_outside_of_a_block_every_call_commits_as_every_query_does(
    use: Databases, committed: Committed
) -> None:
    order()
    usage()
    assert committed() == (1, 1)
    with pytest.raises(UnknownMetric):
        meter().record("acct_1", "tokns", 5)
    usage()
    assert committed() == (1, 2)


def test_a_refusal_inside_an_inner_block_leaves_the_outer_one(use: Databases, committed: Committed) -> None:
    with transaction.atomic():
        order()
        with pytest.raises(UnknownMetric), transaction.atomic():
            order()
            meter().record("acct_1", "tokns", 5)
        usage()
    assert committed() == (1, 1)


def test_a_refusal_that_is_caught_in_the_block_rolls_it_back_and_runs_no_on_commit(
    use: Databases, committed: Committed
) -> None:
    """PostgreSQL answers such a COMMIT with a rollback: Django would run on_commit for what is not there."""
    ran = []
    with transaction.atomic():
        transaction.on_commit(lambda: ran.append("on_commit"))
        order()
        with pytest.raises(UnknownMetric):
            meter().record("acct_1", "tokns", 5)
        for step in (order, usage):
            with pytest.raises(transaction.TransactionManagementError, match="end of the 'atomic' block"):
                step()
    assert (committed(), ran) == ((0, 0), [])
    with transaction.atomic():
        transaction.on_commit(lambda: ran.append("on_commit"))
        usage()
        assert ran == []
    assert (committed(), ran) == ((0, 1), ["on_commit"])


def test_a_savepoint_by_hand_is_rolled_back_after_set_rollback(use: Databases, committed: Committed) -> None:
    """As after a failed save(): see "Savepoint rollback" in Django's documentation."""
    with transaction.atomic():
        order()
        savepoint = transaction.savepoint()
        usage()
        with pytest.raises(UnknownMetric):
            meter().record("acct_1", "tokns", 5)
        transaction.set_rollback(False)
        transaction.savepoint_rollback(savepoint)
        usage()
    assert committed() == (1, 1)


def test_a_failed_query_of_djangos_fails_the_meters_calls_too(use: Databases, committed: Committed) -> None:
    with pytest.raises(InternalError, match="aborted"), transaction.atomic():
        usage()
        with suppress(django.db.Error), connections["default"].cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        usage()
    assert committed() == (0, 0)


def test_a_bad_value_has_the_class_that_it_has_everywhere(use: Databases) -> None:
    with pytest.raises(InvalidInput) as caught:
        meter().record("", "tokens", 5)
    assert caught.value.parameter == "subject"
    assert isinstance(caught.value.__cause__, psycopg.Error)


def test_everything_a_meter_does_works_in_a_block(use: Databases, committed: Committed, meter: Meter) -> None:
    from pymeter.contrib import django as contrib

    joined = contrib.meter()
    with transaction.atomic():
        joined.define_metric("calls", "count", "call")
        with joined.reserved("acct_1", "tokens", 40) as held:
            held.settle(30)
        for n in range(5):
            joined.record("acct_1", "tokens", n)
        assert len(list(joined.iter_events("acct_1", "tokens", page_size=2))) == 6
        assert meter.usage("acct_1", "tokens").quantity == 0
    assert meter.usage("acct_1", "tokens").quantity == 40


# --- several databases, settings ----------------------------------------------------------------------------


def test_each_database_has_its_own_transaction(use: Databases, committed: Committed) -> None:
    with suppress(Undone), transaction.atomic(using="other"):
        meter("other").record("acct_2", "tokens", 5)
        meter().record("acct_1", "tokens", 5)
        raise Undone
    assert committed() == (0, 1)


def test_a_read_only_replica_answers_questions_and_records_nothing(
    use: Databases, committed: Committed
) -> None:
    use(OPTIONS={"options": "-c default_transaction_read_only=on"})
    assert meter().usage("acct_1", "tokens").quantity == 0
    with pytest.raises(InternalError, match="read-only") as caught:
        usage()
    assert isinstance(caught.value.__cause__, psycopg.errors.ReadOnlySqlTransaction)
    assert committed() == (0, 0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"server_side_binding": True},
        {"prepare_threshold": 0},
        {"isolation_level": psycopg.IsolationLevel.SERIALIZABLE},
        {"cursor_factory": psycopg.ClientCursor, "row_factory": dict_row},
        pytest.param(
            {"pool": True},
            marks=pytest.mark.skipif(django.VERSION < (5, 1), reason="Django 5.1 has pools"),
        ),
    ],
    ids=lambda options: next(iter(options), "defaults"),
)
def test_results_are_exact_and_the_applications_connection_keeps_its_settings(
    use: Databases, committed: Committed, options: dict[str, Any]
) -> None:
    use(OPTIONS=options)
    try:
        connections["default"].ensure_connection()
        before = _settings()
        with transaction.atomic():
            recorded = meter().record("acct_1", "tokens", "0.1")
        assert isinstance(recorded.quantity, Decimal)
        assert _settings() == before
    finally:
        if options.get("pool"):
            connections["default"].close()
            connections["default"].close_pool()
    assert committed() == (0, 1)


def _settings() -> list[Any]:
    driver = connections["default"].connection
    names = ("row_factory", "cursor_factory", "autocommit", "isolation_level", "prepare_threshold")
    return [getattr(driver, name) for name in names] + [
        driver.adapters.get_loader(1184, psycopg.pq.Format.TEXT)
    ]


def test_nothing_is_prepared_unless_the_settings_say_so(use: Databases) -> None:
    for threshold, prepared in ((None, 0), (5, 1)):
        use(OPTIONS={} if threshold is None else {"prepare_threshold": threshold})
        for _ in range(8):
            meter().usage("acct_1", "tokens")
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%usage%'")
            assert cursor.fetchone() == (prepared,)


# --- connections that come and go ---------------------------------------------------------------------------


def test_one_meter_survives_the_connections_of_its_requests(use: Databases, committed: Committed) -> None:
    kept = meter()
    assert connections["default"].connection is None, "creating a meter does no I/O"
    for _ in range(3):
        kept.record("acct_1", "tokens", 5)
        close_old_connections()  # CONN_MAX_AGE is 0: what Django does at the end of a request
        assert connections["default"].connection is None
    assert committed() == (0, 3)


@pytest.mark.parametrize("health_checks", [False, True])
def test_a_lost_connection_is_djangos_error_and_replaced_before_the_next_request(
    use: Databases, committed: Committed, connect: Any, health_checks: bool
) -> None:
    use(CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=health_checks)
    usage()
    for _ in range(2):
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
        close_old_connections()
        connect().execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        if not health_checks:
            with pytest.raises(OperationalError):
                usage()
            close_old_connections()
        usage()
    assert committed() == (0, 3)


def test_a_connection_that_was_lost_in_a_block_is_not_replaced_in_it(
    use: Databases, committed: Committed, connect: Any
) -> None:
    """What is recorded after it would be committed without what was before."""
    with pytest.raises(django.db.Error), transaction.atomic():
        order()
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
        connect().execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        with pytest.raises(OperationalError):
            usage()
        usage()
    assert committed() == (0, 0)


def test_every_thread_has_its_own_transaction(
    use: Databases, committed: Committed, connect: Any, wait_until_blocked: Any
) -> None:
    """One meter, two threads, one key: the second waits for the first, and counts nothing."""
    shared = meter()

    def record() -> str:
        try:
            with transaction.atomic():
                with connections["default"].cursor() as cursor:
                    cursor.execute("SET application_name = 'second'")
                return shared.record("acct_1", "tokens", 5, idempotency_key="order_1").outcome
        finally:
            connections.close_all()

    with transaction.atomic():
        order()
        assert shared.record("acct_1", "tokens", 5, idempotency_key="order_1").outcome == "recorded"
        second = Task(record)
        wait_until_blocked(connect("observer"), "second")
    assert second.result() == "duplicate"
    assert committed() == (1, 1)


# --- requests -----------------------------------------------------------------------------------------------


def buy(request: Any) -> HttpResponse:
    order()
    usage()
    if "fail" in request.GET:
        raise Undone
    return HttpResponse("bought")


def _buy_atomically() -> None:
    with transaction.atomic():
        order()
        usage()
        raise Undone


async def async_buy(request: Any) -> HttpResponse:
    with suppress(Undone):
        await sync_to_async(_buy_atomically)()
    recorded = await async_meter().record("acct_1", "tokens", 5)
    with pytest.raises(UnknownMetric):
        await async_meter().record("acct_1", "tokns", 5)
    return HttpResponse(str(recorded.quantity))


# A tuple, because Django keeps resolvers by their urlconf.
_URLS = (path("buy/", buy), path("async-buy/", async_buy))
_SITE: dict[str, Any] = {"ROOT_URLCONF": _URLS, "ALLOWED_HOSTS": ["testserver"]}


def test_atomic_requests_commit_or_roll_back_usage_with_the_request(
    use: Databases, committed: Committed
) -> None:
    use(ATOMIC_REQUESTS=True)
    with override_settings(**_SITE):
        client = Client(raise_request_exception=False)
        assert client.get("/buy/").status_code == 200
        assert client.get("/buy/?fail").status_code == 500
    assert committed() == (1, 1)


def test_an_asynchronous_view_records_in_djangos_thread(use: Databases, committed: Committed) -> None:
    async def request() -> Any:
        response = await AsyncClient().get("/async-buy/")
        await sync_to_async(_forget)()
        return response

    with override_settings(**_SITE):
        response = asyncio.run(request())
    assert (response.status_code, response.content) == (200, b"5")
    assert committed() == (0, 1)


def test_an_async_meter_does_what_async_meters_do(use: Databases, committed: Committed) -> None:
    async def work() -> None:
        joined = async_meter()
        assert isinstance(joined, AsyncMeter)
        assert repr(joined) == repr(async_meter(schema="meter"))
        async with joined.reserved("acct_1", "tokens", 40) as held:
            await held.settle(30)
        await asyncio.gather(
            *(joined.record("acct_1", "tokens", 1, idempotency_key=f"k{n % 3}") for n in range(6))
        )
        assert [event.quantity async for event in joined.iter_events("acct_1", page_size=2)] == [1, 1, 1, 30]
        await sync_to_async(_forget)()

    asyncio.run(work())
    assert committed() == (0, 4)


def test_a_synchronous_meter_in_an_event_loop_is_refused_by_django(use: Databases) -> None:
    async def work() -> None:
        with pytest.raises(SynchronousOnlyOperation):
            usage()

    asyncio.run(work())


# --- what cannot be joined ----------------------------------------------------------------------------------


def test_another_database_is_refused_before_it_is_opened(use: Databases) -> None:
    use(ENGINE="django.db.backends.sqlite3", NAME=":memory:")
    with pytest.raises(ImproperlyConfigured, match=r"DATABASES\['default'\] is sqlite; pymeter needs Post"):
        meter().usage("acct_1", "tokens")
    assert connections["default"].connection is None


def test_another_driver_is_refused(use: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    use(ENGINE="django.db.backends.sqlite3", NAME=":memory:")
    monkeypatch.setattr(connections["default"], "vendor", "postgresql")
    with pytest.raises(ImproperlyConfigured, match="psycopg 3 alone"):
        meter().usage("acct_1", "tokens")


def test_a_meter_made_directly_from_djangos_connection_names_this_module(use: Databases) -> None:
    with pytest.raises(TypeError, match=r"Write meter\(\), with meter from pymeter.contrib.django"):
        Meter(connections["default"])
