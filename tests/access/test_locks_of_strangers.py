"""A role without rights cannot take a lock that the meter waits for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pymeter.bundle import bundle
from pymeter.install.engine import install
from pymeter.install.sources import load_sources
from tests.access.conftest import Roles
from tests.helpers import Ledger, Task, refused

ROOT = Path(__file__).resolve().parents[2]
WAITING = re.compile(r"pg_advisory_(xact_)?lock")

# What this and earlier releases took, and what else comes to mind.
TEXTS = [
    f"{prefix}{name}"
    for prefix in ("", "meter ", "pymeter ", "pymeter install ")
    for name in (
        "meter", "install", "maintain", "rebuild", "define_metric", "catalog", "planning stripe", "rights",
        "planning", "access", "grants", "stripe",
    )
]  # fmt: skip


def test_nothing_waits_for_an_advisory_lock() -> None:
    files = [*(ROOT / "sql").rglob("*.sql"), *(ROOT / "pymeter").rglob("*.py")]
    assert [file.name for file in files if WAITING.search(file.read_text(encoding="utf-8"))] == []
    assert not WAITING.search(bundle())


@pytest.fixture
def stranger(metered: Ledger, roles: Roles) -> Ledger:
    """A session without rights that holds every lock it can think of."""
    session = roles.login(roles.new())
    for text in TEXTS:
        session.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [text])
        session.execute("SELECT pg_advisory_lock(hashtext(%s))", [text])
    session.execute(
        "SELECT pg_advisory_lock(hashtextextended('acct_1', hashtextextended('tokens', 0))),"
        " pg_advisory_lock(hashtextextended('acct_1', hashtextextended('hot', 0)))"
    )
    for number in range(50):
        session.execute("SELECT pg_advisory_lock(%s), pg_advisory_lock(%s, 0)", [number, number])
    return session


def test_a_stranger_who_holds_every_advisory_lock_stops_nothing(
    metered: Ledger, roles: Roles, meter_dsn: str, stranger: Ledger
) -> None:
    metered.execute("SET lock_timeout = '2s'")
    metered.define("hot", "sum", striped=True)
    metered.record("acct_1", "hot", 2)
    assert metered.record("acct_1", "hot", 3).quantity == 5
    metered.define("daily", "sum")
    metered.define("daily", "sum", rollup="day")
    metered.call("define_biller", biller="stripe")
    metered.call("report_metric", metric="tokens", event_name="tokens")
    metered.call("report_subject", subject="acct_1", customer="cus_1")
    metered.call("plan_pushes")
    metered.maintain()
    metered.maintain(keep="1 year")
    assert metered.rebuild() == 0
    (role,) = stranger.row("SELECT current_user::text")
    metered.call("grant_access", role=role, level="read")
    metered.call("revoke_access", role=role)
    limited = f"{meter_dsn}{'&' if '?' in meter_dsn else '?'}options=-c%20lock_timeout%3D2s"
    roles.sql("GRANT EXECUTE ON FUNCTION meter.usage TO PUBLIC")
    assert install(load_sources(), limited, "meter").rights_repaired
    assert install(load_sources(), limited, "second").changed


def test_a_stranger_cannot_lock_the_rows_tables_or_the_schema(stranger: Ledger) -> None:
    for statement in (
        "SELECT FROM meter.locks FOR UPDATE",
        "SELECT FROM meter.billers FOR UPDATE",
        "LOCK TABLE meter.yoyo_lock IN ACCESS SHARE MODE",
        "COMMENT ON SCHEMA meter IS 'mine'",
        "SELECT meter._lock('maintain')",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), stranger.connection.transaction():
            stranger.connection.execute(statement.encode())


CALLS: dict[str, tuple[str, str]] = {
    "define_metric": ("SELECT meter._lock('catalog')", "SELECT meter.define_metric('m', 'sum', 'unit')"),
    "maintain": ("SELECT meter._lock('maintain')", "SELECT meter.maintain()"),
    "rebuild": ("SELECT meter._lock('rebuild')", "SELECT meter.rebuild()"),
    "planning": ("SELECT meter._lock_planning('stripe')", "SELECT meter.plan_pushes()"),
    "rights": ("LOCK TABLE meter.yoyo_lock IN SHARE ROW EXCLUSIVE MODE", "SELECT meter.revoke_access('{}')"),
}


@pytest.mark.parametrize("name", CALLS)
def test_who_waits_longer_than_lock_timeout_is_told_what_to_do(
    metered: Ledger, new_ledger: Callable[..., Ledger], roles: Roles, name: str
) -> None:
    lock, call = CALLS[name]
    holder, waiter = new_ledger("holder", autocommit=False), new_ledger("waiter")
    holder.execute(lock)
    waiter.execute("SET lock_timeout = '50ms'")
    role = roles.new()
    with refused("55P03"):
        waiter.execute(call.replace("{}", role))
    holder.connection.rollback()
    waiter.execute(call.replace("{}", role))


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_one_waits_for_the_other_in_every_isolation(
    metered: Ledger,
    new_ledger: Callable[..., Ledger],
    wait_until_blocked: Callable[..., Any],
    isolation: str,
) -> None:
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    second.execute(f"SET default_transaction_isolation = '{isolation}'")
    first.define("one", "sum")
    defining = Task(lambda: second.define("two", "sum"))
    wait_until_blocked(metered.connection, "second")
    first.connection.commit()
    assert defining.result().key == "two"


def test_a_lock_whose_row_is_missing_is_made(metered: Ledger) -> None:
    """As after a restore of the schema without its data."""
    metered.execute("DELETE FROM meter.locks")
    metered.define("m", "sum")
    metered.maintain()
    assert {row.name for row in metered.rows("SELECT name FROM meter.locks")} >= {"catalog", "maintain"}
