"""Nothing gets into the log at or below a watermark, whoever is recording when it is drawn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from pymeter import pytest_plugin
from tests.close.flights import FLIGHTS, prepare, with_stripe
from tests.close.remember import answers, assert_still_so, remember, set_watermarks_ahead
from tests.databases import Databases
from tests.helpers import AT_LENGTH, Ledger, Task, at, refused

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

HOUR = timedelta(hours=1)
# Three attempts of 0.3 seconds, and what a busy machine needs.
GIVES_UP_SECONDS = 2
BEHIND = [(flight, True) for flight in FLIGHTS]
# With a clock that is right, nothing depends on what the watermark makes later.
RIGHT = [
    (flight, False)
    for flight in FLIGHTS
    if AT_LENGTH or flight in ("ordinary", "a new stripe", "mixed batch", "approval", "a new metric")
]
AHEAD = pytest.mark.parametrize("ahead", [False, True], ids=["the clock is right", "the clock is behind"])


@pytest.fixture(scope="module")
def prepared_template(databases: Databases, pymeter_template: str) -> Iterator[str]:
    with databases.filled("prepared", pymeter_template, lambda session: prepare(Ledger(session))) as name:
        yield name


@pytest.fixture
def meter_dsn(databases: Databases, pymeter_template: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the test's own, which is prepared if the test asks for that."""
    prepared = "prepared" in request.fixturenames
    name = pytest_plugin._database_name("watermarks")
    yield databases.create(
        name, request.getfixturevalue("prepared_template") if prepared else pymeter_template
    )
    databases.drop(name)


@pytest.fixture
def prepared(ledger: Ledger) -> Ledger:
    """A ledger with all that ``FLIGHTS`` need."""
    return with_stripe(ledger, 5)


def watermark(session: Ledger, subject: str = "a") -> datetime:
    found: datetime = session.value("SELECT meter.watermark(%s)", [subject])
    return found


def wait_for(observer: Ledger, task: Task, name: str) -> bool:
    """Until it waits for a lock, or has ended: not everything has to wait."""
    while task.running:
        if observer.value(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
            " AND datname = current_database()",
            [name],
        ):
            return True
        time.sleep(0.002)
    return False


def log(ledger: Ledger) -> dict[int, datetime]:
    return {row.event_id: row.recorded_at for row in ledger.rows("SELECT * FROM meter.events")}


def assert_all_later(ledger: Ledger, before: dict[int, datetime], drawn: datetime) -> None:
    """Every row that was not there before was recorded after the watermark."""
    new = {number: recorded for number, recorded in log(ledger).items() if number not in before}
    assert new, "nothing was recorded: this tested nothing"
    assert min(new.values()) > drawn, (drawn, new)
    kinds = ledger.rows("SELECT event_id, recorded_at FROM meter.event_kinds")
    assert all(log(ledger)[row.event_id] == row.recorded_at for row in kinds)


@pytest.mark.at_length
@pytest.mark.parametrize(("flight", "ahead"), BEHIND + RIGHT)
def test_what_comes_while_a_watermark_is_drawn_is_recorded_after_it(
    prepared: Ledger, new_ledger: NewLedger, flight: str, ahead: bool
) -> None:
    watermark(prepared)
    if ahead:
        set_watermarks_ahead(prepared, HOUR)
    drawer, recorder = new_ledger("drawer", autocommit=False), new_ledger("recorder")
    drawn = watermark(drawer)
    remembered, before = remember(drawer, "a", drawn), log(prepared)
    task = Task(lambda: FLIGHTS[flight](recorder))
    wait_for(prepared, task, "recorder")
    drawer.connection.commit()
    task.result()
    assert_all_later(prepared, before, drawn)
    assert_still_so(prepared, remembered)
    again = watermark(prepared)
    assert again > drawn
    assert max(log(prepared).values()) <= again
    assert prepared.verify() == []


# One of each way of locking is rolled back, too.
ENDINGS = [(flight, "commit") for flight in FLIGHTS] + [
    (flight, "rollback") for flight in ("ordinary", "new series", "a new stripe", "approval", "a new metric")
]


