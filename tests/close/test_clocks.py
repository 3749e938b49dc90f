"""What a server recorded whose clock was ahead is on the statement that its successor writes."""

from __future__ import annotations

from tests.helpers import Ledger, at


def test_a_statement_holds_rows_that_were_recorded_ahead_of_the_clock(ledger: Ledger) -> None:
    ledger.call("define_metric", key="tokens", aggregate="sum", unit="token")
    # The clock of the old server, an hour ahead: what it recorded after a watermark is later still.
    ledger.execute("SELECT meter.watermark('acct_1')")
    ledger.execute(
        "UPDATE meter.series SET recorded_after = clock_timestamp() + interval '1 hour'"
        " WHERE subject = 'acct_1'"
    )
    ledger.call("record", subject="acct_1", metric="tokens", quantity=5, at=at("2026-06-10"))
    ledger.execute("UPDATE meter.series SET recorded_after = '-infinity' WHERE subject = 'acct_1'")
    header = ledger.call("close_period", subject="acct_1", since=at("2026-06-01"), until=at("2026-07-01"))[0]
    lines = ledger.call("statement", statement_id=header.statement_id)
    assert [line.quantity for line in lines] == [5]
    assert ledger.call("verify_statements") == []
    ledger.call("record", subject="acct_1", metric="tokens", quantity=2, at=at("2026-06-11"))
    assert [line.delta for line in ledger.call("late_usage")] == [2]
    assert [row.open for row in ledger.rows("SELECT open FROM meter.statement_balances")] == [2]
    assert ledger.call("verify_statements") == []
