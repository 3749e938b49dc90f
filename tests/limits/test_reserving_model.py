"""Random histories with reservations against a naive model, and many sessions at once: P11 at every commit.

PYMETER_LIMIT_HISTORIES=2000 is a long run.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, Task, as_jsonb, at_length, examples
from tests.limits.naive import Check, Naive

pytestmark = pytest.mark.at_length

HISTORIES = int(os.environ.get("PYMETER_LIMIT_HISTORIES", at_length(8, 200)))
KINDS = {
    "tokens": ("sum", "month", "hour"),
    "calls": ("count", "day", "hour"),
    "ever": ("sum", "never", "day"),
    "burst": ("sum", "hour", "minute"),
}
SUBJECTS = ("a", "b")
_number = itertools.count()


@dataclass
class Hold:
    """A reservation as the model has it."""

    reservation_id: int
    subject: str
    metric: str
    asked: tuple[Decimal, Decimal | None]
    held: Decimal
    at: datetime
    expires_at: datetime
    key: str | None
    state: str = "held"
    settled: Decimal | None = None
    settled_for: datetime | None = None

    def holds(self, now: datetime) -> bool:
        return self.state == "held" and self.expires_at > now


@dataclass
class HoldingNaive(Naive):
    """What is held counts as used, wherever something is decided."""

    holds: list[Hold] = field(default_factory=list)

    def checks(self, subject: str, metric: str, at: datetime, now: datetime) -> list[Check]:
        found = super().checks(subject, metric, at, now)
        for check in found:
            check.used += self.held(subject, metric, check, now)
        return found

    def held(self, subject: str, metric: str, check: Check, now: datetime) -> Decimal:
        return sum(
            (
                h.held
                for h in self.holds
                if (h.subject, h.metric) == (subject, metric)
                and h.holds(now)
                and h.at >= check.since
                and (check.until is None or h.at < check.until)
            ),
            Decimal(0),
        )

    def decide(
        self, subject: str, metric: str, quantity: Decimal, minimum: Decimal | None, now: datetime
    ) -> Decimal | None:
        """How much is held; None: it is refused."""
        blocking = [c for c in self.checks(subject, metric, now, now) if c.version.action == "block"]
        left = min((max(c.version.quota - c.used, Decimal(0)) for c in blocking), default=quantity)
        if quantity <= left or quantity == 0:
            return quantity
        return left if minimum is not None and left >= minimum else None

    def left(self, subject: str, metric: str, at: datetime, now: datetime) -> tuple[Any, Any]:
        checks = self.checks(subject, metric, at, now)
        if not checks:
            return None, None
        binds = self.binding(checks)
        return max(binds.version.quota - binds.used, Decimal(0)), binds.version.name


metrics = st.sampled_from(sorted(KINDS))
subjects = st.sampled_from(SUBJECTS)
quantities = st.integers(0, 40).map(Decimal)
keys = st.sampled_from([None, None, "k1", "k2", "k3"])
ago = st.sampled_from([0, 0, 0, 30, 60 * 5, 60 * 26, 60 * 24 * 33])  # minutes
holds = st.fixed_dictionaries(
    {
        "subject": subjects,
        "metric": metrics,
        "quantity": quantities,
        "minimum": st.sampled_from([None, None, Decimal(1), Decimal(5)]),
        "idempotency_key": keys,
    }
)
events = st.fixed_dictionaries(
    {"subject": subjects, "metric": metrics, "quantity": quantities, "ago": ago, "idempotency_key": keys}
)
limits = st.fixed_dictionaries(
    {
        "metric": metrics,
        "quota": st.sampled_from([0, 20, 50, 50, 80, 120]),
        "subject": st.sampled_from([None, None, *SUBJECTS]),
        "period": st.sampled_from([None, None, None, "day", "hour", "3 hours"]),
        "name": st.sampled_from(["default", "default", "other"]),
        "action": st.sampled_from(["block", "block", "block", "alert"]),
    }
)
which = st.integers(0, 40)
operations = st.one_of(
    st.tuples(st.just("reserve"), holds),
    st.tuples(st.just("reserve"), holds),
    st.tuples(st.just("reserve_batch"), st.lists(holds, min_size=1, max_size=4)),
    st.tuples(st.just("settle"), which, st.integers(-1, 60), ago),
    st.tuples(st.just("settle"), which, st.just(-1), st.just(0)),
    st.tuples(st.just("release"), which),
    st.tuples(st.just("extend"), which),
    st.tuples(st.just("expire"), which),
    st.tuples(st.just("age"), which, ago),
    st.tuples(st.just("record"), events, st.sampled_from([False] * 5 + [True])),
    st.tuples(st.just("batch"), st.lists(events, min_size=1, max_size=5), st.sampled_from([False, True])),
    st.tuples(st.just("limit"), limits),
    st.tuples(st.just("upkeep"), st.sampled_from(["rebuild", "maintain"])),
)


class History:
    """One meter's metrics of one example, beside the model of them; each call is made by another session."""

    def __init__(self, sessions: list[Ledger]) -> None:
        self.sessions, self.tag = itertools.cycle(sessions), str(next(_number))
        self.model = HoldingNaive({key + self.tag: kind for key, kind in KINDS.items()})
        for key, (aggregate, period, rollup) in KINDS.items():
            self.ledger.define(key + self.tag, aggregate, period=period, rollup=rollup)

    @property
    def ledger(self) -> Ledger:
        return next(self.sessions)

    def now(self) -> datetime:
        """Windows must not change between the question and the answer."""
        now = datetime.now(UTC)
        if now.minute == 59 and now.second >= 50:
            time.sleep(11)
        now = self.ledger.value("SELECT clock_timestamp()")
        assert isinstance(now, datetime)
        return now

    def named(self, given: dict[str, Any]) -> dict[str, Any]:
        return given | {"subject": given["subject"] + self.tag, "metric": given["metric"] + self.tag}

    def reserve(self, given: dict[str, Any]) -> None:
        asked = self.named(given)
        if asked["minimum"] is not None and asked["minimum"] > asked["quantity"]:
            asked["minimum"] = None
        now = self.now()
        expected = self._decided(asked, now)
        self.compare_hold(self.ledger.call("reserve", **asked)[0], asked, expected, now)

    def _decided(self, asked: dict[str, Any], now: datetime) -> tuple[str, Any]:
        name = asked["subject"], asked["metric"], asked["idempotency_key"]
        if asked["idempotency_key"] is not None and name in self.model.keys:
            payload, _ = self.model.keys[name]
            same = isinstance(payload, Hold) and payload.asked == (asked["quantity"], asked["minimum"])
            return ("duplicate" if same else "conflict"), payload
        held = self.model.decide(*name[:2], asked["quantity"], asked["minimum"], now)
        return ("refused", None) if held is None else ("held", held)

    def compare_hold(
        self, answer: Any, asked: dict[str, Any], expected: tuple[str, Any], now: datetime
    ) -> None:
        outcome, what = expected
        assert answer.outcome == outcome
        subject, metric, key = asked["subject"], asked["metric"], asked["idempotency_key"]
        if outcome == "held":
            assert answer.held == what
            row = self.ledger.row(
                "SELECT * FROM meter.reservations WHERE reservation_id = %s", [answer.reservation_id]
            )
            hold = Hold(
                row.reservation_id,
                subject,
                metric,
                (asked["quantity"], asked["minimum"]),
                row.held,
                row.at,
                row.expires_at,
                key,
            )
            self.model.holds.append(hold)
            if key is not None:
                self.model.keys[subject, metric, key] = (hold, row.at)
            for check in self.model.checks(subject, metric, row.at, now):
                beyond = check.version.action == "block" and check.used > check.version.quota
                assert not beyond or what == 0, "P11"
        elif isinstance(what, Hold):
            assert answer.reservation_id == what.reservation_id
            assert answer.held == (what.held if what.holds(now) else 0)
        if outcome != "refused":
            at = what.at if isinstance(what, Hold) else now
            assert (answer.remaining, answer.limited_by) == self.model.left(subject, metric, at, now)

    def reserve_batch(self, given: list[dict[str, Any]]) -> None:
        asked = [self.named(g) for g in given]
        for one in asked:
            if one["minimum"] is not None and one["minimum"] > one["quantity"]:
                one["minimum"] = None
        now = self.now()
        before, keys_before = list(self.model.holds), dict(self.model.keys)
        requests = [
            {k: str(v) if isinstance(v, Decimal) else v for k, v in one.items() if v is not None}
            for one in asked
        ]
        answers = self.ledger.call("reserve_batch", requests=Jsonb(requests))
        expected: list[tuple[str, Any]] = []
        for one in asked:
            outcome, what = self._decided(one, now)
            expected.append((outcome, what))
            if outcome in ("refused", "conflict"):
                break
            if outcome == "held":
                hold = Hold(
                    0,
                    one["subject"],
                    one["metric"],
                    (one["quantity"], one["minimum"]),
                    what,
                    now,
                    now + timedelta(minutes=10),
                    one["idempotency_key"],
                )
                self.model.holds.append(hold)
                if one["idempotency_key"] is not None:
                    self.model.keys[one["subject"], one["metric"], one["idempotency_key"]] = (hold, now)
        made = [h for h in self.model.holds if h not in before]
        self.model.holds, self.model.keys = before, keys_before
        if expected[-1][0] in ("refused", "conflict"):
            outcomes = [
                o if o in ("refused", "conflict") or (o == "duplicate" and w not in made) else "skipped"
                for o, w in expected
            ] + ["skipped"] * (len(asked) - len(expected))
            assert [a.outcome for a in answers] == outcomes
            return
        assert [a.outcome for a in answers] == [o for o, _ in expected]
        fresh = [(a, one) for a, one in zip(answers, asked, strict=True) if a.outcome == "held"]
        for (answer, one), hold in zip(fresh, made, strict=True):
            assert answer.held == hold.held
            row = self.ledger.row(
                "SELECT * FROM meter.reservations WHERE reservation_id = %s", [answer.reservation_id]
            )
            hold.reservation_id, hold.at, hold.expires_at = row.reservation_id, row.at, row.expires_at
            self.model.holds.append(hold)
            if one["idempotency_key"] is not None:
                self.model.keys[one["subject"], one["metric"], one["idempotency_key"]] = (hold, row.at)

    def _pick(self, number: int) -> Hold | None:
        return self.model.holds[number % len(self.model.holds)] if self.model.holds else None

    def settle(self, number: int, quantity: int, minutes: int) -> None:
        hold = self._pick(number)
        if hold is None:
            return
        now = self.now()
        amount = hold.held if quantity < 0 else Decimal(quantity)
        at = None if minutes == 0 else now - timedelta(minutes=minutes)
        answer = self.ledger.call("settle", reservation_id=hold.reservation_id, quantity=amount, at=at)[0]
        if hold.state == "settled":
            assert answer.outcome == ("duplicate" if hold.settled == amount else "conflict")
        else:
            assert answer.outcome == "recorded"
            hold.state, hold.settled, hold.settled_for = "settled", amount, at or hold.at
            self.model.events.append(
                {"subject": hold.subject, "metric": hold.metric, "quantity": amount, "at": hold.settled_for}
            )
        assert hold.settled_for is not None
        assert answer.event_id == hold.reservation_id
        kind = self.model.metrics[hold.metric][1]
        window = self.model.window(kind, hold.subject, hold.metric, hold.settled_for, now)
        assert answer.quantity == self.model.usage(hold.subject, hold.metric, *window)
        expected = self.model.left(hold.subject, hold.metric, hold.settled_for, now)
        assert (answer.remaining, answer.limited_by) == expected

    def release(self, number: int) -> None:
        self._end(number, "release")

    def extend(self, number: int) -> None:
        self._end(number, "extend")

    def _end(self, number: int, function: str) -> None:
        hold = self._pick(number)
        if hold is None:
            return
        now = self.now()
        answer = self.ledger.call(function, reservation_id=hold.reservation_id)[0]
        if hold.holds(now):
            assert answer.outcome == ("released" if function == "release" else "held")
            if function == "release":
                hold.state = "released"
            else:
                assert answer.expires_at > hold.expires_at
                hold.expires_at = answer.expires_at
        else:
            assert answer.outcome == ("expired" if hold.state == "held" else hold.state)
        assert answer.held == (hold.held if hold.holds(now) else 0)
        expected = self.model.left(hold.subject, hold.metric, hold.at, now)
        assert (answer.remaining, answer.limited_by) == expected

    def expire(self, number: int) -> None:
        hold = self._pick(number)
        if hold is None or hold.state != "held":
            return
        hold.expires_at = self.now()
        self.ledger.execute(
            "UPDATE meter.reservations SET expires_at = %s WHERE reservation_id = %s",
            [hold.expires_at, hold.reservation_id],
        )
        self._forget()

    def age(self, number: int, minutes: int) -> None:
        """As if it had been made earlier."""
        hold = self._pick(number)
        if hold is None or hold.state != "held":
            return
        hold.at -= timedelta(minutes=minutes)
        self.ledger.execute(
            "UPDATE meter.reservations SET at = %s WHERE reservation_id = %s", [hold.at, hold.reservation_id]
        )
        if hold.key is not None:
            self.ledger.execute(
                "UPDATE meter.keys SET at = %s WHERE event_id = %s", [hold.at, hold.reservation_id]
            )
            self.model.keys[hold.subject, hold.metric, hold.key] = (hold, hold.at)
        self._forget()

    def _forget(self) -> None:
        self.ledger.execute(
            "UPDATE meter.series SET unchecked_below = '-infinity' WHERE unchecked_below < 'infinity'"
        )

    def _event(self, given: dict[str, Any], now: datetime) -> dict[str, Any]:
        event = self.named(given)
        event["at"] = now - timedelta(minutes=event.pop("ago"), milliseconds=1)
        return event

    def record(self, given: dict[str, Any], overflow: bool) -> None:
        now = self.now()
        event = self._event(given, now)
        expected = self.model.record(event, now, overflow)
        answer = self.ledger.record(**event, overflow=overflow)
        assert (answer.outcome, answer.quantity, answer.remaining, answer.limited_by) == (
            expected.outcome,
            expected.quantity,
            expected.remaining,
            expected.limited_by,
        )
        if answer.outcome == "recorded" and not overflow and event["quantity"] != 0:
            for check in self.model.checks(event["subject"], event["metric"], event["at"], now):
                assert check.version.action != "block" or check.used <= check.version.quota, "P11"

    def batch(self, given: list[dict[str, Any]], overflow: bool) -> None:
        now = self.now()
        sent = [self._event(event, now) for event in given]
        expected = [self.model.record(event, now, overflow).outcome for event in sent]
        sent = [{k: v for k, v in event.items() if v is not None} for event in sent]
        answers = self.ledger.call("record_batch", events=as_jsonb(sent), overflow=overflow)
        assert [answer.outcome for answer in answers] == expected

    def limit(self, given: dict[str, Any]) -> None:
        named = given | {"metric": given["metric"] + self.tag}
        if given["subject"] is not None:
            named["subject"] = given["subject"] + self.tag
        version = self.ledger.call("set_limit", **named)[0]
        if all(v.limit_id != version.limit_id for v in self.model.versions):
            self.model.versions.append(version)

    def upkeep(self, function: str) -> None:
        self.ledger.call(function)
        if function == "maintain":
            self.ledger.call(function)
            now = self.now()
            for hold in self.model.holds:
                if hold.state == "held" and not hold.holds(now):
                    hold.state = "expired"

    def compare(self) -> None:
        for subject, metric in itertools.product(SUBJECTS, KINDS):
            now = self.now()
            names = subject + self.tag, metric + self.tag
            quota = self.ledger.row("SELECT * FROM meter.check_quota(%s, %s)", names)
            checks = self.model.checks(*names, now, now)
            if not checks:
                assert (quota.allowed, quota.quota, quota.limited_by) == (True, None, None)
                continue
            binds = self.model.binding(checks)
            held = self.model.held(*names, binds, now)
            beyond = binds.used - binds.version.quota
            assert (quota.used, quota.held, quota.remaining, quota.overrun, quota.limited_by) == (
                binds.used - held,
                held,
                max(-beyond, 0),
                max(beyond, 0),
                binds.version.name,
            )


