"""A biller's meters come and go under one event name: what each of them has counted is counted once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from pymeter.report import Reporter
from tests.report.double import fixtures
from tests.report.shop import METRIC, Shop, hour, shop

pytest.importorskip("stripe")

__all__ = ["shop"]

double = fixtures.stripe_double_shared
KINDS = pytest.mark.parametrize("reporter", ["the same process", "a fresh process"])


def _reporter(shop: Shop, kind: str, running: Reporter) -> Reporter:
    return running if kind == "the same process" else shop.reporter(patience=timedelta())


def _replace_meter(shop: Shop) -> None:
    shop.double.archive_meter(METRIC)
    shop.double.create_meter(METRIC)


@KINDS
def test_a_push_that_an_archived_meter_has_counted_is_not_missing(shop: Shop, reporter: str) -> None:
    """Sent again it would be counted twice, by the old meter and by the new one."""
    running = shop.reporter(patience=timedelta())
    shop.use(quantity=5, hours=3)
    running.run_once()
    running.reconcile(since=shop.now() - timedelta(days=2))  # whatever it remembers of meters, it knows now
    shop.use(quantity=70, hours=2)
    shop.double.fault("drop_after", times=None)
    running.run_once()
    shop.double.clear_faults()
    _replace_meter(shop)
    for _ in range(3):
        shop.pass_time(hours=25)
        _reporter(shop, reporter, running).run_once()
    assert shop.states() == {"delivered": 1, "resolved": 1}
    shop.assert_reported()


@KINDS
def test_a_push_that_the_new_meter_has_counted_is_not_missing(shop: Shop, reporter: str) -> None:
    running = shop.reporter(patience=timedelta())
    shop.use(quantity=5, hours=3)
    running.run_once()
    running.reconcile(since=shop.now() - timedelta(days=2))
    _replace_meter(shop)
    shop.use(quantity=70, hours=2)
    shop.double.fault("drop_after", times=None)
    running.run_once()
    shop.double.clear_faults()
    for _ in range(3):
        shop.pass_time(hours=25)
        _reporter(shop, reporter, running).run_once()
    assert shop.states() == {"delivered": 1, "resolved": 1}
    shop.assert_reported()


def test_an_hour_that_two_meters_counted_is_the_sum_of_both(shop: Shop) -> None:
    biller = shop.biller()
    start = hour(shop.now()) - timedelta(hours=2)
    shop.use(quantity=70, hours=2)
    shop.report()
    span = (start - timedelta(hours=1), start + timedelta(hours=2), "hour")
    assert sum(total.value for total in biller.totals("cus_1", METRIC, *span)) == 70  # type: ignore[arg-type]
    _replace_meter(shop)
    shop.use(quantity=30, hours=2)
    shop.report()
    totals = biller.totals("cus_1", METRIC, *span)  # type: ignore[arg-type]
    assert sum(total.value for total in totals) == Decimal(100)
    assert len({total.start for total in totals}) == len(totals)
    assert shop.reporter().reconcile("hour", since=span[0]).different == []


def test_meters_archived_long_before_an_hour_cost_no_call(shop: Shop) -> None:
    biller = shop.biller()
    for _ in range(3):
        _replace_meter(shop)
    shop.pass_time(hours=30)
    start = hour(shop.now()) - timedelta(hours=2)
    biller.totals("cus_1", METRIC, start, start + timedelta(hours=1), "hour")
    assert shop.double.counters()["reads"] == 1


def test_what_was_sent_before_any_meter_there_is_was_created_is_never_taken_for_missing(shop: Shop) -> None:
    """The key is of another account now, or the meter's history is gone: a total of 0 says nothing."""
    shop.use(quantity=70, hours=2)
    shop.double.fault("drop_after", times=None)
    shop.report(patience=timedelta())
    shop.double.reset()
    shop.pass_time(hours=25)
    shop.double.create_meter(METRIC)
    for _ in range(3):
        shop.report(patience=timedelta())
        shop.pass_time(hours=25)
    (push,) = shop.pushes()
    assert push.state == "uncertain"
    assert "began to count under this event name after they were sent" in (push.error or "")
    assert shop.sent() == {}
    # A person who knows decides.
    shop.meter.resolve_push(push.identifier, delivered=True)
    assert shop.states() == {"resolved": 1}
