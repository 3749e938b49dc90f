"""report_status() and pushes(): nothing is lost from sight."""

from __future__ import annotations

from decimal import Decimal

from tests.helpers import refused
from tests.report.conftest import DAY, Journal

STATES = (
    "planned", "sending", "delivered", "resolved", "uncertain", "rejected", "held", "left", "replaced",
    "unplanned", "unmapped",
)  # fmt: skip


def test_every_state_has_a_row_zeros_included(journal: Journal) -> None:
    status = journal.ledger.call("report_status")
    assert [tuple(row) for row in status] == [(state, 0, 0, None, "tokens") for state in STATES]
    unheard = journal.ledger.call("report_status", biller="unheard_of")
    assert [tuple(row) for row in unheard] == [(state, 0, 0, None, None) for state in STATES]
    assert status[0]._fields == ("state", "pushes", "quantity", "oldest", "metric")


def test_metrics_are_counted_apart(journal: Journal) -> None:
    """A million tokens and three calls are not a million and three of anything."""
    journal.metric("calls", "count")
    journal.record(1_000_000)
    journal.record(None, metric="calls")
    journal.plan()
    journal.record(2, metric="calls")
    status = journal.ledger.call("report_status")
    assert [(row.metric, row.state) for row in status] == [
        (m, s) for m in ("calls", "tokens") for s in STATES
    ]
    assert [(row.metric, row.state, row.quantity) for row in status if row.quantity] == [
        ("calls", "planned", 1),
        ("calls", "unplanned", 2),
        ("tokens", "planned", 1_000_000),
    ]


def test_what_a_biller_was_never_to_be_told_is_not_unmapped(journal: Journal) -> None:
    """Neither a metric that is not reported, nor one that another biller is told."""
    journal.ledger.define("quiet", "sum")
    journal.ledger.define("others", "sum")
    journal.map("others", "others", biller="second")
    journal.record(5, metric="quiet")
    journal.record(6, metric="others")
    assert {row.metric for row in journal.ledger.call("report_status")} == {"tokens"}
    assert journal.status()["unmapped"].pushes == 0
    assert journal.status("second")["unmapped"].quantity == 6


def test_all_of_it_but_what_was_replaced_adds_up_to_the_usage(journal: Journal) -> None:
    def used(quantity: int, hour: int, **named: str) -> None:
        journal.record(quantity, at=journal.at(hour), **named)
        journal.plan()

    used(1, 1)
    journal.settle(journal.claim())
    used(2, 2)
    journal.settle(journal.claim(), "rejected")
    used(4, 3)
    journal.settle(journal.claim(), "rejected")
    journal.retry(journal.pushes()[-1].identifier)
    journal.record(8, at=journal.now - 40 * DAY)
    used(16, 5, subject="nobody")
    used(32, 6)
    journal.claim()
    used(64, 7)
    journal.record(128, at=journal.at(7, 30))
    journal.metric("ended", "sum")
    journal.map("ended", None)
    journal.record(256, metric="ended", at=journal.at(4))
    status = journal.status()
    assert {state: row.quantity for state, row in status.items() if row.quantity} == {
        "delivered": 1,
        "rejected": 2,
        "replaced": 4,
        "sending": 36,  # the retried one, and 32
        "held": 8,
        "planned": 64,
        "unplanned": 128,
        "unmapped": 16 + 256,
    }
    assert sum(row.quantity for state, row in status.items() if state != "replaced") == 511
    assert status["held"].oldest == journal.now - 40 * DAY
    assert status["unmapped"].pushes == 2
    assert status["unplanned"].pushes == 1
    assert journal.at(7) <= status["unplanned"].oldest <= journal.at(7, 30)


def test_unplanned_is_what_planning_would_make_a_push_of(journal: Journal) -> None:
    journal.metric("calls", "count", mode="event")
    for _ in range(3):
        journal.record(1, at=journal.at(9))
        journal.record(None, metric="calls")
    status = journal.status()["unplanned"]
    assert (status.pushes, status.quantity) == (4, 6)
    assert len(journal.preview()) == 4


def test_unmapped_leaves_out_what_was_reported_while_there_was_a_customer(journal: Journal) -> None:
    journal.record(5)
    journal.plan()
    journal.customer(customer=None)
    assert journal.status()["unmapped"].quantity == 0
    journal.record(2)
    journal.plan()
    assert journal.status()["unmapped"].quantity == 2


def test_the_journal_is_read_page_by_page_newest_first(journal: Journal) -> None:
    journal.customer("acct_2", "cus_2")
    for hour in range(5):
        journal.record(1 + hour, at=journal.at(hour))
        journal.record(10, subject="acct_2", at=journal.at(hour))
    journal.plan()
    first = journal.ledger.call("pushes", subject="acct_1", max_rows=3)
    second = journal.ledger.call("pushes", subject="acct_1", max_rows=3, after_id=first[-1].push_id)
    assert [p.value for p in [*first, *second]] == [Decimal(v) for v in (5, 4, 3, 2, 1)]
    assert len(journal.pushes()) == 10
    assert journal.pushes(state="rejected") == []
    assert journal.pushes(biller="unheard_of") == []
    with refused("22023", "max_rows"):
        journal.ledger.call("pushes", max_rows=0)