def test_p11_a_history_with_reservations_is_answered_as_by_a_naive_model(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    sessions = [ledger, *(new_ledger(f"session {n}") for n in range(2))]

    @examples(HISTORIES)
    @given(st.lists(limits, min_size=1, max_size=5), st.lists(operations, min_size=5, max_size=40))
    def check(first: list[dict[str, Any]], then: list[tuple[Any, ...]]) -> None:
        history = History(sessions)
        for given_limit in first:
            history.limit(given_limit)
        for name, *arguments in then:
            getattr(history, name)(*arguments)
        history.compare()

    check()
    assert ledger.verify() == []


_USED_AND_HELD = """
    SELECT subject, sum(amount) AS amount FROM (
        SELECT e.subject, e.quantity - CASE WHEN r.is_late THEN e.quantity
                                ELSE greatest(e.quantity - coalesce(r.held, e.quantity), 0) END AS amount
        FROM meter.logged_events e LEFT JOIN meter.reservations r ON r.reservation_id = e.event_id
        WHERE e.metric = 'm'
        UNION ALL
        SELECT subject, held FROM meter.reservations
        WHERE metric = 'm' AND state = 'held' AND expires_at > clock_timestamp()
    ) a GROUP BY subject
"""


def test_p11_holds_at_every_commit_while_eight_sessions_reserve_and_record(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    """An observer looks at what is used and held, in one snapshot each time: late settlements left out."""
    ledger.define("m", "sum")
    ledger.define("n", "sum", period="day")
    for metric in "mn":
        ledger.call("set_limit", metric=metric, quota=100, marks=[])
        ledger.call("set_limit", metric=metric, quota=90, period="30 hours", name="trailing", marks=[])
    sessions = [new_ledger(f"session {n}") for n in range(8)]
    observer, done, looks = new_ledger("observer"), threading.Event(), []

    def observe() -> None:
        while not done.is_set():
            for row in observer.rows(_USED_AND_HELD):
                looks.append(row.amount)
                assert row.amount <= 90, row

    def work(number: int) -> None:
        draw, session, mine = random.Random(number), sessions[number], list[Any]()
        for turn in range(120):
            subject = draw.choice("abcd")
            what = draw.choices(
                ["reserve", "batch", "settle", "release", "extend", "record", "other"], [6, 2, 6, 3, 2, 4, 1]
            )[0]
            if number < 3 and turn % 9 == 0:
                session.execute(
                    f"SET default_transaction_isolation = '{draw.choice(['serializable', 'read committed'])}'"
                )
            try:
                if what == "reserve":
                    ttl = draw.choice(["5 milliseconds", "30 milliseconds", None])
                    mine.append(
                        session.call(
                            "reserve",
                            subject=subject,
                            metric="m",
                            quantity=draw.randint(1, 20),
                            minimum=draw.choice([None, 1]),
                            ttl=ttl,
                        )[0]
                    )
                elif what == "batch":
                    requests = [
                        {
                            "subject": draw.choice("abcd"),
                            "metric": draw.choice("mmn"),
                            "quantity": draw.randint(1, 9),
                        }
                        for _ in range(3)
                    ]
                    mine += session.call("reserve_batch", requests=Jsonb(requests))
                elif what == "record":
                    session.record(subject, "m", draw.randint(0, 3))
                elif what == "other":
                    draw.choice([session.maintain, session.rebuild])()
                elif mine:
                    hold = mine[draw.randrange(len(mine))]
                    if hold.reservation_id is not None:
                        more = {"quantity": draw.randint(0, int(hold.held) // 4)} if what == "settle" else {}
                        session.call(what, reservation_id=hold.reservation_id, **more)
            except psycopg.Error as error:
                if error.sqlstate not in ("40001", "25001", "55P03"):  # maintain() needs READ COMMITTED
                    raise

    watching = Task(observe)
    for task in [Task(lambda n=n: work(n)) for n in range(8)]:  # type: ignore[misc]
        task.result()
    done.set()
    watching.result()
    assert max(looks) > 80, "nobody came near the quota"
    outcomes = {r.state for r in ledger.call("reservations", max_rows=10_000)}
    assert outcomes >= {"settled", "released", "expired"}
    for subject, metric in itertools.product("abcd", "mn"):
        answer = ledger.usage(subject, metric, period="never")
        assert (answer.quantity, answer.event_count) == ledger.brute(subject, metric)
    settled = ledger.row(
        "SELECT count(*) AS n, count(DISTINCT e.event_id) AS distinct_n FROM meter.reservations r"
        " JOIN meter.events e ON e.event_id = r.reservation_id"
    )
    assert settled[0] == settled[1]
    assert settled[0] == ledger.value("SELECT count(*) FROM meter.reservations WHERE state = 'settled'")
    assert ledger.verify() == []
