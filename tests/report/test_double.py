"""The double of Stripe's meters behaves as Stripe documents, towards the real stripe-python."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.report.double import Double, fixtures, running

stripe: Any = pytest.importorskip("stripe")

LIVE, TEST = "sk_live_0123456789abcdef", "sk_test_0123456789abcdef"
HOUR, DAY = 3600, 86400
# A whole day far from the limits, so that no hour ends in the middle of a test.
NOON = datetime(2026, 6, 18, 12, tzinfo=UTC)
START = int(NOON.timestamp())

double = fixtures.stripe_double


class Account:
    """stripe-python on the double, with one meter named ``calls`` in both worlds."""

    def __init__(self, double: Double, *, key: str = LIVE, retries: int = 0, timeout: float = 20) -> None:
        self.client = stripe.StripeClient(
            key,
            base_addresses=double.base_addresses,
            max_network_retries=retries,
            http_client=stripe.RequestsClient(timeout=timeout),
        )

    def push(
        self,
        identifier: str | None = "i1",
        *,
        value: str | None = "1",
        customer: str | None = "cus_1",
        event_name: str = "calls",
        timestamp: int | None = None,
        key: str | None = None,
    ) -> Any:
        payload = {"stripe_customer_id": customer, "value": value}
        params = {
            "event_name": event_name,
            "payload": {name: text for name, text in payload.items() if text is not None},
            "identifier": identifier,
            "timestamp": timestamp,
        }
        params = {name: given for name, given in params.items() if given is not None}
        options = {"idempotency_key": key} if key else {}
        return self.client.v1.billing.meter_events.create(params, options)

    def summaries(self, meter: str, start: int, end: int, **options: Any) -> Any:
        params = {"customer": "cus_1", "start_time": start, "end_time": end, **options}
        return self.client.v1.billing.meters.event_summaries.list(meter, params)

    def cancel(self, identifier: str) -> Any:
        return self.client.v1.billing.meter_event_adjustments.create(
            {"event_name": "calls", "type": "cancel", "cancel": {"identifier": identifier}}
        )


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No telemetry file, no half seconds between retries."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)


@pytest.fixture
def meter(double: Double) -> str:
    """The live meter's id; the clock stands still at noon."""
    double.freeze()
    double.set_clock(NOON)
    return str(double.create_meter("calls")["live"]["id"])


@pytest.fixture
def account(double: Double, meter: str) -> Account:
    return Account(double)


@contextmanager
def refused(status: int, error: type[Exception] | None = None) -> Iterator[Any]:
    with pytest.raises(error or stripe.StripeError) as caught:
        yield caught
    assert caught.value.http_status == status


