"""After a subject is erased, no table has its text, members, keys, metadata and reasons any more."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.close.words import MARK, ROLE, SUBJECT, Words, use_everything
from tests.faults.servers import programs_of
from tests.helpers import Ledger, at

# Parameters that name a subject, or bring texts.
_TEXTS = {"subject", "member", "idempotency_key", "metadata", "reason", "entries", "events", "requests"}


@pytest.fixture
def words(ledger: Ledger) -> Iterator[Words]:
    ledger.execute(f"DO $$ BEGIN CREATE ROLE {ROLE}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    yield Words(ledger)
    ledger.execute(f"DROP OWNED BY {ROLE}")
    ledger.execute(f"DROP ROLE {ROLE}")


def left(ledger: Ledger) -> dict[str, list[str]]:
    """The rows of every table that have a word, by table."""
    tables = [
        name
        for (name,) in ledger.rows(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'm') AND NOT relispartition"
            " AND relnamespace = 'meter'::regnamespace OR oid = 'meter.events'::regclass ORDER BY 1"
        )
    ]
    found = {
        table: [row for (row,) in ledger.rows(f"SELECT t::text FROM {table} t") if MARK in row]
        for table in tables
    }
    return {table: rows for table, rows in found.items() if rows}


def dump(dsn: str) -> str:
    programs = programs_of(dsn)
    if programs is None or not (programs / "pg_dump").exists():
        pytest.skip("no pg_dump of the server's version is at hand")
    command = [str(programs / "pg_dump"), "--data-only", "--schema=meter", dsn]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 and "server version mismatch" in done.stderr:
        pytest.skip("pg_dump and the server do not fit")
    assert done.returncode == 0, done.stderr
    return done.stdout


def state(ledger: Ledger, subject: str, now: datetime) -> dict[str, Any]:
    """What the subject has used, and is allowed; everything but texts."""
    window = {"since": at("2024-01-01"), "until": at("2027-12-27")}
    metrics = ("tokens", "peak", "striped", "users")
    return {
        "usage": [ledger.usage(subject, metric, **window) for metric in metrics if metric != "users"],
        "users": ledger.usage(subject, "users", since=now - timedelta(days=3), until=now + timedelta(days=4)),
        "months": [
            ledger.usage(subject, metric, period="cycle", now=now) for metric in ("tokens", "peak", "striped")
        ],
        "statements": [
            (s.statement_id, s.since, s.until, s.hash, s.previous_hash)
            for s in ledger.call("statements", subject=subject)
        ],
        "late": [row._replace(subject="") for row in ledger.call("late_usage", subject=subject)],
        "balance": ledger.call("balance", subject=subject, metric="tokens", at=now),
        "limits": [
            row._replace(subject="")
            for row in ledger.call("limits")
            if getattr(row, "subject", "") == subject
        ],
        "subscriptions": [
            (s.subscription_id, s.plan, s.since, s.until)
            for s in ledger.call("subscriptions", subject=subject)
        ],
        "cycle": ledger.call("billing_cycle", subject=subject, at=now),
        "reported": ledger.rows(
            "SELECT biller, metric, bucket_start, quantity FROM meter.reported WHERE subject = %s"
            " ORDER BY 1, 2, 3",
            [subject],
        ),
    }


def test_no_table_has_a_text_of_an_erased_subject(words: Words) -> None:
    use_everything(words)
    ledger = words.ledger
    assert {"meter.events", "meter.keys", "meter.correction_entries", "meter.deliveries"} <= left(
        ledger
    ).keys()
    now = ledger.value("SELECT now()")
    before = state(ledger, SUBJECT, now)
    assert [what for what, found in before.items() if not found] == []
    assert ledger.verify() == []
    ((rewritten,),) = words.call("erase_subject", subject=SUBJECT, pseudonym="nobody_1")
    assert rewritten > 10
    assert left(ledger) == {}
    assert state(ledger, "nobody_1", now) == before
    assert ledger.verify() == []
    assert ledger.call("verify_statements") == []
    assert ledger.rebuild() == 0
    for biller in ("stripe", "plain"):
        assert ledger.call("preview_pushes", biller=biller) == []


def test_every_function_that_takes_a_text_is_called_here(words: Words) -> None:
    """A new one has to be called by use_everything(), or it may leave a text where nobody looks."""
    use_everything(words)
    takes = {
        name
        for (name,) in words.ledger.rows(
            "SELECT DISTINCT p.proname FROM pg_proc p WHERE p.pronamespace = 'meter'::regnamespace"
            " AND p.provolatile = 'v' AND p.proname !~ '^_' AND p.proargnames && %s::text[]",
            [sorted(_TEXTS)],
        )
    }
    # These read, or act on what others have written.
    others = {"erase_subject", "rebuild", "leave_pushes", "retry_pushes"}
    # Of a subject that has moved: tests/scale/test_erasing_copies.py.
    others |= {"leave_home", "expect_subject", "admit_subject"}
    assert takes - others - words.called == set()


@pytest.mark.parametrize("table", ["events", "keys", "series"])
def test_a_text_that_is_left_is_found(words: Words, table: str) -> None:
    """So that the first test could fail."""
    words.ledger.define("users", "unique")
    words.record("users", member=words.word("member"))
    assert f"meter.{table}" in left(words.ledger)


def test_a_dump_has_no_text_of_an_erased_subject(words: Words, meter_dsn: str) -> None:
    use_everything(words)
    assert MARK in dump(meter_dsn)
    words.call("erase_subject", subject=SUBJECT, pseudonym="nobody_1")
    assert MARK not in dump(meter_dsn)


def test_digests_of_members_are_of_nothing_that_can_be_guessed(words: Words) -> None:
    """Not in buckets, not in those of dropped months."""
    use_everything(words)
    guessed = words.ledger.value("SELECT array_agg(DISTINCT member_digest) FROM meter.unique_members")
    words.call("erase_subject", subject=SUBJECT, pseudonym="nobody_1")
    for table in ("unique_members", "dropped_members"):
        digests = words.ledger.value(f"SELECT array_agg(member_digest) FROM meter.{table}")
        assert digests
        assert not set(digests) & set(guessed)
