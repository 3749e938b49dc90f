"""record(): one event, counted once, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.helpers import AGGREGATES, PERIODS, ROLLUPS, Ledger, at, midnight, refused

DAY = {"since": at("2026-06-18"), "until": at("2026-06-19")}


def test_sum_returns_the_new_total_and_the_period(ledger: Ledger) -> None:
    ledger.define("m", "sum", "token")
    first = ledger.record("a", "m", 100, at=at("2026-06-18 14:30"))
    assert (first.outcome, first.quantity, first.unit) == ("recorded", 100, "token")
    assert (first.period_start, first.period_end) == (at("2026-06-01"), at("2026-07-01"))
    second = ledger.record("a", "m", 50, at=at("2026-06-18 14:31"))
    assert second.quantity == 150
    assert second.event_id > first.event_id
    assert ledger.usage("a", "m", **DAY).quantity == 150


@pytest.mark.parametrize(
    ("aggregate", "quantities", "totals"),
    [
        ("max", [3, 7, 2], [3, 7, 7]),
        ("min", [3, 7, 2, -5], [3, 3, 2, -5]),
        ("count", [None, 3, None, 0], [1, 4, 5, 5]),
        ("last", [3, 7, 2], [3, 7, 2]),
        ("sum", ["0.1", "0.2", "0.70"], ["0.1", "0.3", "1.0"]),
        ("max", [-3, -7], [-3, -3]),
        ("avg", [-1, 1], [-1, 0]),
    ],
)
def test_every_aggregate_counts_as_it_says(
    ledger: Ledger, aggregate: str, quantities: list[object], totals: list[object]
) -> None:
    ledger.define("m", aggregate)
    answers = [
        ledger.record("a", "m", q, at=at("2026-06-18") + timedelta(hours=i)).quantity
        for i, q in enumerate(quantities)
    ]
    assert answers == [Decimal(str(t)) for t in totals]
    assert ledger.usage("a", "m", **DAY).quantity == Decimal(str(totals[-1]))
    assert ledger.verify() == []


def test_p6_an_average_is_exact_numeric(ledger: Ledger) -> None:
    ledger.define("m", "avg")
    for quantity in (1, 2, 2):
        answer = ledger.record("a", "m", quantity, at=at("2026-06-18"))
    five_thirds = ledger.value("SELECT 5::numeric / 3")
    assert answer.quantity == five_thirds == Decimal("1.6666666666666667")
    assert ledger.usage("a", "m", **DAY).quantity == five_thirds


@pytest.mark.parametrize("batch", [False, True])
def test_last_keeps_the_latest_at_and_ignores_an_older_one_that_arrives_later(
    ledger: Ledger, batch: bool
) -> None:
    ledger.define("m", "last")
    events = [
        {"subject": "a", "metric": "m", "quantity": q, "at": at(when)}
        for q, when in (
            (5, "2026-06-18 10:00"),
            (9, "2026-06-18 12:00"),
            (7, "2026-06-18 11:00"),
            (6, "2026-06-18 10:00"),
        )
    ]
    if batch:
        ledger.batch(events)
    else:
        assert [ledger.record(**event).quantity for event in events] == [5, 9, 9, 9]
    assert ledger.usage("a", "m", **DAY).quantity == 9
    assert ledger.usage("a", "m", since=at("2026-06-18 10:00"), until=at("2026-06-18 11:00")).quantity == 6
    assert ledger.usage("a", "m", since=at("2026-06-18 10:00"), until=at("2026-06-18 10:30")).quantity == 6
    assert ledger.verify() == []


def test_p3_of_two_last_events_with_the_same_at_the_later_recorded_counts(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    ledger.define("m", "last")
    others = [new_ledger() for _ in range(3)]
    for i in range(12):
        session = ([ledger, *others])[i % 4]
        if i % 3:
            session.record("a", "m", i, at=at("2026-06-18"))
        else:
            session.batch(
                [{"subject": "a", "metric": "m", "quantity": q, "at": at("2026-06-18")} for q in (99, i)]
            )
        assert ledger.usage("a", "m", **DAY).quantity == i
    ledger.rebuild()
    assert ledger.usage("a", "m", **DAY).quantity == 11


def test_unique_counts_members_once_per_period_and_once_in_any_window(ledger: Ledger) -> None:
    ledger.define("m", "unique", period="day")
    answers = [
        ledger.record("a", "m", member=u, at=at("2026-06-18 10:00")).quantity
        for u in ("u1", "u2", "u1", "u3")
    ]
    assert answers == [1, 2, 2, 3]
    assert ledger.record("a", "m", member="u1", at=at("2026-06-19 10:00")).quantity == 1
    assert ledger.usage("a", "m", **DAY).quantity == 3
    assert ledger.usage("a", "m", since=at("2026-06-18"), until=at("2026-06-20")).quantity == 3
    assert (
        ledger.usage("a", "m", since=at("2026-06-18 10:00"), until=at("2026-06-19 10:00:00.000001")).quantity
        == 3
    )
    ledger.forget()
    ledger.execute("TRUNCATE meter.unique_members")
    ledger.rebuild()
    assert ledger.usage("a", "m", since=at("2026-06-18"), until=at("2026-06-20")).quantity == 3


def test_a_null_at_means_now_and_the_default_is_now(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", 1)
    ledger.record("a", "m", 1, at=None)
    ledger.batch(
        [
            {"subject": "a", "metric": "m", "quantity": 1},
            {"subject": "a", "metric": "m", "quantity": 1, "at": None},
        ]
    )
    for row in ledger.rows("SELECT at, recorded_at FROM meter.events"):
        assert timedelta(0) <= row.recorded_at - row.at < timedelta(seconds=10)
        assert abs(datetime.now(UTC) - row.at) < timedelta(minutes=5)


def test_a_backfilled_event_lands_in_its_own_period(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    answer = ledger.record("a", "m", 5, at=at("2025-02-14 12:00"))
    assert (answer.period_start, answer.period_end) == (at("2025-02-01"), at("2025-03-01"))
    assert ledger.usage("a", "m").event_count == 0
    assert ledger.usage("a", "m", since=at("2025-02-14"), until=at("2025-02-15")).quantity == 5


def test_a_call_in_from_counts_once_and_one_that_is_expanded_counts_for_each_column(ledger: Ledger) -> None:
    """PostgreSQL's own rule, which the page and the COMMENT warn of."""
    ledger.define("m", "sum")
    assert ledger.row("SELECT * FROM meter.record('a', 'm', 5)").quantity == 5
    row = ledger.row("SELECT (meter.record('b', 'm', 5)).*")
    assert ledger.usage("a", "m").event_count == 1
    assert ledger.usage("b", "m").event_count == len(row) == 8
    ledger.row("SELECT (meter.record('c', 'm', 5, idempotency_key => 'k')).*")
    assert ledger.usage("c", "m").event_count == 1


