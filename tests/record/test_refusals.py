"""P8: bad input is refused with a stable SQLSTATE and a HINT, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.helpers import AGGREGATES, Ledger, Task, midnight, refused

GOOD = {"subject": "a", "metric": "sum", "quantity": 5, "idempotency_key": "k"}
UNIQUE = {"subject": "a", "metric": "unique", "member": "u", "idempotency_key": "k"}
LONG = "é" * 513

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (GOOD | {"subject": None}, "22004", "subject"),
    (GOOD | {"subject": ""}, "22023", "subject"),
    (GOOD | {"subject": " \t\r\n"}, "22023", "subject"),
    (GOOD | {"subject": LONG}, "22023", "subject"),
    (GOOD | {"metric": None}, "22004", "metric"),
    (GOOD | {"metric": ""}, "UM001", "metric"),
    (GOOD | {"metric": "nope"}, "UM001", "metric"),
    (GOOD | {"metric": "SUM"}, "UM001", "metric"),
    (GOOD | {"metric": "retired"}, "UM002", "metric"),
    *[
        (GOOD | {"metric": m, "quantity": None}, "22004", "quantity")
        for m in ("sum", "min", "max", "avg", "last")
    ],
    *[(GOOD | {"metric": m, "quantity": "NaN"}, "22023", "quantity") for m in AGGREGATES if m != "unique"],
    *[
        (GOOD | {"metric": m, "quantity": "Infinity"}, "22023", "quantity")
        for m in AGGREGATES
        if m != "unique"
    ],
    *[
        (GOOD | {"metric": m, "quantity": "-Infinity"}, "22023", "quantity")
        for m in AGGREGATES
        if m != "unique"
    ],
    *[(GOOD | {"metric": m, "quantity": -1}, "22023", "quantity") for m in ("sum", "count")],
    (GOOD | {"quantity": Decimal("-1e-50")}, "22023", "quantity"),
    (GOOD | {"quantity": Decimal(10) ** 100}, "22023", "quantity"),
    (GOOD | {"metric": "last", "quantity": -(Decimal(10) ** 100)}, "22023", "quantity"),
    (GOOD | {"quantity": Decimal(10) ** -101}, "22023", "quantity"),
    (GOOD | {"member": "u"}, "UM002", "member"),
    (GOOD | {"metric": "count", "quantity": None, "member": "u"}, "UM002", "member"),
    (GOOD | {"member": "u", "quantity": None}, "UM002", "member"),
    (UNIQUE | {"quantity": 1}, "UM002", "quantity"),
    (UNIQUE | {"quantity": 1, "member": None}, "UM002", "quantity"),
    (UNIQUE | {"member": None}, "22004", "member"),
    (UNIQUE | {"member": ""}, "22023", "member"),
    (UNIQUE | {"member": "\n"}, "22023", "member"),
    (UNIQUE | {"member": LONG}, "22023", "member"),
    (GOOD | {"idempotency_key": ""}, "22023", "idempotency_key"),
    (GOOD | {"idempotency_key": "  "}, "22023", "idempotency_key"),
    (GOOD | {"idempotency_key": LONG}, "22023", "idempotency_key"),
    (GOOD | {"metadata": []}, "22023", "metadata"),
    (GOOD | {"metadata": {"x": "y" * 65536}}, "22023", "metadata"),
    (GOOD | {"at": "infinity"}, "22023", "at"),
    (GOOD | {"at": "-infinity"}, "22023", "at"),
    (GOOD | {"at": "1969-12-31T23:59:59.999999Z"}, "22023", "at"),
    (GOOD | {"at": "9999-12-31T23:59:59Z"}, "22023", "at"),
    (GOOD | {"at": midnight(3).isoformat()}, "22023", "at"),
]

BATCH_ONLY: list[tuple[Any, str, str]] = [
    (None, "22023", "events"),
    (1, "22023", "events"),
    ("x", "22023", "events"),
    ([GOOD], "22023", "events"),
    ([], "22023", "events"),
    ({}, "22004", "subject"),
    (GOOD | {"Subject": "a"}, "22023", "events"),
    (GOOD | {"": "a"}, "22023", "events"),
    (GOOD | {"timestamp": "2026-06-18T00:00:00Z"}, "22023", "events"),
    (GOOD | {"subject": 7}, "22023", "events"),
    (GOOD | {"subject": ["a"]}, "22023", "events"),
    (GOOD | {"metric": {}}, "22023", "events"),
    (GOOD | {"quantity": True}, "22023", "events"),
    (GOOD | {"quantity": [1]}, "22023", "events"),
    (GOOD | {"quantity": {}}, "22023", "events"),
    (UNIQUE | {"member": 7}, "22023", "events"),
    (GOOD | {"idempotency_key": 7}, "22023", "events"),
    (GOOD | {"at": 1781793045}, "22023", "events"),
    *[(GOOD | {"metadata": m}, "22023", "metadata") for m in ("x", 1, True, [[1]], "null")],
    *[
        (GOOD | {"quantity": q}, "22023", "quantity")
        for q in (
            "",
            " ",
            "x",
            "1 ",
            " 1",
            "1,5",
            "1_000",
            "0x1F",
            "--1",
            "1e",
            "1e9999",
            ".",
            "+",
            "1.2.3",
            "٣",
            "1e1000",
            "1;",
            "\n1",
            "1\n",
            "9" * 300,
            "1e999",
            "nan",
            "-infinity",
            "inf",
            "9" * 200,
        )
    ],
    *[
        (GOOD | {"at": a}, "22023", "at")
        for a in (
            "",
            " ",
            "now",
            "today",
            "yesterday",
            "epoch",
            "tomorrow",
            "allballs",
            "2026-06-18",
            "2026-06-18T14:30:45",
            "14:30",
            "20260618T143045Z",
            "2026-06-18T24:00:00Z",
            "2026-06-18T23:60:00Z",
            "2026-06-18T23:59:61Z",
            "2026-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "-2026-01-01T00:00:00Z",
            "2026-06-18T14:30:45 Europe/Berlin",
            "2026-06-18T14:30:45 CET",
            "2026-06-18T14:30:45+99:00",
            "2026-06-18T14:30:45+15:60",
            "18.06.2026 14:30:45Z",
            "06/18/2026 14:30:45Z",
            "2026-06-18T14:30:45Z\n",
            "2026-06-18T14:30:45Z BC",
            "1781793045",
            "2026-W25-4T00:00:00Z",
            "12026-01-01T00:00:00Z",
            "٢٠٢٦-06-18T14:30:45Z",
            "2026-06-18T14:30:45.Z",
            "1969-12-31T23:59:59.9999999Z",
            "P1D",
            "2026-06-18T14:30:45z+01:00",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:60-14:00",
        )
    ],
]


@pytest.fixture
def metrics(ledger: Ledger) -> Ledger:
    for aggregate in AGGREGATES:
        ledger.define(aggregate, aggregate)
    ledger.define("retired", "sum")
    ledger.call("retire_metric", key="retired")
    return ledger


def ids(cases: list[tuple[Any, str, str]]) -> list[str]:
    return [f"{i} {state} {parameter}" for i, (_, state, parameter) in enumerate(cases)]


def test_p8_record_refuses_and_writes_nothing(metrics: Ledger) -> None:
    metrics.record("z", "sum", 1, idempotency_key="there")
    before = metrics.state()
    for event, sqlstate, parameter in REFUSED:
        with refused(sqlstate, parameter) as caught:
            metrics.record(**event)
        assert caught.value.diag.message_detail, event  # type: ignore[attr-defined]
    with refused("22023", "metadata"):
        metrics.record("a", "sum", 5, metadata=psycopg.types.json.Jsonb(None))
    assert metrics.state() == before


def test_p8_a_refusal_is_the_callers_to_catch_inside_a_transaction(
    metrics: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    writer = new_ledger("writer", autocommit=False)
    writer.record("a", "sum", 1)
    for event, sqlstate, _ in REFUSED[:5]:
        with refused(sqlstate), writer.connection.transaction():
            writer.record(**event)
    writer.connection.commit()
    assert metrics.usage("a", "sum").quantity == 1


def test_p8_record_batch_that_raises_writes_nothing_and_names_the_ordinal(metrics: Ledger) -> None:
    metrics.record("z", "sum", 1, idempotency_key="there")
    before = metrics.state()
    good = {"subject": "b", "metric": "sum", "quantity": 1, "idempotency_key": "b"}
    for event, sqlstate, parameter in [*REFUSED, *BATCH_ONLY]:
        with refused(sqlstate, parameter) as caught:
            metrics.batch([good, event, good | {"idempotency_key": "c"}, {}])
        assert "2" in caught.value.diag.message_detail.split(":")[0], event  # type: ignore[attr-defined]
    assert metrics.state() == before


def test_p8_record_batch_that_skips_rejects_just_those_and_counts_the_rest(metrics: Ledger) -> None:
    cases = [*REFUSED, *BATCH_ONLY]
    events: list[Any] = []
    for number, (event, _, _) in enumerate(cases):
        events += [event, {"subject": "b", "metric": "sum", "quantity": 1, "idempotency_key": f"{number}"}]
    outcomes = metrics.batch(events, "skip")
    assert [o.ordinal for o in outcomes] == list(range(1, len(events) + 1))
    for outcome, (event, sqlstate, _) in zip(outcomes[::2], cases, strict=True):
        assert (outcome.outcome, outcome.sqlstate, outcome.event_id) == ("rejected", sqlstate, None), event
        assert outcome.message
        assert outcome.hint
    for outcome in outcomes[1::2]:
        assert (outcome.outcome, outcome.sqlstate, outcome.message, outcome.hint) == (
            "recorded",
            None,
            None,
            None,
        )
    assert metrics.usage("b", "sum").quantity == len(cases)
    assert metrics.value("SELECT count(*) FROM meter.events WHERE subject IS DISTINCT FROM 'b'") == 0
    assert (
        metrics.value("SELECT count(*) FROM meter.idempotency_keys WHERE subject IS DISTINCT FROM 'b'") == 0
    )
    assert metrics.verify() == []


def test_p8_skip_and_raise_refuse_for_the_same_reasons(metrics: Ledger) -> None:
    for event, _, _ in [*REFUSED, *BATCH_ONLY]:
        (outcome,) = metrics.batch([event], "skip")
        with pytest.raises(psycopg.Error) as caught:
            metrics.batch([event])
        assert caught.value.sqlstate == outcome.sqlstate
        assert outcome.message.startswith(caught.value.diag.message_primary)
        assert caught.value.diag.message_hint == outcome.hint


def test_p8_an_unknown_field_is_named(metrics: Ledger) -> None:
    event = GOOD | {"quanttiy": 5}
    with refused("22023") as caught:
        metrics.batch([event])
    assert "quanttiy" in caught.value.diag.message_detail  # type: ignore[attr-defined]
    assert "quanttiy" in metrics.batch([event], "skip")[0].message


def test_p8_an_unknown_field_is_refused_even_when_null(metrics: Ledger) -> None:
    with refused("22023"):
        metrics.batch([GOOD | {"period": None}])


@pytest.mark.parametrize("events", ["{}", "null", '"x"', "1", '{"subject": "a"}'])
def test_p8_a_batch_that_is_not_an_array_is_refused(metrics: Ledger, events: str) -> None:
    before = metrics.state()
    with refused("22023", "events"):
        metrics.batch(events)
    assert metrics.state() == before


def test_p8_a_null_batch_and_an_unknown_on_invalid_are_refused(metrics: Ledger) -> None:
    with refused("22004"):
        metrics.batch(None)
    with refused("22023", "on_invalid"):
        metrics.batch("[]", "ignore")
    with refused("22004"):
        metrics.call("record_batch", events="[]", on_invalid=None)


def test_an_empty_batch_is_fine(metrics: Ledger) -> None:
    assert metrics.batch([]) == []
    assert metrics.batch([], "skip") == []


def test_a_batch_of_only_rejected_events_is_fine(metrics: Ledger) -> None:
    before = metrics.state()
    assert [o.outcome for o in metrics.batch([{}, 1], "skip")] == ["rejected", "rejected"]
    assert metrics.state() == before


@pytest.mark.parametrize("batch", [False, True])
def test_the_edges_of_what_is_allowed_are_recorded(metrics: Ledger, batch: bool) -> None:
    edges: list[dict[str, Any]] = [
        GOOD | {"subject": "é" * 512},
        GOOD | {"idempotency_key": "é" * 512},
        UNIQUE | {"member": "é" * 512},
        GOOD | {"quantity": Decimal("9" * 100), "idempotency_key": None},
        GOOD | {"quantity": Decimal(10) ** -100, "idempotency_key": None},
        GOOD | {"at": "1970-01-01T00:00:00Z", "idempotency_key": None},
        GOOD | {"metadata": {"x": "y" * (65536 - 9)}, "idempotency_key": None},
        GOOD | {"metadata": {}, "idempotency_key": None},
        GOOD | {"metric": "max", "quantity": -1},
    ]
    for event in edges:
        outcome = metrics.batch([event])[0] if batch else metrics.record(**event)
        assert outcome.outcome == "recorded"
    assert metrics.verify() == []


@pytest.mark.parametrize("batch", [False, True])
def test_how_far_in_the_future_is_the_metrics_setting(ledger: Ledger, batch: bool) -> None:
    ledger.define("day", "sum")
    ledger.define("none", "sum", max_future="0")
    ledger.define("week", "sum", max_future="7 days")
    now = ledger.value("SELECT now()")

    def record(metric: str, ahead: timedelta) -> None:
        event = {"subject": "a", "metric": metric, "quantity": 1, "at": now + ahead}
        ledger.batch([event]) if batch else ledger.record(**event)

    record("day", timedelta(hours=23))
    with refused("22023", "at"):
        record("day", timedelta(hours=25))
    record("week", timedelta(days=6, hours=23))
    with refused("22023", "at"):
        record("week", timedelta(days=7, hours=1))
    with refused("22023", "at"):
        record("none", timedelta(hours=1))
    record("none", timedelta(0))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-06-18T14:30:45.123Z", "2026-06-18T14:30:45.123+00:00"),
        ("2026-06-18t14:30:45z", "2026-06-18T14:30:45+00:00"),
        ("2026-06-18 14:30:45+00:00", "2026-06-18T14:30:45+00:00"),
        ("2026-06-18 14:30:45 +02", "2026-06-18T12:30:45+00:00"),
        ("2026-06-18T14:30:45+0530", "2026-06-18T09:00:45+00:00"),
        ("2026-06-18T14:30:45-00:00", "2026-06-18T14:30:45+00:00"),
        ("2026-06-18T14:30Z", "2026-06-18T14:30:00+00:00"),
        ("2026-06-18T14:30+14:00", "2026-06-18T00:30:00+00:00"),
        ("2026-06-18T14:30:45,5Z", "2026-06-18T14:30:45.5+00:00"),
        ("2026-06-18T14:30:45.1234567Z", "2026-06-18T14:30:45.123456+00:00"),
        ("2026-06-18T14:30:59.999999999999Z", "2026-06-18T14:30:59.999999+00:00"),
        ("2026-06-18t14:30:59,9999999999999999999999z", "2026-06-18T14:30:59.999999+00:00"),
        ("2026-06-30 23:59:59.9999995 -0500", "2026-07-01T04:59:59.999999+00:00"),
        ("2016-12-31T23:59:60.000000000Z", "2017-01-01T00:00:00+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00+00:00"),
        ("2000-02-29T23:59:59.999999-14:59", "2000-03-01T14:58:59.999999+00:00"),
    ],
)
def test_every_usual_form_of_a_time_is_read(ledger: Ledger, text: str, instant: str) -> None:
    ledger.define("m", "sum")
    ledger.batch([{"subject": "a", "metric": "m", "quantity": 1, "at": text}])
    assert ledger.call("events", subject="a")[0].at == datetime.fromisoformat(instant)


def test_p8_a_fraction_of_a_leap_second_is_read_or_rejected_never_a_failure(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    outcomes = ledger.batch(
        [
            {"subject": "a", "metric": "m", "quantity": 1, "at": f"2016-12-31T23:59:60{part}Z"}
            for part in ("", ".5", ".9999999")
        ],
        "skip",
    )
    assert outcomes[0].outcome == "recorded"
    assert {(o.outcome, o.sqlstate) for o in outcomes} <= {("recorded", None), ("rejected", "22023")}
    assert ledger.verify() == []


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ("1", "1"),
        ('"1"', "1"),
        ("1.50", "1.5"),
        ('"1.50"', "1.5"),
        ("1e3", "1000"),
        ('"1E3"', "1000"),
        ('"1e-3"', "0.001"),
        ('"+1"', "1"),
        ('"1."', "1"),
        ('".5"', "0.5"),
        ("0.1", "0.1"),
        ("123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"),
        ("-0", "0"),
        ('"-0.0"', "0"),
        ("1e99", "1e99"),
        ("1E-100", "1e-100"),
        ('"00000"', "0"),
    ],
)
def test_p6_numbers_and_numeric_strings_are_read_exactly(ledger: Ledger, quantity: str, value: str) -> None:
    ledger.define("m", "sum")
    ledger.batch(f'[{{"subject": "a", "metric": "m", "quantity": {quantity}}}]')
    assert ledger.usage("a", "m").quantity == Decimal(value)


@pytest.mark.parametrize(
    "number", ["1e999", "1e131071", "-1e999", "1e-16383", "9" * 2000, "0." + "0" * 9000 + "1"]
)
@pytest.mark.parametrize("quoted", [False, True])
def test_p8_a_monstrous_number_is_one_rejected_event(ledger: Ledger, number: str, quoted: bool) -> None:
    ledger.define("m", "last")
    text = f'"{number}"' if quoted else number
    outcomes = ledger.batch(
        f'[{{"subject": "a", "metric": "m", "quantity": {text}}},'
        f' {{"subject": "a", "metric": "m", "quantity": 1}}]',
        "skip",
    )
    assert [(o.outcome, o.sqlstate) for o in outcomes] == [("rejected", "22023"), ("recorded", None)]
    assert len(outcomes[0].message) < 500
    if not quoted:
        with refused("22023", "quantity"):
            ledger.record("a", "m", Decimal(number))


def test_of_a_field_that_is_given_twice_the_last_one_counts_as_in_jsonb(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.batch('[{"subject": "a", "metric": "m", "quantity": 1, "quantity": 2}]')
    assert ledger.usage("a", "m").quantity == 2


def test_p8_details_are_cut_to_a_readable_length(ledger: Ledger) -> None:
    with refused("22023") as caught:
        ledger.record("s" * 10_000, "m" * 10_000, 1, member="x" * 10_000)
    assert len(str(caught.value)) < 2000  # type: ignore[attr-defined]
    (outcome,) = ledger.batch([{"f" * 10_000: 1}], "skip")
    assert len(outcome.message) < 500


def test_p8_a_refused_event_waits_for_nobody(metrics: Ledger, new_ledger: Callable[..., Ledger]) -> None:
    writer, other = new_ledger("writer", autocommit=False), new_ledger("other")
    writer.record(**GOOD)
    other.execute("SET lock_timeout = '1s'")
    assert Task(lambda: other.record(**(GOOD | {"quantity": -1}))).error().sqlstate == "22023"  # type: ignore[union-attr]
