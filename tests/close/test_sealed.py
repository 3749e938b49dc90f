"""Sealed means sealed: nobody changes a statement, not its owner either; and there is one per period."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest

from tests.close.closing import (
    AUGUST,
    GUARDED,
    JULY,
    JUNE,
    close,
    define_each,
    documents,
    lines,
    stated,
    use,
)
from tests.helpers import AGGREGATES, EACH_KIND, Ledger, Task, at, covering, refused

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]


@pytest.fixture
def sealed(ledger: Ledger) -> Ledger:
    ledger.define("m", "sum")
    use(ledger, "a", "m", 5, at("2026-06-10"))
    close(ledger)
    return ledger


CHANGES = {
    "update": "UPDATE meter.{} SET until = until",
    "update to the same": "UPDATE meter.{} SET statement_id = statement_id WHERE statement_id = 1",
    "delete": "DELETE FROM meter.{}",
    "truncate": "TRUNCATE meter.{}",
    "truncate cascade": "TRUNCATE meter.statements, meter.statement_lines CASCADE",
    "merge update": "MERGE INTO meter.{} t USING (VALUES (1)) v (id) ON t.statement_id = v.id"
    " WHEN MATCHED THEN UPDATE SET until = t.since",
    "merge delete": "MERGE INTO meter.{} t USING (VALUES (1)) v (id) ON t.statement_id = v.id"
    " WHEN MATCHED THEN DELETE",
    "on conflict": "INSERT INTO meter.{0} SELECT * FROM meter.{0} ON CONFLICT DO NOTHING",
    "in a CTE": "WITH gone AS (DELETE FROM meter.{} RETURNING *) SELECT count(*) FROM gone",
    "cursor": "DO $$ DECLARE c CURSOR FOR SELECT FROM meter.{0} FOR UPDATE; BEGIN OPEN c; MOVE c;"
    " DELETE FROM meter.{0} WHERE CURRENT OF c; END $$",
}


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("how", "table", "role"),
    covering(2, [how for how in CHANGES if how != "on conflict"], GUARDED, ["origin", "replica", "local"]),
)
def test_no_statement_is_changed_by_its_owner(sealed: Ledger, how: str, table: str, role: str) -> None:
    before = documents(sealed)
    sealed.execute(f"SET session_replication_role = {role}")
    with refused("42501"):
        sealed.execute(CHANGES[how].format(table))
    sealed.execute("RESET session_replication_role")
    assert documents(sealed) == before


@pytest.mark.parametrize("table", GUARDED)
def test_an_upsert_is_no_way_around(sealed: Ledger, table: str) -> None:
    key = "statement_id" if table == "statements" else "statement_id, line"
    with refused("42501"):
        sealed.execute(
            f"INSERT INTO meter.{table} SELECT * FROM meter.{table}"
            f" ON CONFLICT ({key}) DO UPDATE SET until = excluded.since"
        )
    sealed.execute(CHANGES["on conflict"].format(table))
    assert sealed.call("verify_statements") == []


@pytest.mark.parametrize("how", ["copy", "insert"])
def test_a_row_that_is_there_is_not_written_again(sealed: Ledger, how: str) -> None:
    for table in GUARDED:
        (row,) = sealed.rows(f"SELECT t::text AS row FROM meter.{table} t")
        with pytest.raises(psycopg.errors.UniqueViolation):
            if how == "insert":
                sealed.execute(f"INSERT INTO meter.{table} SELECT * FROM meter.{table}")
            else:
                with sealed.connection.cursor() as cursor:
                    with cursor.copy(f"COPY meter.{table} TO STDOUT") as out:
                        data = b"".join(out)
                    with cursor.copy(f"COPY meter.{table} FROM STDIN") as into:
                        into.write(data)
        assert sealed.rows(f"SELECT t::text AS row FROM meter.{table} t") == [row]


def test_the_guards_cannot_be_lost_to_a_partition_or_a_child(sealed: Ledger) -> None:
    """There are no partitions, and a child that is made of a statement's table is no way to its rows."""
    assert (
        sealed.value(
            "SELECT count(*) FROM pg_class WHERE relkind = 'p' AND relname = ANY(%s)", [list(GUARDED)]
        )
        == 0
    )
    sealed.execute("CREATE TABLE child () INHERITS (meter.statements)")
    with refused("42501"):
        sealed.execute("UPDATE meter.statements SET until = since")
    enabled = sealed.rows(
        "SELECT tgenabled::text AS state FROM pg_trigger WHERE NOT tgisinternal"
        " AND tgrelid = ANY(%s::regclass[])",
        [[f"meter.{table}" for table in GUARDED]],
    )
    assert [row.state for row in enabled] == ["A"] * 4