@contextmanager
def in_background(call: Callable[[], Any]) -> Iterator[Future[Any]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(call)


def counted(double: Double, world: str = "live") -> list[str]:
    return [event["identifier"] for event in double.events(world) if event["state"] == "counted"]


class TestCounting:
    def test_an_event_is_counted_in_its_hour_for_its_customer(self, double: Double, account: Account) -> None:
        sent = account.push(value="2.50", timestamp=START - 1)
        assert sent.object == "billing.meter_event"
        assert sent.identifier == "i1"
        assert sent.livemode is True
        assert sent.payload.to_dict() == {"stripe_customer_id": "cus_1", "value": "2.50"}
        assert sent.timestamp == START - 1
        eleven = NOON.replace(hour=11)
        assert double.totals() == {("cus_1", "calls", eleven): Decimal("2.5")}
        [event] = double.events()
        assert event["value_text"] == "2.50"
        assert event["received_at"] == START

    def test_sums_are_exact_decimals(self, double: Double, account: Account) -> None:
        for number, value in enumerate(["0.1", "0.2", "999999999999999", "-0.000001"]):
            account.push(f"i{number}", value=value)
        assert list(double.totals().values()) == [Decimal("999999999999999.299999")]

    @pytest.mark.parametrize(("formula", "total"), [("sum", 9), ("count", 3), ("last", 5)])
    def test_a_meter_has_one_of_three_formulas(self, double: Double, formula: str, total: int) -> None:
        double.set_clock(NOON)
        meter = double.create_meter("seats", formula=formula)["live"]["id"]
        account = Account(double)
        for identifier, value, second in [("a", "1", 10), ("b", "5", 30), ("c", "3", 20)]:
            account.push(identifier, value=value, event_name="seats", timestamp=START + second)
        assert list(double.totals().values()) == [total]
        assert account.summaries(meter, START, START + HOUR).data[0].aggregated_value == total
        assert list(double.totals(by="sum").values()) == [9]
        assert list(double.totals(by="count").values()) == [3]
        assert list(double.totals(by="last").values()) == [5]

    def test_a_window_meter_counts_only_the_event_received_last(self, double: Double) -> None:
        double.set_clock(NOON)
        meter = double.create_meter("seats", event_time_window="hour")["live"]["id"]
        account = Account(double)
        for identifier, value, second in [("a", "7", 30), ("b", "2", 10), ("c", "4", -10)]:
            account.push(identifier, value=value, event_name="seats", timestamp=START + second)
        assert account.summaries(meter, START - HOUR, START + HOUR).data[0].aggregated_value == 6

    def test_other_payload_keys_name_customer_and_value(self, double: Double) -> None:
        double.create_meter("tokens", customer_key="who", value_key="how_many")
        Account(double).client.v1.billing.meter_events.create(
            {"event_name": "tokens", "payload": {"who": "cus_7", "how_many": "3"}}
        )
        [((customer, _, _), total)] = double.totals().items()
        assert (customer, total) == ("cus_7", 3)

    def test_the_worlds_of_test_and_live_keys_are_separate(self, double: Double, account: Account) -> None:
        account.push(value="1")
        assert Account(double, key=TEST).push(value="2").livemode is False
        assert list(double.totals("live").values()) == [1]
        assert list(double.totals("test").values()) == [2]

    def test_the_asynchronous_client_is_answered_too(self, double: Double, meter: str) -> None:
        pytest.importorskip("httpx")

        async def push() -> Any:
            client = stripe.StripeClient(
                LIVE, base_addresses=double.base_addresses, http_client=stripe.HTTPXClient()
            )
            params = {"event_name": "calls", "payload": {"stripe_customer_id": "cus_1", "value": "1"}}
            return await client.v1.billing.meter_events.create_async(params)

        assert asyncio.run(push()).event_name == "calls"


class TestIdentifiers:
    def test_a_seen_identifier_is_refused_as_a_duplicate(self, double: Double, account: Account) -> None:
        account.push()
        with refused(400, stripe.InvalidRequestError) as caught:
            account.push()
        assert caught.value.user_message == "An event already exists with identifier i1."
        assert caught.value.code is None
        assert caught.value.headers["stripe-should-retry"] == "false"
        assert double.counters()["duplicates"] == 1
        assert double.counters()["sent_repeatedly"] == {"i1": 2}
        assert counted(double) == ["i1"]

    def test_a_duplicate_with_other_content_is_refused_alike_but_noted(
        self, double: Double, account: Account
    ) -> None:
        account.push(value="1")
        with refused(400):
            account.push(value="2")
        assert double.counters()["duplicates_that_differ"] == 1

    def test_an_identifier_is_free_again_after_24_hours(self, double: Double, account: Account) -> None:
        account.push()
        double.advance(DAY - 1)
        with refused(400):
            account.push()
        assert double.counters()["counted_twice"] == []
        double.advance(1)
        account.push()
        assert double.counters()["counted_twice"] == ["i1"]

    def test_an_identifier_is_made_where_none_is_given(self, double: Double, account: Account) -> None:
        made = {account.push(None).identifier, account.push(None).identifier}
        assert len(made) == 2
        assert set(counted(double)) == made

    def test_a_resent_event_that_has_become_too_old_is_too_old_unless_duplicates_come_first(
        self, double: Double, account: Account
    ) -> None:
        account.push(timestamp=START - 35 * DAY)
        double.advance(1)
        with refused(400) as caught:
            account.push(timestamp=START - 35 * DAY)
        assert "35 days" in caught.value.user_message
        double.settings(duplicates_first=True)
        with refused(400) as caught:
            account.push(timestamp=START - 35 * DAY)
        assert "already exists" in caught.value.user_message


class TestIdempotencyKeys:
    def test_the_same_key_replays_the_first_answer(self, double: Double, account: Account) -> None:
        first, again = account.push(key="k1"), account.push(key="k1")
        assert again.last_response.body == first.last_response.body
        assert again.last_response.headers["Idempotent-Replayed"] == "true"
        assert counted(double) == ["i1"]
        assert double.counters()["replays"] == 1

    @pytest.mark.parametrize(("kind", "applied"), [("error_before", False), ("error_after", True)])
    def test_a_stored_500_is_replayed_and_a_fresh_key_gets_through(
        self, double: Double, account: Account, kind: str, applied: bool
    ) -> None:
        double.fault(kind)
        for _ in range(2):
            with refused(500, stripe.APIError):
                account.push(key="k1")
        assert counted(double) == (["i1"] if applied else [])
        if applied:
            with refused(400):
                account.push(key="k2")
        else:
            account.push(key="k2")
        assert counted(double) == ["i1"]

    def test_a_500_that_is_not_stored_is_not_replayed(self, double: Double, account: Account) -> None:
        double.fault("error_before", stored=False, status=503)
        with refused(503):
            account.push(key="k1")
        account.push(key="k1")
        assert counted(double) == ["i1"]

    def test_other_parameters_under_a_used_key_are_an_error(self, double: Double, account: Account) -> None:
        account.push("i1", key="k1")
        with refused(400, stripe.IdempotencyError):
            account.push("i2", key="k1")
        assert counted(double) == ["i1"]

    def test_a_refusal_of_validation_is_not_stored(self, double: Double, account: Account) -> None:
        double.settings(unknown_customers=["cus_1"])
        with refused(400):
            account.push(key="k1")
        double.settings(unknown_customers=[])
        account.push(key="k1")
        assert counted(double) == ["i1"]

    def test_a_key_is_forgotten_after_24_hours(self, double: Double, account: Account) -> None:
        account.push("i1", key="k1")
        double.advance(DAY)
        account.push("i2", key="k1")
        assert counted(double) == ["i1", "i2"]

    def test_a_key_in_use_is_a_conflict(self, double: Double, account: Account) -> None:
        double.fault("hold_before")
        with in_background(lambda: account.push(key="k1")) as first:
            double.wait_until_held()
            with refused(409):
                Account(double).push(key="k1")
            double.release()
            assert first.result().identifier == "i1"


class TestValidation:
    @pytest.mark.parametrize(
        ("seconds", "accepted"),
        [(-35 * DAY, True), (-35 * DAY - 1, False), (300, True), (301, False)],
    )
    def test_timestamps_reach_35_days_back_and_5_minutes_ahead(
        self, double: Double, account: Account, seconds: int, accepted: bool
    ) -> None:
        if accepted:
            account.push(timestamp=START + seconds)
        else:
            with refused(400) as caught:
                account.push(timestamp=START + seconds)
            limit = START - 35 * DAY if seconds < 0 else START + 300
            assert str(limit) in caught.value.user_message
        assert len(counted(double)) == accepted

    @pytest.mark.parametrize("value", ["123456789012345", "-0.00123456789012345", "0", "000.5", "1.50"])
    def test_values_are_plain_decimals_of_up_to_15_digits(
        self, double: Double, account: Account, value: str
    ) -> None:
        account.push(value=value)
        assert list(double.totals().values()) == [Decimal(value)]

    @pytest.mark.parametrize(
        "value",
        [
            "1234567890123456",
            "0.1234567890123456",
            "1e3",
            "1E+3",
            "NaN",
            "abc",
            "",
            "1.",
            ".5",
            "+1",
            "1 ",
            None,
        ],
    )
    def test_other_values_are_refused(self, double: Double, account: Account, value: str | None) -> None:
        with refused(400, stripe.InvalidRequestError):
            account.push(value=value)
        assert double.events() == []

    @pytest.mark.parametrize(("setting", "value"), [("decimals", "0.5"), ("negatives", "-1")])
    def test_decimals_and_negatives_can_be_switched_off(
        self, double: Double, account: Account, setting: str, value: str
    ) -> None:
        account.push("i1", value=value)
        double.settings(**{setting: False})
        with refused(400):
            account.push("i2", value=value)

    def test_an_unknown_customer_is_refused(self, double: Double, account: Account) -> None:
        double.settings(unknown_customers=["cus_1"])
        with refused(400, stripe.InvalidRequestError) as caught:
            account.push()
        assert caught.value.code == "resource_missing"

    def test_customers_can_exist_in_one_world_only(self, double: Double, account: Account) -> None:
        double.settings(known_customers={"live": ["cus_1"], "test": ["cus_9"]})
        account.push()
        with refused(400):
            Account(double, key=TEST).push()

    @pytest.mark.parametrize("deactivated", [False, True])
    def test_an_event_name_without_an_active_meter_is_refused(
        self, double: Double, account: Account, meter: str, deactivated: bool
    ) -> None:
        if deactivated:
            account.client.v1.billing.meters.deactivate(meter)
        with refused(400) as caught:
            account.push(event_name="calls" if deactivated else "nothing")
        assert "No active meter" in caught.value.user_message

    @pytest.mark.parametrize(
        "params",
        [
            {"payload": {"stripe_customer_id": "cus_1", "value": "1"}},
            {"event_name": "calls"},
            {"event_name": "calls", "payload": {"value": "1"}},
            {
                "event_name": "calls",
                "payload": {"stripe_customer_id": "c", "value": "1"},
                "identifier": "x" * 101,
            },
            {
                "event_name": "calls",
                "payload": {"stripe_customer_id": "c", "value": "1"},
                "timestamp": "soon",
            },
            {"event_name": "calls", "payload": {"stripe_customer_id": "c", "value": "1"}, "quantity": 1},
        ],
    )
    def test_what_is_missing_or_malformed_is_refused(
        self, double: Double, account: Account, params: dict[str, Any]
    ) -> None:
        with refused(400, stripe.InvalidRequestError):
            account.client.v1.billing.meter_events.create(params)
        assert double.events() == []


class TestKeys:
    def test_a_wrong_key_is_refused_and_not_repeated_in_full(self, double: Double, meter: str) -> None:
        double.settings(keys=[LIVE])
        with refused(401, stripe.AuthenticationError) as caught:
            Account(double, key="sk_live_wrong0123456789").push()
        assert "wrong0123456789" not in str(caught.value)
        Account(double, key=LIVE).push()
        assert double.counters()["unauthorized"] == 1

    def test_a_key_of_no_world_is_refused(self, double: Double, meter: str) -> None:
        with refused(401):
            Account(double, key="pk_live_0123456789").push()

    def test_a_key_may_lack_permission(self, double: Double, meter: str) -> None:
        double.settings(forbidden_keys=["rk_live_0123456789"])
        with refused(403, stripe.PermissionError):
            Account(double, key="rk_live_0123456789").push()
        assert Account(double, key="rk_live_another6789").push().livemode is True


class TestLimits:
    def test_a_second_call_for_the_same_customer_and_meter_is_a_conflict(
        self, double: Double, account: Account
    ) -> None:
        double.fault("hold_before", customer="cus_1")
        with in_background(account.push) as first:
            double.wait_until_held()
            with refused(409, stripe.APIError):
                Account(double).push("i2")
            Account(double).push("i3", customer="cus_2")
            assert not first.done()
            double.release()
            first.result()
        account.push("i2")
        assert counted(double) == ["i3", "i1", "i2"]
        assert double.counters()["conflicts"] == 1

    def test_latency_alone_makes_overlapping_calls_conflict(self, double: Double, meter: str) -> None:
        double.settings(latency=0.4)
        together = threading.Barrier(2)

        def push(number: int) -> int:
            account = Account(double)
            together.wait()
            try:
                account.push(f"i{number}")
            except stripe.APIError as error:
                return int(error.http_status)
            return 200

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(push, range(2))) == [200, 409]

    @pytest.mark.parametrize("reason", [None, "global-rate"])
    def test_a_429_may_say_its_reason_and_is_not_retried_by_the_library(
        self, double: Double, meter: str, reason: str | None
    ) -> None:
        double.fault("rate_limited", reason=reason)
        with refused(429, stripe.RateLimitError) as caught:
            Account(double, retries=2).push()
        assert caught.value.headers.get("Stripe-Rate-Limited-Reason") == reason
        assert double.counters()["requests"] == {"create_meter_event": {"429": 1}}
        assert double.events() == []

    def test_more_calls_a_second_than_the_limit_are_refused(self, double: Double, account: Account) -> None:
        double.settings(rate_limit={"live": 1})
        statuses: list[int | str] = []
        for number in range(5):
            try:
                account.push(f"i{number}")
                statuses.append(200)
            except stripe.RateLimitError as error:
                statuses.append(error.headers["Stripe-Rate-Limited-Reason"])
        assert statuses[0] == 200
        assert "endpoint-rate" in statuses
        assert double.counters()["peak_calls_per_second"] == 1
        Account(double, key=TEST).push()


