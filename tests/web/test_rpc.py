"""A function is called by its name, with arguments by name; numbers stay exact."""

from __future__ import annotations

from typing import Any

from tests.web.conftest import Api, exact

EXACT = "12345678901234567890.123456789012345678901"


def test_what_is_sent_is_what_comes_back(api: Api) -> None:
    sent = {
        "subject": "acct_3",
        "metric": "tokens",
        "quantity": EXACT,
        "at": "2026-06-18T14:30:00Z",
        "metadata": {"cost": 1.5, "n": [None, True, "\u2603"]},
    }
    assert api.post("/v1/rpc/record", sent).json()["outcome"] == "recorded"
    body = f'{{"subject": "acct_3", "metric": "tokens", "quantity": {EXACT}, "at": "2026-06-18T14:30:00Z"}}'
    assert api.post("/v1/rpc/record", body).status_code == 200
    usage = api.get(
        "/v1/rpc/usage", subject="acct_3", metric="tokens", period="month", now="2026-06-20"
    ).json()
    assert usage["quantity"] == "24691357802469135780.246913578024691357802"
    assert (usage["event_count"], usage["since"]) == (2, "2026-06-01T00:00:00+00:00")
    events = exact(api.get("/v1/rpc/events", subject="acct_3"))
    assert [event["quantity"] for event in events] == [EXACT, EXACT]
    metadata = next(event["metadata"] for event in events if event["metadata"])
    assert str(metadata["cost"]) == "1.5"
    assert metadata["n"] == [None, True, "\u2603"]


def test_get_and_post_answer_the_same(api: Api) -> None:
    for function, arguments in {
        "usage": {"subject": "acct_1", "metric": "tokens", "period": "30 days"},
        "catalog": {},
        "resolve_window": {"period": "month", "now": "2026-06-18T00:00:00Z"},
        "check_quota": {"subject": "acct_1", "metric": "tokens", "quota": "5.5"},
        "rate": {"price": '{"model": "unit", "unit_amount": "0.002"}', "quantity": "1500"},
    }.items():
        asked = api.get(f"/v1/rpc/{function}", **arguments)
        assert asked.status_code == 200, asked.text
        posted: dict[str, Any] = dict(arguments)
        if function == "rate":
            posted["price"] = {"model": "unit", "unit_amount": "0.002"}
        answer = api.post(f"/v1/rpc/{function}", posted, "read")
        assert answer.status_code == 200
        differ = {"since", "until"} if function in ("usage", "check_quota") else set()
        found, expected = answer.json(), asked.json()
        if differ:
            found, expected = ({k: v for k, v in one.items() if k not in differ} for one in (found, expected))
        assert found == expected


def test_arrays_intervals_ranges_and_nothing(api: Api) -> None:
    limit = api.post(
        "/v1/rpc/set_limit", {"metric": "tokens", "quota": 1000.5, "marks": [50, "99.5"]}, "admin"
    ).json()
    assert (limit["quota"], limit["marks"]) == ("1000.5", ["50", "99.5"])
    spike = {"metric": "tokens", "factor": 2.5, "within": "2 hours"}
    assert api.post("/v1/rpc/set_spike_alert", spike, "admin").json()["within"] == "PT2H"
    window = api.get("/v1/rpc/resolve_window", period="month", now="2026-06-18T00:00:00Z").json()
    assert window == {"since": "2026-06-01T00:00:00+00:00", "until": "2026-07-01T00:00:00+00:00"}
    opened = api.post("/v1/rpc/open_correction", {"reason": "a fault"}, "admin").json()
    assert isinstance(opened, int)
    void = api.post("/v1/rpc/reject_correction", {"id": opened, "reason": "none"}, "approve")
    assert (void.status_code, void.content) == (204, b"")
    compared = api.client.get(
        "/v1/rpc/compare_plans?plan_a=x&plan_b=y&since=2026-06-01&until=2026-07-01&subjects=a&subjects=b",
        headers=api.bearer("read"),
    )
    assert (compared.status_code, compared.json()["sqlstate"]) == (404, "UM007")


