"""Races of recorders and of those who change limits, made by construction: P11 holds, nobody deadlocks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, Task, covering

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
ISOLATIONS = ["read committed", "repeatable read", "serializable"]
HOW = ["record", "batch"]


def event(subject: str = "a", metric: str = "m", quantity: Any = 60, **more: Any) -> dict[str, Any]:
    return {"subject": subject, "metric": metric, "quantity": quantity, **more}


def through(ledger: Ledger, how: str, given: dict[str, Any]) -> Any:
    return ledger.batch([given])[0] if how == "batch" else ledger.record(**given)


def limit(ledger: Ledger, quota: Any, metric: str = "m", **named: Any) -> Any:
    return ledger.call("set_limit", metric=metric, quota=quota, **named)[0]


def wait_until_behind(ledger: Ledger, name: str, holder: Ledger) -> None:
    """Until the session of that name waits for the holder, and no longer for somebody else."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        blocking = ledger.rows(
            "SELECT pg_blocking_pids(pid) AS pids FROM pg_stat_activity"
            " WHERE application_name = %s AND datname = current_database()",
            [name],
        )
        if blocking and holder.connection.info.backend_pid in blocking[0].pids:
            return
        time.sleep(0.005)
    pytest.fail(f"{name!r} never waited for that session")


def used(ledger: Ledger, subject: str = "a", metric: str = "m") -> Decimal:
    quantity = ledger.usage(subject, metric).quantity
    assert isinstance(quantity, Decimal)
    return quantity


def plan(ledger: Ledger, name: str, quota: Any, metric: str = "m", **named: Any) -> None:
    ledger.call("define_plan", plan=name)
    limit(ledger, quota, metric, plan=name, **named)


# --------------------------------------------------------------------------- recorders against each other


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("isolation", "second_how", "first_how", "known", "end"),
    covering(3, ISOLATIONS, HOW, HOW, [False, True], ["commit", "rollback"]),
)
def test_p11_of_two_events_that_fit_only_singly_one_is_admitted(
    ledger: Ledger,
    new_ledger: NewLedger,
    wait_until_blocked: Wait,
    isolation: str,
    first_how: str,
    second_how: str,
    known: bool,
    end: str,
) -> None:
    """Also the first two events of a subject that nobody has heard of."""
    ledger.define("m", "sum")
    limit(ledger, 100)
    if known:
        ledger.record(**event(quantity=0))
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    second.execute(f"SET default_transaction_isolation = '{isolation}'")
    assert through(first, first_how, event()).outcome == "recorded"
    recording = Task(lambda: through(second, second_how, event()))
    wait_until_blocked(ledger.connection, "second")
    getattr(first.connection, end)()
    expected = "refused" if end == "commit" else "recorded"
    if end == "commit" and isolation != "read committed":
        assert recording.error().sqlstate == "40001"  # type: ignore[union-attr]
        assert through(second, second_how, event()).outcome == expected
    else:
        assert recording.result().outcome == expected
    assert used(ledger) == 60
    assert ledger.verify() == []


@pytest.mark.parametrize("aggregate", ["unique", "max", "last", "count"])
def test_p11_the_other_aggregates_are_decided_one_after_the_other(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, aggregate: str
) -> None:
    ledger.define("m", aggregate)
    limit(ledger, 1)
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    values: list[dict[str, Any]] = (
        [{"member": "u"}, {"member": "v"}] if aggregate == "unique" else [{"quantity": 1}, {"quantity": 1}]
    )
    assert first.record("a", "m", **values[0]).outcome == "recorded"
    recording = Task(lambda: second.record("a", "m", **values[1]))
    wait_until_blocked(ledger.connection, "second")
    first.connection.commit()
    outcome = "recorded" if aggregate in ("max", "last") else "refused"
    assert recording.result().outcome == outcome
    assert used(ledger) == 1
    assert ledger.verify() == []


