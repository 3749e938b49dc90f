"""Every way by which a row gets into the log, each started in a session and left open."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb

from tests.helpers import Ledger, at

NOON = at("2026-06-18 12:00")
SUBJECT = "a"
_ADJUST = {"entry": "adjust", "subject": "a", "metric": "untouched", "quantity": "-1", "at": NOON.isoformat()}


def prepare(ledger: Ledger) -> None:
    """Metrics of every kind, events with keys, a reservation, and corrections that can be approved."""
    for key, aggregate in {"s": "sum", "mx": "max", "u": "unique", "untouched": "sum", "lim": "sum"}.items():
        ledger.define(key, aggregate)
    ledger.define("st", "sum", striped=True)
    ledger.define("stmax", "max", striped=True)
    ledger.call("set_limit", metric="lim", quota=1_000_000)
    with_stripe(ledger, 5)
    for number in range(3):
        moment = NOON + timedelta(minutes=number)
        for key in ("s", "mx", "lim", "st", "stmax"):
            ledger.record("a", key, number + 1, at=moment, idempotency_key=f"k{number}")
        ledger.record("a", "u", member=f"u{number}", at=moment, idempotency_key=f"k{number}")
    for key in ("s", "lim"):
        held = {"quantity": 4, "idempotency_key": f"hold {key}", "ttl": "1 day"}
        ledger.call("reserve", subject="a", metric=key, **held)
    ledger.call("adjust", subject="a", metric="s", quantity=2, at=NOON, reason="goodwill")
    number = ledger.value("SELECT meter.open_correction('why')")
    void = {"entry": "void", "subject": "a", "metric": "mx", "idempotency_key": "k1"}
    ledger.call("stage_correction", id=number, entries=Jsonb([void, _ADJUST]))


def with_stripe(session: Ledger, stripe: int) -> Ledger:
    session.execute("SELECT set_config('pymeter.stripe', %s, false)", [str(stripe)])
    return session


def _event(metric: str, n: int = 1) -> dict[str, Any]:
    event = {"subject": "a", "metric": metric, "at": NOON.isoformat(), "idempotency_key": f"batch {n}"}
    return event | ({"member": "z"} if metric == "u" else {"quantity": 9})


def _settle(session: Ledger, key: str, quantity: int) -> Any:
    held = session.value(
        "SELECT reservation_id FROM meter.reservations('a') WHERE idempotency_key = %s", [f"hold {key}"]
    )
    return session.call("settle", reservation_id=held, quantity=quantity)


def _correct(session: Ledger, function: str, metric: str, **named: Any) -> Any:
    return session.call(function, subject="a", metric=metric, reason="why", **named)


def _define(session: Ledger) -> None:
    session.define("new", "sum")
    session.record("a", "new", 9)


FLIGHTS: dict[str, Callable[[Ledger], Any]] = {
    "ordinary": lambda s: s.record("a", "s", 9, idempotency_key="x"),
    "without a key": lambda s: s.record("a", "s", 9),
    "late": lambda s: s.record("a", "s", 9, at=at("2026-02-01 03:04")),
    "maximum": lambda s: s.record("a", "mx", 9),
    "member": lambda s: s.record("a", "u", member="z"),
    "limited": lambda s: s.record("a", "lim", 9),
    "overflow": lambda s: s.record("a", "lim", 9, overflow=True),
    "new series": lambda s: s.record("a", "untouched", 9),
    "a stripe": lambda s: with_stripe(s, 5).record("a", "st", 9),
    "a new stripe": lambda s: with_stripe(s, 7).record("a", "st", 9),
    "a stripe of a maximum": lambda s: with_stripe(s, 5).record("a", "stmax", 9),
    "a new stripe of a maximum": lambda s: with_stripe(s, 7).record("a", "stmax", 9),
    "ordinary batch": lambda s: s.batch([_event("s", 1), _event("s", 2)]),
    "mixed batch": lambda s: s.batch([_event(m) for m in ("s", "mx", "u", "untouched", "lim")]),
    "batch in a stripe": lambda s: with_stripe(s, 5).batch([_event("st"), _event("stmax"), _event("u")]),
    "batch in a new stripe": lambda s: with_stripe(s, 7).batch([_event("st"), _event("stmax"), _event("s")]),
    "settlement": lambda s: _settle(s, "s", 3),
    "settlement of more": lambda s: _settle(s, "s", 7),
    "limited settlement": lambda s: _settle(s, "lim", 3),
    "void": lambda s: _correct(s, "void_event", "s", idempotency_key="k1"),
    "void of a maximum": lambda s: _correct(s, "void_event", "mx", idempotency_key="k2"),
    "void of a member": lambda s: _correct(s, "void_event", "u", idempotency_key="k2"),
    "void in stripes": lambda s: _correct(s, "void_event", "st", idempotency_key="k1"),
    "amend": lambda s: _correct(
        s, "amend_event", "s", idempotency_key="k1", quantity=7, at=NOON - timedelta(days=40)
    ),
    "adjustment": lambda s: _correct(s, "adjust", "s", quantity=-1),
    "adjustment of a new series": lambda s: _correct(s, "adjust", "untouched", quantity=-1),
    "approval": lambda s: s.rows(
        "SELECT FROM meter.approve_correction((SELECT max(correction_id) FROM meter.corrections('open')))"
    ),
    "revert": lambda s: s.rows(
        "SELECT meter.revert_correction((SELECT max(correction_id) FROM meter.corrections('approved')), 'no')"
    ),
    "a new metric": _define,
}