def test_p1_a_record_that_is_rolled_back_counted_nothing(
    ledger: Ledger, new_ledger: Callable[..., Ledger]
) -> None:
    ledger.define("m", "sum")
    ledger.define("u", "unique")
    before = ledger.state()
    writer = new_ledger("writer", autocommit=False)
    writer.record("a", "m", 5, idempotency_key="k")
    writer.record("a", "u", member="x", idempotency_key="k")
    writer.batch([{"subject": "a", "metric": "m", "quantity": 1, "idempotency_key": "k2"}])
    assert writer.usage("a", "m").quantity == 6
    writer.connection.rollback()
    assert ledger.state() == before
    assert ledger.record("a", "m", 7, idempotency_key="k").outcome == "recorded"


def test_p1_a_savepoint_takes_its_records_with_it(ledger: Ledger, new_ledger: Callable[..., Ledger]) -> None:
    ledger.define("m", "sum")
    writer = new_ledger("writer", autocommit=False)
    writer.record("a", "m", 5, idempotency_key="k1")
    with writer.connection.transaction(force_rollback=True):
        writer.record("a", "m", 50, idempotency_key="k2")
    assert writer.record("a", "m", 6, idempotency_key="k2").quantity == 11
    writer.connection.commit()
    assert ledger.usage("a", "m").quantity == 11
    assert ledger.verify() == []


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_every_period_and_rollup_records_into_its_buckets(ledger: Ledger, aggregate: str) -> None:
    moment = at("2026-06-18 14:30:45.123")
    ends = {
        "minute": ("2026-06-18 14:30", "2026-06-18 14:31"),
        "hour": ("2026-06-18 14:00", "2026-06-18 15:00"),
        "day": ("2026-06-18", "2026-06-19"),
        "week": ("2026-06-15", "2026-06-22"),
        "month": ("2026-06-01", "2026-07-01"),
        "year": ("2026-01-01", "2027-01-01"),
    }
    given = {"member": "u"} if aggregate == "unique" else {"quantity": 1}
    for period in PERIODS:
        for rollup in ROLLUPS:
            key = f"{period} {rollup}"
            ledger.define(key, aggregate, period=period, rollup=rollup)
            answer = ledger.record("a", key, at=moment, **given)
            assert answer.quantity == 1
            if period == "never":
                assert answer.period_end is None
                assert answer.period_start <= at("1970-01-01")
            else:
                assert [answer.period_start, answer.period_end] == [at(text) for text in ends[period]]
            assert ledger.usage("a", key, now=moment).quantity == 1
    assert ledger.verify() == []


