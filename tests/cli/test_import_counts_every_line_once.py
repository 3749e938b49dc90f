"""Importing is streaming, repeatable and honest: every line is counted once, or is in the rejects file."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pymeter import Meter
from pymeter.importing import ImportOptions, ImportReport, ImportStopped, OptionsError, import_file
from pymeter.sample import METRICS, Sample, make_sample

Run = Callable[..., Any]
HEADER = "subject,metric,quantity,member,at,idempotency_key,metadata"


@pytest.fixture(autouse=True)
def metrics(meter: Meter) -> None:
    meter.define_metric("tokens", "sum", "token")
    meter.define_metric("users", "unique", "user")


def write(name: str, *lines: str | bytes) -> str:
    data = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n"
    Path(name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return name


def rejects(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(f"{name}.rejects.jsonl").read_text().splitlines()]


def counts(report: dict[str, Any]) -> tuple[int, ...]:
    return tuple(report[name] for name in ("recorded", "duplicate", "conflict", "rejected"))


# --- formats -----------------------------------------------------------------------------------------------


def test_csv_with_a_header_is_read_by_its_names(pymeter: Run, meter: Meter) -> None:
    name = write(
        "usage.csv",
        "\ufeffidempotency_key,subject,metric,quantity,member,at,metadata",
        'k1,"acct, 1",tokens,1.50,,2026-06-01T10:00:00+02:00,"{""model"": ""large"", ""price"": 0.10}"',
        "",
        "k2,acct_2,users,,u1,2026-06-01 10:00:00,",
    )
    ran = pymeter("import", name, "--json")
    assert (ran.status, counts(ran.json)) == (0, (2, 0, 0, 0))
    (event,) = meter.events("acct, 1")
    assert event.quantity == Decimal("1.5")
    assert event.at == datetime(2026, 6, 1, 8, tzinfo=UTC)
    assert event.metadata == {"model": "large", "price": Decimal("0.10")}
    (event,) = meter.events("acct_2")
    assert (event.member, event.quantity, event.metadata) == ("u1", None, None)
    assert event.at == datetime(2026, 6, 1, 10, tzinfo=UTC), "a time without an offset is in UTC"


def test_times_without_an_offset_are_in_the_given_zone(pymeter: Run, meter: Meter) -> None:
    write("usage.csv", "subject,metric,quantity,at", "a,tokens,1,2026-06-01 10:00", "a,tokens,1,2026-06-01")
    assert pymeter("import", "usage.csv", "-z", "Europe/Berlin").status == 0
    assert [event.at.hour for event in meter.events("a")] == [8, 22]


def test_a_zone_may_be_written_in_any_case(pymeter: Run, meter: Meter) -> None:
    write("usage.csv", "subject,metric,quantity,at", "a,tokens,1,2026-06-01 10:00")
    for zone in ("europe/berlin", "EUROPE/BERLIN", "Europe/Berlin"):
        assert pymeter("import", "usage.csv", "-z", zone).status == 0
    assert {event.at.hour for event in meter.events("a")} == {8}
    window = ("--since", "2026-06-01", "--until", "2026-06-03", "-z", "america/port-au-prince")
    for command in (("usage", "a", "tokens"), ("series", "a", "tokens"), ("events", "a")):
        ran = pymeter(*command, *window)
        assert ran.status == 0, ran.err
    for zone in ("utc", "etc/gmt+3", "nz-chat", "america/argentina/buenos_aires"):
        assert pymeter("events", "a", "-z", zone).status == 0
    assert pymeter("import", "usage.csv", "-z", "europe/nowhere").status == 2


def test_times_finer_than_a_microsecond_stay_in_their_month(pymeter: Run, meter: Meter) -> None:
    finer = "2026-06-30T23:59:59.9999999"
    event = {"subject": "a", "metric": "tokens", "quantity": 1, "at": f"{finer}Z"}
    cloud = {
        "specversion": "1.0",
        "id": "1",
        "source": "s",
        "type": "tokens",
        "subject": "a",
        "time": f"{finer}99Z",
        "data": {"quantity": 1},
    }
    write("usage.csv", "subject,metric,quantity,at", f"a,tokens,1,{finer}", f"a,tokens,1,{finer}9+00:00")
    write("usage.jsonl", json.dumps(event), json.dumps(event | {"at": finer}))
    write("cloud.jsonl", json.dumps(cloud))
    assert pymeter("import", "usage.csv").status == 0
    assert pymeter("import", "usage.jsonl").status == 0
    assert pymeter("import", "cloud.jsonl", "--format", "cloudevents").status == 0
    assert pymeter("record", "a", "tokens", "1", "--at", f"{finer}Z").status == 0
    assert {e.at for e in meter.events("a")} == {datetime(2026, 6, 30, 23, 59, 59, 999999, tzinfo=UTC)}
    assert len(meter.events("a")) == 6
    ran = pymeter("usage", "a", "tokens", "--since", "2026-06-01", "--until", f"{finer}Z", "--json")
    assert ran.json["quantity"] == "0", "--until is cut off too: the window ends before that microsecond"


@pytest.mark.parametrize("zone", ["right/UTC", "posix/Europe/Berlin", "EST", "CET", "localtime"])
def test_the_zone_of_times_without_an_offset_is_a_name_as_in_sql(
    pymeter: Run, meter: Meter, zone: str
) -> None:
    write("usage.csv", "subject,metric,quantity,at", "a,tokens,1,2026-06-01")
    assert pymeter("import", "usage.csv", "-z", zone).status != 0
    assert pymeter("record", "a", "tokens", "1", "--at", "2026-06-01", "-z", zone).status != 0
    assert meter.events("a") == []


def test_csv_without_a_header_is_read_by_position(pymeter: Run, meter: Meter) -> None:
    write("usage.tsv", "acct_1\t12\teu\tk1")
    ran = pymeter(
        *("import", "usage.tsv", "--no-header", "--set", "metric=tokens"),
        *(
            "--map",
            "subject=1",
            "--map",
            "quantity=2",
            "--map",
            "metadata.region=3",
            "--map",
            "idempotency_key=4",
        ),
    )
    assert ran.status == 0
    (event,) = meter.events("acct_1")
    assert (event.quantity, event.metadata, event.idempotency_key) == (12, {"region": "eu"}, "k1")


def test_json_lines_may_be_gzipped_come_from_standard_input_and_hold_arrays(
    pymeter: Run, meter: Meter
) -> None:
    one = {
        "subject": "a",
        "metric": "tokens",
        "quantity": 1.1,
        "idempotency_key": "k1",
        "metadata": {"x": [1]},
    }
    two = {**one, "quantity": "2.2", "idempotency_key": "k2"}
    three = {**one, "quantity": 10**30, "idempotency_key": "k3"}
    lines = (json.dumps(one), json.dumps([two, three]))
    assert counts(pymeter("import", write("usage.jsonl.gz", *lines), "--json").json) == (3, 0, 0, 0)
    ran = pymeter("import", "-", "-f", "jsonl", "--json", input="\n".join(lines))
    assert counts(ran.json) == (0, 3, 0, 0)
    assert meter.usage("a", "tokens", period="1 day").quantity == Decimal("1000000000000000000000000000003.3")


def test_json_names_are_mapped_with_dots(pymeter: Run, meter: Meter) -> None:
    write("usage.jsonl", '{"who": {"id": "a", "plan": "pro"}, "metric": "tokens", "n": 7, "trace": "t1"}')
    ran = pymeter(
        *("import", "usage.jsonl", "--extra", "metadata", "--map", "subject=who.id"),
        *("--map", "quantity=n", "--map", "metadata.plan=who.plan"),
    )
    assert ran.status == 0
    (event,) = meter.events("a")
    assert (event.quantity, event.metadata) == (7, {"plan": "pro", "trace": "t1"})


def cloudevent(**fields: Any) -> str:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": "ce-1",
            "source": "/gateway",
            "type": "tokens",
            "subject": "acct_1",
            "time": "2026-06-01T10:00:00Z",
            "data": {"quantity": 12.5, "model": "large"},
            **fields,
        }
    )


def test_cloudevents_have_their_own_names(pymeter: Run, meter: Meter) -> None:
    write(
        "events.jsonl",
        cloudevent(),
        cloudevent(id="ce-2", type="users", data={"member": "u1"}),
        cloudevent(id="ce-3", specversion="0.3"),
        cloudevent(id="ce-4", data=[1]),
        cloudevent(id="ce-1"),
    )
    ran = pymeter("import", "events.jsonl", "-f", "cloudevents", "--json")
    assert (ran.status, counts(ran.json)) == (1, (2, 1, 0, 2))
    event = meter.events("acct_1", "tokens")[0]
    assert (event.idempotency_key, event.quantity, event.metadata) == (
        '["/gateway","ce-1"]',
        Decimal("12.5"),
        {"model": "large"},
    )
    assert event.at == datetime(2026, 6, 1, 10, tzinfo=UTC)
    assert [row["line"] for row in rejects("events.jsonl")] == [3, 4]


def test_cloudevents_are_recognised_where_nothing_is_said_of_the_file(pymeter: Run, meter: Meter) -> None:
    write("events.jsonl", cloudevent(), cloudevent(id="ce-2", type="users", data={"member": "u1"}))
    ran = pymeter("import", "events.jsonl", "--json")
    assert (ran.status, counts(ran.json)) == (0, (2, 0, 0, 0))
    assert counts(pymeter("import", "events.jsonl", "-f", "cloudevents", "--json").json) == (0, 2, 0, 0)
    assert meter.events("acct_1", "tokens")[0].metadata == {"model": "large"}
    for said in (("-f", "jsonl"), ("--map", "metric=type"), ("--extra", "ignore")):
        assert counts(pymeter("import", "events.jsonl", *said, "--json").json)[0] == 0, said


def test_the_most_frequent_reasons_are_on_the_screen(pymeter: Run, meter: Meter) -> None:
    lines = [*["a,tokens,-1"] * 3, *["a,tokens,x"] * 2, "a,tokens,1", "a,nope,1"]
    write("usage.csv", "subject,metric,quantity", *lines)
    ran = pymeter("import", "usage.csv")
    assert ran.status == 1
    shown = [line.split(maxsplit=1) for line in ran.out.splitlines() if re.match(r" {8}\d", line)]
    assert shown == [
        ["3", "quantity is negative"],
        ["2", "quantity is not a number"],
        ["1", "unknown metric"],
    ]


# --- columns that do not fit -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "options", "says"),
    [
        ("subject,metric,quantity,region", (), "region"),
        ("subject,quantity", (), "no column for metric"),
        ("subject,metric,quantity", ("--map", "member=user"), "no column 'user'"),
        ("subject,metric,quantity", ("--map", "colour=metric"), "not a field"),
        ("subject,metric,quantity", ("--unkeyed", "hope"), "unknown word"),
        ("subject,metric,quantity", ("--delimiter", "::"), "one character"),
    ],
)
def test_columns_that_do_not_fit_stop_the_import_before_it_begins(
    pymeter: Run, meter: Meter, header: str, options: tuple[str, ...], says: str
) -> None:
    write("usage.csv", header, ",".join("1" for _ in header.split(",")))
    ran = pymeter("import", "usage.csv", *options)
    assert ran.status == 2
    assert says in ran.err
    assert meter.subjects() == []


def test_more_columns_become_metadata_or_nothing_when_asked(pymeter: Run, meter: Meter) -> None:
    write("usage.csv", "subject,metric,quantity,region,empty", "a,tokens,1,eu,")
    assert pymeter("import", "usage.csv", "--extra", "ignore").status == 0
    write("usage.csv", "subject,metric,quantity,region,empty", "b,tokens,1,eu,")
    assert pymeter("import", "usage.csv", "--extra", "metadata").status == 0
    assert [meter.events(subject)[0].metadata for subject in "ab"] == [None, {"region": "eu"}]


# --- lines that cannot be counted --------------------------------------------------------------------------


def test_bad_lines_are_told_with_number_reason_and_text_and_the_others_count(
    pymeter: Run, meter: Meter
) -> None:
    name = write(
        "usage.csv",
        HEADER,
        "a,tokens,1,,,k1,",
        'a,"tokens,1,,,k2,',
        "a,tokens,1,,,k3,",
        "a,tokens,1",
        "a,tokens,-1,,,k5,",
        "a,tokns,1,,,k6,",
        "a,tokens,1,,2126-01-01,k7,",
        "a,tokens,1,,2026-02-30,k8,",
        'a,tokens,1,,,k9,"{""x"": NaN}"',
        b"a,tokens,1,,,\xff,",
        "a,tokens,1,,,nul\0,",
        "a,tokens,2,,,k1,",
        'a,tokens,1,,,k13,"{""deep"": ' + "[" * 50_000 + "]" * 50_000 + '}"',
        "a,tokens,1,,,k14,",
    )
    ran = pymeter("import", name, "--json")
    assert (ran.status, counts(ran.json)) == (1, (3, 0, 1, 10))
    told = {row["line"]: row["sqlstate"] for row in rejects(name)}
    deep = told.pop(14)
    assert deep in {"22P02", "54001", "22023"}, "too deep for whoever looked first"
    assert told == {
        3: "22P04",
        5: "22P04",
        6: "22023",
        7: "UM001",
        8: "22023",
        9: "22023",
        10: "22P02",
        11: "22021",
        12: "22P05",
        13: "UM005",
    }
    assert all(row["reason"] for row in rejects(name))
    assert rejects(name)[0]["original"] == 'a,"tokens,1,,,k2,'
    assert rejects(name)[-2]["outcome"] == "conflict"
    assert meter.usage("a", "tokens").quantity == 3


def test_bad_json_lines_are_told_too(pymeter: Run) -> None:
    good = '{"subject": "a", "metric": "tokens", "quantity": 1, "idempotency_key": "k"}'
    name = write(
        "usage.jsonl",
        "{oops",
        '"text"',
        '{"subject": "a", "metric": "tokens", "quantity": 1, "customer": "x"}',
        '{"subject": "a", "metric": "tokens", "quantity": 1, "member": "\\ud800"}',
        '{"subject": "a", "metric": "tokens", "quantity": 1e99999}',
        "[" * 100_000,
        b"\xff\xfe",
        good,
        good,
    )
    ran = pymeter("import", name, "--json")
    assert counts(ran.json) == (1, 1, 0, 7)
    assert [row["line"] for row in rejects(name)] == [1, 2, 3, 4, 5, 6, 7]
    assert "customer" in rejects(name)[2]["reason"]


def test_a_line_without_an_end_does_not_fill_the_memory(pymeter: Run) -> None:
    name = write("usage.csv", HEADER, b"a" * 40_000_000, "a,tokens,1,,,k,")
    ran = pymeter("import", name, "--json")
    assert counts(ran.json) == (1, 0, 0, 1)
    assert rejects(name)[0]["sqlstate"] == "54000"
    assert Path(f"{name}.rejects.jsonl").stat().st_size < 5000


def test_a_damaged_file_is_imported_up_to_the_damage(pymeter: Run, meter: Meter) -> None:
    write("usage.csv.gz", HEADER, *(f"a,tokens,1,,,{os.urandom(8).hex()}," for _ in range(5000)))
    whole = Path("usage.csv.gz").read_bytes()
    Path("usage.csv.gz").write_bytes(whole[: len(whole) // 2])
    ran = pymeter("import", "usage.csv.gz")
    assert ran.status == 2
    assert "damaged" in ran.err
    assert "not finished" in ran.out
    before = meter.usage("a", "tokens").quantity
    assert 1000 < before < 5000
    Path("usage.csv.gz").write_bytes(whole)
    assert counts(pymeter("import", "usage.csv.gz", "--json").json)[:2] == (5000 - before, before)


# --- once --------------------------------------------------------------------------------------------------


def test_lines_without_a_key_count_once_however_often_the_file_comes(pymeter: Run, meter: Meter) -> None:
    lines = ("subject,metric,quantity", *["a,tokens,1"] * 3)
    write("usage.csv", *lines)
    assert counts(pymeter("import", "usage.csv", "--json").json) == (3, 0, 0, 0)
    assert counts(pymeter("import", "./usage.csv", "--json").json) == (0, 3, 0, 0)
    write("usage.csv", *lines, "a,tokens,1")
    assert counts(pymeter("import", "usage.csv", "--grown", "--json").json) == (1, 3, 0, 0)
    write("other.csv", *lines)
    assert counts(pymeter("import", "other.csv", "--json").json) == (0, 3, 0, 0), "a copy of the first file"
    for again in (False, True):
        ran = pymeter("import", "other.csv", "--source", "other", "--json")
        assert counts(ran.json) == ((0, 3, 0, 0) if again else (3, 0, 0, 0)), "other events, by their source"
    assert meter.usage("a", "tokens").quantity == 7


def test_lines_without_a_key_are_counted_again_or_rejected_when_asked(pymeter: Run) -> None:
    write("usage.csv", "subject,metric,quantity", "a,tokens,1")
    for _ in range(2):
        assert counts(pymeter("import", "usage.csv", "--unkeyed", "count", "--json").json) == (1, 0, 0, 0)
    ran = pymeter("import", "usage.csv", "--unkeyed", "reject", "--json")
    assert counts(ran.json) == (0, 0, 0, 1)
    assert rejects("usage.csv")[0]["sqlstate"] == "22004"


@pytest.fixture
def sample(meter: Meter) -> Sample:
    for metric in METRICS:
        meter.define_metric(metric["key"], metric["aggregate"], metric["unit"])  # type: ignore[arg-type]
    return make_sample(datetime.now(UTC))


def expected(events: Iterable[dict[str, Any]]) -> tuple[dict[str, Decimal], int]:
    """Tokens of every subject: the first payload of a key counts."""
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for event in events:
        quantity = event.get("quantity")
        good = (
            isinstance(quantity, int)
            and quantity >= 0
            and event["at"] < "2100"
            and event["at"][5:10] != "02-30"
        )
        if event["metric"] == "tokens" and event["subject"].strip() and good:
            first.setdefault((event["subject"], event["idempotency_key"]), event)
    totals: dict[str, Decimal] = {}
    for (subject, _), event in first.items():
        totals[subject] = totals.get(subject, Decimal(0)) + event["quantity"]
    return totals, len(first)


def test_a_sample_of_ten_thousand_lines_has_the_expected_totals_and_comes_twice(
    pymeter: Run, meter: Meter, sample: Sample
) -> None:
    write("sample.jsonl.gz", *map(json.dumps, sample.delivered))
    first = pymeter("import", "sample.jsonl.gz", "--json").json
    totals, _ = expected(sample.delivered)
    for subject, quantity in totals.items():
        assert meter.usage(subject, "tokens", since=sample.since, until=sample.until).quantity == quantity
    again = pymeter("import", "sample.jsonl.gz", "--json").json
    assert again["duplicate"] == first["recorded"] + first["duplicate"]
    assert (again["recorded"], again["conflict"], again["rejected"]) == (
        0,
        first["conflict"],
        first["rejected"],
    )
    assert meter.verify() == []


def test_four_importers_at_once_count_every_line_once(
    meter: Meter, meter_dsn: str, sample: Sample, tmp_path: Path
) -> None:
    conflicts = {event["idempotency_key"] for event in sample.delivered} - _consistent_keys(sample.delivered)
    lines = [event for event in sample.delivered if event["idempotency_key"] not in conflicts]
    name = tmp_path / "sample.jsonl"
    name.write_text("\n".join(map(json.dumps, lines)))

    def load(number: int) -> ImportReport:
        return import_file(
            name,
            lambda: psycopg.connect(meter_dsn, autocommit=True),
            options=ImportOptions(batch_size=(50, 170, 333, 1000)[number]),
            rejects=tmp_path / f"{number}.jsonl",
        )

    with ThreadPoolExecutor(4) as executor:
        reports = list(executor.map(load, range(4)))
    totals, _ = expected(lines)
    for subject, quantity in totals.items():
        assert meter.usage(subject, "tokens", since=sample.since, until=sample.until).quantity == quantity
    alone = reports[0].recorded + reports[0].duplicate
    assert all(report.recorded + report.duplicate == alone and not report.conflict for report in reports)
    distinct = {(e["subject"], e["metric"], e["idempotency_key"]) for e in lines}
    invalid = sum(e["idempotency_key"].startswith("odd-") for e in lines)
    assert sum(report.recorded for report in reports) == len(distinct) - invalid
    assert meter.verify() == []


def _consistent_keys(events: list[dict[str, Any]]) -> set[str]:
    payloads: dict[str, set[tuple[Any, ...]]] = {}
    for event in events:
        of_key = payloads.setdefault(event["idempotency_key"], set())
        of_key.add((event["subject"], event["metric"], event.get("quantity"), event.get("member")))
    return {key for key, values in payloads.items() if len(values) == len({value[:2] for value in values})}


def test_an_import_that_was_killed_goes_on_where_it_was(
    pymeter: Run, meter: Meter, meter_dsn: str, tmp_path: Path
) -> None:
    total = 30_000
    write("big.csv", "subject,metric,quantity", *["a,tokens,1"] * total)
    process = subprocess.Popen(
        [sys.executable, "-m", "pymeter", "import", "big.csv", "--batch-size", "100"],
        env={**os.environ, "PYMETER_DSN": meter_dsn, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while meter.usage("a", "tokens").quantity < 300 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while _others(meter_dsn) and time.monotonic() < deadline:
        time.sleep(0.01)  # the server finishes the batch that it has
    before = meter.usage("a", "tokens").quantity
    assert 300 <= before < total
    assert counts(pymeter("import", "big.csv", "--json").json) == (total - before, before, 0, 0)
    assert meter.usage("a", "tokens").quantity == total


def _others(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pymeter'"
            " AND datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])


# --- a server that fails -----------------------------------------------------------------------------------


class Flaky:
    """Connections that are cut off by the server after a few batches."""

    def __init__(self, dsn: str, meter: Meter, cuts: int) -> None:
        self.dsn = dsn
        self.meter = meter
        self.cuts = cuts
        self.opened = 0
        self.current: psycopg.Connection[Any] | None = None

    def connect(self) -> psycopg.Connection[Any]:
        self.opened += 1
        self.current = psycopg.connect(self.dsn, autocommit=True)
        return self.current

    def cut(self, *_: object) -> None:
        if self.cuts and self.current is not None:
            self.cuts -= 1
            with psycopg.connect(self.dsn, autocommit=True) as killer:
                killer.execute("SELECT pg_terminate_backend(%s, 5000)", (self.current.info.backend_pid,))


def test_a_lost_connection_is_opened_again(meter: Meter, meter_dsn: str, tmp_path: Path) -> None:
    name = tmp_path / "usage.csv"
    name.write_text("subject,metric,quantity\n" + "a,tokens,1\n" * 1000)
    server = Flaky(meter_dsn, meter, cuts=3)
    report = import_file(name, server.connect, options=ImportOptions(batch_size=100), progress=server.cut)
    assert (server.opened, report.complete, report.recorded) == (4, True, 1000)
    assert meter.usage("a", "tokens").quantity == 1000


def test_a_lost_connection_ends_the_import_where_sending_again_could_count_twice(
    meter: Meter, meter_dsn: str, tmp_path: Path
) -> None:
    name = tmp_path / "usage.csv"
    name.write_text("subject,metric,quantity\n" + "a,tokens,1\n" * 1000)
    server = Flaky(meter_dsn, meter, cuts=1)
    report = ImportReport(str(name))
    options = ImportOptions(batch_size=100, unkeyed="count")
    with pytest.raises(ImportStopped, match="may or may not"):
        import_file(name, server.connect, options=options, progress=server.cut, report=report)
    assert (report.complete, report.recorded) == (False, 100)
    assert meter.usage("a", "tokens").quantity == 100


def test_a_batch_that_waits_for_nobody_is_not_held_up_by_a_missing_schema(
    meter_dsn: str, tmp_path: Path
) -> None:
    name = tmp_path / "usage.csv"
    name.write_text("subject,metric,quantity\na,tokens,1\n")
    with pytest.raises(Exception, match="does not exist"):
        import_file(name, lambda: psycopg.connect(meter_dsn, autocommit=True), schema="nowhere")


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"timezone": "Mars"}, {"mapping": {"metadata.": "x"}}]
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(OptionsError):
        ImportOptions(**options)
