"""What the tests of statements with amounts share: closing, late usage, and sums of what was billed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from fractions import Fraction
from typing import Any

from tests.helpers import Ledger, at
from tests.pricing.billing import SUBJECT

JUNE, JULY, AUGUST, SEPTEMBER, OCTOBER = (at(f"2026-{month:02}-01") for month in range(6, 11))
MAY = at("2026-05-01")
AFTER = {MAY: JUNE, JUNE: JULY, JULY: AUGUST, AUGUST: SEPTEMBER, SEPTEMBER: OCTOBER}
COLUMNS = (
    "item", "metric", "kind", "since", "until", "quantity", "unit", "unit_amount", "exact_amount", "amount",
    "currency", "price_version", "explanation", "plan", "tier", "flat_amount", "event_count", "name",
    "late_of",
)  # fmt: skip
SETTINGS = ("ask", "bill", "waive")


def close(
    ledger: Ledger, since: datetime = JUNE, until: datetime | None = None, subject: str = SUBJECT
) -> Any:
    """The header of the new statement: a month, unless until is given."""
    return ledger.call("close_period", subject=subject, since=since, until=until or AFTER[since])[0]


def lines(ledger: Ledger, statement_id: int) -> list[Any]:
    return ledger.call("statement", statement_id=statement_id)


def columns(rows: Iterable[Any]) -> list[tuple[Any, ...]]:
    """The columns that a line of invoice() and one of statement() share, numbers with their scale."""
    return [tuple(_plain(getattr(row, name)) for name in COLUMNS) for row in rows]


def _plain(value: Any) -> Any:
    return value if isinstance(value, datetime) or value is None else str(value)


def preview(ledger: Ledger, since: datetime = JUNE, until: datetime | None = None, **more: Any) -> list[Any]:
    return ledger.call(
        "invoice", **{"subject": SUBJECT, "since": since, "until": until or AFTER[since], **more}
    )


def settle_all(ledger: Ledger, decision: str = "bill", subject: str = SUBJECT) -> int:
    """Decides all that is open; how many lines that was."""
    found = ledger.call("late_usage", subject=subject)
    for line in found:
        settled = ledger.call(
            "settle_late_usage", statement_id=line.statement_id, metric=line.metric, delta=line.delta,
            decision=decision,
        )[0]  # fmt: skip
        assert settled.outcome == "settled"
    return len(found)


def of_kind(ledger: Ledger, statement_id: int, *kinds: str) -> list[Any]:
    return [line for line in lines(ledger, statement_id) if line.kind in kinds]


def late_lines(ledger: Ledger, statement_id: int) -> list[tuple[Any, ...]]:
    """(quantity, unit_amount, amount) of the late lines of a statement."""
    return [(line.quantity, line.unit_amount, line.amount) for line in of_kind(ledger, statement_id, "late")]


def billed_of(ledger: Ledger, statement_id: int) -> Fraction:
    """All that was billed for the usage of a period: by its statement, and by late lines of later ones."""
    rows = ledger.rows(
        "SELECT exact_amount FROM meter.statement_lines WHERE currency IS NOT NULL AND (late_of = %s"
        " OR statement_id = %s AND kind NOT IN ('late', 'total') AND (metric IS NOT NULL OR item IS NULL))",
        [statement_id, statement_id],
    )
    return sum((Fraction(row.exact_amount) for row in rows), Fraction(0))


def assert_sums(rows: Iterable[Any]) -> None:
    """The lines of each currency add up to its total, exactly and rounded."""
    rows = list(rows)
    for total in (row for row in rows if row.kind == "total"):
        own = [row for row in rows if row.kind != "total" and row.currency == total.currency]
        if any(row.exact_amount is None for row in own):
            assert total.amount is None
        else:
            assert Fraction(total.exact_amount) == sum(Fraction(row.exact_amount) for row in own)
            assert total.amount == sum(row.amount for row in own)


def total_of(ledger: Ledger, statement_id: int) -> Any:
    """The only total of a statement."""
    (row,) = of_kind(ledger, statement_id, "total")
    return row.amount
