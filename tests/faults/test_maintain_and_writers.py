"""maintain() beside writers: it never holds what they need while it waits for what they hold."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from tests.helpers import Ledger, Task, midnight

Connection = psycopg.Connection[Any]
# Not in the open hour: maintain() merges only stripes whose hour is over.
EARLIER = datetime.now(UTC) - timedelta(hours=2)


def test_maintain_locks_no_row_of_a_series_while_it_has_the_log(
    connect: Callable[..., Connection], wait_until_blocked: Callable[[Connection, str], None]
) -> None:
    """Who records holds the row of a series when it needs the log: the two would wait for each other."""
    ledger = Ledger(connect("ledger"))
    ledger.define("tokens", "sum")
    ledger.define("hot", "sum", striped=True)
    ledger.record("acct_1", "hot", 1, at=EARLIER)
    other = Ledger(connect("other"))
    other.record("acct_1", "hot", 1, at=EARLIER)
    ledger.record("acct_1", "tokens", 1, at=midnight() - timedelta(days=4000))  # a stray
    writer = Ledger(connect("writer", autocommit=False))
    writer.record("acct_2", "tokens", 1)

    upkeep = Task(Ledger(connect("upkeep")).maintain)
    wait_until_blocked(ledger.connection, "upkeep")
    writer.record("acct_1", "hot", 1, at=EARLIER)
    writer.connection.commit()

    assert {action for action, _ in upkeep.result()} >= {"again", "moved strays"}
    assert {action for action, _ in ledger.maintain()} == {"merged stripes"}
    assert ledger.usage("acct_1", "hot", period="never").quantity == 3
    assert ledger.verify() == []


def test_maintain_takes_no_stripe_that_it_has_not_locked_in_order(
    connect: Callable[..., Connection], wait_until_blocked: Callable[[Connection, str], None]
) -> None:
    """A stripe that appears while it waits for another one may be held by a batch that waits for maintain."""
    ledger, holder, writer = (Ledger(connect(name)) for name in ("ledger", "holder", "writer"))
    ledger.define("hot", "sum", striped=True)

    def hot(subject: str) -> dict[str, Any]:
        return {"subject": subject, "metric": "hot", "quantity": 1, "at": EARLIER}

    ledger.batch([hot("acct_1")])
    writer.batch([hot("acct_2")])
    holder.batch([hot("acct_3")])
    ledger.upkeep()
    writer.batch([hot("acct_2")])
    holder.batch([hot("acct_3")])
    holder.execute("BEGIN")
    holder.batch([hot("acct_3")])
    upkeep = Task(Ledger(connect("upkeep")).maintain)
    wait_until_blocked(ledger.connection, "upkeep")  # has locked the stripe of acct_2
    writer.batch([hot("acct_1")])
    batch = Task(lambda: writer.batch([hot("acct_1"), hot("acct_2")]))
    wait_until_blocked(ledger.connection, "writer")  # holds the stripe of acct_1, which has just appeared
    holder.execute("COMMIT")

    assert ("merged stripes", "2 rows") in upkeep.result()
    assert [row.outcome for row in batch.result()] == ["recorded", "recorded"]
    assert [ledger.usage(f"acct_{n}", "hot", period="never").quantity for n in (1, 2, 3)] == [3, 3, 3]
    assert ledger.verify() == []


def test_strays_whose_partition_has_lost_its_name_to_another_table_stay(ledger: Ledger) -> None:
    ledger.define("tokens", "sum")
    month = midnight() - timedelta(days=4000)
    ledger.execute(f"CREATE TABLE meter.events_{month:%Y_%m} (note text)")
    ledger.record("acct_1", "tokens", 1, at=month)
    ledger.record("acct_1", "tokens", 2, at=month - timedelta(days=100))

    actions = ledger.maintain()
    assert ("moved strays", "2 events") in actions
    assert ledger.value("SELECT count(*) FROM meter.events_default") == 1
    assert ledger.usage("acct_1", "tokens", period="never").quantity == 3
    assert ledger.verify() == []
