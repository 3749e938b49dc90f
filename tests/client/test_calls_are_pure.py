"""A call is a value: what is sent is decided without a database, and so is what only Python can check."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb
from pydantic import ValidationError

from pymeter import calls
from pymeter.errors import InvalidInput
from pymeter.models import NewEvent

NOON = datetime(2026, 6, 18, 12, tzinfo=UTC)


def text(call: calls.Call[Any], schema: str = "meter") -> str:
    return call.statement(schema)


def sent_events(call: calls.Call[Any]) -> list[dict[str, Any]]:
    events = call.params["events"]
    assert isinstance(events, Jsonb)
    return json.loads(events.obj)  # type: ignore[no-any-return]


def test_arguments_are_named_and_cast() -> None:
    call = calls.record("acct_1", "tokens", 120, at=NOON)
    assert text(call) == (
        'SELECT * FROM "meter".record(subject => %(subject)s::text, metric => %(metric)s::text, '
        "quantity => %(quantity)s::numeric, at => %(at)s::timestamptz)"
    )
    assert call.params == {"subject": "acct_1", "metric": "tokens", "quantity": Decimal(120), "at": NOON}


def test_an_optional_argument_left_at_none_is_not_sent() -> None:
    assert "at =>" not in text(calls.record("acct_1", "tokens"))
    assert text(calls.rebuild()) == 'SELECT * FROM "meter".rebuild()'


def test_what_is_said_of_a_whole_call_is_sent_only_if_it_is_unusual() -> None:
    assert calls.record("acct_1", "tokens", overflow=False, strict=False).params.keys() == {
        "subject",
        "metric",
    }
    call = calls.record("acct_1", "tokens", overflow=True, strict=True, total=False)
    assert "overflow => %(overflow)s::boolean, strict => %(strict)s::boolean" in text(call)
    assert calls.record_batch([]).params.keys() == {"events", "on_invalid"}
    batch = calls.record_batch([], overflow=True, on_refused="raise")
    assert (batch.params["overflow"], batch.params["on_refused"]) == (True, "raise")
    with pytest.raises(InvalidInput):
        calls.record("acct_1", "tokens", overflow=1)  # type: ignore[arg-type]


def test_marks_are_exact_numbers_in_a_list() -> None:
    assert calls.set_limit("tokens", 1, marks=[80, "99.5"]).params["marks"] == [80, Decimal("99.5")]
    assert "marks" not in calls.set_limit("tokens", None).params
    for wrong in ("80", 80, [0.5], [None], {80}):
        with pytest.raises(InvalidInput) as caught:
            calls.set_limit("tokens", 1, marks=wrong)  # type: ignore[arg-type]
        assert caught.value.parameter == "marks"


def test_a_missing_required_argument_is_sent_so_that_sql_refuses_it() -> None:
    assert calls.record(None, "tokens").params["subject"] is None  # type: ignore[arg-type]


def test_a_schema_of_any_name_is_quoted() -> None:
    assert '"we""ird %%"."catalog' not in text(calls.catalog(), 'we"ird %')
    assert text(calls.catalog(), 'we"ird %') == 'SELECT * FROM "we""ird %%".catalog()'


NOT_EXACT: list[Any] = [
    *(0.1, float("nan"), True, "1,5", "", object(), "1_000", "\uff11\uff12", "\u0663", "\u00a01"),
    *("0x1F", "inf", "1e1000", "9" * 201, "+", ".", "1e"),
]


@pytest.mark.parametrize("quantity", NOT_EXACT, ids=range(len(NOT_EXACT)))
def test_what_is_no_exact_number_is_refused_as_a_quantity(quantity: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        calls.record("acct_1", "tokens", quantity)
    assert caught.value.sqlstate == "22023"
    assert caught.value.parameter == "quantity"
    expected = "Write it like" if isinstance(quantity, str) else "Give an int, a Decimal or a numeric string"
    assert (caught.value.hint or "").startswith(expected)


@pytest.mark.parametrize(
    "quantity", [10**200_000, Decimal("1e200000"), Decimal("1e-20000")], ids=("int", "large", "small")
)
def test_a_number_that_numeric_would_refuse_or_round_to_zero_is_refused(quantity: Any) -> None:
    with pytest.raises(InvalidInput, match="too many digits") as caught:
        calls.record("acct_1", "tokens", quantity)
    assert (caught.value.sqlstate, caught.value.parameter) == ("22023", "quantity")


@pytest.mark.parametrize("quantity", [3, Decimal("0.1"), "0.1", " 7 ", 2**80])
def test_ints_decimals_and_numeric_strings_are_exact_quantities(quantity: Any) -> None:
    assert calls.record("acct_1", "tokens", quantity).params["quantity"] == Decimal(quantity)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        calls.usage("acct_1", "tokens", since=datetime(2026, 1, 1))
    assert caught.value.parameter == "since"


@pytest.mark.parametrize("value", ["nul\0", "half of a pair \ud83d", 42])
def test_a_text_that_cannot_be_stored_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        calls.record(value, "tokens", 1)
    assert caught.value.parameter == "subject"


@pytest.mark.parametrize("metadata", [{"price": float("inf")}, {"price": Decimal("NaN")}, {"what": object()}])
def test_metadata_that_json_cannot_say_is_refused(metadata: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        calls.record("acct_1", "tokens", 1, metadata=metadata)
    assert caught.value.parameter == "metadata"


def test_a_batch_takes_models_and_mappings() -> None:
    call = calls.record_batch(
        [
            NewEvent(subject="acct_1", metric="tokens", quantity=Decimal("0.10"), at=NOON),
            {
                "subject": "acct_1",
                "metric": "tokens",
                "quantity": 2**80,
                "metadata": {"price": Decimal("0.10")},
            },
        ]
    )
    one, two = sent_events(call)
    assert one == {
        "subject": "acct_1",
        "metric": "tokens",
        "quantity": "0.10",
        "at": "2026-06-18T12:00:00+00:00",
    }
    assert two["quantity"] == 2**80
    assert '"price":0.10' in call.params["events"].obj


def test_metadata_of_a_batch_may_hold_times_uuids_and_exact_numbers_together() -> None:
    identifier = uuid4()
    plain = {"when": NOON, "day": NOON.date(), "id": identifier, "names": ("ä", "b")}
    batch = [{"metadata": plain}, {"metadata": {**plain, "price": Decimal("0.10")}}]
    sent = {
        "when": "2026-06-18T12:00:00+00:00",
        "day": "2026-06-18",
        "id": str(identifier),
        "names": ["ä", "b"],
    }
    assert [event["metadata"] for event in sent_events(calls.record_batch(batch[:1]))] == [sent]
    assert [event["metadata"] for event in sent_events(calls.record_batch(batch))] == [
        sent,
        {**sent, "price": 0.1},
    ]


@pytest.mark.parametrize("event", [{"quantity": 0.5}, {"at": datetime(2026, 1, 1)}])
def test_a_bad_event_of_a_batch_is_named_by_its_ordinal(event: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"event 2: ") as caught:
        calls.record_batch([{"subject": "acct_1"}, event], on_invalid="skip")
    assert caught.value.parameter == next(iter(event))


def nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {"a": value}
    return value


BAD_EVENTS: list[dict[str, Any]] = [
    *({"subject": "nul\0"}, {"subject": "half of a pair \ud83d"}, {"member": "\udc00"}, {"at": object()}),
    *({"metadata": {"\0": 1}}, {"metadata": {"a": ["\ud800"]}}, {"metadata": {(1, 2): 1}}),
    *(
        {"metadata": {"a": float("nan")}},
        {"metadata": {"a": Decimal("Infinity")}},
        {"metadata": {"a": object()}},
    ),
    *({"metadata": {"a": 10**5000}}, {"metadata": {"a": Decimal("1e999999")}}),
    *({"metadata": {"a": Decimal("1e-999999")}}, {"quantity": object()}),
    *({"metadata": nested(300)}, {"metadata": nested(100_000)}),
]


@pytest.mark.parametrize("bad", BAD_EVENTS, ids=range(len(BAD_EVENTS)))
def test_an_event_that_json_cannot_say_is_named_and_refuses_no_other(bad: dict[str, Any]) -> None:
    good = {"subject": "acct_1 \U0001f600 \\ud800", "metadata": nested(150)}
    with pytest.raises(InvalidInput, match="event 2: "):
        calls.record_batch([good, bad, good])
    call = calls.record_batch([good, bad, good], on_invalid="skip")
    assert sent_events(call) == [good, good]
    sent = [{"ordinal": n, "event_id": n, "outcome": "recorded"} for n in (1, 2)]
    outcomes = call.result(sent)
    sqlstate = "22P05" if "surrogate" in (outcomes[1].message or "") else "22023"
    assert [(o.ordinal, o.outcome, o.event_id, o.sqlstate) for o in outcomes] == [
        (1, "recorded", 1, None),
        (2, "rejected", None, sqlstate),
        (3, "recorded", 2, None),
    ]
    assert outcomes[1].message
    assert outcomes[1].hint


JUDGED: list[tuple[Any, Any]] = [
    (10**5000, "1e999"),
    (-(10**5000), "-1e999"),
    (Decimal("1e999999"), "1e999"),
    (Decimal("-1e999999"), "-1e999"),
    (Decimal("1e-999999"), "1e-999"),
    (Decimal("1." + "0" * 400), "1."),
    (Decimal("0e999999"), "0"),
    (Decimal("NaN"), "NaN"),
    (Decimal("1e50"), "1E+50"),
    (2**80, 2**80),
    ("1_000", "1_000"),
    (" 7 ", "7"),
]


@pytest.mark.parametrize(("quantity", "sent"), JUDGED, ids=range(len(JUDGED)))
def test_sql_judges_a_quantity_of_a_batch_however_large_it_is(quantity: Any, sent: Any) -> None:
    assert sent_events(calls.record_batch([{"quantity": quantity}])) == [{"quantity": sent}]


class Nanoseconds(datetime):
    """As pandas.Timestamp: its text has more digits than a datetime, and PostgreSQL would round them."""

    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return super().isoformat(sep, timespec).replace("+", "999+")

    def __str__(self) -> str:
        return self.isoformat(" ")


def test_a_time_is_cut_off_after_its_microseconds() -> None:
    last = datetime(2026, 6, 30, 23, 59, 59, 999999, tzinfo=UTC)
    finer = Nanoseconds(2026, 6, 30, 23, 59, 59, 999999, tzinfo=UTC)
    assert str(finer) == "2026-06-30 23:59:59.999999999+00:00"
    assert str(calls.record("a", "m", 1, at=finer).params["at"]) == str(last)
    text = "2026-06-30T23:59:59.9999999Z"
    batch = [
        {"at": finer},
        *(NewEvent(subject="a", metric="m", at=at) for at in (finer, text, text.lower())),  # type: ignore[arg-type]
    ]
    assert {event["at"] for event in sent_events(calls.record_batch(batch))} == {last.isoformat()}


@pytest.mark.parametrize(
    "at", [1782863999, 1782863999.9999999, "1782863999", "2026-06-30T24:00:00Z", "2026-06-30"]
)
def test_a_new_event_takes_no_time_that_record_batch_would_not(at: Any) -> None:
    with pytest.raises(ValidationError, match="at"):
        NewEvent(subject="acct_1", metric="tokens", at=at)


def test_a_batch_writes_the_offset_of_any_zone_in_a_way_that_sql_reads() -> None:
    moment = datetime(1971, 1, 1, tzinfo=timezone(timedelta(minutes=-44, seconds=-30)))
    (event,) = sent_events(calls.record_batch([{"at": moment}]))
    assert event["at"] == "1971-01-01T00:44:30+00:00"


def test_a_batch_of_something_else_than_events_is_refused() -> None:
    with pytest.raises(InvalidInput, match="event 1"):
        calls.record_batch(["acct_1"])  # type: ignore[list-item]


@pytest.mark.parametrize("field", [{"quantity": 0.5}, {"at": datetime(2026, 1, 1)}, {"qty": 1}])
def test_a_new_event_checks_its_fields(field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(field))):
        NewEvent(subject="acct_1", metric="tokens", **field)
