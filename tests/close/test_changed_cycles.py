"""A billing cycle is not changed where a statement stands."""

from __future__ import annotations

import psycopg
import pytest

from tests.helpers import Ledger, at


@pytest.fixture
def closed(ledger: Ledger) -> Ledger:
    ledger.call("define_metric", key="tokens", aggregate="sum", unit="token")
    ledger.call("set_billing_cycle", subject="acct_1", anchor=at("2026-01-10"))
    ledger.call("close_period", subject="acct_1", since=at("2026-05-10"), until=at("2026-06-10"))
    return ledger


def rules(ledger: Ledger) -> list[tuple[str, str]]:
    return ledger.rows(
        "SELECT to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS since, every"
        " FROM meter.billing_cycles ORDER BY 1"
    )


@pytest.mark.parametrize("since", ["2026-02-01", "2026-06-09"])
def test_a_rule_that_begins_before_the_end_of_a_statement_is_refused(closed: Ledger, since: str) -> None:
    before = rules(closed)
    with pytest.raises(psycopg.Error) as refused:
        closed.call("set_billing_cycle", subject="acct_1", anchor=at(since), since=at(since))
    assert refused.value.sqlstate == "UM004"
    assert "since" in (refused.value.diag.message_hint or "")
    assert rules(closed) == before


def test_a_first_rule_needs_a_since_after_the_statements(ledger: Ledger) -> None:
    ledger.call("define_metric", key="tokens", aggregate="sum", unit="token")
    ledger.call("close_period", subject="acct_1", since=at("2026-05-01"), until=at("2026-06-01"))
    with pytest.raises(psycopg.Error) as refused:
        ledger.call("set_billing_cycle", subject="acct_1", anchor=at("2026-01-10"))
    assert refused.value.sqlstate == "UM004"
    ledger.call("set_billing_cycle", subject="acct_1", anchor=at("2026-01-10"), since=at("2026-06-01"))
    assert rules(ledger) == [("2026-06-10", "month")]


def test_a_rule_that_begins_with_the_end_of_the_last_statement_is_taken(closed: Ledger) -> None:
    closed.call(
        "set_billing_cycle", subject="acct_1", anchor=at("2026-06-10"), every="week", since=at("2026-06-10")
    )
    assert rules(closed) == [("2026-01-10", "month"), ("2026-06-10", "week")]


def test_a_scheduled_rule_can_be_withdrawn_though_the_running_one_began_before_statements(
    closed: Ledger,
) -> None:
    closed.call(
        "set_billing_cycle", subject="acct_1", anchor=at("2027-01-01"), every="year", since=at("2027-01-01")
    )
    assert len(rules(closed)) == 2
    closed.call("set_billing_cycle", subject="acct_1", anchor=at("2026-01-10"))
    assert rules(closed) == [("2026-01-10", "month")]


def test_a_change_and_a_closing_wait_for_each_other(closed: Ledger) -> None:
    with psycopg.connect(closed.connection.info.dsn) as other:
        other.execute("SELECT meter.set_billing_cycle('acct_1', '2026-06-20', since => '2026-06-15')")
        with pytest.raises(psycopg.Error) as refused:
            closed.call("close_period", subject="acct_1", since=at("2026-06-10"), until=at("2026-07-10"))
        assert refused.value.sqlstate == "55P03"
        other.commit()
    cycle = closed.value("SELECT meter.billing_cycle('acct_1', '2026-06-12')")
    assert (cycle.lower, cycle.upper) == (at("2026-06-10"), at("2026-06-20"))