@pytest.mark.parametrize(("flight", "end"), ENDINGS)
def test_a_watermark_waits_for_whoever_records_and_gives_up_soon(
    prepared: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, flight: str, end: str
) -> None:
    recorder, drawer = new_ledger("recorder", autocommit=False), new_ledger("drawer")
    before = log(prepared)
    FLIGHTS[flight](recorder)
    begin = time.monotonic()
    with refused("55P03"):
        watermark(drawer)
    assert time.monotonic() - begin < GIVES_UP_SECONDS
    assert prepared.value("SELECT count(*) FROM meter.sealed_subjects WHERE watermark > '-infinity'") == 0
    drawn = None
    while drawn is None:  # it may give up once more before the recorder has ended
        task = Task(lambda: watermark(drawer))
        wait_until_blocked(prepared.connection, "drawer")
        getattr(recorder.connection, end)()
        drawn = task.result() if task.error() is None else None
    new = {number: recorded for number, recorded in log(prepared).items() if number not in before}
    assert bool(new) == (end == "commit")
    assert all(recorded <= drawn for recorded in new.values())
    assert answers(prepared, "a", drawn)["event ids"] == sorted(log(prepared))


def test_others_record_on_while_a_watermark_waits_for_a_hanging_transaction(
    prepared: Ledger, new_ledger: NewLedger
) -> None:
    hanging, drawer, other = (
        new_ledger("hanging", autocommit=False),
        new_ledger("drawer"),
        new_ledger("other"),
    )
    hanging.record("a", "s", 9)
    task = Task(lambda: watermark(drawer))
    assert wait_for(prepared, task, "drawer")
    waits = []
    while task.running:
        begin = time.monotonic()
        other.record("b", "s", 1)
        waits.append(time.monotonic() - begin)
    with refused("55P03"):
        task.result()
    assert len(waits) > 3
    assert max(waits) < 0.5  # of another subject


def test_between_two_attempts_of_a_watermark_others_of_the_subject_record(
    prepared: Ledger, new_ledger: NewLedger
) -> None:
    """They wait for one attempt, not for all: who tries again lets others go first."""
    hanging, drawer, other = (
        new_ledger("hanging", autocommit=False),
        new_ledger("drawer"),
        new_ledger("other"),
    )
    hanging.record("a", "s", 9)
    task = Task(lambda: watermark(drawer))
    assert wait_for(prepared, task, "drawer")
    recorded = []
    while task.running:
        other.record("a", "lim", 1)  # its row is locked before the one that is waited for
        recorded.append(task.running)
    with refused("55P03"):
        task.result()
    assert recorded.count(True) >= 2, recorded


@pytest.mark.parametrize("restored", [False, True], ids=["as installed", "restored without data"])
def test_an_approval_that_waits_for_another_series_is_not_overtaken(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, restored: bool
) -> None:
    """It has taken its time already when it waits. Locks are made anew where a restore has left none."""
    ledger.define("s", "sum")
    for subject in ("z", "a"):
        ledger.record(subject, "s", 5)
    number = ledger.value("SELECT meter.open_correction('why')")
    for subject in ("z", "a"):
        entry = {"entry": "adjust", "subject": subject, "metric": "s", "quantity": -1}
        ledger.call("stage_correction", id=number, entries=Jsonb([entry]))
    if restored:
        ledger.execute("DELETE FROM meter.locks")
    before = log(ledger)
    hanging, approver, drawer = (
        new_ledger("h", autocommit=False),
        new_ledger("approver"),
        new_ledger("drawer"),
    )
    hanging.record("z", "s", 1)
    approving = Task(lambda: approver.call("approve_correction", id=number))
    wait_until_blocked(ledger.connection, "approver")
    drawing = Task(lambda: remember(drawer, "a", watermark(drawer)))
    wait_for(ledger, drawing, "drawer")
    hanging.connection.commit()
    approving.result()
    assert len(log(ledger)) == len(before) + 3
    assert_still_so(ledger, drawing.result())


