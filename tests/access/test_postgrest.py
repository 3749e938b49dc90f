"""What the page says about PostgREST: its statuses, and functions in front of the meter's.

PostgREST itself is not run. Its table of statuses is in its documentation ("Errors", version 14). What it
does for a request (role, claims and headers as settings, db-pre-request) is done here by statements.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pymeter.web import embed_token
from pymeter.web.problems import status_of
from tests.access.conftest import Roles
from tests.docs.markdown import blocks
from tests.helpers import Ledger

ROOT = Path(__file__).resolve().parents[2]
EXACT = {"23505": 409, "53400": 500, "57P01": 503, "42501": 403, "42883": 404, "42P01": 404, "25006": 405}
CLASSES = {"08": 503, "25": 500, "28": 403, "40": 500, "53": 503, "54": 500, "55": 500, "57": 500, "XX": 500}


def status_of_postgrest(sqlstate: str) -> int:
    return EXACT.get(sqlstate) or CLASSES.get(sqlstate[:2]) or 400


def test_the_table_of_statuses_is_true_for_both_servers() -> None:
    page = (ROOT / "pymeter" / "web" / "README.md").read_text(encoding="utf-8")
    section = page.split("\n## Errors\n")[1].split("\n## ")[0]
    told = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 3 or not cells[0][:3].isdigit():
            continue
        codes = re.findall(r"\b(?!55P03 for)(?:UM\d{3}|\d{2}[0-9P]\d{2})\b", cells[1])
        codes += [f"{two}000" for two in re.findall(r"\b\d{2}\b", cells[1])]
        for code in codes:
            told[code] = int(cells[0][:3]), int(cells[2])
    assert {f"UM00{n}" for n in range(1, 9)} | {"22000", "53000", "08000", "42501", "40001"} <= set(told)
    assert told == {code: (status_of(code), status_of_postgrest(code)) for code in told}


@pytest.fixture
def api(metered: Ledger) -> Ledger:
    """The functions of the page."""
    page = (ROOT / "sql" / "access" / "README.md").read_text(encoding="utf-8")
    for block in blocks(page):
        if block.language == "sql" and "api." in block.text:
            metered.connection.execute(block.text)
    return metered


class Request:
    """A transaction as PostgREST begins it: ``Request(session, role, headers={...}, claims={...})``."""

    def __init__(self, session: Ledger, role: str, **settings: Any) -> None:
        self.session, self.role, self.settings = session, role, settings

    def value(self, query: str, *, before: str | None = None) -> Any:
        with self.session.connection.transaction():
            self.session.execute("SET TRANSACTION READ ONLY")
            self.session.execute("SELECT set_config('role', %s, true)", [self.role])
            for name, value in self.settings.items():
                setting = {"claims": "request.jwt.claims", "headers": "request.headers"}[name]
                self.session.execute("SELECT set_config(%s, %s, true)", [setting, json.dumps(value)])
            if before is not None:
                self.session.execute(before)
            return self.session.value(query)


def _role(roles: Roles, *levels: str) -> tuple[Ledger, str]:
    role = roles.new(*levels, options="NOLOGIN")
    authenticator = roles.new(options="LOGIN NOINHERIT")
    roles.sql("GRANT {} TO {}", role, authenticator)
    roles.sql("GRANT USAGE ON SCHEMA api TO {}", role)
    return roles.login(authenticator), role


def test_a_function_in_front_sets_the_status_and_keeps_the_code(api: Ledger, roles: Roles) -> None:
    request = Request(*_role(roles, "read"))
    assert request.value("SELECT quantity FROM api.usage('acct_1', 'tokens')") == 5
    with pytest.raises(psycopg.Error) as caught:
        request.value("SELECT quantity FROM api.usage('acct_1', 'nothing')")
    diagnostic = caught.value.diag
    assert diagnostic.sqlstate == "PGRST"
    body, answer = json.loads(diagnostic.message_primary or ""), json.loads(diagnostic.message_detail or "")
    assert (body["code"], body["message"], answer["status"]) == ("UM001", "unknown metric", 404)
    assert set(body) == {"code", "message", "details", "hint"}
    assert set(answer) == {"status", "headers"}
    # What is no refusal of the meter is left to PostgREST.
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        request.value("SELECT quantity FROM api.usage('acct_1', 'tokens', 'fortnight')")


def test_a_function_in_front_takes_the_subject_from_the_token(api: Ledger, roles: Roles) -> None:
    session, role = _role(roles)
    reader = roles.new("read", options="NOLOGIN")
    roles.sql("GRANT CREATE ON SCHEMA api TO {}", reader)
    roles.sql("ALTER FUNCTION api.my_usage OWNER TO {}", reader)
    roles.sql("GRANT EXECUTE ON FUNCTION api.my_usage TO {}", role)
    query = "SELECT quantity FROM api.my_usage('tokens')"
    assert Request(session, role, claims={"subject": "acct_2"}).value(query) == 70
    with pytest.raises(psycopg.errors.NullValueNotAllowed):
        Request(session, role, claims={}).value(query)


def test_one_role_serves_all_customers_with_signed_tokens(api: Ledger, roles: Roles) -> None:
    session, role = _role(roles, "own")
    server = roles.new("login", options="NOLOGIN")
    roles.sql("GRANT CREATE ON SCHEMA api TO {}", server)
    roles.sql("ALTER FUNCTION api.take_token OWNER TO {}", server)
    key = api.call("create_api_key", level="read")[0].key

    def quantity(headers: dict[str, str], subject: str) -> Any:
        request = Request(session, role, headers=headers)
        query = f"SELECT quantity FROM meter.own_usage('{subject}', 'tokens')"
        return request.value(query, before="SELECT api.take_token()")

    signed = {"meter-token": embed_token(key, "acct_1", timedelta(minutes=1))}
    assert quantity(signed, "acct_1") == 5
    for headers, subject in ((signed, "acct_2"), ({}, "acct_1")):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            quantity(headers, subject)
    with pytest.raises(psycopg.errors.InvalidAuthorizationSpecification):
        quantity({"meter-token": signed["meter-token"][:-1] + "x"}, "acct_1")
