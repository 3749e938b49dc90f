"""Events arrive as plain JSON and as CloudEvents in three modes; each has an outcome, and counts once."""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from pymeter.importing.identity import pair_key
from tests.helpers import Ledger
from tests.web.conftest import Api

EVENT = {"subject": "acct_3", "metric": "tokens", "quantity": 5}
CLOUD = {
    "specversion": "1.0",
    "id": "e1",
    "source": "/gateway",
    "type": "tokens",
    "subject": "acct_3",
    "time": "2026-06-18T14:30:00Z",
    "data": {"quantity": "40.5", "model": "large"},
}
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def total(ledger: Ledger, subject: str = "acct_3") -> Any:
    return ledger.usage(subject, "tokens", period="never").quantity


def test_one_event_and_an_array(api: Api, metered: Ledger) -> None:
    one = api.post("/v1/events", EVENT | {"idempotency_key": "k"}).json()
    assert (one["outcome"], one["quantity"]) == ("recorded", "5")
    many = api.post(
        "/v1/events", [EVENT | {"idempotency_key": "k"}, EVENT, EVENT | {"quantity": -1}, EVENT | {"x": 1}, 7]
    )
    assert many.status_code == 200
    assert [row["outcome"] for row in many.json()] == ["duplicate", "recorded", *3 * ["rejected"]]
    assert total(metered) == 10
    for wrong in (EVENT | {"x": 1}, EVENT | {"quantity": "-1"}, {"metric": "tokens"}, 7, "text", None):
        assert api.post("/v1/events", wrong).status_code == 400, wrong
    unknown = api.post("/v1/events", EVENT | {"metric": "nothing"})
    assert (unknown.status_code, unknown.json()["sqlstate"]) == (404, "UM001")
    assert total(metered) == 10


def test_the_idempotency_key_of_the_request_is_that_of_its_events(api: Api, metered: Ledger) -> None:
    for value in (EVENT, [EVENT, EVENT | {"quantity": 1}, EVENT | {"idempotency_key": "own"}]):
        key = "one" if isinstance(value, dict) else "many"
        first, again = (api.post("/v1/events", value, Idempotency_Key=key).json() for _ in range(2))
        outcomes = [[r["outcome"] for r in (a if isinstance(a, list) else [a])] for a in (first, again)]
        assert {*outcomes[0]} == {"recorded"}
        assert {*outcomes[1]} == {"duplicate"}
    assert total(metered) == 16


def test_a_period_that_has_ended_is_nothing_to_wait_for(api: Api, metered: Ledger) -> None:
    now = datetime.now(UTC)
    since = (now - timedelta(days=10)).replace(hour=0, minute=0, second=0, microsecond=0)
    metered.call("set_limit", metric="tokens", quota=7, period="day", subject="acct_3", since=since)
    for at, waits in ((None, True), (now - timedelta(days=2), False)):
        event = EVENT | {"quantity": 8, "at": at and at.isoformat()}
        refused = api.post("/v1/events?strict=true", event)
        assert (refused.status_code, refused.json()["outcome"]) == (402, "refused")
        assert ("retry-after" in refused.headers) == waits


def test_the_limit_that_has_refused_says_when_to_try_again(api: Api, metered: Ledger) -> None:
    """Another limit with the same name resets sooner, but it is not the one that has refused."""
    metered.call("set_limit", metric="tokens", quota=1000, period="minute")
    metered.call("set_limit", metric="tokens", quota=7, period="year", subject="acct_3")
    refused = api.post("/v1/events?strict=true", EVENT | {"quantity": 8})
    assert refused.status_code == 402
    ends = datetime(datetime.now(UTC).year + 1, 1, 1, tzinfo=UTC)
    assert abs(int(refused.headers["retry-after"]) - (ends - datetime.now(UTC)).total_seconds()) < 30


@pytest.mark.parametrize("path", ["/v1/events", "/v1/rpc/record"])
def test_a_null_is_no_idempotency_key_and_the_one_of_the_request_is_used(
    api: Api, metered: Ledger, path: str
) -> None:
    """Generated clients send null for what is not set: without a key, their retries would count twice."""
    unset = EVENT | {"idempotency_key": None, "member": None}
    values = [unset] if "rpc" in path else [unset, [unset, EVENT | {"idempotency_key": "own"}]]
    for number, value in enumerate(values):
        answers = [api.post(path, value, Idempotency_Key=f"k{number}").json() for _ in range(2)]
        outcomes = [[r["outcome"] for r in (a if isinstance(a, list) else [a])] for a in answers]
        assert ({*outcomes[0]}, {*outcomes[1]}) == ({"recorded"}, {"duplicate"})


