"""What belongs to a subject moves with it, and nothing else does."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from pymeter.scale.moving import move
from tests.scale.test_move import Pair, pair

__all__ = ["pair"]

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
