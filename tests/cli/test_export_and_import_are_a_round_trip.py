"""What export writes, import reads: the same events, each counted once, in whatever meter."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymeter import Meter, migrate, pytest_plugin
from tests.databases import Databases
from tests.helpers import at_length

Run = Callable[..., Any]
METRICS = {
    "tokens": "sum",
    "reqs": "count",
    "peak": "max",
    "low": "min",
    "mean": "avg",
    "seats": "last",
    "users": "unique",
}
START = datetime(2026, 6, 18, tzinfo=UTC)
EVIL = (
    *("=1+1", "'+cmd", "-2+3", "@x", "\t=x", "\r=x", "'=x", "\uff1dx", " lead", "trail ", "a\rb", "a\r\nb"),
    *("a\nb", '"q"', "a,b;c", "\ufeffbom", "\u202eabc", "\x1b[31mx", "\x85x", "\u2028x"),
)


@pytest.fixture(scope="module")
def template(databases: Databases, pymeter_template: str) -> Iterator[str]:
    """The name of a database with a second meter, in schema copy."""
    name = pytest_plugin._database_name("round_trip")
    migrate(databases.create(name, pymeter_template), "copy")
    yield name
    databases.drop(name)


@pytest.fixture
def meter_dsn(databases: Databases, template: str) -> Iterator[str]:
    name = pytest_plugin._database_name("round_trip_copy")
    yield databases.create(name, template)
    databases.drop(name)


@pytest.fixture
def copy(meter: Meter) -> Meter:
    """The second meter; both have a metric of every aggregate."""
    made = Meter(meter._source, schema="copy")
    for each in (meter, made):
        for key, aggregate in METRICS.items():
            each.define_metric(key, aggregate, "unit")  # type: ignore[arg-type]
    return made


def counts(report: dict[str, Any]) -> tuple[int, ...]:
    return tuple(report[name] for name in ("recorded", "duplicate", "conflict", "rejected"))


def facts(meter: Meter, subject: str) -> list[tuple[Any, ...]]:
    """What was recorded, newest first."""
    rows = meter.iter_events(subject)
    return [(e.at, e.metric, e.quantity, e.member, e.metadata) for e in rows]


def test_a_meter_knows_the_events_of_its_own_export(pymeter: Run, meter: Meter, copy: Meter) -> None:
    meter.record("a", "tokens", 3, at=START)
    meter.record("a", "tokens", 4, at=START)
    meter.record("a", "tokens", 5, at=START, idempotency_key="k")
    new = 3
    for name in ("events.csv", "events.jsonl", "events.csv.gz"):
        assert pymeter("export", "a", "-o", name).status == 0
        for more in ((), ("--unkeyed", "count"), ("--unkeyed", "reject")):
            ran = pymeter("import", name, *more, "--json")
            assert (ran.status, counts(ran.json)) == (0, (0, 3, 0, 0))
            ran = pymeter("--schema", "copy", "import", name, *more, "--json")
            assert (ran.status, counts(ran.json)) == (0, (new, 3 - new, 0, 0))
            new = 0
    for each in (meter, copy):
        assert each.usage("a", "tokens", period="never").quantity == 12


def test_what_came_from_a_meter_is_known_when_it_comes_back(pymeter: Run, meter: Meter, copy: Meter) -> None:
    meter.record("a", "tokens", 7, at=START)
    pymeter("export", "a", "-o", "there.csv")
    pymeter("--schema", "copy", "import", "there.csv")
    pymeter("--schema", "copy", "export", "a", "-o", "back.csv")
    assert counts(pymeter("import", "back.csv", "--json").json) == (0, 1, 0, 0)
    assert meter.usage("a", "tokens", period="never").quantity == 7


def test_events_of_two_meters_are_different_events(
    pymeter: Run, meter: Meter, copy: Meter, meter_dsn: str
) -> None:
    migrate(meter_dsn, "both")
    both = Meter(meter._source, schema="both")
    both.define_metric("tokens", "sum", "token")
    meter.record("a", "tokens", 7, at=START)
    copy.record("a", "tokens", 7, at=START)
    pymeter("export", "a", "-o", "one.csv")
    pymeter("--schema", "copy", "export", "a", "-o", "two.csv")
    for name in ("one.csv", "two.csv"):
        assert counts(pymeter("--schema", "both", "import", name, "--json").json) == (1, 0, 0, 0)
    assert both.usage("a", "tokens", period="never").quantity == 14


def test_an_exported_event_that_was_changed_is_in_conflict(pymeter: Run, meter: Meter, copy: Meter) -> None:
    meter.record("a", "tokens", 7, at=START)
    pymeter("export", "a", "-o", "events.jsonl")
    text = Path("events.jsonl").read_text().replace('"quantity":"7"', '"quantity":"8"')
    Path("events.jsonl").write_text(text)
    assert counts(pymeter("import", "events.jsonl", "--json").json) == (0, 0, 1, 0)


def test_events_of_a_dropped_month_are_not_counted_again(pymeter: Run, meter: Meter, copy: Meter) -> None:
    old = datetime.now(UTC) - timedelta(days=100)
    meter.maintain()
    for month in range(1, 5):
        meter.record("a", "tokens", 7, at=datetime.now(UTC) - timedelta(days=30 * month))
    meter.maintain()
    pymeter("export", "a", "-o", "events.csv")
    before = meter.usage("a", "tokens", since=old - timedelta(days=300), until=datetime.now(UTC))
    dropped = [action for action in meter.maintain(keep=timedelta(days=40)) if "drop" in action.action]
    assert dropped
    ran = pymeter("import", "events.csv", "--json")
    assert (ran.json["recorded"], ran.json["duplicate"] + ran.json["rejected"], ran.status) == (0, 4, 1)
    assert "dropped" in Path("events.csv.rejects.jsonl").read_text()
    assert meter.usage("a", "tokens", since=before.since, until=before.until).quantity == 28


def test_the_last_of_several_at_one_time_stays_the_last(pymeter: Run, meter: Meter, copy: Meter) -> None:
    for value in (5, 9, 2):
        meter.record("a", "seats", value, at=START)
    for name in ("events.csv", "events.jsonl"):
        pymeter("export", "a", "-o", name)
        pymeter("--schema", "copy", "import", name)
        assert copy.usage("a", "seats", period="never").quantity == 2
        assert facts(copy, "a") == facts(meter, "a")


def test_the_newest_events_as_json_or_csv_can_be_imported_too(
    pymeter: Run, meter: Meter, copy: Meter
) -> None:
    meter.record("'=a", "tokens", 7, at=START)
    meter.record("'=a", "tokens", 8, at=START)
    Path("events.json").write_text(pymeter("events", "'=a", "--json").out)
    Path("events.csv").write_text(pymeter("events", "'=a", "--csv").out)
    for name in ("events.json", "events.csv"):
        assert counts(pymeter("import", name, "--json").json) == (0, 2, 0, 0)
    assert counts(pymeter("--schema", "copy", "import", "events.json", "--json").json) == (2, 0, 0, 0)
    assert counts(pymeter("--schema", "copy", "import", "events.csv", "--json").json) == (0, 2, 0, 0)


def test_cells_that_a_spreadsheet_would_run_begin_with_an_apostrophe(
    pymeter: Run, meter: Meter, copy: Meter
) -> None:
    for text in EVIL:
        meter.record(text, "users", member=text, at=START, idempotency_key=text)
    meter.record("n", "seats", -5, at=START)
    pymeter("export", "--all", "-o", "safe.csv")
    pymeter("export", "--all", "--raw", "-o", "raw.csv")
    pymeter("export", "--all", "-o", "exact.jsonl")
    with Path("safe.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    cells = [row[name] for row in rows for name in ("subject", "metric", "member", "idempotency_key")]
    assert not [cell for cell in cells if cell and cell[0] in "=+-@\t\r\uff1d"]
    assert "-5" in [row["quantity"] for row in rows], "a negative number stays a number"
    assert "escaped" not in Path("raw.csv").read_text().splitlines()[0]
    for schema, name in (("copy", "safe.csv"), ("copy", "raw.csv"), ("copy", "exact.jsonl")):
        ran = pymeter("--schema", schema, "import", name, "--json")
        assert (ran.status, ran.json["recorded"] + ran.json["duplicate"]) == (0, len(rows))
        for text in EVIL:
            assert facts(copy, text) == facts(meter, text)
    assert ran.json["recorded"] == 0, "all three are the same events"


def test_answers_in_csv_hold_no_formulas(pymeter: Run, meter: Meter) -> None:
    meter.define_metric("tokens", "sum", "=unit", name="=name", description="+x")
    meter.record("=cmd", "tokens", 1, metadata={"model": "@m"})
    for command in (
        ("catalog",),
        ("subjects",),
        ("events", "=cmd"),
        ("summary", "=cmd"),
        ("totals", "tokens"),
        ("usage", "=cmd", "tokens", "--by", "model"),
    ):
        header, *rows = csv.reader(pymeter(*command, "--csv").out.splitlines())
        assert not [cell for row in rows for cell in row if cell and cell[0] in "=+-@"], command
        for row in rows:
            named = {name for name, cell in zip(header, row, strict=True) if cell.startswith("'")}
            assert named == set(row[-1].split()), command


def test_answers_in_csv_have_the_words_and_lists_of_json(pymeter: Run, meter: Meter) -> None:
    meter.define_metric("tokens", "sum", "token", striped=True)
    meter.report_metric("tokens", "tokens")
    (row,) = csv.DictReader(pymeter("catalog", "--csv").out.splitlines())
    assert (row["striped"], row["carry"], row["billers"]) == ("true", "false", '["stripe"]')


TEXT = st.text(
    st.characters(exclude_characters="\0", exclude_categories=("Cs",))
    | st.sampled_from("=+-@'\t\r\n\",;\ufeff "),
    min_size=1,
    max_size=8,
).filter(lambda text: bool(text.strip(" \t\n\r\f\x0b")))
NUMBERS = st.decimals(-(10**12), 10**12, allow_nan=False, places=4)
METADATA = st.dictionaries(
    TEXT, TEXT | st.integers(-(10**40), 10**40) | NUMBERS | st.none() | st.booleans(), max_size=3
)
NUMBER = itertools.count()


@st.composite
def events(draw: st.DrawFn) -> list[dict[str, Any]]:
    subject = draw(TEXT) + f"#{next(NUMBER)}"
    rows = []
    for _ in range(draw(st.integers(1, 12))):
        metric = draw(st.sampled_from(sorted(METRICS)))
        row: dict[str, Any] = {"subject": subject, "metric": metric}
        if metric == "users":
            row["member"] = draw(TEXT)
        else:
            number = draw(NUMBERS)
            row["quantity"] = str(abs(number) if metric in ("tokens", "reqs") else number)
        row["at"] = START + timedelta(microseconds=draw(st.sampled_from((0, 0, 1, 3_600_000_000, 10**11))))
        row["metadata"] = draw(st.none() | METADATA)
        if draw(st.booleans()):
            row["idempotency_key"] = f"{draw(TEXT)}{len(rows)}"
        rows.append(row)
    return rows


@pytest.mark.at_length
@settings(
    max_examples=at_length(10, 100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=events(), form=st.sampled_from(("csv", "jsonl", "raw.csv")))
def test_any_events_come_out_as_they_went_in(
    pymeter: Run, meter: Meter, copy: Meter, rows: list[dict[str, Any]], form: str
) -> None:
    subject = rows[0]["subject"]
    for row in rows:  # one by one, so that each has a time of recording of its own
        meter.record_batch([row])
    name = f"events.{form}"
    assert pymeter("export", "-o", name, *(["--raw"] if form == "raw.csv" else []), "--", subject).status == 0
    assert counts(pymeter("--schema", "copy", "import", name, "--json").json) == (len(rows), 0, 0, 0)
    assert counts(pymeter("--schema", "copy", "import", name, "--json").json) == (0, len(rows), 0, 0)
    assert counts(pymeter("import", name, "--json").json) == (0, len(rows), 0, 0)
    assert facts(copy, subject) == facts(meter, subject)
    for metric, (since, until) in itertools.product(
        METRICS, ((0, 1), (0, 2), (1, 10**12), (-(10**12), 10**12), (3_600_000_000, 2 * 10**11))
    ):
        window = {
            "since": START + timedelta(microseconds=since),
            "until": START + timedelta(microseconds=until),
        }
        assert copy.usage(subject, metric, **window) == meter.usage(subject, metric, **window)  # type: ignore[arg-type]


def test_numbers_in_metadata_stay_exact(pymeter: Run, meter: Meter, copy: Meter) -> None:
    numbers = {"big": 10**60 + 1, "small": Decimal("0.100000000000000000000000001"), "text": "é" * 20_000}
    meter.record("a", "tokens", 1, at=START, metadata=numbers)
    for name in ("events.csv", "events.jsonl"):
        pymeter("export", "a", "-o", name)
        assert pymeter("--schema", "copy", "import", name).status == 0
        assert facts(copy, "a") == facts(meter, "a")
