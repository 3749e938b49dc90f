"""Every function of the contract knows that a subject is not at home: none has to be remembered here."""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.access.test_json_calls import READING, WRITING
from tests.helpers import Ledger
from tests.schema import contract

# What may be asked or done of a subject that is elsewhere, and why.
ALLOWED = {
    "notifications": "what the meter has written is read, and sent, where it was written",
    "deliveries": "as notifications",
    "grant_access": "roles are of a server; a role that is bound to the subject reads UM008",
    "revoke_access": "taking a right away never fails",
    **dict.fromkeys(
        ("close_home", "reopen_home", "leave_home", "expect_subject", "admit_subject"),
        "they move it: test_gate.py",
    ),
}
METRIC = {"metric": "tokens"}
# Functions that have the subject in an array, or know it by an id.
INSIDE: dict[str, dict[str, Any]] = {
    "record_batch": {"events": [{"subject": "a", "metric": "tokens", "quantity": 1}]},
    "known_events": {"events": [{"subject": "a", "metric": "tokens", "quantity": 1, "idempotency_key": "k"}]},
    "reserve_batch": {"requests": [{"subject": "a", "metric": "tokens", "quantity": 1}]},
    "compare_plans": {
        "plan_a": "pro",
        "plan_b": "pro",
        "since": "2026-06-01",
        "until": "2026-07-01",
        "subjects": ["a"],
    },
    "settle": {"quantity": 1},
    "release": {},
    "extend": {},
    "statement": {},
    "statement_document": {},
    "what_changed": {},
    "late_usage": {},
    "settle_late_usage": {"metric": "tokens", "delta": 0, "decision": "bill"},
    "void_top_up": {"reason": "x"},
    "void_credit": {"reason": "x"},
    "stage_correction": {
        "entries": [{"entry": "adjust", "subject": "a", "metric": "tokens", "quantity": -1}]
    },
    "approve_correction": {},
    "revert_correction": {"reason": "x"},
    "reject_correction": {"reason": "x"},
    "revoke_api_key": {},
    "resolve_push": {"delivered": True},
    "retry_pushes": {"biller": "stripe"},
    "leave_pushes": {"biller": "stripe"},
}
# What may be an id of something that belongs to a subject; and functions of which it is not, and why.
IDS = {"reservation_id", "statement_id", "top_up_id", "credit_id", "key_id", "identifier", "id"}
OF_NO_SUBJECT = {
    "own_statement": "it has the subject, too",
    "confirm_push": "it reads; a worker sends nothing of which this is not true",
    "preview_correction": "it reads",
    "correction_entries": "it reads what was written",
}
# What else the other functions need, besides the subject.
MORE: dict[str, dict[str, Any]] = {
    "void_event": METRIC | {"idempotency_key": "k", "reason": "x"},
    "amend_event": METRIC | {"idempotency_key": "k", "quantity": 2, "reason": "x"},
    "erase_subject": {"pseudonym": "gone"},
    "subscribe": {"plan": "pro"},
    "unsubscribe": {"plan": "pro"},
    "remove_limit": METRIC,
    "define_price": {
        "plan": "pro",
        "item": "i",
        "price": {"model": "unit", "unit_amount": 1},
        "metric": "tokens",
    },
    "retire_price": {"plan": "pro", "item": "i"},
    "remove_budget": {"currency": "EUR"},
    "remove_spike_alert": METRIC,
    "create_api_key": {"level": "read"},
    "own_statement": {"statement_id": 1},
    "set_limit": METRIC | {"quota": 5, "marks": [50]},
    "set_spike_alert": METRIC | {"factor": 3},
    "set_budget": {"amount": 5, "currency": "EUR", "marks": [50]},
}


def functions() -> dict[str, list[str]]:
    """The parameters of each function of the contract."""
    return {
        line.split("(")[0]: [p.split()[0] for p in line.split("(", 1)[1].rsplit(")", 1)[0].split(", ") if p]
        for lines in contract.contract().values()
        for line in lines
    }


TAKING_ONE = sorted(n for n, p in functions().items() if "subject" in p and n not in ALLOWED)


def _sent(value: Any) -> Any:
    if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
        return Jsonb(value)
    return str(value) if isinstance(value, float) else value


