"""A customer's page: its own usage by a signed token, in a frame, and nothing of anybody else."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import pymeter.web
from pymeter.web import embed_token
from tests.helpers import Ledger
from tests.web.conftest import Api
from tests.web.pages.conftest import words
from tests.web.pages.customers import BEFORE, HOSTILE, MONTH, fill, serving

SITE = "https://app.example.com"
README = Path(pymeter.web.__file__).parent / "README.md"
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def served(module_dsn: str) -> Iterator[Api]:
    with serving(module_dsn, embed_in=(SITE,)) as api:
        fill(api.ledger)
        api.ledger.call("close_period", subject=HOSTILE, since=BEFORE, until=MONTH)
        yield api


@pytest.fixture(scope="module")
def filled(served: Api) -> Ledger:
    return served.ledger


def page(api: Api, subject: str = "acct_1", valid_for: timedelta = HOUR, **query: Any) -> httpx.Response:
    token = embed_token(api.key("read"), subject, valid_for)
    return httpx.get(f"{api.base}/embed/usage", params={"token": token, **query}, timeout=30)


def test_it_shows_usage_the_invoice_and_statements_of_its_subject(served: Api, filled: Ledger) -> None:
    answer = page(served)
    text = words(answer.text)
    assert answer.status_code == 200
    assert "acct_1" in text
    assert "of 250 token and 50 of top-ups; 105 left, 25 held." in text
    (total,) = [line for line in filled.call("invoice", subject="acct_1") if line.kind == "total"]
    assert f"Total {total.amount} EUR" in text
    (statement,) = filled.call("statements", subject="acct_1")
    assert f"{BEFORE:%Y-%m-%d} to {MONTH:%Y-%m-%d} {statement.totals['EUR']} EUR" in text
    lines = words(page(served, statement=statement.statement_id).text)
    assert f"Statement {statement.statement_id}" in lines
    for line in filled.call("statement", statement_id=statement.statement_id):
        assert line.currency is None or f"{line.amount} EUR" in lines


def test_it_has_no_navigation_no_sql_and_no_key(served: Api) -> None:
    text = page(served).text
    assert "<nav" not in text
    assert "SELECT" not in text
    assert "sign-in" not in text
    assert "pm_live" not in text
    assert "<script" not in text


def test_its_tables_are_files_and_keep_the_token(served: Api, filled: Ledger) -> None:
    text = page(served, accent="2b5fd0").text
    links = [link.replace("&amp;", "&") for link in re.findall(r'href="(\?[^"]*csv=\w+)"', text)]
    assert {link.rpartition("=")[2] for link in links} == {
        "usage",
        "invoice",
        "statements",
        "budgets",
        "credits",
    }
    for link in links:
        answer = httpx.get(f"{served.base}/embed/usage{link}", timeout=30)
        assert answer.headers["content-type"].startswith("text/csv")
        assert len(list(csv.reader(io.StringIO(answer.text)))) > 1
    rows = list(csv.DictReader(io.StringIO(page(served, csv="invoice").text)))
    expected = filled.call("invoice", subject="acct_1")
    assert [(row["item"], row["amount"]) for row in rows] == [
        (line.item or "", "" if line.amount is None else f"{line.amount:f}") for line in expected
    ]


def test_names_are_text_and_never_markup(served: Api) -> None:
    text = page(served, HOSTILE).text
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "\u202e" not in words(text)


def test_a_token_shows_no_other_subject(served: Api, filled: Ledger) -> None:
    (other,) = filled.call("statements", subject=HOSTILE)
    answer = page(served, statement=other.statement_id)
    assert answer.status_code == 404
    assert "EUR" not in answer.text
    token = embed_token(served.key("read"), "nobody", HOUR)
    answer = served.client.get("/embed/usage", params={"token": token, "subject": "acct_1"})
    assert answer.status_code == 200
    assert "acct_1" not in words(answer.text)
    assert "EUR" not in answer.text


def test_what_is_no_valid_token_is_a_friendly_page(served: Api) -> None:
    good = embed_token(served.key("read"), "acct_1", HOUR)
    number, until, subject, signature = good.split(".")
    late = embed_token(served.key("read"), "acct_1", timedelta(microseconds=1)).split(".")
    for token in (
        "",
        "x",
        served.key("read"),
        ".".join(late),
        f"{number}.{until}.{subject}.{'0' * 64}",
        f"{number}.{int(until) + 1}.{subject}.{signature}",
        f"{number}.{until}.{b'acct_2'.hex()}.{signature}",
    ):
        answer = httpx.get(f"{served.base}/embed/usage", params={"token": token}, timeout=30)
        assert answer.status_code == 401, token
        assert "This page has expired." in words(answer.text)
        assert "EUR" not in answer.text
        assert f"frame-ancestors 'self' {SITE}" in answer.headers["content-security-policy"]


def test_a_key_of_everything_shows_nothing(served: Api) -> None:
    answer = served.client.get("/embed/usage", headers=served.bearer("read"))
    assert answer.status_code == 401
    bound = served.client.get("/embed/usage", headers=served.bearer("read", "acct_1"))
    assert bound.status_code == 200
    assert "acct_1" in words(bound.text)


def test_a_revoked_key_ends_its_tokens(served: Api, filled: Ledger) -> None:
    key = filled.call("create_api_key", level="read")[0]
    address = {"token": embed_token(key.key, "acct_1", HOUR)}
    assert httpx.get(f"{served.base}/embed/usage", params=address, timeout=30).status_code == 200
    filled.call("revoke_api_key", key_id=key.key_id)
    assert httpx.get(f"{served.base}/embed/usage", params=address, timeout=30).status_code == 401


def test_it_may_be_framed_by_the_sites_that_were_named_and_other_pages_by_none(served: Api) -> None:
    policy = page(served).headers["content-security-policy"]
    assert f"frame-ancestors 'self' {SITE}" in policy
    assert "unsafe-inline" not in policy
    other = served.client.get("/sign-in").headers["content-security-policy"]
    assert "frame-ancestors 'none'" in other


def test_its_looks_follow_a_few_checked_values(served: Api) -> None:
    look = {"accent": "#7a2f8f", "ink": "310", "radius": "2", "font": "serif", "theme": "dark"}
    answer = page(served, **look)
    (nonce,) = re.findall(r'<style nonce="([^"]*)">', answer.text)
    assert f"'nonce-{nonce}'" in answer.headers["content-security-policy"]
    assert nonce not in page(served, **look).text
    for part in ("--accent: #7a2f8f;", "--ink: #310;", "--radius: 2px;", "Georgia", 'data-theme="dark"'):
        assert part in answer.text
    assert "<style" not in page(served).text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accent", "red"),
        ("accent", "2b5fd0;}*{display:none"),
        ("ink", "12345"),
        ("sheet", "url(//evil)"),
        ("radius", "25"),
        ("radius", "1px"),
        ("font", "Comic Sans"),
        ("theme", "</style><script>"),
        ("timezone", "Mars/Olympus"),
    ],
)
def test_other_looks_are_refused(served: Api, name: str, value: str) -> None:
    answer = page(served, **{name: value})
    assert answer.status_code == 400
    assert name.replace("timezone", "time zone") in words(answer.text)
    assert "<script" not in answer.text
    assert "display:none" not in answer.text


def test_times_are_in_the_zone_of_its_address(served: Api) -> None:
    assert "Asia/Kathmandu" in words(page(served, timezone="Asia/Kathmandu").text)
    assert f"{MONTH:%Y-%m-%d} 05:45" in words(page(served, timezone="Asia/Kathmandu").text)


def test_failed_attempts_are_counted(module_dsn: str) -> None:
    with serving(module_dsn, failed_attempts=3) as api:
        number, until, subject, _ = embed_token(api.key("read"), "acct_1", HOUR).split(".")
        forged = {"token": f"{number}.{until}.{subject}.{'0' * 64}"}
        found = [httpx.get(f"{api.base}/embed/usage", params=forged).status_code for _ in range(5)]
        assert found == [401, 401, 401, 429, 429]


def signer(language: str) -> str:
    """The block of the page that signs a token in a language."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [block for block in blocks if "embedToken" in block]
    return str(found)


def signed_by(language: str, key: str, directory: Path) -> str:
    if language == "js":
        text = f'{signer("js")}\nconsole.log(embedToken("{key}", "acct_1", 600));'
        file = directory / "sign.mjs"
        file.write_text(text)
        command = ["node", str(file)]
    else:
        imports = '"crypto/hmac"\n"crypto/sha256"\n"fmt"\n"strings"\n"time"'
        main = f'func main() {{ fmt.Print(embedToken("{key}", "acct_1", 10*time.Minute)) }}'
        file = directory / "sign.go"
        file.write_text(f"package main\nimport (\n{imports}\n)\n{signer('go')}\n{main}")
        command = ["go", "run", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(("language", "program"), [("js", "node"), ("go", "go")])
def test_a_token_can_be_signed_in_other_languages(
    served: Api, tmp_path: Path, language: str, program: str
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program}")
    token = signed_by(language, served.key("read"), tmp_path)
    answer = httpx.get(f"{served.base}/embed/usage", params={"token": token}, timeout=30)
    assert answer.status_code == 200
    assert "acct_1" in words(answer.text)