def test_several_records_in_one_statement_count_like_as_many_statements(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    ledger.execute(
        "SELECT meter.record('a', 'm', i, idempotency_key => (i / 2)::text) FROM generate_series(2, 9) i"
    )
    assert ledger.usage("a", "m").quantity == 2 + 4 + 6 + 8
    assert ledger.verify() == []


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE meter.events; --",
        'a"b',
        "a'b",
        "back\\slash",
        "\\",
        "$$",
        "%s %(x)s %%",
        "{}",
        "[1]",
        "null",
        "NULL",
        "emoji 🎉👩‍👩‍👧",
        "e\u0301",
        "\u00e9",
        "tab\tnew\nline",
        " padded ",
        "\u200b",
        "\u202e",
        "\ufeff",
        "x" * 200,
        "\U0010ffff",
        "\x01",
        "\x7f",
    ],
)
def test_texts_are_data(ledger: Ledger, text: str) -> None:
    for key, aggregate in ((text, "sum"), ("u", "unique")):
        if key.strip(" \t\n"):
            ledger.define(key, aggregate)
    ledger.record(text, text, 2, idempotency_key=text, metadata={text: text})
    ledger.record(text, "u", member=text, idempotency_key=text, metadata={text: text})
    outcomes = ledger.batch(
        [
            {
                "subject": text,
                "metric": text,
                "quantity": 2,
                "idempotency_key": text,
                "metadata": {text: text},
            },
            {"subject": text, "metric": "u", "member": text, "idempotency_key": text},
            {"subject": text, "metric": "u", "member": text + "!", "idempotency_key": text},
        ]
    )
    assert [o.outcome for o in outcomes] == ["duplicate", "duplicate", "conflict"]
    event = ledger.call("events", subject=text, metric=text)[0]
    assert (event.subject, event.metric, event.idempotency_key, event.metadata) == (
        text,
        text,
        text,
        {text: text},
    )
    assert ledger.call("events", subject=text, metric="u")[0].member == text
    assert [
        (g.value, g.quantity) for g in ledger.call("usage_by", subject=text, metric=text, dimension=text)
    ] == [(text, 2)]
    assert [s.subject for s in ledger.call("subjects")] == [text]
    assert {line.metric for line in ledger.call("summary", subject=text)} == {text, "u"}
    assert ledger.verify(subject=text, metric=text) == []
    assert ledger.rebuild(subject=text) == 0


@pytest.mark.parametrize("batch", [False, True])
def test_every_single_visible_character_is_a_text(ledger: Ledger, batch: bool) -> None:
    """PostgreSQL 15 reads E'\\v' as the letter v: a careless list of blanks would refuse it."""
    ledger.define("u", "unique")
    for character in map(chr, range(33, 127)):
        event = {"subject": character, "metric": "u", "member": character, "idempotency_key": character}
        outcome = ledger.batch([event])[0] if batch else ledger.record(**event)
        assert outcome.outcome == "recorded"
    assert len(ledger.call("subjects")) == 94
    for blank in ("\v", "\f", "\v\t \n"):
        with refused("22023", "subject"):
            ledger.record(blank, "u", member="x")


def test_texts_that_look_alike_are_different(ledger: Ledger) -> None:
    ledger.define("u", "unique")
    for member in ("e\u0301", "\u00e9", "E\u0301", "a", "A", "a ", "\uff41"):
        ledger.record("s", "u", member=member)
    assert ledger.usage("s", "u").quantity == 7
    for subject in ("é", "e\u0301", "É"):
        ledger.record(subject, "u", member="x")
    assert len(ledger.call("subjects")) == 4