def call(ledger: Ledger, function: str, arguments: dict[str, Any]) -> list[Any]:
    values = [_sent(value) for value in arguments.values()]
    named = ", ".join(f"{name} => %s" for name in arguments)
    return ledger.rows(f"SELECT * FROM meter.{function}({named})", values)


def furnish(ledger: Ledger, subject: str) -> None:
    """Something of everything that a subject can have, at fixed times."""
    for statement in (
        "SELECT meter.record(%(s)s, 'tokens', 7, idempotency_key => 'k', at => '2026-06-18Z')",
        "SELECT meter.record(%(s)s, 'tokens', 7, at => '2026-06-18Z', metadata => '{\"model\": \"m\"}')",
        "SELECT meter.record(%(s)s, 'tokens', 3)",
        "SELECT meter.record(%(s)s, 'limited', 30)",
        "SELECT meter.record(%(s)s, 'users', member => 'u')",
        "SELECT meter.subscribe(%(s)s, 'pro', since => '2026-05-01Z')",
        "SELECT meter.report_subject(%(s)s, 'cus_' || %(s)s)",
        "SELECT meter.set_limit('limited', 5, subject => %(s)s)",
        "SELECT meter.top_up(%(s)s, 'limited', 5, 'invoice_1')",
        "SELECT meter.grant_credit(%(s)s, 5, 'EUR', 'welcome', since => '2026-05-01Z')",
        "SELECT meter.set_budget(1, 'EUR', subject => %(s)s)",
        "SELECT meter.close_period(%(s)s, '2026-06-01Z', '2026-07-01Z')",
        "SELECT meter.record(%(s)s, 'tokens', 2, at => '2026-06-19Z')",
        "SELECT meter.reserve(%(s)s, 'tokens', 1)",
    ):
        ledger.rows(statement, {"s": subject})


@pytest.fixture
def meter(ledger: Ledger) -> Ledger:
    for metric in ("tokens", "limited"):
        ledger.define(metric, "sum")
    ledger.define("users", "unique")
    for statement in (
        "SELECT meter.define_plan('pro')",
        """SELECT meter.define_price('pro', 'tokens', '{"model": "unit", "unit_amount": 2,
            "currency": "EUR"}', 'tokens', since => '2026-01-01Z')""",
        "SELECT meter.define_biller('stripe')",
        "SELECT meter.report_metric('tokens', 'api_tokens')",
        "SELECT meter.set_spike_alert('tokens', 3)",
        "SELECT meter.set_limit('tokens', 5, action => 'alert', projected => true)",
    ):
        ledger.rows(statement)
    return ledger


def away(meter: Ledger, state: str) -> None:
    meter.execute("SELECT meter.close_home('a', 's2')")
    meter.execute("SELECT meter.leave_home('a')")
    if state == "arriving":
        meter.execute("SELECT meter.expect_subject('a', 's2')")


@pytest.mark.parametrize("state", ["moved", "arriving"])
def test_every_function_that_takes_a_subject_refuses_one_that_is_elsewhere(meter: Ledger, state: str) -> None:
    furnish(meter, "a")
    meter.execute("CREATE ROLE moved_reader" if state == "moved" else "SELECT")
    ids = {
        "reservation_id": meter.value("SELECT max(reservation_id) FROM meter.reservations"),
        "statement_id": meter.value("SELECT max(statement_id) FROM meter.statements"),
        "top_up_id": meter.value("SELECT max(top_up_id) FROM meter.top_ups"),
        "credit_id": meter.value("SELECT max(credit_id) FROM meter.credits"),
        "key_id": meter.value("SELECT key_id FROM meter.create_api_key('read', 'a')"),
    }
    pushes = planned(meter)
    opened = meter.value("SELECT meter.open_correction('x')")
    entries = INSIDE["stage_correction"]
    call(meter, "stage_correction", {"id": opened} | entries)
    approved = meter.value("SELECT (meter.adjust('a', 'tokens', 1, reason => 'x')).correction_id")
    empty = meter.value("SELECT meter.open_correction('y')")
    away(meter, state)
    before = copied(meter)
    cases: list[tuple[str, dict[str, Any]]] = []
    for name in TAKING_ONE:
        if name == "erase_subject" and state == "moved":
            continue  # it erases the sealed copy: test_erasing_copies.py
        arguments = dict((READING | WRITING).get(name.removeprefix("own_"), {}))
        cases.append((name, arguments | MORE.get(name, {}) | {"subject": "a"}))
    for name, arguments in INSIDE.items():
        parameters = functions()[name]
        known = {key: value for key, value in ids.items() if key in parameters}
        if "id" in parameters:
            known = {"id": {"stage_correction": empty, "revert_correction": approved}.get(name, opened)}
        if "identifier" in parameters:
            known = {"identifier": pushes["uncertain" if name == "resolve_push" else "rejected"]}
        cases.append((name, known | arguments))
    other: dict[str, str] = {}
    for name, arguments in cases:
        if name.startswith("own_"):
            continue  # they ask for the role first: below
        with pytest.raises(psycopg.Error) as caught:
            call(meter, name, arguments)
            other[name] = "answers"
            raise psycopg.Error
        if name not in other and (caught.value.sqlstate, caught.value.diag.message_detail) != ("UM008", "s2"):
            other[name] = str(caught.value)
    assert other == {}
    work_of_reporters(meter, pushes)
    assert copied(meter) == before


