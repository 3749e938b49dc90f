"""A month goes to a file and back: the log, its corrections and everything derived are as before."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymeter.archive.files import BadFile
from pymeter.archive.work import check_file, export_month, restore_file
from pymeter.errors import EventsDropped, MeterError
from tests.helpers import AGGREGATES, Ledger, at, examples, refused

JANUARY = datetime(2024, 1, 1, tzinfo=UTC)
TABLES = (
    "events",
    "event_kinds",
    "rollups",
    "series",
    "unique_members",
    "dropped_rollups",
    "dropped_members",
)
TABLES = (*TABLES, "log_months", "keys", "amended_keys", "statements", "statement_lines", "dropped_late")
PERIODS = ("week", "month", "year", "never", "hour")


def everything(ledger: Ledger) -> dict[str, Any]:
    """Every row of every table that an archive may touch, all columns, as text."""
    return {
        table: ledger.value(
            f"SELECT coalesce(array_agg(t::text ORDER BY t::text), '{{}}') FROM meter.{table} t"
        )
        for table in TABLES
    }


def export(ledger: Ledger, directory: Path, month: datetime = JANUARY, **named: Any) -> Path:
    done = export_month(ledger.connection, "meter", month, directory, **named)
    return directory / done.file_name


def restore(ledger: Ledger, path: Path) -> Any:
    return restore_file(ledger.connection, "meter", path)


def simple(ledger: Ledger) -> None:
    ledger.define("tokens", "sum")
    for n in range(3):
        ledger.record("a", "tokens", n + 1, at=at(f"2024-01-1{n} 10:00"), idempotency_key=f"k{n}")
    ledger.record("a", "tokens", 5, at=at("2024-03-10 10:00"))
    ledger.record("b", "tokens", 5, at=at("2024-03-10 10:00"))
    ledger.maintain()


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6) | st.sampled_from(
    ["", '"', ",", "\\N", "NULL", "a,b", 'x"y', "line\nend", "cr\rend", "\\.", "''"]
)
ROW = st.tuples(
    st.sampled_from(AGGREGATES),
    st.integers(0, 60 * 24 * 60 - 1),
    st.decimals(min_value=-9, max_value=10**30, places=9, allow_nan=False),
    st.integers(0, 2),
    st.none() | TEXTS,
    st.sampled_from(["", "", "void", "amend", "adjust", "revert"]),
)


@given(data=st.data())
@examples(8, 100)
def test_what_goes_to_a_file_comes_back_as_it_was(
    ledger: Ledger, tmp_path: Path, data: st.DataObject
) -> None:
    rows = data.draw(st.lists(ROW, min_size=1, max_size=14))
    token = ledger.value("SELECT gen_random_uuid()::text")
    names = {}
    for aggregate in AGGREGATES:
        names[aggregate] = f"{aggregate} {token}"
        ledger.define(names[aggregate], aggregate, period=data.draw(st.sampled_from(PERIODS)))
    subject = f"s {token}"
    for n, row in enumerate(rows):
        _write(ledger, subject, names, n, row)
    ledger.record(subject, names["sum"], 1, at=at("2024-01-05"))
    ledger.upkeep()
    ledger.rows(
        "SELECT * FROM meter.close_period(%s, since => '2024-01-01Z', until => '2024-02-01Z')", [subject]
    )
    before, answers = everything(ledger), _answers(ledger, subject, names)
    path = export(ledger, tmp_path)
    assert ledger.verify() == []
    assert ledger.rebuild() == 0
    assert ledger.call("verify_statements") == []
    if data.draw(st.booleans()):
        second = export(ledger, tmp_path, datetime(2024, 2, 1, tzinfo=UTC)) if _has_february(ledger) else None
        for one in filter(None, data.draw(st.permutations([path, second]))):
            restore(ledger, one)
            assert ledger.verify() == []
    else:
        restore(ledger, path)
    after = everything(ledger)
    assert {name: rows for name, rows in after.items() if rows != before[name]} == {}
    assert _answers(ledger, subject, names) == answers
    assert ledger.verify() == []
    assert ledger.rebuild() == 0
    assert ledger.call("verify_statements") == []


def _has_february(ledger: Ledger) -> bool:
    return bool(
        ledger.value(
            "SELECT EXISTS (SELECT FROM meter.events WHERE at >= '2024-02-01Z' AND at < '2024-03-01Z')"
        )
    )


def _write(ledger: Ledger, subject: str, names: dict[str, str], n: int, row: Any) -> None:
    aggregate, minutes, quantity, member, text, change = row
    when = at("2024-01-01").replace(microsecond=n + 1)
    when = datetime.fromtimestamp(when.timestamp() + minutes * 60, UTC).replace(microsecond=n + 1)
    metric = names[aggregate]
    if aggregate == "unique":
        what: dict[str, Any] = {"member": f"m{member}"}
    else:
        what = {"quantity": abs(quantity) if aggregate in ("sum", "count") else quantity}
    if aggregate == "count":
        what = {"quantity": Decimal(member + 1)}
    more = {} if text is None else {"metadata": {"text": text}, "idempotency_key": f"key {n}"}
    done = ledger.record(subject, metric, at=when, **what, **more)
    if change in ("void", "revert"):
        fixed = ledger.call("void_event", subject=subject, metric=metric, event_id=done.event_id, reason="r")[
            0
        ]
        if change == "revert":
            ledger.call("revert_correction", id=fixed.correction_id, reason="r")
    elif change == "amend" and aggregate != "unique":
        ledger.call(
            "amend_event", subject=subject, metric=metric, event_id=done.event_id, quantity=2, reason="r"
        )
    elif change == "adjust" and aggregate == "sum":
        ledger.call("adjust", subject=subject, metric=metric, quantity=-1, at=when, reason="r")


def _answers(ledger: Ledger, subject: str, names: dict[str, str]) -> list[Any]:
    return [
        ledger.call("events", subject=subject, max_rows=1000),
        *(ledger.call("usage_by", subject=subject, metric=m, dimension="text") for m in names.values()),
        *(ledger.call("usage", subject=subject, metric=m) for m in names.values()),
    ]


def test_late_events_count_once_before_and_after_the_month_is_back(ledger: Ledger, tmp_path: Path) -> None:
    simple(ledger)
    path = export(ledger, tmp_path)
    late = ledger.record("a", "tokens", 10, at=at("2024-01-20 10:00"))
    assert (
        ledger.record("a", "tokens", 1, at=at("2024-01-10 10:00"), idempotency_key="k0").outcome
        == "duplicate"
    )
    ledger.maintain()
    assert ledger.usage("a", "tokens", since=at("2024-01-01"), until=at("2024-02-01")).quantity == 16
    second = export(ledger, tmp_path)
    assert second != path
    assert ledger.verify() == []
    restore(ledger, path)  # the first part, while the second one is away
    assert ledger.verify() == []
    restore(ledger, second)
    assert ledger.verify() == []
    found = ledger.call("events", subject="a", since=at("2024-01-01"), until=at("2024-02-01"))
    assert [row.quantity for row in found] == [10, 3, 2, 1]
    assert found[0].event_id == late.event_id
    assert tuple(
        ledger.row(
            "SELECT dropped, partitions, totals_kept FROM meter.log_months WHERE month = '2024-01-01Z'"
        )
    ) == (False, 1, 0)


def test_what_needs_an_archived_month_is_refused_with_the_name_of_its_file(
    ledger: Ledger, tmp_path: Path
) -> None:
    simple(ledger)
    first = ledger.call("events", subject="a")[-1].event_id
    correction = ledger.call("void_event", subject="a", metric="tokens", event_id=first + 1, reason="r")[
        0
    ].correction_id
    path = export(ledger, tmp_path)
    needing = (
        "SELECT * FROM meter.events('a')",
        "SELECT * FROM meter.events('a', since => '2024-01-11Z', until => '2024-01-12Z')",
        f"SELECT * FROM meter.events('a', after_id => {first})",
        "SELECT * FROM meter.all_events()",
        "SELECT * FROM meter.usage_by('a', 'tokens', 'k', since => '2024-01-01Z', until => '2024-03-01Z')",
        "SELECT * FROM meter.usage('a', 'tokens', since => '2024-01-10Z', until => '2024-01-10 10:30Z')",
        f"SELECT * FROM meter.void_event('a', 'tokens', event_id => {first}, reason => 'r')",
        "SELECT * FROM meter.amend_event('a', 'tokens', null, 'k0', quantity => 1, reason => 'r')",
        f"SELECT * FROM meter.revert_correction({correction}, 'r')",
    )
    for query in needing:
        with refused("UM006") as caught:
            ledger.execute(query)
        assert path.name in (caught.value.diag.message_detail or ""), query
        assert f"pymeter archive restore {path.name}" in (caught.value.diag.message_hint or ""), query
    # What does not need it goes on: a full page, a later window, a subject without events in it.
    assert len(ledger.call("events", subject="a", max_rows=1)) == 1
    assert len(ledger.call("events", subject="a", since=at("2024-02-01"))) == 1
    assert len(ledger.call("events", subject="b")) == 1
    ledger.record(
        "c", "tokens", 5, at=at("2024-03-10 10:00")
    )  # the void is in the file, and was the latest row
    assert len(ledger.call("all_events", max_rows=1)) == 1
    assert ledger.usage("a", "tokens", since=at("2024-01-01"), until=at("2024-02-01")).quantity == 4
    restore(ledger, path)
    for query in needing:
        ledger.execute(query)


def test_a_dropped_month_without_a_file_is_skipped_as_before(ledger: Ledger) -> None:
    simple(ledger)
    ledger.maintain(keep="13 months")
    assert ledger.call("events", subject="a") == []


def test_retention_leaves_a_month_that_was_restored_until_it_is_exported_again(
    ledger: Ledger, tmp_path: Path
) -> None:
    simple(ledger)
    keep = f"{(datetime.now(UTC) - at('2024-02-15')).days} days"
    before = everything(ledger)
    path = export(ledger, tmp_path)
    for _ in range(2):
        restore(ledger, path)
        ledger.maintain(keep=keep)
        assert len(ledger.call("events", subject="a", until=at("2024-02-01"))) == 3
        assert export(ledger, tmp_path) == path
    restore(ledger, path)
    assert {name: rows for name, rows in everything(ledger).items() if rows != before[name]} == {}
    export(ledger, tmp_path)
    ledger.record("a", "tokens", 1, at=at("2024-01-20"))  # late: retention drops it, the file has the rest
    for _ in range(2):  # the first gives the late event a partition
        ledger.maintain(keep=keep)
    restore(ledger, path)
    assert [row.quantity for row in ledger.call("events", subject="a", until=at("2024-02-01"))] == [3, 2, 1]
    assert ledger.verify() == []


def test_a_detached_month_goes_to_a_file_and_back_too(ledger: Ledger, tmp_path: Path) -> None:
    simple(ledger)
    before = everything(ledger)
    path = export(ledger, tmp_path, detach=True)
    assert ledger.value("SELECT count(*) FROM meter.events_2024_01_detached") == 3
    with refused("UM006"):
        ledger.call("events", subject="a")
    restore(ledger, path)
    assert {name: rows for name, rows in everything(ledger).items() if rows != before[name]} == {}


@pytest.mark.parametrize("position", [0.0, 0.3, 0.6, 0.99])
def test_a_file_with_a_changed_byte_is_refused(ledger: Ledger, tmp_path: Path, position: float) -> None:
    simple(ledger)
    path = export(ledger, tmp_path)
    before = everything(ledger)
    data = bytearray(path.read_bytes())
    data[int(len(data) * position)] ^= 1
    good = path.read_bytes()
    path.write_bytes(data)
    for use in (check_file, restore_file):
        with pytest.raises(BadFile, match="changed"):
            use(ledger.connection, "meter", path)
    assert everything(ledger) == before
    path.write_bytes(good)
    check_file(ledger.connection, "meter", path)
    restore(ledger, path)


def test_rows_that_are_not_those_of_the_archive_are_refused(ledger: Ledger, tmp_path: Path) -> None:
    """Whatever a client passes: the digest is computed by the database."""
    simple(ledger)
    rows = ledger.value("SELECT jsonb_agg(to_jsonb(r)) FROM meter.archive_rows('2024-01-15Z') r")
    export(ledger, tmp_path)
    before = everything(ledger)
    for wrong in (rows[1:], [rows[0] | {"quantity": 7}, *rows[1:]], [*rows, rows[0]], []):
        with refused("22023"), ledger.connection.transaction():
            ledger.call("stage_archive", archive_id=1, rows=psycopg.types.json.Jsonb(wrong))
            ledger.call("restore_archive", archive_id=1)
        assert everything(ledger) == before


def test_what_was_recorded_since_the_export_keeps_the_month_in_the_log(
    ledger: Ledger, new_ledger: Callable[..., Ledger], tmp_path: Path
) -> None:
    simple(ledger)
    other = new_ledger()
    done = [False]

    def recorded(rows: int) -> None:
        if not done[0]:
            other.record("a", "tokens", 100, at=at("2024-01-20"))
            done[0] = True

    with pytest.raises(MeterError) as caught:
        export(ledger, tmp_path, advance=recorded)
    assert caught.value.sqlstate == "55000"
    assert ledger.usage("a", "tokens", since=at("2024-01-01"), until=at("2024-02-01")).event_count == 4
    assert ledger.call("archives") == []
    assert len(ledger.call("events", subject="a", until=at("2024-02-01"))) == 4
    export(ledger, tmp_path)


def test_an_older_snapshot_is_told_that_a_month_is_gone(
    ledger: Ledger, new_ledger: Callable[..., Ledger], tmp_path: Path
) -> None:
    simple(ledger)
    old = new_ledger("old", autocommit=False)
    old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    old.rows("SELECT 1 FROM pg_class LIMIT 1")
    export(ledger, tmp_path)
    with refused("40001"):
        old.call("events", subject="a")


def test_a_subject_that_was_erased_stays_erased(ledger: Ledger, tmp_path: Path) -> None:
    simple(ledger)
    path = export(ledger, tmp_path)
    ledger.call("erase_subject", subject="a", pseudonym="gone")
    before = everything(ledger)
    with pytest.raises(MeterError) as caught:
        restore(ledger, path)
    assert caught.value.sqlstate == "55000"
    assert everything(ledger) == before


_KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from pymeter import program_connection
from pymeter.archive import files, work
from pymeter.client import Meter
step, dsn, directory = sys.argv[1:4]
die = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
def after(f):
    return lambda *a, **k: (f(*a, **k), die())
connection = program_connection.connect(dsn)
if step == "writing": files.read_back = die
if step == "named": Meter.archive_month = die
if step == "archived": Meter.archive_month = after(Meter.archive_month)
if step == "staged": Meter.restore_archive = die
if step == "restored": Meter.restore_archive = after(Meter.restore_archive)
if step in ("staged", "restored"):
    work.restore_file(connection, "meter", next(Path(directory).glob("*.parquet")))
else:
    work.export_month(connection, "meter", datetime(2024, 1, 1, tzinfo=UTC), Path(directory))
"""


@pytest.mark.parametrize("step", ["writing", "named", "archived", "staged", "restored"])
def test_a_kill_at_any_step_loses_nothing(ledger: Ledger, meter_dsn: str, tmp_path: Path, step: str) -> None:
    simple(ledger)
    before = everything(ledger)
    if step in ("staged", "restored"):
        export(ledger, tmp_path)
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, step, meter_dsn, str(tmp_path)], capture_output=True
    )
    assert killed.returncode == -9, killed.stderr.decode()
    if step in ("writing", "named"):
        assert everything(ledger) == before
        export(ledger, tmp_path)
    assert [left.name for left in tmp_path.iterdir() if left.suffix != ".parquet"] == []
    (path,) = tmp_path.glob("*.parquet")
    assert restore(ledger, path).restored_at is not None
    assert everything(ledger) == before
    again = restore(ledger, path)
    assert everything(ledger) == before
    assert again.restored_at is not None


def test_python_names_the_error(ledger: Ledger, tmp_path: Path) -> None:
    from pymeter.client import Meter

    simple(ledger)
    path = export(ledger, tmp_path)
    with pytest.raises(EventsDropped) as caught:
        Meter(ledger.connection).events("a")
    assert path.name in str(caught.value.hint)
