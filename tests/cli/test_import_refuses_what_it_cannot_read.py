"""One bad line costs that line, and what would be counted wrong is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pymeter import Meter

Run = Callable[..., Any]
GOOD = '{"subject":"a","metric":"tokens","quantity":1,"idempotency_key":"%s"}'


@pytest.fixture(autouse=True)
def metrics(meter: Meter) -> None:
    meter.define_metric("tokens", "sum", "token")
    meter.define_metric("reqs", "count", "request")
    meter.define_metric("users", "unique", "user")


def counts(report: dict[str, Any]) -> tuple[int, ...]:
    return tuple(report[name] for name in ("recorded", "duplicate", "conflict", "rejected"))


def rejects(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(f"{name}.rejects.jsonl").read_text().splitlines()]


def load(pymeter: Run, text: str | bytes, *more: str, name: str = "usage.jsonl") -> Any:
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    return pymeter("import", name, "--json", *more)


# --- one line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        *("1e9999999999999999999", "-1e-9999999999999999999", "1e999999999", "1e131073", "9" * 5000),
        *(
            "NaN",
            "Infinity",
            "-Infinity",
            "1.5.5",
            "0x10",
            '"\\ud800"',
            '"\\u0000"',
            '"1e9999999999999999999"',
        ),
        *("[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000, "true", "null", "[]", '"\x01"'),
    ],
    ids=lambda value: value[:24],
)
def test_a_bad_value_anywhere_in_a_line_rejects_that_line_alone(
    pymeter: Run, meter: Meter, value: str
) -> None:
    lines = [GOOD % "k1"]
    lines += [f'{{"subject":"a","metric":"tokens","quantity":{value},"idempotency_key":"x"}}']
    lines += [f'{{"subject":"a","metric":"tokens","quantity":1,"idempotency_key":{value}}}']
    lines += [f'[{{"subject":{value},"metric":"tokens","quantity":1,"idempotency_key":"y"}}]', GOOD % "k2"]
    ran = load(pymeter, "\n".join(lines))
    assert ran.status == 1
    assert ran.json["recorded"] >= 2
    assert ran.json["lines"] == 5
    keys = {event.idempotency_key for event in meter.events("a")}
    assert keys >= {"k1", "k2"}
    assert keys.isdisjoint({"x", "y"}) or value in ('"1e9999999999999999999"',)
    assert meter.verify() == []


def test_a_bad_cell_rejects_its_line_alone(pymeter: Run, meter: Meter) -> None:
    cells = ["1e9999999999999999999", "9" * 5000, "NaN", "\x01", "1e9", "x" * 200_000]
    text = "subject,metric,quantity,metadata\n" + "".join(f"a,tokens,{cell},\n" for cell in cells)
    text += 'a,tokens,1,"{""x"": 1e9999999999999999999}"\na,tokens,1,"{""x"": 1, ""x"": 2}"\na,tokens,2,\n'
    ran = load(pymeter, text, name="usage.csv")
    assert counts(ran.json) == (2, 0, 0, 7)
    assert meter.usage("a", "tokens").quantity == 10**9 + 2


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_json_may_span_lines(pymeter: Run, meter: Meter, indent: int | None) -> None:
    events = [{**json.loads(GOOD % f"k{n}"), "metadata": {"n": [n, {"x": "]}"}], "e": {}}} for n in range(7)]
    array = json.dumps(events, indent=indent)
    assert counts(load(pymeter, array).json) == (7, 0, 0, 0)
    assert counts(load(pymeter, "\n".join(json.dumps(e, indent=indent) for e in events)).json) == (0, 7, 0, 0)
    assert counts(load(pymeter, "".join(json.dumps(e, indent=indent) for e in events)).json) == (0, 7, 0, 0)
    assert counts(load(pymeter, f"\ufeff{array}\n{array}").json) == (0, 14, 0, 0)
    assert counts(load(pymeter, "[\n" + ",\n".join(map(json.dumps, events)) + "\n]\n").json) == (0, 7, 0, 0)
    assert counts(load(pymeter, "[" + "\n,".join(map(json.dumps, events)) + "]").json) == (0, 7, 0, 0)
    assert meter.events("a")[0].metadata == events[-1]["metadata"]


def test_what_is_broken_in_json_that_spans_lines_is_told_and_the_rest_counts(
    pymeter: Run, meter: Meter
) -> None:
    first, second, third = (json.dumps(json.loads(GOOD % key), indent=2) for key in "abc")
    text = f"[{first},\n{second.replace('1,', 'one,')},\n{third}\n]\n"
    ran = load(pymeter, text)
    assert {event.idempotency_key for event in meter.events("a")} == {"a", "c"}
    assert ran.json["rejected"] >= 1
    assert "one" in json.dumps(rejects("usage.jsonl")) or ran.json["rejected"] == 5
    ran = load(pymeter, f"[{first},\n{third}", "--dry-run")
    assert ran.json["rejected"] == 1, "the array does not end"
    cut = '{"subject":"a","metric":"tokens",\n' + GOOD % "d" + '\n{"subject":"a","met\n' + GOOD % "e" + "\n"
    assert counts(load(pymeter, cut).json) == (2, 0, 0, 2)


def test_a_key_that_stands_twice_in_an_object_rejects_the_line(pymeter: Run) -> None:
    text = '{"subject":"a","subject":"b","metric":"tokens","quantity":1}\n'
    text += '{"subject":"a","metric":"tokens","quantity":1,"metadata":{"x":1,"x":2}}\n' + GOOD % "k"
    assert counts(load(pymeter, text).json) == (1, 0, 0, 2)
    assert "twice" in rejects("usage.jsonl")[0]["reason"]


def test_files_of_one_name_have_rejects_files_of_their_own(pymeter: Run) -> None:
    for folder in ("one", "two"):
        Path(folder).mkdir()
        Path(folder, "usage.csv").write_text(f"subject,metric,quantity\n{folder},tokens,x\n")
    both = pymeter("import", "one/usage.csv", "two/usage.csv", "--json").json
    named = [Path(report["rejects_file"]).read_text() for report in both]
    assert ["one,tokens" in named[0], "two,tokens" in named[1]] == [True, True]
    assert both[0]["rejects_file"] != both[1]["rejects_file"]


# --- CloudEvents --------------------------------------------------------------------------------------------


def cloudevent(**fields: Any) -> str:
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "reqs", "subject": "a"}
    event |= {"time": "2026-06-01T10:00:00Z", **fields}
    return json.dumps({name: value for name, value in event.items() if value is not None})


def test_cloudevents_are_unique_by_source_and_id(pymeter: Run, meter: Meter) -> None:
    pairs = [
        ("/a", "1"),
        ("/b", "1"),
        ("/a", "2"),
        ('/a","1', "x"),
        ("/a", '1","x'),
        ("/a/1", ""),
        ("x" * 600, "1"),
    ]
    pairs += [("x" * 600, "2"), ("/a", "1")]
    text = "\n".join(cloudevent(source=source, id=id) for source, id in pairs)
    ran = load(pymeter, text, "-f", "cloudevents")
    assert counts(ran.json) == (7, 1, 0, 1)
    assert counts(load(pymeter, text, "-f", "cloudevents").json) == (0, 8, 0, 1)
    assert len(meter.events("a", "reqs")) == 7


@pytest.mark.parametrize("lack", ["source", "id"])
def test_a_cloudevent_without_source_or_id_is_rejected(pymeter: Run, lack: str) -> None:
    assert counts(load(pymeter, cloudevent(**{lack: None}), "-f", "cloudevents").json) == (0, 0, 0, 1)
    assert lack in rejects("usage.jsonl")[0]["reason"]


@pytest.mark.parametrize(
    "event", [cloudevent(time=None), cloudevent().replace('"2026-06-01T10:00:00Z"', "null")]
)
def test_a_cloudevent_without_a_time_is_rejected_unless_it_may_lack_it(
    pymeter: Run, meter: Meter, event: str
) -> None:
    text = "\n".join((event, cloudevent(id="2")))
    for mapping in ((), ("--map", "at=time")):
        ran = load(pymeter, text, "-f", "cloudevents", *mapping)
        assert (ran.status, ran.json["rejected"]) == (1, 1)
        (rejected,) = rejects("usage.jsonl")
        assert (rejected["line"], rejected["sqlstate"]) == (1, "22004")
        assert "--map 'at?=time'" in rejected["hint"]
    before = datetime.now(UTC) - timedelta(minutes=1)
    ran = load(pymeter, text, "-f", "cloudevents", "--map", "at?=time")
    assert (ran.status, counts(ran.json)) == (0, (1, 1, 0, 0))
    assert [row.at > before for row in meter.events("a")].count(True) == 1
    other = event.replace('"1"', '"3"')
    assert load(pymeter, other, "-f", "cloudevents", "--set", "at=2026-06-01T00:00:00Z").status == 0


def test_a_cloudevent_with_binary_data_is_rejected(pymeter: Run, meter: Meter) -> None:
    assert counts(
        load(pymeter, cloudevent(data_base64="eyJxdWFudGl0eSI6IDV9"), "-f", "cloudevents").json
    ) == (
        *(0, 0, 0),
        1,
    )
    assert meter.subjects() == []


# --- what is mapped -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["jsonl", "cloudevents"])
@pytest.mark.parametrize("field", ["at", "quantity", "idempotency_key", "metadata.region"])
def test_a_path_that_no_line_has_stops_the_import_before_it_begins(
    pymeter: Run, meter: Meter, form: str, field: str
) -> None:
    text = "\n".join(cloudevent(id=str(n), metric="reqs") for n in range(3))
    common = () if form == "cloudevents" else ("--extra", "metadata")
    ran = load(pymeter, text, "-f", form, "--map", f"{field}=data.whn", *common)
    assert (ran.status, "data.whn" in ran.err, ran.out) == (2, True, "")
    assert meter.subjects() == []


def test_a_line_that_lacks_a_mapped_path_is_rejected_unless_it_may_lack_it(
    pymeter: Run, meter: Meter
) -> None:
    text = '{"subject":"a","metric":"reqs","n":5}\n{"subject":"a","metric":"reqs"}\n'
    ran = load(pymeter, text, "--map", "quantity=n", "--dry-run")
    assert counts(ran.json) == (1, 0, 0, 1)
    assert counts(load(pymeter, text, "--map", "quantity?=n").json) == (2, 0, 0, 0)
    assert meter.usage("a", "reqs").quantity == 6
    text = '{"subject":"a","metric":"reqs","n":null}\n'
    assert counts(load(pymeter, text, "--map", "quantity=n").json) == (1, 0, 0, 0), "null is said on purpose"


@pytest.mark.parametrize(
    ("header", "options", "says"),
    [
        ("subject,metric,quantity,quantity", (), "two columns"),
        ("subject,metric,quantity, quantity ", (), "two columns"),
        ("subject,metric,quantity,x,x", ("--extra", "metadata"), "two columns"),
        ("subject,metric,quantity,x", ("--extra", "metadata", "--map", "metadata.x=quantity"), "two columns"),
        ("subject,metric,quantity,event_id", (), "event_id"),
        ("subject;metric;quantity", (), "--delimiter ';'"),
        ("subject\tmetric\tquantity", (), "--delimiter tab"),
        ("subject|metric|quantity", (), "--delimiter '|'"),
        ("subject,metric,quantity", ("--map", "metric=subject", "--set", "metric=tokens"), "twice"),
    ],
)
def test_columns_that_could_be_taken_for_others_stop_the_import(
    pymeter: Run, meter: Meter, header: str, options: tuple[str, ...], says: str
) -> None:
    ran = load(pymeter, f"{header}\n" + header.replace("subject", "a") + "\n", *options, name="usage.csv")
    assert ran.status == 2
    assert says in " ".join(ran.err.split())
    assert meter.subjects() == []


def test_unused_columns_of_one_name_may_be_ignored(pymeter: Run) -> None:
    ran = load(
        pymeter, "subject,metric,quantity,x,x\na,tokens,1,2,3\n", "--extra", "ignore", name="usage.csv"
    )
    assert counts(ran.json) == (1, 0, 0, 0)


# --- white space --------------------------------------------------------------------------------------------


def test_white_space_and_byte_order_marks_do_not_make_another_customer(pymeter: Run, meter: Meter) -> None:
    text = "\ufeffsubject ,metric, quantity,idempotency_key\nacct,tokens,1,k\nacct , tokens,5,k2 \n"
    text += '"\ufeffacct\t",tokens\u00a0, 7 ,\n acct,tokens,1, k\n'
    ran = load(pymeter, text, name="usage.csv")
    assert counts(ran.json) == (3, 1, 0, 0)
    lines = '{"subject":" acct\\u200b","metric":"tokens ","quantity":" 2","idempotency_key":"j"}\n'
    lines += '\ufeff{"subject":"acct","metric":"users","member":" u1 ","idempotency_key":"m"}\n'
    assert counts(load(pymeter, lines).json) == (2, 0, 0, 0)
    assert [row.subject for row in meter.subjects()] == ["acct"]
    assert meter.usage("acct", "tokens").quantity == 15
    assert meter.events("acct", "users")[0].member == "u1"


def test_white_space_stays_when_asked(pymeter: Run, meter: Meter) -> None:
    load(pymeter, "subject,metric,quantity\nacct ,tokens,5\n", "--no-trim", name="usage.csv")
    assert [row.subject for row in meter.subjects()] == ["acct "]


# --- dry run ------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_happen_and_records_nothing(pymeter: Run, meter: Meter) -> None:
    meter.record("a", "tokens", 1, idempotency_key="old")
    rows = [
        "old,1",
        "old,2",
        "new,1",
        "new,1.0",
        "new,2",
        "bad,x",
        ",3",
        "b2,-1",
        *(f"k{n},1" for n in range(9)),
    ]
    text = "subject,metric,idempotency_key,quantity\n" + "".join(f"a,tokens,{row}\n" for row in rows)
    before = meter.events("a")
    for size in ("1", "4", "1000"):
        ran = load(pymeter, text, "--dry-run", "--batch-size", size, name="usage.csv")
        assert (ran.status, ran.json["dry_run"]) == (1, True)
        expected = counts(ran.json)
        assert expected == (11, 2, 2, 2)
        assert meter.events("a") == before
    assert not Path("usage.csv.rejects.jsonl").exists(), "the rejects of an import stay as they are"
    assert counts(load(pymeter, text, name="usage.csv").json) == expected
    assert "nothing was recorded" in pymeter("import", "usage.csv", "--dry-run").out


def test_a_dry_run_compares_numbers_exactly(pymeter: Run) -> None:
    long = "1234567890123456789012345678901234567890"
    quantities = [
        f"{long}1",
        f"{long}2",
        f"{long}1.0",
        "0.10",
        ".1",
        "1e-1",
        "100",
        "1e2",
        "0",
        "0.00",
        f"0.{long}",
    ]
    rows = [f"a,tokens,k,{quantity}\na,tokens,{quantity}x,{quantity}\n" for quantity in quantities]
    rows += [f"a,tokens,{key},{value}\n" for key in ("0.10x", "100x", "0x") for value in quantities]
    text = "subject,metric,idempotency_key,quantity\n" + "".join(rows)
    told = [counts(load(pymeter, text, *more, name="u.csv").json) for more in (("--dry-run",), ())]
    assert told[0] == told[1]


def test_a_dry_run_holds_no_lock_between_batches(pymeter: Run, meter: Meter) -> None:
    text = "subject,metric,quantity\n" + "a,tokens,1\n" * 50
    assert counts(load(pymeter, text, "--dry-run", "--batch-size", "10", name="usage.csv").json) == (
        50,
        0,
        0,
        0,
    )
    assert counts(load(pymeter, text, name="usage.csv").json) == (50, 0, 0, 0)
    assert counts(load(pymeter, text, "--dry-run", name="usage.csv").json) == (0, 50, 0, 0)