def planned(meter: Ledger) -> dict[str, str]:
    """The identifiers of pushes in some states. What they are is the reporter's business; tests/report."""
    states = ("rejected", "held", "uncertain", "delivered", "planned")
    meter.execute(
        "SELECT meter.report_metric('tokens', 'units', since => date_trunc('hour', now() - '9 h'::interval))"
    )
    for hours in range(len(states)):
        meter.execute("SELECT meter.record('a', 'tokens', 1, at => now() - %s::interval)", [f"{hours} h"])
    meter.execute("SELECT meter.plan_pushes()")
    found = [row.identifier for row in meter.rows("SELECT identifier FROM meter.claim_pushes('stripe', 'w')")]
    for state, identifier in zip(states, found, strict=True):
        meter.execute(
            """
            UPDATE meter.pushes SET state = %(state)s, reason = 'x',
                settled_at = CASE WHEN %(state)s IN ('rejected', 'delivered') THEN now() END,
                unsure_attempts = CASE WHEN %(state)s = 'uncertain' THEN 1 ELSE 0 END,
                unsure_since = CASE WHEN %(state)s = 'uncertain' THEN now() END
            WHERE identifier = %(identifier)s
            """,
            {"state": state, "identifier": identifier},
        )
    return dict(zip(states, found, strict=True))


def work_of_reporters(meter: Ledger, pushes: dict[str, str]) -> None:
    """What takes pushes by their customer, hour or reason, or is told of some of many."""
    hours = meter.rows("SELECT DISTINCT date_trunc('hour', stamped_at) AS hour FROM meter.pushes")
    for (hour,) in hours:
        for name in (
            "settle_hour('stripe', 'cus_a', 'units', %s, 0)",
            "settle_hour('stripe', 'cus_a', 'units', %s, 1)",
        ):
            meter.execute(f"SELECT meter.{name}", [hour])
    known = list(pushes.values())
    with pytest.raises(psycopg.Error) as caught:
        meter.execute("SELECT meter.fail_pushes('stripe', 'evt_1', %s, 'x')", [known])
    assert caught.value.sqlstate == "UM008"
    meter.execute("SELECT meter.retry_pushes()")
    meter.execute("SELECT meter.leave_pushes(reason => 'x')")
    for row in meter.rows("SELECT push_id FROM meter.pushes"):
        for outcome in ("delivered", "rejected"):
            result = [{"push_id": row.push_id, "attempt": 1, "outcome": outcome}]
            meter.rows("SELECT meter.settle_pushes('stripe', 'w', %s)", [Jsonb(result)])
    assert meter.rows("SELECT * FROM meter.claim_pushes('stripe', 'w', now => now() + '10 min')") == []


def copied(meter: Ledger) -> list[Any]:
    """What is here of the subject."""
    return [
        meter.rows("SELECT * FROM meter._move_digests('a')"),
        meter.rows("SELECT * FROM meter._move_log_digests('a', 'true', 'reservations')"),
    ]


def test_a_role_that_is_bound_to_it_is_told_too(meter: Ledger) -> None:
    furnish(meter, "a")
    key = meter.value("SELECT key FROM meter.create_api_key('read', 'a')")
    away(meter, "moved")
    for name in (n for n in TAKING_ONE if n.startswith("own_")):
        arguments = dict(READING.get(name.removeprefix("own_"), {})) | MORE.get(name, {}) | {"subject": "a"}
        arguments = {k: v for k, v in arguments.items() if k in functions()[name]}
        with pytest.raises(psycopg.Error) as caught:
            call(meter, name, arguments)
        assert caught.value.sqlstate == "UM008", f"{name}: {caught.value}"
    assert key