def test_an_empty_idempotency_key_is_refused_and_is_no_key_of_an_array(api: Api, metered: Ledger) -> None:
    """``Idempotency-Key: $UNSET``: with ``:1`` appended, all arrays would have the same keys."""
    for value in (EVENT, [EVENT], [EVENT | {"idempotency_key": "own"}], []):
        answer = api.post("/v1/events", value, Idempotency_Key="")
        assert (answer.status_code, answer.json()["parameter"]) == (400, "idempotency_key")
    assert api.post("/v1/rpc/record", EVENT, Idempotency_Key="").status_code == 400
    assert total(metered) == 0


def test_a_parameter_that_is_misspelt_is_not_ignored(api: Api, metered: Ledger) -> None:
    for query in ("stict=true", "strict=true&strict=false", "strict=true&x", "Strict=true"):
        answer = api.post(f"/v1/events?{query}", EVENT)
        assert (answer.status_code, answer.json()["sqlstate"]) == (400, "22023"), query
    assert total(metered) == 0


@pytest.mark.parametrize("how", ["parameter", "header"])
def test_strict_makes_a_refusal_402_and_a_conflict_409(api: Api, metered: Ledger, how: str) -> None:
    path = "/v1/events?strict=true" if how == "parameter" else "/v1/events"
    more = {} if how == "parameter" else {"Pymeter_Strict": "true"}
    metered.call("set_limit", metric="tokens", quota=7, period="day", subject="acct_3")
    event = EVENT | {"idempotency_key": "k"}
    assert api.post(path, event, **more).json()["outcome"] == "recorded"
    assert api.post(path, event, **more).json()["outcome"] == "duplicate"
    conflict = api.post(path, event | {"quantity": 6}, **more)
    assert (conflict.status_code, conflict.json()["outcome"]) == (409, "conflict")
    refused = api.post(path, EVENT, **more)
    assert refused.status_code == 402
    assert (refused.json()["outcome"], refused.json()["remaining"]) == ("refused", "2")
    now = datetime.now(UTC)
    left = 86400 - (now.hour * 3600 + now.minute * 60 + now.second)
    assert abs(int(refused.headers["retry-after"]) - left) < 30
    # The refusal was noted, although nothing was recorded.
    assert metered.rows("SELECT FROM meter.notifications() WHERE type = 'limit.refused'")
    for events, status in (
        ([EVENT | {"quantity": 1}, EVENT], 402),
        ([EVENT | {"quantity": 1}, event | {"quantity": 6}], 409),
        ([EVENT | {"quantity": 1}, EVENT | {"quantity": -1}], 400),
        ([EVENT | {"quantity": 1}, EVENT | {"metric": "nothing"}], 404),
    ):
        answer = api.post(path, events, **more)
        assert answer.status_code == status, answer.text
        assert [row["ordinal"] for row in answer.json()["outcomes"]] == [2]
        assert total(metered) == 5
    assert api.post("/v1/events", EVENT).json()["outcome"] == "refused"
    assert api.post("/v1/events?strict=perhaps", EVENT).status_code == 400


def test_a_cloudevent_is_the_same_in_every_mode(api: Api, metered: Ledger) -> None:
    data = json.dumps(CLOUD["data"])
    binary = {f"ce_{n}": str(v) for n, v in CLOUD.items() if n not in ("data",)}
    encoded = {n: v for n, v in CLOUD.items() if n != "data"} | {
        "data_base64": base64.b64encode(data.encode()).decode(),
        "datacontenttype": "application/json",
    }
    answers = [
        api.post("/v1/events", CLOUD, Content_Type=STRUCTURED).json(),
        api.post("/v1/events", encoded, Content_Type=f"{STRUCTURED}; charset=UTF-8").json(),
        *api.post("/v1/events", [CLOUD, encoded], Content_Type=BATCH).json(),
        api.post("/v1/events", data, **binary).json(),
    ]
    assert [answer["outcome"] for answer in answers] == ["recorded", *4 * ["duplicate"]]
    (event,) = metered.call("events", subject="acct_3")
    assert (str(event.quantity), event.metadata) == ("40.5", {"model": "large"})
    # As `pymeter import` would have recorded it.
    assert event.idempotency_key == pair_key("/gateway", "e1")
    assert event.at == datetime(2026, 6, 18, 14, 30, tzinfo=UTC)