class TestSummaries:
    def test_hours_and_days_and_the_whole_range_are_summed(self, account: Account, meter: str) -> None:
        midnight = START - 12 * HOUR
        for number, second in enumerate([START - DAY, START - HOUR, START - 1, START]):
            account.push(f"i{number}", value=f"{number + 1}.5", timestamp=second)

        def read(start: int, end: int, **options: Any) -> list[tuple[int, float]]:
            listed = account.summaries(meter, start, end, **options)
            return [(summary.start_time, summary.aggregated_value) for summary in listed.data]

        assert read(START - HOUR, START + HOUR, value_grouping_window="hour") == [
            (START, 4.5),
            (START - HOUR, 6),
        ]
        days = read(midnight - DAY, midnight + DAY, value_grouping_window="day")
        assert days == [(midnight, 10.5), (midnight - DAY, 1.5)]
        assert read(START - 60, START + 60) == [(START - 60, 8)]
        assert read(START - 60, START) == [(START - 60, 3.5)]  # the end is exclusive
        assert read(START + HOUR, START + 2 * HOUR) == []

    def test_pages_have_10_summaries_unless_asked_and_can_be_followed(
        self, account: Account, meter: str
    ) -> None:
        for number in range(25):
            account.push(f"i{number}", timestamp=START - number * HOUR)
        options = {"value_grouping_window": "hour"}
        page = account.summaries(meter, START - DAY - HOUR, START + HOUR, **options)
        assert len(page.data) == 10
        assert page.has_more is True
        everything = list(page.auto_paging_iter())
        assert [summary.start_time for summary in everything] == [START - n * HOUR for n in range(25)]
        most = account.summaries(meter, START - DAY - HOUR, START + HOUR, limit=100, **options)
        assert len(most.data) == 25
        assert most.has_more is False
        before = {"ending_before": everything[4].id, "limit": 3}
        back = account.summaries(meter, START - DAY - HOUR, START + HOUR, **before, **options)
        assert [summary.id for summary in back.data] == [summary.id for summary in everything[1:4]]

    @pytest.mark.parametrize(
        ("start", "end", "options"),
        [
            (START + 1, START + HOUR, {}),
            (START, START + HOUR + 1, {}),
            (START + 60, START + HOUR, {"value_grouping_window": "hour"}),
            (START, START + DAY, {"value_grouping_window": "day"}),
            (START, START + HOUR, {"value_grouping_window": "week"}),
            (START, START, {}),
            (START, START + HOUR, {"limit": 101}),
            (START, START + HOUR, {"limit": 0}),
            (START, START + HOUR, {"starting_after": "mtrusg_none"}),
        ],
    )
    def test_bounds_windows_and_limits_are_checked(
        self, account: Account, meter: str, start: int, end: int, options: dict[str, Any]
    ) -> None:
        with refused(400, stripe.InvalidRequestError):
            account.summaries(meter, start, end, **options)

    def test_an_unknown_meter_and_an_unknown_customer_are_errors(
        self, double: Double, account: Account, meter: str
    ) -> None:
        with refused(404):
            account.summaries("mtr_none", START, START + HOUR)
        double.settings(unknown_customers=["cus_1"])
        with refused(400):
            account.summaries(meter, START, START + HOUR)

    def test_an_event_becomes_visible_when_the_delay_is_over(
        self, double: Double, account: Account, meter: str
    ) -> None:
        double.settings(visibility_delay=90)
        account.push()
        assert account.summaries(meter, START, START + HOUR).data == []
        double.advance(90)
        assert account.summaries(meter, START, START + HOUR).data[0].aggregated_value == 1

    def test_empty_windows_can_be_zeros_and_the_order_can_be_turned(
        self, double: Double, account: Account, meter: str
    ) -> None:
        double.settings(empty_windows="zero", summary_order="oldest")
        account.push()
        listed = account.summaries(meter, START - HOUR, START + HOUR, value_grouping_window="hour")
        assert [summary.aggregated_value for summary in listed.data] == [0, 1]

    def test_numbers_are_exact_or_have_the_noise_of_binary_sums(
        self, double: Double, account: Account, meter: str
    ) -> None:
        account.push("i1", value="0.1")
        account.push("i2", value="0.2")
        assert '"aggregated_value": 0.3,' in account.summaries(meter, START, START + HOUR).last_response.body
        double.settings(summary_numbers="float")
        assert account.summaries(meter, START, START + HOUR).data[0].aggregated_value == 0.1 + 0.2 != 0.3

    def test_reads_have_a_budget(self, double: Double, account: Account, meter: str) -> None:
        double.settings(read_budget=2)
        for _ in range(2):
            account.summaries(meter, START, START + HOUR)
        with refused(429, stripe.RateLimitError):
            account.summaries(meter, START, START + HOUR)
        assert double.counters()["reads"] == 2