@pytest.mark.parametrize("metric_length", [1, 200, 512])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("random_text", [False, True])
def test_names_of_every_allowed_length_are_stored_or_refused_never_a_failure(
    ledger: Ledger, metric_length: int, batch: bool, random_text: bool
) -> None:
    """The longest texts must fit into an index entry, also when they do not compress."""
    import random

    draw = random.Random(7)

    def long(length: int) -> str:
        if not random_text:
            return "🎉" * length
        return "".join(chr(draw.randrange(0x10000, 0x10FFFF)) for _ in range(length))

    metric = long(metric_length)
    if len(metric.encode()) > 2000:
        metric = long(500)
    moment = datetime.now(UTC)  # of the events and of the question: a minute may end between them
    for aggregate in ("unique", "last"):
        key = metric[:-1] + aggregate[0]
        ledger.define(key, aggregate, period="minute")
        for length in (88, 140, 150, 151, 449, 450, 512):
            event = {
                "subject": long(length),
                "metric": key,
                "at": moment,
                "idempotency_key": long(512),
                "metadata": {"x": long(512)},
            }
            event |= {"member": long(512)} if aggregate == "unique" else {"quantity": 1}
            if len(event["subject"].encode()) + len(key.encode()) > 2600:
                with refused("22023", "subject"):
                    ledger.batch([event]) if batch else ledger.record(**event)
            else:
                ledger.batch([event]) if batch else ledger.record(**event)
                assert ledger.usage(event["subject"], key, now=moment).quantity == 1
    assert ledger.verify() == []


@pytest.mark.parametrize("batch", [False, True])
def test_p6_quantities_are_exact_at_the_extremes(ledger: Ledger, batch: bool) -> None:
    ledger.define("m", "sum")
    large, small = Decimal(10) ** 99, Decimal(10) ** -100
    for quantity in (large, small, large, small):
        event = {"subject": "a", "metric": "m", "quantity": quantity}
        ledger.batch([event]) if batch else ledger.record(**event)
    assert str(ledger.usage("a", "m").quantity) == "2" + "0" * 99 + "." + "0" * 99 + "2"
    assert ledger.verify() == []


@pytest.mark.parametrize("quantity", ["1", "1.0", "1.000", "01", "+1", "1e0", "10e-1"])
def test_one_number_written_differently_is_one_payload(ledger: Ledger, quantity: str) -> None:
    ledger.define("m", "sum")
    ledger.record("a", "m", Decimal("1.00"), idempotency_key="k")
    assert ledger.record("a", "m", quantity, idempotency_key="k").outcome == "duplicate"
    assert (
        ledger.batch([{"subject": "a", "metric": "m", "quantity": quantity, "idempotency_key": "k"}])[
            0
        ].outcome
        == "duplicate"
    )


@pytest.mark.parametrize("quantity", ["-0", "0", "0.000", "-0.0"])
def test_zero_counts_as_an_event_of_nothing(ledger: Ledger, quantity: str) -> None:
    ledger.define("m", "sum")
    assert ledger.record("a", "m", quantity, idempotency_key="k").quantity == 0
    assert (
        ledger.batch([{"subject": "a", "metric": "m", "quantity": quantity, "idempotency_key": "k"}])[
            0
        ].outcome
        == "duplicate"
    )
    assert str(ledger.usage("a", "m").quantity) == "0"
    assert ledger.usage("a", "m").event_count == 1


def test_events_on_both_sides_of_a_boundary_land_in_their_own_buckets(ledger: Ledger) -> None:
    ledger.define("m", "sum", period="month")
    ledger.record("a", "m", 1, at=at("2026-06-30 23:59:59.999999"))
    ledger.record("a", "m", 2, at=at("2026-07-01"))
    ledger.record("a", "m", 4, at=at("1970-01-01"))
    ledger.record("a", "m", 8, at=midnight())
    assert ledger.usage("a", "m", period="month", now=at("2026-06-15")).quantity == 1
    assert ledger.usage("a", "m", period="month", now=at("2026-07-01")).quantity == 2
    assert ledger.usage("a", "m", period="month", now=at("1970-01-01")).quantity == 4
    assert ledger.usage("a", "m", period="never").quantity == 15


def test_metadata_is_kept_as_it_was(ledger: Ledger) -> None:
    ledger.define("m", "sum")
    metadata = {"model": "large", "n": 1.5, "nested": {"a": [1, None, True]}, "": "", "null": None}
    ledger.record("a", "m", 1, metadata=metadata)
    ledger.batch([{"subject": "a", "metric": "m", "quantity": 1, "metadata": metadata}])
    ledger.batch([{"subject": "a", "metric": "m", "quantity": 1, "metadata": None}])
    assert [event.metadata for event in ledger.call("events", subject="a")] == [None, metadata, metadata]
