"""What the tests of the SQL functions share: calls by name, the state of the tables, a naive model.

Everything goes through plain SQL with psycopg, because SQL users are first-class.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any, TypeVar

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb

AGGREGATES = ("count", "sum", "min", "max", "avg", "last", "unique")
PERIODS = ("minute", "hour", "day", "week", "month", "year", "never")
ROLLUPS = ("minute", "hour", "day", "none")

TABLES = ("events", "keys", "old_keys", "rollups", "series", "unique_members")
# What the open buckets in series are called that rollups calls otherwise.
_IN_SERIES = {"event_count": "count", "bucket_start": "start"}
_COLUMNS = r"\b(event_count|bucket_start|last_at|total|lowest|highest|latest)\b"
# Operators are named in full, for tests that put others into the search path.
_AMONG_GIVEN = (
    "EXISTS (SELECT FROM unnest(%s::integer[], %s::text[], %s::timestamptz[], %s::smallint[]) g (s, b, t, n)"
    " WHERE s OPERATOR(pg_catalog.=) {} AND b OPERATOR(pg_catalog.=) {}"
    " AND t OPERATOR(pg_catalog.=) {} AND n OPERATOR(pg_catalog.=) {})"
)
_OF_ROLLUP = _AMONG_GIVEN.format("series_id", "bucket", "bucket_start", "stripe")
_JOIN_SECONDS_MAX = 60

T = TypeVar("T")

# Set by ``python -m tests.longrun --only repeats``.
AT_LENGTH = bool(os.environ.get("PYMETER_TEST_AT_LENGTH"))


def at_length(suite: T, long: T) -> T:
    """How often something is repeated, or with what: in the suite, and in the long run.

    Mark the test ``at_length``.
    """
    return long if AT_LENGTH else suite


# One of each kind: those of a kind are served by one branch of the code.
EACH_KIND = AGGREGATES if AT_LENGTH else ("sum", "max", "last", "unique")


def of_each_kind(*others: Any) -> list[tuple[Any, ...]]:
    """Cases of every aggregate, and of every kind of aggregate with each of ``others``; at length, all cases.

    Mark the test ``at_length``.
    """
    if AT_LENGTH:
        return list(itertools.product(AGGREGATES, others))
    kinds = (("sum", "count", "avg"), ("max", "min"), ("last",), ("unique",))
    turns = [max(len(others), len(kind)) for kind in kinds]
    return [
        (kind[n % len(kind)], others[n % len(others)])
        for kind, turn in zip(kinds, turns, strict=True)
        for n in range(turn)
    ]


def covering(strength: int, *axes: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Cases in which any ``strength`` values of as many axes meet; in the long run, all cases that there are.

    What breaks where so many things come together is broken in one of them, whatever the other axes are.
    """
    columns = [list(axis) for axis in axes]
    every = list(itertools.product(*(range(len(column)) for column in columns)))
    meeting = {
        case: {
            (where, tuple(case[axis] for axis in where))
            for where in itertools.combinations(range(len(columns)), strength)
        }
        for case in every
    }
    left, chosen = set().union(*meeting.values()), [*every] if AT_LENGTH else []
    while left and not AT_LENGTH:
        best = max(every, key=lambda case: len(meeting[case] & left))
        chosen.append(best)
        left -= meeting[best]
    return [tuple(column[n] for column, n in zip(columns, case, strict=True)) for case in chosen]


def examples(number: int, long: int | None = None, **more: Any) -> settings:
    """The settings of a property: so many examples, the same in every run, in one test's fixtures."""
    return settings(
        max_examples=at_length(number, long or number),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
        **more,
    )


