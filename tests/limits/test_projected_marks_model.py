"""Projected marks of any limits fire when project_usage() says so, and once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import Ledger, at, examples
from tests.limits.naive import WEEKS_FROM, Naive

DAY = timedelta(days=1)
START, END = at("2026-05-01"), at("2026-07-01")
KINDS = {"sum": "sum", "count": "count", "max": "max", "last": "last", "unique": "unique"}
# What project_usage() is asked about: subjects whose cycle is the month, and the week of the model.
CYCLES = ("month", "week")
Key = tuple[int, str, str, Decimal]


@dataclass
class World:
    """A metric that has limits, and a copy without, which has each subject's events in either cycle."""

    ledger: Ledger
    chance: Random
    tag: str
    aggregate: str
    naive: Naive = field(init=False)
    fired: Counter[Key] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.subjects = [f"{name}{self.tag}" for name in ("a", "b")]
        self.plans = [f"{plan}{self.tag}" for plan in ("small", "large")]
        self.naive = Naive({self.metric: (self.aggregate, "month", "hour")}, weekly={self.subjects[1]})
        rollup = self.chance.choice(("hour", "minute", "day"))
        for key in (self.metric, self.copy):
            self.ledger.define(key, self.aggregate, rollup=rollup)
        for plan in self.plans:
            self.ledger.call("define_plan", plan=plan)
        weekly = [self.subjects[1], *(f"{subject} week" for subject in self.subjects)]
        for subject in weekly:
            self.ledger.call("set_billing_cycle", subject=subject, anchor=WEEKS_FROM, every="week")

    @property
    def metric(self) -> str:
        return f"{self.aggregate}{self.tag}"

    @property
    def copy(self) -> str:
        return f"copy of {self.metric}"

    def some_time(self) -> datetime:
        return START + timedelta(minutes=self.chance.randrange(int((END - START) / timedelta(minutes=1))))

    def use(self) -> None:
        """Some days of usage at some level; what no limit refuses is in the copies as well."""
        for subject in self.subjects:
            since, level = self.some_time() - 15 * DAY, self.chance.choice((1, 5, 40))
            density = self.chance.choice((0.03, 0.1))
            events: list[dict[str, Any]] = []
            for hour in range(24 * self.chance.choice((3, 20, 45))):
                if self.chance.random() < density:
                    event: dict[str, Any] = {"at": since + timedelta(hours=hour)}
                    if self.aggregate == "unique":
                        event["member"] = f"m{self.chance.randrange(10 * level)}"
                    elif self.aggregate != "count":
                        event["quantity"] = self.chance.randint(0, level)
                    events.append(event)
            given = [{"subject": subject, "metric": self.metric, **event} for event in events]
            outcomes = self.ledger.batch(given) if given else []
            for cycle in CYCLES:
                kept = [
                    {"subject": f"{subject} {cycle}", "metric": self.copy, **event}
                    for event, row in zip(events, outcomes, strict=True)
                    if row.outcome == "recorded"
                ]
                if kept:
                    self.ledger.batch(kept)

    def credit(self) -> None:
        """Usage that is taken back: marks that have fired are armed again, projected ones are not."""
        if self.aggregate != "sum":
            return
        subject, when, quantity = (
            self.chance.choice(self.subjects),
            self.some_time(),
            self.chance.choice((5, 500)),
        )
        names = [(subject, self.metric), *((f"{subject} {cycle}", self.copy) for cycle in CYCLES)]
        for name, metric in names:
            self.ledger.call(
                "adjust", subject=name, metric=metric, quantity=-quantity, reason="goodwill", at=when
            )

    def set_limit(self) -> None:
        whose = self.chance.choice(
            [{}, {"plan": self.chance.choice(self.plans)}, {"subject": self.chance.choice(self.subjects)}]
        )
        named = {
            "metric": self.metric,
            "quota": self.chance.choice((None, 10, 50, 200, 1000)),
            "period": self.chance.choice(("month", "cycle")),
            "action": self.chance.choice(("block", "alert", "alert", "alert", "none")),
            "marks": self.chance.sample([20, 50, 80, 100, 150], self.chance.randint(1, 4)),
            "name": self.chance.choice(("default", "other")),
            "since": self.some_time() - 60 * DAY,
            "projected": self.chance.random() < 0.7,
            **whose,
        }
        version = self.ledger.call("set_limit", **named)[0]
        if version.limit_id not in {known.limit_id for known in self.naive.versions}:
            self.naive.versions.append(version)

    def subscribe(self) -> None:
        subject, plan, since = (
            self.chance.choice(self.subjects),
            self.chance.choice(self.plans),
            self.some_time(),
        )
        until = since + timedelta(days=self.chance.randint(1, 40))
        taken = [(s, u) for who, what, s, u in self.naive.subscriptions if (who, what) == (subject, plan)]
        if all(u is not None and (u <= since or until <= s) for s, u in taken):
            self.ledger.call("subscribe", subject=subject, plan=plan, since=since, until=until)
            self.naive.subscriptions.append((subject, plan, since, until))

    def judge(self) -> None:
        now = self.some_time()
        reached = self.told("threshold.approaching") + self.told("threshold.exceeded")
        reached.subtract(self.told("threshold.cleared"))
        due = [key for subject in self.subjects for key in self.due(subject, now, reached)]
        assert self.ledger.call("judge_projections", now=now, max_subjects=10000)[0][0] >= len(due)
        self.fired.update(due)
        assert self.told("threshold.projected") == self.fired

    def due(self, subject: str, now: datetime, reached: Counter[Key]) -> list[Key]:
        """The marks that have to fire, and have not."""
        found = []
        (monthly,), (weekly,) = (
            self.ledger.call("project_usage", subject=f"{subject} {cycle}", metric=self.copy, now=now)
            for cycle in CYCLES
        )
        for version, counts, (since, until) in self.naive.effective(subject, self.metric, now, now):
            if not counts or not version.projected or version.action == "none" or version.quota is None:
                continue
            row = weekly if version.period == "cycle" and subject in self.naive.weekly else monthly
            assert (row.since, row.until) == (since, until)
            for mark in version.marks:
                key = (version.limit_id, subject, since.isoformat(), mark)
                amount = version.quota * mark / 100
                is_new = reached[key] <= 0 and not self.fired[key]
                if row.expected is not None and row.expected >= amount > row.used and is_new:
                    found.append(key)
        return found

    def told(self, type: str) -> Counter[Key]:
        return Counter(
            (row.data["limit_id"], row.subject, row.data["since"], Decimal(str(row.data["mark"])))
            for subject in self.subjects
            for row in self.ledger.call("notifications", type=type, subject=subject, max_rows=10000)
            if "mark" in row.data
        )


@given(seed=st.integers(0, 2**32), aggregate=st.sampled_from(sorted(KINDS)))
@examples(10, 1500)
def test_what_fires_is_what_a_naive_model_says(ledger: Ledger, seed: int, aggregate: str) -> None:
    """Usage, limits, plans and judgements of any times in any order."""
    world = World(ledger, Random(seed), f" {ledger.value('SELECT gen_random_uuid()')}", aggregate)
    world.use()
    for _ in range(3):
        world.set_limit()
        world.subscribe()
    for _ in range(5):
        steps = (world.use, world.set_limit, world.set_limit, world.subscribe, world.credit)
        world.chance.choice(steps)()
        for _ in range(3):
            world.judge()


def test_the_model_has_marks_that_fire_in_most_worlds(ledger: Ledger) -> None:
    fired = 0
    for seed in range(5):
        world = World(ledger, Random(seed), f" {seed}", "sum")
        world.use()
        world.use()
        for _ in range(4):
            world.set_limit()
            for _ in range(3):
                world.judge()
        fired += bool(world.fired)
    assert fired >= 3
