"""With SQLAlchemy, usage and the application's rows commit and roll back together."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from psycopg.types.numeric import FloatLoader
from sqlalchemy import create_engine, exc, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from pymeter import Meter
from pymeter.contrib.sqlalchemy import meter as meter_of
from pymeter.errors import InvalidInput, UnknownMetric
from tests.contrib.conftest import Committed
from tests.helpers import Task


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str]


@pytest.fixture
def new_engine(parameters: dict[str, Any]) -> Iterator[Callable[..., Any]]:
    engines = []

    def make(**options: Any) -> Any:
        engines.append(create_engine("postgresql+psycopg://", connect_args=parameters, **options))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture
def engine(new_engine: Callable[..., Any]) -> Any:
    return new_engine()


class _Work:
    """Adds an order and records its usage, through one of the kinds of things that a meter takes."""

    def __init__(self, kind: str, engine: Any) -> None:
        self.kind = kind
        makers = {"Session": sessionmaker(engine), "scoped_session": scoped_session(sessionmaker(engine))}
        self.on = engine.connect() if kind == "Connection" else makers[kind]()
        self.close = self.on.close
        self.target = makers[kind] if kind == "scoped_session" else self.on
        self.meter = meter_of(self.target)

    def order(self) -> None:
        self.on.execute(text("INSERT INTO orders (account) VALUES ('acct_1')"))

    def usage(self) -> None:
        self.meter.record("acct_1", "tokens", 5)


@pytest.fixture(params=["Session", "scoped_session", "Connection"])
def work(request: pytest.FixtureRequest, engine: Any, committed: Committed) -> Iterator[_Work]:
    made = _Work(request.param, engine)
    yield made
    made.close()


# --- commit, rollback, savepoints ---------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["order", "usage", "only usage"])
@pytest.mark.parametrize("ends", ["commit", "rollback", "close"])
def test_usage_shares_the_fate_of_the_transaction_whatever_came_first(
    work: _Work, committed: Committed, first: str, ends: str
) -> None:
    """A connection that has executed nothing yet has not begun; what is recorded then must be committed."""
    for _ in range(2):
        steps = {"order": (work.order, work.usage), "usage": (work.usage, work.order)}
        for step in steps.get(first, (work.usage,)):
            step()
        assert committed()[1] == 0 or ends == "commit"
        getattr(work.on, ends)()
        if ends == "close":
            break
    times = 2 if ends == "commit" else 0
    assert committed() == (0 if first == "only usage" else times, times)


@pytest.mark.parametrize("before", [False, True], ids=["nothing before", "usage before"])
@pytest.mark.parametrize("inner", ["commit", "rollback"])
@pytest.mark.parametrize("outer", ["commit", "rollback"])
def test_usage_shares_the_fate_of_its_savepoint(
    work: _Work, committed: Committed, before: bool, inner: str, outer: str
) -> None:
    if before:
        work.usage()
    savepoint = work.on.begin_nested()
    work.usage()
    work.order()
    getattr(savepoint, inner)()
    getattr(work.on, outer)()
    kept = 1 if (inner, outer) == ("commit", "commit") else 0
    assert committed() == (kept, kept + (before and outer == "commit"))


def test_a_refusal_inside_a_savepoint_leaves_the_rest_of_the_transaction(
    work: _Work, committed: Committed
) -> None:
    work.order()
    with pytest.raises(UnknownMetric), work.on.begin_nested():
        work.order()
        work.meter.record("acct_1", "tokns", 5)
    work.usage()
    work.on.commit()
    assert committed() == (1, 1)


def test_a_refusal_without_a_savepoint_fails_the_transaction_until_a_rollback(
    work: _Work, committed: Committed
) -> None:
    work.order()
    with pytest.raises(UnknownMetric):
        work.meter.record("acct_1", "tokns", 5)
    with pytest.raises(exc.InternalError, match="aborted"):
        work.order()
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        work.usage()
    work.on.rollback()
    work.order()
    work.usage()
    work.on.commit()
    assert committed() == (1, 1)


def test_a_commit_that_would_roll_back_what_came_before_a_caught_refusal_fails(
    work: _Work, committed: Committed
) -> None:
    """PostgreSQL answers it with a rollback and no error: after_commit would run for what is not there."""
    for _ in range(2):
        work.usage()
        work.order()
        with pytest.raises(UnknownMetric):
            work.meter.record("acct_1", "tokns", 5)
        with pytest.raises(psycopg.errors.InFailedSqlTransaction, match="savepoint"):
            work.on.commit()
        work.on.rollback()
    work.order()
    work.usage()
    work.on.commit()
    assert committed() == (1, 1)


def test_a_value_that_is_refused_before_it_is_sent_leaves_the_transaction_alone(
    work: _Work, committed: Committed
) -> None:
    work.order()
    with pytest.raises(InvalidInput, match="float"):
        work.meter.record("acct_1", "tokens", 0.1)  # type: ignore[call-overload]
    work.usage()
    work.on.commit()
    assert committed() == (1, 1)


def test_objects_of_the_orm_and_usage_are_committed_by_one_block(engine: Any, committed: Committed) -> None:
    with Session(engine) as session:
        with session.begin():
            session.add(Order(account="acct_1"))
            meter_of(session).record("acct_1", "tokens", 5, idempotency_key="order_1")
        with pytest.raises(exc.IntegrityError), session.begin():
            meter_of(session).record("acct_1", "tokens", 5, idempotency_key="order_2")
            session.add(Order(account=None))  # the commit flushes it, and fails
    assert committed() == (1, 1)


def test_a_session_that_joins_a_connections_transaction_takes_usage_with_it(
    engine: Any, committed: Committed
) -> None:
    """How test suites undo what the tested code has committed."""
    with engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            session.add(Order(account="acct_1"))
            meter_of(session).record("acct_1", "tokens", 5)
            session.commit()
        assert meter_of(connection).usage("acct_1", "tokens").quantity == 5
        outer.rollback()
    assert committed() == (0, 0)


def test_a_session_without_autobegin_has_to_be_begun(engine: Any, committed: Committed) -> None:
    with Session(engine, autobegin=False) as session:
        with pytest.raises(exc.InvalidRequestError, match="Autobegin"):
            meter_of(session).record("acct_1", "tokens", 5)
        with session.begin():
            meter_of(session).record("acct_1", "tokens", 5)
    assert committed() == (0, 1)


def test_after_a_commit_the_block_of_the_transaction_is_over(engine: Any, committed: Committed) -> None:
    """As for SQLAlchemy's own statements: a new transaction would not be committed by anybody."""
    with engine.begin() as connection:
        meter_of(connection).record("acct_1", "tokens", 5)
        connection.commit()
        with pytest.raises(exc.InvalidRequestError, match="closed transaction"):
            meter_of(connection).record("acct_1", "tokens", 5)
    assert committed() == (0, 1)