# ------------------------------------------------------------------------------------------ one per period


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2026-06-01", "2026-06-30"),
        ("2026-06-02", "2026-07-01"),
        ("2026-06-10", "2026-06-11"),
        ("2026-05-01", "2026-06-01 00:00:00.000001"),
        ("2026-06-30 23:59:59.999999", "2026-08-01"),
        ("2026-05-01", "2026-08-01"),
        ("2026-05-01", "2026-07-01"),
        ("2026-06-01", "2026-08-01"),
    ],
)
def test_statements_never_overlap(sealed: Ledger, since: str, until: str) -> None:
    with refused("22023", "since"):
        close(sealed, since=at(since), until=at(until))
    assert close(sealed, "b", at(since), at(until)).subject == "b"  # somebody else's
    assert len(documents(sealed)) == 2


def test_a_gap_is_allowed_and_filled_later(sealed: Ledger) -> None:
    """In the chain it is then the last, though its period is not."""
    later = close(sealed, since=AUGUST)
    between = close(sealed, since=JULY)
    assert between.previous_hash == later.hash
    before = close(sealed, since=at("2026-05-31"), until=JUNE)
    assert before.previous_hash == between.hash
    assert sealed.call("verify_statements") == []


def test_the_same_period_again_is_the_same_statement_whatever_came_late(sealed: Ledger) -> None:
    first = sealed.call("statements", subject="a")[0]
    use(sealed, "a", "m", 3, at("2026-06-11"))
    assert close(sealed) == first
    assert sealed.call("close_period", subject="a", period="month", now=at("2026-07-15"))[0] == first
    assert sealed.call("close_period", subject="a", now=at("2026-07-01"))[0] == first
    assert len(documents(sealed)) == 1


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_two_sessions_that_close_the_same_period_write_one_statement(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, end: str
) -> None:
    ledger.define("m", "sum")
    use(ledger, "a", "m", 5, at("2026-06-10"))
    one, two = new_ledger("one", autocommit=False), new_ledger("two")
    first = close(one)
    closing = Task(lambda: close(two))
    wait_until_blocked(ledger.connection, "two")
    getattr(one.connection, end)()
    second = closing.result()
    assert (second == first) == (end == "commit")
    assert [row.statement_id for row in ledger.call("statements")] == [second.statement_id]
    assert ledger.call("verify_statements") == []


