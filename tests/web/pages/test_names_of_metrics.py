"""A metric has one name wherever people look, and its key where programs do."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx
from psycopg.types.json import Jsonb

from pymeter.invoice_page.words import metric_name, metric_names
from pymeter.web import embed_token
from tests.web.conftest import Api
from tests.web.pages.conftest import signed_in
from tests.web.pages.customers import BEFORE, MONTH
from tests.web.pages.reading import Page, rows_of_csv

_OF_PROGRAMS = re.compile(r"<code>.*?</code>|<details><summary>All numbers.*?</details>", re.DOTALL)
PAGES = (
    "/subject?subject=acct_1",
    "/subject/invoice?subject=acct_1",
    "/subject/invoice/print?subject=acct_1",
    "/subject/limits?subject=acct_1",
    "/subject/statements?subject=acct_1",
    "/events?subject=acct_1",
    "/all-events",
    "/totals?metric=peak_context",
    "/totals?metric=gpu_hours",
    "/statement?id=1",
    "/statement/invoice?id=1",
    "/late-usage",
    "/late-line?statement=1&metric=gpu_hours",
    "/correction?id=1",
    "/reporting",
    "/push?id=1",
    "/notifications?subject=acct_1",
    "/prices?plan=team",
)


def fill(api: Api) -> None:
    """Two metrics, one with a display name: used, limited, priced, closed, late, corrected and reported."""
    call = api.ledger.call
    api.ledger.define("peak_context", "max", "token", name="Largest context")
    api.ledger.define("gpu_hours", "sum", "hour")
    call("define_plan", plan="team")
    call("subscribe", subject="acct_1", plan="team", since=BEFORE)
    for metric in ("peak_context", "gpu_hours"):
        call("define_price", plan="team", item=metric, metric=metric,
             price=Jsonb({"model": "unit", "unit_amount": "1", "currency": "EUR"}))  # fmt: skip
        call("set_limit", metric=metric, quota=10, period="cycle", action="alert")
        call(
            "report_metric",
            metric=metric,
            event_name=metric[:3],
            mode="last" if metric[0] == "p" else "delta",
        )
    call("define_biller", subject_is_customer=True)
    for at in (BEFORE, MONTH):
        for metric in ("peak_context", "gpu_hours"):
            api.ledger.record("acct_1", metric, 20, idempotency_key=f"{at}", at=at + timedelta(hours=1))
    call("close_period", subject="acct_1", since=BEFORE, until=MONTH)
    api.ledger.record("acct_1", "gpu_hours", 5, at=BEFORE + timedelta(hours=2))
    api.ledger.record("acct_1", "peak_context", 50, at=BEFORE + timedelta(hours=2))
    call("plan_pushes")
    (opened,) = call("open_correction", reason="goodwill")
    for metric in ("peak_context", "gpu_hours"):
        entry = {"entry": "void", "subject": "acct_1", "metric": metric, "idempotency_key": f"{MONTH}"}
        call("stage_correction", id=opened[0], entries=Jsonb([entry]))


def seen(answer: httpx.Response) -> str:
    """What is read, without what is for programs."""
    page = Page(answer)
    assert page.status == 200, page.text
    page.source = _OF_PROGRAMS.sub("", page.source)
    return page.text


def test_on_every_page_a_metric_has_its_display_name_or_its_key_with_a_capital(api: Api) -> None:
    fill(api)
    client = signed_in(api, "read", "report", "admin", "approve")
    texts = {path: seen(client.get(path)) for path in PAGES}
    token = embed_token(api.key("read"), "acct_1", timedelta(hours=1))
    texts["embedded"] = seen(client.get("/embed/usage", params={"token": token}))
    texts["a statement there"] = seen(client.get("/embed/usage", params={"token": token, "statement": "1"}))
    for path, text in texts.items():
        if not path.startswith("/prices"):  # the lines of a plan have keys of their own
            assert "peak_context" not in text, path
            assert "gpu_hours" not in text, path
        assert "Peak context" not in text, path
        wanted = {"Largest context", "Gpu hours"}
        if path.startswith(("/push", "/late-line", "/notifications")):
            assert any(name in text for name in wanted), path
        else:
            assert all(name in text for name in wanted), path
    overview = seen(client.get("/"))
    assert "Largest context peak_context" in overview, "what it is called in SQL"
    assert {row["metric"] for row in rows_of_csv(client, "/all-events", "events")} >= {
        "peak_context",
        "gpu_hours",
    }


def test_a_name_that_two_metrics_have_comes_with_the_key() -> None:
    names = metric_names({"in": "Tokens", "tokens": None, "GB_out": None, "_": None})
    assert names == {"in": "Tokens (in)", "tokens": "Tokens (tokens)", "GB_out": "GB out", "_": "_"}
    assert metric_name("new_one", names) == "New one"
