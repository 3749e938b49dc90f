"""A statement, or the log behind it, that is changed past the guards: verify_statements() names it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import psycopg
import pytest

from tests.close.closing import (
    AUGUST,
    GUARDED,
    JULY,
    close,
    define_each,
    settle,
    use,
    without_guard,
)
from tests.databases import Databases
from tests.helpers import AGGREGATES, Ledger, at, at_length

NewLedger = Callable[..., Ledger]


@pytest.fixture(scope="module")
def meter_template(databases: Databases, pymeter_template: str) -> Iterator[str]:
    with databases.filled("closed", pymeter_template, lambda connection: fill(Ledger(connection))) as name:
        yield name


def fill(ledger: Ledger) -> None:
    define_each(ledger)
    ledger.call("define_plan", plan="pro")
    ledger.call("subscribe", subject="b", plan="pro", since=at("2026-06-16"))
    for subject in "ab":
        for aggregate in AGGREGATES:
            for n, moment in enumerate(("2026-06-10", "2026-06-20", "2026-07-10", "2026-08-10"), 2):
                use(ledger, subject, aggregate, n, at(moment))
    assert [close(ledger, subject).statement_id for subject in "ab"] == [1, 2]
    use(ledger, "a", "sum", 7, at("2026-06-11"))
    assert close(ledger, since=JULY).statement_id == 3
    assert settle(ledger, 1, "sum", 7, "bill").outcome == "settled"
    assert close(ledger, since=AUGUST).statement_id == 4
    assert ledger.call("verify_statements") == []


@pytest.fixture
def closed(ledger: Ledger) -> Ledger:
    """a: statements 1, 3 and 4 (with a late line), b: 2, whose month is cut by plans; nothing is wrong."""
    return ledger


def named(ledger: Ledger) -> set[tuple[int | None, str, str | None]]:
    """(statement, what, metric) of all that does not fit."""
    return {(row.statement_id, row.what, row.metric) for row in ledger.call("verify_statements")}


def tampered(ledger: Ledger, *changes: str) -> set[tuple[int | None, str, str | None]]:
    """What is named after the changes."""
    without_guard(ledger, changes)
    return named(ledger)


def columns(ledger: Ledger, table: str) -> dict[str, tuple[str, bool]]:
    """name -> (type, whether it may be null)."""
    return {
        row.name: (row.type, row.nullable)
        for row in ledger.rows(
            "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type,"
            " NOT attnotnull AS nullable FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [f"meter.{table}"],
        )
    }


REVERSED = "(SELECT array_agg(x ORDER BY n DESC) FROM unnest({0}) WITH ORDINALITY u (x, n))"
OTHERS = {
    "bigint": ["{0} + 1", "{0} + 1000000", "7"],
    "integer": ["{0} + 1", "{0} + 1000000"],
    "smallint": ["{0} + 1"],
    "numeric": ["{0} + 1", "{0} + 0.0", "-{0} - 1", "{0} + 1e-50"],
    "text": ["{0} || ' '", "{0} || '\"'", "upper({0})", "''"],
    "bytea": ["{0} || '\\x00'", "'\\x'", "set_byte({0}, 0, 255 - get_byte({0}, 0))", "null"],
    "timestamp with time zone": ["{0} + interval '1 microsecond'", "{0} - interval '1 year'", "'infinity'"],
    "timestamp with time zone[]": ["'{}'", "{0} || {0}[1]", REVERSED, "{0}[1:1]"],
    "jsonb": ["{0} || '{\"a\": 1}'", "'[]'"],
    "numeric[]": ["'{}'", "{0} || 1.0", REVERSED, "{0}[1:1]"],
}


def every_change(ledger: Ledger, table: str, where: str) -> Iterable[str]:
    """An UPDATE of one column to another value, for all columns, in several ways."""
    for column, (kind, nullable) in columns(ledger, table).items():
        quoted = f'"{column}"'
        values = [*OTHERS[kind], "null"] if nullable else OTHERS[kind]
        some = {"bytea": "'\\x01'", "bigint": "1", "numeric": "1", "integer": "1", "text": "'x'"}.get(
            kind, "'{}'"
        )
        values = [*values, f"coalesce({{0}}, {some})"] if nullable else values
        for value in values:
            expression = value.replace("{0}", quoted)
            yield (
                f"UPDATE meter.{table} SET {quoted} = {expression} WHERE {where}"
                f" AND {quoted}::text IS DISTINCT FROM ({expression})::text"
            )


@pytest.mark.at_length
@pytest.mark.parametrize("statement", [1, 2, 3, 4])
@pytest.mark.parametrize("table", GUARDED)
def test_a_change_of_any_column_is_named(closed: Ledger, table: str, statement: int) -> None:
    subject = "b" if statement == 2 else "a"
    tried = 0
    last = closed.value("SELECT max(line) FROM meter.statement_lines WHERE statement_id = %s", [statement])
    lines = at_length([last if statement % 2 else 1], [1, last])
    picks = [""] if table == "statements" else [f" AND line = {line}" for line in lines]
    for pick in picks:
        for change in every_change(closed, table, f"statement_id = {statement}{pick}"):
            with closed.connection.transaction(force_rollback=True):
                changed = _changed(closed, change)
                if changed is None:
                    continue
                tried += 1
                rows = closed.call("verify_statements")
                assert statement in {row.statement_id for row in rows} or "statement_id" in change, change
                assert rows != [], change
                # Rows that were given to somebody else are named there, too.
                if "_id" not in change and "late_of" not in change:
                    assert {row.subject for row in rows} == {subject}, change
                    followers = {statement, 3 if statement == 1 else 4} if '"hash"' in change else {statement}
                    assert {row.statement_id for row in rows} <= followers, (change, rows)
    assert tried > 20
    assert closed.call("verify_statements") == []


def _changed(ledger: Ledger, change: str) -> str | None:
    """None if no row can be changed like this: a constraint is against it, or it is no change."""
    for table in GUARDED:
        ledger.execute(f"ALTER TABLE meter.{table} DISABLE TRIGGER USER")
    try:
        with ledger.connection.transaction():
            done = ledger.connection.execute(change.encode())
    except (psycopg.IntegrityError, psycopg.DataError):
        return None
    return change if done.rowcount else None


LINES = "statement_id = 1 AND metric = 'sum' AND kind = 'usage'"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (f"DELETE FROM meter.statement_lines WHERE {LINES}", {(1, "hash", None)}),
        (
            "INSERT INTO meter.statement_lines SELECT statement_id, late_of, event_count, since, until, 99,"
            f" kind, metric, aggregate, unit, quantity FROM meter.statement_lines WHERE {LINES}",
            {(1, "hash", None)},
        ),
        (
            "INSERT INTO meter.statement_lines SELECT statement_id, 1, 0, since, until, 99, 'late',"
            f" metric, aggregate, unit, quantity FROM meter.statement_lines WHERE {LINES}",
            {(1, "hash", None)},
        ),
        (
            "DELETE FROM meter.statement_lines WHERE statement_id = 4 AND kind = 'late'",
            {(4, "hash", None), (4, "late", "sum")},
        ),
        ("DELETE FROM meter.statements WHERE statement_id = 4", {(3, "chain", None)}),
        ("DELETE FROM meter.statements WHERE statement_id = 3", {(4, "chain", None)}),
        ("DELETE FROM meter.statements WHERE statement_id = 1", {(3, "chain", None), (4, "chain", None)}),
        ("DELETE FROM meter.statements WHERE statement_id = 2", {(None, "chain", None)}),
        ("DELETE FROM meter.statements", {(None, "chain", None)}),
    ],
)  # fmt: skip
def test_what_is_removed_or_added_is_named(
    closed: Ledger, change: str, expected: set[tuple[int | None, str, str | None]]
) -> None:
    found = tampered(closed, change)
    # A line of the period that is twice there differs from nothing; the hash does.
    assert found == expected, found


def test_statements_that_change_places_are_named(closed: Ledger) -> None:
    """Each with the other's content, under its own number; then each as the other's."""
    contents = (
        "since, until, closed_at, watermark, subject_id, part_starts, part_weights, cycle_weight,"
        " previous_hash, hash"
    )
    with closed.connection.transaction(force_rollback=True):
        without_guard(
            closed,
            [
                "CREATE TEMP TABLE other AS SELECT * FROM meter.statements",
                "DROP INDEX meter.statements_by_subject",
                f"UPDATE meter.statements t SET ({contents}) ="
                f" (SELECT {contents} FROM other o WHERE o.statement_id = 4 - t.statement_id)"
                " WHERE t.statement_id IN (1, 3)",
            ],
        )
        assert {row.statement_id for row in closed.call("verify_statements")} >= {1, 3}
    found = tampered(
        closed,
        "UPDATE meter.statements SET statement_id = -statement_id WHERE statement_id IN (1, 3)",
        "UPDATE meter.statements SET statement_id = 4 + statement_id WHERE statement_id < 0",
    )
    assert {statement for statement, _, _ in found} >= {1, 3}
    assert 2 not in {statement for statement, _, _ in found}


def test_a_statement_that_is_given_to_another_subject_is_named(closed: Ledger) -> None:
    found = tampered(
        closed,
        "UPDATE meter.statements SET subject_id = ("
        "SELECT subject_id FROM meter.statements WHERE statement_id = 2)"
        " WHERE statement_id = 4",
    )
    assert (4, "hash", None) in found
    assert (3, "chain", None) in found


# ------------------------------------------------------------------------------------------------ the log

EVENT = (
    "series_id = (SELECT series_id FROM meter.series WHERE subject = 'a' AND metric = '{}' AND stripe = 0)"
)
LOG = {
    "quantity": "UPDATE meter.events SET quantity = quantity + 1 WHERE {event}",
    "at, out of the period": "UPDATE meter.events SET at = at + interval '1 year' WHERE {event}",
    "recorded_at": "UPDATE meter.events SET recorded_at = clock_timestamp() WHERE {event}",
    "series": "UPDATE meter.events SET series_id = 99 WHERE {event}",
    "gone": "DELETE FROM meter.events WHERE {event}",
    "one more": "INSERT INTO meter.events"
    " SELECT event_id + 10000, at, recorded_at, series_id, quantity + 1, member || '!'"
    " FROM meter.events WHERE {event}",
}


@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("how", LOG)
def test_a_row_of_the_log_that_was_tampered_with_is_named_by_its_line(
    closed: Ledger, how: str, aggregate: str
) -> None:
    """The buckets are as they were."""
    moment = "2026-06-10" if aggregate == "min" else "2026-06-20"
    change = LOG[how].format(event=f"{EVENT.format(aggregate)} AND at = '{moment}'")
    if how == "quantity" and aggregate == "unique":
        change = change.replace("quantity = quantity + 1", "member = 'u2'")
    assert tampered(closed, change) == {(1, "log", aggregate)}


def test_a_late_event_that_is_dated_back_is_named(closed: Ledger) -> None:
    event = EVENT.format("sum")
    change = f"UPDATE meter.events SET recorded_at = '2026-01-01' WHERE {event} AND at = '2026-06-11'"
    assert tampered(closed, change) == {(1, "log", "sum")}


def test_an_event_that_is_moved_between_closed_periods_is_named_in_both(closed: Ledger) -> None:
    event = EVENT.format("sum")
    change = f"UPDATE meter.events SET at = '2026-07-20' WHERE {event} AND at = '2026-06-20'"
    assert tampered(closed, change) == {(1, "log", "sum"), (3, "log", "sum")}


# --------------------------------------------------------------------------------- decisions and subjects


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE meter.late_decisions SET quantity = quantity + 1",
        "UPDATE meter.late_decisions SET decision = 'waive'",
        "UPDATE meter.late_decisions SET metric = 'max'",
        "UPDATE meter.late_decisions SET statement_id = 3",
        "UPDATE meter.late_decisions SET billed_on = null",
        "UPDATE meter.late_decisions SET billed_on = 3",
        "DELETE FROM meter.late_decisions",
        "INSERT INTO meter.late_decisions (statement_id, billed_on, decided_by, metric, decision, quantity)"
        " VALUES (1, 4, 'x', 'max', 'bill', 3)",
    ],
)
def test_a_decision_that_stands_on_a_statement_and_was_changed_is_named(closed: Ledger, change: str) -> None:
    found = tampered(closed, change)
    assert {(statement, what) for statement, what, _ in found} >= {(4, "late")}
    assert {what for _, what, _ in found} == {"late"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("digest = sha256('x')", {"hash", "subject"}),
        ("salt = '\\x00'", {"subject"}),
        ("subject = 'c'", {"subject", "log"}),
        ("last_hash = sha256('x')", {"chain"}),
        ("last_hash = null", {"chain"}),
        ("statements = statements + 1", {"chain"}),
        ("statements = 0", {"chain"}),
        ("watermark = '2026-01-01'", {"subject"}),
    ],
)
def test_a_row_of_sealed_subjects_that_was_changed_is_named(
    closed: Ledger, change: str, what: set[str]
) -> None:
    for subject, statements in (("a", {1, 3, 4}), ("b", {2})):
        with closed.connection.transaction(force_rollback=True):
            closed.execute(f"UPDATE meter.sealed_subjects SET {change} WHERE subject = '{subject}'")
            found = named(closed)
            assert {name for _, name, _ in found} == what
            assert {statement for statement, _, _ in found} <= statements
            assert found


@pytest.mark.parametrize("how", ["removed", "renumbered"])
def test_statements_without_their_row_of_sealed_subjects_are_named(closed: Ledger, how: str) -> None:
    if how == "removed":
        closed.execute("DELETE FROM meter.sealed_subjects")
    else:
        closed.execute("UPDATE meter.sealed_subjects SET subject_id = subject_id + 100")
    found = closed.call("verify_statements")
    assert {row.statement_id for row in found} >= {1, 2, 3, 4}


def test_a_series_that_is_gone_is_named(closed: Ledger) -> None:
    closed.execute("ALTER TABLE meter.series DISABLE TRIGGER USER")
    closed.execute("DELETE FROM meter.series WHERE subject = 'a' AND metric = 'sum'")
    assert named(closed) == {(1, "log", "sum"), (3, "log", "sum"), (4, "log", "sum")}
