"""Random histories of limits, plans, cycles and events against a naive model.

PYMETER_LIMIT_HISTORIES=2000 is a long run.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, Task, as_jsonb, at_length, committed_or, examples
from tests.limits.naive import WEEKS_FROM, Naive

pytestmark = pytest.mark.at_length

HISTORIES = int(os.environ.get("PYMETER_LIMIT_HISTORIES", at_length(8, 200)))
SUBJECTS = ("a", "b")
PLANS = ("small", "large")
KINDS = {
    "tokens": ("sum", "month", "hour"),
    "calls": ("count", "day", "hour"),
    "ever": ("sum", "never", "day"),
    "burst": ("sum", "hour", "minute"),
    "peak": ("max", "month", "none"),
    "seats_last": ("last", "month", "hour"),
    "seats": ("unique", "month", "hour"),
}
PERIODS = (None, None, None, "day", "hour", "cycle", "3 hours", "30 hours")
_number = itertools.count()

metrics = st.sampled_from(sorted(KINDS))
subjects = st.sampled_from(SUBJECTS)
quantities = st.integers(0, 40).map(Decimal)
ago = st.sampled_from([0, 0, 0, 0, 30, 90, 60 * 5, 60 * 26, 60 * 24 * 9, 60 * 24 * 33])  # minutes
keys = st.sampled_from([None, None, "k1", "k2", "k3"])
events = st.fixed_dictionaries(
    {"subject": subjects, "metric": metrics, "quantity": quantities, "ago": ago, "idempotency_key": keys}
)
quotas = st.sampled_from([None, 0, 1, 5, 20, 50, 50, 80])
limits = st.fixed_dictionaries(
    {
        "metric": metrics,
        "quota": quotas,
        "whose": st.sampled_from(["everyone", "small", "large", *SUBJECTS]),
        "period": st.sampled_from(PERIODS),
        "name": st.sampled_from(["default", "default", "other"]),
        "action": st.sampled_from(["block", "block", "block", "alert", "none"]),
        "ago": st.sampled_from([None, None, None, 60 * 24 * 20, 60 * 24 * 50]),
    }
)
operations = st.one_of(
    st.tuples(st.just("record"), events, st.sampled_from([False] * 5 + [True])),
    st.tuples(st.just("record"), events, st.just(False)),
    st.tuples(
        st.just("batch"), st.lists(events, min_size=1, max_size=8), st.sampled_from([False, False, True])
    ),
    st.tuples(st.just("limit"), limits),
    st.tuples(st.just("remove"), st.integers(0, 20)),
    st.tuples(st.just("subscribe"), subjects, st.sampled_from(PLANS), st.sampled_from([0, 1, 60 * 24 * 40])),
    st.tuples(st.just("unsubscribe"), subjects, st.sampled_from(PLANS)),
    st.tuples(st.just("cycle"), subjects),
    st.tuples(st.just("upkeep"), st.sampled_from(["rebuild", "maintain"])),
)


class History:
    """One meter's metrics of one example, beside the model of them."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.tag = ledger, str(next(_number))
        self.model = Naive({key + self.tag: kind for key, kind in KINDS.items()})
        for key, (aggregate, period, rollup) in KINDS.items():
            ledger.define(key + self.tag, aggregate, period=period, rollup=rollup)
        for plan in PLANS:
            ledger.call("define_plan", plan=plan + self.tag)

    def now(self) -> datetime:
        """Windows must not change between the question and the answer."""
        now = datetime.now(UTC)
        if now.minute == 59 and now.second >= 50:
            time.sleep(11)
        now = self.ledger.value("SELECT clock_timestamp()")
        assert isinstance(now, datetime)
        return now

    def event(self, given: dict[str, Any], now: datetime) -> dict[str, Any]:
        aggregate = KINDS[given["metric"]][0]
        event = {
            "subject": given["subject"] + self.tag,
            "metric": given["metric"] + self.tag,
            "at": now - timedelta(minutes=given["ago"], milliseconds=1),
            "idempotency_key": given["idempotency_key"],
        }
        if aggregate == "unique":
            event["member"] = f"u{given['quantity'] % 12}"
        else:
            event["quantity"] = given["quantity"]
        return event

    def record(self, given: dict[str, Any], overflow: bool) -> None:
        now = self.now()
        event = self.event(given, now)
        expected = self.model.record(event, now, overflow)
        answer = self.ledger.record(**event, overflow=overflow)
        assert (answer.outcome, answer.quantity, answer.remaining, answer.limited_by) == (
            expected.outcome,
            expected.quantity,
            expected.remaining,
            expected.limited_by,
        )
        if expected.outcome == "recorded" and not overflow and event.get("quantity") != 0:
            self.assert_no_overshoot(event, now)

    def assert_no_overshoot(self, event: dict[str, Any], now: datetime) -> None:
        """P11, from the log: only what had gone beyond before may be beyond."""
        if self.model.metrics[event["metric"]][0] in ("sum", "count"):
            for check in self.model.checks(event["subject"], event["metric"], event["at"], now):
                used, _ = self.ledger.brute(
                    event["subject"], event["metric"], max(check.since, WEEKS_FROM), check.until
                )
                assert check.version.action != "block" or used <= check.version.quota

    def batch(self, given: list[dict[str, Any]], overflow: bool) -> None:
        now = self.now()
        sent = [self.event(event, now) for event in given]
        expected = [self.model.record(event, now, overflow).outcome for event in sent]
        events = [{k: v for k, v in event.items() if v is not None} for event in sent]
        answers = self.ledger.call("record_batch", events=as_jsonb(events), overflow=overflow)
        assert [answer.outcome for answer in answers] == expected

    def limit(self, given: dict[str, Any]) -> None:
        whose = given["whose"]
        named = {"metric": given["metric"] + self.tag, "quota": given["quota"], "name": given["name"]}
        named |= {"period": given["period"], "action": given["action"]}
        if whose != "everyone":
            named["plan" if whose in PLANS else "subject"] = whose + self.tag
        if given["ago"] is not None:
            named["since"] = self.now() - timedelta(minutes=given["ago"])
        version = self.ledger.call("set_limit", **named)[0]
        if all(v.limit_id != version.limit_id for v in self.model.versions):
            self.model.versions.append(version)

    def remove(self, number: int) -> None:
        if self.model.versions:
            v = self.model.versions[number % len(self.model.versions)]
            named = {
                "metric": v.metric,
                "subject": v.subject,
                "plan": v.plan,
                "period": v.period,
                "name": v.name,
            }
            with committed_or(self.ledger.connection, "UM007"):
                self.model.versions.append(self.ledger.call("remove_limit", **named)[0])

    def subscribe(self, subject: str, plan: str, minutes: int) -> None:
        since = self.now() - timedelta(minutes=minutes)
        with committed_or(self.ledger.connection, "22023"):
            s = self.ledger.call("subscribe", subject=subject + self.tag, plan=plan + self.tag, since=since)[
                0
            ]
            self.model.subscriptions.append((s.subject, s.plan, s.since, s.until))

    def unsubscribe(self, subject: str, plan: str) -> None:
        with committed_or(self.ledger.connection, "UM007"):
            self.ledger.call("unsubscribe", subject=subject + self.tag, plan=plan + self.tag)
        rows = self.ledger.rows("SELECT subject, plan, since, until FROM meter.subscriptions")
        self.model.subscriptions = [tuple(row) for row in rows]

    def cycle(self, subject: str) -> None:
        self.ledger.call("set_billing_cycle", subject=subject + self.tag, anchor=WEEKS_FROM, every="week")
        self.model.weekly.add(subject + self.tag)

    def upkeep(self, function: str) -> None:
        self.ledger.call(function)

    def compare(self) -> None:
        for subject, metric in itertools.product(SUBJECTS, KINDS):
            now = self.now()
            names = subject + self.tag, metric + self.tag
            told = self.ledger.call("effective_limits", subject=names[0], metric=names[1], at=now)
            effective = self.model.effective(*names, now, now)
            assert sorted((e.limit_id, e.counts) for e in told) == sorted(
                (v.limit_id, c) for v, c, _ in effective
            )
            quota = self.ledger.row("SELECT * FROM meter.check_quota(%s, %s)", names)
            checks = self.model.checks(*names, now, now)
            if not checks:
                assert (quota.allowed, quota.quota, quota.limited_by) == (True, None, None)
                continue
            binds = self.model.binding(checks)
            allowed = all(c.version.action != "block" or c.used < c.version.quota for c in checks)
            left = binds.version.quota - binds.used
            assert (
                quota.allowed,
                quota.used,
                quota.remaining,
                quota.quota,
                quota.overrun,
                quota.limited_by,
            ) == (
                allowed,
                binds.used,
                max(left, 0),
                binds.version.quota,
                max(-left, 0),
                binds.version.name,
            )


