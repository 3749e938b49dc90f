"""Webhooks: what failed after Stripe had accepted it becomes rejected, whoever sends what how often."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from pymeter.report import BadSignature, BillerError, handle_webhook, handle_webhook_async
from tests.report.double import fixtures
from tests.report.double.webhook import sign
from tests.report.shop import LIVE, Shop, shop

pytest.importorskip("stripe")

__all__ = ["shop"]

double = fixtures.stripe_double
SECRET = "whsec_0123456789"


def _failed_event(shop: Shop, *customers: str, code: str = "meter_event_customer_not_found") -> str:
    """Pushes that were accepted and failed; returns the id of the event that says so."""
    for customer in customers:
        shop.double.fault("reject_later", customer=customer, code=code)
        shop.use(customer, hours=1)
    # What is polled at the end of a run would take it in; here it comes by webhook.
    rule = shop.double.fault("error_before", route="list_core_events", times=None)
    shop.report()
    shop.double.clear_faults(rule)
    (event_id,) = shop.double.report_failures()
    return event_id


def test_the_pushes_that_it_names_become_rejected_once(shop: Shop) -> None:
    shop.use("cus_good", hours=1)
    event_id = _failed_event(shop, "cus_1", "cus_2")
    hook = shop.double.webhook(event_id, SECRET)
    pool, biller = shop.pool(), shop.biller()
    first = handle_webhook(hook.payload, hook.signature, secret=SECRET, pool=pool, biller=biller)
    assert (first.event_id, first.handled, first.rejected) == (event_id, True, 2)
    assert shop.states() == {"delivered": 1, "rejected": 2}
    again = handle_webhook(hook.payload.encode(), hook.signature, secret=SECRET, pool=pool, biller=biller)
    assert (again.handled, again.rejected) == (True, 0)
    # The run's own polling does not count it a second time either.
    assert shop.report().tally.failed == 0


def test_it_works_on_an_event_loop(shop: Shop) -> None:
    hook = shop.double.webhook(_failed_event(shop, "cus_1"), SECRET)

    async def handle() -> Any:
        async with shop.async_pool() as pool:
            return await handle_webhook_async(
                hook.payload, hook.signature, secret=SECRET, pool=pool, biller=shop.biller()
            )

    assert asyncio.run(handle()).rejected == 1
    assert shop.states() == {"rejected": 1}


def test_everything_comes_from_the_environment_if_it_is_not_given(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = shop.double.webhook(_failed_event(shop, "cus_1"), SECRET)
    monkeypatch.setenv("PYMETER_DSN", shop.dsn)
    monkeypatch.setenv("STRIPE_API_KEY", LIVE)
    monkeypatch.setenv("STRIPE_API_BASE", shop.double.url)
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", SECRET)
    assert handle_webhook(hook.payload, hook.signature).rejected == 1


# Signed when the test runs: a signature of the time of collection may be refused for its age alone.
REFUSED: dict[str, Callable[[int], str | None]] = {
    "none": lambda now: None,
    "empty": lambda now: "",
    "nonsense": lambda now: "nonsense",
    "empty parts": lambda now: "t=,v1=",
    "no time": lambda now: "v1=00",
    "no number as time": lambda now: "t=abc,v1=00",
    "another secret": lambda now: sign("{}", "whsec_other", now),
    "another payload": lambda now: sign('{"id": "evt_2"}', SECRET, now),
    "too old": lambda now: sign("{}", SECRET, now - 400),
    "a time of 5,000 digits": lambda now: f"t={'9' * 5000},v1=00",
    "zeros without end before the time": lambda now: "t=" + sign("{}", SECRET, now)[2:].rjust(6000, "0"),
    "digits of another script": lambda now: "t=\u0661\u0662,v1=00",
    "a superscript": lambda now: "t=\u00b2,v1=00",
    "a negative time": lambda now: "t=-1,v1=00",
    "a time with an exponent": lambda now: "t=1e9,v1=00",
    "a signature of lone surrogates": lambda now: f"t={now},v1=\ud800",
    "a signature that is not ASCII": lambda now: f"t={now},v1=\u00e9",
    "a NUL": lambda now: f"t={now}\0,v1=00",
    "a hundred thousand parts": lambda now: f"t={now}," + "v1=00," * 100_000,
    "another scheme": lambda now: sign("{}", SECRET, now).replace("v1=", "v0="),
}


@pytest.mark.parametrize("signature", REFUSED.values(), ids=REFUSED)
def test_what_is_not_signed_with_the_secret_just_now_is_refused(
    shop: Shop, signature: Callable[[int], str | None]
) -> None:
    header = signature(int(time.time()))
    with pytest.raises(BadSignature):
        handle_webhook("{}", header, secret=SECRET, pool=shop.pool(), biller=shop.biller())


@pytest.mark.parametrize("seed", range(20))
def test_no_header_and_no_body_is_anything_but_a_bad_signature(seed: int) -> None:
    chance = random.Random(seed)
    pieces = [
        "t",
        "v1",
        "=",
        ",",
        "1",
        "0",
        " ",
        "\0",
        "\ud800",
        "\u0661",
        "e9",
        "-",
        "t=",
        str(int(time.time())),
    ]
    for _ in range(200):
        header = "".join(chance.choices(pieces, k=chance.randrange(40)))
        body: str | bytes = "".join(chance.choices(pieces, k=chance.randrange(40)))
        if chance.random() < 0.5:
            body = chance.randbytes(20)
        with pytest.raises(BadSignature):
            handle_webhook(body, header, secret=SECRET)


def test_a_header_may_come_as_bytes(shop: Shop) -> None:
    payload = json.dumps({"id": "evt_1", "type": "invoice.paid"})
    header = sign(payload, SECRET, int(time.time())).encode()
    assert handle_webhook(payload.encode(), header, secret=SECRET, pool=shop.pool()).handled is False


def test_any_of_several_signatures_will_do(shop: Shop) -> None:
    """While a secret is replaced, Stripe signs with both."""
    payload = json.dumps({"id": "evt_1", "object": "event", "type": "invoice.paid"})
    now = int(time.time())
    good, other = sign(payload, SECRET, now), sign(payload, "whsec_other", now).partition(",")[2]
    found = handle_webhook(payload, f"{good},{other}", secret=SECRET, pool=shop.pool(), biller=shop.biller())
    assert (found.type, found.handled, found.rejected) == ("invoice.paid", False, 0)


def test_signed_nonsense_is_refused(shop: Shop) -> None:
    nested, digits = "[" * 100_000, '{"id": ' + "9" * 5000 + "}"
    ids = (
        "null",
        "5",
        '""',
        '"../charges"',
        '"evt 1"',
        '"evt_1?expand=x"',
        '"' + "e" * 300 + '"',
        '"evt\\u0000"',
    )
    malformed = [f'{{"id": {event_id}, "type": "v1.billing.meter.no_meter_found"}}' for event_id in ids]
    for payload in ("", "[]", "null", "not json", "NaN", '{"type": "x"}', nested, digits, *malformed):
        with pytest.raises(BadSignature):
            handle_webhook(payload, sign(payload, SECRET, int(time.time())), secret=SECRET, pool=shop.pool())


def test_without_a_secret_nothing_is_believed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRET", raising=False)
    monkeypatch.delenv("STRIPE_WEBHOOK_SECRET_FILE", raising=False)
    with pytest.raises(ValueError, match="STRIPE_WEBHOOK_SECRET"):
        handle_webhook("{}", "t=1,v1=00", pool=shop.pool())


def test_a_biller_that_cannot_be_asked_is_an_error_so_that_it_comes_again(shop: Shop) -> None:
    hook = shop.double.webhook(_failed_event(shop, "cus_1"), SECRET)
    shop.double.fault("error_before", route="retrieve_core_event")
    biller = shop.biller()
    with pytest.raises(BillerError):
        handle_webhook(hook.payload, hook.signature, secret=SECRET, pool=shop.pool(), biller=biller)
    assert shop.states() == {"delivered": 1}
    assert (
        handle_webhook(hook.payload, hook.signature, secret=SECRET, pool=shop.pool(), biller=biller).rejected
        == 1
    )


def test_the_rest_of_a_reports_time_is_put_up_for_comparison(shop: Shop) -> None:
    shop.use("cus_good", hours=1)
    hook = shop.double.webhook(_failed_event(shop, "cus_1"), SECRET)
    handle_webhook(hook.payload, hook.signature, secret=SECRET, pool=shop.pool(), biller=shop.biller())
    shop.pass_time(hours=2)
    causes = {row.customer: row.cause for row in shop.meter.reconcilable_ranges(step="hour", now=shop.now())}
    assert causes["cus_good"] == "recheck"


def test_what_failed_later_is_sent_anew_on_demand(shop: Shop) -> None:
    hook = shop.double.webhook(_failed_event(shop, "cus_1"), SECRET)
    handle_webhook(hook.payload, hook.signature, secret=SECRET, pool=shop.pool(), biller=shop.biller())
    assert len(shop.meter.retry_pushes(now=shop.now())) == 1
    shop.report()
    shop.assert_reported()
