"""How long an invoice of twenty metrics takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import pytest

from tests.helpers import Ledger
from tests.pricing.billing import MONTH, SUBJECT, Billing, flat, total

METRICS = 20
ATTEMPTS = 30
SECONDS_MAX = 0.010
TIERS = [
    {"up_to": n * 1000 if n < 5 else None, "unit_amount": f"0.0{6 - n}", "flat_amount": "1"}
    for n in range(1, 6)
]


def busy_seconds(ledger: Ledger) -> Callable[[], float]:
    """The processor time of the server's process if it is on this machine, else the clock."""
    file = Path(f"/proc/{ledger.connection.info.backend_pid}/schedstat")
    if not file.exists() or "postgres" not in (file.parent / "cmdline").read_text():
        return perf_counter
    return lambda: int(file.read_text().split()[0]) / 1e9


@pytest.mark.slow
def test_an_invoice_of_twenty_metrics_takes_ten_milliseconds(ledger: Ledger) -> None:
    """The fastest attempt of the server's process counts: others use the machine, too."""
    billing = Billing(ledger, metrics={f"m{n:02}": "sum" for n in range(METRICS)})
    for n in range(METRICS):
        billing.price(f"m{n:02}", {"model": "graduated", "tiers": TIERS})
        for year in (2021, 2022, 2023):
            billing.price(
                f"m{n:02}", {"model": "graduated", "tiers": TIERS}, since=f"{year}-01-01", name=f"{year}"
            )
        billing.price(f"m{n:02}", {"model": "graduated", "tiers": TIERS}, subject="other")
        billing.use(4321, "2026-06-10", f"m{n:02}")
    billing.fee("base", flat("20"), bill="advance")
    ledger.execute("ANALYZE")
    busy = busy_seconds(ledger)
    times = []
    for _ in range(ATTEMPTS):
        start = busy()
        lines = billing.invoice()
        times.append(busy() - start)
    assert len(lines) == METRICS * 5 + 2 + 1
    assert total(lines).amount
    assert min(times) <= SECONDS_MAX, min(times)


@pytest.mark.slow
def test_an_invoice_does_not_read_the_log(ledger: Ledger) -> None:
    """The number of events in a cycle, of whole buckets, does not matter."""
    billing = Billing(ledger)
    billing.price("tokens", {"model": "graduated", "tiers": TIERS})
    for hour in range(300):
        billing.use(1, f"2026-06-{hour // 24 + 1:02} {hour % 24:02}:00")
    billing.use(1, "2026-08-01")
    billing.invoice()
    read = (
        "SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_xact_user_tables"
        " WHERE relname LIKE 'events_%%'"
    )
    with ledger.connection.transaction():
        assert total(billing.invoice(*MONTH, subject=SUBJECT)).amount > 0
        assert ledger.value(read) == 0
