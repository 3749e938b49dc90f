"""Calls as PostgREST makes them: a role for the request, arguments by name from a JSON object, JSON back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from tests.access.conftest import Roles
from tests.conftest import Connect
from tests.helpers import Ledger

# What PostgREST reads from the catalog for a function.
SIGNATURE = """
SELECT p.proretset AS is_set, t.typtype = 'c' AS is_composite, p.provolatile <> 'v' AS reads,
       coalesce((SELECT json_object_agg(p.proargnames[a.n], format_type(a.type, NULL))
                 FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, n)), '{}') AS types
FROM pg_proc p JOIN pg_type t ON t.oid = p.prorettype
WHERE p.pronamespace = 'meter'::regnamespace AND p.proname = %s
"""


class Rest:
    """``post("record", {...})`` as the role; raises psycopg.Error, which PostgREST answers with a status."""

    def __init__(self, authenticator: Ledger, role: str) -> None:
        self.session = authenticator
        self.role = role

    def post(self, function: str, body: str | dict[str, Any]) -> Any:
        """The body is sent as it is; numbers of the answer are exact."""
        text = body if isinstance(body, str) else json.dumps(body)
        signature = self.session.row(SIGNATURE, [function])
        with self.session.connection.transaction():
            if signature.reads:
                self.session.execute("SET TRANSACTION READ ONLY")
            self.session.execute(
                "SELECT set_config('role', %s, true), set_config('search_path', 'meter', true)", [self.role]
            )
            (answer,) = self.session.connection.execute(
                self._query(function, signature, list(json.loads(text))), {"body": text}
            ).fetchone() or (None,)
        return json.loads(answer, parse_float=Decimal)

    @staticmethod
    def _query(function: str, signature: Any, given: list[str]) -> sql.Composed:
        call = sql.SQL("{}({})").format(
            sql.Identifier("meter", function),
            sql.SQL(", ").join(
                sql.SQL("{} := pgrst_args.{}").format(sql.Identifier(n), sql.Identifier(n)) for n in given
            ),
        )
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(signature.types[n])) for n in given
        )
        arguments = (
            sql.SQL("SELECT * FROM json_to_record(%(body)s::json) AS _({})").format(columns)
            if given
            else sql.SQL("SELECT")
        )
        aggregate = "coalesce(json_agg(t), '[]')" if signature.is_set else "(json_agg(t) -> 0)"
        source = "pgrst_call.*" if signature.is_composite else "pgrst_call AS pgrst_scalar"
        if not signature.is_composite:
            aggregate = "(json_agg(t.pgrst_scalar) -> 0)"
        return sql.SQL(
            f"WITH pgrst_source AS (SELECT {source} FROM ({{}}) AS pgrst_args, LATERAL {{}} AS pgrst_call)"
            f" SELECT {aggregate}::text FROM (SELECT * FROM pgrst_source) AS t"
        ).format(arguments, call)


@pytest.fixture
def rest(ledger: Ledger, roles: Roles) -> Rest:
    """A server's connection, and a role that may do everything that can be granted."""
    return new_rest(ledger, roles)


def new_rest(ledger: Ledger, roles: Roles) -> Rest:
    ledger.define("tokens", "sum", "token")
    role = roles.new("read", "write", "report", "admin", "approve")
    authenticator = roles.new(options="LOGIN NOINHERIT")
    roles.sql("GRANT {} TO {}", role, authenticator)
    return Rest(roles.login(authenticator), role)


def test_recording_and_asking_are_exact(rest: Rest) -> None:
    body = (
        '{"subject": "acct_1", "metric": "tokens", "quantity": 12345678901234567890.123456789012345678901,'
        ' "idempotency_key": "req_1", "at": "2026-06-18T14:30:00Z", "metadata": {"model": "large"}}'
    )
    recorded = rest.post("record", body)
    assert recorded["outcome"] == "recorded"
    assert recorded["quantity"] == Decimal("12345678901234567890.123456789012345678901")
    assert rest.post("record", body)["outcome"] == "duplicate"
    usage = rest.post(
        "usage", {"subject": "acct_1", "metric": "tokens", "period": "month", "now": "2026-06-18T00:00:00Z"}
    )
    assert usage["quantity"] == recorded["quantity"]
    assert (usage["unit"], usage["event_count"]) == ("token", 1)
    assert usage["since"] == "2026-06-01T00:00:00+00:00"
    (event,) = rest.post("events", {"subject": "acct_1"})
    assert event["metadata"] == {"model": "large"}


