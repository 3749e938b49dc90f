"""P3: any order, any batching, any retries, any interleaving of the same events gives the same state.

Each example has subjects of its own in one database, so that hundreds of examples cost seconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import AGGREGATES, Ledger, Model, Task, at, at_length, examples, same_quantity
from tests.properties.orders import define, run_orders

pytestmark = pytest.mark.at_length

_examples = count(1)
_profile = examples(9, 60)

KINDS = {
    "count": ("month", "hour"),
    "sum": ("month", "hour"),
    "min": ("day", "none"),
    "max": ("week", "day"),
    "avg": ("hour", "day"),
    "last": ("minute", "hour"),
    "unique": ("never", "day"),
    "sum2": ("year", "none"),
    "unique2": ("week", "hour"),
    "last2": ("month", "day"),
}
METRICS = {key: key.rstrip("2") for key in KINDS}

# Few different instants, on and beside the boundaries of buckets, so that buckets, keys and times meet.
MOMENTS = [
    at(base) + offset
    for base in ("2025-12-31 23:00", "2026-01-01", "2026-03-01 00:30", "2026-03-02", "2026-03-08 07:00")
    for offset in (timedelta(0), timedelta(microseconds=-1), timedelta(seconds=30), timedelta(hours=5))
]
quantities = st.one_of(
    st.integers(0, 9).map(Decimal),
    st.decimals(min_value=0, max_value=10**6, places=3),
    st.sampled_from([Decimal("0"), Decimal("1e-40"), Decimal("1e60"), Decimal("0.1"), Decimal("1.0")]),
)


@st.composite
def events(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Up to 40 events; among those with one key, the payload and all else is whatever it happens to be."""
    made = []
    for _ in range(draw(st.integers(1, 40))):
        metric = draw(st.sampled_from(sorted(KINDS)))
        event: dict[str, Any] = {
            "subject": draw(st.sampled_from("ab")),
            "metric": metric,
            "at": draw(st.sampled_from(MOMENTS)),
            "idempotency_key": draw(st.sampled_from([None, None, "k1", "k2", "k3"])),
        }
        if METRICS[metric] == "unique":
            event["member"] = draw(st.sampled_from(["u", "v", "w", "U", "ü"]))
        elif METRICS[metric] == "count" and draw(st.booleans()):
            event["quantity"] = None
        else:
            event["quantity"] = draw(quantities)
            if METRICS[metric] in ("min", "max", "avg", "last") and draw(st.booleans()):
                event["quantity"] = -event["quantity"]
        made.append(event)
    return made


@pytest.fixture(params=[False, True], ids=["plain", "striped"])
def metrics(ledger: Ledger, request: pytest.FixtureRequest) -> Ledger:
    for key, (period, rollup) in KINDS.items():
        ledger.define(key, METRICS[key], period=period, rollup=rollup, striped=request.param)
    return ledger


