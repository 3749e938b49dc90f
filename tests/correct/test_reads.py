"""What reads the log or the buckets, after corrections: compared with the rows of the log that count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.helpers import Ledger, Task, as_jsonb, of_each_kind, refused

NewLedger = Callable[..., Ledger]
EVERY = pytest.mark.parametrize(("aggregate", "striped"), of_each_kind(False, True))
ADDITIVE = ("sum", "count")
MINUTE = timedelta(minutes=1)

# Minutes after 10:00 of the third of a month, quantity, model. The last two are in hours of their own.
EVENTS = [(10, 5, "a"), (20, 9, "b"), (20, 2, "b"), (40, 3, "a"), (65, 7, "b"), (150, 4, "a")]
WINDOWS = [(0, 60), (15, 35), (15, 45), (5, 155), (20, 21), (0, 240), (65, 66), (-60 * 24, 60 * 24)]


def start(months_ago: int = 3) -> datetime:
    """10:00 of the third of an earlier month."""
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(months_ago):
        month = (month - timedelta(days=1)).replace(day=1)
    return month.replace(day=3, hour=10)


def payload(aggregate: str, quantity: int) -> dict[str, Any]:
    return {"member": f"u{quantity % 4}"} if aggregate == "unique" else {"quantity": quantity}


def filled(ledger: Ledger, others: list[Ledger], aggregate: str, **definition: Any) -> list[int]:
    """The ids of EVENTS, recorded in turn by the sessions: a striped metric has them in several stripes."""
    ledger.define("m", aggregate, **definition)
    return [
        [ledger, *others][n % (1 + len(others))]
        .record("s", "m", **payload(aggregate, q), at=start() + n_at * MINUTE, metadata={"model": model})
        .event_id
        for n, (n_at, q, model) in enumerate(EVENTS)
    ]


def correct(ledger: Ledger, function: str, **given: Any) -> Any:
    return ledger.call(function, **({"subject": "s", "metric": "m", "reason": "why"} | given))[0]


def void(ledger: Ledger, event_id: int, **given: Any) -> Any:
    return correct(ledger, "void_event", event_id=event_id, **given)


def log(ledger: Ledger) -> list[Any]:
    """The rows of the log that count: no voids, and nothing that a void takes back unless it was undone."""
    rows = ledger.rows("SELECT * FROM meter.logged_events WHERE metric = 'm' ORDER BY event_id DESC")
    gone: set[int] = set()
    for row in rows:  # a void is younger than what it takes back
        if row.kind == "void" and row.event_id not in gone:
            gone.add(row.corrects)
    return [row for row in rows if row.kind != "void" and row.event_id not in gone]


def expected(rows: list[Any], aggregate: str) -> tuple[Decimal, int]:
    """(quantity, event_count), by the textbook."""
    count = sum(row.kind == "usage" for row in rows)
    quantities = [row.quantity for row in rows]
    if not rows:
        return Decimal(0), 0
    if aggregate in ADDITIVE:
        return sum(quantities, Decimal(0)), count
    if aggregate == "avg":
        return sum(quantities, Decimal(0)) / count, count
    if aggregate == "unique":
        return Decimal(len({row.member for row in rows})), count
    if aggregate == "last":
        return max((row.at, row.event_id, row.quantity) for row in rows)[2], count
    return (min if aggregate == "min" else max)(quantities), count


def near(answer: Any, wanted: tuple[Decimal, int]) -> bool:
    quantity, count = answer
    return abs(Decimal(quantity) - wanted[0]) < Decimal("1e-9") and count == wanted[1]


def check(ledger: Ledger, aggregate: str) -> None:
    rows = log(ledger)

    def within(since: datetime, until: datetime) -> list[Any]:
        return [row for row in rows if since <= row.at < until]

    for low, high in WINDOWS:
        since, until = start() + low * MINUTE, start() + high * MINUTE
        wanted = expected(within(since, until), aggregate)
        has_data = wanted[1] > 0 or wanted[0] != 0
        used = ledger.usage("s", "m", since=since, until=until)
        assert near((used.quantity, used.event_count), wanted), (low, high, used, wanted)
        assert used.has_data is has_data
        (line,) = ledger.call("summary", subject="s", since=since, until=until)
        assert near((line.quantity, line.event_count), wanted)
        totals = ledger.call("totals", metric="m", since=since, until=until)
        assert [t.subject for t in totals] == ["s"] * has_data
        assert all(near((t.quantity, t.event_count), wanted) for t in totals)
        groups = ledger.call("usage_by", subject="s", metric="m", dimension="model", since=since, until=until)
        values = {row.metadata["model"] if row.metadata else None for row in within(since, until)}
        assert {group.value for group in groups} == values
        for group in groups:
            own = [r for r in within(since, until) if (r.metadata or {}).get("model") == group.value]
            assert near((group.quantity, group.event_count), expected(own, aggregate)), (low, high, group)
        quota = ledger.call("check_quota", subject="s", metric="m", quota=1000, since=since, until=until)[0]
        assert near((quota.used, 0), (wanted[0], 0))
    period = ledger.call("check_quota", subject="s", metric="m", quota=1000, now=start() + MINUTE)[0]
    assert near((period.used, 0), (expected(rows, aggregate)[0], 0))
    for step in ("hour", "20 minutes"):
        since, until = start(), start() + 240 * MINUTE
        for bucket in ledger.call("series", subject="s", metric="m", since=since, until=until, step=step):
            wanted = expected(within(bucket.bucket_start, bucket.bucket_end), aggregate)
            assert near((bucket.quantity or 0, bucket.event_count), wanted), bucket
            assert bucket.has_data is (wanted[1] > 0 or wanted[0] != 0)
    assert ledger.verify() == []


def corrected(ledger: Ledger, aggregate: str, ids: list[int]) -> Iterator[list[Any]]:
    """Yields after each correction. At last there are hours in which no event counts; one void was undone."""
    done = [void(ledger, ids[1])]  # the maximum
    yield done
    done.append(void(ledger, ids[5]))  # the latest, alone in its hour
    yield done
    changed = payload(aggregate, 8) if aggregate != "unique" else {"member": "other"}
    done.append(correct(ledger, "amend_event", event_id=ids[0], **changed))
    yield done
    if aggregate in ADDITIVE:
        for quantity, minutes in ((-4, 30), (2, 200)):
            done.append(correct(ledger, "adjust", quantity=quantity, at=start() + minutes * MINUTE))
        yield done
    for one in done[:1]:
        ledger.call("revert_correction", id=one.correction_id, reason="why not")
    yield done
    done.append(void(ledger, ids[1]))  # once more
    done.append(void(ledger, ids[4]))  # alone in its hour as well
    yield done


@pytest.mark.at_length
@EVERY
def test_every_read_leaves_out_what_was_voided(
    ledger: Ledger, new_ledger: NewLedger, aggregate: str, striped: bool
) -> None:
    ids = filled(ledger, [new_ledger("b"), new_ledger("c")] if striped else [], aggregate, striped=striped)
    check(ledger, aggregate)
    for done in corrected(ledger, aggregate, ids):
        assert {row.outcome for row in done} == {"applied"}
        check(ledger, aggregate)
    assert ledger.rebuild() == 0


@pytest.mark.at_length
@EVERY
def test_rebuild_and_another_rollup_make_the_same_of_the_log(
    ledger: Ledger, new_ledger: NewLedger, aggregate: str, striped: bool
) -> None:
    ids = filled(ledger, [new_ledger("b")] if striped else [], aggregate, striped=striped)
    for _ in corrected(ledger, aggregate, ids):
        pass
    ledger.execute("DELETE FROM meter.unique_members")
    ledger.forget()
    ledger.rebuild()
    check(ledger, aggregate)
    for rollup in ("minute", "none", "hour"):
        ledger.define("m", aggregate, rollup=rollup, striped=striped)
        check(ledger, aggregate)
    # An event that is recorded afterwards finds the buckets as they should be.
    ledger.record("s", "m", **payload(aggregate, 6), at=start() + 155 * MINUTE)
    check(ledger, aggregate)


@pytest.mark.at_length
@EVERY
def test_a_dropped_month_keeps_the_net_of_its_corrections(
    ledger: Ledger, new_ledger: NewLedger, aggregate: str, striped: bool
) -> None:
    ids = filled(ledger, [new_ledger("b")] if striped else [], aggregate, striped=striped, period="year")
    ledger.upkeep()
    for _ in corrected(ledger, aggregate, ids):
        pass
    since, until = start() - timedelta(days=1), start() + timedelta(days=1)
    wanted = expected(log(ledger), aggregate)
    actions = ledger.upkeep(keep="1 month", detach=striped)
    assert [name.split()[0] for action, name in actions if action.split()[0] in ("dropped", "detached")] == [
        f"events_{start():%Y_%m}"
    ]
    assert ledger.value("SELECT count(*) FROM meter.event_kinds") == 0
    assert ledger.verify() == []
    assert ledger.rebuild() == 0
    used = ledger.usage("s", "m", since=since.replace(hour=0), until=until.replace(hour=0))
    assert near((used.quantity, used.event_count), wanted)
    with refused("UM006"):
        void(ledger, ids[3], at=start() + 40 * MINUTE)
    # A late event of the month can be voided, and the month be dropped again.
    late = ledger.record("s", "m", **payload(aggregate, 6), at=start() + 61 * MINUTE)
    void(ledger, late.event_id)
    assert ledger.verify() == []
    ledger.upkeep()
    ledger.upkeep(keep="1 month", detach=striped)
    assert ledger.value("SELECT count(*) FROM meter.event_kinds") == 0
    assert ledger.verify() == []


def test_events_show_what_a_correction_wrote(ledger: Ledger) -> None:
    ids = filled(ledger, [], "sum")
    voided = void(ledger, ids[1])
    amended = correct(ledger, "amend_event", event_id=ids[0], quantity=8)
    adjusted = correct(ledger, "adjust", quantity=-4, at=start() + 30 * MINUTE)
    rows = ledger.call("events", subject="s", metric="m")
    written = {(r.kind, r.corrects, r.correction_id, r.quantity) for r in rows if r.correction_id is not None}
    assert written == {
        ("void", ids[1], voided.correction_id, -9),
        ("void", ids[0], amended.correction_id, -5),
        ("usage", ids[0], amended.correction_id, 8),
        ("adjustment", None, adjusted.correction_id, -4),
    }
    assert {(r.kind, r.corrects) for r in rows if r.correction_id is None} == {("usage", None)}
    assert len(rows) == len(ids) + 4
    assert [(r.at, r.event_id) for r in rows] == sorted(((r.at, r.event_id) for r in rows), reverse=True)
    paged: list[Any] = []
    page = ledger.call("events", subject="s", max_rows=3)
    while page:
        paged += page
        page = ledger.call("events", subject="s", max_rows=3, after_id=page[-1].event_id)
    assert paged == rows
    # What was voided was active all the same.
    assert ledger.call("subjects")[0].last_activity_at == max(r.at for r in rows)


def test_a_subject_whose_only_event_was_voided_has_no_usage_but_an_activity(ledger: Ledger) -> None:
    ledger.define("m", "max")
    only = ledger.record("s", "m", 5, at=start())
    void(ledger, only.event_id)
    assert ledger.call("totals", metric="m", since=start(), until=start() + 60 * MINUTE) == []
    assert [row.last_activity_at for row in ledger.call("subjects")] == [start()]
    assert ledger.call("check_quota", subject="s", metric="m", quota=1, now=start())[0].used == 0
    ledger.record("s", "m", 3, at=start() + MINUTE)
    check(ledger, "max")


def test_a_value_is_carried_from_the_latest_event_that_counts(ledger: Ledger) -> None:
    ledger.define("m", "last", carry=True)
    ids = [ledger.record("s", "m", n, at=start() + n * 50 * MINUTE).event_id for n in range(1, 5)]
    later = {"since": start() + 230 * MINUTE, "until": start() + 231 * MINUTE}
    # Of the same hour as the last event: the log is read.
    within = {"since": start() + 205 * MINUTE, "until": start() + 206 * MINUTE}
    for left in (4, 3, 2, 1):
        for window in (later, within):
            used = ledger.usage("s", "m", **window)
            assert (used.quantity, used.event_count, used.has_data) == (left, 0, True)
            assert [t.quantity for t in ledger.call("totals", metric="m", **window)] == [left]
        void(ledger, ids[left - 1])
    assert ledger.usage("s", "m", **later).has_data is False
    assert ledger.call("totals", metric="m", **later) == []
    assert ledger.call("check_quota", subject="s", metric="m", quota=10, now=start())[0].used == 0


def test_a_period_whose_only_event_was_voided_carries_the_value_before_it(ledger: Ledger) -> None:
    ledger.define("m", "last", carry=True)
    ledger.record("s", "m", 7, at=start(4))
    void(ledger, ledger.record("s", "m", 9, at=start()).event_id)
    quota = ledger.call("check_quota", subject="s", metric="m", quota=8, now=start() + MINUTE)[0]
    assert (quota.used, quota.allowed) == (7, True)


def test_a_key_is_repeated_with_the_first_and_with_any_amended_payload(ledger: Ledger) -> None:
    ledger.define("other", "unique")
    for aggregate, metric in (("sum", "m"), ("unique", "u")):
        ledger.define(metric, aggregate)
        name, first, second, third, other = (
            ("quantity", 5, 6, 7, 8) if aggregate == "sum" else ("member", "a", "b", "c", "d")
        )
        when = {"at": start(), "idempotency_key": "k"}
        event = ledger.record("s", metric, **{name: first}, **when).event_id
        for value in (second, third):
            amended = correct(ledger, "amend_event", metric=metric, idempotency_key="k", **{name: value})
            assert amended.outcome == "applied"
        for value in (first, second, third, other):
            outcome = "conflict" if value == other else "duplicate"
            again = ledger.record("s", metric, **{name: value}, **when)
            assert (again.outcome, again.event_id) == (outcome, event)
            given = {"subject": "s", "metric": metric, name: value, **when}
            assert [r.outcome for r in ledger.batch([given, given])] == [outcome] * 2
            # Not alone in its batch, so that it is no ordinary one.
            mixed = ledger.batch([given, {"subject": "s", "metric": "other", "member": "a"}])
            assert [r.outcome for r in mixed] == [outcome, "recorded"]
            known = ledger.rows("SELECT outcome FROM meter.known_events(%s)", [as_jsonb([given])])
            assert [row.outcome for row in known] == [outcome]


def test_a_role_of_the_subject_sees_corrections_as_well(ledger: Ledger) -> None:
    ids = filled(ledger, [], "sum")
    voided = void(ledger, ids[1])
    ledger.execute("CREATE ROLE reads_portal")
    try:
        ledger.call("grant_access", role="reads_portal", level="read", subject="s")
        ledger.execute("SET ROLE reads_portal")
        rows = ledger.call("own_events", subject="s", metric="m")
        (row,) = (row for row in rows if row.kind == "void")
        assert (row.corrects, row.correction_id) == (ids[1], voided.correction_id)
    finally:
        ledger.execute("RESET ROLE")
        ledger.execute("DROP OWNED BY reads_portal")
        ledger.execute("DROP ROLE reads_portal")


def test_a_limit_on_members_gives_back_the_place_of_a_voided_one(ledger: Ledger) -> None:
    ledger.define("m", "unique", max_future="1 day")
    ledger.call("set_limit", metric="m", quota=1)
    ledger.call("set_limit", metric="m", quota=1, period="90 minutes", name="rolling")
    first = ledger.record("s", "m", member="a")
    assert ledger.record("s", "m", member="b").outcome == "refused"
    void(ledger, first.event_id)
    second = ledger.record("s", "m", member="b")
    assert second.outcome == "recorded"
    assert ledger.record("s", "m", member="a").outcome == "refused"
    assert ledger.record("s", "m", member="b").outcome == "recorded"
    assert void(ledger, second.event_id).outcome == "applied"
    assert ledger.record("s", "m", member="a").outcome == "refused"  # b has been seen twice
    assert ledger.verify() == []


def test_a_voided_event_hides_no_earlier_one_from_a_limit(ledger: Ledger) -> None:
    ledger.define("m", "last")
    ledger.call("set_limit", metric="m", quota=10)
    now = datetime.now(UTC)
    later = ledger.record("s", "m", 1, at=now - timedelta(seconds=1))
    earlier = now - timedelta(seconds=2)
    # Hidden by a later event, a value beyond the limit changes nothing, and is let in.
    assert ledger.record("s", "m", 11, at=earlier).outcome == "recorded"
    hidden = ledger.rows("SELECT event_id FROM meter.events('s', 'm') WHERE quantity = 11")[0].event_id
    void(ledger, hidden)
    void(ledger, later.event_id)
    assert ledger.record("s", "m", 11, at=earlier).outcome == "refused"
    assert ledger.record("s", "m", 10, at=earlier).outcome == "recorded"
    assert ledger.verify() == []


def test_recording_a_member_waits_for_the_correction_that_takes_it_away(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Callable[..., None]
) -> None:
    ledger.define("m", "unique")
    batch = [{"subject": "s", "metric": "m", "member": "u"}, {"subject": "t", "metric": "m", "member": "v"}]
    second = new_ledger("second")
    calls = (lambda: second.record("s", "m", member="u").outcome, lambda: second.batch(batch)[0].outcome)
    event = ledger.record("s", "m", member="u").event_id
    corrector = new_ledger("corrector", autocommit=False)
    for call in calls:
        void(corrector, event)
        recorder = Task(call)
        wait_until_blocked(ledger.connection, "second")
        corrector.connection.commit()
        assert recorder.result() == "recorded"
        assert ledger.usage("s", "m").quantity == 1
        assert ledger.verify() == []
        event = max(row.event_id for row in log(ledger) if row.subject == "s")


def test_a_correction_waits_for_those_who_have_seen_the_member(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Callable[..., None]
) -> None:
    ledger.define("m", "unique")
    event = ledger.record("s", "m", member="u").event_id
    recorder = new_ledger("recorder", autocommit=False)
    recorder.record("s", "m", member="u")
    second = new_ledger("second")
    correction = Task(lambda: void(second, event))
    wait_until_blocked(ledger.connection, "second")
    recorder.connection.commit()
    assert correction.result().outcome == "applied"
    assert ledger.usage("s", "m").quantity == 1
    assert ledger.verify() == []
