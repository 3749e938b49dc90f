"""Files of exports that run at one moment in one directory, and what exports that were killed have left."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from pymeter import Meter
from pymeter.archive import partial, work
from pymeter.archive.files import BadFile, file_hash, write_file
from pymeter.archive.logged import logged_batches
from pymeter.archive.work import export_month, restore_file
from tests.helpers import Ledger, at
from tests.scale.conftest import NewDatabase, new_database

__all__ = ["new_database"]

MONTH = datetime(2024, 1, 1, tzinfo=UTC)
_SECONDS_MAX = 30


@pytest.fixture
def two_meters(new_database: NewDatabase) -> Iterator[list[psycopg.Connection[Any]]]:
    """Two shards: their months differ."""
    with (
        psycopg.connect(new_database(), autocommit=True) as first,
        psycopg.connect(new_database(), autocommit=True) as second,
    ):
        for number, connection in enumerate((first, second), 1):
            meter = Meter(connection)
            meter.define_metric("m", "sum", "unit")
            for _ in range(number):
                meter.record("a", "m", number, at=at("2024-01-10"))
            meter.maintain()
        yield [first, second]


def test_two_exports_at_one_moment_in_one_directory_have_a_file_each(
    two_meters: list[psycopg.Connection[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process, two threads: as two containers, in which both programs have the same number."""
    begun, named = threading.Event(), threading.Event()
    first, second = two_meters

    def held_up(*_: Any) -> Iterator[pa.RecordBatch]:
        """The second has opened its file, and writes when the first has given its own a name."""
        for batch in logged_batches(second, "meter", MONTH):
            begun.set()
            assert named.wait(_SECONDS_MAX)
            yield batch

    def checked(path: Path, *arguments: Any) -> Any:
        assert begun.wait(_SECONDS_MAX)
        return real(path, *arguments)

    from pymeter.archive import files

    real = files.read_back
    with ThreadPoolExecutor(1) as thread:
        export_second = thread.submit(lambda: write_file(held_up(), MONTH, tmp_path, lambda rows: None))
        assert begun.wait(_SECONDS_MAX)
        monkeypatch.setattr(files, "read_back", checked)
        done = export_month(first, "meter", MONTH, tmp_path)
        named.set()
        other = export_second.result(_SECONDS_MAX)
    assert (done.event_count, other.rows) == (1, 2)
    assert file_hash(tmp_path / done.file_name) == done.file_hash
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / done.file_name, other.path])
    restore_file(first, "meter", tmp_path / done.file_name)
    assert len(Meter(first).events("a")) == 1


def simple(ledger: Ledger) -> None:
    ledger.define("tokens", "sum")
    ledger.record("a", "tokens", 1, at=at("2024-01-10 10:00"))
    ledger.maintain()


def test_a_file_that_changes_as_it_gets_its_name_leaves_the_month_in_the_log(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simple(ledger)
    link = os.link

    def linked(source: Path, target: Path) -> None:
        link(source, target)
        with target.open("ab") as file:
            file.write(b"x")

    monkeypatch.setattr(os, "link", linked)
    with pytest.raises(BadFile, match="changed meanwhile"):
        export_month(ledger.connection, "meter", MONTH, tmp_path)
    assert len(ledger.call("events", subject="a")) == 1
    assert ledger.call("archives") == []


@pytest.mark.parametrize("there", ["complete", "damaged", "no links"])
def test_the_name_is_of_a_complete_file_whatever_has_it_before(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    """A complete one stays: by its bytes an archive of another meter may know it."""
    simple(ledger)
    monkeypatch.setattr(work.Meter, "archive_month", lambda *_, **__: None)
    export_month(ledger.connection, "meter", MONTH, tmp_path)
    monkeypatch.undo()
    (path,) = tmp_path.glob("*.parquet")
    number = path.stat().st_ino
    if there == "damaged":
        path.write_bytes(path.read_bytes()[:-9])
    if there == "no links":
        path.unlink()
        monkeypatch.setattr(os, "link", _no_links)
    done = export_month(ledger.connection, "meter", MONTH, tmp_path)
    assert (tmp_path / done.file_name, file_hash(path)) == (path, done.file_hash)
    if there != "no links":
        assert (path.stat().st_ino == number) == (there == "complete")
    assert list(tmp_path.iterdir()) == [path]
    restore_file(ledger.connection, "meter", path)
    assert len(ledger.call("events", subject="a")) == 1


def _no_links(*_: Any) -> None:
    raise PermissionError("Operation not permitted")


STEM = "events_2024_01"
_DAY_AND_A_BIT = 90_000


def _left(directory: Path, machine: str, *, old: bool = False) -> Path:
    path = directory / f".{STEM}-{machine}-0.partial"
    path.write_bytes(b"PAR1")
    if old:
        os.utime(path, (time.time() - _DAY_AND_A_BIT,) * 2)
    return path


def test_only_what_is_certainly_left_by_a_program_that_is_gone_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial, "_machine", lambda: "here")
    with partial.new_partial(tmp_path, STEM) as (_, alive):
        os.utime(alive, (time.time() - _DAY_AND_A_BIT,) * 2)  # it has waited for the database since
        stay = {alive, _left(tmp_path, "there")}
        gone = {_left(tmp_path, "here"), _left(tmp_path, "far", old=True), _left(tmp_path, "1", old=True)}
        other = _left(tmp_path, "locked", old=True)
        with other.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            partial.remove_leftovers(tmp_path, STEM)
        assert set(tmp_path.iterdir()) == stay | {other}
        assert not any(path.exists() for path in gone)
    assert not alive.exists()


def test_a_new_file_that_was_taken_for_a_leftover_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open
    taken: list[object] = []

    def open_and_lose(path: Any, *arguments: Any) -> int:
        number = opened(path, *arguments)
        if str(path).endswith(".partial") and not taken:
            taken.append(path)
            partial.remove_leftovers(tmp_path, STEM)
            assert not Path(path).exists()
        return number

    monkeypatch.setattr(os, "open", open_and_lose)
    with partial.new_partial(tmp_path, STEM) as (file, path):
        file.write(b"x")
        assert taken != [path]
        assert path.exists()
    assert list(tmp_path.iterdir()) == []