@pytest.mark.parametrize("how", ["record", "batch"])
def test_p2_a_repeat_of_an_event_that_is_refused_meanwhile_is_decided_anew(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str
) -> None:
    ledger.define("m", "sum")
    limit(ledger, 100)
    ledger.record(**event(quantity=50))
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    assert first.record(**event(quantity=60, idempotency_key="k")).outcome == "refused"
    recording = Task(lambda: through(second, how, event(quantity=40, idempotency_key="k")))
    wait_until_blocked(ledger.connection, "second")
    first.connection.commit()
    assert recording.result().outcome == "recorded"
    assert used(ledger) == 90
    assert ledger.verify() == []


def test_p2_a_repeat_in_a_batch_finds_the_key_that_maintain_moves_meanwhile(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    """The batch found the key in keys, and waits for the series; then the key moves."""
    ledger.define("m", "sum")
    limit(ledger, 1000)
    repeated = event(quantity=1, idempotency_key="k")
    ledger.record(**repeated)
    blocker = new_ledger("blocker", autocommit=False)
    blocker.execute("SELECT FROM meter.series FOR UPDATE")
    batch = new_ledger("batch")
    # A quantity that is a text is not ordinary.
    repeating = Task(lambda: batch.batch([repeated, event(quantity="2")]))
    wait_until_blocked(ledger.connection, "batch")
    # What _move_keys() does, which wants 100,000 keys.
    mover = new_ledger("mover", autocommit=False)
    mover.execute(
        "WITH moved AS (DELETE FROM meter.keys RETURNING *) INSERT INTO meter.old_keys"
        " (event_id, at, digest, quantity, member) SELECT event_id, at, digest, quantity, member FROM moved"
    )
    blocker.connection.rollback()
    wait_until_behind(ledger, "batch", mover)
    mover.connection.commit()
    assert [o.outcome for o in repeating.result()] == ["duplicate", "recorded"]
    assert used(ledger) == 3
    assert ledger.value("SELECT count(*) FROM meter.keys") == 0
    assert ledger.verify() == []


# ------------------------------------------------------------------- recorders against changes of limits

CHANGES: dict[str, Callable[[Ledger], Any]] = {
    "everyone": lambda ledger: limit(ledger, 100),
    "subject": lambda ledger: limit(ledger, 100, subject="a"),
    "plan": lambda ledger: ledger.call("subscribe", subject="a", plan="small"),
    "cycle": lambda ledger: ledger.call(
        "set_billing_cycle", subject="a", anchor=BEGIN, every="year", since=datetime(2021, 1, 1, tzinfo=UTC)
    ),
}


def prepare(ledger: Ledger, change: str, known: bool, limited: bool, period: str | None = None) -> None:
    ledger.define("m", "sum", **({"period": period} if period else {}))
    if change == "plan":
        plan(ledger, "small", 100)
    if change == "cycle":
        # Used in the year, but not in the present month: the cycle of a year counts it.
        limit(ledger, 100, period="cycle")
        ledger.call("set_billing_cycle", subject="a", anchor=BEGIN, every="week")
        ledger.record("a", "m", 60, at=datetime.now(UTC) - timedelta(days=8))
    elif limited:
        limit(ledger, None)
    if known:
        ledger.record(**event(quantity=0))


@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("change", ["subject", "plan"])
def test_a_recorder_waits_for_a_change_of_its_subject_and_then_meets_it(
    ledger: Ledger,
    new_ledger: NewLedger,
    wait_until_blocked: Wait,
    change: str,
    known: bool,
    limited: bool,
    how: str,
) -> None:
    """Of a metric that is not limited yet, the first limit does not make recorders wait."""
    if change == "subject" and not limited:
        pytest.skip("see test_the_first_limit_of_a_metric_binds_once_it_is_committed")
    prepare(ledger, change, known, limited)
    admin, writer = new_ledger("admin", autocommit=False), new_ledger("writer")
    CHANGES[change](admin)
    recording = Task(lambda: through(writer, how, event(quantity=160)))
    wait_until_blocked(ledger.connection, "writer")
    admin.connection.commit()
    assert recording.result().outcome == "refused"
    assert through(writer, how, event(quantity=100)).outcome == "recorded"
    assert through(writer, how, event(quantity=1)).outcome == "refused"


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("how", "known", "change", "isolation"),
    covering(3, HOW, [False, True], ["subject", "plan"], ISOLATIONS),
)
def test_a_change_of_a_subject_waits_for_its_recorders_and_then_counts_what_they_did(
    ledger: Ledger,
    new_ledger: NewLedger,
    wait_until_blocked: Wait,
    change: str,
    known: bool,
    how: str,
    isolation: str,
) -> None:
    prepare(ledger, change, known, limited=True)
    admin, writer = new_ledger("admin"), new_ledger("writer", autocommit=False)
    admin.execute(f"SET default_transaction_isolation = '{isolation}'")
    through(writer, how, event(quantity=95))
    changing = Task(lambda: CHANGES[change](admin))
    wait_until_blocked(ledger.connection, "admin")
    writer.connection.commit()
    error = changing.error()
    if error is not None:
        assert (isolation == "read committed", error.sqlstate) == (False, "40001")
        CHANGES[change](admin)
    assert through(ledger, how, event(quantity=6)).outcome == "refused"
    assert through(ledger, how, event(quantity=5)).outcome == "recorded"
    assert ledger.verify() == []