def for_example(made: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """The events with subjects that no other example has."""
    number = next(_examples)
    return [{**event, "subject": f"{number}-{event['subject']}"} for event in made], [
        f"{number}-a",
        f"{number}-b",
    ]


def record(ledger: Ledger, batch: list[dict[str, Any]], *, singly: bool) -> list[str]:
    if singly:
        return [ledger.record(**event).outcome for event in batch]
    return [o.outcome for o in ledger.batch(batch)]


def assert_equals(
    ledger: Ledger, model: Model, subjects: list[str], windows: list[tuple[datetime | None, datetime | None]]
) -> None:
    for subject in subjects:
        assert ledger.verify(subject=subject) == []
        for since, until in windows:
            if since is None and until is None:
                rows = ledger.call("summary", subject=subject, period="never")
            else:
                rows = ledger.call("summary", subject=subject, since=since, until=until)
            assert len(rows) == len(KINDS)
            for row in rows:
                expected = model.usage(subject, row.metric, since, until)
                assert row.event_count == expected[1], (subject, row, expected)
                assert same_quantity(row.aggregate, row.quantity, expected), (subject, row, expected)


windows = st.lists(
    st.tuples(st.sampled_from(MOMENTS), st.sampled_from([*MOMENTS, at("2026-03-01 05:00"), at("2026-02-01")]))
    .filter(lambda w: w[0] != w[1])
    .map(lambda w: (min(w), max(w))),
    min_size=1,
    max_size=3,
)


def derived(ledger: Ledger, subjects: list[str], names: list[str]) -> dict[str, list[Any]]:
    """Rollups and members with the subjects' numbers taken off, to compare two examples."""
    rename = dict(zip(subjects, names, strict=True))
    # How many stripes a bucket has says who recorded, not what was recorded.
    rows = ledger.rows(
        "SELECT subject, metric, bucket, bucket_start, sum(event_count) AS events, max(last_at) AS last_at,"
        " trim_scale(sum(total)) AS total, min(lowest) AS lowest, max(highest) AS highest,"
        " (max(latest))[3] AS latest"
        " FROM meter.buckets WHERE subject = ANY(%s)"
        " GROUP BY 1, 2, 3, 4 ORDER BY metric, bucket, bucket_start, subject",
        [subjects],
    )
    members = ledger.rows(
        "SELECT s.subject, s.metric, u.bucket, u.bucket_start, u.member_digest, u.seen"
        " FROM meter.unique_members u JOIN meter.series s ON s.series_id = u.series_id AND s.stripe = 0"
        " WHERE s.subject = ANY(%s) ORDER BY metric, bucket, bucket_start, member_digest, subject",
        [subjects],
    )
    return {
        "rollups": [(rename[r[0]], *r[1:]) for r in rows],
        "members": [(rename[r[0]], *r[1:]) for r in members],
    }


def test_p3_any_events_in_any_batches_are_what_a_naive_model_says(metrics: Ledger) -> None:
    @_profile
    @given(events(), st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=8), windows)
    def check(made: list[dict[str, Any]], cuts: list[tuple[int, bool]], some: Any) -> None:
        mine, subjects = for_example(made)
        model = Model(METRICS)
        position, turn = 0, 0
        while position < len(mine):
            size, singly = cuts[turn % len(cuts)]
            batch = mine[position : position + size]
            assert record(metrics, batch, singly=singly) == [model.record(event) for event in batch]
            if singly and turn % 2:  # a retry of what has a key changes nothing
                keyed = [event for event in batch if event["idempotency_key"]]
                assert "recorded" not in record(metrics, keyed, singly=False)
            position, turn = position + size, turn + 1
        assert_equals(metrics, model, subjects, [(None, None), *some])

    check()
    assert metrics.verify() == []


def test_p3_every_order_batching_and_retry_gives_the_same_state(metrics: Ledger) -> None:
    """Order decides which payload a reused key stands for, and which `last` of one time counts."""

    @_profile
    @given(events(), st.randoms(use_true_random=False))
    def check(made: list[dict[str, Any]], draw: random.Random) -> None:
        first: dict[Any, dict[str, Any]] = {}
        settled = []
        for i, event in enumerate(made):
            name = (event["subject"], event["metric"], event["idempotency_key"])
            if METRICS[event["metric"]] == "last":
                event = {**event, "at": event["at"] + timedelta(microseconds=2 * i)}
            if event["idempotency_key"] is not None:
                event = first.setdefault(name, event)
            settled.append(event)
        states = []
        for shuffle in (False, True):
            mine, subjects = for_example(settled)
            if shuffle:
                mine += [event for event in mine if event["idempotency_key"] and draw.random() < 0.5]
                draw.shuffle(mine)
            while mine:
                size = draw.randrange(1, 20)
                record(metrics, mine[:size], singly=draw.random() < 0.4)
                mine = mine[size:]
            states.append(derived(metrics, subjects, ["a", "b"]))
        assert states[0] == states[1]

    check()
    assert metrics.verify() == []


def test_p3_a_batch_is_the_same_as_one_by_one_in_order(metrics: Ledger) -> None:
    """The same outcomes, the same rollups, and event ids in the batch's order."""

    @_profile
    @given(events())
    def check(made: list[dict[str, Any]]) -> None:
        single, single_subjects = for_example(made)
        batch, batch_subjects = for_example(made)
        one_by_one = [metrics.record(**event) for event in single]
        at_once = metrics.batch(batch)
        assert [o.outcome for o in at_once] == [o.outcome for o in one_by_one]
        assert [o.ordinal for o in at_once] == list(range(1, len(made) + 1))
        ids = [o.event_id for o in at_once if o.outcome == "recorded"]
        assert ids == sorted(set(ids))
        # A repeat names the same one of the events before it.
        for answers in (one_by_one, at_once):
            owners = {o.event_id: i for i, o in reversed(list(enumerate(answers))) if o.outcome == "recorded"}
            places = [owners[o.event_id] for o in answers]
            assert places == [
                {o.event_id: i for i, o in reversed(list(enumerate(one_by_one))) if o.outcome == "recorded"}[
                    o.event_id
                ]
                for o in one_by_one
            ]
        assert derived(metrics, single_subjects, ["a", "b"]) == derived(metrics, batch_subjects, ["a", "b"])
        log = (
            "SELECT metric, at, quantity, member, idempotency_key FROM meter.logged_events"
            " WHERE subject = ANY(%s) ORDER BY event_id"
        )
        assert metrics.rows(log, [single_subjects]) == metrics.rows(log, [batch_subjects])

    check()
    assert metrics.verify() == []


