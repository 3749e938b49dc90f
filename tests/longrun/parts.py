"""What the long run consists of: the same code as the tests, with larger numbers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pymeter import embedded
from pymeter.migrate import migrate
from tests.close.load import Load
from tests.close.survive import archived_server, survive
from tests.close.test_sealed_under_load import AS_DELIVERED, run_sealed
from tests.close.watermark_load import define as define_for_watermarks
from tests.close.watermark_load import run_load
from tests.correct.backfill import run_backfill
from tests.correct.histories import define as define_for_histories
from tests.correct.histories import run_histories
from tests.faults.crashes import connect, run_round
from tests.faults.disks import NoDisk, fill_tablespace, fill_wal
from tests.faults.load import Figures, Journal, assert_exactly_once, define
from tests.faults.servers import Server, new_database, new_server
from tests.faults.storms import Storm, assert_calm, run_storm
from tests.fuzz.fuzzer import Tally, new_fuzzer
from tests.helpers import Ledger
from tests.limits.load import Race, check_race, run_race
from tests.pricing.backtest import as_markdown, backtest, record
from tests.pricing.traffic import GENERATED, TRACE, generated, real, seats, users
from tests.properties.orders import define as define_for_orders
from tests.properties.orders import run_orders
from tests.report.chaos import Chaos
from tests.report.cluster import new_cluster
from tests.report.double import running
from tests.scale.move_load import run_moves
from tests.web.load import run_load as run_http_load


@dataclass(frozen=True)
class Sizes:
    """How long is long."""

    rounds: int
    inputs: int
    minutes: float
    programs: Path | None = None  # of another PostgreSQL than the wheel's


@dataclass
class Result:
    """One row of the table."""

    part: str
    promise: str
    how: str
    figures: str = ""
    command: str = ""
    seconds: float = 0
    failure: str | None = None
    skipped: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


Say = Callable[[str], None]

# Every round kills the postmaster; the rest takes turns.
_KILLS = (
    ["client", "postmaster", "terminate"],
    ["cancel", "postmaster", "everything"],
    ["backend", "client", "postmaster"],
    ["twice", "postmaster", "terminate", "backend"],
)
_ROUND_SECONDS = 4.0
_SEALED_ROUND_SECONDS = 25.0
_EXPLORED = 500
_REPORTERS = 8
_EVENTS_A_ROUND = 1_500
_ORDERS_A_ROUND = 25
_HISTORIES_A_ROUND = 10
_BACKFILLED_A_ROUND = 5_000
_LIMITED_CALLS_A_ROUND = 5_000
_WATERMARKS_A_ROUND = 50
_HISTORIES_A_ROUND = 100
_PROJECTED_A_ROUND = 10
_MOVES_A_ROUND = 25
_ROOT = Path(__file__).parents[2]
_ISOLATIONS = ("read committed", "repeatable read", "serializable")


def crashes(sizes: Sizes, result: Result, say: Say) -> None:
    total = Figures()
    with _server(sizes) as server, tempfile.TemporaryDirectory() as files:
        for number in range(sizes.rounds):
            with new_database(server.dsn) as dsn:
                migrate(dsn)
                with connect(dsn, "longrun") as connection:
                    define(connection)
                kinds = _KILLS[number % len(_KILLS)]
                name = f"round {number + 1}"
                figures = run_round(server, dsn, Journal(), name, kinds, Path(files), _ROUND_SECONDS)
            say(f"{name}: {', '.join(kinds)}: {figures.acknowledged:,} acknowledged")
            total.add(figures)
            result.details = total.as_dict()
            assert_exactly_once(figures)
    kills = ", ".join(f"{n} {kind}" for kind, n in total.faults.items())
    result.figures = (
        f"{total.rounds} rounds; kills and signals: {kills}; {total.acknowledged:,} events acknowledged,"
        f" {_outcome(total)}"
    )


def disks(sizes: Sizes, result: Result, say: Say) -> None:
    total = Figures()
    try:
        with tempfile.TemporaryDirectory() as files:
            with _server(sizes) as server:
                total.add(fill_tablespace(server, Path(files), times=max(2, sizes.rounds // 2)))
            total.add(fill_wal(Path(files), sizes.programs, times=max(1, sizes.rounds // 4)))
    except NoDisk as error:
        result.skipped = str(error)
        return
    result.details = total.as_dict()
    assert_exactly_once(total)
    result.figures = (
        f"disk full {total.rounds} times; {total.acknowledged:,} events acknowledged, {_outcome(total)}"
    )


def storms(sizes: Sizes, result: Result, say: Say) -> None:
    total = Storm(0, 0)
    number = 0
    deadline = time.monotonic() + 60 * sizes.minutes
    with _server(sizes) as server:
        while number == 0 or time.monotonic() < deadline:
            with new_database(server.dsn) as dsn:
                migrate(dsn)
                timeout = 3 if number % 4 == 3 else 0
                storm = run_storm(dsn, sessions=24, events=1500, seed=number, statement_timeout_ms=timeout)
            number += 1
            say(f"storm {number}: {storm.sent:,} sent, {storm.tries_again} tried again")
            _add(total, storm)
            result.details = asdict(total) | {"storms": number, "outcomes": dict(total.outcomes)}
            assert_calm(storm)
    result.figures = (
        f"{number} storms of 24 sessions; {total.events:,} events sent {total.sent:,} times,"
        f" {total.tries_again:,} times tried again (40001), {total.timeouts:,} statements canceled;"
        f" {total.lost} lost, {total.double} double, {total.drifts} drifts, {total.deadlocks} deadlocks"
    )


def limits(sizes: Sizes, result: Result, say: Say) -> None:
    calls = max(6_400, sizes.rounds * _LIMITED_CALLS_A_ROUND)
    with _server(sizes) as server:
        for isolation in _ISOLATIONS:
            race = Race(calls=calls, subjects=200, callers=64, quota=1000, isolation=isolation)
            with new_database(server.dsn) as dsn:
                migrate(dsn)
                told = run_race(dsn, race)
                with connect(dsn, "longrun") as connection:
                    admitted = check_race(Ledger(connection), race, told)
            say(f"{isolation}: {calls:,} calls, {admitted:,} admitted")
            result.details[isolation] = {"calls": calls, "admitted": admitted}
    result.figures = (
        f"{calls:,} calls at each of {len(_ISOLATIONS)} isolation levels, {admitted:,} admitted each time:"
        " exactly what fits; 0 overruns, 0 drifts"
    )


def orders(sizes: Sizes, result: Result, say: Say) -> None:
    number = _ORDERS_A_ROUND * sizes.rounds
    with _server(sizes) as server, new_database(server.dsn) as dsn:
        migrate(dsn)
        with connect(dsn, "longrun") as connection:
            define_for_orders(Ledger(connection))
        first = None
        for done, state in enumerate(run_orders(dsn, number, seed=sizes.rounds), 1):
            first = first or state
            assert state == first, f"order {done} leaves another state"
            if done % 100 == 0:
                say(f"{done} orders, one state")
            result.details = {"orders": done}
    result.figures = f"{number} orders of 400 events, each from 4 sessions: one state"


def corrections(sizes: Sizes, result: Result, say: Say) -> None:
    number = _HISTORIES_A_ROUND * sizes.rounds
    events = _BACKFILLED_A_ROUND * sizes.rounds
    backfills = []
    with _server(sizes) as server:
        for striped in (False, True):
            with new_database(server.dsn) as dsn:
                migrate(dsn)
                with connect(dsn, "longrun") as connection:
                    define_for_histories(Ledger(connection), striped=striped)
                for done, (first, *others) in enumerate(run_histories(dsn, number, seed=sizes.rounds), 1):
                    assert all(other == first for other in others), f"history {done} has several states"
                    if done % 50 == 0:
                        say(f"{done} histories, striped: {striped}")
        for how, aggregate in (("replace", "sum"), ("amend", "sum"), ("replace", "max"), ("amend", "unique")):
            with new_database(server.dsn) as dsn:
                migrate(dsn)
                done = run_backfill(dsn, events, how, aggregate)
            backfills.append(done)
            say(str(done))
            result.details = {"histories": 2 * number, "backfills": [asdict(done) for done in backfills]}
            assert done.longest_wait < 1, done
            assert done.seconds["preview"] < 30, done
    slowest = {step: max(done.seconds[step] for done in backfills) for step in backfills[0].seconds}
    result.figures = (
        f"{2 * number} histories of 40 steps, each in 2 orders: one state, the model's; {events:,} events of"
        f" a subject's month replaced and taken back {len(backfills)} times: "
        + ", ".join(f"{step} {seconds:.1f} s" for step, seconds in slowest.items())
        + f" at most; the longest record() meanwhile {max(b.longest_wait for b in backfills) * 1000:.0f} ms"
    )


def sealed(sizes: Sizes, result: Result, say: Say) -> None:
    total = Load()
    rounds = statements = 0
    deadline = time.monotonic() + 60 * sizes.minutes
    with new_server(sizes.programs, AS_DELIVERED) as server:
        while rounds == 0 or time.monotonic() < deadline:
            load = run_sealed(server, _SEALED_ROUND_SECONDS, rounds, 2)
            rounds += 1
            statements += len(load.documents)
            total.add(load)
            say(f"round {rounds}: {len(load.documents)} statements, {dict(load.done)}")
            result.details = {"rounds": rounds, "statements": statements, "snapshots": total.snapshots}
            result.details |= {"kills": total.kills, "done": dict(total.done), "refused": dict(total.refused)}
    done = total.done
    recorded = sum(number for what, number in done.items() if what.startswith("record"))
    result.figures = (
        f"{rounds} rounds of 8 sessions: {recorded:,} calls that recorded, {done['correct']:,} corrections,"
        f" {statements:,} statements, {done['decision settled']:,} decisions, {total.kills} kills;"
        f" {total.snapshots:,} snapshots in which all added up; 0 statements changed, 0 that do not fit;"
        f" the longest record() {total.longest_record:.1f} s"
    )


def as_of(sizes: Sizes, result: Result, say: Say) -> None:
    number = _WATERMARKS_A_ROUND * sizes.rounds
    with (
        archived_server(sizes.programs, Path(tempfile.gettempdir())) as archived,
        new_database(archived.server.dsn) as dsn,
    ):
        migrate(dsn)
        with connect(dsn, "longrun") as connection:
            define_for_watermarks(Ledger(connection))
        load = run_load(dsn, number, subjects=max(3, number // 20), prepares=True)
        result.details = {name: value for name, value in vars(load).items() if name != "remembered"}
        say(f"{number} watermarks in {load.seconds:.0f} s; {result.details}")
        assert load.longest_draw < 2, load.longest_draw
        assert load.longest_wait < 2, load.longest_wait
        survive(archived, dsn, load.remembered, say, sample=50)
    events = sum(count for what, count in load.recorded.items() if not what.endswith("rollback"))
    result.figures = (
        f"{number} watermarks in {load.seconds:.0f} s beside {events:,} recordings and corrections;"
        f" {load.gave_up} more gave up (55P03); drawn or given up within {load.longest_draw * 1000:.0f} ms;"
        " the longest record() of a subject whose watermarks are drawn"
        f" {load.longest_wait * 1000:.0f} ms; every answer the same after repairs, kill -9, a restore and a"
        " failover to a server whose clock is an hour behind"
    )


def fuzz(sizes: Sizes, result: Result, say: Say) -> None:
    total = Tally()
    with new_fuzzer(sizes.programs) as fuzzer:
        seed = 0
        while total.inputs < sizes.inputs:
            seed += 1
            for name in fuzzer.functions:
                total.add(fuzzer.fuzz(name, _EXPLORED, seed))
            say(f"pass {seed}: {total.inputs:,} inputs")
            result.details = asdict(total) | {
                "inputs": total.inputs,
                "functions": len(fuzzer.functions),
                "refused": dict(total.refused),
                "unreadable": dict(total.unreadable),
            }
    result.figures = (
        f"{total.inputs:,} inputs to {len(fuzzer.functions)} functions: {total.answered:,} answered,"
        f" {total.refused.total():,} refused as documented,"
        f" {total.unreadable.total():,} not a value of the type,"
        f" {total.unsendable:,} not sent by the client, {total.too_long} ended by the caller's timeout;"
        " 0 other errors, 0 rows written by a refusal"
    )


def reports(sizes: Sizes, result: Result, say: Say) -> None:
    with (
        new_cluster(sizes.programs) as cluster,
        running.in_process() as double,
        tempfile.TemporaryDirectory() as files,
    ):
        migrate(cluster.dsn)
        chaos = Chaos(
            cluster.dsn, double, Path(files), reporters=_REPORTERS, seed=sizes.rounds, cluster=cluster
        )
        found = chaos.run(rounds=sizes.rounds, events=_EVENTS_A_ROUND * sizes.rounds)
    say(f"{found.events:,} events, {found.kills} kills")
    calls = found.counters["requests"]["create_meter_event"]
    result.details = {"events": found.events, "kills": found.kills, "jumps": found.jumps, "calls": calls}
    result.details |= {
        "suspended": found.suspended,
        "restores": found.restores,
        "failovers": found.failovers,
    }
    result.details |= {"states": found.states, "by_person": found.by_person}
    found.check()
    result.figures = (
        f"{found.events:,} events, {_REPORTERS} reporters killed {found.kills} times and suspended"
        f" {found.suspended} times, {found.restores} restores, {found.failovers} failovers to a standby that"
        f" lagged, {found.jumps} jumps of the clock; {sum(calls.values()):,} calls;"
        " 0 lost, 0 double, 0 conflicts;"
        f" {found.by_person:,} uncertain pushes that totals could not tell apart, looked up by a person"
    )


def repeats(sizes: Sizes, result: Result, say: Say) -> None:
    """In a process of its own, as pytest would take its settings from this one."""
    histories = str(_HISTORIES_A_ROUND * sizes.rounds)
    environment = {"PYMETER_TEST_AT_LENGTH": "1", "PYMETER_LIMIT_HISTORIES": histories}
    environment["PYMETER_TOP_UP_HISTORIES"] = histories
    with ExitStack() as stack:
        if sizes.programs:
            settings = embedded._SETTINGS | embedded._TEMPORARY_SETTINGS
            server = stack.enter_context(new_server(sizes.programs, settings))
            environment["PYMETER_TEST_DSN"] = server.dsn
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-m", "at_length", "tests"],
            env=os.environ | environment,
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    last = done.stdout.rstrip().rpartition("\n")[2].strip("= ")
    say(last)
    assert done.returncode == 0, done.stdout[-2000:]
    result.figures = f"{last}; {histories} histories of limits, and of top-ups for each kind of metric"


def projections(sizes: Sizes, result: Result, say: Say) -> None:
    """Prints the table of sql/project/README.md."""
    subjects = max(2, sizes.rounds * _PROJECTED_A_ROUND)
    kinds = [lambda kind=kind: generated(kind, subjects) for kind in GENERATED]
    kinds += [lambda: seats(subjects), lambda: users(subjects)]
    if TRACE.exists():
        kinds.insert(0, real)
    else:
        say(f"no {TRACE}: without the real traffic")
    scores = []
    with _server(sizes) as server:
        for make in kinds:
            with new_database(server.dsn) as dsn:
                migrate(dsn)
                with connect(dsn, "longrun") as connection:
                    ledger = Ledger(connection)
                    scores += backtest(ledger, record(ledger, make()))
            say(", ".join(f"{one.kind} {one.share} %: {len(one.expected)}" for one in scores[-3:]))
    say(f"\n{as_markdown(scores)}")
    known = [one for one in scores if one.expected and one.kind != "dying"]
    inside = sum(one.inside for one in known) / sum(len(one.expected) for one in known)
    result.details = {"scores": [asdict(one) for one in scores]}
    projected, unknown = sum(len(one.expected) for one in scores), sum(one.unknown for one in scores)
    result.figures = (
        f"{projected:,} projections, {unknown:,} times none; without dying usage,"
        f" {inside:.0%} of what was used lay between low and high"
    )
    assert inside >= 0.75, result.figures


def http(sizes: Sizes, result: Result, say: Say) -> None:
    with (
        _server(sizes) as server,
        new_database(server.dsn) as dsn,
        tempfile.TemporaryDirectory() as files,
    ):
        migrate(dsn)
        with connect(dsn, "longrun") as connection:
            Ledger(connection).define("tokens", "sum", "token")
        found = run_http_load(dsn, 60 * sizes.minutes, Path(files), say)
    result.details = vars(found) | {"growth": found.growth}
    found.check_counts()
    found.check_memory()
    result.figures = f"{found}; memory flat: {found.growth:+.1%}"


def moves(sizes: Sizes, result: Result, say: Say) -> None:
    with tempfile.TemporaryDirectory() as files:
        count = _MOVES_A_ROUND * sizes.rounds
        figures = run_moves(Path(files), count, 60 * sizes.minutes * sizes.rounds, say, sizes.programs)
    result.details = vars(figures)
    figures.check()
    result.figures = str(figures)


PARTS: dict[str, tuple[str, str, Callable[[Sizes, Result, Say], None]]] = {
    "crashes": (
        "P1 once, P2 idempotent, P4 rollups equal the log",
        "kill -9 of postmaster, backends, all processes and clients while 8 writers record singles, batches"
        " and transactions beside maintain() and rebuild(); restart; compare; send what had no answer again",
        crashes,
    ),
    "disks": (
        "P1, P2, P4 out of disk",
        "a tablespace, then the WAL's disk, run full while 8 writers record",
        disks,
    ),
    "storms": (
        "P2, P3 order-free, P4; no deadlock",
        "24 sessions send the same events at every isolation level, in random order and batches, beside"
        " maintain(), rebuild(), verify() and define_metric()",
        storms,
    ),
    "limits": (
        "P11 no overshoot",
        "64 callers record for 200 subjects with a quota of 1,000 each, half as much again as fits, at every"
        " isolation level; what was admitted, totals, keys and log compared",
        limits,
    ),
    "orders": (
        "P3 order-free",
        "the same events in random orders, singly and in batches, some sent by several of 4 sessions; all of"
        " series, rollups and members compared",
        orders,
    ),
    "corrections": (
        "P3 order-free with corrections; nobody waits long",
        "events, voids, amends, adjustments, approved and reverted corrections in random orders, compared"
        " with each other and with a naive model; then a month of a subject is replaced while it records",
        corrections,
    ),
    "sealed": (
        "P12 sealed means sealed",
        "usage, late usage, corrections, closes and decisions from 8 sessions while the server is killed;"
        " statements compared with what they were, and with the log; the invariant in single snapshots",
        sealed,
    ),
    "as-of": (
        "What is at or below a watermark is final",
        "watermarks are drawn while 8 sessions record and correct, commit, roll back, prepare and hang; what"
        " summary(), series() and events() said as of each is asked again after repairs, maintain(),"
        " kill -9, a dump and restore, and a failover by archived WAL to a server whose clock is behind",
        as_of,
    ),
    "projections": (
        "Projections come with a range that holds",
        "real traffic (stretched to 58 days) and generated usage, projected from a quarter, the half and"
        " three quarters of a cycle, and compared with what was used at its end",
        projections,
    ),
    "fuzz": (
        "P8 bad input is refused",
        "a corpus of hostile values and hypothesis, for every parameter of every public function",
        fuzz,
    ),
    "reports": (
        "P10 reported once",
        "reporters are killed and suspended at any moment while usage is recorded, the network fails before"
        " and after calls are applied, the server is restored from a backup and fails over to a standby that"
        " lags, and the clock jumps, also past 24 hours; totals per customer, meter and hour compared",
        reports,
    ),
    "http": (
        "P1, P2 over HTTP; memory is bounded",
        "`pymeter web` under load, while hostile requests come from the same address and its connections to"
        " the database are terminated; SIGTERM in the middle; the log compared with what was acknowledged",
        http,
    ),
    "moves": (
        "P1, P2, P10, P12 while subjects move between shards",
        "subjects move to and fro between two servers while 4 writers record and a biller is told, movers,"
        " servers and connections are killed; events, keys, statements and what the biller got compared",
        moves,
    ),
    "repeats": (
        "P3, P4, P5, P10, P11",
        "the tests of the suite that are marked `at_length`: all combinations of which the suite tries some,"
        " and the numbers of races, examples and histories that it cuts down",
        repeats,
    ),
}


@contextmanager
def _server(sizes: Sizes) -> Iterator[Server]:
    """On a disk: what is flushed is flushed to something."""
    with new_server(sizes.programs, directory=Path(tempfile.gettempdir())) as server:
        yield server


def _outcome(figures: Figures) -> str:
    return (
        f"{figures.unanswered:,} without an answer ({figures.of_them_counted:,} of them counted,"
        f" {figures.retried:,} sent again); {figures.lost} lost, {figures.double} double,"
        f" {figures.drifts} drifts"
    )


def _add(total: Storm, storm: Storm) -> None:
    for name, value in vars(storm).items():
        setattr(total, name, getattr(total, name) + value)
