"""Eight sessions record, correct, close, decide and maintain, while others look and the server is killed."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg

from tests.close.closing import define_each, payload, settle, unbalanced
from tests.faults.load import INTERRUPTED
from tests.helpers import AGGREGATES, Ledger, at

FIRST = at("2026-06-01")
WEEKS = 6
LAST = FIRST + timedelta(weeks=WEEKS)
NAMED = ("a", "b", "c")  # close_period() closes days of theirs
CYCLED = ("u", "v", "w")  # close_due() closes their weeks
SUBJECTS = (*NAMED, *CYCLED)
# metric -> aggregate
METRICS = {
    **{aggregate: aggregate for aggregate in AGGREGATES},
    "seats": "last",
    "striped": "sum",
    "limited": "sum",
    "refusing": "count",
}
RECORDING = ("40001",)  # what a recorder may be told; never a deadlock, never a lock that it did not get
# Somebody else is at it; or it is too late: a part is closed already, an event is gone or is corrected since.
OTHERWISE = ("55P03", "40001", "40P01", "22023", "UM004", "UM007", "55000")


def define(ledger: Ledger) -> None:
    define_each(ledger)
    ledger.define("seats", "last", carry=True)
    ledger.define("striped", "sum", striped=True)
    ledger.define("limited", "sum")
    ledger.define("refusing", "count", after_close="refuse")
    ledger.call("set_limit", metric="limited", quota=1_000_000)
    for subject in CYCLED:
        ledger.call("set_billing_cycle", subject=subject, anchor=FIRST, every="week")
    ledger.call("define_plan", plan="pro")
    ledger.call(
        "subscribe",
        subject="u",
        plan="pro",
        since=FIRST + timedelta(days=10),
        until=FIRST + timedelta(days=24),
    )


@dataclass
class Load:
    """What has been done, and what went wrong."""

    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    documents: dict[int, str] = field(default_factory=dict)
    snapshots: int = 0
    kills: int = 0
    statements: int = 60  # that close_period() stops at
    longest_record: float = 0
    longest_wait_for_closer: float = 0

    def add(self, other: Load) -> None:
        self.done += other.done
        self.refused += other.refused
        self.snapshots += other.snapshots
        self.kills += other.kills
        self.longest_record = max(self.longest_record, other.longest_record)
        self.longest_wait_for_closer = max(self.longest_wait_for_closer, other.longest_wait_for_closer)


class Session:
    """One of the eight, with a connection that it makes anew whenever the server was gone."""

    def __init__(self, dsn: str, name: str, acts: Sequence[str], seed: int, load: Load) -> None:
        self.dsn = dsn
        self.name = name
        self.acts = acts
        self.draw = random.Random(f"{seed} {name}")
        self.load = load
        self.number = 0
        self.keys: list[tuple[str, str, str]] = []
        self.corrections: list[int] = []

    def run(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            try:
                with psycopg.connect(self.dsn, autocommit=True, application_name=self.name) as connection:
                    self.ledger = Ledger(connection)
                    while not stopped.is_set():
                        self.act(self.draw.choice(self.acts))
            except psycopg.OperationalError as error:
                if error.sqlstate is not None and error.sqlstate not in INTERRUPTED:
                    self.load.wrong.append(f"{self.name}: {error}")
                time.sleep(0.02)
            except Exception as error:
                self.load.wrong.append(f"{self.name}: {type(error).__name__}: {error}")
                return

    def act(self, what: str) -> None:
        tolerated = RECORDING if what.startswith("record") else OTHERWISE
        if what == "record_refusing":
            tolerated = (*RECORDING, "UM004")
        started = time.monotonic()
        try:
            getattr(self, what)()
            self.load.done[what] += 1
        except psycopg.Error as error:
            if error.sqlstate is None or error.sqlstate in INTERRUPTED:
                raise
            if error.sqlstate not in tolerated:
                self.load.wrong.append(f"{self.name}: {what}: {error.sqlstate} {error}")
            self.load.refused[f"{what} {error.sqlstate}"] += 1
        if what.startswith("record"):
            self.load.longest_record = max(self.load.longest_record, time.monotonic() - started)

    # -------------------------------------------------------------------------------------- what it does

    def moment(self) -> datetime:
        return FIRST + timedelta(seconds=self.draw.randrange(WEEKS * 7 * 86400))

    def event(self, metrics: Sequence[str] = tuple(METRICS)) -> dict[str, Any]:
        self.number += 1
        metric, subject = self.draw.choice(metrics), self.draw.choice(SUBJECTS)
        key = f"{self.name} {self.number}"
        self.keys.append((subject, metric, key))
        given = payload(METRICS[metric], self.draw.randint(1, 9))
        return {"subject": subject, "metric": metric, "at": self.moment(), "idempotency_key": key, **given}

    def record_single(self) -> None:
        self.ledger.record(**self.event([metric for metric in METRICS if metric != "refusing"]))

    def record_refusing(self) -> None:
        self.ledger.record(**self.event(["refusing"]))

    def record_now(self) -> None:
        metric = self.draw.choice(("sum", "striped", "limited", "unique", "max"))
        self.ledger.record(
            self.draw.choice(SUBJECTS), metric, **payload(METRICS[metric], self.draw.randint(1, 9))
        )

    def record_batch(self) -> None:
        told = self.ledger.batch([self.event() for _ in range(self.draw.choice((2, 5, 30)))], "skip")
        if any(row.outcome == "rejected" and row.sqlstate != "UM004" for row in told):
            self.load.wrong.append(f"{self.name}: {told}")

    def correct(self) -> None:
        how = self.draw.choice(("void", "move", "adjust", "revert"))
        if how == "revert" and self.corrections:
            number = self.corrections.pop(self.draw.randrange(len(self.corrections)))
            self.ledger.call("revert_correction", id=number, reason="a mistake")
            return
        if how in ("adjust", "revert") or not self.keys:
            metric, quantity = self.draw.choice(("sum", "striped")), self.draw.choice((-6, -3, 2, 4))
            given: dict[str, Any] = {
                "subject": self.draw.choice(SUBJECTS),
                "metric": metric,
                "quantity": quantity,
            }
            done = self.ledger.call("adjust", **given, at=self.moment(), reason="why")[0]
        else:
            subject, metric, key = self.draw.choice(self.keys)
            given = {"subject": subject, "metric": metric, "idempotency_key": key, "reason": "why"}
            if how == "move":
                given["at"] = self.moment()
            done = self.ledger.call("void_event" if how == "void" else "amend_event", **given)[0]
        if done.outcome == "applied":
            self.corrections.append(done.correction_id)

    def close_period(self) -> None:
        if len(self.load.documents) >= self.load.statements:
            return
        since = FIRST + timedelta(days=self.draw.randrange(WEEKS * 7))
        until = since + timedelta(days=self.draw.choice((1, 7, 20)), hours=self.draw.choice((0, 5)))
        self.remember(
            [
                self.ledger.call("close_period", subject=self.draw.choice(NAMED), since=since, until=until)[
                    0
                ].statement_id
            ]
        )

    def close_due(self) -> None:
        now = self.moment() + timedelta(days=7)
        rows = self.ledger.call("close_due", now=now, max_rows=self.draw.choice((1, 3, 1000)))
        for row in rows:
            if row.outcome == "postponed":
                self.load.refused[f"close_due postponed {row.sqlstate}"] += 1
                if row.sqlstate not in ("55P03", "40P01"):
                    self.load.wrong.append(f"close_due: {row}")
        self.remember([row.statement_id for row in rows if row.outcome == "closed"])

    def remember(self, statements: Sequence[int]) -> None:
        for statement in statements:
            text = self.ledger.value("SELECT meter.statement_document(%s)", [statement])
            if self.load.documents.setdefault(statement, text) != text:
                self.load.wrong.append(f"statement {statement} has changed")

    def decide(self) -> None:
        lines = self.ledger.call(
            "late_usage", **self.draw.choice(({}, {"subject": self.draw.choice(SUBJECTS)}))
        )
        if lines:
            line = self.draw.choice(lines)
            told = settle(
                self.ledger,
                line.statement_id,
                line.metric,
                line.delta,
                self.draw.choice(("bill", "bill", "waive")),
            )
            self.load.done[f"decision {told.outcome}"] += 1

    def set_late_usage(self) -> None:
        self.ledger.call(
            "set_setting", name="late_usage", value=self.draw.choice(("ask", "ask", "bill", "waive"))
        )

    def maintain(self) -> None:
        self.ledger.call(self.draw.choice((*["maintain"] * 4, "rebuild")))

    def watermark(self) -> None:
        self.ledger.call("watermark", subject=self.draw.choice(SUBJECTS))

    def define(self) -> None:
        self.ledger.define("sum", "sum", name=f"number {self.draw.random()}")

    def limit(self) -> None:
        self.ledger.call(
            "set_limit",
            metric="limited",
            quota=self.draw.randint(10**6, 2 * 10**6),
            subject=self.draw.choice(SUBJECTS),
        )


def run_load(
    dsn: str,
    sessions: dict[str, Sequence[str]],
    seconds: float,
    seed: int = 0,
    *,
    kill: Callable[[], None] | None = None,
    kills: int = 0,
    look: bool = True,
    statements: int = 60,
) -> Load:
    """``sessions``: application_name -> what that session does. look: somebody compares all the time."""
    load = Load(statements=statements)
    stopped = threading.Event()
    workers = [Session(dsn, name, acts, seed, load) for name, acts in sessions.items()]
    threads = [threading.Thread(target=worker.run, args=(stopped,), daemon=True) for worker in workers]
    lookers = (_look, _watch) if look else (_watch,)
    threads += [threading.Thread(target=t, args=(dsn, load, stopped), daemon=True) for t in lookers]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    for n in range(kills):
        time.sleep(max(0, started + seconds * (n + 1) / (kills + 1) - time.monotonic()))
        assert kill is not None
        kill()
        load.kills += 1
    time.sleep(max(0, started + seconds - time.monotonic()))
    stopped.set()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "somebody never ended"
    return load


def _look(dsn: str, load: Load, stopped: threading.Event) -> None:
    """In single snapshots, all the time: the invariant of every line, and nothing that does not fit."""
    while not stopped.is_set():
        try:
            with psycopg.connect(dsn, autocommit=True, application_name="reader") as connection:
                ledger = Ledger(connection)
                while not stopped.is_set():
                    load.wrong += [f"unbalanced: {row}" for row in unbalanced(ledger)[:3]]
                    load.wrong += [f"does not fit: {row}" for row in ledger.call("verify_statements")[:3]]
                    load.snapshots += 1
                    time.sleep(0.2)
        except psycopg.Error as error:
            if error.sqlstate is not None and error.sqlstate not in (*INTERRUPTED, "40001"):
                load.wrong.append(f"reader: {error.sqlstate} {error}")
            time.sleep(0.02)


_BLOCKED = """
SELECT DISTINCT r.pid FROM pg_stat_activity r, unnest(pg_blocking_pids(r.pid)) b (pid), pg_stat_activity c
WHERE r.application_name LIKE 'recorder%' AND r.wait_event_type = 'Lock' AND c.pid = b.pid
  AND c.application_name LIKE 'closer%' AND r.datname = current_database()
