"""No form changes anything unless a page of this site has sent it, with a key of the right level."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.routing import Route

from pymeter.levels import LEVELS
from pymeter.web import app
from tests.helpers import Ledger
from tests.web.conftest import Api
from tests.web.pages.conftest import signed_in
from tests.web.pages.reading import read, token

ALL = ("read", "report", "admin", "approve")
FIELDS: dict[str, dict[str, str]] = {
    "/correction/approve": {"id": "1"},
    "/correction/reject": {"id": "1", "reason": "no"},
    "/correction/revert": {"id": "1", "reason": "no"},
    "/late-line/settle": {"statement": "1", "metric": "tokens", "delta": "1", "decision": "bill"},
    "/reporting/retry": {"biller": "stripe"},
    "/reporting/leave": {"biller": "stripe", "left_reason": "refused"},
    "/push/resolve": {"identifier": "pm_1", "delivered": "true"},
    "/endpoint/test": {"name": "ops"},
    "/endpoint/retry": {"name": "ops"},
}
NEEDS = {path: "approve" if path.startswith("/correction") else "admin" for path in FIELDS}
PAGES = {
    "/corrections": "corrections",
    "/statements": "statements",
    "/late-usage": "late_usage",
    "/reporting": "report_status",
    "/notifications": "endpoints",
}


def state(ledger: Ledger) -> Any:
    """All that the forms could change."""
    return [
        ledger.rows(f"SELECT * FROM meter.{table} ORDER BY 1, 2")
        for table in ("corrections", "pushes", "deliveries", "notifications", "late_decisions", "events")
    ]


@pytest.fixture
def open_correction(metered: Ledger) -> int:
    """Its id."""
    (row,) = metered.call("open_correction", reason="goodwill")
    return int(row[0])


def test_every_form_is_tried_here(api: Api) -> None:
    made = app(api.ledger.connection.info.dsn)
    sent = {
        route.path
        for route in made.routes
        if isinstance(route, Route) and "POST" in (route.methods or ()) and not route.path.startswith("/v1")
    }
    assert set(FIELDS) <= sent


def test_a_form_of_another_site_or_an_address_alone_does_nothing(
    api: Api, metered: Ledger, open_correction: int
) -> None:
    client = signed_in(api, *ALL)
    before = state(metered)
    form_token = token(client)
    for path, fields in FIELDS.items():
        given = fields | {"form_token": form_token}
        statuses = [
            client.post(path, data=fields).status_code,
            client.post(path, data=fields | {"form_token": "guessed"}).status_code,
            client.post(path, data=given, headers={"Origin": "https://evil.example"}).status_code,
            client.post(path, data=given, headers={"Sec-Fetch-Site": "cross-site"}).status_code,
            client.get(path, params=given).status_code,
        ]
        assert statuses == [403, 403, 403, 403, 405], path
    assert state(metered) == before


def test_a_form_needs_a_key_of_the_level_of_its_function(
    api: Api, metered: Ledger, open_correction: int
) -> None:
    before = state(metered)
    for needed in ("approve", "admin"):
        client = signed_in(api, *(level for level in ALL if level != needed))
        form_token = token(client)
        for path in (path for path, level in NEEDS.items() if level == needed):
            answer = client.post(path, data=FIELDS[path] | {"form_token": form_token})
            assert answer.status_code == 403, path
            assert f"pymeter key create {needed}" in answer.text
    assert state(metered) == before


def test_a_page_says_which_key_is_missing_and_shows_nothing(api: Api) -> None:
    for path, function in PAGES.items():
        needed = LEVELS[function]
        page = read(signed_in(api, *(level for level in ALL if level != needed)), path)
        assert f"pymeter key create {needed}" in page.text, path
        assert page.tables == {}


def test_an_empty_meter_has_empty_tables_and_says_what_to_do(api: Api) -> None:
    client = signed_in(api, *ALL)
    texts = {}
    for path in PAGES:
        page = read(client, path)
        assert page.status == 200
        assert page.statements
        assert set(page.tables) <= {"notifications"}  # the definition of the metric
        texts[path] = page.text
    assert "SELECT meter.open_correction('why')" in texts["/corrections"]
    assert "pymeter close" in texts["/statements"]
    assert "pymeter report metric" in texts["/reporting"]
    assert "SELECT meter.define_endpoint(" in texts["/notifications"]


def test_a_number_that_is_none_or_unknown_is_a_page_with_the_status(api: Api) -> None:
    client = signed_in(api, *ALL)
    for path in (
        "/correction",
        "/statement",
        "/push",
        "/delivery",
        "/statement/document",
        "/statement/invoice",
    ):
        assert client.get(path).status_code == 400, path
        assert client.get(path, params={"id": "1; DROP"}).status_code == 400, path
        assert client.get(path, params={"id": "999"}).status_code == 404, path


def test_the_navigation_shows_where_a_page_belongs(api: Api, metered: Ledger) -> None:
    metered.call("define_endpoint", name="ops", url="https://example.com/hook", types=["*"])
    metered.call("open_correction", reason="goodwill")
    metered.call("report_metric", metric="tokens", event_name="tokens")
    metered.call("report_subject", subject="acct_1", customer="cus_1")
    metered.call("plan_pushes")
    client = signed_in(api, *ALL)
    for path, name in {
        "/correction?id=1": "Corrections",
        "/late-usage": "Statements",
        "/push?id=1": "Reporting",
        "/endpoint?name=ops": "Notifications",
    }.items():
        lines = read(client, path).source.splitlines()
        assert [
            f">{name}</a>" in line for line in lines if "<li>" in line and 'aria-current="true"' in line
        ] == [True], path