def test_every_id_of_something_that_belongs_to_a_subject_is_tried(meter: Ledger) -> None:
    by_id = {n for n, p in functions().items() if IDS & set(p)}
    assert by_id - INSIDE.keys() - OF_NO_SUBJECT.keys() == set()


def test_every_function_that_raises_it_says_so(meter: Ledger) -> None:
    """Or says that it raises what another one does."""
    raising = {*TAKING_ONE, *INSIDE, "retry_pushes", "leave_pushes", "resolve_push", "fail_pushes"}
    comments = dict(
        meter.rows(
            "SELECT proname, split_part(obj_description(oid, 'pg_proc'), ' Example: ', 1) FROM pg_proc"
            " WHERE pronamespace = 'meter'::regnamespace AND proname = ANY (%s)",
            [sorted(raising)],
        )
    )
    assert comments.keys() == raising

    def says(name: str) -> bool:
        others = re.findall(r"(?:Raises|otherwise|and) as (\w+)\(\) does", comments[name])
        return "UM008" in comments[name] or any(says(other) for other in others if other != name)

    assert [name for name in sorted(raising) if not says(name)] == []


# Questions about all subjects, and work for all. Not asked: what was written about them, such as admin_log.
QUESTIONS: dict[str, dict[str, Any]] = {
    "subjects": {},
    "totals": METRIC | {"period": "never"},
    "all_events": {},
    "statements": {},
    "late_usage": {},
    "verify_statements": {},
    "verify": {},
    "overruns": {},
    "limits": {},
    "budgets": {},
    "reservations": {},
    "focus_charges": {"since": "2026-01-01", "until": "2026-12-01"},
    "compare_plans": {"plan_a": "pro", "plan_b": "pro", "since": "2026-06-01", "until": "2026-07-01"},
    "preview_pushes": {"now": "2026-12-20Z"},
    "plan_pushes": {"now": "2026-12-20Z"},
    "report_status": {},
    "customer_subjects": {"customer": "cus_a"},
    "close_due": {"now": "2026-12-20Z"},
    "judge_budgets": {},
    "judge_projections": {},
    "judge_spikes": {},
    "rebuild": {},
    "check_drift": {},
    "health": {"now": "2026-12-20Z"},
}
# These find nothing here with the subject either: statements are whole, there is no history to judge by.
SAME = {"verify_statements", "judge_spikes", "judge_projections"}
# Columns that are different at every call.
_FLEETING = {"judged_at", "last_maintained_at"}

# The subject has drawn ids, and its rows are in the log for ever.
_DRAWN = {"close_due": {"statement_id"}, "health": {"stray_events"}}


def asked(meter: Ledger) -> dict[str, list[str]]:
    """The answers, as they would be; nothing is changed."""
    answers = {}
    for name, arguments in QUESTIONS.items():
        with meter.connection.transaction(force_rollback=True):
            rows = call(meter, name, arguments)
            left = [
                {k: v for k, v in row._asdict().items() if k not in _FLEETING | _DRAWN.get(name, set())}
                for row in rows
            ]
            answers[name] = [json.dumps(row, default=str) for row in left]
    return answers


@pytest.mark.parametrize("state", ["moved", "arriving"])
def test_questions_and_work_of_all_subjects_are_as_if_it_had_never_been_here(
    meter: Ledger, state: str
) -> None:
    furnish(meter, "b")
    before = asked(meter)
    furnish(meter, "a")
    meter.execute("UPDATE meter.series SET coarse_count = coarse_count + 1 WHERE subject = 'a'")  # a drift
    with_it = asked(meter)
    # What would answer the same with the subject proves nothing here.
    assert {name for name in QUESTIONS if with_it[name] == before[name]} == SAME
    away(meter, state)
    # health() tells of one that has been arriving for long.
    meter.execute("UPDATE meter.moves SET changed_at = '2026-12-20Z'")
    after = asked(meter)
    assert {name: after[name] for name in QUESTIONS if after[name] != before[name]} == {}