"""


def _watch(dsn: str, load: Load, stopped: threading.Event) -> None:
    """How long a recorder waits without a break for a session that closes."""
    since: dict[int, float] = {}
    while not stopped.wait(0.01):
        try:
            with psycopg.connect(dsn, autocommit=True, application_name="watcher") as connection:
                while not stopped.wait(0.01):
                    now = time.monotonic()
                    blocked = {pid for (pid,) in connection.execute(_BLOCKED).fetchall()}
                    since = {pid: since.get(pid, now) for pid in blocked}
                    longest = max((now - start for start in since.values()), default=0.0)
                    load.longest_wait_for_closer = max(load.longest_wait_for_closer, longest)
        except psycopg.Error:
            since = {}


def check(dsn: str, load: Load) -> None:
    """Afterwards: nothing has changed, all fits, and a billed decision stands on one later statement."""
    assert load.wrong == [], load.wrong[:5]
    with ExitStack() as stack:
        ledger = Ledger(stack.enter_context(psycopg.connect(dsn, autocommit=True)))
        ledger.call("set_setting", name="late_usage", value="ask")
        assert ledger.verify() == []
        assert unbalanced(ledger) == []
        assert ledger.call("verify_statements") == []
        for statement, text in load.documents.items():
            assert ledger.value("SELECT meter.statement_document(%s)", [statement]) == text
        _check_sums(ledger)
        for subject in SUBJECTS:
            ledger.call(
                "close_period",
                subject=subject,
                since=LAST + timedelta(days=60),
                until=LAST + timedelta(days=61),
            )
        _check_decisions(ledger)
        assert unbalanced(ledger) == []
        assert ledger.call("verify_statements") == []


def _check_sums(ledger: Ledger) -> None:
    """Sums of the log as of the watermark, without a function of the ledger."""
    wrong = ledger.rows(
        "SELECT l.statement_id, l.metric, l.quantity, e.quantity AS logged"
        " FROM meter.statement_lines l JOIN meter.statements t USING (statement_id)"
        " JOIN meter.sealed_subjects w ON w.subject_id = t.subject_id"
        " CROSS JOIN LATERAL ("
        "  SELECT coalesce(sum(e.quantity), 0) AS quantity FROM meter.logged_events e"
        "  WHERE e.subject = w.subject AND e.metric = l.metric AND e.at >= t.since AND e.at < t.until"
        "   AND e.recorded_at <= t.watermark) e"
        " WHERE l.kind = 'usage' AND l.aggregate IN ('sum', 'count') AND l.quantity <> e.quantity"
    )
    assert wrong == []


def _check_decisions(ledger: Ledger) -> None:
    assert (
        ledger.rows(
            "SELECT d.* FROM meter.late_decisions d"
            " LEFT JOIN meter.statements b ON b.statement_id = d.billed_on"
            " JOIN meter.statements t ON t.statement_id = d.statement_id"
            " WHERE d.decision = 'bill' AND (b.statement_id IS NULL OR b.statement_id <= t.statement_id"
            "  OR b.subject_id <> t.subject_id) OR d.decision = 'waive' AND d.billed_on IS NOT NULL"
        )
        == []
    )
    assert (
        ledger.rows(
            "SELECT * FROM (SELECT statement_id, metric, sum(quantity) AS decided FROM meter.late_decisions"
            "  WHERE decision = 'bill' GROUP BY 1, 2) d"
            " FULL JOIN (SELECT late_of AS statement_id, metric, sum(quantity) AS stated"
            "  FROM meter.statement_lines"
            "  WHERE kind = 'late' GROUP BY 1, 2) l USING (statement_id, metric)"
            " WHERE coalesce(d.decided, 0) <> coalesce(l.stated, 0)"
        )
        == []
    )
