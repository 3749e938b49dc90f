"""An invoice as of a watermark stays what it was, and in which order prices are recorded decides nothing."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, Task, at, at_length, refused
from tests.pricing import model
from tests.pricing.billing import MONTH, SUBJECT, Billing, amounts, flat, total, unit

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]


def as_of(billing: Billing, mark: datetime) -> Any:
    return billing.ledger.value("SELECT meter.invoice_json(%s, %s, %s, as_of => %s)", [SUBJECT, *MONTH, mark])


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(2, 20)))
def test_an_invoice_as_of_a_watermark_is_the_same_whatever_comes_later(ledger: Ledger, seed: int) -> None:
    rng = random.Random(seed)
    billing = Billing(ledger, metrics={"tokens": "sum", "seats": "max"})
    billing.plan("extra")
    billing.price("seats", unit("5"))
    stated: list[tuple[datetime, Any]] = []

    def moment() -> str:
        return str(at("2026-06-01") + timedelta(days=rng.randrange(30), hours=rng.randrange(24)))

    def price() -> None:
        plan = rng.choice(["pro", "extra"])
        document = model.random_price(rng, rng.choice(model.MODELS)) | {"currency": "USD"}
        billing.price("tokens", document, plan=plan, since=moment(), subject=rng.choice([None, SUBJECT]))

    def retire() -> None:
        billing.price("tokens", unit("1"), since="2026-06-01")
        ledger.call("retire_price", plan="pro", item="tokens", at=at(moment()))

    def switch() -> None:
        for row in ledger.call("subscriptions", subject=SUBJECT):
            ledger.call("unsubscribe", subject=SUBJECT, plan=row.plan, at=row.since)
        billing.subscribe(rng.choice(["pro", "extra"]), moment())

    def cycle() -> None:
        ledger.call(
            "set_billing_cycle", subject=SUBJECT, anchor=at(f"2026-01-{rng.randint(1, 31):02}"),
            since=at("2026-05-01"),
        )  # fmt: skip

    def use() -> None:
        billing.use(rng.randint(1, 50), moment())
        billing.use(rng.randint(1, 50), moment(), "seats")

    changes = [
        price, price, retire, switch, cycle, use, lambda: billing.fee("base", flat(rng.randint(1, 9))),
        lambda: ledger.call("set_plan_minimum", plan="pro", amount=rng.randint(1, 500)),
    ]  # fmt: skip
    for change in [*changes, *rng.choices(changes, k=25)]:
        change()
        mark = billing.watermark()
        stated.append((mark, as_of(billing, mark)))
        now = ledger.value("SELECT meter.invoice_json(%s, %s, %s)", [SUBJECT, *MONTH])
        assert (now["lines"], now["totals"]) == (stated[-1][1]["lines"], stated[-1][1]["totals"])
    assert len({str(document["lines"]) for _, document in stated}) > 10
    for mark, document in stated:
        assert as_of(billing, mark) == document


def test_a_plan_that_had_no_price_yet_has_no_total(billing: Billing) -> None:
    """The currency that its first price fixes is not known earlier."""
    billing.use(5)
    mark = billing.watermark()
    before = as_of(billing, mark)
    assert before["totals"] == {}
    billing.price("tokens", unit("1", currency="EUR"))
    assert as_of(billing, mark) == before
    assert as_of(billing, billing.watermark())["totals"]["EUR"]["amount"] == "5.00"


def test_metrics_that_are_defined_or_retired_later_change_nothing(billing: Billing) -> None:
    billing.ledger.define("idle", "sum")
    mark = billing.watermark()
    before = as_of(billing, mark)
    assert [line["metric"] for line in before["lines"]] == ["idle", "tokens"]
    billing.ledger.define("later", "sum")
    billing.ledger.call("retire_metric", key="idle")
    assert as_of(billing, mark) == before
    assert [line["metric"] for line in as_of(billing, billing.watermark())["lines"]] == ["later", "tokens"]


CHANGES = {
    "subscribe": {"plan": "extra", "since": at("2026-06-16")},
    "unsubscribe": {"plan": "pro", "at": at("2026-06-16")},
    "set_billing_cycle": {"anchor": at("2026-06-16"), "since": at("2026-06-16")},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_waits_for_a_watermark_and_is_later(
    billing: Billing, new_ledger: NewLedger, wait_until_blocked: Wait, change: str
) -> None:
    billing.plan("extra")
    billing.fee("base", flat("30"))
    billing.fee("base", flat("60"), plan="extra")
    other, observer = new_ledger("closing", autocommit=False), new_ledger("observer")
    mark = other.value("SELECT meter.watermark(%s)", [SUBJECT])
    changing = Task(lambda: billing.ledger.call(change, subject=SUBJECT, **CHANGES[change]))
    wait_until_blocked(observer.connection, "ledger")
    other.connection.commit()
    changing.result()
    assert amounts(billing.invoice(as_of=mark)) == [30]
    assert amounts(billing.invoice()) != [30]
    assert billing.invoice(as_of=billing.watermark()) == billing.invoice()


@pytest.mark.parametrize("change", CHANGES)
def test_a_watermark_waits_for_a_change_and_then_includes_it(
    billing: Billing, new_ledger: NewLedger, wait_until_blocked: Wait, change: str
) -> None:
    billing.plan("extra")
    billing.fee("base", flat("30"))
    billing.fee("base", flat("60"), plan="extra")
    other, observer = new_ledger("changing", autocommit=False), new_ledger("observer")
    other.call(change, subject=SUBJECT, **CHANGES[change])
    drawing = Task(lambda: Billing.watermark(billing))
    wait_until_blocked(observer.connection, "ledger")
    other.connection.commit()
    mark = drawing.result()
    assert billing.invoice(as_of=mark) == billing.invoice()
    assert amounts(billing.invoice()) != [30]


def test_an_as_of_after_the_last_watermark_is_refused(billing: Billing) -> None:
    mark = billing.watermark()
    with refused("55P03", "as_of"):
        billing.invoice(as_of=mark + timedelta(seconds=1))


def test_the_order_in_which_versions_are_recorded_decides_nothing(ledger: Ledger) -> None:
    """Versions with different since, in every order, also where two of them say the same."""
    billing = Billing(ledger, subscribe=False)
    versions = [
        ("2026-06-01", unit("1")),
        ("2026-06-08", unit("2")),
        ("2026-06-15", unit("1")),
        ("2026-06-20", None),
    ]
    found = set()
    for number, order in enumerate(itertools.permutations(versions)):
        plan, subject = f"plan {number}", f"acct {number}"
        billing.plan(plan)
        billing.subscribe(plan, "2026-01-01", subject=subject)
        billing.price("tokens", unit("9"), plan=plan, since="2026-01-01")
        for since, price in order:
            if price is None:
                ledger.call("retire_price", plan=plan, item="tokens", at=at(since))
            else:
                billing.price("tokens", price, plan=plan, since=since)
        for day in (3, 10, 16, 25):
            ledger.record(subject, "tokens", day, at=at(f"2026-06-{day:02}"))
        lines = billing.invoice(subject=subject)
        found.add(tuple((line.since, line.until, line.quantity, line.amount, line.kind) for line in lines))
    assert len(found) == 1
    (lines,) = found
    assert [line[3] for line in lines] == [3, 20, 16, None, 39]


def test_a_watermark_waits_for_a_price_and_then_includes_it(
    billing: Billing, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    billing.use(10)
    other, observer = new_ledger("pricing", autocommit=False), new_ledger("observer")
    other.call("define_price", plan="pro", item="tokens", price=Jsonb(unit("2")), metric="tokens")
    drawing = Task(lambda: Billing.watermark(billing))
    wait_until_blocked(observer.connection, "ledger")
    other.connection.commit()
    mark = drawing.result()
    assert total(billing.invoice(as_of=mark)).amount == 20


def test_a_price_waits_for_a_watermark_and_is_later(
    billing: Billing, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    billing.use(10)
    billing.price("tokens", unit("1"))
    other, observer = new_ledger("closing", autocommit=False), new_ledger("observer")
    mark = other.value("SELECT meter.watermark(%s)", [SUBJECT])
    defining = Task(lambda: billing.price("tokens", unit("3"), since="2026-01-01"))
    wait_until_blocked(observer.connection, "ledger")
    other.connection.commit()
    assert defining.result().recorded_at > mark
    assert total(billing.invoice(as_of=mark)).amount == 10
    assert total(billing.invoice()).amount == 30


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_old_snapshot_may_not_change_prices(billing: Billing, isolation: str) -> None:
    connection = billing.ledger.connection
    with refused("25001"), connection.transaction():
        connection.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}".encode())
        billing.price("tokens", unit("1"))


def test_prices_are_locked_for_a_short_time_only(billing: Billing, new_ledger: NewLedger) -> None:
    other = new_ledger("pricing", autocommit=False)
    other.call("define_price", plan="pro", item="tokens", price=Jsonb(unit("2")), metric="tokens")
    with refused("55P03"):
        billing.price("tokens", unit("1"))
    other.connection.rollback()
    assert billing.price("tokens", unit("1")).price_version


def test_a_restored_schema_without_rows_of_locks_works(billing: Billing) -> None:
    billing.ledger.execute("DELETE FROM meter.locks WHERE name = 'prices'")
    mark = billing.watermark()
    billing.ledger.execute("DELETE FROM meter.locks WHERE name = 'prices'")
    assert billing.price("tokens", unit("1")).recorded_at > mark


def test_nobody_changes_or_deletes_a_version(billing: Billing) -> None:
    """All that is recorded stays: each change is one row more."""
    count = "SELECT (SELECT count(*) FROM meter.plan_prices) + (SELECT count(*) FROM meter.plan_minimums)"
    for number, change in enumerate(
        (
            lambda: billing.price("tokens", unit("1")),
            lambda: billing.price("tokens", unit("2")),
            lambda: billing.ledger.call("set_plan_minimum", plan="pro", amount=5),
            lambda: billing.ledger.call("retire_price", plan="pro", item="tokens"),
            lambda: billing.ledger.call("set_plan_minimum", plan="pro", amount=None),
        ),
        1,
    ):
        change()
        assert billing.ledger.value(count) == number


def test_a_first_price_waits_for_a_subscription_of_another_currency(
    billing: Billing, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    billing.plan("euro")
    billing.fee("base", flat("5", currency="USD"))
    other, observer = new_ledger("subscribing", autocommit=False), new_ledger("observer")
    other.call("subscribe", subject=SUBJECT, plan="euro", since=at("2026-06-01"))
    defining = Task(lambda: billing.fee("base", flat("5", currency="EUR"), plan="euro"))
    wait_until_blocked(observer.connection, "ledger")
    other.connection.commit()
    error = defining.error()
    assert isinstance(error, psycopg.Error)
    assert error.sqlstate == "22023"


def test_a_subscription_waits_for_a_first_price_of_another_currency(
    billing: Billing, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    billing.plan("euro")
    billing.fee("base", flat("5", currency="USD"))
    other, observer = new_ledger("pricing", autocommit=False), new_ledger("observer")
    other.call("define_price", plan="euro", item="base", price=Jsonb(flat("5", currency="EUR")))
    subscribing = Task(lambda: billing.subscribe("euro", "2026-06-01"))
    wait_until_blocked(observer.connection, "ledger")
    other.connection.commit()
    error = subscribing.error()
    assert isinstance(error, psycopg.Error)
    assert error.sqlstate == "22023"
