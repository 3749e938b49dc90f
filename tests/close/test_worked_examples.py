"""The worked examples of the design, in quantities, and what counts in a billing cycle that was cut."""

from __future__ import annotations

from decimal import Decimal

from psycopg.types.json import Jsonb

from tests.close.closing import (
    AUGUST,
    JULY,
    JUNE,
    assert_balanced,
    close,
    late,
    lines,
    settle,
    stated,
    use,
)
from tests.helpers import Ledger, at


def test_five_were_stated_and_there_are_eight_now_so_three_are_late(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    use(ledger, "a", "m", 5, at("2026-06-10"))
    header = close(ledger)
    use(ledger, "a", "m", 3, at("2026-06-20"))
    (line,) = ledger.call("late_usage", subject="a")
    assert (line.stated, line.current, line.delta) == (5, 8, 3)
    assert stated(ledger, header.statement_id) == {("usage", "m"): 5}
    assert_balanced(ledger)


def test_late_usage_that_is_billed_is_a_line_of_the_next_statement_beside_its_own_usage(
    ledger: Ledger,
) -> None:
    """Period 1: 5, later 7; period 2: 3. The second statement has both, each with its period."""
    ledger.define("m", "sum")
    use(ledger, "a", "m", 5, at("2026-06-10"))
    first = close(ledger)
    use(ledger, "a", "m", 2, at("2026-06-30 23:59:59"))
    use(ledger, "a", "m", 3, at("2026-07-01"))
    assert settle(ledger, first.statement_id, "m", 2, "bill").outcome == "settled"
    second = close(ledger, since=JULY)
    assert [
        (line.line, line.kind, line.quantity, line.since, line.until, line.late_of)
        for line in lines(ledger, second.statement_id)
    ] == [
        (1, "usage", 3, JULY, AUGUST, None),
        (2, "late", 2, JUNE, JULY, first.statement_id),
    ]
    assert late(ledger) == {}
    assert stated(ledger, close(ledger, since=AUGUST).statement_id) == {("usage", "m"): 0}
    assert_balanced(ledger)


def test_the_quantities_of_the_tiered_examples(ledger: Ledger) -> None:
    """15, now 16; 90 and 20 late; 15 and 5 late."""
    for subject, before, after in (("v16", 15, 1), ("v110", 90, 20), ("g20", 15, 5)):
        ledger.define("m", "sum")
        use(ledger, subject, "m", before, at("2026-06-10"))
        header = close(ledger, subject)
        use(ledger, subject, "m", after, at("2026-06-11"))
        (line,) = ledger.call("late_usage", subject=subject)
        assert (line.stated, line.current, line.delta) == (before, before + after, after)
        settle(ledger, header.statement_id, "m", after, "bill")
        second = close(ledger, subject, JULY)
        assert stated(ledger, second.statement_id) == {("usage", "m"): 0, ("late", "m"): after}
    assert_balanced(ledger)


def test_of_adjustments_only_those_that_are_approved_and_not_taken_back_are_late(ledger: Ledger) -> None:
    """2 pending, 3 approved, 4 approved and reverted: 3 count."""
    ledger.define("m", "sum")
    header = close(ledger)
    for quantity, approve, revert in ((2, False, False), (3, True, False), (4, True, True)):
        number = ledger.value("SELECT meter.open_correction('why')")
        entry = {
            "entry": "adjust",
            "subject": "a",
            "metric": "m",
            "quantity": quantity,
            "at": "2026-06-15T00:00:00Z",
        }
        ledger.rows("SELECT meter.stage_correction(%s, %s)", [number, Jsonb([entry])])
        if approve:
            ledger.rows("SELECT FROM meter.approve_correction(%s)", [number])
        if revert:
            assert late(ledger) == {(header.statement_id, "m"): Decimal(7)}
            ledger.rows("SELECT meter.revert_correction(%s, 'a mistake')", [number])
    assert late(ledger) == {(header.statement_id, "m"): Decimal(3)}
    assert_balanced(ledger)


def test_what_was_waived_is_taken_back_first_and_only_the_rest_is_a_credit(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    use(ledger, "a", "m", 10, at("2026-06-10"), idempotency_key="k")
    first = close(ledger)
    for quantity, decision in ((4, "bill"), (3, "waive")):
        ledger.call("adjust", subject="a", metric="m", quantity=quantity, at=at("2026-06-11"), reason="why")
        assert settle(ledger, first.statement_id, "m", quantity, decision).outcome == "settled"
    second = close(ledger, since=JULY)
    assert stated(ledger, second.statement_id)["late", "m"] == 4
    ledger.call("adjust", subject="a", metric="m", quantity=-2, at=at("2026-06-11"), reason="why")
    done = settle(ledger, first.statement_id, "m", -2, "bill")
    assert (done.outcome, done.billed, done.waived) == ("settled", 4, 1)
    ledger.call("adjust", subject="a", metric="m", quantity=-6, at=at("2026-06-11"), reason="why")
    done = settle(ledger, first.statement_id, "m", -6, "bill")
    assert (done.outcome, done.billed, done.waived) == ("settled", -1, 0)
    third = close(ledger, since=AUGUST)
    assert stated(ledger, third.statement_id) == {("usage", "m"): 0, ("late", "m"): -5}
    assert settle(ledger, first.statement_id, "m", -6, "bill").outcome == "duplicate"
    assert_balanced(ledger)
    assert ledger.call("verify_statements") == []