def test_writing_needs_post_and_the_methods_that_are_told_are_those_of_the_function(api: Api) -> None:
    for function, level, allow, others in (
        ("record", "write", "POST", ("GET", "HEAD", "PUT", "OPTIONS", "ANY")),
        ("usage", "read", "GET, HEAD, POST", ("PUT", "PATCH", "DELETE", "OPTIONS", "ANY")),
    ):
        for method in others:
            answer = api.client.request(method, f"/v1/rpc/{function}", headers=api.bearer(level))
            assert (answer.status_code, answer.headers["allow"]) == (405, allow), (method, function)
    headed = api.client.head("/v1/rpc/catalog", headers=api.bearer("read"))
    assert (headed.status_code, headed.content) == (200, b"")


def test_nothing_but_public_functions_can_be_called(api: Api) -> None:
    for name in [
        "_credential",
        "authenticate",
        "pg_sleep",
        "pg_read_file",
        "nothing",
        "usage;",
        "Usage",
        "a" * 5000,
        "%00",
    ]:
        assert api.post(f"/v1/rpc/{name}", {}, "admin").status_code == 404, name


BAD_BODIES: list[str | bytes] = [
    "[]",
    "",
    "{}",
    "null",
    "{",
    b"\xff{}",
    '{"subject": "a", "subject": "b"}',
    '{"subject": NaN}',
    '{"no_such": 1}',
    '{"subject": {"a": 1}, "metric": "tokens"}',
    '{"subject": true, "metric": "tokens"}',
    '{"subject": 5, "metric": "tokens"}',
    '{"subject": "a\\u0000", "metric": "tokens"}',
    '{"subject": "\\ud800", "metric": "tokens"}',
    '{"subject": "a", "metric": "tokens", "since": "yesterday was fine"}',
    '{"subject": "a", "metric": "tokens", "period": "fortnight"}',
    '{"subject": null, "metric": "tokens"}',
    "[" * 100_000,
    '{"subject": ' + "[" * 100_000,
    '{"as_of": 1e999999999999999999999}',
]


def test_a_bad_body_is_refused_with_400(api: Api) -> None:
    for body in BAD_BODIES:
        answer = api.post("/v1/rpc/usage", body, "read")
        assert answer.status_code == 400, answer.text
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["title"]
        assert problem["hint"]


def test_what_is_not_final_yet_is_not_worth_repeating_at_once(api: Api) -> None:
    """55P03 is 503 where a transaction waits, and 409 where somebody has to draw a watermark first."""
    answer = api.get("/v1/rpc/usage", subject="acct_1", metric="tokens", period="month", as_of="2026-06-01")
    assert (answer.status_code, answer.json()["sqlstate"]) == (409, "55P03")
    assert answer.json()["parameter"] == "as_of"
    assert "retry-after" not in answer.headers


def test_a_body_without_arguments_may_be_empty_and_is_json_otherwise(api: Api) -> None:
    for body in ("", " \r\n\t", "{}"):
        assert api.post("/v1/rpc/catalog", body, "read").status_code == 200
    for body in ("\f", "\x00", "\u00a0", "null"):
        assert api.post("/v1/rpc/catalog", body.encode(), "read").status_code == 400, body


def test_an_idempotency_key_is_an_argument(api: Api) -> None:
    event = {"subject": "acct_1", "metric": "tokens", "quantity": 3}
    outcomes = [api.post("/v1/rpc/record", event, Idempotency_Key="k9").json()["outcome"] for _ in range(2)]
    assert outcomes == ["recorded", "duplicate"]
    differing = event | {"idempotency_key": "k8"}
    assert api.post("/v1/rpc/record", differing, Idempotency_Key="k9").status_code == 400
    assert api.post("/v1/rpc/usage", event, "read", Idempotency_Key="k9").status_code == 400
