"""Ids of a shard are unique across all shards, tell their shard, and keep their order."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymeter import Meter, NotReady
from pymeter.migrate import migrate
from pymeter.scale import slot_of
from tests.conftest import Connect
from tests.helpers import Ledger, at, examples, refused


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=40))
@examples(200)
def test_slots_are_the_same_in_sql_and_in_python(ledger: Ledger, key: str) -> None:
    if ledger.value("SELECT meter._is_blank(%s)", [key]):
        with refused("22023", "shard_key"):
            ledger.call("shard_slot", shard_key=key)
    else:
        assert ledger.value("SELECT meter.shard_slot(%s)", [key]) == slot_of(key)


def test_slots_are_what_other_languages_compute() -> None:
    # printf %s acct_1 | sha256sum begins with 4780, printf %s ünïcødé | sha256sum with 5713.
    assert [slot_of(key) for key in ("acct_1", "ünïcødé")] == [0x4780 % 1024, 0x5713 % 1024]


def test_every_id_tells_the_shard(ledger: Ledger, meter: Meter) -> None:
    assert meter.shard_state().number is None
    assert meter.set_shard(7).number == 7
    meter.define_metric("tokens", "sum", "token")
    meter.set_limit("tokens", 1000)
    ids = [meter.record("acct_1", "tokens", 1).event_id for _ in range(3)]
    ids += [
        row.event_id for row in meter.record_batch([{"subject": "b", "metric": "tokens", "quantity": 1}] * 3)
    ]
    ids.append(meter.reserve("acct_1", "tokens", 5).reservation_id)
    assert ids == sorted(ids)
    ids += [meter.top_up("acct_1", "tokens", 5, "key").top_up_id, meter.open_correction("why")]
    ids += [entry.entry_id for entry in meter.admin_log()] + [limit.limit_id for limit in meter.limits()]
    assert {id % 1024 for id in ids if id is not None} == {7}
    assert None not in ids
    assert meter.shard_state().problems == []
    assert meter.all_events(max_rows=2)[0].event_id == max(
        e.event_id for e in meter.iter_all_events(page_size=2)
    )


def test_ids_of_a_meter_in_use_go_on_above(meter: Meter) -> None:
    meter.define_metric("tokens", "sum", "token")
    before = [meter.record("acct_1", "tokens", 1).event_id or 0 for _ in range(5)]
    with pytest.raises(NotReady) as error:
        meter.set_shard(3)
    highest = meter.shard_state().highest_id
    assert highest is not None
    assert highest >= max(before)
    assert f"ids_above => {highest}" in (error.value.hint or "")
    meter.set_shard(3, ids_above=5000)
    after = [meter.record("acct_1", "tokens", 1).event_id or 0 for _ in range(5)]
    assert min(after) > 5000
    assert {id % 1024 for id in after} == {3}
    assert [event.event_id for event in meter.events("acct_1")] == sorted(before + after, reverse=True)
    assert meter.usage("acct_1", "tokens").quantity == 10
    assert meter.verify() == []


def test_a_number_is_for_ever(meter: Meter) -> None:
    meter.set_shard(3, ids_above=10)
    assert meter.set_shard(3, ids_above=10).number == 3
    for number, ids_above in ((4, 10), (3, 11)):
        with pytest.raises(NotReady):
            meter.set_shard(number, ids_above=ids_above)
    assert meter.shard_state().number == 3


def test_p8_a_bad_number_is_refused(ledger: Ledger) -> None:
    for arguments, parameter in (
        ({"number": -1}, "number"),
        ({"number": 1024}, "number"),
        ({"number": 1, "ids_above": -1}, "ids_above"),
        ({"number": 1, "ids_above": (1 << 62) + 1}, "ids_above"),
    ):
        with refused("22023", parameter):
            ledger.call("set_shard", **arguments)
    with refused("22004", "number"):
        ledger.call("set_shard", number=None)
    with refused("22004", "ids_above"):
        ledger.call("set_shard", number=1, ids_above=None)
    with refused("22004", "shard_key"):
        ledger.call("shard_slot", shard_key=None)
    assert ledger.rows("SELECT * FROM meter.shard") == []


def test_rolled_back_nothing_has_changed(ledger: Ledger) -> None:
    ledger.define("tokens", "sum")
    with ledger.connection.transaction(force_rollback=True):
        ledger.call("set_shard", number=9, ids_above=10**6)
    assert ledger.call("shard_state")[0].number is None
    first, second = (ledger.record("a", "tokens", 1).event_id for _ in range(2))
    assert second == first + 1 < 1024


def test_what_a_restore_has_changed_is_seen_and_corrected(ledger: Ledger) -> None:
    ledger.call("set_shard", number=5)
    ledger.define("tokens", "sum")
    ledger.call("maintain")
    assert ledger.call("health")[0].problems == []
    ledger.execute("ALTER SEQUENCE meter.event_ids INCREMENT BY 1")
    ledger.execute("SELECT setval('meter.statement_ids', 100)")
    (found,) = ledger.call("shard_state")
    assert [problem.split()[0] for problem in found.problems] == ["event_ids", "statement_ids"]
    assert ledger.call("health")[0].problems == found.problems
    actions = ledger.call("maintain")
    assert [row.object for row in actions if row.action == "aligned ids"] == ["statement_ids", "event_ids"]
    assert ledger.call("shard_state")[0].problems == []
    assert ledger.record("a", "tokens", 1).event_id % 1024 == 5


def test_a_migration_that_makes_a_sequence_keeps_it(ledger: Ledger, meter_dsn: str) -> None:
    # As a later migration would: a sequence and an identity column, known to the installation by their names.
    ledger.call("set_shard", number=6)
    ledger.execute("CREATE SEQUENCE meter.new_ids AS bigint")
    ledger.execute("CREATE TABLE meter.news (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text)")
    ledger.execute(
        "INSERT INTO meter.installed_objects (kind, name) SELECT 'relation', unnest(ARRAY['new_ids', 'news'])"
    )
    ledger.execute("DELETE FROM meter.installation")
    assert migrate(meter_dsn).functions_replaced
    assert ledger.value("SELECT nextval('meter.new_ids')") % 1024 == 6
    assert ledger.value("INSERT INTO meter.news (text) VALUES ('x') RETURNING id") % 1024 == 6


def test_a_sequence_of_somebody_else_stays_as_it_is(ledger: Ledger) -> None:
    ledger.execute("CREATE SEQUENCE meter.strange")
    ledger.call("set_shard", number=6)
    assert ledger.value("SELECT nextval('meter.strange')") == 1


def test_recording_goes_on_while_a_meter_becomes_a_shard(
    ledger: Ledger, connect: Connect, wait_until_blocked: Callable[[psycopg.Connection[Any], str], None]
) -> None:
    ledger.define("tokens", "sum")
    one, other = Ledger(connect("recorder")), Ledger(connect("joiner"))
    with ThreadPoolExecutor(1) as pool, one.connection.transaction():
        first = one.record("a", "tokens", 1).event_id
        joined = pool.submit(other.call, "set_shard", number=11, ids_above=10**6)
        wait_until_blocked(ledger.connection, "joiner")
        second = one.record("a", "tokens", 1).event_id
    assert joined.result(20)[0].number == 11
    third = one.record("a", "tokens", 1).event_id
    assert first < second < 10**6 < third
    assert third % 1024 == 11


def test_the_counter_of_ids_counts_ids_of_shards(ledger: Ledger) -> None:
    def drawn() -> Any:
        return ledger.value(
            "SELECT value FROM meter.operational_metrics() WHERE name = 'pymeter_event_ids_total'"
        )

    ledger.define("tokens", "sum")
    assert drawn() == 0
    ledger.record("a", "tokens", 1)
    assert drawn() == 1
    ledger.call("set_shard", number=5, ids_above=1000)
    assert drawn() == 0
    for _ in range(3):
        ledger.record("a", "tokens", 1)
    assert drawn() == 3


def test_the_first_id_of_a_sequence_is_reported_as_an_event(ledger: Ledger) -> None:
    # What changes to mode event is reported from the next id on, which no sequence has drawn yet.
    for join in (lambda: None, lambda: ledger.call("set_shard", number=1, ids_above=10**6)):
        join()
        metric = f"m{ledger.value('SELECT count(*) FROM meter.metrics')}"
        ledger.define(metric, "sum")
        ledger.call(
            "report_metric",
            metric=metric,
            event_name=metric,
            mode="delta",
            biller="stripe",
            since=at("2026-01-01"),
        )
        ledger.call("report_metric", metric=metric, event_name=metric, mode="event", biller="stripe")
        after = ledger.value("SELECT event_after FROM meter.report_metrics WHERE metric = %s", [metric])
        assert ledger.record("a", metric, 1).event_id > after
