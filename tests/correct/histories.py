"""Histories of events and corrections, and their effect on a meter, in any order that is possible.

A step concerns lines: an event with whatever replaces it, or an adjustment. Steps of one line keep their
order: who corrects an event knows it. All others may come in any order.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from tests.correct.model import Key, Model, Refused
from tests.helpers import Ledger, _plain, at, refused, same_quantity
from tests.properties.orders import State, read_state

KINDS = {
    "count": ("month", "hour"),
    "sum": ("month", "hour"),
    "min": ("day", "none"),
    "max": ("week", "day"),
    "avg": ("hour", "day"),
    "last": ("minute", "hour"),
    "unique": ("never", "day"),
    "sum2": ("year", "none"),
    "sum3": ("minute", "minute"),
    "max2": ("month", "minute"),
    "unique2": ("week", "hour"),
    "unique3": ("month", "none"),
    "last2": ("month", "day"),
}
METRICS = {key: key.rstrip("23") for key in KINDS}
SUBJECTS = ("a", "b")
_STRIPES = 3

# Few different instants, on and beside the boundaries of buckets, so that buckets, keys and times meet.
_OFFSETS = (timedelta(0), timedelta(microseconds=-1), timedelta(seconds=30), timedelta(hours=5))
_PAST = [
    at(base) + offset for base in ("2026-01-01", "2026-03-01 00:30", "2026-03-02") for offset in _OFFSETS
]
_NOW = datetime.now(UTC).replace(microsecond=0)
_PRESENT = [_NOW - timedelta(seconds=seconds) for seconds in (0, 1, 61, 3600, 7200, 26 * 3600)]
MOMENTS = [*_PAST, *_PRESENT]
WINDOWS = [
    (None, None),
    (at("2026-01-01"), at("2026-03-02")),
    (at("2026-03-01"), at("2026-03-02")),
    (at("2026-03-01 05:30"), at("2026-03-02 05:00:30")),
    (_PRESENT[3], _NOW + timedelta(days=1)),
]
_METADATA = (None, {"model": "large"}, {"model": "small", "n": 1})

Event = dict[str, Any]


@dataclass
class Step:
    """``name`` is that of the row that the step makes, and of the correction that it is."""

    what: str  # record, void, amend, adjust, correction, reject or revert
    name: str
    lines: set[str]
    given: Event = field(default_factory=dict)
    target: str | Key | None = None
    entries: list[Step] = field(default_factory=list)


# ------------------------------------------------------------------------------------------------ making one


class Author:
    """Makes a history step by step; a model tells which steps do something."""

    def __init__(
        self, draw: random.Random, metrics: Sequence[str] = tuple(KINDS), *, name: str = "s", number: int = 0
    ) -> None:
        """``name`` and ``number`` tell its rows and times from those of other authors."""
        self.draw = draw
        self.metrics = metrics
        self.name = name
        self.model = Model(METRICS)
        self.line: dict[str, str] = {}
        self.events: list[Step] = []
        self.number = number

    def history(self, length: int) -> list[Step]:
        makers = {
            self.event: 9,
            self.repeat: 2,
            self.void: 3,
            self.amend: 4,
            self.adjust: 2,
            self.correction: 3,
            self.revert: 4,
        }
        steps = [self.event()]
        self.apply(steps[0])
        while len(steps) < length:
            (make,) = self.draw.choices(list(makers), list(makers.values()))
            step = make()
            if step is not None:
                steps.append(step)
                if step.what != "correction":  # whose entries are applied as they are made
                    self.apply(step)
        return steps

    def apply(self, step: Step) -> None:
        tell(self.model, step)

    def new_name(self) -> str:
        self.number += 1
        return f"{self.name}{self.number}"

    def moment(self, metric: str) -> datetime:
        """No two events of `last` have one time: which of them counts is not left to who comes first."""
        moment = self.draw.choice(MOMENTS)
        if METRICS[metric] == "last":
            self.number += 1
            moment += timedelta(microseconds=2 * self.number)
        return moment

    def quantity(self, metric: str) -> Decimal:
        value = self.draw.choice(
            [
                Decimal(self.draw.randint(0, 9)),
                Decimal(self.draw.randint(0, 10**9)).scaleb(-3),
                Decimal("1e-40"),
                Decimal("1e60"),
            ]
        )
        signed = METRICS[metric] in ("min", "max", "avg", "last")
        return -value if signed and self.draw.random() < 0.4 else value

    def payload(self, metric: str) -> Event:
        if METRICS[metric] == "unique":
            return {"member": self.draw.choice("uvwU")}
        if METRICS[metric] == "count" and self.draw.random() < 0.5:
            return {}
        return {"quantity": self.quantity(metric)}

    def event(self) -> Step:
        name, metric = self.new_name(), self.draw.choice(self.metrics)
        given: Event = {
            "subject": self.draw.choice(SUBJECTS),
            "metric": metric,
            "at": self.moment(metric),
            "metadata": self.draw.choice(_METADATA),
            "idempotency_key": f"key-{name}" if self.draw.random() < 0.6 else None,
            **self.payload(metric),
        }
        self.line[name] = name
        step = Step("record", name, {name}, given)
        self.events.append(step)
        return step

    def repeat(self) -> Step | None:
        """A retry of the first payload or of one that replaced it, or another use of the key."""
        keyed = [step for step in self.events if step.given["idempotency_key"]]
        if not keyed:
            return None
        first = self.draw.choice(keyed)
        given = dict(first.given)
        known = [row for name, row in self.model.rows.items() if self.line[name] == first.name]
        payload = self.draw.choice(known).payload()
        column = "member" if METRICS[given["metric"]] == "unique" else "quantity"
        given[column] = "other" if column == "member" else Decimal(77)
        if self.draw.random() < 0.7:
            given[column] = payload
        if self.draw.random() < 0.3:
            given["at"] = self.moment(given["metric"])
        return Step("record", self.new_name(), {first.name}, given)

    def target(self) -> tuple[str, str | Key]:
        """A row that counts, most of the time, named by its id or its key."""
        names = [name for name, row in self.model.rows.items() if row.kind == "usage"]
        active = [name for name in names if self.model.rows[name].active]
        name = self.draw.choice(active if active and self.draw.random() < 0.8 else names)
        row = self.model.rows[name]
        if row.key is not None and self.draw.random() < 0.5:
            return name, (row.subject, row.metric, row.key)
        return name, name

    def void(self) -> Step:
        name, target = self.target()
        return Step("void", self.new_name(), {self.line[name]}, self.whose(name), target)

    def whose(self, name: str) -> Event:
        row = self.model.rows[name]
        return {"subject": row.subject, "metric": row.metric}

    def amend(self) -> Step:
        old, target = self.target()
        row = self.model.rows[target if isinstance(target, str) else self.model.keys[target]]
        changes: Event = {}
        if self.draw.random() < 0.7:
            changes |= self.payload(row.metric)
        if self.draw.random() < 0.4:
            changes["at"] = self.moment(row.metric)
        if self.draw.random() < 0.3:
            changes["metadata"] = {"amended": self.number}
        if self.draw.random() < 0.1:  # nothing changes
            column = "member" if METRICS[row.metric] == "unique" else "quantity"
            changes = {column: row.payload()}
        if not changes:
            changes["metadata"] = {"amended": self.number}
        name = self.new_name()
        self.line[name] = self.line[old]
        return Step("amend", name, {self.line[old]}, {**self.whose(old), **changes}, target)

    def adjust(self) -> Step:
        name = self.new_name()
        metric = self.draw.choice([key for key in self.metrics if METRICS[key] in ("sum", "count")])
        quantity = self.quantity(metric) * self.draw.choice((1, -1))
        self.line[name] = name
        given = {
            "subject": self.draw.choice(SUBJECTS),
            "metric": metric,
            "quantity": quantity,
            "at": self.moment(metric),
        }
        return Step("adjust", name, {name}, given)

    def correction(self) -> Step:
        """Some entries, each of another line; sometimes they are never approved."""
        step = Step("correction" if self.draw.random() < 0.8 else "reject", self.new_name(), set())
        for _ in range(self.draw.randint(1, 6)):
            makers = [self.void, self.amend, self.event]
            if any(METRICS[key] in ("sum", "count") for key in self.metrics):
                makers.append(self.adjust)
            entry = self.draw.choice(makers)()
            if entry.lines & step.lines:
                continue
            if entry.what == "record" and step.what == "reject":
                self.events.remove(entry)  # nobody will know of it
            step.entries.append(entry)
            step.lines |= entry.lines
        if step.what == "correction":
            self.apply(step)
        return step

    def revert(self) -> Step | None:
        done = [name for name, correction in self.model.corrections.items() if correction.entries]
        possible = [
            name
            for name in done
            if not self.model.corrections[name].reverted
            and self.model.corrections[name].reverts is None
            and not self.model.later(name)
        ]
        chosen = possible if possible and self.draw.random() < 0.9 else done
        if not chosen:
            return None
        name = self.draw.choice(chosen)
        lines = {self.line[row] for row in self.model.touched(name)}
        return Step("revert", self.new_name(), lines, target=name)


def tell(model: Model, step: Step, correction: str | None = None) -> list[str]:
    """The model does it too; outcomes."""
    name = correction or step.name
    if step.what == "record":
        if correction is None:
            return [model.record(step.name, step.given)]
        outcome = model.record_entry(name, step.name, step.given)
        return [outcome]
    if step.what == "void":
        assert step.target is not None
        return [model.void(name, step.target)]
    if step.what == "amend":
        assert step.target is not None
        changes = {k: v for k, v in step.given.items() if k not in ("subject", "metric")}
        return [model.amend(name, step.target, step.name, changes)]
    if step.what == "adjust":
        return [model.adjust(name, step.name, **step.given)]
    if step.what == "correction":
        model.open(name)
        return [outcome for entry in step.entries for outcome in tell(model, entry, name)]
    if step.what == "revert":
        assert isinstance(step.target, str)
        try:
            model.revert(name, step.target)
        except Refused:
            return ["refused"]
        return ["applied"]
    return []


def shuffled(steps: Sequence[Step], draw: random.Random) -> list[Step]:
    """Another order of the same steps, in which those of one line keep theirs."""
    left = list(steps)
    order = []
    while left:
        possible = []
        blocked: set[str] = set()
        for step in left:
            if not step.lines & blocked:
                possible.append(step)
            blocked |= step.lines
        step = draw.choice(possible)
        left.remove(step)
        order.append(step)
    return order


# ----------------------------------------------------------------------------------------------- living one


class Life:
    """A history in a meter, under subjects of its own; the model beside it."""

    alone = True  # whether nobody else writes for these subjects

    def __init__(self, sessions: Sequence[Ledger], prefix: str, draw: random.Random) -> None:
        self.sessions = sessions
        self.names = {subject: f"{prefix}-{subject}" for subject in SUBJECTS}
        self.draw = draw
        self.model = Model(METRICS)
        self.ids: dict[str, int] = {}
        self.corrections: dict[str, int] = {}

    @property
    def session(self) -> Ledger:
        return self.draw.choice(self.sessions)

    def approve(self, session: Ledger, number: int) -> None:
        session.rows("SELECT FROM meter.approve_correction(%s)", [number])

    def live(self, steps: Sequence[Step], check_every: int = 6) -> None:
        left = list(steps)
        turns = 0
        while left:
            size = self.draw.randint(1, 5)
            piece = []
            while left and left[0].what == "record" and len(piece) < size:
                piece.append(left.pop(0))
            if piece:
                self.record(piece)
            else:
                self.do(left.pop(0))
            turns += 1
            if self.alone and turns % check_every == 0:
                self.verify()

    def verify(self) -> None:
        for name in self.names.values():
            assert self.sessions[0].verify(subject=name) == []

    def record(self, piece: Sequence[Step]) -> None:
        expected = [outcome for step in piece for outcome in tell(self.model, step)]
        events = [self.renamed(step.given) for step in piece]
        if len(piece) > 1 or self.draw.random() < 0.3:
            told = self.session.batch([{k: v for k, v in e.items() if v is not None} for e in events])
        else:
            told = [self.session.record(**event) for event in events]
        assert [row.outcome for row in told] == expected
        for step, row in zip(piece, told, strict=True):
            if row.outcome == "recorded":
                self.ids[step.name] = row.event_id

    def do(self, step: Step) -> None:
        if step.what == "revert":
            self.revert(step)
        elif step.what in ("correction", "reject"):
            self.stage(step.name, step.entries, approve=step.what == "correction")
        elif self.draw.random() < 0.3:
            self.stage(step.name, [step], approve=True)
        else:
            self.at_once(step)

    def at_once(self, step: Step) -> None:
        (expected,) = tell(self.model, step)
        parameters = {**self.entry(step), "reason": "why"}
        parameters.pop("entry")
        if "metadata" in parameters:
            parameters["metadata"] = Jsonb(parameters["metadata"])
        function = "adjust" if step.what == "adjust" else f"{step.what}_event"
        if step.what == "void" and isinstance(step.target, str) and self.draw.random() < 0.5:
            parameters["at"] = self.model.rows[step.target].at
        (told,) = self.session.call(function, **parameters)
        assert told.outcome == expected, (step, told)
        if expected == "applied":
            self.corrections[step.name] = told.correction_id
            if step.what != "void":
                self.ids[step.name] = told.event_id
            if self.alone:
                self.assert_told(step, told)

    def assert_told(self, step: Step, told: Any) -> None:
        row = self.model.rows[self.changed(step)]
        window = period_of(KINDS[row.metric][0], row.at)
        quantity = self.model.usage(row.subject, row.metric, *window)
        assert same_quantity(METRICS[row.metric], told.quantity, quantity), (step, told, quantity)

    def changed(self, step: Step) -> str:
        if step.what == "void":
            return self.model.corrections[step.name].entries[0].gone or ""
        return step.name

    def stage(self, name: str, entries: Sequence[Step], *, approve: bool) -> None:
        session = self.session
        number = session.value("SELECT meter.open_correction('why')")
        self.corrections[name] = number
        staged = [self.entry(entry) for entry in entries]
        cut = self.draw.randint(0, len(staged))
        for part, total in ((staged[:cut], cut), (staged[cut:], len(staged))):
            if part:
                plain = [{k: _plain(v) for k, v in entry.items()} for entry in part]
                assert session.value("SELECT meter.stage_correction(%s, %s)", [number, Jsonb(plain)]) == total
        if not approve:
            session.rows("SELECT FROM meter.reject_correction(%s, 'no')", [number])
            return
        self.approve(session, number)
        self.model.open(name)
        expected = [outcome for entry in entries for outcome in tell(self.model, entry, name)]
        told = session.rows("SELECT * FROM meter.correction_entries(%s) ORDER BY ordinal", [number])
        assert [row.outcome for row in told] == expected, (entries, told)
        for entry, row in zip(entries, told, strict=True):
            if entry.what != "void" and row.outcome in ("applied", "recorded"):
                self.ids[entry.name] = row.event_id

    def revert(self, step: Step) -> None:
        assert isinstance(step.target, str)
        (expected,) = tell(self.model, step)
        call = "SELECT meter.revert_correction(%s, 'a mistake')"
        number = self.corrections[step.target]
        if expected == "refused":
            with refused("22023"):
                self.session.value(call, [number])
        else:
            self.corrections[step.name] = self.session.value(call, [number])

    def entry(self, step: Step) -> Event:
        """As stage_correction() takes it."""
        entry: Event = {"entry": step.what, **self.renamed(step.given)}
        if isinstance(step.target, str):
            entry["event_id"] = self.ids[step.target]
        elif step.target is not None:
            entry["idempotency_key"] = step.target[2]
        return {column: value for column, value in entry.items() if value is not None}

    def renamed(self, given: Mapping[str, Any]) -> Event:
        return {**given, "subject": self.names[given["subject"]]}

    # ------------------------------------------------------------------------------------- what it has left

    def assert_equals_model(self) -> None:
        """By usage(), summary(), series() and events()."""
        self.verify()
        ledger = self.sessions[0]
        for subject, name in self.names.items():
            for since, until in WINDOWS:
                given: Event = {"period": "never"} if since is None else {"since": since, "until": until}
                for row in ledger.call("summary", subject=name, **given):
                    if row.metric in METRICS:
                        self.assert_quantity(subject, row.metric, since, until, row)
            for metric in {row.metric for row in self.model.rows.values() if row.subject == subject}:
                for since, until, step in (
                    (at("2025-12-31"), at("2026-03-04"), "week"),
                    (at("2026-02-28"), at("2026-03-03"), "hour"),
                ):
                    for row in ledger.call(
                        "series", subject=name, metric=metric, since=since, until=until, step=step
                    ):
                        self.assert_quantity(subject, metric, row.bucket_start, row.bucket_end, row)
        self.assert_events()

    def assert_quantity(
        self, subject: str, metric: str, since: datetime | None, until: datetime | None, row: Any
    ) -> None:
        expected = self.model.usage(subject, metric, since, until)
        assert row.event_count == expected[1], (subject, metric, since, until, row, expected)
        if row.quantity is None:  # series() of an empty bucket
            assert not self.model.found(subject, metric, since, until)
            return
        assert same_quantity(METRICS[metric], row.quantity, expected), (subject, metric, since, until, row)

    def assert_events(self) -> None:
        """The log has every row, and tells which of them count."""
        counts: dict[int, bool] = {}
        ids = {number: name for name, number in self.ids.items()}
        for name in self.names.values():
            rows = self.sessions[0].call("events", subject=name, max_rows=10_000)
            voided: set[int] = set()
            for row in sorted(rows, key=lambda row: row.event_id, reverse=True):
                # A void is later than what it takes back: those that hold are known first.
                if row.kind == "void" and row.event_id not in voided:
                    voided.add(row.corrects)
                if row.kind != "void":
                    counts[row.event_id] = row.event_id not in voided
                    known = self.model.rows[ids[row.event_id]]
                    assert (row.at, row.quantity, row.member) == (known.at, known.quantity, known.member)
                    assert (row.kind, row.metadata, row.metric) == (known.kind, known.metadata, known.metric)
        assert counts == {self.ids[name]: row.active for name, row in self.model.rows.items()}

    def state(self) -> State:
        """Everything that is kept, without ids, under the names of the model."""
        events = self.sessions[0].rows(
            "SELECT e.subject, e.metric, e.at, e.quantity, e.member, e.metadata, e.idempotency_key, e.kind,"
            " c.kind AS corrects_kind, c.at AS corrects_at, c.quantity AS corrects_quantity,"
            " c.member AS corrects_member"
            " FROM meter.logged_events e LEFT JOIN meter.logged_events c ON c.event_id = e.corrects"
            " WHERE e.subject = ANY(%s)",
            [list(self.names.values())],
        )
        back = {name: subject for subject, name in self.names.items()}
        log = sorted(((back[row[0]], *row[1:]) for row in events), key=str)
        return [*read_state(self.sessions[0], self.names), log]


def period_of(period: str, moment: datetime) -> tuple[datetime | None, datetime | None]:
    if period == "never":
        return None, None
    start = moment.astimezone(UTC).replace(second=0, microsecond=0)
    if period == "minute":
        return start, start + timedelta(minutes=1)
    start = start.replace(minute=0)
    if period == "hour":
        return start, start + timedelta(hours=1)
    start = start.replace(hour=0)
    if period == "day":
        return start, start + timedelta(days=1)
    if period == "week":
        start -= timedelta(days=start.weekday())
        return start, start + timedelta(days=7)
    if period == "month":
        start = start.replace(day=1)
        return start, (start + timedelta(days=32)).replace(day=1)
    start = start.replace(month=1, day=1)
    return start, start.replace(year=start.year + 1)


def define(ledger: Ledger, *, striped: bool = False) -> None:
    for key, (period, rollup) in KINDS.items():
        ledger.define(key, METRICS[key], period=period, rollup=rollup, striped=striped)


def run_histories(
    dsn: str, number: int, *, seed: int = 0, length: int = 40, orders: int = 2
) -> Iterator[list[State]]:
    """Histories, each in several orders, from several sessions; yield the states of each."""
    draw = random.Random(seed)
    with ExitStack() as stack:
        sessions = [
            Ledger(stack.enter_context(psycopg.connect(dsn, autocommit=True))) for _ in range(_STRIPES)
        ]
        for history in range(number):
            steps = Author(draw).history(length)
            states = []
            for order in range(orders):
                life = Life(sessions, f"{seed}-{history}-{order}", draw)
                life.live(shuffled(steps, draw) if order else steps)
                life.assert_equals_model()
                states.append(life.state())
            yield states