class TestMeters:
    def test_meters_are_created_listed_and_switched_off_by_the_api(self, double: Double, meter: str) -> None:
        meters = Account(double).client.v1.billing.meters
        made = meters.create(
            {
                "display_name": "Tokens",
                "event_name": "tokens",
                "default_aggregation": {"formula": "last"},
                "customer_mapping": {"type": "by_id", "event_payload_key": "who"},
            }
        )
        assert [listed.event_name for listed in meters.list().data] == ["tokens", "calls"]
        assert meters.retrieve(made.id).customer_mapping.event_payload_key == "who"
        assert meters.deactivate(made.id).status == "inactive"
        assert [listed.id for listed in meters.list({"status": "active"}).data] == [meter]
        assert meters.reactivate(made.id).status == "active"
        with refused(400):
            meters.create(
                {"display_name": "x", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
            )


class TestAdjustments:
    def test_a_canceled_event_no_longer_counts_and_keeps_its_identifier(
        self, double: Double, account: Account, meter: str
    ) -> None:
        account.push("i1", value="1")
        account.push("i2", value="2")
        double.advance(DAY)
        assert account.cancel("i1").status == "pending"
        assert list(double.totals().values()) == [2]
        assert account.summaries(meter, START, START + HOUR).data[0].aggregated_value == 2
        assert [event["state"] for event in double.events()] == ["canceled", "counted"]

    def test_cancelling_ends_after_24_hours(self, double: Double, account: Account) -> None:
        account.push()
        double.advance(DAY + 1)
        with refused(400):
            account.cancel("i1")
        assert counted(double) == ["i1"]

    def test_an_unknown_identifier_cannot_be_canceled(self, account: Account) -> None:
        with refused(400):
            account.cancel("nothing")


class TestErrorEvents:
    REPORT = "v1.billing.meter.error_report_triggered"
    NO_METER = "v1.billing.meter.no_meter_found"

    def test_a_failure_can_come_after_the_200_and_is_polled(
        self, double: Double, account: Account, meter: str
    ) -> None:
        double.settings(unknown_customers=["cus_1"], asynchronous=["meter_event_customer_not_found"])
        account.push("i1")
        assert double.totals() == {}
        [event] = account.client.v2.core.events.list({"types": [self.REPORT]}).data
        assert event.related_object.id == meter
        assert event.data.reason.error_count == 1
        [error_type] = event.data.reason.error_types
        assert error_type.code == "meter_event_customer_not_found"
        assert error_type.sample_errors[0]["request"]["identifier"] == "i1"
        assert account.client.v2.core.events.retrieve(event.id).data.reason.error_count == 1
        assert [sent["code"] for sent in double.events()] == ["meter_event_customer_not_found"]

    def test_an_event_without_a_meter_has_a_report_of_its_own(self, double: Double, account: Account) -> None:
        double.settings(asynchronous=["no_meter"])
        account.push(event_name="nothing")
        [event] = account.client.v2.core.events.list().data
        assert event.type == self.NO_METER
        assert event.data.reason.error_types[0].code == "no_meter"

    def test_a_report_names_only_samples_of_what_failed(self, double: Double, account: Account) -> None:
        double.settings(error_samples=2, error_report_delay=60)
        double.fault("reject_later", times=5, code="meter_event_invalid_value")
        for number in range(6):
            account.push(f"i{number}")
        assert account.client.v2.core.events.list().data == []
        double.advance(60)
        [event] = account.client.v2.core.events.list().data
        [error_type] = event.data.reason.error_types
        assert error_type.error_count == 5
        assert [sample["request"]["identifier"] for sample in error_type.sample_errors] == ["i0", "i1"]
        assert counted(double) == ["i5"]

    def test_samples_can_name_idempotency_keys(self, double: Double, account: Account) -> None:
        double.settings(sample_identifier="idempotency_key")
        double.fault("reject_later")
        account.push("i1", key="k1")
        double.report_failures()
        [event] = double.core_events()
        assert event["data"]["reason"]["error_types"][0]["sample_errors"][0]["request"] == {
            "identifier": "k1"
        }

    def test_one_reason_to_fail_at_once_is_enough_to_be_refused(
        self, double: Double, account: Account
    ) -> None:
        double.settings(unknown_customers=["cus_1"], asynchronous=["meter_event_customer_not_found"])
        with refused(400):
            account.push(value="abc")
        assert double.events() == []

    def test_events_are_paged_filtered_by_time_and_kept_for_30_days(
        self, double: Double, account: Account
    ) -> None:
        double.fault("reject_later", times=3)
        for number in range(3):
            account.push(f"i{number}")
            double.report_failures()
            double.advance(HOUR)
        events = account.client.v2.core.events
        page = events.list({"limit": 2, "types": [self.REPORT, self.NO_METER]})
        assert len(page.data) == 2
        assert len(list(page.auto_paging_iter())) == 3
        late = events.list({"created": {"gte": "2026-06-18T13:00:00Z", "lt": "2026-06-18T14:00:00Z"}}).data
        assert [event.created for event in late] == ["2026-06-18T13:00:00.000Z"]
        oldest = double.core_events()[-1]["id"]
        double.set_clock(START + 30 * DAY + 1)
        assert len(events.list().data) == 2
        with refused(404):
            events.retrieve(oldest)

    def test_a_webhook_is_thin_signed_and_leads_to_its_event(
        self, double: Double, account: Account, meter: str
    ) -> None:
        double.fault("reject_later")
        account.push("i1")
        [event_id] = double.report_failures()
        webhook = double.webhook(event_id, "whsec_right")
        assert "data" not in json.loads(webhook.payload)
        parse = account.client.parse_event_notification
        notification = parse(webhook.payload, webhook.signature, "whsec_right")
        assert notification.type == self.REPORT
        assert notification.fetch_event().data.reason.error_count == 1
        assert notification.fetch_related_object().id == meter
        for payload, secret in [(webhook.payload, "whsec_wrong"), (webhook.payload + " ", "whsec_right")]:
            with pytest.raises(stripe.SignatureVerificationError):
                parse(payload, webhook.signature, secret)
        old = double.webhook(event_id, "whsec_right", at=START)
        with pytest.raises(stripe.SignatureVerificationError):
            parse(old.payload, old.signature, "whsec_right")

    def test_a_webhook_can_be_delivered(self, double: Double, account: Account) -> None:
        double.fault("reject_later")
        account.push()
        [event_id] = double.report_failures()
        webhook = double.webhook(event_id, "whsec_any")
        with _listening() as (url, received):
            assert webhook.deliver(url) == 200
        assert received == [(webhook.payload, webhook.signature)]


class TestFaults:
    @pytest.mark.parametrize(
        ("kind", "applied"), [("drop_before", 0), ("drop_after", 1), ("half_response", 1)]
    )
    def test_the_connection_breaks_before_or_after_it_is_applied(
        self, double: Double, account: Account, kind: str, applied: int
    ) -> None:
        double.fault(kind)
        with pytest.raises(stripe.APIConnectionError):
            account.push()
        assert len(double.events()) == applied
        assert double.counters()["requests"] == {"create_meter_event": {"dropped": 1}}

    @pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
    def test_the_library_retries_a_broken_connection_under_the_same_key(
        self, double: Double, meter: str, kind: str
    ) -> None:
        double.fault(kind)
        assert Account(double, retries=1).push().identifier == "i1"
        assert counted(double) == ["i1"]
        assert double.counters()["duplicates"] == 0

    def test_the_library_does_not_retry_after_half_a_response(self, double: Double, meter: str) -> None:
        double.fault("half_response")
        with pytest.raises(stripe.APIConnectionError):
            Account(double, retries=1).push()
        assert counted(double) == ["i1"]

    @pytest.mark.parametrize("kind", ["slow_before", "slow_after"])
    def test_a_slow_call_is_answered_in_the_end(self, double: Double, account: Account, kind: str) -> None:
        double.fault(kind, delay=0.1)
        with in_background(account.push) as call:
            with pytest.raises(TimeoutError):
                call.result(0.05)
            assert call.result().identifier == "i1"

    def test_a_call_outlives_the_client_that_has_given_up(self, double: Double, meter: str) -> None:
        double.fault("hold_before")
        with pytest.raises(stripe.APIConnectionError):
            Account(double, timeout=0.2).push("i1")
        with refused(409):
            Account(double).push("i2")
        double.release()
        Account(double).push("i2")
        assert counted(double) == ["i1", "i2"]

    def test_what_a_killed_sender_has_sent_is_applied(self, double: Double, meter: str) -> None:
        double.fault("hold_before")
        address = urlsplit(double.url)
        sender = socket.create_connection((address.hostname, address.port))
        body = "event_name=calls&identifier=i1&payload[stripe_customer_id]=cus_1&payload[value]=1"
        headers = f"Authorization: Bearer {LIVE}\r\nContent-Length: {len(body)}"
        sender.sendall(f"POST /v1/billing/meter_events HTTP/1.1\r\n{headers}\r\n\r\n{body}".encode())
        double.wait_until_held()
        sender.close()
        assert double.release() == 1
        Account(double).push("i2")
        assert counted(double) == ["i1", "i2"]

    @pytest.mark.parametrize("kind", ["hold_before", "hold_after"])
    def test_a_held_call_can_be_dropped(self, double: Double, account: Account, kind: str) -> None:
        rule = double.fault(kind)
        with in_background(account.push) as call:
            [held] = double.wait_until_held()
            assert (held["rule"], held["identifier"]) == (rule, "i1")
            assert len(double.events()) == (kind == "hold_after")
            double.release(rule, outcome="drop")
            with pytest.raises(stripe.APIConnectionError):
                call.result()
        assert len(double.events()) == (kind == "hold_after")

    def test_connections_are_refused_until_they_are_accepted_again(
        self, double: Double, account: Account
    ) -> None:
        account.push("i1")
        double.refuse_connections()
        address = urlsplit(double.url)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address.hostname, address.port))
        with pytest.raises(stripe.APIConnectionError):
            account.push("i2")
        double.accept_connections()
        account.push("i3")
        assert counted(double) == ["i1", "i3"]

    def test_a_200_can_be_lost_without_a_word(self, double: Double, account: Account) -> None:
        double.fault("lose", identifier="i1")
        assert account.push("i1").identifier == "i1"
        assert double.totals() == {}
        assert double.report_failures() == []
        assert [event["state"] for event in double.events()] == ["lost"]

    def test_a_rule_strikes_only_what_it_names_as_often_as_it_says(
        self, double: Double, account: Account
    ) -> None:
        rule = double.fault("error_before", customer="cus_1", times=2, skip=1)
        statuses = []
        for number in range(5):
            account.push(f"other{number}", customer="cus_2")
            try:
                account.push(f"i{number}")
                statuses.append(200)
            except stripe.APIError as error:
                statuses.append(error.http_status)
        assert statuses == [200, 500, 500, 200, 200]
        assert [(listed["id"], listed["hits"]) for listed in double.faults()] == [(rule, 2)]

    def test_probable_faults_come_in_the_same_places_for_the_same_seed(
        self, double: Double, account: Account
    ) -> None:
        def struck(attempt: int, seed: int) -> list[int]:
            double.clear_faults()
            double.fault("error_before", probability=0.5, seed=seed, times=None)
            found = []
            for number in range(20):
                try:
                    account.push(f"{attempt}-{number}")
                except stripe.APIError:
                    found.append(number)
            return found

        first = struck(1, seed=7)
        assert 0 < len(first) < 20
        assert struck(2, seed=7) == first
        assert struck(3, seed=8) != first

    def test_rules_can_strike_other_routes(self, double: Double, account: Account, meter: str) -> None:
        double.fault("error_before", route="list_event_summaries")
        account.push()
        with refused(500):
            account.summaries(meter, START, START + HOUR)
        double.fault("drop_before", route="*", world="test")
        with pytest.raises(stripe.APIConnectionError):
            Account(double, key=TEST).client.v1.billing.meters.list()

    def test_a_500_can_tell_the_library_not_to_retry(self, double: Double, meter: str) -> None:
        double.fault("error_before", should_retry="false", stored=False)
        with refused(500):
            Account(double, retries=2).push()
        assert double.counters()["requests"] == {"create_meter_event": {"500": 1}}


