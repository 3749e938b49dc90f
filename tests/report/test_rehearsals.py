"""A rehearsal, whose name ends in _shadow, calls no biller that bills, whoever asks for what."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from pymeter.report import AsyncReporter, BillerRefused, Outcome, Reporter, StripeBiller, handle_webhook
from pymeter.secrets import Secret
from tests.report.double import fixtures
from tests.report.double.webhook import sign
from tests.report.shop import LIVE, METRIC, Shop, shop

pytest.importorskip("stripe")

__all__ = ["shop"]

double = fixtures.stripe_double

TEST = "sk_test_0123456789abcdef"
SHADOW = "stripe_shadow"
KEYS = [LIVE, "rk_live_0123456789abcdef", "sk_org_0123456789abcdef", "0123456789abcdef"]
PROGRAMS: dict[str, Callable[[Reporter], Any]] = {
    "run_once": lambda reporter: reporter.run_once(),
    "watch": lambda reporter: reporter.watch(0.05),
    "reconcile": lambda reporter: reporter.reconcile(),
    "take_in": lambda reporter: reporter.take_in("evt_1"),
}


@pytest.fixture
def rehearsal(shop: Shop) -> Shop:
    """Usage that a rehearsal would report."""
    shop.meter.define_biller(SHADOW, subject_is_customer=True)
    shop.meter.report_metric(METRIC, METRIC, biller=SHADOW)
    shop.use(hours=1)
    return shop


def _assert_nothing_was_called(shop: Shop) -> None:
    assert shop.double.events() == []
    assert shop.double.counters()["reads"] == 0


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_key_that_is_no_test_key_is_refused(
    rehearsal: Shop, program: Callable[[Reporter], Any], key: str
) -> None:
    reporter = rehearsal.reporter(key, biller_name=SHADOW)
    with pytest.raises(BillerRefused, match="test keys only"):
        program(reporter)
    _assert_nothing_was_called(rehearsal)


def test_it_is_refused_on_an_event_loop_and_in_a_webhook_too(rehearsal: Shop) -> None:
    async def run() -> None:
        async with rehearsal.async_pool() as pool:
            await AsyncReporter(pool, rehearsal.biller(), biller_name=SHADOW).run_once()

    with pytest.raises(BillerRefused, match="test keys only"):
        asyncio.run(run())
    import time

    payload = '{"id": "evt_1", "type": "v1.billing.meter.no_meter_found"}'
    signature = sign(payload, "whsec_0123456789", int(time.time()))
    with pytest.raises(BillerRefused, match="test keys only"):
        handle_webhook(
            payload,
            signature,
            secret="whsec_0123456789",
            pool=rehearsal.pool(),
            biller=rehearsal.biller(),
            biller_name=SHADOW,
        )
    _assert_nothing_was_called(rehearsal)


def test_a_key_that_becomes_live_in_the_middle_of_a_run_is_not_used(rehearsal: Shop) -> None:
    class Rotated(StripeBiller):
        def send(self, push: Any) -> Outcome:
            outcome = super().send(push)
            self._key = Secret(LIVE)
            return outcome

    rehearsal.use("cus_2", hours=1)
    biller = Rotated(TEST, base=rehearsal.double.url)
    reporter = Reporter(rehearsal.pool(), biller, biller_name=SHADOW, connections=1, clock=rehearsal.now)
    with pytest.raises(BillerRefused, match="test keys only"):
        reporter.run_once()
    assert rehearsal.sent() == {}
    assert len(rehearsal.double.totals("test", by="sum")) == 1


def test_a_biller_of_another_class_has_to_say_that_it_bills_nobody(rehearsal: Shop) -> None:
    class Wrapped:
        """Hides what is in it, as a wrapper may."""

        rate = timeout = 1.0

        def __init__(self, inner: StripeBiller) -> None:
            self.check, self.send, self.failures = inner.check, inner.send, inner.failures

    wrapped: Any = Wrapped(rehearsal.biller())
    with pytest.raises(BillerRefused, match="test keys only"):
        Reporter(rehearsal.pool(), wrapped, biller_name=SHADOW).run_once()
    _assert_nothing_was_called(rehearsal)
    wrapped = Wrapped(rehearsal.biller(TEST))
    wrapped.test_mode = True
    assert Reporter(rehearsal.pool(), wrapped, biller_name=SHADOW).run_once().exit_status == 0


@pytest.mark.parametrize("key", [TEST, "rk_test_0123456789abcdef"])
def test_a_test_key_is_taken(rehearsal: Shop, key: str) -> None:
    assert rehearsal.reporter(key, biller_name=SHADOW).run_once().tally.delivered == 1
    assert rehearsal.sent() == {}


def test_a_test_key_on_a_journal_that_counts_is_told_by_the_library(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "pymeter.report"):
        shop.report(key=TEST)
    assert "bills nobody" in caplog.text
