"""A role that is bound to subjects reads those, by no path any other, and costs nobody else anything."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests.access.conftest import Roles
from tests.helpers import Ledger, midnight, refused

WINDOW: dict[str, Any] = {"since": midnight(-1), "until": midnight(1)}
OWN: dict[str, dict[str, Any]] = {
    "own_usage": {"metric": "tokens"},
    "own_summary": {},
    "own_series": {"metric": "tokens", **WINDOW},
    "own_usage_by": {"metric": "tokens", "dimension": "model"},
    "own_events": {},
    "own_limits": {"metric": "tokens"},
    "own_check_quota": {"metric": "tokens", "requested": 100},
    "own_balance": {"metric": "tokens"},
    "own_invoice": {},
    "own_credits": {},
    "own_statements": {},
    "own_budget_status": {},
    "own_project_usage": {"metric": "tokens", "now": midnight(1)},
    "own_project_invoice": {"now": midnight(1)},
}
# Where the name is another one.
OF = {"own_limits": "effective_limits"}


def plain(rows: list[Any]) -> list[Any]:
    return [tuple(row) for row in rows]


def test_there_is_no_other_own_function(metered: Ledger) -> None:
    listed = metered.rows("SELECT function FROM meter._level_functions() WHERE level = 'own'")
    assert {row.function for row in listed} == {*OWN, "own_statement"}


@pytest.mark.parametrize("function", OWN)
def test_it_answers_like_the_function_of_that_name_and_refuses_other_subjects(
    metered: Ledger, roles: Roles, function: str
) -> None:
    portal = roles.as_(subjects=("acct_1", "acct_3"))
    arguments = OWN[function]
    metered.call("set_limit", metric="tokens", quota=50)
    for subject in ("acct_1", "acct_3"):
        answer = plain(portal.call(function, subject=subject, **arguments))
        question = OF.get(function, function.removeprefix("own_"))
        assert answer == plain(metered.call(question, subject=subject, **arguments))
    for subject in ("acct_2", "ACCT_1", "acct_1 ", "acct_%", "nobody"):
        with refused("42501", "subject"):
            portal.call(function, subject=subject, **arguments)
    with refused("22004", "subject"):
        portal.call(function, subject=None, **arguments)
    with refused("22023", "subject"):
        portal.call(function, subject=" ", **arguments)


def test_of_statements_it_reads_its_own_and_others_are_as_unknown_as_those_that_do_not_exist(
    metered: Ledger, roles: Roles
) -> None:
    portal = roles.as_(subjects=("acct_1", "acct_3"))
    window = {"since": midnight(-1), "until": midnight(0)}
    for subject in ("acct_1", "acct_2"):
        metered.record(subject, "tokens", 3, at=midnight(-1))
    mine, other = (metered.call("close_period", subject=s, **window)[0] for s in ("acct_1", "acct_2"))
    assert [row.statement_id for row in portal.call("own_statements", subject="acct_1")] == [
        mine.statement_id
    ]
    lines = metered.call("statement", statement_id=mine.statement_id)
    assert lines
    assert portal.call("own_statement", subject="acct_1", statement_id=mine.statement_id) == lines
    assert portal.call("own_statements", subject="acct_3") == []
    for subject, statement_id in (
        ("acct_1", other.statement_id),
        ("acct_3", mine.statement_id),
        ("acct_1", 0),
    ):
        with refused("UM007", "statement_id"):
            portal.call("own_statement", subject=subject, statement_id=statement_id)
    with refused("22004", "statement_id"):
        portal.call("own_statement", subject="acct_1", statement_id=None)
    for subject in ("acct_2", "ACCT_1", "nobody"):
        with refused("42501", "subject"):
            portal.call("own_statement", subject=subject, statement_id=other.statement_id)


def test_every_parameter_is_passed_on(metered: Ledger, roles: Roles) -> None:
    portal = roles.as_(subjects=("acct_1",))
    for day in range(1, 9):
        metered.execute(
            "SELECT meter.record('acct_1', 'tokens', %s, at => %s, metadata => '{\"model\": \"m\"}')",
            [day, f"2026-06-0{day} 12:00Z"],
        )
    zoned = {"period": "month", "timezone": "Asia/Kathmandu", "now": "2026-06-05 00:00Z"}
    ranged = {"since": "2026-06-02 13:00Z", "until": "2026-06-06 12:00Z", "timezone": "UTC"}
    page = {"metric": "tokens", "since": "2026-06-02 00:00Z", "until": "2026-06-08 00:00Z", "max_rows": 2}
    after = metered.call("events", subject="acct_1", **page)[-1]
    for function, arguments in [
        ("usage", {"metric": "tokens", **zoned}),
        ("usage", {"metric": "tokens", **ranged}),
        ("summary", zoned),
        ("summary", ranged),
        ("usage_by", {"metric": "tokens", "dimension": "model", **zoned}),
        ("usage_by", {"metric": "tokens", "dimension": "model", **ranged}),
        ("series", {"metric": "tokens", **ranged, "step": "36h"}),
        ("series", {"metric": "tokens", **ranged, "timezone": "Asia/Kathmandu"}),
        ("events", page),
        ("events", page | {"after_id": after.event_id}),
        ("events", page | {"after_id": after.event_id, "after_at": after.at}),
    ]:
        expected = plain(metered.call(function, subject="acct_1", **arguments))
        assert expected
        assert plain(portal.call(f"own_{function}", subject="acct_1", **arguments)) == expected


def test_of_limits_it_sees_those_that_count(metered: Ledger, roles: Roles) -> None:
    """Not what others have, nor which plan shadows what."""
    portal = roles.as_(subjects=("acct_1",))
    metered.call("set_limit", metric="tokens", quota=50)
    metered.call("set_limit", metric="tokens", quota=60, subject="acct_1", since="2026-01-01Z")
    metered.call("set_limit", metric="tokens", quota=70, subject="acct_2")
    seen = portal.call("own_limits", subject="acct_1", metric="tokens")
    assert [(row.source, row.quota) for row in seen] == [("subject", 60)]
    (then,) = portal.call("own_limits", subject="acct_1", metric="tokens", at="2026-06-18 12:00Z")
    assert (
        then.since == portal.call("own_usage", subject="acct_1", metric="tokens", now="2026-06-18Z")[0].since
    )
    given = {"metric": "tokens", "requested": 61, "now": midnight(0)}
    status = portal.call("own_check_quota", subject="acct_1", **given)
    assert status == metered.call("check_quota", subject="acct_1", **given)
    assert not status[0].allowed


def test_it_may_not_call_what_knows_of_every_subject(metered: Ledger, roles: Roles) -> None:
    portal = roles.as_(subjects=("acct_1",))
    for call in (
        "usage('acct_1', 'tokens')",
        "summary('acct_1')",
        "events('acct_1')",
        "subjects()",
        "verify('acct_1')",
        "record('acct_1', 'tokens', 0)",
        "check_quota('acct_1', 'tokens', 1)",
        "access()",
        "health()",
        "operational_metrics()",
        "_check_own('acct_1')",
        "_window_usage(NULL, 'acct_2', now(), now())",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            portal.connection.execute(f"SELECT * FROM meter.{call}")


def test_as_postgrest_does_it_the_role_of_the_request_counts(metered: Ledger, roles: Roles) -> None:
    authenticator = roles.new(options="LOGIN NOINHERIT")
    one, two, reader = roles.new(subjects=("acct_1",)), roles.new(subjects=("acct_2",)), roles.new("read")
    for role in (one, two, reader):
        roles.sql("GRANT {} TO {}", role, authenticator)
    session = roles.login(authenticator)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.call("own_usage", subject="acct_1", metric="tokens")
    for role, mine, other in ((one, "acct_1", "acct_2"), (two, "acct_2", "acct_1")):
        with session.connection.transaction():
            session.connection.execute("SELECT set_config('role', %s, true)", [role])
            assert session.call("own_usage", subject=mine, metric="tokens")[0].quantity in (5, 70)
            with refused("42501", "subject"), session.connection.transaction():
                session.call("own_usage", subject=other, metric="tokens")
    with session.connection.transaction():
        session.connection.execute("SELECT set_config('role', %s, true)", [reader])
        assert session.usage("acct_2", "tokens").quantity == 70
        with pytest.raises(psycopg.errors.InsufficientPrivilege), session.connection.transaction():
            session.call("own_usage", subject="acct_2", metric="tokens")


def test_who_asks_cannot_be_spoofed(metered: Ledger, roles: Roles) -> None:
    victim = roles.new(subjects=("acct_2",))
    role = roles.new(subjects=("acct_1",))
    roles.sql("GRANT CREATE, USAGE ON SCHEMA public TO {}", role)
    portal = roles.login(role)
    quoted = metered.value("SELECT quote_ident(%s)", [victim])
    for statement in (
        f"SET ROLE {quoted}",
        f"SET SESSION AUTHORIZATION {quoted}",
        f"SELECT set_config('role', '{victim}', false)",
        f"SELECT set_config('session_authorization', '{victim}', false)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            portal.connection.execute(statement)
    # Its own functions and settings instead of the ones that are asked, at the front of the path.
    portal.execute(
        "CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'none' $$"
    )
    portal.execute("CREATE FUNCTION public._check_own(text) RETURNS void LANGUAGE sql AS $$ SELECT $$")
    portal.execute("CREATE TEMP TABLE access_grants (role regrole, level text, subject text)")
    portal.execute("CREATE TEMP TABLE pg_roles (oid oid, rolname name)")
    portal.execute("SET search_path = pg_temp, public, pg_catalog, meter")
    with refused("42501", "subject"):
        portal.call("own_usage", subject="acct_2", metric="tokens")
    assert portal.call("own_usage", subject="acct_1", metric="tokens")[0].quantity == 5


def test_code_of_a_bound_role_learns_nothing_when_others_run_it(metered: Ledger, roles: Roles) -> None:
    """A function, a trigger, an index of its own runs with its rights in the sessions of others."""
    role = roles.new(subjects=("acct_1",))
    other = roles.new(subjects=("acct_2",))
    roles.sql("GRANT CREATE, USAGE ON SCHEMA public TO {}", role)
    portal = roles.login(role)
    portal.execute(
        "CREATE FUNCTION public.peek(subject text) RETURNS numeric LANGUAGE plpgsql IMMUTABLE"
        " SECURITY DEFINER AS $$ BEGIN"
        " RETURN (SELECT quantity FROM meter.own_usage(peek.subject, 'tokens')); END $$"
    )
    portal.execute("CREATE TABLE public.trap (subject text)")
    portal.execute("INSERT INTO public.trap VALUES ('acct_1')")
    portal.execute("CREATE INDEX ON public.trap (public.peek(subject))")
    portal.execute("GRANT INSERT ON public.trap TO PUBLIC")
    assert portal.value("SELECT public.peek('acct_1')") == 5
    stranger = roles.as_()
    for session in (metered, stranger):
        for subject in ("acct_1", "acct_2"):
            with refused("42501", "subject"):
                session.value(f"SELECT public.peek('{subject}')")
    with refused("42501", "subject"):
        metered.execute("ANALYZE public.trap")
    # Another bound role is itself, whoever's function it runs: it sees what it may see, and the owner of the
    # function what that role hands over.
    assert roles.login(other).value("SELECT public.peek('acct_2')") == 70
    with refused("42501", "subject"):
        roles.login(other).value("SELECT public.peek('acct_1')")


def test_a_member_of_a_bound_role_is_not_bound_itself(metered: Ledger, roles: Roles) -> None:
    group = roles.new(subjects=("acct_1",))
    member = roles.new()
    roles.sql("GRANT {} TO {}", group, member)
    session = roles.login(member)
    with refused("42501", "subject"):
        session.call("own_usage", subject="acct_1", metric="tokens")
    session.connection.execute("SELECT set_config('role', %s, false)", [group])
    assert session.call("own_usage", subject="acct_1", metric="tokens")[0].quantity == 5


def test_a_role_is_either_bound_or_not(metered: Ledger, roles: Roles) -> None:
    bound = roles.new(subjects=("acct_1",))
    for level in ("read", "write", "report", "admin"):
        with refused("22023", "subject"):
            metered.call("grant_access", role=bound, level=level)
    group = roles.new("write")
    member = roles.new()
    roles.sql("GRANT {} TO {}", group, member)
    for role in (group, member, roles.new("read"), roles.new("admin")):
        with refused("22023", "subject"):
            metered.call("grant_access", role=role, level="read", subject="acct_1")
    metered.call("revoke_access", role=bound)
    metered.call("grant_access", role=bound, level="read")
    assert roles.login(bound).usage("acct_2", "tokens").quantity == 70


def test_subjects_are_taken_away_one_by_one(metered: Ledger, roles: Roles) -> None:
    role = roles.new(subjects=("acct_1", "acct_2"))
    portal = roles.login(role)
    metered.call("revoke_access", role=role, level="read", subject="acct_2")
    assert portal.call("own_usage", subject="acct_1", metric="tokens")
    with refused("42501", "subject"):
        portal.call("own_usage", subject="acct_2", metric="tokens")
    metered.call("revoke_access", role=role, level="read", subject="acct_1")
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
        portal.call("own_usage", subject="acct_1", metric="tokens")
    assert "permission denied" in str(caught.value)
    assert [r for r in metered.call("access") if r.role == role] == []