@pytest.mark.at_length
@pytest.mark.parametrize(
    ("change", "known", "limited", "isolation", "how"),
    covering(3, CHANGES, [False, True], [False, True], ISOLATIONS, HOW),
)
def test_a_limit_binds_at_the_first_call_after_its_commit_in_every_session(
    ledger: Ledger, new_ledger: NewLedger, change: str, known: bool, limited: bool, isolation: str, how: str
) -> None:
    """Prepared statements and plans are there before; a snapshot may be, which answers 40001."""
    prepare(ledger, change, known, limited)
    writer = new_ledger("writer", autocommit=False)
    writer.connection.prepare_threshold = 0
    for _ in range(7):
        through(writer, how, event(subject="other", quantity=1))
        writer.connection.commit()
    writer.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    writer.rows("SELECT count(*) FROM meter.metrics")
    CHANGES[change](ledger)
    try:
        assert through(writer, how, event(quantity=101)).outcome == "refused"
    except psycopg.errors.SerializationFailure:
        assert isolation != "read committed"
    writer.connection.rollback()
    assert through(writer, how, event(quantity=101)).outcome == "refused"
    writer.connection.commit()
    assert ledger.value("SELECT count(*) FROM meter.events WHERE quantity > 100") == 0


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("first", ["plan", "everyone of a cycle"])
def test_p11_a_change_of_the_subject_before_the_first_limit_of_the_metric_is_not_missed(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, known: bool, first: str
) -> None:
    """While the subject subscribes, the plan gets its first limit of the metric, and the subject records.

    Of a series that is there, the first limit has made nobody wait: its recorder leaves the next one to look.
    """
    ledger.define("m", "sum")
    ledger.call("define_plan", plan="small")
    if known:
        ledger.record(**event(quantity=0))
    admin, writer = new_ledger("admin", autocommit=False), new_ledger("writer")
    if first == "plan":
        CHANGES["plan"](admin)
        limit(ledger, 100, plan="small")
    else:
        CHANGES["cycle"](admin)
        limit(ledger, 100, period="cycle")
    recording = Task(lambda: writer.record(**event(quantity=80)))
    if not known:
        wait_until_blocked(ledger.connection, "writer")
    if known:
        assert recording.result().outcome == "recorded"
    admin.connection.commit()
    assert recording.result().outcome == "recorded"
    assert ledger.record(**event(quantity=40)).outcome == "refused"
    assert used(ledger) == 80


@pytest.mark.parametrize("other", ["change", "everyone"])
def test_a_call_that_finds_its_series_marked_does_not_wait_for_its_subject(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, other: str
) -> None:
    """It holds the row, for which the next change of the subject waits: it would deadlock."""
    ledger.define("m", "sum")
    limit(ledger, 1000)
    ledger.record(**event(quantity=1))
    ledger.record(**event(quantity=1))
    admin, writer, second = new_ledger("admin", autocommit=False), new_ledger("writer"), new_ledger("second")
    limit(admin, 500, subject="a")
    recording = Task(lambda: writer.record(**event(quantity=1)))
    wait_until_blocked(ledger.connection, "writer")
    if other == "everyone":
        limit(ledger, 900)
    changing = Task(
        lambda: (
            second.call("set_billing_cycle", subject="a", anchor=BEGIN)
            if other == "change"
            else second.record(**event(quantity=1))
        )
    )
    wait_until_blocked(ledger.connection, "second")
    admin.connection.commit()
    assert recording.result().outcome == "recorded"
    assert changing.error() is None
    assert ledger.record(**event(quantity=498)).outcome == "refused"
    assert ledger.verify() == []


