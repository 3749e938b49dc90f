"""Events, reservations and top-ups from eight sessions at once, against sums of what is stored."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.helpers import Ledger, Task

QUOTA = 50
SUBJECTS = "abcd"
# From the log, the reservations and the top-ups alone, in one snapshot.
_BALANCE = """
    SELECT subject, used, held, bought
    FROM unnest(string_to_array('abcd', NULL)) subject
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(e.quantity), 0) AS used
        FROM meter.events e JOIN meter.series s USING (series_id) WHERE s.subject = subject.subject
    ) e
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(r.held), 0) AS held FROM meter.reservations r
        WHERE r.subject = subject.subject AND r.state = 'held' AND r.expires_at > clock_timestamp()
    ) r
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(t.quantity), 0) AS bought FROM meter.top_ups t
        WHERE t.subject = subject.subject AND t.voided_at IS NULL
    ) t
"""


def test_p11_holds_at_every_commit_and_every_balance_is_right_afterwards(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    """One period, and top-ups that do not expire: then a balance is a difference of sums."""
    ledger.define("m", "sum", period="never", rollup="hour")
    ledger.call("set_limit", metric="m", quota=QUOTA)
    sessions = [new_ledger(f"session {n}") for n in range(8)]
    observer, done, looks = new_ledger("observer"), threading.Event(), []

    def observe() -> None:
        while not done.is_set():
            for row in observer.rows(_BALANCE):
                looks.append(row.used + row.held - QUOTA - row.bought)
                assert looks[-1] <= 0, row

    def work(number: int) -> None:
        draw, session, mine = random.Random(number), sessions[number], list[Any]()
        for turn in range(90):
            try:
                step(draw, session, mine, f"{number}-{turn}")
            except psycopg.Error as error:
                if error.sqlstate not in ("40001", "55P03"):
                    raise
        for hold in mine:
            if hold.reservation_id is not None:
                session.call(
                    "settle", reservation_id=hold.reservation_id, quantity=draw.randint(0, int(hold.held))
                )

    def step(draw: random.Random, session: Ledger, mine: list[Any], key: str) -> None:
        subject, quantity = draw.choice(SUBJECTS), draw.randint(1, 12)
        kinds = ["reserve", "record", "late", "batch", "settle", "release", "extend", "top_up", "upkeep"]
        what = draw.choices(kinds, [8, 5, 3, 2, 5, 2, 1, 3, 1])[0]
        if what == "reserve":
            mine += session.call("reserve", subject=subject, metric="m", quantity=quantity, minimum=1)
        elif what in ("record", "late"):
            at = datetime.now(UTC) - (timedelta(hours=30) if what == "late" else timedelta())
            session.record(subject, "m", quantity, at=at, idempotency_key=key)
        elif what == "batch":
            events = [
                {"subject": s, "metric": "m", "quantity": draw.randint(0, 4)}
                for s in draw.sample(SUBJECTS, 3)
            ]
            session.batch(events)
        elif what == "top_up":
            named = {"priority": draw.randint(1, 3), "source": draw.choice(["paid", "promotional"])}
            session.call(
                "top_up", subject=subject, metric="m", quantity=quantity, idempotency_key=key, **named
            )
        elif what == "upkeep":
            draw.choice([session.maintain, session.rebuild])()
        elif mine:
            hold = mine[draw.randrange(len(mine))]
            if hold.reservation_id is not None:
                more = {"quantity": draw.randint(0, int(hold.held))} if what == "settle" else {}
                session.call(what, reservation_id=hold.reservation_id, **more)
                if what != "extend":
                    mine.remove(hold)

    watching = Task(observe)
    for task in [Task(lambda n=n: work(n)) for n in range(8)]:  # type: ignore[misc]
        task.result()
    done.set()
    watching.result()
    assert max(looks) > -5, "nobody came near the quota"
    for row in ledger.rows(_BALANCE):
        (balance,) = ledger.call("balance", subject=row.subject, metric="m")
        left = QUOTA + row.bought - row.used
        assert (row.held, balance.used, balance.top_ups, balance.remaining) == (0, row.used, row.bought, left)
        assert ledger.record(row.subject, "m", left + 1).outcome == "refused"
        assert ledger.record(row.subject, "m", left).outcome == "recorded"
    assert ledger.rows("SELECT * FROM meter.overruns()") == []
    assert ledger.verify() == []


PAIRED: dict[str, Callable[[Any, Any, str], Any]] = {
    "reserve": lambda session, held, key: session.call("reserve", subject="a", metric="m", quantity=30),
    "settle": lambda session, held, key: session.call(
        "settle", reservation_id=held.reservation_id, quantity=15
    ),
    "release": lambda session, held, key: session.call("release", reservation_id=held.reservation_id),
    "extend": lambda session, held, key: session.call("extend", reservation_id=held.reservation_id),
    "record": lambda session, held, key: session.record("a", "m", 30),
    "top_up": lambda session, held, key: session.call(
        "top_up", subject="a", metric="m", quantity=25, idempotency_key=key
    ),
    "void_top_up": lambda session, held, key: session.call("void_top_up", top_up_id=1, reason="refunded"),
}


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("second", list(PAIRED))
@pytest.mark.parametrize("first", ["top_up", "void_top_up"])
def test_p11_a_change_of_top_ups_and_another_call_are_made_one_after_the_other(
    ledger: Ledger, new_ledger: Callable[..., Ledger], first: str, second: str, end: str
) -> None:
    """Both ways round: the first is open while the second begins."""
    for one, other in ((first, second), (second, first)):
        ledger.execute("TRUNCATE meter.top_ups, meter.reservations")
        ledger.execute("SELECT setval('meter.top_up_ids', 1, false)")
        metric = f"m{one}{other}".replace("_", "")
        ledger.define(metric, "sum", period="never")
        ledger.call("set_limit", metric=metric, quota=QUOTA)
        ledger.record("a", metric, 20)
        ledger.call("top_up", subject="a", metric=metric, quantity=20, idempotency_key="k")
        (held,) = ledger.call("reserve", subject="a", metric=metric, quantity=15)
        opened, waiting = new_ledger("opened", autocommit=False), new_ledger("waiting")

        def call(session: Ledger, what: str, key: str, metric: str = metric, held: Any = held) -> Any:
            return PAIRED[what](_Of(session, metric), held, key)

        call(opened, one, "k1")
        second_call = Task(lambda: call(waiting, other, "k2"))  # noqa: B023
        time.sleep(0.05)
        getattr(opened.connection, end)()
        assert second_call.error() is None
        (balance,) = ledger.call("balance", subject="a", metric=metric)
        bought = ledger.value("SELECT coalesce(sum(quantity), 0) FROM meter.top_ups WHERE voided_at IS NULL")
        room = QUOTA + bought - balance.used - balance.held
        assert (balance.remaining, balance.overrun) == (max(room, 0), max(-room, 0))
        (status,) = ledger.call("check_quota", subject="a", metric=metric)
        assert (status.remaining, status.overrun) == (balance.remaining, balance.overrun)
        assert ledger.record("a", metric, max(room, 0) + 1).outcome == "refused"
        assert ledger.record("a", metric, max(room, 0)).outcome == "recorded"
    assert ledger.verify() == []


class _Of:
    """A session whose metric ``m`` is another one."""

    def __init__(self, session: Ledger, metric: str) -> None:
        self.session, self.metric = session, metric

    def call(self, function: str, **named: Any) -> Any:
        return self.session.call(function, **(named | ({"metric": self.metric} if "metric" in named else {})))

    def record(self, subject: str, metric: str, quantity: int) -> Any:
        return self.session.record(subject, self.metric, quantity)
