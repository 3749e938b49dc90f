"""The double's invoice items behave as Stripe documents, towards the real stripe-python."""

from __future__ import annotations

from typing import Any

import pytest

from tests.report.double import Double, fixtures

stripe: Any = pytest.importorskip("stripe")

double = fixtures.stripe_double

LIVE = "sk_live_0123456789abcdef"
DAY = 86400
ITEM: dict[str, Any] = {"customer": "cus_1", "amount": "250", "currency": "eur"}


@pytest.fixture
def items(double: Double, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(stripe, "enable_telemetry", False)
    client = stripe.StripeClient(LIVE, base_addresses=double.base_addresses, max_network_retries=0)
    return client.v1.invoice_items


def test_a_key_creates_once_for_a_day_and_again_after_it(double: Double, items: Any) -> None:
    key = {"idempotency_key": "k1"}
    first = items.create(ITEM, key)
    assert items.create(ITEM, key).id == first.id
    double.advance(DAY + 1)
    assert items.create(ITEM, key).id != first.id
    assert len(double.invoice_items()) == 2


def test_a_key_is_refused_with_other_parameters(double: Double, items: Any) -> None:
    items.create(ITEM, {"idempotency_key": "k1"})
    with pytest.raises(stripe.IdempotencyError):
        items.create(ITEM | {"amount": "251"}, {"idempotency_key": "k1"})
    assert [item["amount"] for item in double.invoice_items()] == [250]


def test_a_key_repeats_an_error_whether_or_not_it_was_applied(double: Double, items: Any) -> None:
    for fault, there in (("error_before", 0), ("error_after", 1)):
        double.fault(fault, route="create_invoice_item")
        for _ in range(2):
            with pytest.raises(stripe.APIError):
                items.create(ITEM, {"idempotency_key": fault})
        assert len(double.invoice_items()) == there


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": "2.5"},
        {"amount": "1e3"},
        {"amount": "1000000000000"},
        {"currency": "EUR"},
        {"currency": "xxx"},
        {"currency": "kwd", "amount": "1234"},
        {"currency": "isk", "amount": "550"},
        {"period": {"start": 2, "end": 1}},
        {"metadata": {"k": "x" * 501}},
        {"unknown": "1"},
    ],
)
def test_what_stripe_refuses_is_refused(double: Double, items: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        items.create(ITEM | wrong)
    assert double.invoice_items() == []


def test_an_unknown_customer_can_be_neither_billed_nor_listed(double: Double, items: Any) -> None:
    double.settings(unknown_customers=["cus_1"])
    for call in (lambda: items.create(ITEM), lambda: items.list({"customer": "cus_1"})):
        with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
            call()


def test_a_list_is_of_one_customer_from_a_time_on_newest_first_in_pages(double: Double, items: Any) -> None:
    items.create(ITEM | {"amount": "-1"})
    double.advance(DAY)
    since = int(double.now())
    items.create(ITEM | {"customer": "cus_2"})
    for amount in range(1, 13):
        items.create(ITEM | {"amount": str(amount)})
    wanted = {"customer": "cus_1", "created": {"gte": since}}
    page = items.list(wanted)
    assert [item.amount for item in page.data] == list(range(12, 2, -1))
    assert page.has_more
    rest = items.list({**wanted, "starting_after": page.data[-1].id})
    assert [item.amount for item in rest.data] == [2, 1]
    assert not rest.has_more