def test_p3_events_split_over_concurrent_connections_are_what_the_model_says(
    metrics: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    sessions = [new_ledger(f"writer {i}") for i in range(4)]

    @settings(_profile, max_examples=at_length(5, 30))
    @given(events(), st.randoms(use_true_random=False), windows)
    def check(made: list[dict[str, Any]], draw: random.Random, some: Any) -> None:
        # A key has one payload and one time, and `last` times differ: nothing is left to who comes first.
        first: dict[Any, dict[str, Any]] = {}
        settled = []
        for i, event in enumerate(made):
            if METRICS[event["metric"]] == "last":
                event = {**event, "at": event["at"] + timedelta(microseconds=2 * i)}
            if event["idempotency_key"] is not None:
                event = first.setdefault((event["subject"], event["metric"], event["idempotency_key"]), event)
            settled.append(event)
        mine, subjects = for_example(settled)
        model = Model(METRICS)
        for event in mine:
            model.record(event)
        # Everybody has everything that has a key (at least once), and what has none goes to one.
        shares: list[list[dict[str, Any]]] = [[e for e in mine if e["idempotency_key"]] for _ in sessions]
        for event in mine:
            if not event["idempotency_key"]:
                draw.choice(shares).append(event)
        plans = []
        for share in shares:
            draw.shuffle(share)
            plan = []
            while share:
                size = draw.randrange(1, 15)
                plan.append((share[:size], draw.random() < 0.4))
                share = share[size:]
            plans.append(plan)

        def write(session: Ledger, plan: list[tuple[list[dict[str, Any]], bool]]) -> list[str]:
            return [outcome for batch, singly in plan for outcome in record(session, batch, singly=singly)]

        tasks = [Task(lambda s=s, p=p: write(s, p)) for s, p in zip(sessions, plans, strict=True)]  # type: ignore[misc]
        outcomes = [outcome for task in tasks for outcome in task.result()]
        assert outcomes.count("recorded") == len(model.events)
        assert "conflict" not in outcomes
        assert_equals(metrics, model, subjects, [(None, None), *some])

    check()
    assert metrics.verify() == []


def test_p3_orders_of_the_same_events_leave_one_state_open_buckets_included(
    ledger: Ledger, meter_dsn: str
) -> None:
    """The long run has hundreds of them."""
    define(ledger)
    first, *others = run_orders(meter_dsn, at_length(5, 8))
    for other in others:
        assert other == first
    assert ledger.verify() == []


def test_p3_a_series_that_begins_ahead_of_the_clock_ends_in_the_same_state(ledger: Ledger) -> None:
    ledger.define("m", "sum", rollup="minute")
    now = datetime.now(UTC)
    times = [now + timedelta(hours=5), now - timedelta(minutes=10), now - timedelta(minutes=3)]
    for subject, order in {"a": (0, 1, 2), "b": (2, 1, 0), "c": (1, 0, 2)}.items():
        for number in order:
            ledger.record(subject, "m", number + 1, at=times[number])
    states = ledger.rows(
        "SELECT DISTINCT fine_start, fine_count, fine_total, coarse_start, coarse_count, coarse_total,"
        " newest_start, ahead_at FROM meter.series"
    )
    assert len(states) == 1
    assert ledger.verify() == []


def test_p4_a_rebuild_is_a_no_op_and_restores_what_was_emptied(metrics: Ledger) -> None:
    @settings(_profile, max_examples=at_length(5, 30))
    @given(events(), st.sampled_from([{"buckets"}, {"members"}, {"buckets", "members"}]))
    def check(made: list[dict[str, Any]], emptied: set[str]) -> None:
        mine, subjects = for_example(made)
        metrics.batch(mine)
        before = derived(metrics, subjects, ["a", "b"])
        assert [metrics.rebuild(subject=s) for s in subjects] == [0, 0]
        if "buckets" in emptied:
            metrics.forget()
        if "members" in emptied:
            metrics.execute("DELETE FROM meter.unique_members")
        for subject in subjects:
            metrics.rebuild(subject=subject)
        assert derived(metrics, subjects, ["a", "b"]) == before
        assert all(metrics.verify(subject=s) == [] for s in subjects)

    check()
    metrics.rebuild()
    assert metrics.verify() == []


def test_every_aggregate_is_among_the_kinds() -> None:
    assert set(METRICS.values()) == set(AGGREGATES)