def test_what_the_official_package_sends_is_understood(api: Api, metered: Ledger) -> None:
    def event(number: int) -> CloudEvent:
        attributes = {
            "id": f"\u2603 {number}",
            "source": "/gateway/\u00e9",
            "type": "tokens",
            "specversion": "1.0",
            "subject": "caf\u00e9 \u2603",
            "time": datetime(2026, 6, 18, 14, 30, tzinfo=UTC),
            "datacontenttype": "application/json",
        }
        return CloudEvent(attributes=attributes, data={"quantity": number, "model": "m"})

    for number, convert in ((1, to_structured_event), (2, to_binary_event), (1, to_binary_event)):
        message = convert(event(number))
        headers = {n.encode(): v.encode() for n, v in message.headers.items()} | {
            b"authorization": api.bearer("write")["Authorization"].encode()
        }
        answer = api.client.post("/v1/events", content=message.body, headers=list(headers.items()))
        assert answer.status_code == 200, answer.text
    assert total(metered, "caf\u00e9 \u2603") == 3


def test_a_binary_header_may_be_quoted(api: Api, metered: Ledger) -> None:
    """As senders by older versions of the specification do; the event is the same in every mode."""
    for subject in ('"acct_3"', '"acc\\t_3"', '"acct%5F3"', "acct_3"):
        binary = {f"ce_{n}": str(v) for n, v in CLOUD.items() if n != "data"} | {"ce_subject": subject}
        binary |= {"ce_id": '"e1"'}
        assert api.post("/v1/events", json.dumps(CLOUD["data"]), **binary).status_code == 200
    assert api.post("/v1/events", CLOUD, Content_Type=STRUCTURED).json()["outcome"] == "duplicate"
    assert [row.subject for row in metered.call("subjects") if row.subject not in ("acct_1", "acct_2")] == [
        "acct_3"
    ]


def test_curl_sends_all_three_modes(api: Api, metered: Ledger) -> None:
    def curl(value: Any, *headers: str) -> Any:
        given = [word for header in headers for word in ("-H", header)]
        key = f"Authorization: Bearer {api.key('write')}"
        command = ["curl", "-sS", "--data", json.dumps(value), "-H", key, *given, f"{api.base}/v1/events"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert curl(CLOUD, f"Content-Type: {STRUCTURED}")["outcome"] == "recorded"
    assert curl([CLOUD], f"Content-Type: {BATCH}")[0]["outcome"] == "duplicate"
    names = ("specversion", "id", "source", "type", "subject", "time")
    headers = [f"ce-{name}: {CLOUD[name]}" for name in names]
    assert curl(CLOUD["data"], "Content-Type: application/json", *headers)["outcome"] == "duplicate"


def test_a_bad_cloudevent_is_refused(api: Api, metered: Ledger) -> None:
    for change in (
        {"specversion": "0.3"},
        {"specversion": None},
        {"id": ""},
        {"source": None},
        {"type": 5},
        {"subject": None},
        {"data": [1]},
        {"data": "text"},
        {"data_base64": "AAAA"},
        {"time": "soon"},
        {"data": {"quantity": {}}},
    ):
        for kind, value in ((STRUCTURED, CLOUD | change), (BATCH, [CLOUD | change])):
            answer = api.post("/v1/events", value, Content_Type=kind)
            rejected = answer.status_code == 200 and answer.json()[0]["outcome"] == "rejected"
            assert answer.status_code == 400 or (kind == BATCH and rejected), (change, answer.text)
    names = ("specversion", "id", "source", "type", "subject")
    binary = {f"ce_{name}": str(CLOUD[name]) for name in names}
    for content, more in (
        ("1", {}),
        ("{", {}),
        ("<a/>", {"Content_Type": "application/xml"}),
        ("{}", {"ce_subject": "%FF"}),
    ):
        assert api.post("/v1/events", content, **{**binary, **more}).status_code == 400
    assert api.post("/v1/events", "a,b", Content_Type="text/csv").status_code == 415
    assert api.post("/v1/events", "{}", Content_Type=BATCH).status_code == 400
    assert metered.call("events", subject="acct_3") == []
