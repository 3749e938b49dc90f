"""Random histories of limits, top-ups, voids, rollovers and late events against a naive model.

PYMETER_TOP_UP_HISTORIES=2000 is a long run.
"""

from __future__ import annotations

import itertools
import os
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import Ledger, at_length, committed_or, examples
from tests.limits.naive import WEEKS_FROM, Naive
from tests.limits.top_up_model import TopUpModel

pytestmark = pytest.mark.at_length

HISTORIES = int(os.environ.get("PYMETER_TOP_UP_HISTORIES", at_length(5, 200)))
# The metric's period and rollup, and the periods of its limits, the one that top-ups raise first.
KINDS = {
    "month": ("month", "hour", ("month",)),
    "days": ("month", "hour", ("day",)),
    "cycles": ("month", "hour", ("cycle",)),
    "coarse": ("month", "day", ("month",)),
    "plain": ("month", "none", ("month",)),
    "hours": ("hour", "minute", ("hour",)),
    "ever": ("never", "day", ("never",)),
    "nested": ("day", "hour", ("month",)),
    "several": ("month", "hour", ("month", "cycle", "day")),
}
DAY = 60 * 24
_number = itertools.count()

minutes = st.sampled_from([0, 0, 0, 1, 30, 61, 200, DAY, DAY * 3 + 7, DAY * 9, DAY * 28, DAY * 33, DAY * 64])
quantities = st.integers(1, 40)
operations = st.one_of(
    st.tuples(st.just("record"), quantities, minutes, st.sampled_from([False, False, False, True])),
    st.tuples(st.just("record"), quantities, minutes, st.just(False)),
    st.tuples(st.just("record"), quantities, st.just(0), st.just(False)),
    st.tuples(st.just("record"), quantities, st.sampled_from([-1, -60 * 20]), st.just(False)),
    st.tuples(
        st.just("top_up"),
        quantities,
        st.sampled_from([1, 1, 50]),
        st.one_of(st.none(), minutes),
        st.sampled_from([None, None, 5, DAY + 11, DAY * 5, DAY * 30, DAY * 90]),
        st.sampled_from(["paid", "promotional"]),
    ),
    st.tuples(st.just("top_up"), quantities, st.just(50), st.none(), st.none(), st.just("paid")),
    st.tuples(st.just("void"), st.integers(0, 9)),
    st.tuples(st.just("hold"), quantities, minutes),
    st.tuples(
        st.just("limit"),
        st.sampled_from([None, 0, 0, 5, 20, 20, 60]),
        st.booleans(),
        st.sampled_from([None, 0, DAY * 2, DAY * 40, DAY * 100]),
        st.sampled_from([(None, None)] * 3 + [(None, 10), (5, None), (0, 30), (15, 15)]),
        st.integers(0, 2),
    ),
    st.tuples(st.just("remove"), st.integers(0, 9)),
    st.tuples(st.just("upkeep"), st.sampled_from(["rebuild", "maintain"])),
    st.tuples(st.just("ask"), minutes),
)