IN_FLIGHT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "late": ({"aggregate": "sum"}, {"quantity": 10, "at": datetime.now(UTC) - timedelta(hours=3)}),
    "ordinary": ({"aggregate": "sum"}, {"quantity": 10}),
    "striped": ({"aggregate": "sum", "striped": True}, {"quantity": 10}),
    "max": ({"aggregate": "max"}, {"quantity": 500}),
    "unique": ({"aggregate": "unique"}, {"member": "z"}),
}


@pytest.mark.parametrize("kind", list(IN_FLIGHT))
def test_p11_a_call_that_waited_while_others_met_the_first_limit_of_the_metric_is_decided_anew(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, kind: str
) -> None:
    defined, given = IN_FLIGHT[kind]

    def recorded(session: Ledger, value: int) -> str:
        value_of = {"member": str(value)} if kind == "unique" else {"quantity": value}
        outcome = session.record("a", "m", **value_of).outcome
        assert isinstance(outcome, str)
        return outcome

    ledger.define("m", **defined)
    assert recorded(ledger, 1) == "recorded"
    holder, writer = new_ledger("holder", autocommit=False), new_ledger("writer")
    for session in (holder, writer):
        session.execute("SET pymeter.stripe = 1")
    holder.connection.commit()
    assert recorded(holder, 2) == "recorded"
    waiting = Task(lambda: writer.record("a", "m", **given))
    wait_until_blocked(ledger.connection, "writer")
    limit(ledger, {"unique": 3, "max": 100}.get(kind, 10), period="never")
    assert recorded(holder, 7) == "recorded"
    holder.connection.commit()
    assert waiting.result().outcome == "refused"
    assert ledger.rows("SELECT * FROM meter.overruns()") == []
    assert ledger.verify() == []


@pytest.mark.parametrize("between", ["rebuild", "nothing"])
def test_p11_a_change_that_has_not_found_a_series_is_not_missed_whoever_writes_the_row_first(
    ledger: Ledger, new_ledger: NewLedger, between: str
) -> None:
    """The series is created while the metric has no limit, and committed while its subject's change."""
    ledger.define("m", "sum")
    creator, admin = new_ledger("creator", autocommit=False), new_ledger("admin", autocommit=False)
    creator.record(**event(quantity=50))
    limit(ledger, None)
    limit(admin, 100, subject="a")
    creator.connection.commit()
    if between == "rebuild":
        ledger.tamper("total = 7")
        ledger.rebuild()
    assert ledger.record(**event(quantity=1)).outcome == "recorded"
    admin.connection.commit()
    assert ledger.record(**event(quantity=50)).outcome == "refused"
    assert ledger.record(**event(quantity=49)).outcome == "recorded"
    assert ledger.verify() == []


@pytest.mark.parametrize("change", ["subject", "plan"])
@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_p11_a_change_with_an_old_snapshot_does_not_miss_a_series_that_is_younger(
    ledger: Ledger, new_ledger: NewLedger, change: str, isolation: str
) -> None:
    prepare(ledger, change, known=False, limited=True)
    ledger.call("define_plan", plan="other")
    ledger.call("subscribe", subject="a", plan="other")  # the subject's row is older
    admin = new_ledger("admin", autocommit=False)
    admin.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    admin.rows("SELECT count(*) FROM meter.metrics")
    ledger.record(**event(quantity=80))
    try:
        CHANGES[change](admin)
        admin.connection.commit()
    except psycopg.errors.SerializationFailure:
        admin.connection.rollback()
        CHANGES[change](ledger)
    assert ledger.record(**event(quantity=40)).outcome == "refused"
    assert used(ledger) == 80