def test_a_batch_is_a_json_array_inside_the_object(rest: Rest) -> None:
    events = [
        {"subject": "acct_1", "metric": "tokens", "quantity": "0.1", "idempotency_key": "a"},
        {"subject": "acct_1", "metric": "tokens", "quantity": -1},
    ]
    outcomes = rest.post("record_batch", {"events": events, "on_invalid": "skip"})
    assert [(o["ordinal"], o["outcome"], o["sqlstate"]) for o in outcomes] == [
        (1, "recorded", None),
        (2, "rejected", "22023"),
    ]


READING: dict[str, dict[str, Any]] = {
    "catalog": {},
    "metric": {"key": "tokens"},
    "usage": {"subject": "a", "metric": "tokens"},
    "summary": {"subject": "a"},
    "series": {
        "subject": "a",
        "metric": "tokens",
        "since": "2026-06-01T00:00:00Z",
        "until": "2026-06-03T00:00:00Z",
    },
    "usage_by": {"subject": "a", "metric": "tokens", "dimension": "model"},
    "check_quota": {"subject": "a", "metric": "tokens", "quota": 5},
    "totals": {"metric": "tokens"},
    "subjects": {"max_rows": 5},
    "events": {"subject": "a"},
    "all_events": {"metric": "tokens"},
    "resolve_window": {"period": "month", "timezone": "Asia/Kathmandu"},
    "settings": {},
    "billing_cycle": {"subject": "a", "at": "2026-06-18T00:00:00Z"},
    "plans": {},
    "subscriptions": {"subject": "a"},
    "limits": {"metric": "tokens"},
    "effective_limits": {"subject": "a", "metric": "tokens"},
    "top_ups": {"subject": "a", "metric": "tokens"},
    "balance": {"subject": "a", "metric": "tokens"},
    "notifications": {},
    "overruns": {},
    "reservations": {},
    "corrections": {},
    "statements": {},
    "late_usage": {},
    "verify_statements": {},
    "rate": {"price": {"model": "unit", "unit_amount": "0.002"}, "quantity": 1500},
    "prices": {},
    "plan_minimums": {},
    "invoice": {"subject": "a", "period": "month"},
    "project_usage": {"subject": "a", "metric": "tokens", "now": "2026-06-18T00:00:00Z"},
    "project_invoice": {"subject": "a", "now": "2026-06-18T00:00:00Z"},
    "invoice_json": {"subject": "a", "since": "2026-06-01T00:00:00Z", "until": "2026-07-01T00:00:00Z"},
    "credits": {"subject": "a"},
    "taxes": {"subject": "a"},
    "focus_charges": {"since": "2026-06-01", "until": "2026-07-01", "provider": "Acme"},
    "budgets": {},
    "budget_status": {"subject": "a"},
    "compare_plans": {"plan_a": "pro", "plan_b": "pro", "since": "2026-06-01", "until": "2026-07-01"},
    "simulate": {"scenario": {"currency": "EUR", "prices": [], "minimums": [{"amount": 5}]}},
    "endpoints": {},
    "deliveries": {},
    "spike_alerts": {},
    "admin_log": {},
    "verify": {},
    "health": {},
    "operational_metrics": {},
    "shard_slot": {"shard_key": "a"},
    "shard_state": {},
    "moves": {},
    "archives": {},
    "access": {},
    "api_keys": {},
    "preview_pushes": {},
    "uncertain_hours": {},
    "reconcilable_ranges": {},
    "reconciliation": {},
    "report_status": {},
    "report_mappings": {},
    "billers": {},
    "customer_subjects": {"customer": "cus_1"},
    "report_journal": {},
    "pushes": {},
    "confirm_push": {"biller": "stripe", "worker": "w", "identifier": "pm_1", "attempt": 1},
}
MAY_BE_EMPTY = {
    *("verify", "verify_statements", "overruns", "preview_pushes", "uncertain_hours", "reconcilable_ranges"),
    *("api_keys", "focus_charges", "endpoints", "deliveries", "spike_alerts", "moves"),
    *(
        "reconciliation",
        "report_mappings",
        "billers",
        "customer_subjects",
        "pushes",
        "plans",
        "subscriptions",
        "limits",
        "effective_limits",
    ),
    "reservations",
    "top_ups",
    "corrections",
    *("prices", "plan_minimums", "credits", "taxes", "budgets", "budget_status"),
    *("statements", "late_usage"),
    "archives",
}
WRITING: dict[str, dict[str, Any]] = {
    "define_metric": {"key": "seats", "aggregate": "last", "unit": "seat", "max_future": "2 days"},
    "retire_metric": {"key": "tokens"},
    "record": {"subject": "a", "metric": "tokens", "quantity": 1},
    "record_batch": {"events": []},
    "reserve": {"subject": "a", "metric": "tokens", "quantity": 1, "ttl": "00:05:00"},
    "reserve_batch": {"requests": []},
    "rebuild": {},
    "check_drift": {},
    "maintain": {},
    "set_setting": {"name": "notifications_keep", "value": "30 days"},
    "set_billing_cycle": {"subject": "a", "anchor": "2026-01-31T00:00:00Z"},
    "define_plan": {"plan": "pro"},
    "set_limit": {"metric": "tokens", "quota": 1000.5, "marks": [50, 99.5]},
    "top_up": {"subject": "a", "metric": "tokens", "quantity": 200, "idempotency_key": "invoice_17"},
    "grant_credit": {"subject": "a", "amount": 20.5, "currency": "EUR", "idempotency_key": "welcome"},
    "set_tax": {"subject": "a", "percent": 19, "name": "VAT"},
    "set_budget": {"amount": 100, "currency": "EUR", "marks": [50, 99.5], "action": "block"},
    "judge_budgets": {},
    "adjust": {"subject": "a", "metric": "tokens", "quantity": -1.5, "reason": "goodwill"},
    "open_correction": {"reason": "a fault"},
    "watermark": {"subject": "a"},
    "close_period": {"subject": "a", "period": "month"},
    "close_due": {"max_rows": 10},
    "close_home": {"subject": "a", "target": "s2", "wait": "1 s"},
    "reopen_home": {"subject": "a"},
    "expect_subject": {"subject": "unknown", "source": "s2"},
    "admit_subject": {"subject": "unknown"},
    "define_endpoint": {"name": "ops", "url": "https://example.com/hook", "types": ["*"]},
    "plan_deliveries": {},
    "claim_deliveries": {"worker": "w"},
    "settle_deliveries": {"worker": "w", "results": []},
    "release_deliveries": {"worker": "w"},
    "retry_deliveries": {},
    "set_spike_alert": {"metric": "tokens", "factor": 2.5},
    "judge_spikes": {},
    "judge_projections": {"max_subjects": 10},
    "define_biller": {"grace": "2 hours"},
    "report_metric": {"metric": "tokens", "event_name": "api_tokens"},
    "report_subject": {"subject": "a", "customer": "cus_1"},
    "plan_pushes": {},
    "claim_pushes": {"biller": "stripe", "worker": "w"},
    "settle_pushes": {"biller": "stripe", "worker": "w", "results": []},
    "release_pushes": {"biller": "stripe", "worker": "w"},
    "settle_hour": {
        "biller": "stripe",
        "customer": "cus_1",
        "event_name": "api_tokens",
        "hour": "2026-06-01T00:00:00Z",
        "total": 0,
    },
    "retry_pushes": {},
    "leave_pushes": {"reason": "too_old"},
    "adopt_journal": {"force": True},
    "fail_pushes": {"biller": "stripe", "event_id": "evt_1", "identifiers": [], "code": "no_meter"},
    "reconcile_range": {
        "biller": "stripe",
        "customer": "cus_1",
        "event_name": "api_tokens",
        "range_start": "2026-06-01T00:00:00Z",
        "step": "day",
        "total": 0,
    },
}


