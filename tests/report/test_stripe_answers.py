"""What Stripe's answers come to: the real stripe-python over HTTP to the double."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pymeter.report import BillerError, BillerRefused, BillerUnavailable, Outcome, StripeBiller
from pymeter.report.stripe import wire
from tests.report.double import Double, fixtures
from tests.report.impostor import impostor

pytest.importorskip("stripe")

double = fixtures.stripe_double

LIVE = "sk_live_0123456789abcdef"
NOON = datetime(2026, 6, 18, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Push:
    identifier: str = "pm_1"
    customer: str = "cus_1"
    event_name: str = "calls"
    value: str = "1"
    stamped_at: datetime = NOON


@pytest.fixture
def biller(double: Double) -> Iterator[StripeBiller]:
    double.set_clock(NOON)
    double.create_meter("calls")
    made = StripeBiller(LIVE, base=double.url, timeout=5)
    yield made
    made.close()


def test_what_is_sent_is_what_the_push_says(double: Double, biller: StripeBiller) -> None:
    value = "123456789012.345"
    assert biller.send(Push(value=value)) == Outcome("delivered")
    (event,) = double.events()
    assert (event["customer"], event["event_name"], event["value_text"]) == ("cus_1", "calls", value)
    assert event["timestamp"] == NOON.timestamp()
    assert event["identifier"] == "pm_1"


def test_every_attempt_has_the_same_identifier_and_a_key_of_its_own(
    double: Double, biller: StripeBiller
) -> None:
    """Under an old key Stripe would repeat its stored 500."""
    double.fault("error_before", stored=True)
    assert biller.send(Push()).result == "unknown"
    assert biller.send(Push()) == Outcome("delivered")
    assert double.counters()["sent_repeatedly"] == {"pm_1": 2}
    assert double.counters()["replays"] == 0


@pytest.mark.parametrize("fault", ["drop_after", "half_response", "error_after"])
def test_what_is_there_already_is_delivered(double: Double, biller: StripeBiller, fault: str) -> None:
    double.fault(fault)
    first = biller.send(Push())
    assert (first.result, first.unreachable) == ("unknown", True)
    assert biller.send(Push()) == Outcome("delivered", duplicate=True)
    assert len(double.events()) == 1


def test_a_connection_that_breaks_before_it_is_applied_is_unknown_too(
    double: Double, biller: StripeBiller
) -> None:
    double.fault("drop_before")
    assert biller.send(Push()).result == "unknown"


def test_no_answer_in_time_is_unknown(double: Double) -> None:
    double.create_meter("calls")
    double.set_clock(NOON)
    double.fault("slow_after", delay=2)
    biller = StripeBiller(LIVE, base=double.url, timeout=0.2)
    outcome = biller.send(Push())
    assert outcome.result == "unknown"
    assert outcome.unreachable


def test_a_connection_that_is_refused_is_not_applied(double: Double, biller: StripeBiller) -> None:
    double.refuse_connections()
    outcome = biller.send(Push())
    assert (outcome.result, outcome.unreachable) == ("not_applied", True)


@pytest.mark.parametrize("reason", ["endpoint-rate", None])
def test_too_many_calls_are_not_applied(double: Double, biller: StripeBiller, reason: str | None) -> None:
    double.fault("rate_limited", reason=reason)
    outcome = biller.send(Push())
    assert (outcome.result, outcome.throttled, outcome.unreachable) == ("not_applied", True, False)
    assert (reason or "429") in (outcome.error or "")


def test_a_second_call_for_a_customer_and_meter_is_not_applied(double: Double, biller: StripeBiller) -> None:
    rule = double.fault("hold_before")
    first = threading.Thread(target=biller.send, args=(Push(),))
    first.start()
    double.wait_until_held()
    assert biller.send(Push(identifier="pm_2")).result == "not_applied"
    double.release(rule)
    first.join()
    assert biller.send(Push(identifier="pm_2")) == Outcome("delivered")


@pytest.mark.parametrize(
    "push",
    [
        Push(event_name="nothing"),
        Push(customer="cus_gone"),
        Push(value="1234567890123456"),
        Push(value="abc"),
        Push(stamped_at=NOON - timedelta(days=36)),
        Push(stamped_at=NOON + timedelta(minutes=6)),
    ],
    ids=["meter", "customer", "digits", "number", "too old", "too far ahead"],
)
def test_what_stripe_will_never_take_is_rejected(double: Double, biller: StripeBiller, push: Push) -> None:
    double.settings(unknown_customers=["cus_gone"])
    outcome = biller.send(push)
    assert outcome.result == "rejected"
    assert (outcome.error or "").startswith("400")


@pytest.mark.parametrize(("key", "status"), [("sk_live_wrong", "401"), ("sk_live_forbidden", "403")])
def test_a_key_that_is_not_accepted_is_not_applied_and_stops_the_run(
    double: Double, biller: StripeBiller, key: str, status: str
) -> None:
    double.settings(keys=[LIVE, "sk_live_forbidden"], forbidden_keys=["sk_live_forbidden"])
    outcome = StripeBiller(key, base=double.url).send(Push())
    assert (outcome.result, outcome.refused) == ("not_applied", True)
    assert (outcome.error or "").startswith(status)
    assert double.events() == []


# --- answers that are not Stripe's --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>Welcome to the hotel's network</html>"),
        (200, b"[]"),
        (200, b'{"object": "billing.meter_event", "identifier": "pm_other"}'),
        (200, b'{"object": "list"}'),
        (200, b""),
        (200, b"{}"),
        (200, b"null"),
        (200, b'"pm_1"'),
        (200, b'{"identifier": "pm_1"}'),
        (200, b'{"object": "billing.meter_event"}'),
        (200, b'{"object": "billing.meter_event", "identifier": null}'),
        (200, b'{"object": "billing.meter_event", "identifier": ["pm_1"]}'),
        (200, b'{"object": {"identifier": "pm_1"}, "identifier": "pm_1"}'),
        (200, b'{"object": "billing.meter_event_adjustment", "identifier": "pm_1"}'),
        (200, b"\xff\xfe{}"),
        (201, b"<html>created</html>"),
        (204, b""),
        (400, b"<html>Bad request</html>"),
        (404, b'{"message": "no such page"}'),
        (502, b"Bad gateway"),
        (400, b'{"error": {"type": "idempotency_error", "message": "another request"}}'),
    ],
)
def test_an_answer_that_says_nothing_about_the_push_is_unknown(status: int, body: bytes) -> None:
    with impostor(status, body) as server:
        assert StripeBiller(LIVE, base=server.url).send(Push()).result == "unknown"


def test_a_redirect_is_not_followed() -> None:
    """Followed, it would become a GET, and its 200 would prove nothing."""
    with (
        impostor(200, b'{"object": "billing.meter_event"}') as other,
        impostor(302, b"", Location=other.url) as server,
    ):
        assert StripeBiller(LIVE, base=server.url).send(Push()).result == "unknown"


def test_retry_after_is_heeded() -> None:
    body = b'{"error": {"type": "invalid_request_error", "message": "slow down"}}'
    with impostor(429, body, Retry_After="7") as server:
        assert StripeBiller(LIVE, base=server.url).send(Push()).retry_after == 7


def test_nobody_there_is_not_applied() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    assert StripeBiller(LIVE, base=url).send(Push()).result == "not_applied"
    assert StripeBiller(LIVE, base="http://no-such-host.invalid").send(Push()).result == "not_applied"


# --- the key ------------------------------------------------------------------------------------------------


def test_without_a_key_nothing_is_sent(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STRIPE_API_KEY", "STRIPE_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BillerRefused, match="no Stripe API key"):
        StripeBiller(base=double.url).check()


def test_the_key_and_the_address_come_from_the_environment(
    double: Double, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    double.settings(keys=[LIVE])
    double.create_meter("calls")
    double.set_clock(NOON)
    monkeypatch.setenv("STRIPE_API_BASE", double.url + "/")
    (tmp_path / "key").write_text(f"{LIVE}\n")
    monkeypatch.delenv("STRIPE_API_KEY", raising=False)
    monkeypatch.setenv("STRIPE_API_KEY_FILE", str(tmp_path / "key"))
    assert StripeBiller().send(Push()).result == "delivered"
    monkeypatch.setenv("STRIPE_API_KEY", LIVE)
    assert StripeBiller().send(Push()).duplicate


def test_a_test_key_is_slower_and_a_rehearsal_takes_no_other() -> None:
    assert StripeBiller(LIVE).rate == 1000
    assert StripeBiller("sk_test_1").rate == 20
    StripeBiller("rk_test_1", test_only=True).check()
    with pytest.raises(BillerRefused):
        StripeBiller(LIVE, test_only=True).check()


def test_a_key_with_a_line_break_in_it_is_refused_before_it_is_sent() -> None:
    with pytest.raises(BillerRefused) as caught:
        StripeBiller("sk_live_1\nX-Other: 1").check()
    assert "sk_live" not in str(caught.value)


def test_telemetry_is_off(biller: StripeBiller) -> None:
    import stripe

    biller.check()
    assert stripe.enable_telemetry is False


# --- reading back -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", ["decimal", "float"])
@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_totals_are_exact_and_of_all_pages(
    double: Double, biller: StripeBiller, numbers: str, order: str
) -> None:
    double.settings(summary_numbers=numbers, summary_order=order)
    since = NOON - timedelta(hours=149)
    for hour in range(150):
        biller.send(Push(f"pm_{hour}", value=f"{hour}.25", stamped_at=since + timedelta(hours=hour)))
    totals = biller.totals("cus_1", "calls", since, NOON + timedelta(hours=1), "hour")
    assert {total.start: total.value for total in totals} == {
        since + timedelta(hours=hour): Decimal(f"{hour}.25") for hour in range(150)
    }
    # The list of meters is not counted here.
    assert double.counters()["reads"] == 2


def test_totals_of_a_range_do_not_hold_what_begins_at_its_end(double: Double, biller: StripeBiller) -> None:
    biller.send(Push())
    biller.send(Push("pm_2", value="5", stamped_at=NOON - timedelta(hours=1)))
    (total,) = biller.totals("cus_1", "calls", NOON - timedelta(hours=1), NOON, "hour")
    assert (total.value, total.start) == (Decimal(5), NOON - timedelta(hours=1))
    double.settings(empty_windows="zero")
    assert biller.totals("cus_2", "calls", NOON - timedelta(hours=1), NOON, "hour")[0].value == 0


def test_what_cannot_be_read_says_why(double: Double, biller: StripeBiller) -> None:
    hour = (NOON - timedelta(hours=1), NOON, "hour")
    with pytest.raises(BillerError, match="no meter with the event name nothing"):
        biller.totals("cus_1", "nothing", *hour)  # type: ignore[arg-type]
    double.settings(unknown_customers=["cus_gone"])
    with pytest.raises(BillerError, match="No such customer"):
        biller.totals("cus_gone", "calls", *hour)  # type: ignore[arg-type]
    double.settings(read_budget=0)
    with pytest.raises(BillerUnavailable):
        biller.totals("cus_1", "calls", *hour)  # type: ignore[arg-type]


@pytest.mark.parametrize("named_by", ["identifier", "idempotency_key"])
def test_failures_name_the_pushes_whatever_stripe_names_them_by(
    double: Double, biller: StripeBiller, named_by: str
) -> None:
    double.settings(asynchronous=["meter_event_customer_not_found", "no_meter"], sample_identifier=named_by)
    double.settings(unknown_customers=["cus_gone"])
    assert biller.send(Push("pm_a-1", customer="cus_gone")).result == "delivered"
    assert biller.send(Push("pm_b", event_name="nothing")).result == "delivered"
    found = biller.failures(NOON - timedelta(days=1))
    assert {(report.event_name, *sample) for report in found for sample in report.samples} == {
        ("calls", "meter_event_customer_not_found", "pm_a-1"),
        (None, "no_meter", "pm_b"),
    }
    assert all(
        report.since <= NOON + timedelta(minutes=1) < report.until + timedelta(hours=1) for report in found
    )
    assert biller.failure(found[0].event_id) == found[0]


def test_failures_are_read_to_the_last_page(double: Double, biller: StripeBiller) -> None:
    double.settings(asynchronous=["no_meter"])
    for number in range(120):
        biller.send(Push(f"pm_{number}", event_name="nothing"))
        double.report_failures()
    assert len(biller.failures(NOON - timedelta(days=1))) == 120


def test_an_event_that_is_no_failure_is_nothing() -> None:
    with pytest.raises(BillerError):
        StripeBiller(LIVE, base="http://127.0.0.1:1").failure("evt_1")


def test_identifiers_of_samples() -> None:
    assert wire.identifier_of(wire.idempotency_key("pm_1-2", "0123456789abcdef")) == "pm_1-2"
    assert wire.identifier_of("pm_1-2") == "pm_1-2"
    assert wire.identifier_of("v1.2") == "v1.2"