@pytest.mark.parametrize("change", ["subject", "plan"])
@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_p11_a_change_with_an_old_snapshot_does_not_miss_that_a_metric_is_limited(
    ledger: Ledger, new_ledger: NewLedger, change: str, isolation: str
) -> None:
    ledger.define("m", "sum")
    ledger.call("define_plan", plan="small")
    ledger.call("define_plan", plan="other")
    ledger.record(**event(quantity=0))
    ledger.call("subscribe", subject="a", plan="other")
    admin = new_ledger("admin", autocommit=False)
    admin.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    admin.rows("SELECT count(*) FROM meter.metrics")
    limit(ledger, 100, plan="small")
    ledger.record(**event(quantity=80))
    try:
        CHANGES[change](admin)
        admin.connection.commit()
    except psycopg.errors.SerializationFailure:
        admin.connection.rollback()
        CHANGES[change](ledger)
    assert ledger.record(**event(quantity=40)).outcome == "refused"
    assert used(ledger) == 80


@pytest.mark.parametrize("aggregate", ["sum", "max", "unique"])
@pytest.mark.parametrize("how", ["record", "batch", "plain batch"])
def test_p11_a_recorder_that_waited_for_a_key_meets_the_limit_that_was_set_meanwhile(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, aggregate: str, how: str
) -> None:
    """While it waits, others are admitted up to the quota: what it adds then would go beyond."""
    ledger.define("m", aggregate)
    value: dict[str, Any] = {"member": "u"} if aggregate == "unique" else {"quantity": 5}
    ledger.record("a", "m", **(value | ({} if aggregate == "unique" else {"quantity": 0})))
    repeated = {"subject": "a", "metric": "m", "idempotency_key": "k", **value}
    if aggregate == "unique":
        repeated["member"] = "v"
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    # The owner of the key holds no row of the series.
    first.execute(
        "INSERT INTO meter.keys (event_id, at, digest, quantity)"
        " VALUES (nextval('meter.event_ids'), now(), meter._key_digest('m', 'a', 'k'), 5)"
    )
    more = [{"subject": "b", "metric": "m", **value}] if how == "batch" else []
    recording = Task(
        lambda: second.record(**repeated) if how == "record" else second.batch([*more, repeated])[-1]
    )
    wait_until_blocked(ledger.connection, "second")
    limit(ledger, 1 if aggregate == "unique" else 4)
    first.connection.rollback()
    assert recording.result().outcome == "refused"
    assert ledger.verify() == []