def at(text: str) -> datetime:
    """``at("2026-06-18 14:30")``: that instant in UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Ledger:
    """The functions of one connection's meter, called by SQL. Rows are named tuples."""

    def __init__(self, connection: psycopg.Connection[Any], *, binary: bool = False) -> None:
        self.connection = connection
        self.binary = binary

    def rows(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        given = parameters if isinstance(parameters, Mapping) else list(parameters)
        with self.connection.cursor(row_factory=namedtuple_row, binary=self.binary) as cursor:
            return cursor.execute(query, given).fetchall()

    def row(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        (row,) = self.rows(query, parameters)
        return row

    def value(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        return self.row(query, parameters)[0]

    def execute(self, query: str, parameters: Sequence[Any] | None = None) -> None:
        self.connection.execute(query, parameters)

    def call(self, function: str, **named: Any) -> list[Any]:
        """``SELECT * FROM meter.function(name => value, ...)``; what is not named keeps its default."""
        arguments = ", ".join(f"{name} => %s" for name in named)
        return self.rows(f"SELECT * FROM meter.{function}({arguments})", list(named.values()))

    def define(self, key: str, aggregate: str, unit: str = "unit", **named: Any) -> Any:
        return self.call("define_metric", key=key, aggregate=aggregate, unit=unit, **named)[0]

    def record(self, subject: Any, metric: Any, quantity: Any = None, **named: Any) -> Any:
        metadata = named.get("metadata")
        if isinstance(metadata, (dict, list)):
            named["metadata"] = Jsonb(metadata)
        return self.call("record", subject=subject, metric=metric, quantity=quantity, **named)[0]

    def batch(self, events: Any, on_invalid: str = "raise") -> list[Any]:
        return self.call("record_batch", events=as_jsonb(events), on_invalid=on_invalid)

    def usage(self, subject: str, metric: str, **window: Any) -> Any:
        return self.call("usage", subject=subject, metric=metric, **window)[0]

    def window(self, **named: Any) -> tuple[datetime | None, datetime | None]:
        arguments = ", ".join(f"{name} => %s" for name in named)
        row = self.row(
            f"SELECT lower(w) AS lower, upper(w) AS upper, lower_inc(w) OR lower_inf(w) AS closed,"
            f" upper_inc(w) AS upper_inc FROM meter.resolve_window({arguments}) w",
            list(named.values()),
        )
        assert row.closed
        assert not row.upper_inc
        return row.lower, row.upper

    def verify(self, **scope: Any) -> list[Any]:
        return self.call("verify", **scope)

    def rebuild(self, **scope: Any) -> int:
        return int(self.call("rebuild", **scope)[0][0])

    def maintain(self, **named: Any) -> list[tuple[str, str]]:
        return [tuple(row) for row in self.call("maintain", **named)]

    def upkeep(self, **named: Any) -> list[tuple[str, str]]:
        """As ``pymeter maintain`` does it: again, as long as there is more to do."""
        done: list[tuple[str, str]] = []
        for _ in range(100):
            actions = self.maintain(**named)
            done += [action for action in actions if action[0] != "again"]
            if all(action != "again" for action, _ in actions):
                return done
        raise AssertionError("it has no end")

    def state(self) -> dict[str, list[Any]]:
        """Every row of every table that recording writes, in a fixed order.

        Without the bits that the latest change of a member's row has set: they say who came last. And without
        the versions of series, which say how often they have changed.
        """
        return {
            table: self.value(
                "SELECT coalesce(array_agg(row ORDER BY row), '{}')"
                " FROM (SELECT (to_jsonb(t) - ARRAY['added', 'version'])::text AS row"
                f" FROM meter.{table} t) AS t"
            )
            for table in TABLES
        }

    def derived(self) -> dict[str, list[Any]]:
        """Buckets, open and closed, and members, without the ids, which depend on the order of recording."""
        return {
            "rollups": self.rows(
                "SELECT subject, metric, bucket, bucket_start, stripe, event_count, last_at, total,"
                " lowest, highest, latest[3] AS latest FROM meter.buckets ORDER BY 1, 2, 3, 4, 5"
            ),
            "members": self.rows(
                "SELECT s.subject, s.metric, u.bucket, u.bucket_start, u.member_digest, u.seen::text"
                " FROM meter.unique_members u"
                " JOIN meter.series s ON s.series_id = u.series_id AND s.stripe = 0"
                " ORDER BY 1, 2, 3, 4, 5"
            ),
        }

    def tamper(self, change: str, where: str = "true") -> None:
        """Change buckets as the view ``buckets`` lists them, whether they are open, in series, or in rollups.

        Both arguments use the names of its columns: ``tamper("total = 99", "bucket = 'month'")``.
        """
        found = self._found(where)
        self.execute(f"UPDATE meter.rollups SET {change} WHERE {_OF_ROLLUP}", found)
        for half in ("fine", "coarse"):
            columns = re.sub(
                _COLUMNS, lambda name, half=half: f"{half}_{_IN_SERIES.get(name[0], name[0])}", change
            )
            self.execute(
                f"UPDATE meter.series s SET {columns} FROM meter.metrics m"
                " WHERE m.key OPERATOR(pg_catalog.=) s.metric AND "
                + _AMONG_GIVEN.format("s.series_id", f"m.{half}_bucket", f"s.{half}_start", "s.stripe"),
                found,
            )

    def forget(self, where: str = "true") -> None:
        """Remove buckets, whether they are open, in series, or in rollups."""
        found = self._found(where)
        nothing = "total = null, lowest = null, highest = null, latest = null"
        self.tamper(f"event_count = 0, last_at = '-infinity', {nothing}", where)
        self.execute(f"DELETE FROM meter.rollups WHERE {_OF_ROLLUP}", found)

    def _found(self, where: str) -> list[list[Any]]:
        rows = self.rows(f"SELECT series_id, bucket, bucket_start, stripe FROM meter.buckets WHERE {where}")
        return [[row[column] for row in rows] for column in range(4)]

    def brute(
        self, subject: str, metric: str, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[Decimal, int]:
        """(quantity, event_count) of [since, until) from the log alone, by the textbook definitions."""
        (answer,) = self.brute_each(subject, metric, [(since, until)])
        return answer

    def brute_each(
        self, subject: str, metric: str, windows: Sequence[tuple[datetime | None, datetime | None]]
    ) -> list[tuple[Decimal, int]]:
        """The same of many windows."""
        aggregate = self.value("SELECT aggregate FROM meter.metrics WHERE key = %s", [metric])
        expression = {
            "count": "sum(quantity)",
            "sum": "sum(quantity)",
            "avg": "sum(quantity) / count(*)",
            "min": "min(quantity)",
            "max": "max(quantity)",
            "last": "(array_agg(quantity ORDER BY at DESC, event_id DESC))[1]",
            "unique": "count(DISTINCT member)",
        }[aggregate]
        rows = self.rows(
            "WITH log AS MATERIALIZED (SELECT * FROM meter.logged_events WHERE subject = %s AND metric = %s)"
            " SELECT e.quantity, e.events"
            " FROM unnest(%s::timestamptz[], %s::timestamptz[]) WITH ORDINALITY w (since, until, n)"
            " CROSS JOIN LATERAL ("
            f" SELECT CASE WHEN count(*) = 0 THEN 0 ELSE {expression} END AS quantity, count(*) AS events"
            " FROM log WHERE at >= coalesce(w.since, '-infinity') AND at < coalesce(w.until, 'infinity')) e"
            " ORDER BY w.n",
            [subject, metric, [since for since, _ in windows], [until for _, until in windows]],
        )
        return [tuple(row) for row in rows]


@pytest.fixture
def ledger(connect: Callable[..., psycopg.Connection[Any]]) -> Ledger:
    """A ledger in a database of the test's own; every call is a transaction."""
    return Ledger(connect("ledger"))


@pytest.fixture
def new_ledger(connect: Callable[..., psycopg.Connection[Any]]) -> Callable[..., Ledger]:
    """``new_ledger("writer", autocommit=False)``: another session on the same database."""
    return lambda name="other", **options: Ledger(connect(name, **options))


def as_jsonb(events: Any) -> Any:
    """Events as the parameter of record_batch; exact numbers and instants become strings."""
    if isinstance(events, (list, tuple)):
        return Jsonb([{k: _plain(v) for k, v in e.items()} if isinstance(e, Mapping) else e for e in events])
    return events


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, datetime) else value


@contextmanager
def refused(sqlstate: str, parameter: str | None = None) -> Iterator[psycopg.Error]:
    """The block raises this SQLSTATE, with a HINT and a one-line MESSAGE without values."""
    with pytest.raises(psycopg.Error) as caught:
        yield caught  # type: ignore[misc]
    error = caught.value
    assert error.sqlstate == sqlstate, f"{error.sqlstate}: {error}"
    assert error.diag.message_hint, "no HINT"
    assert error.diag.message_primary
    assert "\n" not in error.diag.message_primary
    if parameter is not None:
        assert error.diag.column_name == parameter


@contextmanager
def committed_or(connection: psycopg.Connection[Any], *sqlstates: str) -> Iterator[None]:
    """The block is committed, or it fails with one of these SQLSTATEs and is rolled back."""
    try:
        yield
        connection.commit()
    except psycopg.Error as error:
        connection.rollback()
        if error.sqlstate not in sqlstates:
            raise


class Task:
    """Something that runs in a thread; ``result()`` joins it and returns or raises what it did."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], Any]) -> None:
        try:
            self._value = work()
        except BaseException as error:
            self._error = error

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def result(self) -> Any:
        self._thread.join(_JOIN_SECONDS_MAX)
        assert not self._thread.is_alive(), "still running"
        if self._error is not None:
            raise self._error
        return self._value

    def error(self) -> psycopg.Error | None:
        """The database error that ended it, or None."""
        try:
            self.result()
        except psycopg.Error as error:
            return error
        return None


# ------------------------------------------------------------------------------------ the naive model

_EXACT = Context(prec=400)


class Model:
    """What a meter has to answer, in twenty lines of Python: a list of events and a dictionary of keys."""

    def __init__(self, metrics: Mapping[str, str]) -> None:
        self.metrics = dict(metrics)
        self.events: list[dict[str, Any]] = []
        self.keys: dict[tuple[str, str, str], Any] = {}

    def record(self, event: Mapping[str, Any]) -> str:
        quantity = event.get("quantity")
        if self.metrics[event["metric"]] == "count" and quantity is None:
            quantity = Decimal(1)
        payload = event.get("member") if quantity is None else quantity
        key = event.get("idempotency_key")
        if key is not None:
            name = (event["subject"], event["metric"], key)
            if name in self.keys:
                return "duplicate" if self.keys[name] == payload else "conflict"
            self.keys[name] = payload
        self.events.append({**event, "quantity": quantity})
        return "recorded"

    def usage(
        self, subject: str, metric: str, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[Decimal, int]:
        """(quantity, event_count); an avg is given as its sum, see ``same_quantity``."""
        found = [
            e
            for e in self.events
            if e["subject"] == subject
            and e["metric"] == metric
            and (since is None or e["at"] >= since)
            and (until is None or e["at"] < until)
        ]
        if not found:
            return Decimal(0), 0
        quantities = [e["quantity"] for e in found]
        aggregate = self.metrics[metric]
        if aggregate == "unique":
            value = Decimal(len({e["member"] for e in found}))
        elif aggregate == "min":
            value = min(quantities)
        elif aggregate == "max":
            value = max(quantities)
        elif aggregate == "last":
            latest = max(e["at"] for e in found)
            value = [e["quantity"] for e in found if e["at"] == latest][-1]
        else:
            value = Decimal(0)
            for quantity in quantities:
                value = _EXACT.add(value, quantity)
        return value, len(found)


def same_quantity(aggregate: str, answered: Decimal, expected: tuple[Decimal, int]) -> bool:
    """Whether the database's answer is the model's; an average to all of its 16 and more digits."""
    value, events = expected
    if aggregate != "avg" or events == 0:
        return answered == value
    difference = abs(_EXACT.subtract(_EXACT.multiply(answered, Decimal(events)), value))
    return difference <= max(abs(value), Decimal(1)) * Decimal(events) * Decimal("1e-15")


def midnight(days: int = 0) -> datetime:
    """Midnight UTC, so many days from today."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=days)
