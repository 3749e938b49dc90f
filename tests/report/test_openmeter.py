"""Reporters that report to OpenMeter: the reporter is the same, whichever adapter sends."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from pymeter.report import AsyncReporter, BillerRefused, OpenMeterBiller, Reporter, StripeBiller
from tests.cli.conftest import Ran, pymeter
from tests.helpers import at_length
from tests.report.adapters import ADAPTERS, LIVE, OPENMETER
from tests.report.double import Double, fixtures
from tests.report.impostor import impostor
from tests.report.shop import METRIC, Shop, hour, shop

pytest.importorskip("stripe")
pytest.importorskip("requests")

__all__ = ["pymeter", "shop"]

double = fixtures.stripe_double_shared
openmeter = pytest.mark.parametrize("shop", [OPENMETER], ids=["openmeter"], indirect=True)
Run = Callable[..., Ran]
_FAULTS = ("drop_before", "drop_after", "half_response", "error_before", "error_after", "rate_limited")
PLANTED = "PLANTED"
_NONE = timedelta()


def _know_for_32_days(shop: Shop, **settings: Any) -> None:
    shop.meter.define_biller(
        "openmeter",
        dedup_window=timedelta(days=32),
        dedup_margin=timedelta(days=1),
        max_age=timedelta(days=3650),
        **settings,
    )


# --- each unit once -----------------------------------------------------------------------------------------


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(1, 3)))
@pytest.mark.parametrize("shop", ADAPTERS.values(), ids=ADAPTERS, indirect=True)
def test_each_unit_is_counted_once_whatever_happens_on_the_way(shop: Shop, seed: int) -> None:
    """Any adapter: calls and answers are lost at random, and time passes, within the window and beyond."""
    chance = random.Random(seed)
    for number, kind in enumerate(_FAULTS):
        shop.double.fault(kind, times=None, probability=0.1, seed=seed * 100 + number, route="*")
    for _ in range(6):
        shop.use_many(customers=4, hours=2, quantity=chance.randint(1, 99))
        shop.use("cus_0", Decimal(chance.randint(1, 999)) / 1000, minutes=chance.randint(0, 300))
        shop.reporter(patience=_NONE, connections=chance.choice([1, 4])).run_once()
        shop.pass_time(hours=chance.choice([0.1, 1, 25]))
    assert sum(rule["hits"] for rule in shop.double.faults()) > 5
    shop.double.clear_faults()
    for _ in range(4):
        shop.reporter(patience=_NONE).run_once()
        shop.pass_time(hours=25)
    assert set(shop.states()) <= {"delivered", "resolved", "replaced"}
    shop.assert_reported()


@openmeter
def test_an_async_reporter_takes_it_too(shop: Shop) -> None:
    shop.use_many(customers=3, hours=3)

    async def run() -> None:
        async with shop.async_pool() as pool:
            await AsyncReporter(pool, shop.biller(), biller_name="openmeter", clock=shop.now).run_once()

    asyncio.run(run())
    assert shop.states() == {"delivered": 9}
    shop.assert_reported()


@openmeter
def test_days_after_an_unknown_outcome_it_is_still_sent_again_and_not_uncertain(shop: Shop) -> None:
    """OpenMeter knows an identifier for longer than Stripe."""
    _know_for_32_days(shop)
    shop.use_many(customers=2, hours=2)
    shop.double.fault("drop_after", times=None)
    shop.reporter(patience=_NONE).run_once()
    assert shop.states() == {"planned": 4}
    shop.pass_time(days=30)
    shop.double.clear_faults()
    assert shop.report().exit_status == 0
    assert shop.states() == {"delivered": 4}
    assert shop.double.counters()["duplicates"] > 0
    shop.assert_reported()


@openmeter
@pytest.mark.parametrize("fault", ["drop_before", "drop_after"])
def test_after_the_window_the_total_of_the_hour_decides(shop: Shop, fault: str) -> None:
    _know_for_32_days(shop)
    shop.use(quantity="0.1", hours=2)
    shop.use(quantity="0.2", hours=2, minutes=1)
    shop.report()
    shop.use(quantity="0.7", hours=2)
    shop.double.fault(fault, times=None)
    shop.reporter(patience=_NONE).run_once()
    shop.double.clear_faults()
    shop.pass_time(days=32)
    for _ in range(3):
        shop.reporter(patience=_NONE).run_once()
        shop.pass_time(hours=25)
    expected = {"delivered", "resolved"} if fault == "drop_after" else {"delivered", "replaced"}
    assert set(shop.states()) == expected
    shop.assert_reported()


@openmeter
def test_usage_of_last_year_and_what_a_correction_takes_away_are_sent_if_the_rules_say_so(shop: Shop) -> None:
    _know_for_32_days(shop, negative="send")
    shop.use(quantity=5, days=400)
    at = shop.now() - timedelta(days=2)
    shop.meter.record("cus_2", METRIC, 3, at=at, idempotency_key="use_1")
    assert shop.report().exit_status == 0
    assert shop.sent()["cus_2", METRIC, hour(at)] == 3
    shop.meter.void_event("cus_2", METRIC, idempotency_key="use_1", reason="a test")
    assert shop.report().exit_status == 0
    assert [push.value for push in shop.pushes("delivered")] == [5, 3, -3]
    assert shop.sent() == {
        ("cus_1", METRIC, hour(shop.now() - timedelta(days=400))): 5,
        ("cus_2", METRIC, hour(at)): 0,
    }


@openmeter
def test_what_openmeter_has_lost_is_a_difference(shop: Shop) -> None:
    shop.double.fault("lose", customer="cus_1")
    shop.use(quantity=7, days=2)
    shop.use("cus_2", quantity=1, days=2)
    shop.report()
    found = shop.reporter().reconcile()
    assert [(row.customer, row.difference) for row in found.different] == [("cus_1", -7)]
    assert (len(found.compared), found.unanswered) == (2, 0)


@openmeter
def test_what_no_meter_counts_yet_is_told_and_not_sent_again(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Sent again under another identifier, it would count twice as soon as there is a meter."""
    shop.meter.define_metric("calls", "sum", "unit")
    shop.meter.report_metric("calls", "calls", biller="openmeter")
    shop.use(metric="calls", quantity=3, days=2)
    assert shop.report().exit_status == 0
    with caplog.at_level(logging.WARNING, "pymeter.report"):
        assert shop.reporter().reconcile().unanswered == 1
    assert "no meter that sums $.value of events of type calls" in caplog.text
    assert shop.meter.retry_pushes("openmeter") == []
    shop.double.create_meter("calls")
    found = shop.reporter().reconcile()
    assert (len(found.compared), found.different) == (1, [])


