"""The map of shards: read, written, refused."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymeter.scale import Shard, ShardMap, ShardMapError, even_slots, read_map, slot_of, write_map
from pymeter.scale.setup import add, init
from tests.helpers import examples
from tests.scale.twins import new_map

DSNS = {name: f"service={name}" for name in ("a", "b", "c")}


@given(st.integers(1, 1024))
@examples(50)
def test_slots_are_even(number: int) -> None:
    sizes = Counter(even_slots([f"s{n}" for n in range(number)])).values()
    assert len(sizes) == number
    assert max(sizes) - min(sizes) <= 1


@given(st.dictionaries(st.text(min_size=1), st.sampled_from(["a", "b", "c"]), max_size=5), st.randoms())
@examples(50)
def test_a_map_that_was_written_is_read(tmp_path_factory: Any, pins: dict[str, str], chance: Any) -> None:
    path = tmp_path_factory.mktemp("map") / "shards.json"
    slots = tuple(chance.choice(["a", "b", "c"]) for _ in range(1024))
    pins = {subject: name for subject, name in pins.items() if subject.isprintable()}
    written = ShardMap(new_map(DSNS).shards, slots, pins=pins, ids_above=7, oldest="b")
    write_map(path, written)
    assert read_map(path) == written


def test_two_programs_that_write_a_map_at_one_moment_write_a_whole_one_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may have one process number, in two containers."""
    path = tmp_path / "shards.json"
    synced = os.fsync
    first, second = new_map(DSNS), new_map(DSNS, pins={"x": "b"})

    def fsync(number: int) -> None:
        monkeypatch.setattr(os, "fsync", synced)
        write_map(path, second)
        assert read_map(path) == second

    monkeypatch.setattr(os, "fsync", fsync)
    write_map(path, first)
    assert read_map(path) == first
    assert list(tmp_path.iterdir()) == [path]


def test_a_subject_lies_where_its_slot_or_its_pin_says() -> None:
    shard_map = new_map(DSNS, pins={"acct_1": "c"})
    assert shard_map.shard_of("acct_1") == "c"
    assert shard_map.shard_of("acct_2") == shard_map.slots[slot_of("acct_2")]


def test_an_id_tells_its_shard() -> None:
    shard_map = new_map(DSNS, ids_above=5000, oldest="b")
    assert [shard_map.shard_of_id(id) for id in (1, 5000, 5121, 5122, 5123, 5124, 0, -1)] == [
        *("b", "b", "a", "b", "c", None, None, None)
    ]


def test_a_shard_that_is_added_has_no_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pymeter.models import ShardState
    from pymeter.scale import setup

    # Where the subjects lie is a matter of the file alone.
    monkeypatch.setattr(setup, "_installed", lambda shard: ShardState(problems=[]))
    monkeypatch.setattr(setup, "_number", lambda shard, above: None)
    path = tmp_path / "shards.json"
    before = init(path, DSNS)
    after = add(path, "d", "service=d")
    assert after.shards["d"].number == 4
    assert after.slots == before.slots
    assert read_map(path) == after


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"format": 2}, "unknown format"),
        ({"slots": {"a": ["0-1022"]}}, "has no shard"),
        ({"slots": {"a": ["0-1023"], "b": ["5-6"]}}, "given twice"),
        ({"slots": {"x": ["0-1023"]}}, "does not have"),
        ({"pins": {"acct_1": "x"}}, "does not have"),
        ({"slots": 5}, "another form"),
        ({"shards": {"a": {"number": 1024, "dsn": ""}}}, "not that of a shard"),
        ({"shards": {"a": {"number": 1, "dsn": ""}, "b": {"number": 1, "dsn": ""}}}, "one number"),
        ({"shards": {"a b": {"number": 1, "dsn": ""}}}, "invalid name"),
        ({"shards": {"a": {"number": 1, "dsn": "password=geheim"}}}, "password in it"),
        ({"shards": {"a": {"number": 1, "dsn": "postgresql://u:geheim@h/d"}}}, "password in it"),
        ({"shards": {"a": {"number": 1, "dsn": "nonsense"}}}, "cannot be read"),
    ],
)
def test_p8_a_bad_map_is_refused(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    path = tmp_path / "shards.json"
    good = {"format": 1, "shards": {"a": {"number": 1, "dsn": ""}}, "slots": {"a": ["0-1023"]}}
    path.write_text(json.dumps(good | changed), encoding="utf-8")
    with pytest.raises(ShardMapError) as error:
        read_map(path)
    assert says in error.value.message
    assert error.value.sqlstate == "22023"
    assert "geheim" not in str(error.value)


def test_p8_no_map_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShardMapError):
        read_map(tmp_path / "none.json")
    (tmp_path / "empty.json").write_text("", encoding="utf-8")
    with pytest.raises(ShardMapError):
        read_map(tmp_path / "empty.json")


def test_p13_a_password_is_in_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARD_PASSWORD", "geheim")
    variable = "${SHARD_PASSWORD}"
    for dsn in (f"host=h password={variable}", f"postgresql://u:{variable}@h/d", variable):
        shard = Shard("a", 1, dsn)
        ShardMap({"a": shard}, even_slots(["a"]))
        assert "geheim" in shard.connection_string()
        assert "geheim" not in repr(shard)
    monkeypatch.delenv("SHARD_PASSWORD")
    with pytest.raises(ShardMapError) as error:
        shard.connection_string()
    assert "SHARD_PASSWORD" in str(error.value)
