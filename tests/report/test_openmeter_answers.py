"""What is sent to OpenMeter, and what its answers come to: over HTTP to the double, or to an impostor."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event

from pymeter.report import Biller, BillerError, BillerRefused, BillerUnavailable, OpenMeterBiller, Outcome
from tests.report.double import Double, fixtures
from tests.report.impostor import impostor

pytest.importorskip("requests")

double = fixtures.stripe_double

TOKEN = "om_0123456789abcdef"
NOON = datetime(2026, 6, 18, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Push:
    identifier: str = "pm_1"
    customer: str = "acct_1"
    event_name: str = "calls"
    value: str = "1"
    stamped_at: datetime = NOON


@pytest.fixture
def biller(double: Double) -> Iterator[OpenMeterBiller]:
    double.set_clock(NOON)
    double.create_meter("calls")
    made = OpenMeterBiller(url=double.url, timeout=5)
    yield made
    made.close()


def _problem(status: int, detail: str = "no") -> bytes:
    return json.dumps({"type": "about:blank", "title": "Title", "status": status, "detail": detail}).encode()


# --- what is sent -------------------------------------------------------------------------------------------


def test_a_push_is_a_cloud_event_in_structured_mode() -> None:
    """Read by the CloudEvents project's own package."""
    push = Push('pm_ä"1', "küche/1", "api calls", "-123456789012.345", NOON + timedelta(seconds=7))
    with impostor(204) as server:
        sent = OpenMeterBiller(TOKEN, url=server.url, source="billing/eu", value_key="amount").send(push)
    assert sent == Outcome("delivered")
    ((target, headers, body),) = server.asked
    assert target == "/api/v1/events"
    # OpenMeter compares the whole header, so that a charset would be refused.
    assert headers["content-type"] == "application/cloudevents+json"
    assert headers["authorization"] == f"Bearer {TOKEN}"
    event = from_structured_event(HTTPMessage(headers=headers, body=body))
    assert event.get_specversion() == "1.0"
    assert (event.get_id(), event.get_source()) == (push.identifier, "billing/eu")
    assert (event.get_type(), event.get_subject()) == (push.event_name, push.customer)
    assert event.get_time() == push.stamped_at
    assert event.get_datacontenttype() == "application/json"
    assert event.get_data() == {"amount": "-123456789012.345"}


def test_every_attempt_sends_the_same_bytes() -> None:
    with impostor(503) as server:
        biller = OpenMeterBiller(url=server.url)
        assert [biller.send(Push()).result for _ in range(3)] == ["unknown"] * 3
    assert len({body for _, _, body in server.asked}) == 1
    assert "authorization" not in server.asked[0][1]


def test_it_is_a_biller() -> None:
    assert isinstance(OpenMeterBiller(), Biller)


# --- outcomes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["drop_after", "half_response", "error_after"])
def test_what_is_there_already_is_counted_once(double: Double, biller: OpenMeterBiller, fault: str) -> None:
    double.fault(fault)
    first = biller.send(Push())
    assert (first.result, first.unreachable) == ("unknown", True)
    assert biller.send(Push()) == Outcome("delivered")
    assert len(double.events()) == 1
    assert double.counters()["duplicates_that_differ"] == 0


@pytest.mark.parametrize(("days", "events"), [(31.9, 1), (32.1, 2)])
def test_an_identifier_is_known_for_32_days(
    double: Double, biller: OpenMeterBiller, days: float, events: int
) -> None:
    biller.send(Push())
    double.advance(days * 86400)
    assert biller.send(Push()).result == "delivered"
    assert len(double.events()) == events


def test_no_answer_in_time_is_unknown(double: Double, biller: OpenMeterBiller) -> None:
    double.fault("slow_after", delay=2)
    outcome = OpenMeterBiller(url=double.url, timeout=0.2).send(Push())
    assert (outcome.result, outcome.unreachable) == ("unknown", True)


