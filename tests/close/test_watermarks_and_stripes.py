"""Whatever a watermark has passed is final, also on stripes, and of series that are made meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.close.closing import JUNE, close, late, stated, use
from tests.helpers import Ledger, Task, at, refused

NewLedger = Callable[..., Ledger]
Wait = Callable[..., None]


def on_stripe(ledger: Ledger, number: int) -> Ledger:
    ledger.execute(f"SET pymeter.stripe = {number}")
    return ledger


@pytest.mark.parametrize("stripe", ["first", "known", "new"])
def test_what_is_recorded_on_a_stripe_and_not_committed_stops_the_closer(
    ledger: Ledger, new_ledger: NewLedger, stripe: str
) -> None:
    ledger.define("m", "sum", striped=True)
    if stripe != "first":
        use(on_stripe(new_ledger("first"), 3), "a", "m", 1, JUNE, of="sum")
    recorder = on_stripe(new_ledger("recorder", autocommit=False), 3 if stripe == "known" else 7)
    use(recorder, "a", "m", 5, at("2026-06-10"), of="sum")
    with refused("55P03"):
        close(ledger)
    recorder.connection.commit()
    header = close(ledger)
    assert stated(ledger, header.statement_id) == {("usage", "m"): 5 if stripe == "first" else 6}
    assert ledger.call("verify_statements") == []


@pytest.mark.parametrize("how", ["record", "batch"])
@pytest.mark.parametrize("stripe", ["known", "new", "new subject"])
def test_a_recorder_that_waits_for_a_closer_is_late_on_every_stripe(
    ledger: Ledger, new_ledger: NewLedger, wait_until_blocked: Wait, stripe: str, how: str
) -> None:
    """And its stripe knows the watermark, so that it is so even when a clock is set back."""
    ledger.define("m", "sum", striped=True)
    if stripe != "new subject":
        use(on_stripe(new_ledger("first"), 3), "a", "m", 1, JUNE, of="sum")
    closer = new_ledger("closer", autocommit=False)
    recorder = on_stripe(new_ledger("recorder"), 3 if stripe == "known" else 7)
    header = close(closer)

    def record() -> Any:
        if how == "record":
            return use(recorder, "a", "m", 5, at("2026-06-10"), of="sum")
        event = {"subject": "a", "metric": "m", "quantity": 5, "at": "2026-06-10T00:00:00Z"}
        return recorder.batch([event])[0]

    recording = Task(record)
    wait_until_blocked(ledger.connection, "recorder")
    closer.connection.commit()
    assert recording.result().outcome == "recorded"
    assert late(ledger) == {(1, "m"): 5}
    assert ledger.value("SELECT bool_and(recorded_after > %s) FROM meter.series", [header.watermark])
    assert ledger.call("verify_statements") == []