def test_of_two_sessions_that_close_overlapping_periods_one_is_refused(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    ledger.define("m", "sum")
    use(ledger, "a", "m", 5, at("2026-06-10"))
    one, two = new_ledger("one", autocommit=False), new_ledger("two")
    close(one)
    closing = Task(lambda: close(two, until=at("2026-06-15")))
    wait_until_blocked(ledger.connection, "two")
    one.connection.commit()
    error = closing.error()
    assert error is not None
    assert error.sqlstate == "22023"
    assert ledger.call("verify_statements") == []


def test_a_closer_that_waits_too_long_for_another_changes_nothing(
    ledger: Ledger, new_ledger: NewLedger
) -> None:
    ledger.define("m", "sum")
    use(ledger, "a", "m", 5, at("2026-06-10"))
    one = new_ledger("one", autocommit=False)
    first = close(one)
    with refused("55P03"):
        close(ledger)
    assert documents(ledger) == {}
    one.connection.commit()
    assert close(ledger) == first


def test_a_period_that_has_not_ended_is_refused(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    now = ledger.value("SELECT date_trunc('second', now())")
    for moment in (now + timedelta(hours=1), now + timedelta(days=400)):
        with refused("22023", "until"):
            close(ledger, since=now - timedelta(days=1), until=moment)
    with refused("22023", "until"):
        ledger.call("close_period", subject="a", since=JUNE, until=JULY, now=JULY - timedelta(microseconds=1))
    assert ledger.call("close_period", subject="a", since=JUNE, until=JULY, now=JULY)[0].until == JULY


@pytest.mark.parametrize("end", ["settle", "release", "expire"])
def test_a_period_with_an_open_hold_is_not_closed(ledger: Ledger, end: str) -> None:
    ledger.define("m", "sum")
    now = ledger.value("SELECT date_trunc('second', now())")
    hold = ledger.call(
        "reserve", subject="a", metric="m", quantity=3, ttl="1 second" if end == "expire" else "1 hour"
    )[0]
    since, until = now - timedelta(hours=1), ledger.value("SELECT clock_timestamp()")
    if end != "expire":
        with refused("55000"):
            close(ledger, since=since, until=until)
    assert close(ledger, "b", since, until).lines == 1
    assert close(ledger, since=since - timedelta(hours=1), until=since).lines == 1
    if end == "expire":
        ledger.execute("SELECT pg_sleep(1.05)")
    elif end == "settle":
        ledger.call("settle", reservation_id=hold.reservation_id, quantity=2)
    else:
        ledger.call("release", reservation_id=hold.reservation_id)
    header = close(ledger, since=since, until=until)
    assert stated(ledger, header.statement_id) == {("usage", "m"): 2 if end == "settle" else 0}


# ---------------------------------------------------------------------------------------- what is tampered


_COLUMN = {"min": "lowest", "max": "highest"}


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("aggregate", "what", "is_open", "where"),
    covering(3, EACH_KIND, ["event_count", "value", "gone"], [True, False], ["hour", "month"]),
)
def test_a_period_whose_buckets_drift_is_not_closed(
    ledger: Ledger, aggregate: str, what: str, is_open: bool, where: str
) -> None:
    ledger.define("m", aggregate)
    for n, moment in enumerate(("2026-06-10 10:00", "2026-06-10 10:30", "2026-06-12", "2026-06-14"), 2):
        use(ledger, "a", "m", n, at(moment), of=aggregate)
    if not is_open:
        use(ledger, "a", "m", 1, at("2026-07-03"), of=aggregate)
    condition = f"bucket = '{where}' AND bucket_start IN ('2026-06-01', '2026-06-14')"
    if what == "gone":
        ledger.forget(condition)
    elif what == "event_count":
        ledger.tamper("event_count = event_count + 1", condition)
    elif aggregate == "last":
        ledger.tamper("latest = array[latest[1], latest[2], latest[3] + 1]", condition)
    else:
        column = _COLUMN.get(aggregate, "total")
        change = "- 1000" if aggregate == "min" else "+ 1000"
        ledger.tamper(f"{column} = {column} {change}", condition)
    assert ledger.verify() != []
    with refused("55000"):
        close(ledger)
    postponed = ledger.call("close_due", now=at("2026-07-05"))
    assert [(row.outcome, row.sqlstate) for row in postponed if row.until == JULY] == [("postponed", "55000")]
    assert documents(ledger) == {}
    ledger.rebuild()
    assert close(ledger).until == JULY
    assert ledger.call("verify_statements") == []


def test_members_that_drift_stop_closing_of_a_period_that_reads_them(ledger: Ledger) -> None:
    """Two days: the days' totals are right, and the members are not."""
    ledger.define("m", "unique", period="day")
    for n, moment in ((1, "2026-06-10"), (1, "2026-06-11"), (2, "2026-06-11")):
        use(ledger, "a", "m", n, at(moment), of="unique")
    ledger.execute("DELETE FROM meter.unique_members WHERE bucket_start >= '2026-06-11' OR bucket <> 'day'")
    assert ledger.verify() != []
    with refused("55000"):
        close(ledger, since=at("2026-06-10"), until=at("2026-06-12"))


# ------------------------------------------------------------------------------------------------- lines


def test_a_retired_metric_has_a_line_if_it_was_used_and_others_have_one_of_zero(ledger: Ledger) -> None:
    define_each(ledger)
    ledger.define("gone", "sum")
    ledger.define("unused", "sum")
    use(ledger, "a", "gone", 5, at("2026-06-10"))
    use(ledger, "a", "gone", 7, at("2026-06-11"))
    use(ledger, "b", "unused", 5, at("2026-06-10"))
    for metric in ("gone", "unused"):
        ledger.call("retire_metric", key=metric)
    first = close(ledger)
    told = lines(ledger, first.statement_id)
    assert [line.metric for line in told] == sorted([*AGGREGATES, "gone"])
    assert {line.metric: (line.quantity, line.event_count) for line in told} == {
        **dict.fromkeys(AGGREGATES, (0, 0)),
        "gone": (12, 2),
    }
    assert [line.line for line in told] == list(range(1, 9))
    assert ("usage", "gone") not in stated(ledger, close(ledger, since=JULY).statement_id)


def test_a_subject_without_usage_has_a_statement_of_zeros(ledger: Ledger) -> None:
    define_each(ledger)
    header = close(ledger, "nobody")
    assert set(stated(ledger, header.statement_id).values()) == {0}
    assert header.lines == len(AGGREGATES)


def test_a_ledger_without_metrics_has_statements_without_lines(ledger: Ledger) -> None:
    header = close(ledger)
    assert lines(ledger, header.statement_id) == []
    assert ledger.call("verify_statements") == []


def test_readers_do_not_wait_for_who_closes(sealed: Ledger, new_ledger: NewLedger) -> None:
    """Nor see anything of it before it is committed."""
    use(sealed, "a", "m", 2, at("2026-07-10"))
    closer = new_ledger("closer", autocommit=False)
    before = documents(sealed)
    close(closer, since=JULY)
    sealed.execute("SET lock_timeout = '1ms'")
    assert documents(sealed) == before
    assert len(sealed.call("statements")) == 1
    assert sealed.call("late_usage") == []
    assert sealed.call("verify_statements") == []
    assert len(sealed.rows("SELECT * FROM meter.statement_balances")) == 1
    assert sealed.usage("a", "m", since=JULY, until=AUGUST).quantity == 2
    assert (
        sealed.usage("a", "m", since=JUNE, until=JULY, as_of=sealed.call("statements")[0].watermark).quantity
        == 5
    )
    closer.connection.commit()
    assert len(documents(sealed)) == 2


def test_what_is_recorded_while_buckets_are_compared_with_the_log_is_no_drift(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    """The comparison has begun and waits; one that reads the log later than the buckets would see more."""
    ledger.define("m", "sum")
    use(ledger, "a", "m", 5, at("2026-06-10"), of="sum")
    stopper = new_ledger("stopper", autocommit=False)
    stopper.execute("LOCK TABLE meter.event_kinds IN ACCESS EXCLUSIVE MODE")
    closing = Task(lambda: close(new_ledger("closer")))
    wait_until_blocked(ledger.connection, "closer")
    use(ledger, "a", "m", 2, at("2026-06-11"), of="sum")
    stopper.connection.commit()
    header = closing.result()
    assert stated(ledger, header.statement_id) == {("usage", "m"): 7}
    assert ledger.call("verify_statements") == []
