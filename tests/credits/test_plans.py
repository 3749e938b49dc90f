"""Credits, draws and taxes are found by an index among thousands of others, whatever the statistics say."""

from __future__ import annotations

import pytest

from tests.credits.account import SUBJECT, Account
from tests.helpers import Ledger
from tests.performance.plans import explainer

OTHERS = 2_000
TABLES = ("credits", "credit_draws", "taxes", "statements", "statement_lines")
CALLS = {
    "credits": f"SELECT count(*) FROM meter.credits('{SUBJECT}', '2026-09-01Z')",
    "taxes": f"SELECT count(*) FROM meter.taxes('{SUBJECT}')",
    "invoice": f"SELECT count(*) FROM meter.invoice('{SUBJECT}', '2026-08-01Z', '2026-09-01Z')",
    "verify": f"SELECT count(*) FROM meter.verify_statements('{SUBJECT}')",
    "grant": f"SELECT meter.grant_credit('{SUBJECT}', 1, 'EUR', gen_random_uuid()::text)",
    "void": "SELECT meter.void_credit(1, 'a mistake')",
    "set": f"SELECT meter.set_tax('{SUBJECT}', (1000 * random())::integer)",
}


def among_others(ledger: Ledger) -> Account:
    """A subject with two statements, two credits and a tax, among others that have as many each."""
    account = Account(ledger)
    account.grant(20)
    account.grant(10)
    account.tax(19)
    account.use(25)
    account.close(6)
    account.late(-5)
    account.close(7)
    numbers = f"generate_series(1, {OTHERS}) n"
    ledger.execute(
        "INSERT INTO meter.credits (recorded_at, since, priority, subject, idempotency_key, currency, source,"
        " recorded_by, amount)"
        f" SELECT now(), now(), 50, 'other_' || n / 2, n::text, 'EUR', 'paid', 'x', 5 FROM {numbers}"
    )
    ledger.execute(
        "INSERT INTO meter.credit_draws (credit_id, statement_id, amount)"
        f" SELECT 1000 + n, 1000 + n, 1 FROM {numbers}"
    )
    ledger.execute(
        "INSERT INTO meter.taxes (recorded_at, since, inclusive, subject, name, recorded_by, percent)"
        f" SELECT now(), '-infinity', false, 'other_' || n, 'tax', 'x', 5 FROM {numbers}"
    )
    return account


@pytest.mark.parametrize("analyzed", [True, False])
def test_a_call_reads_what_the_subject_has(ledger: Ledger, analyzed: bool) -> None:
    among_others(ledger)
    if analyzed:
        ledger.execute("ANALYZE meter.credits, meter.credit_draws, meter.taxes")
    explain = explainer(ledger.connection)
    for name, call in CALLS.items():
        plans = explain(call)
        scans = plans.scans(*TABLES)
        assert scans, name
        for scan in scans:
            assert "Seq" not in scan.node, (name, scan)
            assert scan.condition, (name, scan)
        assert plans.rows("credits", "credit_draws", "taxes") < 300, name