def test_p11_a_batch_that_waited_for_its_series_meets_the_limit_that_was_set_meanwhile(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    ledger.define("m", "sum")
    ledger.record(**event(quantity=50))
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    first.record(**event(quantity=10))
    recording = Task(lambda: second.batch([event(quantity=60)])[0])
    wait_until_blocked(ledger.connection, "second")
    limit(ledger, 100)
    assert first.record(**event(quantity=40)).outcome == "recorded"
    first.connection.commit()
    assert recording.result().outcome == "refused"
    assert used(ledger) == 100


def test_p11_a_record_that_waited_for_its_series_meets_the_limit_that_was_set_meanwhile(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    ledger.define("m", "sum")
    ledger.record(**event(quantity=50))
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    first.record(**event(quantity=10))
    recording = Task(lambda: second.record(**event(quantity=60)))
    wait_until_blocked(ledger.connection, "second")
    limit(ledger, 100)
    assert first.record(**event(quantity=40)).outcome == "recorded"
    first.connection.commit()
    assert recording.result().outcome == "refused"
    assert used(ledger) == 100


def test_p11_a_mixed_batch_that_waited_for_its_series_meets_the_limit_that_was_set_meanwhile(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    """Only if the transaction that it waits for has itself been held to the limit."""
    ledger.define("m", "sum")
    ledger.define("peak", "max")
    ledger.record(**event(quantity=50))
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    first.record(**event(quantity=10))
    recording = Task(lambda: second.batch([event(metric="peak"), event(quantity=60)]))
    wait_until_blocked(ledger.connection, "second")
    limit(ledger, 100)
    assert first.record(**event(quantity=40)).outcome == "recorded"
    first.connection.commit()
    assert [o.outcome for o in recording.result()] == ["recorded", "refused"]


@pytest.mark.parametrize("stripe", ["new", "there"])
@pytest.mark.parametrize("how", ["record", "batch"])
def test_p11_what_is_in_flight_in_a_stripe_is_waited_for_when_the_first_limit_is_met(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, stripe: str, how: str
) -> None:
    ledger.define("m", "sum", striped=True)
    first, second = new_ledger("first", autocommit=False), new_ledger("second")
    ledger.record(**event(quantity=0))
    if stripe == "there":
        first.record(**event(quantity=0))
        first.connection.commit()
    first.record(**event(quantity=60))
    limit(ledger, 100)
    recording = Task(lambda: through(second, how, event(quantity=60)))
    wait_until_blocked(ledger.connection, "second")
    first.connection.commit()
    assert recording.result().outcome == "refused"
    assert used(ledger) == 60
    assert ledger.verify() == []


def test_a_version_that_begins_between_decision_and_note_binds(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    """One clock for both: what is not yet in force for the one is still to come for the other."""
    ledger.define("m", "sum")
    version = limit(ledger, 1000, marks=[1])
    ledger.record(**event(quantity=0))
    begins = ledger.value("SELECT clock_timestamp() + interval '1.5 seconds'")
    limit(ledger, 100, since=begins)
    blocker, writer = new_ledger("blocker", autocommit=False), new_ledger("writer")
    blocker.execute(
        "INSERT INTO meter.fired_marks (limit_id, subject, period_start, kind, mark)"
        " VALUES (%s, 'a', date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', 'mark', 1)",
        [version.limit_id],
    )
    recording = Task(lambda: writer.record(**event(quantity=50)))
    wait_until_blocked(ledger.connection, "writer")
    ledger.execute("SELECT pg_sleep_until(%s)", [begins])
    blocker.connection.rollback()
    assert recording.result().outcome == "recorded"
    assert ledger.record(**event(quantity=51)).outcome == "refused"


# ------------------------------------------------------------------------------------------ no deadlock


def mixed(ledger: Ledger) -> list[dict[str, Any]]:
    """Series of limited, unlimited and unique metrics, with ids in turns; some subjects are unknown yet."""
    ledger.define("free", "sum")
    ledger.define("m", "sum")
    ledger.define("seats", "unique")
    ledger.define("users", "unique")
    ledger.define("hot", "sum", striped=True)
    limit(ledger, 10_000)
    limit(ledger, 10_000, "seats")
    limit(ledger, 10_000, "hot")
    events = []
    for subject in ("a", "b", "c", "d"):
        for metric in ("free", "m", "users", "seats", "hot"):
            value: dict[str, Any] = {"member": "u"} if metric in ("users", "seats") else {"quantity": 1}
            events.append(
                {"subject": subject, "metric": metric, "idempotency_key": f"{subject}{metric}", **value}
            )
    for given in events[:10]:
        ledger.record(**(given | {"idempotency_key": None}))
    return events


@pytest.mark.parametrize("held", range(10))
def test_batches_in_opposite_orders_over_limited_and_other_metrics_do_not_deadlock(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, held: int
) -> None:
    events = mixed(ledger)
    blocker = new_ledger("blocker", autocommit=False)
    blocker.record(
        **(events[held] | {"idempotency_key": None} | ({"member": "new"} if "member" in events[held] else {}))
    )
    sessions = [new_ledger(f"batch {i}") for i in range(3)]
    unkeyed = [given | {"idempotency_key": None} for given in events]
    tasks = [
        Task(lambda: sessions[0].batch(events)),
        Task(lambda: sessions[1].batch(events[::-1])),
        Task(lambda: sessions[2].batch(unkeyed[5:] + unkeyed[:5])),
    ]
    for i in (0, 1, 2):
        wait_until_blocked(ledger.connection, f"batch {i}")
    blocker.connection.commit()
    outcomes = Counter(o.outcome for task in tasks for o in task.result())
    assert outcomes == {"recorded": 40, "duplicate": 20}
    assert ledger.verify() == []


def test_batches_that_differ_about_a_metric_s_first_limit_do_not_deadlock(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait
) -> None:
    """The first batch knows one of its metrics as limited, the second both."""
    for metric in ("m0", "m1"):
        ledger.define(metric, "sum")
    limit(ledger, 100, "m0")
    for metric in ("m1", "m0"):  # the series that gets its limit later is the older one
        ledger.record(**event(metric=metric, quantity=1))
    holder = new_ledger("holder", autocommit=False)
    holder.record(**event(metric="m0", quantity=1))
    first, second = new_ledger("first"), new_ledger("second")
    events = [event(metric=metric, quantity=1) for metric in ("m0", "m1")]
    recording = Task(lambda: first.batch([*events, event("new", "m0", 1)]))
    wait_until_blocked(ledger.connection, "first")
    limit(ledger, 100, "m1")
    reserving = Task(lambda: second.call("reserve_batch", requests=Jsonb(events)))
    wait_until_blocked(ledger.connection, "second")
    holder.connection.commit()
    assert {o.outcome for o in recording.result()} == {"recorded"}
    assert {r.outcome for r in reserving.result()} == {"held"}
    assert ledger.verify() == []


@pytest.mark.parametrize("change", ["subject", "plan", "cycle"])
def test_a_batch_and_a_change_of_its_subjects_do_not_deadlock(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, change: str
) -> None:
    events = mixed(ledger)
    plan(ledger, "small", 100)
    limit(ledger, 100, "seats", plan="small")
    blocker = new_ledger("blocker", autocommit=False)
    blocker.execute("SELECT FROM meter.series WHERE subject = 'a' AND metric = 'seats' FOR UPDATE")
    admin, writer = new_ledger("admin"), new_ledger("writer")
    recording = Task(lambda: writer.batch(events))
    wait_until_blocked(ledger.connection, "writer")
    changing = Task(lambda: CHANGES[change](admin))
    wait_until_blocked(ledger.connection, "admin")
    blocker.connection.rollback()
    assert {o.outcome for o in recording.result()} == {"recorded"}
    changing.result()
    assert ledger.verify() == []


@pytest.mark.parametrize("first", ["rebuild", "batch"])
@pytest.mark.parametrize("held", ["free", "m", "seats", "users"])
def test_rebuild_and_a_batch_of_limited_and_other_metrics_do_not_deadlock(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, first: str, held: str
) -> None:
    """Each gets a part of the rows, and waits; neither for what the other has."""
    events = mixed(ledger)
    ledger.tamper("event_count = event_count + 1")
    blocker = new_ledger("blocker", autocommit=False)
    blocker.execute("SELECT FROM meter.series WHERE subject = 'a' AND metric = %s FOR UPDATE", [held])
    operator, writer = new_ledger("operator"), new_ledger("writer")
    work = {"rebuild": lambda: operator.rebuild(), "batch": lambda: writer.batch(events)}
    names = {"rebuild": "operator", "batch": "writer"}
    tasks = {}
    for name in (first, *(work.keys() - {first})):
        tasks[name] = Task(work[name])
        wait_until_blocked(ledger.connection, names[name])
    blocker.connection.rollback()
    assert {o.outcome for o in tasks["batch"].result()} == {"recorded"}
    tasks["rebuild"].result()
    ledger.rebuild()
    assert ledger.verify() == []


@pytest.mark.parametrize("how", ["record", "batch"])
def test_rebuild_of_members_and_a_recorder_of_a_limited_unique_metric_do_not_deadlock(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, how: str
) -> None:
    """rebuild() holds the table of members and wants the series; the recorder comes the same way."""
    ledger.define("seats", "unique")
    limit(ledger, 10, "seats")
    ledger.record("a", "seats", member="u")
    ledger.execute(
        "INSERT INTO meter.unique_members (series_id, bucket, bucket_start, member_digest, seen)"
        " SELECT series_id, bucket, bucket_start, gen_random_uuid(), seen FROM meter.unique_members"
    )
    ledger.tamper("total = 7")
    blocker = new_ledger("blocker", autocommit=False)
    blocker.execute("SELECT FROM meter.series FOR UPDATE")
    operator, writer = new_ledger("operator"), new_ledger("writer")
    recording = Task(lambda: through(writer, how, {"subject": "a", "metric": "seats", "member": "v"}))
    wait_until_blocked(ledger.connection, "writer")
    rebuilding = Task(operator.rebuild)
    wait_until_blocked(ledger.connection, "operator")
    blocker.connection.rollback()
    recording.result()
    assert rebuilding.error() is None
    assert ledger.verify() == []
    assert used(ledger, "a", "seats") == 2


def with_idle_stripe(ledger: Ledger, new_ledger: NewLedger, change: str) -> None:
    """A limited series with 60 in a stripe, which maintain() merges."""
    ledger.define("m", "sum", striped=True, period="never", rollup="hour")
    writer = new_ledger("striped writer")
    writer.execute("SET pymeter.stripe = 1")
    for session in (writer, writer):
        session.record(**event(quantity=30, at=datetime.now(UTC) - timedelta(hours=2)))
    limit(ledger, 1000)
    ledger.call("define_plan", plan="small")
    limit(ledger, 100, plan="small")
    if change == "cycle":
        limit(ledger, 100, period="cycle", name="cycle")
        ledger.call("set_billing_cycle", subject="a", anchor=BEGIN, every="week")


@pytest.mark.parametrize("change", ["subject", "plan", "cycle"])
def test_a_change_waits_for_maintain_that_merges_stripes_and_then_binds(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, change: str
) -> None:
    with_idle_stripe(ledger, new_ledger, change)
    blocker = new_ledger("blocker", autocommit=False)
    blocker.execute("SELECT FROM meter.series WHERE stripe = 1 FOR UPDATE")
    operator, admin, writer = new_ledger("operator"), new_ledger("admin"), new_ledger("writer")
    merging = Task(operator.maintain)
    wait_until_blocked(ledger.connection, "operator")
    changing = Task(lambda: CHANGES[change](admin))
    wait_until_blocked(ledger.connection, "admin")
    recording = Task(lambda: writer.record(**event(quantity=41)))
    wait_until_blocked(ledger.connection, "writer")
    blocker.connection.rollback()
    assert "merged stripes" in dict(merging.result())
    changing.result()
    assert recording.result().outcome in ("recorded", "refused")  # before the change, or after it
    assert ledger.record(**event(quantity=41)).outcome == "refused"
    assert ledger.value("SELECT count(*) FROM meter.series") == 1
    assert ledger.verify() == []


@pytest.mark.parametrize("change", ["subject", "plan", "cycle"])
def test_maintain_leaves_the_stripes_of_a_subject_whose_limits_are_being_changed(
    ledger: Ledger, new_ledger: NewLedger, change: str
) -> None:
    with_idle_stripe(ledger, new_ledger, change)
    admin = new_ledger("admin", autocommit=False)
    CHANGES[change](admin)
    assert "postponed stripes" in dict(ledger.maintain())
    admin.connection.commit()
    assert ledger.record(**event(quantity=41)).outcome == "refused"
    assert "merged stripes" in dict(ledger.maintain())
    assert ledger.record(**event(quantity=41)).outcome == "refused"
    assert ledger.record(**event(quantity=40)).outcome == "recorded"
    assert ledger.verify() == []


def test_maintain_rebuild_and_changes_of_limits_run_while_others_record(
    ledger: Ledger, new_ledger: NewLedger
) -> None:
    events = mixed(ledger)
    plan(ledger, "small", 5000)
    sessions = [new_ledger(f"session {i}") for i in range(6)]
    changes: list[Callable[[Ledger], Any]] = [
        lambda session: session.maintain(),
        lambda session: session.rebuild(),
        lambda session: limit(session, 9_000 + datetime.now(UTC).microsecond % 1000),
        lambda session: limit(session, 9_000 + datetime.now(UTC).microsecond % 1000, subject="b"),
        lambda session: [
            session.call("subscribe", subject="c", plan="small"),
            session.call("unsubscribe", subject="c", plan="small", at=datetime(2000, 1, 1, tzinfo=UTC)),
        ],
    ]

    def work(number: int) -> None:
        for turn in range(12):
            if number < len(changes):
                changes[number](sessions[number])
            else:
                sessions[number].batch(
                    [e | {"idempotency_key": f"{turn}"} for e in events[:: 1 if turn % 2 else -1]]
                )

    for task in [Task(lambda n=n: work(n)) for n in range(6)]:  # type: ignore[misc]
        task.result()
    assert ledger.verify() == []