def test_a_metric_that_gets_stripes_while_a_watermark_is_drawn(ledger: Ledger, new_ledger: NewLedger) -> None:
    """The stripe is not there yet when rows are locked, and somebody records to it when the clock is read."""
    sessions = {name: new_ledger(name, autocommit=False) for name in ("hanging", "recorder")}
    drawer, other = new_ledger("drawer"), with_stripe(new_ledger("other"), 5)
    for attempt in range(20):
        first, second = f"first{attempt}", f"second{attempt}"
        for key in (first, second):
            ledger.define(key, "sum")
            ledger.record("a", key, 1)
        sessions["hanging"].record("a", first, 1)
        drawing = Task(lambda: remember(drawer, "a", watermark(drawer)))
        wait_for(ledger, drawing, "drawer")
        ledger.define(second, "sum", striped=True)
        other.record("a", second, 10)
        with_stripe(sessions["recorder"], 5).record("a", second, 100)
        sessions["hanging"].connection.commit()
        wait_for(ledger, drawing, "drawer")
        sessions["recorder"].connection.commit()
        if drawing.error() is None:  # it may have given up before all was in place
            assert_still_so(ledger, drawing.result())
            break
    else:
        pytest.fail("it always gave up")


@AHEAD
def test_watermarks_only_grow(prepared: Ledger, ahead: bool) -> None:
    drawn = [watermark(prepared)]
    if ahead:
        drawn.append(set_watermarks_ahead(prepared, HOUR))
    for _ in range(3):
        prepared.record("a", "s", 1)
        drawn.append(watermark(prepared))
        drawn.append(watermark(prepared))
    assert drawn == sorted(set(drawn))
    assert (drawn[-1] > prepared.value("SELECT clock_timestamp()") + HOUR / 2) == ahead
    quantities = [prepared.usage("a", "s", period="never", as_of=at).quantity for at in drawn[1 + ahead :]]
    first = quantities[0]
    assert quantities == [first + n // 2 for n in range(6)]


@AHEAD
def test_a_subject_without_series_has_watermarks_too(ledger: Ledger, ahead: bool) -> None:
    ledger.define("s", "sum")
    drawn = watermark(ledger, "nobody")
    if ahead:
        drawn = set_watermarks_ahead(ledger, HOUR, "nobody")
    ledger.define("later", "max")
    ledger.record("nobody", "s", 1)
    ledger.record("nobody", "later", 1)
    assert min(log(ledger).values()) > drawn
    assert ledger.call("events", subject="nobody", as_of=drawn) == []
    assert ledger.usage("nobody", "later", period="never", as_of=drawn).event_count == 0


@pytest.mark.parametrize("level", ["REPEATABLE_READ", "SERIALIZABLE"])
def test_watermarks_need_read_committed(ledger: Ledger, new_ledger: NewLedger, level: str) -> None:
    session = new_ledger(autocommit=False)
    session.connection.isolation_level = psycopg.IsolationLevel[level]
    with refused("25001"):
        watermark(session)


@pytest.mark.parametrize("level", ["REPEATABLE_READ", "SERIALIZABLE"])
@pytest.mark.parametrize(
    "flight", ["ordinary", "maximum", "a stripe", "mixed batch", "settlement", "new series"]
)
def test_an_older_snapshot_records_after_a_watermark_or_not_at_all(
    prepared: Ledger, new_ledger: NewLedger, flight: str, level: str
) -> None:
    """Also where only the watermark makes its time later."""
    watermark(prepared)
    recorder = new_ledger("recorder", autocommit=False)
    recorder.connection.isolation_level = psycopg.IsolationLevel[level]
    recorder.execute("SELECT")
    set_watermarks_ahead(prepared, HOUR)
    before = log(prepared)
    drawn = watermark(prepared)
    try:
        FLIGHTS[flight](recorder)
        recorder.connection.commit()
    except psycopg.errors.SerializationFailure:
        assert log(prepared) == before
    else:
        assert_all_later(prepared, before, drawn)


def test_an_adjustment_of_a_subject_that_nobody_knows(ledger: Ledger) -> None:
    """There is no series whose corrections could be locked before it is made."""
    ledger.define("s", "sum")
    ledger.connection.execute("SET statement_timeout TO '10s'")
    ledger.call("adjust", subject="a", metric="s", quantity=3, at=at("2026-06-18"), reason="goodwill")
    drawn = watermark(ledger)
    ledger.call("adjust", subject="a", metric="s", quantity=4, at=at("2026-06-18"), reason="goodwill")
    assert ledger.usage("a", "s", period="never", as_of=drawn).quantity == 3
