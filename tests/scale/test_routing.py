"""Every function of the contract has a rule; batches, customers and transactions across shards."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import anyio
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymeter import InvalidInput, MeterError, NotFound
from pymeter.calls import record_batch
from pymeter.scale import AsyncShardedMeter, ShardedMeter, ShardsFailed
from pymeter.scale.routing import RULES
from pymeter.scale.rules import OnSubject
from pymeter.scale.splitting import elements
from pymeter.scale.steps import given as argument_of
from tests.helpers import at, examples
from tests.schema.contract import CONTRACT, contract, names

PIECES = ("a", '"', "]", "},{", "],[", "\\", "ü")
SUBJECTS = tuple(f"acct_{n}" for n in range(12))


def test_every_function_of_the_contract_has_a_rule() -> None:
    assert set(RULES) == set(names())


def test_what_names_a_subject_first_goes_to_its_shard() -> None:
    # A new function about one subject that is sent anywhere else would answer wrongly.
    about_one = {
        line.split("(")[0]
        for lines in contract().values()
        for line in lines
        if line.split("(")[1].startswith("subject text") and "= null" not in line.split(",")[0]
    }
    assert about_one
    # Those of a move are of two shards, and sent to none.
    moving = {"close_home", "reopen_home", "leave_home", "expect_subject", "admit_subject"}
    special = {"erase_subject", "report_subject", *moving}
    assert {name for name in about_one if not isinstance(RULES[name], OnSubject)} == special
    assert "subject text" in CONTRACT


@given(
    st.lists(
        st.fixed_dictionaries(
            {"subject": st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))},
            optional={
                "quantity": st.decimals(allow_nan=False, allow_infinity=False, places=9),
                "metadata": st.dictionaries(st.sampled_from(PIECES), st.sampled_from(PIECES)),
            },
        )
    )
)
@examples(200)
def test_the_elements_of_a_batch_are_its_text(events: list[dict[str, Any]]) -> None:
    document = argument_of(record_batch(events), "events")
    found = elements(document)
    assert [value["subject"] for value, _ in found] == [event["subject"] for event in events]
    assert "".join(document.obj.split()) == "".join(f"[{','.join(text for _, text in found)}]".split())


@pytest.fixture
def tokens(sharded: ShardedMeter) -> ShardedMeter:
    sharded.define_metric("tokens", "sum", "token")
    return sharded


def test_the_outcomes_of_a_batch_are_in_its_order(tokens: ShardedMeter) -> None:
    events: list[dict[str, Any]] = [
        {"subject": s, "metric": "tokens", "quantity": n + 1, "idempotency_key": f"k{n % 9}"}
        for n, s in enumerate(SUBJECTS * 2)
    ]
    events[5]["quantity"] = "nonsense"
    events[7] = {"metric": "tokens"}
    assert len({tokens.shard_map.shard_of(s) for s in SUBJECTS}) == 4
    outcomes = tokens.record_batch(events, on_invalid="skip")
    assert [o.ordinal for o in outcomes] == list(range(1, len(events) + 1))
    assert [n for n, o in enumerate(outcomes) if o.outcome == "rejected"] == [5, 7]
    for event, outcome in zip(events, outcomes, strict=True):
        if outcome.outcome == "recorded":
            (found,) = [e for e in tokens.events(event["subject"]) if e.event_id == outcome.event_id]
            assert found.quantity == event["quantity"]
    again = tokens.record_batch(events, on_invalid="skip")
    assert {o.outcome for o in again} <= {"duplicate", "conflict", "rejected"}


def test_the_error_of_a_batch_names_the_place_in_the_batch(tokens: ShardedMeter) -> None:
    events: list[dict[str, Any]] = [{"subject": s, "metric": "tokens", "quantity": 1} for s in SUBJECTS]
    events[9]["quantity"] = -4
    with pytest.raises(ShardsFailed) as error:
        tokens.record_batch(events)
    (failed,) = error.value.failed.values()
    assert isinstance(failed, InvalidInput)
    assert (failed.detail or "").startswith("Event 10: ")
    # All or nothing is a matter of one shard: that of the bad event has none of its events.
    lost = tokens.shard_map.shard_of(SUBJECTS[9])
    counted = {row.subject for row in tokens.totals("tokens")}
    assert counted == {s for s in SUBJECTS if tokens.shard_map.shard_of(s) != lost}
    with pytest.raises(InvalidInput) as refused:
        tokens.record_batch([events[9], events[9]])
    assert (refused.value.detail or "").startswith("Event 1: ")


def test_what_cannot_be_sent_keeps_its_place(tokens: ShardedMeter) -> None:
    events: list[dict[str, Any]] = [{"subject": s, "metric": "tokens", "quantity": 1} for s in SUBJECTS]
    events[2]["member"] = events[6]["member"] = "\ud800"
    outcomes = tokens.record_batch(events, on_invalid="skip")
    assert [o.ordinal for o in outcomes] == list(range(1, len(events) + 1))
    assert [o.ordinal for o in outcomes if o.outcome == "rejected"] == [3, 7]
    # Without the answer of one shard, too.
    lost = tokens.shard_map.shard_of(SUBJECTS[0])
    with psycopg.connect(tokens.shard_map.shards[lost].dsn, autocommit=True) as connection:
        connection.execute("ALTER FUNCTION meter.record_batch(jsonb, text, boolean, text) RENAME TO gone")
    with pytest.raises(ShardsFailed) as error:
        tokens.record_batch(events, on_invalid="skip")
    kept = [n for n, s in enumerate(SUBJECTS, 1) if n in (3, 7) or tokens.shard_map.shard_of(s) != lost]
    assert [o.ordinal for o in error.value.partial] == kept


def test_an_id_of_no_shard_is_not_found(tokens: ShardedMeter) -> None:
    with pytest.raises(NotFound):
        tokens.settle(1024 * 5 + 900, 1)


def test_a_customer_lies_on_one_shard(tokens: ShardedMeter) -> None:
    shard_map = tokens.shard_map
    one = SUBJECTS[0]
    near = next(s for s in SUBJECTS[1:] if shard_map.shard_of(s) == shard_map.shard_of(one))
    far = next(s for s in SUBJECTS if shard_map.shard_of(s) != shard_map.shard_of(one))
    tokens.define_biller(subject_is_customer=True)
    tokens.report_subject(one, "cus_1")
    tokens.report_subject(one, "cus_1")
    tokens.report_subject(near, "cus_1")
    with pytest.raises(InvalidInput) as error:
        tokens.report_subject(far, "cus_1")
    assert error.value.parameter == "customer"
    assert "pin" in (error.value.hint or "")
    assert [m.subject for m in tokens.customer_subjects("cus_1")] == sorted([one, near])
    # A subject that is a customer by its own name is one, too.
    tokens.record(far, "tokens", 1)
    with pytest.raises(InvalidInput):
        tokens.report_subject(near, far)


def test_a_transaction_of_ones_own(tokens: ShardedMeter) -> None:
    subject = SUBJECTS[0]
    with tokens.transaction(subject) as (connection, meter):
        connection.execute("CREATE TABLE public.work (id int)")
        meter.record(subject, "tokens", 3)
    with pytest.raises(ZeroDivisionError), tokens.transaction(subject) as (connection, meter):
        connection.execute("INSERT INTO public.work VALUES (1)")
        meter.record(subject, "tokens", 4)
        raise ZeroDivisionError
    assert tokens.meter_of(subject).usage(subject, "tokens").quantity == 3
    with tokens.transaction(subject) as (connection, _):
        assert connection.execute("SELECT count(*) FROM public.work").fetchone() == (0,)


def test_pages_of_all_subjects_go_on_across_shards(tokens: ShardedMeter) -> None:
    # Several have the same time, and pages end between them.
    times = [at("2026-06-01"), at("2026-06-01"), at("2026-06-01"), at("2026-06-02")]
    expected = []
    for n in range(30):
        tokens.record(f"acct_{n}", "tokens", n + 1, at=times[n % 4])
        expected.append((times[n % 4], f"acct_{n}"))
    by_name = sorted(expected, key=lambda row: row[1])
    expected = sorted(by_name, key=lambda row: row[0], reverse=True)
    for size in (1, 4, 30, 100):
        pages = list(tokens.iter_subjects(page_size=size))
        assert [(row.last_activity_at, row.subject) for row in pages] == expected
        june = {"since": at("2026-06-01"), "until": at("2026-07-01")}
        found = list(tokens.iter_totals("tokens", page_size=size, **june))
        assert [row.subject for row in found] == [row[1] for row in by_name]
        ids = [event.event_id for event in tokens.iter_all_events(page_size=size)]
        assert ids == sorted(set(ids), reverse=True)
        assert len(ids) == 30
    with pytest.raises(MeterError) as error:
        tokens.subjects(5, after_subject="acct_1")
    assert (error.value.sqlstate, error.value.parameter) == ("22004", "after_at")


def test_pages_of_limits_go_on_across_shards(tokens: ShardedMeter) -> None:
    for plan in range(6):
        tokens.define_plan(f"p{plan}")
        tokens.set_limit("tokens", 100, plan=f"p{plan}")
    for subject in SUBJECTS:
        tokens.set_limit("tokens", 50, subject=subject)
    everything = tokens.limits()
    assert len(everything) == 6 + len(SUBJECTS)
    for size in (1, 3, 7):
        found, after = [], None
        while page := tokens.limits(max_rows=size, after_id=after):
            found += page
            after = page[-1].limit_id
        assert found == everything


def test_connections_in_place_of_pools_are_the_callers(tokens: ShardedMeter) -> None:
    dsns = {name: shard.dsn for name, shard in tokens.shard_map.shards.items()}
    connections = {name: psycopg.connect(dsn) for name, dsn in dsns.items()}
    meter = ShardedMeter(tokens.shard_map, connections)
    meter.record_batch([{"subject": s, "metric": "tokens", "quantity": 1} for s in SUBJECTS])
    assert len(meter.totals("tokens")) == len(SUBJECTS)
    assert tokens.totals("tokens") == []
    for connection in connections.values():
        connection.rollback()
        connection.close()
    assert tokens.totals("tokens") == []
    with pytest.raises(InvalidInput):
        ShardedMeter(tokens.shard_map, {})


def test_the_asynchronous_client_answers_alike(tokens: ShardedMeter) -> None:
    async def ask() -> None:
        async with AsyncShardedMeter.open(tokens.shard_map) as meter:
            events = [{"subject": s, "metric": "tokens", "quantity": 2} for s in SUBJECTS]
            outcomes = await meter.record_batch(events)
            assert [o.ordinal for o in outcomes] == list(range(1, len(events) + 1))
            assert await meter.totals("tokens") == tokens.totals("tokens")
            assert [row async for row in meter.iter_subjects(page_size=5)] == list(tokens.iter_subjects())
            async with meter.reserved(SUBJECTS[0], "tokens", 5) as held:
                await held.settle(Decimal(4))
            assert (await meter.usage(SUBJECTS[0], "tokens")).quantity == 6
            async with meter.transaction(SUBJECTS[0]) as (_, shard):
                await shard.record(SUBJECTS[0], "tokens", 1)
            assert (await meter.meter_of(SUBJECTS[0]).usage(SUBJECTS[0], "tokens")).quantity == 7
            assert (await meter.reporting.report_status()) == tokens.reporting.report_status()
            id = await meter.meter_of(SUBJECTS[0]).open_correction("why")
            entry = {"entry": "adjust", "subject": SUBJECTS[0], "metric": "tokens", "quantity": 1}
            assert await meter.stage_correction(id, [entry]) == 1

    tokens.set_limit("tokens", 1000)
    anyio.run(ask)