def test_every_function_that_can_be_granted_is_called_below(ledger: Ledger) -> None:
    installed = {
        row.function
        for row in ledger.rows(
            "SELECT function FROM meter._level_functions() JOIN pg_proc ON proname = function"
            " WHERE pronamespace = 'meter'::regnamespace AND level NOT IN ('own', 'owner', 'login')"
        )
    }
    assert installed <= {
        *(*READING, *WRITING),
        "resolve_push",  # which needs a push that is uncertain
        # Which need a plan, a limit, a budget or a top-up: test_a_plan_and_its_limits_begin_and_end.
        *("subscribe", "unsubscribe", "remove_limit", "remove_budget", "void_top_up"),
        "void_credit",  # which needs a credit: test_a_credit_is_granted_and_taken_back
        *("define_price", "retire_price", "set_plan_minimum"),  # which need a plan: test_a_plan_has_prices.
        # Which need an event or a correction: test_a_correction_is_opened_staged_and_decided.
        *("void_event", "amend_event", "stage_correction", "preview_correction", "correction_entries"),
        *("approve_correction", "reject_correction", "revert_correction"),
        # Which need a statement: test_a_period_is_closed_and_late_usage_decided.
        *("statement", "statement_document", "settle_late_usage", "what_changed"),
        # Which need a month that is over: tests/archive
        *("archive_rows", "archive_month", "stage_archive", "restore_archive"),
        "revoke_api_key",  # which needs a key: tests/keys
        "leave_home",  # which needs a subject that is closed: tests/scale
        "erase_subject",  # which needs a subject: test_a_subject_is_erased.
        *("settle", "release", "extend"),  # which need a reservation: test_a_reservation_is_settled.
        # Which need an endpoint or an alert: test_an_endpoint_and_an_alert_come_and_go.
        *("test_endpoint", "remove_endpoint", "remove_spike_alert"),
        # Which need a month that is over: tests/archive.
        *("archive_rows", "archive_month", "stage_archive", "restore_archive"),
        "known_events",  # whose array is no parameter of a GET; it has tests of its own
    }