class History:
    """One metric and subject, beside the model of them."""

    def __init__(self, ledger: Ledger, kind: str) -> None:
        self.ledger, self.tag = ledger, str(next(_number))
        period, rollup, self.periods = KINDS[kind]
        self.metric, self.subject = "m" + self.tag, "s" + self.tag
        ledger.define(self.metric, "sum", period=period, rollup=rollup)
        limits = Naive({self.metric: ("sum", period, rollup)})
        if "cycle" in self.periods:
            ledger.call("set_billing_cycle", subject=self.subject, anchor=WEEKS_FROM, every="week")
            limits.weekly.add(self.subject)
        self.model = TopUpModel(limits, self.subject, self.metric, self.periods)
        self.moments: list[datetime] = []

    def now(self) -> datetime:
        """Windows must not change between the question and the answer."""
        now = datetime.now(UTC)
        if now.second >= 58:
            time.sleep(3)
        now = self.ledger.value("SELECT clock_timestamp()")
        assert isinstance(now, datetime)
        return now

    def limit(
        self, quota: int | None, own: bool, ago: int | None, rollover: tuple[Any, Any], which: int = 0
    ) -> None:
        period = self.periods[which % len(self.periods)]
        named: dict[str, Any] = {"metric": self.metric, "quota": quota, "period": period, "marks": []}
        if own:
            named["subject"] = self.subject
        if ago is not None:
            named["since"] = self.now() - timedelta(minutes=ago)
        if period != "never":
            named |= {"rollover_min": rollover[0], "rollover_max": rollover[1]}
        version = self.ledger.call("set_limit", **named)[0]
        if all(v.limit_id != version.limit_id for v in self.model.limits.versions):
            self.model.limits.versions.append(version)

    def remove(self, number: int) -> None:
        v = self.model.limits.versions[number % len(self.model.limits.versions)]
        with committed_or(self.ledger.connection, "UM007"):
            named = {"metric": v.metric, "subject": v.subject, "period": v.period}
            self.model.limits.versions.append(self.ledger.call("remove_limit", **named)[0])

    def record(self, quantity: int, ago: int, overflow: bool) -> None:
        now = self.now()
        overflow = overflow or len(self.periods) > 1  # limits of the other periods would refuse, too
        at = now - timedelta(minutes=ago)
        event = {"subject": self.subject, "metric": self.metric, "at": at, "quantity": Decimal(quantity)}
        version = self.model.version(at, now)
        room = None if version is None else self.model.room(at, now)
        uncovered = self.model.spend(now).uncovered
        answer = self.ledger.record(**event, overflow=overflow)
        admitted = overflow or room is None or quantity <= room
        assert answer.outcome == ("recorded" if admitted else "refused")
        if admitted:
            self.model.limits.events.append(event)
            assert overflow or self.model.spend(now).uncovered == uncovered
        if version is not None and len(self.periods) == 1:
            assert answer.remaining == self.model.room(at, now)
        self.moments += [at, at - timedelta(microseconds=1), at + timedelta(minutes=1)]

    def top_up(self, quantity: int, priority: int, ago: int | None, lasts: int | None, source: str) -> None:
        now = self.now()
        since = None if ago is None else now - timedelta(minutes=ago)
        named: dict[str, Any] = {"quantity": quantity, "priority": priority, "source": source, "since": since}
        if lasts is not None:
            named["expires_at"] = (since or now) + timedelta(minutes=lasts)
        key = f"k{len(self.model.top_ups)}"
        calls = [
            self.ledger.call("top_up", subject=self.subject, metric=self.metric, idempotency_key=key, **named)
            for _ in range(2)
        ]
        assert calls[0] == calls[1]
        stored = calls[0][0]
        version = self.model.version(now, now)
        if since is None and version is not None:
            start = self.model.window(version.period, now)[0]
            assert stored.since == (start if version.period != "never" else datetime(1970, 1, 1, tzinfo=UTC))
        self.model.top_ups.append(stored)
        self.moments += [m for m in (stored.since, stored.expires_at) if m is not None and m.year > 2000]

    def void(self, number: int) -> None:
        if self.model.top_ups:
            given = self.model.top_ups[number % len(self.model.top_ups)]
            self.ledger.call("void_top_up", top_up_id=given.top_up_id, reason="x")
            self.model.void.add(given.top_up_id)

    def hold(self, quantity: int, ago: int) -> None:
        """A reservation that was made before all that follows: whoever reserves decides about it."""
        at = self.now() - timedelta(minutes=ago)
        self.ledger.execute(
            "INSERT INTO meter.reservations (reservation_id, metric, subject, quantity, held, at, expires_at)"
            " VALUES (nextval('meter.event_ids'), %s, %s, %s, %s, %s, now() + interval '1 day')",
            [self.metric, self.subject, quantity, quantity, at],
        )
        self.ledger.execute("UPDATE meter.series SET revision = 0 WHERE subject = %s", [self.subject])
        self.model.holds.append((at, Decimal(quantity)))

    def upkeep(self, function: str) -> None:
        self.ledger.call(function)

    def ask(self, ago: int) -> None:
        self.compare(self.now() - timedelta(minutes=ago))

    def compare(self, at: datetime) -> None:
        now = self.now()
        expected = self.model.balance(at, now)
        found = self.ledger.call("balance", subject=self.subject, metric=self.metric, at=at)[0]._asdict()
        if expected is None:
            assert (found["quota"], found["remaining"], found["limited_by"]) == (None, None, None)
            return
        if self.periods == ("never",):
            expected["since"] = found["since"]
        assert found == expected, (at, now)
        told = self.ledger.call("top_ups", subject=self.subject, metric=self.metric, at=at)
        assert sum(t.remaining for t in told) == expected["top_ups_left"]
        assert sum(t.quantity for t in told) == expected["top_ups"]
        spent = self.model.spend(now, at)
        by_id = [(t.top_up_id, t.remaining) for t in told if t.source != "rollover"]
        assert by_id == [
            (t.top_up_id, spent.left[t.top_up_id])
            for t in self.model.order()
            if t.since <= at and (t.expires_at is None or at < t.expires_at)
        ]

    def compare_all(self) -> None:
        now = self.now()
        for at in {*self.moments, now, now - timedelta(days=31), now + timedelta(hours=2)}:
            self.compare(at)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_p11_a_history_of_top_ups_is_answered_as_by_a_naive_model(ledger: Ledger, kind: str) -> None:
    @examples(HISTORIES)
    @given(st.lists(operations, min_size=4, max_size=24))
    def check(then: list[tuple[Any, ...]]) -> None:
        history = History(ledger, kind)
        history.limit(20, False, DAY * 70, (None, None))
        for name, *arguments in then:
            getattr(history, name)(*arguments)
        history.compare_all()

    check()
    assert ledger.verify() == []
