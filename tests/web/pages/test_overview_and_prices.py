"""The overview, and the prices with their what-if form: what is shown equals what the functions answer."""

from __future__ import annotations

import csv
import io
import json
import re
from decimal import Decimal
from typing import Any

import pytest

from tests.helpers import Ledger
from tests.web.conftest import Api
from tests.web.pages.reading import read, run
from tests.web.pages.test_signing_in import sign_in

UNIT = {"model": "unit", "currency": "EUR", "unit_amount": "1"}
GRADUATED = {
    "model": "graduated",
    "currency": "EUR",
    "tiers": [{"up_to": 100, "unit_amount": "0.5"}, {"up_to": None, "unit_amount": "0.25"}],
}


@pytest.fixture
def reader(api: Api) -> Api:
    sign_in(api, api.key("read"))
    return api


@pytest.fixture
def priced(metered: Ledger) -> Ledger:
    """Two plans for tokens."""
    for plan, price in (("small", UNIT), ("big", GRADUATED)):
        metered.call("define_plan", plan=plan)
        metered.execute(
            "SELECT meter.define_price(%s, 'tokens', %s::jsonb, metric => 'tokens')", [plan, as_json(price)]
        )
    return metered


def as_json(value: Any) -> str:
    return json.dumps(value)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_overview_shows_problems_first(reader: Api, metered: Ledger) -> None:
    metered.execute("UPDATE meter.maintenance SET done_at = done_at - interval '3 days'")
    page = reader.client.get("/").text
    (problem,) = metered.call("health")[0].problems
    assert problem in page
    assert page.index(problem) < page.index("Metrics")
    assert "No problems" not in page


def test_the_overview_of_an_empty_meter_says_what_comes_next(reader: Api, metered: Ledger) -> None:
    page = reader.client.get("/")
    assert page.status_code == 200
    assert "Rate of the last" in page.text
    assert len(rows(reader.client.get("/?csv=metrics").text)) == len(metered.call("catalog"))


def test_what_the_overview_tells_of_leads_to_the_page_that_shows_it(reader: Api, metered: Ledger) -> None:
    metered.call("open_correction", reason="goodwill")
    metered.call("set_limit", metric="tokens", quota=1, subject="acct_9")
    metered.record("acct_9", "tokens", 5)
    metered.call("report_metric", metric="tokens", event_name="used")
    notices = metered.call("health")[0].notices
    page = read(reader.client, "/")
    assert len(notices) == 3
    shown = {text: page.links[text] for text in notices}
    assert sorted(shown.values()) == ["/corrections", "/notifications?type=limit.refused", "/reporting"]
    refused = read(reader.client, shown[next(text for text in notices if "refused" in text)])
    assert refused.column("notifications", 2) == ["acct_9"]


def test_the_rate_is_that_of_the_last_minute(reader: Api, metered: Ledger) -> None:
    before = read(reader.client, "/").text
    assert "Rate of the last" in before
    assert "nothing within a minute" not in before
    metered.execute("ALTER TABLE meter.events DISABLE TRIGGER USER")
    metered.execute("UPDATE meter.events SET recorded_at = recorded_at - interval '61 seconds'")
    metered.execute("ALTER TABLE meter.events ENABLE TRIGGER USER")
    assert "Recording rate 0 / s nothing within a minute" in read(reader.client, "/").text


def test_the_prices_of_a_plan_are_in_words(reader: Api, priced: Ledger) -> None:
    page = reader.client.get("/prices?plan=big").text
    assert "graduated, EUR a unit" in page
    assert "to 100" in page
    (line,) = rows(reader.client.get("/prices?plan=big&csv=prices").text)
    assert (line["item"], line["currency"]) == ("tokens", "EUR")


def test_a_quantity_costs_what_rate_says(reader: Api, priced: Ledger) -> None:
    lines = rows(reader.client.get("/prices?plan=big&item=tokens&quantity=1,250&csv=rated").text)
    expected = priced.rows("SELECT amount FROM meter.rate(%s::jsonb, 1250)", [as_json(GRADUATED)])
    assert [Decimal(line["amount"]) for line in lines] == [row.amount for row in expected]


def test_a_quantity_has_a_total_and_the_amount_of_an_invoice(reader: Api, priced: Ledger) -> None:
    page = read(reader.client, "/prices", plan="big", item="tokens", quantity="1250.1")
    assert "What 1,250.1 cost" in page.text
    assert [row[:2] + row[4:] for row in page.tables["rated"]] == [
        ["1", "100", "50", "units 1 to 100: 100 x 0.5"],
        ["2", "1,150.1", "287.525", "units above 100 up to 1,250.1: 1,150.1 x 0.25"],
        ["Total", "1,250.1", "337.525", ""],
    ]
    (statement,) = [one for one in page.statements if "simulate" in one]
    assert run(priced, statement)[0].simulate["total"] == "337.53"
    assert "An invoice has 337.53 EUR for them." in page.text


def test_what_costs_nothing_for_a_quantity_is_not_offered_for_one(reader: Api, priced: Ledger) -> None:
    fee = as_json({"model": "flat", "currency": "EUR", "flat_amount": "20"})
    priced.execute("SELECT meter.define_price('big', 'base', %s::jsonb)", [fee])
    page = read(reader.client, "/prices", plan="big")
    form = page.source[page.source.index('name="item"') :]
    assert re.findall("<option>(.*?)</option>", form[: form.index("</select>")]) == ["tokens"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"item": "tokens", "quantity": "a few"}, "quantity"),
        ({"a": "small", "b": "big", "since": "June", "until": "2026-07-01"}, "since"),
    ],
)
def test_what_cannot_be_read_stays_in_the_form_beside_the_message(
    reader: Api, priced: Ledger, query: dict[str, str], field: str
) -> None:
    page = read(reader.client, "/prices", plan="big", **query)
    assert page.status == 400
    assert page.tables["prices"]
    (form,) = [form for form in page.forms if field in form]
    assert form[field] == query[field]
    after = page.source.index(f'name="{field}"')
    assert 'class="message bad"' in page.source[after : page.source.index("</section>", after)]


def test_two_plans_are_compared_as_compare_plans_does(reader: Api, priced: Ledger) -> None:
    address = "/prices?a=small&b=big&since=2026-01-01&until=2027-01-01"
    lines = rows(reader.client.get(f"{address}&csv=comparison").text)
    expected = priced.rows("SELECT * FROM meter.compare_plans('small', 'big', '2026-01-01', '2027-01-01')")
    assert [Decimal(line["amount_b"]) for line in lines] == [row.amount_b for row in expected]
    page = reader.client.get(address).text
    assert f"{expected[-1].amount_a:,f} EUR" in page
    assert f"{expected[-1].pays_more} would pay more" in page


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("plan=none", "none"),
        ("plan=big&item=tokens&quantity=many", "not a number"),
        ("a=small&b=big&since=June", "not a date"),
        ("a=small&b=big&since=2026-06-01&until=2026-05-01", ""),
        ("a=small&b=nothing&since=2026-06-01&until=2026-07-01", "nothing"),
    ],
)
def test_a_wrong_value_is_said_on_the_page(reader: Api, priced: Ledger, query: str, words: str) -> None:
    answer = reader.client.get(f"/prices?{query}")
    assert answer.status_code in (200, 400, 404)
    assert 'class="message bad"' in answer.text
    assert words in answer.text


def test_another_level_sees_none_of_it(api: Api, priced: Ledger) -> None:
    sign_in(api, api.key("write"))
    assert [api.client.get(path).status_code for path in ("/", "/prices", "/?csv=metrics")] == [403] * 3