@pytest.fixture(scope="module")
def read(module_dsn: str) -> Iterator[Rest]:
    """For tests that only read. The subject has usage, and there is a plan."""
    roles = Roles(module_dsn)
    rest = new_rest(Ledger(roles.admin), roles)
    rest.post("record", {"subject": "a", "metric": "tokens", "quantity": 3, "metadata": {"model": "m"}})
    rest.post("define_plan", {"plan": "pro"})
    yield rest
    roles.close()


@pytest.mark.parametrize("function", READING)
def test_functions_that_read_answer_in_a_read_only_transaction(
    read: Rest, module_dsn: str, connect: Connect, function: str
) -> None:
    """PostgREST serves GET requests so, and may send them to a standby."""
    ledger, rest = Ledger(connect("owner", dsn=module_dsn)), read
    assert ledger.row(SIGNATURE, [function]).reads
    arguments = READING[function]
    named = ", ".join(f"{name} => %s" for name in arguments)
    expected = ledger.value(
        f"SELECT coalesce(json_agg(t), '[]') FROM (SELECT * FROM meter.{function}({named})) t",
        [Jsonb(value) if isinstance(value, dict) else value for value in arguments.values()],
    )
    answer = rest.post(function, arguments)
    if function in (
        "resolve_window",
        "billing_cycle",
        "confirm_push",
        "invoice_json",
        "simulate",
        "shard_slot",
    ):
        assert answer == expected[0][function]
    else:
        found = answer if isinstance(answer, list) else [answer]
        assert [set(row) for row in found] == [set(row) for row in expected]
        assert function in MAY_BE_EMPTY or found


@pytest.mark.parametrize("function", WRITING)
def test_functions_that_write_answer_too(rest: Rest, ledger: Ledger, function: str) -> None:
    assert not ledger.row(SIGNATURE, [function]).reads
    answer = rest.post(function, WRITING[function])
    assert answer is not None


