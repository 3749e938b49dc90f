"""Who may erase what: the errors of erase_subject(), and the guard of the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at

NewLedger = Callable[..., Ledger]

DAY = at("2026-06-18 10:00")
MONTH = {"since": at("2026-06-01"), "until": at("2026-07-01")}


def erase(ledger: Ledger, subject: str = "a", pseudonym: str = "nobody") -> int:
    return int(ledger.call("erase_subject", subject=subject, pseudonym=pseudonym)[0][0])


def record(ledger: Ledger, metric: str, n: int, subject: str = "a") -> Any:
    return ledger.record(subject, metric, n, idempotency_key=f"k{n}", at=DAY)


def test_what_is_no_subject_or_no_pseudonym_is_refused(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    for subject in ("a", "b"):
        record(ledger, "m", 1, subject=subject)
    for subject, pseudonym, state in (
        (None, "x", "22004"),
        ("a", None, "22004"),
        (" ", "x", "22023"),
        ("a", " ", "22023"),
        ("a", "x" * 513, "22023"),
        ("a", "b", "22023"),
        ("a", "a", "22023"),
        ("c", "x", "UM007"),
    ):
        with pytest.raises(psycopg.Error) as refused:
            ledger.call("erase_subject", subject=subject, pseudonym=pseudonym)
        assert refused.value.sqlstate == state, (subject, pseudonym)
    erase(ledger)
    with pytest.raises(psycopg.Error) as refused:
        erase(ledger, "a", "x")
    assert refused.value.sqlstate == "UM007"
    with pytest.raises(psycopg.Error) as refused:
        erase(ledger, "b", "nobody")
    assert refused.value.sqlstate == "22023"
    assert ledger.usage("b", "m", **MONTH).quantity == 1


def test_a_price_of_its_own_alone_makes_a_subject(ledger: Ledger) -> None:
    """It is erased, and no other subject gets its prices by taking its text for a pseudonym."""
    ledger.define("m", "sum")
    record(ledger, "m", 1, subject="b")
    ledger.call("define_plan", plan="pro")
    price = Jsonb({"currency": "USD", "model": "unit", "unit_amount": "3"})
    ledger.call("define_price", plan="pro", item="units", price=price, metric="m", subject="a")
    with pytest.raises(psycopg.Error) as refused:
        erase(ledger, "b", "a")
    assert refused.value.sqlstate == "22023"
    erase(ledger)
    found = ledger.rows("SELECT subject FROM meter.plan_prices")
    assert [row[0] for row in found] == ["nobody"]


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_older_snapshot_is_refused(new_ledger: NewLedger, level: str) -> None:
    other = new_ledger("other", autocommit=False)
    other.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
    with pytest.raises(psycopg.Error) as refused:
        erase(other)
    assert refused.value.sqlstate == "25001"


def test_an_open_correction_has_to_be_decided_first(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    record(ledger, "m", 1)
    ((opened,),) = ledger.call("open_correction", reason="x")
    entry = {"entry": "record", "subject": "a", "metric": "m", "quantity": 1, "idempotency_key": "k9"}
    ledger.call("stage_correction", id=opened, entries=Jsonb([entry]))
    with pytest.raises(psycopg.Error) as refused:
        erase(ledger)
    assert refused.value.sqlstate == "55000"
    ledger.call("reject_correction", id=opened, reason="x")
    erase(ledger)


def test_access_that_was_bound_to_the_subject_is_gone(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    for subject in ("a", "b"):
        record(ledger, "m", 1, subject=subject)
    ledger.execute("CREATE ROLE erasure_reader")
    try:
        for subject in ("a", "b"):
            ledger.call("grant_access", role="erasure_reader", level="read", subject=subject)
        erase(ledger)
        ledger.execute("SET ROLE erasure_reader")
        assert ledger.call("own_usage", subject="b", metric="m", **MONTH)[0].quantity == 1
        for subject in ("a", "nobody"):
            with pytest.raises(psycopg.Error) as refused:
                ledger.call("own_usage", subject=subject, metric="m", **MONTH)
            assert refused.value.sqlstate == "42501"
    finally:
        ledger.execute("RESET ROLE")
        ledger.execute("DROP OWNED BY erasure_reader")
        ledger.execute("DROP ROLE erasure_reader")


@pytest.mark.parametrize(
    "change",
    [
        "metadata = NULL",
        "idempotency_key = NULL, metadata = NULL",
        "quantity = 2, idempotency_key = NULL, metadata = NULL",
        "recorded_at = now(), idempotency_key = NULL, metadata = NULL",
    ],
)
@pytest.mark.parametrize("row", ["none", "another transaction's", "another series"])
def test_the_log_lets_nobody_else_remove_texts(ledger: Ledger, change: str, row: str) -> None:
    ledger.define("m", "sum")
    record(ledger, "m", 1)
    with ledger.connection.transaction(), pytest.raises(psycopg.Error) as refused:
        if row != "none":
            whose = "'3'::xid8" if row == "another transaction's" else "pg_current_xact_id()"
            series = "series_id" if row == "another transaction's" else "series_id + 1"
            ledger.execute(f"INSERT INTO meter.erasures SELECT DISTINCT {series}, {whose} FROM meter.events")
        ledger.execute(f"UPDATE meter.events SET {change}")
    assert refused.value.sqlstate == "42501"


@pytest.mark.parametrize(
    "change",
    [
        "quantity = 2, idempotency_key = NULL, metadata = NULL",
        "at = at + '1 s', idempotency_key = NULL, metadata = NULL",
        "recorded_at = now(), idempotency_key = NULL, metadata = NULL",
        "series_id = 99, idempotency_key = NULL, metadata = NULL",
        "member = 'x', idempotency_key = NULL, metadata = NULL",
        "idempotency_key = 'x', metadata = NULL",
    ],
)
def test_an_erasure_changes_nothing_but_texts(ledger: Ledger, change: str) -> None:
    ledger.define("m", "sum")
    record(ledger, "m", 1)
    with ledger.connection.transaction(), pytest.raises(psycopg.Error) as refused:
        ledger.execute("INSERT INTO meter.erasures SELECT series_id, pg_current_xact_id() FROM meter.events")
        ledger.execute(f"UPDATE meter.events SET {change}")
    assert refused.value.sqlstate == "42501"
