"""Lines without a key: a file is known by its content, a stream by the name that it is given."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pymeter import Meter
from pymeter.importing import ImportOptions, ImportReport, ImportStopped, import_file

Run = Callable[..., Any]
HEADER = "subject,metric,quantity"


@pytest.fixture(autouse=True)
def metrics(meter: Meter) -> None:
    meter.define_metric("tokens", "sum", "token")


def write(name: str, *lines: str) -> str:
    data = "".join(f"{line}\n" for line in (HEADER, *lines)).encode()
    Path(name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return name


def load(pymeter: Run, name: str, *more: str, **given: Any) -> tuple[int, ...]:
    report = pymeter("import", name, "--json", *more, **given).json
    return tuple(report[outcome] for outcome in ("recorded", "duplicate", "conflict", "rejected"))


def test_a_copy_is_the_same_file_whatever_its_name_compression_and_line_ends(pymeter: Run) -> None:
    lines = ("a,tokens,1", "a,tokens,1", "b,tokens,2")
    assert load(pymeter, write("one.csv", *lines)) == (3, 0, 0, 0)
    Path("folder").mkdir()
    assert load(pymeter, write("folder/two.csv", *lines)) == (0, 3, 0, 0)
    assert load(pymeter, write("three.csv.gz", *lines)) == (0, 3, 0, 0)
    text = Path("one.csv").read_bytes()
    Path("dos.csv").write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n").removesuffix(b"\r\n"))
    assert load(pymeter, "dos.csv") == (0, 3, 0, 0)


def test_another_file_at_the_same_path_is_another_file(pymeter: Run, meter: Meter) -> None:
    assert load(pymeter, write("day.csv", "a,tokens,1", "b,tokens,2")) == (2, 0, 0, 0)
    assert load(pymeter, write("day.csv", "a,tokens,1", "b,tokens,3")) == (2, 0, 0, 0)
    assert load(pymeter, write("day.csv", "b,tokens,2")) == (1, 0, 0, 0)
    name = write("day.csv", "b,tokens,2", "a,tokens,1")
    assert pymeter("import", name).status == 2, "is it the same file, grown? nobody can tell"
    assert load(pymeter, name, "--source", "thursday") == (2, 0, 0, 0)
    assert [meter.usage(s, "tokens").quantity for s in "ab"] == [3, 9]


def test_a_file_that_grows_keeps_its_lines_however_often_it_grew(pymeter: Run, meter: Meter) -> None:
    lines = [f"a,tokens,{number % 3}" for number in range(1300)]
    for length, new in ((3, 3), (700, 697), (700, 0), (701, 1), (1300, 599), (701, 0), (3, 0)):
        name = write(f"log{length}.csv", *lines[:length])
        if new and length > 3:
            ran = pymeter("import", name)
            assert (ran.status, "--grown" in ran.err, "--source" in ran.err) == (2, True, True)
        assert load(pymeter, name, "--grown", "--batch-size", "100") == (new, length - new, 0, 0)
    assert meter.usage("a", "tokens").quantity == sum(number % 3 for number in range(1300))


def test_a_file_that_grew_after_an_interruption_or_with_bad_last_lines_keeps_its_lines(
    pymeter: Run, meter: Meter, meter_dsn: str
) -> None:
    lines = [f"a,tokens,{number}" for number in range(900)]

    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        import_file(
            write("log.csv", *lines[:800]),
            lambda: psycopg.connect(meter_dsn, autocommit=True),
            options=ImportOptions(batch_size=300),
            progress=interrupt,
        )
    assert load(pymeter, write("log.csv", *lines), "--grown") == (600, 300, 0, 0)
    bad = ("b,tokens,1", "b,tokens,2", "b,unknown,3", "b,tokens", "b,unknown,4")
    assert load(pymeter, write("bad.csv", *bad)) == (2, 0, 0, 3)
    assert load(pymeter, write("bad.csv", *bad, "b,tokens,9"), "--grown") == (1, 2, 0, 3)


def test_a_stream_without_keys_needs_a_name(pymeter: Run, meter: Meter) -> None:
    text = f"{HEADER}\na,tokens,1\n"
    ran = pymeter("import", "-", input=text)
    assert ran.status == 2
    assert "pymeter import - --source NAME" in " ".join(ran.err.split())
    assert meter.subjects() == []
    assert load(pymeter, "-", "--source", "monday", input=text) == (1, 0, 0, 0)
    assert load(pymeter, "-", "--source", "monday", input=text) == (0, 1, 0, 0)
    assert load(pymeter, "-", "--source", "monday", input=f"{text}a,tokens,1\n") == (1, 1, 0, 0)
    assert load(pymeter, "-", "--source", "tuesday", input=text) == (1, 0, 0, 0)
    assert load(pymeter, "-", "--unkeyed", "count", input=text) == (1, 0, 0, 0)
    assert load(pymeter, "-", "--unkeyed", "reject", input=text) == (0, 0, 0, 1)


def test_a_stream_that_turns_out_to_lack_a_key_stops_there_and_can_be_repeated(
    pymeter: Run, meter: Meter
) -> None:
    lines = [f'{{"subject":"a","metric":"tokens","quantity":1,"idempotency_key":"k{n}"}}' for n in range(5)]
    text = "\n".join([*lines, '{"subject":"a","metric":"tokens","quantity":1}'])
    ran = pymeter("import", "-", "-f", "jsonl", "--batch-size", "2", input=text)
    assert (ran.status, "--source NAME" in ran.err) == (2, True)
    assert load(pymeter, "-", "-f", "jsonl", "--source", "s", input=text)[0] + 4 == 6
    assert meter.usage("a", "tokens").quantity == 6


def test_a_pipe_with_a_name_of_its_own_is_a_stream(pymeter: Run, meter: Meter) -> None:
    os.mkfifo("pipe.csv")

    def feed() -> None:
        Path("pipe.csv").write_text(f"{HEADER}\na,tokens,1\n")

    feeder = threading.Thread(target=feed)
    feeder.start()
    ran = pymeter("import", "pipe.csv")
    feeder.join()
    assert (ran.status, "--source" in ran.err) == (2, True)
    assert meter.subjects() == []


def test_process_substitution_is_a_stream(meter: Meter, meter_dsn: str, tmp_path: Path) -> None:
    write(str(tmp_path / "usage.csv"), "a,tokens,1")
    command = f"{sys.executable} -m pymeter import <(cat {tmp_path}/usage.csv)"
    env = {**os.environ, "PYMETER_DSN": meter_dsn, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for more, status in (("", 2), (" --source s", 0), (" --source s", 0)):
        ran = subprocess.run(
            ["bash", "-c", command + more], env=env, cwd=tmp_path, capture_output=True, text=True
        )
        assert ran.returncode == status, ran.stderr
    assert meter.usage("a", "tokens").quantity == 1


def test_two_columns_of_one_line_are_two_events(pymeter: Run, meter: Meter) -> None:
    Path("wide.csv").write_text("subject,in,out\na,5,5\n")
    common = ("--set", "metric=tokens", "--extra", "ignore")
    assert load(pymeter, "wide.csv", "--map", "quantity=in", *common) == (1, 0, 0, 0)
    assert load(pymeter, "wide.csv", "--map", "quantity=out", *common) == (1, 0, 0, 0)
    assert load(pymeter, "wide.csv", "--map", "quantity=out", *common) == (0, 1, 0, 0)
    ran = pymeter("import", "wide.csv", "--map", "quantity=in", "--map", "quantity=out", *common)
    assert (ran.status, "twice" in ran.err) == (2, True)


def test_one_key_for_two_columns_is_told(pymeter: Run) -> None:
    Path("wide.csv").write_text("idempotency_key,subject,in,out\nk,a,5,5\n")
    common = ("--set", "metric=tokens", "--extra", "ignore")
    pymeter("import", "wide.csv", "--map", "quantity=in", *common)
    assert "another column than out" in " ".join(
        pymeter("import", "wide.csv", "--map", "quantity=out", *common).out.split()
    )


def test_a_file_that_changes_while_it_is_imported_stops_the_import(
    meter: Meter, meter_dsn: str, tmp_path: Path
) -> None:
    name = write(str(tmp_path / "log.csv"), *(["a,tokens,1"] * 50_000))

    def change(*_: object) -> None:
        with Path(name).open("r+b") as file:
            file.seek(-3, os.SEEK_END)
            file.write(b"7")

    report = ImportReport(name)
    with pytest.raises(ImportStopped, match="changed"):
        import_file(
            name,
            lambda: psycopg.connect(meter_dsn, autocommit=True),
            options=ImportOptions(batch_size=10_000),
            rejects=tmp_path / "rejects",
            progress=change,
            report=report,
        )
    assert not report.complete


def test_what_is_written_to_a_file_while_it_is_imported_is_for_the_next_import(
    meter: Meter, meter_dsn: str, tmp_path: Path
) -> None:
    name = write(str(tmp_path / "log.csv"), *(["a,tokens,1"] * 500))

    def grow(*_: object) -> None:
        with Path(name).open("a") as file:
            file.write("a,tokens,1\n")

    def load_it(progress: Any) -> int:
        return import_file(
            name,
            lambda: psycopg.connect(meter_dsn, autocommit=True),
            options=ImportOptions(batch_size=100, grown=True),
            progress=progress,
        ).recorded

    assert load_it(grow) == 500
    assert load_it(None) == 5
    assert meter.usage("a", "tokens").quantity == 505
