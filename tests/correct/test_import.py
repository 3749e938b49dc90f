"""Corrections in exports and imports: another meter gets the same numbers, and a file counts once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pymeter import Meter, MeterError, migrate, pytest_plugin
from tests.cli.conftest import Run, pymeter
from tests.databases import Databases
from tests.helpers import at_length

__all__ = ["pymeter"]

METRICS = {
    "tokens": "sum",
    "calls": "count",
    "peak": "max",
    "low": "min",
    "mean": "avg",
    "seats": "last",
    "users": "unique",
}
START = datetime(2026, 6, 1, tzinfo=UTC)
JUNE = {"since": START, "until": datetime(2026, 7, 1, tzinfo=UTC)}


@pytest.fixture(scope="module")
def template(databases: Databases, pymeter_template: str) -> Iterator[str]:
    """The name of a database with a second meter, in schema copy."""
    name = pytest_plugin._database_name("two_meters")
    migrate(databases.create(name, pymeter_template), "copy")
    yield name
    databases.drop(name)


@pytest.fixture
def meter_dsn(databases: Databases, template: str) -> Iterator[str]:
    name = pytest_plugin._database_name("two_meters_copy")
    yield databases.create(name, template)
    databases.drop(name)


@pytest.fixture
def copy(meter: Meter) -> Meter:
    """The second meter; both have a metric of every aggregate."""
    made = Meter(meter._source, schema="copy")
    for each in (meter, made):
        for key, aggregate in METRICS.items():
            each.define_metric(key, aggregate, "unit", period="day")  # type: ignore[arg-type]
    return made


class History:
    """A subject's events and corrections, made at random through the public calls of one meter."""

    def __init__(self, meter: Meter, subject: str, seed: int) -> None:
        self.meter = meter
        self.subject = subject
        self.draw = random.Random(seed)
        self.payloads: list[tuple[str, str, dict[str, Any]]] = []
        self.ids: list[tuple[str, int]] = []
        self.corrections: list[int] = []
        self.number = 0

    def run(self, steps: int) -> History:
        for _ in range(6):
            self.event()
        for _ in range(steps):
            kinds = (self.event, self.void, self.amend, self.adjust, self.staged, self.revert)
            self.draw.choice(kinds)()
        return self

    def payload(self, metric: str) -> dict[str, Any]:
        if metric == "users":
            return {"member": self.draw.choice("uvw")}
        return {"quantity": Decimal(self.draw.randint(1, 900)).scaleb(-self.draw.randint(0, 2))}

    def at(self) -> datetime:
        self.number += 1
        return START + timedelta(hours=self.draw.randint(0, 96), microseconds=self.number)

    def event(self) -> None:
        metric = self.draw.choice(list(METRICS))
        payload = self.payload(metric)
        key = f"key {self.number}" if self.draw.random() < 0.6 else None
        given = {"idempotency_key": key, "metadata": self.draw.choice((None, {"model": "large"}))}
        found = self.meter.record(self.subject, metric, at=self.at(), **payload, **given)
        assert found.event_id is not None
        self.ids.append((metric, found.event_id))
        if key is not None:
            self.payloads.append((metric, key, payload))

    def void(self) -> None:
        metric, event_id = self.draw.choice(self.ids)
        self.applied(self.meter.void_event(self.subject, metric, event_id, reason="void"))

    def amend(self) -> None:
        metric, event_id = self.draw.choice(self.ids)
        changes = self.payload(metric)
        if self.draw.random() < 0.3:
            changes["at"] = self.at()
        try:
            found = self.meter.amend_event(self.subject, metric, event_id, reason="amend", **changes)
        except MeterError:  # an adjustment
            return
        if self.applied(found):
            self.ids.append((metric, found.event_id or 0))

    def adjust(self) -> None:
        metric = self.draw.choice(("tokens", "calls"))
        key = f"adjust {self.number}" if self.draw.random() < 0.5 else None
        quantity = Decimal(self.draw.randint(-50, 50))
        found = self.meter.adjust(
            self.subject, metric, quantity, at=self.at(), reason="adjust", idempotency_key=key
        )
        if self.applied(found):
            self.ids.append((metric, found.event_id or 0))

    def staged(self) -> None:
        metric, event_id = self.draw.choice(self.ids)
        missing = {"entry": "record", "subject": self.subject, "metric": metric, "at": self.at()}
        void = {"entry": "void", "subject": self.subject, "metric": metric, "event_id": event_id}
        number = self.meter.open_correction(f"staged, {self.number}")
        self.meter.stage_correction(number, [void, missing | self.payload(metric)])
        self.meter.approve_correction(number)
        self.corrections.append(number)

    def revert(self) -> None:
        if self.corrections:
            number = self.draw.choice(self.corrections)
            try:
                self.meter.revert_correction(number, "revert")
            except MeterError:  # a later correction has changed its events, or it was reverted before
                return
            self.corrections.remove(number)

    def applied(self, found: Any) -> bool:
        if found.outcome == "applied":
            self.corrections.append(found.correction_id)
        return bool(found.outcome == "applied")


