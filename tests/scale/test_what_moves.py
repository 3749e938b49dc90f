"""What belongs to a subject moves with it, and nothing else does."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from pymeter import Meter
from pymeter.scale.errors import MoveRefused
from pymeter.scale.moving import move
from tests.helpers import at
from tests.scale.moves import Pair, S, killed

# What is logged of the meter only. What a role may do is that of a server; an erased subject does not move.
OF_THE_METER = {
    *("define_metric", "retire_metric", "set_setting", "define_plan", "set_plan_minimum"),
    *("define_endpoint", "remove_endpoint", "grant_access", "revoke_access", "erase_subject"),
}


def logged(pair: Pair) -> dict[str, list[int]]:
    return {name: [row.entry_id for row in one.admin_log()] for name, one in pair.meter.meters.items()}


@pytest.mark.parametrize("subject", ["sum", "pro", "2048", "key 1"])
def test_a_log_of_changes_loses_nothing_and_shows_nothing_twice(pair: Pair, subject: str) -> None:
    """The subject is called as a metric, a plan, an id or a key is."""
    source, target = pair.home(subject), pair.other(subject)
    pair.meter.define_plan("pro")
    for home in (source, target):
        other = next(f"x{n}" for n in range(99) if pair.home(f"x{n}") == home)
        pair.meter.set_limit("sum", 5, subject=other)
        pair.meter.create_api_key("read", subject=other)
    pair.meter.set_limit("sum", 9)
    pair.meter.set_limit("sum", 90, subject=subject)
    pair.meter.subscribe(subject, "pro")
    pair.meter.record(subject, "sum", 1)
    own = {row.entry_id for row in pair.meter.meters[source].admin_log(max_rows=2)}
    before = logged(pair)
    for _ in range(2):
        move(pair.path, subject, pair.other(subject))
        after = logged(pair)
        assert set(after[source]) == set(before[source])
        assert set(after[target]) == set(before[target]) | own
        shown = [row.entry_id for row in pair.meter.admin_log()]
        assert shown == sorted({n for ids in before.values() for n in ids}, reverse=True)
        first = [row.entry_id for row in pair.meter.admin_log(max_rows=4)]
        rest = [row.entry_id for row in pair.meter.admin_log(before_id=first[-1])]
        assert first + rest == shown


def test_every_change_that_is_logged_is_known_to_be_of_a_subject_or_of_the_meter(meter_dsn: str) -> None:
    folder = Path(__file__).parents[2] / "sql"
    texts = [path.read_text() for path in folder.glob("*/*.sql")]
    actions = {name for text in texts for name in re.findall(r"_log_change\('(\w+)'", text)}
    with psycopg.connect(meter_dsn) as connection:
        row = connection.execute("SELECT meter._actions_on_subjects()").fetchone()
    assert row is not None
    assert sorted([*row[0], *OF_THE_METER]) == sorted(actions)


WITHOUT_SERIES: dict[str, Callable[[Meter], object]] = {
    "credit": lambda home: home.grant_credit(S, 10, "USD", "k1"),
    "key": lambda home: home.create_api_key("read", subject=S),
    "limit": lambda home: home.set_limit("sum", 10, subject=S),
    "subscription": lambda home: home.subscribe(S, "pro"),
    "cycle": lambda home: home.set_billing_cycle(S, datetime(2026, 11, 15, tzinfo=UTC)),
}


@pytest.mark.parametrize("kind", WITHOUT_SERIES)
def test_a_subject_that_has_used_nothing_moves(pair: Pair, kind: str) -> None:
    pair.meter.define_plan("pro")
    WITHOUT_SERIES[kind](pair.meter.meter_of(S))
    before = [pair.meter.credits(S), pair.meter.api_keys(), pair.meter.limits(subject=S)]
    before += [pair.meter.subscriptions(S), [pair.meter.billing_cycle(S, at=at("2026-12-01"))]]
    assert move(pair.path, S, pair.other()).events == 0
    after = [pair.meter.credits(S), pair.meter.api_keys(), pair.meter.limits(subject=S)]
    after += [pair.meter.subscriptions(S), [pair.meter.billing_cycle(S, at=at("2026-12-01"))]]
    assert after == before
    assert pair.meter.record(S, "sum", 1).outcome == "recorded"


def test_a_month_is_dropped_although_a_part_of_it_is_of_a_subject_that_never_arrived(pair: Pair) -> None:
    other = next(f"x{n}" for n in range(99) if pair.home(f"x{n}") == pair.other())
    for subject in (S, other):
        pair.meter.record(subject, "sum", 5, at=at("2026-05-18 12:00"))
    target = pair.meter.meters[pair.other()]
    target.maintain()
    killed(pair.path, S, pair.other(), "close")
    before = pair.total(other)
    actions = {row.action for row in target.maintain(timedelta(days=90)) if row.object == "events_2026_05"}
    assert actions == {"dropped partition"}
    assert pair.total(other) == before
    assert (target.verify(), target.rebuild()) == ([], 0)
    with pytest.raises(MoveRefused, match="dropped a month"):
        move(pair.path, S, pair.other())
    assert pair.total() == (5, 1)


def told(pair: Pair, subject: str = S) -> list[datetime]:
    """The periods that a subject was told of, by all shards."""
    rows = [row for one in pair.meter.meters.values() for row in one.notifications("usage.aggregated")]
    return sorted(datetime.fromisoformat(row.data["since"]) for row in rows if row.subject == subject)


@pytest.fixture
def announcing(pair: Pair) -> Pair:
    """Both shards announce days, and have a day with usage of several subjects behind them."""
    pair.meter.define_metric("daily", "sum", "unit", period="day")
    pair.meter.define_endpoint("e", "https://example.org/x", types=["usage.aggregated"])
    for subject in (S, "acct_0", "acct_2", "acct_3"):
        for day in range(3):
            pair.meter.record(subject, "daily", 5, at=DAY + day * ONE + timedelta(hours=9))
    for dsn in pair.dsns.values():
        with psycopg.connect(dsn) as connection:
            connection.execute("UPDATE meter.announced_periods SET next_start = %s", [DAY])
    return pair


DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
ONE = timedelta(days=1)


@pytest.mark.parametrize("ahead", ["source", "target", "both", "none"])
def test_a_period_is_announced_once_by_whichever_shard(announcing: Pair, ahead: str) -> None:
    pair = announcing
    source, target = pair.meter.meter_of(S), pair.meter.meters[pair.other()]
    first = DAY + ONE + timedelta(minutes=2)
    for name, one in (("source", source), ("target", target)):
        if ahead in (name, "both"):
            one.plan_deliveries(now=first)
    move(pair.path, S, pair.other())
    for now in (first, first, first + ONE):
        for one in (source, target):
            one.plan_deliveries(now=now)
    assert told(pair) == [DAY, DAY + ONE]
    # And back, with the new home behind.
    source.plan_deliveries(now=first + 2 * ONE)
    move(pair.path, S, pair.other())
    for one in (source, target, source):
        one.plan_deliveries(now=first + 2 * ONE)
    assert told(pair) == [DAY, DAY + ONE, DAY + 2 * ONE]
    for subject in ("acct_0", "acct_2", "acct_3"):
        assert told(pair, subject) == told(pair)
    for dsn in pair.dsns.values():
        with psycopg.connect(dsn) as connection:
            assert connection.execute("TABLE meter.announced_subjects").fetchall() == []


@pytest.mark.parametrize("at_subject", range(4))
def test_a_shard_that_has_announced_a_part_of_a_period_goes_on_with_the_rest(
    announcing: Pair, at_subject: int
) -> None:
    pair = announcing
    now = DAY + ONE + timedelta(minutes=2)
    for one in pair.meter.meters.values():
        for _ in range(at_subject):
            one.plan_deliveries(1, now=now)
    move(pair.path, S, pair.other())
    for _ in range(20):
        for one in pair.meter.meters.values():
            one.plan_deliveries(1, now=now)
    for subject in (S, "acct_0", "acct_2", "acct_3"):
        assert told(pair, subject) == [DAY]


@pytest.mark.parametrize("step", ["compare", "admit", "leave"])
def test_what_is_announced_while_a_move_is_unfinished_is_announced_once(announcing: Pair, step: str) -> None:
    pair = announcing
    meters, now = list(pair.meter.meters.values()), DAY + ONE + timedelta(minutes=2)
    killed(pair.path, S, pair.other(), step)
    for one in meters:
        one.plan_deliveries(now=now)
    assert told(pair) == ([DAY] if step == "leave" else [])
    if step == "admit":
        pair.meter.meter_of(S).reopen_home(S)
        pair.meter.meter_of(S).plan_deliveries(now=now)
        assert told(pair) == [DAY]
    move(pair.path, S, pair.other())
    for one in meters:
        one.plan_deliveries(now=now + ONE)
    assert told(pair) == [DAY, DAY + ONE]


def test_a_correction_of_subjects_that_are_on_two_shards_now_is_listed_once(pair: Pair) -> None:
    other = next(f"x{n}" for n in range(99) if pair.home(f"x{n}") == pair.home())
    home = pair.meter.meter_of(S)
    id_ = home.open_correction("why")
    entries = [{"entry": "adjust", "subject": name, "metric": "sum", "quantity": 7} for name in (S, other)]
    home.stage_correction(id_, entries)
    home.approve_correction(id_)
    move(pair.path, S, pair.other())
    assert [(row.correction_id, row.entries) for row in pair.meter.corrections()] == [(id_, 2)]