class TestTogether:
    def test_persistent_senders_get_everything_counted_once_whatever_breaks(
        self, double: Double, meter: str
    ) -> None:
        """Eight senders, each resending under its identifiers until it knows: delivered, or a duplicate."""
        for seed, kind in enumerate(
            ["drop_before", "drop_after", "half_response", "error_before", "error_after"]
        ):
            double.fault(kind, probability=0.1, seed=seed, times=None)

        def send(sender: int) -> None:
            account = Account(double)
            for number in range(40):
                while not delivered(account, f"{sender}-{number}", customer=f"cus_{sender}"):
                    pass

        def delivered(account: Account, identifier: str, *, customer: str) -> bool:
            try:
                account.push(identifier, value="0.1", customer=customer)
            except stripe.InvalidRequestError as error:
                return "already exists" in error.user_message
            except stripe.StripeError:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(send, range(8)))
        assert double.totals() == {(f"cus_{sender}", "calls", NOON): Decimal("4.0") for sender in range(8)}
        counters = double.counters()
        assert counters["counted_twice"] == []
        assert counters["duplicates_that_differ"] == 0
        assert counters["conflicts"] == 0
        assert all(rule["hits"] for rule in double.faults())


class TestControl:
    def test_the_clock_moves_stands_still_and_goes_on(self, double: Double) -> None:
        double.set_clock(NOON)
        assert START <= double.now() < START + 60
        double.freeze()
        stood = double.now()
        assert double.advance(25 * HOUR) == stood + 25 * HOUR == double.now()
        double.freeze(frozen=False)
        assert 0 <= double.now() - (stood + 25 * HOUR) < 60

    @pytest.mark.parametrize(
        "ask",
        [
            lambda double: double.settings(patience=1),
            lambda double: double.settings(summary_order="random"),
            lambda double: double.fault("explode"),
            lambda double: double.fault("drop_before", route="everywhere"),
            lambda double: double.fault("drop_before", customr="cus_1"),
            lambda double: double.create_meter("x", formula="max"),
        ],
    )
    def test_what_the_double_does_not_know_is_an_error(
        self, double: Double, ask: Callable[[Double], object]
    ) -> None:
        with pytest.raises(ValueError):
            ask(double)

    def test_a_reset_forgets_everything(self, double: Double, account: Account) -> None:
        account.push()
        double.fault("drop_before", times=None)
        double.advance(HOUR)
        double.refuse_connections()
        double.reset()
        assert double.events() == []
        double.create_meter("calls")
        account.push()
        assert counted(double) == ["i1"]

    def test_it_runs_as_a_process_that_ends_with_its_starter(self) -> None:
        with running.in_process() as double:
            double.create_meter("calls")
            Account(double).push(value="4")
            assert list(double.totals().values()) == [4]
            process_id = double.process()["process_id"]
        with pytest.raises(ProcessLookupError):
            os.kill(process_id, 0)

    def test_the_program_prints_both_urls_and_ends_on_sigterm(self) -> None:
        command = [sys.executable, "-m", "tests.report.double", "--port", "0"]
        root = Path(__file__).parents[2]
        with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            double = Double(process.stdout.readline().strip(), process.stdout.readline().strip())
            assert double.process()["process_id"] == process.pid
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0


@contextmanager
def _listening() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A receiver of one webhook: its URL, and what has arrived."""
    received: list[tuple[str, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append((body, self.headers["Stripe-Signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", received
        thread.join(10)