# --- isolation levels, binds --------------------------------------------------------------------------------


def test_in_autocommit_every_call_commits_as_every_statement_does(
    new_engine: Callable[..., Any], committed: Committed
) -> None:
    with Session(new_engine(isolation_level="AUTOCOMMIT")) as session:
        meter_of(session).record("acct_1", "tokens", 5)
        assert committed() == (0, 1)
        with pytest.raises(UnknownMetric):
            meter_of(session).record("acct_1", "tokns", 5)
        session.execute(text("INSERT INTO orders (account) VALUES ('acct_1')"))
        session.rollback()
    assert committed() == (1, 1)


def test_a_read_only_session_answers_questions_and_records_nothing(
    new_engine: Callable[..., Any], committed: Committed
) -> None:
    replica = new_engine().execution_options(postgresql_readonly=True)
    with Session(replica) as session:
        assert meter_of(session).usage("acct_1", "tokens").quantity == 0
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            meter_of(session).record("acct_1", "tokens", 5)
    assert committed() == (0, 0)


def test_bind_arguments_choose_among_several_binds(
    new_engine: Callable[..., Any], committed: Committed
) -> None:
    primary, replica = new_engine(), new_engine().execution_options(postgresql_readonly=True)
    with Session(binds={Order: primary}) as session, session.begin():
        with pytest.raises(exc.UnboundExecutionError):
            meter_of(session).record("acct_1", "tokens", 5)
        session.add(Order(account="acct_1"))
        meter_of(session, bind_arguments={"mapper": Order}).record("acct_1", "tokens", 5)
    with Session(replica) as session, session.begin():
        meter_of(session, bind_arguments={"bind": primary}).record("acct_1", "tokens", 5)
    assert committed() == (1, 2)


# --- the application's connection stays as it is ------------------------------------------------------------


def test_the_applications_connection_keeps_its_settings(engine: Any, committed: Committed) -> None:
    with Session(engine) as session:
        driver = session.connection().connection.driver_connection
        driver.row_factory = dict_row
        driver.adapters.register_loader("numeric", FloatLoader)
        session.rollback()
        before = _settings(driver)
        recorded = meter_of(session).record("acct_1", "tokens", "0.1")
        assert isinstance(recorded.quantity, Decimal)
        assert _settings(driver) == before
        assert session.execute(text("SELECT 0.1::numeric AS n")).scalar() == "n"  # dict_row is the app's own
        assert driver.execute("SELECT 0.1::numeric AS n").fetchone() == {"n": 0.1}


def _settings(driver: psycopg.Connection[Any]) -> list[Any]:
    return [
        driver.row_factory,
        driver.cursor_factory,
        driver.autocommit,
        driver.isolation_level,
        driver.read_only,
        driver.prepare_threshold,
        driver.adapters.get_loader(1700, psycopg.pq.Format.TEXT),
    ]


def test_calls_are_prepared_only_where_the_engine_allows_it(
    new_engine: Callable[..., Any], parameters: dict[str, Any], committed: Committed
) -> None:
    for threshold, prepared in ((None, 0), (5, 1)):
        parameters["prepare_threshold"] = threshold
        engine = new_engine()
        with Session(engine) as session:
            for _ in range(8):
                meter_of(session).usage("acct_1", "tokens")
            counted = session.scalar(
                text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%meter%usage%'")
            )
            assert counted == prepared


