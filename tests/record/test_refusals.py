"""P8: bad input is refused with a stable SQLSTATE and a HINT, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg
import pytest

from tests.helpers import AGGREGATES, Ledger, Task, midnight, refused

GOOD = {"subject": "a", "metric": "sum", "quantity": 5, "idempotency_key": "k"}
UNIQUE = {"subject": "a", "metric": "unique", "member": "u", "idempotency_key": "k"}
LONG = "é" * 513
OF_QUANTITIES = [aggregate for aggregate in AGGREGATES if aggregate != "unique"]


class Case(NamedTuple):
    """An event, and the SQLSTATE and the parameter with which it is refused."""

    event: Any
    sqlstate: str
    parameter: str


# By the reason of the refusal. What record() and record_batch() both refuse:
REFUSED: dict[str, Case] = {
    "subject is null": Case(GOOD | {"subject": None}, "22004", "subject"),
    "subject is empty": Case(GOOD | {"subject": ""}, "22023", "subject"),
    "subject is white space": Case(GOOD | {"subject": " \t\r\n"}, "22023", "subject"),
    "subject has 513 characters": Case(GOOD | {"subject": LONG}, "22023", "subject"),
    "metric is null": Case(GOOD | {"metric": None}, "22004", "metric"),
    "metric is empty": Case(GOOD | {"metric": ""}, "UM001", "metric"),
    "metric is unknown": Case(GOOD | {"metric": "nope"}, "UM001", "metric"),
    "metric is written in upper case": Case(GOOD | {"metric": "SUM"}, "UM001", "metric"),
    "metric is retired": Case(GOOD | {"metric": "retired"}, "UM002", "metric"),
    **{
        f"{metric} without a quantity": Case(GOOD | {"metric": metric, "quantity": None}, "22004", "quantity")
        for metric in ("sum", "min", "max", "avg", "last")
    },
    **{
        f"{metric} of {quantity}": Case(GOOD | {"metric": metric, "quantity": quantity}, "22023", "quantity")
        for metric in OF_QUANTITIES
        for quantity in ("NaN", "Infinity", "-Infinity")
    },
    "a negative sum": Case(GOOD | {"metric": "sum", "quantity": -1}, "22023", "quantity"),
    "a negative count": Case(GOOD | {"metric": "count", "quantity": -1}, "22023", "quantity"),
    "a tiny negative sum": Case(GOOD | {"quantity": Decimal("-1e-50")}, "22023", "quantity"),
    "101 digits before the point": Case(GOOD | {"quantity": Decimal(10) ** 100}, "22023", "quantity"),
    "101 digits before the point, negative": Case(
        GOOD | {"metric": "last", "quantity": -(Decimal(10) ** 100)}, "22023", "quantity"
    ),
    "101 digits after the point": Case(GOOD | {"quantity": Decimal(10) ** -101}, "22023", "quantity"),
    "sum with a member": Case(GOOD | {"member": "u"}, "UM002", "member"),
    "count with a member": Case(
        GOOD | {"metric": "count", "quantity": None, "member": "u"}, "UM002", "member"
    ),
    "sum with a member and no quantity": Case(GOOD | {"member": "u", "quantity": None}, "UM002", "member"),
    "unique with a quantity": Case(UNIQUE | {"quantity": 1}, "UM002", "quantity"),
    "unique with a quantity and no member": Case(
        UNIQUE | {"quantity": 1, "member": None}, "UM002", "quantity"
    ),
    "unique without a member": Case(UNIQUE | {"member": None}, "22004", "member"),
    "member is empty": Case(UNIQUE | {"member": ""}, "22023", "member"),
    "member is white space": Case(UNIQUE | {"member": "\n"}, "22023", "member"),
    "member has 513 characters": Case(UNIQUE | {"member": LONG}, "22023", "member"),
    "key is empty": Case(GOOD | {"idempotency_key": ""}, "22023", "idempotency_key"),
    "key is white space": Case(GOOD | {"idempotency_key": "  "}, "22023", "idempotency_key"),
    "key has 513 characters": Case(GOOD | {"idempotency_key": LONG}, "22023", "idempotency_key"),
    "metadata is an array": Case(GOOD | {"metadata": []}, "22023", "metadata"),
    "metadata is larger than 64 KiB": Case(GOOD | {"metadata": {"x": "y" * 65536}}, "22023", "metadata"),
    "at is infinity": Case(GOOD | {"at": "infinity"}, "22023", "at"),
    "at is -infinity": Case(GOOD | {"at": "-infinity"}, "22023", "at"),
    "at is before 1970": Case(GOOD | {"at": "1969-12-31T23:59:59.999999Z"}, "22023", "at"),
    "at is in the year 9999": Case(GOOD | {"at": "9999-12-31T23:59:59Z"}, "22023", "at"),
    "at is further ahead than max_future": Case(GOOD | {"at": midnight(3).isoformat()}, "22023", "at"),
}

# What only JSON can hold.
BATCH_ONLY: dict[str, Case] = {
    "event is null": Case(None, "22023", "events"),
    "event is a number": Case(1, "22023", "events"),
    "event is a string": Case("x", "22023", "events"),
    "event is an array with an event": Case([GOOD], "22023", "events"),
    "event is an empty array": Case([], "22023", "events"),
    "event is an empty object": Case({}, "22004", "subject"),
    "a field in upper case": Case(GOOD | {"Subject": "a"}, "22023", "events"),
    "a field without a name": Case(GOOD | {"": "a"}, "22023", "events"),
    "an unknown field": Case(GOOD | {"timestamp": "2026-06-18T00:00:00Z"}, "22023", "events"),
    "subject is a number": Case(GOOD | {"subject": 7}, "22023", "events"),
    "subject is an array": Case(GOOD | {"subject": ["a"]}, "22023", "events"),
    "metric is an object": Case(GOOD | {"metric": {}}, "22023", "events"),
    "quantity is true": Case(GOOD | {"quantity": True}, "22023", "events"),
    "quantity is an array": Case(GOOD | {"quantity": [1]}, "22023", "events"),
    "quantity is an object": Case(GOOD | {"quantity": {}}, "22023", "events"),
    "member is a number": Case(UNIQUE | {"member": 7}, "22023", "events"),
    "key is a number": Case(GOOD | {"idempotency_key": 7}, "22023", "events"),
    "at is a number": Case(GOOD | {"at": 1781793045}, "22023", "events"),
    "metadata is a string": Case(GOOD | {"metadata": "x"}, "22023", "metadata"),
    "metadata is a number": Case(GOOD | {"metadata": 1}, "22023", "metadata"),
    "metadata is true": Case(GOOD | {"metadata": True}, "22023", "metadata"),
    "metadata is an array of arrays": Case(GOOD | {"metadata": [[1]]}, "22023", "metadata"),
    "metadata is the word null": Case(GOOD | {"metadata": "null"}, "22023", "metadata"),
    **{
        f"quantity {reason}": Case(GOOD | {"quantity": text}, "22023", "quantity")
        for reason, text in {
            "is empty": "",
            "is a space": " ",
            "is a word": "x",
            "ends with a space": "1 ",
            "begins with a space": " 1",
            "has a decimal comma": "1,5",
            "has an underscore": "1_000",
            "is hexadecimal": "0x1F",
            "has two signs": "--1",
            "has an empty exponent": "1e",
            "has an exponent of four digits": "1e9999",
            "is a point": ".",
            "is a sign": "+",
            "has three points": "1.2.3",
            "has digits of another script": "٣",
            "has an exponent of 1000": "1e1000",
            "ends with a semicolon": "1;",
            "begins with a line feed": "\n1",
            "ends with a line feed": "1\n",
            "has 300 digits": "9" * 300,
            "has an exponent of 999": "1e999",
            "is nan": "nan",
            "is -infinity": "-infinity",
            "is inf": "inf",
            "has 200 digits": "9" * 200,
        }.items()
    },
    **{
        f"at {reason}": Case(GOOD | {"at": text}, "22023", "at")
        for reason, text in {
            "is empty": "",
            "is a space": " ",
            "is now": "now",
            "is today": "today",
            "is yesterday": "yesterday",
            "is epoch": "epoch",
            "is tomorrow": "tomorrow",
            "is allballs": "allballs",
            "is a date": "2026-06-18",
            "has no offset": "2026-06-18T14:30:45",
            "is a time of day": "14:30",
            "is in the basic format": "20260618T143045Z",
            "is hour 24": "2026-06-18T24:00:00Z",
            "is minute 60": "2026-06-18T23:60:00Z",
            "is second 61": "2026-06-18T23:59:61Z",
            "is February 29 of no leap year": "2026-02-29T00:00:00Z",
            "is April 31": "2026-04-31T00:00:00Z",
            "is month 13": "2026-13-01T00:00:00Z",
            "is month 0": "2026-00-01T00:00:00Z",
            "is day 0": "2026-01-00T00:00:00Z",
            "is year 0": "0000-01-01T00:00:00Z",
            "is a negative year": "-2026-01-01T00:00:00Z",
            "has a zone's name": "2026-06-18T14:30:45 Europe/Berlin",
            "has a zone's abbreviation": "2026-06-18T14:30:45 CET",
            "has an offset of 99 hours": "2026-06-18T14:30:45+99:00",
            "has an offset of 60 minutes": "2026-06-18T14:30:45+15:60",
            "is a German date": "18.06.2026 14:30:45Z",
            "is an American date": "06/18/2026 14:30:45Z",
            "ends with a line feed": "2026-06-18T14:30:45Z\n",
            "is before Christ": "2026-06-18T14:30:45Z BC",
            "is a Unix time": "1781793045",
            "is a week date": "2026-W25-4T00:00:00Z",
            "has a year of five digits": "12026-01-01T00:00:00Z",
            "has digits of another script": "٢٠٢٦-06-18T14:30:45Z",
            "has an empty fraction": "2026-06-18T14:30:45.Z",
            "is a tenth of a microsecond before 1970": "1969-12-31T23:59:59.9999999Z",
            "is a duration": "P1D",
            "has two offsets": "2026-06-18T14:30:45z+01:00",
            "is before year 1 in UTC": "0001-01-01T00:00:00+14:00",
            "is after year 9999 in UTC": "9999-12-31T23:59:60-14:00",
        }.items()
    },
}
ALL = REFUSED | BATCH_ONLY


def _define_metrics(ledger: Ledger) -> Ledger:
    for aggregate in AGGREGATES:
        ledger.define(aggregate, aggregate)
    ledger.define("retired", "sum")
    ledger.call("retire_metric", key="retired")
    return ledger


@pytest.fixture
def metrics(ledger: Ledger) -> Ledger:
    return _define_metrics(ledger)


@pytest.fixture(scope="module")
def shared(module_dsn: str) -> Iterator[Ledger]:
    """A ledger with one event, for tests that write nothing."""
    with psycopg.connect(module_dsn, autocommit=True) as connection:
        ledger = _define_metrics(Ledger(connection))
        ledger.record("z", "sum", 1, idempotency_key="there")
        yield ledger


@pytest.fixture
def unchanged(shared: Ledger) -> Iterator[Ledger]:
    """The shared ledger, which is the same after the test."""
    before = shared.state()
    yield shared
    assert shared.state() == before


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_p8_record_refuses_and_writes_nothing(unchanged: Ledger, case: Case) -> None:
    with refused(case.sqlstate, case.parameter) as caught:
        unchanged.record(**case.event)
    assert caught.value.diag.message_detail  # type: ignore[attr-defined]


def test_p8_record_refuses_metadata_of_json_null(unchanged: Ledger) -> None:
    with refused("22023", "metadata"):
        unchanged.record("a", "sum", 5, metadata=psycopg.types.json.Jsonb(None))


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_p8_record_batch_raises_names_the_ordinal_and_writes_nothing(unchanged: Ledger, case: Case) -> None:
    good = {"subject": "b", "metric": "sum", "quantity": 1, "idempotency_key": "b"}
    with refused(case.sqlstate, case.parameter) as caught:
        unchanged.batch([good, case.event, good | {"idempotency_key": "c"}, {}])
    assert "2" in caught.value.diag.message_detail.split(":")[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("case", ALL.values(), ids=ALL)
def test_p8_skip_and_raise_refuse_for_the_same_reason(unchanged: Ledger, case: Case) -> None:
    (outcome,) = unchanged.batch([case.event], "skip")
    with refused(case.sqlstate) as caught:
        unchanged.batch([case.event])
    diag = caught.value.diag  # type: ignore[attr-defined]
    assert (outcome.outcome, outcome.sqlstate, outcome.event_id) == ("rejected", case.sqlstate, None)
    assert outcome.message.startswith(diag.message_primary)
    assert outcome.hint == diag.message_hint


def test_p8_record_batch_that_skips_rejects_just_those_and_counts_the_rest(metrics: Ledger) -> None:
    events: list[Any] = []
    for reason, case in ALL.items():
        events += [case.event, {"subject": "b", "metric": "sum", "quantity": 1, "idempotency_key": reason}]
    outcomes = metrics.batch(events, "skip")
    assert [o.ordinal for o in outcomes] == list(range(1, len(events) + 1))
    assert {(o.outcome, o.event_id) for o in outcomes[::2]} == {("rejected", None)}
    assert [o.sqlstate for o in outcomes[::2]] == [case.sqlstate for case in ALL.values()]
    recorded = {(o.outcome, o.sqlstate, o.message, o.hint) for o in outcomes[1::2]}
    assert recorded == {("recorded", None, None, None)}
    assert metrics.usage("b", "sum").quantity == len(ALL)
    assert metrics.value("SELECT count(*) FROM meter.logged_events WHERE subject IS DISTINCT FROM 'b'") == 0
    assert metrics.value("SELECT count(*) FROM meter.keys") == len(ALL)
    assert metrics.verify() == []


@pytest.mark.parametrize(
    "reason", ["subject is null", "subject has 513 characters", "metric is unknown", "metric is retired"]
)
def test_p8_a_refusal_is_the_callers_to_catch_inside_a_transaction(
    metrics: Ledger, new_ledger: Callable[..., Ledger], reason: str
) -> None:
    writer = new_ledger("writer", autocommit=False)
    writer.record("a", "sum", 1)
    with refused(REFUSED[reason].sqlstate), writer.connection.transaction():
        writer.record(**REFUSED[reason].event)
    writer.connection.commit()
    assert metrics.usage("a", "sum").quantity == 1


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


@pytest.mark.parametrize("how", ["record", "batch"])
def test_p8_an_event_before_1970_is_refused_in_a_week_that_begins_before_too(
    ledger: Ledger, how: str
) -> None:
    ledger.define("m", "sum", period="week", rollup="none")
    ledger.record("a", "m", 1, at=datetime(1970, 1, 2, tzinfo=UTC))
    early = {"subject": "a", "metric": "m", "quantity": 1, "at": datetime(1969, 12, 30, tzinfo=UTC)}
    with refused("22023", "at"):
        ledger.batch([early]) if how == "batch" else ledger.record(**early)


@pytest.mark.parametrize(
    "metadata",
    ["SELECT metadata FROM large", """SELECT '{"a": 1e100000}'::jsonb"""],
    ids=["compressed", "a short number of many digits"],
)
@pytest.mark.parametrize("call", ["record", "record_batch"])
def test_p8_metadata_is_too_large_by_its_text_also_for_the_second_event_of_a_series(
    ledger: Ledger, call: str, metadata: str
) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1)
    ledger.execute(
        "CREATE TEMP TABLE large AS SELECT jsonb_build_object('a', repeat('x', 300000)) AS metadata"
    )
    calls = {
        "record": "meter.record('a', 'm', 1, metadata => l.metadata)",
        "record_batch": "meter.record_batch(jsonb_build_array(jsonb_build_object("
        "'subject', 'a', 'metric', 'm', 'quantity', 1, 'metadata', l.metadata)))",
    }
    with refused("22023", "metadata"):
        ledger.rows(f"SELECT r.* FROM ({metadata}) l (metadata), {calls[call]} r")
    assert ledger.usage("a", "m").quantity == 1
