"""What corrections refuse: by SQLSTATE, with a HINT, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at, midnight, refused

NewLedger = Callable[..., Ledger]

NOON = at("2026-03-02 12:00")
OTHERS = ("corrections", "correction_entries", "event_kinds", "amended_keys", "notifications")
CALLS: dict[str, dict[str, Any]] = {
    "void_event": {"subject": "a", "metric": "m", "idempotency_key": "k", "reason": "why"},
    "amend_event": {"subject": "a", "metric": "m", "idempotency_key": "k", "quantity": 3, "reason": "why"},
    "adjust": {"subject": "a", "metric": "m", "quantity": -1, "reason": "why"},
}


@pytest.fixture
def meter(ledger: Ledger) -> Ledger:
    """An event of each of a few metrics, all with the key k."""
    for metric, aggregate in {"m": "sum", "calls": "count", "peak": "max", "users": "unique"}.items():
        ledger.define(metric, aggregate)
        given = {"member": "u"} if aggregate == "unique" else {"quantity": 5}
        ledger.record("a", metric, at=NOON, idempotency_key="k", **given)
    ledger.record("b", "m", 1, at=NOON, idempotency_key="of b")
    return ledger


def everything(ledger: Ledger) -> dict[str, Any]:
    return ledger.state() | {
        table: ledger.value(
            f"SELECT coalesce(array_agg(t::text ORDER BY t::text), '{{}}') FROM meter.{table} t"
        )
        for table in OTHERS
    }


@contextmanager
def refused_and_nothing_written(ledger: Ledger, sqlstate: str, hint: str = "") -> Iterator[None]:
    before = everything(ledger)
    with refused(sqlstate) as caught:
        yield
    assert hint in caught.value.diag.message_hint  # type: ignore[attr-defined]
    assert everything(ledger) == before


def id_of(ledger: Ledger, metric: str = "m", subject: str = "a") -> int:
    row = ledger.call("events", subject=subject, metric=metric)[-1]
    assert isinstance(row.event_id, int)
    return row.event_id


@pytest.mark.parametrize("function", CALLS)
@pytest.mark.parametrize(
    ("change", "sqlstate"),
    [
        ({"reason": None}, "22004"),
        ({"subject": None}, "22004"),
        ({"metric": None}, "22004"),
        ({"metric": "unheard of"}, "UM001"),
        ({"subject": ""}, "22023"),
        ({"idempotency_key": ""}, "22023"),
    ],
)
def test_a_bad_value_is_refused(meter: Ledger, function: str, change: dict[str, Any], sqlstate: str) -> None:
    if change == {"idempotency_key": ""} and function != "adjust":
        sqlstate = "UM007"  # no event has such a key
    with refused_and_nothing_written(meter, sqlstate):
        meter.call(function, **{**CALLS[function], **change})


@pytest.mark.parametrize(
    ("change", "sqlstate"),
    [
        ({"quantity": None}, "22004"),
        ({"quantity": "NaN"}, "22023"),
        ({"quantity": "Infinity"}, "22023"),
        ({"at": None}, None),
        ({"at": "infinity"}, "22023"),
        ({"metric": "peak"}, "UM002"),
        ({"metric": "users"}, "UM002"),
    ],
)
def test_an_adjustment_that_cannot_be(meter: Ledger, change: dict[str, Any], sqlstate: str | None) -> None:
    if sqlstate is None:  # null is now()
        assert meter.call("adjust", **{**CALLS["adjust"], **change})[0].outcome == "applied"
        return
    with refused_and_nothing_written(meter, sqlstate):
        meter.call("adjust", **{**CALLS["adjust"], **change})


@pytest.mark.parametrize("function", ["void_event", "amend_event"])
def test_an_event_that_is_not_there(meter: Ledger, function: str) -> None:
    given = {**CALLS[function], "idempotency_key": None}
    with refused_and_nothing_written(meter, "22004"):  # no event is named
        meter.call(function, **given)
    for wrong in (
        {"event_id": 999_999_999},
        {"event_id": id_of(meter, "peak")},  # of another metric
        {"event_id": id_of(meter, subject="b")},  # of another subject
        {"idempotency_key": "of b"},
        {"idempotency_key": "unheard of"},
        {"subject": "nobody", "idempotency_key": "k"},
    ):
        with refused_and_nothing_written(meter, "UM007"):
            meter.call(function, **{**given, **wrong})


def test_a_void_is_no_event_that_can_be_voided(meter: Ledger) -> None:
    """What takes it back is revert_correction()."""
    meter.call("void_event", **CALLS["void_event"])
    (void,) = [row.event_id for row in meter.call("events", subject="a", metric="m") if row.kind == "void"]
    given = {**CALLS["void_event"], "idempotency_key": None, "event_id": void}
    before = everything(meter)
    with pytest.raises(psycopg.Error) as caught:
        meter.call("void_event", **given)
    assert caught.value.sqlstate in ("UM007", "22023", "UM002")
    assert caught.value.diag.message_hint
    assert everything(meter) == before


@pytest.mark.parametrize(
    ("metric", "change", "sqlstate"),
    [
        ("m", {"member": "u"}, ("UM002", "22023")),
        ("m", {"quantity": -1}, ("22023", "UM002")),
        ("m", {"quantity": "NaN"}, ("22023",)),
        ("m", {"at": midnight(400)}, ("22023", "UM002")),
        ("m", {"metadata": Jsonb([1])}, ("22023",)),
        ("users", {"quantity": 3, "member": "u"}, ("UM002", "22023")),
        ("users", {"member": ""}, ("22023",)),
    ],
)
def test_an_amend_to_what_could_not_be_recorded(
    meter: Ledger, metric: str, change: dict[str, Any], sqlstate: tuple[str, ...]
) -> None:
    given = {"subject": "a", "metric": metric, "idempotency_key": "k", "reason": "why", **change}
    before = everything(meter)
    with pytest.raises(psycopg.Error) as caught:
        meter.call("amend_event", **given)
    assert caught.value.sqlstate in sqlstate, caught.value
    assert caught.value.diag.message_hint
    assert everything(meter) == before


@pytest.mark.parametrize("function", CALLS)
@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_correction_needs_read_committed(
    meter: Ledger, new_ledger: NewLedger, function: str, isolation: str
) -> None:
    session = new_ledger("session", autocommit=False)
    session.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    with refused_and_nothing_written(meter, "25001"):
        session.call(function, **CALLS[function])


@pytest.mark.parametrize("what", ["approve_correction", "revert_correction"])
def test_approving_and_reverting_need_read_committed(meter: Ledger, new_ledger: NewLedger, what: str) -> None:
    number = opened(meter, [void()])
    if what == "revert_correction":
        meter.call("approve_correction", id=number)
    session = new_ledger("session", autocommit=False)
    session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    given = {"reason": "why"} if what == "revert_correction" else {}
    with refused_and_nothing_written(meter, "25001"):
        session.call(what, id=number, **given)


def void(**more: Any) -> dict[str, Any]:
    return {"entry": "void", "subject": "a", "metric": "m", "idempotency_key": "k", **more}


def opened(ledger: Ledger, entries: list[dict[str, Any]]) -> int:
    number = ledger.value("SELECT meter.open_correction('why')")
    ledger.call("stage_correction", id=number, entries=Jsonb(entries))
    assert isinstance(number, int)
    return number


BAD_ENTRIES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "no list": ({"entry": "void"}, ("22023",)),
    "no object": (["void"], ("22023",)),
    "null": (None, ("22004",)),
    "no word": ([{"subject": "a", "metric": "m"}], ("22023", "22004")),
    "another word": ([{"entry": "erase", "subject": "a", "metric": "m"}], ("22023",)),
    "an unknown field": ([void(color="red")], ("22023",)),
    "no such event": ([void(idempotency_key="unheard of")], ("UM007",)),
    "no such metric": ([void(metric="unheard of")], ("UM001",)),
    "no metric": ([{"entry": "void", "subject": "a", "idempotency_key": "k"}], ("22023", "22004")),
    "an adjustment of max": (
        [{"entry": "adjust", "subject": "a", "metric": "peak", "quantity": 1}],
        ("UM002",),
    ),
    "a number that is none": (
        [{"entry": "adjust", "subject": "a", "metric": "m", "quantity": "ten"}],
        ("22023",),
    ),
    "a record that is refused": (
        [{"entry": "record", "subject": "a", "metric": "m", "quantity": -1}],
        ("22023", "UM002"),
    ),
    "a window that ends before it begins": (
        [
            {
                "entry": "void",
                "subject": "a",
                "metric": "m",
                "since": "2026-03-02T00:00:00Z",
                "until": "2026-03-01T00:00:00Z",
            }
        ],
        ("22023",),
    ),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_one_bad_entry_and_none_is_staged(meter: Ledger, case: str) -> None:
    entries, sqlstates = BAD_ENTRIES[case]
    number = opened(meter, [void()])
    if isinstance(entries, list):
        entries = [{"entry": "adjust", "subject": "a", "metric": "m", "quantity": 1}, *entries]
    before = everything(meter)
    with pytest.raises(psycopg.Error) as caught:
        meter.call("stage_correction", id=number, entries=None if entries is None else Jsonb(entries))
    assert caught.value.sqlstate in sqlstates, caught.value
    assert caught.value.diag.message_hint
    assert everything(meter) == before


UNKNOWN: dict[str, dict[str, Any]] = {
    "stage_correction": {"entries": Jsonb([void()])},
    "preview_correction": {},
    "approve_correction": {},
    "reject_correction": {"reason": "no"},
    "revert_correction": {"reason": "no"},
    "correction_entries": {},
}


@pytest.mark.parametrize("function", UNKNOWN)
def test_a_correction_that_is_not_there(meter: Ledger, function: str) -> None:
    with refused_and_nothing_written(meter, "UM007"):
        meter.call(function, id=999_999, **UNKNOWN[function])
    with refused_and_nothing_written(meter, "22004"):
        meter.call(function, id=None, **UNKNOWN[function])


STATES: dict[str, Callable[[Ledger, int], Any]] = {
    "open": lambda ledger, number: None,
    "approved": lambda ledger, number: ledger.call("approve_correction", id=number),
    "rejected": lambda ledger, number: ledger.call("reject_correction", id=number, reason="no"),
    "reverted": lambda ledger, number: (
        ledger.call("approve_correction", id=number),
        ledger.call("revert_correction", id=number, reason="no"),
    ),
}
# In which states each is refused.
WRONG_STATES = [
    *(("stage_correction", state) for state in ("approved", "rejected", "reverted")),
    *(("approve_correction", state) for state in ("rejected", "reverted")),
    *(("reject_correction", state) for state in ("approved", "reverted")),
    *(("revert_correction", state) for state in ("open", "rejected", "reverted")),
]


@pytest.mark.parametrize(("function", "state"), WRONG_STATES)
def test_a_correction_in_another_state(meter: Ledger, function: str, state: str) -> None:
    number = opened(meter, [void()])
    STATES[state](meter, number)
    with refused_and_nothing_written(meter, "22023"):
        meter.call(function, id=number, **UNKNOWN[function])


def test_a_revert_cannot_be_reverted(meter: Ledger) -> None:
    number = opened(meter, [void()])
    meter.call("approve_correction", id=number)
    revert = meter.value("SELECT meter.revert_correction(%s, 'no')", [number])
    with refused_and_nothing_written(meter, "22023"):
        meter.call("revert_correction", id=revert, reason="no")


def test_a_revert_waits_for_later_corrections_of_its_events_to_be_reverted(meter: Ledger) -> None:
    given = {"subject": "a", "metric": "m", "idempotency_key": "k", "reason": "why"}
    first = meter.call("amend_event", quantity=7, **given)[0].correction_id
    second = meter.call("amend_event", quantity=9, **given)[0].correction_id
    assert meter.usage("a", "m", period="never").quantity == 9
    with refused_and_nothing_written(meter, "22023", hint=str(second)):
        meter.call("revert_correction", id=first, reason="no")
    meter.call("revert_correction", id=second, reason="no")
    assert meter.usage("a", "m", period="never").quantity == 7
    meter.call("revert_correction", id=first, reason="no")
    assert meter.usage("a", "m", period="never").quantity == 5
    assert meter.verify() == []


@pytest.mark.parametrize("function", ["reject_correction", "revert_correction"])
def test_a_decision_needs_a_reason(meter: Ledger, function: str) -> None:
    number = opened(meter, [void()])
    if function == "revert_correction":
        meter.call("approve_correction", id=number)
    with refused_and_nothing_written(meter, "22004"):
        meter.call(function, id=number, reason=None)
    with refused_and_nothing_written(meter, "22004"):
        meter.call("open_correction", reason=None)


@pytest.mark.parametrize("function", [*CALLS, "approve_correction"])
def test_a_series_that_others_lock(meter: Ledger, new_ledger: NewLedger, function: str) -> None:
    given: dict[str, Any] = {"id": opened(meter, [void()])}
    if function in CALLS:
        given = CALLS[function]
    if (
        function == "void_event"
    ):  # named by its id alone, it is not voided in the short way, which waits as recording does
        event = meter.value("SELECT event_id FROM meter.events('a', 'm')")
        given = {**given, "idempotency_key": None, "event_id": event}
    holder = new_ledger("holder", autocommit=False)
    holder.execute("SELECT FROM meter.series FOR UPDATE")
    with refused_and_nothing_written(meter, "55P03", hint="Try again"):
        meter.call(function, **given)
    holder.connection.rollback()
    meter.call(function, **given)
    assert meter.call("usage", subject="a", metric="m", period="never")[0].quantity < 5


# ------------------------------------------------------------------------------------------- four eyes


@pytest.fixture
def other(meter: Ledger, new_ledger: NewLedger) -> Iterator[Ledger]:
    """A session of another role that may do everything."""
    name = sql.Identifier(f"other_eyes_{meter.connection.info.backend_pid}")
    meter.connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER").format(name))
    session = new_ledger("other eyes")
    session.connection.execute(sql.SQL("SET SESSION AUTHORIZATION {}").format(name))
    yield session
    session.execute("RESET SESSION AUTHORIZATION")
    meter.connection.execute(sql.SQL("DROP ROLE {}").format(name))


def test_with_four_eyes_another_role_approves(meter: Ledger, other: Ledger) -> None:
    number = opened(meter, [void()])
    meter.call("set_setting", name="four_eyes", value="true")
    with refused_and_nothing_written(meter, "42501"):
        meter.call("approve_correction", id=number)
    assert meter.usage("a", "m", period="never").quantity == 5
    other.call("approve_correction", id=number)
    assert meter.usage("a", "m", period="never").quantity == 0
    (row,) = meter.call("corrections")
    assert row.opened_by != row.decided_by


@pytest.mark.parametrize("function", CALLS)
def test_with_four_eyes_nothing_is_corrected_at_once(meter: Ledger, function: str) -> None:
    meter.call("set_setting", name="four_eyes", value="true")
    with refused_and_nothing_written(meter, "42501", hint="open_correction"):
        meter.call(function, **CALLS[function])
    meter.call("set_setting", name="four_eyes", value="false")
    assert meter.call(function, **CALLS[function])[0].outcome == "applied"


# ------------------------------------------------------------------------------------- a month that is gone


@pytest.mark.parametrize("function", ["void_event", "amend_event"])
@pytest.mark.parametrize("by", ["key", "id"])
def test_an_event_whose_month_was_dropped(ledger: Ledger, function: str, by: str) -> None:
    ledger.define("m", "sum")
    event = ledger.record("a", "m", 5, at=at("2024-01-15"), idempotency_key="k").event_id
    ledger.record("a", "m", 1)
    ledger.maintain()
    ledger.maintain(keep=timedelta(days=400))
    assert ledger.value("SELECT count(*) FROM meter.events") == 1
    given = {**CALLS[function]}
    if by == "id":
        # Nothing is left that says whose it was, but for its time.
        given |= {"idempotency_key": None, "event_id": event}
        with pytest.raises(psycopg.Error) as caught:
            ledger.call(function, **given)
        assert caught.value.sqlstate in ("UM006", "UM007")
        assert caught.value.diag.message_hint
        return
    with refused_and_nothing_written(ledger, "UM006", hint="adjust"):
        ledger.call(function, **given)
    # What the HINT says does it.
    ledger.call("adjust", subject="a", metric="m", quantity=-5, at=at("2024-01-15"), reason="why")
    assert ledger.usage("a", "m", since=at("2024-01-01"), until=at("2024-02-01")).quantity == 0
    assert ledger.verify() == []


@pytest.mark.parametrize("times", [("2024-01-15", "2026-06-18"), ("2026-06-18", "2024-01-15")])
def test_a_revert_of_what_was_dropped_in_part(ledger: Ledger, times: tuple[str, str]) -> None:
    """The event, or the one that has replaced it, would count twice, or not at all."""
    ledger.define("m", "sum")
    first, then = map(at, times)
    ledger.record("a", "m", 5, at=first, idempotency_key="k")
    ledger.record("a", "m", 1, at=at("2024-01-20"))
    given = {"subject": "a", "metric": "m", "idempotency_key": "k", "reason": "why"}
    (amended,) = ledger.call("amend_event", at=then, **given)
    ledger.maintain()
    assert "dropped partition" in dict(ledger.maintain(keep=timedelta(days=400)))
    with refused_and_nothing_written(ledger, "UM006", hint="adjust"):
        ledger.call("revert_correction", id=amended.correction_id, reason="no")
    assert ledger.usage("a", "m", period="never").quantity == 6


def test_an_amend_that_would_move_an_event_into_a_month_that_was_dropped(ledger: Ledger) -> None:
    """It counts there, as late events of such months do."""
    ledger.define("m", "sum")
    ledger.record("a", "m", 5, at=at("2024-01-15"))
    ledger.record("a", "m", 2, idempotency_key="k")
    ledger.maintain()
    ledger.maintain(keep=timedelta(days=400))
    given = {"subject": "a", "metric": "m", "idempotency_key": "k", "reason": "why"}
    assert ledger.call("amend_event", at=at("2024-01-20"), **given)[0].outcome == "applied"
    assert ledger.usage("a", "m", since=at("2024-01-01"), until=at("2024-02-01")).quantity == 7
    assert ledger.usage("a", "m").quantity == 0
    assert ledger.verify() == []
    ledger.upkeep(keep=timedelta(days=400))
    assert ledger.usage("a", "m", since=at("2024-01-01"), until=at("2024-02-01")).quantity == 7
    assert ledger.verify() == []