def test_a_plan_has_prices(rest: Rest) -> None:
    rest.post("define_plan", {"plan": "pro"})
    line = {"plan": "pro", "item": "base"}
    defined = rest.post("define_price", line | {"price": {"model": "flat", "flat_amount": "20"}})
    assert (defined["currency"], defined["price"]["flat_amount"]) == ("USD", "20")
    assert rest.post("set_plan_minimum", {"plan": "pro", "amount": "50"})["amount"] == 50
    assert rest.post("retire_price", line | {"at": "2026-07-01T00:00:00Z"})["price"] is None


def test_a_credit_is_granted_and_taken_back(rest: Rest) -> None:
    given = {"subject": "a", "amount": "20.50", "currency": "EUR", "idempotency_key": "k"}
    credit = rest.post("grant_credit", given | {"since": "2026-01-01T00:00:00Z"})
    assert (credit["remaining"], credit["source"]) == (Decimal("20.5"), "paid")
    assert rest.post("credits", {"subject": "a"}) == [credit]
    void = rest.post("void_credit", {"credit_id": credit["credit_id"], "reason": "a mistake"})
    assert (void["remaining"], void["void_reason"]) == (0, "a mistake")
    assert rest.post("credits", {"subject": "a"}) == []


def test_a_reservation_is_settled(rest: Rest) -> None:
    held = rest.post("reserve", {"subject": "a", "metric": "tokens", "quantity": 5})
    given = {"reservation_id": held["reservation_id"]}
    assert rest.post("extend", given | {"ttl": "5 minutes"})["outcome"] == "held"
    assert rest.post("settle", given | {"quantity": 3})["outcome"] == "recorded"
    assert rest.post("release", given)["outcome"] == "settled"


def test_a_correction_is_opened_staged_and_decided(rest: Rest) -> None:
    event = {"subject": "a", "metric": "tokens", "quantity": 5, "idempotency_key": "k"}
    recorded = rest.post("record", event)
    given = {"subject": "a", "metric": "tokens", "reason": "a fault"}
    amended = rest.post("amend_event", given | {"idempotency_key": "k", "quantity": 0.25})
    assert (amended["outcome"], amended["quantity"]) == ("applied", Decimal("0.25"))
    assert rest.post("void_event", given | {"event_id": recorded["event_id"]})["outcome"] == "duplicate"
    id = {"id": rest.post("open_correction", {"reason": "goodwill"})}
    entries = [{"entry": "adjust", "subject": "a", "metric": "tokens", "quantity": -0.5}]
    assert rest.post("stage_correction", id | {"entries": entries}) == 1
    (effect,) = rest.post("preview_correction", id)
    assert (effect["before"], effect["after"]) == (Decimal("0.25"), Decimal("-0.25"))
    assert rest.post("approve_correction", id) == [effect]
    (entry,) = rest.post("correction_entries", id)
    assert (entry["entry"], entry["outcome"]) == ("adjust", "applied")
    undone = rest.post("revert_correction", id | {"reason": "wrong account"})
    assert rest.post("corrections", {"max_rows": 1})[0]["correction_id"] == undone
    other = {"id": rest.post("open_correction", {"reason": "another"})}
    rest.post("reject_correction", other | {"reason": "no"})
    assert rest.post("corrections", {"state": "rejected"})[0]["decision"] == "no"


def test_a_period_is_closed_and_late_usage_decided(rest: Rest) -> None:
    event = {"subject": "a", "metric": "tokens", "quantity": 5.5, "at": "2026-06-18T14:30:00Z"}
    rest.post("record", event)
    june = {"subject": "a", "since": "2026-06-01T00:00:00Z", "until": "2026-07-01T00:00:00Z"}
    header = rest.post("close_period", june)
    given = {"statement_id": header["statement_id"]}
    (line,) = rest.post("statement", given)
    assert (line["metric"], line["quantity"], line["kind"]) == ("tokens", Decimal("5.5"), "usage")
    document = rest.post("statement_document", given)
    assert hashlib.sha256(document.encode()).hexdigest() == header["hash"]
    rest.post("record", event | {"quantity": 2})
    (late,) = rest.post("late_usage", given)
    assert (late["stated"], late["current"], late["delta"]) == (Decimal("5.5"), Decimal("7.5"), 2)
    assert [row["quantity"] for row in rest.post("what_changed", given)] == [2]
    as_of = {"metric": "tokens", **june, "as_of": header["watermark"]}
    assert rest.post("usage", as_of)["quantity"] == Decimal("5.5")
    decision = given | {"metric": "tokens", "delta": 2, "decision": "bill"}
    assert rest.post("settle_late_usage", decision)["outcome"] == "settled"
    assert rest.post("settle_late_usage", decision)["outcome"] == "duplicate"
    assert [row["hash"] for row in rest.post("statements", {"subject": "a"})] == [header["hash"]]
    assert rest.post("verify_statements", {}) == []


