"""What is meant to do harm, or is only odd, is refused soon, and is not taken for something else."""

from __future__ import annotations

import random
import time
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest

from pymeter.web.pages.asking import statement_of
from tests.helpers import Ledger, at_length
from tests.web.conftest import Api

MUTATIONS = at_length(60, 3000)
TIMES = (
    *(
        "2026-06-18T14:30:45Z",
        "2026-06-18T14:30:45.123456+02:00",
        "2026-06-18 14:30 -0330",
        "2026-06-18t14:30z",
    ),
    *("2026-06-30T23:59:59.9999999Z", "2026-06-30T23:59:59,9999999999Z", "2026-06-30T23:59:60Z"),
    *("2026-06-30T23:59:60.0Z", "2026-06-30T23:59:60.5Z", "2026-06-18T24:00:00Z", "2026-06-31T00:00:00Z"),
    *("2026-06-18T14:30:45", "2026-06-18", "20260618T143045Z", "2026-W25-4", "06/07/2026", "1781793045"),
    *(
        "now",
        "today",
        "yesterday",
        "epoch",
        "infinity",
        "-infinity",
        "allballs",
        "J2460000",
        "2026-06-18T14Z",
    ),
    *("2026-06-18 14:30 EST", "2026-06-18T14:30:45 Europe/Berlin", "2026-06-18T14:30:45+02:00 BC", "", " "),
    *("0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "2026-06-18T14:30:45+15:00"),
)
NUMBERS = (
    *(
        0,
        5,
        -5,
        "5",
        "+5",
        "-0",
        " 5 ",
        "5 ",
        "",
        "0x1F",
        "0b1",
        "1_000",
        "1,5",
        "1.",
        ".5",
        ".",
        "1e2",
        "1e-30",
    ),
    *("1e400", "1e99999", "1e-99999", "1e999999999999", "NaN", "nan", "Infinity", "-inf", "inf", "\u0661"),
    *("1" * 300, "0." + "1" * 300, True, {"a": 1}, [1]),
)


def mutated(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text))
    return text[:place] + chance.choice("0159-+:TZ. ,e") * chance.randrange(3) + text[place + 1 :]


@pytest.mark.at_length
def test_an_event_alone_is_read_as_it_is_in_an_array(api: Api, metered: Ledger) -> None:
    """Not in another month, and not as a number that an array would not take."""
    chance = random.Random(1)
    changes: list[dict[str, Any]] = [{"at": text} for text in TIMES] + [
        {"quantity": text} for text in NUMBERS
    ]
    changes += [{"at": mutated(chance.choice(TIMES[:6]), chance)} for _ in range(MUTATIONS)]
    changes += [
        {"quantity": mutated(chance.choice(("12.5", "-1e3", "0.001")), chance)} for _ in range(MUTATIONS)
    ]
    changes = [{"quantity": 1, "at": "2026-06-18T00:00:00Z"} | change for change in changes]
    rows = api.post(
        "/v1/events", [{"subject": f"many {n}", "metric": "tokens"} | c for n, c in enumerate(changes)]
    ).json()
    for n, change in enumerate(changes):
        alone = api.post("/v1/events", {"subject": f"one {n}", "metric": "tokens"} | change)
        assert (alone.status_code == 200) == (rows[n]["outcome"] == "recorded"), (change, alone.text, rows[n])
        assert alone.status_code in (200, 400)
        found = [
            [(event.at, event.quantity) for event in metered.call("events", subject=f"{how} {n}")]
            for how in ("one", "many")
        ]
        assert found[0] == found[1], change


def test_a_parameter_that_is_a_time_or_a_number_has_one_form(api: Api) -> None:
    window = {"period": "month", "timezone": "UTC"}
    for good in ("2026-06-18", "2026-06-18T00:00:00Z", "2026-06-18T02:00:00+02:00"):
        answer = api.get("/v1/rpc/resolve_window", now=good, **window)
        assert answer.json()["since"] == "2026-06-01T00:00:00+00:00"
    # + in a URL is a space.
    for bad in ("2026-06-18T00:00:00", "now", "06/07/2026", "2026-06-18T00:00:00 02:00"):
        for answer in (
            api.get("/v1/rpc/resolve_window", now=bad, **window),
            api.post("/v1/rpc/resolve_window", {"now": bad, **window}, "read"),
        ):
            assert (answer.status_code, answer.json()["parameter"]) == (400, "now")
            assert answer.json()["hint"]
    for bad in ("0x10", "1_0", " 1", "1.0"):
        assert api.get("/v1/rpc/events", subject="a", max_rows=bad).status_code == 400


def test_a_query_that_is_not_utf_8_is_not_taken_for_another_subject(api: Api) -> None:
    for path in (
        "/v1/rpc/usage?subject=acct%FF&metric=tokens",
        "/v1/rpc/usage?subject=a&metric=tokens&period=%C3",
    ):
        answer = api.client.get(path, headers=api.bearer("read"))
        assert (answer.status_code, answer.json()["sqlstate"]) == (400, "22023")


@pytest.mark.parametrize("key", ["none", "in the right form"])
def test_a_body_that_takes_long_to_refuse_is_refused_soon(api: Api, key: str) -> None:
    """Others wait meanwhile, and neither needs a key."""
    headers = {} if key == "none" else {"Authorization": f"Bearer pm_live_1_{'0' * 64}"}
    twice = "{" + ",".join(f'"{n}":0' for n in range(90_000)) + ',"89999":0}'
    nested = f'{{"metadata": [{",".join(["[" * 150 + "]" * 150] * 3000)}]}}'
    for content in (twice, nested, "[" + "{}," * 300_000 + "0]"):
        began = time.monotonic()
        answer = api.client.post("/v1/events", content=content, headers=headers)
        assert answer.status_code in (400, 401, 413)
        assert time.monotonic() - began < 10


def test_no_answer_is_a_redirect(api: Api) -> None:
    """It would lead to the host that the request names, and behind a proxy with TLS to http."""
    for path in (
        "/v1/events/",
        "/v1/rpc/usage/",
        "/health/",
        "/metrics/",
        "/openapi.json/",
    ):
        for answer in (
            api.post(path, {}),
            api.get(path),
            api.client.get(path, headers={"Host": "evil.example"}),
        ):
            assert answer.status_code in (404, 405)
            assert "location" not in answer.headers


def test_what_anybody_may_ask_for_is_made_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    module = import_module("pymeter.web.app")
    original = module.document
    monkeypatch.setattr(module, "document", lambda *given: made.append(1) or original(*given))
    answers = {api.client.get("/openapi.json").content for _ in range(5)}
    assert (len(answers), len(made)) == (1, 1)


def test_a_page_writes_no_number_at_any_length() -> None:
    """Somebody may type it into a form."""
    for text, literal in {
        "1e999999999": "1E+999999999",
        "1e-999999999": "1E-999999999",
        "1e3": "1000",
        "-0.50": "-0.50",
        "nan": "'NaN'",
        "-inf": "'-Infinity'",
    }.items():
        assert statement_of("meter", "rate", {"quantity": Decimal(text)}).endswith(f"(quantity => {literal})")
