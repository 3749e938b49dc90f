"""Who may correct: the levels admin and approve, and the setting four_eyes."""

from __future__ import annotations

import psycopg
import pytest

from tests.access.conftest import Roles
from tests.helpers import Ledger

ENTRIES = '[{"entry": "adjust", "subject": "a", "metric": "tokens", "quantity": -1}]'


@pytest.fixture
def people(ledger: Ledger, roles: Roles) -> tuple[Ledger, Ledger]:
    """One who opens corrections, one who approves them; with four_eyes."""
    ledger.define("tokens", "sum", "token")
    ledger.record("a", "tokens", 5)
    ledger.execute("SELECT meter.set_setting('four_eyes', 'true')")
    return roles.as_("read", "admin", "approve"), roles.as_("read", "approve")


def _used(ledger: Ledger) -> object:
    return ledger.usage("a", "tokens", period="month").quantity


def _opened(session: Ledger) -> int:
    number = session.value("SELECT meter.open_correction('goodwill')")
    session.value("SELECT meter.stage_correction(%s, %s)", [number, ENTRIES])
    return int(number)


def _refused(session: Ledger, statement: str, *values: object) -> str:
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
        session.rows(statement, list(values))
    return str(caught.value.diag.message_primary)


def test_who_opened_a_correction_neither_approves_nor_reverts_it(
    ledger: Ledger, people: tuple[Ledger, Ledger]
) -> None:
    one, other = people
    number = _opened(one)
    assert "second person" in _refused(one, "SELECT meter.approve_correction(%s)", number)
    assert _used(ledger) == 5
    other.rows("SELECT meter.approve_correction(%s)", [number])
    assert _used(ledger) == 4
    assert "second person" in _refused(one, "SELECT meter.revert_correction(%s, 'x')", number)
    other.rows("SELECT meter.revert_correction(%s, 'x')", [number])
    assert _used(ledger) == 5
    mine, theirs = ledger.rows("SELECT * FROM meter.corrections()")
    assert (theirs.opened_by == mine.opened_by, mine.reverts) == (False, number)


def test_who_approves_a_correction_has_staged_none_of_it(
    ledger: Ledger, people: tuple[Ledger, Ledger]
) -> None:
    one, _ = people
    number = ledger.value("SELECT meter.open_correction('goodwill')")
    message = _refused(one, "SELECT meter.stage_correction(%s, %s)", number, ENTRIES)
    assert "staged by the role that opened" in message
    ledger.value("SELECT meter.stage_correction(%s, %s)", [number, ENTRIES])
    one.rows("SELECT meter.approve_correction(%s)", [number])
    assert _used(ledger) == 4


def test_who_opened_a_correction_does_not_reject_it(ledger: Ledger, people: tuple[Ledger, Ledger]) -> None:
    one, other = people
    number = _opened(one)
    assert "second person" in _refused(one, "SELECT meter.reject_correction(%s, 'x')", number)
    other.rows("SELECT meter.reject_correction(%s, 'x')", [number])
    assert _used(ledger) == 5


def test_with_four_eyes_nothing_is_applied_at_once(ledger: Ledger, people: tuple[Ledger, Ledger]) -> None:
    one, _ = people
    (event_id,) = [row.event_id for row in ledger.rows("SELECT * FROM meter.events('a')")]
    for call in (
        f"void_event('a', 'tokens', {event_id}, reason => 'x')",
        f"amend_event('a', 'tokens', {event_id}, quantity => 1, reason => 'x')",
        "adjust('a', 'tokens', 1, reason => 'x')",
    ):
        assert "second person" in _refused(one, f"SELECT meter.{call}")
    assert _used(ledger) == 5


def test_levels_are_apart(ledger: Ledger, people: tuple[Ledger, Ledger], roles: Roles) -> None:
    one, other = people
    ledger.execute("SELECT meter.set_setting('four_eyes', 'false')")
    number = _opened(one)
    assert "permission denied" in _refused(other, "SELECT meter.open_correction('x')")
    assert "permission denied" in _refused(other, "SELECT meter.stage_correction(%s, %s)", number, ENTRIES)
    for level in ("read", "write", "admin"):
        session = roles.as_(level)
        assert "permission denied" in _refused(session, "SELECT meter.approve_correction(%s)", number)
        assert "permission denied" in _refused(session, "SELECT meter.reject_correction(%s, 'x')", number)
    one.rows("SELECT meter.approve_correction(%s)", [number])
    assert _used(ledger) == 4
