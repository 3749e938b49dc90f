"""Limits from Python: refusals, what remains, notifications, and the log of changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from pymeter import Meter, errors, models

NOON = datetime(2026, 6, 18, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def tokens(meter: Meter) -> None:
    meter.define_metric("tokens", "sum", "token")


def test_an_event_beyond_a_limit_is_an_outcome_and_may_be_tried_again(meter: Meter) -> None:
    assert (meter.record("a", "tokens", 1).remaining, meter.catalog()[0].limited) == (None, False)
    meter.set_limit("tokens", 10, subject="acct_1")
    assert meter.catalog()[0].limited
    recorded = meter.record("acct_1", "tokens", "7.5")
    assert (recorded.outcome, recorded.remaining, recorded.limited_by) == (
        "recorded",
        Decimal("2.5"),
        "default",
    )
    refused = meter.record("acct_1", "tokens", 3, idempotency_key="k")
    assert (refused.outcome, refused.event_id, refused.quantity) == ("refused", None, Decimal("7.5"))
    assert (refused.remaining, refused.limited_by) == (Decimal("2.5"), "default")
    over = meter.record("acct_1", "tokens", 3, idempotency_key="k", overflow=True)
    assert (over.outcome, over.quantity, over.remaining) == ("recorded", Decimal("10.5"), 0)
    assert meter.check_quota("acct_1", "tokens").overrun == Decimal("0.5")


def test_a_strict_call_raises_what_is_not_recorded(meter: Meter) -> None:
    meter.set_limit("tokens", 10)
    meter.record("acct_1", "tokens", 7, idempotency_key="k", strict=True)
    with pytest.raises(errors.DuplicateEvent) as duplicate:
        meter.record("acct_1", "tokens", 7, idempotency_key="k", strict=True)
    assert duplicate.value.sqlstate == "UM005"


@pytest.mark.parametrize("batch", [False, True])
def test_a_strict_call_raises_what_a_limit_refuses(meter: Meter, batch: bool) -> None:
    meter.set_limit("tokens", 10)
    event = {"subject": "acct_1", "metric": "tokens", "quantity": 11}
    with pytest.raises(errors.QuotaExceeded) as refused:
        if batch:
            meter.record_batch([event], on_refused="raise")
        else:
            meter.record("acct_1", "tokens", 11, strict=True)
    assert refused.value.sqlstate == "UM003"
    assert refused.value.hint


@pytest.mark.parametrize("outcome", ["recorded", "duplicate", "conflict", "refused"])
@pytest.mark.parametrize("limited", [False, True])
def test_without_a_total_no_outcome_has_a_quantity(meter: Meter, outcome: str, limited: bool) -> None:
    if outcome == "refused" and not limited:
        pytest.skip("nothing refuses")
    if limited:
        meter.set_limit("tokens", 10)
    meter.record("acct_1", "tokens", 7, idempotency_key="k")
    key, quantity = {
        "recorded": ("new", 1),
        "duplicate": ("k", 7),
        "conflict": ("k", 8),
        "refused": ("new", 5),
    }[outcome]
    result = meter.record("acct_1", "tokens", quantity, idempotency_key=key, total=False)
    assert (result.outcome, result.quantity) == (outcome, None)


def test_a_batch_refuses_one_event_and_goes_on_with_the_next(meter: Meter) -> None:
    meter.set_limit("tokens", 10)
    events = [{"subject": "acct_1", "metric": "tokens", "quantity": n} for n in (7, 5, 3)]
    outcomes = meter.record_batch(events)
    assert [o.outcome for o in outcomes] == ["recorded", "refused", "recorded"]
    assert (outcomes[1].event_id, outcomes[1].sqlstate) == (None, "UM003")
    assert {o.outcome for o in meter.record_batch(events, overflow=True)} == {"recorded"}


def test_check_quota_without_a_quota_answers_from_the_limits(meter: Meter) -> None:
    free = meter.check_quota("acct_1", "tokens")
    assert (free.allowed, free.quota, free.remaining, free.limited_by) == (True, None, None, None)
    meter.set_limit("tokens", 10, period="day", name="daily")
    meter.record("acct_1", "tokens", 7)
    status = meter.check_quota("acct_1", "tokens", requested=4)
    assert (status.allowed, status.used, status.quota, status.remaining) == (False, 7, 10, 3)
    assert (status.held, status.overrun, status.limited_by) == (0, 0, "daily")
    assert status.since is not None
    assert status.until == status.since + timedelta(days=1)
    given = meter.check_quota("acct_1", "tokens", 5)
    assert (given.allowed, given.overrun, given.limited_by) == (False, 2, None)


def test_limits_are_listed_and_told_apart(meter: Meter) -> None:
    everyone = meter.set_limit("tokens", 100, marks=["99.5", 50], period="never")
    assert (everyone.marks, everyone.action) == ([50, Decimal("99.5")], "block")
    own = meter.set_limit("tokens", None, subject="acct_1", period="never")
    assert (own.quota, own.subject) == (None, "acct_1")
    assert meter.limits("tokens") == [everyone, own]
    assert meter.limits(max_rows=1, after_id=everyone.limit_id) == [own]
    counting, shadowed = meter.effective_limits("acct_1", "tokens")
    assert (counting.source, counting.counts, counting.until) == ("subject", True, None)
    assert (shadowed.source, shadowed.counts) == ("everyone", False)
    assert shadowed.reason.startswith("shadowed")
    assert meter.remove_limit("tokens", subject="acct_1", period="never").removed
    with pytest.raises(errors.NotFound) as caught:
        meter.remove_limit("tokens", subject="acct_1", period="never")
    assert caught.value.sqlstate == "UM007"
    assert [limit.limit_id for limit in meter.effective_limits("acct_1", "tokens")] == [everyone.limit_id]
    rolling = meter.set_limit("tokens", 5, period="30 days", name="rolling")
    assert [e.limit_id for e in meter.effective_limits("b", "tokens")] == [
        everyone.limit_id,
        rolling.limit_id,
    ]


def test_a_plan_brings_its_limits(meter: Meter) -> None:
    with pytest.raises(errors.NotFound):
        meter.subscribe("acct_1", "pro")
    plan = meter.define_plan("pro", "Pro")
    assert meter.plans() == [plan]
    meter.set_limit("tokens", 100, plan="pro")
    subscription = meter.subscribe("acct_1", "pro", since=NOON)
    assert (subscription.since, subscription.until) == (NOON, None)
    assert meter.subscriptions("acct_1", at=NOON) == [subscription]
    assert [(e.source, e.plan) for e in meter.effective_limits("acct_1", "tokens")] == [("plan", "pro")]
    ended = meter.unsubscribe("acct_1", "pro", at=NOON + timedelta(hours=1))
    assert ended.until == NOON + timedelta(hours=1)
    assert meter.effective_limits("acct_1", "tokens") == []


def test_a_billing_cycle_is_a_window(meter: Meter) -> None:
    month = meter.billing_cycle("acct_1", at=NOON)
    assert month == models.Window(
        since=datetime(2026, 6, 1, tzinfo=UTC), until=datetime(2026, 7, 1, tzinfo=UTC)
    )
    rule = meter.set_billing_cycle("acct_1", datetime(2026, 1, 31, tzinfo=UTC))
    assert (rule.every, rule.since, rule.anchor) == ("month", rule.anchor, datetime(2026, 1, 31, tzinfo=UTC))
    assert meter.billing_cycle("acct_1", at=NOON).since == datetime(2026, 5, 31, tzinfo=UTC)


def test_settings_changes_and_what_there_is_to_tell(meter: Meter) -> None:
    before = {setting.name: setting.value for setting in meter.settings()}
    assert meter.set_setting("notifications_keep", "30 days").value == "30 days"
    assert meter.set_setting("notifications_keep", None).value == before["notifications_keep"]
    with pytest.raises(errors.InvalidInput):
        meter.set_setting("no such setting", "1")


def test_every_change_is_in_the_log_with_its_author(meter: Meter) -> None:
    meter.set_limit("tokens", "0.5", subject="acct_1")
    newest, *_ = meter.admin_log("tokens")
    assert (newest.action, newest.object, newest.before) == ("set_limit", "tokens", None)
    assert newest.after["quota"] == Decimal("0.5")
    assert meter.admin_log("tokens", before_id=newest.entry_id)[0].action == "define_metric"
    meter.record("acct_1", "tokens", "0.4")
    meter.record("acct_1", "tokens", "0.4")
    told = meter.notifications(subject="acct_1")
    assert [n.type for n in told] == ["threshold.approaching", "limit.refused"]
    assert meter.notifications("limit.refused", after_id=told[0].notification_id) == [told[1]]
    assert meter.notifications(subject="acct_1", newest_first=True) == told[::-1]
    assert meter.notifications(newest_first=True, after_id=told[1].notification_id, max_rows=1) == [told[0]]
    assert told[0].metric == "tokens"


def test_a_role_that_is_bound_to_a_subject_sees_its_limits(meter_connection: psycopg.Connection[Any]) -> None:
    meter = Meter(meter_connection)
    meter.set_limit("tokens", 10, subject="acct_1")
    meter.set_limit("tokens", 5)
    meter_connection.execute("create role pymeter_bound_reader")
    meter.grant_access("pymeter_bound_reader", "read", "acct_1")
    meter_connection.execute("set local role pymeter_bound_reader")
    mine = meter.for_subject("acct_1")
    assert [limit.quota for limit in mine.limits("tokens")] == [10]
    assert not mine.check_quota("tokens", 11).allowed
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        meter.for_subject("acct_2").limits("tokens")


def test_top_ups_and_balances_are_exact(meter: Meter) -> None:
    meter.set_limit("tokens", 10, rollover_max=Decimal("2.5"), period="day")
    given = meter.top_up("acct_1", "tokens", "0.30", "invoice_17", reason="sold")
    assert (given.quantity, given.priority, given.source, given.expires_at) == (
        Decimal("0.3"),
        50,
        "paid",
        None,
    )
    assert meter.top_up("acct_1", "tokens", "0.3", "invoice_17", reason="sold") == given
    with pytest.raises(errors.DuplicateEvent):
        meter.top_up("acct_1", "tokens", "0.4", "invoice_17", reason="sold")
    assert meter.record("acct_1", "tokens", "10.1").remaining == Decimal("0.2")
    there = meter.balance("acct_1", "tokens", at=datetime.now(UTC))
    assert (there.used, there.top_ups, there.top_ups_left, there.remaining) == (
        Decimal("10.1"),
        Decimal("0.3"),
        Decimal("0.2"),
        Decimal("0.2"),
    )
    (active,) = meter.top_ups("acct_1", "tokens", at=datetime.now(UTC))
    assert (active.top_up_id, active.used, active.remaining) == (
        given.top_up_id,
        Decimal("0.1"),
        Decimal("0.2"),
    )
    assert meter.void_top_up(given.top_up_id, "refunded").void_reason == "refunded"
    with pytest.raises(errors.NotFound):
        meter.void_top_up(99999, "refunded")
    assert meter.balance("acct_1", "tokens", at=datetime.now(UTC)).overrun == Decimal("0.1")