def test_creating_a_meter_takes_no_connection(engine: Any) -> None:
    with Session(engine) as session:
        meter_of(session)
        assert not session.in_transaction()
        assert engine.pool.checkedout() == 0


def test_everything_a_meter_does_works_in_a_session(engine: Any, committed: Committed, meter: Meter) -> None:
    with Session(engine) as session:
        usage = meter_of(session)
        usage.define_metric("calls", "count", "call")
        with usage.reserved("acct_1", "tokens", 40) as held:
            held.settle(30)
        for n in range(5):
            usage.record("acct_1", "tokens", n)
        assert len(list(usage.iter_events("acct_1", "tokens", page_size=2))) == 6
        assert meter.usage("acct_1", "tokens").quantity == 0
        session.commit()
    assert meter.usage("acct_1", "tokens").quantity == 40


# --- two sessions, lost connections -------------------------------------------------------------------------


def test_of_two_sessions_with_one_key_the_second_waits_and_counts_nothing(
    new_engine: Callable[..., Any],
    parameters: dict[str, Any],
    committed: Committed,
    connect: Any,
    wait_until_blocked: Any,
) -> None:
    engine = new_engine()
    parameters["application_name"] = "second"
    with Session(engine) as first, Session(new_engine()) as second:
        first.add(Order(account="acct_1"))
        meter_of(first).record("acct_1", "tokens", 5, idempotency_key="order_1")
        record = meter_of(second).record
        waiting = Task(lambda: record("acct_1", "tokens", 5, idempotency_key="order_1"))
        wait_until_blocked(connect("observer"), "second")
        first.commit()
        assert waiting.result().outcome == "duplicate"
        second.commit()
    assert committed() == (1, 1)


@pytest.mark.parametrize("begun", [False, True])
def test_a_lost_connection_is_replaced_after_a_rollback(
    work: _Work, committed: Committed, connect: Any, begun: bool
) -> None:
    if begun:
        work.usage()
    pid = work.on.execute(text("SELECT pg_backend_pid()")).scalar()
    if not begun:
        work.on.rollback()
    connect().execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
    with pytest.raises(psycopg.OperationalError):
        work.usage()
    with pytest.raises(exc.InvalidRequestError, match="rolled back"):
        work.usage()
    work.on.rollback()
    work.order()
    work.usage()
    work.on.commit()
    assert committed() == (1, 1)


def test_synchronous_sessions_need_no_greenlet(meter_dsn: str, committed: Committed) -> None:
    """SQLAlchemy installs it for its asyncio alone."""
    program = """
import sys
sys.modules["greenlet"] = None
import psycopg
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from pymeter.contrib.sqlalchemy import meter
engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(sys.argv[1]))
with Session(engine) as session, session.begin():
    meter(session).record("acct_1", "tokens", 5)
try:
    meter(engine)
except TypeError as error:
    print(error)
"""
    command = [sys.executable, "-c", program, meter_dsn]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "engine.begin()" in done.stdout, done.stderr
    assert committed() == (0, 1)


# --- what cannot be joined ----------------------------------------------------------------------------------


def test_another_driver_is_refused_with_the_url_to_write() -> None:
    line = r"uses sqlite\+pysqlite.*postgresql\+psycopg://"
    with Session(create_engine("sqlite://")) as session, pytest.raises(TypeError, match=line):
        meter_of(session).usage("acct_1", "tokens")


def test_something_else_is_refused_at_once_with_the_line_to_write(engine: Any, meter_dsn: str) -> None:
    refused = {
        "engine.begin": engine,
        "Session.begin": sessionmaker(engine),
        "contrib/README": meter_dsn,
    }
    for line, given in refused.items():
        with pytest.raises(TypeError, match=line):
            meter_of(given)
    with (
        psycopg.connect(meter_dsn) as connection,
        pytest.raises(TypeError, match=r"Write pymeter.Meter\(connection\)"),
    ):
        meter_of(connection)  # type: ignore[arg-type]


def test_a_meter_made_directly_from_a_session_names_this_module(engine: Any) -> None:
    with Session(engine) as session, pytest.raises(TypeError, match=r"meter\(session\).*contrib.sqlalchemy"):
        Meter(session)  # type: ignore[arg-type]


def test_a_bad_value_has_the_class_that_it_has_everywhere(engine: Any, committed: Committed) -> None:
    with Session(engine) as session, pytest.raises(InvalidInput) as caught:
        meter_of(session).record("", "tokens", 5)
    assert caught.value.parameter == "subject"
    assert isinstance(caught.value.__cause__, psycopg.Error)
    assert engine.pool.checkedout() == 0


def test_a_closed_session_gives_its_connection_back_without_a_transaction(
    engine: Any, committed: Committed
) -> None:
    with Session(engine) as session:
        meter_of(session).record("acct_1", "tokens", 5)
        driver = session.connection().connection.driver_connection
    assert driver.info.transaction_status is TransactionStatus.IDLE
    assert committed() == (0, 0)