def answers(meter: Meter, subject: str) -> dict[str, Any]:
    """What a meter says of a subject: totals, days and hours, groups, and what each row is."""
    total = meter.summary(subject, **JUNE)
    found: dict[str, Any] = {row.metric: (row.quantity, row.event_count) for row in total}
    for metric in METRICS:
        for step in ("day", "1h"):
            rows = meter.series(subject, metric, **JUNE, step=step)
            found[f"{metric} {step}"] = [(row.quantity, row.event_count) for row in rows if row.has_data]
        groups = meter.usage_by(subject, metric, "model", **JUNE)
        found[f"{metric} by"] = {group.value: (group.quantity, group.event_count) for group in groups}
    kinds = [(row.kind, row.metric, row.at, row.quantity, row.member) for row in meter.iter_events(subject)]
    found["rows"] = sorted(kinds, key=str)
    return found


def counts(report: dict[str, Any]) -> tuple[int, ...]:
    return tuple(report[name] for name in ("recorded", "duplicate", "conflict", "rejected"))


@pytest.mark.at_length
@pytest.mark.parametrize("seed", range(at_length(2, 20)))
def test_another_meter_gets_the_same_numbers(pymeter: Run, meter: Meter, copy: Meter, seed: int) -> None:
    history = History(meter, "acct_1", seed).run(40)
    file = "events.csv" if seed % 2 else "events.jsonl"
    pymeter("export", "--all", "-o", file)
    before = answers(meter, "acct_1")
    ran = pymeter("--schema", "copy", "import", file, "--json")
    assert (ran.status, counts(ran.json)) == (0, (len(before["rows"]), 0, 0, 0)), ran.out
    assert answers(copy, "acct_1") == before
    assert copy.verify() == []
    for metric, key, payload in history.payloads:
        assert copy.record("acct_1", metric, idempotency_key=key, **payload).outcome == "duplicate"
    again = pymeter("--schema", "copy", "import", file, "--json")
    assert (again.status, counts(again.json)) == (0, (0, len(before["rows"]), 0, 0)), again.out
    own = pymeter("import", file, "--json")
    assert (own.status, counts(own.json)) == (0, (0, len(before["rows"]), 0, 0)), own.out
    assert answers(copy, "acct_1") == answers(meter, "acct_1") == before


def test_the_reason_of_a_correction_goes_with_it(pymeter: Run, meter: Meter, copy: Meter) -> None:
    meter.record("acct_1", "tokens", 5, at=START)
    (event,) = meter.events("acct_1")
    meter.void_event("acct_1", "tokens", event.event_id, reason="=test traffic\n")
    pymeter("export", "acct_1", "-o", "events.csv")
    pymeter("--schema", "copy", "import", "events.csv")
    assert [one.reason for one in copy.corrections()] == ["=test traffic\n"]
    assert copy.usage("acct_1", "tokens", **JUNE).quantity == 0


def test_a_file_that_has_grown_brings_its_new_corrections(pymeter: Run, meter: Meter, copy: Meter) -> None:
    meter.record("acct_1", "tokens", 5, at=START, idempotency_key="k")
    meter.amend_event("acct_1", "tokens", idempotency_key="k", quantity=7, reason="a")
    pymeter("export", "acct_1", "-o", "first.csv")
    pymeter("--schema", "copy", "import", "first.csv")
    meter.amend_event("acct_1", "tokens", idempotency_key="k", quantity=9, reason="b")
    pymeter("export", "acct_1", "-o", "second.csv")
    ran = pymeter("--schema", "copy", "import", "second.csv", "--json")
    assert counts(ran.json) == (2, 3, 0, 0)
    assert copy.usage("acct_1", "tokens", **JUNE).quantity == 9
    assert [one.reason for one in copy.corrections()] == ["b", "a"]


def test_a_correction_that_is_refused_is_in_the_file_of_rejects(
    pymeter: Run, meter: Meter, copy: Meter
) -> None:
    meter.record("acct_1", "tokens", 5, at=START, idempotency_key="k")
    meter.void_event("acct_1", "tokens", idempotency_key="k", reason="a")
    pymeter("export", "acct_1", "-o", "events.jsonl")
    copy.set_setting("four_eyes", "true")
    ran = pymeter("--schema", "copy", "import", "events.jsonl", "--json")
    assert (ran.status, counts(ran.json)) == (1, (1, 0, 0, 1))
    assert "four_eyes" in Path("events.jsonl.rejects.jsonl").read_text()
    assert copy.corrections() == []
    copy.set_setting("four_eyes", "false")
    assert counts(pymeter("--schema", "copy", "import", "events.jsonl", "--json").json) == (1, 1, 0, 0)
    assert copy.usage("acct_1", "tokens", **JUNE).quantity == 0


def test_a_dry_run_corrects_nothing(pymeter: Run, meter: Meter, copy: Meter) -> None:
    meter.record("acct_1", "tokens", 5, at=START, idempotency_key="k")
    meter.void_event("acct_1", "tokens", idempotency_key="k", reason="a")
    pymeter("export", "acct_1", "-o", "events.jsonl")
    ran = pymeter("--schema", "copy", "import", "events.jsonl", "--dry-run", "--json")
    assert counts(ran.json) == (2, 0, 0, 0)
    assert (copy.corrections(), copy.events("acct_1")) == ([], [])