def test_nobody_there_is_not_applied(double: Double, biller: OpenMeterBiller) -> None:
    double.refuse_connections()
    outcome = biller.send(Push())
    assert (outcome.result, outcome.unreachable) == ("not_applied", True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    assert OpenMeterBiller(url=url).send(Push()).result == "not_applied"


@pytest.mark.parametrize(
    ("status", "by_openmeter", "expected"),
    [
        (202, False, Outcome("delivered")),
        (204, False, Outcome("delivered")),
        (200, False, Outcome("unknown")),
        (201, False, Outcome("unknown")),
        (302, False, Outcome("unknown")),
        (400, True, Outcome("rejected")),
        (400, False, Outcome("unknown")),
        (401, True, Outcome("not_applied", refused=True)),
        (403, False, Outcome("not_applied", refused=True)),
        (404, False, Outcome("not_applied", unreachable=True)),
        (404, True, Outcome("not_applied", unreachable=True)),
        (405, False, Outcome("not_applied", unreachable=True)),
        (408, True, Outcome("unknown", retry_after=7)),
        (409, True, Outcome("not_applied", retry_after=7)),
        (412, True, Outcome("rejected")),
        (413, False, Outcome("unknown", retry_after=7)),
        (425, False, Outcome("not_applied", retry_after=7)),
        (429, False, Outcome("not_applied", throttled=True, retry_after=7)),
        (500, True, Outcome("unknown", unreachable=True, retry_after=7)),
        (502, False, Outcome("unknown", unreachable=True, retry_after=7)),
        (503, True, Outcome("unknown", unreachable=True, retry_after=7)),
    ],
)
def test_an_answer_comes_to(status: int, by_openmeter: bool, expected: Outcome) -> None:
    """Only a problem document is OpenMeter's word about the event."""
    headers = {"Content_Type": PROBLEM if by_openmeter else "text/html"}
    if expected.retry_after:
        headers["Retry_After"] = "7"
    body = b"" if status in (202, 204) else _problem(status)
    with impostor(status, body, **headers) as server:
        outcome = OpenMeterBiller(url=server.url).send(Push())
    assert replace(outcome, error=None) == expected
    assert (outcome.error is None) == (outcome.result == "delivered")
    assert len(server.asked) == 1


@pytest.mark.parametrize("push", [Push(customer=""), Push(event_name=""), Push(identifier="")])
def test_what_is_no_event_is_rejected(biller: OpenMeterBiller, push: Push) -> None:
    outcome = biller.send(push)
    assert outcome.result == "rejected"
    assert (outcome.error or "").startswith("400: Bad Request: invalid event")


# --- address and token --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "url", "message"),
    [
        (None, None, "no OpenMeter token"),
        ("om_1\nX-Other: 1", "https://openmeter.example", "characters that no token has"),
        (TOKEN, "http://openmeter.example", "in the clear"),
        (TOKEN, "https://user:pass@openmeter.example", "a user or a password"),
        (TOKEN, "openmeter.example", "not an http or https address"),
        (TOKEN, "https://", "not an http or https address"),
        (TOKEN, "ftp://openmeter.example", "not an http or https address"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, token: str | None, url: str | None, message: str
) -> None:
    for name in ("OPENMETER_TOKEN", "OPENMETER_TOKEN_FILE", "OPENMETER_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BillerRefused, match=message) as caught:
        OpenMeterBiller(token, url=url).check()
    assert "pass" not in str(caught.value).replace("password", "")


def test_a_server_of_ones_own_needs_no_token(double: Double, biller: OpenMeterBiller) -> None:
    biller.check()
    OpenMeterBiller(url="http://openmeter.internal:8888").check()


def test_token_and_address_come_from_the_environment(
    double: Double, biller: OpenMeterBiller, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    double.settings(keys=[TOKEN])
    assert biller.send(Push()).refused
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("OPENMETER_URL", double.url + "/")
    monkeypatch.setenv("OPENMETER_TOKEN_FILE", str(tmp_path / "token"))
    assert OpenMeterBiller().send(Push()).result == "delivered"
    monkeypatch.setenv("OPENMETER_TOKEN", "om_another_token")
    assert OpenMeterBiller().send(Push()).refused


# --- reading back -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_totals_are_what_was_sent_though_they_come_in_binary(
    double: Double, biller: OpenMeterBiller, seed: int
) -> None:
    chance = random.Random(seed)
    midnight = NOON.replace(hour=0)
    sent: dict[datetime, Decimal] = {}
    for number in range(60):
        hour = midnight + timedelta(hours=chance.randrange(48))
        value = Decimal(chance.randint(-(10**6), 10**9)).scaleb(-chance.randint(0, 4))
        sent[hour] = sent.get(hour, Decimal(0)) + value
        biller.send(Push(f"pm_{number}", value=f"{value:f}", stamped_at=hour + timedelta(minutes=30)))
    by_hour = biller.totals("acct_1", "calls", midnight, midnight + 48 * HOUR, "hour")
    assert {total.start: total.value for total in by_hour} == sent
    by_day = biller.totals("acct_1", "calls", midnight, midnight + 48 * HOUR, "day")
    assert [total.end - total.start for total in by_day] == [24 * HOUR] * len(by_day)
    assert {total.start: total.value for total in by_day} == {
        day: sum(value for hour, value in sent.items() if day <= hour < day + 24 * HOUR)
        for day in {hour.replace(hour=0) for hour in sent}
    }


def test_a_large_value_does_not_hide_a_small_one_of_its_hour(double: Double, biller: OpenMeterBiller) -> None:
    """The small one would be taken for missing, and sent again under another identifier."""
    biller.send(Push("pm_1", value="123456789012345"))
    biller.send(Push("pm_2", value="0.001", stamped_at=NOON + timedelta(minutes=1)))
    (total,) = biller.totals("acct_1", "calls", NOON, NOON + HOUR, "hour")
    assert total.value == Decimal("123456789012345.001")


def test_totals_are_of_one_customer_and_range(double: Double, biller: OpenMeterBiller) -> None:
    for number, (customer, at) in enumerate(
        [("acct_1", NOON - HOUR), ("acct_1", NOON), ("acct_2", NOON - HOUR), ("acct_1", NOON - 2 * HOUR)]
    ):
        biller.send(Push(f"pm_{number}", customer, value=str(10**number), stamped_at=at))
    (total,) = biller.totals("acct_1", "calls", NOON - HOUR, NOON, "hour")
    assert (total.start, total.end, total.value) == (NOON - HOUR, NOON, 1)
    assert biller.totals("acct_3", "calls", NOON - HOUR, NOON, "hour") == []


def test_a_meter_that_is_created_later_counts_what_came_before(double: Double) -> None:
    biller = OpenMeterBiller(url=double.url)
    double.set_clock(NOON)
    assert biller.send(Push(event_name="later")).result == "delivered"
    with pytest.raises(BillerError, match=r"no meter that sums \$\.value of events of type later") as caught:
        biller.totals("acct_1", "later", NOON, NOON + HOUR, "hour")
    assert not isinstance(caught.value, BillerUnavailable)
    assert biller.failures(NOON - 24 * HOUR) == ()
    double.create_meter("later")
    (total,) = biller.totals("acct_1", "later", NOON, NOON + HOUR, "hour")
    assert total.value == 1


def _meters(*meters: dict[str, Any]) -> bytes:
    common = {"eventType": "calls", "aggregation": "SUM", "valueProperty": "$.value"}
    return json.dumps([{"id": str(n), **common, **meter} for n, meter in enumerate(meters)]).encode()


@pytest.mark.parametrize(
    "meter",
    [
        {"eventType": "other"},
        {"aggregation": "COUNT"},
        {"aggregation": "LATEST"},
        {"valueProperty": "$.other"},
        {"deletedAt": "2026-01-01T00:00:00Z"},
    ],
)
def test_a_meter_that_counts_something_else_is_not_asked(meter: dict[str, Any]) -> None:
    with impostor(200, _meters({"slug": "wrong"} | meter)) as server:
        with pytest.raises(BillerError, match="no meter that sums"):
            OpenMeterBiller(url=server.url).totals("acct_1", "calls", NOON, NOON + HOUR, "hour")
        assert len(server.asked) == 1


def test_a_meter_that_begins_later_tells_nothing_about_the_time_before() -> None:
    body = _meters({"slug": "late", "eventFrom": "2026-06-18T13:00:00Z"})
    message = "late counts no events before 2026-06-18T13:00:00Z"
    with impostor(200, body) as server, pytest.raises(BillerError, match=message):
        OpenMeterBiller(url=server.url).totals("acct_1", "calls", NOON, NOON + HOUR, "hour")


def test_a_meter_that_is_named_is_asked_for_the_minutes_of_the_range() -> None:
    row = {"value": 2.5, "windowStart": "2026-06-18T12:00:00Z", "windowEnd": "2026-06-18T12:01:00Z"}
    with impostor(200, json.dumps({"data": [row]}).encode()) as server:
        biller = OpenMeterBiller(url=server.url, meters={"calls": "calls_in_all"})
        (total,) = biller.totals("küche & co", "calls", NOON, NOON + HOUR, "hour")
    assert total.value == Decimal("2.5")
    ((target, _, body),) = server.asked
    assert urlsplit(target).path == "/api/v1/meters/calls_in_all/query"
    assert parse_qs(urlsplit(target).query) == {
        "subject": ["küche & co"],
        "from": ["2026-06-18T12:00:00Z"],
        "to": ["2026-06-18T13:00:00Z"],
        "windowSize": ["MINUTE"],
    }
    assert body == b""


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"<html>", BillerUnavailable),
        (200, b"{}", BillerUnavailable),
        (200, b'{"data": [{"value": 1}]}', BillerUnavailable),
        (200, b'{"data": [{"value": "x", "windowStart": "2026-06-18T12:00:00Z"}]}', BillerUnavailable),
        (200, b'{"data": [{"value": 1, "windowStart": "2026-06-18T12:00:00"}]}', BillerUnavailable),
        (204, b"", BillerUnavailable),
        (401, b"", BillerRefused),
        (404, b"", BillerUnavailable),
        (429, b"", BillerUnavailable),
        (500, b"", BillerUnavailable),
    ],
)
def test_a_total_that_cannot_be_read_is_none(status: int, body: bytes, error: type[Exception]) -> None:
    with impostor(status, body) as server:
        biller = OpenMeterBiller(url=server.url, meters={"calls": "calls"})
        with pytest.raises(error):
            biller.totals("acct_1", "calls", NOON, NOON + HOUR, "hour")


def test_a_meter_that_is_not_there_is_no_outage() -> None:
    with impostor(404, _problem(404, "meter not found"), Content_Type=PROBLEM) as server:
        biller = OpenMeterBiller(url=server.url, meters={"calls": "gone"})
        with pytest.raises(BillerError, match="meter not found") as caught:
            biller.totals("acct_1", "calls", NOON, NOON + HOUR, "hour")
    assert not isinstance(caught.value, BillerUnavailable)