# --- names --------------------------------------------------------------------------------------------------


@openmeter
@pytest.mark.parametrize("name", ["stripe", "stripe_eu"])
def test_what_stripe_counts_is_not_sent_to_openmeter(shop: Shop, name: str) -> None:
    shop.meter.define_biller(name, subject_is_customer=True)
    shop.meter.report_metric(METRIC, METRIC, biller=name)
    shop.use(hours=2)
    with pytest.raises(BillerRefused, match=f"{name} is reported to stripe, not to openmeter"):
        Reporter(shop.pool(), shop.biller(), biller_name=name, clock=shop.now).run_once()
    biller = StripeBiller(LIVE, base=shop.double.url)
    with pytest.raises(BillerRefused, match="openmeter_eu is reported to openmeter, not to stripe"):
        Reporter(shop.pool(), biller, biller_name="openmeter_eu", clock=shop.now).run_once()
    assert shop.double.events() == []


@openmeter
def test_a_rehearsal_needs_a_server_that_bills_nobody(shop: Shop) -> None:
    shadow = "openmeter_shadow"
    shop.meter.define_biller(shadow, subject_is_customer=True)
    shop.meter.report_metric(METRIC, METRIC, biller=shadow)
    shop.use(hours=2)
    with pytest.raises(BillerRefused, match="test_mode"):
        Reporter(shop.pool(), shop.biller(), biller_name=shadow, clock=shop.now).run_once()
    assert shop.double.events() == []
    test = shop.biller(test_mode=True)
    Reporter(shop.pool(), test, biller_name=shadow, clock=shop.now).run_once()
    assert len(shop.double.events()) == 1


# --- the command line ---------------------------------------------------------------------------------------