@pytest.mark.parametrize("seed", [0])
def test_p11_a_history_of_limits_and_events_is_answered_as_by_a_naive_model(
    ledger: Ledger, seed: int
) -> None:
    @examples(HISTORIES)
    @given(st.lists(limits, min_size=1, max_size=5), st.lists(operations, min_size=5, max_size=30))
    def check(first: list[dict[str, Any]], then: list[tuple[Any, ...]]) -> None:
        history = History(ledger)
        for given_limit in first:
            history.limit(given_limit)
        for name, *arguments in then:
            getattr(history, name)(*arguments)
        history.compare()

    check()
    assert ledger.verify() == []


def test_p11_eight_sessions_at_once_admit_no_more_than_fits(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    """Own period, day and trailing limits, of everyone, a plan and a subject, which only become stricter."""
    for key, (aggregate, period, rollup) in KINDS.items():
        ledger.define(key, aggregate, period=period, rollup=rollup)
        ledger.call("set_limit", metric=key, quota=60)
        ledger.call("set_limit", metric=key, quota=50, period="30 hours", name="trailing")
    sessions = [new_ledger(f"session {n}") for n in range(8)]
    ledger.call("define_plan", plan="small")

    def work(number: int) -> None:
        draw, session = random.Random(number), sessions[number]
        for turn in range(60):
            picked = [
                {"subject": draw.choice("abc"), "metric": metric}
                | (
                    {"member": f"u{draw.randrange(99)}"}
                    if metric == "seats"
                    else {"quantity": draw.randint(0, 9)}
                )
                for metric in draw.choices(sorted(KINDS), k=draw.choice([1, 1, 6]))
            ]
            if turn % 20 == 10 and number < 2:
                session.call("set_limit", metric=draw.choice(sorted(KINDS)), quota=55 + number, plan="small")
                session.call(
                    "set_limit", metric=draw.choice(sorted(KINDS)), quota=58, subject=draw.choice("abc")
                )
            elif len(picked) == 1:
                session.record(**picked[0])
            else:
                session.call("record_batch", events=Jsonb(picked))

    for task in [Task(lambda n=n: work(n)) for n in range(8)]:  # type: ignore[misc]
        task.result()
    for subject, metric in itertools.product("abc", KINDS):
        answer = ledger.usage(subject, metric, period="never")
        assert answer.quantity <= 50, (subject, metric)
        assert (answer.quantity, answer.event_count) == ledger.brute(subject, metric)
    assert ledger.verify() == []