def test_a_subject_is_erased(rest: Rest) -> None:
    rest.post("record", {"subject": "a", "metric": "tokens", "quantity": 5, "metadata": {"ip": "::1"}})
    assert rest.post("erase_subject", {"subject": "a", "pseudonym": "erased_1"}) == 1
    assert rest.post("usage", {"subject": "erased_1", "metric": "tokens"})["quantity"] == 5


def test_a_plan_and_its_limits_begin_and_end(rest: Rest) -> None:
    rest.post("define_plan", {"plan": "pro"})
    limit = rest.post("set_limit", {"metric": "tokens", "quota": 10, "plan": "pro"})
    assert (limit["marks"], limit["quota"]) == ([80, 100], 10)
    assert rest.post("subscribe", {"subject": "a", "plan": "pro"})["until"] is None
    event = {"subject": "a", "metric": "tokens", "quantity": 11}
    assert rest.post("record", event)["outcome"] == "refused"
    assert not rest.post("check_quota", {"subject": "a", "metric": "tokens", "requested": 11})["allowed"]
    with pytest.raises(psycopg.Error) as caught:
        rest.post("record", {**event, "strict": True})
    assert caught.value.sqlstate == "UM003"
    given = {"subject": "a", "metric": "tokens", "quantity": 1, "idempotency_key": "k"}
    top_up = rest.post("top_up", given)
    assert rest.post("balance", {"subject": "a", "metric": "tokens"})["remaining"] == 11
    void = rest.post("void_top_up", {"top_up_id": top_up["top_up_id"], "reason": "refunded"})
    assert void["voided_at"] is not None
    assert rest.post("remove_limit", {"metric": "tokens", "plan": "pro"})["removed"]
    assert rest.post("set_budget", {"amount": 9, "currency": "EUR", "plan": "pro"})["amount"] == 9
    assert rest.post("remove_budget", {"currency": "EUR", "plan": "pro"})["removed"]
    assert rest.post("unsubscribe", {"subject": "a", "plan": "pro"})["until"] is not None
    assert rest.post("record", event)["outcome"] == "recorded"


def test_an_endpoint_and_an_alert_come_and_go(rest: Rest) -> None:
    rest.post("define_endpoint", {"name": "ops", "url": "mailto:a@b.c", "types": ["*"], "format": "email"})
    assert rest.post("test_endpoint", {"name": "ops"})["type"] == "endpoint.test"
    assert rest.post("remove_endpoint", {"name": "ops"})["format"] == "email"
    rest.post("set_spike_alert", {"metric": "tokens", "factor": 3, "within": "2 hours"})
    assert rest.post("remove_spike_alert", {"metric": "tokens", "within": "2 hours"})["factor"] == 3


@pytest.mark.parametrize(
    ("function", "body", "sqlstate"),
    [
        ("record", '{"subject": "a", "metric": "tokenz", "quantity": 1}', "UM001"),
        ("record", '{"subject": "a", "metric": "tokens", "quantity": -1}', "22023"),
        ("record", '{"subject": null, "metric": "tokens", "quantity": 1}', "22004"),
        ("record", '{"subject": "a", "metric": "tokens", "quantity": "x"}', "22P02"),
        ("remove_limit", '{"metric": "tokens"}', "UM007"),
        ("own_check_quota", '{"subject": "a", "metric": "tokens"}', "42501"),
        ("own_usage", '{"subject": "a", "metric": "tokens"}', "42501"),
        ("grant_access", '{"role": "x", "level": "read"}', "42501"),
    ],
)
def test_refusals_arrive_by_their_sqlstate(rest: Rest, function: str, body: str, sqlstate: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        rest.post(function, body)
    assert caught.value.sqlstate == sqlstate