@pytest.fixture
def environment(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STRIPE_API_KEY", "STRIPE_API_KEY_FILE", "OPENMETER_TOKEN", "OPENMETER_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENMETER_URL", double.url)


@openmeter
@pytest.mark.usefixtures("environment")
def test_the_name_chooses_the_adapter(shop: Shop, pymeter: Run) -> None:
    shop.use_many(customers=2, hours=2)
    ran = pymeter("report", "--once", "--biller", "openmeter", "--json")
    assert (ran.status, ran.json["delivered"]) == (0, 4)
    shop.assert_reported()
    ran = pymeter("report", "reconcile", "--biller", "openmeter", "--step", "hour", "--json")
    assert (ran.status, ran.json["compared"], ran.json["different"]) == (0, 4, [])


@openmeter
@pytest.mark.usefixtures("environment")
def test_an_option_chooses_the_adapter_for_any_other_name(
    shop: Shop, pymeter: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.delenv("OPENMETER_URL")
    shop.meter.define_biller("acme", subject_is_customer=True)
    shop.meter.report_metric(METRIC, METRIC, biller="acme")
    shop.use(hours=2)
    shop.double.settings(keys=["om_0123456789abcdef"])
    (tmp_path / "token").write_text("om_0123456789abcdef\n")
    options = ("--adapter", "openmeter", "--url", shop.double.url, "--key-file", str(tmp_path / "token"))
    ran = pymeter("report", "--once", "--biller", "acme", *options, "--json")
    assert (ran.status, ran.json["delivered"]) == (0, 1)
    ran = pymeter("report", "--once", "--biller", "acme")
    assert (ran.status, "STRIPE_API_KEY" in ran.err) == (2, True)


@openmeter
@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--adapter", "openmeter"), "stripe is reported to stripe, not to openmeter"),
        (("--biller", "openmeter", "--adapter", "lago"), "--adapter: stripe or openmeter"),
        (("--biller", "openmeter", "--url", "nowhere"), "not an http or https address"),
        (("--biller", "openmeter_shadow"), "test_mode"),
    ],
)
def test_what_cannot_be_meant_is_status_2(
    shop: Shop, pymeter: Run, args: tuple[str, ...], message: str
) -> None:
    shop.use(hours=2)
    ran = pymeter("report", "--once", *args)
    assert ran.status == 2
    assert message in " ".join(ran.err.split())
    assert shop.double.events() == []


@pytest.mark.usefixtures("environment")
def test_the_rules_of_openmeter_are_set_on_the_command_line(pymeter: Run, shop: Shop) -> None:
    rules = ("--dedup-window", "32d", "--max-age", "3650d")
    ran = pymeter("report", "rules", "--biller", "openmeter", *rules, "--json")
    assert ran.status == 0
    row = shop.meter.define_biller("openmeter")
    assert (row.dedup_window, row.max_age) == (timedelta(days=32), timedelta(days=3650))


def test_every_rule_of_a_biller_can_be_set_on_the_command_line(pymeter: Run, shop: Shop) -> None:
    """For a biller of another adapter no default need be right."""
    rules = {
        "--subject-is-customer": [], "--too-old": ["leave"], "--negative": ["send"], "--late": ["hold"],
        "--grace": ["2h"], "--max-age": ["3d"], "--max-ahead": ["4m"], "--max-digits": ["20"],
        "--dedup-window": ["48h"], "--dedup-margin": ["3h"], "--absence": ["5h"], "--sends": ["statements"],
        "--statements-since": ["2026-01-01"],
    }  # fmt: skip
    options = [word for option, values in rules.items() for word in (option, *values)]
    found = pymeter("report", "rules", "--biller", "other", *options, "--json").json
    before = shop.meter.define_biller("yet_another").model_dump(mode="json")
    changed = {name for name, value in found.items() if value != before[name]}
    assert changed == {option.removeprefix("--").replace("-", "_") for option in rules} | {"biller"}
    assert changed == set(found) - {"first_claimed_at"}


# --- secrets ------------------------------------------------------------------------------------------------


@openmeter
@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_a_server_that_repeats_the_token_does_not_spread_it(
    shop: Shop, pymeter: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    token = f"om_{PLANTED}0123456789"
    monkeypatch.setenv("OPENMETER_TOKEN", token)
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "urllib3.connectionpool", "pymeter.report"):
        caplog.set_level(logging.DEBUG, logger=name)
    shop.use(hours=26)
    body = f'{{"title": "no {token}", "detail": "no {token}", "status": {status}}}'.encode()
    with impostor(status, body, Content_Type="application/problem+json", Request_Id=token) as server:
        monkeypatch.setenv("OPENMETER_URL", server.url)
        ran = [
            pymeter("report", *args, "--biller", "openmeter")
            for args in (("--once", "--patience", "0"), ("reconcile",))
        ]
        assert server.asked[0][1]["authorization"] == f"Bearer {token}"
    told = [r.out + r.err for r in ran] + [repr(OpenMeterBiller(token, url=server.url))]
    assert PLANTED not in "".join(told) + caplog.text
    assert PLANTED not in repr(shop.pushes())
    assert shop.pushes()[0].attempts == 1


@openmeter
def test_an_hour_is_that_of_the_usage(shop: Shop) -> None:
    shop.use(quantity=2, hours=5)
    shop.report()
    assert shop.sent() == {("cus_1", METRIC, hour(shop.now() - timedelta(hours=5))): 2}
