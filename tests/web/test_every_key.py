"""Keys of every level and binding call every function: what the grants in PostgreSQL say is what they may do.

At length 100 live keys and tokens, and as many dead ones, call everything.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from pymeter.levels import LEVELS as LEVEL_OF
from pymeter.web import embed_token
from tests.helpers import AT_LENGTH, Ledger, at_length
from tests.keys.conftest import Server, new_key, token
from tests.web.conftest import Api

LEVELS = ("read", "write", "report", "admin", "approve")
LIVE, DEAD = at_length(8, 100), at_length(6, 100)
NOT_SERVED = {name for name, level in LEVEL_OF.items() if level in ("owner", "login")}
# A value of each type that can be read; what it stands for need not exist.
OF_TYPE = {
    "text": "x",
    "numeric": "1",
    "bigint": "1",
    "integer": "1",
    "boolean": "true",
    "timestamp with time zone": "2026-06-18T14:30:00Z",
    "interval": "1 hour",
    "jsonb": "{}",
}


@dataclass(frozen=True)
class Holder:
    """A key or a token, and the level that the database has to find."""

    bearer: str
    level: str
    subject: str | None = None


@dataclass(frozen=True)
class Tried:
    """A function as PostgreSQL knows it."""

    name: str
    reads: bool
    required: tuple[str, ...]
    types: tuple[str, ...]

    def query(self, subject: str | None) -> dict[str, str]:
        given = {
            name: OF_TYPE[type.removesuffix("[]")]
            for name, type in zip(self.required, self.types, strict=True)
        }
        if "subject" in given and subject is not None:
            given["subject"] = subject
        return given


def live(ledger: Ledger, number: int) -> Holder:
    """The kinds in turn: a key of each level, a key of one subject, tokens that are signed with either."""
    kind = number % 8
    later = datetime.now(UTC) + timedelta(hours=1) if number % 2 else None
    if kind < len(LEVELS):
        return Holder(new_key(ledger, LEVELS[kind], expires_at=later), LEVELS[kind])
    subject = f"acct_{number % 3}"
    key = new_key(ledger, "read", subject=subject if kind != 7 else None, expires_at=later)
    bearer = key if kind == 5 else embed_token(key, subject, timedelta(hours=1))
    return Holder(bearer, "own", subject)


def dead(ledger: Ledger, number: int) -> str:
    """Revoked, expired, or a token that was never valid or no longer is."""
    kind = number % 6
    level = LEVELS[number % 5]
    if kind == 0:
        return new_key(ledger, level, expires_at=datetime.now(UTC) + timedelta(seconds=1))
    if kind in (1, 2):
        key = new_key(ledger, level if kind == 1 else "read")
        ledger.call("revoke_api_key", key_id=int(key.split("_")[2]))
        return key if kind == 1 else token(key, "acct_1")
    if kind == 3:
        return token(new_key(ledger, "read"), "acct_1", valid_for=-1)
    if kind == 4:
        return token(new_key(ledger, "read", subject="acct_1"), "acct_2")
    return token(new_key(ledger, "write" if level == "read" else level), "acct_1")


def served_functions(ledger: Ledger) -> list[Tried]:
    rows = ledger.rows(
        "SELECT p.proname AS name, p.provolatile <> 'v' AS reads,"
        " coalesce(p.proargnames[1:p.pronargs - p.pronargdefaults], '{}') AS required,"
        " ARRAY(SELECT format_type(a.type, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY a (type, n)"
        "       WHERE n <= p.pronargs - p.pronargdefaults ORDER BY n) AS types"
        " FROM pg_proc p WHERE p.pronamespace = 'meter'::regnamespace AND p.proname !~ '^_' AND p.prosecdef"
        " AND p.prokind = 'f' ORDER BY 1"
    )
    return [Tried(r.name, r.reads, tuple(r.required), tuple(r.types)) for r in rows]


def granted(ledger: Ledger, server: Server) -> set[tuple[str, str]]:
    """Level and function, as PostgreSQL has them for the roles that the server takes."""
    rows = ledger.rows(
        "SELECT l.level, p.proname FROM unnest(%s::text[], %s::text[]) l (level, role), pg_proc p"
        " WHERE p.pronamespace = 'meter'::regnamespace AND has_function_privilege(l.role, p.oid, 'execute')",
        [list(server.of_level), list(server.of_level.values())],
    )
    return {(row.level, row.proname) for row in rows}


@pytest.fixture
def unlimited(served: Any) -> Api:
    """An application that does not slow down who fails."""
    api: Api = served(failed_attempts=10**9, statement_seconds=60)
    return api


@pytest.mark.at_length
def test_what_a_key_may_call_is_what_its_role_was_granted(
    unlimited: Api, metered: Ledger, server: Server
) -> None:
    """A call that the grants refuse is 42501; another refusal, or an answer, shows that it was allowed."""
    functions = served_functions(metered)
    grants = granted(metered, server)
    assert grants == {(level, name) for name, level in LEVEL_OF.items() if name not in NOT_SERVED}
    offered = {path.rpartition("/")[2] for path in unlimited.client.get("/openapi.json").json()["paths"]}
    assert {one.name for one in functions} - NOT_SERVED == offered & {one.name for one in functions}
    holders = [live(metered, number) for number in range(LIVE)]

    def try_all(number: int) -> list[str]:
        holder = holders[number]
        headers = {"Authorization": f"Bearer {holder.bearer}"}
        wrong = []
        with httpx.Client(base_url=unlimited.base, timeout=120, headers=headers) as client:
            for place, one in enumerate(functions):
                methods = ("POST", "GET") if AT_LENGTH or one.name in NOT_SERVED else _in_turn(number + place)
                for method in methods:
                    said = _call(client, one, method, holder)
                    if said != _expected(one, method, (holder.level, one.name) in grants):
                        wrong.append(f"{holder.level} {method} {one.name}: {said}")
        return wrong

    with ThreadPoolExecutor(2) as pool:
        assert [line for wrong in pool.map(try_all, range(LIVE)) for line in wrong] == []


def _in_turn(number: int) -> tuple[str, ...]:
    return ("GET",) if number % 3 == 0 else ("POST",)


def _call(client: httpx.Client, one: Tried, method: str, holder: Holder) -> str:
    path = f"/v1/rpc/{one.name}"
    if method == "GET":
        answer = client.get(path, params=one.query(holder.subject))
    else:
        body: dict[str, Any] = dict.fromkeys(one.required)
        if "subject" in body:
            body["subject"] = holder.subject
        answer = client.post(path, json=body)
    if answer.status_code in (401, 403, 404, 405):
        problem = answer.json()
        # Of something that does not exist, when the function itself was reached.
        if answer.status_code == 404 and "no such function" not in problem["title"]:
            return "called"
        # The owner's own refusals, such as four_eyes, do not name the function.
        if problem.get("sqlstate") == "42501" and "permission denied for function" not in problem["title"]:
            return f"403 {problem['title']}"
        return str(answer.status_code)
    return "called" if answer.status_code < 500 else answer.text


def _expected(one: Tried, method: str, is_granted: bool) -> str:
    if one.name in NOT_SERVED:
        return "404"
    if method == "GET" and not one.reads:
        return "405"
    return "called" if is_granted else "403"


@pytest.mark.at_length
def test_a_key_that_ended_may_call_nothing(unlimited: Api, metered: Ledger) -> None:
    bearers = [dead(metered, number) for number in range(DEAD)]
    functions = [one for one in served_functions(metered) if one.name not in NOT_SERVED]
    time.sleep(1.1)

    def try_some(number: int) -> list[str]:
        headers = {"Authorization": f"Bearer {bearers[number]}"}
        chosen = functions if AT_LENGTH else functions[number :: len(functions) // 8]
        wrong = []
        with httpx.Client(base_url=unlimited.base, timeout=120, headers=headers) as client:
            answers = [client.post("/v1/events", json={"subject": "a", "metric": "tokens", "quantity": 1})]
            for one in chosen:
                answers.append(client.post(f"/v1/rpc/{one.name}", json=dict.fromkeys(one.required)))
                if one.reads:
                    answers.append(client.get(f"/v1/rpc/{one.name}", params=one.query(None)))
            for answer in answers:
                if (answer.status_code, answer.json()["sqlstate"]) != (401, "28000"):
                    wrong.append(f"{answer.url} {answer.status_code} {answer.text[:200]}")
        return wrong

    before = metered.state()
    with ThreadPoolExecutor(2) as pool:
        assert [line for wrong in pool.map(try_some, range(DEAD)) for line in wrong] == []
    assert metered.state() == before


def test_a_key_of_one_subject_is_refused_for_every_other(unlimited: Api, metered: Ledger) -> None:
    own = [one for one in served_functions(metered) if LEVEL_OF[one.name] == "own"]
    assert own
    for number in (5, 6, 7):  # a key of one subject, and tokens
        holder = live(metered, number)
        headers = {"Authorization": f"Bearer {holder.bearer}"}
        for one in own:
            for subject in (f"{holder.subject} ", "acct_9", ""):
                answer = unlimited.client.get(
                    f"/v1/rpc/{one.name}", params=one.query(None) | {"subject": subject}, headers=headers
                )
                assert answer.status_code in (400, 403), (one.name, answer.text)
                assert subject != "acct_9" or answer.json()["sqlstate"] == "42501", (one.name, answer.text)
